"""Jobs that are submitted through a description, held against those of sbatch and scontrol.

Each row of `ROWS` is submitted twice, with slurmpy and with sbatch, and both jobs are compared in all
that Slurm has of them: what `scontrol show job` says, what slurmctld's job_submit plugin was given,
the environment and the script that slurmctld keeps. docs/submission.md lists the attributes that
scontrol does not show.
"""

from __future__ import annotations

import copy
import datetime as dt
import getpass
import json
import os
import pickle
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import slurmpy
from slurmpy import (
    AccessDenied,
    InvalidJobId,
    Job,
    JobSubmitDescription,
    RPCError,
    UnsupportedField,
)
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from slurmpy.testing import LocalCluster

HERE = Path(__file__).parent
ROOT = os.geteuid() == 0

FIELDS = """
    account acctg_freq admin_comment argc array_inx batch_features begin_time bitflags burst_buffer
    clusters comment container contiguous cores_per_socket cpu_freq_min cpu_freq_max cpu_freq_gov
    cpus_per_task cpus_per_tres delay_boot dependency end_time extra exc_nodes features gres group_id
    immediate licenses mail_type mail_user max_cpus max_nodes mem_per_tres min_cpus
    min_mem_per_node min_mem_per_cpu min_nodes name network nice ntasks_per_board ntasks_per_core
    ntasks_per_gpu ntasks_per_node ntasks_per_socket ntasks_per_tres num_tasks partition prefer
    pn_min_cpus pn_min_memory pn_min_tmp_disk priority qos reboot req_context req_nodes req_switch
    requeue reservation shared sockets_per_board sockets_per_node std_err std_in std_out
    threads_per_core time_limit time_min tres_bind tres_freq tres_per_job tres_per_node
    tres_per_socket tres_per_task user_id wait4switch work_dir wckey
""".split()

# Writes down what slurmctld was sent, before it looks at it; talks and refuses when told to.
JOB_SUBMIT = """
function slurm_job_submit(job, partitions, uid)
    local file = io.open("@FOLDER@/sent", "w")
    for name in string.gmatch([[FIELDS]], "%S+") do
        file:write(name, "=", tostring(job[name]), "\\n")
    end
    file:close()
    if job.comment ~= nil and string.sub(job.comment, 1, 4) == "say " then
        slurm.log_user(string.sub(job.comment, 5))
    end
    if job.comment == "say no" then
        return slurm.ERROR
    end
    return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, uid)
    return slurm.SUCCESS
end
""".replace("FIELDS", " ".join(FIELDS))

OPTIONS = {
    "name": "submission",
    "nodes": 4,
    "cpus": 16,
    "memory": 8000,
    "gpus": {"tesla": 2},
    "gres_conf": "NodeName=n[1-4] Name=nic Count=4",
    "node_options": (
        "Features=red,blue,green TmpDisk=1000 Sockets=2 CoresPerSocket=4 ThreadsPerCore=2"
        " Gres=gpu:tesla:2,nic:4"
    ),
    "partitions": {"debug": "", "other": "", "closed": "State=DOWN", "tiny": "MaxNodes=1"},
    "extra_conf": """
        AllowSpecResourcesUsage=yes
        CpuFreqGovernors=OnDemand,Performance,UserSpace
        FirstJobId=700001
        GresTypes=gpu,nic
        Licenses=matlab:10,ansys:10
        MCSPlugin=mcs/account
        MCSParameters=ondemand
        PropagateResourceLimitsExcept=MEMLOCK
        RebootProgram=/bin/true
        TrackWCKey=yes
    """,
}

SCRIPT = "#!/bin/sh\nexec sleep 600\n"


