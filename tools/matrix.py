"""Runs the tests on every Slurm and every Python that can be had here, and prints one table.

A cell is one run of ``nox -s tests``: on this machine, or in a root file system of a newer Debian,
which has a newer Slurm. Those are made once, by debootstrap, and kept in the user's cache folder.
All that is mounted for a run is mounted in a mount namespace of its own, which ends with the last
process in it: nothing of it stays, whatever happens.

What this program starts ends with it, even where it is killed, and what it has copied goes.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import fcntl
import functools
import hashlib
import io
import itertools
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from queue import PriorityQueue
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Union

import findpython
import nox
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "slurmpy-cffi"
LOGS = ROOT / ".nox" / "cells"
SKIPS = ROOT / "tests" / "skips.toml"

#: Other Debians than this machine's, for the Slurm that they have; and the script of debootstrap's
#: that knows how to make it, where this machine's is older than the release.
SUITES = {"trixie": ("24.11", "trixie"), "forky": ("26.05", "sid")}
IMPLEMENTATIONS = ("CPython", "PyPy")
#: forky moves, and what is fetched for it must not be older than the tests' authors remember.
DAYS = 14
#: What a tree has to have before tools/install-slurm can bring the rest.
BASE = "ca-certificates,python3,python3-venv,pypy3,pypy3-venv,pypy3-dev,make"
NOX = "nox[uv]"

#: For how many seconds a command may run, and how many lines of its log are shown if it fails.
TIMEOUT = 2400
TAIL = 60

#: Variables of the environment that a tree has too: how pip and apt reach what they need.
HANDED_ON = re.compile(
    r"(?i)((pip|uv)_.*|.*_proxy|[a-z_]*ca_bundle|ssl_cert_\w+|slurmpy_.*|lang|term)"
)

# Runs in a mount namespace of its own: the tree is $1, a checkout that is seen as /src is $2. With
# what reaches the network, as on this machine.
ENTER = """
set -e
tree=$1 checkout=$2
shift 2
# Not chroot: below that, nobody can have the namespaces that some tests make.
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
mkdir -p "$tree/src" "$checkout/.tmp"
chmod 1777 "$checkout/.tmp"
mount --bind "$checkout" "$tree/src"
mount --bind "$checkout/.tmp" "$tree/tmp"
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then
        [ -e "$tree$file" ] || touch "$tree$file"
        mount --bind "$file" "$tree$file"
    fi
