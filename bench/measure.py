"""One kind of measurement in a process of its own, printed as JSON in seconds and bytes.

``python bench/measure.py loads 100000 15`` measures loads against a controller with 100,000 jobs in
15 rounds, with ``threads`` in place of ``loads`` those on several threads, with ``tables`` what is
taken out of a load, with ``tools`` the same against Slurm's commands, with ``pyslurm`` the other
binding, with ``attributes`` one attribute of one job; ``python bench/measure.py memory 100000
ours`` the memory after a load, or after the C call with another last word; and ``python
bench/measure.py stats 200 15`` live statistics of 200 running steps. ``python bench/measure.py
submit 20000 differing`` submits jobs of which no two are alike. ``python bench/measure.py profile
100000 5`` says what of the tables' time is new memory and the garbage collector. What is compared
is measured in turns, so that whatever else the machine does meets both sides alike. pyperf, which
measures one benchmark to its end before the next, cannot do that; it measures the start of the
interpreter, in ``__main__.py``. Attributes are measured with timeit.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, Callable

from cffi import FFI

import slurmpy
from slurmpy._build_ffi import find_slurm
from slurmpy._ffi import ffi, lib
from slurmpy.job import SHOW, THREADS

PYPY = platform.python_implementation() == "PyPy"

#: What Slurm has in place of a time limit where there is none.
UNSET = frozenset((lib.NO_VAL, lib.INFINITE))

#: What the C call gives where nothing has changed: `SLURM_NO_CHANGE_IN_DATA`.
NO_CHANGE = 1900

#: Seconds that one timing of an attribute takes, at the most, and how many make a round: the least
#: of them counts, as what is more is other work of the machine's.
SLICE = 0.004
SLICES = 5

#: Seconds that PyPy has, to compile what is measured.
WARM_UP = 10.0

#: Loads that are made on several threads, or one after another, and how many threads.
LOADS = 4
WIDTHS = (2, 4)

#: How often `sstat` runs for every job: a process each, one after the other, takes seconds.
SSTATS = 5

#: Numbers, of which some may be unset.
NUMBERS = (
    "id",
    "user_id",
    "group_id",
    "array_id",
    "priority",
    "time_limit",
    "num_nodes",
    "cpus",
    "ntasks",
    "submit_time",
    "eligible_time",
    "start_time",
)
#: What squeue shows where nothing else is asked for, and how it is asked for the same: its last
#: column is the reason where there are no nodes, so that here there is one more.
VIEW = (
    "id",
    "partition",
    "name",
    "user_name",
    "state",
    "run_time",
    "num_nodes",
    "allocated_nodes",
    "state_reason",
)
SQUEUE = ("squeue", "--noheader", "--array", "--format=%A|%P|%j|%u|%t|%M|%D|%R")

#: How often Slurm's commands are asked for all jobs, and for all of them as JSON, which takes long.
COMMANDS = 5
LONG = 1

#: What a profile has.
FIGURES = ("seconds", "page faults", "minor collections", "major collections")

#: Two measurements a round: ours, and what it is compared with.
Pairs = dict[str, tuple[list[float], list[float]]]


class ByHand:
    """What one would write without slurmpy."""

    __slots__ = ("_ptr",)

    def __init__(self, ptr: Any) -> None:  # noqa: ANN401 - cffi's pointers have no type
        self._ptr = ptr

    @property
    def user_id(self) -> int:
        """A number, from the struct."""
        return self._ptr.user_id  # type: ignore[no-any-return]

    @property
    def time_limit(self) -> int | None:
        """A number, or None for the marks for no limit."""
        value = self._ptr.time_limit
        return None if value in UNSET else value

    @property
    def raw_time_limit(self) -> int:
        """The same with the marks as they are."""
        return self._ptr.time_limit  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """A text."""
        return ffi.string(self._ptr.name).decode()  # type: ignore[no-any-return]


def collect() -> None:
    """Frees what nothing refers to any more.

    PyPy finds in one collection what a finalizer has let go of in the one before: a message of
    100,000 jobs takes it 40 ms to free, which would be in the next measurement.
    """
    for _ in range(3 if PYPY else 1):
        gc.collect()


def expect(found: int, jobs: int) -> None:
    """Ends the measurement where the controller has not the jobs that it should have."""
    if found != jobs:
        sys.exit(f"{found} records were loaded, not {jobs}")


class Bare:
    """The C calls themselves, with nothing of slurmpy around them.

    Args:
        jobs: How many records there are.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.ffi = FFI()
        self.ffi.cdef(
            """
            int slurm_load_jobs(int64_t since, void **message, uint16_t flags);
            void slurm_free_job_info_msg(void *message);
            """
        )
        # By now slurmpy has made the symbols of libslurm global, as its plugins need them.
        self.lib: Any = self.ffi.dlopen(None)

    def load(self, flags: int = SHOW) -> tuple[float, Any]:
        """How long the call takes, and what it gives."""
        out = self.ffi.new("void **")
        collect()
        start = perf_counter()
        rc = self.lib.slurm_load_jobs(0, out, flags)
        seconds = perf_counter() - start
        if rc:
            sys.exit(f"slurm_load_jobs returned {rc}, errno {self.ffi.errno}")
        address = int(self.ffi.cast("uintptr_t", out[0]))
        expect(ffi.cast("job_info_msg_t *", address).record_count, self.jobs)
        return seconds, out[0]

    def time(self, flags: int = SHOW) -> float:
        """How long the call takes; freeing is not counted."""
        seconds, message = self.load(flags)
        self.lib.slurm_free_job_info_msg(message)
        return seconds

    def unchanged(self) -> float | None:
        """How long the call for what has changed since takes; None where something has."""
        _, message = self.load()
        address = int(self.ffi.cast("uintptr_t", message))
        since = ffi.cast("job_info_msg_t *", address).last_update
        self.lib.slurm_free_job_info_msg(message)
        tidy()
        out = self.ffi.new("void **")
        start = perf_counter()
        rc = self.lib.slurm_load_jobs(since, out, SHOW)
        seconds = perf_counter() - start
        if not rc:
            self.lib.slurm_free_job_info_msg(out[0])
            return None
        if self.ffi.errno != NO_CHANGE:
            sys.exit(f"slurm_load_jobs returned {rc}, errno {self.ffi.errno}")
        return seconds

    def call(self, _number: int = 0) -> object:
        """What the call gives, which `free` takes."""
        out = self.ffi.new("void **")
        rc = self.lib.slurm_load_jobs(0, out, SHOW)
        if rc:
            sys.exit(f"slurm_load_jobs returned {rc}, errno {self.ffi.errno}")
        return out[0]

    def free(self, message: object) -> None:
        """Frees what `call` gave."""
        self.lib.slurm_free_job_info_msg(message)


