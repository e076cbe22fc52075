"""Measures what is promised about Snowflake: `make bench`, part d.

    How many statements does Switchback send of its own, and what do they come to when each takes
    150 ms longer?

Production is 20 schemas, 1,000 tables and 200 views, made by SQL in the emulator (`tests/emulator`),
with complete names as dbt writes them. dbt is a stand-in (`tests/support/many_nodes_dbt.py`) that rebuilds k nodes.

How the time is counted, for every run: wall time, less the time in which a dbt process was running,
less the time in which the emulator was executing statements of Switchback's and none of them was
in its added latency. What is left is Switchback's: its own work, every latency that it waited for,
its sign-ins (which wait as long), and whatever the machine does besides. An account has its own
execution time instead of the emulator's, which stands in Snowflake's query history.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
import many_nodes_dbt  # noqa: E402

SHAPE = {"schemas": 20, "tables": 1000, "views": 200}
LATENCY = 0.150
CHANGED = (5, 50, 200)
PATIENCE = 900


class Account:
    """The emulator as a process; its standard input ends it."""

    def __init__(self, folder, python):
        ready = folder / "port"
        self.errors = open(folder / "emulator.err", "w+", encoding="utf-8")
        self.child = subprocess.Popen(
            [python, "-B", "-m", "emulator", "--ready-file", str(ready), "--role", "DEPLOY"],
            cwd=ROOT / "tests",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
        )
        end = time.monotonic() + 60
        while not ready.exists():
            if self.child.poll() is not None or time.monotonic() > end:
                self.errors.seek(0)
                sys.exit(f"the emulator does not start:\n{self.errors.read()}")
            time.sleep(0.02)
        self.port = int(ready.read_text())

    def _ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def control(self, *requests):
        return self._ask("/emulator/control", list(requests))

    def sql(self, *statements):
        """Runs statements outside of the log."""
        for at in range(0, len(statements), 100):
            batch = statements[at : at + 100]
            for text, answer in zip(batch, self.control(*({"op": "sql", "text": t} for t in batch))):
                if "error" in answer:
                    sys.exit(f"{text}: {answer}")

    def statements(self):
        """The log since it was cleared, without what stands in blocks and what dbt sent."""
        log = self._ask("/emulator/statements")
        return [one for one in log if not one["inner"] and one["query_tag"] != "dbt"]

    def end(self):
        self.child.stdin.close()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Shop:
    """A production in an account of its own, and its project."""

    def __init__(self, folder, python, shape):
        folder.mkdir(parents=True)
        self.folder, self.shape = folder, dict(shape)
        self.account = Account(folder, python)
        self.times = folder / "times"
        (folder / "bin").mkdir()
        dbt = folder / "bin" / "dbt"
        dbt.write_text(
            f"#!{python}\nimport sys\nsys.path.insert(0, "
            f"{str(ROOT / 'tests/support')!r})\nimport many_nodes_dbt\n"
            "sys.exit(many_nodes_dbt.main(sys.argv[1:]))\n",
            encoding="utf-8",
        )
        dbt.chmod(0o755)
        self.project = folder / "project"
        self.project.mkdir()
        self._write("dbt_project.yml", "name: shop\nprofile: shop\n")
        self._write("switchback.yml", f"dbt-executable: '{dbt}'\n")
        self._write(
            "profiles.yml",
            "shop:\n  target: prod\n  outputs:\n    prod: {type: snowflake, account: emulator, "
            f"host: 127.0.0.1, port: {self.account.port}, protocol: http, user: deployer, "
            "password: secret, role: ACCOUNTADMIN, warehouse: COMPUTE_WH, database: SHOP, "
            "schema: S00, threads: 8}\n",
        )
        schemas = [f"create schema SHOP.S{at:02}" for at in range(shape["schemas"])]
        nodes = [
            many_nodes_dbt.statement("SHOP", shape, *node, 0)
            for node in many_nodes_dbt.relations(shape)
        ]
        self.account.sql("create database SHOP", *schemas, *nodes)

    def _write(self, name, text):
        (self.project / name).write_text(text, encoding="utf-8")

    def changed(self, count):
        """That many nodes, tables and views in their proportion, spread over the project."""
        names = [name for name, _, _ in many_nodes_dbt.relations(self.shape)]
        step = len(names) / count
        return [names[int((at + 1) * step) - 1] for at in range(count)]

    def run(self, version, count, latency, *arguments):
        """Runs switchback, and says what it sent and how long it took."""
        wanted = {
            **self.shape,
            "rebuild": self.changed(count),
            "version": version,
            "times": str(self.times),
        }
        self._write("standin.json", json.dumps(wanted))
        self.times.unlink(missing_ok=True)
        self.account.control({"op": "log", "clear": True}, {"op": "latency", "ms": latency * 1000})
        env = {**os.environ, "NO_COLOR": "1", "DBT_PROFILES_DIR": str(self.project)}
        env.pop("GITHUB_ACTIONS", None)
        words = [os.environ["SWITCHBACK"], *arguments, "--format", "json"]
        began = time.time()
        done = subprocess.run(
            words,
            cwd=self.project,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        ended = time.time()
        self.account.control({"op": "latency", "ms": 0})
        if done.returncode != 0:
            sys.exit(f"{words} ended {done.returncode}:\n{done.stdout}\n{done.stderr}")
        dbt = []
        if self.times.exists():
            dbt = [json.loads(line)[1:] for line in self.times.read_text().splitlines()]
        return Measured(began, ended, dbt, self.account.statements(), latency)


class Measured:
    """A run, taken apart."""

    def __init__(self, began, ended, dbt, statements, latency):
        self.statements = statements
        self.wall = ended - began
        self.began = began
        waits, works = [], []
        for one in statements:
            at = datetime.fromisoformat(one["started"]).timestamp()
            middle = min(at + latency, at + one["seconds"])
            waits.append((at, middle))
            works.append((middle, at + one["seconds"]))
        self.dbt = length(dbt)
        self.emulator = length(without(without(works, waits), dbt))
        self.own = self.wall - self.dbt - self.emulator
        self.depth = length(without(waits, dbt)) / latency if latency else None
        self.by_step = Counter(step(one["query_tag"]) for one in statements)

    def figures(self):
        return {
            "statements": len(self.statements),
            "by_step": dict(self.by_step),
            "seconds": round(self.wall, 3),
            "dbt": round(self.dbt, 3),
            "emulator": round(self.emulator, 3),
            "own": round(self.own, 3),
        }

    def trace(self):
        for one in self.statements:
            at = datetime.fromisoformat(one["started"]).timestamp() - self.began
            text = re.sub(r"\s+", " ", one["text"])[:110]
            said = one["query_tag"].split("/", 2)[-1]
            print(f"{at:8.3f} {one['seconds']:7.3f} {one['session'] % 1000:4} {said:28} {text}")


def merged(spans):
    """Spans that do not overlap."""
    found = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return found


def length(spans):
    return sum(end - begin for begin, end in merged(spans))


def without(spans, others):
    """What is left of the first where the second are not."""
    left = []
    for begin, end in merged(spans):
        for low, high in merged(others):
            if high <= begin or low >= end:
                continue
            if low > begin:
                left.append((begin, low))
            begin = max(begin, high)
        if begin < end:
            left.append((begin, end))
    return left


def step(tag):
    """What a statement was sent for: `switchback/<run>/<release>/<step>`."""
    said = tag.split("/", 3)[-1] if tag.startswith("switchback/") else tag or "(no tag)"
    return said.split(":")[0]


def measure(folder, python, latencies=(LATENCY, 0.0), trace=False):
    """Adopts, deploys with k changed, and rolls back, with and without the latency, in turns."""
    found = {}
    shops = {latency: Shop(folder / f"{latency}", python, SHAPE) for latency in latencies}
    stories = [
        ("first adoption, 5 changed", 5, ("deploy",)),
        *((f"deploy, {count} changed", count, ("deploy",)) for count in CHANGED),
        ("rollback", 5, ("rollback", "--reason", "bench", "--hold", "none")),
    ]
    try:
        for version, (name, count, arguments) in enumerate(stories, 1):
            for latency, shop in shops.items():
                print(f"d: {name}, {latency * 1000:.0f} ms …", file=sys.stderr)
                run = shop.run(version, count, latency, *arguments)
                found.setdefault(name, {})[latency] = run
                if trace:
                    print(f"--- {name}, {latency}")
                    run.trace()
    finally:
        for shop in shops.values():
            shop.account.end()
    return found


def report(found):
    """Prints the statements by step, and the times."""
    names = list(found)
    added = max(latency for runs in found.values() for latency in runs)
    slow = {name: runs[added] for name, runs in found.items()}
    steps = list(dict.fromkeys(step for run in slow.values() for step in run.by_step))
    print(
        f"\nd  Snowflake, on the emulator: {SHAPE['schemas']} schemas, {SHAPE['tables']:,} tables, "
        f"{SHAPE['views']} views"
    )
    width = max(len(step) for step in steps + ["emulator's execution"])
    print("  Switchback's own statements, by what they were sent for")
    print(f"  {'':{width}}" + "".join(f"  {name:>26}" for name in names))
    for what in steps:
        cells = (slow[name].by_step.get(what, 0) for name in names)
        print(f"  {what:{width}}" + "".join(f"  {cell:26,}" for cell in cells))
    totals = (len(slow[name].statements) for name in names)
    print(f"  {'all':{width}}" + "".join(f"  {cell:26,}" for cell in totals))
    for latency in sorted((one for one in found[names[0]]), reverse=True):
        print(f"  Seconds, {latency * 1000:.0f} ms added to each statement and sign-in")
        runs = [found[name][latency] for name in names]
        for what, cells in (
            ("wall", [run.wall for run in runs]),
            ("dbt's (stand-in)", [run.dbt for run in runs]),
            ("emulator's execution", [run.emulator for run in runs]),
            ("Switchback's own", [run.own for run in runs]),
        ):
            print(f"  {what:{width}}" + "".join(f"  {cell:26.2f}" for cell in cells))
        if latency:
            cells = [run.depth for run in runs]
            what = "latencies in sequence"
            print(f"  {what:{width}}" + "".join(f"  {cell:26.1f}" for cell in cells))
    print(
        "  Switchback's own: wall time without dbt's processes and without the time in which the "
        "emulator\n  executed and nothing waited for the added latency."
    )


def main():
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "target") as folder:
        python = os.environ.get("SWITCHBACK_SNOWFLAKE_PYTHON")
        python = python or str(ROOT / ".venv-snowflake/bin/python")
        latencies = (LATENCY,) if "--slow-only" in sys.argv else (LATENCY, 0.0)
        report(measure(Path(folder).resolve(), python, latencies, "--trace" in sys.argv))


if __name__ == "__main__":
    main()
