"""Runs the sample project with Meltano against the sandbox: install, select, test, run into files and PostgreSQL, a second
account, Retail Media, states and a schedule. Loaded data must match the sandbox's truth.

    SANDBOX=target/debug/criteo-sandbox WHEEL=source_criteo….whl MELTANO_PROJECT=folder python integration_tests/judges/meltano.py

The folder caches the plugins' environments.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import yaml
from postgres import postgres
from sandbox import sandbox

REPOSITORY = Path(__file__).resolve().parents[2]
MELTANO = Path(sys.executable).parent / "meltano"
FIRST_DAY, FIRST_SYNC, SECOND_SYNC = "2026-09-01", "2026-10-20", "2026-11-01"
EXACT = "campaign_statistics_daily"
STATE_ID = "dev:tap-criteo-to-target-postgres"


class Project:
    """The sample project with this build's wheel and this run's addresses."""

    def __init__(self, folder, box, server):
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in ["output", ".meltano/meltano.db", ".meltano/run", ".env", "plugins"]:
            path = self.folder / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        project = yaml.safe_load((REPOSITORY / "sample_configs/meltano/meltano.yml").read_text())
        assert [plugin["name"] for plugin in project["plugins"]["extractors"]] == ["tap-criteo"], "the sample has one account"
        extractors, loaders = project["plugins"]["extractors"], project["plugins"]["loaders"]
        extractors[0]["config"]["start_date"] = FIRST_DAY
        # The target stores numbers as doubles; users who need every digit change the type, and the tap casts.
        extractors[0]["schema"] = {EXACT: {"advertiser_cost": {"type": ["string", "null"]}}}
        # Only for simulations.
        extractors[0]["settings"] += [{"name": "api_base_url"}, {"name": "now"}]
        extractors[0]["config"]["api_base_url"] = box.url
        assert loaders[1]["config"].keys() == {"host", "port", "user", "database"}
        loaders[1]["config"] = {"host": "127.0.0.1", "port": server.port, "user": "criteo", "database": "criteo"}
        project["send_anonymous_usage_stats"] = False
        project["project_id"] = "00000000-0000-0000-0000-000000000001"
        (self.folder / "meltano.yml").write_text(yaml.safe_dump(project, sort_keys=False))
        (self.folder / "output").mkdir()
        self.environment = {
            **os.environ, "NO_COLOR": "1", "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "0", "MELTANO_CLI_LOG_LEVEL": "info",
            "TAP_CRITEO_WHEEL": os.environ["WHEEL"],
            "TAP_CRITEO_CLIENT_ID": box.client_id, "TAP_CRITEO_CLIENT_SECRET": box.client_secret,
            "TARGET_POSTGRES_PASSWORD": "unused",
            "TAP_CRITEO__BRAND_B_CLIENT_ID": box.client_id, "TAP_CRITEO__BRAND_B_CLIENT_SECRET": box.client_secret,
            "TAP_CRITEO__BRAND_B_ADVERTISER_IDS": '["1002"]',
        }
        self.today(FIRST_SYNC)

    def add_second_account(self):
        """Takes the sample's comments for the second account away, as a user would."""
        second = uncommented("tap-criteo--brand-b")
        path = self.folder / "meltano.yml"
        project = yaml.safe_load(path.read_text())
        [_, account] = second["plugins"]["extractors"]
        assert account["name"] == "tap-criteo--brand-b" and account["config"] == {"currency": "USD"}, account
        project["plugins"]["extractors"].append(account)
        project["jobs"] = second["jobs"]
        assert len(project["jobs"][0]["tasks"]) == 2
        path.write_text(yaml.safe_dump(project, sort_keys=False))

    def add_retail_media(self, box):
        """Takes the sample's comments for Retail Media away."""
        path = self.folder / "meltano.yml"
        project = yaml.safe_load(path.read_text())
        [_, account] = uncommented("tap-criteo--retail-media")["plugins"]["extractors"]
        assert account["config"]["product"] == "retail_media", account
        project["plugins"]["extractors"].append(account)
        path.write_text(yaml.safe_dump(project, sort_keys=False))
        settings = {"CLIENT_ID": box.client_id, "CLIENT_SECRET": box.client_secret, "API_BASE_URL": box.url,
                    "NOW": f"{SECOND_SYNC}T12:00:00Z"}
        self.environment |= {f"TAP_CRITEO__RETAIL_MEDIA_{name}": value for name, value in settings.items()}

    def today(self, day):
        self.environment["TAP_CRITEO_NOW"] = self.environment["TAP_CRITEO__BRAND_B_NOW"] = f"{day}T12:00:00Z"

    def meltano(self, *arguments, fails=False, **environment):
        """Runs a Meltano command; returns its output."""
        answer = subprocess.run([MELTANO, *arguments], cwd=self.folder, env={**self.environment, **environment},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=600)
        print(f"$ meltano {' '.join(arguments)}\n{answer.stdout[-4000:]}", flush=True)
        assert (answer.returncode != 0) == fails, f"meltano {' '.join(arguments)} exited with {answer.returncode}"
        assert self.environment["TAP_CRITEO_CLIENT_SECRET"] not in answer.stdout, "a secret was printed"
        return answer.stdout


