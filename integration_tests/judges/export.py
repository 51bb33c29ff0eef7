"""DuckDB, pyarrow, polars, openpyxl and a Singer target read exported files, pipes and Arrow batches of two runs, with twelve days
and a restatement between them: types and every row must match the sandbox's truth.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo \\
        python integration_tests/judges/export.py [OPTION OF THE SANDBOX…]
"""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
from contextlib import contextmanager
from pathlib import Path

import polars
import pyarrow as pa
from export_batches import batches
from export_formats import arrow, csv, jsonl, parquet, types, xlsx
from export_readers import POLARS, DuckDB, arrow_table, check_schema, check_types, files_of, json_rows, parquet_table, text_rows
from export_truth import CURRENCY, CUSTOM, FORMULAS, OBJECTS, REPORTS, ZONE, Stream, Truth, compare
from sandbox import sandbox

FIRST_DAY, FIRST_RUN, SECOND_RUN = "2026-09-12", "2026-10-20", "2026-11-01"
LOOKBACK = "2026-09-20"
# One of each kind of object, the last so that the others keep their places.
DELETED = {"campaigns": "200008", "ads": "900000000000000016", "ad_sets": "300008", "audiences": "600320"}
# Criteo corrects a day that the second run reads again: this campaign then has no row.
WITHDRAWN = {"campaign": "299999", "day": "2026-10-10"}
# Few rows per response, so that days are read in parts.
ROW_CAP = 400
FORMATS = {"parquet": parquet, "csv": csv, "arrow": arrow, "jsonl": jsonl, "xlsx": xlsx}
PIPED = ["ad_statistics_daily", "audiences"]


class Failures:
    """What did not match; the judge continues, so that one failure does not hide another."""

    def __init__(self):
        self.texts, self.passed, self.rows = [], 0, 0

    @contextmanager
    def case(self, name):
        try:
            yield
            self.passed += 1
        except Exception as error:
            traceback.print_exc()
            self.texts.append(f"{name}: {type(error).__name__}: {error}"[:1500])


class Bench:
    """The sandbox, the configuration, and the streams."""

    def __init__(self, folder, box, failures):
        self.folder, self.box, self.failures = Path(folder), box, failures
        self.hints, self.truth = {}, None
        self.config = {"client_id": box.client_id, "client_secret": box.client_secret, "currency": CURRENCY, "timezone": ZONE,
                       "start_date": FIRST_DAY, "api_base_url": box.url, "custom_reports": CUSTOM, "report_row_cap": ROW_CAP}
        self.today(FIRST_RUN)
        messages = self.run("discover", "--config", self.path("config.json")).decode().splitlines()
        catalog = next(message["catalog"] for message in map(json.loads, messages) if message["type"] == "CATALOG")
        self.streams = {found["name"]: Stream(found) for found in catalog["streams"] if found["name"] in REPORTS + OBJECTS}
        assert len(self.streams) == len(REPORTS + OBJECTS), self.streams.keys()

    def path(self, name):
        return str(self.folder / name)

    def today(self, day):
        """The day of the sandbox and of the program."""
        self.box.ask("/options", {"today": day})
        self.configure(now=f"{day}T12:00:00Z")

    def configure(self, **settings):
        self.config.update(settings)
        Path(self.path("config.json")).write_text(json.dumps(self.config))

    def run(self, *arguments):
        """Runs the program; returns what it writes to stdout."""
        answer = subprocess.run([os.environ["SOURCE"], *arguments], capture_output=True, timeout=300)
        assert answer.returncode == 0, f"{shlex.join(arguments)} exits with {answer.returncode}: {answer.stderr.decode()[-3000:]}"
        return answer.stdout

    def export(self, format, *more):
        command = ["export", self.path(format), "--config", self.path("config.json"), "--format", format,
                   "--streams", ",".join(self.streams), *more]
        self.hints[format] = self.run(*command).decode()

    def piped(self, name, format, *more):
        return self.run("read", "--config", self.path("config.json"), "--streams", name, "--format", format, *more)

    def check(self, place, name, rows, is_text=False, expected=None):
        """Compares a stream's rows with the truth."""
        expected = self.truth.rows[name] if expected is None else expected
        self.failures.rows += compare(place, self.streams[name], expected, rows, is_text)


