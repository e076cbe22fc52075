"""Looks into a DuckDB file for the tests; speaks plain text.

    look.py content FILE       one line a relation: kind schema.name rows digest (views are read too)
    look.py query FILE SQL     one JSON array a row
    look.py execute FILE SQL   runs SQL in the file, read-write
    look.py write-crash FILE SQL   runs SQL and dies before a checkpoint, so that a .wal is left
    look.py hold FILE MODE READY   keeps a connection (ro or rw) until standard input ends
    look.py read FILE SQL STOP OUT   runs SQL over and over, each time through a new connection,
                               until STOP exists; each row must hold one distinct value; writes
                               "reads violations errors" and the first of them to OUT
"""

import json
import os
import signal
import sys

sys.path[:] = [entry for entry in sys.path if entry]
import duckdb  # noqa: E402


def content(path):
    connection = duckdb.connect(path, read_only=True)
    relations = connection.execute(
        "select table_type, table_schema, table_name from information_schema.tables"
        " where table_catalog = current_database() and table_schema <> 'switchback' order by all"
    ).fetchall()
    for kind, schema, name in relations:
        relation = f'"{schema}"."{name}"'
        rows, digest = connection.execute(
            f"select count(*), coalesce(sum(hash(t)::hugeint), 0)::varchar from {relation} as t"
        ).fetchone()
        print(kind.replace(" ", "-"), f"{schema}.{name}", rows, digest)


def read(path, sql, stop, out):
    reads, violations, errors, first = 0, 0, 0, ""
    while not os.path.exists(stop):
        try:
            connection = duckdb.connect(path, read_only=True)
            try:
                for row in connection.execute(sql).fetchall():
                    if len(set(row)) != 1:
                        violations += 1
                        first = first or str(row)
            finally:
                connection.close()
            reads += 1
        except Exception as error:  # whatever a consumer would have seen
            errors += 1
            first = first or str(error)
    with open(out + ".new", "w", encoding="utf-8") as file:
        file.write(f"{reads} {violations} {errors}\n{first}\n")
    os.rename(out + ".new", out)


def main(what, path, *rest):
    if what == "content":
        content(path)
    elif what == "query":
        with duckdb.connect(path, read_only=True) as connection:
            for row in connection.execute(rest[0]).fetchall():
                print(json.dumps(row, default=str))
    elif what == "execute":
        with duckdb.connect(path) as connection:
            connection.execute(rest[0])
    elif what == "write-crash":
        connection = duckdb.connect(path)
        connection.execute("set wal_autocheckpoint = '1TB'")
        connection.execute(rest[0])
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hold":
        connection = duckdb.connect(path, read_only=rest[0] == "ro")
        open(rest[1], "w", encoding="utf-8").close()
        sys.stdin.read()
        connection.close()
    elif what == "read":
        read(path, *rest)
    else:
        sys.exit(f"unknown: {what}")


if __name__ == "__main__":
    main(*sys.argv[1:])
