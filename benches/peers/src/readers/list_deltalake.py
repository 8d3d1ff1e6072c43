"""Lists a table with the Python package deltalake, and prints what it took.

    list_deltalake.py TABLE REPEATS [LISTING]

LISTING is a file: the values go there as an Arrow stream, and nothing is timed.
What is printed has the names of `Measured` in child.rs.
"""

import json
import os
import resource
import statistics
import sys
import time

import pyarrow
import pyarrow.compute
from deltalake import DeltaTable


def memory_bytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


root, repeats, listing = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or [None])[0]
base_bytes, cpu_before_s = memory_bytes("VmRSS:"), cpu_s()
walls, firsts, threads_max = [], [], 0
for _ in range(repeats):
    started = time.perf_counter()
    table = DeltaTable(root)
    # All files at once: the first batch is the last.
    files = pyarrow.table(table.get_add_actions(flatten=False))
    firsts.append(time.perf_counter() - started)
    count = files.num_rows
    size = pyarrow.compute.sum(files["size_bytes"]).as_py()
    if listing:
        threads_max = max(threads_max, len(os.listdir("/proc/self/task")))
        names = ["path", "size_bytes", "modification_time", "partition"]
        with pyarrow.ipc.new_stream(listing, files.select(names).schema) as stream:
            stream.write_table(files.select(names))
    del table, files
    walls.append(time.perf_counter() - started)

print(
    json.dumps(
        {
            "wall_s": statistics.median(walls),
            "cpu_s": (cpu_s() - cpu_before_s) / repeats,
            "first_s": statistics.median(firsts),
            "base_bytes": base_bytes,
            "peak_bytes": memory_bytes("VmHWM:"),
            "threads_max": threads_max,
            "tally": {"files": count, "bytes": size},
        }
    )
)
