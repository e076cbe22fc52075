"""INFORMATION_SCHEMA, and the empty shells of SNOWFLAKE.ACCOUNT_USAGE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import timetravel
from .catalog import Database, Obj, Schema
from .containers import find
from .errors import missing
from .session import Result, Session, table
from .tokens import Reader, dotted

if TYPE_CHECKING:
    from .engine import Engine

_T = "timestamp_ltz"
TYPES = {
    "CREATED": _T,
    "LAST_ALTERED": _T,
    "LAST_DDL": _T,
    "ROW_COUNT": "fixed",
    "BYTES": "fixed",
    "RETENTION_TIME": "fixed",
    "ORDINAL_POSITION": "fixed",
    "CHARACTER_MAXIMUM_LENGTH": "fixed",
    "NUMERIC_PRECISION": "fixed",
    "NUMERIC_SCALE": "fixed",
}
TABLES = (
    "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_OWNER TABLE_TYPE IS_TRANSIENT CLUSTERING_KEY ROW_COUNT BYTES RETENTION_TIME "
    "CREATED LAST_ALTERED LAST_DDL LAST_DDL_BY AUTO_CLUSTERING_ON COMMENT IS_TEMPORARY IS_ICEBERG IS_DYNAMIC IS_IMMUTABLE IS_HYBRID"
)
VIEWS = "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_OWNER VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE IS_SECURE CREATED LAST_ALTERED LAST_DDL LAST_DDL_BY COMMENT"
COLUMNS = (
    "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION COLUMN_DEFAULT IS_NULLABLE DATA_TYPE "
    "CHARACTER_MAXIMUM_LENGTH NUMERIC_PRECISION NUMERIC_SCALE COMMENT"
)
SCHEMATA = (
    "CATALOG_NAME SCHEMA_NAME SCHEMA_OWNER IS_TRANSIENT IS_MANAGED_ACCESS RETENTION_TIME CREATED LAST_ALTERED COMMENT"
)
DATABASES = "DATABASE_NAME DATABASE_OWNER IS_TRANSIENT COMMENT CREATED LAST_ALTERED RETENTION_TIME TYPE"
PRIVILEGES = "GRANTOR GRANTEE GRANTED_TO OBJECT_CATALOG OBJECT_SCHEMA OBJECT_NAME OBJECT_TYPE PRIVILEGE_TYPE IS_GRANTABLE CREATED"
TABLE_PRIVILEGES = "GRANTOR GRANTEE GRANTED_TO TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE IS_GRANTABLE WITH_HIERARCHY CREATED"
_RECORDS = {
    "SEQUENCES": "SEQUENCE",
    "STAGES": "STAGE",
    "PIPES": "PIPE",
    "FUNCTIONS": "FUNCTION",
    "PROCEDURES": "PROCEDURE",
    "FILE_FORMATS": "FILE FORMAT",
}


def view(engine: Engine, session: Session, database: Database, name: str) -> Result:
    """Information Schema shows less than SHOW: only what the role may read (facts, 5)."""
    engine.require(session, "USAGE", database)
    if name == "TABLES":
        rows = [_table(engine, session, s, n, o) for s, n, o in _relations(engine, session, database)] + _own_views(
            database
        )
        return table(TABLES, rows, TYPES)
    if name == "VIEWS":
        return table(
            VIEWS,
            [_view(session, engine, s, n, o) for s, n, o in _relations(engine, session, database) if o.kind == "VIEW"],
            TYPES,
        )
    if name == "COLUMNS":
        return table(
            COLUMNS, [row for s, n, o in _relations(engine, session, database) for row in _columns(s, n, o)], TYPES
        )
    if name == "SCHEMATA":
        return table(
            SCHEMATA,
            [_schema(database, s) for s in _visible(engine, session, database)]
            + [{"CATALOG_NAME": database.name, "SCHEMA_NAME": "INFORMATION_SCHEMA"}],
            TYPES,
        )
    if name == "DATABASES":
        rows = [
            {
                "DATABASE_NAME": d.name,
                "DATABASE_OWNER": d.owner,
                "IS_TRANSIENT": _yes(d.transient),
                "COMMENT": d.comment,
                "CREATED": d.created_on,
                "RETENTION_TIME": timetravel.retention(None, None, d),
                "TYPE": "STANDARD",
            }
            for d in engine.catalog.databases.values()
        ]
        return table(DATABASES, rows, TYPES)
    if name in ("OBJECT_PRIVILEGES", "TABLE_PRIVILEGES", "USAGE_PRIVILEGES"):
        return _privileges(engine, session, database, name)
    if name in _RECORDS:
        prefix = _RECORDS[name].replace(" ", "_")
        names = f"{prefix}_CATALOG {prefix}_SCHEMA {prefix}_NAME {prefix}_OWNER COMMENT CREATED LAST_ALTERED"
        rows = [
            {
                f"{prefix}_CATALOG": database.name,
                f"{prefix}_SCHEMA": s.name,
                f"{prefix}_NAME": n,
                f"{prefix}_OWNER": o.owner,
                "COMMENT": o.comment,
                "CREATED": o.created_on,
                "LAST_ALTERED": o.last_altered,
            }
            for s in _visible(engine, session, database)
            for n, o in s.objects(_RECORDS[name])
        ]
        return table(names, rows, TYPES)
    raise missing("Object", dotted(database.name, "INFORMATION_SCHEMA", name))


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"


def _visible(engine: Engine, session: Session, database: Database) -> list[Schema]:
    return [s for _, s in sorted(database.children.items()) if engine.grants.allows(session.role, "USAGE", s)]


def _relations(engine: Engine, session: Session, database: Database) -> list[tuple[Schema, str, Obj]]:
    from .catalog import Place

    found = []
    for schema in _visible(engine, session, database):
        every = schema.objects() + [(n, o) for (i, n), o in session.temporary.items() if i == schema.id]
        found += [
            (schema, n, o)
            for n, o in every
            if o.relation and engine.grants.allows(session.role, "SELECT", Place(schema, n, o))
        ]
    return found


def _table(engine: Engine, session: Session, schema: Schema, name: str, obj: Obj) -> dict:
    rows = engine.store.count(engine.data_of(session, obj)) if obj.data is not None else None
    kind = {
        "VIEW": "VIEW",
        "MATERIALIZED VIEW": "MATERIALIZED VIEW",
        "EXTERNAL TABLE": "EXTERNAL TABLE",
        "EVENT TABLE": "EVENT TABLE",
    }.get(obj.kind, "BASE TABLE")
    if obj.props.get("temporary") and kind == "BASE TABLE":
        kind = "LOCAL TEMPORARY"
    return {
        "TABLE_CATALOG": schema.database.name,
        "TABLE_SCHEMA": schema.name,
        "TABLE_NAME": name,
        "TABLE_OWNER": obj.owner,
        "TABLE_TYPE": kind,
        "IS_TRANSIENT": _yes(obj.transient) if obj.data else None,
        "CLUSTERING_KEY": obj.props.get("cluster_by"),
        "ROW_COUNT": rows,
        "BYTES": None if rows is None else rows * 1024,
        "RETENTION_TIME": timetravel.retention(obj, schema, schema.database) if obj.data else None,
        # D (IT): LAST_ALTERED also moves with DML, LAST_DDL with definitions only.
        "CREATED": obj.created_on,
        "LAST_ALTERED": obj.last_altered,
        "LAST_DDL": obj.last_ddl,
        "LAST_DDL_BY": session.user,
        "AUTO_CLUSTERING_ON": "NO",
        "COMMENT": obj.comment or None,
        "IS_TEMPORARY": _yes(bool(obj.props.get("temporary"))),
        "IS_ICEBERG": _yes(obj.kind == "ICEBERG TABLE"),
        "IS_DYNAMIC": _yes(obj.kind == "DYNAMIC TABLE"),
        "IS_IMMUTABLE": "NO",
        "IS_HYBRID": _yes(obj.kind == "HYBRID TABLE"),
    }


def _own_views(database: Database) -> list[dict]:
    """The views of INFORMATION_SCHEMA list themselves."""
    return [
        {"TABLE_CATALOG": database.name, "TABLE_SCHEMA": "INFORMATION_SCHEMA", "TABLE_NAME": n, "TABLE_TYPE": "VIEW"}
        for n in ("COLUMNS", "SCHEMATA", "TABLES", "VIEWS")
    ]


def _view(session: Session, engine: Engine, schema: Schema, name: str, obj: Obj) -> dict:
    owned = not obj.secure or obj.owner in engine.grants.roles_of(session.role)
    return {
        "TABLE_CATALOG": schema.database.name,
        "TABLE_SCHEMA": schema.name,
        "TABLE_NAME": name,
        "TABLE_OWNER": obj.owner,
        "VIEW_DEFINITION": obj.text if owned else None,
        "CHECK_OPTION": "NONE",
        "IS_UPDATABLE": "NO",
        "IS_SECURE": _yes(obj.secure),
        "CREATED": obj.created_on,
        "LAST_ALTERED": obj.last_altered,
        "LAST_DDL": obj.last_ddl,
        "COMMENT": obj.comment or None,
    }


def _columns(schema: Schema, name: str, obj: Obj) -> list[dict]:
    rows = []
    for position, column in enumerate(obj.columns, 1):
        kind, _, size = column.type.partition("(")
        sizes = (
            [int(n) for n in size.rstrip(")").split(",")]
            if size and size.rstrip(")").replace(",", "").isdigit()
            else []
        )
        rows.append(
            {
                "TABLE_CATALOG": schema.database.name,
                "TABLE_SCHEMA": schema.name,
                "TABLE_NAME": name,
                "COLUMN_NAME": column.name,
                "ORDINAL_POSITION": position,
                "COLUMN_DEFAULT": column.default,
                "IS_NULLABLE": _yes(column.nullable),
                "DATA_TYPE": "TEXT" if kind == "VARCHAR" else kind,
                "CHARACTER_MAXIMUM_LENGTH": sizes[0] if kind == "VARCHAR" and sizes else None,
                "NUMERIC_PRECISION": sizes[0] if kind == "NUMBER" else None,
                "NUMERIC_SCALE": sizes[1] if kind == "NUMBER" else None,
                "COMMENT": column.comment or None,
            }
        )
    return rows


def _schema(database: Database, schema: Schema) -> dict:
    return {
        "CATALOG_NAME": database.name,
        "SCHEMA_NAME": schema.name,
        "SCHEMA_OWNER": schema.owner,
        "IS_TRANSIENT": _yes(schema.transient),
        "IS_MANAGED_ACCESS": _yes(schema.managed),
        "RETENTION_TIME": timetravel.retention(None, schema, database),
        "CREATED": schema.created_on,
        "LAST_ALTERED": schema.created_on,
        "COMMENT": schema.comment or None,
    }


def _privileges(engine: Engine, session: Session, database: Database, name: str) -> Result:
    """One answer for every object of a database; OWNERSHIP rows too."""
    places: dict[int, tuple[str, str | None, str, str]] = {
        database.id: ("DATABASE", None, database.name, database.owner)
    }
    for schema in _visible(engine, session, database):
        places[schema.id] = ("SCHEMA", schema.name, schema.name, schema.owner)
        for n, o in schema.objects():
            places[o.id] = (o.kind, schema.name, n, o.owner)
    rows = []
    for identity, (kind, schema_name, n, owner) in places.items():
        if name == "TABLE_PRIVILEGES" and kind not in (
            "TABLE",
            "VIEW",
            "MATERIALIZED VIEW",
            "DYNAMIC TABLE",
            "EXTERNAL TABLE",
        ):
            continue
        place = {
            "OBJECT_CATALOG": database.name,
            "OBJECT_SCHEMA": schema_name,
            "OBJECT_NAME": n,
            "OBJECT_TYPE": kind,
            "TABLE_CATALOG": database.name,
            "TABLE_SCHEMA": schema_name,
            "TABLE_NAME": n,
            "WITH_HIERARCHY": "NO",
        }
        rows.append(
            place
            | {
                "GRANTOR": owner,
                "GRANTEE": owner,
                "GRANTED_TO": "ROLE",
                "PRIVILEGE_TYPE": "OWNERSHIP",
                "IS_GRANTABLE": "YES",
            }
        )
    own = engine.grants.roles_of(session.role)
    for grant in engine.grants.list.values():
        if engine.switches["object-privileges"] == "own-roles" and grant.to not in own:
            continue
        if grant.style == "object" and grant.on_id in places:
            kind, schema_name, n, _ = places[grant.on_id]
            if name == "TABLE_PRIVILEGES" and kind in ("DATABASE", "SCHEMA"):
                continue
            rows.append(
                {
                    "OBJECT_CATALOG": database.name,
                    "OBJECT_SCHEMA": schema_name,
                    "OBJECT_NAME": n,
                    "OBJECT_TYPE": kind,
                    "TABLE_CATALOG": database.name,
                    "TABLE_SCHEMA": schema_name,
                    "TABLE_NAME": n,
                    "WITH_HIERARCHY": "NO",
                    "GRANTOR": grant.by,
                    "GRANTEE": engine.grants.grantee_name(grant),
                    "GRANTED_TO": "ROLE"
                    if engine.switches["object-privileges-database-roles"] == "as-roles"
                    else grant.to_kind,
                    "PRIVILEGE_TYPE": grant.privilege,
                    "IS_GRANTABLE": _yes(grant.option),
                    "CREATED": grant.created_on,
                }
            )
    return table(TABLE_PRIVILEGES if name == "TABLE_PRIVILEGES" else PRIVILEGES, rows, TYPES)


HISTORY = (
    "QUERY_ID QUERY_TEXT SESSION_ID USER_NAME ROLE_NAME QUERY_TAG EXECUTION_STATUS ERROR_CODE ERROR_MESSAGE START_TIME "
    "END_TIME TOTAL_ELAPSED_TIME ROWS_PRODUCED"
)


def query_history(rows: list[dict]) -> Result:
    """TABLE(INFORMATION_SCHEMA.QUERY_HISTORY...()): what arrived, newest first. E: arguments are ignored."""
    kinds = {"START_TIME": _T, "END_TIME": _T, "TOTAL_ELAPSED_TIME": "fixed", "ROWS_PRODUCED": "fixed"}
    return table(HISTORY, rows, TYPES | kinds)


TAGGED = "TAG_DATABASE TAG_SCHEMA TAG_NAME TAG_VALUE LEVEL OBJECT_DATABASE OBJECT_SCHEMA OBJECT_NAME DOMAIN"


def tag_references(engine: Engine, session: Session, name: str, domain: str) -> Result:
    """D (/sql-reference/functions/tag_references): tags of the object itself and of what it lies in;
    LEVEL says which. E: databases and schemas."""
    one: Any = find(engine, session, domain.upper(), Reader(name).name())
    rows = []
    for level in [one, one.database] if isinstance(one, Schema) else [one]:
        for tag, value in level.tags.items():
            parts = Reader(tag).name()
            place = dict(zip(("TAG_DATABASE", "TAG_SCHEMA", "TAG_NAME"), parts)) if len(parts) == 3 else {"TAG_NAME": tag}
            rows.append(place | {"TAG_VALUE": value, "LEVEL": level.kind, "OBJECT_NAME": one.name, "DOMAIN": domain})
    return table(TAGGED, rows)


def account_usage(name: str) -> Result:
    names = {
        "OBJECT_DEPENDENCIES": "REFERENCED_DATABASE REFERENCED_SCHEMA REFERENCED_OBJECT_NAME REFERENCED_OBJECT_DOMAIN REFERENCING_DATABASE "
        "REFERENCING_SCHEMA REFERENCING_OBJECT_NAME REFERENCING_OBJECT_DOMAIN DEPENDENCY_TYPE",
        "GRANTS_TO_ROLES": "CREATED_ON MODIFIED_ON PRIVILEGE GRANTED_ON NAME TABLE_CATALOG TABLE_SCHEMA GRANTED_TO GRANTEE_NAME GRANT_OPTION GRANTED_BY DELETED_ON",
    }.get(name)
    if names is None:
        raise missing("Object", f"SNOWFLAKE.ACCOUNT_USAGE.{name}")
    return table(names, [])
