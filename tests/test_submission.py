"""Jobs that are submitted through a description, held against those of sbatch and scontrol.

Each row of `ROWS` is submitted twice, with slurmpy and with sbatch, and both jobs are compared in
all that Slurm has of them: what `scontrol show job` says, what slurmctld's job_submit plugin was
given, how slurmctld put down in its log what it was sent, the environment and the script that it
keeps. docs/submission.md lists the attributes that scontrol does not show.
"""

from __future__ import annotations

import copy
import datetime as dt
import enum
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
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import Job, JobSubmitDescription, RPCError, UnsupportedField
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

HERE = Path(__file__).parent
ROOT = os.geteuid() == 0

FIELDS = """
    account acctg_freq admin_comment argc array_inx batch_features begin_time bitflags burst_buffer
    clusters comment container contiguous cores_per_socket cpu_freq_min cpu_freq_max cpu_freq_gov
    cpus_per_task cpus_per_tres delay_boot dependency end_time extra exc_nodes features gres
    group_id immediate licenses mail_type mail_user max_cpus max_nodes mem_per_tres min_cpus
    min_mem_per_node min_mem_per_cpu min_nodes name network nice ntasks_per_board ntasks_per_core
    ntasks_per_gpu ntasks_per_node ntasks_per_socket ntasks_per_tres num_tasks partition prefer
    pn_min_cpus pn_min_memory pn_min_tmp_disk priority qos reboot req_context req_nodes req_switch
    requeue reservation shared sockets_per_board sockets_per_node std_err std_in std_out
    threads_per_core time_limit time_min tres_bind tres_freq tres_per_job tres_per_node
    tres_per_socket tres_per_task user_id wait4switch work_dir wckey
"""

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
""".replace("FIELDS", FIELDS)

OPTIONS: dict[str, Any] = {
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
        SlurmctldDebug=debug3
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

if MAJOR >= "24.11":
    # Without preemption these majors refuse the R of --signal.
    OPTIONS["extra_conf"] += "PreemptMode=REQUEUE\nPreemptType=preempt/partition_prio\n"

SCRIPT = "#!/bin/sh\nexec sleep 600\n"


class Slurm:
    """Slurm's commands, and what they and slurmctld's files tell of a job."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.path = env["PATH"]
        self.more = {"SLURM_CONF": env["SLURM_CONF"], "SLURM_TIME_FORMAT": "%s"}
        self.folder = folder
        #: How much of slurmctld's log has been looked at.
        self.read = 0
        #: Jobs that are held against several, by their values.
        self.submitted: dict[str, Seen] = {}
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

    def sent_at(self) -> int:
        """When a description last came to slurmctld."""
        return (self.folder / "sent").stat().st_mtime_ns

    def described(self) -> list[str]:
        """How slurmctld has put down the last description that it was sent, in its log."""
        with (self.folder / "slurmctld.log").open("rb") as file:
            file.seek(self.read)
            log = file.read().decode("utf-8", "surrogateescape")
            self.read = file.tell()
        lines = log.rpartition("debug3: JobDesc: ")[2].splitlines()
        found = [line.partition("debug3: ")[2] for line in lines[1:] if "debug3:    " in line]
        # Of the environment there is only the beginning, in the order in which it was sent.
        return [lines[0], *(line for line in found if not line.startswith("   environment="))]

    def show(self, job: int | str) -> str:
        return self.run("scontrol", "show", "job", "-d", str(job))

    def value(self, job: int | str, key: str) -> str:
        found = re.search(rf"(?<!\S){key}=(.*?)(?=\s+\S+=|\n|$)", self.show(job))
        assert found, key
        return found[1]

    def state(self, job: int | str) -> str:
        return self.value(job, "JobState")

    def kept(self, job: int, what: str) -> bytes:
        """What slurmctld keeps of a job: its ``script`` or its ``environment``."""
        return (self.folder / "state" / f"hash.{job % 10}" / f"job.{job}" / what).read_bytes()

    def environment(self, job: int) -> dict[str, str]:
        content = self.kept(job, "environment")
        # A number stands before the variables, each of which ends with a NUL.
        variables = content[4:].decode("utf-8", "surrogateescape").split("\0")
        return dict(item.split("=", 1) for item in variables if "=" in item)

    def wait(self, job: int | str, *states: str) -> None:
        wait_for(lambda: self.state(job) in states, otherwise=lambda: self.show(job))


#: What differs between any two jobs.
MOVING = re.compile(
    r"(?<!\S)(?:AllocNode:Sid|SubmitTime|EligibleTime|AccrueTime|LastSchedEval|EndTime|Reason"
    r"|Scheduler|SLUID)=\S*(?: [^=\s]+(?=\s|$))*|(?<!\S)SubmitLine=.*"
)


#: Variables of this run's own, which sbatch hands on or has otherwise.
OWN = ("SLURM_CONF", "SLURM_TIME_FORMAT", "SLURM_PREFIX", "PYTEST_CURRENT_TEST", "_")


class Seen:
    """All that is known of a job, without what differs between any two."""

    def __init__(self, slurm: Slurm, job: int) -> None:
        self.job, self.slurm = job, slurm
        self.sent = slurm.sent()
        self.described = slurm.described()
        shown = slurm.show(job).replace(str(job), "ID")
        self.shown = sorted(MOVING.sub("", shown).split("\n"))
        self.environment = slurm.environment(job)
        for name in OWN:
            self.environment.pop(name, None)
        self.script = slurm.kept(job, "script")

    @cached_property
    def profile(self) -> str:
        """Nothing else has it where slurmctld tells the job itself."""
        columns = ("-O", "profile:60")
        return self.slurm.run("squeue", "-h", "-j", str(self.job), *columns).strip()


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Makes it the current folder, for the files that jobs write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.fixture(scope="module")
def slurm(other_cluster: Callable[..., AbstractContextManager[Any]]) -> Iterator[Slurm]:
    files, lines = {"job_submit.lua": JOB_SUBMIT}, "JobSubmitPlugins=lua\n"
    with other_cluster(OPTIONS, files, lines) as (env, folder), in_folder(folder):
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
    row("priority", 77, "--priority=77", f"--begin={ISO}", begin_time=ISO, hold=None),
    row("priority", "TOP", "--priority=TOP", f"--begin={ISO}", begin_time=ISO, hold=None),
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
    row("ntasks_per_gpu", 2, "--ntasks-per-gpu=2", "-n4", "-N1-3", ntasks=4, nodes="1-3"),
    row("ntasks_per_gpu", 2, "--ntasks-per-gpu=2", "-G2", "-N1-3", gpus=2, nodes="1-3"),
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
    row(
        "cpu_frequency",
        {"min": 1000000, "max": "highm1", "governor": "performance"},
        "--cpu-freq=1000000-highm1:performance",
    ),
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
    row("gpus", 4, "--gpus=4", "--gres=gpu:2", "-N1-3", gres_per_node="gpu:2", nodes="1-3"),
    row("gpus", 2, "--gpus=2", "--nodes=1-4", nodes="1-4"),
    row(
        "gpus_per_task",
        1,
        "--gpus-per-task=1",
        "--gres=gpu:2",
        "-N2",
        gres_per_node="gpu:2",
        nodes=2,
    ),
    row(
        "gpus_per_socket",
        1,
        "--gpus-per-socket=1",
        "--sockets-per-node=1",
        "--gpus-per-task=1",
        "--gpus=4",
        sockets_per_node=1,
        gpus_per_task=1,
        gpus=4,
    ),
    row(
        "cpus_per_gpu", 1, "--cpus-per-gpu=1", "--gpus-per-task=2", "-n2", gpus_per_task=2, ntasks=2
    ),
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
    row("standard_output", "/usr/größe-%j", "--output=/usr/größe-%j"),
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
        row("user_id", "nobody", f"--uid={NOBODY.pw_uid}", "-D/", working_directory="/"),
        row("user_id", NOBODY.pw_uid, f"--uid={NOBODY.pw_uid}", "-D/", working_directory="/"),
        row("user_id", "daemon", "--uid=daemon", "-D/", working_directory="/"),
        row("group_id", "nogroup", "--gid=nogroup"),
    ]
if MAJOR < "23.11":
    # Newer majors want a governor for a range, and have one that is for no range.
    ROWS.append(
        row("cpu_frequency", {"min": 1000000, "max": "highm1"}, "--cpu-freq=1000000-highm1")
    )
else:
    ROWS += [
        row("cpu_frequency", "1500000:userspace", "--cpu-freq=1500000:userspace"),
    ]
