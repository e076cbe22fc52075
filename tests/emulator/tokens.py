"""Reading statements word by word: sqlglot's tokenizer knows Snowflake's strings and comments."""

from __future__ import annotations

from sqlglot.dialects import Snowflake
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from .errors import syntax

_STRINGS = (TokenType.STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING)


def quote(name: str) -> str:
    """Quote an identifier, always."""
    return '"' + name.replace('"', '""') + '"'


def shown(name: str) -> str:
    """An identifier as Snowflake prints it: quoted only where it has to be."""
    plain = name and (name[0].isalpha() or name[0] == "_") and name == name.upper()
    return name if plain and all(c.isalnum() or c in "_$" for c in name) else quote(name)


def dotted(*parts: str) -> str:
    return ".".join(shown(p) for p in parts)


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _tokens(sql: str) -> list[Token]:
    """All tokens. sqlglot swallows what follows a word like EXECUTE: mask such words and ask again."""
    masked: dict[int, str] = {}
    text = sql
    while True:
        try:
            tokens = Snowflake().tokenize(text)
        except TokenError as error:
            raise syntax(str(error)) from None
        swallowed = next(
            (t for t in tokens if t.token_type in (TokenType.COMMAND, TokenType.EXECUTE, TokenType.FETCH)), None
        )
        if swallowed is None:
            break
        masked[swallowed.start] = swallowed.text
        text = text[: swallowed.start] + "x" * len(swallowed.text) + text[swallowed.end + 1 :]
    return [
        Token(TokenType.VAR, masked[t.start], t.line, t.col, t.start, t.end) if t.start in masked else t for t in tokens
    ]


class Reader:
    """A cursor over the tokens of one statement."""

    def __init__(self, sql: str):
        self.sql = sql
        self.tokens: list[Token] = _tokens(sql)
        while self.tokens and self.tokens[-1].token_type == TokenType.SEMICOLON:
            self.tokens.pop()
        self.at = 0

    # -- looking
    def peek(self, ahead: int = 0) -> Token | None:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else None

    def word(self, ahead: int = 0) -> str:
        """The next token in upper case; empty for strings, quoted names and the end."""
        token = self.peek(ahead)
        if token is None or token.token_type in (*_STRINGS, TokenType.IDENTIFIER):
            return ""
        return token.text.upper()

    def sees(self, *words: str) -> bool:
        """Do these words come next? One entry may hold several, as in 'IF NOT EXISTS'."""
        wanted = " ".join(words).split()
        have: list[str] = []
        ahead = 0
        while len(have) < len(wanted) and self.peek(ahead) is not None:
            have += self.word(ahead).split() or [""]  # the tokenizer joins some: WITHIN GROUP
            ahead += 1
        return have[: len(wanted)] == wanted

    @property
    def done(self) -> bool:
        return self.at >= len(self.tokens)

    # -- taking
    def next(self) -> Token:
        token = self.peek()
        if token is None:
            raise syntax("syntax error: unexpected end of statement.")
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        if not self.sees(*words):
            return False
        count = len(" ".join(words).split())
        while count > 0:
            count -= len(self.word().split()) or 1
            self.at += 1
        return True

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.unexpected()

    def one_of(self, *choices: str) -> str | None:
        """Take the first choice that fits; longer ones go first in the list."""
        return next((c for c in choices if self.accept(c)), None)

    def unexpected(self) -> Exception:
        token = self.peek()
        if token is None:
            return syntax("syntax error: unexpected end of statement.")
        return syntax(f"syntax error line {token.line} at position {token.col} unexpected '{token.text}'.")

    def name(self) -> tuple[str, ...]:
        """A name of one to three parts, unquoted parts in upper case. IDENTIFIER('x') too."""
        if self.sees("IDENTIFIER (") or (self.word() == "IDENTIFIER" and self.word(1) == "("):
            self.at += 2
            inner = Reader(self.string())
            self.expect(")")
            return inner.name()
        parts = [self._part()]
        while self.word() == "." or self.word() == "..":
            if self.next().text == "..":
                parts.append("PUBLIC")
            parts.append(self._part())
        return tuple(parts)

    def _part(self) -> str:
        token = self.next()
        if token.token_type == TokenType.IDENTIFIER:
            return token.text
        if token.token_type in _STRINGS or not (token.text[0].isalpha() or token.text[0] in "_<"):
            self.at -= 1
            raise self.unexpected()
        text = token.text
        while (follow := self.peek()) and follow.start == token.end + 1 and follow.text == "$":
            token = self.next()
            text += token.text
        return text.upper()

    def string(self) -> str:
        token = self.next()
        if token.token_type not in _STRINGS:
            self.at -= 1
            raise self.unexpected()
        return token.text

    def is_string(self) -> bool:
        token = self.peek()
        return token is not None and token.token_type in _STRINGS

    def number(self) -> int:
        negative = self.accept("-")
        try:
            return int(self.next().text) * (-1 if negative else 1)
        except ValueError:
            self.at -= 1
            raise self.unexpected() from None

    def value(self) -> str:
        """A parameter's value: string, number, word or list, as text."""
        if self.sees("("):
            return self.group()
        if self.sees("-"):
            return str(self.number())
        return self.next().text

    def group(self) -> str:
        """The text inside a pair of parentheses that comes next."""
        self.expect("(")
        start, depth = self.tokens[self.at - 1].end + 1, 1
        while depth:
            token = self.next()
            depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        return self.sql[start : token.start]

    def rest(self) -> str:
        """Everything from here on, exactly as written."""
        token = self.peek()
        if token is None:
            return ""
        self.at, text = len(self.tokens), self.sql[token.start : self.tokens[-1].end + 1]
        return text

    def end(self) -> None:
        if not self.done:
            raise self.unexpected()
