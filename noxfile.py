"""Sessions named for the question that each answers; `nox -l` lists them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")


def _groups(*names: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, *names))


@nox.session
def lint(session: nox.Session) -> None:
    """Is the code in the style that was agreed on?"""
    session.install(*_groups("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Do mypy --strict and pyright find the types consistent?"""
    session.install("-e", ".", *_groups("type"))
    session.run("mypy")
    session.run("pyright", "--pythonpath", f"{session.bin}/python")


@nox.session
def docs(session: nox.Session) -> None:
    """Does the documentation build without a warning?"""
    session.install(".", *_groups("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")


@nox.session(venv_backend="uv|venv")
def tests(session: nox.Session) -> None:
    """Does it work, on the Slurm that SLURM_PREFIX or the PATH names?

    `nox -s tests --force-python 3.12` takes another Python; what follows `--` are pytest's options.
    """
    # It has wheels for PyPy of its older releases alone.
    session.install("--only-binary=numpy", ".", *_groups("test"))
    # Away from the checkout, so that what is tested is what was installed.
    session.chdir(session.create_tmp())
    # The path of nox's own TMPDIR is too long for the sockets of a cluster.
    env = {"TMPDIR": tempfile.gettempdir()}
    argv = ("pytest", "-c", f"{ROOT}/pyproject.toml", *session.posargs, f"{ROOT}/tests")
    session.run(*argv, env=env)


@nox.session(reuse_venv=True)
def matrix(session: nox.Session) -> None:
    """Does it work on every Slurm and Python? `nox -s matrix -- --cells 26.05`, `-- --list`."""
    session.install(*_groups("matrix"))
    session.run("python", "tools/matrix.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """How much slower than the C call is it? `nox -s bench -- --jobs 100000 --json FILE`.

    A `pypy3` on the PATH is compared with CPython; without one, those rows count as not held.
    """
    session.install(".", *_groups("bench", "numpy", "frames"))
    options = []
    if pypy := shutil.which("pypy3"):
        env = session.create_tmp()
        session.run(pypy, "-m", "venv", "--clear", env, external=True)
        packages = ("--only-binary=numpy", ".", *_groups("numpy"))
        session.run(f"{env}/bin/pip", "install", "-q", *packages, external=True)
        options = ["--pypy", f"{env}/bin/python"]
    session.run(
        "python", "bench", *options, *session.posargs, env={"TMPDIR": tempfile.gettempdir()}
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Does bad input do harm? `nox -s fuzz -- --seconds 60 --only times,lines --jobs 2`."""
    session.install(".", *_groups("fuzz"))
    env = {"TMPDIR": tempfile.gettempdir()}
    session.run("python", "fuzz/run.py", *session.posargs, env=env)


@nox.session
def memcheck(session: nox.Session) -> None:
    """Do valgrind and AddressSanitizer find nothing wrong in its use of memory?"""
    session.install(".", *_groups("test"))
    session.chdir(session.create_tmp())
    env = {"TMPDIR": tempfile.gettempdir()}
    program = f"{ROOT}/tests/memcheck/run_memcheck.py"
    session.run("python", program, "valgrind", env=env)
    # What reads the memory is in cffi. Without the cache, from which others would take it.
    flags = {"CFLAGS": "-fsanitize=address -g -O1", "LDFLAGS": "-fsanitize=address"}
    anew = ("--force-reinstall", "--no-deps", "--no-cache-dir")
    session.install(*anew, "--no-binary=cffi", "cffi", env=flags)
    session.install(*anew, str(ROOT), env=flags)
    session.run("python", program, "asan", env=env)
