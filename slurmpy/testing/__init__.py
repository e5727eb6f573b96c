"""A real Slurm of one's own, for tests and demonstrations.

`LocalCluster` starts munged, slurmctld and slurmd from the installed packages, on this machine's
loopback device, as the user that runs the program, and takes all of it away again. With pytest, the
fixture `slurm_cluster` does so for a whole test run: see `pytest_slurmpy`.
"""

from __future__ import annotations

from slurmpy.testing.cluster import LocalCluster, LocalClusterError

__all__ = ["LocalCluster", "LocalClusterError"]

# Both say that they are this package's, wherever they are written.
LocalCluster.__module__ = LocalClusterError.__module__ = __name__
