"""Measures what is promised about time: `make bench`.

    a  does a rollback take longer when production is larger?
    b  what does a deploy add to `dbt build`?
    c  how fast is the copy of production, beside `cp`?
    d  on Snowflake, how many statements does a deploy send, and how long does it wait for them?

What is compared is measured side by side, in interleaved rounds of one run; the medians are shown,
and ratios before seconds, since ratios say more about another machine. Needs a Python with DuckDB
(that of the dbt environment) and, in the environment, SWITCHBACK (the binary), SWITCHBACK_DBT and,
for d (snowflake.py), SWITCHBACK_SNOWFLAKE_PYTHON, that of requirements/snowflake.txt.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import snowflake

ROOT = Path(__file__).resolve().parent.parent
MB = 1_000_000
ROW_BYTES = 64  # eight columns of eight bytes that do not compress
NEEDED = 6  # copies of the large file that exist at once, with some to spare
PATIENCE = 600  # seconds for any one process
GRACE = 30  # seconds for a process to end by itself
DEPLOY = "switchback deploy"
# dbt without Switchback: as on a laptop, as in a checkout of its own, and with a parse before.
PLAIN = ("dbt build", "dbt build, fresh checkout", "dbt parse, dbt build")


class Run:
    """How a process ended: wall time, and standard output."""

    def __init__(self, arguments, folder, out=subprocess.PIPE):
        env = {**os.environ, "NO_COLOR": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        for name in ("DBT_PROFILES_DIR", "GITHUB_ACTIONS"):
            env.pop(name, None)
        words = [str(argument) for argument in arguments]
        self.at, began = time.time(), time.perf_counter()
        child = subprocess.Popen(
            words,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.out, errors = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            end(child)
            sys.exit(f"{' '.join(words)} did not end within {PATIENCE} s")
        except BaseException:
            end(child)
            raise
        self.seconds = time.perf_counter() - began
        if child.returncode != 0:
            sys.exit(f"{' '.join(words)} ended {child.returncode}:\n{self.out}\n{errors}")


def end(child):
    """Ends a process and its children: asked first, since switchback ends dbt's children itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.communicate(timeout=GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


class Production:
    """A dbt project, its file, and the commands of both tools on it."""

    def __init__(self, folder, dbt):
        self.folder, self.dbt = folder, dbt
        self.live = folder / "data" / "shop.duckdb"
        self.project = folder / "project"
        for path in (self.live.parent, self.project):
            path.mkdir(parents=True, exist_ok=True)
        self.ledger = self.live.parent / ".switchback" / self.live.name / "ledger.jsonl"

    def switchback(self, *arguments):
        """Runs switchback and returns the run; `steps` are the seconds of each of its steps."""
        size = self.ledger.stat().st_size if self.ledger.exists() else 0
        binary = os.environ["SWITCHBACK"]
        run = Run(
            [binary, *arguments, "--format", "json", "--dbt-executable", self.dbt], self.project
        )
        run.answer = json.loads(run.out)
        with open(self.ledger, encoding="utf-8") as file:
            file.seek(size)
            records = [json.loads(line) for line in file]
        run.steps, began = {}, {}
        for record in records:
            at, entry = datetime.fromisoformat(record["at"]).timestamp(), record["entry"]
            if "began" in entry:
                run.steps["before the first step"] = at - run.at
            elif "intended" in entry:
                began[entry["intended"]["step"]] = at
            elif "done" in entry:
                step = entry["done"]["step"]
                run.steps[step.split(":")[0]] = at - began[step]
        return run

    def build_with_dbt(self, *before):
        """Runs dbt in place, as without Switchback; returns the seconds of all commands together."""
        commands = [*before, "build"]
        return sum(Run([self.dbt, command], self.project).seconds for command in commands)


class Shop(Production):
    """A production of a given size: one large table and a small one, built by the stand-in dbt."""

    def __init__(self, folder, size):
        dbt = folder / "bin" / "dbt"
        dbt.parent.mkdir(parents=True)
        source = (ROOT / "tests/support/standin_dbt.py").read_text(encoding="utf-8")
        dbt.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
        dbt.chmod(0o755)
        super().__init__(folder, dbt)
        columns = ", ".join(f"hash(range * 8 + {n}) as c{n}" for n in range(8))
        self.large = f"select {columns} from range({size // ROW_BYTES})"
        write(self.project / "dbt_project.yml", "name: shop\nprofile: shop\n")
        write(self.project / "profiles.yml", profile(self.live))
        write(self.project / "switchback.yml", "retention: {releases: 1}\n")

    def deploy(self, version, *arguments):
        nodes = [
            {"unique_id": f"model.shop.{name}", "resource_type": "model", "name": name, "sql": sql}
            for name, sql in (("large", self.large), ("small", f"select {version} as v"))
        ]
        write(self.project / "standin.json", json.dumps({"nodes": nodes}))
        return self.switchback("deploy", *arguments)

    def deploy_small(self, version):
        """A deploy that leaves the large table as it is."""
        return self.deploy(version, "--dbt-command", "build --select small")


