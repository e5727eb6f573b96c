"""The bench itself: that it measures every row, says so in figures that agree, and how it ends."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import runpy
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import slurmpy
from slurmpy import Jobs

if TYPE_CHECKING:
    from types import ModuleType

    from slurmpy.testing import LocalCluster

BENCH = Path(__file__).parent.parent / "bench"

GOALS = {
    "load": 1.05,
    "memory": 1.1,
    "integer": 1.5,
    "marked": 1.5,
    "text": 1.25,
    "import": 3.0,
    "stats": 1.15,
    "sstat": 0.4,
    "reload": 0.005,
    "raw-12": 0.001,
    "columns-12": 0.04,
    "view": 0.15,
    "squeue": 1 / 3,
    "dicts": 2.7,
    "squeue-json": 1 / 30,
    "frame": 1.5,
    "arrow": 1.5,
    "growth": 1.25,
    "reload-bare": None,
    "filter": None,
    "pyslurm": None,
    "pyslurm-reload": None,
    "pyslurm-dicts": None,
    "scontrol": None,
    "lookup": None,
    "threads-2": None,
    "bare-2": None,
    "threads-4": None,
    "bare-4": None,
    "raw": None,
    "differing-raw-12": None,
    "differing-columns-12": None,
    "differing-view": None,
    "differing-dicts": None,
    "differing-frame": None,
    "differing-arrow": None,
    "differing-filter": None,
    **dict.fromkeys(
        (
            *("pypy-load", "pypy-memory", "pypy-reload", "pypy-raw-12", "pypy-columns-12"),
            *("pypy-view", "pypy-dicts", "pypy-filter"),
            *("pypy-integer", "pypy-marked", "pypy-text"),
        ),
        1.05,
    ),
}


#: What is measured once: Slurm's commands take minutes, and growth has one figure.
ONCE = {"scontrol", "squeue-json", "pyslurm-dicts", "growth"}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("report")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(BENCH)
    return runpy.run_path(str(BENCH / "__main__.py"))


def result(report: ModuleType, goal: float | None, ours: list[float], other: list[float]) -> Any:  # noqa: ANN401 - a class of a module that is no package
    row = report.Row("key", "ours", "theirs", goal, "ms", 1e3)
    return report.Result(row, report.Samples(ours, other))


def test_the_goals_are_those_that_were_agreed_on(report: ModuleType) -> None:
    assert {row.key: row.goal for row in report.ROWS} == GOALS


def test_a_goal_holds_up_to_its_very_value_and_no_further(report: ModuleType) -> None:
    assert result(report, 1.5, [3.0, 3.0], [2.0, 2.0]).holds is True
    assert result(report, 1.5, [3.0, 3.1], [2.0, 2.0]).holds is False
    assert result(report, None, [9.0], [1.0]).holds is None


def test_both_ratios_have_to_be_within_the_goal(report: ModuleType) -> None:
    # Round by round 1, 4 and 1, but 4 times as much in the median.
    found = result(report, 2.0, [1.0, 4.0, 10.0], [1.0, 1.0, 10.0])
    assert (found.ratio.median, found.ratio_of_medians) == (1.0, 4.0)
    assert found.holds is False


def test_a_row_that_was_not_measured_does_not_hold(report: ModuleType) -> None:
    row = report.Row("key", "ours", "theirs", 1.5, "ms", 1e3)
    found = report.Result(row, None, "no controller")
    assert found.holds is False
    assert (found.to_dict()["measured"], found.to_dict()["why"]) == (False, "no controller")
    (line,) = (line for line in report.table([found], {}).splitlines() if "ours" in line)
    assert " 1.5   -  " in line
    assert "no controller" in line


def test_what_grows_most_is_found(program: dict[str, Any], report: ModuleType) -> None:
    flat = report.Samples([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    steep = report.Samples([3.0, 6.0, 9.0], [1.0, 2.0, 3.0])
    sizes = {10: {"dicts": flat, "view": flat}, 20: {"dicts": steep, "view": flat, "frame": "no"}}
    rows = program["by_size"](sizes)
    assert rows == {"dicts": {10: flat, 20: steep}, "view": {10: flat, 20: flat}}
    assert program["growth"](rows) == report.Samples([3.0], [2.0])
    once = program["by_size"]({10: {"dicts": flat}})
    assert program["growth"](once) == "nothing was measured with two numbers of jobs"


def test_what_grows_is_shown_in_loads_and_by_job(report: ModuleType) -> None:
    few, many = report.Samples([2e-3], [1e-3]), report.Samples([9e-3], [3e-3])
    lines = report.growth_table({"load": {10: few, 20: many}, "dicts": {20: many}}).splitlines()
    assert [line.split() for line in lines if line] == [
        ["10", "jobs", "20", "jobs", "the", "ratio", "to", "a", "load"],
        ["2.0000", "3.0000", "Jobs.load()"],
        ["-", "3.0000", "to_dicts()"],
        ["10", "jobs", "20", "jobs", "microseconds", "for", "each", "job"],
        ["200.000", "450.000", "Jobs.load()"],
        ["-", "450.000", "to_dicts()"],
        ["100.000", "150.000", "slurm_load_jobs()"],
    ]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--json=/no-such-folder/x.json", "there is no such folder: /no-such-folder"),
        ("--pypy=/no-such-python", "there is no such program: /no-such-python"),
        ("--jobs=0", "must be at least 1"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(option: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), option], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.once
def test_a_profile_has_memory_and_collections(slurm_cluster: LocalCluster) -> None:
    slurm_cluster.run("sbatch", "--hold", "--output=/dev/null", "--wrap=:")
    jobs = len(Jobs.load())
    done = subprocess.run(
        [sys.executable, str(BENCH / "measure.py"), "profile", str(jobs), "2"],
        env={**slurm_cluster.env, "PYTHONPATH": str(Path(slurmpy.__file__).parent.parent)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"dicts", "view", "filter"} <= set(found)
    for figures in found.values():
        assert list(figures) == [
            *("seconds", "page faults", "minor collections", "major collections")
        ]
        assert {len(values) for values in figures.values()} == {2}
        assert min(figures["seconds"]) > 0
        for seconds, *collections in zip(
            *(figures[key] for key in figures if key != "page faults")
        ):
            assert 0 <= sum(collections) < seconds
    slurm_cluster.cancel_all()


def test_a_profile_hears_of_collections() -> None:
    program = """
