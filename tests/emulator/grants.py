"""Privileges as one list, keyed by the object's id: so they follow a swap or a rename (D (AS/AD))."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .catalog import Container, Database, Place, Schema
from .errors import SnowflakeError, compilation, denied, missing
from .session import Result, Session, status
from .tokens import Reader, dotted, shown

if TYPE_CHECKING:
    from .engine import Engine

ALL = {
    "DATABASE": "APPLYBUDGET,CREATE DATABASE ROLE,CREATE SCHEMA,MODIFY,MONITOR,USAGE",
    "SCHEMA": "ADD SEARCH OPTIMIZATION,APPLYBUDGET,CREATE TABLE,CREATE VIEW,CREATE TASK,CREATE STREAM,CREATE STAGE,CREATE SEQUENCE,CREATE PIPE,MODIFY,MONITOR,USAGE",
    "TABLE": "APPLYBUDGET,DELETE,EVOLVE SCHEMA,INSERT,REBUILD,REFERENCES,SELECT,TRUNCATE,UPDATE",
    "VIEW": "DELETE,INSERT,REBUILD,REFERENCES,SELECT,TRUNCATE,UPDATE",
}


def signed(place: Place) -> str:
    """D (SG): a function's or procedure's name has its arguments and what it returns."""
    obj = place.obj
    if obj is None or obj.kind not in ("FUNCTION", "PROCEDURE"):
        return place.fqn
    arguments = str(obj.props.get("arguments", "")).upper()
    return dotted(place.schema.database.name, place.schema.name, f"{place.name}({arguments}):{obj.props.get('returns', 'VARCHAR')}")


@dataclass(frozen=True)
class Grant:
    privilege: str
    on_kind: str  # of the object; for FUTURE and INHERITED the kind that is to be or is inside
    on_id: Any  # an object's id, 0 for the account, a role's name
    to_kind: str  # ROLE, DATABASE_ROLE, USER, SHARE
    to: Any  # a name; the id of a database role
    created_on: datetime
    option: bool = False
    by: str = ""
    style: str = "object"  # object, future, inherited

    @property
    def key(self) -> tuple:
        return (self.style, self.privilege, self.on_kind, self.on_id, self.to_kind, self.to)


class Grants:
    def __init__(self, engine: Engine):
        self.engine = engine
        self.list: dict[tuple, Grant] = {}

    # -- statements
    def grant(self, session: Session, r: Reader) -> Result:
        r.expect("GRANT")
        for grant in self._parse(session, r, "TO"):
            if grant.privilege == "OWNERSHIP" and grant.style == "object":
                self._own(grant)
            else:
                self.list[grant.key] = (
                    replace(grant, created_on=self.list[grant.key].created_on) if grant.key in self.list else grant
                )
        return status()

    def revoke(self, session: Session, r: Reader) -> Result:
        r.expect("REVOKE")
        only_option = r.accept("GRANT OPTION FOR")
        for grant in self._parse(session, r, "FROM"):
            if only_option and grant.key in self.list:
                self.list[grant.key] = replace(self.list[grant.key], option=False)
            else:
                self.list.pop(grant.key, None)
        return status()

    def _own(self, grant: Grant) -> None:
        target = self.engine.catalog.by_id(grant.on_id)
        if isinstance(target, Place) and target.obj is not None:
            self.engine.catalog.alter(target.schema, target.name, target.obj, ddl=False, owner=grant.to)
        elif isinstance(target, Container):
            target.owner = grant.to

    def _parse(self, session: Session, r: Reader, joint: str) -> list[Grant]:
        now = self.engine.clock.now()
        if r.sees("ROLE") or r.sees("DATABASE ROLE"):
            kind = "DATABASE_ROLE" if r.accept("DATABASE ROLE") else "ROLE"
            if kind == "ROLE":
                r.expect("ROLE")
            name = r.name()
            on = self._database_role(session, name) if kind == "DATABASE_ROLE" else self._role(name[0])
            r.expect(joint)
            to_kind, to = self._grantee(session, r)
            return [Grant("USAGE", kind, on, to_kind, to, now, by=session.role)]
        style = "object"
        if r.accept("INHERITED"):
            style = "inherited"
        privileges = self._privileges(r)
        targets = self._targets(session, r, style)
        r.expect(joint)
        to_kind, to = self._grantee(session, r)
        option = r.accept("WITH GRANT OPTION")
        r.one_of("REVOKE CURRENT GRANTS", "COPY CURRENT GRANTS", "CASCADE", "RESTRICT")
        r.end()
        found = []
        for style, kind, identity in targets:
            self._may(session, style, kind, identity)
            names = ALL.get(kind, "SELECT,USAGE").split(",") if privileges == ["ALL"] else privileges
            found += [Grant(p, kind, identity, to_kind, to, now, option, session.role, style) for p in names]
        return found

    @staticmethod
    def _privileges(r: Reader) -> list[str]:
        names, words = [], []
        while not r.accept("ON"):
            token = r.next()
            if token.text == ",":
                names.append(" ".join(words))
                words = []
            else:
                words.append(token.text.upper())
        names.append(" ".join(words))
        return ["ALL"] if names in (["ALL"], ["ALL PRIVILEGES"]) else names

    def _targets(self, session: Session, r: Reader, style: str) -> list[tuple[str, str, Any]]:
        """(style, kind, id) of what the privilege is on."""
        from .containers import find
        from .objects import kind_of

        if r.accept("ACCOUNT"):
            return [(style, "ACCOUNT", 0)]
        many = r.one_of("ALL", "FUTURE")
        if many:
            kind = "SCHEMA" if r.accept("SCHEMAS") else kind_of(r, plurals=True)
            if kind is None:
                raise r.unexpected()
            r.expect("IN")
            where = r.one_of("DATABASE", "SCHEMA")
            if where is None:
                raise r.unexpected()
            container = find(self.engine, session, where, r.name())
            if many == "FUTURE":
                return [("future", kind, container.id)]
            if style == "inherited":
                return [("inherited", kind, container.id)]
            return [("object", kind, i) for i in self._inside(container, kind)]
        container_kind = r.one_of("DATABASE ROLE", "DATABASE", "SCHEMA")
        if container_kind == "DATABASE ROLE":
            return [("object", "DATABASE_ROLE", self._database_role(session, r.name()))]
        if container_kind:
            return [("object", container_kind, find(self.engine, session, container_kind, r.name()).id)]
        if word := r.one_of("WAREHOUSE", "ROLE", "USER", "INTEGRATION", "RESOURCE MONITOR"):
            return [("object", word, r.name()[0])]
        kind = kind_of(r) or "TABLE"
        place = self.engine.found(session, r.name(), kind if kind not in ("VIEW", "TABLE") else "TABLE")
        if r.sees("("):
            r.group()
        assert place.obj is not None
        return [("object", place.obj.kind, place.obj.id)]

    def _inside(self, container: Container, kind: str) -> list[int]:
        if kind == "SCHEMA":
            return [s.id for s in container.children.values()]
        schemas = [container] if isinstance(container, Schema) else list(container.children.values())
        return [o.id for s in schemas for _, o in s.objects(kind)]

    def _may(self, session: Session, style: str, kind: str, identity: Any) -> None:
        """D (IGU/AC): future and inherited grants need MANAGE GRANTS. D (AS): in a managed-access
        schema only its owner (or MANAGE GRANTS) decides."""
        if style in ("future", "inherited") and not self.allows(session.role, "MANAGE GRANTS", "ACCOUNT"):
            raise denied("account", "grants")
        target = self.engine.catalog.by_id(identity) if isinstance(identity, int) else None
        if isinstance(target, Place) and target.schema.managed and self.engine.enforce:
            if not (
                self.allows(session.role, "OWNERSHIP", target.schema)
                or self.allows(session.role, "MANAGE GRANTS", "ACCOUNT")
            ):
                raise SnowflakeError(
                    3001,
                    "42501",
                    "SQL access control error:\nInsufficient privileges to operate on managed access schema",
                )

    def _grantee(self, session: Session, r: Reader) -> tuple[str, Any]:
        kind = r.one_of("DATABASE ROLE", "ROLE", "USER", "SHARE", "APPLICATION")
        name = r.name()
        if kind == "DATABASE ROLE":
            return "DATABASE_ROLE", self._database_role(session, name)
        if kind in ("USER", "APPLICATION"):
            return kind, name[0]
        if kind == "SHARE":
            if name[0] not in self.engine.catalog.shares:
                raise missing("Share", shown(name[0]))
            return "SHARE", name[0]
        return "ROLE", self._role(name[0])

    def _role(self, name: str) -> str:
        if name not in self.engine.catalog.roles:
            raise compilation(2003, "02000", f"Role '{shown(name)}' does not exist or not authorized.")
        return name

    def _database_role(self, session: Session, parts: tuple[str, ...]) -> int:
        database = self.engine.catalog.database(parts[0] if len(parts) == 2 else session.database or "")
        if parts[-1] not in database.roles:
            raise compilation(2003, "02000", f"Database role '{dotted(*parts)}' does not exist or not authorized.")
        return database.roles[parts[-1]]

    # -- what other statements do to privileges
    def created(self, session: Session, made: Container | Place, copied_from: int | None = None) -> None:
        """A new object: its future grants, or with COPY GRANTS those of what it replaces."""
        obj = made.obj if isinstance(made, Place) else made
        assert obj is not None
        if copied_from is not None:
            # D (CV): COPY GRANTS leaves out OWNERSHIP and stops future grants from applying.
            for grant in self.on(copied_from):
                self._add(replace(grant, on_id=obj.id))
            return
        if isinstance(made, Database) or getattr(made, "clone_of", None):
            return
        schema = made.schema if isinstance(made, Place) else None
        database = made.schema.database if isinstance(made, Place) else made.database  # type: ignore[union-attr]
        future = [g for g in self.list.values() if g.style == "future" and g.on_kind == obj.kind]
        # D (AC): a schema's future grants take precedence over its database's for the same kind.
        chosen = [g for g in future if schema is not None and g.on_id == schema.id] or [
            g for g in future if g.on_id == database.id
        ]
        for grant in chosen:
            if grant.privilege == "OWNERSHIP":
                self._own(replace(grant, style="object", on_id=obj.id))
            else:
                self._add(replace(grant, style="object", on_id=obj.id, created_on=obj.created_on))

    def cloned(self, ids: dict[int, int], container: int) -> None:
        """D (OC/AC): the children's grants and all future grants are copied; the container's own are not."""
        for grant in list(self.list.values()):
            if grant.on_id not in ids:
                continue
            to = ids.get(grant.to, grant.to) if grant.to_kind == "DATABASE_ROLE" else grant.to  # D (OC): remapped
            if grant.style == "inherited":
                # I (4): inherited grants are not cloned.
                if self.engine.switches["inherited-grants-cloned"] == "no":
                    continue
            elif grant.style == "object" and (grant.on_id == container or grant.to_kind == "SHARE"):
                continue  # I (2): a share's grants stay with the old object
            self._add(replace(grant, on_id=ids[grant.on_id], to=to))

    def swapped(self, a: Container, b: Container) -> None:
        """D/I (2): grants travel with the object. The switches move them back to the name."""
        styles = set()
        if self.engine.switches["container-grants"] == "stay":
            styles.add("object")
        if self.engine.switches["future-grants"] == "stay":
            styles.add("future")
        moved = [g for g in self.list.values() if g.style in styles and g.on_id in (a.id, b.id)]
        for grant in moved:
            del self.list[grant.key]
        for grant in moved:
            self._add(replace(grant, on_id=b.id if grant.on_id == a.id else a.id))

    def forget(self, kind: str, name: Any) -> None:
        kind = kind.replace(" ", "_")
        ends = [(kind, name)]
        self.list = {
            k: g for k, g in self.list.items() if (g.to_kind, g.to) not in ends and (g.on_kind, g.on_id) not in ends
        }

    def _add(self, grant: Grant) -> None:
        self.list[grant.key] = grant

    # -- answers
    def on(self, identity: Any) -> list[Grant]:
        return [g for g in self.list.values() if g.style == "object" and g.on_id == identity]

    def roles_of(self, role: str) -> set[str]:
        """The role and every role granted to it."""
        found, waiting = set(), [role]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += [
                    g.on_id
                    for g in self.list.values()
                    if g.on_kind in ("ROLE", "DATABASE_ROLE") and g.to_kind in ("ROLE", "DATABASE_ROLE") and g.to == one
                ]
        return found | {"PUBLIC"}

    def allows(self, role: str, privilege: str, target: Any) -> bool:
        """What a test denies is denied. Without --enforce-grants everything else is allowed."""
        name = target.fqn if hasattr(target, "fqn") else str(target)
        for denial in self.engine.denials:
            if (
                denial.get("role", role) == role
                and denial["privilege"] == privilege
                and denial.get("object", name).upper() in (name.upper(), "*")
            ):
                return False
        if not self.engine.enforce or role == "ACCOUNTADMIN":
            return True
        roles = self.roles_of(role)
        if target == "ACCOUNT":
            return any(
                g.on_id == 0 and g.privilege == privilege and g.to in roles for g in self.list.values()
            ) or role in ("SYSADMIN", "SECURITYADMIN")
        obj = target.obj if isinstance(target, Place) else target
        if obj is None or (isinstance(target, Place) and obj.props.get("temporary")):
            return True
        above: list[Container] = []
        if isinstance(target, Place):
            above = [target.schema, target.schema.database]
        elif isinstance(target, Schema):
            above = [target.database]
        if not all(self._holds(roles, "USAGE", c, []) for c in above) and privilege != "OWNERSHIP":
            return False
        return self._holds(roles, privilege, obj, above)

    def _holds(self, roles: set, privilege: str, obj: Any, above: list) -> bool:
        if obj.owner in roles:
            return True
        if privilege == "USAGE" and isinstance(obj, Container):
            if any(g.on_id == obj.id and g.style == "object" and g.to in roles for g in self.list.values()):
                return True
        ids = {c.id for c in above}
        return any(
            g.to in roles
            and g.privilege == privilege
            and (
                (g.style == "object" and g.on_id == obj.id)
                or (g.style == "inherited" and g.on_id in ids and g.on_kind == obj.kind)
            )
            for g in self.list.values()
        )

    def grantee_name(self, grant: Grant) -> str:
        if grant.to_kind != "DATABASE_ROLE":
            return str(grant.to)
        for database in self.engine.catalog.databases.values():
            for role, identity in database.roles.items():
                if identity == grant.to:
                    return role
        return "?"

    def target_name(self, grant: Grant) -> str:
        if grant.on_kind == "ACCOUNT":
            return "EMULATOR"
        if not isinstance(grant.on_id, int):
            return shown(str(grant.on_id))
        target = self.engine.catalog.by_id(grant.on_id)
        base = signed(target) if isinstance(target, Place) else target.fqn if target is not None else ""
        if grant.style == "object":
            if target is None:
                for database in self.engine.catalog.databases.values():
                    for role, identity in database.roles.items():
                        if identity == grant.on_id:
                            return dotted(database.name, role)
            return base
        return f"{base}.<{grant.on_kind}>"

    def show(self, session: Session, r: Reader) -> Result:
        from . import showgrants

        return showgrants.run(self, session, r)