def profile(path):
    quoted = str(path).replace("'", "''")
    return (
        "shop:\n  target: prod\n  outputs:\n"
        f"    prod: {{type: duckdb, path: '{quoted}', schema: main, threads: 2}}\n"
    )


def write(path, text):
    path.write_text(text, encoding="utf-8")


def copy_of_demo(folder, dbt):
    """The demo's project with a production of its own."""
    production = Production(folder, dbt)
    shutil.copytree(ROOT / "demo/project", production.project, dirs_exist_ok=True)
    template = (ROOT / "demo/project/profiles.yml").read_text(encoding="utf-8")
    write(
        production.project / "profiles.yml",
        template.replace('"@DB_PATH@"', json.dumps(str(production.live))),
    )
    return production


def medians(runs):
    """The median of each step over the runs that had it, in the order of the steps."""
    names = list(dict.fromkeys(name for steps in runs for name in steps))
    return {
        name: statistics.median(steps[name] for steps in runs if name in steps) for name in names
    }


def summary(seconds):
    return {
        "median": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "rounds": len(seconds),
    }


def rollbacks(shops, rounds):
    """a: rolls every shop back and forward, in turns."""
    seconds = {name: [] for name in shops}
    steps = {name: [] for name in shops}
    for turn in range(2 * rounds):
        for name, (shop, releases) in shops.items():
            run = shop.switchback(
                "rollback", "--to", releases[turn % 2], "--reason", "bench", "--hold", "none"
            )
            seconds[name].append(run.seconds)
            run.steps["after the last step"] = run.seconds - sum(run.steps.values())
            steps[name].append(run.steps)
    return {
        name: {
            "bytes": shop.live.stat().st_size,
            "seconds": summary(seconds[name]),
            "steps": medians(steps[name]),
        }
        for name, (shop, _) in shops.items()
    }


def copies(shop, rounds):
    """c: copies the file with `cp` and, in a deploy, with Switchback, in every order."""
    other = shop.live.parent / "copy"
    copy = ["cp", "--reflink=never", shop.live, other]
    found = {name: [] for name in ("clone", "cp", "cp, then fsync")}
    orders = list(itertools.permutations(found))
    for turn in range(rounds):
        for name in orders[turn % len(orders)]:
            # All begin with the source in memory and nothing left to be written.
            Run(["cat", shop.live], shop.folder, out=subprocess.DEVNULL)
            os.sync()
            if name == "clone":
                found[name].append(shop.deploy_small(2 + turn).steps["clone"])
                continue
            after = [["sync", other]] if name == "cp, then fsync" else []
            runs = [Run(command, shop.folder) for command in (copy, *after)]
            found[name].append(sum(run.seconds for run in runs))
            other.unlink()
    return {name: summary(seconds) for name, seconds in found.items()}


def overhead(folder, rounds):
    """b: a deploy and a bare `dbt build` of the demo's project, in turns."""
    dbt = Path(os.environ["SWITCHBACK_DBT"])
    names = ("ours", "bare", "fresh", "parsed")
    ours, bare, fresh, parsed = (copy_of_demo(folder / name, dbt) for name in names)
    # Once unmeasured: bytecode, dbt's partial parse, and tables to replace.
    ours.switchback("deploy")
    for production in (bare, fresh, parsed):
        production.build_with_dbt()
    seconds = {name: [] for name in (DEPLOY, *PLAIN)}
    steps = []
    for _ in range(rounds):
        seconds[PLAIN[0]].append(bare.build_with_dbt())
        run = ours.switchback("deploy")
        seconds[DEPLOY].append(run.seconds)
        run.steps["after the last step"] = run.seconds - sum(run.steps.values())
        steps.append(run.steps)
        shutil.rmtree(fresh.project / "target")
        seconds[PLAIN[1]].append(fresh.build_with_dbt())
        seconds[PLAIN[2]].append(parsed.build_with_dbt("parse"))
    return {
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "steps": medians(steps),
    }


