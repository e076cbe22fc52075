"""What stands in a schema: tables and views, and the kinds that are metadata only (``records``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import records, tables
from .catalog import Column, Obj, Place, Schema, space
from .containers import find, tags
from .errors import compilation, exists
from .session import Result, Session, status
from .tokens import Reader, dotted, shown

if TYPE_CHECKING:
    from .engine import Engine

# Longest first; the plural is what SHOW and GRANT ... ON ALL say.
KINDS = (
    "MATERIALIZED VIEW",
    "DYNAMIC TABLE",
    "EXTERNAL TABLE",
    "HYBRID TABLE",
    "ICEBERG TABLE",
    "EVENT TABLE",
    "FILE FORMAT",
    "MASKING POLICY",
    "ROW ACCESS POLICY",
    "AGGREGATION POLICY",
    "PROJECTION POLICY",
    "DATA METRIC FUNCTION",
    "BACKUP SET",
    "STORAGE LIFECYCLE POLICY",
    "NETWORK RULE",
    "GIT REPOSITORY",
    "IMAGE REPOSITORY",
    "SEMANTIC VIEW",
    "CORTEX SEARCH SERVICE",
    "PROCEDURE",
    "FUNCTION",
    "SEQUENCE",
    "STREAMLIT",
    "NOTEBOOK",
    "SERVICE",
    "STREAM",
    "SECRET",
    "STAGE",
    "ALERT",
    "MODEL",
    "TABLE",
    "VIEW",
    "TASK",
    "PIPE",
    "TAG",
)


def plural(kind: str) -> str:
    return kind[:-1] + "IES" if kind.endswith("Y") else kind + "S"


def kind_of(r: Reader, plurals: bool = False) -> str | None:
    for kind in KINDS:
        if r.accept(plural(kind) if plurals else kind):
            return kind
    return None


def run(engine: Engine, session: Session, r: Reader) -> Result:
    verb = r.next().text.upper()
    if verb == "CREATE":
        return _create(engine, session, r)
    account = records.account_level(engine, session, r, verb)
    if account is not None:
        return account
    kind = kind_of(r)
    if kind is None:
        if verb == "ALTER" and r.accept("SESSION"):
            return _alter_session(session, r)
        raise r.unexpected()
    if verb == "ALTER":
        return _alter(engine, session, r, kind)
    if verb == "DROP":
        return _drop(engine, session, r, kind)
    return _undrop(engine, session, r, kind)


def _alter_session(session: Session, r: Reader) -> Result:
    if r.accept("UNSET"):
        while not r.done:
            session.params.pop(r.next().text.upper(), None)
            r.accept(",")
        return status()
    r.expect("SET")
    while not r.done:
        name = r.next().text.upper()
        r.expect("=")
        value = r.value()
        session.params[name] = value
        r.accept(",")
    return status()


# -- CREATE
def _create(engine: Engine, session: Session, r: Reader) -> Result:
    or_replace = r.accept("OR REPLACE") or r.accept("OR ALTER")
    words: set[str] = set()
    while word := r.one_of(
        "LOCAL", "GLOBAL", "TEMPORARY", "TEMP", "VOLATILE", "TRANSIENT", "SECURE", "RECURSIVE", "IMMUTABLE"
    ):
        words.add(word)
    account = records.account_level(engine, session, r, "CREATE")
    if account is not None:
        return account
    kind = kind_of(r)
    if kind is None:
        raise r.unexpected()
    if_not_exists = r.accept("IF NOT EXISTS")
    parts = r.name()
    place = engine.place(session, parts, None, kind)
    temporary = bool(words & {"TEMPORARY", "TEMP", "VOLATILE"})
    engine.require(session, f"CREATE {kind}", place.schema)
    here = place.schema.get(place.name, kind)
    old = session.temporary.get((place.schema.id, place.name)) if temporary else here
    if old is not None:
        if if_not_exists:
            return status(f"{shown(place.name)} already exists, statement succeeded.")
        if not or_replace:
            raise exists(place.fqn)
        if old.kind != kind:
            raise compilation(2203, "42710", f"Object '{place.fqn}' already exists as {old.kind}")
        engine.require(session, "OWNERSHIP", Place(place.schema, place.name, old))
    now = engine.clock.now()
    base = Obj(
        kind,
        0,
        now,
        session.role,
        transient="TRANSIENT" in words or place.schema.transient,
        secure="SECURE" in words,
        last_altered=now,
        last_ddl=now,
    )
    made, copy_grants, message = _make(engine, session, r, kind, place, base)
    if temporary:
        session.temporary[(place.schema.id, place.name)] = replace(made, props=made.props | {"temporary": True})
        return status(message)
    if old is not None:
        engine.catalog.remove(place.schema, place.name, kind)
    engine.catalog.put(place.schema, place.name, made)
    engine.grants.created(
        session, Place(place.schema, place.name, made), copied_from=old.id if old and copy_grants else None
    )
    return status(message)


def _make(engine: Engine, session: Session, r: Reader, kind: str, place: Place, base: Obj) -> tuple[Obj, bool, str]:
    if kind in ("VIEW", "MATERIALIZED VIEW"):
        obj, copied = tables.view(engine, session, r, place, base)
        return obj, copied, f"{kind.capitalize()} {shown(place.name)} successfully created."
    if kind in ("TABLE", "HYBRID TABLE", "ICEBERG TABLE", "EVENT TABLE"):
        obj, copied = tables.table(engine, session, r, place, base)
        return obj, copied, f"Table {shown(place.name)} successfully created."
    if kind == "DYNAMIC TABLE":
        return (
            tables.dynamic(engine, session, r, place, base),
            False,
            f"Dynamic table {shown(place.name)} successfully created.",
        )
    return (
        records.make(engine, session, r, kind, place, base),
        False,
        f"{kind.capitalize()} {shown(place.name)} successfully created.",
    )


# -- ALTER
def _alter(engine: Engine, session: Session, r: Reader, kind: str) -> Result:
    if_exists = r.accept("IF EXISTS")
    parts = r.name()
    if kind in ("FUNCTION", "PROCEDURE") and r.sees("("):
        r.group()
    place = engine.place(session, parts, None, kind if space(kind) != "RELATION" else "TABLE")
    if place.obj is None:
        if if_exists:
            return status()
        raise engine.absent(place, parts)
    engine.require(session, "OWNERSHIP", place)
    if r.accept("RENAME TO"):
        return _rename(engine, session, place, r.name())
    if r.accept("SWAP WITH"):
        return _swap(engine, session, place, r.name())
    if kind == "TASK":
        records.graph(place)
    changes = tables.alter(engine, session, r, place) if place.obj.relation else records.alter(r, place.obj)
    if (place.schema.id, place.name) in session.temporary:
        session.temporary[(place.schema.id, place.name)] = replace(place.obj, **changes)
    else:
        engine.catalog.alter(place.schema, place.name, place.obj, **changes)
    engine.inserted.pop(place.obj.id, None)
    return status()


def _rename(engine: Engine, session: Session, place: Place, to: tuple[str, ...]) -> Result:
    target = engine.place(session, to, None, place.obj.kind)  # type: ignore[union-attr]
    if len(to) == 1:
        target = Place(place.schema, to[0], place.schema.get(to[0], place.obj.kind))  # type: ignore[union-attr]
    if target.obj is not None:
        raise exists(target.fqn)
    obj = place.obj
    assert obj is not None
    if (place.schema.id, place.name) in session.temporary:
        session.temporary[(target.schema.id, target.name)] = session.temporary.pop((place.schema.id, place.name))
        return status()
    del place.schema.children[(space(obj.kind), place.name)]
    engine.catalog.touch(place.schema)
    engine.catalog.alter(target.schema, target.name, obj)
    return status()


def _swap(engine: Engine, session: Session, place: Place, other_parts: tuple[str, ...]) -> Result:
    """ALTER TABLE a SWAP WITH b: content, metadata and privileges change names."""
    other = engine.found(session, other_parts)
    engine.require(session, "OWNERSHIP", other)
    a, b = place.obj, other.obj
    assert a is not None and b is not None
    engine.catalog.alter(place.schema, place.name, b)
    engine.catalog.alter(other.schema, other.name, a)
    return status()


# -- DROP, UNDROP
def _drop(engine: Engine, session: Session, r: Reader, kind: str) -> Result:
    if_exists = r.accept("IF EXISTS")
    parts = r.name()
    if r.sees("("):
        r.group()
    r.one_of("CASCADE", "RESTRICT")
    r.end()
    try:
        place = engine.place(session, parts, None, kind if space(kind) != "RELATION" else "TABLE")
    except Exception:
        if if_exists:
            return status(f"Drop statement executed successfully ({shown(parts[-1])} already dropped).")
        raise
    if place.obj is None:
        if if_exists:
            return status(f"Drop statement executed successfully ({shown(parts[-1])} already dropped).")
        raise engine.absent(place, parts)
    if place.obj.kind != kind:
        raise compilation(
            2203,
            "42710",
            f"SQL compilation error: Object found is of type '{place.obj.kind}', not specified type '{kind}'.",
        )
    if session.temporary.pop((place.schema.id, place.name), None) is None:
        engine.require(session, "OWNERSHIP", place)
        engine.catalog.remove(place.schema, place.name, kind)
    return status(f"{shown(place.name)} successfully dropped.")


def _undrop(engine: Engine, session: Session, r: Reader, kind: str) -> Result:
    parts = r.name()
    r.end()
    place = engine.place(session, parts, None, kind)
    if place.obj is not None:
        raise exists(place.fqn)  # D (TT)
    # D (CL): dropped views cannot be restored.
    if kind in ("TABLE", "DYNAMIC TABLE", "EXTERNAL TABLE", "ICEBERG TABLE"):
        for index in range(len(place.schema.dropped) - 1, -1, -1):
            when, name, obj = place.schema.dropped[index]
            if name == place.name and obj.kind == kind:
                del place.schema.dropped[index]
                engine.catalog.put(place.schema, name, obj)
                return status(f"{kind.capitalize()} {shown(name)} successfully restored.")
    raise compilation(2003, "02000", f"{kind.capitalize()} '{dotted(*parts)}' did not exist or was purged.")


# -- COMMENT ON
def comment_on(engine: Engine, session: Session, r: Reader) -> Result:
    r.expect("COMMENT")
    if_exists = r.accept("IF EXISTS")
    r.expect("ON")
    container = r.one_of("DATABASE ROLE", "DATABASE", "SCHEMA")
    kind = container or ("COLUMN" if r.accept("COLUMN") else kind_of(r))
    if kind is None:
        if r.one_of("ROLE", "WAREHOUSE", "USER"):
            return status()
        raise r.unexpected()
    parts = r.name()
    if r.sees("("):
        r.group()
    r.expect("IS")
    text = r.string()
    r.end()
    if kind == "DATABASE ROLE":
        return status()
    if container:
        one = find(engine, session, container, parts)
        engine.require(session, "OWNERSHIP", one)
        one.comment = text
        return status()
    target = parts[:-1] if kind == "COLUMN" else parts
    place = engine.place(session, target, None, "TABLE" if kind == "COLUMN" else kind)
    if place.obj is None:
        if if_exists:
            return status()
        raise engine.absent(place, target)
    engine.require(session, "OWNERSHIP", place)
    changes: dict[str, Any] = {"comment": text}
    if kind == "COLUMN":
        changes = {"columns": with_comment(place.obj.columns, parts[-1], text)}
    engine.catalog.alter(place.schema, place.name, place.obj, **changes)
    return status()


def with_comment(columns: tuple[Column, ...], name: str, text: str) -> tuple[Column, ...]:
    if name not in {c.name for c in columns}:
        raise compilation(904, "42000", f"invalid identifier '{name}'")
    return tuple(replace(c, comment=text) if c.name == name else c for c in columns)


__all__ = ["KINDS", "Schema", "comment_on", "kind_of", "plural", "run", "tags", "with_comment"]
