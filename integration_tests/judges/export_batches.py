"""Arrow files of Singer's BATCH messages: pyarrow reads them, ADBC loads them into tables as the targets of the Singer SDK make
them, and target-snowflake converts them; all must equal the RECORD messages of the same streams."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote, urlparse

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.parquet as pq
from export_readers import ARROW, arrow_table
from export_truth import compare, instant, nano
from postgres import postgres
from target_snowflake.arrow_batch import convert_arrow_manifest_to_parquet

STREAMS = ["ad_statistics_daily", "custom_devices", "transactions", "audiences", "ad_sets"]
ROWS_PER_FILE = 500
# Instants in UTC without a zone, decimals for all numbers, and marked JSON.
TYPES = {**ARROW, "ratio": ARROW["number"], "instant": ARROW["local"], "json": pa.json_()}
COLUMNS = {"text": "text", "json": "jsonb", "integer": "bigint", "number": "numeric", "ratio": "numeric", "boolean": "boolean",
           "day": "date", "instant": "timestamp", "local": "timestamp"}
# How rows are read again.
SELECTED = {"json": "text", "number": "text", "ratio": "text"}


def batches(bench):
    """Compares files and tables with records; returns the number of rows in PostgreSQL."""
    records, files, loaded = {}, {}, 0
    with bench.failures.case("tap"):
        catalog = selected(bench)
        for message in tap(bench, catalog, {}):
            if message["type"] == "RECORD":
                records.setdefault(message["stream"], []).append(message["record"])
        storage = {"root": f"file://{bench.path('batches')}", "prefix": "judge-"}
        config = {"batch_config": {"encoding": {"format": "arrow"}, "storage": storage, "batch_size": ROWS_PER_FILE}}
        for message in tap(bench, catalog, config):
            assert message["type"] != "RECORD", f"a record beside batches: {message}"
            if message["type"] == "BATCH":
                assert message["encoding"] == {"format": "arrow"}, message["encoding"]
                files.setdefault(message["stream"], []).extend(message["manifest"])
        assert records.keys() == files.keys() == set(STREAMS), f"{records.keys()} and {files.keys()}"
        every = sorted(Path(bench.path("batches")).glob("*.arrow"))
        assert sorted(path_of(url) for urls in files.values() for url in urls) == list(map(str, every)), "files without a message"
    with postgres() as server:
        for name in files:
            stream, rows = bench.streams[name], typed_records(bench.streams[name], records[name])
            with bench.failures.case(f"Arrow batches: {name}"):
                bench.failures.rows += read(stream, files[name], rows)
            with bench.failures.case(f"target-snowflake: {name}"):
                bench.failures.rows += converted(bench, stream, files[name], rows)
            with bench.failures.case(f"PostgreSQL: {name}"):
                loaded += load(server, stream, files[name], rows)
    return loaded


def path_of(url):
    return unquote(urlparse(url).path)


def selected(bench):
    """A catalog of these streams only."""
    discovered = json.loads(bench.run("--config", bench.path("config.json"), "--discover"))
    streams = [stream for stream in discovered["streams"] if stream["tap_stream_id"] in STREAMS]
    for stream in streams:
        next(entry for entry in stream["metadata"] if not entry["breadcrumb"])["metadata"]["selected"] = True
    Path(bench.path("catalog.json")).write_text(json.dumps({"streams": streams}))
    return bench.path("catalog.json")


def tap(bench, catalog, config):
    Path(bench.path("tap.json")).write_text(json.dumps({**bench.config, **config}))
    written = bench.run("--config", bench.path("tap.json"), "--catalog", catalog).decode()
    return [json.loads(line, parse_float=Decimal) for line in written.split("\n")[:-1]]


def typed_records(stream, records):
    """Records by key, with values as in Arrow."""
    as_typed = {"number": nano, "ratio": nano, "day": date.fromisoformat, "local": datetime.fromisoformat,
                "instant": lambda text: instant(text).replace(tzinfo=None)}
    rows = {}
    for record in records:
        row = {column: value if value is None else as_typed.get(stream.kinds[column], lambda value: value)(value)
               for column, value in record.items()}
        rows[tuple(row[column] for column in stream.key)] = row
    assert len(rows) == len(records), f"{stream.name}: records with one key"
    return rows


def tables(urls):
    return [arrow_table(path_of(url), pa.ipc.open_file) for url in urls]


def read(stream, urls, rows):
    """Types, file sizes and values."""
    found = tables(urls)
    for table in found:
        wrong = {field.name: str(field.type) for field in table.schema if field.type != TYPES[stream.kinds[field.name]]}
        assert not wrong and set(table.column_names) == set(stream.kinds), f"{stream.name}: {wrong}"
        texts = {field.type.storage_type for field in table.schema if stream.kinds[field.name] == "json"}
        assert texts <= {pa.string()}, f"{stream.name}: JSON is stored as {texts}"
        assert 0 < len(table) <= ROWS_PER_FILE, f"{stream.name}: a file of {len(table)} rows"
    assert len(rows) <= ROWS_PER_FILE or len(found) > 1, f"{stream.name}: {len(rows)} rows in {len(found)} file"
    return compare("Arrow batches", stream, rows, [row for table in found for row in table.to_pylist()])


def converted(bench, stream, urls, rows):
    """What target-snowflake would upload."""
    written = convert_arrow_manifest_to_parquet(urls, bench.path("snowflake"))
    found = [pq.read_table(path_of(url)) for url in written]
    return compare("target-snowflake", stream, rows, [row for table in found for row in table.to_pylist()])


def load(server, stream, urls, rows):
    """Appends the files to a table; count, sums and rows must match the records."""
    columns = ", ".join(f'"{column}" {COLUMNS[kind]}' for column, kind in stream.kinds.items())
    server.ask(f"create table {stream.name} ({columns})")
    as_read = ", ".join(f'"{column}"::{SELECTED.get(kind, COLUMNS[kind])}' for column, kind in stream.kinds.items())
    with adbc_driver_postgresql.dbapi.connect(f"postgresql://criteo@127.0.0.1:{server.port}/criteo") as connection:
        with connection.cursor() as cursor:
            for url in urls:
                with pa.ipc.open_file(path_of(url)) as reader:
                    cursor.adbc_ingest(stream.name, reader.read_all(), mode="append")
            connection.commit()
            cursor.execute(f"select {as_read} from {stream.name}")
            found = cursor.fetch_arrow_table().rename_columns(list(stream.kinds)).to_pylist()
    for row in found:
        row.update({column: Decimal(row[column]) for column, kind in stream.kinds.items()
                    if kind in ("number", "ratio") and row[column] is not None})
    for column, kind in stream.kinds.items():
        if kind in ("number", "ratio", "integer"):
            values = [row[column] for row in rows.values() if row.get(column) is not None]
            count, total = server.ask(f'select count(*), coalesce(sum("{column}"), 0) from {stream.name}')[0]
            is_same = (int(count), Decimal(total)) == (len(rows), sum(values))
            assert is_same, f"{stream.name}.{column}: {count} rows, {total}; expected {len(rows)}, {sum(values)}"
    return compare("PostgreSQL", stream, rows, found)
