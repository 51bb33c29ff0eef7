"""The report of `measure.py` with the Singer SDK: a minimal tap that reads day by day and can resume."""

from datetime import date, timedelta
from functools import cached_property

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import OAuthAuthenticator
from singer_sdk.pagination import BaseAPIPaginator

DIMENSIONS = ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"]
METRICS = ["Displays", "Clicks", "AdvertiserCost", "SalesPc30d"]
NAMES = ["Advertiser", "Campaign", "Adset", "Ad", "Currency"]


class Authenticator(OAuthAuthenticator):
    """A token for an app's key."""

    @property
    def oauth_request_body(self):
        return {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}


class Days(BaseAPIPaginator):
    """One request per day."""

    def __init__(self, first, last):
        super().__init__(first)
        self.last = last

    def get_next(self, response):
        following = self.current_value + timedelta(1)
        return following if following <= self.last else None

    def continue_if_empty(self, response):
        return True


class Statistics(RESTStream):
    """One row per ad and day."""

    name = "statistics"
    path = "/2026-07/statistics/report"
    http_method = "POST"
    payload_as_json = True
    primary_keys = DIMENSIONS
    replication_key = "Day"
    is_sorted = True
    schema = th.PropertiesList(
        *(th.Property(name, th.DateType if name == "Day" else th.StringType) for name in DIMENSIONS + METRICS + NAMES)
    ).to_dict()

    @property
    def url_base(self):
        return self.config["api_base_url"]

    @cached_property
    def authenticator(self):
        return Authenticator(client_id=self.config["client_id"], client_secret=self.config["client_secret"],
                             auth_endpoint=f"{self.url_base}/oauth2/token")

    def get_new_paginator(self):
        return Days(date.fromisoformat(self.get_starting_replication_key_value(None)[:10]),
                    date.fromisoformat(self.config["end_date"]))

    def prepare_request_payload(self, context, next_page_token):
        return {"advertiserIds": self.config["advertiser_ids"], "startDate": str(next_page_token),
                "endDate": str(next_page_token), "dimensions": DIMENSIONS, "metrics": METRICS,
                "currency": self.config["currency"], "timezone": "UTC", "format": "json"}

    def parse_response(self, response):
        return response.json()["Rows"]


class TapStatistics(Tap):
    """Only the report."""

    name = "tap-statistics"
    config_jsonschema = th.PropertiesList(
        *(th.Property(name, th.StringType, required=True)
          for name in ["client_id", "client_secret", "api_base_url", "advertiser_ids", "currency", "start_date", "end_date"])
    ).to_dict()

    def discover_streams(self):
        return [Statistics(self)]


if __name__ == "__main__":
    TapStatistics.cli()
