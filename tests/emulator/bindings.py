"""Bind variables as the drivers send them: a type and a string for each."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any


def rows_of(bindings: dict | None) -> list[list | None]:
    """One list of values per row; an array binding has many rows."""
    if not bindings:
        return [None]
    ordered = [bindings[k] for k in sorted(bindings, key=lambda k: int(k) if k.isdigit() else 0)]
    if isinstance(ordered[0]["value"], list):
        columns = [[value_of(b["type"], v) for v in b["value"]] for b in ordered]
        return [list(row) for row in zip(*columns)]
    return [[value_of(b["type"], b["value"]) for b in ordered]]


def value_of(kind: str, text: str | None) -> Any:
    if text is None:
        return None
    if kind == "FIXED":
        return int(text) if text.lstrip("-").isdigit() else Decimal(text)
    if kind == "REAL":
        return float(text)
    if kind == "BOOLEAN":
        return text.lower() in ("true", "1")
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    if kind == "DATE":
        return date(1970, 1, 1) + timedelta(milliseconds=int(text))
    if kind.startswith("TIMESTAMP"):
        value = epoch + timedelta(microseconds=int(text.split()[0]) // 1000)
        return value.replace(tzinfo=None) if kind == "TIMESTAMP_NTZ" else value
    return text
