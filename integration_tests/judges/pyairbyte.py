"""PyAirbyte syncs a sandbox account into DuckDB twice: first everything, twelve days later only new or changed data. Then the
tables must match the sandbox's truth. So must those of a connection to Retail Media.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python integration_tests/judges/pyairbyte.py
"""

import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

from sandbox import STATISTICS, sandbox

FIRST_DAY, FIRST_SYNC, SECOND_SYNC = "2026-08-01", "2026-10-20", "2026-11-01"
ENTITIES = ["advertisers", "campaigns", "ad_sets", "audiences"]
RETAIL_MEDIA = ["rm_accounts", "rm_campaigns", "rm_line_items", "rm_retailer_brands", "rm_promoted_products", "rm_catalog_products"]


def sync(folder):
    """One sync in its own process: PyAirbyte cannot run two into one cache in the same process."""
    import airbyte as ab
    from airbyte.caches import DuckDBCache

    config = json.loads(Path(folder, "config.json").read_text())
    source = ab.get_source(
        "source-criteo", config=config, local_executable=Path(os.environ["SOURCE"]), install_if_missing=False
    )
    source.check()
    if config.get("product") == "retail_media":
        source.select_streams(RETAIL_MEDIA)
    else:
        source.select_all_streams()
    result = source.read(cache=DuckDBCache(db_path=str(Path(folder, "cache.duckdb")), schema_name="criteo"))
    print("processed", result.processed_records)


def main():
    with tempfile.TemporaryDirectory() as folder, sandbox("--today", FIRST_SYNC) as box:
        os.environ.update(DO_NOT_TRACK="1", AIRBYTE_OFFLINE_MODE="1")
        requests = []
        for today in (FIRST_SYNC, SECOND_SYNC):
            box.ask("/options", {"today": today})
            config = {
                "client_id": box.client_id, "client_secret": box.client_secret, "currency": "USD",
                "start_date": FIRST_DAY, "api_base_url": box.url, "now": f"{today}T12:00:00Z",
            }
            Path(folder, "config.json").write_text(json.dumps(config))
            subprocess.run([sys.executable, "-W", "ignore", __file__, "sync", folder], check=True)
            requests.append([entry["body"] for entry in box.ask("/log") if "statistics/report" in entry["line"]])
        first, second = requests[0], requests[1][len(requests[0]):]
        assert min(body["startDate"] for body in first) == FIRST_DAY
        assert min(body["startDate"] for body in second) == "2026-09-20", "the second sync resumes from the state"
        compare(folder, box)
        readme(folder)
    retail_media()


def retail_media():
    """One sync of a connection to Retail Media, in another process, since a cache has one connection."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder, sandbox("--today", SECOND_SYNC, "--product", "retail_media") as box:
        config = {"product": "retail_media", "client_id": box.client_id, "client_secret": box.client_secret,
                  "api_base_url": box.url, "now": f"{SECOND_SYNC}T12:00:00Z"}
        Path(folder, "config.json").write_text(json.dumps(config))
        subprocess.run([sys.executable, "-W", "ignore", __file__, "sync", folder], check=True)
        tables = duckdb.connect(str(Path(folder, "cache.duckdb")), read_only=True)
        rows = 0
        for name in RETAIL_MEDIA:
            truth = box.ask(f"/truth?stream={name}")
            [count] = tables.execute(f"select count(*) from criteo.{name}").fetchone()
            assert count == len(truth) > 0, f"{name}: {count}, expected {len(truth)}"
            rows += count
        # Ids of 18 digits are strings, so none is rounded.
        truth = sorted(row["id"] for row in box.ask("/truth?stream=rm_campaigns"))
        assert sorted(id for [id] in tables.execute("select id from criteo.rm_campaigns").fetchall()) == truth
        spent = sum(Decimal(str(row["attributes"]["budgetSpent"] or 0)) for row in box.ask("/truth?stream=rm_line_items"))
        [found] = tables.execute("select sum(budget_spent) from criteo.rm_line_items").fetchone()
        assert abs(Decimal(str(found)) - spent) <= abs(spent) * Decimal("1e-12"), f"{found}, expected {spent}"
    print(f"PyAirbyte, Retail Media: {len(RETAIL_MEDIA)} tables and {rows} rows equal to the truth")


def readme(folder):
    """The example of docs/pyairbyte.md with other paths."""
    text = Path(__file__).resolve().parents[2].joinpath("docs/pyairbyte.md").read_text()
    shown = text.split("```python\n")[1].split("```")[0]
    shown = shown.replace("criteo.json", "config.json").replace("target/release/source-criteo", os.environ["SOURCE"])
    shown = subprocess.run([sys.executable, "-W", "ignore", "-c", shown], cwd=folder, capture_output=True, text=True, check=True)
    assert "advertiser_id" in shown.stdout and "rows x" in shown.stdout, shown.stdout


def compare(folder, box):
    import duckdb

    tables = duckdb.connect(str(Path(folder, "cache.duckdb")), read_only=True)

    def one(query):
        return tables.execute(query).fetchone()

    rows = 0
    for name in ENTITIES:
        truth = box.ask(f"/truth?stream={name}")
        assert one(f"select count(*), count(distinct id) from criteo.{name}") == (len(truth), len(truth)), name
        rows += len(truth)
    for name in STATISTICS:
        truth = box.statistics(name, FIRST_DAY, SECOND_SYNC, "USD")
        cost = sum(Decimal(row["AdvertiserCost"]) for row in truth)
        clicks, sales = (sum(int(row[metric].split(".")[0]) for row in truth) for metric in ("Clicks", "SalesPc30d"))
        found = one(f"select count(*), sum(advertiser_cost), sum(clicks), sum(sales_pc30d) from criteo.{name}")
        # PyAirbyte reads numbers as doubles, and one sandbox ad has amounts with eighteen digits.
        is_same_cost = abs(found[1] - cost) <= cost * Decimal("1e-15")
        true = (len(truth), cost, clicks, sales)
        assert is_same_cost and found[:1] + found[2:] == true[:1] + true[2:], f"{name}: {found}, expected {true}"
        rows += len(truth)
    sample = truth[len(truth) // 2]
    found = one(
        "select campaign_name, advertiser_cost, timezone from criteo.ad_statistics_daily"
        f" where ad_id = '{sample['AdId']}' and day = '{sample['Day']}'"
    )
    assert found == (sample["Campaign"], Decimal(sample["AdvertiserCost"]), "UTC"), found
    print(f"PyAirbyte: {len(ENTITIES) + len(STATISTICS)} tables, {rows} rows and their sums equal to the truth after two syncs")


if __name__ == "__main__":
    if sys.argv[1:2] == ["sync"]:
        sync(sys.argv[2])
    else:
        main()