class Slurm:
    """Slurm's commands, and what they and slurmctld's files tell of a job."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.path = env["PATH"]
        self.more = {"SLURM_CONF": env["SLURM_CONF"], "SLURM_TIME_FORMAT": "%s"}
        self.folder = folder
        self.script = folder / "job.sh"
        self.script.write_text(SCRIPT)

    def run(self, *command: str, stdin: str = "", check: bool = True) -> str:
        program = shutil.which(command[0], path=self.path)
        assert program
        done = subprocess.run(
            [program, *command[1:]],
            # What is submitted with the whole environment has to be the same as from here.
            env={**os.environ, **self.more},
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and done.returncode:
            pytest.fail(f"{shlex.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def sbatch(self, *options: str, stdin: str = "") -> int:
        command = ["sbatch", "--parsable", *options]
        return int(self.run(*command, stdin=stdin).split(";")[0].split()[-1])

    def sent(self) -> dict[str, str]:
        """What the job_submit plugin was given for the last submission."""
        lines = (self.folder / "sent").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def show(self, job: int) -> str:
        return self.run("scontrol", "show", "job", "-d", str(job))

    def value(self, job: int, key: str) -> str:
        found = re.search(rf"(?<!\S){key}=(.*?)(?=\s+\S+=|\n|$)", self.show(job))
        assert found, key
        return found[1]

    def state(self, job: int) -> str:
        return self.value(job, "JobState")

    def kept(self, job: int, what: str) -> bytes:
        """What slurmctld keeps of a job: its ``script`` or its ``environment``."""
        return (self.folder / "state" / f"hash.{job % 10}" / f"job.{job}" / what).read_bytes()

    def environment(self, job: int) -> dict[str, str]:
        content = self.kept(job, "environment")
        # A number stands before the variables, each of which ends with a NUL.
        variables = content[4:].decode("utf-8", "surrogateescape").split("\0")
        return dict(item.split("=", 1) for item in variables if "=" in item)

    def wait(self, job: int, *states: str) -> None:
        deadline = time.monotonic() + 40
        while (state := self.state(job)) not in states:
            assert time.monotonic() < deadline, f"{state}: {self.show(job)}"
            time.sleep(0.05)


#: What differs between any two jobs.
MOVING = re.compile(
    r"(?<!\S)(?:AllocNode:Sid|SubmitTime|EligibleTime|AccrueTime|LastSchedEval|StartTime|EndTime"
    r"|Scheduler|SubmitLine)=\S*(?: [^=\s]+(?=\s|$))*"
)


class Seen:
    """All that is known of a job, without what differs between any two."""

    def __init__(self, slurm: Slurm, job: int) -> None:
        self.job = job
        self.sent = slurm.sent()
        shown = slurm.show(job).replace(str(job), "ID")
        self.shown = sorted(MOVING.sub("", shown).split("\n"))
        self.environment = slurm.environment(job)
        for name in ("SLURM_CONF", "SLURM_TIME_FORMAT", "PYTEST_CURRENT_TEST", "_"):
            self.environment.pop(name, None)
        self.script = slurm.kept(job, "script")


@pytest.fixture(scope="module")
def slurm(other_cluster: Callable[..., AbstractContextManager[Any]]) -> Iterator[Slurm]:
    files, lines = {"job_submit.lua": JOB_SUBMIT}, "JobSubmitPlugins=lua\n"
    with other_cluster(OPTIONS, files, lines) as (env, folder):
        slurm = Slurm(env, folder)
        for name in ("later1", "later2"):
            slurm.run(
                "scontrol", "create", "reservation", f"reservationname={name}", "nodes=ALL",
                "starttime=now+30days", "duration=60", f"users={getpass.getuser()}",
                "flags=OVERLAP",
            )  # fmt: skip
        yield slurm


@pytest.fixture
def job(slurm: Slurm) -> JobSubmitDescription:
    """What every row adds to."""
    return JobSubmitDescription(script=str(slurm.script), hold=True)


Row = tuple[str, dict[str, Any], list[str]]


def row(attribute: str, value: object, *options: str, **more: Any) -> Row:  # noqa: ANN401
    return attribute, {attribute: value, **more}, list(options)


TOMORROW = int(time.time()) + 86_400
WHEN = dt.datetime.fromtimestamp(TOMORROW)  # noqa: DTZ006 - local time, as sbatch has it
ISO = WHEN.strftime("%Y-%m-%dT%H:%M:%S")

ROWS: list[Row] = [
    row("name", "größe=☃ x", "--job-name=größe=☃ x"),
    row("name", "", "--job-name="),
    row("account", "physics", "--account=physics"),
    row("wckey", "key1", "--wckey=key1"),
    row("comment", "größer = ☃, 'a' \"b\"", "--comment=größer = ☃, 'a' \"b\""),
    row("qos", "normal", "--qos=normal"),
    row("network", "net1", "--network=net1"),
    row("mcs_label", "physics", "--mcs-label=physics", "--account=physics", account="physics"),
    row("container", "/bundles/one", "--container=/bundles/one"),
    row("priority", 77, "--priority=77", "--begin=now+9days", begin_time="now+9days", hold=None),
    row(
        "priority", "TOP", "--priority=TOP", "--begin=now+9days", begin_time="now+9days", hold=None
    ),
    row("hold", True, "--hold"),
    row("nice", 50, "--nice=50"),
    row("nice", -7, "--nice=-7"),
    row("nice", 100, "--nice"),
    row("array", "0-15:4%2", "--array=0-15:4%2"),
    row("array", "1,3,5-7", "-a", "1,3,5-7"),
    row("begin_time", ISO, f"--begin={ISO}"),
    row("begin_time", WHEN, f"--begin={ISO}"),
    row("begin_time", WHEN.astimezone(dt.timezone.utc), f"--begin={ISO}"),
    row("begin_time", TOMORROW, f"--begin=uts{TOMORROW}"),
    row("begin_time", "2036-02-29", "--begin=2036-02-29"),
    row("deadline", TOMORROW, f"--deadline=uts{TOMORROW}", "--time=5", time_limit=5),
    row("time_limit", 90, "--time=90"),
    row("time_limit", "2-00:00:00", "--time=2-00:00:00"),
    row("time_limit", "1:30", "-t1:30"),
    row("time_limit", dt.timedelta(hours=1, seconds=1), "--time=1:00:01"),
    row("time_limit", slurmpy.UNLIMITED, "--time=UNLIMITED"),
    row("time_limit", 0, "--time=0"),
    row("time_limit_min", "20:00", "--time-min=20:00", "--time=60", time_limit=60),
    row("delay_boot_time", 5, "--delay-boot=5"),
    row("delay_boot_time", "2:30", "--delay-boot=2:30"),
    row("partitions", ["debug", "other"], "--partition=debug,other"),
    row("partitions", "other", "-p", "other"),
    row("reservations", ["later1", "later2"], "--reservation=later1,later2"),
    row("licenses", ["matlab:2", "ansys"], "--licenses=matlab:2,ansys"),
    row("required_nodes", ["n3", "n1", "n1"], "--nodelist=n3,n1,n1"),
    row("required_nodes", "n[1-2]", "-w", "n[1-2]", "--nodes=2-3", nodes="2-3"),
    row("excluded_nodes", ["n4", "n3"], "--exclude=n4,n3"),
    row("mail_user", ["ann", "bob"], "--mail-user=ann,bob", "--mail-type=END", mail_types="END"),
    row("mail_types", ["END", "array_tasks"], "--mail-type=END,ARRAY_TASKS"),
    row("mail_types", "ALL,TIME_LIMIT_80", "--mail-type=ALL,TIME_LIMIT_80"),
    row("mail_types", "NONE", "--mail-type=NONE"),
    row("constraints", ["red", "blue"], "--constraint=red&blue"),
    row("constraints", "[red*1&blue*2]", "-C", "[red*1&blue*2]", "--nodes=3", nodes=3),
    row(
        "batch_constraints", ["red"], "--batch=red", "--constraint=red&blue", constraints="red&blue"
    ),
    row("cluster_constraints", ["east", "west"], "--cluster-constraint=east,west"),
    row("dependencies", "singleton", "--dependency=singleton"),
    row("nodes", 3, "--nodes=3"),
    row("nodes", "2-4", "--nodes=2-4"),
    row("nodes", {"min": 1, "max": 3}, "-N1-3"),
    row("nodes", "1-3", "--nodes=1-3", "--ntasks=2", ntasks=2),
    row("use_min_nodes", True, "--use-min-nodes"),
    row("requires_contiguous_nodes", True, "--contiguous"),
    row("spreads_over_nodes", True, "--spread-job"),
    row("ntasks", 4, "--ntasks=4"),
    row("ntasks", 4, "-n4", "-N2", nodes=2),
    row("ntasks_per_node", 2, "--ntasks-per-node=2", "--nodes=3", nodes=3),
    row("ntasks_per_node", 2, "--ntasks-per-node=2", "--ntasks=5", ntasks=5),
    row("ntasks_per_node", 2, "--ntasks-per-node=2", "--nodes=2-3", nodes="2-3"),
    row("ntasks_per_socket", 2, "--ntasks-per-socket=2"),
    row("ntasks_per_core", 1, "--ntasks-per-core=1"),
    row("ntasks_per_gpu", 2, "--ntasks-per-gpu=2", "--gpus=2", gpus=2),
    row(
        "ntasks_per_gpu",
        2,
        "--ntasks-per-gpu=2",
        "--gres=gpu:2",
        "-N2",
        nodes=2,
        gres_per_node="gpu:2",
    ),
    row("ntasks_per_gpu", 2, "--ntasks-per-gpu=2", "-N2", nodes=2),
    row("ntasks_per_gpu", 2, "--ntasks-per-gpu=2", "-n4", ntasks=4),
    row("distribution", "cyclic:block", "--distribution=cyclic:block"),
    row("distribution", "*:*:*,pack", "-m", "*:*:*,pack"),
    row("distribution", "block:fcyclic:cyclic,NoPack", "-m", "block:fcyclic:cyclic,NoPack"),
    row("distribution", "plane=2", "--distribution=plane=2", "--ntasks=4", ntasks=4),
    row(
        "distribution",
        "arbitrary",
        "-m",
        "arbitrary",
        "-w",
        "n2,n1,n1",
        required_nodes="n2,n1,n1",
    ),
    row("cpus_per_task", 3, "--cpus-per-task=3"),
    row("cpus_per_task", 3, "-c3", "-n2", "-N2", ntasks=2, nodes=2),
    row("cpus_per_gpu", 2, "--cpus-per-gpu=2", "--gpus=1", gpus=1),
    row("min_cpus_per_node", 5, "--mincpus=5"),
    row("min_cpus_per_node", 5, "--mincpus=5", "-c6", cpus_per_task=6),
    row("sockets_per_node", 2, "--sockets-per-node=2"),
    row("cores_per_socket", 3, "--cores-per-socket=3", "-N1", nodes=1),
    row("threads_per_core", 2, "--threads-per-core=2"),
    row(
        "sockets_per_node", 2, "-B", "2:3:2", "-N2", cores_per_socket=3, threads_per_core=2, nodes=2
    ),
    row("cores_reserved_for_system", 1, "--core-spec=1"),
    row("threads_reserved_for_system", 2, "--thread-spec=2"),
    row("overcommit", True, "--overcommit", "--ntasks=3", ntasks=3),
    row("cpu_frequency", "low-high:performance", "--cpu-freq=low-high:performance"),
    row("cpu_frequency", {"min": 1000000, "max": "highm1"}, "--cpu-freq=1000000-highm1"),
    row("cpu_frequency", "OnDemand", "--cpu-freq=OnDemand"),
    row("cpu_frequency", 1500000, "--cpu-freq=1500000"),
    row("memory_per_node", "3G", "--mem=3G"),
    row("memory_per_node", 0, "--mem=0"),
    row("memory_per_node", "1500K", "--mem=1500K"),
    row("memory_per_cpu", 300, "--mem-per-cpu=300"),
    row("memory_per_gpu", "1G", "--mem-per-gpu=1G", "--gpus=1", gpus=1),
    row("temporary_disk_per_node", "500M", "--tmp=500M"),
    row("gpus", 2, "--gpus=2"),
    row("gpus", {"tesla": 1}, "-G", "tesla:1"),
    row("gpus", "tesla:2", "--gpus=tesla:2", "--nodes=2", nodes=2),
    row("gpus_per_socket", 1, "--gpus-per-socket=1", "--sockets-per-node=1", sockets_per_node=1),
    row("gpus_per_task", "tesla:1", "--gpus-per-task=tesla:1", "--ntasks=2", ntasks=2),
    row("gpus_per_task", 1, "--gpus-per-task=1", "-n2", "-c2", ntasks=2, cpus_per_task=2),
    row("gpus_per_task", 1, "--gpus-per-task=1", "--gpus=4", gpus=4),
    row("gpus_per_task", {"tesla": 1}, "--gpus-per-task=tesla:1", "-N2", nodes=2),
    row("gpus", 4, "--gpus=4", "--gres=gpu:2", gres_per_node={"gpu": 2}),
    row("gres_per_node", "gpu:1,nic:3", "--gres=gpu:1,nic:3"),
    row("gres_per_node", {"gpu:tesla": 1, "nic": 2}, "--gres=gpu:tesla:1,nic:2"),
    row("gres_per_node", "none", "--gres=none"),
    row("gpu_binding", "verbose,single:1", "--gpu-bind=verbose,single:1", "--gpus=1", gpus=1),
    row("gres_binding", "enforce-binding", "--gres-flags=enforce-binding"),
    row("gres_binding", "disable-binding", "--gres-flags=disable-binding"),
    row("switches", "2@00:10:00", "--switches=2@00:10:00"),
    row("switches", {"count": 2, "max_wait_time": 90}, "--switches=2@1:30"),
    row("switches", 3, "--switches=3"),
    row("signal", "B:SIGUSR1@120", "--signal=B:SIGUSR1@120"),
    row("signal", "usr2", "--signal=usr2"),
    row(
        "signal",
        {"signal": "TERM", "time": 30, "batch_only": True, "allow_reservation_overlap": True},
        "--signal=RB:TERM@30",
    ),
    row("kill_on_node_fail", False, "--no-kill"),
    row("kill_on_node_fail", True, "--no-kill=off"),
    row("kill_on_invalid_dependency", True, "--kill-on-invalid-dep=yes"),
    row("kill_on_invalid_dependency", False, "--kill-on-invalid-dep=no"),
    row("is_requeueable", False, "--no-requeue"),
    row("is_requeueable", True, "--requeue"),
    row("requires_node_reboot", True, "--reboot"),
    row("wait_all_nodes", True, "--wait-all-nodes=1"),
    row("wait_all_nodes", False, "--wait-all-nodes=0"),
    row("resource_sharing", "yes", "--oversubscribe"),
    row("resource_sharing", "oversubscribe", "--exclusive=oversubscribe"),
    row("resource_sharing", "no", "--exclusive"),
    row("resource_sharing", "exclusive", "--exclusive"),
    row("resource_sharing", "user", "--exclusive=user"),
    row("resource_sharing", "mcs", "--exclusive=mcs"),
    row("working_directory", "/usr", "--chdir=/usr"),
    row("working_directory", Path("relative"), "-D", "relative"),
    row("standard_in", "in.%j", "--input=in.%j"),
    row("standard_output", "/tmp/größe-%j", "--output=/tmp/größe-%j"),
    row("standard_output", "none", "-o", "none"),
    row("standard_output", "out", "-o", "out", "-D", "/usr", working_directory="/usr"),
    row("standard_error", "err", "--error=err"),
    row("log_files_open_mode", "append", "--open-mode=append"),
    row("log_files_open_mode", "truncate", "--open-mode=truncate"),
    row("environment", "NONE", "--export=NONE"),
    row("environment", "ALL", "--export=ALL"),
    row("environment", "A=1,'B=2,3',HOME", "--export=A=1,'B=2,3',HOME"),
    row("environment", {"B": "2,3", "A": "1"}, "--export='B=2,3',A=1"),
    row("environment", ["HOME", "A=x y"], "--export=HOME,A=x y"),
    row("environment", "ALL,A=größe", "--export=ALL,A=größe"),
    row("get_user_environment", True, "--get-user-env"),
    row("profile_types", ["task", "energy"], "--profile=task,energy"),
    row("profile_types", "all", "--profile=all"),
    row("profile_types", "none", "--profile=none"),
    row("accounting_gather_frequency", "task=1,energy=60", "--acctg-freq=task=1,energy=60"),
    row("accounting_gather_frequency", 1, "--acctg-freq=1"),
    row("selinux_context", "unconfined_u:unconfined_r", "--context=unconfined_u:unconfined_r"),
]
if ROOT:
    NOBODY = pwd.getpwnam("nobody")
    ROWS += [
        row("user_id", "nobody", "--uid=nobody", "-D/", working_directory="/"),
        row("user_id", NOBODY.pw_uid, "--uid=nobody", "-D/", working_directory="/"),
        row("group_id", "nogroup", "--gid=nogroup"),
    ]
if MAJOR >= "23.02":
    ROWS += [
        row("extra", "more", "--extra=more"),
        row("container_id", "bundle", "--container-id=bundle"),
        row("nodes", "1,3", "--nodes=1,3"),
    ]
if MAJOR >= "24.05":
    ROWS += [row("segment_size", 2, "--segment=2", "--nodes=2", nodes=2)]


def submit(slurm: Slurm, values: dict[str, Any]) -> Seen:
    """A job of slurmpy's, from the folder that sbatch is run in."""
    values = {"script": str(slurm.script), "hold": True, **values}
    return Seen(slurm, JobSubmitDescription(**values).submit())


