"""What goes wrong with a `LocalCluster`."""

from __future__ import annotations

__all__ = ["LocalClusterError"]


class LocalClusterError(RuntimeError):
    """A `LocalCluster` could not be started, or one of its commands failed.

    The message holds what the daemon or the command said last.
    """
