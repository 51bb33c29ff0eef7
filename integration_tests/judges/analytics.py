"""dbt builds its reports from what PyAirbyte loads from the sandbox, in DuckDB and, copied, in PostgreSQL. Every row must match
the sandbox's truth, and mixed currencies must be detected.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo DBT=.cache/dbt/bin/dbt \\
        python integration_tests/judges/analytics.py
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
from postgres import postgres
from sandbox import sandbox

ANALYTICS = Path(__file__).resolve().parents[2] / "analytics"
README = (ANALYTICS / "README.md").read_text()
FIRST_DAY, TODAY, CURRENCY = "2026-10-18", "2026-11-01", "EUR"
STREAMS = ["advertisers", "campaigns", "ad_sets", "ads", "campaign_statistics_daily", "ad_set_statistics_daily",
           "ad_statistics_daily"]
# The reports' dimensions and Criteo's names for them.
DIMENSIONS = {"account": "Advertiser", "campaign": "Campaign", "ad_group": "Adset", "ad": "Ad"}
LEVELS = {f"criteo__{level}_report": list(DIMENSIONS)[:depth] for depth, level in enumerate(DIMENSIONS, start=1)}
FIGURES = ["clicks", "impressions", "spend", "conversions", "conversions_value"]
RATIOS = ["cpc", "cpm", "ctr", "roas", "cos"]
# PyAirbyte reads numbers as doubles with 15 digits, and one sandbox ad has amounts with eighteen.
TOLERANCE = Decimal("1e-12")
# PyAirbyte's configuration is replaced, since settings for the sandbox are not in the specification.
WRAPPER = """#!/bin/sh
verb=$1
shift
if [ "$1" = --config ]; then shift 2; set -- --config '{config}' "$@"; fi
exec '{source}' "$verb" "$@"
"""
PROJECT = """
name: shop
profile: criteo
flags:
  send_anonymous_usage_stats: false
vars:
  criteo_attribution: pc30d
"""


class Warehouse:
    """A database, and access to it for dbt and this program."""

    def __init__(self, target, connect, environment):
        self.target, self.connect = target, connect
        self.environment = {**os.environ, **environment, "DO_NOT_TRACK": "1"}

    def ask(self, query):
        with self.connect() as connection:
            return connection.execute(query).fetchall()

    def change(self, *statements):
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)


def load(file, program):
    """Loads the streams into DuckDB, in a separate process since PyAirbyte keeps databases open."""
    import airbyte as ab
    from airbyte.caches import DuckDBCache

    # Required by the specification.
    config = {"client_id": "unused", "client_secret": "unused", "currency": CURRENCY}
    source = ab.get_source("source-criteo", config=config, local_executable=Path(program), install_if_missing=False)
    source.check()
    source.select_streams(STREAMS)
    source.read(cache=DuckDBCache(db_path=file, schema_name="criteo"))


def copy(origin, destination):
    """Copies to PostgreSQL. PyAirbyte's PostgreSQL cache treats long ids as doubles, which merges ads."""
    with origin.connect() as reader, destination.connect() as writer:
        writer.execute("create schema criteo")
        for stream in STREAMS:
            columns = reader.execute(f"describe criteo.{stream}").fetchall()
            writer.execute(f"create table criteo.{stream} ({', '.join(f'{name} {kind}' for name, kind, *_ in columns)})")
            with writer.cursor().copy(f"copy criteo.{stream} from stdin") as rows:
                for row in reader.execute(f"select * from criteo.{stream}").fetchall():
                    rows.write_row(row)


def main():
    with tempfile.TemporaryDirectory() as folder, sandbox("--today", TODAY) as box, postgres() as server:
        program, file = Path(folder, "source"), str(Path(folder, "warehouse.duckdb"))
        config = Path(folder, "config.json")
        config.write_text(json.dumps({"client_id": box.client_id, "client_secret": box.client_secret, "currency": CURRENCY,
                                      "start_date": FIRST_DAY, "api_base_url": box.url, "now": f"{TODAY}T12:00:00Z"}))
        program.write_text(WRAPPER.format(source=Path(os.environ["SOURCE"]).resolve(), config=config))
        program.chmod(0o755)
        subprocess.run([sys.executable, "-W", "ignore", __file__, "load", file, str(program)], check=True,
                       env={**os.environ, "DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"})
        place = {"host": "127.0.0.1", "port": str(server.port), "user": "criteo", "password": "unused"}
        warehouses = [
            Warehouse("duckdb", lambda: duckdb.connect(file), {"CRITEO_DUCKDB": file}),
            Warehouse("postgres", lambda: psycopg.connect(**place, dbname="criteo"),
                      {"PGDATABASE": "criteo", **{f"PG{name.upper()}": value for name, value in place.items()}}),
        ]
        copy(*warehouses)
        summaries = ["dbt's summaries:"]
        for warehouse in warehouses:
            rows = judge(warehouse, box, folder, summaries)
    print("\n".join(summaries))
    print(f"dbt: {len(LEVELS)} reports, {rows} rows and their sums equal to the truth in DuckDB and in PostgreSQL")