def uncommented(name):
    """The sample project with the comments of one plugin taken away."""
    lines, is_of_plugin = [], False
    for line in (REPOSITORY / "sample_configs/meltano/meltano.yml").read_text().splitlines():
        start = re.match(r" *# - (?:name: )?([\w-]+)", line)
        if start:
            is_of_plugin = start[1] == name
        elif not re.match(r" *#  ", line):
            is_of_plugin = False
        lines.append(line.replace("# ", "", 1) if is_of_plugin else line)
    return yaml.safe_load("\n".join(lines))


def main():
    with sandbox("--today", FIRST_SYNC) as box, postgres() as server:
        project = Project(os.environ["MELTANO_PROJECT"], box, server)
        project.meltano("install", "--force", "extractor", "tap-criteo")
        project.meltano("install", "loader", "target-jsonl")
        project.meltano("install", "loader", "target-postgres")
        about(project)
        files = into_files(project, box)
        rows = into_postgres(project, box, server)
        backfill(project, server)
        states(project, box)
        retail_media(project)
        definition(project)
    print(f"Meltano: {files} rows in files, {rows} in PostgreSQL after two syncs and a second account, equal to the truth")


def about(project):
    listed = project.meltano("select", "tap-criteo", "--list", "--all")
    assert re.search(r"\[automatic\s*\] campaigns\.id", listed) and re.search(r"\[selected\s*\] campaigns\.name", listed)
    assert re.search(r"\[excluded\s*\] audiences\.name", listed), "the sample deselects audiences"
    assert "Plugin configuration is valid" in project.meltano("config", "test", "tap-criteo")
    wrong = project.meltano("config", "test", "tap-criteo", fails=True, TAP_CRITEO_CLIENT_SECRET="wrong-secret")
    assert "partners.criteo.com" in wrong.split("Plugin configuration is invalid")[1] and "Traceback" not in wrong, "the reason is printed"
    tested = project.meltano("invoke", "tap-criteo", "--test")
    assert "consent: " in tested, "the test begins with the steps of the check"
    printed = project.meltano("invoke", "tap-criteo", "--about", "--format=json")
    assert json.loads(printed[printed.index("{"):])["name"] == "tap-criteo"


def into_files(project, box):
    """One run into JSON files; checks counts and keys of all streams."""
    log = project.meltano("run", "tap-criteo", "target-jsonl")
    assert "Block run completed" in log and "METRIC" not in log, "logs are shown, without metrics"
    assert re.search(r"campaign_statistics_daily: [\d,]+ records", log), "the summary counts records"
    rows = 0
    for path in (project.folder / "output").glob("*.jsonl"):
        name = path.name.split("-")[0].removesuffix(".jsonl")
        found = [json.loads(line) for line in path.read_text().splitlines(keepends=False)]
        rows += len(found)
        if name in ("advertisers", "campaigns", "ad_sets", "ads", "creatives", "coupons"):
            truth = box.ask(f"/truth?stream={name}")
            assert sorted(row["id"] for row in found) == sorted(str(row["id"]) for row in truth), name
    assert rows > 1000
    return rows


