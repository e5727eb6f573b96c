"""Threads and asyncio: calls side by side, none in the way of another, with the right values."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import random
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import ClosedError, Job, Jobs, JobSubmitDescription, _runtime

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from contextlib import AbstractContextManager

    from conftest import Other

#: How many threads there are, and for how many seconds.
THREADS, SECONDS = 16, 60

SCRIPT = "#!/bin/sh\ntrue\n"


@pytest.fixture(scope="module")
def cluster(other_cluster: Callable[..., AbstractContextManager[Other]]) -> Iterator[Other]:
    options = {"name": "threads", "nodes": 1, "extra_conf": "MessageTimeout=60"}
    with other_cluster(options) as cluster:
        yield cluster


@pytest.fixture
def numbers(cluster: Other) -> Iterator[list[int]]:
    """A job for each thread, which waits until the end."""
    _runtime.redirect(cluster.env["SLURM_CONF"])
    numbers = [
        JobSubmitDescription(
            name=f"job-{place}", script=SCRIPT, hold=True, time_limit=place + 1, comment="0"
        ).submit()
        for place in range(THREADS)
    ]
    yield numbers
    Jobs(numbers).cancel()


def in_time(threads: list[threading.Thread], seconds: float) -> None:
    """Waits for threads; where they do not end, all stacks are shown."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        faulthandler.dump_traceback(all_threads=True)
        pytest.fail("threads that do not end: see the stacks")


