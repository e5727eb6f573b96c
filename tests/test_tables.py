"""All attributes of all jobs at once, and selections of jobs."""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from records import FIELDS, several

import slurmpy
from slurmpy import Job, Jobs
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slurmpy.testing import LocalCluster


@pytest.mark.parametrize("name", FIELDS)
def test_a_column_is_what_each_job_says(name: str) -> None:
    """A declaration that leaves out a member that counts is wrong."""
    jobs, kept = several()
    expected = [getattr(job, name) for job in jobs.values()]
    assert [row[name] for row in jobs.to_dicts(fields=[name])] == expected
    assert kept
    # Of other places, of none, and of records that are no message's.
    half = jobs.filter(id=list(range(1, 400, 2)))
    assert [row[name] for row in half.to_dicts(fields=[name])] == expected[::2]
    assert jobs.filter(id=0).to_dicts(fields=[name]) == []
    jobs.add(copy.copy(jobs[1]))
    assert [row[name] for row in jobs.to_dicts(fields=[name])] == expected


def test_the_records_are_of_all_kinds() -> None:
    """What was compared above had something to differ in."""
    jobs, kept = several()
    values = {name: {repr(getattr(job, name)) for job in jobs.values()} for name in FIELDS}
    assert {name for name, found in values.items() if len(found) < 2} == set()
    assert kept


