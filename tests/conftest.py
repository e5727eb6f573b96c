"""The cluster that the tests share, and how to have another beside it."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import pytest
import spawning
from _pytest.junitxml import xml_key
from hypothesis import settings

import pytest_slurmpy
import slurmpy
from slurmpy import _runtime
from slurmpy.testing._programs import find_programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager


if platform.python_implementation() == "PyPy":
    spawning.install()

# What a machine does beside it decides how long an example takes.
settings.register_profile("slurmpy", deadline=None)
#: For the cells of the matrix: each draws other examples.
settings.register_profile("cell", deadline=None, max_examples=10)
settings.load_profile("slurmpy")


class Other(NamedTuple):
    """A cluster beside the shared one."""

    env: dict[str, str]
    folder: Path

    def run(self, *command: str) -> str:
        """What a command prints."""
        return subprocess.run(
            command, env=self.env, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def submit(self, *options: str) -> int:
        """The id of a job whose output is thrown away."""
        return int(self.run("sbatch", "--parsable", "--output=/dev/null", *options))

    def python(self, code: str, *args: str) -> str:
        """What a program prints that uses this package; it may say nothing else."""
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            env=self.env,
            # This package, wherever it was imported from.
            cwd=Path(slurmpy.__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout


def pytest_configure(config: pytest.Config) -> None:
    """Load the plugin where the checkout's package is not installed, but only on the path."""
    if not config.pluginmanager.is_registered(pytest_slurmpy):
        config.pluginmanager.register(pytest_slurmpy, "pytest_slurmpy")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell in the results of what they are, for who takes them later."""
    config = session.config
    results = config.stash.get(xml_key, None)
    if results:
        some = {"keyword", "deselect", "lf", "ignore", "ignore_glob"}
        chosen = [name for name in sorted(some) if config.getoption(name, None)]
        tests = config.option.markexpr if config.args == config.getini("testpaths") else "some"
        told = {
            "exit": int(exitstatus),
            "tests": " ".join([tests, *chosen]),
            "python": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
            "slurm": find_programs(os.environ.get("SLURM_PREFIX", "")).release,
        }
        for name, value in told.items():
            results.add_global_property(name, str(value))


def pytest_collection_finish() -> None:
    """Leave out what pytest keeps of thousands of tests whenever a test looks for garbage."""
    if hasattr(gc, "freeze"):
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def slurm_cluster_options() -> dict[str, Any]:
    return {"nodes": 2, "cpus": 8, "memory": 8000, "gpus": 2}


# In a process of its own, as the tests' other cluster is active in this one. What slurmctld reads
# in its folder has to be there when it starts, and what is in slurm.conf about it comes after that.
CLUSTER = """
import json, sys
from slurmpy.testing import LocalCluster
with LocalCluster(**json.loads(sys.argv[1])) as cluster:
    files, lines = json.loads(sys.argv[2])
    for name, text in files.items():
        (cluster.folder / name).write_text(text.replace("@FOLDER@", str(cluster.folder)))
    for conf in {cluster.conf, *cluster.folder.glob("daemons.conf")}:
        with conf.open("a") as file:
            file.write(lines)
    if files:
        cluster.restart_daemon("slurmctld")
        cluster.wait_idle()
    print(json.dumps([cluster.env, str(cluster.folder)]), flush=True)
    sys.stdin.read()
"""


@contextmanager
def run_cluster(
    options: Mapping[str, Any], files: Mapping[str, str] | None = None, lines: str = ""
) -> Iterator[Other]:
    more = json.dumps([files or {}, lines])
    command = [sys.executable, "-c", CLUSTER, json.dumps(options), more]
    with subprocess.Popen(
        command,
        # This package, wherever it was imported from.
        cwd=Path(slurmpy.__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            env, folder = json.loads(process.stdout.readline())
            previous = _runtime.redirect(env["SLURM_CONF"])
            try:
                yield Other(env, Path(folder))
            finally:
                _runtime.put_back(previous)
        finally:
            process.stdin.close()


@pytest.fixture(scope="session")
def other_cluster() -> Callable[..., AbstractContextManager[Other]]:
    """Starts another cluster beside the shared one, with files in its folder; slurmpy uses it."""
    return run_cluster


# What malloc() has given away says more than what Python believes to have freed.
USED = """
import ctypes, gc, sys

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd",
        "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2

def used():
    for _ in range(3):
        gc.collect()
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd

def growth(action, rounds):
    # Of three times the one in the middle: a leak is in each, and what PyPy's collector gets from
    # malloc() for itself, half a megabyte at a time, in one.
    sizes = []
    for _ in range(3):
        before = used()
        for _ in range(rounds):
            action()
        sizes.append((used() - before) / rounds)
    return sorted(sizes)[1]

def stop_compiling():
    if sys.implementation.name == "pypy":
        import pypyjit
        pypyjit.set_param("off")
        pypyjit.set_param("trace_eagerness=1000000000")
"""


@pytest.fixture(scope="session")
def used() -> str:
    """The code of ``used``: how many bytes malloc() has given away in a process.

    And of ``growth``, how many more each round of something takes, and ``stop_compiling``, as what
    PyPy compiles takes memory too.
    """
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("this C library cannot say what is allocated")
    return USED


ROOT = Path(__file__).parent.parent


def _build(folder: Path, source: str, change: Callable[[str], str]) -> Path:
    """A copy of the package, compiled after a change to one of its sources."""
    pytest.importorskip("setuptools")
    package = Path(slurmpy.__file__).parent
    leave = shutil.ignore_patterns("_slurm.*", "__pycache__")
    shutil.copytree(package, folder / "slurmpy", ignore=leave)
    shutil.copy(ROOT / "slurmpy" / "_build_ffi.py", folder / "slurmpy")
    shutil.copytree(ROOT / "cdefs", folder / "cdefs")
    path = folder / "cdefs" / source
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, encoding="utf-8")
    compiling = (
        "import runpy, sys; runpy.run_path(sys.argv[1])['ffibuilder']().compile(tmpdir=sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", compiling, folder / "slurmpy" / "_build_ffi.py", folder],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def build() -> Callable[..., Path]:
    """Makes a copy of the package, compiled after a change to one of its sources.

    It is called with a folder, the name of the source, and what changes its text.
    """
    return _build
