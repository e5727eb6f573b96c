"""`python -m slurmpy`, held against squeue and as a shell sees it."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

import slurmpy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slurmpy.testing import LocalCluster

ARGV = [sys.executable, "-m", "slurmpy"]
SQUEUE = "%i|%P|%j|%u|%t|%D|%R"
STATES_OF_THE_DEMO = {"R", "PD", "CD", "F", "CA"}


def cli(env: Mapping[str, str], *words: str, status: int = 0) -> str:
    """What a command prints: on stdout where it succeeds, on stderr where it does not."""
    done = subprocess.run(
        [*ARGV, *words], env=env, check=False, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert (done.stdout if status else done.stderr) == ""
    return done.stderr if status else done.stdout


def cells(table: str) -> list[list[str]]:
    """The rows below the headings; no cell of these tests has two spaces in it."""
    headings, *rows = table.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", headings)]
    return [[row[i:j].strip() for i, j in zip(starts, [*starts[1:], None])] for row in rows]


def processes_under(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text:
            found.append(text)
    return found


@pytest.fixture(scope="module")
def queue(slurm_cluster: LocalCluster) -> dict[str, str]:
    """Jobs of several kinds that stay as they are; their numbers by name."""

    def sbatch(*options: str) -> str:
        return slurm_cluster.run("sbatch", "--parsable", "--output=/dev/null", *options).strip()

    array = sbatch("--hold", "--job-name=cli array", "--array=5-9", "--wrap=true")
    numbers = {
        "held": sbatch("--hold", "--job-name=cli-held", "--wrap=true"),
        "array": f"{array}_[5-9]",
        "later": sbatch("--begin=now+1day", "--job-name=cli-später", "--wrap=true"),
        "failed": sbatch("--job-name=cli-failed", "--mem=10", "--wrap=exit 3"),
    }
    het = sbatch("--hold", "--job-name=cli-het", "-n1", ":", "-n1", "--wrap=true")
    numbers["het"] = f"{het}+1"
    wait_for(lambda: slurmpy.Job.load(int(numbers["failed"])).state == "FAILED")
    return numbers


def test_jobs_is_the_table_that_squeue_gives(
    slurm_cluster: LocalCluster, queue: dict[str, str]
) -> None:
    shown = slurm_cluster.run("squeue", "--all", "--states=all", "--noheader", f"--format={SQUEUE}")
    expected = {
        row[0]: row for row in (line.split("|") for line in shown.splitlines()) if "cli" in row[2]
    }
    output = cli(slurm_cluster.env, "jobs")
    assert output.split("\n", 1)[0].split() == [
        "JOBID", "PARTITION", "NAME", "USER", "ST", "TIME", "NODES", "NODELIST(REASON)",
    ]  # fmt: skip
    got = {row[0]: row[:5] + row[6:] for row in cells(output) if "cli" in row[2]}
    assert set(queue.values()) <= set(got)
    assert got == expected


def test_jobs_of_one_user(slurm_cluster: LocalCluster, queue: dict[str, str]) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    for option in (("--user", me), ("--me",), ("-u", me)):
        numbers = {row[0] for row in cells(cli(slurm_cluster.env, "jobs", *option))}
        assert set(queue.values()) <= numbers
    assert cells(cli(slurm_cluster.env, "jobs", "--user", "games")) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can submit a job as somebody else")
def test_a_user_without_a_name_is_shown_by_uid(slurm_cluster: LocalCluster) -> None:
    uid = 54322
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    words = ("setpriv", f"--reuid={uid}", "--clear-groups", "sbatch", "--parsable", "--hold")
    number = slurm_cluster.run(*words, "--output=/dev/null", "--wrap=true", cwd="/").strip()
    (row,) = (row for row in cells(cli(slurm_cluster.env, "jobs")) if row[0] == number)
    assert row[3] == str(uid)


@pytest.mark.parametrize("kind", ["held", "array", "het", "failed"])
def test_job_shows_every_attribute(
    slurm_cluster: LocalCluster, queue: dict[str, str], kind: str
) -> None:
    lines = cli(slurm_cluster.env, "job", queue[kind]).splitlines()
    shown = {line.split()[0]: line.split(None, 1)[1] for line in lines}
    (job,) = (job for job in slurmpy.Jobs.load().values() if str(job.id) == shown["id"])
    assert list(shown) == list(job.to_dict())
    assert shown["name"] == job.name
    assert shown["partition"] == "debug"
    assert shown["user_id"] == str(os.getuid())
    submitted = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.submit_time))
    assert shown["submit_time"] == f"{job.submit_time}  ({submitted})"


def test_one_task_of_the_waiting_ones_is_found(
    slurm_cluster: LocalCluster, queue: dict[str, str]
) -> None:
    array = queue["array"].partition("_")[0]
    assert "5-9" in cli(slurm_cluster.env, "job", f"{array}_7")
    assert f"{array}_4" in cli(slurm_cluster.env, "job", f"{array}_4", status=1)


@pytest.mark.parametrize("number", ["99999", "99999_1", "99999_[1-2]", "99999+1", "nonsense"])
def test_unknown_job_is_one_line(slurm_cluster: LocalCluster, number: str) -> None:
    message = cli(slurm_cluster.env, "job", number, status=1)
    assert message.startswith("slurmpy: ")
    assert message.count("\n") == 1


@pytest.mark.parametrize("number", ["99999", "99999_1", "99999+1"])
def test_unknown_jobs_are_told_alike(slurm_cluster: LocalCluster, number: str) -> None:
    message = cli(slurm_cluster.env, "job", number, status=1)
    assert message == f"slurmpy: slurmctld knows no job {number}\n"


@pytest.mark.parametrize("number", ["nonsense", "-1", "1_", "1+", "1_a", "", "1 2"])
def test_what_is_no_number_of_a_job_is_not_looked_for(number: str) -> None:
    env = {**os.environ, "SLURM_CONF": "/nowhere/slurm.conf"}
    shown = number or "the empty text"
    assert cli(env, "job", number, status=1).startswith(f"slurmpy: {shown} is no job id")


def test_a_moment_beyond_the_calendar(slurm_cluster: LocalCluster) -> None:
    job = slurmpy.JobSubmitDescription(script="#!/bin/sh\ntrue", begin_time=2**62).submit()
    try:
        assert re.search(rf"(?m)^\w+ +{2**62}$", cli(slurm_cluster.env, "job", str(job)))
    finally:
        slurmpy.Job(job).cancel()


def test_a_step(slurm_cluster: LocalCluster) -> None:
    script = ("--array=7", "--mem=10", "--output=/dev/null", "--wrap", "sleep 60")
    array = slurm_cluster.run("sbatch", "--parsable", *script).strip()
    number = f"{array}_7"
    wait_for(lambda: slurmpy.Job.load(number).steps)
    lines = cli(slurm_cluster.env, "job", f"{number}.batch").splitlines()
    found = dict(line.split(maxsplit=1) for line in lines)
    step = slurmpy.JobStep.load(number, "batch")
    assert list(found) == list(step.to_dict())
    assert (found["id"], found["name"], found["state"]) == ("batch", "batch", "RUNNING")
    assert (found["array_id"], found["array_task_id"]) == (array, "7")
    assert found["start_time"].startswith(f"{step.start_time}  (2")
    assert found["time_limit"] == "-"
    message = cli(slurm_cluster.env, "job", f"{number}.3", status=1)
    assert message == f"slurmpy: job {number} has no step 3: its steps are batch\n"
    message = cli(slurm_cluster.env, "job", f"{number}.x", status=1)
    assert message.startswith("slurmpy: no step id: 'x' (")
    slurmpy.Job(int(array)).cancel()


def test_unknown_user_is_one_line(slurm_cluster: LocalCluster) -> None:
    message = cli(slurm_cluster.env, "jobs", "--user", "no-such-user", status=1)
    assert "no-such-user" in message
    assert message.count("\n") == 1


def test_no_configuration_is_one_line(slurm_cluster: LocalCluster) -> None:
    env = {**slurm_cluster.env, "SLURM_CONF": "/nowhere/slurm.conf"}
    message = cli(env, "jobs", status=1)
    assert "/nowhere/slurm.conf" in message
    assert message.count("\n") == 1


def test_a_name_cannot_steer_the_terminal(slurm_cluster: LocalCluster) -> None:
    name = "\x1b[31mred\x07\nnext"
    number = slurm_cluster.run(
        "sbatch", "--parsable", "--hold", f"--job-name={name}", "--output=/dev/null", "--wrap=true"
    ).strip()
    for output in (cli(slurm_cluster.env, "jobs"), cli(slurm_cluster.env, "job", number)):
        assert "?[31mred??next" in output
        assert "\x1b" not in output


def test_a_terminal_that_lacks_a_letter_gets_an_escape(
    slurm_cluster: LocalCluster, queue: dict[str, str]
) -> None:
    env = {**slurm_cluster.env, "PYTHONIOENCODING": "ascii"}
    assert "cli-sp\\xe4ter" in cli(env, "job", queue["later"])


@pytest.mark.usefixtures("queue")
def test_a_reader_that_stops_is_no_error(slurm_cluster: LocalCluster) -> None:
    with subprocess.Popen(
        [*ARGV, "jobs"], env=slurm_cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.usefixtures("queue")
def test_a_terminal_gets_colours_and_the_same_text(
    slurm_cluster: LocalCluster, queue: dict[str, str]
) -> None:
    pytest.importorskip("rich", reason="colours come with the extra cli")
    ours, theirs = os.openpty()
    env = {**slurm_cluster.env, "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen([*ARGV, "jobs"], env=env, stdout=theirs):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            while True:
                shown += os.read(ours, 65536)
    os.close(ours)
    text = shown.decode().replace("\r\n", "\n")
    assert "\x1b[" in text
    coloured = re.sub(r"\x1b\[[\d;]*m", "", text)
    # What other tests have left may be gone meanwhile.
    plain, again = (
        [row[:5] for row in cells(output) if row[0] in queue.values()]
        for output in (coloured, cli(slurm_cluster.env, "jobs"))
    )
    assert len(plain) == len(queue)
    assert plain == again


def test_version() -> None:
    assert cli(os.environ, "--version") == f"slurmpy {slurmpy.__version__}\n"


@pytest.mark.parametrize("words", [[], ["job"], ["nonsense"]], ids=repr)
def test_wrong_usage(words: list[str]) -> None:
    assert cli(os.environ, *words, status=2).startswith("usage: python -m slurmpy")


def demo_env(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short path: the sockets of a cluster are below it, and their length is bounded."""
    return tmp_path_factory.mktemp("d")


