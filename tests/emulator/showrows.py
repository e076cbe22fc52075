"""The rows of each SHOW, before LIKE and paging."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import records, timetravel
from .catalog import Container, Database, Obj, Place, Schema
from .objects import KINDS, plural
from .session import Session

if TYPE_CHECKING:
    from .engine import Engine

PLURALS = {plural(kind): kind for kind in KINDS}


def schemas(engine: Engine, session: Session, scope: Any) -> list[Schema]:
    found = (
        [scope]
        if isinstance(scope, Schema)
        else sorted(
            (scope.children.values() if isinstance(scope, Database) else engine.catalog.schemas()),
            key=lambda s: (s.database.name, s.name),
        )
    )
    return [s for s in found if engine.grants.allows(session.role, "USAGE", s)]


def rows_of(engine: Engine, session: Session, what: str, scope: Any, history: bool) -> list[dict]:
    special: dict[str, Callable[[], list[dict]]] = {
        "DATABASES": lambda: _databases(engine, session, history),
        "SCHEMAS": lambda: _schema_rows(engine, session, scope, history),
        "PARAMETERS": lambda: _parameters(session, scope),
        "WAREHOUSES": lambda: [
            {
                "name": w,
                "state": "STARTED",
                "type": "STANDARD",
                "size": "X-Small",
                "is_current": "Y" if w == session.warehouse else "N",
            }
            for w in sorted(engine.catalog.warehouses)
        ],
        "ROLES": lambda: [
            {"name": n, "is_current": "Y" if n == session.role else "N"} for n in sorted(engine.catalog.roles)
        ],
        "USERS": lambda: [{"name": session.user}],
        "SHARES": lambda: [
            {
                "name": n,
                "kind": "OUTBOUND",
                "owner": s["owner"],
                "created_on": s["created_on"],
                "database_name": _shared(engine, n),
            }
            for n, s in sorted(engine.catalog.shares.items())
        ],
        "REPLICATION GROUPS": lambda: _groups(engine, "REPLICATION"),
        "FAILOVER GROUPS": lambda: _groups(engine, "FAILOVER"),
        "DATABASE ROLES": lambda: (
            [{"name": n, "database_name": scope.name} for n in sorted(scope.roles)]
            if isinstance(scope, Database)
            else []
        ),
        "COLUMNS": lambda: _columns(scope),
    }
    if what in special:
        return special[what]()
    if what == "OBJECTS":
        kinds: tuple[str, ...] = (
            "TABLE",
            "VIEW",
            "MATERIALIZED VIEW",
            "DYNAMIC TABLE",
            "EXTERNAL TABLE",
            "ICEBERG TABLE",
            "HYBRID TABLE",
            "EVENT TABLE",
        )
    elif what == "TABLES":
        kinds = ("TABLE", "DYNAMIC TABLE", "EXTERNAL TABLE", "ICEBERG TABLE", "HYBRID TABLE", "EVENT TABLE")
    elif what == "VIEWS":
        kinds = ("VIEW", "MATERIALIZED VIEW")
    elif what in PLURALS:
        kinds = (PLURALS[what],)
    else:
        return []
    rows = []
    for schema in schemas(engine, session, scope):
        found = schema.objects(*kinds)
        found += [(n, o) for (i, n), o in session.temporary.items() if i == schema.id and o.kind in kinds]
        rows += [
            _row(engine, session, Place(schema, n, o))
            for n, o in sorted(found, key=lambda x: x[0])
            if visible(engine, session, Place(schema, n, o))
        ]
    if what == "OBJECTS":  # dbt reads it so: a transient table is a TABLE here, and TRANSIENT in SHOW TABLES
        rows = [row | {"kind": "TABLE" if row["kind"] in ("TRANSIENT", "TEMPORARY") else row["kind"]} for row in rows]
    return rows


def visible(engine: Engine, session: Session, place: Place) -> bool:
    """D (5, SG): what the role has no privilege on is not shown."""
    return engine.grants.allows(session.role, "SELECT" if place.obj and place.obj.relation else "USAGE", place)


def _container_row(engine: Engine, session: Session, one: Container) -> dict:
    options = (["TRANSIENT"] if one.transient else []) + (["MANAGED ACCESS"] if one.managed else [])
    database = one if isinstance(one, Database) else one.database  # type: ignore[attr-defined]
    current = (
        one.name == (session.database if isinstance(one, Database) else session.schema)
        and database.name == session.database
    )
    return {
        "created_on": one.created_on,
        "name": one.name,
        "is_default": "N",
        "is_current": "Y" if current else "N",
        "database_name": database.name,
        "owner": one.owner,
        "comment": one.comment,
        "options": ", ".join(options),
        "retention_time": str(timetravel.retention(None, one if isinstance(one, Schema) else None, database)),
        "owner_role_type": "ROLE",
        "kind": None if isinstance(one, Schema) else "IMPORTED DATABASE" if one.share else "STANDARD",
        "origin": one.share or "",
    }


def _databases(engine: Engine, session: Session, history: bool) -> list[dict]:
    rows = [
        _container_row(engine, session, d)
        for _, d in sorted(engine.catalog.databases.items())
        if engine.grants.allows(session.role, "USAGE", d)
    ]
    return rows + (_dropped(engine, session, engine.catalog.dropped) if history else [])


def _dropped(engine: Engine, session: Session, dropped: list) -> list[dict]:
    """D (SHOW DATABASES): "dropped databases that have not yet been purged", a row for each version."""
    rows = [_container_row(engine, session, one) | {"dropped_on": when, "name": name} for when, name, one in dropped]
    now = engine.clock.now()
    return [row for row in rows if (now - row["dropped_on"]).total_seconds() <= int(row["retention_time"]) * 86400]


def _schema_rows(engine: Engine, session: Session, scope: Any, history: bool) -> list[dict]:
    rows = [_container_row(engine, session, s) for s in schemas(engine, session, scope)]
    databases = [scope] if isinstance(scope, Database) else list(engine.catalog.databases.values())
    for database in databases:
        rows.append(
            {
                "created_on": database.created_on,
                "name": "INFORMATION_SCHEMA",
                "is_default": "N",
                "is_current": "N",
                "database_name": database.name,
                "owner": "",
                "comment": "Views describing the contents of schemas in this database",
                "options": "",
                "retention_time": "1",
                "kind": None,
                "owner_role_type": "",
            }
        )
        if history:
            rows += _dropped(engine, session, database.dropped)
    return sorted(rows, key=lambda row: (row["database_name"], row["name"]))


_SESSION = {
    "QUERY_TAG": "",
    "TIMEZONE": "UTC",
    "STATEMENT_TIMEOUT_IN_SECONDS": "172800",
    "LOCK_TIMEOUT": "43200",
    "AUTOCOMMIT": "true",
}


_CONTAINER = {
    "DATA_RETENTION_TIME_IN_DAYS": "1",
    "MAX_DATA_EXTENSION_TIME_IN_DAYS": "14",
    "DEFAULT_DDL_COLLATION": "",
    "LOG_LEVEL": "OFF",
    "TRACE_LEVEL": "OFF",
}


def _parameters(session: Session, scope: Any) -> list[dict]:
    """``level`` names where a parameter was set; empty is the default."""
    if isinstance(scope, Place):
        scope = scope.schema
    chain: list[tuple[str, dict]] = []
    if isinstance(scope, Container):
        above = [scope] if isinstance(scope, Database) else [scope.database, scope]  # type: ignore[attr-defined]
        for one in above:
            own = dict(one.params) | (
                {} if one.retention is None else {"DATA_RETENTION_TIME_IN_DAYS": str(one.retention)}
            )
            chain.append((one.kind, own))
        defaults = dict(_CONTAINER)
    else:
        defaults, chain = dict(_SESSION), [("SESSION", session.params)]
    rows = {
        k: {"key": k, "name": k, "value": v, "default": v, "level": "", "type": "STRING"} for k, v in defaults.items()
    }
    for level, values in chain:
        for key, value in values.items():
            rows[key] = rows.get(key, {"key": key, "name": key, "default": "", "type": "STRING"}) | {
                "value": str(value),
                "level": level,
            }
    for row in rows.values():
        value = str(row["value"]).lower()
        row["type"] = "NUMBER" if value.isdigit() else "BOOLEAN" if value in ("true", "false") else "STRING"
    return [rows[k] for k in sorted(rows)]


def _shared(engine: Engine, share: str) -> str:
    for grant in engine.grants.list.values():
        if grant.to_kind == "SHARE" and grant.to == share and grant.on_kind == "DATABASE":
            return engine.grants.target_name(grant)
    return ""


def _groups(engine: Engine, kind: str) -> list[dict]:
    return [
        {
            "name": g["name"],
            "type": kind,
            "allowed_databases": ", ".join(g["databases"]),
            "object_types": "DATABASES",
            "is_primary": "true",
        }
        for g in engine.catalog.groups
        if g["type"] == kind
    ]


def _columns(scope: Any) -> list[dict]:
    if not isinstance(scope, Place) or scope.obj is None:
        return []
    return [
        {
            "table_name": scope.name,
            "schema_name": scope.schema.name,
            "database_name": scope.schema.database.name,
            "name": c.name,
            "column_name": c.name,
            "data_type": c.type,
            "null?": str(c.nullable).lower(),
            "kind": "COLUMN",
            "comment": c.comment,
        }
        for c in scope.obj.columns
    ]


def _row(engine: Engine, session: Session, place: Place) -> dict:
    obj, schema = place.obj, place.schema
    assert obj is not None
    kind = obj.kind
    yes = lambda flag: "Y" if flag else "N"  # noqa: E731
    rows = engine.store.count(engine.data_of(session, obj)) if obj.data is not None else None
    shown_kind = "TABLE" if kind not in ("VIEW", "MATERIALIZED VIEW") else kind.replace(" ", "_")
    if kind == "TABLE":
        shown_kind = "TEMPORARY" if obj.props.get("temporary") else "TRANSIENT" if obj.transient else "TABLE"
    # D (5): the text of a secure view is for its owner.
    text = obj.text if not obj.secure or obj.owner in engine.grants.roles_of(session.role) else ""
    return (
        {k: str(v) for k, v in obj.props.items() if isinstance(v, (str, bool, int)) and k not in ("invalid", "how")}
        | {
            "created_on": obj.created_on,
            "name": place.name,
            "database_name": schema.database.name,
            "catalog_name": schema.database.name,
            "schema_name": schema.name,
            "kind": shown_kind,
            "comment": obj.comment,
            "cluster_by": obj.props.get("cluster_by", ""),
            "rows": rows,
            "bytes": None if rows is None else rows * 1024,
            "owner": obj.owner,
            "retention_time": str(timetravel.retention(obj, schema, schema.database)) if obj.data is not None else "",
            "automatic_clustering": obj.props.get(
                "automatic_clustering", "ON" if obj.props.get("cluster_by") else "OFF"
            ),
            "change_tracking": "OFF",
            "is_external": yes(kind == "EXTERNAL TABLE"),
            "is_hybrid": yes(kind == "HYBRID TABLE"),
            "is_iceberg": yes(kind == "ICEBERG TABLE"),
            "is_dynamic": yes(kind == "DYNAMIC TABLE"),
            "is_event": yes(kind == "EVENT TABLE"),
            "is_immutable": "N",
            "is_interactive": "N",
            "enable_schema_evolution": "N",
            "owner_role_type": "ROLE",
            "text": text,
            "is_secure": str(obj.secure).lower(),
            "is_materialized": str(kind == "MATERIALIZED VIEW").lower(),
            "state": obj.props.get("state", ""),
            "invalid": str(bool(obj.props.get("invalid"))).lower(),
            "invalid_reason": obj.props.get("invalid_reason", ""),
            "definition": obj.props.get("definition", ""),
            "id": f"01{obj.id:030x}",
        }
        | (_stream(engine, obj) if kind == "STREAM" else {})
        | (_routine(place.name, obj) if kind in ("FUNCTION", "PROCEDURE") else {})
        | (_sequence(engine, obj) if kind == "SEQUENCE" else {})
        | ({"type": "EXTERNAL" if obj.props.get("url") else "INTERNAL"} if kind == "STAGE" else {})
    )


def _stream(engine: Engine, obj: Obj) -> dict:
    source = engine.catalog.by_id(obj.props["source_id"])
    name = source.fqn if source is not None else obj.props["source_name"]
    return {
        "table_name": name,
        "base_tables": name,
        "source_type": obj.props["source_type"].capitalize(),
        "type": "DELTA",
        "mode": "DEFAULT",
        "stale": str(records.stale(engine, obj)).lower(),
    }


def _routine(name: str, obj: Obj) -> dict:
    """D (/sql-reference/sql/show-user-functions): the types alone, and what is returned."""
    arguments = [a.split()[-1].upper() for a in str(obj.props.get("arguments", "")).split(",") if a.strip()]
    return {"arguments": f"{name}({', '.join(arguments)}) RETURN {obj.props.get('returns', 'VARCHAR')}", "is_builtin": "N"}


def _sequence(engine: Engine, obj: Obj) -> dict:
    last = engine.store.duck.execute(
        "SELECT last_value FROM duckdb_sequences() WHERE sequence_name = ?", [obj.props["sequence"]]
    ).fetchall()[0][0]
    return {
        "next_value": str(obj.props["start"] if last is None else last + obj.props["interval"]),
        "interval": str(obj.props["interval"]),
        "ordered": "N",
    }