def into_postgres(project, box, server):
    """Two syncs with twelve days and a restatement between them, the second by the schedule and with a second account."""
    project.meltano("schedule", "run", "criteo-every-morning")
    project.add_second_account()
    compare(box, server, "criteo", "EUR", FIRST_SYNC, "1001,1002,1003")
    box.ask("/options", {"today": SECOND_SYNC})
    project.today(SECOND_SYNC)
    before = len(box.ask("/log"))
    project.meltano("schedule", "run", "criteo-every-morning")
    bodies = [entry["body"] for entry in box.ask("/log")[before:] if "statistics/report" in entry["line"]]
    assert min(body["startDate"] for body in bodies if body["currency"] == "USD") == FIRST_DAY
    first = min(body["startDate"] for body in bodies if body["currency"] == "EUR")
    assert first == "2026-09-20", f"the second sync resumes 30 days before the state, not on {first}"
    rows = compare(box, server, "criteo", "EUR", SECOND_SYNC, "1001,1002,1003")
    rows += compare(box, server, "criteo_brand_b", "USD", SECOND_SYNC, "1002")
    types(server)
    return rows


def compare(box, server, schema, currency, last_day, advertisers):
    """Checks counts and sums in the database."""
    rows = 0
    for name in ["advertisers", "campaigns", "ad_sets", "ads", "creatives"]:
        count, distinct = map(int, server.ask(f"select count(*), count(distinct id) from {schema}.{name}")[0])
        assert count == distinct > 0, name
        if schema == "criteo":
            assert count == len(box.ask(f"/truth?stream={name}")), name
        rows += count
    for name in ["campaign_statistics_daily", "ad_set_statistics_daily", "ad_statistics_daily"]:
        truth = box.statistics(name, FIRST_DAY, last_day, currency, advertisers)
        cost = sum(Decimal(row["AdvertiserCost"]) for row in truth)
        clicks = sum(int(row["Clicks"].split(".")[0]) for row in truth)
        query = f"select count(*), sum(clicks), sum(advertiser_cost::numeric), min(currency), max(currency) from {schema}.{name}"
        found = server.ask(query)[0]
        # One sandbox ad has amounts with eighteen digits.
        is_same_cost = abs(Decimal(found[2]) - cost) <= (0 if name == EXACT else cost * Decimal("1e-15"))
        assert is_same_cost and [int(found[0]), int(Decimal(found[1]))] == [len(truth), clicks], (
            f"{schema}.{name}: {found}, expected {len(truth)}, {clicks}, {cost}")
        assert found[3:] == [currency, currency]
        rows += len(truth)
    return rows


def types(server):
    """Checks column types against the schemas."""
    query = ("select table_name || '.' || column_name, data_type from information_schema.columns"
             " where table_schema = 'criteo'")
    found = dict(server.ask(query))
    for column, kind in {
        "campaign_statistics_daily.day": "date",
        "campaign_statistics_daily.advertiser_id": "text",
        "campaign_statistics_daily.advertiser_cost": "text",
        "ad_statistics_daily.advertiser_cost": "numeric",
        "campaigns.id": "text",
        "ad_sets.schedule_start_date": "timestamp without time zone",
        "ad_sets.targeting_delivery_limitations_devices": "ARRAY",
        "ad_sets.bidding_bid_amount": "numeric",
    }.items():
        assert found[column] == kind, f"{column} is {found[column]}, not {kind}"


def backfill(project, server):
    """Earlier days in a state of their own, beside the daily runs."""
    query = f"select count(*), count(distinct day), min(day)::text from criteo.{EXACT}"
    bookmarks = lambda: json.loads(re.search(r"{.*}", project.meltano("state", "get", STATE_ID), re.DOTALL)[0])
    [(before, days, first)], state = server.ask(query), bookmarks()
    assert first == FIRST_DAY
    project.meltano("run", "--state-id-suffix", "backfill", "tap-criteo", "target-postgres",
                    TAP_CRITEO_START_DATE="2026-08-20", TAP_CRITEO_END_DATE="2026-08-31",
                    TAP_CRITEO__SELECT_FILTER=json.dumps([EXACT]))
    [(after, more, first)] = server.ask(query)
    assert int(after) > int(before) and (int(more) - int(days), first) == (12, "2026-08-20"), (before, after, days, more, first)
    assert bookmarks() == state, "the state of the daily runs stays"


