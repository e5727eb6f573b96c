"""The cluster that the tests share."""

from __future__ import annotations

from typing import Any

import pytest

from slurmpy.testing import pytest_plugin


def pytest_configure(config: pytest.Config) -> None:
    """Load the plugin where the checkout's package is not installed, but only on the path."""
    if not config.pluginmanager.is_registered(pytest_plugin):
        config.pluginmanager.register(pytest_plugin, "slurmpy")


@pytest.fixture(scope="session")
def slurm_cluster_options() -> dict[str, Any]:
    return {"nodes": 2, "cpus": 8, "memory": 8000, "gpus": 2}
