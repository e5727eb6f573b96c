"""`python -m slurmpy demo`: a real Slurm on this machine, jobs of many kinds, and how they read."""

from __future__ import annotations

import code
import sys
import time
from pathlib import Path
from typing import Any

import slurmpy
from slurmpy import JobSubmitDescription
from slurmpy._cli import attribute_lines, job_number, table
from slurmpy.testing import LocalCluster, LocalClusterError

__all__ = ["cluster", "run", "submit", "wait_for"]

PATIENCE = 60.0

ADVICE = """
To go on in a REPL, with a cluster of your own:

    $ {python}
    >>> import slurmpy
    >>> from slurmpy.testing import LocalCluster
    >>> cluster = LocalCluster()
    >>> cluster.start()
    >>> slurmpy.JobSubmitDescription(script="#!/bin/sh\\nsleep 60").submit()
    >>> slurmpy.Jobs.load()
    >>> cluster.stop()

or with the jobs above:  {python} -m slurmpy demo --interactive
On a machine that has a Slurm cluster:  {python} -m slurmpy jobs
"""


def cluster() -> LocalCluster:
    """The cluster of the demo: four nodes, each with two made-up GPUs."""
    return LocalCluster(
        nodes=4,
        cpus=8,
        gpus=2,
        # By default the reason why a job waits is looked at again only after a minute.
        extra_conf="SchedulerParameters=batch_sched_delay=1,sched_interval=1",
    )


def submit() -> dict[str, str]:
    """Submit jobs of many kinds to the cluster that slurmpy uses.

    Returns:
        By the job's number as squeue writes it, the state that it has to reach, or the reason why
        it has to wait.
    """

    def job(name: str, command: str, **options: Any) -> int:
        return JobSubmitDescription(
            name=name,
            script=f"#!/bin/sh\n{command}\n",
            standard_output="/dev/null",
            memory_per_node=100,
            time_limit=60,
            **options,
        ).submit()

    expected = {}
    simulate = job("simulate", "sleep 600", nodes=2, ntasks=4)
    expected[str(simulate)] = "RUNNING"
    sweep = job("sweep", "sleep 600", array="0-9%2")
    expected.update({f"{sweep}_0": "RUNNING", f"{sweep}_1": "RUNNING"})
    expected[f"{sweep}_[2-9%2]"] = "JobArrayTaskLimit"
    train = job("train", "sleep 600", gres_per_node={"gpu": 1}, cpus_per_task=2)
    expected[str(train)] = "RUNNING"
    expected[str(job("hello", "echo hello"))] = "COMPLETED"
    expected[str(job("broken", "exit 3"))] = "FAILED"
    unwanted = job("unwanted", "sleep 600")
    slurmpy.Job(unwanted).cancel()
    expected[str(unwanted)] = "CANCELLED"
    collect = job("collect", "true", dependencies={"afterok": [simulate]})
    expected[str(collect)] = "Dependency"
    expected[str(job("held", "true", hold=True))] = "JobHeldUser"
    expected[str(job("tonight", "true", begin_time="now+8hours"))] = "BeginTime"
    # The last, since what comes after a job that waits for resources waits for that job.
    whole = job("whole", "true", nodes=4, resource_sharing="exclusive")
    expected[str(whole)] = "Resources"
    return expected


def wait_for(expected: dict[str, str]) -> slurmpy.Jobs:
    """Wait until every job is where it has to be, and return the jobs.

    Raises:
        TimeoutError: They are not; the message says which.
    """
    deadline = time.monotonic() + PATIENCE
    jobs = slurmpy.Jobs.load()
    while True:
        found = {
            job_number(job): job.state_reason if job.state == "PENDING" else job.state
            for job in jobs.values()
        }
        if found == expected:
            return jobs
        if time.monotonic() > deadline:
            msg = f"after {PATIENCE:.0f} s the jobs are {found} and not {expected}"
            raise TimeoutError(msg)
        time.sleep(0.2)
        jobs.reload()


def run(*, interactive: bool = False) -> None:
    """Start a cluster, show its jobs, and stop it."""
    try:
        show(interactive=interactive)
    except (LocalClusterError, TimeoutError) as error:
        sys.exit(f"slurmpy: {error}")
    if not interactive:
        executable, here = Path(sys.executable), Path.cwd()
        python = executable.relative_to(here) if here in executable.parents else "python"
        print(ADVICE.format(python=python), end="")


def show(*, interactive: bool) -> None:
    """Run a cluster for as long as its jobs are shown."""
    print("Starting slurmctld and four slurmds ...", flush=True)
    with cluster() as slurm:
        expected = submit()
        jobs = wait_for(expected)
        print("\nslurmpy.Jobs.load():\n")
        print("\n".join(table(jobs.values())))
        job = next(job for job in jobs.values() if job.name == "train")
        print(f"\nslurmpy.Job.load({job.id}):\n")
        print("\n".join(attribute_lines(slurmpy.Job.load(job.id))))
        if interactive:
            code.interact(
                "\nHere are `slurmpy`, `jobs` and `cluster`. Ctrl-D stops the cluster. For another "
                f"shell:\n\n  export SLURM_CONF={slurm.conf}\n",
                local={"slurmpy": slurmpy, "jobs": jobs, "cluster": slurm},
                exitmsg="",
            )
    print("\nThe cluster is stopped.")
