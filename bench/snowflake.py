"""Measures what is promised about Snowflake: `make bench`, part d.

    How many statements does Switchback send of its own, and what do they come to when each takes
    150 ms longer?

Production is 20 schemas, 1,000 tables and 200 views, made by SQL in the emulator (`tests/emulator`),
with complete names as dbt writes them. dbt is a stand-in (`tests/support/standin_snowflake_dbt.py`)
that knows all 1,200 nodes and rebuilds k of them.

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
import tempfile
import time
import urllib.request
from collections import Counter
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHAPE = {"schemas": 20, "tables": 1000, "views": 200}
LATENCY = 0.150
CHANGED = (5, 50, 200)
ROWS = 10
PATIENCE = 900
# The stand-in, and when it ran: Python's own start is dbt's time too.
DBT = """#!{python}
import os, sys, time
with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
    ticks = int(stat.read().rpartition(")")[2].split()[19])
    began = time.time() - float(uptime.read().split()[0]) + ticks / os.sysconf("SC_CLK_TCK")
sys.path.insert(0, {support!r})
import standin_snowflake_dbt
code = standin_snowflake_dbt.main(sys.argv[1:])
with open({times!r}, "a") as file:
    print(began, time.time(), file=file)
sys.exit(code)
"""


def relations(shape):
    """Every node: its name, its schema, whether it is a view, and what makes it."""
    tables = [(f"T{n:04}", f"S{n % shape['schemas']:02}") for n in range(shape["tables"])]
    for name, schema in tables:
        rows = (
            f"select {row} as id, 'row {row}' as name, {{version}} as version"
            for row in range(ROWS)
        )
        yield name, schema, "table", " union all ".join(rows)
    for n in range(shape["views"]):
        name, schema = tables[n * 7 % len(tables)]  # mostly in another schema
        sql = f"select id, name, version from {{database}}.{schema}.{name}"
        yield f"V{n:04}", f"S{n % shape['schemas']:02}", "view", sql


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
        dbt = folder / "dbt"
        support = str(ROOT / "tests/support")
        text = DBT.format(python=python, support=support, times=str(self.times))
        dbt.write_text(text, encoding="utf-8")
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
            "schema: S00, threads: 8, query_tag: dbt}\n",
        )
        schemas = [f"create schema SHOP.S{at:02}" for at in range(shape["schemas"])]
        nodes = [
            f"create or replace {kind} SHOP.{schema}.{name} as "
            f"({sql.format(database='SHOP', version=0)})"
            for name, schema, kind, sql in relations(shape)
        ]
        self.account.sql("create database SHOP", *schemas, *nodes)

    def _write(self, name, text):
        (self.project / name).write_text(text, encoding="utf-8")

    def changed(self, count):
        """That many nodes, tables and views in their proportion, spread over the project."""
        names = [name for name, *_ in relations(self.shape)]
        step = len(names) / count
        return [names[int((at + 1) * step) - 1] for at in range(count)]

    def run(self, version, count, latency, *arguments):
        """Runs switchback, and says what it sent and how long it took."""
        changed = self.changed(count)
        nodes = [
            {
                "unique_id": f"model.shop.{name.lower()}",
                "resource_type": "model",
                "name": name.lower(),
                "alias": name,
                "schema": schema,
                "materialized": kind,
                "sql": sql.format(
                    database="{{ target.database }}", version=version if name in changed else 0
                ),
            }
            for name, schema, kind, sql in relations(self.shape)
        ]
        self._write("standin.json", json.dumps({"nodes": nodes}))
        selected = f"build --select {' '.join(name.lower() for name in changed)}"
        self.times.unlink(missing_ok=True)
        self.account.control({"op": "log", "clear": True}, {"op": "latency", "ms": latency * 1000})
        env = {**os.environ, "NO_COLOR": "1", "DBT_PROFILES_DIR": str(self.project)}
        env.pop("GITHUB_ACTIONS", None)
        words = [os.environ["SWITCHBACK"], *arguments, "--format", "json"]
        if arguments[0] == "deploy":
            words += ["--dbt-command", selected]
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
            lines = self.times.read_text().splitlines()
            dbt = [[float(word) for word in line.split()] for line in lines]
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
            "depth": round(self.depth or 0, 1),
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
    return figures(found)


def figures(found):
    """What a report needs, as JSON has it."""
    return {
        name: {f"{latency * 1000:.0f} ms": run.figures() for latency, run in runs.items()}
        for name, runs in found.items()
    }


def report(found):
    """Prints the statements by step, and the times."""
    names = list(found)
    added, *less = found[names[0]]
    counts = {name: found[name][added]["by_step"] for name in names}
    steps = list(dict.fromkeys(step for count in counts.values() for step in count))
    width = max(len(step) for step in (*steps, "latencies in sequence"))

    def line(what, cells):
        print(f"  {what:<{width}}" + "".join(f"  {cell:>{len(n)}}" for n, cell in zip(names, cells)))

    print(
        f"\nd  Snowflake, on the emulator: {SHAPE['schemas']} schemas, {SHAPE['tables']:,} tables, "
        f"{SHAPE['views']} views\n"
        "   Switchback's own statements, by the step that they were sent for"
    )
    line("", names)
    for step in steps:
        line(step, [count.get(step, 0) for count in counts.values()])
    line("all", [found[name][added]["statements"] for name in names])
    rows = {
        "wall": "seconds",
        "dbt (a stand-in)": "dbt",
        "emulator": "emulator",
        "Switchback's own": "own",
    }
    for latency in (added, *less):
        print(f"   seconds, with {latency} added to each statement and each sign-in")
        for what, key in rows.items():
            line(what, [f"{found[name][latency][key]:.1f}" for name in names])
        if latency == added:
            line("latencies in sequence", [f"{found[name][latency]['depth']:.0f}" for name in names])
    print(
        "   Switchback's own: wall time less that of dbt's processes, and less the time in which the "
        "emulator\n   executed and none of the statements on their way was in its added latency."
    )


def main():
    """This part alone: `--trace` prints every statement, `--slow-only` leaves out the run without."""
    python = os.environ.get("SWITCHBACK_SNOWFLAKE_PYTHON", ROOT / ".venv-snowflake/bin/python")
    latencies = (LATENCY,) if "--slow-only" in sys.argv else (LATENCY, 0.0)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "target") as folder:
        report(measure(Path(folder).resolve(), python, latencies, "--trace" in sys.argv))


if __name__ == "__main__":
    main()
