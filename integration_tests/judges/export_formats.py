"""Compares the exported files of a stream with the truth, one function per format."""

from pathlib import Path

import polars
import pyarrow as pa
import pyarrow.parquet as pq
from export_readers import (
    DUCKDB,
    POLARS,
    DuckDB,
    armed_rows,
    arrow_table,
    check_schema,
    check_types,
    files_of,
    json_rows,
    listed,
    parquet_table,
    sheet_rows,
    text_rows,
    workbook,
)
from export_truth import FORMULAS, REPORTS

# Whatever the program's schemas say.
TYPES = {
    "ad_set_statistics_hourly": {
        "advertiser_id": "VARCHAR", "ad_set_id": "VARCHAR", "hour": "TIMESTAMP WITH TIME ZONE", "day": "DATE", "clicks": "BIGINT",
        "advertiser_cost": "DECIMAL(38,9)"},
    "custom_devices": {
        "campaign_id": "VARCHAR", "category_id": "VARCHAR", "day": "DATE", "displays": "BIGINT", "advertiser_cost": "DECIMAL(38,9)",
        "click_through_rate": "DOUBLE", "roas_pc30d": "DOUBLE"},
    "mpo_campaign_statistics": {
        "campaign_id": "VARCHAR", "cost": "DECIMAL(38,9)", "roas": "DOUBLE", "cos_same_seller": "DOUBLE"},
    "transactions": {"transaction_date": "TIMESTAMP", "amount": "DECIMAL(38,9)", "cross_device_transaction": "BOOLEAN"},
    "audiences": {"id": "VARCHAR", "algebra": "VARCHAR", "ad_set_ids": "VARCHAR", "created_at": "TIMESTAMP WITH TIME ZONE"},
}
SUMS = {
    "campaign_statistics_daily": "advertiser_cost", "ad_set_statistics_hourly": "revenue_generated_pc30d",
    "ad_statistics_daily": "clicks", "transactions": "amount", "placements_daily": "cost", "mpo_campaign_statistics": "revenue",
    "custom_months": "advertiser_cost",
}


def parquet(bench, stream):
    folder, name = bench.path("parquet"), stream.name
    paths = files_of(folder, stream, "parquet")
    table = parquet_table(paths)
    frame = polars.read_parquet(paths)
    views = DuckDB(Path(folder, "views.sql").read_text())
    source = f"read_parquet({listed(paths)}, union_by_name = true)"
    bench.check("pyarrow", name, table.to_pylist())
    bench.check("polars", name, frame.to_dicts())
    bench.check("DuckDB", name, views.rows(f'"{name}"'))
    different = views.one(f'SELECT count(*) FROM (FROM "{name}" EXCEPT ALL FROM {source})')
    assert different == (0,) and views.one(f'SELECT count(*) FROM {source}') == (len(table),), f"view of {name}: {different}"
    if name in REPORTS and name not in ("custom_weeks", "custom_months"):
        months = {path.stem for path in paths}
        assert months == {"2026-09", "2026-10", "2026-11"}, f"{name}: {months}"
    for path in paths:
        check_schema(f"pyarrow: {path}", stream, pq.read_schema(path))
    check_types("polars", stream, dict(frame.schema), POLARS)
    check_types("DuckDB", stream, views.types(f'"{name}"'), DUCKDB)
    check_types("DuckDB", stream, views.types(source), DUCKDB)


def types(bench):
    """Types by name, and sums by SQL."""
    views = DuckDB(Path(bench.path("parquet"), "views.sql").read_text())
    with bench.failures.case("types by name"):
        for name, expected in TYPES.items():
            found = views.types(f'"{name}"')
            assert {column: found[column] for column in expected} == expected, f"{name}: {found}"
    for name, column in SUMS.items():
        with bench.failures.case(f"sum of {column} of {name}"):
            values = [row[column] for row in bench.truth.rows[name].values()]
            found = views.one(f'SELECT count(*), sum({column}) FROM "{name}"')
            assert found == (len(values), sum(values)), f"{name}: {found}, expected {len(values)} and {sum(values)}"


def csv(bench, stream):
    name, paths = stream.name, files_of(bench.path("csv"), stream, "csv")
    rows, defused = text_rows(stream, paths)
    bench.check("csv", name, rows, is_text=True)
    types = ", ".join(f"'{column}': '{DUCKDB[kind]}'" for column, kind in stream.kinds.items())
    read = DuckDB()
    bench.check("csv in DuckDB", name, armed_rows(read.rows(f"read_csv({listed(paths)}, types = {{{types}}})")), is_text=True)
    views = DuckDB(Path(bench.path("csv"), "views.sql").read_text())
    bench.check("csv by views", name, armed_rows(views.rows(f'"{name}"')), is_text=True)
    check_types("csv by views", stream, views.types(f'"{name}"'), DUCKDB)
    sniffed = f"read_csv({listed(paths)})"
    assert read.one(f"SELECT count(*) FROM {sniffed}") == (len(rows),), f"{name}: DuckDB finds other rows by itself"
    days = {column: kind for column, kind in read.types(sniffed).items() if stream.kinds[column] in ("day", "local")}
    assert all(kind in ("DATE", "TIMESTAMP") for kind in days.values()), f"{name}: {days}"
    if name == "campaigns":
        cells = [row["name"] for row in read.rows(f"read_csv({listed(paths)}, all_varchar = true)")]
        assert defused == len(FORMULAS) and {"'" + formula for formula in FORMULAS} <= set(cells), f"not defused: {cells}"


def arrow(bench, stream):
    paths = files_of(bench.path("arrow"), stream, "arrow")
    tables = [arrow_table(str(path), pa.ipc.open_file) for path in paths]
    bench.check("arrow", stream.name, [row for table in tables for row in table.to_pylist()])
    frame = polars.concat([polars.read_ipc(path) for path in paths])
    bench.check("arrow in polars", stream.name, frame.to_dicts())
    for table in tables:
        check_schema("arrow", stream, table.schema)
    check_types("arrow in polars", stream, dict(frame.schema), POLARS)


def jsonl(bench, stream):
    paths = files_of(bench.path("jsonl"), stream, "jsonl")
    bench.check("jsonl", stream.name, json_rows(stream, [line for path in paths for line in path.read_text().split("\n")[:-1]]))
    types = ", ".join(f"'{column}': '{DUCKDB[kind]}'" for column, kind in stream.kinds.items())
    bench.check("jsonl in DuckDB", stream.name, DuckDB().rows(f"read_json({listed(paths)}, columns = {{{types}}})"))
    sniffed = DuckDB().types(f"read_json({listed(paths)})")
    ids = {column: kind for column, kind in sniffed.items() if column == "id" or column.endswith("_id")}
    assert ids and set(ids.values()) == {"VARCHAR"}, f"jsonl: {stream.name}: {ids}"


def xlsx(bench, stream):
    if not hasattr(bench, "book"):
        bench.book = workbook(bench.path("xlsx/criteo.xlsx"))
        assert sorted(bench.book.sheetnames) == sorted(bench.streams), bench.book.sheetnames
    rows = sheet_rows(stream, bench.book[stream.name])
    bench.check("xlsx", stream.name, rows, is_text=True)
