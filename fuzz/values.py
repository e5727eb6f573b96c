"""Descriptions of any values: numbers at the ends of C's types, no texts, wrong types."""

from __future__ import annotations

import datetime as dt
import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from harnesses import HARNESSES, OPTIONS, Harness, decoded, describe, tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurmpy import UNLIMITED, Job, Jobs, JobStep, JobSteps

__all__ = ["HARNESSES", "ids", "whole"]

ODD: list[Any] = [
    None, True, False, *(sign * 2**bits + more for sign in (1, -1)
    for bits in (0, 8, 15, 16, 31, 32, 53, 62, 63, 64) for more in (-3, -2, -1, 0, 1)),
    1.5, float("nan"), float("inf"), 1j,
    b"", b"x", "", "\0", "a\0", "\ud800", "\udc80", "é", "\u212a", "\u0661", "x" * 70_000,
    "1" * 5000,
    [], (), {}, set(), [None], ["\0"], ["a,b"], {"": 1}, {"\0": ""}, {None: 1}, object(), UNLIMITED,
    Path("a"), Path("\0"), range(3), dt.timedelta.max, dt.timedelta.min, dt.timedelta(0, 0, 1),
    dt.datetime.max, dt.datetime.min,  # noqa: DTZ901 - what is local time there
    dt.datetime(2030, 1, 1, tzinfo=dt.timezone.utc), dt.date.max,
    dt.datetime.min.replace(tzinfo=dt.timezone.utc), memoryview(b"a"), bytearray(b"a"), iter("a"),
]  # fmt: skip
_KEYS = [
    "min", "max", "governor", "count", "max_wait_time", "signal", "time", "batch_only", "afterok",
    "allow_reservation_overlap", "after", "singleton", "satisfy", "gpu", "gpu:tesla", "A", "HOME",
]  # fmt: skip


def _texts() -> dict[str, list[str]]:
    """What the committed corpus has for each attribute."""
    from run import inputs

    found: dict[str, list[str]] = {name: [""] for name in OPTIONS}
    for harness, it in HARNESSES.items():
        for data in inputs(harness) if it.names else ():
            name, _, text = decoded(data).partition("=")
            found.get(name, []).append(text)
    return found


_TEXTS = _texts()
_anything = st.recursive(
    # What int() and str() refuse is made only when it is drawn, since hypothesis would print it.
    st.sampled_from(ODD)
    | st.sampled_from([20_000, 20_001]).map(lambda bits: (-1) ** bits * 2**bits)
    | st.text(max_size=12)
    | st.integers()
    | st.timedeltas()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def _values(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(OPTIONS.keys() - {"script"})), max_size=6))
    found = {
        name: draw(st.sampled_from(_TEXTS[name]) | st.integers(0, 70_000) | _anything)
        for name in names
    }
    body = draw(st.sampled_from(["", "\n", "\n\udc80", "\ud800", "\0", "\r\n", "\n#SBATCH -n 4"]))
    return {"script": f"#!/bin/sh{body}", **found}


@given(_values())
@settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
def whole(values: dict[str, Any]) -> None:
    """What is sent for a description of any values."""
    with redirect_stderr(io.StringIO()):
        describe(values)


@given(_anything)
@settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
def ids(value: Any) -> None:
    """Anything as the id of a job or a step."""
    for make in (Job, Jobs, lambda it: JobStep(1, it), lambda it: JobStep(it, 0), JobSteps):
        tried(make, value)


def _input(test: Any) -> Any:
    return test.hypothesis.fuzz_one_input


HARNESSES["ids"] = Harness("ids of any type", _input(ids))
HARNESSES["whole"] = Harness("the message of whole descriptions", _input(whole), live=True)
