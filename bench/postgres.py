"""Measures what is promised about PostgreSQL: `make bench`, parts e and f.

    e  how fast is the copy of production, beside `pg_dump | psql` and beside bare INSERT … SELECT?
    f  how long does a reader wait at the swap, with few and many relations?

The server is started here, unprivileged, with a data folder of its own and its usual durable settings
(fsync, synchronous_commit and full_page_writes are on); what differs from its defaults is in SETTINGS.
What is compared is measured in interleaved rounds, each after a checkpoint; medians are shown.

Bare inserts copy the rows alone, one table after another in one session, into tables without keys and
indexes: `INSERT INTO copy SELECT * FROM live`. Also shown: the same into tables with the same keys and
indexes, as `pg_dump` and Switchback make them.

Run it with a Python that has psycopg2 (that of dbt-postgres), and SWITCHBACK, the binary.
"""

import argparse
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import psycopg2

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 900
SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "max_locks_per_transaction": "512",
    "max_connections": "60",
    "autovacuum": "off",  # or it would fall into one round and not into another
}


def unprivileged(words):
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return words
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *words]


class Server:
    def __init__(self, folder):
        found = sorted(
            glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4])
        )
        if not found:
            sys.exit("there is no PostgreSQL server; run tests/support/install_postgres.sh")
        self.bin = Path(found[-1]).parent
        self.folder = folder / "server"
        self.folder.mkdir()
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.data = self.folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.say(
            "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8",
            "--locale=C.UTF-8",
        )
        settings = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 {settings}"
        self.say("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")
        self.version = self.ask("postgres", "SHOW server_version")[0][0].split(" ")[0]

    def say(self, program, *words):
        words = unprivileged([str(self.bin / program), *map(str, words)])
        done = subprocess.run(
            words, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=PATIENCE
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)} ended {done.returncode}")

    def stop(self):
        self.say("pg_ctl", "-D", self.data, "-m", "immediate", "stop")

    def connect(self, database):
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database
        )
        connection.autocommit = True
        return connection

    def ask(self, database, text):
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def timed(self, database, text):
        began = time.perf_counter()
        self.ask(database, text)
        return time.perf_counter() - began


class World:
    """A database with a project whose stand-in dbt makes one small table."""

    def __init__(self, server, folder, name):
        self.server, self.name = server, name
        self.project = folder / name
        self.project.mkdir()
        server.ask("postgres", f"CREATE DATABASE {name}")
        support = ROOT / "tests/support"
        shutil.copy(support / "standin_dbt.py", self.project / "standin_dbt.py")
        self.dbt = self.project / "dbt"
        source = (support / "standin_postgres.py").read_text(encoding="utf-8")
        self.dbt.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
        self.dbt.chmod(0o755)
        write = lambda file, text: (self.project / file).write_text(text, encoding="utf-8")  # noqa: E731
        write("dbt_project.yml", "name: shop\nprofile: shop\n")
        write(
            "profiles.yml",
            "shop:\n  target: prod\n  outputs:\n    prod: {type: postgres, host: 127.0.0.1, "
            f"port: {server.port}, user: postgres, password: none, dbname: {name}, schema: live, "
            f"threads: {os.cpu_count()}}}\n",
        )
        node = {"unique_id": "model.shop.small", "resource_type": "model", "name": "small"}
        write("standin.json", json.dumps({"nodes": [{**node, "sql": "select 1 as v"}]}))

    def ask(self, text):
        return self.server.ask(self.name, text)

    def switchback(self, *words):
        """Runs switchback; answers the seconds of each step, and of the whole."""
        env = {**os.environ, "NO_COLOR": "1"}
        for name in ("DBT_PROFILES_DIR", "GITHUB_ACTIONS"):
            env.pop(name, None)
        last = "SELECT coalesce(max(seq), 0) FROM switchback.journal"
        there = "SELECT to_regclass('switchback.journal') IS NOT NULL"
        before = self.ask(last)[0][0] if self.ask(there)[0][0] else 0
        began = time.perf_counter()
        words = [os.environ["SWITCHBACK"], *words, "--dbt-executable", str(self.dbt)]
        done = subprocess.run(
            words, cwd=self.project, env=env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE,
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)} ended {done.returncode}:\n{done.stdout}\n{done.stderr}")
        seconds = {"in all": time.perf_counter() - began}
        records = self.ask(
            f"SELECT record::text FROM switchback.journal WHERE seq > {before} ORDER BY seq"
        )
        begun, self.windows = {}, {}
        for (text,) in records:
            record = json.loads(text)
            moment, entry = datetime.fromisoformat(record["at"]).timestamp(), record["entry"]
            if "intended" in entry:
                begun[entry["intended"]["step"]] = moment
            elif "done" in entry and entry["done"]["step"] in begun:
                step = entry["done"]["step"]
                seconds[step] = moment - begun[step]
                self.windows[step] = (begun[step], moment)
        return seconds


