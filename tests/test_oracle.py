"""Every attribute of `Job`, held against what Slurm's own commands say of the same jobs.

The jobs are made with sbatch, salloc, scrontab and scontrol; what is expected is read from
`scontrol show job -d`, `squeue --json` and `squeue -O` by the small parsers below, which share
nothing with slurmpy. docs/oracle.md lists the attributes that no job here can set twice.
"""

from __future__ import annotations

import builtins
import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

import slurmpy
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

HERE = Path(__file__).parent
CONTRACT = json.loads((HERE / "contract.json").read_text())
ROOT = os.geteuid() == 0


class Tools:
    """Slurm's commands, run against the cluster of the tests."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env = {
            **env,
            # Times as numbers, and the tasks of an array in full.
            "SLURM_TIME_FORMAT": "%s",
            "SLURM_BITSTR_LEN": "0",
        }
        self.folder = folder
        self.federation: dict[str, int] = {}
        self.used: set[str] = set()
        found = re.search(r"(\d+)\.(\d+)", self.run("sbatch", "--version"))
        assert found
        self.version = int(found[1]), int(found[2])
        self.has_scrontab = bool(shutil.which("scrontab", path=self.env["PATH"]))

    def run(self, *command: str, check: bool = True, stdin: str = "") -> str:
        """Run a command, and return what it printed."""
        done = subprocess.run(
            command,
            env=self.env,
            cwd=self.folder,
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def sbatch(self, *options: str) -> int:
        """Submit a batch job, and return its id."""
        command = ("--parsable", *options)
        self.used |= {option.split("=")[0] for option in command if option.startswith("--")}
        return int(self.run("sbatch", *command).split(";")[0])

    def update(self, job: int, *changes: str) -> None:
        """Change a job with scontrol."""
        self.run("scontrol", "update", f"jobid={job}", *changes)

    def show(self) -> dict[int, Shown]:
        """Everything that the tools say of every job."""
        records = self.run("scontrol", "show", "job", "-d", "--all").split("\n\n")
        scontrol = {int(r["JobId"]): r for r in map(read_scontrol, records) if r}
        listing = json.loads(self.run("squeue", "--json", "--states=all", "--all"))
        as_json = {job["job_id"]: job for job in listing["jobs"]}
        wanted = ",".join(f"{name}:{SEPARATOR}" for name in SQUEUE_FIELDS)
        lines = self.run("squeue", "--states=all", "--all", "--noheader", "-O", wanted).splitlines()
        squeue = {}
        for text in lines:
            values = dict(zip(SQUEUE_FIELDS, text.split(SEPARATOR)))
            squeue[int(values["JobID"])] = values
        return {
            job: Shown(record, squeue[job], as_json[job], self.federation)
            for job, record in scontrol.items()
            if job in squeue and job in as_json
        }

    def wait(self, wanted: Mapping[int, str], *, at_most: float = 60) -> None:
        """Wait until each job is in the state that is wanted of it."""
        deadline = time.monotonic() + at_most
        while True:
            lines = self.run(
                "squeue", "--states=all", "--all", "--noheader", "-O", "JobID:|,State:|"
            ).splitlines()
            states = {int(job): state for job, state, _ in (text.split("|") for text in lines)}
            late = {job: states.get(job) for job in wanted if states.get(job) != wanted[job]}
            if not late:
                return
            if time.monotonic() > deadline:
                shown = self.run("scontrol", "show", "job", str(next(iter(late))), check=False)
                pytest.fail(f"wanted {wanted}, but these are late: {late}\n{shown}")
            time.sleep(0.1)


SEPARATOR = "\x1f"
SQUEUE_FIELDS = (
    "JobID",
    "Reason",
    "NumNodes",
    "NumCPUs",
    "Profile",
    "wckey",
    "TimeLeft",
    "State",
)


@dataclass(repr=False)
class Shown:
    """What the tools say of one job."""

    scontrol: dict[str, str]
    squeue: dict[str, str]
    json: dict[str, Any]
    federation: dict[str, int]


# These stand alone on their line, and their text may hold anything.
WHOLE_LINE = re.compile(
    r"\s*(Command|WorkDir|Comment|AdminComment|SystemComment|StdErr|StdIn|StdOut|BurstBuffer"
    r"|Container|SubmitLine|Extra|MailUser)=(.*)"
)
# 24.11 has a letter too many in it, 26.05 has not.
KILL_ON_INVALID = "KillOInInvalidDependent" if MAJOR < "25.05" else "KillOnInvalidDependent"
PAIR = re.compile(r"([A-Za-z]\S*?)=(.*?)(?= [A-Z]\S*=|$)")


def read_scontrol(text: str) -> dict[str, str]:
    """Take one record of `scontrol show job` apart."""
    record: dict[str, str] = {}
    for line in text.splitlines():
        whole = WHOLE_LINE.match(line)
        if whole and whole[1] == "MailUser":
            record["MailUser"], record["MailType"] = whole[2].rsplit(" MailType=", 1)
        elif whole and whole[1] == "Container":
            record["Container"] = whole[2].split(" ContainerID=")[0]
        elif whole:
            record[whole[1]] = whole[2].removesuffix(" ") if "Comment" in whole[1] else whole[2]
        elif not line.lstrip().startswith("Nodes="):
            before, name, after = line.partition("JobName=")
            record.update(PAIR.findall(before.strip()))
            if name:
                record["JobName"] = after
    # One flag is written right behind the other up to 23.11, and with a comma since.
    for flag in ("GresEnforceBind", "GresOneTaskPerSharing", KILL_ON_INVALID, "SpreadJob"):
        found = re.search(rf"\b\S*{flag}=(Yes|No)", text)
        if found:
            record[flag] = found[1]
    return record


def text(shown: str | None) -> str | None:
    """What is shown, or None for the ways in which the tools show that nothing is set."""
    unset = shown is None or shown in {"", "(null)", "N/A", "None", "Unknown", "*", "NotSet"}
    return None if unset else shown


def number(shown: str | None) -> int | None:
    """A whole number, or None."""
    value = text(shown)
    return None if value is None else int(value)


def counted(job: Shown, name: str) -> Any:  # noqa: ANN401 - as JSON has it
    """A number of `squeue --json`: up to 23.02 plain, then with a note whether it is set."""
    value = job.json[name]
    if isinstance(value, dict):
        return value["number"] if value["set"] and not value["infinite"] else None
    return value


def part(shown: str, index: int) -> int | None:
    """One number of those that scontrol writes with colons between them."""
    return number(shown.split(":")[index])


def mebibytes(shown: str) -> int:
    """An amount of memory such as `2500M`, `1G` or `20`."""
    factors = {"M": 1, "G": 1024, "T": 1024**2}
    return int(shown[:-1]) * factors[shown[-1]] if shown[-1] in factors else int(shown)


def seconds(shown: str | None) -> int | None:
    """A duration, `[days-][hours:]minutes:seconds`."""
    if shown in {None, "N/A", "UNLIMITED", "Partition_Limit", "NOT_SET"}:
        return None
    days, _, clock = str(shown).rpartition("-")
    total = int(days or 0) * 24
    parts = [int(value) for value in clock.split(":")]
    for value, size in zip([0] * (3 - len(parts)) + parts, (1, 60, 60)):
        total = total * size + value
    return total


def minutes(shown: str | None) -> int | None:
    """A duration in minutes."""
    total = seconds(shown)
    return None if total is None else total // 60


def listed(shown: str | None, separators: str = ",") -> list[str] | None:
    """The items of a list."""
    value = text(shown)
    return None if value is None else re.split(f"[{separators}]", value)


def features(shown: str | None) -> list[str] | None:
    """Features that are all wanted: what stands between `&` or `,`, outside of brackets."""
    value = text(shown)
    return None if value is None else re.findall(r"(?:\[.*?\]|\(.*?\)|[^&,])+", value)


def tres(shown: str | None, name: str) -> int | None:
    """The count of one trackable resource, in a text such as `gres:gpu:1024`."""
    return (
        None if shown is None else int(re.split("[:=]", re.findall(rf"{name}[^,]*", shown)[0])[-1])
    )


def gres(shown: str | None) -> dict[str, int] | None:
    """Counts by name and type, from `gres:gpu:tesla:2` or `gres/gpu:tesla=2`."""
    if shown is None:
        return None
    counts = {}
    for item in shown.split(","):
        name, count = re.fullmatch(r"gres[:/](.*?)(?:[:=](\d+))?", item).groups()  # type: ignore[union-attr]
        counts[name] = int(count or 1)
    return counts


def memory(record: Mapping[str, str]) -> int | None:
    """The memory among the resources that a job has, or asks for."""
    for name in ("TRES", "AllocTRES", "ReqTRES"):
        found = re.search(r"mem=(\w+)", record.get(name, ""))
        if found:
            return mebibytes(found[1])
    return None


def dependencies(shown: str) -> dict[str, Any] | None:
    """What a job waits for, by condition; the state is left away where it is the usual one."""
    if text(shown) is None:
        return None
    found: dict[str, Any] = {"satisfy": "any" if "?" in shown else "all"}
    for item in re.split("[,?]", shown.replace("(unfulfilled)", "")):
        condition, _, job = item.partition(":")
        if job:
            found.setdefault(condition, []).append(int(job) if job.isdigit() else job)
        else:
            found[condition] = True
    return found


def frequency(shown: str | None) -> int | str | None:
    """A frequency in kHz, or one of the words for them."""
    return int(shown) if shown is not None and shown.isdigit() else shown


def run_time(job: Shown) -> int:
    """How long the job has run."""
    total = seconds(job.scontrol["RunTime"])
    assert total is not None
    return total


def yes(job: Shown, name: str) -> bool:
    """A flag that is written as 0 or 1."""
    return job.scontrol[name] != "0"


def choice(shown: str | None, if_yes: str, if_no: str) -> str | None:
    """One word or another for a flag that is Yes, No, or not there."""
    return None if shown is None else if_yes if shown == "Yes" else if_no


def max_nodes(job: Shown) -> int | None:
    """The upper end of a range of nodes."""
    if MAJOR >= "24.11":
        # A job has one from the beginning there, and scontrol shows it only while the job waits.
        return counted(job, "max_nodes") or None
    return number(job.scontrol["NumNodes"].partition("-")[2])


def sharing(job: Shown) -> str:
    """How a job shares its nodes, in one word."""
    word = job.scontrol["OverSubscribe"]
    if MAJOR < "26.05":
        return word
    # There are two words for it. The first is NO as well for a job that leaves it to the partition,
    # in which case it was OK before.
    exclusive = job.scontrol["Exclusive"]
    if exclusive == "NO":
        return "YES" if word == "YES" else "OK"
    return "NO" if exclusive == "NODE" else exclusive


def single_task(job: Shown) -> int | None:
    """The index of the one task that a record is of."""
    if not counted(job, "array_job_id"):
        return None
    task: int | None = counted(job, "array_task_id")
    return task


def siblings(job: Shown, name: str) -> int | None:
    """The siblings in a federation: a bit for each cluster, where its number in it says."""
    names = listed(job.json[name])
    return sum(1 << (job.federation[sibling] - 1) for sibling in names) if names else None


ROWS: dict[str, Callable[[Shown], Any]] = {
    "association_id": lambda job: counted(job, "association_id") or None,
    "qos": lambda job: text(job.scontrol["QOS"]),
    "federation_origin": lambda job: text(job.scontrol.get("FedOrigin")),
    "federation_siblings_active": lambda job: siblings(job, "federation_siblings_active"),
    "federation_siblings_viable": lambda job: siblings(job, "federation_siblings_viable"),
    "id": lambda job: number(job.scontrol["JobId"]),
    "name": lambda job: text(job.scontrol["JobName"]),
    "account": lambda job: text(job.scontrol["Account"]),
    "user_id": lambda job: int(re.split(r"[()]", job.scontrol["UserId"])[1]),
    "user_name": lambda job: re.split(r"[()]", job.scontrol["UserId"])[0],
    "group_id": lambda job: int(re.split(r"[()]", job.scontrol["GroupId"])[1]),
    "group_name": lambda job: re.split(r"[()]", job.scontrol["GroupId"])[0],
    "priority": lambda job: int(job.scontrol["Priority"]),
    "nice": lambda job: int(job.scontrol["Nice"]),
    "min_cpus_per_node": lambda job: int(job.scontrol["MinCPUsNode"]),
    "state": lambda job: job.scontrol["JobState"],
    "state_reason": lambda job: text(job.squeue["Reason"]),
    "is_requeueable": lambda job: yes(job, "Requeue"),
    "requeue_count": lambda job: int(job.scontrol["Restarts"]),
    "is_batch_job": lambda job: yes(job, "BatchFlag"),
    "node_reboot_required": lambda job: yes(job, "Reboot"),
    "dependencies": lambda job: dependencies(job.scontrol["Dependency"]),
    "time_limit": lambda job: minutes(job.scontrol["TimeLimit"]),
    "time_limit_min": lambda job: minutes(job.scontrol["TimeMin"]),
    "submit_time": lambda job: number(job.scontrol["SubmitTime"]),
    "eligible_time": lambda job: number(job.scontrol["EligibleTime"]),
    "accrue_time": lambda job: number(job.scontrol["AccrueTime"]),
    "start_time": lambda job: number(job.scontrol["StartTime"]),
    "end_time": lambda job: number(job.scontrol["EndTime"]),
    "resize_time": lambda job: number(job.scontrol.get("ResizeTime")),
    "deadline": lambda job: number(job.scontrol["Deadline"]),
    "preempt_eligible_time": lambda job: number(job.scontrol.get("PreemptEligibleTime")),
    "preempt_time": lambda job: number(job.scontrol.get("PreemptTime")),
    "suspend_time": lambda job: number(job.scontrol["SuspendTime"]),
    "last_sched_evaluation_time": lambda job: number(job.scontrol["LastSchedEval"]),
    "pre_suspension_time": lambda job: int(job.scontrol["SecsPreSuspend"]),
    "mcs_label": lambda job: text(job.scontrol["MCS_label"]),
    "partition": lambda job: text(job.scontrol["Partition"]),
    "submit_host": lambda job: text(job.scontrol["AllocNode:Sid"].rpartition(":")[0]),
    "batch_host": lambda job: text(job.scontrol.get("BatchHost")),
    "num_nodes": lambda job: int(job.squeue["NumNodes"]),
    "max_nodes": max_nodes,
    "allocated_nodes": lambda job: text(job.scontrol["NodeList"]),
    "required_nodes": lambda job: text(job.scontrol["ReqNodeList"]),
    "excluded_nodes": lambda job: text(job.scontrol["ExcNodeList"]),
    "scheduled_nodes": lambda job: text(job.scontrol.get("SchedNodeList")),
    "exit_code": lambda job: part(job.scontrol["ExitCode"], 0),
    "exit_code_signal": lambda job: part(job.scontrol["ExitCode"], 1),
    "derived_exit_code": lambda job: part(job.scontrol["DerivedExitCode"], 0),
    "derived_exit_code_signal": lambda job: part(job.scontrol["DerivedExitCode"], 1),
    "batch_constraints": lambda job: features(job.scontrol.get("BatchFeatures")),
    "constraints": lambda job: features(job.scontrol["Features"]),
    "cluster": lambda job: text(job.json["cluster"]),
    "cluster_constraints": lambda job: listed(job.scontrol.get("ClusterFeatures")),
    "cpus": lambda job: int(job.squeue["NumCPUs"]),
    "cpus_per_task": lambda job: number(job.scontrol["CPUs/Task"]),
    "cpus_per_gpu": lambda job: tres(job.scontrol.get("CpusPerTres"), "gpu"),
    "boards_per_node": lambda job: part(job.scontrol["ReqB:S:C:T"], 0),
    "sockets_per_board": lambda job: part(job.scontrol["ReqB:S:C:T"], 1),
    "sockets_per_node": lambda job: number(job.scontrol["Socks/Node"]),
    "cores_per_socket": lambda job: part(job.scontrol["ReqB:S:C:T"], 2),
    "threads_per_core": lambda job: part(job.scontrol["ReqB:S:C:T"], 3),
    "ntasks": lambda job: number(job.scontrol["NumTasks"]),
    "ntasks_per_node": lambda job: part(job.scontrol["NtasksPerN:B:S:C"], 0),
    "ntasks_per_board": lambda job: part(job.scontrol["NtasksPerN:B:S:C"], 1),
    "ntasks_per_socket": lambda job: part(job.scontrol["NtasksPerN:B:S:C"], 2),
    "ntasks_per_core": lambda job: part(job.scontrol["NtasksPerN:B:S:C"], 3),
    "ntasks_per_gpu": lambda job: number(job.scontrol.get("NtasksPerTRES")),
    "delay_boot_time": lambda job: minutes(job.scontrol["DelayBoot"]),
    "reservation": lambda job: text(job.scontrol.get("Reservation")),
    "resource_sharing": sharing,
    "requires_contiguous_nodes": lambda job: yes(job, "Contiguous"),
    "licenses": lambda job: listed(job.scontrol["Licenses"]),
    "network": lambda job: text(job.scontrol["Network"]),
    "command": lambda job: text(job.scontrol["Command"]),
    "working_directory": lambda job: text(job.scontrol["WorkDir"]),
    "admin_comment": lambda job: text(job.scontrol.get("AdminComment")),
    "system_comment": lambda job: text(job.scontrol.get("SystemComment")),
    "comment": lambda job: text(job.scontrol.get("Comment")),
    "container": lambda job: text(job.scontrol.get("Container")),
    "standard_input": lambda job: text(job.scontrol.get("StdIn")),
    "standard_output": lambda job: text(job.scontrol.get("StdOut")),
    "standard_error": lambda job: text(job.scontrol.get("StdErr")),
    "required_switches": lambda job: number(job.scontrol.get("Switches", "").partition("@")[0]),
    "max_wait_time_switches": lambda job: seconds(
        job.scontrol.get("Switches", "@N/A").partition("@")[2]
    ),
    "burst_buffer": lambda job: text(job.scontrol.get("BurstBuffer")),
    "burst_buffer_state": lambda job: text(job.scontrol.get("BurstBufferState")),
    "cpu_frequency_min": lambda job: frequency(job.scontrol.get("CPU_min_freq")),
    "cpu_frequency_max": lambda job: frequency(job.scontrol.get("CPU_max_freq")),
    "cpu_frequency_governor": lambda job: frequency(job.scontrol.get("Governor")),
    "billable_tres": lambda job: counted(job, "billable_tres"),
    "wckey": lambda job: text(job.squeue["wckey"]),
    "mail_user": lambda job: listed(job.scontrol.get("MailUser")),
    "mail_types": lambda job: listed(job.scontrol.get("MailType")),
    "heterogeneous_id": lambda job: number(job.scontrol.get("HetJobId")),
    "heterogeneous_offset": lambda job: number(job.scontrol.get("HetJobOffset")),
    "temporary_disk_per_node": lambda job: mebibytes(job.scontrol["MinTmpDiskNode"]),
    "array_id": lambda job: number(job.scontrol.get("ArrayJobId")),
    "array_tasks_parallel": lambda job: number(job.scontrol.get("ArrayTaskThrottle")),
    "array_task_id": single_task,
    "array_tasks_waiting": lambda job: text(job.json["array_task_string"]),
    "run_time": run_time,
    "run_time_remaining": lambda job: seconds(job.squeue["TimeLeft"]),
    # No tool shows the product, but the page says what it is.
    "elapsed_cpu_time": lambda job: run_time(job) * int(job.squeue["NumCPUs"]),
    "cores_reserved_for_system": lambda job: number(job.scontrol.get("CoreSpec")),
    "threads_reserved_for_system": lambda job: number(job.scontrol.get("ThreadSpec")),
    "memory": lambda job: memory(job.scontrol),
    "memory_per_cpu": lambda job: (
        mebibytes(job.scontrol["MinMemoryCPU"]) if "MinMemoryCPU" in job.scontrol else None
    ),
    "memory_per_node": lambda job: (
        mebibytes(job.scontrol["MinMemoryNode"])
        if "MinMemoryNode" in job.scontrol and "MemPerTres" not in job.scontrol
        else None
    ),
    "memory_per_gpu": lambda job: tres(job.scontrol.get("MemPerTres"), "gpu"),
    "gres_per_node": lambda job: gres(job.scontrol.get("TresPerNode")),
    "profile_types": lambda job: listed(job.squeue["Profile"]),
    "gres_binding": lambda job: choice(
        job.scontrol.get("GresEnforceBind"), "enforce-binding", "disable-binding"
    ),
    "gres_tasks_per_sharing": lambda job: choice(
        job.scontrol.get("GresOneTaskPerSharing"), "one", "multiple"
    ),
    "kill_on_invalid_dependency": lambda job: {"Yes": True, "No": False, None: None}[
        job.scontrol.get(KILL_ON_INVALID)
    ],
    "spreads_over_nodes": lambda job: "SpreadJob" in job.scontrol,
    "is_cronjob": lambda job: "CronJob" in job.scontrol,
    "cronjob_time": lambda job: text(job.scontrol.get("CrontabSpec", "").strip('"')),
}


# What tasks of one job may share, or not, where sbatch takes an option for it.
SHARDS = "NodeName=n[1-4] Name=shard Count=4\n" if MAJOR >= "24.05" else ""

OPTIONS = {
    "name": "oracle",
    "accounting": True,
    "nodes": 4,
    "cpus": 16,
    "memory": 8000,
    "gpus": {"tesla": 2},
    "gres_conf": "NodeName=n[1-4] Name=nic Count=4\n" + SHARDS,
    "node_options": (
        "Features=red,blue,green TmpDisk=1000 Sockets=2 CoresPerSocket=8"
        f" Gres=gpu:tesla:2,nic:4{',shard:4' if SHARDS else ''}"
    ),
    "partitions": {
        "debug": "",
        "other": "",
        "low": "PriorityTier=1 PreemptMode=CANCEL GraceTime=600",
        "high": "PriorityTier=10 PreemptMode=OFF",
    },
    "extra_conf": """
        AllowSpecResourcesUsage=yes
        Licenses=matlab:10,ansys:10
        MCSPlugin=mcs/account
        MCSParameters=ondemand
        PreemptExemptTime=00:00:01
        PreemptMode=CANCEL
        PreemptType=preempt/partition_prio
        RebootProgram=/bin/true
        ScronParameters=enable
    """
    + (
        # Without which newer majors refuse to be told of sharing, and of ports.
        """
        GresTypes=gpu,nic,shard
        MpiParams=ports=61000-61010
        SelectTypeParameters=CR_Core_Memory,MULTIPLE_SHARING_GRES_PJ
        """
        if MAJOR >= "24.05"
        else "GresTypes=gpu,nic"
    ),
}

# One job each; a held job shows what it asks for, and needs no node.
HELD: tuple[tuple[str, ...], ...] = (
    (
        "--job-name=the first one, x=y",
        "--account=physics",
        "--mcs-label=physics",
        "--wckey=key1",
        "--comment=said about the first",
        "--nice=50",
        "--partition=other",
        "--cpus-per-task=2",
        "--ntasks=4",
        "--nodes=2-3",
        "--ntasks-per-node=2",
        "--mem-per-cpu=300",
        "--tmp=20",
        "--mincpus=4",
        "--constraint=red&blue",
        "--batch=red",
        "--licenses=matlab:2,ansys:1",
        "--network=net1",
        "--mail-type=ALL,TIME_LIMIT_80,ARRAY_TASKS",
        "--mail-user=ann,bob",
        "--profile=task,energy",
        "--exclude=n4",
        "--nodelist=n1",
        "--contiguous",
        "--switches=2@5:00",
        "--time=60",
        "--time-min=30",
        "--delay-boot=5",
        "--cpu-freq=low-high:performance",
        "--kill-on-invalid-dep=yes",
        "--no-requeue",
        "--begin=now+7200",
        "--deadline=now+36000",
        "--input=in.%j",
        "--output=out.%j",
        "--error=/dev/null",
        "--container=/bundles/one",
        "--gres-flags=enforce-binding",
        "--cluster-constraint=east,west",
        "--reservation=later1",
        "--chdir=/",
    ),
    (
        "--account=chemistry",
        "--mcs-label=chemistry",
        "--wckey=key2",
        "--comment=größer = ☃, a=b",
        "--nice=-7",
        "--partition=debug,other",
        "--cpus-per-task=1",
        "--ntasks=6",
        "--nodes=3-4",
        "--ntasks-per-node=3",
        "--mem-per-cpu=1G",
        "--tmp=1G",
        "--mincpus=5",
        "--constraint=[red|blue]&green",
        "--batch=green",
        "--licenses=matlab",
        "--network=net2",
        "--mail-type=END,INVALID_DEPEND",
        "--mail-user=eve",
        "--profile=all",
        "--exclude=n3",
        "--nodelist=n[1-2]",
        "--switches=1@2:00",
        "--time=2-00:00:00",
        "--time-min=45",
        "--delay-boot=7",
        "--cpu-freq=1000000-highm1:ondemand",
        "--kill-on-invalid-dep=no",
        "--spread-job",
        "--requeue",
        "--begin=now+3600",
        "--deadline=now+90000",
        "--input=/dev/zero",
        "--output=/tmp/%x-%u.out",
        "--error=err.%A",
        "--container=/bundles/two",
        "--gres-flags=disable-binding",
        "--cluster-constraint=north",
        "--reservation=later2",
        "--reboot",
    ),
    (
        "--extra-node-info=1:2:1",
        "--ntasks-per-socket=1",
        "--ntasks-per-core=1",
        "--mem=2500",
        "--oversubscribe",
        "--cpu-freq=1500000-2000000:ondemand",
        "--profile=none",
        "--core-spec=1",
    ),
    (
        "--sockets-per-node=2",
        "--cores-per-socket=3",
        "--threads-per-core=2",
        "--ntasks-per-socket=2",
        "--ntasks-per-core=2",
        "--mem=3G",
        "--core-spec=2",
    ),
    ("--gres=gpu:1,nic:3", "--cpus-per-gpu=2", "--mem-per-gpu=100", "--thread-spec=1"),
    ("--gpus-per-node=tesla:2", "--cpus-per-gpu=3", "--mem-per-gpu=1G", "--thread-spec=2"),
    ("--gpus=2", "--ntasks-per-gpu=1", "--exclusive"),
    ("--gpus=2", "--ntasks-per-gpu=2", "--mem=0", "--exclusive=mcs"),
    ("--gpus-per-socket=1", "--sockets-per-node=1", "--gpu-bind=closest", "--gpu-freq=low"),
    ("--gpus-per-task=1", "--ntasks=2", "--exclusive=user"),
    (
        "--acctg-freq=task=1",
        "--distribution=cyclic:block",
        "--export=NONE",
        "--get-user-env",
        "--hint=nomultithread",
        "--mem-bind=local",
        "--no-kill",
        "--open-mode=append",
        "--overcommit",
        "--prefer=red",
        "--propagate=NONE",
        "--qos=urgent",
        "--signal=B:USR1@60",
        "--use-min-nodes",
    ),
    ("--constraint=[red*1&blue*2]", "--nodes=3", "--gres=gpu"),
    ("--constraint=red|green", "--time=UNLIMITED"),
    ("--nodefile=nodes.txt", "--export-file=environment"),
    ("--array=1-200:3%4",),
    ("--array=" + ",".join(str(3 * n + n % 2) for n in range(60)) + "%2",),
    ("--array=7",),
    ("--nodes=1", ":", "--nodes=2"),
    ("--nodes=1", ":", "--nodes=1", ":", "--nodes=2"),
)


ONE_TASK = "--gres-flags=one-task-per-sharing"

# What came after 22.05.
NEWER: tuple[tuple[tuple[int, int], tuple[str, ...]], ...] = (
    ((23, 2), ("--extra=more", "--container-id=bundle")),
    ((23, 11), ("--gpus=2", "--tres-bind=gres/gpu:closest", "--tres-per-task=cpu=2")),
    ((24, 5), ("--gres=gpu:2", "--gres-flags=multiple-tasks-per-sharing")),
    ((24, 5), ("--ntasks=1", "--tres-per-task=gres/shard:1", ONE_TASK)),
    # Only where slurmstepd manages the steps, for which the help has no option.
    ((24, 5), ("--stepmgr", "--resv-ports")),
    ((24, 11), ("--oom-kill-step=1",)),
    ((26, 5), ("--container=/bundles/one", "--container-type=oci")),
    ((26, 5), ("--nodes=2", "--segment=1", "--spread-segments")),
)

# Options of sbatch that are about sbatch itself, or that need what is not here.
LEFT_OUT = {
    "--bbf",  # --bb, read from a file
    "--help",
    "--ignore-pbs",
    "--power",  # a plugin that needs a Cray, gone since
    "--quiet",
    "--usage",
    "--verbose",
    "--version",
    "--wait",
}

# Slurm runs these for jobs that ask for a burst buffer, and says what came of it in the job.
BURST_BUFFER = """
function slurm_bb_job_process(script) return slurm.SUCCESS end
function slurm_bb_pools() return slurm.SUCCESS end
function slurm_bb_job_teardown(job, script, hurry) return slurm.SUCCESS end
function slurm_bb_setup(job, ...) return slurm.ERROR, "no room for job " .. job end
function slurm_bb_data_in(job, script) return slurm.SUCCESS end
function slurm_bb_test_data_in(job, script) return slurm.SUCCESS end
function slurm_bb_real_size(job) return slurm.SUCCESS end
function slurm_bb_paths(job, script, path) return slurm.SUCCESS end
function slurm_bb_pre_run(job, script) return slurm.SUCCESS end
function slurm_bb_post_run(job, script) return slurm.SUCCESS end
function slurm_bb_data_out(job, script) return slurm.SUCCESS end
function slurm_bb_test_data_out(job, script) return slurm.SUCCESS end
function slurm_bb_get_status(...) return slurm.SUCCESS end
"""


# Every Linux has these two. It cannot be nobody: 26.05 lets that user do nothing at all.
OTHER_USER, OTHER_GROUP = "daemon", "bin"


def open_accounts(tools: Tools) -> None:
    """Let everybody who submits have an account, a QOS and a wckey that others have not."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    commands = [
        "add qos urgent",
        "add account physics,chemistry",
        f"add user {me} account=physics,chemistry wckey=key1,key2",
        f"modify user {me} set qos+=urgent",
    ]
    if ROOT:
        commands.append(f"add user {OTHER_USER} account=test defaultaccount=test wckey=test")
    tools.run("sacctmgr", "--immediate", stdin="\n".join(commands))


