"""What a test may ask of the emulator: the log, faults, latency, the clock, privileges, a watch.

``POST /emulator/control`` takes one JSON object, or a list of them, each with an ``op``:

=============  ==============================================================================
fault          ``action`` drop_before | drop_after | pretend | error | delay | expire | http, at the
               ``nth`` (1) statement that matches the regular expression ``match`` (all),
               ``times`` (1) times; ``tag`` is a regular expression for the session's query tag;
               ``dead`` true: from then on every connection is lost. ``error`` takes ``code``,
               ``state``, ``message``; ``delay`` takes ``seconds``; ``http`` takes ``status``;
               ``pretend`` answers as if it were done. ``inner`` true looks at the
               statements inside scripting blocks (``error`` and ``delay`` only).
clear          forget faults, denials, latency and the watch
latency        ``ms`` added to every statement and sign-in, outside the lock
deny           ``privilege``, and optionally ``role`` and ``object`` (DB.SCHEMA.NAME), is missing
enforce        ``on``: check privileges by the grants for every role but ACCOUNTADMIN
clock          ``advance`` seconds, so that retention runs out
switch         ``name``, ``value``: see --list-switches
switches       answers every switch with its values, the default first
expire         every session (or ``session``, an id) answers 390112 until it is renewed
watch          after every statement, also inside blocks, run each of ``sql``, and ask every
               table and view of each of ``databases``; GET /emulator/watch has the answers
log            ``clear`` true empties the statement log
save           remember the whole account as it is; rows are immutable, so this costs nothing
restore        make the account what it was at ``save``, its clock and privileges included, and
               forget faults and denials; the statement log goes on
sql            run ``text`` as ``role`` (ACCOUNTADMIN), unlogged; answers its rows
=============  ==============================================================================
"""

from __future__ import annotations

import copy
import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .errors import SnowflakeError, session_expired
from .session import Running, Session
from .switches import SWITCHES
from .tokens import dotted

if TYPE_CHECKING:
    from .engine import Engine


@dataclass
class Fault:
    action: str
    match: str = ""
    nth: int = 1
    times: int = 1
    code: int = 603
    state: str = "XX000"
    message: str = "SQL execution internal error"
    seconds: float = 0
    status: int = 503
    inner: bool = False
    tag: str = ""
    dead: bool = False
    seen: int = 0
    fired: int = 0

    def hits(self, text: str, inner: bool, tag: str) -> bool:
        if self.inner != inner or self.fired >= self.times or not re.search(self.match, text, re.I | re.S):
            return False
        if not re.search(self.tag, tag):
            return False
        self.seen += 1
        if self.seen < self.nth:
            return False
        self.fired += 1
        return True


@dataclass
class Entry:
    """One line of the statement log."""

    number: int
    query_id: str
    text: str
    session: int
    user: str
    role: str
    query_tag: str
    started: str
    seconds: float = 0
    outcome: str = "running"  # success, the error's number, or dropped_before, dropped_after
    message: str = ""
    rows: int | None = None
    inner: bool = False
    request_id: str = ""


