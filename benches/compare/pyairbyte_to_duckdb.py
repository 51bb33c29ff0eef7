"""Syncs one stream with PyAirbyte into its DuckDB cache.

    SOURCE=target/release/source-criteo python pyairbyte_to_duckdb.py CONFIG STREAM FILE
"""

import json
import os
import sys
from pathlib import Path

import airbyte as ab
from airbyte.caches import DuckDBCache


def main(config, stream, file):
    config = json.loads(Path(config).read_text())
    source = ab.get_source("source-criteo", config=config, local_executable=Path(os.environ["SOURCE"]), install_if_missing=False)
    source.select_streams([stream])
    source.read(cache=DuckDBCache(db_path=file, schema_name="criteo"))


if __name__ == "__main__":
    main(*sys.argv[1:])
