"""`Job`: not loaded, loaded, loaded again, copied, pickled, compared; of arrays and het jobs."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import os
import pickle
import re
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import Job, Jobs
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy.job import _choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slurmpy.testing import LocalCluster

T = TypeVar("T")

HOME = Path(slurmpy.__file__).parents[1]

# As many ranges as there are numbers.
SQUARES = ",".join(str(i * i) for i in range(31))


def python(code: str, data: bytes = b"", **env: str) -> bytes:
    """What a fresh interpreter prints; whatever it would ask of Slurm would fail."""
    nowhere = {"SLURM_CONF": "/nowhere/slurm.conf", "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **nowhere, **env},
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def pickled(value: T, protocol: int = pickle.HIGHEST_PROTOCOL) -> T:
    same: T = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own
    return same


def sbatch(cluster: LocalCluster, *options: str) -> int:
    return int(cluster.run("sbatch", "--parsable", "--output=/dev/null", *options).split(";")[0])


def scontrol(cluster: LocalCluster, job: int | str) -> str:
    """What scontrol shows of a job, with nothing cut."""
    done = subprocess.run(
        ["scontrol", "show", "job", str(job)],
        env={**cluster.env, "SLURM_BITSTR_LEN": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def queue(slurm_cluster: LocalCluster) -> Iterator[dict[str, int]]:
    """Jobs that differ as much as jobs can, by what is special about them."""
    script = slurm_cluster.folder / "het.sh"
    script.write_text("#!/bin/sh\nsleep 300\n")
    ids = {
        "held": sbatch(
            slurm_cluster,
            "--hold",
            "--job-name=gehalten ünd €",
            "--comment=one two",
            "--time=1-02:03:04",
            "--mail-type=END,FAIL",
            "--nice=-7",
            "--deadline=now+10days",
            "--wrap=true",
        ),
        "running": sbatch(slurm_cluster, "-n2", "--mem=100", "--gres=gpu:1", "--wrap=sleep 300"),
        "failed": sbatch(slurm_cluster, "--mem=10", "--wrap=exit 3"),
        "killed": sbatch(slurm_cluster, "--mem=10", "--wrap=kill -9 $$"),
        "array": sbatch(slurm_cluster, "--mem=10", "--array=0-6:3%1", "--wrap=sleep 300"),
        "long array": sbatch(slurm_cluster, "--hold", f"--array={SQUARES}", "--wrap=true"),
        "het": sbatch(slurm_cluster, "--hold", "-n1", ":", "-n2", ":", "-n3", str(script)),
    }
    ids["dependent"] = sbatch(
        slurm_cluster,
        f"--dependency=afterok:{ids['held']}:{ids['running']},singleton",
        "--wrap=true",
    )
    wanted = {"running": "RUNNING", "failed": "FAILED", "killed": "FAILED"}
    wait_for(lambda: all(Job.load(ids[name]).state == wanted[name] for name in wanted))
    wait_for(lambda: "RUNNING" in scontrol(slurm_cluster, f"{ids['array']}_0"))
    yield ids
    for job in ids.values():
        slurm_cluster.run("scancel", str(job))


# ---- not loaded ----


def test_unloaded_job_asks_nothing() -> None:
    python(
        """
import copy, pickle
from slurmpy import ConfigurationError, Job, Jobs, NotLoaded
job = Job(9999)
assert job.id == 9999
assert repr(job) == str(job) == "slurmpy.Job(9999)"
assert job.to_dict() == {"id": 9999}
assert job == Job(9999) != Job(9998)
assert {job, Job(9999)} == {job}
for other in copy.copy(job), copy.deepcopy(job), pickle.loads(pickle.dumps(job)):
    assert other is not job and other == job and other.to_dict() == {"id": 9999}
jobs = Jobs([job, 1])
assert jobs[9999] is job and 1 in jobs and len(jobs) == 2
try:
    job.name
except NotLoaded:
    pass
# It would have been noticed had any of this asked.
try:
    job.reload()
except ConfigurationError:
    print("asked")
