#!/usr/bin/env python3
"""A stand-in for the dbt executable: dbt's observable work on DuckDB, in milliseconds.

The tests write this file into a folder as `dbt`, with the first line naming the Python of a real
dbt environment, and point `--dbt-executable` at it. It reads the project's name and profile from
`dbt_project.yml`, the target from `profiles.yml` (Jinja included) and, instead of models, the file
`standin.json` in the project:

    {
      "nodes": [
        {
          "unique_id": "model.shop.orders",
          "resource_type": "model",           # model, seed, snapshot, test
          "name": "orders",
          "materialized": "table",            # view, table, incremental, ephemeral, external, …
          "sql": "select 1 as id",
          "schema": "analytics",              # optional; the target's schema when absent
          "database": "other",                # optional; the file's catalog when absent
          "alias": "orders",                  # optional; the name when absent
          "checksum": "abc",                  # optional; SHA-256 of the SQL when absent
          "config": {"store_failures": true}, # optional; on top of dbt's defaults
          "depends_on": ["seed.shop.raw"],    # optional; skipped when one of these fails
          "file": "models/orders.sql"         # optional
        }
      ],
      "macros": {},                           # optional; goes into the manifest as it is
      "functions": {},                        # optional; likewise
      "parse_error": "text",                  # optional; every command ends 2 with it
      "build": {                              # optional; what a command that builds does besides
        "fail_node": "model.shop.orders",     # this node fails
        "signal_file": "path",                # made once the database is open
        "wait_for_file": "path",              # waited for after the nodes, at most 60 s
        "child_pid_file": "path",             # starts a child that sleeps, and writes its pid there
        "ignore_signals": true,               # SIGTERM and SIGINT do nothing
        "kill_self": true,                    # SIGKILL to itself after half of the nodes
        "exit": 3                             # ends with this code instead of its own
      }
    }

`schema`, `database`, `alias`, `sql` and the values of `config` may hold Jinja with `target`, `var`
and `env_var`. Nodes run in the order of the file. Exit codes are dbt's: 0 done, 1 a node failed,
2 it could not start. Unknown flags are ignored.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone

import yaml

VERSION = "1.11.0"
WAIT_SECONDS = 60
# The adapter that it stands in for; `standin_postgres.py` has another.
ADAPTER = "duckdb"
# What each command builds; `None` is everything.
BUILDS = {
    "build": None,
    "run": {"model"},
    "test": {"test"},
    "seed": {"seed"},
    "snapshot": {"snapshot"},
}
COMMANDS = {*BUILDS, "parse", "deps"}
# Flags with a value, and the environment variable that stands in for them.
VALUES = {
    "--project-dir": "DBT_PROJECT_DIR",
    "--profiles-dir": "DBT_PROFILES_DIR",
    "--profile": "DBT_PROFILE",
    "--target": "DBT_TARGET",
    "--target-path": "DBT_TARGET_PATH",
    "--vars": None,
}
SHORT = {"-t": "--target", "-s": "--select", "-m": "--select", "--models": "--select"}
FOLDERS = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "test": "tests"}
GREEN, YELLOW, RED, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"


class CannotStart(Exception):
    """dbt would end with exit code 2 before it touched the warehouse."""


class Options:
    """The command line, with dbt's environment variables behind it."""

    def __init__(self, arguments):
        self.command = None
        self.select = []
        self.colors = os.environ.get("DBT_USE_COLORS", "").lower() not in {"0", "false", "f"}
        self.version = False
        given = {}
        # Flags and values by turns: `--x=y` is `--x`, `y`.
        pending = None
        for argument in arguments:
            flag, equals, value = argument.partition("=")
            if pending and (not argument.startswith("-") or pending in VALUES):
                self._take(given, pending, argument)
                pending = pending if pending == "--select" else None
            elif argument.startswith("-"):
                flag = SHORT.get(flag, flag)
                pending = None
                if flag in VALUES or flag == "--select":
                    if equals:
                        self._take(given, flag, value)
                    else:
                        pending = flag
                elif flag in {"--use-colors", "--no-use-colors"}:
                    self.colors = flag == "--use-colors"
                elif flag in {"--version", "-v", "-V"}:
                    self.version = True
            elif self.command is None and argument in COMMANDS:
                self.command = argument
        for flag, variable in VALUES.items():
            name = flag[2:].replace("-", "_")
            fallback = os.environ.get(variable) if variable else None
            setattr(self, name, given.get(flag, fallback or None))

    def _take(self, given, flag, value):
        if flag == "--select":
            self.select += value.split()
        else:
            given[flag] = value


