"""The rows of the report: what is compared with what, the goals, and whether they hold."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["OF_DIFFERING", "ON_PYPY", "ROWS", "Result", "Row", "Samples", "growth_table", "table"]


class Samples(NamedTuple):
    """Measurements in pairs: the two of a round are neighbours in time."""

    ours: list[float]
    yardstick: list[float]

    @property
    def ratio(self) -> float:
        """The median of the ratios of the rounds."""
        return statistics.median(ours / other for ours, other in zip(*self))


class Spread(NamedTuple):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of measurements."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def text(self, scale: float, digits: int) -> str:
        """For a table: the median, and the quartiles in brackets."""
        median, low, high = (f"{value * scale:.{digits}f}" for value in self)
        return f"{median} [{low}, {high}]"


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        key: Its name in the JSON and among the measurements.
        ours: What is measured.
        yardstick: What it is compared with.
        goal: The most that the ratio may be; None where the row informs only.
        unit: The unit of the table.
        scale: What a measurement (seconds, bytes) is multiplied by to be in that unit.
    """

    key: str
    ours: str
    yardstick: str
    goal: float | None
    unit: str
    scale: float


_C_CALL = "slurm_load_jobs()"
_IN_TURN = "one after another"

ROWS: tuple[Row, ...] = (
    Row("load", "Jobs.load()", _C_CALL, 1.05, "ms", 1e3),
    Row("memory", "memory after Jobs.load()", f"after {_C_CALL}", 1.1, "MiB", 2**-20),
    Row("integer", "job.user_id", "self._ptr.user_id", 1.5, "ns", 1e9),
    Row("marked", "job.time_limit", "the same value by hand", 1.5, "ns", 1e9),
    Row("text", "job.name", "ffi.string(self._ptr.name).decode()", 1.25, "ns", 1e9),
    Row("import", "python -c 'import slurmpy'", "python -c pass", 3.0, "ms", 1e3),
    Row("stats", "jobs.load_stats()", "the same calls in C, as many threads", 1.15, "ms", 1e3),
    Row("sstat", "jobs.load_stats()", "sstat for each job", 0.4, "ms", 1e3),
    Row("reload", "jobs.reload(), nothing changed", _C_CALL, 0.005, "ms", 1e3),
    Row("raw-12", "raw_columns() of 12 numbers", _C_CALL, 0.001, "ms", 1e3),
    Row("columns-12", "columns() of 12 numbers", _C_CALL, 0.04, "ms", 1e3),
    Row("view", "to_lists() of squeue's columns", _C_CALL, 0.15, "ms", 1e3),
    Row("squeue", "to_lists() of squeue's columns", "squeue less the load", 1 / 3, "ms", 1e3),
    Row("dicts", "to_dicts()", _C_CALL, 2.7, "ms", 1e3),
    Row("squeue-json", "Jobs.load().to_dicts()", "squeue --json", 1 / 30, "ms", 1e3),
    Row("frame", "to_dataframe()", _C_CALL, 1.5, "ms", 1e3),
    Row("arrow", "to_arrow()", _C_CALL, 1.5, "ms", 1e3),
    Row("growth", "the ratio of these that grows most", "with few jobs", 1.25, "", 1),
    Row("reload-bare", "jobs.reload(), nothing changed", f"{_C_CALL} for changes", None, "ms", 1e3),
    Row("filter", "filter(state=...) that all fit", _C_CALL, None, "ms", 1e3),
    Row("pyslurm", "pyslurm's Jobs.load()", _C_CALL, None, "ms", 1e3),
    Row("pyslurm-reload", "pyslurm's reload()", _C_CALL, None, "ms", 1e3),
    Row("pyslurm-dicts", "pyslurm's to_dict() of each job", _C_CALL, None, "ms", 1e3),
    Row("scontrol", "Jobs.load().to_dicts()", "scontrol -o show job", None, "ms", 1e3),
    Row("lookup", "Jobs.load() and the first jobs[id]", _C_CALL, None, "ms", 1e3),
    Row("threads-2", "4 times Jobs.load() on 2 threads", _IN_TURN, None, "ms", 1e3),
    Row("bare-2", f"4 times {_C_CALL} on 2 threads", _IN_TURN, None, "ms", 1e3),
    Row("threads-4", "4 times Jobs.load() on 4 threads", _IN_TURN, None, "ms", 1e3),
    Row("bare-4", f"4 times {_C_CALL} on 4 threads", _IN_TURN, None, "ms", 1e3),
    Row("raw", "job.time_limit", "self._ptr.time_limit, not converted", None, "ns", 1e9),
)

#: What is taken out of jobs of which no two are alike, too. The goals are for others.
_OF_BOTH_KINDS = ("raw-12", "columns-12", "view", "dicts", "frame", "arrow", "filter")
OF_DIFFERING = tuple(f"differing-{key}" for key in _OF_BOTH_KINDS)
ROWS += tuple(
    replace(row, key=f"differing-{row.key}", ours=f"{row.ours}, all jobs differ", goal=None)
    for row in ROWS
    if row.key in _OF_BOTH_KINDS
)

