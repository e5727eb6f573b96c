"""The documentation's table of attributes against majors, held against the installed Slurm."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy
from slurmpy._ffi import MAJOR, MAJORS

if TYPE_CHECKING:
    from slurmpy.testing import LocalCluster

TABLE = Path(__file__).parent.parent / "docs" / "versions_table.py"


def load_table() -> Any:  # noqa: ANN401 - a module of the documentation
    loader = SourceFileLoader("versions_table", str(TABLE))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


table = load_table()


def cells() -> dict[str, dict[str, str]]:
    """The table's rows, as a reader sees them."""
    head, _rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.table().splitlines()
        if line.startswith("|")
    ]
    assert head == ["attribute", *MAJORS]
    return {row[0].strip("`"): dict(zip(MAJORS, row[1:])) for row in rows}


def supported(kind: str, name: str) -> bool:
    """What the table says of the installed Slurm."""
    row = cells().get(f"{kind}.{name}")
    return row is None or row[MAJOR] == "yes"


def test_every_attribute_is_in_the_table() -> None:
    text = table.table()
    classes = {
        "Job": slurmpy.Job.fields,
        "JobStep": slurmpy.JobStep.fields,
        "JobSubmitDescription": slurmpy.JobSubmitDescription.options,
        "JobStatistics": slurmpy.JobStatistics().to_dict(),
        "JobStepStatistics": slurmpy.JobStepStatistics().to_dict(),
    }
    everywhere = dict(
        part.split("\n", 1) for part in text.partition("every major:\n\n")[2].split("\n\n") if part
    )
    for kind, attributes in classes.items():
        (names,) = (names for head, names in everywhere.items() if head.startswith(f"`{kind}`"))
        for name in attributes:
            assert (f"`{name}`" in names) is (f"{kind}.{name}" not in cells()), name
    for row in cells().values():
        assert set(row.values()) == {"yes", "no"}
        # Nothing goes away again.
        assert sorted(row.values()) == list(row.values())


def reads(record: object, name: str) -> bool:
    """Whether an attribute can be read here."""
    try:
        getattr(record, name)
    except slurmpy.UnsupportedField as unsupported:
        error = unsupported
    else:
        return True
    assert error.attribute == name
    assert error.needs in MAJORS
    return False


def test_what_the_table_says_of_the_installed_slurm(slurm_cluster: LocalCluster) -> None:
    job_id = int(
        slurm_cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 100")
    )
    wait_for(lambda: "batch" in slurmpy.Job.load(job_id).steps)
    job = slurmpy.Job.load(job_id)
    step = job.steps["batch"]
    for name in slurmpy.Job.fields:
        assert reads(job, name) is supported("Job", name), name
    for name in slurmpy.JobStep.fields:
        assert reads(step, name) is supported("JobStep", name), name
    job.load_stats()
    for name in slurmpy.JobStatistics().to_dict():
        assert reads(job.stats, name) is supported("JobStatistics", name), name
    for name in slurmpy.JobStepStatistics().to_dict():
        assert reads(step.stats, name) is supported("JobStepStatistics", name), name
    job.cancel()


@pytest.mark.usefixtures("slurm_cluster")
def test_what_the_table_says_of_descriptions() -> None:
    for name, option in slurmpy.JobSubmitDescription.options.items():
        # A value that no attribute takes, so that nothing is submitted.
        values: dict[str, Any] = {"script": "#!/bin/sh", name: object()}
        with pytest.raises((slurmpy.UnsupportedField, TypeError, ValueError)) as caught:
            slurmpy.JobSubmitDescription(**values).submit()
        found = not isinstance(caught.value, slurmpy.UnsupportedField)
        assert found is supported("JobSubmitDescription", name), name
        assert name in str(caught.value)
        assert found or option.since in str(caught.value)


def test_the_documentation_has_the_table() -> None:
    page = (TABLE.parent / "versions.md").read_text(encoding="utf-8")
    assert "generated/versions.md" in page
    assert "\nversions\n" in (TABLE.parent / "index.md").read_text(encoding="utf-8")
