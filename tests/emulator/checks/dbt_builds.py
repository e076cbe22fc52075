"""Real dbt-snowflake, over HTTP, on an emulator in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def _start(folder: Path) -> tuple[subprocess.Popen, int]:
    ready = folder / "port"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "emulator",
            "--ready-file",
            str(ready),
            "--log",
            str(folder / "log"),
            "--database",
            "ANALYTICS",
            "--role",
            "TRANSFORMER",
            "--role",
            "READER",
        ],
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
    )
    end = time.monotonic() + 30
    while not ready.exists():
        assert process.poll() is None and time.monotonic() < end, "the emulator did not start"
        time.sleep(0.05)
    return process, int(ready.read_text())


def _dbt(dbt: str, folder: Path, port: int, *arguments: str, database: str = "ANALYTICS") -> str:
    done = subprocess.run(
        [
            dbt,
            "--no-use-colors",
            *arguments,
            "--project-dir",
            str(folder / "project"),
            "--profiles-dir",
            str(folder / "project"),
        ],
        env=os.environ | {"EMULATOR_PORT": str(port), "EMULATOR_DATABASE": database, "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return done.stdout


def a_real_dbt_project_builds_twice_in_a_row_and_writes_its_catalogue(dbt: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(HERE / "project", folder / "project")
        process, port = _start(folder)
        try:
            for _ in range(2):
                assert "ERROR=0 SKIP=0" in _dbt(dbt, folder, port, "build")
            _dbt(dbt, folder, port, "docs", "generate")
            log = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/emulator/statements", timeout=10))
            bad = [(e["text"][:300], e["message"][:300]) for e in log if e["outcome"] != "success"]
            assert not bad, bad
            assert any(e["query_tag"] == "dbt-selftest" for e in log)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        assert (folder / "log").read_text().count("\n") == len(log)


def _sql(port: int, *statements: str) -> list:
    body = json.dumps([{"op": "sql", "text": text} for text in statements]).encode()
    answers = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/emulator/control", body, timeout=10))
    assert all("rows" in answer for answer in answers), answers
    return answers[-1]["rows"]


def views_that_dbt_built_on_a_clone_read_the_old_rows_after_the_swap(dbt: str) -> None:
    """D/I (8): the trap that relinking is for, with dbt's own view texts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(HERE / "project", folder / "project")
        process, port = _start(folder)
        try:
            _dbt(dbt, folder, port, "build")
            _sql(port, "create database BUILD clone ANALYTICS")
            with (folder / "project/seeds/raw_orders.csv").open("a") as seed:
                seed.write("4,bob,5.0,2026-01-04 13:00:00\n")
            _dbt(dbt, folder, port, "build", database="BUILD")
            _sql(port, "alter database ANALYTICS swap with BUILD")
            assert _sql(port, "select count(*) from ANALYTICS.MARTS.RAW_ORDERS") == [["4"]]
            assert _sql(port, "select count(*) from ANALYTICS.MARTS.ORDER_EVENTS") == [["4"]]
            assert _sql(port, "select count(*) from ANALYTICS.MARTS.STG_ORDERS") == [["3"]]
            text = _sql(
                port, "select view_definition from ANALYTICS.information_schema.views where table_name = 'STG_ORDERS'"
            )
            assert "BUILD.MARTS.raw_orders" in text[0][0]
        finally:
            process.terminate()
            assert process.wait(10) == 0


def the_emulator_ends_when_its_standard_input_does(dbt: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        process, _ = _start(Path(name))
        process.stdin.close()
        assert process.wait(10) == 0
