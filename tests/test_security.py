"""No shell, no secret in a text, and nothing of a test cluster that is open to others."""

from __future__ import annotations

import ast
import logging
import re
import stat
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import JobSubmitDescription

if TYPE_CHECKING:
    from slurmpy.testing import LocalCluster

ROOT = Path(__file__).parent.parent
PACKAGE = Path(slurmpy.__file__).parent
MARK = "hunter2-c0rrect-h0rse"

# No shell


@pytest.mark.parametrize(
    "path",
    [*sorted(PACKAGE.rglob("*.py")), ROOT / "pytest_slurmpy.py"],
    ids=lambda path: path.name,
)
def test_the_package_has_no_call_of_a_shell(path: Path) -> None:
    calls = re.compile(r"os\.(system|popen)|subprocess\.(getoutput|getstatusoutput)|pty\.spawn")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        assert not calls.fullmatch(ast.unparse(node.func)), f"{path}:{node.lineno}"
        for keyword in node.keywords:
            assert keyword.arg != "shell", f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", sorted((ROOT / "cdefs").glob("*.c")), ids=lambda path: path.name)
def test_the_compiled_code_executes_nothing(path: Path) -> None:
    calls = r"\b(system|popen|wordexp|execl|execlp|execle|execv|execve|execvp|posix_spawnp?)\s*\("
    assert not re.search(calls, path.read_text(encoding="utf-8"))


#: What the interpreter reports of every way to start a program.
WATCH = """
import json, os, sys
started = []
KINDS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
def watch(event, args):
    if event in KINDS:
        started.append([event, str(args[0]), [os.fsdecode(arg) for arg in args[1]]])
sys.addaudithook(watch)
"""

CALLS = """
import slurmpy
slurmpy.init(sys.argv[1])
job = slurmpy.JobSubmitDescription(
    name="$(touch here)", script="#!/bin/sh\\n", script_args=["; touch here"], hold=True,
    environment={"PATH": "/usr/bin:/bin", "A": "`touch here`"}, standard_output="/dev/null",
    working_directory="/tmp", comment="| touch here",
)
slurmpy.JobSubmitDescription(script="#!/bin/sh", name="; touch here").to_sbatch()
job.dry_run()
found = slurmpy.Job.load(job.submit())
found.to_dict(), found.steps, found.get_batch_script()
found.load_stats()
found.modify(slurmpy.JobSubmitDescription(comment="& touch here"))
found.release()
jobs = slurmpy.Jobs.load()
jobs.reload()
jobs.to_dict()
jobs.load_steps()
jobs.load_stats()
found.cancel()
slurmpy.fini()
print(json.dumps(started))
"""


def watched(script: str, *args: object, env: dict[str, str] | None = None) -> list[list[Any]]:
    """The programs that a script starts."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", WATCH + textwrap.dedent(script), *map(str, args)],
        env=env,
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_no_call_starts_a_program(slurm_cluster: LocalCluster) -> None:
    assert watched(CALLS, slurm_cluster.conf, env=slurm_cluster.env) == []


def test_the_watch_sees_programs() -> None:
    script = """
    import subprocess
    os.system("true")
    subprocess.run(["true"])
    print(json.dumps(started))
    """
    found = watched(script.replace('os.system("true")', 'subprocess.run("true", shell=True)'))
    assert [kind for kind, *_ in found].count("subprocess.Popen") == 2
    # Some Pythons report both the call and what it comes to.
    assert shells(found) in (1, 2)


def shells(started: list[list[Any]]) -> int:
    """How many of the programs are shells that are given a line to interpret."""
    names = {"sh", "bash", "dash", "ksh", "zsh", "csh"}
    return sum(
        bool({Path(program).name, Path(argv[0]).name} & names) and "-c" in argv
        for _, program, argv in started
    )


@pytest.mark.slow
def test_a_cluster_starts_no_shell() -> None:
    """Neither here nor in the guardian, which starts the daemons."""
    started = watched(
        """
        from slurmpy.testing import LocalCluster
        with LocalCluster(nodes=1, cpus=1, memory=100, accounting=True) as cluster:
            cluster.run("scontrol", "ping")
            daemons = {name: ["", argv[0], argv] for name, argv in cluster._commands.items()}
            assert set(cluster.daemons) == set(daemons)
        print(json.dumps([*started, *daemons.values()]))
        """
    )
    assert len(started) > 5
    assert shells(started) == 0


# Nothing in a text that others read

SCRIPT = f"#!/bin/sh\n# {MARK}\nsleep 100\n"
GIVEN: dict[str, Any] = {
    "script": SCRIPT,
    "script_args": [MARK],
    "environment": {"PASSWORD": MARK},
    "working_directory": "/tmp",  # noqa: S108 - of the job, which has no file there
    "standard_output": "/dev/null",
}


@pytest.fixture
def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is kept here is looked at in the end, with all that was logged."""
    caplog.set_level(logging.DEBUG)
    return []