ROWS += [
    row("cpus_per_gpu", 2, "--cpus-per-gpu=2", "--gpus=tesla:3", "-n2", gpus="tesla:3", ntasks=2),
    row(
        "cpus_per_gpu", 2, "--cpus-per-gpu=2", "--gres=gpu:2", "-N2", gres_per_node="gpu:2", nodes=2
    ),
    row(
        "cpus_per_gpu",
        3,
        "--cpus-per-gpu=3",
        "--gpus-per-socket=1",
        "--sockets-per-node=2",
        "-N2",
        gpus_per_socket=1,
        sockets_per_node=2,
        nodes=2,
    ),
    row(
        "cpus_per_gpu",
        2,
        "--cpus-per-gpu=2",
        "--gpus-per-task=tesla:1",
        "-n3",
        gpus_per_task="tesla:1",
        ntasks=3,
    ),
    row(
        "cpus_per_gpu",
        2,
        "--cpus-per-gpu=2",
        "--ntasks-per-gpu=2",
        "-n4",
        ntasks_per_gpu=2,
        ntasks=4,
    ),
]
if MAJOR >= "23.02":
    ROWS += [
        row("extra", "more", "--extra=more"),
        row("container_id", "bundle", "--container-id=bundle"),
        row("nodes", "1,3", "--nodes=1,3"),
    ]

# What another cluster is needed for.
NEWER_ROWS: list[Row] = []
if MAJOR >= "24.05":
    NEWER_ROWS += [
        row("segment_size", 1, "--segment=1", "--nodes=2", nodes=2),
        row("segment_size", 2, "--segment=2", "--nodes=4", nodes=4),
        row("reserved_ports", 3, "--resv-ports=3"),
        row("reserved_ports", 0, "--resv-ports=0"),
        row("gres_tasks_per_sharing", "multiple", "--gres-flags=multiple-tasks-per-sharing"),
        row(
            "gres_tasks_per_sharing",
            "multiple",
            "--gres-flags=multiple-tasks-per-sharing,disable-binding",
            gres_binding="disable-binding",
        ),
        row("gres_binding", "disable-binding", "--gres-flags=disable-binding"),
        row("cpu_frequency", "low-high", "--cpu-freq=low-high"),
        row("environment", "NONE", "--export=NONE"),
    ]


def submit(slurm: Slurm, values: dict[str, Any]) -> Seen:
    """A job of slurmpy's, from the folder that sbatch is run in."""
    values = {"script": str(slurm.script), "hold": True, **values}
    return Seen(slurm, JobSubmitDescription(**values).submit())


def submitted(slurm: Slurm, values: dict[str, Any]) -> Seen:
    """The same for the same values: each of the rows is held against several."""
    key = repr(values)
    if key not in slurm.submitted:
        slurm.submitted[key] = submit(slurm, values)
    return slurm.submitted[key]


def submit_with_sbatch(slurm: Slurm, values: Mapping[str, Any], options: list[str]) -> Seen:
    hold = [] if values.get("hold", True) is None else ["--hold"]
    return Seen(slurm, slurm.sbatch(*hold, *options, str(slurm.script)))


def compare(ours: Seen, theirs: Seen) -> None:
    assert ours.shown == theirs.shown
    assert ours.sent == theirs.sent
    assert ours.described == theirs.described
    assert ours.script == theirs.script
    assert ours.environment == theirs.environment


def compare_all(values: Mapping[str, Any], ours: Seen, theirs: Seen) -> None:
    """The same, with what takes a command more where it is what the values are about."""
    compare(ours, theirs)
    if "profile_types" in values:
        assert ours.profile == theirs.profile


def test_nothing_set(slurm: Slurm) -> None:
    ours, theirs = submitted(slurm, {}), submit_with_sbatch(slurm, {}, [])
    compare(ours, theirs)
    assert ours.profile == theirs.profile


@pytest.mark.parametrize(
    ("attribute", "values", "options"),
    ROWS,
    ids=[f"{name}-{i}" for i, (name, *_) in enumerate(ROWS)],
)
def test_arrives_as_with_sbatch(
    slurm: Slurm, attribute: str, values: dict[str, Any], options: list[str]
) -> None:
    assert attribute in values
    compare_all(values, submitted(slurm, values), submit_with_sbatch(slurm, values, options))


# ---- what can be seen ----

DOCUMENT = (HERE.parent / "docs" / "submission.md").read_text("utf-8")
HIDDEN: dict[str, str] = dict(
    re.findall(
        r"^\| `(\w+)` \| (.+) \|$", DOCUMENT.partition("has nothing of these")[2], re.MULTILINE
    )
)
if MAJOR >= "23.11":
    # Of 'arbitrary', the nodes are shown as often as they are named.
    HIDDEN.pop("distribution")
if MAJOR >= "24.11":
    # The name is kept as it was asked for, as there can be several.
    HIDDEN.pop("qos")
#: Those that have tests of their own, and those of newer majors.
ELSEWHERE = {"script", "script_args", "site_factor", "admin_comment", "clusters"}
NEWER = {"extra", "container_id", "segment_size", "reserved_ports", "gres_tasks_per_sharing"}


def test_every_attribute_has_a_row() -> None:
    rows = {attribute for attribute, _, _ in ROWS}
    rows |= {attribute for attribute, _, _ in NEWER_ROWS}
    missing = set(JobSubmitDescription.options) - rows - ELSEWHERE
    if not ROOT:
        missing -= {"user_id", "group_id"}
    assert missing == (set() if MAJOR >= "24.05" else NEWER - rows)


def test_few_are_hidden() -> None:
    assert set(HIDDEN) <= set(JobSubmitDescription.options)
    assert len(HIDDEN) <= 15


def without(values: Mapping[str, Any], attribute: str) -> dict[str, Any]:
    left = {name: value for name, value in values.items() if name != attribute}
    return {**left, "hold": None} if attribute == "hold" else left


@pytest.mark.parametrize("attribute", sorted({name for name, *_ in ROWS}))
def test_row_is_seen(slurm: Slurm, attribute: str) -> None:
    """Each attribute changes what scontrol shows, or else at least what slurmctld was sent."""
    shown, sent = [], []
    for name, values, _ in ROWS:
        if name == attribute:
            seen, alone = (submitted(slurm, it) for it in (values, without(values, attribute)))
            shown.append(seen.shown != alone.shown)
            differ = seen.described != alone.described or seen.sent != alone.sent
            differ = differ or seen.profile != alone.profile
            sent.append(differ or seen.environment != alone.environment)
    assert any(sent)
    assert any(shown) != (attribute in HIDDEN), "docs/submission.md has the list of the hidden"


# ---- the same words for sbatch, from sbatch and from the environment ----

NAMES = [f"{name}-{i}" for i, (name, *_) in enumerate(ROWS)]


@pytest.mark.parametrize("values", [values for _, values, _ in ROWS], ids=NAMES)
def test_to_sbatch(slurm: Slurm, values: dict[str, Any]) -> None:
    job = JobSubmitDescription(**{"script": str(slurm.script), "hold": True, **values})
    before = dict(job._values)
    command = job.to_sbatch()
    assert job._values == before
    assert command[0] == "sbatch"
    assert command[-1] == str(slurm.script)
    theirs = Seen(slurm, slurm.sbatch(*command[1:]))
    compare_all(values, submitted(slurm, values), theirs)


def quoted(word: str) -> str:
    """A word of a line with #SBATCH, as sbatch reads it."""
    return '"' + re.sub(r'([\\"])', r"\\\1", word) + '"'


@pytest.mark.parametrize(("attribute", "values", "options"), ROWS, ids=NAMES)
def test_load_sbatch_options(
    slurm: Slurm, attribute: str, values: dict[str, Any], options: list[str]
) -> None:
    """What sbatch reads out of a script, this reads too."""
    hold = [] if values.get("hold", True) is None else ["--hold"]
    lines = [f"#SBATCH {' '.join(map(quoted, options))}", "# more", f"#SBATCH {' '.join(hold)}"]
    script = slurm.folder / "options.sh"
    script.write_text("\n".join(["#!/bin/sh", "", *lines, SCRIPT.partition("\n")[2]]))
    job = JobSubmitDescription(script=script)
    job.load_sbatch_options()
    assert attribute in job._values or values[attribute] is None
    ours = Seen(slurm, job.submit())
    compare_all(values, ours, Seen(slurm, slurm.sbatch(str(script))))


SBATCH_LINES: list[tuple[str, dict[str, Any]]] = [
    ("-n 4 -N2 -c3 -Jx", {"ntasks": 4, "nodes": "2", "cpus_per_task": 3, "name": "x"}),
    ("-HOk", {"hold": True, "overcommit": True, "kill_on_node_fail": False}),
    ("--exclusive --reboot -koff", {"resource_sharing": "exclusive", "requires_node_reboot": True,
                                    "kill_on_node_fail": True}),
    ("-s --nice", {"resource_sharing": "oversubscribe", "nice": 100}),
    ("--requeue --no-requeue", {"is_requeueable": False}),
    ("--part debug --time-m=5 --conti", {"partitions": "debug", "time_limit_min": "5",
                                         "requires_contiguous_nodes": True}),
    ("--mail-type=END --mail-type FAIL", {"mail_types": "END,FAIL"}),
    ("--gpus-per-node=tesla:1", {"gres_per_node": "gpu:tesla:1"}),
    ("-B 2:*:1", {"sockets_per_node": 2, "threads_per_core": 1}),
    ("--tasks-per-node=3 --cluster here", {"ntasks_per_node": 3, "clusters": "here"}),
    ("--get-user-env --export=NONE", {"get_user_environment": True, "environment": "NONE"}),
    ("--comment='a \"b\" #c' # -n 7", {"comment": 'a "b" #c'}),
    (r"--comment=a\"b\#c", {"comment": 'a"b#c'}),
    ("--wait-all-nodes=1 --kill-on-invalid-dep=yes", {"wait_all_nodes": True,
                                                      "kill_on_invalid_dependency": True}),
    ("", {}),
]  # fmt: skip


