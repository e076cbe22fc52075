"""CREATE ... CLONE of a database or schema: what comes along, what is left out, what changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import timetravel
from .catalog import Container, Database, Obj, Place, Schema, new_id
from .errors import SnowflakeError, compilation
from .session import Session
from .timetravel import Point

if TYPE_CHECKING:
    from .engine import Engine

# D (CL): left out without a word.
_NEVER = ("EXTERNAL TABLE", "EVENT TABLE", "BACKUP SET", "STORAGE LIFECYCLE POLICY")


def clone_container(
    engine: Engine, session: Session, source: Container, made: Container, point: Point | None, flags: set[str]
) -> None:
    """Fill ``made`` from ``source``. Ids map old to new, for references inside the clone."""
    if source.share is not None:
        raise compilation(2, "0A000", "Cannot clone a database created from a share.")
    # I (1): a transient container needs CREATE TRANSIENT ... CLONE, for D (TMP) a transient table
    # cannot be cloned to a permanent one.
    if source.transient and not made.transient:
        if engine.switches["transient-clone"] == "refused":
            raise compilation(
                2119,
                "42601",
                f"Transient object cannot be cloned to a permanent object. ({source.kind.lower()} {source.name})",
            )
        made.transient = True
    made.clone_of = source.id
    made.tags = dict(source.tags)  # D (OC)
    made.params = dict(source.params)
    # U (1): whether a plain clone keeps the managed-access flag.
    made.managed = source.managed and engine.switches["managed-access-kept"] == "yes"
    made.comment = source.comment if engine.switches["clone-comment"] == "kept" else ""
    made.retention = source.retention if engine.switches["clone-retention"] == "kept" else None
    ids: dict[int, int] = {source.id: made.id}
    if isinstance(source, Database) and isinstance(made, Database):
        state = timetravel.container_at(engine, source, point, source.name) if point else dict(source.children)
        for name, schema in state.items():
            if not engine.grants.allows(session.role, "USAGE", schema):
                continue  # D (CL): only what the role has privileges on
            inner = Schema(name, _owner(engine, session, schema), made.created_on, made)
            inner.transient, inner.managed, inner.comment = (
                schema.transient or made.transient,
                schema.managed,
                schema.comment,
            )
            inner.retention, inner.tags, inner.params, inner.clone_of = (
                schema.retention,
                dict(schema.tags),
                dict(schema.params),
                schema.id,
            )
            ids[schema.id] = inner.id
            made.children[name] = inner
            _clone_schema(engine, session, schema, inner, point, flags, ids, database_level=True)
            engine.catalog.touch(inner)
        # D (OC): database roles are cloned with databases only.
        for role, identity in source.roles.items():
            made.roles[role] = ids[identity] = new_id()
    elif isinstance(source, Schema) and isinstance(made, Schema):
        if point:  # D (CL): 000707 before the schema was created, and past its retention
            timetravel.container_at(engine, source, point, source.name)
        _clone_schema(engine, session, source, made, point, flags, ids, database_level=False)
    _remap(made, ids)
    # D (OC/AC): the container's own grants are not copied, the children's are, future grants are.
    engine.grants.cloned(ids, source.id)


def _owner(engine: Engine, session: Session, one: Container | Obj) -> str:
    return one.owner if engine.switches["clone-owner"] == "kept" else session.role


def _clone_schema(
    engine: Engine,
    session: Session,
    source: Schema,
    made: Schema,
    point: Point | None,
    flags: set[str],
    ids: dict[int, int],
    database_level: bool,
) -> None:
    state = _state(engine, source, point, made) if point else dict(source.children)
    for (where, name), obj in state.items():
        place = Place(source, name, obj)
        clone = _clone_object(engine, session, place, obj, made, point, flags, database_level)
        if clone is not None:
            ids[obj.id] = clone.id
            made.children[(where, name)] = clone


def _state(engine: Engine, source: Schema, point: Point, made: Schema) -> dict:
    state = dict(point.of(source) or {})
    for key, obj in list(state.items()):
        if obj.kind == "VIEW":
            now = source.children.get(key)
            # D (CL): dropped views cannot be restored.
            if now is None or now.kind != "VIEW":
                del state[key]
            # U (1): which definition of a replaced view a Time Travel clone holds.
            elif engine.switches["at-clone-view"] == "now":
                state[key] = now
        # D (CL): tasks and alerts are left out of CREATE SCHEMA ... AT(TIMESTAMP).
        elif obj.kind in ("TASK", "ALERT") and point.by_timestamp:
            del state[key]
    return state


def _clone_object(
    engine: Engine,
    session: Session,
    place: Place,
    obj: Obj,
    made: Schema,
    point: Point | None,
    flags: set[str],
    database_level: bool,
) -> Obj | None:
    kind, props = obj.kind, dict(obj.props)
    if kind in _NEVER or (kind == "ICEBERG TABLE" and not props.get("managed", True)):
        return None
    # D (CL): SELECT on tables, OWNERSHIP on alerts, pipes, streams and tasks, USAGE on others;
    # what the role lacks is left out and nothing says so.
    needed = {
        "TABLE": "SELECT",
        "ALERT": "OWNERSHIP",
        "PIPE": "OWNERSHIP",
        "STREAM": "OWNERSHIP",
        "TASK": "OWNERSHIP",
    }.get(kind, "SELECT" if obj.relation else "USAGE")
    if not engine.grants.allows(session.role, needed, place):
        return None
    if kind == "HYBRID TABLE" and not database_level:
        if "IGNORE HYBRID TABLES" in flags or engine.switches["hybrid-in-schema-clone"] == "skip":
            return None
        raise compilation(391411, "0A000", f"Hybrid table '{place.name}' cannot be cloned as part of a schema.")
    if kind == "HYBRID TABLE" and "IGNORE HYBRID TABLES" in flags:
        return None
    if point is not None and obj.data is not None:
        try:
            days = timetravel.retention(obj, place.schema, place.schema.database)
            timetravel.check_age(engine, point, kind, place.name, days)
        except SnowflakeError:
            # D (OC): one expired child fails the whole clone, unless told to ignore it.
            if "IGNORE TABLES WITH INSUFFICIENT DATA RETENTION" in flags:
                return None
            raise
    if kind == "STAGE" and not props.get("url") and "INCLUDE INTERNAL STAGES" not in flags:
        return None
    if kind == "PIPE":
        if not props.get("external"):
            return None  # D (CL): pipes on internal stages
        props["state"] = "STOPPED_CLONED" if props.get("auto_ingest") else "PAUSED"
    elif kind in ("TASK", "ALERT"):
        props["state"] = "suspended"  # D (CL)
    elif kind == "DYNAMIC TABLE":
        props |= {"scheduling_state": "SUSPENDED", "is_clone": True}  # D (CL/DT)
    elif kind == "SEQUENCE":
        props["sequence"] = copy_sequence(engine, props)
    if props.get("cluster_by"):
        props["automatic_clustering"] = "OFF"  # D (CL): starts suspended
    props.pop("data_metric_functions", None)
    return replace(
        obj,
        id=new_id(),
        created_on=made.created_on,
        owner=_owner(engine, session, obj),
        transient=obj.transient or (made.transient and obj.data is not None),
        last_altered=made.created_on,
        last_ddl=made.created_on,
        clone_of=obj.id,
        props=props,
    )


def copy_sequence(engine: Engine, props: dict) -> str:
    name = engine.store.name("s")
    last = engine.store.duck.execute(
        "SELECT last_value FROM duckdb_sequences() WHERE sequence_name = ?", [props["sequence"]]
    ).fetchall()[0][0]
    step = props["interval"]
    start = props["start"] if last is None else last + step
    engine.store.duck.execute(f"CREATE SEQUENCE {name} START {start} INCREMENT {step}")
    return name


def _remap(made: Container, ids: dict[int, int]) -> None:
    """D (OC): references by id point at the cloned object when both ends were cloned.

    D (CL): a name that was written out in full stays as written, so such a stream keeps its source.
    """
    for schema in [made] if isinstance(made, Schema) else made.children.values():
        for key, obj in list(schema.children.items()):
            source = obj.props.get("source_id")
            if source in ids and not obj.props.get("qualified"):
                schema.children[key] = replace(obj, props=obj.props | {"source_id": ids[source]})
