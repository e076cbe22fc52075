"""CREATE and ALTER of tables and views."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import functions, timetravel
from .catalog import Column, Obj, Place, new_id
from .containers import tags
from .errors import compilation, syntax
from .session import Session
from .tokens import Reader, quote
from .translate import Scope, Translator, parse, to_duck

if TYPE_CHECKING:
    from .engine import Engine


# -- views
def view(engine: Engine, session: Session, r: Reader, place: Place, base: Obj) -> tuple[Obj, bool]:
    """The text is kept exactly as written. D (GD): the query is validated at once."""
    named: list[tuple[str, str]] = []
    if r.sees("("):
        named = [_view_column(part) for part in split_list(r.group())]
    options, copied = _relation_options(r)
    r.expect("AS")
    body = parse(r.rest())
    while body.key == "subquery" and not body.args.get("alias") and len([v for v in body.args.values() if v]) == 1:
        body = body.this
    translator = Translator(engine, session)
    scope = Scope(place.schema.database.name, place.schema.name)  # D (CV): its own place
    if engine.switches["relative-names"] == "session":
        scope = Scope(session.database, session.schema)
    produced = engine.store.describe(translator.query(body.copy(), scope))
    for read in translator.read:
        engine.require(session, "SELECT", read)
    if named and len(named) != len(produced):
        raise compilation(2026, "42601", "Invalid column definition list")
    if len({n for n, _ in produced}) != len(produced) and not named:
        raise compilation(2025, "42S21", "duplicate column name in view")
    columns = tuple(
        Column(named[i][0] if named else name, functions.shown_type(duck), duck, comment=named[i][1] if named else "")
        for i, (name, duck) in enumerate(produced)
    )
    obj = replace(base, id=new_id(), columns=columns, text=r.sql.rstrip().rstrip(";"), body=body, **options)
    return obj, copied


def _view_column(text: str) -> tuple[str, str]:
    r = Reader(text)
    name, comment = r.name()[0], ""
    while not r.done:
        if r.accept("COMMENT"):
            r.accept("=")
            comment = r.string()
        elif r.accept("WITH TAG") or r.accept("TAG"):
            r.group()
        else:
            r.next()
    return name, comment


def dynamic(engine: Engine, session: Session, r: Reader, place: Place, base: Obj) -> Obj:
    """D (OD/DM): a dynamic table's query resolves by name, at each refresh."""
    text, props = r.sql, {"scheduling_state": "ACTIVE"}
    while not r.sees("AS"):
        word = r.next().text.lower()
        if r.accept("="):
            props[word] = r.value()
    r.expect("AS")
    body = parse(r.rest())
    obj = replace(base, id=new_id(), text=text, body=body, props=props)
    return replace(obj, **refresh(engine, session, place, obj))


def refresh(engine: Engine, session: Session, place: Place, obj: Obj) -> dict[str, Any]:
    sql = Translator(engine, session).query(obj.body.copy(), Scope(place.schema.database.name, place.schema.name))
    columns, data = _as_select(engine, sql, ())
    return {"columns": columns, "data": data}


# -- tables
def table(engine: Engine, session: Session, r: Reader, place: Place, base: Obj) -> tuple[Obj, bool]:
    columns: tuple[Column, ...] = ()
    if r.sees("("):
        columns = tuple(c for part in split_list(r.group()) if (c := _column(engine, part)) is not None)
    props: dict[str, Any] = {}
    source: Place | None = None
    if word := r.one_of("CLONE", "LIKE"):
        source = engine.found(session, r.name())
        props["how"] = word
        point = timetravel.from_reader(engine, session, r)
        if point is not None and source.obj is not None:
            source = Place(source.schema, source.name, timetravel.object_at(engine, source, point))
    options, copied = _relation_options(r)
    base = replace(base, **options)
    if source is not None and source.obj is not None:
        engine.require(session, "SELECT", source)
        # D (TMP): a transient table cannot be cloned to a permanent one.
        if props["how"] == "CLONE" and source.obj.transient and not base.transient:
            raise compilation(2119, "42601", "Transient object cannot be cloned to a permanent object.")
        data = source.obj.data if props["how"] == "CLONE" else engine.store.create(source.obj.columns)
        return replace(base, id=new_id(), columns=source.obj.columns, data=data, clone_of=source.obj.id), copied
    if r.accept("AS"):
        translator = Translator(engine, session)
        sql = translator.query(parse(r.rest()))
        for read in translator.read:
            engine.require(session, "SELECT", read)
        columns, data = _as_select(engine, sql, columns)
        return replace(base, id=new_id(), columns=columns, data=data), copied
    r.end()
    if not columns:
        raise syntax("Missing column specification")
    return replace(base, id=new_id(), columns=columns, data=engine.store.create(columns)), copied