def main():
    failures = Failures()
    options = ["--today", FIRST_RUN, "--advertisers", "4", "--ad-sets", "1", "--ads", "2", "--row-cap", str(ROW_CAP), *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder, sandbox(*options) as box:
        bench = Bench(folder, box, failures)
        box.ask("/faults", {"match": {"path": "campaigns/search"}, "times": None, "do": {
            "mutate": {f"/data/{number}/attributes/name": name for number, name in enumerate(FORMULAS)}}})
        first_run(bench)
        second_run(bench)
        for format, read in FORMATS.items():
            for name in bench.streams:
                with failures.case(f"{format}: {name}"):
                    read(bench, bench.streams[name])
        types(bench)
        hints(bench)
        no_rows(bench)
        loaded = batches(bench)
    if failures.texts:
        total = len(failures.texts) + failures.passed
        sys.exit("\n".join([*failures.texts, f"Exports: {len(failures.texts)} of {total} comparisons failed"]))
    print(f"Exports: {failures.rows} rows of {len(bench.streams)} streams in {len(FORMATS)} formats, pipes and Arrow batches equal to"
          f" the truth after two runs, {loaded} of them in PostgreSQL; {failures.passed} comparisons")


def first_run(bench):
    """Every format and pipe for the first time."""
    bench.truth = Truth(bench.box, bench.streams, FIRST_DAY, FIRST_RUN)
    withdrawn = {"AdvertiserId": "1001", "CampaignId": WITHDRAWN["campaign"], "Day": WITHDRAWN["day"], "Clicks": "0"}
    for format in FORMATS:
        request = {"text": '"dimensions":["AdvertiserId","CampaignId","Day"]', "covers": WITHDRAWN["day"]}
        bench.box.ask("/faults", {"match": request, "do": {"mutate": {"/Rows/-": withdrawn}}})
        with bench.failures.case(f"first run of {format}"):
            bench.export(format, "--since", FIRST_DAY, "--until", FIRST_RUN)
    for name, stream in bench.streams.items():
        with bench.failures.case(f"first run: {name}"):
            rows = parquet_table(files_of(bench.path("parquet"), stream, "parquet")).to_pylist()
            if name == "campaign_statistics_daily":
                kept = [row for row in rows if row["campaign_id"] != WITHDRAWN["campaign"]]
                assert len(kept) == len(rows) - 1, "the row that Criteo withdraws later is not there"
                rows = kept
            bench.check("first run", name, rows)
    pipes(bench, FIRST_DAY)


def second_run(bench):
    """Twelve days later: numbers have grown, and objects were deleted."""
    before = bench.truth.rows
    bench.today(SECOND_RUN)
    bench.box.ask("/options", {"deleted_ids": list(DELETED.values())})
    bench.truth = Truth(bench.box, bench.streams, FIRST_DAY, SECOND_RUN)
    for name in REPORTS:
        old, new = before[name], bench.truth.rows[name]
        has_grown = any(key in new and new[key] != row for key, row in old.items())
        assert has_grown or name == "mpo_campaign_statistics", f"{name} has no restated row: the judge compares too little"
    for name, deleted in DELETED.items():
        assert (deleted,) in before[name] and (deleted,) not in bench.truth.rows[name], f"{deleted} was not deleted"
    requests = len(bench.box.ask("/log"))
    for format in FORMATS:
        with bench.failures.case(f"second run of {format}"):
            bench.export(format)
    log = [entry["body"] for entry in bench.box.ask("/log")[requests:] if "statistics/report" in entry["line"]]
    asked = [body["startDate"] for body in log if "Day" in body["dimensions"]]
    with bench.failures.case("second run"):
        assert min(asked) == LOOKBACK, f"the second run reads from {min(asked)}, not from 30 days before the first"
    pipes(bench, LOOKBACK)


def pipes(bench, first_day):
    """One stream per run, in three formats; the next run continues from the state."""
    for name in PIPED:
        stream = bench.streams[name]
        expected = {key: row for key, row in bench.truth.rows[name].items() if "day" not in row or str(row["day"]) >= first_day}
        for format in ("arrow", "csv", "jsonl"):
            with bench.failures.case(f"pipe of {format}: {name}"):
                data = bench.piped(name, format, "--state-file", bench.path(f"{name}.{format}.state"))
                place = f"pipe of {format}"
                if format == "arrow":
                    table = arrow_table(pa.py_buffer(data), pa.ipc.open_stream)
                    check_schema(place, stream, table.schema)
                    bench.check(place, name, table.to_pylist(), expected=expected)
                    frame = polars.read_ipc_stream(io.BytesIO(data))
                    check_types(place, stream, dict(frame.schema), POLARS)
                    bench.check(place + " in polars", name, frame.to_dicts(), expected=expected)
                elif format == "csv":
                    path = bench.path(f"{name}.pipe.csv")
                    Path(path).write_bytes(data)
                    bench.check(place, name, text_rows(stream, [path])[0], is_text=True, expected=expected)
                else:
                    bench.check(place, name, json_rows(stream, data.decode().split("\n")[:-1]), expected=expected)


def hints(bench):
    """The commands that each export prints must work."""
    for format in FORMATS:
        with bench.failures.case(f"next steps of {format}"):
            printed = bench.hints[format]
            for code in re.findall(r"Python: (.+)", printed):
                scope = {}
                *imports, expression = code.split("; ")
                exec("; ".join(imports), scope)
                assert len(eval(expression, scope)) > 0, code
            for query in re.findall(r"DuckDB: duckdb .*-c [\"'](.+)[\"']", printed):
                script = Path(bench.path(format), "views.sql")
                connection = DuckDB(script.read_text() if script.exists() else "").connection
                assert len(connection.execute(query).fetchall()) == 10, query
            assert re.search("^(Python|DuckDB|Excel): ", printed, re.MULTILINE) and bench.path(format) in printed, printed


def no_rows(bench):
    """A pipe without rows has columns."""
    with bench.failures.case("pipe without rows"):
        # Criteo has no placements of today.
        name, day = "placements_daily", ("--since", SECOND_RUN, "--until", SECOND_RUN)
        bench.configure(timezone="UTC")
        stream = bench.streams[name]
        table = arrow_table(pa.py_buffer(bench.piped(name, "arrow", *day)), pa.ipc.open_stream)
        assert len(table) == 0
        check_schema("pipe without rows", stream, table.schema)
        assert bench.piped(name, "csv", *day).decode() == ",".join(stream.kinds) + "\r\n"
        assert bench.piped(name, "jsonl", *day) == b""


if __name__ == "__main__":
    main()