def test_demo_shows_jobs_of_many_kinds_and_leaves_nothing(folder: Path) -> None:
    output = cli(demo_env(folder), "demo")
    table = output[output.index("JOBID") :].split("\n\n")[0]
    rows = cells(table)
    assert len(rows) >= 8
    assert {row[4] for row in rows} == STATES_OF_THE_DEMO
    reasons = {row[7] for row in rows if row[4] == "PD"}
    assert reasons == {
        "(Resources)", "(Dependency)", "(JobHeldUser)", "(BeginTime)", "(JobArrayTaskLimit)",
    }  # fmt: skip
    missing = {name for name in slurmpy.Job.fields if f"\n{name}  " not in output}
    assert missing <= {name for name, field in slurmpy.Job.fields.items() if field.since}
    assert processes_under(folder) == []
    assert list(folder.iterdir()) == []


def test_demo_goes_on_in_a_repl(folder: Path) -> None:
    done = subprocess.run(
        [*ARGV, "demo", "--interactive"],
        env=demo_env(folder),
        input="sorted(job.name for job in jobs.values())[0]\ncluster.nodes\n",
        check=True,
        capture_output=True,
        text=True,
    )
    assert "'broken'" in done.stdout
    assert "['n1', 'n2', 'n3', 'n4']" in done.stdout
    (conf,) = re.findall(r"^  export SLURM_CONF=(.*)$", done.stderr, re.MULTILINE)
    assert conf.startswith(f"{folder}/")
    assert processes_under(folder) == []


def test_interrupted_demo_leaves_nothing(folder: Path) -> None:
    with subprocess.Popen(
        [*ARGV, "demo"],
        env=demo_env(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        wait_for(lambda: any("slurmctld" in line for line in processes_under(folder)))
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 128 + signal.SIGINT
    assert processes_under(folder) == []
    assert list(folder.iterdir()) == []
