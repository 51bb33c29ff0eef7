"""Criteo's own SDK of Retail Media sends every read operation to the sandbox, parses every response and completes every job.

    SANDBOX=target/debug/criteo-sandbox python integration_tests/judges/criteo_retail_media_sdk.py v2026_07
"""

import importlib
import inspect
import json
import re
import sys

from sandbox import sandbox

READS = ("/search", "/recommend-keywords", "/recommend-categories", "/cpc-min-bids")
# Exports need the permission to manage campaigns, and read nevertheless.
JOBS = ("/catalogs", "/catalogs/sellers", "/partner-report", "-catalog-export")


def is_job(path):
    return ("/reports/" in path and "/sync/" not in path) or path.endswith(JOBS)


def is_read(method, path):
    return method == "GET" or (method == "POST" and (is_job(path) or "/reports/sync/" in path or path.endswith(READS)))


def days(**attributes):
    return {"startDate": "2026-10-20T00:00:00Z", "endDate": "2026-10-25T00:00:00Z", **attributes}


def attributes_of(path, known):
    """The attributes of a request's body."""
    if "/reports/" in path:
        return report_of(path, known)
    if path.endswith("/partner-report"):
        return {"startDate": "2026-10-20", "endDate": "2026-10-25", "accountIds": [known["supply"]]}
    if path.endswith(("/sellers", "/seller-catalog-export")):
        # The SDK replaces what it is given by its own models.
        return {"sellers": [dict(seller) for seller in known["sellers"]]}
    if path.endswith("/brands/search"):
        return {"retailerIds": [int(known["retailer"])]}
    if path.endswith("/sellers/search"):
        return {"accountIds": known["accounts"], "includeDetails": True}
    if "/recommend-" in path:
        return {"productIds": ["1"]}
    if path.endswith("/cpc-min-bids"):
        return {"skuIds": ["1"]}
    return {}


def report_of(path, known):
    kind = path.split("/reports/")[1]
    scope = {"accountIds": [known["brand"]]}
    if kind == "sync/real-time-performance":
        return {"startDate": "2026-10-30T00:00:00Z", "dimensions": ["date"], "metrics": ["spend"], **scope}
    if kind.startswith("sync/"):
        return days(accountId=known["brand"])
    if kind == "revenue":
        return days(id=known["supply"], dimensions=["date"], metrics=["revenue", "impressions"])
    if kind in ("fillrate", "unfilled-placements"):
        metrics = {"fillrate": ["pageViews"], "unfilled-placements": ["totalUnfilledPlacements"]}[kind]
        return days(supplyAccountIds=[known["supply"]], dimensions=["date", "placementId"], metrics=metrics)
    dimensions, metrics = {
        "performance": (["date", "campaignId", "keyword"], ["clicks", "spend"]),
        "missed-opportunities": (["date", "lineItemId"], ["missedSpend"]),
        "attributed-transactions": (["purchasedDate", "purchasedProductId"], ["attributedSales"]),
    }[kind]
    return days(filters=scope, dimensions=dimensions, metrics=metrics)


def argument(name, path, known):
    """A value for a required parameter of the path."""
    if name == "account_id":
        seller = "seller" in path and "search" not in path
        return known["supply" if "private-market" in path else "seller" if seller else "brand"]
    if name in ("id", "line_item_id", "external_line_item_id"):
        return known["preferred" if "/preferred-line-items" in path else "auction"]
    return known[name]


def world(box):
    """Ids of the sandbox's objects."""
    truth = {name: box.ask(f"/truth?stream=rm_{name}") for name in (
        "accounts", "auction_line_items", "preferred_line_items", "audience_segments", "balances", "campaigns", "creatives",
        "account_sellers", "retailers", "creative_templates", "categories", "contact_list_statistics")}
    accounts = {(account["attributes"]["subtype"] or "supply"): account["id"] for account in reversed(truth["accounts"])}
    of_brand = {name: next(row["id"] for row in truth[name] if row["attributes"]["accountId"] == accounts["brand"])
                for name in ("contact_list_statistics", "balances", "creatives")}
    template = truth["creative_templates"][0]
    sellers = [row["attributes"] for row in truth["account_sellers"] if row["attributes"]["accountId"] == accounts["seller"]]
    return accounts | {
        "accounts": [account["id"] for account in truth["accounts"]],
        "sellers": [{"retailerId": str(seller["retailerId"]), "sellerId": seller["sellerId"]} for seller in sellers],
        "auction": truth["auction_line_items"][0]["id"],
        "preferred": truth["preferred_line_items"][0]["id"],
        "audience_segment_id": of_brand["contact_list_statistics"],
        "balance_id": of_brand["balances"],
        "creative_id": of_brand["creatives"],
        "campaign_id": truth["campaigns"][0]["id"],
        "category_id": truth["categories"][0]["id"],
        "retailer": template["attributes"]["retailerId"],
        "retailer_id": template["attributes"]["retailerId"],
        "template_id": template["id"],
    }