def one_load(jobs: int) -> dict[str, float]:
    """`Jobs.load()`, the same with the first look-up of a job, and a `reload()` in vain.

    Where something did change in the meantime, the reload is left out.
    """
    collect()
    start = perf_counter()
    collection = slurmpy.Jobs.load()
    loaded = perf_counter()
    expect(len(collection), jobs)
    job_id = next(iter(collection))
    job = collection[job_id]
    found = perf_counter()
    collection.reload()
    reloaded = perf_counter()
    seconds = {"load": loaded - start, "lookup": found - start}
    if collection[job_id] is job:
        seconds["reload"] = reloaded - found
    collection.close()
    del collection, job
    collect()
    return seconds


def loads(jobs: int, rounds: int) -> Pairs:
    """Loads, in turns with the C call; who comes first changes with every round."""
    pairs: Pairs = {}
    bare = Bare(jobs)
    bare.time()
    one_load(jobs)
    for number in range(rounds):
        if number % 2:
            ours, yardstick = one_load(jobs), bare.time()
        else:
            yardstick, ours = bare.time(), one_load(jobs)
        for name, seconds in ours.items():
            pair = pairs.setdefault(name, ([], []))
            pair[0].append(seconds)
            pair[1].append(yardstick)
        if "reload" in ours and (unchanged := bare.unchanged()):
            pair = pairs.setdefault("reload-bare", ([], []))
            pair[0].append(ours["reload"])
            pair[1].append(unchanged)
    return pairs


def several(call: Callable[[int], Any], free: Callable[[Any], None], width: int) -> float:
    """How long it takes to load some times, on so many threads; freeing is not counted."""
    collect()
    # The threads of a pool start when there is something for them to do: that is counted.
    with ThreadPoolExecutor(width) as pool:
        start = perf_counter()
        found = list(pool.map(call, range(LOADS)))
        seconds = perf_counter() - start
    for one in found:
        free(one)
    del found
    collect()
    return seconds


