"""DESCRIBE and GET_DDL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import Database
from .containers import find
from .session import Result, Session, table
from .tokens import Reader, literal, quote, shown

if TYPE_CHECKING:
    from .engine import Engine


_COLUMNS = [
    *("name", "type", "kind", "null?", "default", "primary key", "unique key", "check", "expression", "comment"),
    *("policy name", "privacy domain"),
]


def describe(engine: Engine, session: Session, r: Reader) -> Result:
    r.next()
    if r.accept("RESULT"):
        result = session.results[r.string() if r.is_string() else session.last_query_id]
        return table(_COLUMNS, [{"name": f.name, "type": f.type, "kind": "COLUMN"} for f in result.fields])
    kind = r.one_of("DATABASE", "SCHEMA")
    if kind:
        one = find(engine, session, kind, r.name())
        members = (
            [{"created_on": s.created_on, "name": s.name, "kind": "SCHEMA"} for s in one.children.values()]
            if isinstance(one, Database)
            else [{"created_on": o.created_on, "name": n, "kind": o.kind} for n, o in one.objects()]
        )  # type: ignore[attr-defined]
        return table("created_on name kind", members)
    r.one_of("MATERIALIZED VIEW", "DYNAMIC TABLE", "EXTERNAL TABLE", "ICEBERG TABLE", "TABLE", "VIEW")
    place = engine.found(session, r.name())
    engine.require(session, "SELECT", place)
    assert place.obj is not None
    rows = [
        {
            "name": c.name,
            "type": c.type,
            "kind": "COLUMN",
            "null?": "Y" if c.nullable else "N",
            "default": None,
            "primary key": "N",
            "unique key": "N",
            "check": None,
            "expression": None,
            "comment": c.comment or None,
            "policy name": None,
            "privacy domain": None,
        }
        for c in place.obj.columns
    ]
    return table(_COLUMNS, rows)


def get_ddl(engine: Engine, session: Session, kind: str, name: str, qualified: bool) -> str:
    """D (GD): qualifies the created name only, and omits COPY GRANTS."""
    parts = Reader(name).name()
    if kind.upper() in ("DATABASE", "SCHEMA"):
        one = find(engine, session, kind.upper(), parts)
        return f"create or replace {'TRANSIENT ' if one.transient else ''}{kind.upper()} {one.fqn if qualified else shown(one.name)};"
    place = engine.found(
        session,
        parts,
        "TABLE" if kind.upper() in ("VIEW", "TABLE", "DYNAMIC_TABLE") else kind.upper().replace("_", " "),
    )
    obj = place.obj
    assert obj is not None
    created = place.fqn if qualified else shown(place.name)
    if obj.kind == "TABLE":
        columns = ",\n\t".join(
            f"{shown(c.name)} {c.type}{'' if c.nullable else ' NOT NULL'}"
            + (f" COMMENT '{c.comment}'" if c.comment else "")
            for c in obj.columns
        )
        return (
            f"create or replace {'TRANSIENT ' if obj.transient else ''}TABLE {created} (\n\t{columns}\n)"
            + (f"COMMENT='{obj.comment}'" if obj.comment else "")
            + ";"
        )
    if obj.kind not in ("VIEW", "MATERIALIZED VIEW"):
        return obj.text or ""
    body = Reader(obj.text or "")
    while not body.sees("AS"):
        body.group() if body.sees("(") else body.next()
    body.next()
    columns = ",\n\t".join(
        (quote(c.name) if c.name != c.name.upper() else shown(c.name))
        + (f" COMMENT {literal(c.comment)}" if c.comment else "")
        for c in obj.columns
    )
    comment = f" COMMENT='{obj.comment}'" if obj.comment else ""
    tags = f" WITH TAG ({', '.join(f'{n}={chr(39)}{v}{chr(39)}' for n, v in obj.tags)})" if obj.tags else ""
    return f"create or replace {'secure ' if obj.secure else ''}{'materialized ' if obj.kind != 'VIEW' else ''}view {created}(\n\t{columns}\n){tags}{comment} as {body.rest()};"