"""
    )


def test_unloaded_job_says_what_to_call() -> None:
    job = Job(9999)
    for name in set(Job.fields) - {"id"}:
        if Job.fields[name].since > MAJOR:
            continue
        with pytest.raises(slurmpy.NotLoaded, match=r"Job\.load\(9999\).*reload\(\)"):
            getattr(job, name)
    with pytest.raises(slurmpy.NotLoaded):
        _ = job.requires_node_reboot


@pytest.mark.parametrize("make", [Job, Job.load])
@pytest.mark.parametrize("job_id", [None, 1.0, True, False, b"1", [1], (1,), {"id": 1}])
def test_id_of_wrong_type(make: Callable[[Any], Job], job_id: object) -> None:
    with pytest.raises(TypeError, match=re.escape(repr(job_id))):
        make(job_id)


@pytest.mark.parametrize("make", [Job, Job.load])
@pytest.mark.parametrize("job_id", [0, -1, 2**32 - 1, 2**32 - 2, 2**32, 2**80])
def test_id_out_of_range(make: Callable[[Any], Job], job_id: int) -> None:
    with pytest.raises(ValueError, match=str(job_id)):
        make(job_id)


@pytest.mark.parametrize("make", [Job, Job.load])
def test_text_that_is_no_id(make: Callable[[Any], Job]) -> None:
    with pytest.raises((TypeError, ValueError), match="one"):
        make("one")


# ---- loaded ----


def test_load(slurm_cluster: LocalCluster, queue: dict[str, int]) -> None:
    job = Job.load(queue["held"])
    assert type(job) is Job
    assert job.id == queue["held"]
    assert job.name == "gehalten ünd €"
    assert job.state == "PENDING"
    assert job.cluster == slurm_cluster.name
    assert Job.load(job_id=queue["running"]).state == "RUNNING"


def test_unknown_job(slurm_cluster: LocalCluster) -> None:
    with pytest.raises(slurmpy.InvalidJobId) as caught:
        Job.load(999_999)
    error = caught.value
    for kind in (LookupError, slurmpy.RPCError, slurmpy.SlurmError):
        assert isinstance(error, kind)
    shown = subprocess.run(
        ["scontrol", "show", "job", "999999"],
        env=slurm_cluster.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert error.msg in shown.stderr
    assert (error.errno, error.name) == (2017, "ESLURM_INVALID_JOB_ID")
    assert "999999" in str(error)
    same = pickled(error)
    assert type(same) is slurmpy.InvalidJobId
    assert (same.errno, same.name, same.msg) == (error.errno, error.name, error.msg)
    assert str(same) == str(error)


def test_reload_of_unloaded_job(queue: dict[str, int]) -> None:
    job = Job(queue["held"])
    assert job.reload() is job
    assert job.comment == "one two"
    unknown = Job(999_999)
    with pytest.raises(slurmpy.InvalidJobId):
        unknown.reload()
    assert unknown.to_dict() == {"id": 999_999}


def test_reload_sees_a_change(slurm_cluster: LocalCluster) -> None:
    number = sbatch(slurm_cluster, "--hold", "--job-name=first", "--wrap=true")
    job, other, jobs = Job.load(number), Job.load(number), Jobs.load()
    slurm_cluster.run("scontrol", "update", f"jobid={number}", "jobname=second")
    assert job.name == "first"
    assert job.reload() is job
    assert job.name == "second"
    assert other.name == "first"
    # A job of a collection too, and its neighbours stay as they are.
    inside = jobs[number]
    assert inside.reload() is inside
    assert inside.name == "second"
    assert jobs[number] is inside
    slurm_cluster.run("scancel", str(number))


def test_run_time_is_that_of_the_load(queue: dict[str, int]) -> None:
    job = Job.load(queue["running"])
    before = job.run_time
    time.sleep(1.1)
    assert job.run_time == before
    after = job.reload().run_time
    assert after > before
    assert job.elapsed_cpu_time == after * (job.cpus or 0)


def test_text_forms(queue: dict[str, int]) -> None:
    jobs = Jobs.load()
    job = jobs[queue["held"]]
    text = f"slurmpy.Job({queue['held']})"
    assert repr(job) == str(job) == f"{job}" == text
    jobs.close()
    assert repr(job) == text


def test_to_dict_has_every_attribute(queue: dict[str, int]) -> None:
    job = Job.load(queue["running"])
    values = job.to_dict()
    supported = [name for name in Job.fields if hasattr(job, name)]
    assert list(values) == supported
    assert values == {name: getattr(job, name) for name in supported}
    assert not {"steps", "stats", "pids"} & set(values)
    values["name"] = "changed"
    assert job.name != "changed"


def test_attributes_are_read_only(queue: dict[str, int]) -> None:
    for job in (Job.load(queue["running"]), Job(9999)):
        for name in [*Job.fields, "requires_node_reboot", "no_such_attribute", "naem"]:
            with pytest.raises(AttributeError):
                setattr(job, name, 1)
            with pytest.raises(AttributeError):
                delattr(job, name)


def test_alias_of_node_reboot_required(slurm_cluster: LocalCluster, queue: dict[str, int]) -> None:
    reboot = sbatch(slurm_cluster, "--hold", "--reboot", "--wrap=true")
    jobs = Jobs.load()
    assert jobs[reboot].requires_node_reboot is jobs[reboot].node_reboot_required is True
    assert jobs[queue["held"]].requires_node_reboot is False
    assert "requires_node_reboot" not in jobs[reboot].to_dict()
    slurm_cluster.run("scancel", str(reboot))


def test_unsupported_attributes(queue: dict[str, int]) -> None:
    lacking = {name: item.since for name, item in Job.fields.items() if item.since > MAJOR}
    if not lacking:
        pytest.skip(f"Slurm {MAJOR} has every attribute")
    job = Job.load(queue["held"])
    for name, since in lacking.items():
        assert not hasattr(job, name)
        with pytest.raises(slurmpy.UnsupportedField) as caught:
            getattr(job, name)
        assert isinstance(caught.value, AttributeError)
        for part in (name, since, MAJOR):
            assert part in str(caught.value)
        assert name not in job.to_dict()


# ---- copies ----


COPIES: dict[str, Callable[[Job], Job]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": functools.partial(pickled, protocol=protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy of a copy": lambda job: copy.copy(pickled(copy.deepcopy(job))),
}


def expected_of_all() -> tuple[dict[int, dict[str, Any]], Jobs]:
    jobs = Jobs.load()
    return {job.id: job.to_dict() for job in jobs.values()}, jobs


@pytest.mark.parametrize("way", COPIES)
def test_copies_own_their_data(way: str, queue: dict[str, int]) -> None:
    expected, jobs = expected_of_all()
    assert set(queue.values()) <= set(expected)
    assert jobs._table is not None
    assert jobs._table.snapshot is not None
    message = weakref.ref(jobs._table.snapshot.message)
    copies = {job.id: COPIES[way](job) for job in jobs.values()}
    for number, same in copies.items():
        assert type(same) is Job
        assert same is not jobs[number]
        assert same == jobs[number]
        assert hash(same) == hash(jobs[number])
    jobs.close()
    del jobs
    for _ in range(3):
        gc.collect()
    assert message() is None, "the memory that the jobs were copied from is still there"
    assert {number: job.to_dict() for number, job in copies.items()} == expected
    # They are jobs like any other.
    assert copies[queue["held"]].reload().comment == "one two"


def test_pickles_in_an_interpreter_without_slurm(queue: dict[str, int]) -> None:
    expected, jobs = expected_of_all()
    data = pickle.dumps(list(jobs.values()))
    jobs.close()
    printed = python(
        """
