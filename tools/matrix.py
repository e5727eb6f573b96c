"""Runs the tests on every Slurm and every Python that can be had here, and prints one table.

A cell is one run of ``nox -s tests``: on this machine, or in a root file system of a newer Debian,
which has a newer Slurm. Those are made once, by debootstrap, and kept in the user's cache folder.
All that is mounted for a run is mounted in a mount namespace of its own, which ends with the last
process in it: nothing of it stays, whatever happens.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import findpython
import nox
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "slurmpy-cffi"
LOGS = ROOT / ".nox" / "matrix"
SKIPS = ROOT / "tests" / "skips.toml"

#: Where to find other Debians than this machine's, for the Slurm that they have; the script is the
#: one of debootstrap's that knows how to make it, where this machine's is older than the release.
SUITES = {"trixie": "trixie", "forky": "sid"}
#: forky moves, and what is fetched for it must not be older than the tests' authors remember.
DAYS = 14
#: What a tree has to have before tools/install-slurm can bring the rest.
BASE = "ca-certificates,python3,python3-venv,pypy3,pypy3-venv,pypy3-dev,make"

#: For how many seconds a cell may run, and how many lines of its log are shown if it fails.
TIMEOUT = 1500
TAIL = 60

#: Variables of the environment that a tree has too: how pip and apt reach what they need.
HANDED_ON = re.compile(r"(?i)(pip_.*|.*_proxy|[a-z_]*ca_bundle|ssl_cert_\w+|slurmpy_.*|lang|term)")

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
#: Mounts, and processes, are gone when the command ends or this program is killed.
ALONE = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]

_children: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


class MatrixError(SystemExit):
    """Ends the program with what is missing."""


def run(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> int:
    """Runs a command with its output in a file; all that it has started ends with it."""
    with log.open("ab") as file, _started(command, file, env) as process:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            file.write(f"\nended after {timeout} s\n".encode())
            return 1


@contextlib.contextmanager
def _started(
    command: Sequence[str], file: BinaryIO, env: Mapping[str, str] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which is gone afterwards."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )
    with _lock:
        _children.add(process)
    try:
        yield process
    finally:
        _end(process)
        process.wait()
        with _lock:
            _children.discard(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def end_all(*_: object) -> None:
    """Ends what is under way, and then this program."""
    with _lock:
        for process in _children:
            _end(process)
    os._exit(1)


@dataclasses.dataclass(frozen=True)
class Here:
    """This machine."""

    name = "this machine"

    def prepare(self) -> None:
        """Nothing has to be made."""

    def command(self, _checkout: Path, argv: Sequence[str]) -> list[str]:
        """How a command is run here."""
        return list(argv)

    def environment(self) -> dict[str, str]:
        """The environment of commands."""
        return dict(os.environ)

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


@dataclasses.dataclass(frozen=True)
class Tree:
    """The root file system of a Debian."""

    suite: str

    @property
    def name(self) -> str:
        """What it is called in names of files."""
        return self.suite

    @property
    def root(self) -> Path:
        """Its folder. What it is made of is part of the name, so that a change makes it anew."""
        recipe = (BASE, (ROOT / "tools" / "install-slurm").read_text("utf-8"))
        return CACHE / f"{self.suite}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}"

    def prepare(self) -> None:
        """Makes the tree, unless there is one that is not too old."""
        stamp = self.root / "etc" / "slurmpy-matrix"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < DAYS * 86400:
            return
        log = LOGS / f"{self.suite}.log"
        for old in CACHE.glob(f"{self.suite}-*"):
            shutil.rmtree(old)
        self.root.mkdir(parents=True)
        mirror = _printed("apt-get", "indextargets", "--format", "$(REPO_URI)").split()
        if not mirror:
            msg = (
                "no Debian mirror: `apt-get indextargets` names none, so apt-get update comes first"
            )
            raise MatrixError(msg)
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={BASE}", self.suite]
        script = f"/usr/share/debootstrap/scripts/{SUITES[self.suite]}"
        steps = [
            [*ALONE, "--mount-proc", *bootstrap, str(self.root), mirror[0], script],
            self.command(ROOT, ["/src/tools/install-slurm", "python3", "accounting"]),
            self.command(ROOT, ["python3", "-m", "venv", "/opt/nox"]),
            self.command(ROOT, ["/opt/nox/bin/pip", "install", "--quiet", "nox"]),
        ]
        for step in steps:
            if run(step, log, self.environment() if step is not steps[0] else None):
                msg = f"{self.suite} could not be made: {' '.join(step)}\n{_tail(log)}"
                raise MatrixError(msg)
        stamp.touch()

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


class Cell(NamedTuple):
    """One run of the tests."""

    place: Here | Tree
    python: str
    slurm: str
    name: str
    tier: str

    @property
    def title(self) -> str:
        """What it is called in lists and names of files."""
        return f"{self.slurm}-{self.name}-{self.tier}".replace(" ", "")


class Result(NamedTuple):
    """What came of a cell."""

    cell: Cell
    counts: Counter[str]
    #: Reason to how many tests were skipped for it.
    skips: Counter[str]
    seconds: float
    #: What makes it fail, if it does.
    faults: list[str]


def _printed(*command: str, env: Mapping[str, str] | None = None) -> str:
    """What a command prints."""
    return subprocess.run(
        command, env=env, check=True, capture_output=True, text=True, timeout=120
    ).stdout.strip()


def _tail(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-TAIL:])


VERSION = """
import platform, sys, sysconfig
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
name = platform.python_implementation()
pypy = " " + ".".join(map(str, sys.pypy_version_info[:3])) if name == "PyPy" else ""
print(name + pypy, platform.python_version() + threads)
"""


def cells_of(place: Here | Tree) -> list[Cell]:
    """The cells of a place; on this machine, the slow tests run once for each implementation."""
    env = place.environment()

    def printed(*argv: str) -> str:
        return _printed(*place.command(ROOT, argv), env=env)

    slurm = printed("slurmd", "-V").partition(" ")[2]
    names = {python: printed(python, "-c", VERSION) for python in place.pythons()}
    cells = [Cell(place, python, slurm, name, "functional") for python, name in names.items()]
    if isinstance(place, Here):
        own = [python for python, name in names.items() if name.startswith("CPython")]
        own.sort(key=lambda python: os.path.realpath(python) != os.path.realpath(BASE_PYTHON))
        pypy = [python for python, name in names.items() if name.startswith("PyPy")]
        slow = [*own[:1], *pypy[:1]]
        cells += [Cell(place, python, slurm, names[python], "slow") for python in slow]
    return cells


#: The interpreter behind the virtual environment that this runs in.
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """The files of the checkout in a folder of their own, as a build writes into it."""
    listed = ("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others")
    names = _printed(*listed, "--exclude-standard").split("\0")
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        # Some tests become another user.
        Path(folder).chmod(0o755)
        for name in filter(None, names):
            source, target = ROOT / name, Path(folder, name)
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        yield Path(folder)


def run_cell(cell: Cell, options: argparse.Namespace) -> Result:
    """Runs the tests once, and reads what pytest has said of them."""
    log = LOGS / f"{cell.title}.log"
    log.unlink(missing_ok=True)
    start = time.monotonic()
    with copied() as checkout:
        folder = cell.place.folder(checkout)
        argv = [
            *("-f", f"{folder}/noxfile.py", "-s", "tests", "--force-python", cell.python, "--"),
            *("-m", "slow" if cell.tier == "slow" else "not slow", "-p", "no:cacheprovider"),
            *(f"--numprocesses={options.workers}", "--dist=loadscope"),
            *(f"--junitxml={folder}/results.xml", *options.pytest),
        ]
        python = sys.executable if isinstance(cell.place, Here) else "/opt/nox/bin/python"
        command = cell.place.command(checkout, [python, "-m", "nox", *argv])
        code = run(command, log, cell.place.environment())
        seconds = time.monotonic() - start
        results = checkout / "results.xml"
        if not results.exists():
            return Result(cell, Counter(), Counter(), seconds, ["no test was run", _tail(log)])
        counts, skips = read(results)
    faults = unexpected(cell, skips)
    if code or counts["failed"] or not counts["passed"]:
        faults += [f"pytest ended with {code}", _tail(log)]
    return Result(cell, counts, skips, seconds, faults)


def read(results: Path) -> tuple[Counter[str], Counter[str]]:
    """How many tests passed, failed and were skipped, and for what reasons."""
    counts: Counter[str] = Counter()
    skips: Counter[str] = Counter()
    for test in ET.parse(results).iter("testcase"):  # noqa: S314 - pytest has just written it
        skipped = test.find("skipped")
        if test.find("failure") is not None or test.find("error") is not None:
            counts["failed"] += 1
        elif skipped is not None:
            counts["skipped"] += 1
            skips[skipped.get("message", "")] += 1
        else:
            counts["passed"] += 1
    return counts, skips


def unexpected(cell: Cell, skips: Counter[str]) -> list[str]:
    """The skips that the committed list does not have for this cell."""
    listed = nox.project.load_toml(SKIPS)["skip"]
    title = f"{cell.slurm} {cell.name}"
    allowed = [entry["reason"] for entry in listed if re.search(entry["cells"], title)]
    return [
        f"{count} skipped, which {SKIPS.name} does not have for this cell: {reason}"
        for reason, count in skips.items()
        if not any(re.fullmatch(pattern, reason) for pattern in allowed)
    ]


def table(results: Sequence[Result]) -> Table:
    """All cells, one a row."""
    shown = Table("Slurm", "Python", "tests", "passed", "failed", "skipped", "seconds", "")
    for result in results:
        cell, counts = result.cell, result.counts
        reasons = "\n".join(f"{count} {reason}" for reason, count in result.skips.items())
        numbers = [str(counts[name]) for name in ("passed", "failed")]
        shown.add_row(
            *(cell.slurm, cell.name, cell.tier, *numbers, reasons or "0"),
            *(f"{result.seconds:.0f}", "FAILED" if result.faults else "ok"),
        )
    return shown


def main() -> int:
    """Makes what is missing, runs the cells, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="nox -s matrix --")
    parser.add_argument("--cells", default="", help="a regular expression; see --list for names")
    parser.add_argument("--list", action="store_true", help="print the names of the cells only")
    parser.add_argument("--workers", type=int, default=3, help="processes of pytest in a cell")
    parser.add_argument("--parallel", type=int, default=2, help="how many cells run at once")
    parser.add_argument("pytest", nargs="*", help="more options of pytest, after --")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end_all)
    signal.signal(signal.SIGINT, end_all)
    LOGS.mkdir(parents=True, exist_ok=True)
    places: list[Here | Tree] = [Here()]
    if os.geteuid() == 0:
        places += [Tree(suite) for suite in SUITES]
    else:
        print("Only root can make the trees of other Debians: this machine's Slurm alone.")
    console = Console(width=None if sys.stdout.isatty() else 150)
    with ThreadPoolExecutor(options.parallel) as pool:
        # Trees that are missing come first, side by side: that is mostly waiting.
        list(pool.map(lambda place: place.prepare(), places))
        found = [cell for cells in pool.map(cells_of, places) for cell in cells]
        chosen = [cell for cell in found if re.search(options.cells, cell.title)]
        if options.list or not chosen:
            print(*(cell.title for cell in found), sep="\n")
            return 0 if options.list else 1
        # The longest first.
        chosen.sort(key=lambda cell: (cell.tier != "slow", "PyPy" not in cell.name))
        results = []
        for future in as_completed([pool.submit(run_cell, it, options) for it in chosen]):
            result = future.result()
            head = f"{result.cell.title}: {dict(result.counts)} in {result.seconds:.0f} s"
            print(head, *result.faults, sep="\n", flush=True)
            results.append(result)
    results.sort(key=lambda result: found.index(result.cell))
    console.print(table(results))
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
