"""Functions whose answer is the session's, the catalogue's or the clock's."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from .errors import syntax
from .tokens import Reader

if TYPE_CHECKING:
    from .engine import Engine
    from .session import Session

VERSION = "9.36.0"
ACCOUNT, REGION = "EMULATOR", "LOCAL"
_HASH_STAR = "_emulator_hash_star()"


def as_literal(value: Any) -> exp.Expr:
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, (int, float, Decimal)):
        return exp.Literal.number(str(value)) if value >= 0 else exp.Neg(this=exp.Literal.number(str(-value)))
    if isinstance(value, datetime):
        kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
        return exp.cast(exp.Literal.string(value.isoformat(sep=" ")), kind)
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    return exp.Literal.string(str(value))


def call_name(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return node.name.upper()
    return node.sql_name().upper() if isinstance(node, exp.Func) else ""


def replace_calls(root: exp.Expr, engine: Engine, session: Session, scope: Any) -> None:
    """Put the answers in place of the calls."""
    for node in list(root.find_all(exp.Func)):
        name = call_name(node)
        simple = SIMPLE.get(name)
        if isinstance(node, exp.CurrentTimestamp) or name in ("SYSDATE", "GETDATE", "LOCALTIMESTAMP", "SYSTIMESTAMP"):
            now = engine.clock.now()
            utc = node.args.get("sysdate") or name in ("SYSDATE", "LOCALTIMESTAMP")
            node.replace(as_literal(now.astimezone(timezone.utc).replace(tzinfo=None) if utc else now))
        elif name == "CURRENT_DATE":
            node.replace(as_literal(engine.clock.now().date()))
        elif simple is not None:
            node.replace(as_literal(simple(engine, session)))
        elif name == "IS_ROLE_IN_SESSION":
            node.replace(as_literal(_in_session(engine, session, node.expressions[0].name)))
        elif name in ("GET_DDL", "SYSTEM$WAIT", "SYSTEM$GET_TAG", "SYSTEM$CANCEL_QUERY", "SYSTEM$PIPE_STATUS"):
            arguments = [a.this if isinstance(a, exp.Boolean) else a.name for a in node.expressions]
            if name == "GET_DDL":
                node.replace(as_literal(engine.get_ddl(session, *arguments)))
            elif name == "SYSTEM$CANCEL_QUERY":
                done = engine.cancel_query(arguments[0])
                node.replace(
                    as_literal(
                        "query is cancelled." if done else "Identified SQL statement is not currently executing."
                    )
                )
            elif name == "SYSTEM$PIPE_STATUS":
                pipe = engine.found(session, Reader(arguments[0]).name(), "PIPE").obj
                node.replace(as_literal(json.dumps({"executionState": pipe.props["state"]} if pipe else {})))
            elif name == "SYSTEM$GET_TAG":
                node.replace(as_literal(_tag(engine, session, *arguments)))
            else:
                # D (/sql-reference/functions/system_wait): an amount and a unit, SECONDS unless told.
                unit = arguments[1].lower() if len(arguments) > 1 else "seconds"
                engine.wait(session, float(arguments[0]) * _UNITS[unit])
                node.replace(as_literal(f"waited {arguments[0]} {unit}"))
        elif isinstance(node, exp.HashAgg) or name == "HASH_AGG":
            _hash_agg(node)
        elif name in ("TO_VARCHAR", "TO_CHAR") and node.args.get("format") is not None:
            node.replace(_to_char(node))
        elif isinstance(node, exp.ConvertTimezone):
            _convert_timezone(node)


_UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "milliseconds": 1e-3, "microseconds": 1e-6}

SIMPLE = {
    "CURRENT_USER": lambda e, s: s.user,
    "CURRENT_ROLE": lambda e, s: s.role,
    "CURRENT_WAREHOUSE": lambda e, s: s.warehouse,
    "CURRENT_DATABASE": lambda e, s: s.database,
    "CURRENT_SCHEMA": lambda e, s: s.schema,
    "CURRENT_SESSION": lambda e, s: str(s.id),
    "CURRENT_ACCOUNT": lambda e, s: ACCOUNT,
    "CURRENT_ACCOUNT_NAME": lambda e, s: ACCOUNT,
    "CURRENT_ORGANIZATION_NAME": lambda e, s: "SWITCHBACK",
    "CURRENT_REGION": lambda e, s: REGION,
    "CURRENT_VERSION": lambda e, s: VERSION,
    "CURRENT_CLIENT": lambda e, s: "emulator",
    "CURRENT_STATEMENT": lambda e, s: s.running.text if s.running else None,
    "CURRENT_TRANSACTION": lambda e, s: s.transaction.id if s.transaction else None,
    "CURRENT_SECONDARY_ROLES": lambda e, s: '{"roles":"","value":""}',
    "CURRENT_AVAILABLE_ROLES": lambda e, s: str(sorted(e.catalog.roles)).replace("'", '"'),
    "LAST_QUERY_ID": lambda e, s: s.last_query_id,
}


def _in_session(engine: Engine, session: Session, role: str) -> bool:
    """Is the role active, by itself or by inheritance? E: whoever may manage grants has SECURITYADMIN,
    and ACCOUNTADMIN has every role."""
    if role == "SECURITYADMIN":
        return engine.grants.allows(session.role, "MANAGE GRANTS", "ACCOUNT")
    return session.role == "ACCOUNTADMIN" or role in engine.grants.roles_of(session.role)


def _tag(engine: Engine, session: Session, tag: str, name: str, domain: str) -> str | None:
    """E: a tag is found by the last part of its name, on the object itself only."""
    from .containers import find

    parts, wanted = Reader(name).name(), Reader(tag).name()[-1]
    if domain.upper() in ("DATABASE", "SCHEMA"):
        held = find(engine, session, domain.upper(), parts).tags
    else:
        obj = engine.found(session, parts).obj
        held = dict(obj.tags) if obj is not None else {}
    return next((v for n, v in held.items() if Reader(n).name()[-1] == wanted), None)


def _hash_agg(node: exp.Expr) -> None:
    """Order-insensitive, duplicate-sensitive, 0 for no rows (facts, 5)."""
    arguments = [node.this, *node.expressions] if isinstance(node, exp.HashAgg) else node.expressions
    if len(arguments) == 1 and isinstance(arguments[0], exp.Star):
        hashed: exp.Expr = exp.Anonymous(this=_HASH_STAR[:-2])
    else:
        hashed = exp.Anonymous(this="hash", expressions=[a.copy() for a in arguments if a is not None])
    node.replace(exp.Anonymous(this="_emulator_hash_agg", expressions=[hashed]))


def finish(sql: str) -> str:
    """What sqlglot cannot print: hash over every column."""
    return sql.replace(_HASH_STAR.upper(), "hash(*COLUMNS(*))").replace(_HASH_STAR, "hash(*COLUMNS(*))")


MACROS = """
CREATE OR REPLACE MACRO _emulator_hash_agg(h) AS
    CAST(coalesce(sum(h::HUGEINT) % 18446744073709551616, 9223372036854775808) - 9223372036854775808 AS DECIMAL(19,0))
