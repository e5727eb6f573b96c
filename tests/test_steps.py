"""Steps: what is known of them, held against scontrol, and what is done to them."""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_for

import slurmpy
from slurmpy import (
    Job,
    Jobs,
    JobStatistics,
    JobStep,
    JobSteps,
    JobStepStatistics,
    JobSubmitDescription,
    TaskDistribution,
    UnsupportedField,
)
from slurmpy._ffi import MAJOR, ffi
from slurmpy._records import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from conftest import Other

HAS_PATHS = "std_out" in dict(ffi.typeof("job_step_info_t").fields)

#: What a step promises, each with its types.
ATTRIBUTES: dict[str, tuple[type, ...]] = {
    "id": (int, str),
    "job_id": (int,),
    "name": (str,),
    "user_id": (int,),
    "user_name": (str,),
    "partition": (str,),
    "state": (str,),
    "cluster": (str,),
    "network": (str,),
    "container": (str,),
    "time_limit": (int,),
    "cpu_frequency_min": (int, str),
    "cpu_frequency_max": (int, str),
    "cpu_frequency_governor": (int, str),
    "reserved_ports": (str,),
    "srun_host": (str,),
    "srun_process_id": (int,),
    "array_id": (int,),
    "array_task_id": (int,),
    "allocated_nodes": (list,),
    "start_time": (int,),
    "run_time": (int,),
    "run_time_remaining": (int,),
    "elapsed_cpu_time": (int,),
    "cpus": (int,),
    "ntasks": (int,),
    "distribution": (TaskDistribution,),
    "command": (str,),
    "alloc_tres": (dict,),
    "standard_input": (str,),
    "standard_output": (str,),
    "standard_error": (str,),
}
NEEDS_25_05 = {"standard_input", "standard_output", "standard_error"}


def show_step(tools: Other, name: str, job_id: int = 0) -> dict[str, str]:
    """What ``scontrol show step`` prints of one step; an array's is asked for by its own id."""
    # Of a list of all, 22.05 leaves arrays out; by the name of a task, 24.11 finds the last.
    named = [f"{job_id}.{name.partition('.')[2]}"] if "_" in name else []
    text = tools.run("scontrol", "--oneliner", "show", "step", *named)
    lines = [line for line in text.splitlines() if line.startswith(f"StepId={name} ")]
    if not lines and "+" in name:
        # 26.05 prints all components of a step by the same name, in their order.
        name, _, component = name.partition("+")
        lines = [line for line in text.splitlines() if line.startswith(f"StepId={name} ")]
        lines = lines[int(component) :][:1]
    assert len(lines) == 1, text
    return dict(item.split("=", 1) for item in lines[0].split() if "=" in item)


def rpcs(tools: Other, name: str) -> int:
    """How many messages of a kind slurmctld has got."""
    match = re.search(rf"\s{name}\s+\(\s*[0-9]+\)\s+count:([0-9]+)", tools.run("sdiag"))
    assert match
    return int(match[1])


@pytest.fixture(scope="module")
def tools(other_cluster: Callable[..., AbstractContextManager[Other]]) -> Iterator[Other]:
    """A cluster of three nodes, where each job has an extern step, and salloc starts a shell."""
    options = {
        "nodes": 3,
        "cpus": 16,
        "memory": 16000,
        "gpus": 2,
        "extra_conf": "PrologFlags=Contain\nLaunchParameters=use_interactive_step",
    }
    with other_cluster(options) as tools:
        yield tools


class Running(NamedTuple):
    """Jobs with steps of all kinds, by what they show."""

    #: Batch and extern, and numbered steps: one with options, one that asks for little, one that
    #: waits.
    plain: int
    #: A heterogeneous step.
    components: int
    #: A heterogeneous job: the leader, and the other component.
    leader: int
    other: int
    #: An array: the id that its last task has, and a task with an id of its own.
    array: int
    task: int
    #: An interactive one.
    shell: int


