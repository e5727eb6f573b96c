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
    NotLoaded,
    RPCError,
    SlurmError,
    TaskErrors,
    UnsupportedField,
)
from slurmpy.job import Job
from slurmpy.jobs import Jobs

__version__ = "0.1.0"

__all__ = [
    "UNLIMITED",
    "AccessDenied",
    "AuthenticationError",
    "ClosedError",
    "ConfigurationError",
    "ControllerUnreachable",
    "InvalidJobId",
    "Job",
    "JobErrors",
    "Jobs",
    "NotLoaded",
    "RPCError",
    "SlurmError",
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
