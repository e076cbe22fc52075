"""What nobody on this project knows about Snowflake, as switches: run the tests both ways."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Switch:
    name: str
    values: tuple[str, ...]  # the first is the default
    fact: str


SWITCHES = (
    Switch("managed-access-kept", ("no", "yes"), "U (1): does a plain clone keep the managed-access flag?"),
    Switch(
        "swap-transient-with-permanent",
        ("refused", "allowed"),
        "U (2): may a transient container be swapped with a permanent one?",
    ),
    Switch("swap-schemas-across-databases", ("allowed", "refused"), "U (2): may schemas of two databases be swapped?"),
    Switch(
        "at-clone-view", ("then", "now"), "U (1): which definition of a replaced view does a Time Travel clone hold?"
    ),
    Switch("hybrid-in-schema-clone", ("error", "skip"), "D against D (1): CL and HY say error, CS says skipped"),
    Switch(
        "transient-clone", ("refused", "inherits"), "I (1): CREATE ... CLONE of a transient container without TRANSIENT"
    ),
    Switch("inherited-grants-cloned", ("no", "yes"), "I (4): are inherited grants cloned with the container?"),
    Switch(
        "show-grants-lists-inherited",
        ("no", "yes"),
        "U (4): does SHOW GRANTS ON an object list inherited grants too (here with an empty granted_by)?",
    ),
    Switch(
        "container-metadata",
        ("travels", "stays"),
        "I (2): do comment, tags, parameters, retention, managed access and owner travel with the object in a swap, or stay with the name?",
    ),
    Switch(
        "container-grants", ("travel", "stay"), "I (2): do the grants on the container itself travel with it in a swap?"
    ),
    Switch("future-grants", ("travel", "stay"), "I (2): do the container's future grants travel with it in a swap?"),
    Switch(
        "time-travel-follows", ("object", "name"), "I (2): whose history does CLONE prod AT(...) read after a swap?"
    ),
    Switch(
        "object-privileges",
        ("everybody", "own-roles"),
        "U: does INFORMATION_SCHEMA.OBJECT_PRIVILEGES list the grants of roles that are not the session's?",
    ),
    Switch(
        "object-privileges-database-roles",
        ("named", "as-roles"),
        "U: does OBJECT_PRIVILEGES.GRANTED_TO tell database roles from roles? The page lists ROLE, APPLICATION and "
        "APPLICATION ROLE.",
    ),
    Switch("clone-comment", ("kept", "lost"), "U: does a clone carry the container's comment?"),
    Switch(
        "clone-retention", ("kept", "lost"), "U: does a clone carry the container's own DATA_RETENTION_TIME_IN_DAYS?"
    ),
    Switch(
        "clone-owner", ("kept", "cloner"), "U (OC says 'all granted privileges'): who owns the objects inside a clone?"
    ),
    Switch(
        "relative-names",
        ("own", "session"),
        "D (CV), and doctor --probe asks: does a view's relative name resolve in the view's own schema and database?",
    ),
    Switch(
        "scripting-exception", ("works", "ignored"), "D (scripting): does EXCEPTION WHEN OTHER run the compensation?"
    ),
)


class Switches:
    """The values in force: ``on("managed-access-kept")`` reads as a sentence."""

    def __init__(self, given: dict[str, str] | None = None):
        self.values = {s.name: s.values[0] for s in SWITCHES}
        for name, value in (given or {}).items():
            self.set(name, value)

    def set(self, name: str, value: str) -> None:
        known = {s.name: s for s in SWITCHES}
        if name not in known:
            raise ValueError(f"no switch is called {name!r}; --list-switches shows them")
        if value not in known[name].values:
            raise ValueError(f"{name} takes {' or '.join(known[name].values)}, not {value!r}")
        self.values[name] = value

    def __getitem__(self, name: str) -> str:
        return self.values[name]


def listing() -> str:
    return "\n".join(f"--u {s.name}={'|'.join(s.values)}\n    {s.fact}" for s in SWITCHES)