def submit_with_sbatch(slurm: Slurm, values: Mapping[str, Any], options: list[str]) -> Seen:
    hold = [] if values.get("hold", True) is None else ["--hold"]
    return Seen(slurm, slurm.sbatch(*hold, *options, str(slurm.script)))


def compare(ours: Seen, theirs: Seen) -> None:
    assert ours.shown == theirs.shown
    assert ours.sent == theirs.sent
    assert ours.script == theirs.script
    # Newer majors of sbatch leave some variables to slurmd.
    missing = {
        name: value
        for name, value in theirs.environment.items()
        if ours.environment.get(name) != value
    }
    assert not missing
    if MAJOR == "22.05":
        assert ours.environment == theirs.environment


@pytest.fixture(scope="module")
def plain(slurm: Slurm) -> Seen:
    """A job for which nothing is set."""
    return submit(slurm, {})


def test_nothing_set(slurm: Slurm, plain: Seen) -> None:
    compare(plain, submit_with_sbatch(slurm, {}, []))


@pytest.mark.parametrize(
    ("attribute", "values", "options"),
    ROWS,
    ids=[f"{name}-{i}" for i, (name, *_) in enumerate(ROWS)],
)
def test_arrives_as_with_sbatch(
    slurm: Slurm, attribute: str, values: dict[str, Any], options: list[str]
) -> None:
    assert attribute in values
    compare(submit(slurm, values), submit_with_sbatch(slurm, values, options))
