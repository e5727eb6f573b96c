"""`Job.modify`, held against `scontrol update` of the same on a job of the same kind."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import (
    InvalidJobId,
    Job,
    JobErrors,
    Jobs,
    JobSubmitDescription,
    RPCError,
    TaskErrors,
)
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

OPTIONS = {
    "name": "changes",
    "nodes": 4,
    "cpus": 16,
    "memory": 8000,
    "gpus": {"tesla": 2},
    "gres_conf": "NodeName=n[1-4] Name=nic Count=4",
    "node_options": (
        "Features=red,blue Sockets=2 CoresPerSocket=8 TmpDisk=1000 Gres=gpu:tesla:2,nic:4"
    ),
    "partitions": {"debug": "", "other": ""},
    "extra_conf": """
        AllowSpecResourcesUsage=yes
        FirstJobId=700001
        GresTypes=gpu,nic
        Licenses=matlab:10
        RebootProgram=/bin/true
        TrackWCKey=yes
    """,
}


def again(call: Callable[[], object]) -> None:
    """Change a job, and once more where slurmctld has the code of something else.

    Without associations, which are slurmdbd's, it answers a change of the partition with the errno
    that its thread happens to have, most of them EAGAIN (seen on 24.11 and 26.05, with scontrol
    too).
    """
    for _ in range(50):
        if not _is_left_over(call):
            return
    call()


def _is_left_over(call: Callable[[], Any]) -> bool:
    try:
        call()
    except RPCError as error:
        if error.name != "EAGAIN":
            raise
        return True
    return False


class Slurm:
    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {**env, "SLURM_TIME_FORMAT": "%s"}

    def update(self, *words: str) -> None:
        """The same of ``scontrol update``."""
        for _ in range(50):
            if "Resource temporarily unavailable" not in self.run(*words, check=False):
                return
        self.run(*words)

    def run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, env=self.env, check=False, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def submit(self, *options: str) -> int:
        wait = () if any("--begin" in option for option in options) else ("--hold",)
        command = ("sbatch", "--parsable", *wait, "--chdir=/", *options, "--wrap=sleep 600")
        return int(self.run(*command))

    def show(self, job: int | str) -> list[str]:
        """What scontrol shows of a job, without what differs between any two."""
        text = self.run("scontrol", "show", "job", "-d", str(job)).replace(str(job), "ID")
        # It becomes eligible when the scheduler comes to it.
        text = re.sub(
            r"(?<=EligibleTime=)\d+",
            lambda it: "now" if abs(int(it[0]) - time.time()) < 3600 else it[0],
            text,
        )
        moving = r"(?<!\S)(?:SubmitTime|AccrueTime|LastSchedEval|EndTime|Reason|Scheduler)=\S*"
        moving += r"|(?<!\S)SLUID=\S*"
        # What counts down from job to job is what slurmctld gives without a plugin.
        moving += r"|(?<!\S)Priority=4294\d{6}"
        return sorted(re.sub(moving, "", text).split("\n"))

    def show_both(self, ours: int, theirs: int) -> list[str]:
        """What scontrol shows of both, once the scheduler has come to the second of them too."""
        shown: list[list[str]] = []

        def alike() -> bool:
            shown[:] = [self.show(ours), self.show(theirs)]
            return shown[0] == shown[1]

        wait_for(alike, 20, otherwise=lambda: set(shown[0]) ^ set(shown[1]))
        return shown[0]


@pytest.fixture(scope="module")
def slurm(other_cluster: Callable[..., AbstractContextManager[Any]]) -> Iterator[Slurm]:
    with other_cluster(OPTIONS) as (env, _folder):
        slurm = Slurm(env)
        slurm.run(
            "scontrol", "create", "reservation", "reservationname=later", "nodes=ALL",
            "starttime=now+30days", "duration=60", "users=root,daemon", "flags=OVERLAP",
        )  # fmt: skip
        yield slurm


TOMORROW = int(time.time()) + 86_400
Row = tuple[dict[str, Any], str, tuple[str, ...]]


def row(attribute: str, value: object, change: str, *options: str, **more: Any) -> Row:  # noqa: ANN401
    return {attribute: value, **more}, change, options


ROWS: list[Row] = [
    row("name", "größe x", "JobName=größe x"),
    row("wckey", "key", "WCKey=key"),
    row("comment", "größe = ☃", "Comment=größe = ☃"),
    row("comment", "", "Comment=", "--comment=before"),
    row("admin_comment", "by the administrator", "AdminComment=by the administrator"),
    row("priority", 77, "Priority=77", "--begin=2036-02-29"),
    row("nice", 5, "Nice=5"),
    row("nice", -5, "Nice=-5"),
    row("array", "%3", "ArrayTaskThrottle=3", "--array=0-9"),
    row("array", 3, "ArrayTaskThrottle=3", "--array=0-9"),
    row("begin_time", TOMORROW, f"StartTime=uts{TOMORROW}"),
    row("deadline", TOMORROW, f"Deadline=uts{TOMORROW}", "--time=5"),
    row("time_limit", "1-00:00:00", "TimeLimit=1-00:00:00"),
    row("time_limit", dt.timedelta(hours=1), "TimeLimit=60"),
    row("time_limit", "UNLIMITED", "TimeLimit=UNLIMITED", "--time=5"),
    row("time_limit_min", 20, "TimeMin=20", "--time=60"),
    row("delay_boot_time", 5, "DelayBoot=5"),
    row("partitions", ["other", "debug"], "Partition=other,debug"),
    row("reservations", "later", "ReservationName=later"),
    row("licenses", "matlab:2", "Licenses=matlab:2"),
    row("required_nodes", ["n1", "n2"], "ReqNodeList=n1,n2", "--nodes=2"),
    row("excluded_nodes", "n[3-4]", "ExcNodeList=n[3-4]"),
    row("mail_user", ["ann", "bob"], "MailUser=ann,bob", "--mail-type=END"),
    row("mail_types", ["END", "FAIL"], "MailType=END,FAIL"),
    row("constraints", ["red", "blue"], "Features=red&blue"),
    row("dependencies", "singleton", "Dependency=singleton"),
    row("dependencies", "", "Dependency=", "--dependency=singleton"),
    row("nodes", "2-3", "NumNodes=2-3", "--ntasks=4"),
    row("nodes", 2, "NumNodes=2-2"),
    row("requires_contiguous_nodes", True, "Contiguous=YES"),
    row("requires_contiguous_nodes", False, "Contiguous=NO", "--contiguous"),
    row("ntasks", 4, "NumTasks=4"),
    row("ntasks_per_node", 2, "TasksPerNode=2", "--ntasks=4"),
    row("cpus_per_task", 3, "CPUsPerTask=3"),
    row("cpus_per_gpu", 3, "CpusPerTres=gres:gpu:3", "--gpus=1"),
    row("min_cpus_per_node", 4, "MinCPUsNode=4"),
    row("sockets_per_node", 2, "ReqSockets=2"),
    row("cores_per_socket", 3, "ReqCores=3"),
    row("threads_per_core", 1, "ReqThreads=1"),
    row("cores_reserved_for_system", 1, "CoreSpec=1"),
    row("threads_reserved_for_system", 2, "ThreadSpec=2"),
    row("memory_per_node", "1G", "MinMemoryNode=1024"),
    row("memory_per_cpu", 300, "MinMemoryCPU=300"),
    row("memory_per_gpu", 300, "MemPerTres=gres:gpu:300 TresPerJob=gres:gpu:1", "--gpus=1", gpus=1),
    row("temporary_disk_per_node", 50, "MinTmpDiskNode=50"),
    row("gpus", 2, "TresPerJob=gres:gpu:2"),
    row("gpus_per_task", 1, "TresPerTask=gres:gpu:1", "--ntasks=2"),
    row(
        "gpus_per_socket", 1, "TresPerSocket=gres:gpu:1 ReqSockets=2", "--sockets-per-node=1",
        "--gpus-per-socket=2", sockets_per_node=2,
    ),
    row("gres_per_node", {"gpu": 1, "nic": 2}, "Gres=gpu:1,nic:2"),
    row("gpu_binding", "closest", "TresBind=gpu:closest", "--gpus=1"),
    row("switches", "2@00:10:00", "Switches=2@00:10:00"),
    row("is_requeueable", False, "Requeue=0"),
    row("is_requeueable", True, "Requeue=1", "--no-requeue"),
    row("requires_node_reboot", True, "Reboot=YES"),
    row("resource_sharing", "oversubscribe", "OverSubscribe=YES"),
    row("resource_sharing", "exclusive", "OverSubscribe=NO", "--oversubscribe"),
    row("working_directory", "/usr", "WorkDir=/usr"),
    row("standard_output", "/usr/out-%j", "StdOut=/usr/out-%j"),
]  # fmt: skip
if MAJOR >= "23.02":
    ROWS += [
        row("extra", "more", "Extra=more"),
        row("standard_error", "/usr/err-%j", "StdErr=/usr/err-%j"),
        row("standard_in", "/usr/in-%j", "StdIn=/usr/in-%j"),
    ]

#: Changes that have no word in scontrol, or that this cluster cannot show: what comes of slurmdbd
#: is tried in tests/test_accounting.py, and features of clusters are a federation's.
UNTRIED = {"network", "account", "qos", "site_factor", "cluster_constraints"}
NAMES = [f"{next(iter(values))}-{i}" for i, (values, *_) in enumerate(ROWS)]


@pytest.mark.parametrize(("values", "change", "options"), ROWS, ids=NAMES)
def test_changes_what_scontrol_does(
    slurm: Slurm, values: dict[str, Any], change: str, options: tuple[str, ...]
) -> None:
    ours, theirs = slurm.submit(*options), slurm.submit(*options)
    before = slurm.show_both(ours, theirs)
    again(lambda: Job(ours).modify(JobSubmitDescription(**values)))
    spelled = change
    if MAJOR >= "23.11":
        # As sbatch spells them there, which scontrol leaves to the user.
        spelled = re.sub("(TresPerTask=gres)[:/]gpu:", r"\1/gpu=", change)
        spelled = spelled.replace("gres:gpu", "gres/gpu")
        spelled = spelled.replace("TresBind=gpu", "TresBind=gres/gpu")
    words = re.split(r" (?=[A-Z]\w+=)", spelled)
    slurm.update("scontrol", "update", f"jobid={theirs}", *words)
    assert slurm.show_both(ours, theirs) != before


def test_every_attribute_that_can_be_changed_has_a_row() -> None:
    tried = {name for values, *_ in ROWS for name in values} | UNTRIED
    for name, option in JobSubmitDescription.options.items():
        can = option.changes is True or (option.changes and str(option.changes) <= MAJOR)
        if option.since and option.since > MAJOR:
            continue
        assert bool(can) == (name in tried), name


def test_network(slurm: Slurm) -> None:
    """Shown by scontrol, which has no word to change it."""
    number = slurm.submit()
    Job(number).modify(JobSubmitDescription(network="net1"))
    assert any("Network=net1" in line for line in slurm.show(number))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"working_directory": "sub"}, "absolute path"),
        ({"gres_per_node": "none"}, "cannot be 'none'"),
        ({"clusters": "nosuch"}, "cannot be changed"),
    ],
)
def test_what_would_be_lost_or_mean_something_else(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Job(1).modify(JobSubmitDescription(**values))


def test_features_of_clusters_are_for_federations(slurm: Slurm) -> None:
    number = slurm.submit()
    with pytest.raises(RPCError, match="modifying"):
        Job(number).modify(JobSubmitDescription(cluster_constraints="east"))
    said = slurm.run("scontrol", "update", f"jobid={number}", "ClusterFeatures=east", check=False)
    assert "error" in said.lower()


FIXED = [name for name, option in JobSubmitDescription.options.items() if option.changes is False]


@pytest.mark.parametrize("attribute", FIXED)
def test_what_cannot_be_changed(slurm: Slurm, attribute: str) -> None:
    job = slurm.submit()
    before = slurm.show(job)
    given: dict[str, Any] = {"comment": "never", attribute: "x"}
    changes = JobSubmitDescription(**given)
    with pytest.raises(ValueError, match=f"{attribute} of a job .* cannot be changed"):
        Job(job).modify(changes)
    assert slurm.show(job) == before


@pytest.mark.skipif(MAJOR >= "23.02", reason="this major can change them")
@pytest.mark.parametrize("attribute", ["standard_in", "standard_error"])
def test_what_cannot_be_changed_yet(slurm: Slurm, attribute: str) -> None:
    given: dict[str, Any] = {attribute: "x"}
    job = Job(slurm.submit())
    with pytest.raises(ValueError, match=r"cannot be changed before Slurm 23\.02"):
        job.modify(JobSubmitDescription(**given))


def test_several_changes_at_once(slurm: Slurm) -> None:
    job = Job(slurm.submit())
    changes = JobSubmitDescription(comment="x", time_limit=7, nice=3, partitions="other")
    again(lambda: job.modify(changes))
    job.reload()
    assert (job.comment, job.time_limit, job.nice, job.partition) == ("x", 7, 3, "other")
    # A description can be used for other jobs.
    other = Job(slurm.submit())
    again(lambda: other.modify(changes))
    assert other.reload().comment == "x"


def test_wrong_changes_are_not_sent(slurm: Slurm) -> None:
    number = slurm.submit("--comment=as it was")
    job = Job(number)
    before = slurm.show(number)
    with pytest.raises(ValueError, match="nothing is set"):
        job.modify(JobSubmitDescription())
    with pytest.raises(ValueError, match="time_limit is no duration"):
        job.modify(JobSubmitDescription(comment="x", time_limit="soon"))
    with pytest.raises(ValueError, match="exclude each other"):
        job.modify(JobSubmitDescription(comment="x", memory_per_cpu=1, memory_per_node=1))
    with pytest.raises(ValueError, match="array"):
        job.modify(JobSubmitDescription(array="0-9"))
    with pytest.raises(TypeError, match="JobSubmitDescription, not dict"):
        job.modify({"comment": "x"})  # type: ignore[arg-type]
    assert slurm.show(number) == before


def test_refused_by_slurmctld(slurm: Slurm) -> None:
    job = Job(slurm.submit())
    with pytest.raises(RPCError, match="modifying job") as caught:
        job.modify(JobSubmitDescription(partitions="nowhere"))
    assert caught.value.name == "ESLURM_INVALID_PARTITION_NAME"
    with pytest.raises(InvalidJobId):
        Job(999_999).modify(JobSubmitDescription(comment="x"))


def test_tasks_of_an_array(slurm: Slurm) -> None:
    number = slurm.submit("--array=0-5")
    Job(f"{number}_[1-2]").modify(JobSubmitDescription(comment="some"))
    comments = {
        task: slurm.run("squeue", "-h", "-r", "-j", f"{number}_{task}", "-o", "%k").strip()
        for task in range(6)
    }
    assert {task for task, comment in comments.items() if comment == "some"} == {1, 2}
    # One of them is gone: the others are changed all the same, and the error has each.
    Job(f"{number}_1").cancel()
    with pytest.raises(TaskErrors) as caught:
        Job(number).modify(JobSubmitDescription(time_limit=9, ntasks=2))
    assert set(caught.value.errors) == {f"{number}_1"}
    assert Job.load(f"{number}_2").time_limit == 9


PROGRAM = """
# What is imported later may be where others cannot read.
import json, os, signal, sys
import slurmpy
from slurmpy import Job, JobSubmitDescription
slurmpy.Jobs.load()
JobSubmitDescription(script="#!/bin/sh", cpu_frequency="low").dry_run()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.chdir("/")

