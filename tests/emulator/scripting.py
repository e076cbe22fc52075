"""The part of Snowflake Scripting that a compensating swap needs.

D (scripting): a block is not a transaction: each DDL inside is on its own (TX), and what ran before
an error stays. EXCEPTION WHEN OTHER THEN runs the handler, RAISE passes the error on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .errors import SnowflakeError, compilation, syntax
from .session import Field, Result, Session
from .tokens import Reader, literal

if TYPE_CHECKING:
    from .engine import Engine


class _Return(Exception):
    def __init__(self, value: Any):
        self.value = value


def is_block(r: Reader) -> bool:
    """BEGIN or DECLARE that opens a block, not a transaction."""
    if r.sees("DECLARE"):
        return True
    if not r.sees("BEGIN"):
        return False
    follow = r.word(1)
    return bool(follow) and follow not in ("TRANSACTION", "WORK", "NAME", ";")


def execute_immediate(engine: Engine, session: Session, r: Reader, script: dict) -> Result:
    r.expect("EXECUTE", "IMMEDIATE")
    if r.is_string():
        text = r.string()
    elif r.accept("$"):
        text = str(session.variables.get(r.name()[0], ""))
    else:
        r.accept(":")
        text = str(script.get(r.name()[0], ""))
    if r.accept("USING"):
        raise SnowflakeError(2, "0A000", "Unsupported feature 'EXECUTE IMMEDIATE USING'.")
    r.end()
    inner = Reader(text)
    if is_block(inner):
        return run(engine, session, text, script)
    return engine.statement(session, text, None, script)


def run(engine: Engine, session: Session, text: str, outer: dict) -> Result:
    r = Reader(text)
    block = _Block(engine, session, dict(outer))
    try:
        block.block(r, True)
        value = None
    except _Return as done:
        value = done.value
    except SnowflakeError as error:
        if outer or error.code in (604, 630) or error.message.startswith("Uncaught"):
            raise
        # E: the number and the state are those of the error inside.
        raise SnowflakeError(
            error.code,
            error.state,
            f"Uncaught exception of type 'STATEMENT_ERROR' on line 1 at position 0 : {error.message}",
        ) from None
    if isinstance(value, Result):
        return value
    return Result([Field("anonymous block", "text", length=16777216)], [(None if value is None else str(value),)])


class _Block:
    """Runs statements as it reads them; ``live`` False reads without running."""

    def __init__(self, engine: Engine, session: Session, variables: dict):
        self.engine, self.session, self.variables = engine, session, variables
        self.exceptions: dict[str, tuple[int, str]] = {}
        self.error: SnowflakeError | None = None

    # -- structure
    def block(self, r: Reader, live: bool) -> None:
        if r.accept("DECLARE"):
            while not r.sees("BEGIN"):
                self._declare(r, live)
        r.expect("BEGIN")
        start = r.at
        self._skim(r, ("EXCEPTION", "END"))
        handlers, after_body = [], r.at
        if r.accept("EXCEPTION"):
            while r.accept("WHEN"):
                names = [r.name()[0]]
                while r.accept("OR"):
                    names.append(r.name()[0])
                r.one_of("CONTINUE", "EXIT")
                r.expect("THEN")
                handlers.append((names, r.at))
                self._skim(r, ("WHEN", "END"))
        r.expect("END")
        r.accept(";")
        after, body = r.at, after_body
        if not live:
            return
        r.at = start
        try:
            self.statements(r, ("EXCEPTION", "END"))
            assert r.at == body
        except SnowflakeError as error:
            if not self._handle(r, handlers, error):
                raise
        r.at = after

    def _handle(self, r: Reader, handlers: list, error: SnowflakeError) -> bool:
        if self.engine.switches["scripting-exception"] == "ignored" or error.code == 604:
            return False  # I (3): a cancellation leaves a partial state
        for names, at in handlers:
            declared = getattr(error, "exception", None)
            if "OTHER" in names or (declared or "STATEMENT_ERROR") in names:
                previous, self.error = self.error, error
                self.variables |= {"SQLERRM": error.message, "SQLCODE": error.code, "SQLSTATE": error.state}
                r.at = at
                try:
                    self.statements(r, ("WHEN", "END"))
                finally:
                    self.error = previous
                return True
        return False

    def _skim(self, r: Reader, stops: tuple[str, ...]) -> None:
        while not any(r.sees(s) for s in stops):
            self.one(r, False)

    def statements(self, r: Reader, stops: tuple[str, ...]) -> None:
        while not any(r.sees(s) for s in stops):
            self.one(r, True)

    # -- one statement
    def one(self, r: Reader, live: bool) -> None:
        if r.done:
            raise syntax("syntax error: unexpected end of block.")
        if r.sees("BEGIN") and is_block_here(r) or r.sees("DECLARE"):
            self.block(r, live)
        elif r.accept("LET"):
            self._declare(r, live)
        elif r.accept("IF"):
            self._if(r, live)
        elif r.accept("RAISE"):
            self._raise(r, live)
        elif r.accept("RETURN"):
            text = self._until(r)
            if live:
                raise _Return(self._value(text) if text else None)
        elif r.accept("WHILE"):
            self._while(r, live)
        elif r.accept("FOR"):
            self._for(r, live)
        elif r.accept("NULL"):
            r.expect(";")
        elif r.peek(1) is not None and r.peek(1).text == ":=":  # type: ignore[union-attr]
            name = r.name()[0]
            r.next()
            text = self._until(r)
            if live:
                if name not in self.variables:
                    raise compilation(904, "42000", f"invalid identifier '{name}'")
                self.variables[name] = self._value(text)
        else:
            text = self._until(r)
            if live:
                self._sql(text)

    def _until(self, r: Reader, *stops: str) -> str:
        """The text up to the semicolon (taken) or a stop word (left)."""
        token = r.peek()
        start, end, depth = (token.start if token else 0), None, 0
        while True:
            token = r.peek()
            if token is None:
                raise syntax("syntax error: missing ';' in block.")
            if depth == 0 and token.token_type.name == "SEMICOLON" and not stops:
                r.next()
                break
            if depth == 0 and stops and any(r.sees(s) for s in stops):
                break
            depth += (token.text == "(" and not r.is_string()) - (token.text == ")" and not r.is_string())
            end = r.next().end
        return "" if end is None else r.sql[start : end + 1]

    def _declare(self, r: Reader, live: bool) -> None:
        name = r.name()[0]
        if r.accept("EXCEPTION"):
            code, message = -20000, name
            if r.sees("("):
                inner = Reader(r.group())
                code = inner.number()
                inner.accept(",")
                message = inner.string() if not inner.done else name
            r.expect(";")
            self.exceptions[name] = (code, message)
            return
        text = self._until(r)
        for sign in (":=", " DEFAULT "):
            head, found, value = text.partition(sign) if sign == ":=" else _partition_word(text, "DEFAULT")
            if found:
                if live:
                    self.variables[name] = self._value(value)
                return
        if live:
            self.variables[name] = None

    def _if(self, r: Reader, live: bool) -> None:
        taken = False
        while True:
            condition = self._until(r, "THEN")
            r.expect("THEN")
            now = live and not taken and bool(self._value(condition))
            taken = taken or now
            (self.statements if now else self._skim)(r, ("ELSEIF", "ELSE", "END"))
            if r.accept("ELSEIF"):
                continue
            if r.accept("ELSE"):
                (self.statements if live and not taken else self._skim)(r, ("END",))
            r.expect("END", "IF")
            r.expect(";")
            return

    def _while(self, r: Reader, live: bool) -> None:
        condition = self._until(r, "DO")
        r.expect("DO")
        start = r.at
        self._skim(r, ("END",))
        end = r.at
        while live and self._value(condition):
            r.at = start
            self.statements(r, ("END",))
        r.at = end
        r.expect("END", "WHILE")
        r.expect(";")

    def _for(self, r: Reader, live: bool) -> None:
        name = r.name()[0]
        r.expect("IN")
        reverse = r.accept("REVERSE")
        first = self._until(r, "TO")
        r.expect("TO")
        last = self._until(r, "DO")
        r.expect("DO")
        start = r.at
        self._skim(r, ("END",))
        end = r.at
        if live:
            numbers = list(range(int(self._value(first)), int(self._value(last)) + 1))
            for number in reversed(numbers) if reverse else numbers:
                self.variables[name] = number
                r.at = start
                self.statements(r, ("END",))
        r.at = end
        r.expect("END", "FOR")
        r.expect(";")

    def _raise(self, r: Reader, live: bool) -> None:
        name = None if r.sees(";") else r.name()[0]
        r.expect(";")
        if not live:
            return
        if name is None:
            if self.error is None:
                raise syntax("RAISE without an exception outside of a handler")
            raise self.error
        if name not in self.exceptions:
            raise compilation(904, "42000", f"invalid identifier '{name}'")
        code, message = self.exceptions[name]
        error = SnowflakeError(abs(code), "P0001", f"Uncaught exception of type '{name}' : {message}")
        error.exception = name  # type: ignore[attr-defined]
        raise error

    # -- what the statements do
    def _value(self, text: str) -> Any:
        return self.engine.scalar(self.session, f"({text})", self.variables)

    def _sql(self, text: str) -> None:
        """A statement of the block: logged and faulted like any other, inside its one request."""
        self.engine.check(self.session)
        text = re.sub(
            r"\bIDENTIFIER\s*\(\s*:(\w+)\s*\)",
            lambda m: f"IDENTIFIER({literal(str(self.variables.get(m[1].upper(), '')))})",
            text,
            flags=re.I,
        )
        text, into = _without_into(text)
        if self.engine.inner_fault is not None:
            self.engine.inner_fault(self.session, text)
        result = self.engine.statement(self.session, text, None, self.variables)
        self.variables |= {"SQLROWCOUNT": result.affected, "SQLFOUND": bool(result.affected)}
        for name, value in zip(into, result.rows[0] if result.rows else [None] * len(into)):
            self.variables[name] = value
        # Other sessions may look between two statements of a block (facts, 3).
        self.engine.wait(self.session, 0.001)


def _without_into(text: str) -> tuple[str, list[str]]:
    """SELECT ... INTO :a, :b FROM ... without its INTO, and the variables."""
    r = Reader(text)
    if not r.sees("SELECT"):
        return text, []
    depth = 0
    for index, token in enumerate(r.tokens):
        depth += (token.token_type.name == "L_PAREN") - (token.token_type.name == "R_PAREN")
        if depth == 0 and token.token_type.name == "INTO":
            r.at, start, names = index + 1, token.start, []
            while r.accept(":"):
                names.append(r.name()[0])
                r.accept(",")
            rest = r.peek()
            return text[:start] + ("" if rest is None else text[rest.start :]), names
    return text, []


def is_block_here(r: Reader) -> bool:
    return r.word(1) not in ("TRANSACTION", "WORK", "NAME", ";")


def _partition_word(text: str, word: str) -> tuple[str, str, str]:
    r = Reader(text)
    for index, token in enumerate(r.tokens):
        if r.word(index) == word:
            return text[: token.start], word, text[token.end + 1 :]
    return text, "", ""
