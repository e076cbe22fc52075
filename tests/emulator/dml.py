"""Rows that change, and transactions.

D (TX): UPDATE, DELETE and MERGE serialise per table until their transaction ends; INSERT does
not. A statement sees what was committed before it began, and its own transaction's changes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from .catalog import Obj, Place
from .errors import SnowflakeError, compilation
from .session import Change, Result, Session, Transaction, counts, status
from .tokens import Reader, quote
from .translate import Translator, parse, to_duck

if TYPE_CHECKING:
    from .engine import Engine


def transaction(engine: Engine, session: Session, r: Reader) -> Result:
    word = r.next().text.upper()
    r.one_of("TRANSACTION", "WORK")
    if word in ("BEGIN", "START"):
        if r.accept("NAME"):
            r.name()
        r.end()
        # D (TX): a BEGIN inside a transaction changes nothing.
        session.transaction = session.transaction or Transaction()
    elif word == "COMMIT":
        commit(engine, session)
    else:
        rollback(engine, session)
    return status()


def commit(engine: Engine, session: Session) -> None:
    open_one, session.transaction = session.transaction, None
    if open_one is None:
        return
    for identity, change in open_one.changes.items():
        _publish(engine, session, identity, change)
    _release(engine, open_one)


def rollback(engine: Engine, session: Session) -> None:
    open_one, session.transaction = session.transaction, None
    if open_one is not None:
        _release(engine, open_one)


def _release(engine: Engine, open_one: Transaction) -> None:
    for identity in open_one.locks:
        engine.table_locks.pop(identity, None)
    engine.lock.notify_all()


def _publish(engine: Engine, session: Session, identity: int, change: Change) -> None:
    """Make a table's new rows everybody's, together with rows inserted by others meanwhile."""
    for key, temporary in session.temporary.items():
        if temporary.id == identity:
            session.temporary[key] = replace(temporary, data=change.data)
            return
    place = engine.catalog.by_id(identity)
    if not isinstance(place, Place) or place.obj is None:
        return  # replaced or dropped meanwhile
    if place.obj.data != change.base:
        if change.inserts_only:
            change.data = engine.store.copy(place.obj.data, place.obj.columns)
            for delta in change.deltas:
                engine.store.append(change.data, delta)
        else:
            log = engine.inserted.get(identity, [])
            start = max((i + 1 for i, (data, _) in enumerate(log) if data == change.base), default=0)
            for _, delta in log[start:]:
                engine.store.append(change.data, delta)
    if change.inserts_only:
        engine.inserted.setdefault(identity, []).extend((change.data, delta) for delta in change.deltas)
    else:
        engine.inserted.pop(identity, None)  # the table was locked: whoever comes next starts here
    # D (IT): LAST_ALTERED moves with DML, no-op DML too; LAST_DDL does not.
    engine.catalog.alter(place.schema, place.name, place.obj, ddl=False, data=change.data)


def run(engine: Engine, session: Session, r: Reader, bindings: list | None, script: dict) -> Result:
    if r.sees("TRUNCATE"):
        return _truncate(engine, session, r)
    if r.sees("INSERT OVERWRITE"):
        return _insert(engine, session, r, bindings, script, overwrite=True)
    tree = parse(r.sql)
    if isinstance(tree, exp.Insert):
        return _insert(engine, session, r, bindings, script)
    return _change(engine, session, tree, bindings, script)


def _target(engine: Engine, session: Session, node: exp.Expr, privilege: str) -> Place:
    table = node.this if isinstance(node, exp.Schema) else node
    parts = tuple(p.name for p in (table.args.get("catalog"), table.args.get("db"), table.this) if p)
    place = engine.found(session, parts)
    assert place.obj is not None
    if place.obj.kind not in ("TABLE", "HYBRID TABLE", "ICEBERG TABLE", "EVENT TABLE"):
        raise compilation(2003, "42S02", f"Object '{place.fqn}' is not a table.")
    engine.require(session, privilege, place)
    return place


def _staged(engine: Engine, session: Session, place: Place) -> Change:
    """The table's private copy inside this transaction; autocommit gets one for the statement."""
    assert session.transaction is not None and place.obj is not None and place.obj.data is not None
    changes = session.transaction.changes
    if place.obj.id not in changes:
        changes[place.obj.id] = Change(place.obj.data, place.obj.data)
    return changes[place.obj.id]


def _lock(engine: Engine, session: Session, place: Place) -> Place:
    """D (TX): wait for the table, at most LOCK_TIMEOUT seconds (12 h unless set)."""
    assert place.obj is not None and session.transaction is not None
    identity = place.obj.id
    end = time.monotonic() + float(session.param("LOCK_TIMEOUT", 43200) or 0)
    while engine.table_locks.get(identity, session) is not session:
        if time.monotonic() >= end:
            raise SnowflakeError(
                625,
                "57014",
                f"Statement '{session.running.query_id if session.running else ''}' has locked table '{place.name}' in "
                "transaction and this lock has not yet been released. Your statement was aborted because the number "
                "of seconds it waited exceeded LOCK_TIMEOUT.",
            )
        engine.wait(session, 0.05)
    engine.table_locks[identity] = session
    session.transaction.locks.add(identity)
    # Whatever was committed while waiting is what this statement works on.
    return engine.found(session, (place.schema.database.name, place.schema.name, place.name))


class _Autocommit:
    """Wrap a statement in a transaction of its own unless one is open."""

    def __init__(self, engine: Engine, session: Session):
        self.engine, self.session, self.own = engine, session, session.transaction is None

    def __enter__(self) -> None:
        if self.own:
            self.session.transaction = Transaction()

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self.own:
            (commit if kind is None else rollback)(self.engine, self.session)


