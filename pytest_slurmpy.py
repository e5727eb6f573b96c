"""A pytest plugin: the fixture `slurm_cluster`, a real Slurm for a whole test run.

It comes with the package; there is nothing to configure. The cluster starts with the first test
that asks for it and serves the whole run, so that jobs of earlier tests are still there.

Example:
    A test of a program that submits a job::

        import slurmpy

        def test_submits(slurm_cluster):
            job_id = int(slurm_cluster.run("sbatch", "--parsable", "--hold", "--wrap=true"))
            assert slurmpy.Job.load(job_id).state == "PENDING"

    A program that the test starts needs the environment ``slurm_cluster.env``.

    Another kind of cluster, in ``conftest.py``::

        import pytest

        @pytest.fixture(scope="session")
        def slurm_cluster_options():
            return {"nodes": 4, "partitions": ["short", "long"]}

The plugin is a module beside the package, and imports the package only for those who use it: pytest
loads the plugins of all that is installed, and a Slurm that does not fit is to stop nobody else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slurmpy.testing import LocalCluster

__all__ = ["slurm_cluster", "slurm_cluster_options"]


def pytest_report_header() -> str | None:
    """Name the versions that the tests run with, where they are tests of something with slurmpy."""
    slurmpy = sys.modules.get("slurmpy")
    if slurmpy is None:
        return None
    from slurmpy.testing import LocalClusterError
    from slurmpy.testing._programs import find_programs

    try:
        slurm = find_programs(os.environ.get("SLURM_PREFIX", "")).release
    except (LocalClusterError, OSError, subprocess.SubprocessError):
        # Not every project with this plugin wants a cluster; slurm_cluster says what is missing.
        slurm = "without daemons"
    return f"slurmpy {slurmpy.__version__}, Slurm {slurm}"


@pytest.fixture(scope="session")
def slurm_cluster_options() -> dict[str, Any]:
    """The arguments for `LocalCluster`; override this fixture to change them."""
    return {}


@pytest.fixture(scope="session")
def slurm_cluster(slurm_cluster_options: dict[str, Any]) -> Iterator[LocalCluster]:
    """A real Slurm on this machine, started once for the test run, with slurmpy pointed at it."""
    from slurmpy.testing import LocalCluster

    with LocalCluster(**slurm_cluster_options) as cluster:
        yield cluster
