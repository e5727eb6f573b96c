"""Run the examples of one document, or of every docstring, on a cluster with the demo's jobs.

Usage: run_examples.py FILE.md | --docstrings

A process of its own for each, so that an example may do what a program may: start a cluster, close
what is loaded, initialise anew. In a document, fenced blocks run by their language: `pycon` is
compared, `python` is executed (by pytest where it holds tests), `console` is run and compared, and
`sh`, `text` and the like are only shown.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import pkgutil
import pwd
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

import slurmpy
from slurmpy import _demo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slurmpy.testing import LocalCluster

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

DURATION = re.compile(r"\b0:\d\d\b")
ME = pwd.getpwuid(os.getuid()).pw_name


class Failed(Exception):
    """An example that did not give what the document says."""


def run_doctest(test: doctest.DocTest) -> int:
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    results = runner.run(test, clear_globs=False)
    if results.failed:
        raise Failed(test.name)
    return results.attempted


#: What examples need that is not installed everywhere, by what shows that they do.
EXTRAS = {"columns(": "numpy", "to_dataframe(": "pandas", "to_arrow(": "pyarrow"}


def can_run(source: str) -> bool:
    """Whether all is installed that an example needs."""
    return all(importlib.util.find_spec(it) for call, it in EXTRAS.items() if call in source)


def run_tests(source: str, env: Mapping[str, str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_example.py").write_text(source, encoding="utf-8")
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
        if subprocess.run(argv, env=env, cwd=folder, check=False).returncode:
            raise Failed(source)
    return 1


def run_console(session: str, env: Mapping[str, str]) -> int:
    commands = session.split("$ ")[1:]
    for command in commands:
        line, _, expected = command.partition("\n")
        words = shlex.split(line, comments=True)
        if words[0] == "python":
            words[0] = sys.executable
        done = subprocess.run(words, env=env, check=False, capture_output=True, text=True)
        got = done.stdout + done.stderr
        # Whoever runs it, however long the jobs have run by then.
        wanted = DURATION.sub("TIME", expected)
        given = DURATION.sub("TIME", got).replace(f" {ME} ", " root ")
        if not doctest.OutputChecker().check_output(wanted, given, FLAGS):
            message = f"$ {line}\nexpected:\n{expected}\ngot:\n{got}"
            raise Failed(message)
    return len(commands)


def run_document(path: Path) -> int:
    names: dict[str, object] = {"__name__": "__main__"}
    count = 0
    text = path.read_text(encoding="utf-8")
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start("text"))
        language, source = block["language"], block["text"]
        if language == "pycon":
            parser = doctest.DocTestParser()
            name = f"{path.name}:{line}"
            test = parser.get_doctest(source, names, name, str(path), line)
            test.globs = names  # in place of the copy, so that one block sees another's names
            count += run_doctest(test)
        elif language == "python" and "def test_" in source:
            count += run_tests(source, dict(os.environ))
        elif language == "python":
            exec(compile("\n" * line + source, str(path), "exec"), names)  # noqa: S102
            count += 1
        elif language == "console":
            count += run_console(source, os.environ)
    return count


def running_job(cluster: LocalCluster) -> int:
    """The job that docstrings call `job_id`: it runs, and its name is `sleeper`."""
    options = ("--parsable", "--output=/dev/null", "--mem=10", "--job-name=sleeper")
    job_id = int(cluster.run("sbatch", *options, "--wrap=sleep 600"))
    deadline = time.monotonic() + 30
    while slurmpy.Job.load(job_id).state != "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.1)
    return job_id


def docstrings(names: dict[str, object]) -> Iterator[doctest.DocTest]:
    """The examples of every module, class, method and function, each to stand for itself."""
    finder, parser = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestParser()
    seen: set[object] = set()
    for info in pkgutil.walk_packages(slurmpy.__path__, "slurmpy."):
        # The first two are programs, and the third is compiled.
        if info.name in ("slurmpy.__main__", "slurmpy._build_ffi", "slurmpy._slurm"):
            continue
        module = importlib.import_module(info.name)
        for owner in (slurmpy, module):
            text = owner.__doc__ or ""
            if owner not in seen:
                yield parser.get_doctest(text, dict(names), owner.__name__, owner.__file__, 0)
            seen.add(owner)
        for item in vars(module).values():
            ours = isinstance(item, (type, FunctionType)) and item.__module__.startswith("slurmpy")
            if ours and item not in seen:
                seen.add(item)
                # Without a module: what a class exports has the name of the package in its place.
                yield from finder.find(item, module=False, globs=dict(names))


def starts_one(test: doctest.DocTest) -> bool:
    """Whether it starts a cluster of its own: there can be but one in a process."""
    return any("LocalCluster(" in example.source for example in test.examples)


def main(source: str) -> int:
    """Run the examples of one source, and return how many there were."""
    if source == "--docstrings":
        with _demo.cluster() as cluster:
            os.environ.update(cluster.env)
            names: dict[str, object] = {"job_id": running_job(cluster)}
            tests = (test for test in docstrings(names) if can_run(test.docstring or ""))
            count = sum(run_doctest(test) for test in tests if not starts_one(test))
        return count + sum(run_doctest(test) for test in docstrings({}) if starts_one(test))
    path = Path(source)
    if "LocalCluster(" in path.read_text("utf-8"):
        return run_document(path)
    with _demo.cluster() as cluster:
        _demo.wait_for(_demo.submit())
        os.environ.update(cluster.env)
        return run_document(path)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1]), "examples")  # noqa: T201
    except Failed as failure:
        sys.exit(str(failure))