def judge(warehouse, box, folder, summaries):
    """Builds in every way the README shows; returns the number of report rows."""

    def build(about, arguments="", cwd=ANALYTICS, fails=False):
        command = f"dbt build{' --target postgres' if warehouse.target == 'postgres' else ''}{arguments}"
        output = dbt(warehouse, command, cwd, folder, fails)
        summary = re.search("Done[.] PASS.*", output)[0]
        assert fails or summary in README, f"not in the README: {summary}"
        summaries.append(f"{about}: {command}: {summary}")
        return output

    # A project with another attribution.
    project = Path(folder, warehouse.target)
    project.mkdir()
    (project / "profiles.yml").symlink_to(ANALYTICS / "profiles.yml")
    (project / "dbt_project.yml").write_text(PROJECT)
    (project / "packages.yml").write_text(f"packages:\n  - local: {ANALYTICS}\n")
    dbt(warehouse, "dbt deps", project, folder)
    build("as a package, pc30d", cwd=project)
    compare(warehouse, box, "Pc30d")

    warehouse.change("update analytics.criteo__ad_report set clicks = clicks + 1"
                     " where ad_id = '900000000000000001' and date_day = '2026-10-20'")
    refused = None
    try:
        compare(warehouse, box, "Pc30d")
    except AssertionError as error:
        refused = str(error)
    assert refused and "2026-10-20" in refused, f"one extra click was not detected: {refused}"

    build("by itself")
    rows = compare(warehouse, box, "ClientAttribution")

    warehouse.change("create table dollars as select * from criteo.campaign_statistics_daily where advertiser_id = '1001'",
                     "update dollars set currency = 'USD'",
                     "insert into criteo.campaign_statistics_daily select * from dollars")
    output = build("two currencies, must fail", fails=True)
    assert "campaign_statistics_daily has money in several currencies, which cannot be added: EUR, USD" in output
    compare(warehouse, box, "ClientAttribution")
    output = build("the incomplete currency, must fail", " --vars 'criteo_currency: USD'", fails=True)
    assert "campaign_statistics_daily has days that are not in USD but only in EUR" in output
    build("the complete currency", " --vars 'criteo_currency: EUR'")
    compare(warehouse, box, "ClientAttribution")
    return rows


def dbt(warehouse, command, cwd, folder, fails=False):
    """Runs a command that the README shows, for any target; returns dbt's output."""
    shown = command.replace(" --target postgres", "")
    assert f"$ {shown}\n" in README, f"not in the README: {shown}"
    environment = {**warehouse.environment, "PATH": f"{Path(os.environ['DBT']).parent}:{os.environ['PATH']}",
                   "DBT_TARGET_PATH": f"{folder}/target", "DBT_LOG_PATH": f"{folder}/logs", "DBT_USE_COLORS": "false"}
    answer = subprocess.run(["sh", "-c", command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    print(f"$ {command}\n{answer.stdout}", flush=True)
    assert answer.returncode == int(fails), f"{command} exited with {answer.returncode}"
    return answer.stdout


def compare(warehouse, box, attribution):
    """Compares every row of every report, and their sums."""
    compared = 0
    for report, levels in LEVELS.items():
        truth = true_rows(box, levels, attribution)
        columns = ["cast(date_day as varchar)", *(f"{level}_id" for level in levels), *(f"{level}_name" for level in levels),
                   "source_relation", "platform", "currency", *FIGURES, *RATIOS]
        found = warehouse.ask(f"select {', '.join(columns)} from analytics.{report}")
        assert len(found) == len(truth) > 0, f"{report}: {len(found)} rows, expected {len(truth)}"
        for row in found:
            key, words, numbers = row[:1 + len(levels)], row[1 + len(levels):-10], row[-10:]
            true_words, true_numbers = truth[key]
            assert words == (*true_words, "criteo", "criteo", CURRENCY), f"{report}, {key}: {words}"
            assert all(map(is_same, numbers, true_numbers)), f"{report}, {key}: {numbers}, expected {true_numbers}"
        [sums] = warehouse.ask(f"select {', '.join(f'sum({figure})' for figure in FIGURES)} from analytics.{report}")
        true_sums = [sum(numbers[place] for _, numbers in truth.values()) for place in range(len(FIGURES))]
        assert all(map(is_same, sums, true_sums)), f"{report}: sums {sums}, expected {true_sums}"
        print(f"{warehouse.target}, {report}, {attribution}: {len(found)} rows, sums {', '.join(map(str, sums))}", flush=True)
        compared += len(found)
    return compared


def true_rows(box, levels, attribution):
    """Names, numbers and ratios by day and ids."""
    metrics = ["Clicks", "Displays", "AdvertiserCost", f"Sales{attribution}", f"RevenueGenerated{attribution}"]
    names = [DIMENSIONS[level] for level in levels]
    query = {"advertiserIds": "1001,1002,1003", "startDate": FIRST_DAY, "endDate": TODAY, "currency": CURRENCY,
             "dimensions": [*(f"{name}Id" for name in names), "Day"], "metrics": metrics, "format": "json"}
    truth = {}
    for row in box.ask("/truth", {"report": "statistics", "query": query}):
        clicks, impressions, spend, conversions, value = figures = [Decimal(row[metric]) for metric in metrics]
        ratios = [ratio(spend, clicks), ratio(1000 * spend, impressions), ratio(clicks, impressions), ratio(value, spend),
                  ratio(spend, value)]
        key = (row["Day"], *(row[f"{name}Id"] for name in names))
        truth[key] = [row[name] for name in names], figures + ratios
    return truth


def ratio(numerator, denominator):
    return numerator / denominator if denominator else None


def is_same(found, true):
    if found is None or true is None:
        return found is true
    return abs(Decimal(found) - true) <= abs(true) * TOLERANCE


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        load(*sys.argv[2:])
    else:
        main()