def submit_held(tools: Tools, script: Path) -> list[int]:
    """The jobs of `HELD`; the components of heterogeneous jobs have ids in a row."""
    (tools.folder / "nodes.txt").write_text("n1\nn3\n")
    (tools.folder / "environment").write_bytes(b"A=1\0B=2\0")
    newer = [options for version, options in NEWER if tools.version >= version]
    jobs = []
    for options in (*HELD, *newer):
        parts = options.count(":") + 1
        first = tools.sbatch("--hold", *options, str(script), "an argument")
        jobs += list(range(first, first + parts))
    tools.update(jobs[0], "AdminComment=from the administrator")
    tools.update(jobs[1], "AdminComment=another")
    return jobs


def submit_as_user(tools: Tools, script: Path) -> list[int]:
    """Jobs that root must not have: those with a burst buffer."""
    options = ["--chdir=/", "--bb=#BB_LUA persistent"]
    if ROOT:
        user, group = pwd.getpwnam(OTHER_USER).pw_uid, grp.getgrnam(OTHER_GROUP).gr_gid
        options += [f"--uid={user}", f"--gid={group}"]
    return [
        tools.sbatch(*options, "--hold", str(script)),
        tools.sbatch(*options, str(script)),
        tools.sbatch(*options, "--bb=#BB_LUA scratch", str(script)),
    ]