@pytest.fixture(scope="module")
def cluster(slurm_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """With jobs that differ."""

    def submit(*options: str) -> None:
        slurm_cluster.run("sbatch", "--output=/dev/null", *options, "--wrap=sleep 600")

    submit("--hold", "--array=1-3", "--job-name=array", "--comment=größer", "--time=5")
    submit("--mem=10", "--job-name=runs")
    submit("--hold", "--mail-user=a@b", "--mail-type=END", "--begin=now+1hour", "--job-name=later")
    deadline = time.monotonic() + 60
    while not any(job.state == "RUNNING" for job in Jobs.load().values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield slurm_cluster
    slurm_cluster.cancel_all()


@pytest.mark.usefixtures("cluster")
def test_dicts_are_those_of_the_jobs() -> None:
    jobs = Jobs.load()
    assert jobs.to_dicts() == [job.to_dict() for job in jobs.values()]
    assert list(jobs.to_dicts()[0]) == list(FIELDS)
    rows = jobs.to_dicts(fields=["state", "id"])
    assert [list(row) for row in rows] == [["state", "id"]] * len(jobs)
    assert rows == [{"state": job.state, "id": job.id} for job in jobs.values()]


@pytest.mark.usefixtures("cluster")
def test_json_has_the_fields_that_were_asked_for() -> None:
    jobs = Jobs.load()
    found = json.loads(jobs.to_json(fields=["id", "name"]))
    assert found == {str(i): {"id": i, "name": job.name} for i, job in jobs.items()}
    assert jobs.to_dict(fields=["name"]) == {i: {"name": job.name} for i, job in jobs.items()}


def test_what_is_changed_in_a_row_is_that_rows() -> None:
    jobs, kept = several()
    rows = jobs.to_dicts(fields=["dependencies", "batch_constraints"])
    before = copy.deepcopy(rows)
    for row in rows:
        for value in row.values():
            if isinstance(value, dict):
                value["new"] = []
                for item in value.values():
                    if isinstance(item, list):
                        item.append("new")
            elif value:
                value.append("new")
    changed = [row for row, old in zip(rows, before) if row != old]
    assert len(changed) > 10
    assert all(str(row).count("'new'") <= 4 for row in changed)
    assert jobs.to_dicts(fields=["dependencies", "batch_constraints"]) == before
    assert kept


def test_jobs_that_are_no_messages(cluster: LocalCluster) -> None:
    jobs = Jobs.load()
    assert Jobs().to_dicts() == []
    ids = list(jobs)
    mixed = Jobs([copy.copy(jobs[ids[0]]), Job.load(ids[1]), jobs[ids[2]]])
    assert mixed.to_dicts() == [job.to_dict() for job in mixed.values()]
    jobs.pop(ids[0])
    assert [row["id"] for row in jobs.to_dicts()] == ids[1:]
    # One that was loaded again by itself has values of its own.
    cluster.run("scontrol", "update", f"jobid={ids[1]}", "comment=other")
    jobs[ids[1]].reload()
    assert jobs.to_dicts(fields=["comment"])[0] == {"comment": "other"}
    with pytest.raises(slurmpy.NotLoaded, match="job 5 was not loaded"):
        Jobs([5]).to_dicts()
    jobs.close()
    with pytest.raises(slurmpy.ClosedError):
        jobs.to_dicts()


@pytest.mark.parametrize("method", ["to_dicts", "to_dict", "to_json"])
def test_what_are_no_fields(method: str) -> None:
    take: Callable[..., Any] = getattr(Jobs(), method)
    with pytest.raises(TypeError, match=r"a list of names, such as \['id'\]"):
        take(fields="id")
    with pytest.raises(ValueError, match="Job has no attribute 'sate': did you mean 'state'"):
        take(fields=["id", "sate"])
    with pytest.raises(TypeError, match="takes the names of attributes"):
        take(fields=[])
    for name, field in Job.fields.items():
        if field.since > MAJOR:
            with pytest.raises(slurmpy.UnsupportedField, match=name):
                take(fields=[name])


# Selections

SELECTIONS: dict[str, tuple[dict[str, Any], Callable[[Job], bool]]] = {
    "one value": ({"state": "RUNNING"}, lambda job: job.state == "RUNNING"),
    "several": ({"state": ["RUNNING", "PENDING"]}, lambda job: job.state in ("RUNNING", "PENDING")),
    "a set": ({"name": {"runs", "nobody"}}, lambda job: job.name == "runs"),
    "two": (
        {"state": "PENDING", "time_limit": 5},
        lambda job: job.state == "PENDING" and job.time_limit == 5,
    ),
    "not set": ({"mail_user": None}, lambda job: job.mail_user is None),
    "a list": ({"mail_user": ["a@b"]}, lambda job: job.mail_user == ["a@b"]),
    "a path": ({"standard_output": "/dev/null"}, lambda job: job.standard_output == "/dev/null"),
    "a bool": ({"is_batch_job": True}, lambda job: job.is_batch_job),
    "where": ({"where": lambda job: job.array_id}, lambda job: bool(job.array_id)),
    "both": (
        {"state": "PENDING", "where": lambda job: job.name == "later"},
        lambda job: job.name == "later",
    ),
    "nothing": ({"name": "nobody"}, lambda _job: False),
    "all": ({}, lambda _job: True),
}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection(name: str) -> None:
    options, fits = SELECTIONS[name]
    jobs = Jobs.load()
    found = jobs.filter(**options)
    assert list(found) == [i for i, job in jobs.items() if fits(job)]
    assert found.to_dicts() == [job.to_dict() for job in jobs.values() if fits(job)]


def test_a_selection_is_squeues(cluster: LocalCluster) -> None:
    """By user, by partition, by state: the same jobs as squeue's options give."""
    cluster.run("sbatch", "--hold", "--output=/dev/null", "--wrap=:")
    jobs = Jobs.load()
    me = next(iter(jobs.values())).user_name
    uid = next(iter(jobs.values())).user_id
    (partition,) = {job.partition for job in jobs.values()}
    for options, selection in (
        (["--user", str(me)], {"user": me}),
        (["--user", str(me)], {"user": uid}),
        (["--partition", str(partition)], {"partition": partition}),
        (["--states=PD"], {"state": "PENDING"}),
        (["--name=array,later"], {"name": ["array", "later"]}),
    ):
        shown = cluster.run("squeue", "--noheader", "-O", "jobid:20", *options).split()
        # squeue leaves out those that have ended, unless it is asked for a state.
        kept = {i for i, job in jobs.items() if job.state in ("PENDING", "RUNNING")}
        assert sorted(set(jobs.filter(**selection)) & kept) == sorted(map(int, shown))
        assert shown


def test_several_partitions_are_each() -> None:
    jobs, kept = several()
    found = jobs.filter(partition="a")
    assert {job.partition for job in found.values()} == {"a", "b,a"}
    assert {job.partition for job in jobs.filter(partition=["b"]).values()} == {"b,a"}
    assert {job.partition for job in jobs.filter(partition="b,a").values()} == {"b,a"}
    assert kept


@pytest.mark.usefixtures("cluster")
def test_a_selection_is_on_the_same_memory() -> None:
    jobs = Jobs.load()
    found = jobs.filter(state="PENDING")
    number = next(iter(found))
    assert found[number]._record[1] is jobs[number]._record[1]
    assert found[number] == jobs[number]
    jobs.close()
    assert found[number].state == "PENDING"
    assert len(found) == len(list(found.values()))
    again = found.filter(id=number)
    found.close()
    assert list(again) == [number]
    with pytest.raises(slurmpy.ClosedError):
        found.filter()


def test_a_selection_keeps_to_its_jobs(cluster: LocalCluster) -> None:
    found = Jobs.load().filter(state="PENDING")
    ids = list(found)
    cluster.run("sbatch", "--hold", "--output=/dev/null", "--wrap=:")
    assert found.frozen
    assert list(found.reload()) == ids
    assert len(Jobs.load()) > len(ids)


@pytest.mark.usefixtures("cluster")
def test_what_is_no_selection() -> None:
    jobs = Jobs.load()
    with pytest.raises(TypeError, match="Job has no attribute 'sate': did you mean 'state'"):
        jobs.filter(sate="RUNNING")
    with pytest.raises(ValueError, match="nobody-here"):
        jobs.filter(user="nobody-here")
    with pytest.raises(slurmpy.NotLoaded):
        Jobs([5]).filter(state="RUNNING")
    assert len(Jobs().filter(state="RUNNING")) == 0