def from_lines(*lines: str, shell: str = "#!/bin/sh") -> JobSubmitDescription:
    return JobSubmitDescription(script="\n".join([shell, *lines, "true", "#SBATCH --bogus", ""]))


@pytest.mark.parametrize(("line", "values"), SBATCH_LINES)
def test_lines_with_options(line: str, values: dict[str, Any]) -> None:
    job = from_lines(f"#SBATCH {line}")
    job.load_sbatch_options()
    assert {name: value for name, value in job._values.items() if name != "script"} == values


@pytest.mark.parametrize(
    "line",
    [
        "--gpus-per-node=2 --gres=nic:1",
        "--gres=nic:1 --gpus-per-node=1",
        "--gpus-per-node=2 --gpus-per-node=1",
        "--gres=nic:2 --gres=gpu:1",
        "--mail-type=END --mail-type=NONE",
        "--mail-type=NONE --mail-type=FAIL",
        "--time=1- --open-mode=a",
        "--comment=a\u00a0b -n3",
        "--array=[0-3]",
        "--array=1-3,%2",
        pytest.param(
            "--get-user-env=10L",
            marks=pytest.mark.skipif(MAJOR >= "26.05", reason="sbatch takes no argument there"),
        ),
        pytest.param(
            "--nodelist=n[1-2] --distribution=arbitrary --threads-per-core=2",
            marks=pytest.mark.skipif(MAJOR >= "26.05", reason="slurmctld refuses it, sbatch's too"),
        ),
        "--nodelist=n[1-2] --distribution=arbitrary --ntasks-per-node=3",
    ],
)
def test_lines_are_read_as_by_sbatch(slurm: Slurm, line: str) -> None:
    script = slurm.folder / "lines.sh"
    script.write_text(f"#!/bin/sh\n#SBATCH {line}\n#SBATCH --hold\n", encoding="utf-8")
    job = JobSubmitDescription(script=script)
    job.load_sbatch_options()
    ours = Seen(slurm, job.submit())
    theirs = Seen(slurm, slurm.sbatch(str(script)))
    # For which there is no attribute: see docs/submission.md.
    theirs.environment.pop("SLURM_GPUS_PER_NODE", None)
    compare(ours, theirs)


def test_lines_of_another_name_are_read_with_a_warning(slurm: Slurm) -> None:
    script = slurm.folder / "renamed.sh"
    script.write_text("#!/bin/sh\n#SLURM --comment=old --hold\n")
    job = JobSubmitDescription(script=script)
    with pytest.warns(UserWarning, match="line 2 .*: write #SBATCH"):
        job.load_sbatch_options()
    theirs = int(slurm.run("sbatch", "--parsable", str(script)).split("\n")[0])
    for number in (job.submit(), theirs):
        assert slurm.value(number, "Comment") == "old"


def test_a_dependency_as_sbatch_had_it_at_first(slurm: Slurm) -> None:
    first = JobSubmitDescription(script=SCRIPT, hold=True).submit()
    number = JobSubmitDescription(script=SCRIPT, dependencies=str(first)).submit()
    assert slurm.value(number, "Dependency") == f"afterany:{first}(unfulfilled)"


def test_to_sbatch_of_a_script_with_lines_for_sbatch(slurm: Slurm) -> None:
    script = slurm.folder / "with-lines.sh"
    script.write_text("#!/bin/sh\n#SBATCH --time=7 --comment=lines -n3 --hint=nomultithread\n")
    job = JobSubmitDescription(script=script, hold=True, comment="own")
    with pytest.raises(ValueError, match=r"lines for .*time_limit.* load_sbatch_options\(\)"):
        job.to_sbatch()
    with pytest.warns(UserWarning, match="--hint has no attribute"):
        job.load_sbatch_options()
    with pytest.warns(UserWarning, match="--hint has no attribute"):
        command = job.to_sbatch()
    assert slurm.value(slurm.sbatch(*command[1:]), "Comment") == "own"


def test_to_sbatch_says_what_is_meant() -> None:
    class Name(str, enum.Enum):
        DEBUG = "debug"

    job = JobSubmitDescription(
        script="-x.sh", partitions=Name.DEBUG, ntasks=" 4 ", memory_per_node=" 3G ", comment=" a "
    )
    assert job.to_sbatch() == [
        "sbatch", "--comment= a ", "--partition=debug", "--ntasks=4", "--mem=3G", "./-x.sh"
    ]  # fmt: skip


def test_what_is_set_stays_unless_told_otherwise() -> None:
    job = from_lines("#SBATCH -n4 --time=5")
    job.ntasks = 2
    job.load_sbatch_options()
    assert (job.ntasks, job.time_limit) == (2, "5")
    job.load_sbatch_options(overwrite=True)
    assert (job.ntasks, job.time_limit) == (4, "5")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--bogus=1", "--bogus"),
        ("--bogus 1 -n4", "--bogus"),
        ("-y", "-y"),
        ("--hint=compute_bound", "--hint"),
        ("--wrap=true", "--wrap"),
        ("-W", "-W"),
        ("-vv", "-v"),
    ],
)
def test_options_without_an_attribute_are_named(line: str, words: str) -> None:
    job = from_lines("", f"#SBATCH {line}", "#SBATCH --comment=after")
    with pytest.warns(UserWarning, match=f"line 3 of the script: .*{words}") as caught:
        job.load_sbatch_options()
    assert all(warning.filename == __file__ for warning in caught)
    assert job.comment == "after"
    assert job.ntasks == (4 if "-n4" in line else None)


def test_lines_for_other_programs_are_named() -> None:
    with pytest.warns(UserWarning, match="line 2 .* another program: #PBS -N x"):
        from_lines("#PBS -N x").load_sbatch_options()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-n four", "ntasks .*whole number"),
        ("--ntasks=0", "ntasks"),
        ("--time", "--time needs an argument"),
        ("--reboot=yes", "--reboot takes no argument"),
        ("--nodes=5-2", "nodes asks for at least 5"),
        ("debug", "'debug' is no option"),
        ("--comment='open", "a ' is not closed"),
        ("--n=4", "short for"),
        ("--exclusive=x", "resource_sharing"),
        ("-B 1:2:3:4", "sockets, cores and threads"),
        ("--mail-type=SOME", "mail_types"),
        ("--gres-flags=any", "gres_binding"),
        ("--get-user-env=junk", "--get-user-env takes "),
        ("-n 1_0", "ntasks .*whole number"),
        ("--ntasks=\u0663", "ntasks .*whole number"),
        ("--gres-flags=one-ta\u017fk-per-sharing", "gres_binding"),
    ],
)
def test_malformed_lines(line: str, words: str) -> None:
    job = from_lines("#SBATCH --account=physics", f"#SBATCH {line}")
    with pytest.raises(ValueError, match=f"line 3 of the script: .*{words}"):
        job.load_sbatch_options()
    assert job.account is None


def test_options_of_components(slurm: Slurm) -> None:
    lines = ["#SBATCH -N1 --hold", "#SBATCH hetjob", "#SBATCH -N2 --mem=50"]
    job = from_lines(*lines)
    with pytest.raises(ValueError, match=r"line 3 .*component=0"):
        job.load_sbatch_options()
    for component in (-1, "0"):
        with pytest.raises(ValueError, match="a number from 0 on"):
            job.load_sbatch_options(component=component)  # type: ignore[arg-type]
    parts = [JobSubmitDescription(script=job.script) for _ in range(2)]
    for number, part in enumerate(parts):
        part.load_sbatch_options(component=number)
    assert [part.nodes for part in parts] == ["1", "2"]
    assert parts[1].memory_per_node == "50"
    with pytest.raises(ValueError, match="no component 2"):
        job.load_sbatch_options(component=2)
    parts[1].script = None
    number = JobSubmitDescription.submit_heterogeneous(parts)
    assert slurm.value(f"{number}+1", "NumNodes") == "2-2"


