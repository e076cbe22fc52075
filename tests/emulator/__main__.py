"""``python -m emulator --port 0 --ready-file F``: start, write the port, serve until told to end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from .auth import Rules
from .engine import Engine
from .server import Server
from .switches import Switches, listing


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m emulator", description="A Snowflake to test against, in memory, on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--ready-file", type=Path, help="gets the port once it listens")
    parser.add_argument("--log", type=Path, help="gets the statement log, a JSON object a line, at the end")
    parser.add_argument(
        "--u", action="append", default=[], metavar="NAME=VALUE", help="set a switch for an unknown fact"
    )
    parser.add_argument("--list-switches", action="store_true", help="show the switches and the facts they stand for")
    parser.add_argument("--account", help="the only account name that is known here")
    parser.add_argument(
        "--user",
        action="append",
        default=[],
        metavar="NAME:PASSWORD",
        help="the only users that may sign in by password",
    )
    parser.add_argument("--token", action="append", default=[], help="the only OAuth or access tokens that are valid")
    parser.add_argument("--public-key", type=Path, help="PEM file; key-pair sign-in must be signed by it")
    parser.add_argument("--role", action="append", default=[], help="a role that exists from the start")
    parser.add_argument(
        "--warehouse", action="append", default=[], help="a warehouse that exists from the start (COMPUTE_WH)"
    )
    parser.add_argument("--database", action="append", default=[], help="a database that exists from the start")
    parser.add_argument(
        "--async-after", type=float, default=45, help="seconds until a running statement answers 'in progress'"
    )
    parser.add_argument("--show-limit", type=int, default=10_000, help="rows that SHOW gives without LIMIT")
    parser.add_argument(
        "--enforce-grants", action="store_true", help="check privileges by the grants, ACCOUNTADMIN aside"
    )
    given = parser.parse_args()
    if given.list_switches:
        print(listing())
        return 0
    try:
        switches = Switches(dict(pair.split("=", 1) for pair in given.u))
    except ValueError as error:
        parser.error(str(error))
    rules = Rules(
        given.account,
        {name.upper(): password for name, _, password in (u.partition(":") for u in given.user)},
        set(given.token),
        given.public_key.read_text() if given.public_key else None,
    )
    engine = Engine(switches, given.show_limit)
    engine.enforce = given.enforce_grants
    engine.catalog.roles |= {r.upper() for r in given.role}
    engine.catalog.warehouses |= {w.upper() for w in given.warehouse}
    server = Server(given.port, engine, rules, given.async_after)
    for name in given.database:
        server.control.quiet(f"CREATE DATABASE {name}", "ACCOUNTADMIN")
    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    threading.Thread(target=_until_stdin_ends, args=(server,), daemon=True).start()
    if given.ready_file:
        partial = given.ready_file.with_name(given.ready_file.name + ".part")
        partial.write_text(f"{server.server_address[1]}\n")
        os.replace(partial, given.ready_file)
    else:
        print(server.server_address[1], flush=True)
    server.serve_forever(poll_interval=0.1)
    if given.log:
        given.log.write_text("".join(json.dumps(asdict(e)) + "\n" for e in server.control.entries))
    return 0


def _until_stdin_ends(server: Server) -> None:
    """Whoever started the emulator and went away closes its standard input."""
    if sys.stdin is None or sys.stdin.closed:
        return
    if os.fstat(sys.stdin.fileno()).st_rdev == os.stat(os.devnull).st_rdev:
        return  # started with no input at all: a signal ends it
    try:
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except OSError:
        return
    server.shutdown()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # DuckDB reports its own left-overs at a normal exit
