"""Records of jobs with all that can be in their members, in the memory that a message has."""

from __future__ import annotations

import functools
import random
import time
from typing import Any

from slurmpy import Job, Jobs
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy._records import Snapshot
from slurmpy.jobs import _Table

__all__ = ["FIELDS", "several"]

#: The attributes that this Slurm has.
FIELDS = {name: field for name, field in Job.fields.items() if field.since <= MAJOR}
MEMBERS = dict(ffi.typeof("slurm_job_info_t").fields)

#: What members of one kind may have; each has a part of it, so that records meet in most.
NUMBERS = (0, 1, 2, 7, 60, 0x8003, 0x40000, lib.NO_VAL8, lib.NO_VAL16, lib.NO_VAL, lib.INFINITE)
WIDE = (*NUMBERS, lib.NO_VAL64, lib.INFINITE64, 1 << 63, (1 << 63) + 100, 0x0100_0000_0000)
TEXTS = (
    None,
    b"",
    b"a",
    b"b,a",
    b"afterok:7(unfulfilled),singleton",
    b"cpu=2,mem=10M,node=1,gres/gpu=1",
    b"gres:gpu:tesla:2,gres/shard",
    b"gpu:2",
    b"out-%j-%A_%a-%u-%x",
    b"/absolute/\xff\xfe",
    "größer".encode(),
)


def several() -> tuple[Jobs, list[object]]:
    """Records of all kinds, in the memory that a message has, and what has to be kept.

    They are the same ones each time, in a collection of their own.
    """
    message, kept, now = _message()
    jobs = Jobs()
    jobs._table = _Table(Snapshot(message, "here", now))
    return jobs, kept


@functools.cache
def _message() -> tuple[Any, list[object], int]:
    """What `several` gives, and the moment that it speaks of."""
    chance = random.Random(7)  # noqa: S311 - the same each time
    count = 400
    array = ffi.new("slurm_job_info_t[]", count)
    kept: list[object] = [array]
    texts = [ffi.NULL if text is None else ffi.new("char[]", text) for text in TEXTS]
    kept += texts
    now = int(time.time())
    for member, found in MEMBERS.items():
        kind = found.type
        for number in range(count):
            record = array[number]
            if member == "job_id":
                record.job_id = number + 1
            elif kind.cname == "char *":
                setattr(record, member, chance.choice(texts))
            elif kind.kind != "primitive":
                continue
            elif kind.cname == "double":
                setattr(record, member, chance.choice((0, 1.5, float(lib.NO_VAL), 1e6)))
            elif int(ffi.cast(kind, -1)) < 0:
                # A moment, or a mark as a signed number has it.
                choices = (0, -1, -2, lib.NO_VAL, lib.INFINITE, now - 100, now + 1000)
                setattr(record, member, chance.choice(choices))
            else:
                limit = 1 << 8 * ffi.sizeof(kind)
                fitting = [value for value in WIDE if value < limit]
                setattr(record, member, chance.choice(fitting))
    message = ffi.new("job_info_msg_t *")
    message.job_array, message.record_count = array, count
    return message, kept, now
