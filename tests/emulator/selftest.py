"""``python -m emulator.selftest [WORDS] [--no-dbt] [--dbt PATH]``: every rule, through the Python connector."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import time
import traceback

from .checks import carrying, cloning, dbt_builds, grants, metadata, past, protocol, rows, swaps
from .harness import World

GROUPS = (protocol, rows, cloning, swaps, past, grants, metadata, carrying)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m emulator.selftest")
    parser.add_argument("words", nargs="?", default="", help="only tests whose name contains this")
    parser.add_argument("--no-dbt", action="store_true", help="leave out the real dbt builds")
    parser.add_argument(
        "--dbt", default=os.path.join(os.path.dirname(sys.executable), "dbt"), help="the dbt to build with"
    )
    given = parser.parse_args()
    failed, run, began = [], 0, time.monotonic()
    groups = GROUPS if given.no_dbt else (*GROUPS, dbt_builds)
    for group in groups:
        for name, test in inspect.getmembers(group, inspect.isfunction):
            if name.startswith("_") or test.__module__ != group.__name__ or given.words not in name:
                continue
            run += 1
            try:
                test(given.dbt if group is dbt_builds else World)
                print(f"ok    {name.replace('_', ' ')}", flush=True)
            except Exception:
                failed.append(name)
                print(f"FAIL  {name.replace('_', ' ')}\n{traceback.format_exc(limit=-3)}", flush=True)
    print(f"{run - len(failed)} of {run} hold, {time.monotonic() - began:.1f} s")
    return 1 if failed or not run else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # DuckDB reports its own left-overs at a normal exit
