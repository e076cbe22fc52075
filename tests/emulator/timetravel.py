"""AT and BEFORE: which state of which object.

I (2): history belongs to the object and follows it through renames and swaps, because ours hangs
on the object too (``--u time-travel-follows=name`` is the other reading).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from .catalog import Container, Database, Obj, Place, Schema
from .errors import SnowflakeError, compilation, missing, no_history
from .tokens import Reader

if TYPE_CHECKING:
    from .engine import Engine
    from .session import Session


@dataclass(frozen=True)
class Point:
    when: datetime
    sequence: int | None = None  # set for STATEMENT
    by_timestamp: bool = False

    def of(self, container: Container) -> dict | None:
        if self.sequence is not None:
            return container.history.at_sequence(self.sequence)
        return container.history.at_time(self.when)


def from_reader(engine: Engine, session: Session, r: Reader) -> Point | None:
    word = r.one_of("AT", "BEFORE")
    if word is None:
        return None
    inner = Reader(r.group())
    kind = inner.one_of("TIMESTAMP", "OFFSET", "STATEMENT")
    if kind is None:
        raise inner.unexpected()
    inner.expect("=>")
    return _point(engine, session, word, kind, engine.scalar(session, inner.rest()))


def from_tree(engine: Engine, session: Session, tree: exp.HistoricalData) -> Point:
    value = engine.scalar(session, tree.expression.sql(dialect="snowflake"))
    return _point(engine, session, str(tree.this).upper(), str(tree.args["kind"]).upper(), value)


def _point(engine: Engine, session: Session, word: str, kind: str, value: Any) -> Point:
    now = engine.clock.now()
    if kind == "STATEMENT":
        return _statement(engine, word, str(value))
    if kind == "OFFSET":
        when = now + timedelta(seconds=float(value))
    else:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise compilation(
                    1007, "22023", f"invalid type [VARCHAR] for parameter 'TIMESTAMP': '{value}'"
                ) from None
        # D (AB): without a zone of its own a time is read in the session's, here UTC.
        when = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        # D (AB): precision is milliseconds.
        when = when.replace(microsecond=when.microsecond // 1000 * 1000 + (999 if word == "AT" else 0))
    if word == "BEFORE":
        when -= timedelta(microseconds=1)
    if when > now + timedelta(milliseconds=1):
        raise SnowflakeError(708, "02000", "Time travel data is not available. The requested time is in the future.")
    return Point(when, None, kind == "TIMESTAMP")


def _statement(engine: Engine, word: str, query_id: str) -> Point:
    """D (CL/AB): the id of DML, TCL or SELECT; BEFORE means before its completion."""
    done = engine.done.get(query_id)
    if done is None or done[1] in ("CREATE", "ALTER", "DROP", "UNDROP", "GRANT", "REVOKE", "COMMENT", "SHOW", "USE"):
        raise SnowflakeError(709, "02000", f"Statement {query_id} not found")
    sequence = done[0] - (word == "BEFORE")
    marks = [m[1] for d in engine.catalog.databases.values() for m in d.history.marks if m[0] <= sequence]
    marks += [m[1] for s in engine.catalog.schemas() for m in s.history.marks if m[0] <= sequence]
    return Point(max(marks, default=engine.clock.now()), sequence)


def retention(obj: Obj | None, schema: Schema | None, database: Database) -> int:
    """Days kept. D (TT/TMP): transient keeps at most 1; 1 is the account's default."""
    own = [c.retention for c in (obj, schema, database) if c is not None]
    days = next((d for d in own if d is not None), 1)
    transient = any(c is not None and c.transient for c in (obj, schema, database))
    return min(days, 1) if transient else days


def check_age(engine: Engine, point: Point, kind: str, name: str, days: int) -> None:
    """D (CL): 000707 when the point lies beyond the retention."""
    if engine.clock.now() - point.when > timedelta(days=days):
        raise no_history(kind, name)


def container_at(engine: Engine, container: Container, point: Point, name: str) -> dict:
    """What a database or schema held. D (CL): before it was created there is nothing."""
    database = container if isinstance(container, Database) else container.database  # type: ignore[attr-defined]
    schema = container if isinstance(container, Schema) else None
    if point.when < container.created_on:
        raise no_history(container.kind, name)
    check_age(engine, point, container.kind, name, retention(None, schema, database))
    state = point.of(container)
    if state is None:
        raise no_history(container.kind, name)
    return state


def source_of(engine: Engine, now: Container, point: Point | None) -> Container:
    """The container whose history counts: the object under this name now, by default."""
    if point is None or engine.switches["time-travel-follows"] == "object":
        return now
    name = (now.database.name, now.name) if isinstance(now, Schema) else (now.name,)
    line = engine.catalog.name_history.get(name, [])
    held = [c for (sequence, when, c) in line if (sequence <= point.sequence if point.sequence else when <= point.when)]
    if not held:
        raise no_history(now.kind, now.name)
    return held[-1]


def object_at(engine: Engine, place: Place, point: Point) -> Obj:
    """A table as it was: the same object, so after CREATE OR REPLACE there is no going back."""
    obj = place.obj
    assert obj is not None
    if point.when < obj.created_on:
        raise no_history(obj.kind, place.name)
    check_age(engine, point, obj.kind, place.name, retention(obj, place.schema, place.schema.database))
    state = point.of(place.schema) or {}
    for (_, _), then in state.items():
        if then.id == obj.id:
            return then
    raise missing("Object", place.fqn)
