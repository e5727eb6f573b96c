"""The names, types and defaults that the classes promise, from contract.json."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy

if TYPE_CHECKING:
    from collections.abc import Callable

    from slurmpy.testing import LocalCluster

CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text(encoding="utf-8"))
CLASSES = ("Job", "Jobs")

TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "dict": (dict,),
    "dict[str, list]": (dict,),
    "float": (float,),
    "int": (int,),
    "list": (list,),
    "str": (str,),
    "Union[str, int]": (str, int),
    "Job": (slurmpy.Job,),
    "JobStatistics": (slurmpy.JobStatistics,),
    "JobSteps": (slurmpy.JobSteps,),
    "Jobs": (slurmpy.Jobs,),
}


def members(kind: str) -> list[tuple[str, str]]:
    """Class and name of everything of a kind."""
    return [(cls, name) for cls in CLASSES for name in CONTRACT[cls][kind]]


def check_signature(
    function: Callable[..., object], expected: list[dict[str, Any]], *, bound: bool
) -> None:
    """Same names in the same order, same defaults; what is more has a default and a name."""
    parameters = list(inspect.signature(function).parameters.values())[0 if bound else 1 :]
    ours, more = parameters[: len(expected)], parameters[len(expected) :]
    assert [parameter.name for parameter in ours] == [wanted["name"] for wanted in expected]
    for parameter, wanted in zip(ours, expected):
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        assert parameter.default == wanted.get("default", parameter.empty)
        assert type(parameter.default) is type(wanted.get("default", parameter.empty))
    for parameter in more:
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty


def check_type(value: object, expected: str) -> None:
    """A value is of the type, and True is no number."""
    assert isinstance(value, TYPES[expected])
    assert expected == "bool" or not isinstance(value, bool)


@pytest.mark.parametrize("cls", CLASSES)
def test_constructor(cls: str) -> None:
    check_signature(getattr(slurmpy, cls), CONTRACT[cls]["parameters"], bound=True)
    assert inspect.getdoc(getattr(slurmpy, cls))


@pytest.mark.parametrize(("cls", "name"), members("attributes"))
def test_attribute_is_there_and_documented(cls: str, name: str) -> None:
    attribute = inspect.getattr_static(getattr(slurmpy, cls), name)
    assert inspect.isdatadescriptor(attribute)
    # A slot has no docstring of its own, but a line in that of its class.
    documented = inspect.getdoc(attribute) or re.search(
        rf"^Attributes:$.*^    {name}: \w",
        str(inspect.getdoc(getattr(slurmpy, cls))),
        re.MULTILINE | re.DOTALL,
    )
    assert documented


@pytest.mark.parametrize(("cls", "alias"), members("aliases"))
def test_alias_is_there_and_documented(cls: str, alias: str) -> None:
    assert inspect.getdoc(inspect.getattr_static(getattr(slurmpy, cls), alias))


@pytest.mark.parametrize(("cls", "name"), members("methods"))
def test_method_has_the_signature(cls: str, name: str) -> None:
    wanted = CONTRACT[cls]["methods"][name]
    method = getattr(getattr(slurmpy, cls), name)
    check_signature(method, wanted["parameters"], bound=wanted["kind"] == "static")
    assert inspect.getdoc(method)


@pytest.fixture(scope="module")
def jobs(slurm_cluster: LocalCluster) -> slurmpy.Jobs:
    """Jobs that wait and jobs that run."""
    for options in (["--hold"], ["--array=0-3%2"], ["--comment=x", "--mail-type=END"]):
        slurm_cluster.run("sbatch", *options, "--wrap", "sleep 60")
    jobs = slurmpy.Jobs.load()
    jobs.load_steps()
    return jobs


#: What is not of the job's own record, and so not in its dict.
ELSEWHERE = {"steps", "stats", "pids"}


@pytest.mark.parametrize("name", [name for cls, name in members("attributes") if cls == "Job"])
def test_values_of_a_job_have_the_type(jobs: slurmpy.Jobs, name: str) -> None:
    assert len(jobs) >= 3
    for job in jobs.values():
        try:
            value = getattr(job, name)
        except slurmpy.UnsupportedField:
            assert name not in job.to_dict()
            continue
        assert name in ELSEWHERE or job.to_dict()[name] == value
        if value is not None:
            check_type(value, CONTRACT["Job"]["attributes"][name])


@pytest.mark.parametrize("name", [name for cls, name in members("attributes") if cls == "Jobs"])
def test_values_of_a_collection_have_the_type(jobs: slurmpy.Jobs, name: str) -> None:
    check_type(getattr(jobs, name), CONTRACT["Jobs"]["attributes"][name])


@pytest.mark.parametrize(("alias", "name"), CONTRACT["Job"]["aliases"].items())
def test_alias_gives_the_same(jobs: slurmpy.Jobs, alias: str, name: str) -> None:
    for job in jobs.values():
        assert getattr(job, alias) is getattr(job, name)


def test_methods_return_what_they_should(slurm_cluster: LocalCluster) -> None:
    job_id = int(slurm_cluster.run("sbatch", "--parsable", "--mem=10", "--wrap", "sleep 60"))
    wait_for(lambda: slurmpy.Job.load(job_id).state == "RUNNING")
    job = slurmpy.Job.load(job_id)
    loaded = slurmpy.Jobs.load()
    returned: dict[tuple[str, str], Any] = {
        ("Job", "load"): job,
        ("Job", "to_dict"): job.to_dict(),
        ("Job", "load_stats"): job.load_stats(),
        ("Job", "get_resource_layout_per_node"): job.get_resource_layout_per_node(),
        ("Jobs", "load"): loaded,
        ("Jobs", "reload"): loaded.reload(),
        ("Jobs", "load_steps"): loaded.load_steps(),  # type: ignore[func-returns-value]
        ("Jobs", "load_stats"): loaded.load_stats(),
    }
    # In the order in which one job can be through all of it.
    for name, *args in (
        ("suspend",),
        ("unsuspend",),
        ("notify", "text"),
        ("get_batch_script",),
        ("send_signal", "SIGCONT"),
        ("requeue", True),
        ("release",),
        ("hold",),
        ("modify", slurmpy.JobSubmitDescription(comment="changed")),
        ("cancel",),
    ):
        returned["Job", name] = getattr(job, name)(*args)
    assert set(returned) == set(members("methods"))
    for (cls, name), value in returned.items():
        if CONTRACT[cls]["methods"][name]["returns"] is None:
            assert value is None
        else:
            check_type(value, CONTRACT[cls]["methods"][name]["returns"])
    assert returned["Jobs", "reload"] is loaded
