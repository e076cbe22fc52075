"""JSON rowsets. snowflake-connector-rs reads no Arrow; both drivers read this.

Every cell is a string or null: numbers in decimal, booleans 1/0, dates as days and times as seconds
since the epoch, TIMESTAMP_TZ with its offset in minutes plus 1440.
"""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from .session import Field, Result

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def field(name: str, duck: str, zoned: bool = False) -> Field:
    """A DuckDB result column as the driver is told of it."""
    if duck.startswith("DECIMAL"):
        precision, scale = duck[8:-1].split(",")
        return Field(name, "fixed", int(precision), int(scale))
    if "INT" in duck and not duck.endswith("]") and not duck.startswith(("STRUCT", "MAP", "INTERVAL")):
        return Field(name, "fixed", 38, 0)
    if duck.endswith("]"):
        return Field(name, "array")
    if duck.startswith(("STRUCT", "MAP")):
        return Field(name, "object")
    kinds = {
        "BOOLEAN": "boolean",
        "DATE": "date",
        "DOUBLE": "real",
        "FLOAT": "real",
        "JSON": "variant",
        "BLOB": "binary",
        "TIME": "time",
        "TIMESTAMP": "timestamp_ntz",
        "TIMESTAMP_NS": "timestamp_ntz",
        "TIMESTAMP_S": "timestamp_ntz",
        "TIMESTAMP_MS": "timestamp_ntz",
        "TIMESTAMP WITH TIME ZONE": "timestamp_tz" if zoned else "timestamp_ltz",
    }
    kind = kinds.get(duck, "text")
    if kind.startswith("time"):
        return Field(name, kind, 0, 9)
    return Field(name, kind, length=16777216 if kind == "text" else 8388608 if kind == "binary" else None)


def cell(value: Any, kind: str) -> str | None:
    if value is None:
        return None
    if kind == "boolean":
        return "1" if value else "0"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return _timestamp(value, kind)
    if isinstance(value, date):
        return str((value - date(1970, 1, 1)).days) if kind == "date" else value.isoformat()
    if isinstance(value, time):
        seconds = value.hour * 3600 + value.minute * 60 + value.second
        return f"{seconds}.{value.microsecond:06d}000"
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex().upper()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "NaN"}.get(str(value), repr(value))
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=str)
    return str(value)


def _timestamp(value: datetime, kind: str) -> str:
    aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if kind not in ("timestamp_tz", "timestamp_ltz", "timestamp_ntz"):
        return value.isoformat(sep=" ")
    delta = aware - _EPOCH
    micros = (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    text = f"{sign}{micros // 1_000_000}.{micros % 1_000_000:06d}000"
    return f"{text} 1440" if kind == "timestamp_tz" else text


def rowtype(fields: list[Field]) -> list[dict]:
    return [
        {
            "name": f.name,
            "database": "",
            "schema": "",
            "table": "",
            "nullable": f.nullable,
            "type": f.type,
            "byteLength": f.length,
            "length": f.length,
            "scale": f.scale,
            "precision": f.precision,
            "collation": None,
        }
        for f in fields
    ]


def body(
    result: Result, query_id: str, database: str | None, schema: str | None, role: str, warehouse: str | None
) -> dict:
    kinds = [f.type for f in result.fields]
    return {
        "data": {
            "parameters": [{"name": "TIMEZONE", "value": "UTC"}],
            "rowtype": rowtype(result.fields),
            "rowset": [[cell(v, k) for v, k in zip(row, kinds)] for row in result.rows],
            "total": len(result.rows),
            "returned": len(result.rows),
            "queryId": query_id,
            "databaseProvider": None,
            "finalDatabaseName": database,
            "finalSchemaName": schema,
            "finalRoleName": role,
            "finalWarehouseName": warehouse,
            "numberOfBinds": 0,
            "arrayBindSupported": False,
            "statementTypeId": result.type_id,
            "version": 1,
            "queryResultFormat": "json",
            "sqlState": "00000",
        },
        "message": None,
        "code": None,
        "success": True,
    }


def failure(number: str, state: str, message: str, query_id: str | None) -> dict:
    """An error with the query's id in its data, where both drivers look for it."""
    data = None
    if query_id is not None:
        data = {
            "internalError": False,
            "errorCode": number,
            "age": 0,
            "sqlState": state,
            "queryId": query_id,
            "line": -1,
            "pos": -1,
            "type": "COMPILATION",
        }
    return {"data": data, "code": number, "message": message, "success": False, "sqlState": state, "headers": None}
