"""Measures what is promised about PostgreSQL: `make bench`, parts e and f.

    e  how fast is the copy of production, beside `pg_dump | psql` and beside bare INSERT … SELECT?
    f  how long does a reader wait at the swap, with few and many relations?

The server is started here, unprivileged, with a data folder of its own and its usual durable settings
(fsync, synchronous_commit and full_page_writes are on); what differs from its defaults is in SETTINGS.
What is compared is measured in interleaved rounds, each after a checkpoint; medians are shown.

Two productions of 1 GB are copied: `marts`, tables as dbt makes them, in which one holds two thirds of
all rows; and `keys`, wide rows of text with primary keys and a foreign key. Bare inserts copy the rows
alone, one table after another in one session, into tables without keys and indexes:
`INSERT INTO copy SELECT * FROM live`. Also shown: the same into tables with the same keys and indexes,
as `pg_dump` and Switchback make them, and `pg_dump | psql` with the ANALYZE that a clone ends with.

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

    def drop(self):
        self.server.ask("postgres", f"DROP DATABASE {self.name}")

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


def marts(megabytes):
    """Tables as dbt makes them (CREATE TABLE AS, indexes as `indexes:` in a model's config makes them),
    of the columns and proportions of TPC-H's: keys, money, dates, flags, short text."""
    orders = megabytes * 1250
    return f"""
CREATE SCHEMA live;
CREATE TABLE live.orders AS SELECT g::bigint AS order_key, 1 + g * 7919::bigint % {orders // 10} AS
  customer_key, (ARRAY['F', 'O', 'P'])[1 + g % 3] AS status, (g * 104729::bigint % 45000000 / 100.0)
  ::numeric(15, 2) AS total_price, date '1992-01-01' + (g % 2400)::int AS order_date,
  (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + g % 5] AS priority,
  'Clerk#' || lpad((g % 1000)::text, 9, '0') AS clerk, 0 AS ship_priority,
  left(md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text), 19 + g % 60) AS comment
  FROM generate_series(1, {orders}) g;
CREATE TABLE live.lineitems AS SELECT o.order_key, (o.order_key * 31 + n) % {orders // 7} AS part_key,
  (o.order_key * 17 + n) % {orders // 150} AS supplier_key, n AS line_number,
  (1 + (o.order_key + n) % 50)::numeric(15, 2) AS quantity,
  (o.order_key * 7919 % 9000000 / 100.0 + n)::numeric(15, 2) AS extended_price,
  ((o.order_key + n) % 11 / 100.0)::numeric(15, 2) AS discount,
  ((o.order_key + n) % 9 / 100.0)::numeric(15, 2) AS tax,
  (ARRAY['A', 'N', 'R'])[1 + (o.order_key + n) % 3] AS return_flag,
  (ARRAY['F', 'O'])[1 + o.order_key % 2] AS line_status, o.order_date + n * 11 AS ship_date,
  o.order_date + n * 13 AS commit_date, o.order_date + n * 17 AS receipt_date,
  (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + (o.order_key + n) % 4]
  AS ship_instruct, (ARRAY['AIR', 'MAIL', 'SHIP', 'TRUCK', 'RAIL', 'FOB', 'REG AIR'])
  [1 + (o.order_key * 3 + n) % 7] AS ship_mode, left(md5((o.order_key * 8 + n)::text), 10 + n * 3) AS comment
  FROM live.orders o, generate_series(1, 4) n;
CREATE TABLE live.customers AS SELECT g AS customer_key, 'Customer#' || lpad(g::text, 9, '0') AS name,
  left(md5(g::text), 10 + g % 22) AS address, g % 25 AS nation_key, lpad(g::text, 15, '9') AS phone,
  (g % 1100000 / 100.0 - 1000)::numeric(15, 2) AS balance,
  (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[1 + g % 5] AS segment,
  repeat(md5(g::text), 2) AS comment FROM generate_series(1, {orders // 10}) g;
CREATE TABLE live.part_suppliers AS SELECT 1 + g / 4 AS part_key, g % {orders // 150} AS supplier_key,
  g % 9999 AS available, (g % 100000 / 100.0)::numeric(15, 2) AS cost,
  repeat(md5(g::text), 4) AS comment FROM generate_series(1, {orders // 2}) g;
CREATE TABLE live.daily AS SELECT ship_date, return_flag, sum(quantity) AS quantity,
  sum(extended_price * (1 - discount)) AS revenue, count(*) AS lines FROM live.lineitems GROUP BY 1, 2;
CREATE UNIQUE INDEX ON live.orders (order_key);
CREATE INDEX ON live.lineitems (order_key);
CREATE VIEW live.late AS SELECT * FROM live.lineitems WHERE receipt_date > commit_date;
"""


# What makes of a restored dump what a clone is: until then the server plans queries blindly.
AND_ANALYZE = "pg_dump | psql, ANALYZE"
SHAPES = {"marts": marts, "keys": tables}


def make_tables(world, text):
    world.ask(text)
    world.ask("VACUUM ANALYZE")
    sql = "SELECT relname FROM pg_class WHERE relnamespace = 'live'::regnamespace AND relkind = 'r'"
    world.tables = [name for (name,) in world.ask(f"{sql} ORDER BY oid")]


def bare(world, like):
    world.ask("DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare")
    for name in world.tables:
        world.ask(f"CREATE TABLE bare.{name} (LIKE live.{name}{like})")
    connection = world.server.connect(world.name)
    with connection.cursor() as cursor:
        began = time.perf_counter()
        for name in world.tables:
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
    analyzed = server.timed("other", "ANALYZE")
    server.ask("postgres", "DROP DATABASE other")
    return seconds, seconds + analyzed


def cloned(world):
    steps = world.switchback("build", "--dbt-command", "build --select small")
    build = world.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'live\\_\\_build%'")[0][0]
    for name in world.tables:
        count = f"SELECT (SELECT count(*) FROM live.{name}) = (SELECT count(*) FROM {build}.{name})"
        if not world.ask(count)[0][0]:
            sys.exit(f"the copy of {name} has other rows than production")
    world.ask(f"DROP SCHEMA {build} CASCADE")
    return steps["clone"]


def copies(server, folder, megabytes, rounds, shape):
    """e"""
    world = World(server, folder, f"copies_{shape}")
    print(f"e: {shape}: making a production …", file=sys.stderr)
    make_tables(world, SHAPES[shape](megabytes))
    size = "SELECT sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint FROM pg_class c \
            WHERE relnamespace = 'live'::regnamespace AND relkind = 'r'"
    heap, indexes = world.ask(size)[0]
    ways = {
        "clone": lambda: cloned(world),
        "inserts, no indexes": lambda: bare(world, ""),
        "inserts, same indexes": lambda: bare(world, " INCLUDING ALL"),
        "pg_dump | psql": lambda: dumped(world),
    }
    seconds = {name: [] for name in [*ways, AND_ANALYZE]}
    for turn in range(rounds):
        order = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
        for name in order:
            server.ask("postgres", "CHECKPOINT")
            took = ways[name]()
            if isinstance(took, tuple):
                took, analyzed = took
                seconds[AND_ANALYZE].append(analyzed)
            seconds[name].append(took)
            print(f"e: {shape}: {name}: {took:.2f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    world.drop()
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
                size = 200 if given.quick else 1000
                result["copy"] = {
                    shape: copies(server, folder, size, rounds, shape) for shape in SHAPES
                }
            if "f" in given.parts:
                shapes = {
                    f"{count:,} relations": (lambda world, count=count: many(world, count), "t0")
                    for count in ((10, 1000) if given.quick else (10, 1000, 5000))
                }
                large = 100 if given.quick else 500
                shapes[f"5 relations, {large} MB"] = (lambda world: make_tables(world, tables(large)), "customers")
                result["swap"] = swaps(server, folder, shapes, 6)
        finally:
            server.stop()
    return result


def report(result):
    print(f"\nPostgreSQL {result['server']}, {result['cpus']} CPUs, load {result['load']:.1f} before")
    for shape, copy in result.get("copy", {}).items():
        median = {name: statistics.median(all_) for name, all_ in copy["seconds"].items()}
        size = (copy["bytes"] + copy["index bytes"]) / 1e6
        print(
            f"e  {shape}: a copy of {copy['bytes'] / 1e6:,.0f} MB of tables with "
            f"{copy['index bytes'] / 1e6:,.0f} MB of indexes"
        )
        for name, all_ in copy["seconds"].items():
            print(f"   {name:<24} {median[name]:7.2f} s  ({min(all_):.2f} to {max(all_):.2f}, {len(all_)} rounds)")
        print(f"   {size / median['clone']:,.0f} MB/s")
        for name in list(median)[1:]:
            print(f"   speed of the clone / {name:<24} {median[name] / median['clone']:.2f} ×")
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
