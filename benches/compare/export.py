"""Compares exports and Arrow batches with PyAirbyte and Singer targets: same rows, same sandbox.

    cargo build --release --workspace
    python3 benches/compare/export.py [--rows 1000000] [--days 20] [--rounds 3] [--rounds-of-others 1] [--only disk|postgres]

`ad_statistics_daily` with all its metrics, as a first sync: into a table on disk, and into PostgreSQL, which a judge's module
starts. All programs have to load the same rows, as many as the sandbox has, with the same clicks and cost. Results are medians.
The peak is that of the largest process; that and the CPU time do not include the sandbox. PostgreSQL's own CPU time is separate.
Packages come from PyPI into `.cache/`.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).parent)]

import measure
from compare import venv
from measure import LAST_DAY, REPOSITORY, SOURCE, Reader, configuration, fast_sandbox, median, run, write
from postgres import postgres

HERE = Path(__file__).parent
STREAM = "ad_statistics_daily"
VERSIONS = dict(re.findall(r"^(\w+)=(.*)$", (REPOSITORY / "scripts/versions").read_text(), re.MULTILINE))
EXPORT, PYAIRBYTE, TARGET_DUCKDB = "source-criteo export", "PyAirbyte, DuckDB cache", "records, target-duckdb"
MERGED, APPENDED = "Arrow batches, ADBC, merged by key", "Arrow batches, ADBC, appended"
RECORDS, JSONL = "records, target-postgres", "jsonl batches, target-postgres"
# Requirements.
MIN_ROWS_PER_CPU_SECOND, MAX_PEAK_MIB, MIN_TIMES_DISK, MIN_TIMES_POSTGRES = 300_000, 128, 20, 10


class Bench:
    """The sandbox, and files for the programs."""

    def __init__(self, folder, box, rows_a_day, days):
        self.folder, self.box = Path(folder), box
        self.config = configuration(box, rows_a_day, days)
        del self.config["custom_reports"]
        self.config_file = write(folder, "config.json", self.config)
        # With the packages of `scripts/test`.
        self.exports = venv("exports", *(f"{name}=={VERSIONS[version]}" for name, version in {
            "duckdb": "DUCKDB", "pyarrow": "PYARROW", "polars": "POLARS", "openpyxl": "OPENPYXL",
            "adbc-driver-postgresql": "ADBC_POSTGRESQL", "meltanolabs-target-snowflake": "TARGET_SNOWFLAKE"}.items())) / "python"
        discovered = subprocess.run([SOURCE, "--config", self.config_file, "--discover"], check=True, capture_output=True)
        streams = [stream for stream in json.loads(discovered.stdout)["streams"] if stream["stream"] == STREAM]
        self.catalog = write(folder, "catalog.json", {"streams": streams})
        self.truth = self.expected(rows_a_day, days)

    def expected(self, rows_a_day, days):
        """Rows, clicks and cost of all days, which have the same numbers."""
        answer = self.folder / "day.json"
        with open(answer, "wb") as file:
            Reader(self.box).read(LAST_DAY, LAST_DAY, file)
        rows = json.loads(answer.read_text(), parse_float=Decimal)["Rows"]
        assert len(rows) == rows_a_day, f"{len(rows)} rows, expected {rows_a_day}"
        totals = [len(rows), *(sum(Decimal(row[name]) for row in rows) for name in ("Clicks", "AdvertiserCost"))]
        return [total * days for total in totals]

    def piped(self, name, target, **settings):
        """The command of the tap with these settings and a target."""
        tap = [SOURCE, "--config", write(self.folder, f"{name}.json", self.config | settings), "--catalog", self.catalog]
        return ["bash", "-o", "pipefail", "-c", f"{line(tap)} | {line(target)}"]

    def duckdb(self, file, table):
        """Rows, clicks and cost of a table. PyAirbyte and the target store doubles, whose nine decimals are exact."""
        query = f"select count(*), sum(clicks)::bigint, sum(advertiser_cost::decimal(38, 9)) from {table}"
        program = "import duckdb, sys; print(*duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
        printed = subprocess.run([self.exports, "-c", program, file, query], check=True, capture_output=True, text=True)
        return [Decimal(total) for total in printed.stdout.split()]

    def measure(self, name, command, found, rounds):
        """The median of several runs into new tables; `command` and `found` get a new name each time."""
        usages = []
        for number in range(rounds):
            place = f"run_{len(os.listdir(self.folder))}_{number}"
            (self.folder / place).mkdir()
            usages.append(run(command(place)))
            totals = found(place)
            assert totals == self.truth, f"{name}: {totals}, expected {self.truth}"
        usage = median(usages)
        print(f"{time.strftime('%H:%M:%S')} {name}: {usage.wall:.1f} s", flush=True)
        return vars(usage)


def line(command):
    return shlex.join(map(str, command))


def on_disk(bench, rounds, rounds_of_others):
    """A table on disk by each program."""
    folder = bench.folder
    pyairbyte = venv("pyairbyte", "airbyte==0.71.3") / "python"
    target = venv("target-duckdb", "target-duckdb==0.8.0", f"duckdb=={VERSIONS['DUCKDB']}") / "target-duckdb"

    def duckdb_target(place):
        config = {"path": str(folder / place / "table.duckdb"), "default_target_schema": "criteo"}
        return bench.piped("tap", [target, "--config", write(folder / place, "target.json", config)])

    def duckdb_table(place):
        return bench.duckdb(folder / place / "table.duckdb", f"criteo.{STREAM}")

    return {
        EXPORT: bench.measure(
            EXPORT,
            lambda place: [SOURCE, "export", folder / place / "tables", "--config", bench.config_file, "--format", "parquet",
                           "--streams", STREAM],
            lambda place: bench.duckdb(":memory:", f"'{folder / place}/tables/{STREAM}/*.parquet'"), rounds),
        PYAIRBYTE: bench.measure(
            PYAIRBYTE,
            lambda place: [pyairbyte, "-W", "ignore", HERE / "pyairbyte_to_duckdb.py", bench.config_file, STREAM,
                           folder / place / "table.duckdb"],
            duckdb_table, rounds_of_others),
        TARGET_DUCKDB: bench.measure(TARGET_DUCKDB, duckdb_target, duckdb_table, rounds_of_others),
    }


def in_postgres(bench, server, rounds, rounds_of_others):
    """A table in PostgreSQL by each way."""
    folder = bench.folder
    target = venv("target-postgres", "meltanolabs-target-postgres==0.8.1") / "target-postgres"

    def adbc(*how):
        def command(place):
            address = f"postgresql://criteo@127.0.0.1:{server.port}/criteo"
            return bench.piped("arrow", [bench.exports, HERE / "arrow_to_postgres.py", address, place, *how],
                               batch_config=batches(folder / place, {"format": "arrow"}))
        return command

    def sdk(**settings):
        def command(place):
            config = {"host": "127.0.0.1", "port": server.port, "user": "criteo", "password": "unused", "database": "criteo",
                      "default_target_schema": place, "use_copy": True}
            files = {key: batches(folder / place, value) for key, value in settings.items()}
            return bench.piped("tap", [target, "--config", write(folder / place, "target.json", config)], **files)
        return command

    def found(place):
        query = f"select count(*), sum(clicks), sum(advertiser_cost) from {place}.{STREAM}"
        totals = [Decimal(total) for total in server.ask(query)[0]]
        server.ask(f"drop schema {place} cascade")
        return totals

    usages = {}
    for name, command, times in (
        (MERGED, adbc(), rounds), (APPENDED, adbc("append"), rounds),
        (JSONL, sdk(batch_config={"format": "jsonl", "compression": "gzip"}), rounds_of_others),
        (RECORDS, sdk(), rounds_of_others),
    ):
        before = backends(server)
        usages[name] = bench.measure(name, command, found, times)
        usages[name]["server"] = (backends(server) - before) / times
    return usages


def batches(folder, encoding):
    """A setting: files of this encoding, of the default size."""
    return {"encoding": encoding, "storage": {"root": f"file://{folder}/batches"}}


def backends(server):
    """CPU seconds of the server's processes of ended connections; the judge's own take some milliseconds."""
    postmaster = Path(server.ask("show data_directory")[0][0], "postmaster.pid").read_text().split("\n")[0]
    fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def report(title, rows, figures, ours):
    """Prints a table."""
    has_server = "server" in figures[ours]
    measure.table(
        f"{title}: {rows:,} rows",
        ["", "wall s", "CPU s", *["PostgreSQL CPU s"] * has_server, "rows per CPU s", "peak MiB", "times our wall",
         "times our CPU"],
        [[name, figure["wall"], figure["cpu"], *[figure.get("server")] * has_server, rows / figure["cpu"],
          figure["peak_kib"] / 1024, figure["wall"] / figures[ours]["wall"], figure["cpu"] / figures[ours]["cpu"]]
         for name, figure in figures.items()],
    )
    print()


def judge(is_met, text):
    print(f"{'PASS' if is_met else 'FAIL'}: {text}", flush=True)


def judge_disk(rows, figures):
    ours, others = figures[EXPORT], [figure for name, figure in figures.items() if name != EXPORT]
    rate, peak = rows / ours["cpu"], ours["peak_kib"] / 1024
    times = min(other["wall"] for other in others) / ours["wall"]
    judge(rate >= MIN_ROWS_PER_CPU_SECOND, f"{EXPORT}: {rate:,.0f} rows per CPU second; required: {MIN_ROWS_PER_CPU_SECOND:,}")
    judge(peak < MAX_PEAK_MIB, f"{EXPORT}: peak {peak:.0f} MiB; required: less than {MAX_PEAK_MIB}")
    judge(times >= MIN_TIMES_DISK,
          f"{EXPORT}: {times:.1f} times less wall time than the best other; required: {MIN_TIMES_DISK}")


def judge_postgres(figures):
    for ours in (MERGED, APPENDED):
        times = figures[RECORDS]["wall"] / figures[ours]["wall"]
        judge(times >= MIN_TIMES_POSTGRES, f"{ours}: {times:.1f} times less wall time than records; required: {MIN_TIMES_POSTGRES}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of all days")
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rounds-of-others", type=int, default=1)
    parser.add_argument("--only", choices=["disk", "postgres"])
    options = parser.parse_args()
    rows_a_day = options.rows // options.days
    rows, rounds = rows_a_day * options.days, (options.rounds, options.rounds_of_others)
    print(json.dumps(measure.machine()), flush=True)
    os.environ.update(DO_NOT_TRACK="1", AIRBYTE_OFFLINE_MODE="1")
    results = {"rows": rows}
    with tempfile.TemporaryDirectory() as folder, fast_sandbox(rows_a_day) as box:
        bench = Bench(folder, box, rows_a_day, options.days)
        if options.only != "postgres":
            results["disk"] = on_disk(bench, *rounds)
            report("Table on disk", rows, results["disk"], EXPORT)
            judge_disk(rows, results["disk"])
        if options.only != "disk":
            with postgres() as server:
                results["postgres"] = in_postgres(bench, server, *rounds)
            report("Table in PostgreSQL", rows, results["postgres"], MERGED)
            judge_postgres(results["postgres"])
    measure.keep("export.json", results)


if __name__ == "__main__":
    main()
