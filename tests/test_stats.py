"""Live statistics, held against what sstat prints of the same steps at the same moment."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import (
    Job,
    Jobs,
    JobStatistics,
    JobStep,
    JobSteps,
    JobStepStatistics,
    StatisticsWarning,
    stats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Other

MIB = 2**20
NODES = ("n1", "n2", "n3")
TASKS_PER_NODE = 2

#: What each task of the step does, by its number: seconds of CPU time, MiB that it holds, MiB of
#: address space, MiB that it reads and writes, and pages that it reads of a file in no cache.
LOADS = {
    0: {"cpu": 3.0, "hold": 20, "map": 50, "read": 1.0, "write": 0.5, "pages": 150},
    1: {"cpu": 2.6, "hold": 90, "map": 60, "read": 1.5, "write": 0.7, "pages": 10},
    2: {"cpu": 2.8, "hold": 24, "map": 70, "read": 2.0, "write": 7.0, "pages": 15},
    3: {"cpu": 2.4, "hold": 28, "map": 900, "read": 2.5, "write": 0.9, "pages": 20},
    4: {"cpu": 1.3, "hold": 32, "map": 80, "read": 3.0, "write": 1.1, "pages": 25},
    5: {"cpu": 2.2, "hold": 36, "map": 90, "read": 9.0, "write": 1.3, "pages": 30},
}

#: The figure, the task that it is of, and what the task has more of than all others.
EXTREMES = {
    "max_page_faults": (0, "pages", 1),
    "max_resident_memory": (1, "hold", MIB),
    "max_disk_write": (2, "write", MIB),
    "max_virtual_memory": (3, "map", MIB),
    "min_cpu_time": (4, "cpu", 1),
    "max_disk_read": (5, "read", MIB),
}

#: What the interpreter that a task runs in may add to each; PyPy holds more.
MORE = {
    "cpu": 5,
    "hold": (60 if sys.implementation.name == "cpython" else 200) * MIB,
    "map": 150 * MIB,
    "read": 2 * MIB,
    "write": 2 * MIB,
    "pages": 5000,
}

TASK = """
import json, mmap, os, sys, time
folder, loads = sys.argv[1], json.loads(sys.argv[2])
rank = os.environ["SLURM_PROCID"]
load = loads[rank]
mib = 2**20
held = bytearray(os.urandom(mib)) * load["hold"]
mapped = mmap.mmap(-1, load["map"] * mib)
with open("/dev/zero", "rb", buffering=0) as file:
    for _ in range(int(load["read"] * 16)):
        file.read(mib // 16)
with open("/dev/null", "wb", buffering=0) as file:
    for _ in range(int(load["write"] * 16)):
        file.write(bytes(mib // 16))
path = os.path.join(folder, "pages-" + rank)
# Without a byte, and so in no cache; writing it would count too.
open(path, "w").close()
os.truncate(path, 4096 * load["pages"] * 64)
with open(path, "rb") as file:
    pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    pages.madvise(mmap.MADV_RANDOM)
    for number in range(load["pages"]):
        pages[number * 64 * 4096]
    del pages
os.unlink(path)
# The rest is CPU time: one half in the kernel, the other in the program, as the sampler cuts both
# to whole seconds. (os.urandom() does not enter the kernel with a newer C library.)
while os.times().system < load["cpu"] / 2:
    os.listdir("/proc")
while time.process_time() < load["cpu"]:
    sum(range(2500))
open(os.path.join(folder, "done-" + rank), "w").close()
time.sleep(600)
"""

#: sstat's columns for the figures that are times, and those that are numbers.
TIMES = {"avg_cpu_time": "AveCPU", "min_cpu_time": "MinCPU"}
NUMBERS = {
    "consumed_energy": "ConsumedEnergyRaw",
    "avg_disk_read": "AveDiskRead",
    "max_disk_read": "MaxDiskRead",
    "avg_disk_write": "AveDiskWrite",
    "max_disk_write": "MaxDiskWrite",
    "avg_page_faults": "AvePages",
    "max_page_faults": "MaxPages",
    "avg_resident_memory": "AveRSS",
    "max_resident_memory": "MaxRSS",
    "avg_virtual_memory": "AveVMSize",
    "max_virtual_memory": "MaxVMSize",
}
TASKS = {
    "max_disk_read": "MaxDiskRead",
    "max_disk_write": "MaxDiskWrite",
    "max_page_faults": "MaxPages",
    "max_resident_memory": "MaxRSS",
    "max_virtual_memory": "MaxVMSize",
    "min_cpu_time": "MinCPU",
}
COLUMNS = [
    "JobID",
    "NTasks",
    "AveCPUFreq",
    "TRESUsageInTot",
    *TIMES.values(),
    *NUMBERS.values(),
    *(f"{name}{what}" for name in TASKS.values() for what in ("Node", "Task")),
]


def sstat(tools: Other, job_id: int) -> dict[int | str, dict[str, str]]:
    """Step id to column to what sstat prints."""
    columns = f"--format={','.join(COLUMNS)}"
    text = tools.run(
        "sstat", "--allsteps", "--noconvert", "--parsable2", columns, f"--jobs={job_id}"
    )
    header, *lines = (line.split("|") for line in text.splitlines())
    assert header == COLUMNS
    rows = (dict(zip(header, line)) for line in lines)
    return {step_id(row["JobID"].partition(".")[2]): row for row in rows}


def process(tools: Other, command: str) -> int:
    """The id of the one process of this cluster with a command line, once it is there."""
    found: list[int] = []

    def is_there() -> bool:
        pids = subprocess.run(
            ["pgrep", "-f", command], capture_output=True, text=True, check=False
        ).stdout.split()
        found[:] = [int(pid) for pid in pids if is_ours(tools, int(pid))]
        # Before it becomes another program, a child has the command line of its parent.
        return len(found) == 1

    wait_for(is_there, otherwise=lambda: str(found))
    return found[0]


def daemon(tools: Other, node: str) -> int:
    """The process id of a node's slurmd."""
    return process(tools, f"slurmd.*-N {node}( |$)")


def is_ours(tools: Other, pid: int) -> bool:
    """Whether a process is of this cluster."""
    proc = Path(f"/proc/{pid}")
    try:
        texts = [(proc / name).read_text(errors="replace") for name in ("cmdline", "environ")]
        # A step's process has written its title over both; its log is open.
        texts += [str(file.readlink()) for file in (proc / "fd").iterdir()]
        return any(str(tools.folder) in text for text in texts)
    except OSError:
        return False


def step_id(text: str) -> int | str:
    """A step's id, from sstat's text."""
    return int(text) if text.isdecimal() else text


def seconds(text: str) -> int | None:
    """``"1-02:03:04"`` or ``"02:03.500"`` in whole seconds; None for none."""
    if not text:
        return None
    days, _, clock = text.rpartition("-")
    total = 0
    for part in clock.partition(".")[0].split(":"):
        total = total * 60 + int(part)
    return int(days or 0) * 86400 + total


def amount(text: str) -> int | None:
    """A number as sstat prints it: some in a unit even where it is told not to convert."""
    match = re.fullmatch(r"([0-9.]+)([KMG]?)", text)
    if match is None:
        assert not text
        return None
    scale: int = 1024 ** " KMG".index(match[2] or " ")
    return round(float(match[1]) * scale)


def kilohertz(text: str) -> int:
    """A frequency as sstat prints it, such as ``"2305.83K"``."""
    match = re.fullmatch(r"([0-9.]+)K?", text)
    assert match
    return int(float(match[1]))


def again(item: Any) -> Any:  # noqa: ANN401 - of whatever type it is
    """What comes out of a pickle."""
    return pickle.loads(pickle.dumps(item))  # noqa: S301 - it is our own


def uses_memory(job_id: int) -> bool:
    """Whether there are figures of a job: one that has just begun has none yet."""
    return Job(job_id).load_stats().resident_memory > 0


def wait_for_figures(tools: Other, *job_ids: int) -> None:
    """Until there are figures of all the jobs.

    A node that has not answered, as some tests see to it, gets no job until slurmctld has asked it
    again, which it does every 100 s: in a third of SlurmdTimeout.
    """
    wait_for(
        lambda: all(map(uses_memory, job_ids)),
        150,
        otherwise=lambda: tools.run("squeue") + tools.run("sinfo", "--Node", "--long"),
    )


@pytest.fixture(scope="module")
def tools(other_cluster: Callable[..., AbstractContextManager[Other]]) -> Iterator[Other]:
    """A cluster of three nodes that samples every second, and gives up on a node after six."""
    options = {
        "nodes": len(NODES),
        "cpus": 16,
        "memory": 16000,
        "extra_conf": "MessageTimeout=6\nPrologFlags=Contain",
    }
    with other_cluster(options) as tools:
        yield tools


@pytest.fixture(scope="module")
def job_id(tools: Other) -> int:
    """A job with a step whose tasks have done all that they do."""
    folder = tools.folder / "loads"
    folder.mkdir(mode=0o777)
    (folder / "task.py").write_text(TASK)
    command = ["srun", sys.executable, str(folder / "task.py"), str(folder), json.dumps(LOADS)]
    job_id = tools.submit(
        f"--nodes={len(NODES)}",
        f"--ntasks-per-node={TASKS_PER_NODE}",
        "--distribution=block",
        "--mem=2000",
        "--wrap",
        shlex.join(command),
    )
    wait_for(lambda: len(list(folder.glob("done-*"))) == len(LOADS), 90)
    return job_id


@pytest.fixture(scope="module")
def same_moment(tools: Other, job_id: int) -> tuple[Job, dict[int | str, dict[str, str]]]:
    """The job with its figures, and what sstat has printed both before and after them."""
    job = Job.load(job_id)
    deadline = time.monotonic() + 60
    while True:
        before = sstat(tools, job_id)
        job.load_stats()
        if before == sstat(tools, job_id) and enough(job):
            return job, before
        assert time.monotonic() < deadline


def enough(job: Job) -> bool:
    """Whether the last sample has seen all of what the tasks have done."""
    found = job.steps[0].stats
    return found.total_cpu_time is not None and found.total_cpu_time >= int(
        sum(load["cpu"] for load in LOADS.values())
    )


@pytest.mark.parametrize("step", ["batch", "extern", 0])
def test_every_figure_is_what_sstat_prints(
    same_moment: tuple[Job, dict[int | str, dict[str, str]]], step: int | str
) -> None:
    job, rows = same_moment
    assert set(rows) == set(job.steps) == {"batch", "extern", 0}
    row, found = rows[step], job.steps[step].stats
    usage = dict(item.split("=") for item in row["TRESUsageInTot"].split(","))
    if "cpu" not in usage:
        # From 26.05 on, no process is in the extern step, and sstat has a time for it all the same.
        assert (step, usage) == ("extern", {"energy": "0"})
        assert not any(job.steps[step].pids.values())
        row = {**row, "AveCPU": ""}
    assert found.total_cpu_time == seconds(usage.get("cpu", ""))
    for name, column in TIMES.items():
        assert getattr(found, name) == seconds(row[column]), name
    for name, column in NUMBERS.items():
        # One that is 1 is printed as "1.00M", in whatever unit.
        expected = 1 if row[column] == "1.00M" else amount(row[column])
        assert getattr(found, name) == expected, name
    for name, column in TASKS.items():
        assert (getattr(found, f"{name}_node") or "") == row[f"{column}Node"], name
        assert getattr(found, f"{name}_task") == amount(row[f"{column}Task"]), name
    assert found.avg_cpu_frequency == kilohertz(row["AveCPUFreq"])
    assert job.steps[step].ntasks == int(row["NTasks"])


def test_the_step_is_what_its_tasks_did(
    same_moment: tuple[Job, dict[int | str, dict[str, str]]],
) -> None:
    found = same_moment[0].steps[0].stats
    for name, (task, what, unit) in EXTREMES.items():
        assert getattr(found, f"{name}_task") == task
        assert getattr(found, f"{name}_node") == NODES[task // TASKS_PER_NODE]
        most = LOADS[task][what] * unit
        assert int(most * 0.9) <= getattr(found, name) <= most + MORE[what], name
    for name in ("page_faults", "resident_memory", "virtual_memory", "disk_read", "disk_write"):
        assert 0 < getattr(found, f"avg_{name}") < getattr(found, f"max_{name}"), name
    for what in ("read", "write"):
        parts_of_16 = sum(int(load[what] * 16) for load in LOADS.values())
        done = parts_of_16 * MIB / 16 / len(LOADS)
        # And what Python reads when it starts.
        assert done <= getattr(found, f"avg_disk_{what}") < done + 2 * MIB
    assert found.min_cpu_time is not None
    assert found.avg_cpu_time is not None
    assert found.total_cpu_time is not None
    assert 0 < found.min_cpu_time < found.avg_cpu_time < found.total_cpu_time
    assert found.avg_cpu_time == found.total_cpu_time // len(LOADS)
    # A task's seconds are whole ones before they are summed.
    assert found.user_cpu_time
    assert found.system_cpu_time
    parts = found.user_cpu_time + found.system_cpu_time
    assert found.total_cpu_time - 2 * len(LOADS) <= parts <= found.total_cpu_time
    assert found.avg_cpu_frequency
    # No sampler of energy is configured: see below for one.
    assert found.consumed_energy == 0


def test_elapsed_time(same_moment: tuple[Job, dict[int | str, dict[str, str]]]) -> None:
    job, _ = same_moment
    step = job.steps[0]
    assert step.cpus
    assert step.start_time
    # It is that of the moment of the answer, and a batch script has no CPUs of its own.
    assert step.run_time * step.cpus <= step.stats.elapsed_cpu_time
    assert job.stats.elapsed_cpu_time == step.stats.elapsed_cpu_time > 0
    loaded = JobStep.load(job.id, 0)
    time.sleep(2.1)
    elapsed = loaded.load_stats().elapsed_cpu_time
    assert (loaded.run_time + 2) * step.cpus <= elapsed
    assert elapsed <= (time.time() - step.start_time + 1) * step.cpus


def test_a_job_is_the_sum_of_its_steps(
    same_moment: tuple[Job, dict[int | str, dict[str, str]]],
) -> None:
    job, rows = same_moment
    found = job.stats.to_dict()
    assert list(found) == [
        *("total_cpu_time", "user_cpu_time", "system_cpu_time", "elapsed_cpu_time"),
        *("consumed_energy", "disk_read", "disk_write", "page_faults"),
        *("resident_memory", "virtual_memory"),
    ]
    for name, column in (
        ("disk_read", "AveDiskRead"),
        ("disk_write", "AveDiskWrite"),
        ("page_faults", "AvePages"),
    ):
        numbers = [1 if row[column] == "1.00M" else amount(row[column]) for row in rows.values()]
        assert found[name] == sum(map(int, filter(None, numbers)))
    for name, column in (("resident_memory", "MaxRSS"), ("virtual_memory", "MaxVMSize")):
        assert found[name] == max(filter(None, (amount(row[column]) for row in rows.values())))
    of_steps = [step.stats for step in job.steps.values()]
    for name in ("total_cpu_time", "user_cpu_time", "system_cpu_time", "consumed_energy"):
        assert found[name] == sum(getattr(step, name) or 0 for step in of_steps)
    assert job.load_stats() is job.stats


def test_process_ids(same_moment: tuple[Job, dict[int | str, dict[str, str]]]) -> None:
    job, _ = same_moment
    step = job.steps[0]
    assert list(step.pids) == list(NODES)
    for node, pids in step.pids.items():
        ours = [pid for pid in pids if "task.py" in Path(f"/proc/{pid}/cmdline").read_text()]
        names = [Path(f"/proc/{pid}/environ").read_text() for pid in ours]
        # On the first node, srun's own command line has the name of the script too.
        tasks = [text for text in names if f"SLURMD_NODENAME={node}\0" in text]
        assert len([text for text in tasks if "SLURM_PROCID" in text]) >= TASKS_PER_NODE
    assert set(job.pids) == set(NODES)
    for node in NODES:
        of_steps = [pid for each in job.steps.values() for pid in each.pids.get(node, [])]
        assert sorted(job.pids[node]) == sorted(of_steps)
        assert set(step.pids[node]) <= set(of_steps)
    assert set(job.steps["batch"].pids["n1"]).isdisjoint(step.pids["n1"])


def test_one_step(same_moment: tuple[Job, dict[int | str, dict[str, str]]]) -> None:
    job, _ = same_moment
    step = JobStep(job.id, 0)
    assert step.stats == JobStepStatistics()
    assert step.pids == {}
    found = step.load_stats()
    assert found is step.stats
    assert found.max_disk_read == job.steps[0].stats.max_disk_read
    assert step.pids.keys() == job.steps[0].pids.keys()
    assert list(found.to_dict()) == list(JobStepStatistics.__dataclass_fields__)
    assert found.to_dict()["max_disk_read"] == found.max_disk_read


def test_a_collection_is_the_sum_of_its_jobs(tools: Other, job_id: int) -> None:
    other = tools.submit("--mem=10", "--wrap", "sleep 600")
    waiting = tools.submit("--mem=10", "--hold", "--wrap", "true")
    ended = tools.submit("--mem=10", "--wrap", "true")
    Job(ended).wait(60)
    wait_for_figures(tools, other)
    with Jobs.load() as jobs:
        assert jobs.stats == JobStatistics()
        assert jobs[job_id].stats == JobStatistics()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            total = jobs.load_stats()
        assert total is jobs.stats
        assert total.errors == {}
        for name, value in total.to_dict().items():
            assert value == sum(getattr(job.stats, name) for job in jobs.values()), name
        assert total.resident_memory > jobs[job_id].stats.resident_memory > 0
        assert jobs[other].stats.virtual_memory > 0
        assert jobs[waiting].stats == jobs[ended].stats == JobStatistics()
        assert list(jobs[other].pids) == ["n1"]
        assert jobs[waiting].pids == {}
        assert jobs[job_id].steps[0].stats.max_disk_read_task == 5
        some = Jobs([other])
        assert some.load_stats().resident_memory == some[other].stats.resident_memory > 0
        # A job that has ended meanwhile uses nothing any more.
        Job(other).cancel()
        Job(other).wait(60)
        assert some.load_stats() == some[other].stats == JobStatistics()
        assert jobs.load_stats().resident_memory == jobs[job_id].stats.resident_memory > 0
        assert jobs[other].stats == JobStatistics()
    Job(waiting).cancel()


def test_what_is_known_travels(same_moment: tuple[Job, dict[int | str, dict[str, str]]]) -> None:
    job, _ = same_moment
    for other in (copy.copy(job), again(job)):
        assert other.stats == job.stats
        assert other.pids == job.pids
        assert other.steps == job.steps
        assert other.steps[0].stats == job.steps[0].stats
        assert other.steps[0].to_dict() == job.steps[0].to_dict()
        # And can be asked for again.
        assert other.load_stats().disk_read >= job.stats.disk_read


def test_jobs_without_steps(tools: Other) -> None:
    waiting = Job(tools.submit("--hold", "--wrap", "true")).reload()
    assert waiting.load_stats() == JobStatistics()
    assert waiting.steps == {}
    ended = Job(tools.submit("--mem=10", "--wrap", "true")).wait(60)
    assert ended.load_stats() == JobStatistics()
    # Also where it was not loaded before.
    assert Job(ended.id).load_stats() == JobStatistics()
    with pytest.raises(slurmpy.InvalidJobId, match="loading the steps of job 99999"):
        Job(99999).load_stats()
    waiting.cancel()


def test_a_step_that_has_ended_meanwhile(tools: Other) -> None:
    job = Job(tools.submit("--mem=100", "--wrap", "srun --mem=10 sleep 600 & sleep 600")).reload()
    wait_for(lambda: 0 in job.reload().steps)
    steps = job.steps
    JobStep(job.id, 0).cancel()
    wait_for(lambda: 0 not in JobSteps.load(job))
    with pytest.raises(slurmpy.InvalidJobId, match=f"statistics of step 0 of job {job.id}"):
        steps[0].load_stats()
    # Of the steps that were there, it alone does not count.
    [found] = stats.load({job.id: steps}, 4, 60).values()
    assert found.errors == {}
    batch, extern = steps["batch"].stats, steps["extern"].stats
    # From 26.05 on, no process is in the extern step.
    assert found.disk_read == (batch.avg_disk_read or 0) + (extern.avg_disk_read or 0) > 0
    assert steps[0].stats == JobStepStatistics()
    job.cancel()


def half_ended(tools: Other) -> int:
    """A job whose step has ended on one of its two nodes, of which sstat prints nothing."""
    mark = tools.folder / f"ended-{time.monotonic_ns()}"
    task = f"touch {mark}-$SLURM_PROCID; if [ $SLURM_PROCID -gt 0 ]; then sleep 600; fi"
    options = ("--nodes=2", "--nodelist=n1,n2", "--ntasks=2", "--mem=60")
    number = tools.submit(*options, "--wrap", f"srun --mem=10 sh -c '{task}'; true")
    # sstat prints nothing of one that has not begun everywhere either.
    wait_for(lambda: all(Path(f"{mark}-{task}").exists() for task in (0, 1)))
    wait_for(lambda: 0 not in sstat(tools, number) and "batch" in sstat(tools, number))
    return number


def test_a_step_that_has_ended_on_one_of_its_nodes(tools: Other) -> None:
    """Of which sstat prints nothing, though it runs on the others."""
    job = Job(half_ended(tools))
    with pytest.raises(slurmpy.InvalidJobId, match="has ended, or has not begun, on one of its"):
        JobStep.load(job, 0).load_stats()
    job.load_stats()
    assert job.steps[0].stats == JobStepStatistics()
    assert set(job.pids) == {"n1", "n2"}
    job.cancel()


@pytest.mark.slow
def test_steps_that_end_all_the_time(tools: Other) -> None:
    """One of them is asked for just when it ends, sooner or later."""
    script = "while true; do srun --mem=10 true; done"
    job_ids = [tools.submit("--mem=100", "--wrap", script) for _ in range(2)]
    wait_for(lambda: all("batch" in Job.load(job_id).steps for job_id in job_ids))
    seen: set[tuple[int, int | str]] = set()
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jobs = Jobs(job_ids)
        while time.monotonic() < began + (8 if len(seen) > 10 else 90):
            assert jobs.load_stats().errors == {}
            seen |= {(job.id, step) for job in jobs.values() for step in job.steps}
    assert len(seen) > 10
    wait_for_figures(tools, *job_ids)
    jobs.cancel()


AS_USER = """
import json, logging, os, sys, warnings
import slurmpy
# What is imported later may be where others cannot read.
from slurmpy import Job, Jobs, StatisticsWarning, steps
slurmpy.init()
os.setgid(65534)
os.setuid(65534)
theirs, own = json.loads(sys.argv[1])
jobs = Jobs([theirs, own])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    total = jobs.load_stats()
try:
    Job(theirs).load_stats()
except slurmpy.AccessDenied as error:
    refusal = str(error)
print(json.dumps({
    "errors": {job: type(error).__name__ for job, error in total.errors.items()},
    "own": jobs[own].stats.resident_memory,
    "theirs": jobs[theirs].stats.to_dict(),
    "steps": sorted(map(str, jobs[theirs].stats.errors)),
    "total": total.resident_memory,
    "warnings": [[str(w.message), issubclass(w.category, StatisticsWarning)] for w in caught],
    "refusal": refusal,
}))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_users_job_is_refused_by_itself(tools: Other, job_id: int) -> None:
    own = tools.submit("--mem=10", "--uid=65534", "--chdir=/", "--wrap", "sleep 600")
    wait_for_figures(tools, own)
    printed = tools.python(AS_USER, json.dumps([job_id, own]))
    found: dict[str, Any] = json.loads(printed)
    assert found["errors"] == {str(job_id): "AccessDenied"}
    assert found["own"] == found["total"] > 0
    assert set(found["theirs"].values()) == {0}
    assert found["steps"] == ["0", "batch", "extern"]
    [[text, is_ours]] = found["warnings"]
    assert is_ours
    assert text.startswith("1 of 2 jobs have no statistics, see stats.errors: ")
    assert f"of job {job_id}: " in text
    assert "loading statistics of step" in found["refusal"]
    Job(own).cancel()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that is stopped for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_a_node_that_does_not_answer(tools: Other, job_id: int) -> None:
    fine = tools.submit("--mem=10", "--nodelist=n1", "--wrap", "sleep 600")
    stuck = tools.submit("--mem=10", "--nodelist=n3", "--wrap", "sleep 600")
    wait_for_figures(tools, fine, stuck)
    jobs = Jobs([job_id, fine, stuck])
    with stopped(daemon(tools, "n3")):
        start = time.monotonic()
        with pytest.warns(StatisticsWarning, match="2 of 3 jobs have no statistics") as caught:
            jobs.load_stats()
        # At Slurm's own MessageTimeout.
        assert time.monotonic() - start > 5
        assert caught[0].filename == __file__
        check_silent(jobs, {job_id, stuck})
        of_fine = tools.run("scontrol", "show", "job", str(fine))
        assert jobs[fine].stats.resident_memory > 0, of_fine
        # What the others have is not part of anything.
        assert jobs.stats.to_dict() == jobs[fine].stats.to_dict()
        assert set(jobs[job_id].stats.errors) == {"extern", 0}
        assert set(jobs[stuck].stats.errors) == {"batch", "extern"}

        start = time.monotonic()
        with pytest.warns(StatisticsWarning, match="n1, n2, n3 did not all answer within 4 s"):
            jobs.load_stats(timeout=4)
        assert 3.9 < time.monotonic() - start < 30
        check_silent(jobs, {job_id, stuck})
        assert jobs.stats.resident_memory == jobs[fine].stats.resident_memory > 0

        start = time.monotonic()
        with pytest.raises(slurmpy.NodeUnreachable, match=f"of job {job_id}: ") as raised:
            Job(job_id).load_stats(timeout=1)
        assert time.monotonic() - start < 30
        assert isinstance(raised.value, ConnectionError)
        with pytest.raises(slurmpy.NodeUnreachable, match="no answer from n3: ") as raised:
            JobStep.load(stuck, "batch").load_stats()
        assert raised.value.nodes == ["n3"]
        copied = again(raised.value)
        assert (str(copied), copied.nodes) == (str(raised.value), ["n3"])
    wait_for(lambda: not Jobs([stuck]).load_stats().errors)
    Jobs([fine, stuck]).cancel()


@pytest.mark.slow
def test_steps_that_are_stuck(tools: Other) -> None:
    """Their node answers for other steps, which are asked for after them."""
    ids = [tools.submit("--mem=10", "--nodelist=n2", "--wrap", "sleep 600") for _ in range(4)]
    wait_for_figures(tools, *ids)
    jobs = Jobs(ids)
    # In this order they are asked for.
    jobs.load_steps()
    order = [job_id for job_id in JobSteps.load_all() if job_id in ids]
    assert len(order) == 4, tools.run("scontrol", "show", "job")
    stuck, fine = order[1:3], [order[0], order[3]]
    first, second = (process(tools, rf"slurmstepd: \[{job_id}.batch\]") for job_id in stuck)
    with stopped(first), stopped(second):
        with pytest.warns(StatisticsWarning, match="2 of 4 jobs"):
            jobs.load_stats(threads=1)
        assert set(jobs.stats.errors) == set(stuck)
        assert all(jobs[job].stats.virtual_memory for job in fine)
    jobs.cancel()


@pytest.mark.slow
def test_a_silent_node_beside_one_where_the_step_has_ended(tools: Other) -> None:
    """Which of the two is silent, libslurm does not tell; the other costs no job its figures."""
    mixed = half_ended(tools)
    fine = tools.submit("--mem=10", "--nodelist=n1", "--wrap", "sleep 600")
    wait_for_figures(tools, fine)
    step = JobStep.load(mixed, 0)
    with stopped(daemon(tools, "n2")):
        jobs = Jobs([mixed, fine])
        with pytest.warns(StatisticsWarning, match="1 of 2 jobs"):
            jobs.load_stats()
        assert set(jobs.stats.errors) == {mixed}
        assert jobs[fine].stats.resident_memory > 0
        error = jobs[mixed].stats.errors[0]
        assert isinstance(error, slurmpy.NodeUnreachable)
        assert error.nodes == step.allocated_nodes == ["n1", "n2"]
        assert "no answer from n1, n2 or from one of them: " in str(error)
    jobs.cancel()


def test_no_more_at_once_than_wanted(tools: Other) -> None:
    def at_work() -> int:
        return sum(thread.name == "slurmpy-stats" for thread in threading.enumerate())

    ids = [tools.submit("--mem=10", "--nodelist=n3", "--wrap", "sleep 600") for _ in range(3)]
    wait_for_figures(tools, *ids)
    wait_for(lambda: not at_work())
    jobs = Jobs(ids)
    with stopped(daemon(tools, "n3")):
        with pytest.warns(StatisticsWarning, match="3 of 3 jobs"):
            jobs.load_stats(threads=2, timeout=1)
        # Those that were begun by then go on, and begin no other.
        assert at_work() == 2
    wait_for(lambda: not at_work())
    jobs.cancel()


def check_silent(jobs: Jobs, expected: set[int]) -> None:
    """The jobs that have no figures, each for a node that does not answer."""
    assert set(jobs.stats.errors) == expected
    for job in expected:
        error = jobs.stats.errors[job]
        assert isinstance(error, slurmpy.NodeUnreachable)
        assert "n3" in error.nodes
        assert set(jobs[job].stats.to_dict().values()) == {0}


def test_a_process_can_end_while_a_node_does_not_answer(tools: Other, job_id: int) -> None:
    code = (
        "import sys, time, slurmpy, warnings; warnings.simplefilter('ignore'); "
        "print(slurmpy.Jobs([int(sys.argv[1])]).load_stats(timeout=0.5).errors, flush=True); "
        "print(time.monotonic())"
    )
    with stopped(daemon(tools, "n3")):
        printed = tools.python(code, str(job_id))
        ended = time.monotonic()
    errors, came_to_its_end = printed.splitlines()
    assert "NodeUnreachable" in errors
    assert ended - float(came_to_its_end) < 4


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"threads": 0}, ValueError),
        ({"threads": 1.5}, TypeError),
        ({"threads": True}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": "1"}, TypeError),
    ],
)
def test_limits_that_are_none(limits: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(limits))):
        Jobs().load_stats(**limits)
    with pytest.raises(error):
        Job(1).load_stats(**limits)


@pytest.mark.parametrize("timeout", [float("inf"), 1e10, 10**400, None])
def test_without_end(tools: Other, job_id: int, timeout: float | None) -> None:
    assert tools.env
    assert Job(job_id).load_stats(timeout=timeout).resident_memory > 0


def test_a_step_whose_turn_did_not_come(tools: Other, job_id: int) -> None:
    """Its nodes are not said to be silent, as they were not asked."""
    assert tools.env
    jobs = Jobs([job_id])
    with pytest.warns(StatisticsWarning):
        jobs.load_stats(threads=1, timeout=1e-9)
    errors = jobs[job_id].stats.errors
    assert set(errors) == {"batch", "extern", 0}
    words = "it was not its turn within 1e-09 s"
    unasked = [error for error in errors.values() if words in str(error)]
    assert len(unasked) >= 2
    assert {type(error) for error in unasked} == {slurmpy.RPCError}


def test_figures_go_with_the_steps(tools: Other, job_id: int) -> None:
    assert tools.env
    jobs = Jobs([job_id])
    jobs.load_stats()
    assert jobs.stats.resident_memory == jobs[job_id].stats.resident_memory > 0
    assert jobs.copy().stats == jobs.stats
    jobs.load_steps()
    assert jobs.stats == jobs[job_id].stats == JobStatistics()
    assert jobs[job_id].pids == {}
    loaded = Jobs.load()
    loaded.load_stats()
    Job(tools.submit("--hold", "--wrap", "true")).cancel()
    assert loaded.reload().stats == loaded[job_id].stats == JobStatistics()
    with pytest.raises(slurmpy.NotLoaded):
        _ = loaded[job_id].steps
    job = Job(job_id)
    job.load_stats()
    assert job.pids
    assert job.reload().stats == JobStatistics()
    assert job.pids == {}


def test_copies_share_nothing(tools: Other, job_id: int) -> None:
    assert tools.env
    jobs = Jobs.load()
    jobs.load_stats()
    job = jobs[job_id]
    for other in (copy.copy(job), copy.deepcopy(job), again(job)):
        assert other.stats == job.stats
        assert other.stats is not job.stats
        assert other.steps is not job.steps
        for name, step in other.steps.items():
            assert step == job.steps[name]
            assert step is not job.steps[name]
            assert step.stats == job.steps[name].stats
            assert step.stats is not job.steps[name].stats
            assert step.pids == job.steps[name].pids
            assert step.pids is not job.steps[name].pids
            # Its memory is its own, and not that of the steps of all jobs.
            assert step._record[1].message is not job.steps[name]._record[1].message


def test_copies_of_what_was_never_loaded_have_the_figures(tools: Other, job_id: int) -> None:
    assert tools.env
    job, step = Job(job_id), JobStep(job_id, 0)
    job.load_stats()
    step.load_stats()
    job.stats.errors["x"] = slurmpy.SlurmError()
    for other in (copy.copy(job), copy.deepcopy(job), again(job)):
        assert other.stats == job.stats != JobStatistics()
        assert other.stats.errors is not job.stats.errors
        assert other.pids == job.pids != {}
        assert other.steps == job.steps
        with pytest.raises(slurmpy.NotLoaded):
            _ = other.name
    for same in (copy.copy(step), again(step), copy.copy(JobSteps([step]))[0]):
        assert same.stats == step.stats != JobStepStatistics()
        assert same.pids == step.pids != {}


def test_a_job_that_has_begun_since_it_was_loaded(tools: Other) -> None:
    job = Job.load(tools.submit("--hold", "--mem=10", "--wrap", "sleep 600"))
    job.release()
    wait_for(lambda: job.load_stats().resident_memory > 0)
    assert job.state == "PENDING"
    with pytest.raises(TimeoutError):
        job.wait(timeout=0)
    assert job.stats == JobStatistics()
    job.cancel()


def test_a_job_of_another_cluster_is_not_passed_over(tools: Other, job_id: int) -> None:
    assert tools.env
    other = Job(7)
    other._cluster = "elsewhere"
    jobs = Jobs([job_id])
    jobs.add(other)
    with pytest.warns(StatisticsWarning, match="1 of 2 jobs .* job 7 is of the cluster elsewhere"):
        jobs.load_stats()
    assert set(jobs.stats.errors) == {("elsewhere", 7)}
    assert isinstance(jobs.stats.errors["elsewhere", 7], slurmpy.ConfigurationError)
    assert jobs.stats.resident_memory > 0


def test_one_thread_is_enough(tools: Other, job_id: int) -> None:
    assert tools.env
    jobs = Jobs([job_id])
    jobs.load_stats(threads=1, timeout=None)
    assert jobs[job_id].steps[0].stats.max_resident_memory_task == 1


def test_without_a_sampler(
    other_cluster: Callable[..., AbstractContextManager[Other]],
) -> None:
    options = {"nodes": 1, "extra_conf": "JobAcctGatherType=jobacct_gather/none"}
    with other_cluster(options) as tools:
        job = Job(tools.submit("--mem=10", "--wrap", "sleep 600"))
        wait_for(lambda: "batch" in job.reload().steps)
        wait_for(lambda: job.load_stats().elapsed_cpu_time == 0 and job.pids)
        found = job.steps["batch"].stats.to_dict()
        for name in ("elapsed_cpu_time", "avg_cpu_frequency", "consumed_energy"):
            assert found.pop(name) == 0
        assert set(found.values()) == {None}
        assert job.stats == JobStatistics()


# Energy has a plugin for machines of Cray, which reads files. Here they are made up, in /sys as
# this process alone sees it: 25 joules more every half a second.
ENERGY = """
import json, os, pathlib, sys, threading, time
import slurmpy
from slurmpy import Job, JobSteps
from slurmpy.testing import LocalCluster

folder = pathlib.Path("/sys/cray/pm_counters")
folder.mkdir(parents=True)

enough = threading.Event()

def consume():
    joules = 0
    while not enough.is_set():
        joules += 25
        (folder / "new").write_text(f"{joules} J\\n")
        (folder / "new").rename(folder / "energy")
        time.sleep(0.5)

(folder / "power").write_text("50 W\\n")
threading.Thread(target=consume, daemon=True).start()
lines = "AcctGatherEnergyType=acct_gather_energy/pm_counters\\nAcctGatherNodeFreq=1"
with LocalCluster(nodes=2, cpus=4, extra_conf=lines) as cluster:
    words = folder / "words"
    words.touch()
    command = ("sbatch", "--parsable", f"--output={words}", "--nodes=2", "--mem=10")
    job = Job(int(cluster.run(*command, "--wrap", "srun --verbose sleep 600; true")))
    columns = ("--noconvert", "--parsable2", "--noheader", "--format=JobID,ConsumedEnergyRaw")
    deadline = time.monotonic() + 90
    before, energy = "", 0
    while True:
        if time.monotonic() > deadline:
            squeue = cluster.run("squeue", "--steps") + cluster.run("squeue")
            sys.exit(f"{before}{energy}\\n{squeue}{words.read_text()}")
        before = cluster.run("sstat", "--allsteps", *columns, f"--jobs={job.id}")
        energy = job.load_stats().consumed_energy
        after = cluster.run("sstat", "--allsteps", *columns, f"--jobs={job.id}")
        if enough.is_set() and before == after and len(job.steps) == 2:
            break
        # What goes on could not be looked at twice in one moment.
        if energy >= 500:
            enough.set()
    steps = {str(name): step.stats.consumed_energy for name, step in job.steps.items()}
    print(json.dumps([before.split(), energy, steps]))
"""

#: /sys with room for one more folder, in a namespace of one's own.
WITH_SYS = """
mount --rbind /sys "$0" && mount -t tmpfs none /sys &&
for entry in "$0"/*; do
    mkdir /sys/"${entry##*/}" && mount --rbind "$entry" /sys/"${entry##*/}" || exit
done
exec "$@"
"""
UNSHARE = ("unshare", "--mount", "--propagation", "private")


@pytest.mark.skipif(
    subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0,
    reason="this user can have no namespace of their own",
)
def test_energy(tmp_path: Path) -> None:
    run = subprocess.run(
        [*UNSHARE, "sh", "-c", WITH_SYS, tmp_path, sys.executable, "-c", ENERGY],
        cwd=Path(slurmpy.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr
    rows, energy, steps = json.loads(run.stdout)
    printed = dict(row.split("|") for row in rows)
    assert {name.partition(".")[2]: int(joules) for name, joules in printed.items()} == steps
    # The step of both nodes has what both have used.
    assert steps["0"] > steps["batch"] > 0
    assert energy == sum(steps.values()) >= 500


# What malloc() has given away for each round of something, in bytes.
GROWTH = """
import json, sys
import slurmpy
from slurmpy import Job, Jobs, JobSteps, JobStep
from slurmpy._ffi import ffi, lib

slurmpy.init()
libslurm = ctypes.CDLL(f"libslurm.so.{lib.slurm_api_version() >> 16}")
job_id = int(sys.argv[1])
jobs = Jobs([job_id])

def by_libslurm_alone():
    out = ffi.new("job_step_info_response_msg_t **")
    lib.slurmpy_load_steps(ffi.NULL, lib.NO_VAL, out)
    address = int(ffi.cast("uintptr_t", out[0]))
    libslurm.slurm_free_job_step_info_response_msg(ctypes.c_void_p(address))

def layout():
    job = Job(job_id)
    job._record = loaded._record
    job._record[1].threads = None
    job.get_resource_layout_per_node()

loaded = Job.load(job_id)
rounds = {
    "by libslurm alone": by_libslurm_alone,
    "steps": lambda: JobSteps.load(job_id).to_dict(),
    "all steps": lambda: (jobs.load_steps(), jobs[job_id].steps),
    "step": lambda: JobStep.load(job_id, 0).load_stats(),
    "stats": lambda: jobs.load_stats(),
    "layout": layout,
}
stop_compiling()
if sys.implementation.name == "pypy":
    # Which starts threads, of which PyPy keeps much for long: test_soak has more rounds of it.
    del rounds["stats"]
grown = {}
for name, action in rounds.items():
    for _ in range(20):
        action()
    grown[name] = growth(action, 100)
print(json.dumps(grown))
"""


@pytest.mark.slow
def test_no_memory_is_lost(tools: Other, job_id: int, used: str) -> None:
    printed = tools.python(used + GROWTH, str(job_id))
    growth: dict[str, float] = json.loads(printed)
    command = JobStep.load(job_id, 0).command
    assert command
    # libslurm's own function forgets the command line, and the test sees it.
    assert growth.pop("by libslurm alone") > len(command)
    assert max(growth.values()) < len(command) / 2, growth


@pytest.mark.slow
def test_a_node_that_is_gone(tools: Other) -> None:
    """The last of this module, as the node does not come back."""
    fine = tools.submit("--mem=10", "--nodelist=n1", "--wrap", "sleep 600")
    lost = tools.submit("--mem=10", "--nodelist=n2", "--no-requeue", "--wrap", "sleep 600")
    wait_for_figures(tools, fine, lost)
    os.kill(daemon(tools, "n2"), signal.SIGKILL)
    jobs = Jobs([fine, lost])
    with pytest.warns(StatisticsWarning, match="1 of 2 jobs have no statistics"):
        jobs.load_stats()
    assert set(jobs.stats.errors) == {lost}
    assert jobs.stats.errors[lost].nodes == ["n2"]  # type: ignore[attr-defined]
    # Which would keep what the call had at hand.
    assert jobs.stats.errors[lost].__traceback__ is None
    assert jobs[fine].stats.resident_memory > 0
    Jobs([fine, lost]).cancel()