def test_components_take_over_what_they_do_with_sbatch(slurm: Slurm) -> None:
    job = from_lines(
        "#SBATCH --job-name=n --time=5 --comment=c --chdir=/usr --hold --mem=100 -d singleton",
        "#SBATCH -n3 -c2 --partition=other --constraint=red --licenses=matlab --mail-type=END -G2",
        "#SBATCH hetjob",
        "#SBATCH --nodes=2 --comment=d",
        "#SBATCH hetjob",
    )
    parts = [JobSubmitDescription(script=job.script) for _ in range(3)]
    for number, part in enumerate(parts):
        part.load_sbatch_options(component=number)
    assert parts[1].name == "n"
    assert parts[2].comment == "d"
    assert parts[1].partitions is parts[2].nodes is None
    for part in parts[1:]:
        part.script = None
    path = slurm.folder / "components.sh"
    path.write_text(str(job.script))
    leaders = JobSubmitDescription.submit_heterogeneous(parts), slurm.sbatch(str(path))
    for place in range(len(parts)):
        ours, theirs = (MOVING.sub("", slurm.show(leader + place)) for leader in leaders)
        wanted = "JobName|TimeLimit|Comment|Priority|NumNodes|NumCPUs|Partition|Features|WorkDir"
        found = re.compile(rf"(?:{wanted}|Licenses|MinMemoryNode|Dependency|TresPerJob)=\S*")
        assert found.findall(ours) == found.findall(theirs)


def test_options_of_no_script() -> None:
    with pytest.raises(ValueError, match="script is not set"):
        JobSubmitDescription().load_sbatch_options()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("NTASKS", "4", 4),
        ("TIME_LIMIT", "1:00:00", "1:00:00"),
        ("NODES", "2-4", "2-4"),
        ("HOLD", "true", True),
        ("IS_REQUEUEABLE", "0", False),
        ("KILL_ON_NODE_FAIL", "no", False),
        ("ENVIRONMENT", "A=1,B=2", "A=1,B=2"),
        ("SCRIPT_ARGS", "'a b' c", "'a b' c"),
        ("NICE", "-5", -5),
    ],
)
def test_load_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"SLURMPY_JOBDESC_{name}", text)
    job = JobSubmitDescription(comment="kept")
    job.load_environment()
    given: dict[str, Any] = {name.lower(): value}
    assert job == JobSubmitDescription(comment="kept", **given)


def test_load_environment_keeps_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMPY_JOBDESC_NTASKS", "4")
    job = JobSubmitDescription(ntasks=2)
    job.load_environment()
    assert job.ntasks == 2
    job.load_environment(overwrite=True)
    assert job.ntasks == 4


def test_load_environment_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMPY_JOBDESC_COMMENT", "x")
    monkeypatch.setenv("SLURMPY_JOBDESC_NTASKS", "many")
    job = JobSubmitDescription()
    with pytest.raises(ValueError, match="SLURMPY_JOBDESC_NTASKS='many'"):
        job.load_environment()
    assert job == JobSubmitDescription()
    monkeypatch.setenv("SLURMPY_JOBDESC_NTASKS", "1")
    monkeypatch.setenv("SLURMPY_JOBDESC_NTASK", "1")
    with pytest.warns(UserWarning, match="SLURMPY_JOBDESC_NTASK: .*'ntasks'"):
        job.load_environment()


# ---- jobs that run ----


def run(slurm: Slurm, **values: Any) -> str:  # noqa: ANN401
    """Submit a job, wait for its end, and return what it wrote."""
    output = slurm.folder / f"output-{time.monotonic_ns()}"
    number = JobSubmitDescription(
        standard_output=output, memory_per_node=10, time_limit=5, **values
    ).submit()
    slurm.wait(number, "COMPLETED")
    assert slurm.value(number, "ExitCode") == "0:0"
    return output.read_text(encoding="utf-8")


def test_script_as_text_and_as_a_path(slurm: Slurm, tmp_path: Path) -> None:
    text = '#!/bin/sh\necho "größe ☃"\nfor word; do echo "<$word>"; done\npwd\n'
    path = tmp_path / "skript ü.sh"
    path.write_text(text, encoding="utf-8")
    words = ["a b", "", "$HOME", "ü'\"\n"]
    expected = "größe ☃\n" + "".join(f"<{word}>\n" for word in words)
    for script in (text, path, str(path)):
        found = run(slurm, script=script, script_args=words, working_directory="/usr")
        assert found == f"{expected}/usr\n"
    assert run(slurm, script=text, script_args="'a b' c").startswith("größe ☃\n<a b>\n<c>\n")


def test_script_arrives_unchanged(slurm: Slurm) -> None:
    # PyPy takes minutes to encode as many bytes that are no text as there is text here.
    body = b"#!/bin/sh\n" + b"# caf\xc3\xa9 " * 50_000 + b"\xff\xfe " * 100 + b"\nexit 0"
    script = body.decode("utf-8", "surrogateescape")
    number = JobSubmitDescription(script=script, hold=True).submit()
    assert slurm.kept(number, "script").rstrip(b"\0") == body
    assert Job(number).get_batch_script() == script


def test_a_relative_path_is_that_of_the_current_folder(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(slurm.folder)
    number = JobSubmitDescription(script="job.sh", hold=True).submit()
    assert slurm.value(number, "Command") == str(slurm.script)
    assert slurm.value(number, "WorkDir") == str(slurm.folder)


def variables(text: str) -> dict[str, str]:
    return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (None, {"SECRET": "x y", "WIDE": "größe"}),
        ("ALL", {"SECRET": "x y", "WIDE": "größe"}),
        ("ALL,OTHER=1", {"SECRET": "x y", "OTHER": "1"}),
        (["WIDE", "OTHER=1,2 3"], {"WIDE": "größe", "OTHER": "1,2 3"}),
        ({"OTHER": 'it\'s "quoted", ü=1\n2'}, {"OTHER": 'it\'s "quoted", ü=1\n2'}),
        ("NONE", {}),
    ],
)
def test_environment_of_the_job(
    slurm: Slurm,
    monkeypatch: pytest.MonkeyPatch,
    environment: Any,  # noqa: ANN401 - in all its forms
    expected: dict[str, str],
) -> None:
    monkeypatch.setenv("SECRET", "x y")
    monkeypatch.setenv("WIDE", "größe")
    monkeypatch.setenv("SLURM_OF_THE_HOST", "1")
    number = JobSubmitDescription(script=SCRIPT, environment=environment, hold=True).submit()
    found = slurm.environment(number)
    assert expected.items() <= found.items()
    if environment in (None, "ALL", "ALL,OTHER=1"):
        assert found["SLURM_OF_THE_HOST"] == "1"
        return
    # Nothing of the host's beside what was named: what is left is what describes the job.
    others = {name for name in found if not name.startswith("SLURM_")}
    assert others - LAUNCHERS == set(expected)
    assert others & LAUNCHERS == (LAUNCHERS if MAJOR >= "23.11" else set())
    assert "SLURM_OF_THE_HOST" not in found
    assert {name for name in found if name in os.environ} <= set(expected)


LAUNCHERS = {
    "HYDRA_BOOTSTRAP",
    "HYDRA_LAUNCHER_EXTRA_ARGS",
    "I_MPI_HYDRA_BOOTSTRAP",
    "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS",
    "OMPI_MCA_plm_slurm_args",
    "PRTE_MCA_plm_slurm_args",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HYDRA_BOOTSTRAP", "ssh"),
        ("HYDRA_BOOTSTRAP", "slurm"),
        ("I_MPI_HYDRA_BOOTSTRAP", "ssh"),
        ("OMPI_MCA_plm_slurm_args", "--mine"),
        ("HYDRA_LAUNCHER_EXTRA_ARGS", "--mine"),
    ],
)
@pytest.mark.parametrize("environment", ["ALL", "NONE"])
def test_what_the_environment_says_of_launchers(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch, name: str, value: str, environment: str
) -> None:
    """What is set here of what sbatch would add."""
    monkeypatch.setenv(name, value)
    values: dict[str, Any] = {"environment": environment}
    ours = submit(slurm, values).environment
    theirs = submit_with_sbatch(slurm, values, [f"--export={environment}"]).environment
    wanted = {key: theirs.get(key) for key in LAUNCHERS}
    assert {key: ours.get(key) for key in LAUNCHERS} == wanted


