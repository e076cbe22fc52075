"""Names point at objects. Identity is the object's ``id``; a swap or a rename moves names only.

Objects inside a schema are immutable: a change puts a new value with the same ``id`` under the
name. So the past is a list of dictionaries that share their values, and Time Travel, UNDROP and
clones need no copying here.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .clock import Clock
from .errors import missing
from .tokens import dotted

RELATIONS = (
    "TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "DYNAMIC TABLE",
    "EXTERNAL TABLE",
    "ICEBERG TABLE",
    "HYBRID TABLE",
    "EVENT TABLE",
)
_ids = itertools.count(1)


def new_id() -> int:
    return next(_ids)


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # as Snowflake shows it
    duck: str  # as DuckDB stores it
    nullable: bool = True
    default: str | None = None  # DuckDB's SQL
    comment: str = ""


@dataclass(frozen=True)
class Obj:
    """Anything that lives in a schema. ``kind`` is the word that SHOW and GRANT use."""

    kind: str
    id: int
    created_on: datetime
    owner: str
    comment: str = ""
    columns: tuple[Column, ...] = ()
    data: str | None = None  # the row set of a table
    text: str | None = None  # CREATE ... exactly as written
    body: Any = None  # parsed query of a view
    secure: bool = False
    transient: bool = False
    retention: int | None = None
    last_altered: datetime | None = None
    last_ddl: datetime | None = None
    clone_of: int | None = None
    tags: tuple[tuple[str, str], ...] = ()
    props: dict[str, Any] = field(default_factory=dict)

    @property
    def relation(self) -> bool:
        return self.kind in RELATIONS

    def __deepcopy__(self, memo: dict) -> Obj:
        return self


def space(kind: str) -> str:
    """Tables and views share one namespace; every other kind has its own."""
    return "RELATION" if kind in RELATIONS else kind


class History:
    """What a container held, and when."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, datetime, dict]] = []

    def add(self, sequence: int, when: datetime, state: dict) -> None:
        self.marks.append((sequence, when, dict(state)))

    def at_time(self, when: datetime) -> dict | None:
        index = bisect_right([m[1] for m in self.marks], when)
        return self.marks[index - 1][2] if index else None

    def at_sequence(self, sequence: int) -> dict | None:
        index = bisect_right([m[0] for m in self.marks], sequence)
        return self.marks[index - 1][2] if index else None


class Container:
    kind = ""

    def __init__(self, name: str, owner: str, created_on: datetime):
        self.id = new_id()
        self.name, self.owner, self.created_on = name, owner, created_on
        self.comment = ""
        self.transient = False
        self.managed = False
        self.retention: int | None = None
        self.tags: dict[str, str] = {}
        self.params: dict[str, str] = {}
        self.clone_of: int | None = None
        self.share: str | None = None  # an imported database
        self.children: dict = {}
        self.dropped: list[tuple[datetime, str, Any]] = []  # for UNDROP
        self.history = History()

    METADATA = ("comment", "managed", "retention", "tags", "params", "owner")


class Schema(Container):
    kind = "SCHEMA"
    database: "Database"

    def __init__(self, name: str, owner: str, created_on: datetime, database: "Database"):
        super().__init__(name, owner, created_on)
        self.database = database

    @property
    def fqn(self) -> str:
        return dotted(self.database.name, self.name)

    def get(self, name: str, kind: str = "TABLE") -> Obj | None:
        return self.children.get((space(kind), name))

    def objects(self, *kinds: str) -> list[tuple[str, Obj]]:
        return sorted((n, o) for (_, n), o in self.children.items() if not kinds or o.kind in kinds)


class Database(Container):
    kind = "DATABASE"

    def __init__(self, name: str, owner: str, created_on: datetime):
        super().__init__(name, owner, created_on)
        self.roles: dict[str, int] = {}  # database roles

    @property
    def fqn(self) -> str:
        return dotted(self.name)


@dataclass
class Place:
    """Where a name leads: the schema, the last part and what is there."""

    schema: Schema
    name: str
    obj: Obj | None

    @property
    def fqn(self) -> str:
        return dotted(self.schema.database.name, self.schema.name, self.name)


class Catalog:
    def __init__(self, clock: Clock):
        self.clock = clock
        self.databases: dict[str, Database] = {}
        self.dropped: list[tuple[datetime, str, Database]] = []
        self.sequence = 0
        self.dirty: dict[int, Container] = {}
        self.roles: set[str] = {"ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "SYSADMIN", "PUBLIC"}
        self.warehouses: set[str] = {"COMPUTE_WH"}
        self.groups: list[dict] = []  # replication and failover groups
        self.shares: dict[str, dict] = {}
        self.name_history: dict[tuple[str, ...], list[tuple[int, datetime, Any]]] = {}

    # -- looking up
    def database(self, name: str) -> Database:
        if name not in self.databases:
            raise missing("DATABASE", shown_one(name))
        return self.databases[name]

    def schema(self, database: str, name: str) -> Schema:
        found = self.database(database).children.get(name)
        if found is None:
            raise missing("SCHEMA", dotted(database, name))
        return found

    def schemas(self) -> list[Schema]:
        return [s for d in self.databases.values() for s in d.children.values()]

    def by_id(self, identity: int) -> Container | Place | None:
        for database in self.databases.values():
            if database.id == identity:
                return database
            for schema in database.children.values():
                if schema.id == identity:
                    return schema
                for (_, name), obj in schema.children.items():
                    if obj.id == identity:
                        return Place(schema, name, obj)
        return None

    # -- changing: every change goes through here, so that history is complete
    def put(self, schema: Schema, name: str, obj: Obj) -> Obj:
        schema.children[(space(obj.kind), name)] = obj
        self.touch(schema)
        return obj

    def alter(self, schema: Schema, name: str, obj: Obj, ddl: bool = True, **changes: Any) -> Obj:
        """D (IT): LAST_DDL moves with definitions, LAST_ALTERED with those and with rows."""
        now = self.clock.now()
        changes.setdefault("last_altered", now)
        if ddl:
            changes.setdefault("last_ddl", now)
        return self.put(schema, name, replace(obj, **changes))

    def remove(self, schema: Schema, name: str, kind: str) -> Obj:
        obj = schema.children.pop((space(kind), name))
        schema.dropped.append((self.clock.now(), name, obj))
        self.touch(schema)
        return obj

    def touch(self, container: Container) -> None:
        self.dirty[container.id] = container

    def settle(self) -> int:
        """At the end of a statement: remember what each touched container now holds."""
        self.sequence += 1
        now = self.clock.now()
        for container in self.dirty.values():
            container.history.add(self.sequence, now, container.children)
        if self.dirty:
            for database in self.databases.values():
                self._remember((database.name,), database, now)
                for schema in database.children.values():
                    self._remember((database.name, schema.name), schema, now)
        self.dirty.clear()
        return self.sequence

    def _remember(self, name: tuple[str, ...], container: Container, now: datetime) -> None:
        line = self.name_history.setdefault(name, [])
        if not line or line[-1][2] is not container:
            line.append((self.sequence, now, container))


def shown_one(name: str) -> str:
    return dotted(name)
