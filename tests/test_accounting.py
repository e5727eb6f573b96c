"""What a job is charged to, where slurmdbd has accounts, QOS and wckeys and Slurm enforces them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

from slurmpy import Job, JobSubmitDescription, RPCError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

SCRIPT = "#!/bin/sh\nexec sleep 600\n"


class Slurm:
    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env

    def run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, env=self.env, check=False, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def value(self, job: int, key: str) -> str:
        found = re.search(rf"(?<!\S){key}=(\S*)", self.run("scontrol", "show", "job", str(job)))
        assert found, key
        return found[1]

    def add(self, *what: str) -> None:
        self.run("sacctmgr", "-i", "add", *what)


@pytest.fixture(scope="module")
def slurm(other_cluster: Callable[..., AbstractContextManager[Any]]) -> Iterator[Slurm]:
    options = {
        "name": "charged",
        "accounting": True,
        "extra_conf": "PriorityType=priority/multifactor",
    }
    with other_cluster(options) as (env, _folder):
        slurm = Slurm(env)
        me = slurm.run("id", "-un").strip()
        slurm.add("account", "physics,chemistry")
        slurm.add("user", me, "account=physics,chemistry", "wckeys=key1,key2")
        slurm.add("qos", "urgent")
        slurm.run("sacctmgr", "-i", "modify", "user", me, "set", "qos+=urgent")
        # slurmctld learns of it a moment later.
        last = ("sbatch", "--test-only", "--account=physics", "--qos=urgent", "--wckey=key2")
        wait_for(lambda: "to start" in slurm.run(*last, "--wrap=true", check=False))
        yield slurm


@pytest.mark.parametrize(
    ("attribute", "value", "key"),
    [
        ("account", "physics", "Account"),
        ("account", "chemistry", "Account"),
        ("qos", "urgent", "QOS"),
        ("wckey", "key1", "WCKey"),
        ("wckey", "key2", "WCKey"),
    ],
)
def test_charged_to(slurm: Slurm, attribute: str, value: str, key: str) -> None:
    given: dict[str, Any] = {attribute: value}
    ours = JobSubmitDescription(script=SCRIPT, hold=True, **given).submit()
    theirs = int(slurm.run("sbatch", "--parsable", "--hold", f"--{attribute}={value}", "--wrap=:"))
    assert slurm.value(ours, key) == slurm.value(theirs, key) == value
    job, other = Job.load(ours), Job.load(theirs)
    assert getattr(job, attribute) == value
    assert job.association_id == other.association_id is not None
    # And changed in a job that there is.
    plain = JobSubmitDescription(script=SCRIPT, hold=True).submit()
    Job(plain).modify(JobSubmitDescription(**given))
    assert slurm.value(plain, key) == value


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("account", "ESLURM_INVALID_ACCOUNT"),
        ("qos", "ESLURM_INVALID_QOS"),
        ("wckey", "ESLURM_INVALID_WCKEY"),
    ],
)
def test_unknown(slurm: Slurm, attribute: str, name: str) -> None:
    given: dict[str, Any] = {attribute: "unknown"}
    with pytest.raises(RPCError) as caught:
        JobSubmitDescription(script=SCRIPT, **given).submit()
    assert caught.value.name == name
    said = slurm.run("sbatch", f"--{attribute}=unknown", "--wrap=:", check=False)
    assert caught.value.msg in said
    job = Job(JobSubmitDescription(script=SCRIPT, hold=True).submit())
    with pytest.raises(RPCError) as caught:
        job.modify(JobSubmitDescription(**given))
    assert caught.value.name == name


def test_site_factor(slurm: Slurm) -> None:
    """The site's part of the priority, as scontrol sets it and sprio shows it."""
    # sprio passes over jobs that wait for something else than their turn.
    description = JobSubmitDescription(script=SCRIPT, nodes=2, resource_sharing="exclusive")
    first = description.submit()
    # Before the others are there: one with more priority would be started in its place.
    wait_for(lambda: Job.load(first).state == "RUNNING")
    jobs = [description.submit() for _ in range(2)]
    Job(jobs[0]).modify(JobSubmitDescription(site_factor=500))
    slurm.run("scontrol", "update", f"jobid={jobs[1]}", "SiteFactor=500")

    def found() -> list[str]:
        return [slurm.run("sprio", "-h", "-o", "%S", "-j", str(job)).strip() for job in jobs]

    # It has nothing, or finds none, of a job that the scheduler has not come to yet.
    wait_for(
        lambda: found() == ["500", "500"],
        otherwise=lambda: [found(), slurm.run("squeue", "-h", "-o", "%i %T %r %V %S %p")],
    )
