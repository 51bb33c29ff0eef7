"""Measures syncs of a retailer's key: 417 accounts that advertise with it, and 5,004 line items.

    cargo build --release --workspace
    python3 benches/retail_media.py [--runs 3] [--accounts 417] [--check]

The sandbox has no rate limit, so seconds are those of the connector and the sandbox together. The least number of calls is one per
list, or per page of 500 objects. `SANDBOX` and `SOURCE` override the programs. `--check` fails above the bounds.
"""

import argparse
import json
import tempfile

import measure
from measure import SOURCE, TODAY, median, run, write
from sandbox import sandbox

LINE_ITEMS = 3
# What is synced, and the lists that it takes: of the key, per account, per campaign, per line item.
CASES = {
    "accounts, campaigns, line items": (["rm_accounts", "rm_campaigns", "rm_line_items"], (1, 2, 0, 0)),
    "line items of both kinds": (["rm_auction_line_items", "rm_preferred_line_items"], (1, 1, 2, 0)),
    "promoted products": (["rm_promoted_products"], (1, 1, 0, 1)),
}
# Calls above the least number, and memory, with --check.
MOST_CALLS, MOST_MIB = 1.05, 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--accounts", type=int, default=417, help="accounts that advertise")
    parser.add_argument("--check", action="store_true", help="fail above the bounds")
    options = parser.parse_args()
    print(json.dumps(measure.machine()))
    arguments = ["--product", "retail_media", "--today", TODAY, "--accounts", options.accounts, "--line-items", LINE_ITEMS]
    rows = []
    with sandbox(*map(str, arguments)) as box, tempfile.TemporaryDirectory() as folder:
        count = {name: len(box.ask(f"/truth?stream={name}")) for name in ("rm_accounts", "rm_campaigns", "rm_line_items")}
        config = {"product": "retail_media", "client_id": box.client_id, "client_secret": box.client_secret,
                  "api_base_url": box.url, "now": f"{TODAY}T12:00:00Z"}
        path = write(folder, "config.json", config)
        for title, (streams, lists) in CASES.items():
            expected = sum(len(box.ask(f"/truth?stream={name}")) for name in streams)
            command = [SOURCE, "read", "--config", path, "--streams", ",".join(streams)]
            measure.verify(command, expected)
            before = len(box.ask("/log"))
            usage = median([run(command) for _ in range(options.runs)])
            calls = (len(box.ask("/log")) - before) / options.runs
            # A token, the accounts with consent, and the lists.
            least = 2 + sum(number * of for number, of in zip(lists, (1, *count.values())))
            rows.append([title, expected, round(calls), least, usage.wall, usage.cpu, usage.peak_kib / 1024])
            if options.check:
                assert calls <= least * MOST_CALLS + 30, f"{title}: {calls} calls, at least {least}"
                assert usage.peak_kib <= MOST_MIB * 1024, f"{title}: {usage.peak_kib} KiB"
    heads = ["sync of", "rows", "calls", "at least", "wall s", "CPU s", "peak MiB"]
    measure.table(f"{count['rm_accounts']} accounts, {count['rm_line_items']:,} line items", heads, rows)


if __name__ == "__main__":
    main()
