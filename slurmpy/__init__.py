"""Slurm from Python: thin classes over the structs that libslurm gives.

In the examples of the docstrings, ``job_id`` is the id of a running job called ``sleeper``.

>>> import slurmpy
>>> jobs = slurmpy.Jobs.load()
>>> jobs[job_id].state
'RUNNING'
"""

from __future__ import annotations

from slurmpy._convert import UNLIMITED, Unlimited
from slurmpy._runtime import fini, init
from slurmpy.errors import (
    AccessDenied,
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ControllerUnreachable,
    InvalidJobId,
    JobErrors,
    NodeUnreachable,
    NotLoaded,
    RPCError,
    SlurmError,
    TaskErrors,
    UnsupportedField,
)
from slurmpy.job import Job
from slurmpy.jobs import Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from slurmpy.stats import JobStatistics, JobStepStatistics, StatisticsWarning
    from slurmpy.steps import JobStep, JobSteps, TaskDistribution
    from slurmpy.submission import Forecast, JobSubmitDescription

__version__ = "0.1.0"

__all__ = [
    "UNLIMITED",
    "AccessDenied",
    "AuthenticationError",
    "ClosedError",
    "ConfigurationError",
    "ControllerUnreachable",
    "Forecast",
    "InvalidJobId",
    "Job",
    "JobErrors",
    "JobStatistics",
    "JobStep",
    "JobStepStatistics",
    "JobSteps",
    "JobSubmitDescription",
    "Jobs",
    "NodeUnreachable",
    "NotLoaded",
    "RPCError",
    "SlurmError",
    "StatisticsWarning",
    "TaskDistribution",
    "TaskErrors",
    "Unlimited",
    "UnsupportedField",
    "__version__",
    "fini",
    "init",
]

# What is public says that it is the package's, wherever it is written.
for _public in (fini, init, *(item for item in list(globals().values()) if isinstance(item, type))):
    _public.__module__ = __name__


#: What is loaded when it is first asked for, since not everybody needs it, and where it is.
_LATER = {
    "Forecast": "submission",
    "JobStatistics": "stats",
    "JobStep": "steps",
    "JobStepStatistics": "stats",
    "JobSteps": "steps",
    "JobSubmitDescription": "submission",
    "StatisticsWarning": "stats",
    "TaskDistribution": "steps",
}


def __getattr__(name: str) -> object:
    """Loads what not everybody needs when it is first asked for."""
    if name not in _LATER:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value: object = getattr(import_module(f"slurmpy.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
