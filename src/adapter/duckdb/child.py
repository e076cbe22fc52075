"""SQL for Switchback, run by the Python of the dbt environment: JSON lines in and out.

Modes: `sql` opens and closes a file per request; `guard FILE` opens one file read-only, once, and
holds it. POSIX locks belong to the process: a process that opens and closes a file a second time
loses the lock it had, so the guard must never touch another file, nor its own again.
"""

import sys

# Nothing in a current directory may stand in for a module.
sys.path = [entry for entry in sys.path if entry]

import json  # noqa: E402
import os  # noqa: E402
import queue  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402

# Ctrl-C is for the parent, which ends us by closing our standard input.
signal.signal(signal.SIGINT, signal.SIG_IGN)

# Whatever an extension prints must not end up among the answers.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
os.dup2(2, 1)

STAMP = 'SELECT "release", "attempt", "seal", "identity" FROM switchback.stamp'


def answer(message):
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def error(problem, committed=False):
    kind = type(problem).__name__
    return {"error": {"type": kind, "message": str(problem), "committed": committed}}


try:
    import duckdb
except BaseException as problem:  # noqa: B902  (a broken wheel may raise anything)
    answer(error(problem))
    sys.exit(0)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def stamp(file):
    con = duckdb.connect(file, read_only=True)
    try:
        there = con.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()"
            " AND schema_name = 'switchback' AND table_name = 'stamp'"
        ).fetchone()[0]
        if not there:
            return None
        row = con.execute(STAMP).fetchone()
        return row and [text(value) for value in row]
    finally:
        con.close()


def stamps(request):
    found = []
    for file in request["files"]:
        try:
            found.append({"stamp": stamp(file)})
        except Exception as problem:
            found.append(error(problem))
    return found


def inventory(request):
    con = duckdb.connect(request["file"], read_only=True)
    try:
        user = (
            "database_name = current_database() AND NOT internal"
            " AND lower(schema_name) <> 'switchback'"
        )
        tables = con.execute(
            f"SELECT schema_name, table_name FROM duckdb_tables() WHERE {user} AND NOT temporary"
        ).fetchall()
        views = con.execute(
            f"SELECT schema_name, view_name, sql FROM duckdb_views() WHERE {user} AND NOT temporary"
        ).fetchall()
        columns = con.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()"
            f" WHERE {user} ORDER BY schema_name, table_name, column_index"
        ).fetchall()
        # A sum of hashes does not depend on the order of rows, and minds how often each occurs.
        digest = "sum(hash(t)::HUGEINT)::VARCHAR" if request["contents"] else "NULL"
        return {
            "tables": [
                [
                    schema,
                    name,
                    *con.execute(
                        f"SELECT count(*), {digest} FROM {quoted(schema)}.{quoted(name)} AS t"
                    ).fetchone(),
                ]
                for schema, name in tables
            ],
            "views": views,
            "columns": columns,
        }
    finally:
        con.close()


def query(request):
    con = duckdb.connect(request["file"], read_only=True)
    try:
        statements = duckdb.extract_statements(request["sql"])
        kinds = [str(one.type).rsplit(".", 1)[-1] for one in statements]
        if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
            raise ValueError("exactly one SELECT is expected, not: " + (", ".join(kinds) or "nothing"))
        cursor = con.execute(statements[0])
        rows = cursor.fetchmany(request["limit"])
        names = [column[0] for column in cursor.description or []]
        return {"columns": names, "rows": [[text(value) for value in row] for row in rows]}
    finally:
        con.close()


def found_database(file):
    """Makes an empty file of ours an empty database: DuckDB refuses to do that itself, and the
    file must stay the same inode. Its first block comes last, so a torn one is never valid."""
    fresh = file + ".fresh"
    if os.path.exists(fresh):
        os.remove(fresh)
    duckdb.connect(fresh).close()
    with open(fresh, "rb") as source:
        content = source.read()
    with open(file, "r+b") as target:
        for begin, part in ((4096, content[4096:]), (0, content[:4096])):
            target.seek(begin)
            target.write(part)
            target.flush()
            os.fsync(target.fileno())
    os.remove(fresh)


def execute(request):
    file = request["file"]
    if request["found"] and os.path.getsize(file) == 0:
        found_database(file)
    con = duckdb.connect(file)
    committed = False
    try:
        for one in duckdb.extract_statements(request["sql"]):
            if "identity" in one.named_parameters:
                con.execute(one, {"identity": request["identity"]})
            else:
                con.execute(one)
            committed = committed or one.query.strip().rstrip(";").strip().upper() == "COMMIT"
    except Exception as problem:
        return error(problem, committed)
    finally:
        con.close()
    return {}


OPERATIONS = {"stamps": stamps, "inventory": inventory, "query": query, "execute": execute}


def serve():
    requests = queue.Queue()
    writing = threading.Lock()

    def read():
        for line in sys.stdin:
            requests.put(line)
        # The parent is gone or has no more use for us: end at once, except in a write.
        with writing:
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    answer({"ready": {"duckdb": duckdb.__version__}})
    while True:
        request = json.loads(requests.get())
        try:
            if request["op"] == "execute":
                with writing:
                    result = execute(request)
            else:
                result = OPERATIONS[request["op"]](request)
        except Exception as problem:
            result = error(problem)
        failed = isinstance(result, dict) and "error" in result
        answer(result if failed else {"ok": result})


def inode(file):
    """The inode that DuckDB really opened, whatever has the name by now. Opens nothing."""
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + number) == file:
                return os.stat("/proc/self/fd/" + number).st_ino
        except OSError:
            continue
    return os.stat(file).st_ino


def guard(file):
    try:
        con = duckdb.connect(file, read_only=True)
        answer({"ready": {"duckdb": duckdb.__version__, "inode": inode(file)}})
    except Exception as problem:
        answer(error(problem))
        return
    for _ in sys.stdin:
        answer({"ok": con is not None})
    os._exit(0)


if sys.argv[1] == "guard":
    guard(sys.argv[2])
else:
    serve()
