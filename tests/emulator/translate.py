"""Snowflake's SQL made DuckDB's: names resolved in our catalogue, functions by fakesnow.

Every table name becomes its row set; every view becomes a subquery, its own names resolved where
the view lives. Nothing in DuckDB knows a database or a schema of ours.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

import sqlglot
from fakesnow import transforms
from sqlglot import exp
from sqlglot.errors import ParseError

from . import functions
from .catalog import Obj, Place
from .errors import SnowflakeError, compilation, syntax
from .session import Session

if TYPE_CHECKING:
    from .engine import Engine

logging.getLogger("sqlglot").setLevel(logging.ERROR)

# The expression-level part of fakesnow's pipeline, in fakesnow's order.
_PIPELINE: list[Callable] = [
    getattr(transforms, name)
    for name in """semi_structured_types try_parse_json split trim_cast_varchar indices_to_json_extract
    json_extract_cast_as_varchar json_extract_cased_as_varchar json_extract_precedence
    flatten_value_cast_as_varchar flatten regex_replace regex_substr values_columns to_date timestamp_offsets
    to_decimal to_timestamp to_variant object_construct timestamp_ntz float_to_double integer_precision sample
    array_size random array_agg_within_group array_agg object_agg array_construct_etc dateadd_date_cast
    dateadd_string_literal_timestamp_cast datediff_string_literal_timestamp_cast haversine hex_string sha256
    alias_in_join alias_in_where""".split()
]


@dataclass
class Scope:
    """Where unqualified names look: the session's place, or that of the view being expanded."""

    database: str | None
    schema: str | None
    view: str | None = None
    depth: int = 0


