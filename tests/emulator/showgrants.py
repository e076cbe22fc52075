"""SHOW [FUTURE|INHERITED] GRANTS, with the columns of D (SG)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import Container, Place, Schema
from .containers import find
from .objects import kind_of
from .session import Result, Session, table
from .tokens import Reader

if TYPE_CHECKING:
    from .grants import Grant, Grants

ON = "created_on privilege granted_on name granted_to grantee_name grant_option granted_by granted_by_role_type"
TO = "created_on privilege granted_on name granted_to grantee_name grant_option granted_by"
OF = "created_on role granted_to grantee_name granted_by"
# D (IGU): with inherited grants four more columns say where a row comes from.
INHERITED = "is_inherited inherited_from inherited_from_database inherited_from_schema"
FUTURE = "created_on privilege grant_on name grant_to grantee_name grant_option"


def _row(grants: Grants, g: Grant) -> dict:
    return {
        "created_on": g.created_on,
        "privilege": g.privilege,
        "granted_on": g.on_kind.replace(" ", "_"),
        "grant_on": g.on_kind.replace(" ", "_"),
        "name": grants.target_name(g),
        "granted_to": g.to_kind,
        "grant_to": g.to_kind,
        "grantee_name": grants.grantee_name(g),
        "grant_option": "true" if g.option else "false",
        "granted_by": g.by,
        "granted_by_role_type": "ROLE",
    }


def _ordered(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (row["name"], row["grantee_name"], row["privilege"]))


def run(grants: Grants, session: Session, r: Reader) -> Result:
    style = "future" if r.accept("FUTURE GRANTS") else "inherited" if r.accept("INHERITED GRANTS") else None
    if style:
        return _in(grants, session, r, style)
    r.expect("GRANTS")
    if r.accept("ON"):
        return _on(grants, session, r)
    if r.accept("TO"):
        to_kind, to = grants._grantee(session, r)
        rows = [
            _row(grants, g) for g in grants.list.values() if g.style == "object" and (g.to_kind, g.to) == (to_kind, to)
        ]
        rows += _owned(grants, to) if to_kind == "ROLE" else []
        return table(TO, _ordered(rows))
    if r.accept("OF"):
        kind = r.one_of("DATABASE ROLE", "ROLE", "SHARE")
        name = r.name()
        on = grants._database_role(session, name) if kind == "DATABASE ROLE" else name[0]
        rows = [
            _row(grants, g) | {"role": name[-1]}
            for g in grants.list.values()
            if g.style == "object" and g.on_id == on and g.on_kind in ("ROLE", "DATABASE_ROLE")
        ]
        return table(OF, _ordered(rows))
    rows = [
        _row(grants, g)
        for g in grants.list.values()
        if g.on_kind == "ROLE" and g.to_kind == "USER" and g.to == session.user
    ]
    return table(TO, _ordered(rows))


def _on(grants: Grants, session: Session, r: Reader) -> Result:
    if r.accept("ACCOUNT"):
        return table(ON, _ordered([_row(grants, g) for g in grants.on(0) if g.on_kind == "ACCOUNT"]))
    container = r.one_of("DATABASE ROLE", "DATABASE", "SCHEMA")
    if container == "DATABASE ROLE":
        identity = grants._database_role(session, r.name())
        return table(ON, _ordered([_row(grants, g) for g in grants.on(identity)]))
    if word := r.one_of("WAREHOUSE", "ROLE", "USER", "INTEGRATION"):
        name = r.name()[0]
        return table(ON, _ordered([_row(grants, g) for g in grants.on(name) if g.on_kind == word]))
    from .grants import signed

    target: Container | Place
    if container:
        target = find(grants.engine, session, container, r.name())
        one, kind = target, container
    else:
        wanted = kind_of(r) or "TABLE"
        target = grants.engine.found(session, r.name(), "TABLE" if wanted in ("TABLE", "VIEW") else wanted)
        assert target.obj is not None
        one, kind = target.obj, target.obj.kind  # type: ignore[assignment]
    rows = [_row(grants, g) for g in grants.on(one.id)]
    if isinstance(target, Place) and grants.engine.switches["show-grants-lists-inherited"] == "yes":
        above = (target.schema.id, target.schema.database.id)
        rows += [
            _row(grants, g) | {"name": target.fqn, "granted_by": "", "is_inherited": "true"} | _from(grants, g)
            for g in grants.list.values()
            if g.style == "inherited" and g.on_id in above and g.on_kind == kind
        ]
    rows.append(_owner_row(one, kind, signed(target) if isinstance(target, Place) else target.fqn))
    if grants.engine.switches["show-grants-lists-inherited"] == "yes":
        return table(f"{ON} {INHERITED}", _ordered([{"is_inherited": "false"} | row for row in rows]))
    return table(ON, _ordered(rows))


def _from(grants: Grants, g: Grant) -> dict:
    container = grants.engine.catalog.by_id(g.on_id)
    database = container.database.name if isinstance(container, Schema) else container.name
    return {
        "inherited_from": container.kind,
        "inherited_from_database": database,
        "inherited_from_schema": container.name if isinstance(container, Schema) else None,
    }


def _owner_row(one, kind: str, name: str) -> dict:
    return {
        "created_on": one.created_on,
        "privilege": "OWNERSHIP",
        "granted_on": kind.replace(" ", "_"),
        "name": name,
        "granted_to": "ROLE",
        "grantee_name": one.owner,
        "grant_option": "true",
        "granted_by": one.owner,
        "granted_by_role_type": "ROLE",
    }


def _owned(grants: Grants, role: str) -> list[dict]:
    rows = []
    for database in grants.engine.catalog.databases.values():
        if database.owner == role:
            rows.append(_owner_row(database, "DATABASE", database.fqn))
        for schema in database.children.values():
            if schema.owner == role:
                rows.append(_owner_row(schema, "SCHEMA", schema.fqn))
            rows += [_owner_row(o, o.kind, Place(schema, n, o).fqn) for n, o in schema.objects() if o.owner == role]
    return rows


def _in(grants: Grants, session: Session, r: Reader, style: str) -> Result:
    """D (SG): needs the container; without MANAGE GRANTS an empty answer, not an error (I)."""
    if r.accept("TO"):
        to_kind, to = grants._grantee(session, r)
        chosen = [g for g in grants.list.values() if g.style == style and (g.to_kind, g.to) == (to_kind, to)]
        return table(FUTURE, _ordered([_row(grants, g) for g in chosen]))
    r.expect("IN")
    kind = r.one_of("DATABASE", "SCHEMA") or ""
    container = find(grants.engine, session, kind, r.name())
    # D (SG): the output is limited to what the role can see.
    if not grants.allows(session.role, "MANAGE GRANTS", "ACCOUNT") and not grants.allows(
        session.role, "OWNERSHIP", container
    ):
        return table(FUTURE, [])
    chosen = [g for g in grants.list.values() if g.style == style and g.on_id == container.id]
    return table(FUTURE, _ordered([_row(grants, g) for g in chosen]))
