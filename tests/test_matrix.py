"""What `nox -s matrix` makes of what happens in its cells. The cells themselves it is run for."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import datetime
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

pytest.importorskip("findpython", reason="tools/matrix.py is for a checkout's own environment")

ROOT = Path(__file__).parent.parent
LOADING = f"""
import sys
sys.path.insert(0, {str(ROOT / "tools")!r})
import matrix
"""


def load() -> Any:  # noqa: ANN401 - a program, which is in no package
    loader = SourceFileLoader("matrix", str(ROOT / "tools" / "matrix.py"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


matrix = load()
Here: Any = matrix.Here
HERE = Here()


def cell(name: str = "CPython 3.11.7", slurm: str = "22.05.8", tier: str = "functional") -> Any:  # noqa: ANN401
    return matrix.Cell(HERE, sys.executable, slurm, name, tier)


def result(of: Any, skips: dict[str, int], *faults: str) -> Any:  # noqa: ANN401
    counts = Counter(passed=5, failed=len(faults), skipped=sum(skips.values()))
    return matrix.Result(of, counts, Counter(skips), 12.3, list(faults))


# What pytest tells


def test_results_are_read_as_pytest_writes_them(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        textwrap.dedent("""
        import pytest

        @pytest.fixture
        def broken():
            raise OSError

        def test_passes(): pass
        def test_fails(): assert 0
        def test_breaks(broken): pass
        @pytest.mark.parametrize("n", range(3))
        def test_skips(n): pytest.skip("it's so")
        @pytest.mark.skipif(True, reason='no "such" thing')
        def test_skips_by_mark(): pass
        """)
    )
    (tmp_path / "test_none.py").write_text(
        "import pytest\npytest.importorskip('no_such', reason=\"nobody's module\")\n"
    )
    xml = tmp_path / "results.xml"
    pytest_argv = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={xml}"]
    subprocess.run(
        [sys.executable, *pytest_argv, "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    counts, skips = matrix.read(xml)
    assert counts == {"passed": 1, "failed": 2, "skipped": 5}
    assert skips == {"it's so": 3, 'no "such" thing': 1, "nobody's module": 1}


# Skips

OWN = "tools/matrix.py is for a checkout's own environment"
CONCURRENT = "this Python has none of concurrent.interpreters"


@pytest.mark.parametrize(
    ("name", "slurm", "reason", "listed"),
    [
        ("CPython 3.9.18", "22.05.8", CONCURRENT, True),
        ("CPython 3.13.5", "24.11.5", CONCURRENT, True),
        ("CPython 3.14.8", "26.05.5", CONCURRENT, False),
        ("CPython 3.11.7", "22.05.8", "this Python has none of _testcapi", False),
        (
            "CPython 3.11.7",
            "22.05.8",
            "this Python has none of _interpreters, _xxsubinterpreters",
            False,
        ),
        ("PyPy 7.3.11 3.9.16", "22.05.8", "PyPy has no subinterpreters", True),
        ("CPython 3.11.7", "22.05.8", "PyPy has no subinterpreters", False),
        ("CPython 3.11.7", "22.05.8", "this major has none of it", True),
        ("CPython 3.13.5", "24.11.5", "this major has none of it", False),
        ("CPython 3.13.5", "24.11.5", OWN, True),
        ("CPython 3.13.5", "24.11.5", f"{OWN}, and more", False),
    ],
)
def test_a_skip_that_is_not_listed_is_a_fault(
    name: str, slurm: str, reason: str, listed: bool
) -> None:
    faults = matrix.unexpected(cell(name, slurm), {reason: 7})
    if listed:
        assert faults == []
    else:
        (fault,) = faults
        assert fault.startswith("7 skipped")
        assert fault.endswith(reason)


def test_a_reason_that_nothing_was_skipped_for_is_told_of() -> None:
    old, new = cell(), cell("CPython 3.14.8", "26.05.5")
    assert OWN in matrix.unneeded([result(old, {})])
    assert OWN not in matrix.unneeded([result(old, {OWN: 1})])
    escaped = CONCURRENT.replace(".", r"\.")
    assert escaped in matrix.unneeded([result(old, {})])
    assert escaped not in matrix.unneeded([result(new, {})])
    # One that did not run tells nothing.
    assert matrix.unneeded([matrix.Result(old, Counter(), Counter(), 0, ["broken"])]) == []


# What `make test` has run

JUNIT = """<testsuites><testsuite time="12.5" timestamp="{begun}"><properties>
<property name="exit" value="{exit}"/><property name="tests" value="{tests}"/>
<property name="python" value="/usr/bin/python3.11"/><property name="slurm" value="22.05.8"/>
</properties><testcase name="a"/><testcase name="b"/>{more}</testsuite></testsuites>"""


def written(
    folder: Path,
    status: int = 0,
    tests: str = "not long",
    more: str = "",
    begun: datetime | None = None,
) -> Path:
    xml = folder / "tests.xml"
    begun = begun or datetime.now().astimezone()
    xml.write_text(JUNIT.format(exit=status, tests=tests, more=more, begun=begun.isoformat()))
    return xml


def test_what_make_test_has_run_is_a_row_and_does_not_run_again(tmp_path: Path) -> None:
    own = cell()._replace(python="/usr/bin/python3.11")
    other = cell("PyPy 7.3.11 3.9.16")._replace(python="/usr/bin/pypy3.9")
    cells = [own, other, own._replace(tier="slow"), other._replace(tier="slow")]
    left, row = matrix.without(cells, matrix.tested(written(tmp_path)))
    assert left == [other, other._replace(tier="slow"), own._replace(tier="long")]
    assert (row.cell.tier, row.counts, row.seconds) == ("make test", {"passed": 2}, 12.5)
    assert row.state == "ok"
    odd = written(tmp_path, more="<testcase name='c'><skipped message='odd'/></testcase>")
    _, row = matrix.without(cells, matrix.tested(odd))
    assert row.state == "FAILED"
    assert "odd" in row.faults[0]


def test_what_make_test_has_run_with_another_python_is_missing(tmp_path: Path) -> None:
    other = cell("PyPy 7.3.11 3.9.16")._replace(python="/usr/bin/pypy3.9")
    left, row = matrix.without([other], matrix.tested(written(tmp_path)))
    assert left == [other]
    assert (row.state, row.faults[0].split()[0]) == ("MISSING", "/usr/bin/python3.11")


def test_results_of_anything_else_are_refused(tmp_path: Path) -> None:
    for status, tests in ((1, "not long"), (2, "not long"), (0, "not long keyword"), (0, "long")):
        with pytest.raises(matrix.MatrixError, match="not of a `make test`"):
            matrix.tested(written(tmp_path, status, tests))
    old = written(tmp_path, begun=datetime.fromtimestamp(0).astimezone())
    with pytest.raises(matrix.MatrixError, match=r"is older than \S+: run `make test`"):
        matrix.tested(old)
    old.write_text("<testsuites>")
    with pytest.raises(matrix.MatrixError, match="no results"):
        matrix.tested(old)
    with pytest.raises(matrix.MatrixError, match="no results"):
        matrix.tested(tmp_path / "none.xml")


def told(folder: Path, *options: str) -> dict[str, str]:
    """What our tests say of themselves."""
    xml = folder / "own.xml"
    no_cache = ("-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "-q", *no_cache, f"--junitxml={xml}"]
    subprocess.run([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    properties = ET.parse(xml).iter("property")  # noqa: S314 - pytest has just written it
    return {it.attrib["name"]: it.attrib["value"] for it in properties}


@pytest.mark.timeout(300)
def test_our_tests_say_what_was_chosen_of_them(tmp_path: Path) -> None:
    own = ("-k", "test_spaces_are_as_in_c_no_such", "--numprocesses=2")
    assert told(tmp_path, "-m", "not long", *own)["tests"] == "not long keyword"
    assert told(tmp_path, "tests/test_errors.py", *own)["tests"] == "some keyword"
    found = told(tmp_path, "tests/test_errors.py", "--collect-only")
    assert found["tests"] == "some"
    assert found["exit"] == "0"
    assert (
        found["slurm"] == matrix.ask(matrix.Here(), tmp_path, matrix.Here.slurmd, "-V").split()[1]
    )
    assert found["python"] == os.path.realpath(matrix.BASE_PYTHON)


# Cells that are missing


def titles(rows: Sequence[Any]) -> list[str]:
    assert {row.state for row in rows} <= {"MISSING"}
    return [row.cell.title for row in rows]


def test_what_is_expected_and_not_found_is_a_row() -> None:
    own = [cell(), cell(tier="slow"), cell("CPython 3.9.18")]
    rows = matrix.missing(HERE, "22.05.8", own, [])
    assert titles(rows) == ["22.05.8-PyPy-functional", "22.05.8-PyPy-slow"]
    assert rows[0].faults == ["no PyPy was found"]
    pypy = [cell("PyPy 7.3.11 3.9.16", tier=tier) for tier in ("functional", "slow")]
    assert matrix.missing(HERE, "22.05.8", [*own, *pypy], []) == []
    rows = matrix.missing(HERE, "22.05.8", [*own[:1], *pypy], ["a reason"])
    assert titles(rows) == ["22.05.8-CPython-slow"]
    assert rows[0].faults == ["a reason"]


def test_a_tree_with_another_slurm_than_expected() -> None:
    tree = matrix.Tree("forky")
    newer = [cell("CPython 3.14.8", "26.11.0"), cell("PyPy 8.0.1 3.11.17", "26.11.0")]
    rows = matrix.missing(tree, "26.11.0", newer, [])
    assert titles(rows) == ["26.05-CPython-functional", "26.05-PyPy-functional"]
    assert rows[0].faults == ["there is Slurm 26.11.0 instead"]


def test_a_place_that_cannot_be_prepared_is_missing_with_the_reason() -> None:
    class Broken(Here):  # type: ignore[misc]
        def prepare(self) -> None:
            raise OSError("the mirror is down")

    cells, rows = matrix.cells_of(Broken())
    assert cells == []
    assert titles(rows) == [
        f"unknown-{kind}-{tier}" for kind in ("CPython", "PyPy") for tier in ("functional", "slow")
    ]
    assert all("OSError: the mirror is down" in row.faults[0] for row in rows)


def test_only_root_has_other_debians(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    cells, rows = matrix.cells_of(matrix.Tree("trixie"))
    assert cells == []
    assert titles(rows) == ["24.11-CPython-functional", "24.11-PyPy-functional"]
    assert "only root can" in rows[0].faults[0]


def test_an_interpreter_that_does_not_start_stops_no_other() -> None:
    class Half(Here):  # type: ignore[misc]
        def command(self, checkout: Path, argv: Sequence[str]) -> list[str]:
            if argv[0].endswith("slurmd"):
                return ["echo", "slurm 22.05.8"]
            return list(super().command(checkout, argv))

        def pythons(self) -> list[str]:
            return ["/no/such/pypy3", sys.executable]

    cells, rows = matrix.cells_of(Half())
    assert [it.tier for it in cells] == ["functional", "slow"]
    assert titles(rows) == ["22.05.8-PyPy-functional", "22.05.8-PyPy-slow"]
    assert "/no/such/pypy3" in rows[0].faults[0]


def test_a_cell_that_raises_is_a_row_that_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "LOGS", tmp_path / "no" / "such")
    row = matrix.result_of(cell(), argparse.Namespace(workers=1, timeout=1, pytest=[]))
    assert row.state == "FAILED"
    assert "FileNotFoundError" in row.faults[0]


# The table


def test_the_table_is_readable_at_100_columns_and_is_markdown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matrix, "LOGS", tmp_path)
    pypy = cell("PyPy 7.3.11 3.9.16", "24.11.5")
    rows = [
        result(cell(), {OWN: 1, CONCURRENT: 4, "[bold]a[/bold] " + "reason " * 20: 2}),
        result(pypy, {OWN: 1}, "it failed"),
        *matrix.missing(HERE, "22.05.8", [], [])[:1],
    ]
    matrix.show(rows, argparse.Namespace(pytest=["-k", "some"]))
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    row = next(line for line in lines if "3.11.7" in line)
    for word in ("22.05.8", "CPython 3.11.7", "functional", " 5 ", " 12 ", " ok "):
        assert word in row
    assert f"] {CONCURRENT}" in printed
    assert "[bold]a[/bold] reason" in printed
    markdown = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert markdown == [line.strip() for line in markdown]
    head, rule, *body = [line for line in markdown if line.startswith("|")]
    assert len(body) == 3
    assert {line.count("|") for line in (head, rule, *body)} == {9}
    assert [line.split("|")[-2].strip() for line in body] == ["ok", "FAILED", "MISSING"]


NOXFILE = """
import sys
import nox