def parse(sql: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(sql, read="snowflake")
    except ParseError as error:
        text = str(error).replace("\x1b[4m", "").replace("\x1b[0m", "")
        raise syntax(text) from None
    return tree.transform(transforms.upper_case_unquoted_identifiers, copy=False)


def to_duck(tree: exp.Expr) -> str:
    for step in _PIPELINE:
        tree = tree.transform(step, copy=False)
    # Every identifier quoted: DuckDB reserves words that Snowflake does not, such as AT.
    return functions.finish(tree.sql(dialect="duckdb", identify=True))


class Translator:
    """One statement's worth of name resolution."""

    def __init__(self, engine: Engine, session: Session, bindings: list | None = None, script: dict | None = None):
        self.engine, self.session = engine, session
        self.numbered = list(bindings or [])  # :1, :2
        self.bindings = list(self.numbered)  # ?, ?
        self.script = script or {}  # variables of a scripting block
        self.zoned: set[str] = set()  # result columns that are TIMESTAMP_TZ; DuckDB has one type for both
        self.read: list[Place] = []  # what the statement itself names: privileges are asked here

    def query(self, tree: exp.Expr, scope: Scope | None = None) -> str:
        return to_duck(self.resolve(tree, scope))

    def resolve(self, tree: exp.Expr, scope: Scope | None = None) -> exp.Expr:
        scope = scope or Scope(self.session.database, self.session.schema)
        if isinstance(tree, exp.Query) and scope.view is None:
            self.zoned |= {
                s.alias_or_name
                for s in tree.selects
                if isinstance(s.unalias(), exp.Cast) and s.unalias().to.is_type("timestamptz")
            }
        # A root of its own, so that the outermost node can be replaced as well.
        root = exp.Paren(this=tree)
        self._bind(root)
        for node in list(root.find_all(exp.TableFromRows, exp.Table)):
            if isinstance(node, exp.TableFromRows):
                self._table_function(node)
            elif node.this is not None and isinstance(node.this, exp.Identifier) and not in_cte(node):
                self._table(node, scope)
        functions.replace_calls(root, self.engine, self.session, scope)
        for column in root.find_all(exp.Column):
            column.set("db", None)  # DB.SCHEMA.TABLE.COLUMN
            column.set("catalog", None)
        tree = root.this
        tree.parent = None
        return tree

    # -- values from outside
    def _bind(self, root: exp.Expr) -> None:
        for node in list(root.find_all(exp.Placeholder)):
            name = str(node.this or "").upper()
            if name in self.script:
                node.replace(functions.as_literal(self.script[name]))
            elif name.isdigit() and int(name) <= len(self.numbered):
                node.replace(functions.as_literal(self.numbered[int(name) - 1]))
            elif name in ("", "?") and self.bindings:
                node.replace(functions.as_literal(self.bindings.pop(0)))
            elif name in ("", "?"):
                raise compilation(2049, "42601", "Bind variable ? not set.")
            else:
                raise compilation(904, "42000", f"error line 1: invalid identifier '{name}'")
        for node in list(root.find_all(exp.Parameter)):
            name = node.name.upper()
            if name in self.session.variables:
                node.replace(functions.as_literal(self.session.variables[name]))
        for node in list(root.find_all(exp.Table)):  # IDENTIFIER('db.schema.table')
            named = transforms.identifier(node, None)
            if named is not node:
                named = named.transform(transforms.upper_case_unquoted_identifiers, copy=False)
                for extra in ("alias", "joins", "when"):
                    named.set(extra, node.args.get(extra))
                node.replace(named)

    # -- tables and views
    def _table(self, node: exp.Table, scope: Scope) -> None:
        parts = tuple(p.name for p in (node.args.get("catalog"), node.args.get("db"), node.this) if p)
        if any(not p for p in parts):
            parts = tuple(p or "PUBLIC" for p in parts)
        when = node.args.get("when")
        alias = node.args.get("alias")
        if len(parts) > 1 and parts[-2].upper() == "INFORMATION_SCHEMA":
            database = parts[0] if len(parts) == 3 else scope.database
            new = exp.to_identifier(self.engine.information_schema(self.session, database, parts[-1]), quoted=True)
            self._swap_in(node, exp.Table(this=new), parts[-1], alias)
            return
        if len(parts) == 3 and parts[0] == "SNOWFLAKE":
            new = exp.to_identifier(self.engine.account_usage(self.session, parts[2]), quoted=True)
            self._swap_in(node, exp.Table(this=new), parts[-1], alias)
            return
        place = self.engine.place(self.session, parts, scope)
        if place.obj is None:
            raise self.engine.absent(place, parts)
        if scope.view is None:
            self.read.append(place)
        obj = place.obj
        self.zoned |= {c.name for c in obj.columns if c.type.startswith("TIMESTAMP_TZ")}
        if when is not None:
            obj = self.engine.as_of(self.session, place, when)
        if obj.kind in ("VIEW", "MATERIALIZED VIEW", "DYNAMIC TABLE") and obj.body is not None:
            self._swap_in(node, self._view(place, obj, scope), parts[-1], alias)
        else:
            data = self.engine.data_of(self.session, obj)
            self._swap_in(node, exp.Table(this=exp.to_identifier(data, quoted=True)), parts[-1], alias)

    def _view(self, place: Place, obj: Obj, scope: Scope) -> exp.Subquery:
        if scope.depth > 30:
            raise compilation(2016, "42601", f"View '{place.fqn}' is recursive.")
        inner = Scope(place.schema.database.name, place.schema.name, place.fqn, scope.depth + 1)
        if self.engine.switches["relative-names"] == "session":
            inner.database, inner.schema = self.session.database, self.session.schema
        # D (CV): an unqualified name resolves in the view's own schema, schema.name in its database.
        try:
            body = self.resolve(obj.body.copy(), inner)
        except SnowflakeError as error:
            raise compilation(
                2037, "42601", f"Failure during expansion of view '{place.name}': {error.message}"
            ) from None
        columns = [exp.to_identifier(c.name, quoted=True) for c in obj.columns]
        # D (CV): the columns were fixed when the view was created.
        produced = self.engine.store.describe(to_duck(body.copy()))
        if columns and len(produced) != len(columns):
            raise compilation(
                2057,
                "42601",
                f"View definition for '{place.fqn}' declared {len(columns)} column(s), but view query produces "
                f"{len(produced)} column(s).",
            )
        return exp.Subquery(
            this=body, alias=exp.TableAlias(this=exp.to_identifier(place.name, quoted=True), columns=columns)
        )

    @staticmethod
    def _swap_in(node: exp.Table, new: exp.Expr, name: str, alias: exp.TableAlias | None) -> None:
        own = new.args.get("alias")
        merged = exp.TableAlias(
            this=(alias.this if alias and alias.this else exp.to_identifier(name, quoted=True)),
            columns=(alias.columns if alias and alias.columns else (own.columns if own else None)),
        )
        new.set("alias", merged)
        for extra in ("joins", "laterals", "pivots", "sample"):
            if node.args.get(extra):
                new.set(extra, node.args[extra])
        node.replace(new)

    def _table_function(self, node: exp.TableFromRows) -> None:
        call = node.this
        if isinstance(call, exp.Anonymous) and call.name.upper() == "RESULT_SCAN":
            argument = call.expressions[0]
            query_id = argument.name if isinstance(argument, exp.Literal) else self.session.last_query_id
            name = self.engine.register_result(self.session, query_id)
            new = exp.Table(this=exp.to_identifier(name, quoted=True))
            new.set("alias", node.args.get("alias"))
            node.replace(new)
        elif isinstance(call, (exp.Anonymous, exp.Dot)) and "QUERY_HISTORY" in call.sql().upper():
            new = exp.Table(this=exp.to_identifier(self.engine.query_history(), quoted=True))
            new.set("alias", node.args.get("alias"))
            node.replace(new)
        elif isinstance(call, (exp.Anonymous, exp.Dot)) and "TAG_REFERENCES" in call.sql().upper():
            name, domain = (e.name for e in call.find(exp.Anonymous).expressions)
            new = exp.Table(this=exp.to_identifier(self.engine.tag_references(self.session, name, domain), quoted=True))
            new.set("alias", node.args.get("alias"))
            node.replace(new)


def in_cte(node: exp.Table) -> bool:
    """Does this name mean a WITH entry? Those before it count, and itself only if recursive."""
    if node.args.get("db"):
        return False
    name, child, parent = node.name, node, node.parent
    while parent is not None:
        if isinstance(parent, exp.With):
            for cte in parent.expressions:
                if cte is child:
                    if parent.recursive and cte.alias == name:
                        return True
                    break
                if cte.alias == name:
                    return True
        else:
            clause = parent.args.get("with_") or parent.args.get("with")
            if clause is not None and clause is not child and any(c.alias == name for c in clause.expressions):
                return True
        child, parent = parent, parent.parent
    return False