def states(project, box):
    """The next run starts from an edited state."""
    assert STATE_ID in project.meltano("state", "list")
    printed = project.meltano("state", "get", STATE_ID)
    state = json.loads(printed[printed.index("{"):])
    bookmark = state["singer_state"]["bookmarks"]["campaign_statistics_daily"]
    assert bookmark["replication_key"] == "day" and bookmark["replication_key_value"] == "2026-10-31", bookmark
    for group in bookmark["groups"]:
        group["cursor"] = "2026-10-28"
    (project.folder / "state.json").write_text(json.dumps(state))
    project.meltano("state", "set", "--force", "--input-file", "state.json", STATE_ID)
    before = len(box.ask("/log"))
    project.meltano("run", "tap-criteo", "target-postgres", TAP_CRITEO_LOOKBACK_DAYS="2")
    bodies = [entry["body"] for entry in box.ask("/log")[before:] if "statistics/report" in entry["line"]]
    campaigns = [body["startDate"] for body in bodies if body["dimensions"] == ["AdvertiserId", "CampaignId", "Day"]]
    others = [body["startDate"] for body in bodies if body["dimensions"][:3] == ["AdvertiserId", "CampaignId", "AdsetId"]]
    assert min(campaigns) < min(others), f"{min(campaigns)} and {min(others)}"
    project.meltano("run", "--refresh-catalog", "tap-criteo", "target-postgres")
    before = len(box.ask("/log"))
    project.meltano("run", "--full-refresh", "tap-criteo", "target-postgres")
    bodies = [entry["body"] for entry in box.ask("/log")[before:] if "statistics/report" in entry["line"]]
    assert min(body["startDate"] for body in bodies) == FIRST_DAY, "everything is read again"


def retail_media(project):
    """One run of the other product into JSON files."""
    with sandbox("--today", SECOND_SYNC, "--product", "retail_media") as box:
        project.add_retail_media(box)
        assert "Plugin configuration is valid" in project.meltano("config", "test", "tap-criteo--retail-media")
        project.meltano("run", "tap-criteo--retail-media", "target-jsonl")
        for name in ("rm_accounts", "rm_campaigns", "rm_line_items"):
            paths = (project.folder / "output").glob(f"{name}*.jsonl")
            found = [json.loads(line)["id"] for path in paths for line in path.read_text().splitlines()]
            truth = [row["id"] for row in box.ask(f"/truth?stream={name}")]
            assert sorted(found) == sorted(truth), f"{name}: {len(found)} rows, expected {len(truth)}"
        assert not list((project.folder / "output").glob("rm_promoted_products*")), "not selected by the sample"


def definition(project):
    """Meltano accepts the Hub definition."""
    folder = project.folder / "added"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "meltano.yml").write_text("default_environment: dev\nenvironments:\n- name: dev\n")
    whole = project.folder
    project.folder = folder
    reference = str(REPOSITORY / "meltano/tap-criteo.yml")
    project.meltano("add", "--plugin-type", "extractor", "tap-criteo", "--from-ref", reference, "--no-install")
    printed = project.meltano("config", "print", "tap-criteo", TAP_CRITEO_BATCH_CONFIG_STORAGE_ROOT="file:///tmp/x",
                              TAP_CRITEO_ADVERTISER_IDS='["1", "2"]', TAP_CRITEO_LOOKBACK_DAYS="9")
    config = json.loads(printed[printed.index("{"):])
    assert config["batch_config"]["storage"]["root"] == "file:///tmp/x", config
    assert (config["advertiser_ids"], config["lookback_days"], config["timezone"]) == (["1", "2"], 9, "UTC"), config
    project.folder = whole


if __name__ == "__main__":
    main()