done
mkdir -p "$tree/.outside"
cd "$tree"
pivot_root . .outside
cd /
umount --lazy /.outside
# Not exec: the first process of a namespace has to reap what others leave.
"$@"
exit $?
"""
#: Mounts, and processes, are gone when the command ends or is killed.
ALONE = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]

#: Stands in front of every command: ends it, and what it has started, after some seconds or when
#: this program is gone. That is when nobody has the other end of a pipe any more, which this
#: program has alone; the kernel sees to it even for SIGKILL.
WATCHER = """
import os, select, signal, subprocess, sys, threading
alive, seconds = int(sys.argv[1]), float(sys.argv[2])
process = subprocess.Popen(sys.argv[3:], start_new_session=True)
def watch():
    if not select.select([alive], [], [], seconds)[0]:
        print(f"ended after {seconds:.0f} s", file=sys.stderr, flush=True)
    os.killpg(process.pid, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
os.killpg(process.pid, signal.SIGKILL)
code = process.wait()
sys.exit(code if code >= 0 else 128 - code)
"""
#: Removes a folder when this program and all watchers are gone. What was killed may still be on its
#: way out, and writing.
JANITOR = """
import os, shutil, sys, time
sys.stdin.buffer.read()
for _ in range(100):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    time.sleep(0.1)
"""
ISOLATED = [sys.executable, "-I", "-S", "-c"]
_watched, _write = os.pipe()
#: What only this program has, and what the watchers have as well.
ALIVE = os.fdopen(_write, "wb", buffering=0)
_janitor_reads, BUSY = os.pipe()


#: Which tests each tier has, as pytest's marks. Each cell draws some examples of those that are
#: endless, and others than its neighbours; `make test` draws more.
TIERS = {
    "functional": ("-m", "not slow and not long and not once", "--hypothesis-profile=cell"),
    "slow": ("-m", "slow or long"),
    "long": ("-m", "long"),
}
#: What `make test` runs of them: all but those that are long.
MAKE_TEST = "make test"


class MatrixError(Exception):
    """Something that a cell needs is missing."""


def started(
    command: Sequence[str],
    log: int,
    env: Mapping[str, str] | None,
    timeout: float,
    errors: int = subprocess.STDOUT,
) -> subprocess.CompletedProcess[bytes]:
    """A command that has run; all that it has started ended with it."""
    return subprocess.run(
        [*ISOLATED, WATCHER, str(_watched), str(timeout), *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=errors,
        env=env,
        pass_fds=[_watched, BUSY],
        start_new_session=True,
        check=False,
    )


def run(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> int:
    """Runs a command with its output in a file."""
    with log.open("ab") as file:
        return started(command, file.fileno(), env, timeout).returncode


def printed(*command: str, env: Mapping[str, str] | None = None) -> str:
    """What a command prints."""
    pipe = subprocess.PIPE
    done = started(command, pipe, env, 120, pipe)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace")
        raise MatrixError(f"`{' '.join(command[-3:])}` ended with {done.returncode}: {said}")
    return done.stdout.decode().strip()


@contextlib.contextmanager
def below_one_folder() -> Iterator[None]:
    """All temporary folders of this program are below one, which goes with it."""
    folder = tempfile.mkdtemp(prefix="matrix-")
    janitor = [*ISOLATED, JANITOR, folder]
    with subprocess.Popen(janitor, stdin=_janitor_reads, start_new_session=True):
        # Some tests become another user.
        Path(folder).chmod(0o755)
        tempfile.tempdir = folder
        try:
            yield
        finally:
            ALIVE.close()
            os.close(BUSY)


def end(number: int, _frame: FrameType | None) -> NoReturn:
    """Ends what is under way, and then this program."""
    ALIVE.close()
    sys.exit(128 + number)


class Here:
    """This machine, with the Slurm of SLURM_PREFIX, or of the PATH."""

    #: Which Slurm is expected, if it has to be one, and which tests.
    major = ""
    tiers = ("functional", "slow")
    prefix = os.environ.get("SLURM_PREFIX")
    slurmd = f"{prefix}/sbin/slurmd" if prefix else "slurmd"

    def prepare(self) -> None:
        """Nothing has to be made."""

    def command(self, _checkout: Path, argv: Sequence[str]) -> list[str]:
        """How a command is run here."""
        return list(argv)

    def environment(self) -> dict[str, str]:
        """The environment of commands; they may keep what they have compiled, in their copies."""
        left = {"PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS"}
        return {name: text for name, text in os.environ.items() if name not in left}

    def folder(self, checkout: Path) -> Path:
        """Where commands see a checkout."""
        return checkout

    def pythons(self) -> list[str]:
        """The interpreters that are tested: the newest of each version, and PyPy."""
        found: dict[str, str] = {}
        for python in findpython.find_all(allow_prereleases=True):
            version, path = python.version, str(python.executable)
            kind = python.implementation.lower()
            name = f"{kind}{version.major}.{version.minor}{'t' if python.freethreaded else ''}"
            if kind in {"cpython", "pypy"} and (version.major, version.minor) >= (3, 9):
                found.setdefault(name, path)
        return list(found.values())


class Tree:
    """The root file system of a Debian, which programs that use it hold a lock on."""

    tiers = ("functional",)
    slurmd = "slurmd"

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.major, self.script = SUITES[suite]
        # What it is made of is part of the name, so that a change makes it anew.
        recipe = (BASE, NOX, (ROOT / "tools" / "install-slurm").read_text("utf-8"))
        self.root = CACHE / f"{suite}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}"

    def prepare(self) -> None:
        """Makes the tree, unless there is one that is not too old; it is held until the end."""
        if os.geteuid():
            raise MatrixError("only root can make and enter the trees of other Debians")
        CACHE.mkdir(parents=True, exist_ok=True)
        with locked(CACHE / f"{self.suite}.lock"):
            if not 0 <= time.time() - made(self.root) < DAYS * 86400:
                try:
                    self.make()
                except Exception as error:
                    if not made(self.root):
                        raise
                    since = time.strftime("%Y-%m-%d", time.gmtime(made(self.root)))
                    print(f"{error}\nThe tests run in the {self.suite} of {since}", flush=True)
            fcntl.flock(os.open(self.root, os.O_RDONLY), fcntl.LOCK_SH)

    def make(self) -> None:
        """Makes the tree anew, and removes older ones that nobody uses."""
        if self.root.exists() and not unused(self.root):
            raise MatrixError(f"{self.suite} is too old, but in use")
        print(f"Making a Debian {self.suite}, for its Slurm: some minutes", flush=True)
        uris = "$(ORIGIN)|$(SUITE)|$(REPO_URI)"
        uri = mirror(printed("apt-get", "indextargets", "--format", uris, "Created-By: Packages"))
        log = LOGS / f"{self.suite}.log"
        final, self.root = self.root, CACHE / f".{self.suite}"
        try:
            # What one that failed or was killed has left.
            if self.root.exists():
                shutil.rmtree(self.root)
            self.root.mkdir()
            log.unlink(missing_ok=True)
            bootstrap = ["debootstrap", "--variant=minbase", f"--include={BASE}", self.suite]
            script = f"/usr/share/debootstrap/scripts/{self.script}"
            with copied() as checkout:
                steps = [
                    [*ALONE, "--mount-proc", *bootstrap, str(self.root), uri, script],
                    self.command(checkout, ["/src/tools/install-slurm", "python3", "accounting"]),
                    self.command(checkout, ["python3", "-m", "venv", "/opt/nox"]),
                    self.command(checkout, ["/opt/nox/bin/pip", "install", "--quiet", NOX]),
                ]
                for step in steps:
                    if run(step, log, self.environment() if step is not steps[0] else None):
                        raise MatrixError(f"{self.suite} could not be made\n{tail(log)}")
            (self.root / STAMP).touch()
            for old in filter(unused, CACHE.glob(f"{self.suite}-*")):
                shutil.rmtree(old)
            self.root.rename(final)
        finally:
            self.root = final

    def command(self, checkout: Path, argv: Sequence[str]) -> list[str]:
        """How a command is run in it."""
        return [*ALONE, "bash", "-c", ENTER, "enter", str(self.root), str(checkout), *argv]

    def environment(self) -> dict[str, str]:
        """The environment of commands: a plain one, but for what reaches the network."""
        handed_on = {name: text for name, text in os.environ.items() if HANDED_ON.fullmatch(name)}
        # A folder of this machine, which the tree does not have.
        handed_on.pop("PIP_FIND_LINKS", None)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {**handed_on, "PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8"}

    def folder(self, _checkout: Path) -> Path:
        """Where commands see a checkout."""
        return Path("/src")

    def pythons(self) -> list[str]:
        """The interpreters that are tested."""
        return ["/usr/bin/python3", "/usr/bin/pypy3"]


Place = Union[Here, Tree]
#: The file of a tree that tells that it is complete, and since when.
STAMP = Path("etc", "slurmpy-matrix")


def made(tree: Path) -> float:
    """When a tree was made, or 0 where it is not complete."""
    stamp = tree / STAMP
    return stamp.stat().st_mtime if stamp.exists() else 0


def unused(tree: Path) -> bool:
    """Whether no program holds a tree; none can take it while the suite is locked."""
    descriptor = os.open(tree, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One program at a time; others wait."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if ALIVE.closed:
                    raise MatrixError("ended while waiting") from None
                time.sleep(1)
        yield


def mirror(listed: str) -> str:
    """Debian's own repository among those of apt, from lines of origin, suite and address."""
    for line in listed.splitlines():
        origin, suite, uri = line.split("|")
        if origin == "Debian" and "security" not in suite and uri.startswith("http"):
            return uri
    raise MatrixError("apt knows no mirror of Debian's, or `apt-get update` was never run")


class Cell(NamedTuple):
    """One run of the tests."""

    place: Place
    python: str
    slurm: str
    name: str
    tier: str

    @property
    def title(self) -> str:
        """What it is called in lists and names of files."""
        return f"{self.slurm}-{self.name}-{self.tier}".replace(" ", "-")


#: How many tests of a file there are, as pytest lists them.
COLLECTED = re.compile(r"(?m)^\S+\.py: (\d+)$")


#: So many tests of a cell are run again, by themselves, where nothing worse has happened.
FEW = 3
WORSE = re.compile(
    r"crashed while running|node down|from pytest-timeout|INTERNALERROR|Fatal Python error"
)


#: What these have to find comes by chance, or of all that was done before: it would be gone the
#: second time.
BY_CHANCE = re.compile(r"\btest_(threads|memory_lifetimes|soak)\b|::\w*(thread|fork|memory|malloc)")


class Result(NamedTuple):
    """What came of a cell."""

    cell: Cell
    counts: Counter[str]
    #: Reason to how many tests were skipped for it.
    skips: Counter[str]
    seconds: float
    #: What makes it fail, if it does.
    faults: list[str]
    missing: bool = False
    #: The tests that failed beside other cells, and passed by themselves.
    again: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What the table says of it."""
        if self.missing or self.faults:
            return "MISSING" if self.missing else "FAILED"
        return f"ok, {len(self.again)} again" if self.again else "ok"


class Found(NamedTuple):
    """What a place has."""

    cells: list[Cell]
    #: Those that are expected and that it does not have.
    missing: list[Result]


def tail(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-TAIL:])


VERSION = """
import platform, sys, sysconfig
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
name = platform.python_implementation()
pypy = " " + ".".join(map(str, sys.pypy_version_info[:3])) if name == "PyPy" else ""
print(name + pypy, platform.python_version() + threads)
"""


def cells_of(place: Place) -> Found:
    """The cells of a place; on this machine, the slow tests run once for each implementation."""
    slurm, names, faults = place.major or "unknown", {}, []
    try:
        place.prepare()
        with temporary() as nothing:
            slurm = ask(place, nothing, place.slurmd, "-V").partition(" ")[2]
            for python in place.pythons():
                try:
                    names[python] = ask(place, nothing, python, "-c", VERSION)
                except MatrixError as error:  # noqa: PERF203 - the others go on
                    faults.append(str(error))
    except Exception:  # noqa: BLE001 - the others go on
        faults.append(traceback.format_exc())
    cells = [Cell(place, python, slurm, name, "functional") for python, name in names.items()]
    if "slow" in place.tiers:
        # The interpreter that this runs in comes before others.
        known = sorted(names, key=lambda it: os.path.realpath(it) != os.path.realpath(BASE_PYTHON))
        for kind in IMPLEMENTATIONS:
            slow = [python for python in known if names[python].startswith(kind)][:1]
            cells += [Cell(place, python, slurm, names[python], "slow") for python in slow]
    return Found(cells, missing(place, slurm, cells, faults))


class Tested(NamedTuple):
    """What `make test` has run."""

    counts: Counter[str]
    skips: Counter[str]
    seconds: float
    python: str
    slurm: str


def tested(results: Path) -> Tested:
    """What the last `make test` has run, if that was all of it, and of the files as they are."""
    try:
        suite = next(ET.parse(results).iter("testsuite"))  # noqa: S314 - pytest has written it
    except (OSError, ET.ParseError, StopIteration) as error:
        raise MatrixError(f"no results of `make test` are in {results}: {error!r}") from error
    told = {it.get("name"): it.get("value", "") for it in suite.iter("property")}
    if (told.get("exit"), told.get("tests")) != ("0", "not long"):
        raise MatrixError(
            f"{results} is not of a `make test` that has run and passed all its tests"
        )
    # From the beginning: what has changed since may have been tested, or not.
    begun = datetime.fromisoformat(suite.get("timestamp", "")).timestamp()
    newer = [it for it in listed() if mtime(ROOT / it) > begun]
    if newer:
        raise MatrixError(f"{results} is older than {newer[0]}: run `make test`")
    counts, skips = read(results)
    return Tested(counts, skips, float(suite.get("time", 0)), told["python"], told["slurm"])


def mtime(path: Path) -> float:
    """When a file was written; later than all where it is gone."""
    return path.stat().st_mtime if path.exists() else math.inf


def without(cells: Sequence[Cell], done: Tested) -> tuple[list[Cell], Result]:
    """What is left for the interpreter that `make test` has run in, and a row for what has run."""
    own = [
        cell
        for cell in cells
        if (os.path.realpath(cell.python), cell.slurm) == (done.python, done.slurm)
    ]
    left = [it for it in cells if it not in own]
    if not own:
        cell = Cell(Here(), done.python, done.slurm, "CPython", MAKE_TEST)
        faults = [f"{done.python} is not among the interpreters that were found"]
        return left, Result(cell, Counter(), Counter(), 0, faults, missing=True)
    left.append(own[0]._replace(tier="long"))
    cell = own[0]._replace(tier=MAKE_TEST)
    faults = faults_of(cell, done.counts, done.skips)
    return left, Result(cell, done.counts, done.skips, done.seconds, faults)


def ask(place: Place, checkout: Path, *argv: str) -> str:
    """What a command prints in a place."""
    return printed(*place.command(checkout, argv), env=place.environment())


def missing(place: Place, slurm: str, cells: Sequence[Cell], faults: Sequence[str]) -> list[Result]:
    """A row for each cell that is expected of a place, and that it does not have."""
    if not slurm.startswith(place.major):
        faults = [*faults, f"there is Slurm {slurm} instead"]
        slurm = place.major
    rows = []
    for kind in IMPLEMENTATIONS:
        for tier in place.tiers:
            cell = Cell(place, "", slurm, kind, tier)
            if not any(
                (it.slurm, it.name.split()[0], it.tier) == (slurm, kind, tier) for it in cells
            ):
                reasons = [*faults] or [f"no {kind} was found"]
                rows.append(Result(cell, Counter(), Counter(), 0, reasons, missing=True))
    return rows


#: The interpreter behind the virtual environment that this runs in.
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """An empty folder, which others can enter: some tests become another user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        # What is left because somebody still writes to it goes in the end.
        shutil.rmtree(folder, ignore_errors=True)


def listed() -> list[str]:
    """The files of the checkout, but for those that git ignores."""
    command = ("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others")
    return [name for name in printed(*command, "--exclude-standard").split("\0") if name]


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """The files of the checkout in a folder of their own, as a build writes into it."""
    with temporary() as folder:
        for name in listed():
            source, target = ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        yield folder


def result_of(cell: Cell, options: argparse.Namespace) -> Result:
    """Runs a cell; whatever goes wrong is a fault of this one."""
    start = time.monotonic()
    try:
        return run_cell(cell, options)
    except Exception:  # noqa: BLE001 - the others go on
        seconds = time.monotonic() - start
        return Result(cell, Counter(), Counter(), seconds, [traceback.format_exc()])


def run_cell(cell: Cell, options: argparse.Namespace) -> Result:
    """Runs the tests once, and reads what pytest has said of them."""
    log = LOGS / f"{cell.title}.log"
    log.unlink(missing_ok=True)
    start = time.monotonic()
    with copied() as checkout:
        folder = cell.place.folder(checkout)
        session = ("-f", f"{folder}/noxfile.py", "-s", "tests", "--force-python", cell.python)
        # A test has less of the machine than by itself.
        chosen = (*TIERS[cell.tier], "-o", "timeout=300", *options.pytest)
        parallel = (f"--numprocesses={options.workers}", "--dist=loadscope")
        python = sys.executable if isinstance(cell.place, Here) else "/opt/nox/bin/python"
        steps = [
            # Counts the tests, and compiles them, which each process would do for itself.
            (*session, "--", *chosen, "--collect-only", "-qq"),
            (*session, "-R", "--", *chosen, *parallel, f"--junitxml={folder}/results.xml"),
        ]

        def nox_run(step: Sequence[str]) -> int:
            command = cell.place.command(checkout, [python, "-m", "nox", *step])
            left = max(0, options.timeout + start - time.monotonic())
            return run(command, log, cell.place.environment(), left)

        code = nox_run(steps[0]) or nox_run(steps[1])
        results, again = checkout / "results.xml", checkout / "again.xml"
        if not results.exists():
            seconds = time.monotonic() - start
            return Result(cell, Counter(), Counter(), seconds, ["no test was run", tail(log)])
        counts, skips = read(results)
        text = log.read_text("utf-8", "replace")
        collected, ran = sum(map(int, COLLECTED.findall(text))), sum(counts.values())
        names: tuple[str, ...] = ()
        wanted = outcomes(results).get("failed", [])
        by_chance = any(map(BY_CHANCE.search, wanted))
        if code and 0 < len(wanted) <= FEW and not by_chance and not WORSE.search(text):
            failed = ("--last-failed", "--last-failed-no-failures=none")
            code = nox_run(
                (*session, "-R", "--", *chosen, *failed, f"--junitxml={folder}/again.xml")
            )
            if not code and again.exists() and outcomes(again) == {"passed": wanted}:
                names = tuple(wanted)
                counts += Counter(passed=counts["failed"])
                del counts["failed"]
        seconds = time.monotonic() - start
    faults = faults_of(cell, counts, skips)
    if not collected or ran < collected:
        faults.append(f"{ran} of {collected} tests ran")
    if code or faults:
        faults += [f"pytest ended with {code}", tail(log)]
    return Result(cell, counts, skips, seconds, faults, again=names)


def faults_of(cell: Cell, counts: Mapping[str, int], skips: Mapping[str, int]) -> list[str]:
    """What is wrong with the results of a cell."""
    failed = [f"{counts['failed']} failed"] if counts["failed"] else []
    none = [] if counts["passed"] else ["no test has passed"]
    return [*unexpected(cell, skips), *failed, *none]


def outcome(test: ET.Element) -> str:
    """Whether a test has passed, failed or was skipped."""
    if test.find("failure") is not None or test.find("error") is not None:
        return "failed"
    return "passed" if test.find("skipped") is None else "skipped"


def outcomes(results: Path) -> dict[str, list[str]]:
    """Which tests passed, failed and were skipped."""
    found: dict[str, list[str]] = {}
    for test in ET.parse(results).iter("testcase"):  # noqa: S314 - pytest has just written it
        name = f"{test.get('classname')}::{test.get('name')}"
        found.setdefault(outcome(test), []).append(name)
    return {kind: sorted(names) for kind, names in found.items()}


def read(results: Path) -> tuple[Counter[str], Counter[str]]:
    """How many tests passed, failed and were skipped, and for what reasons."""
    counts: Counter[str] = Counter()
    skips: Counter[str] = Counter()
    for test in ET.parse(results).iter("testcase"):  # noqa: S314 - pytest has just written it
        counts[outcome(test)] += 1
        skipped = test.find("skipped")
        if skipped is not None and outcome(test) == "skipped":
            reason = skipped.get("message", "")
            if reason == "collection skipped":
                # A whole module: file, line and reason, as Python writes a tuple.
                reason = ast.literal_eval(skipped.text or "")[2].removeprefix("Skipped: ")
            skips[reason] += 1
    return counts, skips


def listed_for(cell: Cell) -> list[str]:
    """The reasons that the committed list has for a cell."""
    entries = nox.project.load_toml(SKIPS)["skip"]
    title = f"{cell.slurm} {cell.name} {cell.tier}"
    return [
        reason
        for entry in entries
        if re.search(entry["cells"], title)
        for reason in entry["reasons"]
    ]


def unexpected(cell: Cell, skips: Mapping[str, int]) -> list[str]:
    """The skips that the committed list does not have for this cell."""
    patterns = listed_for(cell)
    return [
        f"{count} skipped, which {SKIPS.name} does not have for this cell: {reason}"
        for reason, count in skips.items()
        if not any(re.fullmatch(pattern, reason) for pattern in patterns)
    ]


def unneeded(results: Sequence[Result]) -> list[str]:
    """The reasons on the list that none of these cells had, though it is for one of them."""
    ran = [result for result in results if result.counts]
    had = {reason for result in ran for reason in result.skips}
    patterns = dict.fromkeys(pattern for result in ran for pattern in listed_for(result.cell))
    return [it for it in patterns if not any(re.fullmatch(it, reason) for reason in had)]


def table(results: Sequence[Result], kind: box.Box) -> tuple[Table, str]:
    """All cells, one a row, and the reasons for what was skipped, by their number in the table."""
    numbers: dict[str, int] = {}
    shown = Table("Slurm", "Python", "tests", "passed", "failed", "skipped", "s", "", box=kind)
    for result in results:
        cell, counts = result.cell, result.counts
        reasons = [
            f"{count} [{numbers.setdefault(reason, len(numbers) + 1)}]"
            for reason, count in sorted(result.skips.items())
        ]
        shown.add_row(
            *(cell.slurm, cell.name, cell.tier, str(counts["passed"]), str(counts["failed"])),
            ", ".join(reasons) or "0",
            *(f"{result.seconds:.0f}", result.state),
        )
    again = [f"- again: {name}, {it.cell.title}" for it in results for name in it.again]
    skips = [f"- [{number}] {reason}" for reason, number in numbers.items()]
    return shown, "\n".join([*again, *skips])


def show(results: Sequence[Result], options: argparse.Namespace) -> None:
    """Prints the table, and writes it as Markdown."""
    plain = functools.partial(Console, markup=False, highlight=False, emoji=False)
    console = plain(width=None if sys.stdout.isatty() else 100)
    console.print(*table(results, box.ASCII2), sep="\n")
    # A row of Markdown is one line, however long.
    text = io.StringIO()
    plain(width=1000, file=text).print(*table(results, box.MARKDOWN), sep="\n")
    lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
    (LOGS / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    # Some tests only tell nothing of the others' skips.
    for pattern in [] if options.pytest else unneeded(results):
        print(f"Note: no test was skipped for what {SKIPS.name} lists: {pattern}")


def main() -> int:
    """Makes what is missing, runs the cells, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="nox -s matrix --")
    parser.add_argument("--cells", default="", help="a regular expression; see --list for names")
    parser.add_argument("--list", action="store_true", help="print the names of the cells only")
    parser.add_argument("--workers", type=int, default=2, help="processes of pytest in a cell")
    parser.add_argument("--parallel", type=int, default=3, help="how many cells run at once")
    row = "take what `make test` has left in .nox/tests.xml as a row, and run the rest"
    parser.add_argument("--tested", type=Path, metavar="XML", help=row)
    parser.add_argument("pytest", nargs="*", help="more options of pytest, after --")
    parser.add_argument("--timeout", type=int, default=TIMEOUT, help="seconds that a cell may take")
    options = parser.parse_args()
    try:
        re.compile(options.cells)
        options.tested = options.tested and tested(options.tested)
    except (re.error, MatrixError) as error:
        parser.error(str(error))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    LOGS.mkdir(parents=True, exist_ok=True)
    with below_one_folder(), ThreadPoolExecutor(options.parallel) as pool:
        try:
            return work(pool, options)
        except BaseException:
            # The pool waits for its cells.
            ALIVE.close()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def work(pool: ThreadPoolExecutor, options: argparse.Namespace) -> int:
    """Finds the cells, and runs those that were chosen."""
    places: list[Place] = [Here(), *map(Tree, SUITES)]
    # The longest first.
    waiting: PriorityQueue[tuple[bool, bool, int, Cell]] = PriorityQueue()
    count = itertools.count()

    def run_longest() -> Result:
        *_, cell = waiting.get()
        result = result_of(cell, options)
        head = f"{cell.title}: {dict(result.counts)} in {result.seconds:.0f} s"
        again = [f"passed when it was run again: {name}" for name in result.again]
        print("\n".join([head, *again, *result.faults]), flush=True)
        return result

    def look(place: Place) -> tuple[list[Cell], list[Result], list[Future[Result]]]:
        cells, rows = cells_of(place)
        if options.tested and isinstance(place, Here):
            cells, row = without(cells, options.tested)
            rows = [*rows, row]
        if options.list:
            return cells, rows, []
        chosen = [it for it in cells if re.search(options.cells, it.title)]
        for it in chosen:
            waiting.put((it.tier == "functional", "PyPy" not in it.name, next(count), it))
        return cells, rows, [pool.submit(run_longest) for _ in chosen]

    # A tree that has to be made is no reason for the others to wait.
    with ThreadPoolExecutor(len(places)) as looking:
        looked = list(looking.map(look, places))
    cells = [cell for found, _, _ in looked for cell in found]
    rows = [row for _, found, _ in looked for row in found]
    if options.list:
        print(*(cell.title for cell in cells), sep="\n")
        print(*(f"{row.cell.title} {row.state}: {row.faults}" for row in rows), sep="\n", end="")
        return 0
    results = [row for row in rows if re.search(options.cells, row.cell.title)]
    for row in results:
        print(f"{row.cell.title}: {row.state}", *row.faults, sep="\n", flush=True)
    results += [future.result() for _, _, futures in looked for future in futures]
    if not results:
        print("No cell has such a name; --list names all.")
        return 1
    order = [*cells, *(row.cell for row in rows)]
    results.sort(key=lambda result: order.index(result.cell))
    show(results, options)
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
