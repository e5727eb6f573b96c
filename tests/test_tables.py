"""All attributes of all jobs at once, and selections of jobs."""

from __future__ import annotations

import copy
import gc
import importlib.util
import json
import pwd
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from records import FIELDS, several

import slurmpy
from slurmpy import Job, Jobs
from slurmpy._ffi import MAJOR, ffi
from slurmpy.jobs import _Table

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


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_what_all_jobs_have_the_same(count: int) -> None:
    """Such members are found before, where all attributes are asked for; few jobs have many."""
    jobs, kept = several()
    for first in range(1, 40, count):
        few = jobs.filter(id=list(range(first, first + count)))
        expected = [job.to_dict() for job in few.values()]
        assert len(expected) == count
        assert few.to_dicts() == expected
        # The same with one of another message, first or last.
        other = copy.copy(jobs[400])
        for mixed in (Jobs([other, *few.values()]), Jobs([*few.values(), other])):
            assert mixed.to_dicts() == [job.to_dict() for job in mixed.values()]
        few.add(other)
        assert few.to_dicts() == [*expected, other.to_dict()]
    assert kept


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
def test_lists_are_the_columns_of_the_dicts() -> None:
    jobs = Jobs.load()
    rows = jobs.to_dicts()
    lists = jobs.to_lists()
    assert list(lists) == list(FIELDS)
    assert all(lists[name] == [row[name] for row in rows] for name in lists)
    assert jobs.to_lists(["state", "id"]) == {
        "state": [job.state for job in jobs.values()],
        "id": list(jobs),
    }
    assert Jobs().to_lists(["id"]) == {"id": []}
    with pytest.raises(ValueError, match="did you mean 'state'"):
        jobs.to_lists(["stat"])


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
    waits = next(i for i, job in jobs.items() if job.state == "PENDING")
    cluster.run("scontrol", "update", f"jobid={waits}", "comment=other")
    jobs[waits].reload()
    found = {row["id"]: row["comment"] for row in jobs.to_dicts(fields=["id", "comment"])}
    assert found == {i: job.comment for i, job in jobs.items()}
    assert found[waits] == "other"
    with pytest.raises(slurmpy.NotLoaded, match="job 5 was not loaded"):
        Jobs([5]).to_dicts()
    jobs.close()
    with pytest.raises(slurmpy.ClosedError):
        jobs.to_dicts()


@pytest.mark.parametrize("method", ["to_dicts", "to_dict", "to_json"])
def test_what_are_no_fields(method: str) -> None:
    take: Callable[..., Any] = getattr(Jobs(), method)
    for wrong, meant in (("id", "['id']"), ("id,state", "['id', 'state']"), (3, "['id', 'cpus']")):
        said = f"fields of {method}() are a list of names, such as {meant}, and not {wrong!r}"
        with pytest.raises(TypeError, match=re.escape(said)):
            take(fields=wrong)
    with pytest.raises(ValueError, match="Job has no attribute 'sate': did you mean 'state'"):
        take(fields=["id", "sate"])
    with pytest.raises(ValueError, match="did you mean 'id', 'allocated_nodes', 'standard_output'"):
        take(fields=["job_id", "nodelist", "std_out"])
    with pytest.raises(TypeError, match=r"takes the names of attributes, and \['id'\] is none"):
        take(fields=[["id"]])
    with pytest.raises(TypeError, match="takes the names of attributes"):
        take(fields=[])
    for name, field in Job.fields.items():
        if field.since > MAJOR:
            with pytest.raises(slurmpy.UnsupportedField, match=name):
                take(fields=[name])


# Selections

NOBODY = 4_000_000_000

#: Values that an attribute never has.
WRONG: list[tuple[str, Any]] = [
    ("id", "1"),
    ("id", True),
    ("cpus", "1"),
    ("is_batch_job", "True"),
    ("state", 1),
    ("state", None),
    ("name", 7),
    ("mail_user", 7),
    ("gres_per_node", "gpu:1"),
    ("submit_time", time),
]