import gc, measure
collector = measure.Collector()
gc.collect()
assert collector.major > 0
gc.disable()
collector.minor = collector.major = 0.0
gc.collect(0)
assert collector.minor > 0
# PyPy's argument has no meaning: it collects all.
assert measure.PYPY or collector.major == 0
"""
    subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(BENCH), str(Path(slurmpy.__file__).parent.parent)]),
        },
        check=True,
    )


@pytest.mark.once
def test_the_program_measures_every_row(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    # In place of PyPy: what is tested here is that two Pythons are compared.
    options = ("--jobs=50", "--steps=4", "--rounds=2", "--pypy", sys.executable, "--json", file)
    # The package that is tested here, also where it is only on the path of pytest.
    env = {**os.environ, "PYTHONPATH": str(Path(slurmpy.__file__).parent.parent)}
    argv = [sys.executable, str(BENCH), *map(str, options)]
    done = subprocess.run(argv, env=env, cwd=tmp_path, check=False, capture_output=True, text=True)
    found = json.loads(file.read_text())
    rows = {row["key"]: row for row in found["rows"]}

    assert {key: row["goal"] for key, row in rows.items()} == GOALS
    if importlib.util.find_spec("pyperf") is None:
        unmeasured = rows.pop("import")
        assert (unmeasured["measured"], unmeasured["holds"]) == (False, False)
        assert "pyperf" in unmeasured["why"]
    modules = {"frame": "pandas", "arrow": "pyarrow"}
    modules.update({f"differing-{key}": module for key, module in modules.items()})
    modules.update(dict.fromkeys(("pyslurm", "pyslurm-reload", "pyslurm-dicts"), "pyslurm"))
    for key, module in modules.items():
        if importlib.util.find_spec(module) is None:
            assert not rows.pop(key)["measured"]
    for key, row in rows.items():
        assert row["measured"], row["why"]
        ours, yardstick = row["values"]["ours"], row["values"]["yardstick"]
        assert len(ours) == len(yardstick) >= (1 if key in ONCE else 2)
        assert min(ours + yardstick) > 0
        ratios = [one / other for one, other in zip(ours, yardstick)]
        assert row["ratio"]["median"] == pytest.approx(statistics.median(ratios))
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
        medians = statistics.median(ours) / statistics.median(yardstick)
        assert row["ratio_of_medians"] == pytest.approx(medians)
        if GOALS[key]:
            held = max(row["ratio"]["median"], row["ratio_of_medians"]) <= GOALS[key]
            assert row["holds"] is held

    holds = [row["holds"] for row in found["rows"] if row["goal"]]
    assert done.returncode == (0 if all(holds) else 1), done.stderr
    assert (found["jobs"], found["steps"], found["rounds"]) == (50, 4, 2)
    assert int(found["machine"]["cores"]) >= 1
    assert found["versions"]["slurmpy"] == slurmpy.__version__
    assert found["versions"]["Slurm"].startswith(tuple("23456789"))
    assert found["date"].startswith("20")
    # What 1,000, 10,000, 100,000 and 300,000 are with so few.
    for row in found["growth"].values():
        assert list(row) == ["1", "5", "50", "150"]
        for size in row.values():
            ratios = [one / other for one, other in zip(*size["values"].values())]
            assert size["ratio"] == statistics.median(ratios) > 0
    assert "150 jobs" in done.stdout
    for row in found["rows"]:
        assert row["ours"] in done.stdout
    assert "holds" in done.stdout