#: What is compared between PyPy and CPython: all that may not be slower there.
_BOTH = (
    *("load", "memory", "reload", "raw-12", "columns-12", "view", "dicts", "filter"),
    *("integer", "marked", "text"),
)
ON_PYPY = tuple(f"pypy-{key}" for key in _BOTH)

#: Not slower, and 5 % for what else the machine does.
ROWS += tuple(
    replace(
        row, key=f"pypy-{row.key}", ours=f"{row.ours} on PyPy", yardstick="on CPython", goal=1.05
    )
    for row in ROWS
    if row.key in _BOTH
)


class Result:
    """What was measured for a row; nothing, with the reason, where that went wrong.

    Args:
        row: The row.
        samples: The measurements, None for none.
        why: The reason for none.
    """

    def __init__(self, row: Row, samples: Samples | None, why: str = "") -> None:
        self.row = row
        self.samples = samples
        self.why = why
        if samples is not None:
            self.ours = Spread.of(samples.ours)
            self.yardstick = Spread.of(samples.yardstick)
            self.ratio = Spread.of([ours / other for ours, other in zip(*samples)])
            self.ratio_of_medians = self.ours.median / self.yardstick.median

    @property
    def holds(self) -> bool | None:
        """Whether the goal is kept, by both ratios; None where there is no goal."""
        if self.row.goal is None:
            return None
        if self.samples is None or min(self.samples.yardstick) <= 0:
            return False
        return max(self.ratio.median, self.ratio_of_medians) <= self.row.goal

    def to_dict(self) -> dict[str, Any]:
        """For the JSON: seconds and bytes, and every measurement."""
        row = self.row
        values: dict[str, Any] = {
            "key": row.key,
            "ours": row.ours,
            "yardstick": row.yardstick,
            "goal": row.goal,
            "holds": self.holds,
            "measured": self.samples is not None,
        }
        if self.samples is None:
            return {**values, "why": self.why}
        return {
            **values,
            "ratio": self.ratio._asdict(),
            "ratio_of_medians": self.ratio_of_medians,
            "unit": {"MiB": "bytes", "": "ratio"}.get(row.unit, "seconds"),
            "median": {"ours": self.ours.median, "yardstick": self.yardstick.median},
            "values": {"ours": self.samples.ours, "yardstick": self.samples.yardstick},
        }

    def cells(self) -> list[str]:
        """For the table."""
        row = self.row
        goal = "" if row.goal is None else f"{row.goal:g}"
        holds = {True: "yes", False: "NO", None: ""}[self.holds]
        if self.samples is None:
            return ["-", "-", goal, "-", row.ours, "not measured", row.yardstick, self.why]
        digits = 4 if self.ratio.median < 1 / 10 else 3
        return [
            self.ratio.text(1, digits),
            f"{self.ratio_of_medians:.{digits}f}",
            goal,
            holds,
            row.ours,
            f"{self.ours.text(row.scale, 1)} {row.unit}",
            row.yardstick,
            f"{self.yardstick.text(row.scale, 1)} {row.unit}",
        ]


_HEADER = ["ratio", "of medians", "goal", "holds", "what", "", "compared with", ""]


def table(results: Sequence[Result], about: Mapping[str, object]) -> str:
    """The report as text.

    Args:
        results: The rows.
        about: What stands above them: date, machine, versions.
    """
    return "\n".join(
        [
            *(f"{name}: {value}" for name, value in about.items()),
            "Each: median [quartiles]. The ratio is that of the two measurements of a round.",
            "The goals are for 100000 jobs. A row that was not measured counts as not held.",
            "",
            *_aligned([_HEADER, *(result.cells() for result in results)]),
        ]
    )


def growth_table(rows: Mapping[str, Mapping[int, Samples]]) -> str:
    """How the cost of loads, and of what is taken out of them, grows, as text.

    Args:
        rows: The key of a row to the number of jobs to what was measured with so many.
    """
    what = {row.key: row.ours for row in ROWS}
    counts = sorted({jobs for row in rows.values() for jobs in row})
    numbers = [f"{jobs} jobs" for jobs in counts]

    def cells(row: Mapping[int, Samples], figure: Callable[[int, Samples], str]) -> list[str]:
        return [figure(jobs, row[jobs]) if jobs in row else "-" for jobs in counts]

    ratios = [
        [*cells(row, lambda _, it: f"{it.ratio:.4f}"), what[key]] for key, row in rows.items()
    ]
    times = [
        [*cells(row, lambda jobs, it: f"{statistics.median(it.ours) / jobs * 1e6:.3f}"), what[key]]
        for key, row in rows.items()
    ]
    if "load" in rows:
        loads = cells(
            rows["load"], lambda jobs, it: f"{statistics.median(it.yardstick) / jobs * 1e6:.3f}"
        )
        times.append([*loads, _C_CALL])
    return "\n".join(
        [
            "",
            *_aligned([[*numbers, "the ratio to a load"], *ratios]),
            "",
            *_aligned([[*numbers, "microseconds for each job"], *times]),
        ]
    )


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells, with columns as wide as they have to be."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    ]
