"""Objects that are metadata only: tasks, streams, pipes, stages and so on, roles and warehouses.

They hold what SHOW answers and what a clone or a swap changes; none of them runs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .catalog import Database, Obj, Place, new_id
from .errors import SnowflakeError, compilation, exists, missing
from .session import Result, Session, status
from .tokens import Reader, dotted, shown

if TYPE_CHECKING:
    from .engine import Engine


def make(engine: Engine, session: Session, r: Reader, kind: str, place: Place, base: Obj) -> Obj:
    props: dict[str, Any] = {}
    text = r.sql
    comment = ""
    if kind in ("FUNCTION", "PROCEDURE", "DATA METRIC FUNCTION") and r.sees("("):
        props["arguments"] = r.group()
    if kind == "STREAM":
        props |= _stream(engine, session, r)
    while not r.done:
        if r.accept("COMMENT"):
            r.accept("=")
            comment = r.string()
        elif r.accept("RETURNS"):
            props["returns"] = r.next().text.upper() + (f"({r.group()})" if r.sees("(") else "")
        elif r.sees("AS") and kind != "STREAM":
            r.next()
            props["definition"] = r.rest()
        else:
            word = r.next().text.lower()
            if r.accept("="):
                props[word] = r.value()
            elif word == "after":
                props["predecessors"] = dotted(*r.name())
    if kind in ("TASK", "ALERT"):
        props["state"] = "suspended"  # D: both are created suspended
    elif kind == "PIPE":
        props["auto_ingest"] = str(props.get("auto_ingest", "")).upper() == "TRUE"
        props["state"] = "RUNNING"
        stage = re.search(r"@([\w.\"]+)", props.get("definition", ""))
        if stage:
            found = engine.place(session, Reader(stage[1]).name(), None, "STAGE")
            props["external"] = bool(found.obj and found.obj.props.get("url"))
    elif kind == "SEQUENCE":
        props |= _sequence(engine, text)
    elif kind == "ICEBERG TABLE":
        props["managed"] = str(props.get("catalog", "SNOWFLAKE")).upper() == "SNOWFLAKE"
    return replace(base, id=new_id(), text=text, comment=comment, props=props)


def _stream(engine: Engine, session: Session, r: Reader) -> dict[str, Any]:
    """D (ST): a stream refers to its source by id; D (CL): a qualified name is kept verbatim."""
    r.accept("COPY GRANTS")
    r.expect("ON")
    source_type = r.one_of("EXTERNAL TABLE", "DYNAMIC TABLE", "TABLE", "VIEW", "STAGE", "DIRECTORY")
    parts = r.name()
    source = engine.found(session, parts, "STAGE" if source_type == "STAGE" else "TABLE")
    assert source.obj is not None
    return {
        "source_type": source_type,
        "source_id": source.obj.id,
        "qualified": len(parts) == 3,
        "source_name": source.fqn,
    }


def _sequence(engine: Engine, text: str) -> dict[str, Any]:
    start = re.search(r"\bSTART\s*(?:WITH)?\s*=?\s*(-?\d+)", text, re.I)
    step = re.search(r"\bINCREMENT\s*(?:BY)?\s*=?\s*(-?\d+)", text, re.I)
    first, by = int(start[1]) if start else 1, int(step[1]) if step else 1
    name = engine.store.name("s")
    engine.store.duck.execute(f"CREATE SEQUENCE {name} START {first} INCREMENT {by}")
    return {"sequence": name, "start": first, "interval": by}


def alter(r: Reader, obj: Obj) -> dict[str, Any]:
    props = dict(obj.props)
    if word := r.one_of("RESUME", "SUSPEND"):
        running = {"TASK": "started", "ALERT": "started"}.get(obj.kind, "RUNNING")
        props["state"] = running if word == "RESUME" else "suspended"
        return {"props": props}
    changes: dict[str, Any] = {"props": props}
    r.one_of("SET", "UNSET", "MODIFY", "REFRESH", "ADD", "REMOVE")
    while not r.done:
        word = r.next().text.lower()
        if r.accept("="):
            value = r.value()
            if word == "comment":
                changes["comment"] = value
            elif word == "pipe_execution_paused":
                props["state"] = "PAUSED" if value.upper() == "TRUE" else "RUNNING"
            else:
                props[word] = value
    return changes


def graph(place: Place) -> None:
    """D (/user-guide/tasks-graphs): a task cannot be changed while the root of its graph runs."""
    root, seen = place, {place.name}
    while before := (root.obj.props.get("predecessors") if root.obj else None):
        name = Reader(before).name()[-1]
        if name in seen:
            break
        seen.add(name)
        root = Place(place.schema, name, place.schema.get(name, "TASK"))
    if root is not place and root.obj is not None and root.obj.props["state"] == "started":
        raise SnowflakeError(
            91421, "22000", f"Unable to update graph with root task {root.fqn} since that root task is not suspended."
        )


def stale(engine: Engine, obj: Obj) -> bool:
    """A stream whose source is gone. D (OD/ST): swapping a *view* makes its streams stale."""
    return engine.catalog.by_id(obj.props.get("source_id", 0)) is None or bool(obj.props.get("stale"))


# -- roles, warehouses, users, shares, groups
def account_level(engine: Engine, session: Session, r: Reader, verb: str) -> Result | None:
    kind = r.one_of(
        "DATABASE ROLE",
        "ROLE",
        "WAREHOUSE",
        "USER",
        "SHARE",
        "REPLICATION GROUP",
        "FAILOVER GROUP",
        "RESOURCE MONITOR",
        "NETWORK POLICY",
    )
    if kind is None:
        return None
    lenient = r.accept("IF NOT EXISTS") or r.accept("IF EXISTS")
    parts = r.name()
    if kind == "DATABASE ROLE":
        return _database_role(engine, session, verb, parts, lenient)
    names: Any = {
        "ROLE": engine.catalog.roles,
        "WAREHOUSE": engine.catalog.warehouses,
        "SHARE": engine.catalog.shares,
    }.get(kind)
    if kind in ("REPLICATION GROUP", "FAILOVER GROUP"):
        if verb == "CREATE":
            listed = re.search(r"ALLOWED_DATABASES\s*=\s*([\w,\s\"]+?)(?:ALLOWED|IGNORE|$)", r.rest(), re.I)
            databases = [d.strip().strip('"') for d in listed[1].split(",")] if listed else []
            engine.catalog.groups.append(
                {"name": parts[0], "type": kind.split()[0], "databases": [d.upper() for d in databases]}
            )
        elif verb == "DROP":
            engine.catalog.groups = [g for g in engine.catalog.groups if g["name"] != parts[0]]
        return status()
    if names is None:
        return status()
    name = parts[-1]
    if verb == "CREATE":
        engine.require(session, f"CREATE {kind}", "ACCOUNT")
        if name in names:
            if lenient:
                return status(f"{shown(name)} already exists, statement succeeded.")
            raise exists(shown(name))
        if isinstance(names, set):
            names.add(name)
        else:
            names[name] = {"created_on": engine.clock.now(), "owner": session.role}
        return status(f"{kind.capitalize()} {shown(name)} successfully created.")
    if name not in names:
        if lenient:
            return status()
        raise missing(kind, name)
    if verb == "DROP":
        if isinstance(names, set):
            names.discard(name)
        else:
            del names[name]
        engine.grants.forget(kind, name)
        if kind == "ROLE":
            _inherit(engine, name, session.role)
        return status(f"{shown(name)} successfully dropped.")
    return status()


def _inherit(engine: Engine, gone: str, heir: str) -> None:
    """D (/sql-reference/sql/drop-role): what a dropped role owned goes to the role that drops it."""
    for database in engine.catalog.databases.values():
        for container in (database, *database.children.values()):
            container.owner = heir if container.owner == gone else container.owner
        for schema in database.children.values():
            for name, obj in schema.objects():
                if obj.owner == gone:
                    engine.catalog.put(schema, name, replace(obj, owner=heir))


def _database_role(engine: Engine, session: Session, verb: str, parts: tuple[str, ...], lenient: bool) -> Result:
    if len(parts) == 1:
        if session.database is None:
            raise compilation(90105, "22000", "This session does not have a current database.")
        parts = (session.database, parts[0])
    database: Database = engine.catalog.database(parts[0])
    if verb == "CREATE":
        if parts[1] in database.roles and not lenient:
            raise exists(dotted(*parts))
        database.roles.setdefault(parts[1], new_id())
    elif parts[1] not in database.roles:
        if not lenient:
            raise missing("Database role", dotted(*parts))
    elif verb == "DROP":
        engine.grants.forget("DATABASE_ROLE", database.roles.pop(parts[1]))
    return status()
