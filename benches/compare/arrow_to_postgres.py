"""A Singer target for Arrow batches: ADBC copies each file into PostgreSQL, and rows with a known key are updated.

    source-criteo --config config.json --catalog catalog.json | python arrow_to_postgres.py postgresql://… SCHEMA [append]

With `append`, it copies files directly into the table, which has no key.
"""

import json
import sys
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa


def merge(cursor, target, keys, columns):
    """Moves staged rows into the table, which is created with the first ones."""
    cursor.execute(f"create table if not exists {target} (like staged, primary key ({names(keys)}))")
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in keys)
    cursor.execute(f"insert into {target} ({names(columns)}) select {names(columns)} from staged "
                   f"on conflict ({names(keys)}) do update set {updates}")


def names(columns):
    return ", ".join(f'"{column}"' for column in columns)


def main(address, schema, how="merge"):
    keys = {}
    with postgresql.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f'create schema if not exists "{schema}"')
        for message in map(json.loads, sys.stdin):
            if message["type"] == "SCHEMA":
                keys[message["stream"]] = message["key_properties"]
            elif message["type"] == "BATCH":
                stream, paths = message["stream"], [url.removeprefix("file://") for url in message["manifest"]]
                for path in paths:
                    rows = pa.ipc.open_file(pa.memory_map(path)).read_all()
                    if how == "append":
                        cursor.adbc_ingest(stream, rows, mode="create_append", db_schema_name=schema)
                    else:
                        cursor.adbc_ingest("staged", rows, mode="replace", temporary=True)
                        merge(cursor, f'"{schema}"."{stream}"', keys[stream], rows.column_names)
                connection.commit()
                for path in paths:
                    Path(path).unlink()
            elif message["type"] == "STATE":
                connection.commit()
                print(json.dumps(message["value"]), flush=True)
            else:
                raise SystemExit(f"unexpected message: {message['type']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