SLEEP = "sleep 600"
# Not on the nodes where one job has to make room for another.
SMALL = ("--nodes=1", "--mem=50", "--exclude=n[3-4]", "--time=30")


def wrapped(tools: Tools, command: str, *options: str) -> int:
    """A small job that runs a command."""
    return tools.sbatch(*SMALL, *options, "--wrap", command)


def reserve(tools: Tools, *names: str) -> None:
    """Make reservations of everything, next month."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    what = ("nodes=ALL", "starttime=now+30days", "duration=60", f"users={user}", "flags=OVERLAP")
    for name in names:
        tools.run("scontrol", "create", "reservation", f"reservationname={name}", *what)


def submit_ended(tools: Tools) -> dict[int, str]:
    """Jobs that end at once, in every way, with the state that they end in; the first fails."""
    commands = {
        "exit 3": "FAILED",
        "exit 7": "FAILED",
        "kill -KILL $$": "FAILED",
        "kill -USR1 $$": "FAILED",
        "srun sh -c 'exit 5'; exit 0": "COMPLETED",
        "srun sh -c 'exit 6'; exit 0": "COMPLETED",
        "srun sh -c 'kill -KILL $$'; exit 0": "COMPLETED",
        "srun sh -c 'kill -USR2 $$'; exit 0": "COMPLETED",
    }
    return {wrapped(tools, command): state for command, state in commands.items()}


def submit_waiting(tools: Tools, script: Path, held: list[int], failed: int) -> list[int]:
    """Jobs that wait for resources, for a time and for other jobs."""
    tasks = wrapped(tools, SLEEP, "--array=0-3%3", "--output=%A.%a.%x")
    conditions = (
        f"afterok:{held[0]}:{held[1]},afterany:{tasks}_1,singleton",
        f"after:{held[0]}+5?afternotok:{tasks}_*",
        f"aftercorr:{tasks}",
        f"afterok:{failed},afterany:{held[0]}",
    )
    common = ("--mem=50", "--time=10", "--kill-on-invalid-dep=no", "--job-name=wrap")
    different = [f"--dependency={condition}" for condition in conditions]
    jobs = [tools.sbatch(*common, options, str(script)) for options in different]
    jobs.append(tools.sbatch(*common, "--priority=77", "--begin=now+1hour", str(script)))
    jobs += [
        tools.sbatch(*common, f"--nodelist={node}", "--exclusive", str(script))
        for node in ("n1", "n2")
    ]
    return jobs


def make_jobs(tools: Tools) -> None:
    """Make the jobs, and wait until each is in the state that it is meant for."""
    script = tools.folder / "job.sh"
    script.write_text(f"#!/bin/sh\n{SLEEP}\n")
    # A job's arguments are part of its command in 22.05, but not in 24.11: a second script it is.
    another = shutil.copy(script, tools.folder / "another job.sh")
    open_accounts(tools)
    reserve(tools, "later1", "later2")

    suspended = [wrapped(tools, SLEEP), wrapped(tools, SLEEP, "--ntasks=2")]
    resumed = wrapped(tools, SLEEP)
    cancelled = [wrapped(tools, SLEEP), tools.sbatch("--hold", str(another))]
    requeued = [wrapped(tools, SLEEP), wrapped(tools, SLEEP, "--nodelist=n1")]
    resized = [wrapped(tools, SLEEP, "--nodes=2"), wrapped(tools, SLEEP, "--nodes=2")]
    low = ("--partition=low", "--exclusive", "--time=60", str(script))
    preempted = [tools.sbatch(f"--nodelist={node}", *low) for node in ("n3", "n4")]
    # This one keeps n2 from those that want it for themselves, and for longer than others need.
    large = wrapped(tools, SLEEP, "--ntasks=3", "--account=physics", "--nodelist=n2", "--time=120")
    wrapped(tools, SLEEP, "--time=UNLIMITED")
    tools.run("salloc", "--no-shell", "--job-name=interactive", *SMALL)
    jobs = [*suspended, resumed, cancelled[0], *requeued, *resized, *preempted, large]
    tools.wait(dict.fromkeys(jobs, "RUNNING"))
    began = time.monotonic()

    held = submit_held(tools, script) + submit_as_user(tools, script)
    ended = submit_ended(tools)
    tools.wait(ended)
    waiting = submit_waiting(tools, script, held, next(iter(ended)))
    if tools.has_scrontab:
        table = tools.folder / "crontab"
        table.write_text(f"@yearly {script}\n#SCRON --time=5\n30 4 * * 1-5 {script}\n")
        tools.run("scrontab", str(table))

    # What is suspended has to have run for a second.
    time.sleep(max(0, began + 1.2 - time.monotonic()))
    for turn in range(2):
        if turn:
            wait_for_another_second(tools, suspended, resized[0], preempted[0])
        tools.run("scontrol", "suspend", str(suspended[turn]))
        tools.run("scontrol", ("suspend", "resume")[turn], str(resumed))
        tools.update(resized[turn], "NumNodes=1")
        high = ("--partition=high", "--exclusive", "--time=60", str(script))
        waiting.append(tools.sbatch(f"--nodelist={('n3', 'n4')[turn]}", *high))
        tools.run("scontrol", "requeue", ",".join(map(str, requeued[turn:])))
        if not turn:
            tools.run("scancel", *map(str, cancelled))
            tools.wait(dict.fromkeys(requeued, "PENDING"))
            # Or it would run again after two minutes.
            tools.update(requeued[0], "StartTime=now+1hour")
            # A node does not take a job again for two minutes, but another one does.
            tools.update(requeued[1], "ReqNodeList=n2", "StartTime=now")
            tools.wait({requeued[1]: "RUNNING"})
    tools.wait(
        {
            **ended,
            **dict.fromkeys(suspended, "SUSPENDED"),
            **dict.fromkeys([resumed, *preempted, *resized], "RUNNING"),
            **dict.fromkeys(cancelled, "CANCELLED"),
            **dict.fromkeys([*requeued, *waiting, *held], "PENDING"),
        }
    )
    wait_for_scheduler(tools, preempted, waiting)


def wait_for_another_second(
    tools: Tools, suspended: list[int], resized: int, preempted: int
) -> None:
    """Wait until what is done to one more job is done at times that the first ones do not have."""
    deadline = time.monotonic() + 60
    while True:
        shown = {job: record.scontrol for job, record in tools.show().items()}
        first, second = (shown[job] for job in suspended)
        times = [
            number(first["SuspendTime"]),
            number(shown[resized].get("ResizeTime")),
            number(shown[preempted]["PreemptTime"]),
            # Both have to have run for different times, too.
            int(second["StartTime"]) + int(first["SecsPreSuspend"]),
        ]
        passed = [moment for moment in times if moment]
        if len(passed) == len(times):
            break
        assert time.monotonic() < deadline, times
        time.sleep(0.2)
    time.sleep(max(0, max(passed) + 1 - time.time()))


def federate(tools: Tools, name: str, *before: str) -> None:
    """Make a federation of the cluster and of some that do not run, and a job in it.

    The clusters that come before this one have lower numbers.
    """
    commands = [f"add cluster {other}" for other in before]
    commands.append(f"add federation east clusters={','.join([*before, name])}")
    tools.run("sacctmgr", "--immediate", stdin="\n".join(commands))
    deadline = time.monotonic() + 60
    while name not in tools.federation:
        assert time.monotonic() < deadline, tools.federation
        shown = tools.run("scontrol", "show", "federation")
        pairs = re.findall(r"^(?:Self|Sibling): +(\w+):\S* ID:(\d+) ", shown, re.MULTILINE)
        tools.federation = {cluster: int(number) for cluster, number in pairs}
    tools.sbatch("--hold", f"--clusters={name}", "--wrap", SLEEP)
    tools.sbatch("--hold", "--wrap", SLEEP)


def wait_for_scheduler(tools: Tools, preempted: list[int], waiting: list[int]) -> None:
    """Wait until the scheduler has told, planned and given up what it should."""
    deadline = time.monotonic() + 60
    while True:
        shown = tools.show()
        told = [job for job in preempted if number(shown[job].scontrol["PreemptTime"])]
        planned = [job for job in waiting if "SchedNodeList" in shown[job].scontrol]
        given_up = [job for job in waiting if "(failed)" in shown[job].scontrol["Dependency"]]
        tasks = [job for job, record in shown.items() if (single_task(record) or 0) > 0]
        if len(told) == len(preempted) and min(len(planned), len(tasks)) > 1 and given_up:
            return
        assert time.monotonic() < deadline, (told, planned, given_up, tasks)
        time.sleep(0.2)


def check_options(tools: Tools) -> None:
    """Hold the jobs against the options that the installed sbatch has."""
    listed = re.findall(
        r"^  (?:-\w, |    )(--[a-z-]+)", tools.run("sbatch", "--help"), re.MULTILINE
    )
    unused = set(listed) - tools.used - LEFT_OUT
    if not ROOT:
        unused -= {"--uid", "--gid"}
    assert not unused, f"no job has these options of sbatch: {unused}"


# Of a whole collection.
TOTALS = ("memory", "cpus", "ntasks", "elapsed_cpu_time")


@dataclass(repr=False)
class Sample:
    """The jobs of a cluster: what the tools said before and after slurmpy was asked."""

    tools: Tools
    before: dict[int, Shown]
    jobs: dict[int, slurmpy.Job]
    totals: dict[str, int]
    after: dict[int, Shown]

    @classmethod
    def take(cls, tools: Tools) -> Sample:
        """Ask the tools, slurmpy, and the tools again."""
        before = tools.show()
        jobs = slurmpy.Jobs.load(hidden=True)
        totals = {name: getattr(jobs, name) for name in TOTALS}
        by_id = {job.id: job for job in jobs.values()}
        return cls(tools, before, by_id, totals, tools.show())

    def expected(self, name: str) -> Iterator[tuple[int, Any, Any]]:
        """What the tools said of each job, before and after."""
        row = ROWS[name]
        for job, shown in self.before.items():
            yield job, row(shown), row(self.after[job])


@pytest.fixture(scope="module")
def samples(
    other_cluster: Callable[..., AbstractContextManager[tuple[dict[str, str], Path]]],
) -> Iterator[list[Sample]]:
    """The jobs of a cluster that has everything, and of a second one with another name."""
    files, line = {"burst_buffer.lua": BURST_BUFFER}, "BurstBufferType=burst_buffer/lua\n"
    with other_cluster(OPTIONS, files, line) as place:
        tools = Tools(*place)
        make_jobs(tools)
        federate(tools, "oracle")
        check_options(tools)
        first = Sample.take(tools)
        with other_cluster({"name": "second", "nodes": 1, "accounting": True}) as other:
            others = Tools(*other)
            others.sbatch("--hold", "--wrap", SLEEP)
            federate(others, "second", "absent")
            second = Sample.take(others)
        yield [first, second]


EXEMPT: dict[str, str] = dict(
    re.findall(
        r"^\| `(\w+)` \| .* \| (.*) \|$",
        (HERE.parent / "docs/oracle.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)


def is_exempt(name: str, sample: Sample) -> bool:
    """Whether no two values of an attribute can be had here."""
    conditions = {
        "always": True,
        "not as root": not ROOT,
        "without scrontab": not sample.tools.has_scrontab,
        "before 24.05": sample.tools.version < (24, 5),
    }
    return name in EXEMPT and conditions[EXEMPT[name]]


def set_values(samples: list[Sample], name: str) -> set[str]:
    """The different values that the tools show, those that stand for nothing left out."""
    values = [value for sample in samples for _, value, _ in sample.expected(name)]
    zero_counts = name in {"user_id", "group_id"}
    return {repr(v) for v in values if v or v is False or (v == 0 and zero_counts)}


def test_every_attribute_has_a_row() -> None:
    # These are not of the job's record, and have tests of their own.
    built = set(CONTRACT["Job"]["attributes"]) - {"steps", "stats", "pids"}
    assert set(ROWS) == built
    assert set(slurmpy.Job.fields) == built


def test_few_are_exempt() -> None:
    assert set(EXEMPT) <= set(ROWS)
    assert sum(where != "not as root" for where in EXEMPT.values()) <= 7


@pytest.mark.parametrize("name", ROWS)
def test_row_sees_two_values(samples: list[Sample], name: str) -> None:
    values = set_values(samples, name)
    if is_exempt(name, samples[0]):
        assert len(values) < 2, f"{name} can be seen: it is no exemption any more"
    else:
        assert len(values) >= 2, f"{name}: only {values}"


def agrees(before: Any, after: Any, actual: Any) -> bool:  # noqa: ANN401 - any attribute's
    """Whether a value is what the tools said before and after it was read.

    A number that moves with the clock may have moved in between.
    """
    if type(before) is type(after) is type(actual) is int:
        low, high = sorted((before, after))
        return low <= actual <= high
    # 1 is neither True nor 1.0.
    return any(actual == shown and type(actual) is type(shown) for shown in (before, after))


@pytest.mark.parametrize("name", ROWS)
def test_agrees_with_the_tools(samples: list[Sample], name: str) -> None:
    for sample in samples:
        for number, before, after in sample.expected(name):
            job = sample.jobs[number]
            if not hasattr(job, name):
                assert is_exempt(name, sample)
                assert before is None
                continue
            actual = getattr(job, name)
            assert agrees(before, after, actual), (number, before, actual, after)


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_the_sums(samples: list[Sample], name: str) -> None:
    for sample in samples:
        shown = list(sample.expected(name))
        before = sum(value or 0 for _, value, _ in shown)
        after = sum(value or 0 for _, _, value in shown)
        assert agrees(before, after, sample.totals[name])


@pytest.mark.parametrize("name", ROWS)
def test_values_have_the_type_of_the_contract(samples: list[Sample], name: str) -> None:
    types = {"Union[str, int]": (str, int)}.get(
        CONTRACT["Job"]["attributes"][name],
        getattr(builtins, CONTRACT["Job"]["attributes"][name].partition("[")[0], ()),
    )
    for sample in samples:
        for job in sample.jobs.values():
            value = getattr(job, name, None)
            assert value is None or isinstance(value, types)
            assert not isinstance(value, bool) or types is bool


def test_a_job_by_itself_says_the_same(samples: list[Sample]) -> None:
    moving = {"run_time", "run_time_remaining", "elapsed_cpu_time", "last_sched_evaluation_time"}
    # An estimate for a job that waits is looked at again all the time.
    moving |= {"start_time", "end_time", "scheduled_nodes", "state_reason"}
    # slurmctld does something in the meantime, now and then.
    before = slurmpy.Jobs.load()
    alone = {number: slurmpy.Job.load(number) for number in samples[0].jobs}
    after = slurmpy.Jobs.load()
    for number, job in alone.items():
        differ = {
            name: (value, getattr(before[number], name), getattr(after[number], name))
            for name, value in job.to_dict().items()
            if name not in moving
            and value not in (getattr(before[number], name), getattr(after[number], name))
        }
        assert not differ, number
