"""SHOW: what is asked for, where, and which page of it (facts, 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .containers import find
from .errors import SnowflakeError, compilation
from .session import Result, Session, table
from .showcolumns import COLUMNS, DEFAULT, TERSE
from .showrows import PLURALS, rows_of
from .tokens import Reader

if TYPE_CHECKING:
    from .engine import Engine


def run(engine: Engine, session: Session, r: Reader) -> Result:
    r.expect("SHOW")
    if r.sees("GRANTS") or r.sees("FUTURE GRANTS") or r.sees("INHERITED GRANTS"):
        return engine.grants.show(session, r)
    terse = r.accept("TERSE")
    r.one_of("USER", "BUILTIN") if r.sees("USER FUNCTIONS") or r.sees("USER PROCEDURES") else None
    what = r.one_of(
        "DATABASE ROLES",
        "DATABASES",
        "SCHEMAS",
        "OBJECTS",
        "PARAMETERS",
        "WAREHOUSES",
        "ROLES",
        "USERS",
        "SHARES",
        "REPLICATION GROUPS",
        "FAILOVER GROUPS",
        "PRIMARY KEYS",
        "UNIQUE KEYS",
        "IMPORTED KEYS",
        "COLUMNS",
        "VARIABLES",
        "TRANSACTIONS",
        "LOCKS",
        "REPLICATION DATABASES",
        "INTERACTIVE TABLES",
        "IMPORTED DATABASES",
        *PLURALS,
    )
    if what is None:
        raise r.unexpected()
    history = r.accept("HISTORY")
    like = re.compile(_like(r.string()), re.I | re.S) if r.accept("LIKE") else None
    scope = _scope(engine, session, r, what)
    if like is None and r.accept("LIKE"):
        like = re.compile(_like(r.string()), re.I | re.S)
    starts = r.string() if r.accept("STARTS WITH") else None
    limit = r.number() if r.accept("LIMIT") else None
    after = r.string() if limit is not None and r.accept("FROM") else None
    r.end()
    rows = rows_of(engine, session, what, scope, history)
    if like is not None:
        rows = [row for row in rows if like.fullmatch(str(row.get("name", row.get("key"))))]
    if starts is not None:
        rows = [row for row in rows if str(row["name"]).startswith(starts)]  # D: case-sensitive
    rows = _page(engine, what, rows, limit, after)
    names = COLUMNS.get(what, DEFAULT)
    if terse:
        names = TERSE
    if history:
        names += " dropped_on"  # D (SHOW DATABASES): "an additional dropped_on column"
    return table(names, rows)


def _like(pattern: str) -> str:
    """A LIKE pattern as a regular expression; a backslash takes the meaning from % and _."""
    parts = re.findall(r"\\.|.", pattern, re.S)
    return "".join(
        re.escape(p[1:]) if len(p) == 2 else ".*" if p == "%" else "." if p == "_" else re.escape(p) for p in parts
    )


def _scope(engine: Engine, session: Session, r: Reader, what: str) -> Any:
    """Where to look: None for the account, a container, or a table for keys and columns."""
    if r.accept("IN SESSION") or r.accept("FOR SESSION"):
        return "SESSION"
    if r.accept("IN ACCOUNT") or r.accept("IN APPLICATION"):
        return None
    if not r.accept("IN"):
        if what in ("DATABASES", "WAREHOUSES", "ROLES", "USERS", "SHARES", "PARAMETERS") or "GROUPS" in what:
            return None
        if session.database is None:
            return None
        if what in ("SCHEMAS", "DATABASE ROLES") or session.schema is None:
            return engine.catalog.database(session.database)
        return engine.catalog.schema(session.database, session.schema)
    kind = r.one_of("DATABASE", "SCHEMA", "TABLE", "VIEW")
    if kind in ("TABLE", "VIEW") or what in ("COLUMNS",):
        return engine.found(session, r.name())
    if kind and (r.done or r.sees("STARTS") or r.sees("LIMIT")):
        if session.database is None:
            raise SnowflakeError(90105, "22000", "Cannot perform SHOW. This session does not have a current database.")
        return (
            engine.catalog.database(session.database)
            if kind == "DATABASE"
            else engine.catalog.schema(session.database, session.schema or "")
        )
    parts = r.name()
    if kind is None:
        kind = (
            "SCHEMA"
            if len(parts) == 2 or what not in ("SCHEMAS", "DATABASE ROLES") and _is_schema(engine, session, parts)
            else "DATABASE"
        )
    try:
        return find(engine, session, kind, parts)
    except SnowflakeError:
        # dbt-snowflake takes 002043 for "no such schema"; 002003 would stop it.
        raise compilation(2043, "02000", "Object does not exist, or operation cannot be performed.") from None


def _is_schema(engine: Engine, session: Session, parts: tuple[str, ...]) -> bool:
    return session.database is not None and parts[0] in engine.catalog.database(session.database).children


def _page(engine: Engine, what: str, rows: list[dict], limit: int | None, after: str | None) -> list[dict]:
    """D (5): over 10,000 rows without LIMIT is an error, but SHOW OBJECTS drops the rest silently.
    LIMIT n FROM 's' continues after the name s."""
    if after is not None:
        rows = [row for row in rows if str(row["name"]) > after]
    if limit is not None:
        if limit > engine.show_limit:
            raise compilation(1008, "22023", f"invalid value [{limit}] for parameter 'LIMIT'")
        return rows[:limit]
    if len(rows) > engine.show_limit:
        if what == "OBJECTS":
            return rows[: engine.show_limit]
        raise SnowflakeError(
            90153,
            "22000",
            f"The result set size exceeded the max number of rows({engine.show_limit}) supported for SHOW statements. "
            "Use LIMIT option to limit result set to a smaller number.",
        )
    return rows