def test_no_token_goes_with_the_job(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 26.05 on; no command of Slurm's runs here with one, without auth/jwt."""
    with monkeypatch.context() as changed:
        changed.setenv("SLURM_JWT", "token")
        number = JobSubmitDescription(script=SCRIPT, hold=True).submit()
    assert ("SLURM_JWT" in slurm.environment(number)) == (MAJOR < "26.05")


def test_environment_arrives_in_the_job(slurm: Slurm) -> None:
    script = "#!/bin/sh\nenv -0"
    found = variables(run(slurm, script=script, environment={"ONLY": "ü", "PATH": "/bin"}))
    assert found["ONLY"] == "ü"
    assert found["SLURM_SUBMIT_DIR"] == str(Path.cwd())
    found = variables(run(slurm, script=script, ntasks=2, cpus_per_task=3))
    assert found["HOME"] == os.environ["HOME"]
    assert (found["SLURM_NTASKS"], found["SLURM_CPUS_PER_TASK"]) == ("2", "3")


@pytest.mark.usefixtures("slurm")
def test_the_host_stays_as_it_was() -> None:
    before = dict(os.environb), Path.cwd(), os.umask(0o022)
    os.umask(before[2])
    JobSubmitDescription(
        script=SCRIPT, hold=True, cpus_per_task=2, container="/x", log_files_open_mode="append"
    ).submit()
    mask = os.umask(0o022)
    os.umask(mask)
    assert (dict(os.environb), Path.cwd(), mask) == before


def test_umask_goes_with_the_job(slurm: Slurm) -> None:
    mask = os.umask(0o137)
    try:
        number = JobSubmitDescription(script=SCRIPT, hold=True).submit()
    finally:
        os.umask(mask)
    assert slurm.environment(number)["SLURM_UMASK"] == "0137"


# ---- what Slurm says ----


@pytest.mark.usefixtures("slurm")
def test_words_to_the_user(caplog: pytest.LogCaptureFixture) -> None:
    job = JobSubmitDescription(script=SCRIPT, hold=True, comment="say größe matters")
    said = [job.message]
    number = job.submit()
    said.append(job.message)
    assert f"job {number}: größe matters" in caplog.text
    job.comment = None
    job.submit()
    said.append(job.message)
    assert said == [None, "größe matters", None]
    job.comment = "say it once"
    job.submit()
    job.comment = "say no"
    with pytest.raises(RPCError):
        job.submit()
    assert job.message is None
    job.comment = "say a thing"
    assert job.dry_run().message == "a thing"


def test_words_of_a_refusal(slurm: Slurm) -> None:
    with pytest.raises(RPCError, match="no") as caught:
        JobSubmitDescription(script=SCRIPT, comment="say no").submit()
    assert caught.value.errno
    theirs = slurm.run("sbatch", "--comment=say no", str(slurm.script), check=False)
    assert "error: no" in theirs
    assert caught.value.msg in theirs


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"partitions": "nowhere"}, "ESLURM_INVALID_PARTITION_NAME"),
    ({"constraints": "purple"}, "ESLURM_INVALID_FEATURE"),
    ({"required_nodes": "n77"}, "ESLURM_INVALID_NODE_NAME"),
    ({"excluded_nodes": "n77"}, "ESLURM_INVALID_NODE_NAME"),
    ({"licenses": "unknown:1"}, "ESLURM_INVALID_LICENSES"),
    ({"gres_per_node": "unknown:1"}, "ESLURM_INVALID_GRES"),
    ({"gpus": "volta:1", "nodes": 1}, "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE"),
    ({"dependencies": "expand:1"}, "ESLURM_NOT_SUPPORTED"),
    ({"reservations": "unknown"}, "ESLURM_RESERVATION_INVALID"),
    ({"memory_per_node": "999G"}, "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE"),
    ({"array": "0-99999999"}, "ESLURM_INVALID_ARRAY"),
    ({"nodes": 3, "required_nodes": "n1", "excluded_nodes": "n1"}, "ESLURM_INVALID_NODE_NAME"),
    ({"deadline": int(time.time()) - 1000}, "ESLURM_INVALID_TIME_LIMIT"),
]


@pytest.mark.parametrize(("values", "name"), REFUSED, ids=[name for _, name in REFUSED])
def test_refused_as_sbatch_is(slurm: Slurm, values: dict[str, Any], name: str) -> None:
    job = JobSubmitDescription(script=str(slurm.script), **values)
    with pytest.raises(RPCError) as caught:
        job.submit()
    command = job.to_sbatch()
    theirs = slurm.run(*command, check=False)
    assert caught.value.msg in theirs
    assert caught.value.name == name


@pytest.mark.parametrize(
    "values", [{"partitions": "closed"}, {"partitions": "tiny", "nodes": 2}, {"nodes": 30}], ids=str
)
def test_what_waits_for_ever_is_taken_as_by_sbatch(slurm: Slurm, values: dict[str, Any]) -> None:
    """A partition that is down, or too small: Slurm takes the job, and says why it waits."""
    job = JobSubmitDescription(script=str(slurm.script), **values)
    said = slurm.run(*job.to_sbatch(), check=False)
    if "Submitted" not in said:
        # Some majors refuse one of them (24.11), and others before and after do not.
        with pytest.raises(RPCError) as caught:
            job.submit()
        assert caught.value.msg in said
        return
    numbers = job.submit(), int(said.split()[-1])
    deadline = time.monotonic() + 20
    # Each of the schedulers has a reason of its own, so that one may be ahead of the other.
    while len(reasons := {Job.load(number).state_reason for number in numbers}) > 1 or (
        reasons & {None, "Priority"}
    ):
        assert time.monotonic() < deadline, reasons
        time.sleep(0.1)
    for number in numbers:
        Job(number).cancel()


def test_a_full_partition(slurm: Slurm) -> None:
    """The job is taken, and waits as sbatch's does."""
    filler = JobSubmitDescription(
        script=str(slurm.script), nodes=4, resource_sharing="exclusive", time_limit=10
    )
    first = filler.submit()
    slurm.wait(first, "RUNNING")
    numbers = filler.submit(), slurm.sbatch(*filler.to_sbatch()[1:])
    assert filler.dry_run().start_time > time.time()
    full = {"Resources", "Priority"}
    wait_for(lambda: {Job.load(number).state_reason for number in numbers} <= full)
    for number in (*numbers, first):
        Job(number).cancel()


def test_a_full_queue(other_cluster: Callable[..., AbstractContextManager[Any]]) -> None:
    with other_cluster({"nodes": 1, "name": "full", "max_job_count": 4}) as (env, folder):
        slurm = Slurm(env, folder)
        job = JobSubmitDescription(script=SCRIPT, hold=True)
        held: list[int] = []

        def fill() -> None:
            for _ in range(9):
                held.append(job.submit())  # noqa: PERF401 - what there is when one is refused

        with pytest.raises(RPCError) as caught:
            fill()
        assert caught.value.name in {"EAGAIN", "ESLURM_MAX_JOB_COUNT"}
        assert 0 < len(held) <= 4
        shown = slurm.run("squeue", "--noheader", "--format=%i").split()
        assert sorted(map(int, shown)) == held


