"""Living in somebody else's process: interpreters, descriptors, and a Slurm that is another one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import slurmpy
from slurmpy._ffi import MAJOR, MAJORS, lib

if TYPE_CHECKING:
    from collections.abc import Callable

    from slurmpy.testing import LocalCluster

ROOT = Path(__file__).parent.parent
BUILDER = ROOT / "slurmpy" / "_build_ffi.py"
SONAME = f"libslurm.so.{lib.slurm_api_version() >> 16}"
#: The number of another major's.
OTHER = 39 if MAJOR != "23.02" else 40


def python(
    script: str, *args: object, path: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, with this package or the copy of it in another folder."""
    folder = path or Path(slurmpy.__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, args)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), **(env or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# Subinterpreters

#: How a host makes one: as mod_wsgi does (legacy), or with a lock of its own from 3.12 on.
SUBINTERPRETERS = {
    "legacy": """
        def run(code):
            interpreter = make("legacy") if NEW else make(isolated=False)
            made.run_string(interpreter, code)
            made.destroy(interpreter)
        """,
    "isolated": """
        def run(code):
            interpreter = make("isolated") if NEW else make(isolated=True)
            made.run_string(interpreter, code)
            made.destroy(interpreter)
        """,
    "c-api": """
        def run(code):
            import _testcapi
            assert _testcapi.run_in_subinterp(code) == 0
        """,
    "concurrent": """
        def run(code):
            from concurrent import interpreters
            interpreter = interpreters.create()
            interpreter.exec(code)
            interpreter.close()
        """,
}
NEEDS = {
    "legacy": ("_interpreters", "_xxsubinterpreters"),
    "isolated": ("_interpreters", "_xxsubinterpreters"),
    "c-api": ("_testcapi",),
    "concurrent": ("concurrent.interpreters",),
}
INSIDE = """
import os, sys
sys.path[:] = {path!r}
for _ in range(2):
    try:
        import slurmpy
        found = "imported"
    except ImportError as error:
        found = f"ImportError: {{error}}"
    os.write({fd}, (found + "\\n").encode())
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy has no subinterpreters")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", SUBINTERPRETERS)
def test_a_subinterpreter_is_refused(slurm_cluster: LocalCluster, kind: str, first: bool) -> None:
    if not any(find_spec(name) for name in NEEDS[kind]):
        pytest.skip(f"this Python has none of {', '.join(NEEDS[kind])}")
    used = "slurmpy.init(sys.argv[1]); slurmpy.Jobs.load()"
    done = python(
        "import json, os, sys\n"
        + ("try:\n    import _interpreters as made\n" if kind in ("legacy", "isolated") else "")
        + (
            "except ImportError:\n    import _xxsubinterpreters as made\nmake = made.create\n"
            if kind in ("legacy", "isolated")
            else ""
        )
        + "NEW = sys.version_info >= (3, 13)\n"
        + textwrap.dedent(SUBINTERPRETERS[kind])
        + (f"import slurmpy; {used}\n" if first else "")
        + "ends = os.pipe()\n"
        + f"run({INSIDE!r}.format(path=sys.path, fd=ends[1]))\n"
        + "os.close(ends[1])\n"
        + f"import slurmpy; {used}\n"
        + "print(json.dumps([os.read(ends[0], 10000).decode(), slurmpy.Job(1).id]))\n",
        slurm_cluster.conf,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said, job_id = json.loads(done.stdout)
    assert len(said.splitlines()) == 2
    for line in said.splitlines():
        for word in ("ImportError: slurmpy", "subinterpreter", "main interpreter", "mod_wsgi"):
            assert word in line
    assert job_id == 1


# A library that is not the one of the build


#: At the end of the last source, where all the code is that of the real headers.
OTHER_NUMBER = "\n#undef SLURM_VERSION_NUMBER\n#define SLURM_VERSION_NUMBER 0x630b00\n"


@pytest.fixture(scope="module")
def other_headers(build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as if it were compiled with the headers of a Slurm 99.11."""
    folder = tmp_path_factory.mktemp("headers")
    return build(folder, "layout.c", lambda text: text + OTHER_NUMBER)


def loaded_library() -> str:
    """The libslurm that this process has."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return next(line.split()[-1] for line in maps.splitlines() if SONAME in line)


IMPORTING = """
import json
try:
    import slurmpy
except ImportError as error:
    print(json.dumps([type(error).__name__, str(error), str(error.__cause__)]))
"""


@pytest.mark.slow
def test_headers_of_one_major_and_a_library_of_another(other_headers: Path) -> None:
    done = python(IMPORTING, path=other_headers)
    assert (done.returncode, done.stderr) == (0, "")
    kind, said, cause = json.loads(done.stdout)
    assert kind == "ImportError"
    for words in ("headers of Slurm 99.11", f"is of Slurm {MAJOR}", "install slurmpy-cffi again"):
        assert words in said
    assert cause == "None"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "built"),
    [
        (SONAME, f"libslurm.so.{OTHER}", f", Slurm {MAJORS[OTHER - 38]};"),
        (SONAME, "libslurm.so.99", ", Slurm unknown (libslurm.so.99);"),
        ("slurm_suspend2", "slurm_suspendX", ";"),
    ],
    ids=["file", "a file of a major to come", "function"],
)
def test_a_library_that_is_gone(
    tmp_path: Path, other_headers: Path, old: str, new: str, built: str
) -> None:
    """After an upgrade of Slurm there is another file, or another function in it."""
    shutil.copytree(other_headers / "slurmpy", tmp_path / "slurmpy")
    (module,) = (tmp_path / "slurmpy").glob("_slurm*.so")
    compiled = module.read_bytes()
    name = re.compile(rb"(?<=\0)" + re.escape(old.encode()) + rb"(?=\0)")
    assert name.search(compiled)
    assert len(old) == len(new)
    module.write_bytes(name.sub(new.encode(), compiled))
    libraries = tmp_path / "lib"
    libraries.mkdir()
    (libraries / SONAME).symlink_to(loaded_library())
    (libraries / f"{SONAME}~").touch()
    done = python(IMPORTING, path=tmp_path, env={"LD_LIBRARY_PATH": str(libraries)})
    assert (done.returncode, done.stderr) == (0, "")
    kind, said, cause = json.loads(done.stdout)
    assert kind == "ImportError"
    assert new in cause
    for words in (
        f"what it was built with{built} this machine has Slurm ",
        MAJOR,
        "where Slurm was upgraded since, install slurmpy-cffi again",
        new,
    ):
        assert words in said


@pytest.mark.slow
def test_another_library_that_is_too_old(tmp_path: Path, other_headers: Path) -> None:
    """What is amiss with the C library is said as the loader says it: Slurm was not upgraded."""
    shutil.copytree(other_headers / "slurmpy", tmp_path / "slurmpy")
    (module,) = (tmp_path / "slurmpy").glob("_slurm*.so")
    compiled = module.read_bytes()
    # As long as the one that it takes the place of.
    version = max(re.findall(rb"(?<=\0)GLIBC_2\.\d\d(?=\0)", compiled))
    module.write_bytes(compiled.replace(version + b"\0", b"GLIBC_2.99\0"))
    done = python(IMPORTING, path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    kind, said, cause = json.loads(done.stdout)
    assert (kind, cause) == ("ImportError", "None")
    assert "GLIBC_2.99" in said
    assert "install slurmpy-cffi again" not in said


# What Slurm has to say

#: What goes wrong on the way, each with its own words of Slurm's.
FAILURES = """
import json, logging, os, sys, threading, time
import slurmpy

# What the host's descriptors are, seen from another thread while calls are under way.
descriptors, ended = set(), threading.Event()
def watch():
    while not ended.is_set():
        for number in (1, 2):
            state = os.fstat(number)
            descriptors.add((number, state.st_dev, state.st_ino))
        time.sleep(0)
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()

words = []
class Keep(logging.Handler):
    def emit(self, record):
        words.append(record.getMessage())
if sys.argv[2] == "listened to":
    logging.getLogger("slurmpy").addHandler(Keep())

def attempt(call, *args):
    try:
        call(*args)
    except slurmpy.SlurmError as error:
        return str(error)

text = open(sys.argv[1]).read()
socket, = [line.partition("socket=")[2] for line in text.splitlines() if "AuthInfo=" in line]
with open(sys.argv[1] + ".wrong", "w") as file:
    print(text, "Nonsense=1", sep="\\n", file=file)
said = [attempt(slurmpy.init, "/nonexistent.conf"), attempt(slurmpy.init, sys.argv[1] + ".wrong")]
slurmpy.init(sys.argv[1])
said.append(attempt(slurmpy.Job.load, 999999))
job = slurmpy.JobSubmitDescription(script="#!/bin/sh", partitions="nonesuch")
said.append(attempt(job.submit))
os.rename(socket, socket + ".away")
try:
    said.append(attempt(slurmpy.Jobs.load))
finally:
    os.rename(socket + ".away", socket)
slurmpy.fini()
slurmpy.init(sys.argv[1])
slurmpy.Jobs.load()
ended.set()
watcher.join()
assert len(descriptors) == 2, descriptors
with open(sys.argv[3], "w") as file:
    json.dump([said, words], file)
"""


def failures(conf: Path, folder: Path, listened: str, path: Path | None = None) -> tuple[Any, ...]:
    """What goes wrong, what the log has of it, and what the process says itself."""
    own = folder / "slurm.conf"
    shutil.copy(conf, own)
    done = python(FAILURES, own, listened, folder / "answer", path=path)
    assert done.returncode == 0, done.stderr
    said, words = json.loads((folder / "answer").read_text())
    return said, words, done.stdout + done.stderr


@pytest.mark.parametrize("listened", ["listened to", "left alone"])
def test_nothing_is_printed(slurm_cluster: LocalCluster, tmp_path: Path, listened: str) -> None:
    said, words, printed = failures(slurm_cluster.conf, tmp_path, listened)
    assert printed == ""
    missing, wrong, no_job, no_partition, no_munge = said
    assert "No such file" in missing
    assert "Nonsense" in wrong
    assert "ESLURM_INVALID_JOB_ID" in no_job
    assert "ESLURM_INVALID_PARTITION_NAME" in no_partition
    assert "unge" in no_munge
    assert bool(words) is (listened == "listened to")
    assert any("unge" in line for line in words) is bool(words)


@pytest.mark.slow
def test_a_libslurm_that_wants_other_options_is_survived(
    slurm_cluster: LocalCluster, build: Callable[..., Path], tmp_path: Path
) -> None:
    """Its messages stay on stderr: the struct is Slurm's own affair, and no header has it."""
    condition = "#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,2,0)\n\tint logfile_format;"
    path = build(
        tmp_path / "copy",
        "source.c",
        lambda text: text.replace(condition, condition.replace(">=", "<")),
    )
    said, words, printed = failures(slurm_cluster.conf, tmp_path, "listened to", path)
    assert "No such file" in said[0]
    assert "SLURM_PROTOCOL_AUTHENTICATION_ERROR" in said[-1]
    # Said once, though Slurm was made ready twice.
    assert len(words) == 1
    assert "its messages go to stderr" in words[0]
    assert "unge" in printed


#: What befalls the child that tries it, and is none of libslurm's doing. `FAULT` says which.
BEFALLS = {
    'int fd = memfd_create("slurmpy", MFD_CLOEXEC), ended = 0;': (
        'const char *fault = getenv("FAULT") ? getenv("FAULT") : "";'
        'int fd = strcmp(fault, "file") ? memfd_create("slurmpy", MFD_CLOEXEC) : -1, ended = 0;'
    ),
    "\tchild = fork();\n\tif (child == 0) {": (
        '\tchild = strcmp(fault, "fork") ? fork() : -1;\n\tif (child == 0) {'
    ),
    "\t\talarm(5);": (
        "\t\talarm(1);"
        'if (!strcmp(fault, "kill")) kill(getpid(), SIGKILL);'
        'if (!strcmp(fault, "slow")) for (;;) pause();'
    ),
    '\t\tfile = fdopen(fd, "a");': ('\t\tfile = strcmp(fault, "stream") ? fdopen(fd, "a") : NULL;'),
}


@pytest.fixture(scope="module")
def befallen(build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with what can befall the child."""

    def change(text: str) -> str:
        for old, new in BEFALLS.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        return text

    return build(tmp_path_factory.mktemp("befallen"), "source.c", change)


@pytest.mark.slow
@pytest.mark.parametrize("handled", ["SIG_DFL", "SIG_IGN"])
@pytest.mark.parametrize("fault", ["file", "fork", "kill", "slow", "stream"])
def test_what_befalls_the_trial_of_the_messages_is_not_kept(
    slurm_cluster: LocalCluster, befallen: Path, fault: str, handled: str
) -> None:
    """The next time that Slurm is made ready finds that they can be caught."""
    done = python(
        """
        import json, logging, os, signal, sys
        import slurmpy
        words = []
        class Keep(logging.Handler):
            def emit(self, record):
                words.append(record.getMessage())
        logging.getLogger("slurmpy").addHandler(Keep())
        for number in (signal.SIGALRM, signal.SIGCHLD):
            signal.signal(number, getattr(signal, sys.argv[3]))
        found = []
        os.environ["FAULT"] = sys.argv[2]
        for _ in range(2):
            slurmpy.init(sys.argv[1])
            found.append(slurmpy._ffi.lib.slurmpy_catches())
            slurmpy.fini()
            os.environ["FAULT"] = ""
        print(json.dumps([found, words]))
        """,
        slurm_cluster.conf,
        fault,
        handled,
        path=befallen,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [[0, 1], []]


# A controller of another major


@pytest.mark.skipif(
    "SLURMPY_OTHER_CONF" not in os.environ,
    reason="SLURMPY_OTHER_CONF names no slurm.conf of a running cluster with another Slurm",
)
def test_a_controller_of_another_major(slurm_cluster: LocalCluster) -> None:
    """It understands the calls, or refuses each in Slurm's words, and the process goes on."""
    done = python(
        """
        import json, sys, slurmpy

        def attempt(name, call):
            try:
                found = call()
            except slurmpy.RPCError as error:
                said.append([name, [error.name, error.errno, error.msg, str(error)]])
                return None
            said.append([name, None])
            return found

        def load():
            jobs = slurmpy.Jobs.load()
            assert all(job.id == number for number, job in jobs.items())

        def load_one():
            job = slurmpy.Job.load(number)
            assert (job.id, job.name, job.state) == (number, "other", "PENDING")

        rounds = []
        for _ in range(2):
            said = []
            attempt("init", slurmpy.init)
            attempt("Jobs.load", load)
            number = attempt("submit", slurmpy.JobSubmitDescription(
                script="#!/bin/sh", name="other", hold=True, standard_output="/dev/null",
                working_directory="/tmp",
            ).submit) or 1
            attempt("Job.load", load_one)
            attempt("steps", slurmpy.JobSteps.load_all)
            attempt("to_dict", lambda: slurmpy.Job.load(number).to_dict())
            attempt("cancel", lambda: slurmpy.Job(number).cancel())
            slurmpy.fini()
            rounds.append(said)
        # A controller of its own major serves the process yet.
        slurmpy.init(sys.argv[1])
        print(json.dumps([rounds, slurmpy.Jobs.load().clusters()]))
        """,
        slurm_cluster.conf,
        env={"SLURM_CONF": os.environ["SLURMPY_OTHER_CONF"]},
    )
    assert (done.returncode, done.stderr) == (0, "")
    rounds, clusters = json.loads(done.stdout)
    assert clusters == [slurm_cluster.name]
    calls = ["init", "Jobs.load", "submit", "Job.load", "steps", "to_dict", "cancel"]
    for said in rounds:
        assert [name for name, _ in said] == calls
        errors = [error for _, error in said if error]
        # All of it works, or nothing does.
        assert len(errors) in (0, len(calls))
        for name, number, msg, text in errors:
            assert name
            assert msg
            assert text.endswith(f"{msg} [{name}, {number}]")
            assert "Unknown error" not in msg
    assert rounds[0] == rounds[1]