def tables(megabytes):
    """Tables as analytics has them: wide facts with text and numbers, an event log, dimensions."""
    rows = megabytes * 1400
    return f"""
CREATE SCHEMA live;
CREATE TABLE live.customers (id integer PRIMARY KEY, name text NOT NULL, email text, country text,
  created_at timestamptz, note text);
INSERT INTO live.customers SELECT g, 'customer ' || g, md5(g::text) || '@example.com',
  (ARRAY['de', 'fr', 'us', 'jp'])[1 + g % 4], now() - g * interval '1 minute', repeat(md5(g::text), 4)
  FROM generate_series(1, {rows // 10}) g;
CREATE TABLE live.orders (id bigint PRIMARY KEY, customer_id integer NOT NULL, at timestamptz NOT NULL,
  status text NOT NULL, amount numeric(12, 2) NOT NULL, tax numeric(12, 2), discount double precision,
  comment text);
INSERT INTO live.orders SELECT g, 1 + g % {rows // 10}, now() - g * interval '1 second',
  (ARRAY['open', 'paid', 'sent', 'returned'])[1 + g % 4], g % 100000 / 100.0, g % 1900 / 100.0,
  random(), 'order ' || md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text)
  FROM generate_series(1, {rows * 2}) g;
CREATE INDEX ON live.orders (customer_id);
CREATE TABLE live.events (at timestamptz, kind text, session text, url text, payload text);
INSERT INTO live.events SELECT now() - g * interval '1 second', 'kind ' || g % 20, md5((g / 10)::text),
  'https://example.com/' || md5(g::text), repeat(md5(g::text), 6) FROM generate_series(1, {rows}) g;
CREATE TABLE live.daily AS SELECT at::date AS day, status, sum(amount) AS amount, count(*) AS orders
  FROM live.orders GROUP BY 1, 2;
ALTER TABLE live.orders ADD FOREIGN KEY (customer_id) REFERENCES live.customers;
CREATE VIEW live.paid AS SELECT * FROM live.orders WHERE status = 'paid';
"""


def make_tables(world, megabytes):
    world.ask(tables(megabytes))
    world.ask("VACUUM ANALYZE")


NAMES = ("customers", "orders", "events", "daily")


def bare(world, like):
    world.ask("DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare")
    for name in NAMES:
        world.ask(f"CREATE TABLE bare.{name} (LIKE live.{name}{like})")
    connection = world.server.connect(world.name)
    with connection.cursor() as cursor:
        began = time.perf_counter()
        for name in NAMES:
            cursor.execute(f"INSERT INTO bare.{name} SELECT * FROM live.{name}")
        seconds = time.perf_counter() - began
    connection.close()
    world.ask("DROP SCHEMA bare CASCADE")
    return seconds


def dumped(world):
    server = world.server
    server.ask("postgres", "DROP DATABASE IF EXISTS other")
    server.ask("postgres", "CREATE DATABASE other")
    at = f"-h 127.0.0.1 -p {server.port} -U postgres"
    script = (
        f"{server.bin}/pg_dump {at} -n live {world.name} | "
        f"{server.bin}/psql {at} -qX -v ON_ERROR_STOP=1 -d other >/dev/null"
    )
    began = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-c", script], check=True, timeout=PATIENCE)
    seconds = time.perf_counter() - began
    server.ask("postgres", "DROP DATABASE other")
    return seconds


def cloned(world):
    steps = world.switchback("build", "--dbt-command", "build --select small")
    build = world.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'live\\_\\_build%'")[0][0]
    for name in NAMES:
        count = f"SELECT (SELECT count(*) FROM live.{name}) = (SELECT count(*) FROM {build}.{name})"
        if not world.ask(count)[0][0]:
            sys.exit(f"the copy of {name} has other rows than production")
    world.ask(f"DROP SCHEMA {build} CASCADE")
    return steps["clone"]