# ---- wrong input ----

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"script": None}, "script is not set"),
    ({"script": ""}, "script is empty"),
    ({"script": "\n \n"}, "nothing but white space"),
    ({"script": "echo hello\n"}, "#!/bin/sh"),
    ({"script": "echo hello"}, "#!/bin/sh"),
    ({"script": "#!/bin/sh\n\0"}, "NUL"),
    ({"script": "#!/bin/sh\r\ntrue\r\n"}, "DOS line ends"),
    ({"memory_per_node": 1, "memory_per_cpu": 1}, "memory_per_node and memory_per_cpu"),
    ({"memory_per_cpu": 1, "memory_per_gpu": 1}, "memory_per_cpu and memory_per_gpu"),
    ({"cpus_per_task": 1, "cpus_per_gpu": 1}, "cpus_per_task and cpus_per_gpu"),
    (
        {"cores_reserved_for_system": 1, "threads_reserved_for_system": 1},
        "cores_reserved_for_system and threads_reserved_for_system",
    ),
    ({"ntasks_per_gpu": 1, "nodes": "1-2"}, "one number of nodes"),
    ({"ntasks_per_gpu": 1}, "one number of nodes"),
    ({"gpus_per_socket": 1}, "goes with sockets_per_node"),
    ({"gpus_per_task": 1}, "set ntasks or gpus"),
    ({"gpus_per_task": 1, "nodes": 2, "cpus_per_task": 3}, "set ntasks or gpus"),
    ({"ntasks_per_gpu": 1, "gpus_per_task": 1}, "ntasks_per_gpu and gpus_per_task"),
    ({"ntasks_per_gpu": 1, "gpus_per_socket": 1}, "ntasks_per_gpu and gpus_per_socket"),
    ({"ntasks_per_gpu": 1, "ntasks_per_node": 1}, "ntasks_per_gpu and ntasks_per_node"),
    ({"cpu_frequency": "2000000-1000000"}, "above the highest"),
    ({"cpu_frequency": "high-low"}, "above the highest"),
    ({"cpu_frequency": "low:performance"}, "range"),
    ({"cpu_frequency": "conservative"}, "CpuFreqGovernors"),
    ({"cpu_frequency": {"min": 1}}, "highest"),
    ({"cpu_frequency": {}}, "dict of"),
    ({"nodes": "x"}, "no number of nodes"),
    ({"nodes": "3-1"}, "the first is the lesser"),
    ({"nodes": {"max": 3}}, "dict of 'min' and 'max'"),
    ({"nodes": -1}, "nodes has to be a number from 0"),
    ({"nodes": 3, "ntasks": 2}, "ntasks is 2"),
    ({"required_nodes": "n[1-3]", "ntasks": 2}, "ntasks is 2"),
    ({"required_nodes": "n[1-3]", "nodes": 2}, "required_nodes names 3"),
    ({"required_nodes": "./hosts"}, "path of a file"),
    ({"required_nodes": "n["}, "required_nodes"),
    ({"ntasks": 0}, "ntasks"),
    ({"ntasks": "four"}, "ntasks"),
    ({"ntasks": 2**32}, "ntasks"),
    ({"ntasks_per_node": 2**16}, "ntasks_per_node"),
    ({"time_limit": "soon"}, "no duration"),
    ({"time_limit": -5}, "less than 0"),
    ({"time_limit": "1:2:3:4"}, "no duration"),
    ({"time_limit": 5, "time_limit_min": 6}, "time_limit_min is above"),
    ({"begin_time": "whenever"}, "no time"),
    ({"begin_time": "25:00"}, "no time"),
    ({"begin_time": "2027-02-30"}, "no time"),
    ({"begin_time": "now+1fortnight"}, "no time"),
    ({"begin_time": "today now+1"}, "no time"),
    ({"begin_time": "now+9days", "deadline": "now+1day"}, "deadline is before begin_time"),
    ({"array": "1-"}, "no list of tasks"),
    ({"array": "%5"}, "no list of tasks"),
    ({"nice": 2**31}, "nice"),
    ({"priority": -1}, "priority"),
    ({"hold": True, "priority": 5}, "hold and priority"),
    ({"dependencies": "after"}, "no dependency"),
    ({"dependencies": "afterok:1,afterok:2?afterok:3"}, "no dependency"),
    ({"dependencies": {"afterok": [1], "satisfy": "some"}}, "satisfy"),
    ({"dependencies": {"whenever": [1]}}, "no dependency"),
    ({"distribution": "diagonal"}, "no distribution"),
    ({"distribution": "block:block:block:block"}, "no distribution"),
    ({"distribution": "plane"}, "no distribution"),
    ({"distribution": "plane=4", "nodes": 3, "ntasks": 4}, "planes"),
    ({"distribution": "arbitrary"}, "required_nodes"),
    ({"gpus": "2x"}, "gpus"),
    ({"gpus": -1}, "gpus"),
    ({"gres_per_node": "gpu:tesla:1:2"}, "gres_per_node"),
    ({"gpu_binding": "loose"}, "no binding"),
    ({"gres_binding": "loose"}, "gres_binding"),
    ({"switches": "0"}, "switches"),
    ({"switches": {"max_wait_time": 1}}, "dict of"),
    ({"signal": "B:SIGNOPE@1"}, "no signal"),
    ({"signal": "USR1@99999"}, "65535"),
    ({"signal": {"time": 1}}, "dict of"),
    ({"resource_sharing": "maybe"}, "resource_sharing"),
    ({"log_files_open_mode": "w"}, "log_files_open_mode"),
    ({"mail_types": "SOME"}, "mail_types"),
    ({"mail_types": ["NONE", "END"]}, "stand alone"),
    ({"profile_types": "everything"}, "profile_types"),
    ({"accounting_gather_frequency": "often"}, "no list of intervals"),
    ({"memory_per_node": "3X"}, "no amount of memory"),
    ({"memory_per_node": "1.5G"}, "no amount of memory"),
    ({"memory_per_node": -1}, "memory_per_node"),
    ({"environment": "A='1"}, "not closed"),
    ({"environment": ["NOT_IN_THE_ENVIRONMENT"]}, "NOT_IN_THE_ENVIRONMENT"),
    ({"environment": {"": "1"}}, "usable name"),
    ({"environment": {"A=B": "1"}}, "usable name"),
    ({"environment": {"A": "\0"}}, "NUL"),
    ({"partitions": ["a,b"]}, "cannot be empty or have a ','"),
    ({"constraints": ["a", ""]}, "cannot be empty"),
    ({"name": "a\0b"}, "name cannot have a NUL"),
    ({"script_args": ["a\0b"]}, "script_args cannot have a NUL"),
    ({"standard_output": "a\0b"}, "standard_output cannot have a NUL"),
    ({"user_id": "nobody-at-all"}, "no user"),
    ({"group_id": "nobody-at-all"}, "no group"),
    ({"site_factor": 1}, "Job.modify"),
    ({"admin_comment": "x"}, "Job.modify"),
    ({"clusters": "elsewhere"}, r"slurmpy\.init"),
    ({"ntasks": 10**6, "cpus_per_task": 60_000}, "ntasks, cpus_per_task together"),
    ({"nodes": 4 * 10**9, "ntasks_per_node": 60_000}, "nodes, ntasks_per_node together"),
    ({"nodes": 400, "sockets_per_node": 60_000, "cores_per_socket": 60_000}, "together ask"),
    ({"gpus": 10**12, "gres_per_node": "gpu:1"}, "gpus, gres_per_node together"),
    ({"gpus": 10**12, "ntasks_per_gpu": 5}, "gpus, ntasks_per_gpu together"),
    ({"name": "\ud800"}, r"name has what is no character: '\\ud800'"),
    ({"user_id": "\ud800"}, "user_id has what is no character"),
    ({"required_nodes": "\ud800"}, "required_nodes has what is no character"),
    ({"script_args": ["\ud800"]}, "script_args has what is no character"),
    (
        {"environment": {"A": "\ud800"}},
        "environment has a value of A that has what is no character",
    ),
    ({"environment": {"A,B": "1"}}, "usable name"),
    ({"environment": ["HOME,PATH"]}, "usable name"),
    ({"environment": "NIL"}, "NONE"),
    ({"script_args": "it's"}, "no words of a shell"),
    ({"time_limit": dt.timedelta.max}, "time_limit has to be a number from"),
    ({"standard_output": ""}, "standard_output cannot be empty"),
    ({"cpu_frequency": {"min": None}}, "cpu_frequency has nothing in it"),
    ({"begin_time": "now+1wee\u212a"}, "no time"),
    ({"begin_time": "16:00\u00a0tomorrow"}, "no time"),
    ({"kill_on_node_fail": "perhaps"}, "True or False"),
    # What the fuzzer has found: see docs/fuzzing.md.
    ({"memory_per_node": "3\u212a"}, "no amount of memory"),
    ({"nodes": "1\u212a"}, "no number of nodes"),
    ({"accounting_gather_frequency": "ta\u017fk=3"}, "no list of intervals"),
    ({"distribution": "bloc\u212a"}, "no distribution"),
    ({"profile_types": "tas\u212a"}, "profile_types has to be made of"),
    ({"signal": "\u017figusr1"}, "no signal"),
    ({"time_limit": "1-:5"}, "no duration"),
    ({"time_limit": 35_791_394}, "number from 1 to 35791393"),
    ({"delay_boot_time": 35_791_395}, "number from 0 to 2147483647"),
    ({"begin_time": "1000-01-01"}, "begin_time has to be a number from"),
    ({"begin_time": 999_999}, "begin_time has to be a number from"),
    ({"deadline": 2**32 - 2}, "which Slurm takes for no time"),
    ({"begin_time": "uts4294967295"}, "which Slurm takes for no time"),
    ({"array": "1-3%4294967297"}, "number from 0 to 4294967293"),
    ({"dependencies": "afterok:4294967297"}, "4294967297, which is no job id"),
    ({"dependencies": {"afterok": [1, 2**32 + 1]}}, "4294967297, which is no job id"),
    ({"dependencies": "afterok:1:0"}, "0, which is no job id"),
    ({"dependencies": "after:1_2+71582789"}, "71582789 minutes"),
    ({"memory_per_cpu": 2**63 - 2}, "memory_per_cpu has to be a number"),
    ({"required_nodes": "n" + "[0-9]" * 12}, "stand for more than 65536 nodes"),
    ({"excluded_nodes": "n1,n" + "[0-9,a]" * 12}, "stand for more than 65536 nodes"),
    ({"environment": {"A'B": "1"}}, "usable name"),
    ({"ntasks": 2**20_000}, "not a number of 20001 bits"),
    ({"time_limit": -(2**20_000)}, "less than 0: a number of 20001 bits"),
]
if MAJOR >= "24.11":
    WRONG += [({"ntasks_per_core": 2, "threads_per_core": 1}, "threads_per_core only 1")]


@pytest.mark.parametrize(
    ("values", "words"), WRONG, ids=[f"{next(iter(v))}-{i}" for i, (v, _) in enumerate(WRONG)]
)
def test_wrong_input_is_not_sent(slurm: Slurm, values: dict[str, Any], words: str) -> None:
    before = slurm.sent_at()
    job = JobSubmitDescription(**{"script": str(slurm.script), **values})
    with pytest.raises(ValueError, match=words) as caught:
        job.submit()
    assert not isinstance(caught.value, slurmpy.SlurmError)
    with pytest.raises(ValueError, match=words):
        job.dry_run()
    assert slurm.sent_at() == before