def threads(jobs: int, rounds: int) -> Pairs:
    """Loads on several threads, in turns with as many on one; slurmpy's and the C call."""
    bare = Bare(jobs)
    expect(len(slurmpy.Jobs.load()), jobs)
    bare.time()
    sides: dict[str, tuple[Callable[[int], Any], Callable[[Any], None]]] = {
        "threads": (lambda _: slurmpy.Jobs.load(), slurmpy.Jobs.close),
        "bare": (bare.call, bare.free),
    }
    pairs: Pairs = {f"{side}-{width}": ([], []) for side in sides for width in WIDTHS}
    for number in range(rounds):
        for side, (call, free) in sides.items():
            # One after another once a round, in the middle of those that are compared with it.
            widths = (WIDTHS[0], 1, WIDTHS[1])[:: 1 if number % 2 else -1]
            seconds = {width: several(call, free, width) for width in widths}
            for width in WIDTHS:
                ours, in_turn = pairs[f"{side}-{width}"]
                ours.append(seconds[width])
                in_turn.append(seconds[1])
    return pairs


def timer(objects: list[Any], expression: str) -> tuple[timeit.Timer, int]:
    """What times an expression over ``job``, and how often it evaluates it.

    CPython does just what is written, so the expression is written out to keep the cost of the
    loop small. PyPy would leave out what nobody uses: there the values of many jobs are combined,
    at a cost that it takes to next to nothing.
    """
    scope = {"objects": objects}
    if not PYPY:
        times = 20
        statement = "; ".join([expression] * times)
        return timeit.Timer(statement, "job = objects[0]", globals=scope), times
    number = expression if not expression.endswith("name") else f"len({expression})"
    statement = f"for job in objects:\n    sink ^= {number}"
    return timeit.Timer(statement, "sink = 0", globals=scope), len(objects)


def attributes(jobs: int, rounds: int) -> Pairs:
    """One attribute of one job, in turns with a property written by hand over the same struct."""
    collection = slurmpy.Jobs.load()
    expect(len(collection), jobs)
    ours: list[Any] = list(collection.values())[: 1000 if PYPY else 1]
    hand = [ByHand(job._record[0]) for job in ours]  # noqa: SLF001 - the same struct
    compared = {
        "integer": ("job.user_id", "job.user_id"),
        "marked": ("job.time_limit", "job.time_limit"),
        "text": ("job.name", "job.name"),
        "raw": ("job.time_limit", "job.raw_time_limit"),
    }
    pairs: Pairs = {name: ([], []) for name in compared}
    timers = []
    for name, expressions in compared.items():
        for objects, expression, values in zip((ours, hand), expressions, pairs[name]):
            timing, evaluated = timer(objects, expression)
            # Finding out how many evaluations a round has is the warm-up.
            number = 1
            while timing.timeit(number) < SLICE / 2:
                number *= 2
            timers.append((timing, number, number * evaluated, values))
    for _ in range(rounds):
        for timing, number, evaluations, values in timers:
            values.append(min(timing.repeat(SLICES, number)) / evaluations)
    return pairs


def memory(jobs: int, ours: bool) -> dict[str, int]:
    """How much more memory is resident after a load, in a process that has done nothing else."""
    bare = Bare(jobs)
    collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident()
    if ours:
        collection = slurmpy.Jobs.load()
        after = resident()
        expect(len(collection), jobs)
    else:
        bare.load()
        after = resident()
    return {"bytes": after - before}


