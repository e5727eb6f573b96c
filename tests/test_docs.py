"""What the documents and the docstrings say is what happens."""

from __future__ import annotations

import doctest
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

import slurmpy

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = DOCUMENTS[0].read_text("utf-8")
RUNS = re.compile(r"^```(pycon|python|console)$", re.MULTILINE)
WITH_EXAMPLES = [path for path in DOCUMENTS if RUNS.search(path.read_text("utf-8"))]
LANGUAGES = {
    "pycon",
    "python",
    "console",
    "sh",
    "text",
    "ini",
    "{toctree}",
    "{include}",
    "{eval-rst}",
}


def run_examples(source: str) -> int:
    argv = [sys.executable, str(ROOT / "tests" / "run_examples.py"), source]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.split()[-2])


@pytest.mark.once
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
def test_examples_of_a_document_give_what_it_shows(path: Path) -> None:
    if path.name == "tables.md":
        pytest.importorskip("pandas", reason="what takes tables is in the group dev alone")
    assert run_examples(str(path)) > 0


@pytest.mark.once
def test_examples_of_the_docstrings_give_what_they_show() -> None:
    assert run_examples("--docstrings") > 0


def test_readme_shows_what_the_demo_prints() -> None:
    (shown,) = re.findall(r"^```text\n(Starting .*?)^```$", README, re.MULTILINE | re.DOTALL)
    argv = [sys.executable, "-m", "slurmpy", "demo"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    me = pwd.getpwuid(os.getuid()).pw_name
    # Whoever runs it, however long it took: the rest is the same, to the width of the columns.
    expected = re.sub(r" root +", " USER ", re.sub(r"\b0:\d\d\b", "TIME", shown))
    printed = re.sub(rf" {me} +", " USER ", re.sub(r"\b0:\d\d\b", "TIME", done.stdout))
    expected = re.sub("run_time_remaining .*", "run_time_remaining LEFT", expected)
    printed = re.sub("run_time_remaining .*", "run_time_remaining LEFT", printed)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, printed, flags), printed


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_says_whether_it_runs(path: Path) -> None:
    fences = re.findall(r"^```(\S*).*$", path.read_text("utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences[::2]) <= LANGUAGES
    assert set(fences[1::2]) <= {""}


def test_the_reference_describes_every_attribute() -> None:
    # What help() and Sphinx show, which on some Pythons is the class's text if nobody takes care.
    undescribed = [
        name
        for name, field in slurmpy.Job.fields.items()
        if not all(f"``{member}``" in (field.__doc__ or "") for member in field.member.split(", "))
    ]
    assert undescribed == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).is_file(), target


def test_nobody_is_sent_to_another_projects_package() -> None:
    kinds = {".py", ".md", ".toml", ".h", ".c", ".json", ""}
    folders = ("slurmpy", "docs", "tools", "cdefs", "tests")
    paths = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in kinds]
    paths += [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in kinds]
    wrong = re.compile(r"install\s+(-\S+\s+)*['\"]?slurmpy(?!-cffi)\b")
    assert len(paths) > 20
    for path in paths:
        if path.is_file() and "_build" not in path.parts:
            assert not wrong.search(path.read_text("utf-8", "replace")), path
