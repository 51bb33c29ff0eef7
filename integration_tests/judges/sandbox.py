"""Starts the sandbox as a process, for judges in Python."""

import json
import os
import re
import subprocess
import urllib.request
from contextlib import contextmanager


STATISTICS = {
    "campaign_statistics_daily": ["AdvertiserId", "CampaignId", "Day"],
    "ad_set_statistics_daily": ["AdvertiserId", "CampaignId", "AdsetId", "Day"],
    "ad_statistics_daily": ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"],
}


class Sandbox:
    """A running sandbox: `url` is the API, `control` its control port."""

    client_id = "sandbox-client"
    client_secret = "sandbox+secret/with=signs"

    def __init__(self, url, control):
        self.url = url
        self.control = control

    def ask(self, path, body=None, parse_float=None):
        """Calls the control port; by POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.control + path, data=data, timeout=60) as answer:
            return json.load(answer, parse_float=parse_float)

    def statistics(self, name, first_day, last_day, currency, advertisers="1001,1002,1003"):
        """Expected rows of a statistics stream: a few metrics, with Criteo's names."""
        query = {"advertiserIds": advertisers, "startDate": first_day, "endDate": last_day,
                 "dimensions": STATISTICS[name], "metrics": ["AdvertiserCost", "Clicks", "SalesPc30d"],
                 "currency": currency, "format": "json"}
        return self.ask("/truth", {"report": "statistics", "query": query})


@contextmanager
def sandbox(*arguments):
    """Runs the program in SANDBOX with these arguments, and data made to find mistakes."""
    os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    process = subprocess.Popen(
        [os.environ["SANDBOX"], "--hostile", "--port", "0", "--control-port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        lines = process.stdout.readline() + process.stdout.readline()
        url, control = re.findall(r"http://127\.0\.0\.1:\d+", lines)
        yield Sandbox(url, control)
    finally:
        process.terminate()
        process.wait()
