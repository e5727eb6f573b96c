"""Who owns the memory of jobs, how long it lives, and that it goes."""

from __future__ import annotations

import collections
import contextlib
import copy
import ctypes
import gc
import json
import os
import pickle
import platform
import random
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import Job, Jobs, JobStep, JobSteps, JobSubmitDescription, _request, _runtime
from slurmpy._ffi import ffi
from slurmpy.job import close as close_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from conftest import Other

    from slurmpy._options import Message

pytestmark = pytest.mark.slow

HOME = Path(slurmpy.__file__).parents[1]
PYTHON = {**os.environ, "PYTHONPATH": str(HOME)}

# The cluster of the other tests has few jobs, and shall keep few. A process can have one cluster
# only: this one runs in a process of its own, until its standard input closes.
CROWD = """
import json, sys
from slurmpy.testing import LocalCluster
with LocalCluster(name="crowd", nodes=1) as cluster:
    options = ["--parsable", "--hold", "--array=0-999", "--comment=" + "c" * 1000, "--wrap=true"]
    array = cluster.run("sbatch", *options).strip()
    # Tasks that were changed are records of their own.
    cluster.run("scontrol", "update", f"jobid={array}_[0-998]", "admincomment=own")
    names = {}
    for task in range(60):
        names[task] = f"{task}-" + chr(ord("a") + task % 26) * (10 + 7 * task)
        cluster.run("scontrol", "update", f"jobid={array}_{task}", f"jobname={names[task]}")
    print(json.dumps([dict(cluster.env), int(array), names]), flush=True)
    sys.stdin.read()
"""


class Crowd:
    """A thousand jobs, of which sixty have names that are known."""

    def __init__(self, env: dict[str, str], array: int, names: dict[str, str]) -> None:
        self.env = env
        self.conf = env["SLURM_CONF"]
        self.array = array
        jobs = Jobs.load()
        tasks = {str(job.array_task_id): job.id for job in jobs.values()}
        self.names = {tasks[task]: name for task, name in names.items()}
        self.ids = list(jobs)