@nox.session(venv_backend="none")
def tests(session):
    session.run(sys.executable, "-m", "pytest", *session.posargs, "tests")
"""
UNSTABLE = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("n", range(NUMBER))
def test_fails(n):
    mark = Path(f"mark-{n}")
    there = mark.exists()
    mark.touch()
    ENDS

def test_passes(): pass
"""


@pytest.mark.parametrize(
    ("number", "ends", "state", "failed", "name"),
    [
        (2, "assert there", "ok, 2 again", 0, "unstable"),
        (2, "assert 0", "FAILED", 2, "unstable"),
        (4, "assert there", "FAILED", 4, "unstable"),
        (1, "there or os._exit(0)", "FAILED", 1, "unstable"),
        (2, "assert there", "FAILED", 2, "threads"),
    ],
)
def test_what_fails_beside_others_is_run_again_by_itself(  # noqa: PLR0913, PLR0917 - fixtures
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    ends: str,
    state: str,
    failed: int,
    name: str,
) -> None:
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "noxfile.py").write_text(NOXFILE)
    unstable = UNSTABLE.replace("NUMBER", str(number)).replace("ENDS", ends)
    (project / "tests" / f"test_{name}.py").write_text(unstable)
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    subprocess.run(["git", "init", "--quiet", project], check=True)
    monkeypatch.setattr(matrix, "ROOT", project)
    monkeypatch.setattr(matrix, "LOGS", tmp_path)
    monkeypatch.setitem(matrix.TIERS, "functional", ("-o", "markers=slow"))
    found = matrix.run_cell(cell(), argparse.Namespace(workers=2, timeout=100, pytest=[]))
    assert found.state == state, found.faults
    assert found.counts["failed"] == failed
    assert sum(found.counts.values()) > number
    again = [f"tests.test_unstable::test_fails[{n}]" for n in range(number)]
    assert list(found.again) == ([] if failed else again)
    assert all(name in matrix.table([found], matrix.box.MARKDOWN)[1] for name in found.again)


