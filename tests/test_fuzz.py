"""The harnesses of `fuzz/` without the fuzzer: on their corpus, on mutations, on long texts."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from slurmpy.testing import LocalCluster

FUZZ = Path(__file__).parent.parent / "fuzz"


def load(name: str) -> Any:  # noqa: ANN401 - a module that is on no path
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FUZZ))
        return importlib.import_module(name)


run, values = load("run"), load("values")
harnesses = load("harnesses")
HARNESSES = values.HARNESSES
WITH_CORPUS = [name for name in HARNESSES if name not in ("ids", "whole")]
ALONE = [name for name in WITH_CORPUS if not HARNESSES[name].live]


def some(test: Any, examples: int) -> None:  # noqa: ANN401 - what hypothesis makes
    """Runs a test of hypothesis on examples that are always the same."""
    before = test._hypothesis_internal_use_settings
    test._hypothesis_internal_use_settings = settings(
        before, derandomize=True, max_examples=examples
    )
    try:
        test()
    finally:
        test._hypothesis_internal_use_settings = before


@pytest.mark.parametrize("name", ALONE)
def test_the_corpus(name: str) -> None:
    inputs = run.inputs(name)
    assert inputs
    for data in inputs:
        HARNESSES[name].run(data)


def test_the_corpus_on_a_cluster(slurm_cluster: LocalCluster) -> None:
    assert slurm_cluster.env
    for data in run.inputs("cli")[::4]:
        HARNESSES["cli"].run(data)


def test_every_harness_with_texts_has_a_corpus() -> None:
    assert sorted(path.stem for path in (FUZZ / "corpus").iterdir()) == sorted(WITH_CORPUS)


@pytest.mark.long
def test_any_values_make_a_message_or_are_refused(slurm_cluster: LocalCluster) -> None:
    assert slurm_cluster.env
    some(values.whole, 60)


def test_anything_is_an_id_or_is_refused() -> None:
    some(values.ids, 100)


@pytest.mark.long
@pytest.mark.parametrize("name", ALONE)
def test_mutations(name: str) -> None:
    cases = {"records": 200, "config": 1000}.get(name, 2000)
    assert run.mutate(name, 1000, 1, cases) == cases


# Four times the text may take somewhat more than four times the work, and not sixteen times.
MOST = 6


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in ALONE if name != "records"])
def test_long_texts_take_work_in_proportion(name: str) -> None:
    inputs = run.inputs(name)
    for data in random.Random(1).sample(inputs, min(2, len(inputs))):  # noqa: S311
        for short, long in zip(run.pumped(data, 60), run.pumped(data, 240)):
            work = run.lines_run(HARNESSES[name].run, short)
            assert run.lines_run(HARNESSES[name].run, long) <= MOST * work, long


# That a harness finds what is wrong

FAULTS: list[tuple[str, str, Any, bytes]] = [
    # A parser takes other text than it should, loses some of it, or makes another number of it.
    ("times", "minutes", lambda _: 5, b"time_limit=1:30:00"),
    ("amounts", "ntasks", lambda _: 3, b"ntasks=4"),
    ("amounts", "memory_per_node", lambda _: 3, b"memory_per_node=4G"),
    ("lists", "partitions", lambda it: it[:-1], b"partitions=debug"),
    ("lists", "array", int, b"array=1"),
    ("texts", "comment", str.swapcase, b"comment=Some"),
    ("tres", "gpus", lambda _: "1", b"gpus=2"),
    ("words", "log_files_open_mode", lambda _: 255, b"log_files_open_mode=append"),
    ("times", "deadline", lambda _: 2**32 - 2, b"deadline=2036-02-29"),
]


@pytest.mark.long
@pytest.mark.parametrize(("harness", "name", "parse", "data"), FAULTS)
def test_a_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, harness: str, name: str, parse: object, data: bytes
) -> None:
    HARNESSES[harness].run(data)
    if name in harnesses.OPTIONS:
        monkeypatch.setattr(harnesses.OPTIONS[name], "_parse", parse)
    else:
        monkeypatch.setattr(harnesses._parse, name, parse)
    with pytest.raises((harnesses.Finding, AttributeError, OverflowError, UnicodeError, KeyError)):
        HARNESSES[harness].run(data)


@pytest.mark.long
def test_the_program_tells_of_a_finding(tmp_path: Path) -> None:
    """With a fault in the parser, and without one."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import run, slurmpy._convert as c\n"
        "if sys.argv.pop(1) == 'fault': c.job_name = lambda text: '0_1'\n"
        "sys.exit(run.main())"
    )
    options = ["--child", "names", "--engine", "random", "--seconds", "0.5"]
    for fault, status in (("", 0), ("fault", 1)):
        done = subprocess.run(
            [sys.executable, "-c", code, str(FUZZ), fault, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == status, done.stderr
        assert ("names finds with b" in done.stderr) is bool(fault)
        assert ("cases:" in done.stderr) is not bool(fault)
