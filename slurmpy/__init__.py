"""Slurm from Python: thin classes over the structs that libslurm gives.

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
    ClosedError,
    ConfigurationError,
    ControllerUnreachable,
    InvalidJobId,
    NotLoaded,
    RPCError,
    SlurmError,
    UnsupportedField,
)
from slurmpy.job import Job
from slurmpy.jobs import Jobs

__version__ = "0.1.0"

__all__ = [
    "UNLIMITED",
    "AccessDenied",
    "ClosedError",
    "ConfigurationError",
    "ControllerUnreachable",
    "InvalidJobId",
    "Job",
    "Jobs",
    "NotLoaded",
    "RPCError",
    "SlurmError",
    "Unlimited",
    "UnsupportedField",
    "__version__",
    "fini",
    "init",
]

for _name in __all__:
    _object = globals()[_name]
    if isinstance(_object, type) or callable(_object):
        _object.__module__ = "slurmpy"
del _name, _object
