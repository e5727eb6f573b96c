"""The cluster that the tests share."""

from __future__ import annotations

from typing import Any

import pytest

import pytest_slurmpy


def pytest_configure(config: pytest.Config) -> None:
    """Load the plugin where the checkout's package is not installed, but only on the path."""
    if not config.pluginmanager.is_registered(pytest_slurmpy):
        config.pluginmanager.register(pytest_slurmpy, "pytest_slurmpy")


@pytest.fixture(scope="session")
def slurm_cluster_options() -> dict[str, Any]:
    return {"nodes": 2, "cpus": 8, "memory": 8000, "gpus": 2}
