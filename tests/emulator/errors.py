"""Snowflake's errors: a number, an SQL state and the words that come with them."""


class SnowflakeError(Exception):
    """What a statement answers when it fails; goes over the wire with the query's id."""

    def __init__(self, code: int, state: str, message: str):
        super().__init__(message)
        self.code, self.state, self.message = code, state, message

    @property
    def number(self) -> str:
        return f"{self.code:06d}"


def compilation(code: int, state: str, text: str) -> SnowflakeError:
    return SnowflakeError(code, state, f"SQL compilation error:\n{text}")


def missing(kind: str, name: str) -> SnowflakeError:
    """002003: the same words for what is absent and for what may not be seen."""
    kind = kind.capitalize() if kind.upper() in ("DATABASE", "SCHEMA") else "Object"
    state = "02000" if kind != "Object" else "42S02"
    shown = f"'{name}'" if not name.startswith("'") else name
    return compilation(2003, state, f"{kind} {shown} does not exist or not authorized.")


def exists(name: str) -> SnowflakeError:
    return compilation(2002, "42710", f"Object '{name}' already exists.")


def denied(kind: str, name: str) -> SnowflakeError:
    return SnowflakeError(
        3001, "42501", f"SQL access control error:\nInsufficient privileges to operate on {kind.lower()} '{name}'"
    )


def syntax(text: str) -> SnowflakeError:
    return compilation(1003, "42000", text)


def unsupported(text: str) -> SnowflakeError:
    return SnowflakeError(2, "0A000", f"Unsupported feature '{text}'.")


def no_history(kind: str, name: str) -> SnowflakeError:
    """D (CL): beyond the allowed period, or before the object was created."""
    return SnowflakeError(
        707,
        "02000",
        f"Time travel data is not available for {kind.lower()} {name}. The requested time is either beyond the "
        "allowed time travel period or before the object creation time.",
    )


def cancelled() -> SnowflakeError:
    return SnowflakeError(604, "57014", "SQL execution canceled")


def timed_out(seconds: float) -> SnowflakeError:
    return SnowflakeError(
        630,
        "57014",
        f"Statement reached its statement or warehouse timeout of {seconds:g} second(s) and was canceled.",
    )


def session_expired() -> SnowflakeError:
    return SnowflakeError(390112, "08001", "Your session has expired. Please login again.")
