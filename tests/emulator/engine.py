"""What happens to one statement: recognised by its first words, run under one lock, logged.

One lock makes every statement atomic and the emulator simple; whoever waits (a lock on a table,
SYSTEM$WAIT) lets go of it meanwhile.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

import duckdb
import pyarrow
from sqlglot import exp

from . import containers, describe, dml, functions, grants, infoschema, objects, scripting, show, timetravel, wire
from .catalog import Catalog, Obj, Place
from .clock import Clock
from .errors import SnowflakeError, cancelled, compilation, denied, missing, timed_out
from .session import Result, Running, Session, status
from .store import Store
from .switches import Switches
from .tokens import Reader, dotted, shown
from .translate import Scope, Translator, parse


class Engine:
    def __init__(self, switches: Switches | None = None, show_limit: int = 10_000):
        self.switches = switches or Switches()
        self.clock = Clock()
        self.catalog = Catalog(self.clock)
        self.store = Store()
        self.store.duck.execute(functions.MACROS)
        self.grants = grants.Grants(self)
        self.show_limit = show_limit
        self.lock = threading.Condition(threading.RLock())
        self.table_locks: dict[int, Session] = {}
        self.inserted: dict[int, list[tuple[str, str]]] = {}  # table id -> [(row set, delta)]
        self.done: dict[str, tuple[int, str]] = {}  # query id -> (sequence, first word)
        self.denials: list[dict] = []
        self.enforce = False
        self.past_statements: Any = lambda: []  # set by control: rows for QUERY_HISTORY
        self.cancel_query: Any = lambda query_id: False  # set by the server
        self.inner_fault: Any = None  # set by control: errors inside scripting blocks
        self.executing: Running | None = None  # whom an interrupt would hit
        self._registered: list[str] = []

    # -- one statement
    def execute(self, session: Session, sql: str, bindings: list | None, running: Running) -> Result:
        """Run a statement for a session. Raises SnowflakeError and nothing else."""
        session.running = running
        try:
            reader = Reader(sql)
            if reader.done:
                raise compilation(900, "42601", "Empty SQL statement.")
            with self.lock:
                self.check(session)
                self.executing = running
                return self.statement(session, sql, bindings, {})
        finally:
            session.running = None
            with self.lock:
                session.last_query_id = running.query_id
                self.done[running.query_id] = (self.catalog.sequence, first_word(sql))

    def statement(self, session: Session, sql: str, bindings: list | None, script: dict) -> Result:
        """Also the way a scripting block runs its own statements."""
        try:
            return self._dispatch(session, Reader(sql), bindings, script)
        except duckdb.Error as error:
            raise from_duck(error, session) from None
        except (NotImplementedError, AssertionError) as error:
            raise SnowflakeError(2, "0A000", f"Unsupported feature: {error}") from None
        finally:
            self.catalog.settle()
            for name in self._registered:
                self.store.duck.unregister(name)
            self._registered.clear()

    def _dispatch(self, session: Session, r: Reader, bindings: list | None, script: dict) -> Result:
        while r.sees("(") and not r.sees("( )"):  # a parenthesised query
            break
        word = r.word()
        if scripting.is_block(r):
            return scripting.run(self, session, r.sql, script)
        if any(t.text == ";" and t.token_type.name == "SEMICOLON" for t in r.tokens):
            raise SnowflakeError(8, "0A000", "Actual statement count 2 did not match the desired statement count 1.")
        if word in ("CREATE", "ALTER", "DROP", "UNDROP", "COMMENT", "GRANT", "REVOKE"):
            # D (TX): each DDL statement is its own transaction and commits an open one.
            dml.commit(self, session)
            return self._ddl(session, r, word)
        if word == "SHOW":
            return show.run(self, session, r)
        if word in ("DESCRIBE", "DESC"):
            return describe.describe(self, session, r)
        if word == "USE":
            return self._use(session, r)
        if word in ("BEGIN", "START", "COMMIT", "ROLLBACK"):
            return dml.transaction(self, session, r)
        if word in ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE"):
            self._needs_warehouse(session, word != "TRUNCATE")
            return dml.run(self, session, r, bindings, script)
        if word in ("SET", "UNSET"):
            return self._variable(session, r, bindings, script)
        if word == "EXECUTE":
            return scripting.execute_immediate(self, session, r, script)
        if word in ("SELECT", "WITH", "VALUES", "("):
            return self._select(session, r.sql, bindings, script)
        if word in ("CALL", "LIST", "LS", "PUT", "GET", "COPY", "EXPLAIN", "REMOVE", "RM"):
            raise SnowflakeError(2, "0A000", f"Unsupported feature '{word}'.")
        raise r.unexpected()

    def _ddl(self, session: Session, r: Reader, word: str) -> Result:
        if word == "GRANT":
            return self.grants.grant(session, r)
        if word == "REVOKE":
            return self.grants.revoke(session, r)
        if word == "COMMENT":
            return objects.comment_on(self, session, r)
        handled = containers.run(self, session, r)
        return handled if handled is not None else objects.run(self, session, r)

    # -- queries
    def _select(self, session: Session, sql: str, bindings: list | None, script: dict) -> Result:
        translator = Translator(self, session, bindings, script)
        tree = parse(sql)
        duck = translator.query(tree)
        self._needs_warehouse(session, bool(translator.read))
        for place in translator.read:
            self.require(session, "SELECT", place)
        cursor = self.store.duck.execute(duck)
        fields = [wire.field(d[0], str(d[1]), d[0] in translator.zoned) for d in cursor.description]
        return Result(fields, cursor.fetchall())

    def scalar(self, session: Session, text: str, script: dict | None = None) -> Any:
        tree = parse(f"SELECT {text}")
        if script:
            for column in list(tree.find_all(exp.Column)):
                if not column.table and column.name.upper() in script:
                    column.replace(functions.as_literal(script[column.name.upper()]))
        return self.store.duck.execute(Translator(self, session, None, script).query(tree)).fetchall()[0][0]

    def _needs_warehouse(self, session: Session, reads: bool) -> None:
        if reads and (session.warehouse is None or session.warehouse not in self.catalog.warehouses):
            raise SnowflakeError(
                606,
                "57P03",
                "No active warehouse selected in the current session.  Select an active warehouse with the 'use "
                "warehouse' command.",
            )

    # -- names
    def place(self, session: Session, parts: tuple[str, ...], scope: Scope | None = None, kind: str = "TABLE") -> Place:
        """Where a name leads; ``obj`` is None if nothing is there."""
        scope = scope or Scope(session.database, session.schema)
        database = parts[0] if len(parts) == 3 else scope.database
        name = parts[-1]
        if database is None:
            raise SnowflakeError(
                90105,
                "22000",
                "Cannot perform operation. This session does not have a current database. Call 'USE DATABASE', or use "
                "a qualified name.",
            )
        schema_name = parts[-2] if len(parts) > 1 else scope.schema
        if schema_name is None:
            raise SnowflakeError(
                90106,
                "22000",
                "Cannot perform operation. This session does not have a current schema. Call 'USE SCHEMA', or use a "
                "qualified name.",
            )
        schema = self.catalog.schema(database, schema_name)
        if kind == "TABLE" and (temporary := session.temporary.get((schema.id, name))):
            return Place(schema, name, temporary)
        return Place(schema, name, schema.get(name, kind))

    def found(self, session: Session, parts: tuple[str, ...], kind: str = "TABLE") -> Place:
        place = self.place(session, parts, None, kind)
        if place.obj is None:
            raise self.absent(place, parts)
        return place

    def absent(self, place: Place, parts: tuple[str, ...]) -> SnowflakeError:
        return missing("Object", dotted(*parts) if len(parts) > 1 else place.fqn)

    def schema_of(self, session: Session, parts: tuple[str, ...]):
        database = parts[0] if len(parts) == 2 else session.database
        if database is None:
            raise SnowflakeError(
                90105, "22000", "Cannot perform operation. This session does not have a current database."
            )
        return self.catalog.schema(database, parts[-1])

    def data_of(self, session: Session, obj: Obj) -> str:
        if session.transaction and obj.id in session.transaction.changes:
            return session.transaction.changes[obj.id].data
        if obj.data is None:
            raise compilation(2037, "42601", f"{obj.kind.capitalize()} cannot be queried.")
        return obj.data

    def as_of(self, session: Session, place: Place, when: exp.HistoricalData) -> Obj:
        point = timetravel.from_tree(self, session, when)
        return timetravel.object_at(self, place, point)

    # -- relations that are made up for one statement
    def _register(self, names: list[str], rows: list[tuple], kinds: list[str]) -> str:
        types = {
            "fixed": pyarrow.int64(),
            "timestamp_ltz": pyarrow.timestamp("us", "UTC"),
            "boolean": pyarrow.bool_(),
            "real": pyarrow.float64(),
        }
        columns = [
            pyarrow.array([_plain(row[i], kinds[i]) for row in rows], types.get(kinds[i], pyarrow.string()))
            for i in range(len(names))
        ]
        name = self.store.name("r")
        self.store.duck.register(name, pyarrow.table(columns, names=names))
        self._registered.append(name)
        return name

    def register_result(self, session: Session, query_id: str | None) -> str:
        result = session.results.get(query_id)
        if result is None:
            raise SnowflakeError(709, "02000", f"Statement {query_id} not found")
        return self._register([f.name for f in result.fields], result.rows, [f.type for f in result.fields])

    def information_schema(self, session: Session, database: str | None, view: str) -> str:
        result = infoschema.view(self, session, self.catalog.database(database or ""), view)
        return self._register([f.name for f in result.fields], result.rows, [f.type for f in result.fields])

    def account_usage(self, session: Session, view: str) -> str:
        """D (ODV): lags up to three hours. E: so here every view of it is empty."""
        result = infoschema.account_usage(view)
        return self._register([f.name for f in result.fields], [], [f.type for f in result.fields])

    def query_history(self) -> str:
        result = infoschema.query_history(self.past_statements())
        return self._register([f.name for f in result.fields], result.rows, [f.type for f in result.fields])

    def tag_references(self, session: Session, name: str, domain: str) -> str:
        result = infoschema.tag_references(self, session, name, domain)
        return self._register([f.name for f in result.fields], result.rows, [f.type for f in result.fields])

    def get_ddl(self, session: Session, kind: str, name: str, qualified: Any = False) -> str:
        return describe.get_ddl(self, session, kind, name, bool(qualified))

    # -- privileges
    def require(self, session: Session, privilege: str, target: Any) -> None:
        """E: asked for what a test denies, and for everything under --enforce-grants."""
        if not self.grants.allows(session.role, privilege, target):
            name = target.fqn if hasattr(target, "fqn") else str(target)
            if (
                isinstance(target, Place)
                and privilege != "OWNERSHIP"
                and not self.grants.allows(session.role, "USAGE", target.schema)
            ):
                raise missing("Object", name)
            kind = target.obj.kind if isinstance(target, Place) and target.obj else getattr(target, "kind", "account")
            raise denied(kind, name)

    # -- waiting
    def check(self, session: Session) -> None:
        running = session.running
        if running is None:
            return
        if running.cancelled:
            raise cancelled()
        if running.deadline is not None and time.monotonic() > running.deadline:
            raise timed_out(running.timeout)

    def wait(self, session: Session, seconds: float) -> None:
        """Wait without the lock; a cancellation or a time-out ends it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check(session)
            self.lock.wait(min(left, 0.05))

    # -- sessions
    def _use(self, session: Session, r: Reader) -> Result:
        r.next()
        what = r.one_of("SECONDARY ROLES", "ROLE", "WAREHOUSE", "DATABASE", "SCHEMA")
        if what == "SECONDARY ROLES":
            return status()
        parts = r.name()
        r.end()
        if what == "ROLE":
            if parts[0] not in self.catalog.roles:
                raise compilation(2043, "02000", f"Role '{shown(parts[0])}' does not exist or not authorized.")
            session.role = parts[0]
        elif what == "WAREHOUSE":
            if parts[0] not in self.catalog.warehouses:
                raise compilation(2043, "02000", "Object does not exist, or operation cannot be performed.")
            session.warehouse = parts[0]
        elif what == "SCHEMA" or len(parts) == 2:
            try:
                schema = self.schema_of(session, parts)
            except SnowflakeError:
                raise compilation(2043, "02000", "Object does not exist, or operation cannot be performed.") from None
            self.require(session, "USAGE", schema)
            session.database, session.schema = schema.database.name, schema.name
        else:
            if parts[0] not in self.catalog.databases:
                raise compilation(2043, "02000", "Object does not exist, or operation cannot be performed.")
            database = self.catalog.database(parts[0])
            self.require(session, "USAGE", database)
            session.database = database.name
            session.schema = "PUBLIC" if "PUBLIC" in database.children else None
        return status()

    def _variable(self, session: Session, r: Reader, bindings: list | None, script: dict) -> Result:
        if r.next().text.upper() == "UNSET":
            session.variables.pop(r.name()[0], None)
            return status()
        name = r.name()[0]
        r.expect("=")
        session.variables[name] = self.scalar(session, r.rest(), script)
        return status()


def first_word(sql: str) -> str:
    return Reader(sql).word() if sql.strip() else ""


def _plain(value: Any, kind: str) -> Any:
    if value is None or value == "" and kind != "text":
        return None
    if kind == "fixed":
        return int(value)
    if kind in ("timestamp_ltz", "boolean", "real"):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def from_duck(error: duckdb.Error, session: Session) -> SnowflakeError:
    """DuckDB's complaint in Snowflake's numbers; the words stay DuckDB's."""
    running = session.running
    if isinstance(error, duckdb.InterruptException):
        return timed_out(running.timeout) if running and not running.cancelled else cancelled()
    text = str(error).split("\n")[0]
    if isinstance(error, duckdb.BinderException) and ("column" in text.lower()):
        return compilation(904, "42000", text)
    if isinstance(error, duckdb.ConstraintException):
        return SnowflakeError(100072, "22000", text)
    if isinstance(error, duckdb.ConversionException):
        return SnowflakeError(100038, "22018", text)
    if isinstance(error, duckdb.ParserException):
        return compilation(1003, "42000", text)
    if isinstance(error, duckdb.CatalogException):
        return compilation(2140, "42601", text)
    return compilation(2140, "42601", f"{type(error).__name__}: {text}")
