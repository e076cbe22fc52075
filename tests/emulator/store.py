"""Rows: immutable DuckDB tables, so that a clone, a snapshot or the past costs nothing.

Every change of a table writes a new row set beside the old one. Test data is small.
"""

from __future__ import annotations

import itertools

import duckdb
from fakesnow import macros

from .catalog import Column
from .tokens import quote


class Store:
    def __init__(self) -> None:
        # fakesnow's transforms rely on the same two settings.
        self.duck = duckdb.connect(":memory:", config={"lambda_syntax": "ENABLE_SINGLE_ARROW", "threads": 1})
        self.duck.execute("SET GLOBAL TimeZone = 'UTC'")
        self.duck.execute(macros.creation_sql("memory"))
        self._numbers = itertools.count(1)
        self._counts: dict[str, int] = {}

    def name(self, prefix: str = "t") -> str:
        return f"{prefix}{next(self._numbers)}"

    def create(self, columns: tuple[Column, ...]) -> str:
        name = self.name()
        parts = [
            f"{quote(c.name)} {c.duck}"
            + (f" DEFAULT {c.default}" if c.default else "")
            + ("" if c.nullable else " NOT NULL")
            for c in columns
        ]
        self.duck.execute(f"CREATE TABLE {name} ({', '.join(parts)})")
        return name

    def copy(self, data: str, columns: tuple[Column, ...]) -> str:
        name = self.create(columns)
        self.duck.execute(f"INSERT INTO {name} SELECT * FROM {data}")
        return name

    def append(self, data: str, delta: str) -> None:
        self.duck.execute(f"INSERT INTO {data} SELECT * FROM {delta}")
        self._counts.pop(data, None)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        return [(r[0], r[1]) for r in self.duck.execute(f"DESCRIBE {sql}").fetchall()]

    def count(self, data: str | None) -> int:
        if data is None:
            return 0
        if data not in self._counts:
            self._counts[data] = self.duck.execute(f"SELECT count(*) FROM {data}").fetchall()[0][0]
        return self._counts[data]