"""

_FORMATS = [
    ("YYYY", "%Y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH24", "%H"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("FF3", "%g"),
    ("FF", "%f"),
]


def _to_char(node: exp.Expr) -> exp.Expr:
    """E: the few date formats that dbt's catalogue query needs."""
    text = node.args["format"].sql(dialect="snowflake")
    for word, code in _FORMATS:
        text = text.replace(word, code).replace(word.lower(), code)
    from sqlglot import parse_one

    return exp.Anonymous(this="strftime", expressions=[node.this.copy(), parse_one(text, read="snowflake")])


def _convert_timezone(node: exp.ConvertTimezone) -> None:
    """E: rows are kept in UTC; only the target zone counts."""
    target, value = node.args.get("target_tz"), node.args.get("timestamp")
    if target is not None and value is not None:
        node.replace(exp.Anonymous(this="timezone", expressions=[target.copy(), exp.cast(value.copy(), "TIMESTAMPTZ")]))


def data_type(text: str) -> tuple[str, str]:
    """A declared type as Snowflake shows it and as DuckDB stores it."""
    from sqlglot import parse_one

    from .translate import to_duck

    reader = Reader(text)
    word = reader.next().text.upper()
    size = reader.group().replace(" ", "") if reader.sees("(") else ""
    if word in ("NUMBER", "DECIMAL", "NUMERIC", "INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT"):
        size = size if "," in size else f"{size},0" if size else "38,0"
        return f"NUMBER({size})", f"DECIMAL({size})" if size != "38,0" else "BIGINT"
    if word in ("VARCHAR", "STRING", "TEXT", "CHAR", "CHARACTER", "NVARCHAR"):
        return (
            f"VARCHAR({size or ('1' if word in ('CHAR', 'CHARACTER') and not reader.sees('VARYING') else 16777216)})",
            "VARCHAR",
        )
    if word in ("FLOAT", "DOUBLE", "REAL", "FLOAT4", "FLOAT8"):
        return "FLOAT", "DOUBLE"
    if word in ("TIMESTAMP_TZ", "TIMESTAMP_LTZ", "TIMESTAMPTZ", "TIMESTAMPLTZ"):
        return f"{'TIMESTAMP_LTZ' if 'LTZ' in word else 'TIMESTAMP_TZ'}({size or 9})", "TIMESTAMPTZ"
    if word in ("TIMESTAMP", "TIMESTAMP_NTZ", "DATETIME", "TIMESTAMPNTZ"):
        return f"TIMESTAMP_NTZ({size or 9})", "TIMESTAMP"
    if word in ("VARIANT", "OBJECT", "ARRAY"):
        return word, "JSON"
    fixed = {
        "BOOLEAN": ("BOOLEAN", "BOOLEAN"),
        "DATE": ("DATE", "DATE"),
        "TIME": ("TIME(9)", "TIME"),
        "BINARY": ("BINARY(8388608)", "BLOB"),
        "VARBINARY": ("BINARY(8388608)", "BLOB"),
        "GEOGRAPHY": ("GEOGRAPHY", "VARCHAR"),
        "GEOMETRY": ("GEOMETRY", "VARCHAR"),
    }
    if word in fixed:
        return fixed[word]
    try:
        return text.upper(), to_duck(parse_one(f"CAST(NULL AS {text})", read="snowflake")).split(" AS ")[1].rstrip(")")
    except Exception:
        raise syntax(f"Unsupported data type '{text}'.") from None


def shown_type(duck: str) -> str:
    """A DuckDB type as Snowflake would show the column of a CREATE TABLE ... AS."""
    if duck.startswith("DECIMAL"):
        return "NUMBER" + duck[7:].replace(" ", "")
    if duck.endswith("[]"):
        return "ARRAY"
    if duck.startswith(("STRUCT", "MAP")):
        return "OBJECT"
    return {
        "BOOLEAN": "BOOLEAN",
        "DATE": "DATE",
        "DOUBLE": "FLOAT",
        "FLOAT": "FLOAT",
        "JSON": "VARIANT",
        "BLOB": "BINARY(8388608)",
        "TIME": "TIME(9)",
        "TIMESTAMP": "TIMESTAMP_NTZ(9)",
        "TIMESTAMP_NS": "TIMESTAMP_NTZ(9)",
        "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_LTZ(9)",
        "VARCHAR": "VARCHAR(16777216)",
        '"NULL"': "VARCHAR(16777216)",
        "UUID": "VARCHAR(36)",
    }.get(duck, "NUMBER(38,0)" if "INT" in duck else "VARCHAR(16777216)")
