"""Reads exported files with DuckDB, pyarrow, polars, openpyxl and Python's own modules, as rows of Python's values; checks
their types."""

import csv
import json
import re
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import polars
import pyarrow as pa
import pyarrow.parquet as pq

# The type of each kind of column, by reader.
ARROW = {"text": pa.string(), "json": pa.string(), "integer": pa.int64(), "number": pa.decimal128(38, 9), "ratio": pa.float64(),
         "boolean": pa.bool_(), "day": pa.date32(), "instant": pa.timestamp("us", "UTC"), "local": pa.timestamp("us")}
POLARS = {"text": polars.String(), "json": polars.String(), "integer": polars.Int64(), "number": polars.Decimal(38, 9),
          "ratio": polars.Float64(), "boolean": polars.Boolean(), "day": polars.Date(),
          "instant": polars.Datetime("us", "UTC"), "local": polars.Datetime("us")}
DUCKDB = {"text": "VARCHAR", "json": "VARCHAR", "integer": "BIGINT", "number": "DECIMAL(38,9)", "ratio": "DOUBLE",
          "boolean": "BOOLEAN", "day": "DATE", "instant": "TIMESTAMP WITH TIME ZONE", "local": "TIMESTAMP"}
# Text formats: the value of a cell.
PARSED = {"text": str, "json": str, "integer": int, "number": Decimal, "ratio": float,
          "boolean": {"true": True, "false": False}.__getitem__, "day": date.fromisoformat,
          "instant": datetime.fromisoformat, "local": datetime.fromisoformat}
# A number is no formula.
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def files_of(folder, stream, extension):
    """The files of a stream: one, or one per month."""
    single = Path(folder, f"{stream.name}.{extension}")
    found = [single] if single.exists() else sorted(Path(folder, stream.name).glob(f"*.{extension}"))
    assert found, f"{folder} has no files of {stream.name}"
    return found


def check_types(place, stream, found, kinds):
    """The columns and types must be those of the stream's schema."""
    expected = {column: kinds[kind] for column, kind in stream.kinds.items()}
    wrong = {column: f"{found.get(column)}, expected {kind}" for column, kind in expected.items() if found.get(column) != kind}
    assert not wrong and found.keys() == expected.keys(), f"{place}: {stream.name}: {wrong or found.keys() ^ expected.keys()}"


def check_schema(place, stream, schema):
    """Types and descriptions of an Arrow schema."""
    for field in schema:
        described = (field.metadata or {}).get(b"description", b"").decode()
        assert described and described == stream.properties[field.name]["description"], (
            f"{place}: {stream.name}.{field.name} is described as {described!r}")
    check_types(place, stream, {field.name: field.type for field in schema}, ARROW)


class DuckDB:
    """Queries with zones in UTC, as rows."""

    def __init__(self, script=""):
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(script)

    def types(self, source):
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE FROM {source}").fetchall()}

    def rows(self, source):
        cursor = self.connection.execute(f"FROM {source}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def one(self, query):
        return self.connection.execute(query).fetchone()


def listed(paths):
    """Paths as a list in SQL."""
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"


def text_rows(stream, paths):
    """The rows of CSV files by Python's module, and the number of cells that were defused."""
    rows, defused = [], 0
    for path in paths:
        data = Path(path).read_bytes()
        with open(path, encoding="utf-8", newline="") as file:
            header, *records = csv.reader(file, strict=True)
        assert data.count(b"\r\n") == len(records) + 1 and data.endswith(b"\r\n"), f"{path}: lines do not end with CRLF"
        assert list(stream.kinds) == header, f"{path}: the header is {header}"
        for record in records:
            assert len(record) == len(header), f"{path}: {record}"
            row = {}
            for column, cell in zip(header, record):
                kind = stream.kinds[column]
                if kind in ("text", "json"):
                    is_safe = not cell.startswith(FORMULA) or NUMBER.fullmatch(cell)
                    assert is_safe, f"{path}: {column} has the formula {cell!r}"
                    defused += is_defused(cell)
                    cell = armed(cell)
                row[column] = PARSED[kind](cell) if cell else None
            rows.append(row)
    return rows, defused


def is_defused(cell):
    return cell[:1] == "'" and cell[1:].lstrip(" ").startswith(FORMULA)


def armed(cell):
    """The cell without the apostrophe in front of a formula."""
    return cell[1:] if cell and is_defused(cell) else cell


def armed_rows(rows):
    return [{column: armed(value) if isinstance(value, str) else value for column, value in row.items()} for row in rows]


def json_rows(stream, lines):
    """Lines of JSON; numbers keep their digits."""
    rows = []
    for line in lines:
        row = json.loads(line, parse_float=Decimal)
        for column, value in row.items():
            kind = stream.kinds[column]
            if kind in ("day", "instant", "local", "ratio") and value is not None:
                row[column] = PARSED[kind](value)
            elif value is not None and kind in ("text", "integer", "boolean"):
                assert type(value) is {"text": str, "integer": int, "boolean": bool}[kind], f"{stream.name}.{column}: {value!r}"
        rows.append(row)
    return rows


def sheet_rows(stream, sheet):
    """The rows of a sheet; checks header and types of cells."""
    assert sheet.freeze_panes == "A2", f"{sheet.title}: the header is not frozen"
    lines = sheet.iter_rows()
    header = [cell.value for cell in next(lines)]
    assert header == list(stream.kinds), f"{sheet.title}: the header is {header}"
    rows = []
    for line in lines:
        row = {}
        for column, cell in zip(header, line):
            kind, value = stream.kinds[column], cell.value
            if value is not None:
                wanted = {"text": "s", "json": "s", "boolean": "b", "day": "d", "instant": "d", "local": "d"}.get(kind, "n")
                assert cell.data_type == wanted, f"{sheet.title}: {column} is {value!r} of type {cell.data_type}, not {wanted}"
                if kind == "day":
                    assert value.time() == datetime.min.time(), f"{sheet.title}: {column} is {value}"
                    value = value.date()
                elif kind == "instant":
                    value = value.replace(tzinfo=timezone.utc)
                elif kind in ("number", "ratio"):
                    value = float(value)
            row[column] = value
        rows.append(row)
    return rows


def workbook(path):
    return openpyxl.load_workbook(path)


def parquet_table(paths):
    return pa.concat_tables([pq.read_table(path) for path in paths], promote_options="default")


def arrow_table(path_or_bytes, open_it):
    """All batches of an Arrow file or stream."""
    with open_it(path_or_bytes) as reader:
        return reader.read_all()