def _as_select(engine: Engine, sql: str, declared: tuple[Column, ...]) -> tuple[tuple[Column, ...], str]:
    produced = engine.store.describe(sql)
    names = [name for name, _ in produced]
    if len(set(names)) != len(names) and not declared:
        raise compilation(2025, "42S21", f"duplicate column name '{next(n for n in names if names.count(n) > 1)}'")
    if declared and len(declared) != len(produced):
        raise compilation(2026, "42601", "Invalid column definition list")
    columns = tuple(
        replace(declared[i], type=declared[i].type or functions.shown_type(duck), duck=declared[i].duck or _kept(duck))
        if declared
        else Column(name, functions.shown_type(duck), _kept(duck))
        for i, (name, duck) in enumerate(produced)
    )
    data = engine.store.create(columns)
    engine.store.duck.execute(f"INSERT INTO {data} {sql}")
    return columns, data


def _kept(duck: str) -> str:
    if duck == '"NULL"':
        return "VARCHAR"
    return "JSON" if duck.endswith("[]") or duck.startswith(("STRUCT", "MAP")) else duck


def split_list(text: str) -> list[str]:
    """Split at the commas that are not inside parentheses or strings."""
    r, parts, start, depth = Reader(text), [], 0, 0
    for token in r.tokens:
        kind = token.token_type.name
        depth += (kind == "L_PAREN") - (kind == "R_PAREN")
        if kind == "COMMA" and depth == 0:
            parts.append(text[start : token.start])
            start = token.end + 1
    return [*parts, text[start:]]


def _column(engine: Engine, text: str) -> Column | None:
    r = Reader(text)
    if (
        r.sees("CONSTRAINT")
        or r.sees("PRIMARY KEY")
        or r.sees("UNIQUE (")
        or r.sees("FOREIGN KEY")
        or r.sees("INDEX")
        or r.sees("CHECK")
    ):
        return None  # D (facts, 6): PRIMARY KEY and UNIQUE are not enforced
    name, nullable, default, comment = r.name()[0], True, None, ""
    shown = duck = ""
    if not r.done and not r.sees("COMMENT"):
        word = r.next().text
        size = f"({r.group()})" if r.sees("(") else ""
        if word.upper() == "DOUBLE":
            r.accept("PRECISION")
        shown, duck = functions.data_type(word + size)
    while not r.done:
        if r.accept("NOT NULL"):
            nullable = False
        elif r.accept("DEFAULT"):
            text = _default(r)
            # Told apart from a constant: it is asked at each insert. E: it ignores the moved clock.
            if text.upper().rstrip("()") in ("CURRENT_TIMESTAMP", "SYSDATE", "GETDATE", "LOCALTIMESTAMP"):
                default = "now()"
                continue
            default = to_duck(
                Translator(engine, Session("", "", None, None, None)).resolve(parse(f"SELECT {text}")).expressions[0]
            )
        elif r.one_of("AUTOINCREMENT", "IDENTITY"):
            sequence = engine.store.name("s")
            engine.store.duck.execute(f"CREATE SEQUENCE {sequence}")
            default = f"nextval('{sequence}')"
            if r.sees("("):
                r.group()
        elif r.accept("COMMENT"):
            r.accept("=")
            comment = r.string()
        else:
            r.next()
            if r.sees("("):
                r.group()
    return Column(name, shown, duck, nullable, default, comment)