def test_what_is_found_by_chance_is_not_run_again() -> None:
    for name in (
        "tests.test_threads::test_threads_that_do_everything",
        "tests.test_memory_lifetimes.TestSteps::test_fork_with_all_of_it_at_hand",
        "tests.test_soak::test_loads_of_a_thousand_jobs[7]",
        "tests.test_faults::test_ctrl_c_loses_no_memory[load-0]",
        "tests.test_runtime::test_fork_while_a_thread_is_inside_a_call",
        "tests.test_stats::test_no_memory_is_lost[used]",
        "tests.test_submission::test_what_malloc_says[build]",
        "tests.test_tables::test_a_selection_beside_another_thread",
    ):
        assert matrix.BY_CHANCE.search(name)
    assert not matrix.BY_CHANCE.search("tests.test_submission::test_mail[begin]")


# Commands, and what ends them


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_command_that_takes_too_long_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "sleep 1000 & echo $! $$; sleep 1000"]
    assert matrix.run(command, log, timeout=1) == 128 + signal.SIGKILL
    first, *rest = log.read_text().splitlines()
    assert rest == ["ended after 1 s"]
    for pid in map(int, first.split()):
        wait_for(functools.partial(ended, pid))


def test_what_a_command_leaves_behind_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert matrix.run(["sh", "-c", "sleep 1000 & echo $!; exit 3"], log) == 3
    wait_for(lambda: ended(int(log.read_text())))


