"""Whole columns as NumPy arrays: on Slurm's own memory, and with the values of attributes."""

from __future__ import annotations

import copy
import gc
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from records import FIELDS, several

import slurmpy
from slurmpy import Job, Jobs
from slurmpy._ffi import MAJOR, ffi

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from slurmpy.testing import LocalCluster

else:
    np = pytest.importorskip("numpy", reason="NumPy has no wheels for PyPy 8")

MEMBERS = dict(ffi.typeof("slurm_job_info_t").fields)
NUMBERS = [
    name
    for name, field in Job.fields.items()
    if field.member in MEMBERS
    and MEMBERS[field.member].type.kind == "primitive"
    and field.since <= MAJOR
]
OTHERS = [name for name in Job.fields if name not in NUMBERS and not Job.fields[name].since]


@pytest.fixture(scope="module")
def held(slurm_cluster: LocalCluster) -> Iterator[list[int]]:
    options = ("--hold", "--time=9", "--output=/dev/null", "--wrap=:")
    ids = [
        int(slurm_cluster.run("sbatch", "--parsable", f"--nice={number}", *options))
        for number in range(10)
    ]
    yield ids
    slurm_cluster.run("scancel", *map(str, ids))
    slurm_cluster.cancel_all()


def record(job: Job) -> Any:  # noqa: ANN401 - a pointer of cffi's
    return job._record[0]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_is_the_member(held: list[int], name: str) -> None:
    jobs = Jobs.load()
    column = jobs.raw_columns(name)[name]
    member = Job.fields[name].member
    assert set(held) <= set(jobs)
    assert column.tolist() == [getattr(record(job), member) for job in jobs.values()]
    assert column.itemsize == ffi.sizeof(MEMBERS[member].type)


def test_there_are_many_and_of_all_kinds() -> None:
    assert len(NUMBERS) > 40
    assert {MEMBERS[Job.fields[name].member].type.cname for name in NUMBERS} >= {
        "uint32_t",
        "uint16_t",
        "int64_t",
        "double",
    }


def test_nothing_is_copied_and_nothing_can_be_written(held: list[int]) -> None:
    jobs = Jobs.load()
    columns = jobs.raw_columns("id", "user_id")
    start = int(ffi.cast("uintptr_t", record(next(iter(jobs.values())))))
    for name, column in columns.items():
        offset = ffi.offsetof("slurm_job_info_t", Job.fields[name].member)
        assert column.__array_interface__["data"] == (start + offset, True)
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            column.flags.writeable = True
    assert columns["id"].tolist() == list(jobs)
    assert held


def test_it_outlives_the_collection(held: list[int]) -> None:
    """The memory is the array's as long as it, or a view on it, is there."""
    jobs = Jobs.load()
    expected = list(jobs)
    column = jobs.raw_columns("id")["id"]
    backwards = column[::-1]
    jobs.close()
    with pytest.raises(slurmpy.ClosedError):
        jobs.raw_columns("id")
    del jobs, column
    gc.collect()
    # What was freed would be used again by these.
    kept = [Jobs.load() for _ in range(5)]
    assert backwards[::-1].tolist() == expected
    assert set(held) <= set(expected)
    assert all(kept)


def test_the_memory_goes_with_the_last_array(held: list[int]) -> None:
    jobs = Jobs.load()
    table = jobs._table
    assert table
    assert table.snapshot
    message = weakref.ref(table.snapshot.message)
    column = jobs.raw_columns("id")["id"]
    first, view = next(iter(jobs)), column[::2]
    jobs.close()
    del table, jobs, column
    collect(message)
    assert message() is not None
    assert view[0] == first
    assert held
    del view
    collect(message)
    assert message() is None


def collect(last: weakref.ref[Any]) -> None:
    """On PyPy, what NumPy has goes in several steps."""
    for _ in range(10):
        gc.collect()
        if last() is None:
            return


def test_jobs_that_were_taken_out(held: list[int]) -> None:
    jobs = Jobs.load()
    taken = jobs.pop(held[3])
    column = jobs.raw_columns("id")["id"]
    assert column.tolist() == list(jobs)
    assert taken.id not in column
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 1


def test_jobs_of_several_calls(held: list[int]) -> None:
    jobs = Jobs.load()
    jobs.add(Job.load(held[0]))
    columns = jobs.raw_columns("id", "cpus")
    assert columns["id"].tolist() == list(jobs)
    assert columns["cpus"].tolist() == [job.cpus for job in jobs.values()]
    with pytest.raises(ValueError, match="read-only"):
        columns["cpus"][0] = 1
    with pytest.raises(slurmpy.NotLoaded):
        Jobs([held[0]]).raw_columns("user_id")
    assert jobs.reload().raw_columns("id")["id"].tolist() == list(jobs)