class Board:
    """What the threads have in common."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.shared = Jobs.load()
        #: A collection that whoever comes first closes.
        self.passing = Jobs.load()
        #: What each job's owner is about to write, and what is written for sure.
        self.tried = [0] * len(numbers)
        self.written = [0] * len(numbers)
        self.end = threading.Event()
        self.wrong: list[BaseException] = []


class Worker(threading.Thread):
    """Does everything by turns, and is the only one to change its job."""

    def __init__(self, board: Board, place: int) -> None:
        super().__init__(daemon=True, name=f"worker-{place}")
        self.board = board
        self.place = place
        self.choose = random.Random(place)  # noqa: S311 - no secret
        self.done: dict[str, int] = {}

    def run(self) -> None:
        actions = (self.load, self.load_one, self.reload, self.modify, self.read, self.close)
        try:
            while not self.board.end.is_set():
                action = self.choose.choice(actions)
                action()
                self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
        except BaseException as error:  # noqa: BLE001 - a test that fails included
            self.board.wrong.append(error)
            self.board.end.set()

    def look(self, job: Job, place: int, least: int) -> None:
        """Whether a job has what it was submitted with, and a comment that it can have by now."""
        assert job.name == f"job-{place}"
        assert job.time_limit == place + 1
        assert job.user_id == os.geteuid()
        assert job.state == "PENDING"
        assert least <= int(job.comment or -1) <= self.board.tried[place]

    def load(self) -> None:
        before = list(self.board.written)
        with Jobs.load() as jobs:
            for place, number in enumerate(self.board.numbers):
                self.look(jobs[number], place, before[place])

    def load_one(self) -> None:
        place = self.choose.randrange(THREADS)
        before = self.board.written[place]
        self.look(Job.load(self.board.numbers[place]), place, before)

    def reload(self) -> None:
        """Of a collection that the others read and reload at the same time."""
        before = list(self.board.written)
        shared = self.board.shared.reload()
        for place, number in enumerate(self.board.numbers):
            self.look(shared[number], place, before[place])

    def modify(self) -> None:
        board, place = self.board, self.place
        board.tried[place] += 1
        comment = str(board.tried[place])
        Job(board.numbers[place]).modify(JobSubmitDescription(comment=comment))
        board.written[place] += 1
        assert Job.load(board.numbers[place]).comment == comment

    def read(self) -> None:
        place = self.choose.randrange(THREADS)
        job = self.board.shared[self.board.numbers[place]]
        for _ in range(50):
            self.look(job, place, 0)
        values = job.to_dict()
        assert (values["id"], values["name"]) == (self.board.numbers[place], f"job-{place}")

    def close(self) -> None:
        """A collection that others read; it is closed or it is right."""
        place = self.choose.randrange(THREADS)
        jobs = self.board.passing
        with suppress(ClosedError):
            job = jobs[self.board.numbers[place]]
            self.look(job, place, 0)
            jobs.close()
            self.look(job, place, 0)
            pytest.fail("a job of a closed collection was read")
        fresh = Jobs.load()
        self.board.passing = fresh


@contextmanager
def switching(interval: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 180)
def test_threads_that_do_everything(numbers: list[int]) -> None:
    board = Board(numbers)
    workers = [Worker(board, place) for place in range(THREADS)]
    with switching(1e-4):
        for worker in workers:
            worker.start()
        board.end.wait(SECONDS)
        board.end.set()
        in_time(list(workers), 120)
    assert board.wrong == []
    for worker in workers:
        assert min(worker.done.get(name, 0) for name in ("load", "reload", "modify", "close")) > 0
    assert board.tried == board.written
    last = Jobs.load()
    assert [last[number].comment for number in numbers] == list(map(str, board.written))


def test_fini_while_others_load(numbers: list[int]) -> None:
    """It waits for the calls that are under way; those that come after make Slurm ready anew."""
    end, wrong, loaded = threading.Event(), [], [0] * 4
    kept = Jobs.load()

    def load(place: int) -> None:
        try:
            while not end.is_set():
                jobs = Jobs.load() if place % 2 else kept.reload()
                assert jobs.clusters() == ["threads"]
                assert jobs[numbers[place]].name == f"job-{place}"
                loaded[place] += 1
        except BaseException as error:  # noqa: BLE001 - a test that fails included
            wrong.append(error)

    threads = [threading.Thread(target=load, args=(place,), daemon=True) for place in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        before = min(loaded)
        deadline = time.monotonic() + 60
        while min(loaded) == before and not wrong and time.monotonic() < deadline:
            time.sleep(0.001)
        slurmpy.fini()
    end.set()
    in_time(threads, 60)
    assert wrong == []
    assert min(loaded) >= 10


# ---- asyncio ----


@contextmanager
def held_up(cluster: Other) -> Iterator[None]:
    """A controller that does not answer."""
    pid = int((cluster.folder / "slurmctld.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Ticker:
    """What else an event loop has to do."""

    def __init__(self) -> None:
        self.ticks = 0
        self.task = asyncio.get_running_loop().create_task(self.tick())

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            self.ticks += 1

    async def more(self, ticks: int) -> None:
        """Until there were so many more."""
        wanted = self.ticks + ticks
        while self.ticks < wanted:  # noqa: ASYNC110 - whether the loop goes on is the question
            await asyncio.sleep(0)


#: What an event loop waits for; the argument is a collection.
WAITS: dict[str, Callable[[Jobs], Any]] = {
    "load": lambda _jobs: Jobs.load(),
    "reload": lambda jobs: jobs.reload(),
    "load one": lambda jobs: Job.load(next(iter(jobs))),
    "modify": lambda jobs: jobs[next(iter(jobs))].modify(JobSubmitDescription(comment="0")),
    "steps": lambda jobs: jobs.load_steps(),
    "submit": lambda _jobs: JobSubmitDescription(script=SCRIPT, hold=True).submit(),
    "hold": lambda jobs: jobs[max(jobs)].hold(),
}

every_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 100))


@every_wait
def test_the_event_loop_goes_on(
    cluster: Other, numbers: list[int], wait: Callable[[Jobs], object]
) -> None:
    jobs = Jobs(numbers, frozen=True).reload()

    async def main() -> None:
        ticker = Ticker()
        with held_up(cluster):
            call = asyncio.ensure_future(asyncio.to_thread(wait, jobs))
            await ticker.more(50)
            assert not call.done()
            assert jobs[numbers[0]].name == "job-0"
        await call
        ticker.task.cancel()

    run(main())
    assert jobs.reload()[numbers[0]].name == "job-0"


@every_wait
def test_a_cancelled_await(
    cluster: Other, numbers: list[int], wait: Callable[[Jobs], object]
) -> None:
    """It ends at once; the call ends when it has its answer, which nobody takes."""
    jobs = Jobs(numbers, frozen=True).reload()

    async def main() -> None:
        ticker = Ticker()
        with held_up(cluster):
            call = asyncio.ensure_future(asyncio.to_thread(wait, jobs))
            await ticker.more(20)
            assert call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert jobs[numbers[0]].name == "job-0"
        loaded = await asyncio.to_thread(Jobs.load)
        assert loaded[numbers[1]].name == "job-1"
        assert (await asyncio.to_thread(jobs.reload)) is jobs
        assert jobs[numbers[1]].name == "job-1"
        ticker.task.cancel()

    run(main())


def test_many_awaits_side_by_side(numbers: list[int]) -> None:
    async def main() -> None:
        ticker = Ticker()
        single = asyncio.gather(*(asyncio.to_thread(Job.load, number) for number in numbers * 4))
        whole = asyncio.gather(*(asyncio.to_thread(Jobs.load) for _ in range(8)))
        names = [job.name for job in await single]
        assert names == [f"job-{place}" for place in range(THREADS)] * 4
        assert all(set(numbers) <= set(jobs) for jobs in await whole)
        ticker.task.cancel()

    run(main())


def test_nothing_is_left_of_threads(cluster: Other) -> None:
    """A thread that has called Slurm leaves no thread and no descriptor behind."""

    def left() -> tuple[int, int]:
        tasks, files = (list(Path(f"/proc/self/{name}").iterdir()) for name in ("task", "fd"))
        return len(tasks), len(files)

    def load() -> None:
        assert Jobs.load().clusters() == ["threads"]

    assert Path(cluster.env["SLURM_CONF"]).exists()
    load()
    before = left()
    for _ in range(5):
        threads = [threading.Thread(target=load, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        in_time(threads, 60)
    wait_for(lambda: all(now <= then for now, then in zip(left(), before)), otherwise=left)