class Judge:
    """Drives the operations of one version."""

    def __init__(self, package, box):
        builder = importlib.import_module(f"{package}.api_client_builder").ApiClientBuilder
        client = builder.WithClientCredentials(box.client_id, box.client_secret, host=box.url)
        self.known = world(box)
        self.operations = {}
        apis = importlib.import_module(f"{package}.apis")
        for _, api_class in inspect.getmembers(apis, inspect.isclass):
            api = api_class(client)
            for name, endpoint in inspect.getmembers(api, lambda member: hasattr(member, "settings")):
                method, path = endpoint.settings["http_method"], endpoint.settings["endpoint_path"]
                if is_read(method, path):
                    self.operations[method, path] = (getattr(api, name.removesuffix("_endpoint")), endpoint)
        self.driven = set()

    def call(self, method, path, **known):
        """The SDK's classes validate requests and responses."""
        call, endpoint = self.operations[method, path]
        arguments = {}
        for parameter, place in endpoint.location_map.items():
            if place == "body":
                attributes = attributes_of(path, self.known)
                arguments[parameter] = {"data": {"type": "Request", "attributes": attributes}}
            elif parameter in endpoint.params_map["required"]:
                value = argument(parameter, path, self.known | known)
                arguments[parameter] = int(value) if int in endpoint.openapi_types[parameter] else value
            elif parameter == "fields":
                arguments[parameter] = "status,bidOverride"
        self.driven.add((method, path))
        return call(_spec_property_naming=True, _request_timeout=60, **arguments)

    def complete(self, path):
        """Creates a job, polls it and fetches its file."""
        job = self.call("POST", path).data
        family = "/reports/{reportId}" if "/reports/" in path else "/partner-report/{requestId}" if "billing" in path else "/catalogs/{catalogId}"
        places = {place.rsplit("/", 1)[1]: place for _, place in self.operations if place.partition("/retail-media")[2].endswith(
            tuple(f"{family}/{end}" for end in ("status", "output")))}
        name = re.sub("([A-Z])", r"_\1", family.split("{")[1].rstrip("}")).lower()
        for _ in range(10):
            status = self.call("GET", places["status"], **{name: job.id}).data.attributes
            if str(status.to_dict()["status"]) != "pending":
                break
        assert str(status.to_dict()["status"]) == "success", status
        output = self.call("GET", places["output"], **{name: job.id})
        text = output.read().decode() if hasattr(output, "read") else output
        rows = status.to_dict().get("row_count")
        if "catalog" in path:
            lines = [json.loads(line) for line in text.splitlines()]
            assert len(lines) == rows and lines, (len(lines), rows)
            return len(lines)
        document = json.loads(text)
        entries = document["data"] if isinstance(document, dict) else document
        assert entries and rows in (None, len(entries)), (len(entries), rows)
        return len(entries)


def main(version):
    arguments = ("--product", "retail_media", "--today", "2026-11-01", "--with-manage")
    with sandbox(*arguments) as box:
        judge = Judge(f"criteo_api_retailmedia_{version}", box)
        objects, rows, jobs = 0, 0, 0
        for method, path in sorted(judge.operations):
            if path.endswith(("/status", "/output")):
                continue
            if method == "POST" and is_job(path):
                rows += judge.complete(path)
                jobs += 1
                continue
            answer = judge.call(method, path)
            data = getattr(answer, "data", answer)
            objects += len(data) if isinstance(data, list) else 1
        failed = [entry for entry in box.ask("/log") if entry["status"] not in (200, 201)]
        assert not failed, failed
        missing = set(judge.operations) - judge.driven
        assert not missing and len(judge.driven) >= 66, (missing, len(judge.driven))
        print(f"SDK {version}: {len(judge.driven)} read operations driven, {objects} objects parsed, {jobs} jobs with {rows} rows completed")


if __name__ == "__main__":
    main(sys.argv[1])