class Jinja:
    """Renders what holds Jinja; its import is paid for by nothing else."""

    def __init__(self, variables, **context):
        self.variables = variables
        self.context = context
        self.environment = None

    def render(self, value):
        """The value with every string in it rendered."""
        if isinstance(value, dict):
            return {key: self.render(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.render(inner) for inner in value]
        if not isinstance(value, str) or not any(mark in value for mark in ("{{", "{%", "{#")):
            return value
        if self.environment is None:
            import jinja2

            self.environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
            for name in ("as_text", "as_bool", "as_native", "as_number"):
                self.environment.filters[name] = lambda inner: inner
            self.environment.globals.update(
                env_var=env_var, var=self.variable, **self.context
            )
        try:
            return self.environment.from_string(value).render()
        except CannotStart:
            raise
        except Exception as error:
            raise CannotStart(f"Compilation Error\n  Could not render {value}: {error}") from error

    def variable(self, name, default=None):
        """dbt's `var`."""
        if name in self.variables:
            return self.variables[name]
        if default is None:
            raise CannotStart(f"Compilation Error\n  Required var '{name}' not found in config")
        return default


def env_var(name, default=None):
    """dbt's `env_var`."""
    value = os.environ.get(name, default)
    if value is None:
        raise CannotStart(f"Parsing Error\n  Env var required but not provided: '{name}'")
    return value


def read_yaml(path, what):
    """A YAML file, or dbt's complaint about it."""
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    except FileNotFoundError:
        raise CannotStart(f"Runtime Error\n  {what} at {path}") from None
    except yaml.YAMLError as error:
        raise CannotStart(f"Runtime Error\n  Syntax error in {path}\n  {error}") from None


class Project:
    """The project under one target: all that comes before the warehouse."""

    def __init__(self, options):
        folder = os.path.abspath(options.project_dir or ".")
        profiles = options.profiles_dir
        if profiles:
            profiles = os.path.abspath(os.path.expanduser(profiles))
        self.settings = read_yaml(
            os.path.join(folder, "dbt_project.yml"), "No dbt_project.yml found"
        )
        self.name = self.settings["name"]
        # As dbt does: from here on the project is the working directory, also for the database.
        os.chdir(folder)
        if not profiles:
            home = os.path.expanduser("~/.dbt")
            profiles = folder if os.path.exists("profiles.yml") else home
        given = yaml.safe_load(options.vars) if options.vars else {}
        variables = {**(self.settings.get("vars") or {}), **(given or {})}
        jinja = Jinja(variables)
        self._choose_target(options, profiles, jinja)
        path = str(self.credentials.get("path", ":memory:"))
        # DuckDB's own rule: the first part of the file's name that is not empty.
        parts = [part for part in os.path.basename(path).split(".") if part]
        catalog = self.credentials.get("database") or (parts[0] if parts else "memory")
        self.path = path
        named = self.credentials.get("dbname")
        self.database = named or ("memory" if path == ":memory:" else catalog)
        self.schema = str(self.credentials.get("schema", "main"))
        target = {
            **self.credentials,
            "name": self.target,
            "target_name": self.target,
            "profile_name": self.profile,
            "schema": self.schema,
            "database": self.database,
        }
        jinja = Jinja(variables, target=target)
        try:
            with open("standin.json", encoding="utf-8") as file:
                self.standin = json.load(file)
        except FileNotFoundError:
            raise CannotStart("Runtime Error\n  No standin.json in the project") from None
        if "parse_error" in self.standin:
            raise CannotStart("Compilation Error\n  " + self.standin["parse_error"])
        self.build = jinja.render(self.standin.get("build") or {})
        self.nodes = [self._node(node, jinja) for node in self.standin.get("nodes", [])]
        self.target_path = os.path.abspath(
            options.target_path or self.settings.get("target-path") or "target"
        )

    def _choose_target(self, options, profiles, jinja):
        self.profile = options.profile or jinja.render(self.settings.get("profile"))
        found = read_yaml(
            os.path.join(profiles, "profiles.yml"), "Could not find profiles.yml"
        ).get(self.profile)
        if found is None:
            raise CannotStart(f"Runtime Error\n  Could not find profile named '{self.profile}'")
        self.target = options.target or jinja.render(found.get("target", "default"))
        outputs = found.get("outputs") or {}
        if self.target not in outputs:
            names = "\n".join(f"   - {name}" for name in outputs)
            raise CannotStart(
                f"Runtime Error\n  The profile '{self.profile}' does not have a target named "
                f"'{self.target}'. The valid target names for this profile are:\n{names}"
            )
        self.credentials = jinja.render(outputs[self.target])
        if self.credentials.get("type") != ADAPTER:
            raise CannotStart(
                f"Runtime Error\n  Could not find adapter type {self.credentials.get('type')}!"
            )

    def _node(self, raw, jinja):
        """One node as a manifest has it. `_sql` is what runs."""
        kind, name = raw["resource_type"], raw["name"]
        default = {"model": "table"}.get(kind, kind)
        materialized = raw.get("materialized", default)
        own = jinja.render({"materialized": materialized, **raw.get("config", {})})
        config = {
            "enabled": True,
            "alias": None,
            "schema": None,
            "database": None,
            "tags": [],
            "meta": {},
            "store_failures": None,
            "post-hook": [],
            "pre-hook": [],
            "grants": {},
            **({"severity": "ERROR"} if kind == "test" else {"full_refresh": None}),
            **own,
        }
        sql = raw.get("sql", "")
        schema = jinja.render(raw.get("schema")) or self.schema
        database = jinja.render(raw.get("database")) or self.database
        alias = jinja.render(raw.get("alias")) or name
        stored = kind != "test" or config["store_failures"]
        ephemeral = config["materialized"] == "ephemeral"
        relation = ".".join(quote(part) for part in (database, schema, alias))
        suffix = "csv" if kind == "seed" else "sql"
        file = raw.get("file", f"{FOLDERS.get(kind, 'models')}/{name}.{suffix}")
        return {
            "database": database,
            "schema": schema,
            "name": name,
            "resource_type": kind,
            "package_name": self.name,
            "path": file.split("/", 1)[-1],
            "original_file_path": file,
            "unique_id": raw["unique_id"],
            "fqn": [self.name, name],
            "alias": alias,
            "checksum": {
                "name": "sha256",
                "checksum": raw.get("checksum") or hashlib.sha256(sql.encode()).hexdigest(),
            },
            "config": config,
            "tags": [],
            "description": "",
            "columns": {},
            "meta": {},
            "patch_path": None,
            "unrendered_config": own,
            "created_at": time.time(),
            "relation_name": relation if stored and not ephemeral else None,
            "raw_code": "" if kind == "seed" else sql,
            "language": "sql",
            "refs": [],
            "sources": [],
            "depends_on": {"macros": [], "nodes": raw.get("depends_on", [])},
            "compiled_path": None,
            "_sql": jinja.render(sql),
        }

    def selected(self, options):
        """The nodes that the command builds, in order."""
        kinds = BUILDS[options.command]
        for node in self.nodes:
            ephemeral = node["config"]["materialized"] == "ephemeral"
            if ephemeral or not node["config"]["enabled"]:
                continue
            if kinds is None or node["resource_type"] in kinds:
                if not options.select or any(matches(node, word) for word in options.select):
                    yield node


def matches(node, word):
    """Whether a word of `--select` names the node."""
    method, colon, value = word.strip("+").partition(":")
    if not colon:
        return method in {node["name"], node["unique_id"], ".".join(node["fqn"])}
    if method == "resource_type":
        return value == node["resource_type"]
    return method == "tag" and value in node["config"]["tags"]


def quote(identifier):
    """An identifier as SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text):
    """A string as SQL."""
    return "'" + str(text).replace("'", "''") + "'"


class Log:
    """dbt's own lines."""

    def __init__(self, colors):
        self.colors = colors

    def line(self, text=""):
        """One line, with the time in front."""
        start = PLAIN if self.colors else ""
        print(f"{start}{datetime.now(timezone.utc):%H:%M:%S}  {text}", flush=True)

    def paint(self, color, text):
        """The text in a colour, where colours are wanted."""
        return f"{color}{text}{PLAIN}" if self.colors else text

    def node(self, position, total, text, status):
        """The line of one node, dotted out to dbt's width."""
        head = f"{position} of {total} {text} "
        self.line(f"{head.ljust(79, '.')} [{status}]")


def now():
    """The time as dbt's artifacts write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_json(project, name, content):
    """An artifact, in the target folder."""
    os.makedirs(project.target_path, exist_ok=True)
    with open(os.path.join(project.target_path, name), "w", encoding="utf-8") as file:
        json.dump(content, file)


def write_manifest(project, compiled):
    """`manifest.json`, schema version 12."""
    nodes, disabled = {}, {}
    for node in project.nodes:
        public = {key: value for key, value in node.items() if not key.startswith("_")}
        if node["unique_id"] in compiled:
            public.update(compiled=True, compiled_code=node["_sql"])
        if node["config"]["enabled"]:
            nodes[node["unique_id"]] = public
        else:
            disabled.setdefault(node["unique_id"], []).append(public)
    empty = (
        "sources docs exposures metrics groups selectors parent_map child_map group_map "
        "saved_queries semantic_models unit_tests"
    )
    content = {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": VERSION,
            "generated_at": now(),
            "invocation_id": f"00000000-0000-4000-8000-{os.getpid():012d}",
            "env": {},
            "project_name": project.name,
            "project_id": hashlib.md5(project.name.encode()).hexdigest(),
            "adapter_type": ADAPTER,
            "quoting": {"database": True, "schema": True, "identifier": True, "column": None},
        },
        "nodes": nodes,
        "macros": project.standin.get("macros", {}),
        "functions": project.standin.get("functions", {}),
        "disabled": disabled,
        **{key: {} for key in empty.split()},
    }
    write_json(project, "manifest.json", content)


def write_run_results(project, options, results, seconds):
    """`run_results.json`, schema version 6."""
    content = {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
            "dbt_version": VERSION,
            "generated_at": now(),
            "invocation_id": f"00000000-0000-4000-8000-{os.getpid():012d}",
            "env": {},
        },
        "results": results,
        "elapsed_time": seconds,
        "args": {"which": options.command, "select": options.select},
    }
    write_json(project, "run_results.json", content)


def result(node, status, message, seconds, **more):
    """One entry of `run_results.json`."""
    return {
        "status": status,
        "timing": [],
        "thread_id": "Thread-1 (worker)",
        "execution_time": seconds,
        "adapter_response": more.get("response", {}),
        "message": message,
        "failures": more.get("failures"),
        "unique_id": node["unique_id"],
        "compiled": True,
        "compiled_code": node["_sql"],
        "relation_name": node["relation_name"],
        "batch_results": None,
    }


class Builder:
    """Builds nodes in one open database."""

    def __init__(self, project):
        import duckdb

        options = project.credentials.get("config_options") or {}
        read_only = str(options.get("access_mode", "")).upper() == "READ_ONLY"
        self.connection = duckdb.connect(project.path, read_only=read_only)
        for attached in project.credentials.get("attach") or []:
            alias = f" as {quote(attached['alias'])}" if attached.get("alias") else ""
            mode = " (read_only)" if attached.get("read_only") else ""
            self.connection.execute(f"attach {literal(attached['path'])}{alias}{mode}")
        # Partly qualified names resolve in the target's database, which may be an attached one.
        if project.credentials.get("database"):
            self.connection.execute(f"use {quote(project.database)}")

    def build(self, node):
        """Builds one node in a transaction of its own, and says what came of it."""
        began = time.monotonic()
        self.connection.execute("begin")
        try:
            status, message, more = self._build(node)
            self.connection.execute("commit")
        except Exception as error:
            # A failed commit has already ended the transaction.
            try:
                self.connection.execute("rollback")
            except Exception:  # noqa: S110
                pass
            kind = "Database" if node["resource_type"] == "test" else "Runtime"
            message = f"{kind} Error in {node['resource_type']} {node['name']}\n  {error}"
            status, more = "error", {}
        return result(node, status, message, time.monotonic() - began, **more)

    def _build(self, node):
        if node["relation_name"] is None:
            failures = len(self.connection.execute(node["_sql"]).fetchall())
            return self._verdict(node, failures)
        relation, sql = node["relation_name"], node["_sql"]
        container = ".".join(quote(node[key]) for key in ("database", "schema"))
        self.connection.execute(f"create schema if not exists {container}")
        materialized = node["config"]["materialized"]
        if materialized == "external":
            location = literal(node["config"].get("location") or f"{node['alias']}.parquet")
            self.connection.execute(f"copy ({sql}) to {location}")
            sql = f"select * from {location}"
        kind = "view" if materialized in {"view", "external"} else "table"
        self._drop_other(node, kind)
        self.connection.execute(f"create or replace {kind} {relation} as {sql}")
        if kind == "view":
            return "success", "OK", {"response": {"_message": "OK"}}
        rows = self.connection.execute(f"select count(*) from {relation}").fetchone()[0]
        if node["resource_type"] == "test":
            return self._verdict(node, rows)
        if node["resource_type"] != "seed":
            return "success", "OK", {"response": {"_message": "OK"}}
        response = {"_message": f"INSERT {rows}", "code": "INSERT", "rows_affected": rows}
        return "success", f"INSERT {rows}", {"response": response}

    def _drop_other(self, node, kind):
        """`create or replace` refuses to make a view of a table; dbt drops first."""
        found = self.connection.execute(
            "select table_type from information_schema.tables "
            "where table_catalog = ? and table_schema = ? and table_name = ?",
            [node["database"], node["schema"], node["alias"]],
        ).fetchone()
        present = None if found is None else ("view" if found[0] == "VIEW" else "table")
        if present not in {None, kind}:
            self.connection.execute(f"drop {present} {node['relation_name']}")

    @staticmethod
    def _verdict(node, failures):
        if not failures:
            return "pass", None, {"failures": 0, "response": {"_message": "OK"}}
        warn = node["config"]["severity"].upper() == "WARN"
        message = f"Got {failures} result{'s' * (failures != 1)}, configured to fail if != 0"
        return ("warn" if warn else "fail"), message, {"failures": failures}


WORDS = {
    "success": (GREEN, "OK"),
    "pass": (GREEN, "PASS"),
    "warn": (YELLOW, "WARN"),
    "error": (RED, "ERROR"),
    "fail": (RED, "FAIL"),
    "skipped": (YELLOW, "SKIP"),
}


def what(node):
    """The node as dbt's lines name it."""
    materialized = node["config"]["materialized"]
    if node["resource_type"] == "test":
        return f"test {node['name']}"
    if node["resource_type"] == "seed":
        return f"seed file {node['schema']}.{node['alias']}"
    return f"sql {materialized} {node['resource_type']} {node['schema']}.{node['alias']}"


def run_nodes(project, log, nodes, builder):
    """Builds the nodes in order; those below a failed one are skipped."""
    results, broken = [], set()
    half = (len(nodes) + 1) // 2
    for position, node in enumerate(nodes, 1):
        log.node(position, len(nodes), f"START {what(node)}", "RUN")
        if broken.intersection(node["depends_on"]["nodes"]):
            entry = result(node, "skipped", None, 0.0)
        elif node["unique_id"] == project.build.get("fail_node"):
            status = "fail" if node["resource_type"] == "test" else "error"
            text = f"Runtime Error in {node['resource_type']} {node['name']}\n  told to fail"
            entry = result(node, status, text, 0.0)
        else:
            entry = builder.build(node)
        results.append(entry)
        if entry["status"] in {"error", "fail", "skipped"}:
            broken.add(node["unique_id"])
        color, word = WORDS[entry["status"]]
        ended = f"{log.paint(color, word)} in {entry['execution_time']:.2f}s"
        log.node(position, len(nodes), f"{word} {what(node)}", ended)
        if project.build.get("kill_self") and position == half:
            os.kill(os.getpid(), signal.SIGKILL)
    return results


def build(options, project, log):
    """A command that builds. Returns dbt's exit code."""
    began = time.monotonic()
    wishes = project.build
    if wishes.get("ignore_signals"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    nodes = list(project.selected(options))
    log.line(f"Found {len(project.nodes)} nodes")
    log.line()
    log.line(f"Concurrency: 1 threads (target='{project.target}')")
    log.line()
    try:
        builder = Builder(project)
    except Exception as error:
        log.line(f"Encountered an error:\nRuntime Error\n  {error}")
        return 2
    if wishes.get("child_pid_file"):
        child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
        replace(wishes["child_pid_file"], str(child.pid))
    if wishes.get("signal_file"):
        replace(wishes["signal_file"], str(os.getpid()))
    results = run_nodes(project, log, nodes, builder)
    if wishes.get("wait_for_file"):
        wait_for(wishes["wait_for_file"])
    builder.connection.close()
    write_manifest(project, {node["unique_id"] for node in nodes})
    write_run_results(project, options, results, time.monotonic() - began)
    return summarize(log, results, time.monotonic() - began)


def replace(path, content):
    """Writes a file so that a reader finds all of it or none."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(content)
    os.replace(path + ".part", path)


def wait_for(path):
    """Waits until the file is there, but not for ever."""
    end = time.monotonic() + WAIT_SECONDS
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)


def summarize(log, results, seconds):
    """dbt's last lines, and the exit code that they come to."""
    failed = [entry for entry in results if entry["status"] in {"error", "fail"}]
    log.line()
    log.line(f"Finished running {len(results)} nodes in {seconds:.2f} seconds.")
    log.line()
    if failed:
        text = f"Completed with {len(failed)} errors, 0 partial successes, and 0 warnings:"
        log.line(log.paint(RED, text))
        for entry in failed:
            log.line()
            log.line(f"Failure in {entry['unique_id']}")
            log.line(f"  {entry['message']}")
    else:
        log.line(log.paint(GREEN, "Completed successfully"))
    log.line()
    count = {status: 0 for status in WORDS}
    for entry in results:
        count[entry["status"]] += 1
    log.line(
        f"Done. PASS={count['success'] + count['pass']} WARN={count['warn']} "
        f"ERROR={len(failed)} SKIP={count['skipped']} NO-OP=0 TOTAL={len(results)}"
    )
    return 1 if failed else 0


def main(arguments):
    """dbt's front door. Returns the exit code."""
    options = Options(arguments)
    if options.version:
        print(f"Core:\n  - installed: {VERSION}\n\nPlugins:\n  - {ADAPTER}: {VERSION}\n")
        return 0
    if options.command is None:
        print("Usage: dbt [OPTIONS] COMMAND [ARGS]...", file=sys.stderr)
        return 2
    log = Log(options.colors)
    log.line(f"Running with dbt={VERSION}")
    if options.command == "deps":
        log.line("Warning: No packages were found in packages.yml")
        return 0
    try:
        project = Project(options)
    except CannotStart as error:
        log.line("Encountered an error:")
        print(error, flush=True)
        return 2
    write_manifest(project, set())
    if options.command == "parse":
        return 0
    code = build(options, project, log)
    return project.build.get("exit", code)


# --- self-test ---------------------------------------------------------------------------------


def self_test():
    """Runs itself on a small project and looks at what dbt's users look at."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        database = os.path.join(folder, "it's a shop.duckdb")
        target = os.path.join(folder, "out")
        raw = {"unique_id": "seed.s.raw", "resource_type": "seed", "name": "raw",
               "schema": "{{ target.schema }}_raw", "sql": "select 1 as id union all select 2"}
        view = {"unique_id": "model.s.v", "resource_type": "model", "name": "v",
                "materialized": "view", "sql": "select * from a_raw.raw"}
        table = {"unique_id": "model.s.t", "resource_type": "model", "name": "t",
                 "sql": "select sum(id) as n from a.v", "depends_on": ["model.s.v"]}
        test = {"unique_id": "test.s.few", "resource_type": "test", "name": "few",
                "sql": "select * from a.t where n > 3"}
        kept = {**test, "unique_id": "test.s.kept", "name": "kept", "schema": "audit",
                "config": {"store_failures": True}}
        off = {**table, "unique_id": "model.s.off", "name": "off", "config": {"enabled": False}}

        def write(name, content):
            text = content if isinstance(content, str) else json.dumps(content)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)

        def dbt(*arguments, standin=None, env=None):
            nodes = [raw, view, table, test, kept, off]
            write("standin.json", {"nodes": nodes, **(standin or {})})
            run = subprocess.run(
                [sys.executable, os.path.abspath(__file__), "--unknown", *arguments,
                 "--project-dir", folder, f"--target-path={target}"],
                env={**os.environ, **(env or {})}, cwd="/", timeout=60, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            return run.returncode, run.stdout

        def artifact(name):
            with open(os.path.join(target, name), encoding="utf-8") as file:
                return json.load(file)

        def statuses():
            return {entry["unique_id"]: entry["status"]
                    for entry in artifact("run_results.json")["results"]}

        def ask(sql):
            with duckdb.connect(database, read_only=True) as connection:
                return connection.execute(sql).fetchall()

        def expect(name, seen, wanted):
            if seen != wanted:
                raise SystemExit(f"self-test: {name}: {seen!r} instead of {wanted!r}")

        write("dbt_project.yml", "name: s\nprofile: p\n")
        output = {"type": "duckdb", "path": "{{ env_var('SHOP') }}", "schema": "a"}
        write("profiles.yml", {"p": {"target": "prod", "outputs": {"prod": output}}})
        shop = {"SHOP": database}

        expect("a missing variable", dbt("parse")[0], 2)
        expect("parse", dbt("parse", env=shop)[0], 0)
        expect("parse opens no database", os.path.exists(database), False)
        nodes = artifact("manifest.json")["nodes"]
        expect("disabled nodes", "model.s.off" in nodes, False)
        expect("catalog", nodes["model.s.t"]["database"], "it's a shop")
        expect("schema", nodes["seed.s.raw"]["schema"], "a_raw")
        expect("plain tests write nothing", nodes["test.s.few"]["relation_name"], None)

        code, output = dbt("build", env=shop)
        expect("build", (code, "\x1b[32mOK" in output), (0, True))
        expect("content", ask("select n from a.t"), [(3,)])
        expect("stored failures", ask("select count(*) from audit.kept"), [(0,)])
        expect("statuses", list(statuses().values()), ["success"] * 3 + ["pass"] * 2)

        expect("select", dbt("run", "--select", "v", "t", env=shop)[0], 0)
        expect("selected", list(statuses()), ["model.s.v", "model.s.t"])
        table["materialized"] = "view"
        expect("a table becomes a view", dbt("run", env=shop)[0], 0)
        raw["sql"] += " union all select 3"
        code, output = dbt("build", "--no-use-colors", env=shop)
        expect("a failing test", (code, "\x1b" in output), (1, False))
        expect("its status", statuses()["test.s.few"], "fail")

        failing = {"build": {"fail_node": "model.s.v"}}
        expect("a failing node", dbt("run", env=shop, standin=failing)[0], 1)
        expect("below it", statuses(), {"model.s.v": "error", "model.s.t": "skipped"})
        expect("a parse error", dbt("build", env=shop, standin={"parse_error": "x"})[0], 2)
        expect("a wrong target", dbt("parse", "--target", "x", env=shop)[0], 2)
        expect("a wrong profile", dbt("parse", "--profile=x", env=shop)[0], 2)
        flag = os.path.join(folder, "flag")
        killed = {"build": {"signal_file": flag, "wait_for_file": flag, "kill_self": True}}
        expect("killed", dbt("build", env=shop, standin=killed)[0], -signal.SIGKILL)
        expect("its signal", os.path.exists(flag), True)
        with duckdb.connect(database, read_only=True):
            expect("a locked file", dbt("build", env=shop)[0], 2)
        expect("an exit code", dbt("build", env=shop, standin={"build": {"exit": 7}})[0], 7)
    print("self-test passed")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    else:
        sys.exit(main(sys.argv[1:]))
