"""A long life in one process: does one thing again and again, and says what memory it takes.

``python tests/run_soak.py WHAT LEAK_EVERY JOB_ID`` reads lines ``ROUNDS SAMPLES`` and answers each
with resident memory in kB, as often as wanted; after a line ``compiled`` PyPy compiles nothing
more. Each LEAK_EVERY-th round loses what it was given, by which tests show that a leak is seen; 0
loses nothing.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable

from slurmpy import Job, Jobs, JobStep, JobSubmitDescription, _request, stats
from slurmpy._ffi import ffi

#: What a leak of Python's own memory is kept in.
KEPT: list[object] = []


def resident() -> int:
    """This process's memory in kB, without what waits to be collected."""
    # PyPy calls the destructors of what it collects with the next collection.
    for _ in range(3):
        gc.collect()
    if sys.implementation.name != "cpython":
        # How many messages wait for the collector at a time is chance, and so is how much malloc()
        # keeps of their memory for the next: up to ten of them. What was not freed stays.
        ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1])


def stop_compiling() -> None:
    """PyPy runs what it has compiled, and compiles nothing more."""
    import pypyjit  # type: ignore[import-not-found]  # PyPy's own

    pypyjit.set_param("off")
    # Nor does it branch off what there is.
    pypyjit.set_param("trace_eagerness=1000000000")


def loads(number: int, leak: bool, _job_id: int) -> None:
    """Loads a thousand jobs, and frees them in the two ways that there are."""
    jobs = Jobs.load()
    assert len(jobs) >= 1000
    assert jobs._table
    assert jobs._table.snapshot
    if leak:
        ffi.gc(jobs._table.snapshot.message, None)
    job = jobs[next(iter(jobs))]
    assert job.state in {"PENDING", "RUNNING"}
    if number % 2:
        jobs.close()


def described(number: int) -> JobSubmitDescription:
    return JobSubmitDescription(
        script="#!/bin/sh\n" + "# text\n" * 10_000,
        name=f"soak-{number}",
        hold=True,
        time_limit="1:00:00",
        nodes=1,
        ntasks=2,
        memory_per_node="100M",
        required_nodes="n1",
        script_args=["y" * 1000] * 10,
        environment={"A": "x" * 10_000, "B": "2"},
        dependencies={"afterany": [1]},
        mail_types=["END", "FAIL"],
    )


def descriptions(number: int, leak: bool, _job_id: int) -> None:
    """Builds what is sent, and sends it not."""
    job = described(number)
    messages = _request.build([job._checked()], job.options)
    assert messages[0].ptr.min_nodes == 1
    if leak:
        KEPT.append(messages)


def submissions(number: int, leak: bool, _job_id: int) -> None:
    job = described(number)
    Job(job.submit()).cancel()
    if leak:
        KEPT.append(_request.build([job._checked()], job.options))


class _Forgets:
    """Stands for ``ffi``, but for this: what is given to its ``gc`` is never freed."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever ffi has
        return getattr(ffi, name)

    @staticmethod
    def gc(pointer: Any, _destructor: object) -> Any:  # noqa: ANN401 - what cffi gives has no type
        return pointer

    @staticmethod
    def release(_pointer: object) -> None:
        pass


def statistics(_number: int, leak: bool, job_id: int) -> None:
    step = JobStep(job_id, "batch")
    stats.ffi = _Forgets() if leak else ffi  # type: ignore[attr-defined]  # it is no part of it
    step.load_stats()
    assert step.pids


def main(what: str, leak_every: int, job_id: int) -> None:
    action: Callable[[int, bool, int], None] = globals()[what]
    number = 0
    for line in sys.stdin:
        if line == "compiled\n":
            stop_compiling()
            continue
        rounds, samples = map(int, line.split())
        found = []
        for sample in range(samples):
            for _ in range(rounds * sample // samples, rounds * (sample + 1) // samples):
                number += 1
                action(number, bool(leak_every and number % leak_every == 0), job_id)
            found.append(resident())
        print(json.dumps(found), flush=True)  # noqa: T201 - it is the answer


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