@pytest.fixture(scope="module", autouse=True)
def crowd() -> Iterator[Crowd]:
    with subprocess.Popen(
        [sys.executable, "-c", CROWD], env=PYTHON, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        ready = process.stdout.readline()
        assert ready, "the cluster did not start: see its traceback"
        env, array, names = json.loads(ready)
        before = _runtime.redirect(env["SLURM_CONF"])
        try:
            crowd = Crowd(env, array, names)
            assert len(crowd.ids) == 1000
            assert len(crowd.names) == 60
            yield crowd
        finally:
            _runtime.put_back(before)


def message_of(jobs: Jobs) -> weakref.ref[Any]:
    """Dead as soon as the memory that Slurm's library filled is freed."""
    assert jobs._table is not None
    assert jobs._table.snapshot is not None
    return weakref.ref(jobs._table.snapshot.message)


def collect() -> None:
    for _ in range(3):
        gc.collect()


def freed(message: weakref.ref[Any]) -> bool:
    collect()
    return message() is None


def can_be_read(job: Job, name: str) -> bool | None:
    """Whether an attribute can be read; None where this Slurm lacks it."""
    try:
        getattr(job, name)
    except slurmpy.ClosedError:
        return False
    except slurmpy.UnsupportedField:
        return None
    return True


def is_closed(job: Job) -> bool:
    """Whether no attribute of the job can be read; either all can or none."""
    answers = {can_be_read(job, name) for name in Job.fields} - {None}
    assert len(answers) == 1
    return answers == {False}


# ---- close() ----


def test_close(crowd: Crowd) -> None:
    jobs = Jobs.load()
    some = [jobs[i] for i in crowd.names]
    message = message_of(jobs)
    assert [job.name for job in some] == list(crowd.names.values())
    jobs.close()
    assert all(map(is_closed, some))
    # What closes the collection frees its memory, though it and its jobs are still at hand.
    assert freed(message)
    job = some[0]
    for use in (
        lambda: job.requires_node_reboot,
        job.to_dict,
        job.reload,
        lambda: copy.copy(job),
        lambda: copy.deepcopy(job),
        lambda: pickle.dumps(job),
    ):
        with pytest.raises(slurmpy.ClosedError):
            use()
    # It is still known which job it was.
    number = next(iter(crowd.names))
    assert repr(job) == f"slurmpy.Job({number})"
    assert job == Job(number)
    assert hash(job) == hash(Job(number))
    assert isinstance(slurmpy.ClosedError(), slurmpy.SlurmError)


def test_job_that_is_added_again(crowd: Crowd) -> None:
    jobs = Jobs.load()
    some = [jobs[i] for i in crowd.names]
    message = message_of(jobs)
    jobs.update(jobs.values())
    jobs.add(some[0])
    jobs[some[1].id] = some[1]
    jobs.close()
    assert all(map(is_closed, some))
    assert freed(message)


def test_close_twice(crowd: Crowd) -> None:
    jobs = Jobs.load()
    job = jobs[crowd.ids[0]]
    for _ in range(3):
        jobs.close()
        assert is_closed(job)
    by_hand = Jobs([1, 2])
    by_hand.close()
    by_hand.close()


@pytest.mark.usefixtures("switch_often")
def test_close_while_another_thread_closes(crowd: Crowd) -> None:
    """Whoever comes back from close() finds it closed, also where another thread had begun."""
    for _ in range(100):
        jobs = Jobs.load()
        some = [jobs[i] for i in crowd.ids]
        other = threading.Thread(target=jobs.close)
        other.start()
        with contextlib.suppress(slurmpy.ClosedError):
            while True:
                len(jobs)
        jobs.close()
        open_ones = [job for job in reversed(some) if can_be_read(job, "name")]
        other.join()
        assert open_ones == []


class Interruption(Exception):
    """Stands for what a signal handler raises."""


def test_close_that_is_interrupted(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing it again goes on where Ctrl-C has ended the first time."""
    jobs = Jobs.load()
    some = [jobs[i] for i in crowd.ids]
    closing = close_job

    def close(job: Job) -> None:
        if job is some[3]:
            raise Interruption
        closing(job)

    monkeypatch.setattr("slurmpy.jobs.close", close)
    with pytest.raises(Interruption):
        jobs.close()
    with pytest.raises(slurmpy.ClosedError):
        len(jobs)
    monkeypatch.undo()
    jobs.close()
    assert not any(can_be_read(job, "name") for job in some)


def test_closed_while_a_job_is_made(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal handler of the host may do it."""
    jobs = Jobs.load()
    message = message_of(jobs)
    made, make = [], Job._at

    def closing(*args: Any) -> Job:  # noqa: ANN401 - whatever it takes
        jobs.close()
        made.append(make(*args))
        return made[0]

    monkeypatch.setattr(Job, "_at", closing)
    with pytest.raises(slurmpy.ClosedError):
        jobs[crowd.ids[0]]
    monkeypatch.undo()
    assert is_closed(made.pop())
    assert freed(message)


def test_another_thread_reloads_while_a_job_is_made(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that comes in between may wait for that thread."""
    jobs = Jobs.load()
    make = Job._at

    def reloading(*args: Any) -> Job:  # noqa: ANN401 - whatever it takes
        monkeypatch.undo()
        thread = threading.Thread(target=jobs.reload, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        return make(*args)

    jobs.clear()
    monkeypatch.setattr(Job, "_at", reloading)
    jobs.reload()
    assert jobs[crowd.ids[0]].id == crowd.ids[0]


def test_a_job_that_was_lost_on_its_way_out_comes_again(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ctrl-C has interrupted is not taken for the controller's answer."""

    def interrupted(*_: object) -> Job:
        raise Interruption

    jobs = Jobs.load()
    for take in (jobs.pop, jobs.remove):
        monkeypatch.setattr(Job, "_at", interrupted)
        with pytest.raises(Interruption):
            take(crowd.ids[0])
        monkeypatch.undo()
        assert crowd.ids[0] in jobs.reload()


def test_a_closed_collection_lends_nothing(crowd: Crowd) -> None:
    """Where another thread closes it meanwhile."""
    jobs = Jobs.load()
    kept = jobs[crowd.ids[0]]
    table = jobs._table
    assert table
    jobs.close()
    with pytest.raises(slurmpy.ClosedError):
        table.copy(table.groups())
    with pytest.raises(slurmpy.ClosedError):
        table.lend("", kept, Jobs()._open())


@pytest.mark.usefixtures("switch_often")
def test_looking_while_others_add_and_take(crowd: Crowd) -> None:
    """Clusters that come, and jobs that go, do not end an iteration."""
    jobs = Jobs.load()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            assert jobs.clusters()
            assert "nowhere" not in jobs
            assert all(job.id for job in jobs.values())

    with ThreadPoolExecutor() as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        for number in range(300):
            job = Job(number + 1)
            job._cluster = f"cluster{number}"
            jobs.add(job)
            jobs.add(jobs.pop(crowd.ids[number % len(crowd.ids)]))
        ended.set()
    for looker in lookers:
        looker.result()
    assert {*crowd.ids} <= {*jobs}


TAKES: dict[str, Callable[[Jobs, int], Job]] = {
    "get": lambda jobs, number: jobs[number],
    "pop": lambda jobs, number: jobs.pop(number),
    "popitem": lambda jobs, _: jobs.popitem()[1],
}


@pytest.mark.parametrize("take", TAKES)
def test_a_job_is_taken_while_it_is_reloaded(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, take: str
) -> None:
    """By one answer of Slurm's: in the next, its place may be another job's."""
    number = crowd.ids[-1]
    jobs, other = Jobs.load(), Jobs.load()
    table, opened = other._table, Jobs._open
    assert table
    for records in table.clusters.values():
        records.update(zip(list(records), range(len(records) - 1, -1, -1)))

    def reloaded(self: Jobs) -> Any:  # noqa: ANN401 - it is internal
        before = opened(self)
        self._table = table
        return before

    monkeypatch.setattr(Jobs, "_open", reloaded)
    job = TAKES[take](jobs, number)
    assert job.id == number


FORKED = """
import os, signal, threading, warnings
# Which it is about.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import slurmpy
jobs = slurmpy.Jobs.load()
inside, end = threading.Event(), threading.Event()
asked = slurmpy.Jobs._ask

def ask(self, before=None):
    inside.set()
    end.wait()
    return asked(self, before)

slurmpy.Jobs._ask = ask
thread = threading.Thread(target=jobs.reload)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    slurmpy.Jobs._ask = asked
    job = jobs[next(iter(jobs))]
    assert jobs.reload() is jobs
    jobs.close()
    os._exit(0)
end.set()
thread.join()
print(os.waitpid(child, 0)[1])
"""


def test_fork_while_another_thread_is_inside(crowd: Crowd) -> None:
    """The child does not wait for a thread that it does not have."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        env={**PYTHON, "SLURM_CONF": crowd.conf},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_with(crowd: Crowd) -> None:
    with Jobs.load() as jobs:
        job = jobs[crowd.ids[0]]
        message = message_of(jobs)
        assert not is_closed(job)
    assert is_closed(job)
    assert freed(message)
    with contextlib.suppress(ZeroDivisionError), Jobs.load() as jobs:
        job = jobs[crowd.ids[0]]
        _ = 1 / 0
    assert is_closed(job)
    with pytest.raises(slurmpy.ClosedError), jobs:
        pass
    with Jobs.load() as jobs:
        jobs.close()


USES: dict[str, Callable[[Jobs], object]] = {
    "len": len,
    "bool": bool,
    "iter": list,
    "id": lambda jobs: jobs[1],
    "cluster and id": lambda jobs: jobs[("crowd", 1)],
    "cluster": lambda jobs: jobs["crowd"],
    "contains id": lambda jobs: 1 in jobs,
    "contains job": lambda jobs: Job(1) in jobs,
    "get": lambda jobs: jobs.get(1),
    "keys": lambda jobs: list(jobs.keys()),
    "keys with cluster": lambda jobs: list(jobs.keys().with_cluster()),
    "values": lambda jobs: list(jobs.values()),
    "items": lambda jobs: list(jobs.items()),
    "items with cluster": lambda jobs: list(jobs.items().with_cluster()),
    "clusters": Jobs.clusters,
    "add": lambda jobs: jobs.add(Job(1)),
    "set": lambda jobs: jobs.__setitem__(1, Job(1)),
    "setdefault": lambda jobs: jobs.setdefault(1, Job(1)),
    "del": lambda jobs: jobs.__delitem__(1),
    "remove": lambda jobs: jobs.remove(1),
    "pop": lambda jobs: jobs.pop(1),
    "pop with default": lambda jobs: jobs.pop(1, None),
    "popitem": Jobs.popitem,
    "clear": Jobs.clear,
    "update": lambda jobs: jobs.update([]),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "or": lambda jobs: jobs | Jobs(),
    "or of another": lambda jobs: Jobs() | jobs,
    "ior": lambda jobs: jobs.__ior__(Jobs()),
    "reload": Jobs.reload,
    "memory": lambda jobs: jobs.memory,
    "cpus": lambda jobs: jobs.cpus,
    "ntasks": lambda jobs: jobs.ntasks,
    "elapsed_cpu_time": lambda jobs: jobs.elapsed_cpu_time,
    "to_dict": Jobs.to_dict,
    "to_json": Jobs.to_json,
    "to_dicts": Jobs.to_dicts,
    "to_lists": lambda jobs: jobs.to_lists(["id"]),
    "filter": lambda jobs: jobs.filter(state="RUNNING"),
    "load_steps": Jobs.load_steps,
    "load_stats": Jobs.load_stats,
    "cancel": Jobs.cancel,
    "modify": lambda jobs: jobs.modify(slurmpy.JobSubmitDescription(comment="x")),
    "with": Jobs.__enter__,
}


@pytest.mark.parametrize("name", USES)
def test_use_of_a_closed_collection(name: str) -> None:
    for jobs in (Jobs.load(), Jobs([1, 2]), Jobs()):
        jobs.close()
        with pytest.raises(slurmpy.ClosedError, match="closed"):
            USES[name](jobs)
        assert "closed" in repr(jobs)
        assert jobs.frozen is False


def jobs_of(items: Iterator[Any]) -> Iterator[Job]:
    return (item[1] if isinstance(item, tuple) else item for item in items)


def test_views_and_iterators_of_a_closed_collection() -> None:
    for begin in (Jobs.values, Jobs.items):
        jobs = Jobs.load()
        view, of_cluster = begin(jobs), jobs["crowd"]
        rest: Iterator[Any] = iter(view)
        next(rest)
        jobs.close()
        # Those too that were not made when the collection was closed.
        with pytest.raises(slurmpy.ClosedError):
            collections.deque((item.name for item in jobs_of(rest)), maxlen=0)
        for use in (len, list):
            with pytest.raises(slurmpy.ClosedError):
                use(view)
            with pytest.raises(slurmpy.ClosedError):
                use(of_cluster)


# ---- who keeps the memory ----


def take_pop(jobs: Jobs, number: int) -> Job:
    job: Job = jobs.pop(number)
    return job


def take_remove(jobs: Jobs, number: int) -> Job:
    job = jobs[number]
    jobs.remove(job)
    return job


def take_delete(jobs: Jobs, number: int) -> Job:
    job = jobs[number]
    del jobs[number]
    return job


def take_clear(jobs: Jobs, number: int) -> Job:
    job = jobs[number]
    jobs.clear()
    return job


@pytest.mark.parametrize("take", [take_pop, take_remove, take_delete, take_clear])
def test_job_that_was_taken_out(crowd: Crowd, take: Callable[[Jobs, int], Job]) -> None:
    number, name = next(iter(crowd.names.items()))
    jobs = Jobs.load()
    message = message_of(jobs)
    job = take(jobs, number)
    jobs.close()
    assert not freed(message)
    assert job.name == name
    assert not is_closed(job)
    del job
    assert freed(message)


def test_popitem_lives(crowd: Crowd) -> None:
    jobs = Jobs.load()
    number, job = jobs.popitem()
    jobs.close()
    assert job.id == number
    assert job.array_id == crowd.array


@pytest.mark.parametrize("detach", [copy.copy, copy.deepcopy])
def test_copied_job_does_not_keep_the_memory(crowd: Crowd, detach: Callable[[Job], Job]) -> None:
    number, name = next(iter(crowd.names.items()))
    jobs = Jobs.load()
    message = message_of(jobs)
    job = detach(jobs[number])
    jobs.close()
    assert freed(message)
    assert job.name == name
    assert not is_closed(job)


def test_job_outlives_its_collection(crowd: Crowd) -> None:
    number, name = next(iter(crowd.names.items()))
    jobs = Jobs.load()
    message, job = message_of(jobs), jobs[number]
    del jobs
    assert not freed(message)
    assert job.name == name
    del job
    assert freed(message)


COPIES: dict[str, Callable[[Jobs], Jobs]] = {
    "copy": Jobs.copy,
    "copy.copy": copy.copy,
    "Jobs": Jobs,
    "or": lambda jobs: jobs | Jobs(),
    "or of another": lambda jobs: Jobs() | jobs,
    "ior": lambda jobs: Jobs().__ior__(jobs),
}


@pytest.mark.parametrize("way", COPIES)
def test_collections_on_the_same_memory(crowd: Crowd, way: str) -> None:
    for close_first in (0, 1):
        pair = [Jobs.load()]
        made_before = [pair[0][i] for i in list(crowd.names)[:30]]
        pair.append(COPIES[way](pair[0]))
        message = message_of(pair[0])
        jobs = pair[close_first]
        closed = [jobs[i] for i in crowd.names]
        left = pair[1 - close_first]
        jobs.close()
        assert all(map(is_closed, closed))
        assert all(map(is_closed, made_before)) == (close_first == 0)
        assert [left[i].name for i in crowd.names] == list(crowd.names.values())
        assert not any(is_closed(left[i]) for i in crowd.names)
        assert not freed(message)
        left.close()
        assert freed(message)


def test_union_of_two_loads(crowd: Crowd) -> None:
    number, name = next(iter(crowd.names.items()))
    left, right = Jobs.load(), Jobs.load()
    del left[number]
    both = left | right
    of_left, of_right = message_of(left), message_of(right)
    left.close()
    right.close()
    assert len(both) == 1000
    assert both[number].name == name
    # What is in both is the right one's, and nothing is left of the left one's.
    for number in list(both):
        assert both[number].array_id == crowd.array
    assert not freed(of_right)
    both.close()
    del both
    assert freed(of_left)
    assert freed(of_right)


def test_old_jobs_after_a_reload(crowd: Crowd) -> None:
    number, name = next(iter(crowd.names.items()))
    jobs = Jobs.load()
    old, first = jobs[number], message_of(jobs)
    jobs.add(jobs.pop(crowd.ids[-1]))  # so that all are sent again
    jobs.reload()
    assert message_of(jobs)() is not first()
    assert jobs[number] is not old
    assert not freed(first)
    assert old.name == name
    del old
    assert freed(first)
    assert jobs[number].name == name


def test_reload_of_a_collection_that_was_copied(crowd: Crowd) -> None:
    number, name = next(iter(crowd.names.items()))
    jobs = Jobs.load()
    first, other = message_of(jobs), jobs.copy()
    jobs.add(jobs.pop(crowd.ids[-1]))
    jobs.reload()
    jobs.close()
    assert other[number].name == name
    other.close()
    assert freed(first)


@pytest.mark.skipif(
    platform.python_implementation() != "CPython",
    reason="only counted references go at once; PyPy frees when it collects",
)
def test_freed_at_once(crowd: Crowd) -> None:
    gc.collect()
    gc.disable()
    try:
        jobs = Jobs.load()
        message = message_of(jobs)
        number = crowd.ids[0]
        job, _all = jobs[number], list(jobs.values())
        views = jobs.keys(), jobs.values(), jobs.items(), jobs["crowd"]
        assert jobs.to_dict()[number]["id"] == job.id
        del _all, views
        del jobs
        assert message() is not None
        del job
        assert message() is None
        jobs = Jobs.load()
        message = message_of(jobs)
        jobs.close()
        assert message() is None
    finally:
        gc.enable()


def test_cycle_with_a_collection_in_it(crowd: Crowd) -> None:
    jobs = Jobs.load()
    message = message_of(jobs)
    cycle: dict[str, object] = {"jobs": jobs, "job": jobs[crowd.ids[0]]}
    cycle["cycle"] = cycle
    del jobs, cycle
    assert freed(message)


MEASURE = """
import copy, json
from slurmpy import Job, Jobs

def taken():
    total = used()
    if sys.implementation.name == "pypy":
        # Its collector gets its arenas from malloc(), half a megabyte at a time; CPython's do not
        # come from there. Memory of ffi.new() and of Slurm's library is no part of it.
        total -= gc.get_stats()._s.total_allocated_memory
    return total

def single_jobs(number):
    for _ in range(300):
        copy.deepcopy(Job.load(number)).to_dict()

for _ in range(3):
    with Jobs.load() as jobs:
        jobs.to_dict()
        first, *_, last = jobs
del jobs
# Once before, for what Python's implementation keeps of code that runs often.
single_jobs(first)
start = taken()
jobs = Jobs.load()
size = taken() - start
shares = {}
def note(name):
    shares[name] = (taken() - start) / size

note("1 loaded")
del jobs
note("0 collection gone")
jobs = Jobs.load(); everything = list(jobs.values()); jobs.close()
note("0 closed")
del everything
jobs = Jobs.load(); other = jobs.copy(); third = jobs | Jobs(); jobs.close()
note("1 closed, but copied")
other.close()
note("1 closed, and so is one copy")
third.close()
note("0 closed, and so are the copies")
jobs = Jobs.load(); job = jobs[last]; del jobs
note("1 job left")
job = copy.copy(job)
note("0 copy of a job left")
jobs = Jobs.load(); job = jobs.pop(last); jobs.close()
note("1 job taken out")
assert job.id == last
del job
note("0 job taken out, then gone")
jobs = Jobs.load(); iterator = iter(jobs.values()); next(iterator); del jobs
note("1 iterator left")
del iterator
note("0 iterator gone")
one, two = Jobs.load(), Jobs.load()
note("2 loaded twice")
del one, two
note("0 both gone")
jobs = Jobs.load()
for _ in range(20):
    jobs.add(jobs.pop(first))
    jobs.reload()
note("1 loaded again and again")
jobs.frozen = True
for _ in range(20):
    jobs.add(jobs.pop(first))
    jobs.reload()
note("1 frozen")
jobs.close()
note("0 at the end")
single_jobs(first)
note("0 after single jobs")
print(json.dumps([size, shares]))
"""


@pytest.mark.timeout(330)
def test_what_malloc_says(crowd: Crowd, used: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", used + MEASURE],
        env={**PYTHON, "SLURM_CONF": crowd.conf},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    size, shares = json.loads(done.stdout)
    assert size > 2_000_000
    # A share of 1 is one message; what Python itself takes meanwhile is no part of that.
    wrong = {name: share for name, share in shares.items() if abs(share - int(name[0])) > 0.25}
    assert not wrong


def test_exit_with_jobs_at_hand(crowd: Crowd) -> None:
    code = """
import threading
from slurmpy import Jobs
jobs = Jobs.load()
job = list(jobs.values())[5]
cycle = [jobs, job]
cycle.append(cycle)
taken = jobs.pop(job.id)
print(taken.array_id)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**PYTHON, "SLURM_CONF": crowd.conf},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{crowd.array}\n", "")


# ---- threads ----


@pytest.fixture
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def freed_is_written_over() -> Iterator[None]:
    """Have the C library write over what is freed, at once, where it can do that."""
    m_perturb = -6
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(m_perturb, 0x5A)
    yield
    if mallopt:
        mallopt(m_perturb, 0)


class Reader(threading.Thread):
    """Reads jobs of a collection that another thread closes meanwhile."""

    def __init__(self, expected: Mapping[int, dict[str, str]], seed: int) -> None:
        super().__init__()
        self.expected = expected
        self.choose = random.Random(seed)  # noqa: S311 - no secret
        self.jobs: list[tuple[int, Job]] = []
        self.end = False
        self.values = self.errors = 0
        self.wrong: list[object] = []

    def run(self) -> None:
        while not self.end:
            jobs = self.jobs
            if jobs and not self.read(*self.choose.choice(jobs)):
                # The more often it is closed, the more is seen: leave the processor to that.
                while self.jobs is jobs and not self.end:
                    time.sleep(0.0002)

    def read(self, number: int, job: Job) -> bool:
        """Whether it could be read."""
        try:
            for name, value in self.expected[number].items():
                found = getattr(job, name)
                self.values += 1
                if found != value:
                    self.wrong.append((number, name, found))
        except slurmpy.ClosedError:
            self.errors += 1
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
            self.wrong.append(error)
        return True


@pytest.mark.usefixtures("switch_often", "freed_is_written_over")
def test_readers_while_the_collection_is_closed(crowd: Crowd) -> None:
    with Jobs.load() as jobs:
        expected = {
            i: {name: text for name, text in jobs[i].to_dict().items() if isinstance(text, str)}
            for i in crowd.names
        }
    assert {i: texts["name"] for i, texts in expected.items()} == crowd.names
    # Those that the library makes up take long: one reader is busy with them, the others are not.
    quick = {
        i: {name: text for name, text in texts.items() if not name.startswith("standard")}
        for i, texts in expected.items()
    }
    readers = [Reader(expected, 0), Reader(quick, 1), Reader(quick, 2)]
    for reader in readers:
        reader.start()

    def met_all() -> bool:
        """Readers met open jobs and closed ones, so they met the moment between."""
        values, errors = (sum(getattr(it, name) for it in readers) for name in ("values", "errors"))
        return rounds > 20 and values > 1000 and errors > rounds / 2

    rounds, began = 0, time.monotonic()
    while time.monotonic() < began + (4 if met_all() else 90) and not any(
        reader.wrong for reader in readers
    ):
        jobs = Jobs.load()
        given = [(i, jobs[i]) for i in crowd.names]
        for reader in readers:
            reader.jobs = given
        time.sleep(readers[0].choose.random() / 1000)
        jobs.close()
        rounds += 1
    for reader in readers:
        reader.end = True
        reader.join()
    assert [reader.wrong for reader in readers] == [[]] * len(readers)
    assert met_all()


@pytest.mark.usefixtures("switch_often")
def test_jobs_made_while_the_collection_is_closed(crowd: Crowd) -> None:
    for _ in range(20):
        jobs = Jobs.load()
        message = message_of(jobs)
        made: list[Job] = []
        start = threading.Barrier(3)

        def make(
            jobs: Jobs = jobs, made: list[Job] = made, start: threading.Barrier = start
        ) -> None:
            start.wait()
            with contextlib.suppress(slurmpy.ClosedError):
                for number in crowd.ids:
                    made.append(jobs[number])  # noqa: PERF401 - none is lost by the error

        threads = [threading.Thread(target=make) for _ in range(2)]
        for thread in threads:
            thread.start()
        start.wait()
        while len(made) < 100:
            pass
        jobs.close()
        for thread in threads:
            thread.join()
        # Whoever got a job of a closed collection cannot read it.
        for job in made:
            with pytest.raises(slurmpy.ClosedError):
                _ = job.name
        del threads, make
        assert freed(message)


# ---- descriptions ----


def build(job: JobSubmitDescription) -> Message:
    """What is sent of a description."""
    (message,) = _request.build([job._checked()], job.options)
    return message


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """Those that were built, each dead as soon as its memory is freed."""
    made: list[weakref.ref[Any]] = []
    build = _request.build

    def watched(*args: Any) -> Any:  # noqa: ANN401 - whatever it is given and gives
        found = build(*args)
        made.extend(weakref.ref(message.ptr) for message in found)
        return found

    monkeypatch.setattr(_request, "build", watched)
    return made


def test_a_message_owns_its_texts() -> None:
    job = JobSubmitDescription(script="#!/bin/sh\ntrue", comment="first", script_args=["a", "b"])
    message = build(job)
    job.comment = "second"
    del job
    collect()
    assert ffi.string(message.ptr.comment) == b"first"
    assert ffi.string(message.ptr.argv[2]) == b"b"
    assert ffi.string(message.ptr.script) == b"#!/bin/sh\ntrue"


def test_nothing_is_kept_of_what_was_sent(messages: list[weakref.ref[Any]]) -> None:
    job = JobSubmitDescription(script="#!/bin/sh\ntrue", hold=True, comment="sent")
    Job(job.submit()).cancel()
    refused = JobSubmitDescription(script="#!/bin/sh\ntrue", partitions="nowhere")
    with pytest.raises(slurmpy.RPCError):
        refused.submit()
    job.dry_run()
    assert len(messages) == 3
    collect()
    assert [message() for message in messages] == [None] * 3
    assert (job.comment, refused.partitions) == ("sent", "nowhere")


def test_cycle_with_a_description_in_it(messages: list[weakref.ref[Any]]) -> None:
    class Owner:
        pass

    owner, job = Owner(), JobSubmitDescription(script="#!/bin/sh\ntrue")
    cycle: dict[str, object] = {"owner": owner, "job": job}
    cycle["cycle"], cycle["message"] = cycle, build(job)
    gone = weakref.ref(owner)
    del owner, job, cycle
    collect()
    assert gone() is None
    assert messages[0]() is None


# ---- steps, and all of it where a process forks or ends ----

FORK = """
import gc, os, sys
from slurmpy import Job, Jobs, JobSteps, JobSubmitDescription

number = int(sys.argv[1])
jobs = Jobs.load()
job, outlives = jobs[number], Jobs.load()[number]
jobs.load_steps()
steps = JobSteps.load(number)
step = JobSteps.load(number)["batch"]
job.load_stats()
description = JobSubmitDescription(script="#!/bin/sh\\ntrue", hold=True, comment="both")
cycle = [jobs, steps, description]
cycle.append(cycle)

def read():
    return [outlives.to_dict(), steps.to_dict(), step.to_dict(), job.to_dict(), job.stats.to_dict(),
            job.pids, description.to_sbatch()]

def without_clock(values):
    clocks = ("run_time", "run_time_remaining", "elapsed_cpu_time")
    return [{name: it for name, it in value.items() if name not in clocks}
            if isinstance(value, dict) else value for value in values]

before = without_clock(read())
child = os.fork()
if child == 0:
    assert without_clock(read()) == before
    assert JobSteps.load(number).keys() == steps.keys()
    Job(description.submit()).cancel()
    jobs.close()
    if "collects" in sys.argv:
        del jobs, job, steps, step, outlives, cycle, description
        gc.collect()
    # As a child of multiprocessing ends, or one that is left to end by itself.
    os._exit(0) if "at once" in sys.argv else sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert without_clock(read()) == before
Job(description.submit()).cancel()
jobs.close()
print("done")
"""

EXIT = """
import sys, threading
from slurmpy import Jobs, JobSteps, JobSubmitDescription, _request

number = int(sys.argv[1])
jobs = Jobs.load()
jobs.load_steps()
job, steps, taken = jobs[number], JobSteps.load(number), Jobs.load().pop(number)
description = JobSubmitDescription(script="#!/bin/sh\\ntrue", nodes=1)
messages = _request.build([description._checked()], description.options)
view = iter(jobs.items())
next(view)
cycle = [jobs, job, steps, description, messages]
cycle.append(cycle)
once = threading.Event()

def ask():
    while True:
        Jobs([number] * 4).load_stats(threads=2)
        once.set()

for _ in range(2):
    threading.Thread(target=ask, daemon=True).start()
assert once.wait(60)
print(taken.id, len(steps))
"""


@pytest.fixture(scope="class")
def cluster(other_cluster: Callable[..., AbstractContextManager[Other]]) -> Iterator[Other]:
    with other_cluster({"name": "steps", "nodes": 1}) as tools:
        yield tools


@pytest.fixture(scope="class")
def number(cluster: Other) -> int:
    """A job that runs, which has steps."""
    number = cluster.submit("--mem=20", "--wrap=srun --mem=10 sleep 3000 & wait")
    wait_for(lambda: {"batch", 0} <= set(JobSteps.load(number)))
    return number


def again(item: Any) -> Any:  # noqa: ANN401 - of whatever type it is
    """What comes out of a pickle."""
    return pickle.loads(pickle.dumps(item))  # noqa: S301 - it is our own


def message_of_step(step: JobStep) -> weakref.ref[Any]:
    """Dead as soon as the memory that Slurm's library filled is freed."""
    return weakref.ref(step._record[1].message)


class TestSteps:
    """A cluster with a job that runs, which has steps."""

    def test_a_step_outlives_the_others(self, number: int) -> None:
        steps = JobSteps.load(number)
        step, message = steps[0], message_of_step(steps[0])
        values = step.to_dict()
        del steps
        assert not freed(message)
        assert step.to_dict() == values
        del step
        assert freed(message)

    def test_a_collection_that_ends_before_its_steps(self, number: int) -> None:
        jobs = Jobs.load()
        jobs.load_steps()
        of_jobs = message_of(jobs)
        step = jobs[number].steps["batch"]
        of_steps = message_of_step(step)
        jobs.close()
        jobs.close()
        del jobs
        # A step does not keep the jobs, and is not closed with them.
        assert freed(of_jobs)
        assert not freed(of_steps)
        assert step.name == "batch"
        del step
        assert freed(of_steps)

    def test_a_job_keeps_its_steps(self, number: int) -> None:
        jobs = Jobs.load()
        jobs.load_steps()
        job = jobs[number]
        message = message_of_step(job.steps[0])
        del jobs
        assert not freed(message)
        assert job.steps[0].job_id == number
        job.reload()
        assert freed(message)

    @pytest.mark.parametrize("detach", [copy.copy, copy.deepcopy, again])
    def test_copies_do_not_keep_the_memory(self, number: int, detach: Callable[[Any], Any]) -> None:
        steps = JobSteps.load(number)
        message = message_of_step(steps[0])
        copies = detach(steps), detach(steps[0])
        name = steps[0].name
        del steps
        assert freed(message)
        assert [copies[0][0].name, copies[1].name] == [name, name]

    def test_cycle_with_steps_in_it(self, number: int) -> None:
        steps = JobSteps.load(number)
        message = message_of_step(steps[0])
        cycle: list[object] = [steps, steps["batch"]]
        cycle.append(cycle)
        del steps, cycle
        assert freed(message)

    @pytest.mark.parametrize("how", ["", "collects", "at once"])
    def test_fork_with_all_of_it_at_hand(self, cluster: Other, number: int, how: str) -> None:
        """What was read before is there in both, and neither frees what is the other's."""
        assert cluster.python(FORK, str(number), how) == "done\n"

    def test_exit_with_all_of_it_at_hand(self, cluster: Other, number: int) -> None:
        """Also with calls under way in other threads."""
        for _ in range(3):
            assert cluster.python(EXIT, str(number)) == f"{number} 2\n"
