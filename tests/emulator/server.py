"""HTTP: the endpoints that snowflake-connector-rs and the Python connector call."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from . import auth, bindings, dml, wire
from .control import Control
from .engine import Engine
from .errors import SnowflakeError, session_expired
from .session import Running, Session, status


@dataclass
class Job:
    """A statement on its way, and its answer when there is one."""

    query_id: str
    running: Running
    done: threading.Event = field(default_factory=threading.Event)
    answer: dict | None = None
    dropped: bool = False
    http: int | None = None


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, engine: Engine, rules: auth.Rules, async_after: float = 45):
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.rules, self.async_after = engine, rules, async_after
        self.control = Control(engine)
        self.sessions = self.control.sessions
        self.jobs: dict[str, Job] = {}  # by query id
        self.requests: dict[str, Job] = {}  # by request id
        engine.cancel_query = self.cancel

    def cancel(self, query_id: str) -> bool:
        job = self.jobs.get(query_id)
        if job is None or job.done.is_set():
            return False
        job.running.cancelled = True
        if self.engine.executing is job.running:  # not whoever else is at work
            self.engine.store.duck.interrupt()
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: two would wait 40 ms for each other
    disable_nagle_algorithm = True
    server: Server

    # -- routes
    def do_POST(self) -> None:
        path, query = self._target()
        body = self._body()
        routes = {
            "/session/v1/login-request": self._login,
            "/queries/v1/query-request": self._query,
            "/queries/v1/abort-request": self._abort,
            "/session/token-request": self._renew,
            "/session/heartbeat": lambda q, b: self._ok(),
            "/session": self._close,
            "/telemetry/send": lambda q, b: self._ok(),
            "/emulator/control": self._control,
        }
        self._route(routes.get(path), query, body)

    def do_GET(self) -> None:
        path, query = self._target()
        control = self.server.control
        if path == "/emulator/statements":
            self._send([asdict(e) for e in control.entries])
        elif path == "/emulator/watch":
            self._send(control.watch_log)
        elif path == "/emulator/switches":
            self._send(self.server.engine.switches.values)
        elif path.startswith("/queries/") and path.endswith("/result"):
            self._route(lambda q, b: self._result(path.split("/")[2]), query, {})
        elif path.startswith("/monitoring/queries/"):
            self._route(lambda q, b: self._monitor(path.split("/")[3]), query, {})
        else:
            self._route(None, query, {})

    def _target(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, dict(parse_qsl(parts.query))

    def _route(self, handler: Any, query: dict, body: Any) -> None:
        if handler is None:
            self._send({"success": False, "message": f"no such path: {self.path}"}, 404)
            return
        try:
            handler(query, body)
        except SnowflakeError as error:
            self._send(wire.failure(error.number, error.state, error.message, None))
        except (ValueError, TypeError, KeyError) as error:
            self._send({"success": False, "message": f"{type(error).__name__}: {error}"}, 400)

    def _body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        try:
            return json.loads(raw) if raw else {}
        except ValueError:
            return {}

    def _send(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value, default=str).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def _ok(self, data: Any = None) -> None:
        self._send({"data": data, "code": None, "message": None, "success": True})

    def _drop(self) -> None:
        """Lose the connection: no answer, not even a status line."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        """Quiet: the statement log says more."""

    # -- sessions
    def _session(self) -> Session:
        token = (self.headers.get("Authorization") or "").removeprefix('Snowflake Token="').removesuffix('"')
        session = self.server.sessions.get(token)
        if session is None:
            raise SnowflakeError(390104, "08001", "User must login again to access the service.")
        if session.expired:
            raise session_expired()
        return session

    def _login(self, query: dict, body: dict) -> None:
        rules, engine = self.server.rules, self.server.engine
        account = str(body.get("data", {}).get("ACCOUNT_NAME") or "")
        if rules.account and account.upper().split(".")[0] != rules.account.upper():
            self._send({"message": "Not Found"}, 404)  # E: another account's host would answer so
            return
        time.sleep(self.server.control.latency)
        with engine.lock:
            session = auth.sign_in(rules, engine, query, body)
            self.server.sessions[session.token] = session
        self._ok(
            {
                "token": session.token,
                "masterToken": session.master,
                "validityInSeconds": 3600,
                "masterValidityInSeconds": 14400,
                "displayUserName": session.user,
                "serverVersion": "9.36.0",
                "sessionId": session.id,
                "healthCheckInterval": 45,
                "parameters": [
                    {"name": "AUTOCOMMIT", "value": True},
                    {"name": "TIMEZONE", "value": "UTC"},
                    {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
                    {"name": "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT", "value": "JSON"},
                    {"name": "QUERY_TAG", "value": session.tag},
                ],
                "sessionInfo": {
                    "databaseName": session.database,
                    "schemaName": session.schema,
                    "warehouseName": session.warehouse,
                    "roleName": session.role,
                },
            }
        )

    def _renew(self, query: dict, body: dict) -> None:
        """The Python connector renews by its master token; snowflake-connector-rs signs in again."""
        master = (self.headers.get("Authorization") or "").removeprefix('Snowflake Token="').removesuffix('"')
        for token, session in list(self.server.sessions.items()):
            if session.master == master:
                session.token, session.expired = uuid.uuid4().hex, False
                self.server.sessions[session.token] = session
                self._ok(
                    {
                        "sessionToken": session.token,
                        "masterToken": master,
                        "validityInSecondsST": 3600,
                        "validityInSecondsMT": 14400,
                    }
                )
                return
        raise SnowflakeError(390104, "08001", "User must login again to access the service.")

    def _close(self, query: dict, body: dict) -> None:
        if query.get("delete"):
            session = self._session()
            with self.server.engine.lock:
                dml.rollback(self.server.engine, session)
                session.temporary.clear()
            for token in [t for t, s in self.server.sessions.items() if s is session]:
                del self.server.sessions[token]
        self._ok()

    # -- statements
    def _query(self, query: dict, body: dict) -> None:
        session = self._session()
        request_id = query.get("requestId") or str(uuid.uuid4())
        job = self.server.requests.get(request_id)
        if job is None:  # a repeated request is the same statement, not a second one
            query_id = str(uuid.uuid4())
            running = Running(query_id, str(body.get("sqlText") or ""), request_id, time.monotonic())
            job = Job(query_id, running)
            self.server.jobs[query_id] = self.server.requests[request_id] = job
            threading.Thread(target=run_job, args=(self.server, session, job, body), daemon=True).start()
        wait = 0.0 if body.get("asyncExec") else self.server.async_after
        if not job.done.wait(wait):
            self._pending(job, "333334" if body.get("asyncExec") else "333333")
            return
        self._answer(job)

    def _pending(self, job: Job, code: str) -> None:
        data = {
            "queryId": job.query_id,
            "getResultUrl": f"/queries/{job.query_id}/result",
            "queryAbortsAfterSecs": 300,
            "progressDesc": None,
        }
        self._send({"data": data, "code": code, "message": "Query execution in progress.", "success": True})

    def _answer(self, job: Job) -> None:
        if job.dropped:
            self.server.requests.pop(job.running.request_id, None) if job.answer is None else None
            job.dropped = False  # asked again by query or request id, it answers
            self._drop()
        elif job.http:
            self.server.requests.pop(job.running.request_id, None)
            self._send({"message": "Service Unavailable"}, job.http)
        else:
            self._send(job.answer)

    def _result(self, query_id: str) -> None:
        self._session()
        job = self.server.jobs.get(query_id)
        if job is None:
            raise SnowflakeError(709, "02000", f"Statement {query_id} not found")
        if not job.done.wait(self.server.async_after):
            self._pending(job, "333333")
            return
        self._answer(job)

    def _monitor(self, query_id: str) -> None:
        job = self.server.jobs.get(query_id)
        if job is None:
            self._ok({"queries": []})
            return
        state = (
            "RUNNING"
            if not job.done.is_set()
            else "SUCCESS"
            if job.answer and job.answer["success"]
            else "FAILED_WITH_ERROR"
        )
        self._ok(
            {
                "queries": [
                    {
                        "id": query_id,
                        "status": state,
                        "errorCode": (job.answer or {}).get("code"),
                        "errorMessage": (job.answer or {}).get("message"),
                    }
                ]
            }
        )

    def _abort(self, query: dict, body: dict) -> None:
        self._session()
        job = self.server.requests.get(str(body.get("requestId") or body.get("sqlText") or ""))
        if job is None or not self.server.cancel(job.query_id):
            raise SnowflakeError(605, "02000", "Identified SQL statement is not currently executing.")
        self._ok()

    def _control(self, query: dict, body: Any) -> None:
        with self.server.engine.lock:
            self._send(self.server.control.do(body))


def run_job(server: Server, session: Session, job: Job, body: dict) -> None:
    control, engine, running = server.control, server.engine, job.running
    entry = control.begin(session, running)
    timeout = float(
        (body.get("parameters") or {}).get("STATEMENT_TIMEOUT_IN_SECONDS")
        or session.param("STATEMENT_TIMEOUT_IN_SECONDS", 0)
        or 0
    )
    if timeout:
        running.timeout, running.deadline = timeout, time.monotonic() + timeout
    faults = control.fault(running.text, tag=session.tag)
    actions = {f.action: f for f in faults}
    try:
        _sleep(engine, session, running, control.latency + sum(f.seconds for f in faults if f.action == "delay"))
        if "expire" in actions:
            session.expired = True
            raise session_expired()
        if "http" in actions:
            job.http, entry.outcome = actions["http"].status, f"http {actions['http'].status}"
            return
        if "drop_before" in actions:
            job.dropped, entry.outcome = True, "dropped_before"
            return
        if "error" in actions:
            fault = actions["error"]
            raise SnowflakeError(fault.code, fault.state, fault.message)
        result = status() if "pretend" in actions else None
        for row in [] if result is not None else bindings.rows_of(body.get("bindings")):
            one = engine.execute(session, running.text, row, running)
            if result is not None and result.affected is not None:
                one.affected = (one.affected or 0) + result.affected
                one.rows = [(one.affected,)]
            result = one
        assert result is not None
        session.results[job.query_id] = result
        job.answer = wire.body(result, job.query_id, session.database, session.schema, session.role, session.warehouse)
        entry.outcome, entry.rows = "success", result.affected if result.affected is not None else len(result.rows)
    except SnowflakeError as error:
        job.answer = wire.failure(
            error.number, error.state, error.message, job.query_id if error.code != 390112 else None
        )
        entry.outcome, entry.message = error.number, error.message
    except Exception as error:  # a gap in the emulator: say so, as an error and not as a 500
        job.answer = wire.failure("000603", "XX000", f"EMULATOR: {type(error).__name__}: {error}", job.query_id)
        entry.outcome, entry.message = "000603", f"EMULATOR: {type(error).__name__}: {error}"
        if server.control.entries and __debug__:
            import traceback

            entry.message += "\n" + traceback.format_exc()
    finally:
        if "drop_after" in actions and job.answer is not None:
            job.dropped = True
            entry.outcome = f"dropped_after {entry.outcome}"
        entry.seconds = round(time.monotonic() - running.started, 6)
        control.watch(entry.number)
        job.done.set()


def _sleep(engine: Engine, session: Session, running: Running, seconds: float) -> None:
    """Latency counts against the statement's time-out, as waiting in a queue does."""
    session.running = running
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        engine.check(session)
        time.sleep(min(left, 0.02))
    engine.check(session)
