"""Sign-in: passwords, key pairs, OAuth and programmatic access tokens, workload identity.

D (facts, 7): the login body names the AUTHENTICATOR and carries the TOKEN. A token may also be
given as the password. What is configured is checked; what is not is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jwt

from .errors import SnowflakeError
from .session import Session


@dataclass
class Rules:
    """Who may sign in. Empty means anybody."""

    account: str | None = None
    users: dict[str, str] = field(default_factory=dict)  # user -> password
    tokens: set[str] = field(default_factory=set)
    public_key: str | None = None  # PEM; without one a well-formed JWT will do


def refuse(message: str = "Incorrect username or password was specified.", code: int = 390100) -> SnowflakeError:
    return SnowflakeError(code, "08001", message)


def sign_in(rules: Rules, engine: Any, query: dict[str, str], body: dict) -> Session:
    data = body.get("data", {})
    user = str(data.get("LOGIN_NAME") or "").upper()
    authenticator = str(data.get("AUTHENTICATOR") or "SNOWFLAKE").upper()
    _check(rules, user, authenticator, data)
    role = (query.get("roleName") or "").strip('"')
    role = role if query.get("roleName", "").startswith('"') else role.upper()
    if role and role not in engine.catalog.roles:
        raise refuse(
            f"Role '{role}' specified in the connect string does not exist or not authorized. Contact your local system "
            "administrator, or attempt to login with another role, e.g. PUBLIC.",
            390189,
        )
    session = Session(user or "TOKEN_USER", role or "ACCOUNTADMIN", _name(query.get("warehouse")), None, None)
    session.params = {k.upper(): v for k, v in (data.get("SESSION_PARAMETERS") or {}).items()}
    # D: a default database or schema that does not exist leaves the session without one.
    database = engine.catalog.databases.get(_name(query.get("databaseName")) or "")
    if database is not None:
        session.database = database.name
        schema = _name(query.get("schemaName")) or "PUBLIC"
        session.schema = schema if schema in database.children else None
    if session.warehouse is None:
        session.warehouse = sorted(engine.catalog.warehouses)[0]
    elif session.warehouse not in engine.catalog.warehouses:
        session.warehouse = None
    return session


def _name(text: str | None) -> str | None:
    if not text:
        return None
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.upper()


def _check(rules: Rules, user: str, authenticator: str, data: dict) -> None:
    token = str(data.get("TOKEN") or "")
    if authenticator == "SNOWFLAKE_JWT":
        _check_jwt(rules, user, token)
    elif authenticator in ("OAUTH", "PROGRAMMATIC_ACCESS_TOKEN", "WORKLOAD_IDENTITY"):
        if not token or (rules.tokens and token not in rules.tokens):
            code = {"OAUTH": 390303, "PROGRAMMATIC_ACCESS_TOKEN": 390311}.get(authenticator, 390100)
            raise refuse(
                "Invalid OAuth access token." if authenticator == "OAUTH" else "Programmatic access token is invalid.",
                code,
            )
        if authenticator == "WORKLOAD_IDENTITY" and not data.get("PROVIDER"):
            raise refuse("Workload identity provider is missing.")
    elif authenticator in ("SNOWFLAKE", "USERNAME_PASSWORD_MFA"):
        password = str(data.get("PASSWORD") or "")
        if not user or not password:
            raise refuse()
        if rules.users and rules.users.get(user) != password and password not in rules.tokens:
            raise refuse()
    else:
        raise refuse(f"Authenticator {authenticator} is not supported by the emulator.")


def _check_jwt(rules: Rules, user: str, token: str) -> None:
    """iss is ACCOUNT.USER.SHA256:fingerprint, sub is ACCOUNT.USER, and it has not run out."""
    try:
        if rules.public_key:
            claims = jwt.decode(token, rules.public_key, algorithms=["RS256"])
        else:
            claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": True})
    except jwt.PyJWTError as error:
        raise refuse(f"JWT token is invalid. [{error}]", 390144) from None
    subject, issuer = str(claims.get("sub", "")), str(claims.get("iss", ""))
    if not issuer.startswith(subject + ".SHA256:") or subject.split(".")[-1] != user:
        raise refuse("JWT token is invalid.", 390144)