def test_a_job_that_slurmctld_has_forgotten(held: list[int]) -> None:
    """A frozen collection keeps it."""
    jobs = Jobs.load(frozen=True)
    kept = Jobs([copy.copy(jobs[held[1]]), jobs[held[0]]])
    assert kept.raw_columns("id", "user_id")["id"].tolist() == [held[1], held[0]]
    gone = kept.raw_columns("user_id")["user_id"]
    assert gone.tolist() == [os.getuid()] * 2


def test_no_jobs_and_no_names() -> None:
    assert Jobs().raw_columns("id", "eligible_time")["id"].tolist() == []
    assert Jobs().raw_columns("submit_time")["submit_time"].dtype == np.int64
    with pytest.raises(TypeError, match="takes the names of attributes"):
        Jobs().raw_columns()


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_number(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"^{name} is (no number in|made of sev).*: columns\\(\\) has it"
    ):
        Jobs().raw_columns("id", name)


def test_what_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Job has no attribute 'cpuz', 'job_id'"):
        Jobs().raw_columns("id", "cpuz", "job_id")
    newer = [name for name, field in Job.fields.items() if field.since]
    for name in newer:
        if Job.fields[name].since > MAJOR:
            with pytest.raises(slurmpy.UnsupportedField, match=name):
                Jobs().raw_columns(name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ModuleNotFoundError, match=r"slurmpy-cffi\[numpy\]"):
        Jobs().raw_columns("id")


# With the values that the attributes have

UNITS = {"Unix timestamp": "M8[s]", "seconds": "m8[s]", "minutes": "m8[m]"}


@pytest.mark.parametrize("name", FIELDS)
def test_a_column_has_the_values_of_the_attribute(name: str) -> None:
    jobs, kept = several()
    field = FIELDS[name]
    expected = [getattr(job, name) for job in jobs.values()]
    column = jobs.columns(name)[name]
    assert len(column) == len(jobs)
    unit = UNITS.get(field.unit)
    if unit and "Unlimited" not in field.annotation:
        assert column.dtype == np.dtype(unit)
        assert np.isnat(column).tolist() == [value is None for value in expected]
        assert column.astype("i8")[~np.isnat(column)].tolist() == [
            value for value in expected if value is not None
        ]
    else:
        assert column.tolist() == expected
        numbers = field.annotation.split(" | ")[0] in ("int", "float", "bool")
        several_types = field.annotation.count("|") > 1 or "str" in field.annotation
        assert (column.dtype == object) == (several_types or not numbers)
        is_masked = isinstance(column, np.ma.MaskedArray)
        assert is_masked == (column.dtype != object and "None" in field.annotation)
    assert kept


@pytest.mark.parametrize("count", [1, 2, 8])
def test_many_columns_are_the_single_ones(count: int) -> None:
    """Where many are asked for, those that all jobs have the same are found before."""
    jobs, kept = several()
    few = jobs.filter(id=list(range(1, 1 + count)))
    for _ in range(2):
        for name, column in few.columns(list(FIELDS)).items():
            single = few.columns(name)[name]
            assert (column.dtype, column.tolist()) == (single.dtype, single.tolist())
        # The same with one of another message.
        few.add(copy.copy(jobs[400]))
    assert kept


def test_columns_are_the_callers_own(held: list[int]) -> None:
    jobs = Jobs.load()
    names = ("id", "submit_time", "time_limit", "state", "nice")
    columns, again = jobs.columns(*names), jobs.columns(*names)
    assert list(columns) == list(names)
    ids = list(jobs)
    jobs.close()
    for column in columns.values():
        column[0] = column[-1]
    assert columns["id"].tolist() == [ids[-1], *ids[1:]]
    assert again["id"].tolist() == ids
    assert set(held) <= set(ids)


def test_columns_of_some_jobs(held: list[int]) -> None:
    jobs = Jobs.load()
    some = jobs.filter(id=held[:3])
    assert some.columns("id", "nice")["nice"].tolist() == [jobs[i].nice for i in held[:3]]
    mixed = Jobs([Job.load(held[0]), copy.copy(jobs[held[1]])])
    assert mixed.columns("nice")["nice"].tolist() == [jobs[i].nice for i in held[:2]]
    assert Jobs().columns("id", "state", "submit_time")["submit_time"].tolist() == []
    with pytest.raises(ValueError, match="Job has no attribute 'cpuz': did you mean 'cpus'"):
        jobs.columns("cpuz")
    with pytest.raises(ValueError, match="'id,cpus': give the names one by one"):
        jobs.columns("id,cpus")
    for names in (["id", "nice"], ("id", "nice"), iter(["id", "nice"])):
        assert list(some.columns(names)) == list(some.raw_columns("id", "nice")) == ["id", "nice"]
    with pytest.raises(TypeError, match="takes the names of attributes"):
        jobs.columns()