@pytest.fixture(scope="module")
def running(tools: Other) -> Iterator[Running]:
    # Bash ends with its last command, so there has to be one after srun.
    options = (
        "--job-name=sleeper --exact --nodes=2 --ntasks=3 --cpus-per-task=2 --mem=20 --time=90 "
        "--distribution=cyclic:block --cpu-freq=Low-Medium:Performance --network=net"
    )
    plain = tools.submit(
        *("--nodes=2", "--ntasks-per-node=6", "--mem=100"),
        "--wrap",
        # The last one waits for memory that the job has not.
        "runs() { until scontrol show step $SLURM_JOB_ID.$1 | grep -q =RUNNING; do sleep .2; done; "
        f"}}; srun {options} sleep 600 & runs 0; srun --exact --mem=10 -n1 -N1 sleep 601 & runs 1; "
        "srun --exact --mem=100 -n1 -N1 sleep 602 & wait",
    )
    components = tools.submit(
        *("--nodes=2", "--ntasks-per-node=2", "--mem=60"),
        *("--wrap", "srun --mem=10 -N1 -n1 sleep 600 : -N1 -n2 --mem=10 sleep 600; true"),
    )
    leader = tools.submit(
        *("--ntasks=1", "--mem=30", ":", "--ntasks=2", "--mem=30"),
        *("--wrap", "srun --het-group=0,1 sleep 600; true"),
    )
    array = tools.submit("--array=4-5", "--mem=20", "--wrap", "srun --mem=10 sleep 600; true")
    with subprocess.Popen(
        ["salloc", "--mem=20", "--job-name=shell"],
        # What the interactive step is to run, which not every environment says.
        env={**tools.env, "SHELL": "/bin/sh"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as salloc:
        try:
            wait_for(
                lambda: all_there(plain, components, leader, array),
                seconds=100,
                otherwise=lambda: [
                    tools.run("scontrol", "--details", "--oneliner", "show", what)
                    for what in ("step", "job")
                ],
            )
            yield all_there(plain, components, leader, array)[0]
        finally:
            assert salloc.stdin
            salloc.stdin.close()


#: The steps of each of these jobs.
KINDS: dict[str, set[int | str]] = {
    "plain": {"batch", "extern", 0, 1, "pending"},
    "components": {"batch", "extern", "0+0", "0+1"},
    "leader": {"batch", "extern", 0},
    "other": {"extern", 0},
    "array": {"batch", "extern", 0},
    "task": {"batch", "extern", 0},
    "shell": {"interactive", "extern"},
}


def all_there(plain: int, components: int, leader: int, array: int) -> list[Running]:
    """The jobs, once all of their steps are there."""
    jobs = Jobs.load()
    jobs.load_steps()
    tasks = [job.id for job in jobs.values() if job.array_task_id == 4]
    shells = [job.id for job in jobs.values() if job.name == "shell"]
    if not tasks or not shells:
        return []
    ids = Running(plain, components, leader, leader + 1, array, tasks[0], shells[0])
    steps = {name: set(jobs[job_id].steps) for name, job_id in ids._asdict().items()}
    return [ids] if steps == KINDS else []


def test_kinds_of_steps(running: Running) -> None:
    assert len(set(running)) == len(KINDS)
    for name, job_id in running._asdict().items():
        steps = JobSteps.load(job_id)
        assert set(steps) == KINDS[name]
        assert {step.job_id for step in steps.values()} == {job_id}


STEPS = [
    *(("plain", step) for step in ("batch", "extern", 0, 1)),
    *(("components", step) for step in ("batch", "0+0", "0+1")),
    *(("leader", 0), ("other", 0), ("array", 0), ("task", 0), ("shell", "interactive")),
]


@pytest.mark.parametrize(("job", "step_id"), STEPS)
def test_every_value_is_what_scontrol_prints(
    tools: Other, running: Running, job: str, step_id: int | str
) -> None:
    job_id = getattr(running, job)
    before = time.time()
    step = JobStep.load(job_id, step_id)
    after = time.time()
    owner = Job.load(job_id)
    name = str(job_id)
    if step.array_id is not None:
        name = f"{step.array_id}_{step.array_task_id}"
    shown = show_step(tools, f"{name}.{step_id}", job_id)
    assert (step.id, step.job_id) == (step_id, job_id)
    assert (step.array_id, step.array_task_id) == (owner.array_id, owner.array_task_id)
    assert step.name == shown["Name"]
    assert str(step.user_id) == shown["UserId"]
    assert step.user_name == owner.user_name
    assert step.partition == shown["Partition"]
    assert step.state == shown["State"] == "RUNNING"
    assert step.cluster == owner.cluster == "local"
    assert text(step.network) == shown["Network"]
    assert step.container is None
    assert (
        step.allocated_nodes
        == tools.run("scontrol", "show", "hostnames", shown["NodeList"]).split()
    )
    assert str(len(step.allocated_nodes)) == shown["Nodes"]
    assert (str(step.cpus), str(step.ntasks)) == (shown["CPUs"], shown["Tasks"])
    assert text(step.reserved_ports) == shown["ResvPorts"]
    assert f"{text(step.srun_host)}:{step.srun_process_id or 0}" == shown["SrunHost:Pid"]
    assert step.start_time is not None
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(step.start_time)) == shown["StartTime"]
    # slurmctld counts in whole seconds.
    assert before - 2 < step.start_time + step.run_time < after + 1
    assert step.elapsed_cpu_time == step.run_time * (step.cpus or 0)
    assert text(step.alloc_tres and tres(step.alloc_tres)) == shown["TRES"].replace("M,", ",")
    # Which scontrol has a word of its own for.
    distribution = str(step.distribution or None).title().replace("Cyclic:Block", "CBlock")
    assert distribution == shown.get("Dist", "None")
    if step.time_limit is None:
        assert shown["TimeLimit"] == "UNLIMITED"
        assert step.run_time_remaining is None
    else:
        hours, minutes, seconds = map(int, shown["TimeLimit"].split(":"))
        assert step.time_limit * 60 == hours * 3600 + minutes * 60 + seconds
        assert step.run_time_remaining == step.time_limit * 60 - step.run_time
    frequency = [step.cpu_frequency_min, step.cpu_frequency_max, step.cpu_frequency_governor]
    words = [word for word in frequency if word is not None]
    keys = [key for key in shown if "freq" in key.lower() or "gov" in key.lower()]
    printed = re.split(r"[-:, ]", " ".join(shown[key] for key in keys))
    assert printed == (words or ["Default"])


def text(value: object) -> str:
    """As scontrol prints what may not be set."""
    return "(null)" if value is None else str(value)


def tres(amounts: Mapping[str, int]) -> str:
    """As Slurm writes trackable resources, memory without its unit."""
    return ",".join(f"{name}={amount}" for name, amount in amounts.items())


def test_options_of_srun(running: Running) -> None:
    step = JobStep.load(running.plain, 0)
    assert (step.name, step.time_limit, step.ntasks) == ("sleeper", 90, 3)
    assert len(step.allocated_nodes) == 2
    assert step.distribution == TaskDistribution("cyclic:block")
    assert str(step.distribution) == "cyclic:block"
    assert (step.cpu_frequency_min, step.cpu_frequency_max) == ("Low", "Medium")
    assert step.cpu_frequency_governor == "Performance"
    assert step.network == "net"
    assert step.command is not None
    assert step.command.startswith("srun --job-name=sleeper --exact")
    assert step.command.endswith(" sleep 600")
    assert step.alloc_tres is not None
    assert step.alloc_tres == {"cpu": step.cpus, "mem": 40, "node": 2}
    assert step.srun_process_id
    assert "sleep" in Path(f"/proc/{step.srun_process_id}/cmdline").read_text(encoding="ascii")


def test_types_of_all_values(running: Running) -> None:
    steps = [step for job in running for step in JobSteps.load(job).values()]
    assert len(steps) > 15
    seen = set()
    for step in steps:
        found = step.to_dict()
        assert list(found) == [name for name in ATTRIBUTES if HAS_PATHS or name not in NEEDS_25_05]
        for name, value in found.items():
            own = getattr(step, name)
            assert value == (own if not isinstance(own, TaskDistribution) else str(own))
            assert own is None or isinstance(own, ATTRIBUTES[name]), name
            assert not isinstance(own, bool)
            if own is not None:
                seen.add(name)
    never = {"container", "reserved_ports", *NEEDS_25_05}
    assert set(ATTRIBUTES) - seen <= never


def test_a_step_that_waits(running: Running) -> None:
    step = JobStep.load(running.plain, "pending")
    limited = JobStep(running.plain, "pending", time_limit=5)
    for action in (step.cancel, lambda: step.send_signal("USR1"), lambda: step.modify(limited)):
        with pytest.raises(ValueError, match=r"waits has no number yet.*srun_process_id"):
            action()
    assert step.srun_process_id
    assert step.srun_host
    assert (step.state, step.id, step.job_id) == ("PENDING", "pending", running.plain)
    assert (step.start_time, step.run_time, step.elapsed_cpu_time) == (None, 0, 0)
    # Those that it waits for.
    assert step.allocated_nodes == ["n1", "n2"]
    with Jobs.load() as jobs:
        assert jobs.load_stats().errors == {}
        assert jobs[running.plain].steps["pending"].stats == JobStepStatistics()
        with pytest.raises(slurmpy.InvalidJobId, match="it waits, and has no processes yet"):
            jobs[running.plain].steps["pending"].load_stats()


@pytest.mark.skipif(HAS_PATHS, reason="this Slurm has the paths of a step")
@pytest.mark.parametrize("name", sorted(NEEDS_25_05))
def test_what_the_installed_slurm_lacks(running: Running, name: str) -> None:
    step = JobStep.load(running.plain, 0)
    with pytest.raises(UnsupportedField, match=f"{name} needs Slurm 25.05 .* is Slurm {MAJOR}"):
        getattr(step, name)
    assert not hasattr(step, name)


@pytest.mark.parametrize("name", ["stats", "pids", *ATTRIBUTES])
def test_attributes_are_documented(name: str) -> None:
    assert inspect.getdoc(inspect.getattr_static(JobStep, name))


# ---- loading ----


def test_a_job_that_is_loaded_has_its_steps(running: Running) -> None:
    job = Job.load(running.plain)
    assert set(job.steps) == {"batch", "extern", 0, 1, "pending"}
    assert job.steps[0] is job.steps[0]
    assert job.steps == JobSteps.load(job) == JobSteps.load(running.plain)
    assert Job(running.plain).reload().steps == job.steps
    for name in (f"{running.array}_4", running.task):
        assert set(Job.load(name).steps) == set(JobSteps.load(name)) == {"batch", "extern", 0}
    assert JobSteps.load(f"{running.array}_4")[0].job_id == running.task


def test_steps_that_were_not_asked_for(running: Running) -> None:
    for job in (Job(running.plain), Jobs.load()[running.plain], copy.copy(Job(running.plain))):
        with pytest.raises(slurmpy.NotLoaded, match=rf"JobSteps.load\({running.plain}\)"):
            _ = job.steps
        assert job.pids == {}
        assert job.stats == JobStatistics()


def test_steps_of_all_jobs_take_one_call(tools: Other, running: Running) -> None:
    waiting = tools.submit("--hold", "--wrap", "true")
    with Jobs.load() as jobs:
        early = jobs[running.plain]
        before = rpcs(tools, "REQUEST_JOB_STEP_INFO")
        jobs.load_steps()
        assert rpcs(tools, "REQUEST_JOB_STEP_INFO") == before + 1
        assert jobs[running.plain] is early
        assert jobs[waiting].steps == {}
        for job in jobs.values():
            assert job.steps is job.steps
        for job_id in running:
            assert jobs[job_id].steps == JobSteps.load(job_id)
            assert {step.job_id for step in jobs[job_id].steps.values()} == {job_id}
        other = jobs.copy() | Jobs()
        taken = jobs.pop(running.plain)
    with pytest.raises(slurmpy.ClosedError):
        _ = jobs[running.array].steps
    assert (
        set(taken.steps) == set(other[running.plain].steps) == {"batch", "extern", 0, 1, "pending"}
    )
    assert other[waiting].steps == {}
    by_hand = Jobs([running.plain, waiting, 99999])
    by_hand.load_steps()
    assert by_hand[running.plain].steps == taken.steps
    assert by_hand[waiting].steps == by_hand[99999].steps == {}
    Job(waiting).cancel()


def test_a_job_of_a_closed_collection(running: Running) -> None:
    jobs = Jobs.load()
    jobs.load_steps()
    job, step = jobs[running.plain], jobs[running.plain].steps[0]
    jobs.close()
    for name in ("steps", "stats", "pids"):
        with pytest.raises(slurmpy.ClosedError):
            getattr(job, name)
    for action in (job.load_stats, jobs.load_steps, jobs.load_stats):
        with pytest.raises(slurmpy.ClosedError):
            action()
    # A step has memory of its own.
    assert step.name == "sleeper"


def test_all_steps(running: Running) -> None:
    found = JobSteps.load_all()
    assert type(found) is dict
    assert {*running} <= {*found}
    for job_id, steps in found.items():
        assert steps
        assert steps == JobSteps.load(job_id)


def test_jobs_without_steps(tools: Other) -> None:
    waiting = tools.submit("--hold", "--wrap", "true")
    assert JobSteps.load(waiting) == Job.load(waiting).steps == {}
    ended = Job(tools.submit("--mem=10", "--wrap", "true")).wait(60)
    assert ended.steps == JobSteps.load(ended) == Job.load(ended.id).steps == {}
    for load in (
        JobSteps.load,
        lambda job: JobStep.load(job, 0),
        lambda job: Job(job).load_stats(),
    ):
        with pytest.raises(slurmpy.InvalidJobId, match="of job 99999"):
            load(99999)
    with pytest.raises(slurmpy.InvalidJobId, match=f"loading step 7 of job {waiting}"):
        JobStep.load(waiting, 7)
    Job(waiting).cancel()


def test_a_cluster_of_bytes_that_are_no_utf8() -> None:
    ptr, name = ffi.new("job_step_info_t *"), ffi.new("char[]", b"c\xff")
    ptr.cluster = name
    step = JobStep._at(ptr, Snapshot([ptr, name], "home", 0))
    assert step.cluster == "c\udcff"
    ptr.cluster = ffi.NULL
    assert step.cluster == "home"


def test_a_task_whose_array_has_lost_its_own_id(tools: Other) -> None:
    array = tools.submit("--array=1-2", "--mem=10", "--wrap", "sleep 600")
    wait_for(lambda: len(JobSteps.load(f"{array}_1")) == len(JobSteps.load(f"{array}_2")) == 2)
    task = Job.load(f"{array}_1").id
    assert task != array
    Job(f"{array}_2").cancel()
    wait_for(lambda: "batch" not in JobSteps.load(f"{array}_2"))
    assert JobSteps.load(task)["batch"].array_task_id == 1
    assert {step.job_id for step in JobSteps.load(array).values()} <= {task}
    Job(array).cancel()


# ---- what is done to a step ----


def sampled(step: JobStep) -> JobStepStatistics:
    """The figures of a step, once its nodes have begun it and taken a sample."""
    deadline = time.monotonic() + 60
    while True:
        try:
            found = step.load_stats()
        except slurmpy.InvalidJobId:
            found = step.stats
        if found.max_resident_memory:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def job(tools: Other) -> Iterator[Job]:
    """A job with two steps, of which the first leaves a file when it gets SIGUSR1."""
    marks = tools.folder / "marks"
    marks.mkdir(mode=0o777, exist_ok=True)
    for mark in marks.iterdir():
        mark.unlink()
    script = (
        f'srun --exact --mem=10 -n1 sh -c \'trap "touch {marks}/usr1" USR1; touch {marks}/ready; '
        # The other has the next number.
        f"while true; do sleep 0.1; done' & until [ -e {marks}/ready ]; do sleep 0.1; done; "
        "srun --exact --mem=10 -n1 "
        f"sh -c 'touch {marks}/begun; exec sleep 600' & sleep 600"
    )
    job = Job(tools.submit("--ntasks=2", "--mem=50", "--wrap", script))
    # A signal to a step that a node has not begun is lost.
    wait_for(lambda: all((marks / mark).exists() for mark in ("ready", "begun")))
    assert {0, 1} <= set(job.reload().steps)
    yield job
    job.cancel()


def test_cancel(job: Job) -> None:
    job.steps[0].cancel()
    wait_for(lambda: 0 not in JobSteps.load(job))
    assert set(JobSteps.load(job)) == {"batch", "extern", 1}
    assert Job.load(job.id).state == "RUNNING"
    JobStep(job.id, 1).cancel()
    # One that is ending is no error.
    with suppress(slurmpy.InvalidJobId):
        JobStep(job.id, 1).cancel()
    wait_for(lambda: 1 not in JobSteps.load(job))
    JobStep(job.id, "batch").cancel()
    assert job.wait(60).state in ("FAILED", "CANCELLED")


def test_cancel_one_of_a_heterogeneous_step(tools: Other) -> None:
    script = "srun --mem=10 -N1 -n1 sleep 600 : -N1 -n2 --mem=10 sleep 600; sleep 600"
    job = tools.submit("--nodes=2", "--ntasks-per-node=2", "--mem=60", "--wrap", script)
    wait_for(lambda: {"0+0", "0+1"} <= set(JobSteps.load(job)))
    step = JobStep.load(job, "0+1")
    assert sampled(step).max_resident_memory_node == step.allocated_nodes[0]
    step.cancel()
    wait_for(lambda: set(JobSteps.load(job)) == {"batch", "extern"})
    Job(job).cancel()


def test_a_component_that_is_not_there(running: Running) -> None:
    """Slurm would take the step of that number as a whole."""
    before = JobStep.load(running.plain, 0).time_limit
    step = JobStep(running.plain, "0+7")
    actions = (
        step.cancel,
        lambda: step.send_signal("KILL"),
        lambda: step.modify(JobStep(1, 0, time_limit=7)),
    )
    for action in actions:
        words = f"loading step 0.7 of job {running.plain}, whose steps are .*batch"
        with pytest.raises(slurmpy.InvalidJobId, match=words):
            action()
    assert JobStep.load(running.plain, 0).time_limit == before


def test_signal(tools: Other, job: Job) -> None:
    JobStep(job.id, 1).send_signal("USR1")
    job.steps[0].send_signal("usr1")
    wait_for((tools.folder / "marks" / "usr1").exists)
    # Which ends whoever is not prepared for it.
    wait_for(lambda: set(JobSteps.load(job)) == {"batch", "extern", 0})
    for wrong, error in (("NOTHING", ValueError), (0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="signal"):
            job.steps[0].send_signal(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "shown", "minutes"),
    [
        (75, "01:15:00", 75),
        ("2-00:00:00", "2-00:00:00", 2880),
        ("UNLIMITED", "UNLIMITED", None),
        (slurmpy.UNLIMITED, "UNLIMITED", None),
    ],
)
def test_time_limit(
    tools: Other, running: Running, limit: object, shown: str, minutes: int | None
) -> None:
    step = JobStep.load(running.leader, 0)
    step.modify(JobStep(running.leader, 0, time_limit=limit))
    assert show_step(tools, f"{running.leader}.0")["TimeLimit"] == shown
    assert JobStep.load(running.leader, 0).time_limit == minutes
    # The others have theirs.
    assert JobStep.load(running.leader, "batch").time_limit is None
    assert JobStep.load(running.plain, 0).time_limit == 90


ACTIONS: dict[str, Callable[[JobStep], object]] = {
    "cancelling": JobStep.cancel,
    "sending signal 10 to": lambda step: step.send_signal(10),
    "modifying": lambda step: step.modify(JobStep(1, 0, time_limit=9)),
    "loading": lambda step: JobStep.load(step.job_id, step.id),
    "loading statistics of": JobStep.load_stats,
}


@pytest.mark.parametrize("what", ACTIONS)
def test_a_step_that_is_not_there(running: Running, what: str) -> None:
    before = JobSteps.load(running.plain)
    for step in (JobStep(running.plain, 7), JobStep(99999, 0)):
        with pytest.raises(slurmpy.InvalidJobId, match=f"job {step.job_id}") as raised:
            ACTIONS[what](step)
        assert isinstance(raised.value, slurmpy.RPCError)
    assert JobSteps.load(running.plain) == before


@pytest.mark.parametrize("what", ACTIONS)
def test_a_step_of_another_cluster(running: Running, what: str) -> None:
    """What is done to a step is done on its own cluster, or not at all."""
    if what == "loading":
        return
    step = copy.copy(JobStep.load(running.plain, 1))
    step._record[1].cluster = "elsewhere"
    with pytest.raises(slurmpy.ConfigurationError, match="elsewhere"):
        ACTIONS[what](step)
    assert JobStep.load(running.plain, 1).time_limit is None


AS_USER = """
import json, logging, os, signal, sys
import slurmpy
from slurmpy import JobStep, _parse, stats
slurmpy.init()
job = int(sys.argv[1])
step, limit = JobStep(job, 0), JobStep(job, 0, time_limit=9)
os.setgid(65534)
os.setuid(65534)
def outcome(call, *args):
    try:
        return str(call(*args))
    except slurmpy.SlurmError as error:
        return type(error).__name__
print(json.dumps([
    outcome(step.cancel), outcome(step.send_signal, "KILL"), outcome(step.modify, limit),
    outcome(step.load_stats), outcome(lambda: JobStep.load(job, 0).name),
]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_users_step(tools: Other, running: Running) -> None:
    before = show_step(tools, f"{running.plain}.0")
    printed = tools.python(AS_USER, str(running.plain))
    assert json.loads(printed) == [*(["AccessDenied"] * 4), "sleeper"]
    assert show_step(tools, f"{running.plain}.0") == before


# ---- without a controller ----


def test_a_step_that_was_never_loaded() -> None:
    step = JobStep(12, "batch")
    assert (step.id, step.job_id, repr(step)) == ("batch", 12, "slurmpy.JobStep(12, 'batch')")
    assert step.to_dict() == {"id": "batch", "job_id": 12}
    assert step.stats == JobStepStatistics()
    for name in set(ATTRIBUTES) - {"id", "job_id", *(NEEDS_25_05 if not HAS_PATHS else ())}:
        with pytest.raises(slurmpy.NotLoaded, match=r"JobStep.load\(12, 'batch'\)"):
            getattr(step, name)
    limited = JobStep(12, 0, time_limit="1:30:00")
    assert limited.time_limit == 90
    assert limited.to_dict() == {"id": 0, "job_id": 12, "time_limit": 90}
    assert JobStep(12, 0, time_limit=slurmpy.UNLIMITED).time_limit is None
    for other in (copy.copy(limited), copy.deepcopy(limited), again(limited)):
        assert (other, other.time_limit, hash(other)) == (limited, 90, hash(limited))
    assert limited == JobStep(12, 0) != JobStep(12, 1)
    assert JobStep(12, 0) != JobStep(13, 0)
    assert JobStep(12, "0+1") != JobStep(12, 0)
    assert JobStep(12, 0) != 0


def again(step: Any) -> Any:  # noqa: ANN401 - of whatever type it is
    """What comes out of a pickle."""
    return pickle.loads(pickle.dumps(step))  # noqa: S301 - it is our own


@pytest.mark.parametrize(
    ("given_id", "step_id"),
    [
        *((name, name) for name in ("batch", "extern", "interactive", "pending", "0+1", "12+0")),
        *((0, 0), (7, 7), ("7", 7), (4294967291, "batch")),
    ],
)
def test_step_ids(given_id: int | str, step_id: int | str) -> None:
    step = JobStep(12, given_id)
    assert step.id == step_id
    assert type(step.id) is type(step_id)
    assert list(JobSteps([step])) == [step_id]
    assert again(step) == step


@pytest.mark.parametrize(
    ("job_id", "step_id", "changes", "error", "words"),
    [
        (12, -1, {}, ValueError, "no step id: -1"),
        (12, "first", {}, ValueError, "no step id: 'first'"),
        (12, "batch+1", {}, ValueError, "no step id"),
        (12, "0+", {}, ValueError, "no step id"),
        (12, "", {}, ValueError, "no step id"),
        (12, "0+-1", {}, ValueError, "no step id"),
        (12, "0+4294967294", {}, ValueError, "no step id"),
        (12, "9" * 5000, {}, ValueError, "no step id"),
        (12, 2**32, {}, ValueError, "no step id"),
        (12, 0xFFFFFFF1, {}, ValueError, "no step id"),
        (12, "4294967293+14", {}, ValueError, "no step id"),
        (12, 1.0, {}, TypeError, "an int or a str, not float"),
        (12, True, {}, TypeError, "an int or a str, not bool"),
        (12, None, {}, TypeError, "an int or a str, not NoneType"),
        (0, 0, {}, ValueError, "no job id"),
        ("12_3", 0, {}, ValueError, "of one job"),
        (12, 0, {"time_limit": "soon"}, ValueError, "time_limit is no duration: 'soon'"),
        (12, 0, {"time_limit": -1}, ValueError, "time_limit cannot be less than 0"),
        (12, 0, {"time_limit": None}, TypeError, "time limit"),
        (12, 0, {"name": "x"}, TypeError, "only time_limit can be changed, not name"),
    ],
)
def test_what_is_no_step(
    job_id: Any,  # noqa: ANN401 - what a caller might give
    step_id: Any,  # noqa: ANN401
    changes: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        JobStep(job_id, step_id, **changes)


def test_what_is_no_change(running: Running) -> None:
    step = JobStep.load(running.plain, 0)
    with pytest.raises(ValueError, match="carries no change"):
        step.modify(JobStep(running.plain, 0))
    # One that was loaded is no change: its limit is what it has.
    with pytest.raises(ValueError, match="carries no change"):
        step.modify(step)
    with pytest.raises(TypeError, match="a JobStep, not dict"):
        step.modify({"time_limit": 9})  # type: ignore[arg-type]


def test_the_mapping() -> None:
    steps = JobSteps([JobStep(12, "batch"), JobStep(12, 0)])
    assert list(steps) == ["batch", 0]
    assert list(steps.values()) == [JobStep(12, "batch"), JobStep(12, 0)]
    assert (len(steps), 0 in steps, 1 in steps, "batch" in steps) == (2, True, False, True)
    assert steps.get(1) is None
    with pytest.raises(KeyError):
        steps[1]
    assert steps.to_dict() == {
        "batch": {"id": "batch", "job_id": 12},
        0: {"id": 0, "job_id": 12},
    }
    assert again(steps) == steps == copy.copy(steps)
    assert JobSteps() == {}
    with pytest.raises(ValueError, match=r"of several jobs: \[12, 13\]"):
        JobSteps([JobStep(12, 0), JobStep(13, 1)])
    with pytest.raises(ValueError, match="of several jobs"):
        JobSteps([JobStep(12, 0), JobStep(13, 0)])
    with pytest.raises(TypeError, match="JobStep objects, not int: 1"):
        JobSteps([1])  # type: ignore[list-item]


def test_copies_of_a_step_own_their_data(running: Running) -> None:
    step, steps = JobStep.load(running.plain, 0), JobSteps.load(running.plain)
    # Of different moments.
    values = [step.to_dict(), step.to_dict(), steps[0].to_dict()]
    copies = [copy.copy(step), again(step), again(steps)[0]]
    del step, steps
    assert [other.to_dict() for other in copies] == values
    assert all(sampled(other).max_resident_memory for other in copies)


# ---- distributions ----

OVER_NODES = st.sampled_from(["block", "cyclic"])
WITHIN = st.sampled_from(["block", "cyclic", "fcyclic"])


@st.composite
def distributions(draw: st.DrawFn) -> str:
    """Distributions as sbatch takes them."""
    words = [draw(OVER_NODES), *draw(st.lists(WITHIN, max_size=2))]
    plain = draw(st.sampled_from([":".join(words), "arbitrary"]))
    packing = draw(st.sampled_from(["", ",pack", ",nopack"]))
    other = draw(st.sampled_from(["pack", "nopack", f"plane={draw(st.integers(1, 60000))}"]))
    return draw(st.sampled_from([plain + packing, other]))


@given(distributions())
def test_distributions_print_as_they_were_written(text: str) -> None:
    distribution = TaskDistribution(text)
    assert str(distribution) == text
    assert distribution == TaskDistribution(text) == again(distribution)
    assert hash(distribution) == hash(TaskDistribution(text))
    # And are what a submission takes.
    assert JobSubmitDescription(distribution=distribution).distribution == distribution


def test_parts_of_a_distribution() -> None:
    distribution = TaskDistribution("Cyclic:block:fcyclic,NoPack")
    assert (distribution.nodes, distribution.sockets) == ("cyclic", "block")
    assert (distribution.cores, distribution.pack) == ("fcyclic", False)
    assert repr(distribution) == "slurmpy.TaskDistribution('cyclic:block:fcyclic,nopack')"
    plane = TaskDistribution("plane=4")
    assert (plane.nodes, plane.plane, plane.sockets) == ("plane", 4, None)
    assert TaskDistribution("*:*:*") == TaskDistribution("block:cyclic:cyclic")
    assert distribution != plane
    with pytest.raises(ValueError, match="the text is no distribution: 'round'"):
        TaskDistribution("round")
    with pytest.raises(ValueError, match="no distribution"):
        TaskDistribution("plane")


@pytest.mark.parametrize(
    "distribution", ["block", "cyclic:fcyclic:block", "block:block,pack", "plane=2", "arbitrary"]
)
def test_distributions_of_real_steps(tools: Other, distribution: str) -> None:
    options = f"--distribution={distribution}"
    options += " --nodelist=n2,n1,n1,n3" if distribution == "arbitrary" else ""
    job = tools.submit(
        "--nodes=3",
        "--ntasks=4",
        "--mem=20",
        "--wrap",
        f"srun --mem=10 {options} -n4 sleep 600; true",
    )
    wait_for(lambda: 0 in JobSteps.load(job))
    found = JobStep.load(job, 0).distribution
    # Slurm does not tell the size of the planes.
    expected = "plane" if "plane" in distribution else distribution
    assert str(found) == expected
    Job(job).cancel()