@dataclass
class Control:
    engine: Engine
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    latency: float = 0
    watched_sql: list[str] = field(default_factory=list)
    watched_databases: list[str] = field(default_factory=list)
    watch_log: list[dict] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    _watching: bool = False
    _saved: Any = None

    def __post_init__(self) -> None:
        self.engine.inner_fault = self._inner
        self.engine.past_statements = self._history

    # -- the log
    def begin(self, session: Session, running: Running, inner: bool = False) -> Entry:
        entry = Entry(
            len(self.entries) + 1,
            running.query_id,
            running.text,
            session.id,
            session.user,
            session.role,
            session.tag,
            datetime.now().isoformat(),
            inner=inner,
            request_id=running.request_id,
        )
        self.entries.append(entry)
        return entry

    def _history(self) -> list[dict]:
        """For QUERY_HISTORY. A statement whose request was lost on its way never arrived."""
        rows = []
        for e in reversed(self.entries):
            if e.outcome == "dropped_before" or e.outcome.startswith("http"):
                continue
            outcome = e.outcome.removeprefix("dropped_after ")
            status = {"success": "SUCCESS", "running": "RUNNING"}.get(outcome, "FAILED_WITH_ERROR")
            begun = datetime.fromisoformat(e.started).astimezone(timezone.utc)
            rows.append(
                {
                    "QUERY_ID": e.query_id,
                    "QUERY_TEXT": e.text,
                    "SESSION_ID": str(e.session),
                    "USER_NAME": e.user,
                    "ROLE_NAME": e.role,
                    "QUERY_TAG": e.query_tag,
                    "EXECUTION_STATUS": status,
                    "ERROR_CODE": None if status != "FAILED_WITH_ERROR" else outcome,
                    "ERROR_MESSAGE": e.message or None,
                    "START_TIME": begun,
                    "END_TIME": None if status == "RUNNING" else begun + timedelta(seconds=e.seconds),
                    "TOTAL_ELAPSED_TIME": int(e.seconds * 1000),
                    "ROWS_PRODUCED": e.rows,
                }
            )
        return rows

    # -- faults
    def fault(self, text: str, inner: bool = False, tag: str = "") -> list[Fault]:
        with self.engine.lock:
            found = [f for f in self.faults if f.hits(text, inner, tag)]
            if any(f.dead for f in found):
                self.faults.append(Fault("drop_before", times=1 << 40))
            return found

    def _inner(self, session: Session, text: str) -> None:
        """Before a statement of a scripting block; the watch sees the state in between."""
        assert session.running is not None
        inner = Running(session.running.query_id, text, session.running.request_id, time.monotonic())
        self.watch(len(self.entries))
        entry = self.begin(session, inner, inner=True)
        entry.outcome = "success"
        for fault in self.fault(text, inner=True, tag=session.tag):
            if fault.action == "delay":
                self.engine.wait(session, fault.seconds)
            else:
                entry.outcome, entry.message = f"{fault.code:06d}", fault.message
                raise SnowflakeError(fault.code, fault.state, fault.message)

    # -- the watch
    def watch(self, after: int) -> None:
        if self._watching or not (self.watched_sql or self.watched_databases):
            return
        self._watching = True
        try:
            with self.engine.lock:
                for sql in [*self.watched_sql, *self._everything()]:
                    answer: dict[str, Any] = {"after": after, "sql": sql}
                    try:
                        answer["rows"] = [[str(v) for v in row] for row in self.quiet(sql, "ACCOUNTADMIN").rows]
                    except SnowflakeError as error:
                        answer["error"] = f"{error.number}: {error.message}"
                    self.watch_log.append(answer)
        finally:
            self._watching = False

    def _everything(self) -> list[str]:
        found = []
        for name in self.watched_databases:
            database = self.engine.catalog.databases.get(name)
            if database is None:
                found.append(f"SELECT 1 FROM {dotted(name)}.INFORMATION_SCHEMA.SCHEMATA")
                continue
            for schema in database.children.values():
                found += [
                    f"SELECT count(*), hash_agg(*) FROM {dotted(name, schema.name, n)}"
                    for n, o in schema.objects("TABLE", "VIEW")
                ]
        return found

    def quiet(self, sql: str, role: str) -> Any:
        """Run a statement outside of the log, with a session of its own."""
        session = Session("EMULATOR", role, sorted(self.engine.catalog.warehouses)[0], None, None)
        with self.engine.lock:
            return self.engine.statement(session, sql, None, {})

    # -- the API
    def do(self, request: Any) -> Any:
        if isinstance(request, list):
            return [self.do(one) for one in request]
        arguments = dict(request)
        handler = getattr(self, f"op_{arguments.pop('op', '')}", None)
        if handler is None:
            raise ValueError(f"no such op: {request}")
        return handler(**arguments) or {"ok": True}

    def op_fault(self, **arguments: Any) -> None:
        if arguments.get("action") not in ("drop_before", "drop_after", "pretend", "error", "delay", "expire", "http"):
            raise ValueError(f"no such action: {arguments.get('action')}")
        re.compile(arguments.get("match", ""))
        self.faults.append(Fault(**arguments))

    def op_clear(self) -> None:
        self.faults.clear()
        self.engine.denials.clear()
        self.watched_sql.clear()
        self.watched_databases.clear()
        self.latency = 0

    def op_latency(self, ms: float) -> None:
        self.latency = ms / 1000

    def op_deny(self, privilege: str, **where: str) -> None:
        self.engine.denials.append({"privilege": privilege.upper()} | where)

    def op_enforce(self, on: bool = True) -> None:
        self.engine.enforce = on

    def op_clock(self, advance: float) -> dict:
        self.engine.clock.offset += timedelta(seconds=advance)
        return {"now": self.engine.clock.now().isoformat()}

    def op_switch(self, name: str, value: str) -> None:
        self.engine.switches.set(name, value)

    def op_switches(self) -> dict:
        return {"switches": [{"name": s.name, "values": s.values, "fact": s.fact} for s in SWITCHES]}

    def op_expire(self, session: int | None = None) -> None:
        for one in self.sessions.values():
            one.expired = one.expired or session in (None, one.id)

    def op_watch(self, sql: list[str] | None = None, databases: list[str] | None = None) -> None:
        self.watched_sql, self.watched_databases = list(sql or []), list(databases or [])
        self.watch_log.clear()

    def op_log(self, clear: bool = False) -> None:
        if clear:
            self.entries.clear()

    def op_save(self) -> None:
        engine = self.engine
        self._saved = copy.deepcopy(self._state(), {id(engine): engine, id(engine.clock): engine.clock})

    def op_restore(self) -> None:
        engine = self.engine
        catalog, grants, offset = copy.deepcopy(self._saved, {id(engine): engine, id(engine.clock): engine.clock})
        engine.catalog = catalog
        engine.grants.__dict__.update(grants)
        engine.clock.set(offset)
        engine.table_locks.clear()
        engine.inserted.clear()
        self.faults.clear()
        engine.denials.clear()

    def _state(self) -> tuple:
        return self.engine.catalog, self.engine.grants.__dict__, self.engine.clock.offset

    def op_sql(self, text: str, role: str = "ACCOUNTADMIN") -> dict:
        try:
            result = self.quiet(text, role)
        except SnowflakeError as error:
            return {"error": error.number, "state": error.state, "message": error.message}
        return {
            "columns": [f.name for f in result.fields],
            "rows": [[None if v is None else str(v) for v in row] for row in result.rows],
        }


__all__ = ["Control", "Entry", "Fault", "session_expired"]
