"""A session: who is asking, from where, and what is not committed yet."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from .catalog import Obj


@dataclass
class Change:
    """One table inside a transaction: what it looked like, looks like now, and inserted rows."""

    base: str
    data: str
    inserts_only: bool = True
    deltas: list[str] = field(default_factory=list)


@dataclass
class Transaction:
    id: str = field(default_factory=lambda: str(time.time_ns()))
    changes: dict[int, Change] = field(default_factory=dict)  # by the table's id
    locks: set[int] = field(default_factory=set)


@dataclass
class Running:
    """One statement on its way; whoever waits inside it looks here."""

    query_id: str
    text: str
    request_id: str
    started: float
    deadline: float | None = None
    timeout: float = 0
    cancelled: bool = False


@dataclass
class Session:
    user: str
    role: str
    warehouse: str | None
    database: str | None
    schema: str | None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    master: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    id: int = field(default_factory=lambda: uuid.uuid4().int >> 80)
    params: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    temporary: dict[tuple[int, str], Obj] = field(default_factory=dict)  # (schema id, name)
    transaction: Transaction | None = None
    last_query_id: str | None = None
    results: dict[str, Any] = field(default_factory=dict)
    running: Running | None = None
    expired: bool = False

    def param(self, name: str, default: Any = "") -> Any:
        return self.params.get(name.upper(), default)

    @property
    def tag(self) -> str:
        return str(self.param("QUERY_TAG"))


@dataclass
class Field:
    """A result column on the wire."""

    name: str
    type: str = "text"
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    nullable: bool = True


@dataclass
class Result:
    fields: list[Field]
    rows: list[tuple]
    type_id: int = 0x1000  # SELECT; the connector reads row counts by it
    affected: int | None = None


STATUS_TYPE = 0x6000  # DDL


def status(text: str = "Statement executed successfully.", name: str = "status") -> Result:
    return Result([Field(name, "text", length=16777216, nullable=False)], [(text,)], STATUS_TYPE)


TYPE_IDS = {"INSERT": 0x3100, "UPDATE": 0x3200, "DELETE": 0x3300, "MERGE": 0x3400, "MULTI": 0x3500}


def counts(kind: str, **numbers: int) -> Result:
    """What DML answers: one row of numbers with their long names."""
    fields = [Field(n.replace("_", " "), "fixed", 19, 0, nullable=False) for n in numbers]
    return Result(fields, [tuple(numbers.values())], TYPE_IDS[kind], sum(numbers.values()))


def table(names: str | list[str], rows: list[dict], types: dict[str, str] | None = None) -> Result:
    """A metadata answer: named columns out of dictionaries; what is absent is empty."""
    names = names.split() if isinstance(names, str) else names
    guess = {
        "created_on": "timestamp_ltz",
        "dropped_on": "timestamp_ltz",
        "rows": "fixed",
        "bytes": "fixed",
        "last_suspended_on": "timestamp_ltz",
        "last_committed_on": "timestamp_ltz",
        "data_timestamp": "timestamp_ltz",
    } | (types or {})
    fields = []
    for name in names:
        kind = guess.get(name, "text")
        precision, scale = {"fixed": (38, 0), "timestamp_ltz": (0, 9)}.get(kind, (None, None))
        fields.append(Field(name, kind, precision, scale, 16777216 if kind == "text" else None))
    empty = {"text": ""}
    return Result(
        fields,
        [tuple(row.get(f.name, None if f.name.isupper() else empty.get(f.type)) for f in fields) for row in rows],
        0x4000,
    )