def test_what_a_command_prints_is_not_what_it_warns_of() -> None:
    assert matrix.printed("sh", "-c", "echo out; echo err >&2") == "out"
    with pytest.raises(matrix.MatrixError, match=r"ended with 2: err"):
        matrix.printed("sh", "-c", "echo out; echo err >&2; exit 2")


PROGRAM = (
    LOADING
    + """
from pathlib import Path
folder = Path(sys.argv.pop(1))
alone = [word for word in sys.argv.pop(1).split(",") if word]
matrix.LOGS = folder / "logs"
class Sleeping(matrix.Here):
    def command(self, checkout, argv):
        (folder / "copy").write_text(str(checkout))
        script = "sleep 1000.25 & echo ready > {0}.tmp; mv {0}.tmp {0}; sleep 1000.25"
        return [*alone, "sh", "-c", script.format(folder / "ready")]
def cells_of(place):
    cells = [matrix.Cell(Sleeping(), "", "22.05.8", f"CPython 3.{n}", "functional")
             for n in range(9, 14)] if isinstance(place, matrix.Here) else []
    return matrix.Found(cells, [])
matrix.cells_of = cells_of
sys.exit(matrix.main())
"""
)


def session_of(marker: str) -> list[int]:
    """The processes that have a word in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if marker.encode() in environment and not ended(int(entry.name)):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("number", "alone"),
    [
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
        (signal.SIGTERM, True),
        (signal.SIGINT, False),
        (signal.SIGHUP, False),
    ],
)
def test_whatever_ends_the_program_ends_its_cells(
    tmp_path: Path, number: signal.Signals, alone: bool
) -> None:
    if alone and os.geteuid():
        pytest.skip("only root makes namespaces")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    marker = f"MATRIX_TEST={tmp_path}"
    prefix = ",".join(matrix.ALONE) if alone else ""
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path), prefix, "--parallel", "2"]
    env = {**os.environ, "TMPDIR": str(temporary), "MATRIX_TEST": str(tmp_path)}
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(argv, env=env, stdout=output, stderr=output)
    try:
        wait_for(lambda: (tmp_path / "ready").exists() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "output").read_text()
        copy = Path((tmp_path / "copy").read_text())
        assert copy.is_relative_to(temporary)
        assert (copy / "noxfile.py").exists()
        assert len(session_of(marker)) >= 4
    finally:
        process.send_signal(number)
        code = process.wait(60)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not session_of(marker))
    assert list(temporary.iterdir()) == []


# Trees


def test_the_mirror_is_debians_own() -> None:
    listed = [
        "Docker|bookworm|https://download.example/linux/debian/",
        "Debian|oldstable-security|http://deb.example/debian-security/",
        "Debian Backports|oldstable-backports|http://deb.example/backports/",
        "Debian|oldstable|file:/media/cdrom/",
        "Debian|oldstable|http://deb.example/debian/",
        "Debian|oldstable-updates|http://other.example/debian/",
    ]
    assert matrix.mirror("\n".join(listed)) == "http://deb.example/debian/"
    for none in ("", "\n".join(listed[:4])):
        with pytest.raises(matrix.MatrixError, match="no mirror"):
            matrix.mirror(none)


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:  # noqa: ANN401
    """A tree in an empty cache, with a machine that has no mirror, and root for a user."""
    monkeypatch.setattr(matrix, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(matrix, "LOGS", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(matrix, "printed", lambda *_: "")
    return matrix.Tree("trixie")


def complete(folder: Path, days: float) -> None:
    stamp = folder / matrix.STAMP
    stamp.parent.mkdir(parents=True)
    stamp.touch()
    then = time.time() - days * 86400
    os.utime(stamp, (then, then))


def test_an_old_tree_is_used_where_no_new_one_can_be_made(
    tree: Any,  # noqa: ANN401
    capsys: pytest.CaptureFixture[str],
) -> None:
    # What was made of anything else, and what was left half made, is none.
    complete(matrix.CACHE / "trixie-other", 40)
    (matrix.CACHE / "trixie-half").mkdir()
    with pytest.raises(matrix.MatrixError, match="no mirror"):
        tree.prepare()
    complete(tree.root, 40)
    tree.prepare()
    said = capsys.readouterr().out
    assert "no mirror" in said
    assert "The tests run in the trixie of 20" in said
    assert (matrix.CACHE / "trixie-other").exists()


def test_a_tree_is_held_by_who_uses_it(tree: Any) -> None:  # noqa: ANN401
    complete(tree.root, 1)
    assert matrix.unused(tree.root)
    tree.prepare()
    assert not matrix.unused(tree.root)
    # So is one that is too old.
    os.utime(tree.root / matrix.STAMP, (0, 1))
    tree.prepare()
    assert tree.root.exists()


def test_a_new_tree_replaces_those_that_nobody_uses(
    tree: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used, free = matrix.CACHE / "trixie-used", matrix.CACHE / "trixie-free"
    for folder in (used, free, tree.root):
        complete(folder, 40)
    other = matrix.Tree("trixie")
    other.root = used
    os.utime(used / matrix.STAMP)
    other.prepare()
    uri = "Debian|oldstable|http://deb.example/debian/"
    listing = lambda *argv, **_: uri if argv[0] == "apt-get" else "tools/install-slurm"  # noqa: E731
    monkeypatch.setattr(matrix, "printed", listing)

    def run(argv: Sequence[str], *_: object) -> int:
        # Not where others see it, and the checkout is a copy.
        assert str(tree.root).startswith(str(matrix.CACHE / ".trixie"))
        assert str(ROOT) not in argv
        (tree.root / "etc").mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(matrix, "run", run)
    final = tree.root
    tree.prepare()
    assert tree.root == final
    assert time.time() - matrix.made(final) < 3600
    assert sorted(path.name for path in matrix.CACHE.glob("*-*")) == [final.name, used.name]
    assert not matrix.unused(final)
