"""Criteo's own SDK sends every read operation to the sandbox and parses every response.

    SANDBOX=target/debug/criteo-sandbox python integration_tests/judges/criteo_sdk.py v2026_07
"""

import importlib
import inspect
import sys
from datetime import datetime

from sandbox import sandbox

READS = ("/search", "/report", "/compute-sizes", "/estimate-size")


def days(**attributes):
    return {"startDate": "2026-10-20T00:00:00Z", "endDate": "2026-10-25T00:00:00Z", **attributes}


def body_of(path):
    if path.endswith("/statistics/report"):
        return days(advertiserIds="1001,1002", dimensions=["Day"], metrics=["Clicks"], currency="EUR", format="json")
    if path.endswith("/placements/report"):
        report = days(advertiserIds="1001", currency="EUR", dimensions=["AdsetId"], metrics=["Clicks"])
        return {"data": [{"type": "Report", "attributes": report}]}
    if path.endswith("/transactions/report"):
        return {"data": [{"type": "Report", "attributes": days(advertiserIds="1001", currency="EUR")}]}
    if path.endswith("/statistics-adlevel/report"):
        report = days(advertiserIds=["1001"], dimensions=["AdvertiserId"], metrics=["Spend"])
        return {"data": {"type": "AdLevelReportQuery", "attributes": report}}
    if "/log-level/" in path:
        return days()
    if path.endswith("/compute-sizes"):
        return {"data": [{"type": "Size", "id": "700001", "attributes": {}}]}
    if path.endswith("/audiences/estimate-size"):
        return {"data": {"type": "Size", "attributes": {"advertiserId": "1001", "algebra": {"audienceSegmentId": "700001"}}}}
    if path.endswith("/estimate-size"):
        return {"data": {"type": "Size", "attributes": {"advertiserId": "1001", "inMarket": {"country": "FR"}}}}
    if path.endswith(("/campaigns/search", "/ad-sets/search")):
        return {"filters": {"advertiserIds": ["1001", "1002", "1003"]}}
    return {"data": {"type": "Search", "attributes": {"advertiserIds": ["1001", "1002", "1003"]}}}


def argument(name, path, known):
    """A value for a required parameter."""
    if name == "id":
        return known["coupons" if "coupons" in path else "creatives" if "creatives" in path else "ads"]
    return {
        "ad_set_id": known["ad_sets"],
        "ad_id": known["ads"],
        "advertiser_id": known["advertisers"],
        "audience_segment_id": known["contact_list"],
        "budget_id": known["budget"],
        "campaign_id": known["campaigns"],
        "country": "FR",
        "dataset_id": "005001",
        "product_set_id": known["product_sets"],
        "seller_id": "50001",
        "seller_campaign_id": "50001.200001",
    }[name]


def endpoints(api):
    """The read-only operations of an API class."""
    for name, endpoint in inspect.getmembers(api, lambda member: hasattr(member, "settings")):
        path, method = endpoint.settings["endpoint_path"], endpoint.settings["http_method"]
        if method == "GET" or (method == "POST" and path.endswith(READS)):
            yield name, path, endpoint


def main(version):
    package = importlib.import_module(f"criteo_api_marketingsolutions_{version}")
    builder = importlib.import_module(f"{package.__name__}.api_client_builder").ApiClientBuilder
    with sandbox("--today", "2026-11-01") as box:
        known = {name: box.ask(f"/truth?stream={name}")[0]["id"]
                 for name in ("ads", "advertisers", "ad_sets", "campaigns", "coupons", "creatives", "product_sets")}
        segments = box.ask("/truth?stream=audience_segments")
        known["contact_list"] = next(s["id"] for s in segments if s["attributes"]["type"] == "ContactList")
        known["budget"] = "60002"
        client = builder.WithClientCredentials(box.client_id, box.client_secret, host=box.url)
        driven, objects = [], 0
        apis = importlib.import_module(f"{package.__name__}.apis")
        for class_name, api_class in inspect.getmembers(apis, inspect.isclass):
            api = api_class(client)
            for name, path, endpoint in endpoints(api):
                arguments = {}
                for parameter, place in endpoint.location_map.items():
                    if place == "body":
                        arguments[parameter] = body_of(path)
                    elif parameter in endpoint.params_map["required"]:
                        value = argument(parameter, path, known)
                        arguments[parameter] = int(value) if int in endpoint.openapi_types[parameter] else value
                    elif parameter == "end_after_date":
                        arguments[parameter] = datetime(2000, 1, 1)
                # The SDK's classes validate requests and responses.
                call = getattr(api, name.removesuffix("_endpoint"))
                answer = call(_spec_property_naming=True, _request_timeout=60, **arguments)
                data = getattr(answer, "data", answer)
                objects += len(data) if isinstance(data, list) else 1
                driven.append(f"{class_name}.{name}")
        log = box.ask("/log")
        failed = [entry for entry in log if entry["status"] != 200]
        assert not failed, failed
        assert len(driven) >= 50, driven
        print(f"SDK {version}: {len(driven)} read operations driven, {objects} objects parsed")


if __name__ == "__main__":
    main(sys.argv[1])
