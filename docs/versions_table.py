"""Which attribute is there on which major of Slurm, from the declarations in the classes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import slurmpy
from slurmpy._ffi import MAJORS

if TYPE_CHECKING:
    from collections.abc import Mapping


def since() -> dict[str, dict[str, str]]:
    """The first major of each attribute, by class; empty where every major has it."""
    fields: dict[str, Mapping[str, Any]] = {
        "Job": slurmpy.Job.fields,
        "JobStep": slurmpy.JobStep.fields,
        "JobSubmitDescription": slurmpy.JobSubmitDescription.options,
    }
    found = {
        name: {item.name: item.since for item in items.values()} for name, items in fields.items()
    }
    for kind in (slurmpy.JobStatistics, slurmpy.JobStepStatistics):
        found[kind.__name__] = {item.name: "" for item in dataclasses.fields(kind)}
    return found


def has(first: str, major: str) -> bool:
    """Whether a major has what came with another."""
    return first <= major


def table() -> str:
    """A row for each attribute that some major lacks, and the names of all others."""
    rows = [
        " | ".join(["| attribute", *MAJORS]) + " |",
        "|---" * (len(MAJORS) + 1) + "|",
    ]
    everywhere = []
    for kind, attributes in since().items():
        rows += [
            " | ".join(
                [
                    f"| `{kind}.{name}`",
                    *("yes" if has(first, major) else "no" for major in MAJORS),
                ]
            )
            + " |"
            for name, first in attributes.items()
            if first
        ]
        everywhere.append(_names(kind, attributes))
    return "\n".join([*rows, "", "On every major:", "", *everywhere]) + "\n"


def _names(kind: str, attributes: Mapping[str, str]) -> str:
    names = [f"`{name}`" for name, first in attributes.items() if not first]
    return f"`{kind}` ({len(names)})\n: {', '.join(names)}\n"
