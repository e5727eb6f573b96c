"""How much slower than the C call is slurmpy, and how much more memory does it take?

Starts a Slurm of its own, gives it real jobs, and measures against it; then another, with running
steps for live statistics. `report.py` has the rows and their goals.
``nox -s bench -- --jobs 100000 --json FILE``; ends with 1 where a goal is not held.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from report import OF_DIFFERING, ON_PYPY, ROWS, Result, Row, Samples, growth_table, table

import slurmpy
from slurmpy.testing import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What was taken out of a load, to the number of jobs, to what was measured.
BySize = dict[str, dict[int, Samples]]

HERE = Path(__file__).resolve().parent

#: The tasks of one array: each becomes a record of its own.
ARRAY = 10_000
#: Processes with attributes: where things lie in memory differs from one to the next.
PROCESSES = 3
#: Nothing may happen in the controller while it is measured: no scheduling, no words in the log.
QUIET = """
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=-1
SlurmctldDebug=error
MessageTimeout=100
"""
#: Steps that run are sampled as on a real cluster, not every second as LocalCluster has it.
SAMPLED = "JobAcctGatherFrequency=60"
#: What a load costs, and one in vain.
LOADS = ("load", "reload", "lookup", "reload-bare")
#: What is taken out of a load.
TABLES = ("raw-12", "columns-12", "view", "dicts", "frame", "arrow", "filter")
#: Of what it is found how it grows with the number of jobs.
GROWING = ("load", "reload", *TABLES)
#: How many other jobs there are, for how the cost of that grows, where otherwise there are 100,000;
#: and how often it is measured where there are most.
SIZES = (1_000, 10_000, 300_000)
GROWTH_ROUNDS = 9
#: How many jobs there are that all differ, where otherwise there are 100,000: each is submitted by
#: itself.
DIFFERING = 20_000
#: How often PyPy and CPython take turns, each in a process of its own, and the rounds of a turn.
TURNS = 3
TURN_ROUNDS = 3

#: Seconds until all steps run, at the most.
PATIENCE = 120


def say(text: str) -> None:
    """What is being done, for those who wait."""
    print(f"{text} ...", file=sys.stderr, flush=True)


def make_records(cluster: LocalCluster, jobs: int) -> None:
    """Makes real jobs: a held array is one record until each of its tasks is touched."""
    for first in range(0, jobs, ARRAY):
        last = min(ARRAY, jobs - first) - 1
        submit = ("sbatch", "--parsable", "--hold", "--time=60", f"--array=0-{last}")
        job_id = cluster.run(*submit, "--wrap=true", timeout=300).strip()
        if last:
            tasks = f"jobid={job_id}_[0-{last - 1}]"
            cluster.run("scontrol", "update", tasks, "comment=x", timeout=300)


def make_steps(cluster: LocalCluster, steps: int) -> None:
    """Makes jobs that run, each with the step of its script, and waits for these."""
    # No array: the last of its tasks would have the id of the array, for which sstat gives all.
    for _ in range(steps):
        cluster.run("sbatch", "--mem=1", "--output=/dev/null", "--wrap=sleep 1000", timeout=300)
    deadline = time.monotonic() + PATIENCE
    while (found := len(cluster.run("squeue", "--noheader", "--steps").splitlines())) < steps:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {steps} steps run after {PATIENCE} s")
        time.sleep(0.5)


def settle(pid: int) -> None:
    """Waits until the controller has written down what it was told, and rests."""

    def ticks() -> int:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return int(stat[11]) + int(stat[12])

    second = os.sysconf("SC_CLK_TCK")
    deadline = time.monotonic() + 60
    # Slurm's times are whole seconds: what has changed in this one counts as changed in the next.
    time.sleep(2)
    while time.monotonic() < deadline:
        before = ticks()
        time.sleep(1)
        if ticks() - before < second / 20:
            return
    say("the controller does not come to rest: measuring all the same")


def last_line(text: str) -> str:
    """What a process said at its end."""
    return (text.strip().splitlines() or ["no words"])[-1]


class Bench:
    """The measurements, each for some of the rows.

    Args:
        env: The environment that leads to the cluster.
        jobs: How many records it has; running jobs with a step each, for live statistics.
        rounds: How often the two sides are measured.
    """

    def __init__(self, env: dict[str, str], jobs: int, rounds: int) -> None:
        # Modules are compiled once, as where they are installed, not with every start.
        self.env = {k: value for k, value in env.items() if k != "PYTHONDONTWRITEBYTECODE"}
        # They start in another folder than this program.
        path = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
        self.env["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path))
        self.jobs = jobs
        self.rounds = rounds

    def python(self, *arguments: str, python: str = sys.executable) -> str:
        """What a Python of its own prints, away from the checkout: the installed one counts."""
        argv = [python, *arguments]
        done = subprocess.run(
            argv, env=self.env, cwd=HERE, check=True, capture_output=True, text=True, timeout=900
        )
        return done.stdout

    def worker(self, kind: str, detail: object, python: str = sys.executable) -> dict[str, Any]:
        """What `measure.py` finds in a process of its own."""
        argv = ("measure.py", kind, str(self.jobs), str(detail))
        found: dict[str, Any] = json.loads(self.python(*argv, python=python))
        return found

    def pairs(self, kind: str) -> dict[str, Samples]:
        """What a worker has measured in turns."""
        found = self.worker(kind, self.rounds)
        return {key: Samples(*pairs) for key, pairs in found.items()}

    def loads(self) -> dict[str, Samples]:
        """`Jobs.load()`, `reload()` and the first look-up, against the C call."""
        return self.pairs("loads")

    def threads(self) -> dict[str, Samples]:
        """Loads on several threads against as many one after another; the C call likewise."""
        return self.pairs("threads")

    def tables(self) -> dict[str, Samples]:
        """What is taken out of a load, against the C call."""
        return self.pairs("tables")

    def tools(self) -> dict[str, Samples]:
        """The same against Slurm's commands."""
        return self.pairs("tools")

    def pyslurm(self) -> dict[str, Samples]:
        """The other binding, against the C call."""
        if importlib.util.find_spec("pyslurm") is None:
            raise RuntimeError("pyslurm is not installed")
        return self.pairs("pyslurm")

    def pypy(self, pypy: str | None) -> dict[str, Samples]:
        """PyPy against CPython: the medians of turns, which each has a process for."""
        if pypy is None:
            raise RuntimeError("--pypy names no PyPy in which slurmpy is installed")
        samples: dict[str, Samples] = {}
        for _ in range(min(self.rounds, TURNS)):
            for kind in ("loads", "tables", "attributes"):
                turns = [
                    self.worker(kind, min(self.rounds, TURN_ROUNDS), python)
                    for python in (pypy, sys.executable)
                ]
                for key in turns[0].keys() & turns[1].keys():
                    pair = samples.setdefault(f"pypy-{key}", Samples([], []))
                    for values, found in zip(pair, turns):
                        values.append(statistics.median(found[key][0]))
            pair = samples.setdefault("pypy-memory", Samples([], []))
            for values, python in zip(pair, (pypy, sys.executable)):
                values.append(self.worker("memory", "ours", python)["bytes"])
        return samples

    def stats(self) -> dict[str, Samples]:
        """`Jobs.load_stats()` against the C calls, and against `sstat`."""
        return self.pairs("stats")

    def memory(self) -> dict[str, Samples]:
        """Memory after a load, each time in a fresh process."""
        samples = Samples([], [])
        for _ in range(min(self.rounds, 5)):
            samples.ours.append(self.worker("memory", "ours")["bytes"])
            samples.yardstick.append(self.worker("memory", "bare")["bytes"])
        return {"memory": samples}

    def attributes(self) -> dict[str, Samples]:
        """Attributes against properties written by hand."""
        samples: dict[str, Samples] = {}
        for _ in range(min(self.rounds, PROCESSES)):
            for key, (ours, yardstick) in self.worker("attributes", self.rounds).items():
                known = samples.setdefault(key, Samples([], []))
                known.ours.extend(ours)
                known.yardstick.extend(yardstick)
        return samples

    def imports(self) -> dict[str, Samples]:
        """The start of an interpreter, with pyperf."""
        if importlib.util.find_spec("pyperf") is None:
            raise RuntimeError("pyperf is not installed: pip install --group bench")
        samples = Samples([], [])
        for _ in range(min(self.rounds, 5)):
            samples.ours.append(self.command("import slurmpy"))
            samples.yardstick.append(self.command("pass"))
        return {"import": samples}

    def command(self, code: str) -> float:
        """Seconds that Python takes from its start to its end, the median of ten."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "values.json")
            options = ("--processes=1", "--values=10", "--warmups=2", "--loops=1", "--copy-env")
            command = (sys.executable, "-c", code)
            self.python("-m", "pyperf", "command", *options, "-q", "-o", str(file), "--", *command)
            runs = json.loads(file.read_text(encoding="utf-8"))["benchmarks"][0]["runs"]
            values: list[float] = [value for run in runs for value in run.get("values", ())]
            return statistics.median(values)

    def of_records(self, pypy: str | None) -> dict[str, Samples | str]:
        """The rows that need jobs and nothing that happens; see `measured`."""
        return {
            **measured(self.loads, *LOADS),
            **measured(self.tables, *TABLES),
            **measured(self.tools, "squeue", "squeue-json", "scontrol"),
            **measured(self.pyslurm, "pyslurm", "pyslurm-reload", "pyslurm-dicts"),
            **measured(
                self.threads, *(f"{who}-{n}" for n in (2, 4) for who in ("threads", "bare"))
            ),
            **measured(self.memory, "memory"),
            **measured(self.attributes, "integer", "marked", "text", "raw"),
            **measured(self.imports, "import"),
            **measured(lambda: self.pypy(pypy), *ON_PYPY),
        }


def measured(measure: Callable[[], dict[str, Samples]], *keys: str) -> dict[str, Samples | str]:
    """The measurements of some rows; why there are none where that went wrong."""
    say(f"measuring {', '.join(keys)}")
    try:
        return {**measure()}
    except subprocess.CalledProcessError as error:
        why = last_line(error.stderr)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        why = str(error)
    return dict.fromkeys(keys, why)


def live(steps: int, rounds: int) -> dict[str, Samples]:
    """Live statistics, on a cluster whose steps run."""
    with LocalCluster(
        # A CPU and a MiB for each, so that both nodes are filled.
        nodes=2,
        cpus=(steps + 1) // 2,
        memory=(steps + 1) // 2,
        extra_conf=SAMPLED,
    ) as cluster:
        make_steps(cluster, steps)
        return Bench(cluster.env, steps, rounds).stats()


@contextlib.contextmanager
def queue(jobs: int, *, alike: bool = True) -> Iterator[LocalCluster]:
    """A cluster that has so many jobs, and rests."""
    say(f"a cluster with {jobs} jobs" + ("" if alike else " that all differ"))
    capacity = max(300_000, jobs + ARRAY)
    with LocalCluster(nodes=1, max_job_count=capacity, extra_conf=QUIET) as cluster:
        if alike:
            make_records(cluster, jobs)
        else:
            Bench(cluster.env, jobs, 1).worker("submit", "differing")
        settle(cluster.daemons["slurmctld"])
        yield cluster


def of_other_sizes(jobs: int, rounds: int) -> dict[int, dict[str, Samples | str]]:
    """Loads, and what is taken out of them, with fewer jobs and with more."""
    found: dict[int, dict[str, Samples | str]] = {}
    for size in SIZES:
        here = max(size * jobs // 100_000, 1)
        with queue(here) as cluster:
            most = rounds if here < jobs else min(rounds, GROWTH_ROUNDS)
            bench = Bench(cluster.env, here, most)
            found[here] = {**measured(bench.loads, *LOADS), **measured(bench.tables, *TABLES)}
    return found


def of_differing(jobs: int, rounds: int) -> dict[str, Samples]:
    """What is taken out of a load of jobs of which no two are alike."""
    here = max(DIFFERING * jobs // 100_000, 1)
    with queue(here, alike=False) as cluster:
        found = Bench(cluster.env, here, rounds).tables()
    return {f"differing-{key}": pairs for key, pairs in found.items()}


def by_size(found: Mapping[int, Mapping[str, Samples | str]]) -> BySize:
    """Loads, and what is taken out of them, each with every number of jobs there was.

    Args:
        found: The number of jobs to what was measured with so many.
    """
    rows: BySize = {}
    for jobs, here in sorted(found.items()):
        for key in GROWING:
            samples = here.get(key)
            if isinstance(samples, Samples):
                rows.setdefault(key, {})[jobs] = samples
    return rows


def growth(rows: BySize) -> Samples | str:
    """The ratio to a load of what grows most with the number of jobs, with more and with fewer.

    Returns:
        The two, or why there are none.
    """
    steps = [
        (more.ratio / fewer.ratio, more.ratio, fewer.ratio)
        for row in rows.values()
        for fewer, more in itertools.combinations(row.values(), 2)
    ]
    if not steps:
        return "nothing was measured with two numbers of jobs"
    _, more, fewer = max(steps)
    return Samples([more], [fewer])


def about(cluster: LocalCluster) -> dict[str, dict[str, str]]:
    """The machine, which has no name here, and the versions."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)$", cpus, re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    implementation = platform.python_implementation()
    if implementation == "PyPy":
        implementation += " " + ".".join(map(str, sys.implementation.version[:3]))
    return {
        "machine": {
            "cores": str(os.cpu_count()),
            "cpu": model[1] if model else "unknown",
            "architecture": platform.machine(),
            "memory": f"{memory:.0f} GiB",
            "load": f"{os.getloadavg()[0]:.2f}",
        },
        "versions": {
            "slurmpy": slurmpy.__version__,
            "Slurm": cluster.run("scontrol", "--version").split()[-1],
            "Python": f"{platform.python_version()} ({implementation})",
            "cffi": version("cffi"),
            "pyperf": version("pyperf"),
            "libc": " ".join(platform.libc_ver()),
            "Linux": platform.release(),
        },
    }