class BareStats:
    """The C calls for live statistics, in a library that is compiled here.

    Args:
        steps: How many steps run.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.ffi = FFI()
        self.ffi.cdef(
            "double bench_stats(uint32_t wanted, uint32_t threads, char *words, size_t size);"
        )
        compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        source = Path(__file__).resolve().with_name("stats.c")
        with tempfile.TemporaryDirectory() as folder:
            library = f"{folder}/stats.so"
            options = ("-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-pthread")
            include = f"-I{find_slurm().include}"
            argv = [*shlex.split(compiler), *options, include, str(source), "-o", library]
            subprocess.run(argv, check=True)
            # What it calls is among the symbols that slurmpy has made global. Once it is loaded,
            # its file may go.
            self.lib: Any = self.ffi.dlopen(library)

    def time(self) -> float:
        """How long the calls take, on as many threads as `load_stats` has."""
        words: Any = self.ffi.new("char[]", 1000)
        collect()
        seconds: float = self.lib.bench_stats(self.steps, THREADS, words, len(words))
        if seconds < 0:
            said: Any = self.ffi.string(words)
            sys.exit(said.decode())
        return seconds


def one_stats(collection: slurmpy.Jobs, steps: int) -> float:
    """How long `Jobs.load_stats()` takes, where each job has a step and each step has figures."""
    collect()
    start = perf_counter()
    found = collection.load_stats()
    seconds = perf_counter() - start
    if found.errors:
        sys.exit(f"no figures of {len(found.errors)} jobs: {next(iter(found.errors.values()))}")
    expect(sum(1 for job in collection.values() if job.pids), steps)
    return seconds


def sstats(collection: slurmpy.Jobs) -> float:
    """How long it takes to run `sstat` for each job, one after the other, and read what it says."""
    start = perf_counter()
    for job_id in collection:
        argv = ("sstat", "--allsteps", "--noheader", "--parsable2", "--jobs", str(job_id))
        said = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
        lines = said.splitlines()
        if len(lines) != 1 or not said.startswith(f"{job_id}.batch|"):
            sys.exit(f"{' '.join(argv)} said {len(lines)} lines: {said[:80]}")
    return perf_counter() - start


def stats(steps: int, rounds: int) -> Pairs:
    """Live statistics, in turns with the C calls and, not as often, with `sstat`."""
    bare = BareStats(steps)
    collection = slurmpy.Jobs.load()
    expect(len(collection), steps)
    pairs: Pairs = {"stats": ([], []), "sstat": ([], [])}
    compared = (("stats", bare.time, rounds), ("sstat", lambda: sstats(collection), SSTATS))
    bare.time()
    one_stats(collection, steps)
    for key, other, most in compared:
        ours, yardstick = pairs[key]
        for number in range(min(rounds, most)):
            if number % 2:
                ours.append(one_stats(collection, steps))
                yardstick.append(other())
            else:
                yardstick.append(other())
                ours.append(one_stats(collection, steps))
    return pairs


def takes(jobs: slurmpy.Jobs) -> dict[str, Callable[[], object]]:
    """The ways in which data is taken out of a load."""
    found: dict[str, Callable[[], object]] = {
        "dicts": jobs.to_dicts,
        "view": lambda: jobs.to_lists(VIEW),
        "filter": lambda: jobs.filter(state="PENDING"),
    }
    if importlib.util.find_spec("numpy"):
        found["raw-12"] = lambda: jobs.raw_columns(*NUMBERS)
        found["columns-12"] = lambda: jobs.columns(*NUMBERS)
    if importlib.util.find_spec("pandas"):
        found["frame"] = jobs.to_dataframe
    if importlib.util.find_spec("pyarrow"):
        found["arrow"] = jobs.to_arrow
    return found


def tidy() -> None:
    """Frees what is no longer needed, and gives it back to the system."""
    collect()
    # The C library merges what the C call's answer has left when the next one asks for much: 50 ms.
    ctypes.CDLL(None).malloc_trim(0)


def timed(action: Callable[[], object]) -> float:
    """How long something takes; to free what it gives, or what was there before, is not counted."""
    tidy()
    start = perf_counter()
    found = action()
    seconds = perf_counter() - start
    del found
    return seconds


def warm_up(action: Callable[[], object]) -> None:
    """Does something for what is imported, and on PyPy until what runs often is compiled."""
    action()
    end = perf_counter() + WARM_UP
    while PYPY and perf_counter() < end:
        action()


def tables(jobs: int, rounds: int) -> Pairs:
    """What is taken out of a load, in turns with the C call."""
    bare = Bare(jobs)
    pairs: Pairs = {}
    with slurmpy.Jobs.load() as collection:
        for action in takes(collection).values():
            warm_up(action)
    for _ in range(rounds):
        with slurmpy.Jobs.load() as collection:
            expect(len(collection), jobs)
            for key, action in takes(collection).items():
                pair = pairs.setdefault(key, ([], []))
                pair[1].append(bare.time())
                pair[0].append(timed(action))
    return pairs


class Collector:
    """What the garbage collector says of itself, in seconds; major is the oldest generation."""

    def __init__(self) -> None:
        self.minor = self.major = self.start = 0.0
        if PYPY:
            gc.hooks.set(self)  # type: ignore[attr-defined]  # CPython has none
        else:
            gc.callbacks.append(self.on_cpython)

    def on_cpython(self, phase: str, info: dict[str, int]) -> None:
        """Collections that begin or end."""
        if phase == "start":
            self.start = perf_counter()
        elif info["generation"] == len(gc.get_count()) - 1:
            self.major += perf_counter() - self.start
        else:
            self.minor += perf_counter() - self.start

    def on_gc_minor(self, stats: Any) -> None:  # noqa: ANN401 - PyPy's
        """Minor collections that have come to their end."""
        self.minor += stats.duration

    def on_gc_collect_step(self, stats: Any) -> None:  # noqa: ANN401 - PyPy's
        """Steps of major ones."""
        self.major += stats.duration

    def on_gc_collect(self, stats: object) -> None:
        """Major ones that have come to their end: their steps are counted."""


def profile(jobs: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Where the time goes that is neither Python's nor C's: new memory, and collections."""
    found: dict[str, dict[str, list[float]]] = {}
    collector = Collector()
    with slurmpy.Jobs.load() as collection:
        expect(len(collection), jobs)
        for key, action in takes(collection).items():
            warm_up(action)
            figures: dict[str, list[float]] = {}
            for _ in range(rounds):
                tidy()
                collector.minor = collector.major = 0.0
                faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                start = perf_counter()
                values = action()
                seconds = perf_counter() - start
                faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
                measured = (seconds, faults, collector.minor, collector.major)
                for name, figure in zip(FIGURES, measured):
                    figures.setdefault(name, []).append(figure)
                del values
            found[key] = figures
    return found


