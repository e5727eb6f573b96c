"""Faults that are planted on purpose: whoever looks for them has to find them here.

``python planted.py leak`` loses a message; ``use-after-free`` reads jobs whose message is freed.
"""

from __future__ import annotations

import sys

from slurmpy import Jobs
from slurmpy._ffi import ffi

jobs = Jobs.load()
assert jobs._table
assert jobs._table.snapshot
if "leak" in sys.argv:
    lost = Jobs.load()
    assert lost._table
    assert lost._table.snapshot
    ffi.gc(lost._table.snapshot.message, None)
    del lost
if "use-after-free" in sys.argv:
    job = next(iter(jobs.values()))
    pointer = job._record[0]
    # As if closing let go of the memory, and of nothing else.
    ffi.release(jobs._table.snapshot.message)
    print(pointer.job_id)
