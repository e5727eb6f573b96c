"""Data frames and Arrow tables."""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from records import FIELDS, several

import slurmpy
from slurmpy import UNLIMITED, Jobs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
else:
    np = pytest.importorskip("numpy", reason="what takes tables is in the group dev alone")
    pd = pytest.importorskip("pandas", reason="what takes tables is in the group dev alone")
    pa = pytest.importorskip("pyarrow", reason="what takes tables is in the group dev alone")

pytestmark = pytest.mark.once

SECONDS = {"seconds": 1, "minutes": 60}


def value_of(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever an attribute is
    """What stands for the value of an attribute in a table; of a duration, its seconds."""
    unit = FIELDS[name].unit
    if value is None or value is UNLIMITED:
        return value
    if unit == "Unix timestamp":
        return pd.Timestamp(value, unit="s", tz="UTC")
    return value * SECONDS[unit] if unit in SECONDS else value


def items(column: pd.Series) -> list[Any]:
    """The values of a column, None for each that is missing."""
    if column.dtype.kind == "m":
        missing = column.isna().tolist()
        seconds = column.to_numpy().astype("m8[s]").astype("i8").tolist()
        return [None if gone else value for gone, value in zip(missing, seconds)]
    return [
        item if isinstance(item, (list, dict)) or item is UNLIMITED or not pd.isna(item) else None
        for item in column.tolist()
    ]


def plain(value: Any) -> Any:  # noqa: ANN401 - as above
    """As Arrow can have it: UTF-8, and JSON for what is of several types."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, list):
        return list(map(plain, value))
    return value


@pytest.mark.parametrize("name", FIELDS)
def test_a_frame_has_the_values_of_the_attribute(name: str) -> None:
    jobs, kept = several()
    frame = jobs.to_dataframe(fields=[name])
    values = [getattr(job, name) for job in jobs.values()]
    if "Unlimited" not in FIELDS[name].annotation:
        values = [value_of(name, value) for value in values]
    if isinstance(frame[name].dtype, pd.CategoricalDtype):
        values = list(map(plain, values))
    assert items(frame[name]) == values
    assert kept


def test_the_types_of_a_frame() -> None:
    jobs, kept = several()
    frame = jobs.to_dataframe()
    assert list(frame) == list(FIELDS)
    assert len(frame) == len(jobs)
    types = frame.dtypes
    for name in ("state", "partition", "user_name", "account"):
        assert isinstance(types[name], pd.CategoricalDtype)
    assert types["id"] == np.uint32
    assert types["cpus"] == pd.UInt32Dtype()
    assert types["exit_code"] == pd.Int64Dtype()
    assert str(types["submit_time"]) == "datetime64[s, UTC]"
    assert types["time_limit"] == types["run_time"] == np.dtype("m8[s]")
    assert types["is_batch_job"] == np.dtype(bool)
    assert types["kill_on_invalid_dependency"] == pd.BooleanDtype()
    assert types["billable_tres"] == pd.Float64Dtype()
    assert jobs.to_dataframe(fields=["state", "id"]).columns.tolist() == ["state", "id"]
    assert kept


def test_frames_can_be_put_together() -> None:
    """Also those with texts that are not UTF-8."""
    jobs, kept = several()
    frame = jobs.to_dataframe(fields=["id", "account", "state"])
    both = pd.concat([frame, frame])
    assert both["account"].tolist() == frame["account"].tolist() * 2
    assert frame.equals(frame.copy())
    assert any("\ufffd" in name for name in frame["account"].cat.categories)
    counts = frame.groupby("account", dropna=False, observed=True).size().reset_index(name="n")
    merged = frame.merge(counts, on="account")
    assert sorted(merged["id"]) == sorted(frame["id"])
    assert kept


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_attributes_at_once_are_those_one_by_one(count: int) -> None:
    """Where all are asked for, members that all jobs have the same are found before."""
    jobs, kept = several()
    for first in (1, 50, 300):
        few = jobs.filter(id=list(range(first, first + count)))
        if first > 1:
            few.add(copy.copy(jobs[1]))
        frame, table, arrays = few.to_dataframe(), few.to_arrow(), few.columns(list(FIELDS))
        for name in FIELDS:
            assert items(frame[name]) == items(few.to_dataframe([name])[name])
            assert table.column(name).equals(few.to_arrow([name]).column(name))
            assert arrays[name].tolist() == few.columns(name)[name].tolist()
    assert kept


@pytest.mark.parametrize("name", FIELDS)
def test_a_table_has_the_values_of_the_attribute(name: str) -> None:
    jobs, kept = several()
    (column,) = jobs.to_arrow(fields=[name]).columns
    column.validate(full=True)
    is_duration = pa.types.is_duration(column.type)
    found = (column.cast(pa.int64()) if is_duration else column).to_pylist()
    expected = [value_of(name, getattr(job, name)) for job in jobs.values()]
    if is_duration:
        expected = [None if value is UNLIMITED else value for value in expected]
    elif pa.types.is_map(column.type):
        expected = [it and [(plain(key), count) for key, count in it.items()] for it in expected]
    elif FIELDS[name].annotation.count("|") > 1:
        # Numbers and words, or dicts.
        expected = [it if it is None or isinstance(it, str) else json.dumps(it) for it in expected]
    assert found == [plain(value) for value in expected]
    assert kept


def test_the_types_of_a_table() -> None:
    jobs, kept = several()
    table = jobs.to_arrow()
    assert table.column_names == list(FIELDS)
    types = {field.name: field.type for field in table.schema}
    assert types["id"] == pa.uint32()
    assert types["submit_time"] == pa.timestamp("s", "UTC")
    assert types["time_limit"] == types["delay_boot_time"] == pa.duration("s")
    assert types["state"] == pa.dictionary(pa.int32(), pa.string())
    assert types["licenses"] == pa.list_(pa.string())
    assert types["gres_per_node"] == pa.map_(pa.string(), pa.int64())
    assert types["comment"] == pa.string()
    assert types["is_batch_job"] == pa.bool_()
    assert kept


def test_what_is_under_a_null_is_no_nat() -> None:
    """DuckDB looks at it, and does not take it."""
    jobs, kept = several()
    found = 0
    for column in jobs.to_arrow().columns:
        if column.null_count and (
            pa.types.is_duration(column.type) or pa.types.is_timestamp(column.type)
        ):
            chunk = column.chunk(0)
            numbers = np.frombuffer(chunk.buffers()[1], np.int64, len(chunk), chunk.offset * 8)
            assert numbers[chunk.is_null().to_numpy(zero_copy_only=False)].tolist() == (
                [0] * column.null_count
            )
            found += 1
    assert found > 10
    assert kept


def test_parquet_and_back(tmp_path: Any) -> None:  # noqa: ANN401 - pytest's
    import pyarrow.parquet as pq

    jobs, kept = several()
    table = jobs.to_arrow()
    pq.write_table(table, tmp_path / "jobs.parquet")
    again = pq.read_table(tmp_path / "jobs.parquet")
    assert again.column("state").to_pylist() == [job.state for job in jobs.values()]
    assert again.num_rows == len(jobs)
    assert kept


def test_polars_takes_the_table() -> None:
    pl = pytest.importorskip("polars", reason="what takes tables is in the group dev alone")
    jobs, kept = several()
    frame = pl.from_arrow(jobs.to_arrow())
    assert isinstance(frame, pl.DataFrame)
    assert frame["id"].to_list() == list(jobs)
    assert frame["state"].to_list() == [job.state for job in jobs.values()]
    assert set(frame.columns) == set(FIELDS)
    counted = dict(frame.group_by("state").len().iter_rows())
    assert counted == Counter(job.state for job in jobs.values())
    assert kept


def test_duckdb_takes_the_table() -> None:
    duckdb = pytest.importorskip("duckdb", reason="what takes tables is in the group dev alone")
    jobs, kept = several()
    arrow_jobs = jobs.to_arrow()
    with duckdb.connect() as base:
        base.register("arrow_jobs", arrow_jobs)
        rows = base.sql("select state, count(*) from arrow_jobs group by all").fetchall()
        assert dict(rows) == Counter(job.state for job in jobs.values())
        # Of which these records have more than there are microseconds in 64 bits.
        every = base.sql("select * exclude (elapsed_cpu_time) from arrow_jobs")
        assert len(every.fetchall()) == len(jobs)
    assert kept


def test_they_are_the_callers_own() -> None:
    jobs, kept = several()
    frame, table = jobs.to_dataframe(), jobs.to_arrow()
    ids = list(jobs)
    jobs.close()
    assert frame["id"].tolist() == table.column("id").to_pylist() == ids
    frame.loc[0, "id"] = 7
    assert frame["id"].tolist()[0] == 7
    with pytest.raises(slurmpy.ClosedError):
        jobs.to_dataframe()
    with pytest.raises(slurmpy.ClosedError):
        jobs.to_arrow()
    assert kept


def test_no_jobs() -> None:
    frame, table = Jobs().to_dataframe(), Jobs().to_arrow()
    assert (len(frame), list(frame)) == (0, list(FIELDS))
    assert (table.num_rows, table.column_names) == (0, list(FIELDS))


@pytest.mark.parametrize(
    ("method", "module", "extra"),
    [("to_dataframe", "pandas", "pandas"), ("to_arrow", "pyarrow", "arrow")],
)
def test_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, method: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {module}: .*slurmpy-cffi\[{extra}\]"):
        getattr(Jobs(), method)()