import grp, pickle, pwd, sys
# The names of users and groups are those of where the jobs were loaded.
grp.getgrgid = pwd.getpwuid = None
jobs = pickle.load(sys.stdin.buffer)
from slurmpy import Job, Jobs, _runtime
values = {job.id: job.to_dict() for job in jobs}
again = {job.id: job.to_dict() for job in pickle.loads(pickle.dumps(jobs))}
assert again == values
assert [repr(job) for job in jobs] == [f"slurmpy.Job({job.id})" for job in jobs]
assert len(Jobs(jobs)) == len(jobs)
assert Jobs(jobs)[jobs[0].id] is jobs[0]
assert not _runtime._ready
pickle.dump(values, sys.stdout.buffer)
""",
        data,
    )
    assert pickle.loads(printed) == expected  # noqa: S301 - printed by the code above
    assert set(queue.values()) <= set(expected)


def test_copies_of_text_that_is_not_utf8(slurm_cluster: LocalCluster) -> None:
    done = subprocess.run(
        [b"sbatch", b"--parsable", b"--hold", b"--comment=\xff\xfe bytes", b"--wrap=true"],
        env=slurm_cluster.env,
        cwd=slurm_cluster.folder,
        capture_output=True,
        check=True,
    )
    number = int(done.stdout)
    job = Job.load(number)
    for same in (job, copy.copy(job), pickled(job)):
        assert same.comment is not None
        assert same.comment.encode("utf-8", "surrogateescape") == b"\xff\xfe bytes"
    with contextlib.suppress(slurmpy.RPCError):
        slurm_cluster.run("scancel", str(number))


# ---- equality ----


def test_equality(queue: dict[str, int]) -> None:
    number = queue["held"]
    same = [Job(number), Job.load(number), Jobs.load()[number], copy.copy(Job.load(number))]
    for job in same:
        for other in same:
            assert job == other
            assert not job != other  # noqa: SIM202 - it is the other operator
            assert hash(job) == hash(other)
        assert job != Job(queue["running"])
        assert job != number
        assert job != repr(job)
        assert job != None  # noqa: E711 - it is the comparison that is tested
    assert len(set(same)) == 1
    assert Job(9999) == Job(9999)
    assert Job(9999) != Job(9998)
    with pytest.raises(TypeError):
        sorted([Job(2), Job(1)])  # type: ignore[type-var]


# ---- arrays ----


def test_record_of_waiting_tasks_and_a_single_task(
    slurm_cluster: LocalCluster, queue: dict[str, int]
) -> None:
    array = queue["array"]
    jobs = [job for job in Jobs.load().values() if job.array_id == array]
    waiting, task = sorted(jobs, key=lambda job: job.state)
    assert waiting.state == "PENDING"
    assert waiting.id == waiting.array_id == array
    assert waiting.array_task_id is None
    assert waiting.array_tasks_waiting == "3,6%1"
    assert waiting.array_tasks_parallel == 1
    assert task.state == "RUNNING"
    assert task.id != array
    assert task.array_task_id == 0
    assert task.array_task_id is not None
    assert task.array_tasks_waiting is None
    shown = scontrol(slurm_cluster, f"{array}_0")
    assert f"JobId={task.id} ArrayJobId={array} ArrayTaskId=0 " in shown
    assert Job.load(task.id).array_task_id == 0
    plain = Job.load(queue["running"])
    assert (plain.array_id, plain.array_task_id, plain.array_tasks_waiting) == (None, None, None)


@pytest.mark.parametrize(
    "tasks",
    [
        "0",
        "7",
        "1,3",
        "1-2",
        "1-3",
        "0-999",
        "3-5%2",
        "1-9:2",
        "1-9:2%2",
        "1-11:2",
        "1-13:2",
        "1-13:2%3",
        "0-15:5",
        "0-25:5",
        "0-6:3",
        "1-999:2",
        "1-999:2%7",
        "5,6,7,9",
        "0-1000:10,7",
        "0-100:10,105",
        "1-399:2,400-402%3",
        SQUARES,
        ",".join(f"{i}-{i + 1}" for i in range(0, 999, 5)) + "%11",
    ],
)
def test_waiting_tasks_as_slurm_writes_them(slurm_cluster: LocalCluster, tasks: str) -> None:
    array = sbatch(slurm_cluster, "--hold", f"--array={tasks}", "--wrap=true")
    match = re.search(r" ArrayTaskId=(\S+)", scontrol(slurm_cluster, array))
    assert match
    loaded, listed = Job.load(array), Jobs.load()[array]
    for job in (loaded, listed, copy.copy(loaded), pickled(listed)):
        assert job.array_tasks_waiting == match[1]
        assert job.array_task_id is None
        assert job.array_tasks_parallel == (int(tasks.split("%")[1]) if "%" in tasks else None)
    slurm_cluster.run("scancel", str(array))


@pytest.mark.parametrize("length", ["16", "0", ""])
def test_waiting_tasks_whatever_the_environment_says(
    slurm_cluster: LocalCluster, queue: dict[str, int], length: str
) -> None:
    array = queue["long array"]
    match = re.search(r" ArrayTaskId=(\S+)", scontrol(slurm_cluster, array))
    assert match
    assert len(match[1]) > 64
    code = f"from slurmpy import Job; print(Job.load({array}).array_tasks_waiting, end='')"
    conf = str(slurm_cluster.conf)
    assert python(code, SLURM_CONF=conf, SLURM_BITSTR_LEN=length).decode() == match[1]


def test_array_whose_own_id_is_a_task(slurm_cluster: LocalCluster) -> None:
    array = sbatch(slurm_cluster, "--hold", "--array=0-2", "--wrap=true")
    # A task that is changed gets a record of its own; the last one keeps the array's id.
    slurm_cluster.run("scontrol", "update", f"jobid={array}_[0-1]", "comment=own")
    job = Job.load(array)
    assert job.id == array
    assert job.array_id == array
    slurm_cluster.run("scontrol", "update", f"jobid={array}_2", "comment=own")
    job = Job.load(array)
    # From 26.05 on the last one is still the record of what waits.
    last = (None, "2") if MAJOR >= "26.05" else (2, None)
    assert (job.id, job.comment) == (array, "own")
    assert (job.array_task_id, job.array_tasks_waiting) == last
    tasks = {job.array_task_id: job.id for job in Jobs.load().values() if job.array_id == array}
    assert set(tasks) == {0, 1, last[0]}
    assert [Job.load(tasks[i]).array_task_id for i in tasks] == list(tasks)
    slurm_cluster.run("scancel", str(array))


def test_choice_among_the_records_of_an_array() -> None:
    # slurmctld gives the array's own id to the waiting tasks, or to the last task. That both are
    # gone while others wait is what its answer allows, so the order is held against structs too.
    message = ffi.new("job_info_msg_t *")
    records = ffi.new("slurm_job_info_t[4]")
    message.job_array = records
    task, waiting, own, low = records[0], records[1], records[2], records[3]
    task.job_id, task.array_task_id, task.job_state = 12, 5, lib.JOB_PENDING
    waiting.job_id, waiting.array_task_id, waiting.job_state = 13, lib.NO_VAL, lib.JOB_PENDING
    own.job_id, own.array_task_id, own.job_state = 10, 9, lib.JOB_RUNNING
    low.job_id, low.array_task_id, low.job_state = 14, 0, lib.JOB_RUNNING

    def chosen(*of: object) -> int:
        array = ffi.new("slurm_job_info_t[]", len(of))
        for i, record in enumerate(of):
            array[i] = record
        message.job_array, message.record_count = array, len(of)
        number: int = _choose(message, 10).job_id
        return number

    assert chosen(task, waiting, own, low) == own.job_id
    assert chosen(task, waiting, low) == waiting.job_id
    assert chosen(low, waiting, task) == waiting.job_id
    assert chosen(own, low) == own.job_id
    with pytest.raises(slurmpy.InvalidJobId):
        chosen()


# ---- heterogeneous jobs ----


def test_heterogeneous_job(slurm_cluster: LocalCluster, queue: dict[str, int]) -> None:
    leader = queue["het"]
    shown = {
        int(match[1]): (int(match[2]), int(match[3]))
        for match in re.finditer(
            r"JobId=(\d+) HetJobId=(\d+) HetJobOffset=(\d+)", scontrol(slurm_cluster, leader)
        )
    }
    assert sorted(offset for _, offset in shown.values()) == [0, 1, 2]
    jobs = Jobs.load()
    for number, (het, offset) in shown.items():
        for job in (jobs[number], Job.load(number), copy.copy(jobs[number])):
            assert (job.id, job.heterogeneous_id, job.heterogeneous_offset) == (number, het, offset)
            assert job.ntasks == offset + 1
    assert Job.load(leader).heterogeneous_offset == 0
    plain = jobs[queue["running"]]
    assert (plain.heterogeneous_id, plain.heterogeneous_offset) == (None, None)
