"""What the self-tests stand on: an emulator of their own each, and the Python connector."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import Any

import snowflake.connector

from .auth import Rules
from .engine import Engine
from .server import Server
from .switches import Switches


class Refused(AssertionError):
    """A statement failed; ``code`` is Snowflake's number."""

    def __init__(self, code: int, message: str, query_id: str | None):
        super().__init__(f"{code:06d}: {message}")
        self.code, self.message, self.query_id = code, message, query_id


class World:
    """One emulator on a free port and the sessions that a test opens on it."""

    def __init__(self, rules: Rules | None = None, show_limit: int = 10_000, async_after: float = 45, **switches: str):
        self.engine = Engine(Switches({k.replace("_", "-"): v for k, v in switches.items()}), show_limit)
        self.engine.catalog.roles |= {"DEPLOYER", "READER", "ANALYST"}
        self.server = Server(0, self.engine, rules or Rules(), async_after)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.open: list[Any] = []
        self._main: Any = None

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.engine.store.duck.close()

    def connect(self, **arguments: Any) -> Any:
        given = dict(
            account="emulator",
            user="tester",
            password="secret",
            host="127.0.0.1",
            port=self.port,
            protocol="http",
            role="ACCOUNTADMIN",
            warehouse="COMPUTE_WH",
            login_timeout=5,
            network_timeout=10,
            session_parameters={},
            platform_detection_timeout_seconds=0.0,
        )
        one = snowflake.connector.connect(**(given | arguments))
        self.open.append(one)
        return one

    @property
    def main(self) -> Any:
        self._main = self._main or self.connect()
        return self._main

    def sql(self, *statements: str, on: Any = None) -> list[tuple]:
        """Run statements, answer the last one's rows."""
        rows: list[tuple] = []
        for text in statements:
            cursor = (on or self.main).cursor()
            try:
                rows = cursor.execute(text).fetchall()
            except snowflake.connector.Error as error:
                raise Refused(error.errno, str(error.msg), error.sfqid) from None
            self.query_id = cursor.sfqid
        return rows

    def rows(self, text: str, on: Any = None) -> list[dict]:
        """The rows with their column names."""
        cursor = (on or self.main).cursor()
        try:
            found = cursor.execute(text).fetchall()
        except snowflake.connector.Error as error:
            raise Refused(error.errno, str(error.msg), error.sfqid) from None
        names = [d.name for d in cursor.description]
        return [dict(zip(names, row)) for row in found]

    def names(self, text: str, column: str = "name") -> list[str]:
        return [row[column] for row in self.rows(text)]

    def refuses(self, code: int, text: str, on: Any = None) -> Refused:
        try:
            self.sql(text, on=on)
        except Refused as refused:
            assert refused.code == code, f"{text}\n    answered {refused}, not {code:06d}"
            return refused
        raise AssertionError(f"{text}\n    was accepted; it should answer {code:06d}")

    def control(self, **request: Any) -> Any:
        return self.post("/emulator/control", request)

    def post(self, path: str, body: Any, token: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f'Snowflake Token="{token}"'} if token else {}
        )
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers)
        return json.load(urllib.request.urlopen(request, timeout=10))

    def get(self, path: str, token: str | None = None) -> Any:
        headers = {"Authorization": f'Snowflake Token="{token}"'} if token else {}
        return json.load(
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers), timeout=10
            )
        )

    def shop(self) -> None:
        """PROD with a schema S: table T of two rows, and views that name things in three ways."""
        self.sql(
            "create database PROD",
            "create schema PROD.S",
            "create table PROD.S.T as select 1 as id, 'a' as name union all select 2, 'b'",
            "create view PROD.S.RELATIVE as select id, name from T",
            "create view PROD.S.HALF as select id from S.T",
            "create view PROD.S.ABSOLUTE as select id from PROD.S.T",
        )


def count(world: World, name: str) -> int:
    return world.sql(f"select count(*) from {name}")[0][0]