@pytest.mark.parametrize(
    "wrong",
    [
        {"partitions": "nonesuch"},
        {"memory_per_node": "9T"},
        {"script": SCRIPT + "\0"},
        {"script": SCRIPT.replace("\n", "\r\n")},
        {"script": SCRIPT[2:]},
        {"script": SCRIPT.encode()},
        {"script": [SCRIPT]},
        {"script_args": f"'{MARK}"},
        {"script_args": [MARK + "\0"]},
        {"script_args": {"a": MARK}},
        {"environment": {"PASSWORD": MARK + "\0"}},
        {"environment": {"PASS=WORD": MARK}},
        {"environment": {"PASSWORD": [MARK]}},
        {"environment": f"PASSWORD=correct,{MARK}"},
        {"environment": ["PASSWORD=correct", MARK]},
        {"environment": f"PASSWORD='{MARK},x"},
        {"environment": ["PASSWORD=1", f"it's {MARK}"]},
        {"environment": f"PASSWORD=correct,it's {MARK}'"},
        {"ntasks": "many"},
        {"begin_time": "never"},
        {"dependencies": "sometimes:1"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
@pytest.mark.usefixtures("slurm_cluster")
def test_no_error_shows_what_may_be_secret(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    description = JobSubmitDescription(**{**GIVEN, **wrong})
    texts = [repr(description), str(description)]
    with pytest.raises((slurmpy.SlurmError, TypeError, ValueError)) as caught:
        description.submit()
    error = caught.value
    texts += [repr(error), str(error), repr(error.args)]
    texts += traceback.format_exception(type(error), error, error.__traceback__)
    assert not [text for text in [*texts, caplog.text] if MARK in text]


def test_no_error_of_a_scripts_lines_shows_what_may_be_secret() -> None:
    script = f"#!/bin/sh\n#SBATCH --export=PASSWORD='{MARK},x\n"
    with pytest.raises(ValueError, match="line 2 of the script: a ' is not closed") as caught:
        JobSubmitDescription(script=script).load_sbatch_options()
    error = caught.value
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert MARK not in text


def test_no_description_of_a_job_shows_what_may_be_secret(
    slurm_cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = {name: value for name, value in GIVEN.items() if name != "script_args"}
    description = JobSubmitDescription(hold=True, **given)
    job = slurmpy.Job.load(description.submit())
    jobs = slurmpy.Jobs.load()
    jobs.load_steps()
    records = [job, jobs, jobs.values(), jobs.items(), job.steps, description]
    texts = [show(record) for record in records for show in (repr, str, format)]
    for call in (job.requeue, job.suspend, lambda: job.modify(description)):
        with pytest.raises((slurmpy.SlurmError, ValueError)) as caught:
            call()
        texts += [str(caught.value), repr(caught.value)]
    # Whoever asks for the script gets it.
    assert MARK in job.get_batch_script()
    job.cancel()
    slurm_cluster.cancel_all()
    assert not [text for text in [*texts, caplog.text] if MARK in text]


# A cluster's folder


def mode(path: Path) -> int:
    """Who may do what with a file: nobody anything with one that the daemons have removed."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return stat.S_IFREG


def closed(path: Path, folder: Path) -> bool:
    """Whether none but the owner of a file gets at what is in it."""
    if not mode(path) & (stat.S_IRGRP | stat.S_IROTH):
        return True
    inside = [parent for parent in path.parents if folder in parent.parents]
    return any(not mode(parent) & (stat.S_IXGRP | stat.S_IXOTH) for parent in inside)


def content(path: Path) -> bytes:
    """What is in a file that may be removed meanwhile."""
    try:
        return path.read_bytes() if stat.S_ISREG(mode(path)) else b""
    except FileNotFoundError:
        return b""


def test_what_a_job_was_given_is_its_owners_alone(slurm_cluster: LocalCluster) -> None:
    folder = slurm_cluster.folder
    job = slurmpy.Job.load(JobSubmitDescription(**GIVEN).submit())
    wait_for(lambda: [*folder.glob(f"spool-*/job{job.id:05}/slurm_script")])
    having = [path for path in folder.rglob("*") if MARK.encode() in content(path)]
    names = {path.name for path in having}
    assert {"environment", "script", "slurm_script"} <= names
    assert not [path for path in having if not closed(path, folder)]
    for path in (folder, *folder.rglob("*")):
        if stat.S_ISREG(mode(path)) or stat.S_ISDIR(mode(path)):
            others = mode(path) & (stat.S_IWGRP | stat.S_IWOTH)
            assert not others or closed(path, folder), path
    job.cancel()
