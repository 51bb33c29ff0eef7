"""The rows that an export must contain: the sandbox's truth as typed values, by simple code of its own."""

import json
import math
import re
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

ADVERTISERS = "1001,1002,1003,1004"
CURRENCY, ZONE = "EUR", "Europe/Paris"
METRICS = """
    Displays Clicks AdvertiserCost Visits SalesClientAttribution SalesPc30d SalesPc7d SalesPc1d SalesPv24h SalesPc30dPv24h
    RevenueGeneratedClientAttribution RevenueGeneratedPc30d RevenueGeneratedPc7d RevenueGeneratedPc1d RevenueGeneratedPv24h
    RevenueGeneratedPc30dPv24h SalesAllClientAttribution SalesAllPc30d RevenueGeneratedAllClientAttribution
    RevenueGeneratedAllPc30d
""".split()
CUSTOM = [
    {"name": "devices", "dimensions": ["CampaignId", "Category", "Device", "Day"],
     "metrics": ["Displays", "Clicks", "AdvertiserCost", "SalesPc7d", "ClickThroughRate", "RoasPc30d", "Reach", "Cpc", "ResultType"],
     "currency": "USD", "timezone": "America/New_York"},
    {"name": "weeks", "dimensions": ["CampaignId", "Week"], "metrics": ["Clicks", "AdvertiserCost", "SalesPc30d"]},
    {"name": "months", "dimensions": ["CampaignId", "Month"], "metrics": ["Clicks", "AdvertiserCost", "SalesPc30d"]},
]
STATISTICS = {
    "campaign_statistics_daily": {"dimensions": ["AdvertiserId", "CampaignId", "Day"], "metrics": METRICS},
    "ad_set_statistics_hourly": {"dimensions": ["AdvertiserId", "CampaignId", "AdsetId", "Hour", "Day"], "metrics": METRICS,
                                 "timezone": "UTC"},
    "ad_statistics_daily": {"dimensions": ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"], "metrics": METRICS},
    **{f"custom_{report['name']}": {**report, "dimensions": ["AdvertiserId", *report["dimensions"]]} for report in CUSTOM},
}
OBJECTS = ["campaigns", "ads", "ad_sets", "audiences"]
REPORTS = [*STATISTICS, "transactions", "placements_daily", "mpo_campaign_statistics"]
# Quotients, which are doubles; all other numbers are decimals.
RATIOS = {
    "custom_devices": {"click_through_rate", "roas_pc30d", "reach", "cpc"},
    "mpo_campaign_statistics": {name + seller for name in ("cr", "cpo", "cos", "roas") for seller in ("", "_same_seller")},
}
NAMES = {"Advertiser": "advertiser_name", "Campaign": "campaign_name", "Adset": "ad_set_name", "Ad": "ad_name",
         "Category": "category_name"}
# Campaigns get these names in both runs: a spreadsheet must not run them.
FORMULAS = ["=1+1", "+2+3", "-3-A1", "@SUM(A1)"]
NANO = Decimal("0.000000001")


def nano(number):
    """A number with nine decimals, rounded half away from zero."""
    return Decimal(number).quantize(NANO, ROUND_HALF_UP)


def instant(text):
    """An instant in UTC; times without a zone are in UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=timezone.utc) if parsed.tzinfo is None else parsed.astimezone(timezone.utc)


class Stream:
    """A stream of the catalog: its key, and the kind of each column."""

    def __init__(self, listed):
        self.name = listed["name"]
        self.key = [path[0] for path in listed["source_defined_primary_key"]]
        self.properties = listed["json_schema"]["properties"]
        self.kinds = {column: self.kind(column) for column in self.properties}

    def kind(self, column):
        shape = self.properties[column]
        names = [shape["type"]] if isinstance(shape["type"], str) else shape["type"]
        name = next(name for name in names if name != "null")
        if name in ("object", "array"):
            return "json"
        if name == "number":
            return "ratio" if column in RATIOS.get(self.name, ()) else "number"
        if shape.get("format") == "date-time":
            return "local" if shape["airbyte_type"] == "timestamp_without_timezone" else "instant"
        return "day" if shape.get("format") == "date" else {"string": "text"}.get(name, name)


class Truth:
    """The rows of each stream at this moment, by key."""

    def __init__(self, box, streams, first_day, last_day):
        self.box, self.streams = box, streams
        self.first_day, self.last_day = first_day, last_day
        self.rows = {name: self.by_key(stream, self.records(name)) for name, stream in streams.items()}

    def by_key(self, stream, records):
        """The records as typed rows."""
        rows, seen = {}, {}
        for record in records:
            row = {column: typed(value, stream.kinds[column], column in stream.key and stream.name not in OBJECTS)
                   for column, value in record.items() if column in stream.kinds}
            if "row_number" in stream.kinds:
                twins = tuple(row[column] for column in stream.key if column != "row_number")
                row["row_number"] = seen[twins] = seen.get(twins, 0) + 1
            key = tuple(row[column] for column in stream.key)
            assert key not in rows, f"the truth of {stream.name} has {key} twice"
            rows[key] = row
        assert rows, f"the truth of {stream.name} is empty"
        return rows

    def records(self, name):
        if name in OBJECTS:
            return self.objects(name)
        if name in STATISTICS:
            return self.statistics(name)
        if name == "transactions":
            query = {"advertiserIds": ADVERTISERS, "currency": CURRENCY, "timezone": ZONE, "format": "json", **self.days()}
            return self.report(name, {"data": [{"attributes": query}]}, timezone=ZONE)
        return self.placements() if name == "placements_daily" else self.marketplace()

    def days(self):
        return {"startDate": self.first_day, "endDate": self.last_day}

    def each_day(self):
        day = date.fromisoformat(self.first_day)
        while day <= date.fromisoformat(self.last_day):
            yield str(day)
            day += timedelta(1)

    def report(self, report, query, **more):
        """The rows of a report with the names of columns."""
        rows = self.box.ask("/truth", {"report": report, "query": query}, parse_float=Decimal)
        return [{**{column_of(name): value for name, value in row.items()}, **more} for row in rows]

    def statistics(self, name):
        query = {"advertiserIds": ADVERTISERS, "format": "json", "currency": CURRENCY, "timezone": ZONE, **STATISTICS[name],
                 **self.days()}
        query.pop("name", None)
        # Weeks and months are read whole.
        first = date.fromisoformat(self.first_day)
        whole = {"Week": first - timedelta(first.weekday()), "Month": first.replace(day=1)}
        query["startDate"] = str(whole.get(query["dimensions"][-1], first))
        return self.report("statistics", query, timezone=query["timezone"])

    def placements(self):
        query = {"advertiserIds": ADVERTISERS, "currency": CURRENCY, "timezone": ZONE, "format": "json", "disclosed": True,
                 "dimensions": ["AdvertiserId", "AdvertiserName", "CampaignId", "CampaignName", "AdsetId", "AdsetName",
                                "Environment", "Placement"],
                 "metrics": ["Clicks", "Displays", "Cost", "SalesPc30d", "RevenuePc30d", "SalesPv1d", "RevenuePv1d"]}
        rows = []
        for day in self.each_day():
            attributes = {**query, "startDate": day, "endDate": day}
            rows += self.report("placements", {"data": [{"attributes": attributes}]}, day=day, timezone=ZONE)
        return rows

    def marketplace(self):
        rows = []
        for advertiser in ADVERTISERS.split(","):
            query = {"advertiserId": advertiser, "intervalSize": "Day", "clickAttributionPolicy": "Both", **self.days()}
            rows += self.report("campaigns", query, advertiser_id=advertiser, timezone=ZONE)
        return rows

    def objects(self, name):
        records = []
        for number, found in enumerate(self.box.ask(f"/truth?stream={name}", parse_float=Decimal)):
            record = {"id": found["id"]}
            flatten(found["attributes"], "", self.streams[name].kinds, record)
            if name == "campaigns" and number < len(FORMULAS):
                record["name"] = FORMULAS[number]
            records.append(record)
        return records


@cache
def column_of(name):
    """The column of a member of a row."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return NAMES.get(name) or snake.replace("adset", "ad_set")


def flatten(value, name, columns, record):
    """Joins nested names; a member that repeats its parent's name gets no prefix, and wrappers have none."""
    if isinstance(value, dict) and (name not in columns or list(value) == ["value"]):
        for member, inner in value.items():
            column = column_of(member)
            if member == "value" or name and not column.startswith(name):
                column = name if member == "value" else f"{name}_{column}"
            flatten(inner, column, columns, record)
    elif name in columns:
        record[name] = value
    else:
        assert value is None, f"no column for {name}: {value}"


def typed(value, kind, is_report_key=False):
    """A value of the API as a value of its column's kind."""
    if value is None or value == "" and kind != "text":
        return "" if is_report_key and kind == "text" else None
    return {
        "text": str,
        "json": lambda value: value,
        "integer": int,
        "number": nano,
        "ratio": float,
        "boolean": lambda value: value in (True, "True", "Yes"),
        "day": date.fromisoformat,
        "instant": instant,
        "local": lambda text: datetime.strptime(text, "%m/%d/%Y %H:%M:%S"),
    }[kind](value)


def compare(place, stream, expected, found, is_text=False):
    """Rows by key must be equal in all columns that both have; returns their number. Text formats have no empty strings."""
    rows = {}
    for row in found:
        key = tuple(blank(row[column], is_text) for column in stream.key)
        assert key not in rows, f"{place}: {stream.name} has the key {key} twice"
        rows[key] = row
    wanted = {tuple(blank(value, is_text) for value in key): row for key, row in expected.items()}
    for what, keys in (("lacks", wanted.keys() - rows.keys()), ("has", rows.keys() - wanted.keys())):
        assert not keys, f"{place}: {stream.name} {what} {len(keys)} keys, such as {min(keys, key=str)}; {len(wanted)} are true"
    for key, row in wanted.items():
        other = rows[key]
        for column, value in row.items():
            if column in other or value is not None:
                same = is_same(blank(other.get(column), is_text), blank(value, is_text), stream.kinds[column])
                assert same, (f"{place}: {stream.name} {key}: {column} is {other.get(column)!r}, expected {value!r}")
    return len(rows)


def blank(value, is_text):
    return None if is_text and value == "" else value


def is_same(found, expected, kind):
    if kind == "json" and isinstance(found, str):
        return json.loads(found, parse_float=Decimal) == expected
    if kind == "ratio" and isinstance(found, Decimal):
        # Its type is wrong, which the comparison of types reports.
        return expected is not None and nano(found) == nano(expected)
    if kind == "number" and isinstance(found, float):
        # Excel, and DuckDB for JSON, have only doubles.
        return expected is not None and math.isclose(found, expected, rel_tol=1e-15)
    return found == expected