def _default(r: Reader) -> str:
    start, depth = r.next(), 0
    end = start
    while (token := r.peek()) is not None:
        if depth == 0 and (
            r.sees("NOT NULL") or r.sees("COMMENT") or r.sees("PRIMARY") or r.sees("UNIQUE") or r.sees("WITH")
        ):
            break
        depth += (token.text == "(") - (token.text == ")")
        end = r.next()
    return r.sql[start.start : end.end + 1]


def _relation_options(r: Reader) -> tuple[dict[str, Any], bool]:
    """Everything between the name and AS. CLUSTER BY, policies and the rest are noted in props."""
    options: dict[str, Any] = {"props": {}}
    copied = False
    while not r.done and not r.sees("AS"):
        if r.accept("COPY GRANTS"):
            copied = True
        elif r.accept("COMMENT"):
            r.accept("=")
            options["comment"] = r.string()
        elif r.accept("WITH TAG") or r.accept("TAG"):
            options["tags"] = tuple(tags(r.group()).items())
        elif r.accept("DATA_RETENTION_TIME_IN_DAYS"):
            r.expect("=")
            options["retention"] = r.number()
        elif r.accept("CLUSTER BY"):
            options["props"]["cluster_by"] = r.group()
        elif r.accept("WITH ROW ACCESS POLICY") or r.accept("ROW ACCESS POLICY"):
            options["props"]["row_access_policy"] = ".".join(r.name())
            r.accept("ON")
            r.group()
        else:
            r.next()
            if r.sees("("):
                r.group()
    return options, copied


# -- ALTER
def alter(engine: Engine, session: Session, r: Reader, place: Place) -> dict[str, Any]:
    obj = place.obj
    assert obj is not None
    if r.accept("REFRESH"):
        return refresh(engine, session, place, obj)
    if word := r.one_of("SUSPEND", "RESUME"):
        state = "SUSPENDED" if word == "SUSPEND" else "ACTIVE"
        props = obj.props | {"scheduling_state": state}
        if obj.kind == "MATERIALIZED VIEW":
            props |= {"invalid": word == "SUSPEND", "invalid_reason": "View is suspended" if word == "SUSPEND" else ""}
        r.accept("RECLUSTER")
        return {"props": props}
    if r.accept("SET"):
        return _set(r, obj)
    if r.accept("UNSET"):
        return _unset(r, obj)
    if r.accept("ADD ROW ACCESS POLICY"):
        return {"props": obj.props | {"row_access_policy": ".".join(r.name())}}
    if (
        r.accept("ADD CONSTRAINT")
        or r.accept("ADD PRIMARY KEY")
        or r.accept("CLUSTER BY")
        or r.accept("DROP CLUSTERING KEY")
        or r.accept("ADD UNIQUE")
    ):
        return {}
    if r.accept("ADD"):
        r.accept("COLUMN")
        r.accept("IF NOT EXISTS")
        new = tuple(
            c
            for part in split_list(r.rest())
            if (
                c := _column(
                    engine, part.replace("COLUMN ", "", 1) if part.strip().upper().startswith("COLUMN ") else part
                )
            )
        )
        for column in new:
            if column.name in {c.name for c in obj.columns}:
                raise compilation(1430, "42601", f"column '{column.name}' already exists")
        return _reshape(
            engine,
            session,
            obj,
            obj.columns + new,
            [quote(c.name) for c in obj.columns] + [c.default or "NULL" for c in new],
        )
    if r.accept("DROP"):
        r.accept("COLUMN")
        if_exists = r.accept("IF EXISTS")
        gone = [Reader(p).name()[0] for p in split_list(r.rest())]
        absent = [g for g in gone if g not in {c.name for c in obj.columns}]
        if absent and not if_exists:
            raise compilation(904, "42000", f"invalid identifier '{absent[0]}'")
        kept = tuple(c for c in obj.columns if c.name not in gone)
        return _reshape(engine, session, obj, kept, [quote(c.name) for c in kept])
    if r.accept("RENAME COLUMN"):
        was = r.name()[0]
        r.expect("TO")
        to = r.name()[0]
        columns = tuple(replace(c, name=to) if c.name == was else c for c in obj.columns)
        return _reshape(engine, session, obj, columns, [quote(c.name) for c in obj.columns])
    if r.one_of("ALTER", "MODIFY"):
        return _alter_columns(engine, session, r, obj)
    raise r.unexpected()