SELECTIONS: dict[str, tuple[dict[str, Any], Callable[[Job], bool]]] = {
    "one value": ({"state": "RUNNING"}, lambda job: job.state == "RUNNING"),
    "several": ({"state": ["RUNNING", "PENDING"]}, lambda job: job.state in ("RUNNING", "PENDING")),
    "a set": ({"name": {"runs", "nobody"}}, lambda job: job.name == "runs"),
    "two": (
        {"state": "PENDING", "time_limit": 5},
        lambda job: job.state == "PENDING" and job.time_limit == 5,
    ),
    "not set": ({"mail_user": None}, lambda job: job.mail_user is None),
    "in a list": ({"mail_user": "a@b"}, lambda job: job.mail_user == ["a@b"]),
    "one of a list": ({"mail_user": ["c@d", "a@b"]}, lambda job: job.mail_user == ["a@b"]),
    "as squeue has it": ({"state": ["r", "PD"]}, lambda job: job.state in ("RUNNING", "PENDING")),
    "a range": ({"id": range(1, 3)}, lambda job: job.id in (1, 2)),
    "an iterator": ({"id": iter([1, 3])}, lambda job: job.id in (1, 3)),
    "a view": ({"id": {1: 1}.keys()}, lambda job: job.id == 1),
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
    selections: tuple[tuple[list[str], dict[str, Any]], ...] = (
        (["--user", str(me)], {"user": me}),
        (["--user", str(me)], {"user": uid}),
        (["--partition", str(partition)], {"partition": partition}),
        (["--states=PD"], {"state": "PENDING"}),
        (["--name=array,later"], {"name": ["array", "later"]}),
    )
    for options, selection in selections:
        # squeue leaves out those that have ended, unless it is asked for a state.
        kept = {i for i, job in jobs.items() if job.state in ("PENDING", "RUNNING")}
        printed = cluster.run("squeue", "--noheader", "-O", "jobid:20", *options).split()
        shown = set(map(int, printed)) & kept
        assert set(jobs.filter(**selection)) & kept == shown
        assert shown


def test_selections_by_user() -> None:
    jobs, kept = several()
    for wanted in ([7], [0, 2], [NOBODY]):
        expected = [i for i, job in jobs.items() if job.user_id in wanted]
        assert list(jobs.filter(user=wanted)) == expected
    assert list(jobs.filter(user=0)) == list(jobs.filter(user=pwd.getpwuid(0).pw_name))
    assert len(jobs.filter(user=0, user_id=7)) == 0
    assert 10 < len(jobs.filter(user=0, user_id=[0, 7])) == len(jobs.filter(user=0)) < 200
    assert kept


def test_selections_by_what_numpy_gives() -> None:
    np = pytest.importorskip("numpy", reason="NumPy has no wheels for PyPy 8")
    jobs, kept = several()
    ids = jobs.columns("id")["id"][::7]
    assert list(jobs.filter(id=ids)) == ids.tolist()
    assert list(jobs.filter(user=np.uint32(7))) == list(jobs.filter(user=7))
    assert kept


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


def test_a_selection_beside_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that goes while it is counted, as in another thread, makes it no whole message."""
    jobs, kept = several()
    table, count = jobs._open(), _Table.__len__
    groups = table.groups()

    def meanwhile(self: _Table) -> int:
        if self is table and 400 in table.clusters["here"]:
            table.take(table.clusters["here"], 400)
        return count(self)

    monkeypatch.setattr(_Table, "__len__", meanwhile)
    # What filter() leaves out.
    del groups[0][1][5]
    selection = jobs._selection(table.copy(groups))
    ids = list(selection)
    assert selection.to_lists(["id"])["id"] == ids
    assert 5 not in ids
    assert kept


def test_a_selection_keeps_to_its_jobs(cluster: LocalCluster) -> None:
    found = Jobs.load().filter(state="PENDING")
    ids = list(found)
    cluster.run("sbatch", "--hold", "--output=/dev/null", "--wrap=:")
    assert found.frozen
    assert list(found.reload()) == ids
    found = Jobs.load().filter(id=ids[:1])
    found.frozen = False
    assert list(found.reload()) == list(Jobs.load()) != ids


@pytest.mark.usefixtures("cluster")
def test_what_is_no_selection() -> None:
    jobs = Jobs.load()
    with pytest.raises(TypeError, match="Job has no attribute 'sate': did you mean 'state'"):
        jobs.filter(sate="RUNNING")
    with pytest.raises(ValueError, match="nobody-here"):
        jobs.filter(user="nobody-here")
    # Not those of everybody.
    with pytest.raises(TypeError, match="a user is a name or a uid, not NoneType"):
        jobs.filter(user=None)
    for state in ("RUNING", "", "RUNNING\0", "\udcff"):
        with pytest.raises(
            ValueError, match=f"no such state: {re.escape(repr(state))} .*RUNNING.*, OUT_OF_MEMORY"
        ):
            jobs.filter(state=[state])
    with pytest.raises(ValueError, match="several are a list"):
        jobs.filter(state="RUNNING,PENDING")
    with pytest.raises(ValueError, match="no user has the name '4711': a uid is an int"):
        jobs.filter(user="4711")
    for name, value in WRONG:
        with pytest.raises(TypeError, match=f"{name} is .*, and not {type(value).__name__}"):
            jobs.filter(**{name: value})
    with pytest.raises(TypeError, match="where is a function that is asked of each job, not 3"):
        Jobs().filter(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'job_id', 'users': did you mean 'id', 'user'"):
        jobs.filter(job_id=1, users="root")
    with pytest.raises(slurmpy.NotLoaded):
        Jobs([5]).filter(state="RUNNING")
    assert len(Jobs().filter(state="RUNNING")) == 0


# While others use the collection


def test_a_finalizer_that_takes_jobs() -> None:
    """It runs where the garbage collector does, in the middle of whatever is going on."""
    if not hasattr(gc, "set_threshold"):
        pytest.skip("this garbage collector has no threshold")
    jobs, kept = several()

    class Taking:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            if len(jobs) > 200:
                jobs.pop(next(iter(jobs)), None)
                Taking()

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        Taking()
        for _ in range(20):
            assert len(jobs.to_dicts(fields=["id", "state"])) > 0
            assert len(jobs.filter(state=["PENDING", "RUNNING"])) <= 400
            assert len(jobs.copy()) <= 400
    finally:
        gc.set_threshold(*before)
    assert len(jobs) < 400
    assert kept


def test_threads_that_add_and_take() -> None:
    jobs, kept = several()
    names = {job.id: job.name for job in jobs.values()}
    ended = threading.Event()

    def change() -> None:
        for number in range(1500):
            job = jobs.pop(number % 400 + 1, None)
            if job is not None:
                jobs.add(job)
        ended.set()

    with ThreadPoolExecutor() as pool:
        changing = pool.submit(change)
        while not ended.is_set():
            for row in jobs.to_dicts(fields=["id", "name"]):
                assert names[row["id"]] == row["name"]
            assert {*jobs.filter(id=range(100))} <= {*range(100)}
            assert all(names[i] == row["name"] for i, row in jobs.to_dict(fields=["name"]).items())
        changing.result()
    assert sorted(jobs) == sorted(names)
    assert kept


def test_what_is_no_attribute_of_a_record() -> None:
    jobs = Jobs()
    with pytest.raises(
        ValueError, match=r"to_dicts\(\) takes what a job's record has, .* Job.steps"
    ):
        jobs.to_dicts(fields=["id", "steps"])
    with pytest.raises(ValueError, match=r"no attribute 'node_layout'$"):
        jobs.to_dicts(fields=["node_layout"])
    with pytest.raises(ValueError, match="did you mean 'id'"):
        jobs.to_dicts(fields=["Id"])
    with pytest.raises(TypeError, match=r"time_limit is int \| None \(minutes\), and not str"):
        jobs.filter(time_limit="2-00:00:00")


def test_a_class_of_ones_own() -> None:
    class Own(Job):
        pass

    jobs, kept = several()
    own = Own(1)
    own._record, own._cluster = jobs[1]._record, "here"
    jobs.add(own)
    assert jobs.to_dicts()[0] == own.to_dict()
    assert list(jobs.filter(id=[1, 2])) == [1, 2]
    assert kept


@pytest.mark.parametrize(
    "text", [b"gres/gpu:9223372036854775808", b"gres/gpu:99999999999999999999"]
)
def test_a_number_that_64_bits_do_not_have(text: bytes) -> None:
    """One job's nonsense does not keep the others from being shown."""
    jobs, kept = several()
    large, ptr = ffi.new("char[]", text), jobs[1]._record[0]
    before, ptr.mem_per_tres = ptr.mem_per_tres, large
    try:
        check_large(jobs)
    finally:
        ptr.mem_per_tres = before
    assert kept


@pytest.mark.parametrize(
    ("text", "gpus"),
    [(b"gpu:9223372036854775808", 2**63), (b"gres:gpu:18446744073709551614", 2**64 - 2)],
)
def test_more_gpus_than_64_bits_have(text: bytes, gpus: int) -> None:
    jobs, kept = several()
    large, ptr = ffi.new("char[]", text), jobs[1]._record[0]
    before, ptr.tres_per_node = ptr.tres_per_node, large
    try:
        expected = [job.gres_per_node for job in jobs.values()]
        assert expected[0] == {"gpu": gpus}
        assert [row["gres_per_node"] for row in jobs.to_dicts()] == expected
        if importlib.util.find_spec("pyarrow"):
            (column,) = jobs.to_arrow(fields=["gres_per_node"]).columns
            assert column.to_pylist()[0] == [("gpu", None)]
    finally:
        ptr.tres_per_node = before
    assert kept


@pytest.mark.parametrize("value", [float("inf"), 1e19, -1e300])
def test_a_float_stays_one(value: float) -> None:
    np = pytest.importorskip("numpy", reason="NumPy has no wheels for PyPy 8")
    jobs, kept = several()
    ptr = jobs[1]._record[0]
    before, ptr.billable_tres = ptr.billable_tres, value
    try:
        column = jobs.columns("billable_tres")["billable_tres"]
        assert (column.dtype, column.tolist()[0]) == (np.float64, value)
    finally:
        ptr.billable_tres = before
    assert kept


def test_more_seconds_than_64_bits_have() -> None:
    np = pytest.importorskip("numpy", reason="NumPy has no wheels for PyPy 8")
    jobs, kept = several()
    ptr = jobs[1]._record[0]
    before = ptr.start_time, ptr.end_time, ptr.num_cpus
    ptr.start_time, ptr.end_time, ptr.num_cpus = 1, 2**62, 2**31
    try:
        expected = [job.elapsed_cpu_time for job in jobs.values()]
        assert expected[0] is not None
        assert expected[0] >= 2**63
        column = jobs.columns("elapsed_cpu_time")["elapsed_cpu_time"]
        assert column.dtype == np.dtype("m8[s]")
        assert np.isnat(column[0])
        assert column[1:].astype(int).tolist() == expected[1:]
    finally:
        ptr.start_time, ptr.end_time, ptr.num_cpus = before
    assert kept


def test_texts_that_all_differ() -> None:
    """They are put together in C, in memory that grows, and taken apart in Python."""
    jobs, kept = several()
    records = [job._record[0] for job in jobs.values()]
    before = [record.comment for record in records]
    texts = [b"x" * 10_000, b"", b"\xc3", *(b"the comment of %d" % n for n in range(3, 400))]
    memory = [ffi.new("char[]", text) for text in texts]
    try:
        for record, text in zip(records, memory):
            record.comment = text
        expected = [job.comment for job in jobs.values()]
        assert expected[:3] == ["x" * 10_000, None, "\udcc3"]
        assert jobs.to_lists(["comment"])["comment"] == expected
        assert list(jobs.filter(comment=expected[-1])) == [400]
    finally:
        for record, text in zip(records, before):
            record.comment = text
    assert kept


def check_large(jobs: Jobs) -> None:
    expected = [job.memory_per_gpu for job in jobs.values()]
    assert expected[0] is None or expected[0] >= 2**63
    assert [row["memory_per_gpu"] for row in jobs.to_dicts()] == expected
    if importlib.util.find_spec("numpy"):
        assert jobs.columns("memory_per_gpu")["memory_per_gpu"].tolist() == expected
    if importlib.util.find_spec("pyarrow"):
        (column,) = jobs.to_arrow(fields=["memory_per_gpu"]).columns
        assert column.to_pylist() == [it if it is None else float(it) for it in expected]
