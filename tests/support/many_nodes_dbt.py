"""A stand-in for dbt on Snowflake: a manifest of many nodes, of which a few are rebuilt.

`bench/snowflake.py` writes a `dbt` that calls this. It reads `standin.json` in the project,

    {"schemas": 20, "tables": 1000, "views": 200,
     "rebuild": ["T0001", …],       # what a command that builds makes anew
     "version": 2,                  # goes into the rows and the checksums of what is rebuilt
     "times": "path"}               # gets a line for each run: when it began and ended

and rebuilds through snowflake-connector-python, as dbt does: complete names, several threads.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

ROWS = 10
THREADS = 8


def relations(shape):
    """Every node: its name, its schema, whether it is a view, and the table a view reads."""
    found = []
    for at in range(1, shape["tables"] + 1):
        found.append((f"T{at:04}", f"S{at % shape['schemas']:02}", None))
    for at in range(1, shape["views"] + 1):
        # The table lies in another schema.
        read = 1 + at * 7 % shape["tables"]
        found.append((f"V{at:04}", f"S{at % shape['schemas']:02}", read))
    return found


def statement(database, shape, name, schema, reads, version):
    """The SQL that makes a node."""
    path = f"{database}.{schema}.{name}"
    if reads is None:
        rows = " union all ".join(
            f"select {row} as id, 'row {row}' as name, {version} as version" for row in range(ROWS)
        )
        return f"create or replace table {path} as {rows}"
    table = f"{database}.S{reads % shape['schemas']:02}.T{reads:04}"
    return f"create or replace view {path} as (select id, name, version from {table})"


def read_profile(folder, options):
    """The target's keys. The bench's profile has no Jinja."""
    import yaml

    folder = options.profiles_dir or os.environ.get("DBT_PROFILES_DIR") or folder
    with open(os.path.join(folder, "profiles.yml"), encoding="utf-8") as file:
        found = yaml.safe_load(file)["shop"]
    return found["outputs"][options.target or found["target"]]


def manifest(shape, database):
    """`manifest.json`, as much as anybody reads of it."""
    nodes = {}
    changed = set(shape["rebuild"])
    for name, schema, reads in relations(shape):
        version = shape["version"] if name in changed else 0
        identity = f"model.shop.{name.lower()}"
        nodes[identity] = {
            "unique_id": identity,
            "resource_type": "model",
            "package_name": "shop",
            "database": database,
            "schema": schema,
            "name": name.lower(),
            "alias": name,
            "relation_name": f"{database}.{schema}.{name}",
            "original_file_path": f"models/{name.lower()}.sql",
            "checksum": {"name": "sha256", "checksum": f"{name}-{version}"},
            "config": {"enabled": True, "materialized": "table" if reads is None else "view"},
            "raw_code": "select 1",
            "depends_on": {"macros": [], "nodes": []},
        }
    return {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": "1.11.0",
            "project_name": "shop",
            "adapter_type": "snowflake",
        },
        "nodes": nodes,
        **{key: {} for key in ("sources", "macros", "docs", "exposures", "metrics", "disabled")},
    }


def build(shape, profile):
    """Rebuilds what has changed; answers the results."""
    import snowflake.connector

    changed = set(shape["rebuild"])
    todo = [one for one in relations(shape) if one[0] in changed]
    connection = snowflake.connector.connect(
        account=profile["account"],
        host=profile["host"],
        port=profile["port"],
        protocol=profile["protocol"],
        user=profile["user"],
        password=profile["password"],
        role=profile["role"],
        warehouse=profile["warehouse"],
        database=profile["database"],
        schema=profile["schema"],
        session_parameters={"QUERY_TAG": "dbt"},
    )

    def one(node):
        name, schema, reads = node
        sql = statement(profile["database"], shape, name, schema, reads, shape["version"])
        connection.cursor().execute(sql)
        return {
            "unique_id": f"model.shop.{name.lower()}",
            "status": "success",
            "message": "SUCCESS 1",
            "failures": None,
            "execution_time": 0.0,
            "timing": [],
            "thread_id": "Thread-1",
            "adapter_response": {},
        }

    tables = [node for node in todo if node[2] is None]
    views = [node for node in todo if node[2] is not None]
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(one, tables)) + list(pool.map(one, views))
    connection.close()
    return results


def write(folder, name, content):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(content, file)


def main(arguments):
    """dbt's front door. Returns the exit code."""
    from standin_dbt import Options

    began = started()
    options = Options(arguments)
    folder = os.path.abspath(options.project_dir or ".")
    with open(os.path.join(folder, "standin.json"), encoding="utf-8") as file:
        shape = json.load(file)
    profile = read_profile(folder, options)
    target = options.target_path or os.path.join(folder, "target")
    write(target, "manifest.json", manifest(shape, profile["database"]))
    if options.command != "parse":
        results = build(shape, profile)
        write(
            target,
            "run_results.json",
            {
                "metadata": {
                    "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
                    "dbt_version": "1.11.0",
                    "generated_at": datetime.now(timezone.utc).isoformat(),
                },
                "results": results,
                "elapsed_time": 0.0,
                "args": {"which": options.command},
            },
        )
    with open(shape["times"], "a", encoding="utf-8") as file:
        file.write(json.dumps([options.command, began, time.time()]) + "\n")
    return 0


def started():
    """When this process began, by the kernel's count: Python's own start is dbt's time too."""
    with open("/proc/self/stat", encoding="utf-8") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/uptime", encoding="utf-8") as file:
        up = float(file.read().split()[0])
    return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
