"""A process that uses Slurm for months: its memory stays what it was.

What a single call leaves behind, to the byte, is in the tests that ask malloc() for it (`used`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import JobStep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from conftest import Other

# Each takes some 20 seconds, and ten times as long where others keep the processors busy.
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).with_name("run_soak.py")

#: The whole life is looked at so often; the first tenth of it is for what comes to stay.
SAMPLES = 100
LIMIT_KB = 1024

#: The loads are done by one process, in so many tests.
LOADS, PARTS = 10_000, 20


class Cluster(NamedTuple):
    """A cluster with a thousand jobs that wait, and one that runs."""

    tools: Other
    running: int


@pytest.fixture(scope="module")
def cluster(other_cluster: Callable[..., AbstractContextManager[Any]]) -> Iterator[Cluster]:
    with other_cluster({"name": "soak", "nodes": 1, "max_job_count": 20_000}) as tools:
        array = tools.submit("--hold", "--array=0-999", "--wrap=true")
        # Tasks that were changed are records of their own.
        tools.run("scontrol", "update", f"jobid={array}_[0-998]", "admincomment=own")
        assert len(slurmpy.Jobs.load()) == 1000
        running = tools.submit("--wrap=sleep 7200")
        wait_for(lambda: has_processes(running))
        yield Cluster(tools, running)


def has_processes(job_id: int) -> bool:
    try:
        step = JobStep.load(job_id, "batch")
        step.load_stats()
    except slurmpy.InvalidJobId:
        return False
    return bool(step.pids)


class Life:
    """A process in which the same thing is done again and again.

    Attributes:
        samples: Its memory in kB, over time.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.samples: list[int] = []

    def go_on(self, rounds: int, samples: int = SAMPLES) -> None:
        assert self.process.stdin
        assert self.process.stdout
        print(rounds, samples, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, "it ended: see its traceback"
        self.samples += json.loads(answer)

    def compile(self, rounds: int) -> None:
        """PyPy compiles what it finds to be worth it in some rounds, and nothing after them.

        What it compiles takes memory too, bit by bit and for long.
        """
        if sys.implementation.name != "cpython":
            assert self.process.stdin
            self.go_on(rounds, samples=1)
            self.samples.clear()
            print("compiled", file=self.process.stdin, flush=True)

    def growth(self) -> int:
        """By how many kB memory has grown since the first tenth of the time.

        What is looked at are the peaks: PyPy gives memory back to the system later than it frees.
        """
        first = SAMPLES // 10
        assert len(self.samples) > first
        return max(self.samples[first:]) - max(self.samples[:first])


@contextmanager
def life(cluster: Cluster, what: str, leak_every: int = 0) -> Iterator[Life]:
    with subprocess.Popen(
        [sys.executable, PROGRAM, what, str(leak_every), str(cluster.running)],
        env={**cluster.tools.env, "PYTHONPATH": str(Path(slurmpy.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Life(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def loading(cluster: Cluster) -> Iterator[Life]:
    with life(cluster, "loads") as process:
        yield process


@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_loads_of_a_thousand_jobs(loading: Life, part: int) -> None:
    """One process through all parts, of which the first two are the first tenth of its time."""
    loading.go_on(LOADS // PARTS, samples=SAMPLES // PARTS)
    if part > PARTS // 10:
        # A part that is run by itself has no parts before it.
        while len(loading.samples) < SAMPLES // 10 + 1:
            loading.go_on(LOADS // PARTS, samples=SAMPLES // PARTS)
        assert loading.growth() < LIMIT_KB, loading.samples


# The loads come before jobs that others have submitted.
@pytest.mark.parametrize(
    ("what", "rounds", "leak_every"),
    [
        ("loads", 500, 100),
        ("descriptions", 2_000, 50),
        ("submissions", 500, 10),
        # What a node answers is so small that it takes more of them.
        ("statistics", 1_000, 1),
    ],
)
def test_a_leak_is_found(cluster: Cluster, what: str, rounds: int, leak_every: int) -> None:
    with life(cluster, what, leak_every) as process:
        process.compile(rounds // 5)
        process.go_on(rounds)
        assert process.growth() > LIMIT_KB, process.samples


@pytest.mark.parametrize(
    ("what", "rounds"), [("descriptions", 10_000), ("submissions", 1_000), ("statistics", 1_000)]
)
def test_memory_stays_what_it_was(cluster: Cluster, what: str, rounds: int) -> None:
    with life(cluster, what) as process:
        process.compile(rounds // 5)
        process.go_on(rounds)
        assert process.growth() < LIMIT_KB, process.samples