def _insert(
    engine: Engine, session: Session, r: Reader, bindings: list | None, script: dict, overwrite: bool = False
) -> Result:
    tree = parse(r.sql)
    target = tree.this
    place = _target(engine, session, target, "INSERT")
    obj = place.obj
    names = [i.name for i in target.expressions] if isinstance(target, exp.Schema) else []
    source = tree.expression
    if isinstance(source, exp.Values):
        # VALUES may hold expressions (CURRENT_TIMESTAMP()) and DEFAULT; DuckDB takes both.
        source = exp.Values(expressions=source.expressions)
    if (clause := tree.args.get("with_")) is not None:
        source.set("with_", clause)
    translator = Translator(engine, session, bindings, script)
    resolved = translator.resolve(source)
    for read in translator.read:
        engine.require(session, "SELECT", read)
    with _Autocommit(engine, session):
        if overwrite:
            place = _lock(engine, session, place)
        change = _staged(engine, session, place)
        delta = engine.store.create(obj.columns)
        columns = f" ({', '.join(quote(n) for n in names)})" if names else ""
        unknown = [n for n in names if n not in {c.name for c in obj.columns}]
        if unknown:
            raise compilation(904, "42000", f"error line 1: invalid identifier '{unknown[0]}'")
        engine.store.duck.execute(f"INSERT INTO {delta}{columns} {to_duck(resolved)}")
        number = engine.store.count(delta)
        if overwrite:
            change.data, change.inserts_only = delta, False
        else:
            change.data = engine.store.copy(change.data, obj.columns)
            engine.store.append(change.data, delta)
            change.deltas.append(delta)
    return counts("INSERT", number_of_rows_inserted=number)


def _change(engine: Engine, session: Session, tree: exp.Expr, bindings: list | None, script: dict) -> Result:
    """UPDATE, DELETE and MERGE: on a copy of the row set that nobody else sees yet."""
    kind = tree.key.upper()
    if isinstance(tree, exp.Delete) and tree.args.get("tables") and not isinstance(tree.this, exp.Table):
        raise compilation(1003, "42000", "syntax error in DELETE")
    node = tree.this
    place = _target(engine, session, node, "UPDATE" if kind == "MERGE" else kind)
    with _Autocommit(engine, session):
        place = _lock(engine, session, place)
        obj = place.obj
        assert obj is not None
        change = _staged(engine, session, place)
        data = engine.store.copy(change.data, obj.columns)
        marker = exp.Table(
            this=exp.to_identifier("\x00target"),
            alias=node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(place.name, quoted=True)),
        )
        node.replace(exp.Table(this=exp.Anonymous(this="emulator_target"), alias=marker.args["alias"]))
        _strip_targets(tree)
        translator = Translator(engine, session, bindings, script)
        resolved = translator.resolve(tree)
        for read in translator.read:
            engine.require(session, "SELECT", read)
        sql = to_duck(resolved)
        for spelling in ("EMULATOR_TARGET()", "emulator_target()"):
            sql = sql.replace(spelling, data)
        result = _run_change(engine, kind, sql, tree)
        change.data, change.inserts_only = data, False
    return result


def _strip_targets(tree: exp.Expr) -> None:
    """DuckDB wants the assigned column of UPDATE SET, and INSERT's list, without a qualifier."""
    for update in tree.find_all(exp.Update):
        for assignment in update.expressions:
            if isinstance(assignment, exp.EQ) and isinstance(assignment.this, exp.Column):
                assignment.set("this", exp.column(assignment.this.this.copy()))
    for when in tree.find_all(exp.When):
        then = when.args.get("then")
        if isinstance(then, exp.Insert) and then.this is not None:
            for column in then.this.expressions:
                if isinstance(column, exp.Column):
                    column.replace(exp.column(column.this.copy()))


def _run_change(engine: Engine, kind: str, sql: str, tree: exp.Expr) -> Result:
    if kind != "MERGE":
        number = engine.store.duck.execute(sql).fetchall()[0][0]
        if kind == "UPDATE":
            return counts(kind, number_of_rows_updated=number, number_of_multi_joined_rows_updated=0)
        return counts(kind, number_of_rows_deleted=number)
    actions = [row[0] for row in engine.store.duck.execute(f"{sql} RETURNING merge_action").fetchall()]
    thens = [w.args["then"] for w in tree.find_all(exp.When)]
    shown = {}
    if any(isinstance(t, exp.Insert) for t in thens):
        shown["number_of_rows_inserted"] = actions.count("INSERT")
    if any(isinstance(t, exp.Update) for t in thens):
        shown["number_of_rows_updated"] = actions.count("UPDATE")
    if any(not isinstance(t, (exp.Insert, exp.Update)) for t in thens):
        shown["number_of_rows_deleted"] = actions.count("DELETE")
    return counts("MERGE", **shown)


def _truncate(engine: Engine, session: Session, r: Reader) -> Result:
    r.expect("TRUNCATE")
    r.accept("TABLE")
    if_exists = r.accept("IF EXISTS")
    parts = r.name()
    place = engine.place(session, parts)
    if place.obj is None:
        if if_exists:
            return status()
        raise engine.absent(place, parts)
    engine.require(session, "TRUNCATE", place)
    with _Autocommit(engine, session):
        place = _lock(engine, session, place)
        change = _staged(engine, session, place)
        assert isinstance(place.obj, Obj)
        change.data, change.inserts_only = engine.store.create(place.obj.columns), False
    return status()