WRONG_TYPES: list[dict[str, Any]] = [
    {"ntasks": 1.5},
    {"ntasks": True},
    {"ntasks": [1]},
    {"name": 5},
    {"name": b"x"},
    {"partitions": 5},
    {"partitions": {"debug": 1}},
    {"partitions": [1]},
    {"hold": 2},
    {"hold": 1.0},
    {"time_limit": 1.5},
    {"begin_time": dt.timedelta(1)},
    {"gres_per_node": 5},
    {"script": 5},
    {"script_args": 5},
    {"environment": 5},
    {"environment": {"A": 1}},
    {"memory_per_node": 1.5},
    {"cpu_frequency": {"min": 1.5, "max": 2}},
    {"standard_output": 5},
]


@pytest.mark.parametrize("values", WRONG_TYPES, ids=str)
def test_wrong_types_are_not_sent(slurm: Slurm, values: dict[str, Any]) -> None:
    before = slurm.sent_at()
    job = JobSubmitDescription(**{"script": str(slurm.script), **values})
    with pytest.raises(TypeError, match=next(iter(values))):
        job.submit()
    assert slurm.sent_at() == before


def test_a_long_text_is_no_time() -> None:
    """With a search for a date in it, which was quadratic, it took half an hour."""
    with pytest.raises(ValueError, match="no time"):
        JobSubmitDescription(script=SCRIPT, begin_time="25:" + "0" * 400_000).submit()


def test_names_of_nodes_that_are_no_text(slurm: Slurm) -> None:
    job = JobSubmitDescription(script=str(slurm.script), required_nodes="n\udcff")
    with pytest.raises(RPCError):
        job.submit()


def test_several_brackets_that_are_few_nodes(slurm: Slurm) -> None:
    job = JobSubmitDescription(script=str(slurm.script), excluded_nodes="x[1-2][0-3,7]")
    with pytest.raises(RPCError):
        job.submit()


@pytest.mark.usefixtures("slurm")
def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    for script in (tmp_path / "none.sh", str(tmp_path / "none.sh"), "none.sh"):
        with pytest.raises(FileNotFoundError, match=r"begins with .#!.*none\.sh"):
            JobSubmitDescription(script=script).submit()
    with pytest.raises(IsADirectoryError):
        JobSubmitDescription(script=tmp_path).submit()


@pytest.mark.skipif(MAJOR >= "24.05", reason="this major has all attributes")
@pytest.mark.parametrize("attribute", sorted(NEWER))
def test_attributes_of_newer_majors(attribute: str) -> None:
    option = JobSubmitDescription.options[attribute]
    if option.since <= MAJOR:
        return
    given: dict[str, Any] = {attribute: "1"}
    job = JobSubmitDescription(script=SCRIPT, **given)
    with pytest.raises(UnsupportedField, match=f"{attribute} needs Slurm {option.since}"):
        job.submit()


def test_unknown_attributes() -> None:
    with pytest.raises(TypeError, match="no 'ntask'; did you mean 'ntasks'"):
        JobSubmitDescription(ntask=1)  # type: ignore[call-arg]
    job = JobSubmitDescription()
    with pytest.raises(AttributeError, match="did you mean 'time_limit'"):
        job.timelimit = 5  # type: ignore[attr-defined]


# ---- the description itself ----


def test_attributes_are_none_at_first() -> None:
    job = JobSubmitDescription()
    assert {name: getattr(job, name) for name in job.options} == dict.fromkeys(job.options)
    assert repr(job) == "slurmpy.JobSubmitDescription()"


def test_a_description_is_a_value() -> None:
    job = JobSubmitDescription(ntasks=2, name="x", gres_per_node={"gpu": 1})
    assert repr(job) == (
        "slurmpy.JobSubmitDescription(name='x', ntasks=2, gres_per_node={'gpu': 1})"
    )
    assert eval(repr(job), {"slurmpy": slurmpy}) == job  # noqa: S307
    for other in (copy.copy(job), copy.deepcopy(job), pickle.loads(pickle.dumps(job))):  # noqa: S301
        assert other == job
        other.ntasks = 3
        assert other != job
    assert job != JobSubmitDescription()
    assert job != "x"
    with pytest.raises(TypeError):
        hash(job)
    del job.name
    job.ntasks = None
    job.gres_per_node = None
    assert job == JobSubmitDescription()


def test_a_description_can_be_used_again(slurm: Slurm) -> None:
    job = JobSubmitDescription(script=SCRIPT, hold=True, comment="first")
    numbers = [job.submit(), job.submit()]
    job.comment = "third"
    numbers.append(job.submit())
    assert len(set(numbers)) == 3
    assert [slurm.value(number, "Comment") for number in numbers] == ["first", "first", "third"]


def test_attributes_are_documented() -> None:
    for name, option in JobSubmitDescription.options.items():
        assert option.__doc__
        assert option.name == name
        assert option.annotation
        assert option.flags or name in ELSEWHERE


def test_every_option_of_sbatch_is_known(slurm: Slurm) -> None:
    """Each that the installed sbatch has is loaded, or named in a warning."""
    from slurmpy import _sbatch

    text = slurm.run("sbatch", "--help")
    listed = re.findall(r"^  (?:(-\w), +|    )?(?: -\w  )?(--[a-z-]+)", text, re.MULTILINE)
    assert len(listed) > 80
    table = _sbatch._Table(JobSubmitDescription.options)
    unknown = {flag for pair in listed for flag in pair if flag and flag not in table.argument}
    assert not unknown


# ---- hold, dry runs, heterogeneous jobs ----


def test_hold(slurm: Slurm) -> None:
    number = JobSubmitDescription(script="#!/bin/sh\ntrue", hold=True, time_limit=5).submit()
    assert Job.load(number).state_reason == "JobHeldUser"
    Job(number).release()
    slurm.wait(number, "COMPLETED")


def test_dry_run(slurm: Slurm) -> None:
    before = set(slurmpy.Jobs.load())
    job = JobSubmitDescription(
        script=str(slurm.script), nodes=2, cpus_per_task=2, required_nodes="n[3-4]"
    )
    forecast = job.dry_run()
    said = slurm.run(job.to_sbatch()[0], "--test-only", *job.to_sbatch()[1:])
    found = re.search(r"to start at (\S+) .*?using (\d+) processors .*?nodes? (\S+)", said)
    assert found, said
    assert abs(forecast.start_time - int(found[1])) < 30
    assert (forecast.cpus, forecast.nodes) == (int(found[2]), found[3])
    assert forecast.partition == "debug"
    assert forecast.preempts == []
    assert repr(forecast).startswith("slurmpy.Forecast(cpus=")
    # Some that have ended may be forgotten meanwhile.
    assert set(slurmpy.Jobs.load()) <= before
    with pytest.raises(RPCError, match="ESLURM_INVALID_PARTITION_NAME"):
        JobSubmitDescription(script=SCRIPT, partitions="nowhere").dry_run()


def test_heterogeneous_job(slurm: Slurm) -> None:
    parts = [
        JobSubmitDescription(script=str(slurm.script), hold=True, ntasks=2, cpus_per_gpu=1, gpus=1),
        JobSubmitDescription(nodes=2, cpus_per_task=2, gpus=2, hold=True),
    ]
    ours = JobSubmitDescription.submit_heterogeneous(parts)
    theirs = slurm.sbatch(
        "--hold", "-n2", "--cpus-per-gpu=1", "--gpus=1", ":",
        "--hold", "-N2", "-c2", "--gpus=2", str(slurm.script),
    )  # fmt: skip
    shown = []
    for leader in (ours, theirs):
        text = slurm.show(leader)
        for number in range(leader, leader + 2):
            text = text.replace(str(number), "ID")
        shown.append(sorted(MOVING.sub("", text).split("\n")))
    assert shown[0] == shown[1]
    for place in range(2):
        found, wanted = (slurm.environment(leader + place) for leader in (ours, theirs))
        for name in OWN:
            found.pop(name, None)
            wanted.pop(name, None)
        assert found == wanted


def test_heterogeneous_job_that_is_none() -> None:
    job = JobSubmitDescription(script=SCRIPT)
    several = JobSubmitDescription(script=SCRIPT, array="1-2")
    for parts in ([several, JobSubmitDescription()], [job, JobSubmitDescription(array="1")]):
        with pytest.raises(ValueError, match="array does not go with"):
            JobSubmitDescription.submit_heterogeneous(parts)
    with pytest.raises(TypeError, match="a component has to be a JobSubmitDescription, not dict"):
        JobSubmitDescription.submit_heterogeneous([job, {}])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"submit\(\) is for one"):
        JobSubmitDescription.submit_heterogeneous([job])
    with pytest.raises(ValueError, match="script is that of the first"):
        JobSubmitDescription.submit_heterogeneous([job, job])
    with pytest.raises(ValueError, match="script is not set"):
        JobSubmitDescription.submit_heterogeneous([JobSubmitDescription(), job])


# ---- a description is a value ----