def filesystem(folder):
    """The type of the filesystem that a folder is on."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ")[2] == wanted:
            return after.split(" ")[0]
    return "unknown"


def table(title, header, rows):
    print(f"\n{title}")
    cells = [header, *rows]
    widths = [max(len(str(row[column])) for row in cells) for column in range(len(header))]
    for row in cells:
        first, *rest = (str(cell) for cell in row)
        numbers = "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:]))
        print(f"  {first:<{widths[0]}}{numbers}".rstrip())


def spread(row):
    return [f"{row['median']:.3f}", f"{row['min']:.3f}", f"{row['max']:.3f}", row["rounds"]]


def ratios(result):
    """What says the most about another machine."""
    a, b, c = result["rollback"], result["overhead"]["seconds"], result["copy"]["seconds"]
    small, large = a.values()
    return {
        f"files: {list(a)[1]} / {list(a)[0]}": large["bytes"] / small["bytes"],
        "rollback of the large file / of the small": large["seconds"]["median"]
        / small["seconds"]["median"],
        **{f"{DEPLOY} / {name}": b[DEPLOY]["median"] / b[name]["median"] for name in PLAIN},
        "clone step / cp": c["clone"]["median"] / c["cp"]["median"],
        "clone step / cp, then fsync": c["clone"]["median"] / c["cp, then fsync"]["median"],
    }


def report(result):
    where = result["machine"]
    print(
        f"\n{where['cpus']} CPUs, load {where['load']:.1f} before, {where['filesystem']}; "
        "medians of interleaved rounds"
    )
    table("Ratios", ["", "×"], [[k, f"{v:.2f}"] for k, v in result["ratios"].items()])
    header = ["seconds", "median", "min", "max", "rounds"]
    a, b, c = result["rollback"], result["overhead"], result["copy"]
    table("a  rollback", header, [[k, *spread(v["seconds"])] for k, v in a.items()])
    small, large = (side["steps"] for side in a.values())
    table(
        "   where it goes",
        ["seconds", *a],
        [[step, f"{small[step]:.3f}", f"{large.get(step, 0):.3f}"] for step in small],
    )
    table(
        "b  the demo's project", header, [[k, *spread(v)] for k, v in b["seconds"].items()]
    )
    for name in PLAIN:
        more = b["seconds"][DEPLOY]["median"] - b["seconds"][name]["median"]
        print(f"  a deploy takes {more:.2f} s more than {name}")
    table(
        "   where a deploy goes",
        ["seconds", "median"],
        [[step, f"{seconds:.3f}"] for step, seconds in b["steps"].items()],
    )
    table(
        f"c  a copy of {c['bytes'] / MB:,.0f} MB",
        [*header, "MB/s"],
        [
            [k, *spread(v), f"{c['bytes'] / MB / v['median']:,.0f}"]
            for k, v in c["seconds"].items()
        ],
    )
    snowflake.report(result["snowflake"])


def measure(folder, large, rounds):
    shops = {}
    for name, size in (("10 MB", 10 * MB), (f"{large // MB:,} MB", large)):
        print(f"making a production of {name} …", file=sys.stderr)
        shops[name] = Shop(folder / str(size), size)
        shops[name].deploy(1)
    small, big = shops.values()
    print("c: copies …", file=sys.stderr)
    copied = {"bytes": big.live.stat().st_size, "seconds": copies(big, rounds["copy"])}
    small.deploy_small(2)
    pairs = {
        name: (shop, [f"r{last - 1}", f"r{last}"])
        for (name, shop), last in zip(shops.items(), (2, 1 + rounds["copy"]))
    }
    print("a: rollbacks …", file=sys.stderr)
    rolled = rollbacks(pairs, rounds["rollback"])
    for shop in shops.values():
        shutil.rmtree(shop.folder)
    print("b: deploys …", file=sys.stderr)
    return {
        "rollback": rolled,
        "overhead": overhead(folder / "overhead", rounds["overhead"]),
        "copy": copied,
        "snowflake": snowflake.measure(
            folder / "snowflake", os.environ["SWITCHBACK_SNOWFLAKE_PYTHON"]
        ),
    }


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 MB, not 2 GB; fewer rounds")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--dir", metavar="DIR", default=ROOT / "target", help="where the files go meanwhile"
    )
    given = parser.parse_args()
    for name in ("SWITCHBACK", "SWITCHBACK_DBT", "SWITCHBACK_SNOWFLAKE_PYTHON"):
        if not os.access(os.environ.get(name, ""), os.X_OK):
            parser.error(f"{name} must name an executable; `make bench` sets it")
        os.environ[name] = os.path.abspath(os.environ[name])
    return given


def main():
    given = options()
    os.makedirs(given.dir, exist_ok=True)
    large = (200 if given.quick else 2000) * MB
    rounds = (
        {"rollback": 3, "overhead": 3, "copy": 3}
        if given.quick
        else {"rollback": 7, "overhead": 5, "copy": 6}
    )
    kind = filesystem(given.dir)
    if kind in ("tmpfs", "ramfs"):
        sys.exit(f"{given.dir} is in memory ({kind}); name a folder on a disk with --dir")
    free = shutil.disk_usage(given.dir).free
    if free < NEEDED * large:
        sys.exit(
            f"{given.dir} has {free // MB:,} MB free and {NEEDED * large // MB:,} MB are needed; "
            "name another folder with --dir, or use --quick"
        )
    machine = {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "filesystem": kind}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.dir) as folder:
        result = {"machine": machine, **measure(Path(folder).resolve(), large, rounds)}
    result["ratios"] = ratios(result)
    report(result)
    if given.json:
        write(Path(given.json), json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