def outcome(function, *args):
    try:
        return function(*args)
    except PermissionError as error:
        return error.name

own = JobSubmitDescription(script="#!/bin/sh\\ntrue", hold=True)
other = JobSubmitDescription(script="#!/bin/sh\\ntrue", hold=True, user_id=1)
print(json.dumps([
    outcome(Job(int(sys.argv[1])).modify, JobSubmitDescription(comment="x")),
    outcome(other.submit),
    outcome(own.submit),
]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user(slurm: Slurm) -> None:
    number = slurm.submit()
    before = slurm.show(number)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(number)],
        env={**slurm.env, "PYTHONPATH": str(Path(slurmpy.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    modified, for_other, own = json.loads(done.stdout)
    assert {modified, for_other} <= {"ESLURM_ACCESS_DENIED", "ESLURM_USER_ID_MISSING"}
    assert slurm.show(number) == before
    assert Job.load(own).user_id == 65534
    # An administrator may change it.
    Job(own).modify(JobSubmitDescription(comment="by root"))
    assert Job.load(own).comment == "by root"


def test_a_whole_collection(slurm: Slurm) -> None:
    array, single = slurm.submit("--array=0-3"), slurm.submit()
    gone = Job(slurm.submit())
    gone.cancel()
    jobs = Jobs([array, single, gone.id])
    with pytest.raises(JobErrors) as caught:
        jobs.modify(JobSubmitDescription(time_limit=11, ntasks=2))
    assert set(caught.value.errors) == {gone.id}
    assert Job.load(array).time_limit == Job.load(single).time_limit == 11
    with pytest.raises(ValueError, match="script of a job"):
        jobs.modify(JobSubmitDescription(script="x", time_limit=12))
    with pytest.raises(TypeError, match="JobSubmitDescription, not str"):
        jobs.modify("time_limit=12")  # type: ignore[arg-type]
    assert Job.load(single).time_limit == 11
