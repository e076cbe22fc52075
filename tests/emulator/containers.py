"""Databases and schemas: create, clone, swap, rename, drop and bring back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import cloning, timetravel
from .catalog import Container, Database, Schema
from .errors import SnowflakeError, compilation, exists, missing, no_history
from .session import Result, Session, status
from .tokens import Reader, dotted, shown

if TYPE_CHECKING:
    from .engine import Engine


def run(engine: Engine, session: Session, r: Reader) -> Result | None:
    """The statement if it is about a container, else None with the reader where it was."""
    start, verb = r.at, r.next().text.upper()
    replace = verb == "CREATE" and r.accept("OR REPLACE")
    transient = verb == "CREATE" and r.accept("TRANSIENT")
    kind = r.one_of("DATABASE ROLE", "DATABASE", "SCHEMA")
    if kind is None or kind == "DATABASE ROLE":
        r.at = start
        return None
    if verb == "CREATE":
        return _create(engine, session, r, kind, replace, transient)
    if verb == "ALTER":
        return _alter(engine, session, r, kind)
    if verb == "DROP":
        return _drop(engine, session, r, kind)
    return _undrop(engine, session, r, kind)


def _siblings(engine: Engine, session: Session, kind: str, parts: tuple[str, ...]) -> tuple[dict, Database | None]:
    """The dictionary in which a container of this name stands."""
    if kind == "DATABASE":
        return engine.catalog.databases, None
    name = parts[0] if len(parts) == 2 else session.database
    if name is None:
        raise SnowflakeError(90105, "22000", "Cannot perform operation. This session does not have a current database.")
    database = engine.catalog.database(name)
    return database.children, database


def find(engine: Engine, session: Session, kind: str, parts: tuple[str, ...]) -> Container:
    siblings, _ = _siblings(engine, session, kind, parts)
    if parts[-1] not in siblings:
        raise missing(kind, dotted(*parts))
    return siblings[parts[-1]]


# -- CREATE
def _create(engine: Engine, session: Session, r: Reader, kind: str, replace: bool, transient: bool) -> Result:
    if_not_exists = r.accept("IF NOT EXISTS")
    parts = r.name()
    siblings, database = _siblings(engine, session, kind, parts)
    name = parts[-1]
    engine.require(session, f"CREATE {kind}", database if database is not None else "ACCOUNT")
    source = point = None
    flags: set[str] = set()
    if r.accept("CLONE"):
        source_parts = r.name()
        point = timetravel.from_reader(engine, session, r)
        source = timetravel.source_of(engine, find(engine, session, kind, source_parts), point)
        engine.require(session, "USAGE", source)
    share = None
    if r.accept("FROM SHARE"):
        share = dotted(*r.name())
    options = _options(r, flags)
    if name in siblings:
        # D (CS): CREATE without OR REPLACE or IF NOT EXISTS fails if the name exists: atomic.
        if if_not_exists:
            return status(f"{shown(name)} already exists, statement succeeded.")
        if not replace:
            raise exists(shown(name))
        engine.require(session, "OWNERSHIP", siblings[name])
    now = engine.clock.now()
    made: Container
    if kind == "DATABASE":
        made = Database(name, session.role, now)
    else:
        assert database is not None
        made = Schema(name, session.role, now, database)
    made.transient = transient or (database is not None and database.transient)
    made.share = share
    if source is not None:
        cloning.clone_container(engine, session, source, made, point, flags)
    elif isinstance(made, Database) and share is None:
        made.children["PUBLIC"] = public = Schema("PUBLIC", session.role, now, made)
        public.transient = transient
        engine.catalog.touch(public)
    _apply(made, options)
    if name in siblings:
        _discard(engine, siblings, name, database)
    siblings[name] = made
    engine.catalog.touch(made)
    if database is not None:
        engine.catalog.touch(database)
    engine.grants.created(session, made)
    # D (CS): creating a schema makes it the session's current schema (a database likewise).
    if isinstance(made, Schema):
        session.database, session.schema = made.database.name, name
    else:
        session.database, session.schema = name, "PUBLIC" if "PUBLIC" in made.children else None
    return status(f"{kind.capitalize()} {shown(name)} successfully created.")


_FLAGS = ("IGNORE TABLES WITH INSUFFICIENT DATA RETENTION", "IGNORE HYBRID TABLES", "INCLUDE INTERNAL STAGES")
_PARAMS = (
    "DATA_RETENTION_TIME_IN_DAYS",
    "MAX_DATA_EXTENSION_TIME_IN_DAYS",
    "DEFAULT_DDL_COLLATION",
    "LOG_LEVEL",
    "TRACE_LEVEL",
    "CATALOG",
    "EXTERNAL_VOLUME",
    "REPLACE_INVALID_CHARACTERS",
    "STORAGE_SERIALIZATION_POLICY",
    "SUSPEND_TASK_AFTER_NUM_FAILURES",
    "QUOTED_IDENTIFIERS_IGNORE_CASE",
)


def _options(r: Reader, flags: set[str] | None = None) -> dict:
    options: dict = {"params": {}, "tags": {}}
    while not r.done:
        flag = r.one_of(*_FLAGS) if flags is not None else None
        if flag:
            flags.add(flag)  # type: ignore[union-attr]
        elif r.accept("WITH MANAGED ACCESS"):
            options["managed"] = True
        elif r.accept("COMMENT"):
            r.expect("=")
            options["comment"] = r.string()
        elif r.accept("WITH TAG") or r.accept("TAG"):
            options["tags"] |= tags(r.group() if r.sees("(") else r.rest())
        elif param := r.one_of(*_PARAMS):
            r.expect("=")
            options["params"][param] = r.value()
        elif not r.accept(","):
            raise r.unexpected()
    return options


def tags(text: str) -> dict[str, str]:
    inner, found = Reader(text), {}
    while not inner.done:
        name = dotted(*inner.name())
        inner.expect("=")
        found[name] = inner.string()
        inner.accept(",")
    return found


def _apply(container: Container, options: dict) -> None:
    container.managed = options.get("managed", container.managed)
    container.comment = options.get("comment", container.comment)
    container.tags |= options["tags"]
    for name, value in options["params"].items():
        if name == "DATA_RETENTION_TIME_IN_DAYS":
            days = int(value)
            # D (TT): transient containers keep at most a day, permanent ones 90.
            if not 0 <= days <= (1 if container.transient else 90):
                raise compilation(1008, "22023", f"invalid value [{days}] for parameter 'DATA_RETENTION_TIME_IN_DAYS'")
            container.retention = days
        else:
            container.params[name] = value


# -- ALTER
def _alter(engine: Engine, session: Session, r: Reader, kind: str) -> Result:
    if_exists = r.accept("IF EXISTS")
    parts = r.name()
    siblings, database = _siblings(engine, session, kind, parts)
    if parts[-1] not in siblings:
        # D (AS/AD): with IF EXISTS a missing name reports success.
        if if_exists:
            return status()
        raise missing(kind, dotted(*parts))
    one = siblings[parts[-1]]
    engine.require(session, "OWNERSHIP", one)
    if r.accept("SWAP WITH"):
        other_parts = r.name()
        r.end()
        return swap(engine, session, kind, parts, other_parts)
    if r.accept("RENAME TO"):
        return _rename(engine, session, kind, one, siblings, database, r.name())
    if r.accept("ENABLE MANAGED ACCESS"):
        one.managed = True
    elif r.accept("DISABLE MANAGED ACCESS"):
        one.managed = False
    elif r.accept("SET"):
        _apply(one, _options(r))
    elif r.accept("UNSET"):
        _unset(one, r)
    else:
        raise r.unexpected()
    r.end()
    return status()


def _unset(one: Container, r: Reader) -> None:
    while not r.done:
        if r.accept("TAG"):
            while not r.done:
                one.tags.pop(dotted(*r.name()), None)
                r.accept(",")
        elif r.accept("COMMENT"):
            one.comment = ""
        elif r.accept("DATA_RETENTION_TIME_IN_DAYS"):
            one.retention = None
        else:
            one.params.pop(r.next().text.upper(), None)
        r.accept(",")


def swap(engine: Engine, session: Session, kind: str, a_parts: tuple[str, ...], b_parts: tuple[str, ...]) -> Result:
    """D (AS/AD): a rename of both in one operation; everything in and on the objects goes along."""
    a_siblings, a_database = _siblings(engine, session, kind, a_parts)
    b_siblings, b_database = _siblings(engine, session, kind, b_parts)
    a, b = find(engine, session, kind, a_parts), find(engine, session, kind, b_parts)
    engine.require(session, "OWNERSHIP", a)  # D (AS/AD): OWNERSHIP of both
    engine.require(session, "OWNERSHIP", b)
    # U (2): permanent with transient; schemas of two databases.
    if a.transient != b.transient and engine.switches["swap-transient-with-permanent"] == "refused":
        raise compilation(2118, "42601", f"Cannot swap transient and permanent {kind.lower()}s.")
    if a_database is not b_database and engine.switches["swap-schemas-across-databases"] == "refused":
        raise compilation(2118, "42601", "Cannot swap schemas of two databases.")
    a_siblings[a_parts[-1]], b_siblings[b_parts[-1]] = b, a
    a.name, b.name = b_parts[-1], a_parts[-1]
    if isinstance(a, Schema) and isinstance(b, Schema):
        a.database, b.database = b.database, a.database
    _exchange_what_stays(engine, a, b)
    for one in (a, b):
        suspend_materialized_views(engine, one)
        engine.catalog.touch(one)
    for database in (a_database, b_database):
        if database is not None:
            engine.catalog.touch(database)
    return status()


def _exchange_what_stays(engine: Engine, a: Container, b: Container) -> None:
    """I (2): everything travels with the object; the switches keep it at the name instead."""
    if engine.switches["container-metadata"] == "stays":
        for name in Container.METADATA:
            mine, theirs = getattr(a, name), getattr(b, name)
            setattr(a, name, theirs)
            setattr(b, name, mine)
    engine.grants.swapped(a, b)


def suspend_materialized_views(engine: Engine, container: Container) -> None:
    """D (MV): swapping the containing schema or database suspends materialized views."""
    schemas = [container] if isinstance(container, Schema) else list(container.children.values())
    for schema in schemas:
        for name, obj in schema.objects("MATERIALIZED VIEW"):
            reason = f"{container.kind.capitalize()} was swapped; view is suspended"
            engine.catalog.alter(schema, name, obj, props=obj.props | {"invalid": True, "invalid_reason": reason})


def _rename(
    engine: Engine,
    session: Session,
    kind: str,
    one: Container,
    siblings: dict,
    database: Database | None,
    to: tuple[str, ...],
) -> Result:
    others, other_database = _siblings(engine, session, kind, to)
    if to[-1] in others:
        raise exists(shown(to[-1]))
    del siblings[one.name]
    was, one.name = one.name, to[-1]
    others[to[-1]] = one
    if isinstance(one, Schema):
        assert other_database is not None and database is not None
        one.database = other_database
        engine.catalog.touch(database)
        engine.catalog.touch(other_database)
        if (session.database, session.schema) == (database.name, was):
            session.database, session.schema = other_database.name, one.name
    elif session.database == was:
        session.database = one.name
    engine.catalog.touch(one)
    return status()


# -- DROP and UNDROP
def _drop(engine: Engine, session: Session, r: Reader, kind: str) -> Result:
    if_exists = r.accept("IF EXISTS")
    parts = r.name()
    r.one_of("CASCADE", "RESTRICT")
    r.end()
    siblings, database = _siblings(engine, session, kind, parts)
    name = parts[-1]
    if name not in siblings:
        if if_exists:
            return status(f"Drop statement executed successfully ({shown(name)} already dropped).")
        raise missing(kind, dotted(*parts))
    engine.require(session, "OWNERSHIP", siblings[name])
    _discard(engine, siblings, name, database)
    if kind == "DATABASE" and session.database == name:
        session.database = session.schema = None
    elif kind == "SCHEMA" and database is not None and (session.database, session.schema) == (database.name, name):
        session.schema = None
    return status(f"{shown(name)} successfully dropped.")


def _discard(engine: Engine, siblings: dict, name: str, database: Database | None) -> None:
    one = siblings.pop(name)
    bin_ = engine.catalog.dropped if database is None else database.dropped
    bin_.append((engine.clock.now(), name, one))
    if database is not None:
        engine.catalog.touch(database)


def _undrop(engine: Engine, session: Session, r: Reader, kind: str) -> Result | None:
    parts = r.name()
    r.end()
    siblings, database = _siblings(engine, session, kind, parts)
    name = parts[-1]
    # D (TT): UNDROP fails if the name exists.
    if name in siblings:
        raise exists(shown(name))
    bin_ = engine.catalog.dropped if database is None else database.dropped
    for index in range(len(bin_) - 1, -1, -1):
        when, was, one = bin_[index]
        if was != name:
            continue
        days = timetravel.retention(None, one if kind == "SCHEMA" else None, one if database is None else database)
        if (engine.clock.now() - when).total_seconds() > days * 86400:
            raise no_history(kind, name)
        del bin_[index]
        siblings[name] = one
        engine.catalog.touch(one)
        if database is not None:
            engine.catalog.touch(database)
        return status(f"{kind.capitalize()} {shown(name)} successfully restored.")
    raise compilation(2003, "02000", f"{kind.capitalize()} '{dotted(*parts)}' did not exist or was purged.")