def pyslurm(jobs: int, rounds: int) -> Pairs:
    """The other binding, where one is installed that fits this Slurm."""
    import pyslurm as other  # type: ignore[import-not-found]  # it is seldom there

    bare = Bare(jobs)
    bare.time()
    collection = other.Jobs.load()
    compared: dict[str, tuple[Callable[[], object], int]] = {
        "pyslurm": (other.Jobs.load, COMMANDS),
        "pyslurm-reload": (collection.reload, COMMANDS),
        "pyslurm-dicts": (lambda: [job.to_dict() for job in collection.values()], LONG),
    }
    pairs: Pairs = {key: ([], []) for key in compared}
    for key, (action, most) in compared.items():
        for _ in range(min(rounds, most)):
            pairs[key][0].append(timed(action))
            pairs[key][1].append(bare.time())
    return pairs


def command(*argv: str) -> Callable[[], object]:
    """Runs a command, and reads what it says."""
    return lambda: subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout


def tools(jobs: int, rounds: int) -> Pairs:
    """The same, and loads with them, against Slurm's commands."""
    bare = Bare(jobs)
    bare.time()
    pairs: Pairs = {"squeue": ([], []), "scontrol": ([], []), "squeue-json": ([], [])}
    for _ in range(min(rounds, COMMANDS)):
        with slurmpy.Jobs.load() as collection:
            pairs["squeue"][0].append(timed(lambda: collection.to_lists(VIEW)))
        # What is left of it without the load.
        pairs["squeue"][1].append(timed(command(*SQUEUE)) - bare.time(lib.SHOW_LOCAL))
    for key, *argv in (
        ("scontrol", "scontrol", "-o", "show", "job"),
        ("squeue-json", "squeue", "--json"),
    ):
        for _ in range(min(rounds, LONG)):
            pairs[key][0].append(timed(lambda: slurmpy.Jobs.load().to_dicts()))
            pairs[key][1].append(timed(command(*argv)))
    return pairs


def submit(jobs: int) -> None:
    """Submits jobs of which no two are alike, each by itself."""

    def one(number: int) -> int:
        return slurmpy.JobSubmitDescription(
            script=f"#!/bin/sh\n: {number}\n",
            name=f"job-{number}",
            comment=f"the comment of {number}",
            working_directory=f"/folder-{number % 5000}",
            standard_output=f"/output-{number}",
            hold=True,
            nice=number % 10_000,
            ntasks=1 + number % 3,
            memory_per_cpu=10 + number % 50,
            time_limit=60 + number % 5000,
        ).submit()

    with ThreadPoolExecutor(THREADS) as pool:
        expect(len(set(pool.map(one, range(jobs)))), jobs)


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main(kind: str, jobs: str, detail: str) -> None:
    """Measures, and prints."""
    slurmpy.init()
    found: object
    if kind == "loads":
        found = loads(int(jobs), int(detail))
    elif kind == "attributes":
        found = attributes(int(jobs), int(detail))
    elif kind == "threads":
        found = threads(int(jobs), int(detail))
    elif kind == "tables":
        found = tables(int(jobs), int(detail))
    elif kind == "profile":
        found = profile(int(jobs), int(detail))
    elif kind == "pyslurm":
        found = pyslurm(int(jobs), int(detail))
    elif kind == "tools":
        found = tools(int(jobs), int(detail))
    elif kind == "submit":
        submit(int(jobs))
        found = {}
    elif kind == "stats":
        found = stats(int(jobs), int(detail))
    else:
        found = memory(int(jobs), detail == "ours")
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
