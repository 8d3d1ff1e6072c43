"""Prints what a client reads of a table, a line of JSON a row.

    read_rows.py LIBRARY TABLE CLIENT [COLUMN...]

Each client makes values of Python in its own way; they are written as the rows of
the acceptance tables are. A field that is a map has to be told by its name, `map`,
because a client may have no maps.
"""

import datetime
import decimal
import json
import math
import sys

from delta_engine import Library

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def pyarrow_rows(stream):
    import pyarrow

    with pyarrow.RecordBatchReader.from_stream(stream) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table.to_pylist()


def nanoarrow_rows(stream):
    """It cannot iterate over maps."""
    import nanoarrow

    stream = nanoarrow.ArrayStream(stream)
    names = [field.name for field in stream.schema.fields]
    return [dict(zip(names, row)) for row in stream.iter_tuples()]


def duckdb_rows(stream):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    relation = connection.from_arrow(stream)
    # Times with a zone come out of DuckDB by way of a package that it does not need.
    times = [
        f'epoch_us("{name}") AS "{name}"'
        for name, kind in zip(relation.columns, relation.types)
        if str(kind) == "TIMESTAMP WITH TIME ZONE"
    ]
    replaced = f" REPLACE ({', '.join(times)})" if times else ""
    relation = relation.query("rows", f"SELECT *{replaced} FROM rows")
    return [dict(zip(relation.columns, row)) for row in relation.fetchall()]


def polars_rows(stream):
    import polars

    return polars.DataFrame(stream).to_dicts()


CLIENTS = {
    "pyarrow": pyarrow_rows,
    "nanoarrow": nanoarrow_rows,
    "duckdb": duckdb_rows,
    "polars": polars_rows,
}


def plain(value, name=None):
    """The value as JSON has it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return (value - EPOCH) // MICROSECOND
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if name == "map":
        return [[plain(key), plain(item)] for key, item in pairs(value)]
    if isinstance(value, dict):
        return {name: plain(item, name) for name, item in value.items()}
    return [plain(item) for item in value]


def pairs(entries):
    if isinstance(entries, dict):
        return entries.items()
    return [tuple(entry.values()) if isinstance(entry, dict) else entry for entry in entries]


def main():
    library, table, client, *columns = sys.argv[1:]
    for row in CLIENTS[client](Library(library).rows(table, columns)):
        print(json.dumps(plain(row), ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