def version(package: str) -> str:
    """The version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def result(row: Row, found: Samples | str) -> Result:
    """A row with its measurements, or with the reason for none."""
    return Result(row, None, found) if isinstance(found, str) else Result(row, found)


def rows_here() -> list[Row]:
    """The rows of this Python: pandas and pyarrow are not for PyPy."""
    if platform.python_implementation() != "PyPy":
        return list(ROWS)
    return [
        row for row in ROWS if not row.key.endswith(("frame", "arrow")) and row.key not in ON_PYPY
    ]


def count(text: str) -> int:
    """A number on the command line, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def file(text: str) -> Path:
    """A file on the command line, which can be written when all is measured."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no such folder: {path.parent}")
    return path


def program(text: str) -> str:
    """A program on the command line, whose path holds wherever it is started."""
    found = shutil.which(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"there is no such program: {text}")
    # Links are kept: by its own, a Python knows its environment.
    return str(Path(found).absolute())


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--jobs",
        type=count,
        default=100_000,
        help="job records; thrice as many at the end (100000)",
    )
    parser.add_argument("--steps", type=count, default=200, help="running steps (200)")
    parser.add_argument("--rounds", type=count, default=15, help="measurements of each side (15)")
    parser.add_argument(
        "--pypy",
        type=program,
        metavar="PYTHON",
        help="a PyPy in which slurmpy is installed, to be compared",
    )
    parser.add_argument("--json", type=file, metavar="FILE", help="where to write all of it")
    options = parser.parse_args()

    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with queue(options.jobs) as cluster:
        facts = about(cluster)
        found = Bench(cluster.env, options.jobs, options.rounds).of_records(options.pypy)
    sizes = {options.jobs: found, **of_other_sizes(options.jobs, options.rounds)}
    rows_by_size = by_size(sizes)
    found["growth"] = growth(rows_by_size)
    found.update(
        measured(lambda: of_differing(options.jobs, options.rounds), *OF_DIFFERING),
    )
    say(f"a cluster with {options.steps} running steps")
    found.update(measured(lambda: live(options.steps, options.rounds), "stats", "sstat"))
    results = [result(row, found.get(row.key, "nothing was measured")) for row in rows_here()]

    counts = {"jobs": options.jobs, "steps": options.steps, "rounds": options.rounds}
    shown = {name: ", ".join(f"{k} {v}" for k, v in fact.items()) for name, fact in facts.items()}
    print(table(results, {"date": date, **shown, **counts}))
    print(growth_table(rows_by_size))
    if options.json:
        rows = [result.to_dict() for result in results]
        grown = {
            key: {jobs: {"ratio": it.ratio, "values": it._asdict()} for jobs, it in row.items()}
            for key, row in rows_by_size.items()
        }
        text = json.dumps(
            {"date": date, **facts, **counts, "rows": rows, "growth": grown}, indent=1
        )
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0 if all(result.holds is not False for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
