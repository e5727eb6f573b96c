"""Run the examples of one document, or of every docstring, on a cluster with the demo's jobs.

Usage: run_examples.py FILE.md | --docstrings

A process of its own for each, so that an example may do what a program may: start a cluster, close
what is loaded, initialise anew. In a document, fenced blocks run by their language: `pycon` is
compared, `python` is executed (by pytest where it holds tests), `console` is run and compared, and
`sh`, `text` and the like are only shown.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import slurmpy
from slurmpy import _demo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Failed(Exception):
    """An example that did not give what the document says."""


def run_doctest(test: doctest.DocTest) -> int:
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    results = runner.run(test, clear_globs=False)
    if results.failed:
        raise Failed(test.name)
    return results.attempted


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
        if not doctest.OutputChecker().check_output(expected, got, FLAGS):
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
            count += run_doctest(parser.get_doctest(source, names, name, str(path), line))
        elif language == "python" and "def test_" in source:
            count += run_tests(source, dict(os.environ))
        elif language == "python":
            exec(compile("\n" * line + source, str(path), "exec"), names)  # noqa: S102
            count += 1
        elif language == "console":
            count += run_console(source, os.environ)
    return count


def docstrings() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for info in pkgutil.walk_packages(slurmpy.__path__, "slurmpy."):
        if not info.name.endswith(("__main__", "_build_ffi", "._slurm")):
            module = importlib.import_module(info.name)
            yield from (test for test in finder.find(module, info.name) if test.examples)
    yield from (test for test in finder.find(slurmpy, "slurmpy") if test.examples)


def main(source: str) -> int:
    """Run the examples of one source, and return how many there were."""
    with contextlib.ExitStack() as stack:
        # A document that starts clusters of its own has to be the only one to do so.
        if source == "--docstrings" or "LocalCluster(" not in Path(source).read_text("utf-8"):
            cluster = stack.enter_context(_demo.cluster())
            _demo.wait_for(_demo.submit(cluster))
            os.environ.update(cluster.env)
        if source == "--docstrings":
            return sum(map(run_doctest, docstrings()))
        return run_document(Path(source))


if __name__ == "__main__":
    try:
        print(main(sys.argv[1]), "examples")  # noqa: T201
    except Failed as failure:
        sys.exit(str(failure))