def copies(server, folder, megabytes, rounds):
    """e"""
    world = World(server, folder, "copies")
    print("e: making a production …", file=sys.stderr)
    make_tables(world, megabytes)
    size = "SELECT sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint FROM pg_class c \
            WHERE relnamespace = 'live'::regnamespace AND relkind = 'r'"
    heap, indexes = world.ask(size)[0]
    ways = {
        "clone": lambda: cloned(world),
        "inserts, no indexes": lambda: bare(world, ""),
        "inserts, same indexes": lambda: bare(world, " INCLUDING ALL"),
        "pg_dump | psql": lambda: dumped(world),
    }
    seconds = {name: [] for name in ways}
    for turn in range(rounds):
        order = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
        for name in order:
            server.ask("postgres", "CHECKPOINT")
            seconds[name].append(ways[name]())
            print(f"e: {name}: {seconds[name][-1]:.2f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return {"bytes": heap, "index bytes": indexes, "seconds": seconds}


class Reader(threading.Thread):
    """Reads one row all the time, and knows how long it waited."""

    def __init__(self, world, table):
        super().__init__(daemon=True)
        self.world, self.text, self.waits, self.ended = world, f"SELECT * FROM live.{table} LIMIT 1", [], False

    def run(self):
        connection = self.world.server.connect(self.world.name)
        with connection.cursor() as cursor:
            while not self.ended:
                began = time.time()
                cursor.execute(self.text)
                cursor.fetchall()
                self.waits.append((began, time.time()))
                time.sleep(0.0005)
        connection.close()


def many(world, relations):
    """Half tables, half views, in statements that hold few locks."""
    world.ask("CREATE SCHEMA live")
    for first in range(0, relations // 2, 200):
        text = "".join(
            f"CREATE TABLE live.t{n} AS SELECT {n} AS id, 'x' AS x; "
            f"CREATE VIEW live.v{n} AS SELECT * FROM live.t{n};"
            for n in range(first, min(first + 200, relations // 2))
        )
        world.ask(text)


def swaps(server, folder, shapes, rounds):
    """f: the longest that a reader waited while a rollback swapped, and the step's own seconds."""
    found = {}
    for name, (make, table) in shapes.items():
        print(f"f: {name} …", file=sys.stderr)
        world = World(server, folder, f"swaps{len(found)}")
        make(world)
        deploy = world.switchback("deploy", "--dbt-command", "build --select small")
        found[name] = {"wait": [], "swap": [], "rollback": [], "deploy": deploy}
        for turn in range(rounds):
            reader = Reader(world, table)
            reader.start()
            to = "r0" if turn % 2 == 0 else "r1"
            steps = world.switchback("rollback", "--to", to, "--reason", "bench", "--hold", "none")
            reader.ended = True
            reader.join()
            first, last = world.windows["swap"]
            during = [end - at for at, end in reader.waits if end > first and at < last]
            found[name]["wait"].append(max(during))
            found[name]["swap"].append(steps["swap"])
            found[name]["rollback"].append(steps["in all"])
    return found


def measure(given):
    rounds = 3 if given.quick else 4
    with tempfile.TemporaryDirectory(prefix="bench-pg-", dir=given.dir) as folder:
        folder = Path(folder).resolve()
        os.chmod(folder, 0o755)
        server = Server(folder)
        try:
            result = {
                "server": server.version, "cpus": os.cpu_count(), "load": os.getloadavg()[0],
                "settings": SETTINGS,
            }
            if "e" in given.parts:
                result["copy"] = copies(server, folder, 200 if given.quick else 1000, rounds)
            if "f" in given.parts:
                shapes = {
                    f"{count:,} relations": (lambda world, count=count: many(world, count), "t0")
                    for count in ((10, 1000) if given.quick else (10, 1000, 5000))
                }
                large = 100 if given.quick else 500
                shapes[f"5 relations, {large} MB"] = (lambda world: make_tables(world, large), "customers")
                result["swap"] = swaps(server, folder, shapes, 6)
        finally:
            server.stop()
    return result


def report(result):
    print(f"\nPostgreSQL {result['server']}, {result['cpus']} CPUs, load {result['load']:.1f} before")
    if "copy" in result:
        copy = result["copy"]
        median = {name: statistics.median(all_) for name, all_ in copy["seconds"].items()}
        size = (copy["bytes"] + copy["index bytes"]) / 1e6
        print(f"e  a copy of {copy['bytes'] / 1e6:,.0f} MB of tables with {copy['index bytes'] / 1e6:,.0f} MB of indexes")
        for name, all_ in copy["seconds"].items():
            print(f"   {name:<22} {median[name]:7.2f} s  ({min(all_):.2f} to {max(all_):.2f}, {len(all_)} rounds)")
        print(f"   {size / median['clone']:,.0f} MB/s")
        for name in list(median)[1:]:
            print(f"   speed of the clone / {name:<22} {median[name] / median['clone']:.2f} ×")
    if "swap" in result:
        print("f  milliseconds, median and most: what a reader waited / the swap's step")
        for name, one in result["swap"].items():
            wait, swap = ([1000 * s for s in one[key]] for key in ("wait", "swap"))
            print(
                f"   {name:<22} {statistics.median(wait):6.0f} {max(wait):6.0f} / "
                f"{statistics.median(swap):6.0f} {max(swap):6.0f}; rollback in all "
                f"{statistics.median(one['rollback']):.1f} s, deploy {one['deploy']['in all']:.1f} s "
                f"(clone {one['deploy']['clone']:.1f} s)"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 MB, not 1 GB; up to 1,000 relations")
    parser.add_argument("--parts", default="ef")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--dir", metavar="DIR", default=ROOT / "target")
    given = parser.parse_args()
    os.environ["SWITCHBACK"] = os.path.abspath(os.environ["SWITCHBACK"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the server would stay
    result = measure(given)
    report(result)
    if given.json:
        file = Path(given.json)
        other = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        text = json.dumps({**other, "postgres": result}, indent=2) + "\n"
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