def test_a_description_of_a_kind_of_its_own(slurm: Slurm) -> None:
    class Small(JobSubmitDescription):
        """What this site calls small."""

    job = JobSubmitDescription(script=SCRIPT, ntasks=2)
    small = Small(script=SCRIPT, hold=True, name="small")
    small.ntasks = 2
    assert small.options == job.options
    assert slurm.value(small.submit(), "JobName") == "small"
    with pytest.raises(TypeError, match="did you mean 'ntasks'"):
        Small(ntask=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("mem", "memory_per_node"),
        ("exclusive", "resource_sharing"),
        ("nodelist", "required_nodes"),
        ("chdir", "working_directory"),
        ("gpus_per_node", "gres_per_node"),
        ("ntask", "ntasks"),
    ],
)
def test_a_name_of_sbatchs_is_told_apart(name: str, attribute: str) -> None:
    with pytest.raises(TypeError, match=f"did you mean '{attribute}'"):
        JobSubmitDescription(**dict.fromkeys([name], "1"))  # type: ignore[arg-type]


def test_an_iterator_is_refused() -> None:
    """It would be empty the next time."""
    for name in ("excluded_nodes", "partitions", "script_args", "dependencies"):
        items: Any = (item for item in ["n1"])
        job = JobSubmitDescription(script=SCRIPT)
        setattr(job, name, {"afterok": items} if name == "dependencies" else items)
        with pytest.raises(TypeError, match=name):
            job.submit()


def test_dependencies_by_numbers_of_any_kind() -> None:
    class Number:
        def __index__(self) -> int:
            return 7

        def __str__(self) -> str:
            return "7"

    job: Any = JobSubmitDescription(script="x", dependencies={"afterok": Number()})
    assert job.to_sbatch() == ["sbatch", "--dependency=afterok:7", "x"]
    for wrong in (None, 1.5):
        job.dependencies = {"afterok": wrong}
        with pytest.raises(TypeError, match="dependencies has to name jobs"):
            job.to_sbatch()


def test_a_variable_of_the_dict_goes_before_that_of_the_host(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_UMASK", "0123")
    job = JobSubmitDescription(script=SCRIPT, hold=True, environment={"SLURM_UMASK": "0077"})
    assert slurm.environment(job.submit())["SLURM_UMASK"] == "0077"
    job.environment = {"A": "it's", "B": "2,3"}
    found = slurm.environment(job.submit())
    assert found["SLURM_UMASK"] != "0123"
    assert (found["A"], found["B"], found["SLURM_EXPORT_ENV"]) == ("it's", "2,3", "A,B")
    job.environment = ["A=it's", "HOME"]
    assert slurm.environment(job.submit())["A"] == "it's"


# ---- what needs another cluster, of newer majors ----

NEWER_LINES = """
JobSubmitPlugins=lua
CpuFreqDef=Performance
MpiParams=ports=42000-42099,disable_slurm_hydra_bootstrap
PrologFlags=Contain
SlurmctldParameters=enable_stepmgr
TopologyPlugin=topology/block
"""
BLOCKS = "BlockName=a Nodes=n[1-2]\nBlockName=b Nodes=n[3-4]\nBlockSizes=2\n"
SELECT = "CR_Core_Memory,MULTIPLE_SHARING_GRES_PJ,ENFORCE_BINDING_GRES,ONE_TASK_PER_SHARING_GRES"


@pytest.fixture(scope="class")
def newer(other_cluster: Callable[..., AbstractContextManager[Any]]) -> Iterator[Slurm]:
    files = {"job_submit.lua": JOB_SUBMIT, "topology.conf": BLOCKS}
    more = f"{OPTIONS['extra_conf']}\nSelectTypeParameters={SELECT}\n"
    more = more.replace("GresTypes=gpu,nic", "GresTypes=gpu,nic,shard")
    options = {
        **OPTIONS,
        "name": "newer",
        "extra_conf": more,
        "gres_conf": f"{OPTIONS['gres_conf']}\nNodeName=n[1-4] Name=shard Count=8",
        "node_options": f"{OPTIONS['node_options']},shard:8",
    }
    with other_cluster(options, files, NEWER_LINES) as (env, folder), in_folder(folder):
        yield Slurm(env, folder)


@pytest.mark.skipif(MAJOR < "24.05", reason="this major has none of it")
class TestNewer:
    @pytest.mark.parametrize(
        ("attribute", "values", "options"),
        NEWER_ROWS,
        ids=[f"{name}-{i}" for i, (name, *_) in enumerate(NEWER_ROWS)],
    )
    def test_arrives_as_with_sbatch(
        self, newer: Slurm, attribute: str, values: dict[str, Any], options: list[str]
    ) -> None:
        assert attribute in values
        compare(submit(newer, values), submit_with_sbatch(newer, values, options))
        job = JobSubmitDescription(**{"script": str(newer.script), "hold": True, **values})
        seen = Seen(newer, newer.sbatch(*job.to_sbatch()[1:]))
        compare(submit(newer, values), seen)

    def test_nothing_set(self, newer: Slurm) -> None:
        """What slurm.conf adds to each job."""
        ours = submit(newer, {})
        compare(ours, submit_with_sbatch(newer, {}, []))
        assert "HYDRA_BOOTSTRAP" not in ours.environment

    def test_ports_are_reserved(self, newer: Slurm) -> None:
        job = JobSubmitDescription(script=str(newer.script), reserved_ports=3)
        shown = []
        for number in (job.submit(), newer.sbatch(*job.to_sbatch()[1:])):
            newer.wait(number, "RUNNING")
            first, last = newer.value(number, "ResvPorts").split("-")
            shown.append(int(last) - int(first) + 1)
            Job(number).cancel()
        assert shown == [3, 3]

    def test_segments_that_do_not_fit(self, newer: Slurm) -> None:
        job = JobSubmitDescription(script=str(newer.script), nodes=3, segment_size=2)
        with pytest.raises(RPCError) as caught:
            job.submit()
        # Newer majors of sbatch say it themselves.
        words = "does not fit the job size" if MAJOR >= "26.05" else caught.value.msg
        assert words in newer.run(*job.to_sbatch(), check=False)

    def test_one_task_for_each_sharing(self, newer: Slurm) -> None:
        """With it sbatch wants a shared GRES for each task, for which there is no attribute."""
        ours = submit(newer, {"gres_tasks_per_sharing": "one", "ntasks": 2})
        theirs = submit_with_sbatch(
            newer,
            {},
            ["-n2", "--gres-flags=one-task-per-sharing", "--tres-per-task=gres/shard=1"],
        )
        assert ours.sent["bitflags"] == theirs.sent["bitflags"]
        assert "GresOneTaskPerSharing=Yes" in " ".join(ours.shown)


# ---- memory ----

MEASURE = """
import json, sys
from slurmpy import Job, JobSubmitDescription, RPCError
from slurmpy import _request, _runtime
from slurmpy._ffi import ffi, lib

big = "#!/bin/sh\\n" + "# text\\n" * 20_000
job = JobSubmitDescription(
    script=big, hold=True, environment={"A": "x" * 50_000}, gres_per_node="gpu:1", ntasks=2,
    required_nodes="n[1-2]", script_args=["y" * 1000] * 10)
wrong = JobSubmitDescription(script=big, name="x" * 100_000, required_nodes="n[1-4]", ntasks=2)
refused = JobSubmitDescription(script=big, partitions="nowhere", comment="z" * 1_000)
talks = JobSubmitDescription(script=big, comment="say " + "w" * 1_000)
number = job.submit()
changes = JobSubmitDescription(comment="c" * 1_000)

def fails(call, kind):
    try:
        call()
    except kind:
        return
    raise AssertionError(call)

def leak():
    # What a response costs that nobody frees: the measure has to see it.
    (message,) = _request.build([talks._checked()], talks.options)
    out = ffi.new("will_run_response_msg_t **")
    assert _runtime.call(lib.slurmpy_will_run, message.ptr, out) == 0

ways = {
    "submit": job.submit,
    "wrong in a later attribute": lambda: fails(wrong.submit, ValueError),
    "refused": lambda: fails(refused.submit, RPCError),
    "dry run": talks.dry_run,
    "modify": lambda: Job(number).modify(changes),
    "components": lambda: JobSubmitDescription.submit_heterogeneous(
        [job, JobSubmitDescription(name="n" * 1_000, hold=True)]),
    "leak": leak,
}
stop_compiling()
grown = {}
for name, way in ways.items():
    for _ in range(20):
        way()
    grown[name] = growth(way, 40)
print(json.dumps(grown))
"""


@pytest.mark.slow
def test_what_malloc_says(slurm: Slurm, used: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", used + MEASURE],
        env={**os.environ, **slurm.more, "PYTHONPATH": str(Path(slurmpy.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    grown = json.loads(done.stdout)
    # A description takes 100 kB and more, and a response that has the words some 1 kB.
    assert grown.pop("leak") > 900
    assert all(size < 400 for size in grown.values()), grown