def _reshape(
    engine: Engine, session: Session, obj: Obj, columns: tuple[Column, ...], values: list[str]
) -> dict[str, Any]:
    data = engine.store.create(columns)
    engine.store.duck.execute(f"INSERT INTO {data} SELECT {', '.join(values)} FROM {obj.data}")
    return {"columns": columns, "data": data}


def _alter_columns(engine: Engine, session: Session, r: Reader, obj: Obj) -> dict[str, Any]:
    text = r.group() if r.sees("(") else r.rest()
    columns, reshape = list(obj.columns), False
    for part in split_list(text):
        p = Reader(part)
        p.accept("COLUMN")
        name = p.name()[0]
        index = next((i for i, c in enumerate(columns) if c.name == name), None)
        if index is None:
            raise compilation(904, "42000", f"invalid identifier '{name}'")
        if p.accept("COMMENT"):
            columns[index] = replace(columns[index], comment=p.string())
        elif p.accept("UNSET COMMENT"):
            columns[index] = replace(columns[index], comment="")
        elif p.accept("DROP NOT NULL"):
            columns[index], reshape = replace(columns[index], nullable=True), True
        elif p.accept("SET NOT NULL"):
            columns[index], reshape = replace(columns[index], nullable=False), True
        elif p.accept("DROP DEFAULT"):
            columns[index], reshape = replace(columns[index], default=None), True
        elif p.accept("SET DATA TYPE") or p.accept("TYPE"):
            shown, duck = functions.data_type(p.rest())
            columns[index], reshape = replace(columns[index], type=shown, duck=duck), True
        elif p.one_of("SET MASKING POLICY", "UNSET MASKING POLICY", "SET TAG", "UNSET TAG", "SET", "UNSET"):
            p.rest()
    if reshape and obj.data is not None:
        return _reshape(engine, session, obj, tuple(columns), [quote(c.name) for c in obj.columns])
    return {"columns": tuple(columns)}


def _set(r: Reader, obj: Obj) -> dict[str, Any]:
    changes: dict[str, Any] = {"props": dict(obj.props)}
    while not r.done:
        if r.accept("SECURE"):
            changes["secure"] = True
        elif r.accept("TAG"):
            changes["tags"] = tuple((dict(obj.tags) | tags(r.rest())).items())
        else:
            name = r.next().text.upper()
            r.expect("=")
            if name == "COMMENT":
                changes["comment"] = r.string()
            elif name == "DATA_RETENTION_TIME_IN_DAYS":
                changes["retention"] = r.number()
            else:
                changes["props"][name.lower()] = r.value()
        r.accept(",")
    return changes


def _unset(r: Reader, obj: Obj) -> dict[str, Any]:
    if r.accept("COMMENT"):
        return {"comment": ""}
    if r.accept("SECURE"):
        return {"secure": False}
    if r.accept("DATA_RETENTION_TIME_IN_DAYS"):
        return {"retention": None}
    if r.accept("TAG"):
        gone = [".".join(Reader(p).name()) for p in split_list(r.rest())]
        return {"tags": tuple(t for t in obj.tags if t[0] not in gone)}
    r.rest()
    return {}
