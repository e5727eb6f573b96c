"""What is done to a job, and how Slurm's own commands and the job itself see it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import (
    AccessDenied,
    ControllerUnreachable,
    InvalidJobId,
    Job,
    JobErrors,
    Jobs,
    RPCError,
    TaskErrors,
    _control,
)
from slurmpy._ffi import lib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slurmpy.testing import LocalCluster

HOME = Path(slurmpy.__file__).parents[1]
ROOT = os.geteuid() == 0
UNKNOWN = 999_999

Action = Callable[[Job], object]

ACTIONS: dict[str, Action] = {
    "cancel": Job.cancel,
    "send_signal": lambda job: job.send_signal("SIGUSR1", steps="all"),
    "hold": Job.hold,
    "hold for the user": lambda job: job.hold(mode="user"),
    "release": Job.release,
    "requeue": Job.requeue,
    "requeue held": lambda job: job.requeue(hold=True),
    "suspend": Job.suspend,
    "unsuspend": Job.unsuspend,
    "notify": lambda job: job.notify("never to be seen"),
    "get_batch_script": Job.get_batch_script,
}

every_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)

# What tells each signal that it gets, the batch script as well as a step of it.
LISTENER = """#!/bin/bash
listen() {
    for name in USR1 USR2; do trap "echo $1 $name >> '$2'" $name; done
    echo $1 ready >> "$2"
    while :; do sleep 0.1; done
}
export -f listen
if [ "$2" ]; then srun -n1 --mem=10 bash -c "listen step '$1'" & fi
listen batch "$1"
"""


class Queue:
    """The cluster's queue as Slurm's commands see it."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.ids: list[int] = []

    def submit(self, *options: str, script: str = "", uses: str = "--mem=10") -> int:
        """Submit a job, which is cancelled at the end."""
        command = ["sbatch", "--parsable", uses]
        if not any(option.startswith("--output=") for option in options):
            command.append("--output=/dev/null")
        text = self.cluster.run(*command, *options, stdin=script)
        self.ids.append(int(text.split(";")[0]))
        return self.ids[-1]

    def sleeper(self, *options: str) -> int:
        """A job that runs."""
        number = self.submit(*options, "--wrap=sleep 300")
        wait_for(lambda: self.state(number) == "RUNNING")
        return number

    def show(self, job: int | str) -> str:
        return self.cluster.run("scontrol", "show", "job", str(job))

    def value(self, job: int | str, key: str) -> str:
        found = re.search(rf"\b{key}=(\S+)", self.show(job))
        assert found, key
        return found[1]

    def state(self, job: int | str) -> str:
        return self.value(job, "JobState")

    def column(self, array: int, code: str) -> dict[int, str]:
        """What squeue has in a column for each task of an array."""
        rows = self.cluster.run(
            "squeue", "-h", "-r", "--states=all", f"--jobs={array}", f"--format=%K {code}"
        )
        pairs = (row.split(maxsplit=1) for row in rows.splitlines())
        # An array whose waiting tasks were all cancelled is a row without a task.
        return {int(task): text for task, text in pairs if task != "N/A"}

    def states(self, array: int) -> dict[int, str]:
        return self.column(array, "%T")

    def with_state(self, array: int, *wanted: str) -> set[int]:
        return {task for task, state in self.states(array).items() if state in wanted}

    def held(self, array: int) -> set[int]:
        """The tasks that squeue says are held."""
        return {task for task, why in self.column(array, "%r").items() if "held" in why.lower()}


@pytest.fixture(scope="module")
def shared(slurm_cluster: LocalCluster) -> Iterator[Queue]:
    """The queue for jobs that several tests use."""
    queue = Queue(slurm_cluster)
    yield queue
    for number in queue.ids:
        slurm_cluster.run("scancel", str(number))


@pytest.fixture
def queue(slurm_cluster: LocalCluster) -> Iterator[Queue]:
    queue = Queue(slurm_cluster)
    yield queue
    for number in queue.ids:
        slurm_cluster.run("scancel", str(number))


@pytest.fixture(scope="module")
def running(shared: Queue) -> int:
    """A job that runs and stays as it is."""
    return shared.sleeper(f"--output={shared.cluster.folder / 'unchanged'}")


@pytest.fixture
def array(queue: Queue) -> int:
    """An array whose tasks 0 and 1 run, while 2 to 5 wait."""
    number = queue.submit("--array=0-5%2", "--wrap=sleep 300")
    wait_for(lambda: queue.with_state(number, "RUNNING") == {0, 1})
    return number


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def tasks(names: Iterable[str], array: int) -> set[int]:
    """The tasks that Slurm's names for them (``12_3``, ``12_[3-5,7]``) stand for."""
    found: set[int] = set()
    for name in names:
        assert name.startswith(f"{array}_"), name
        for part in name.partition("_")[2].strip("[]").split(","):
            first, _dash, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return found


# ---- cancel ----


def test_cancel(queue: Queue) -> None:
    number, other = queue.sleeper(), queue.submit("--hold", "--wrap=true")
    job = Job(number)
    job.cancel()
    wait_for(lambda: queue.state(number) == "CANCELLED")
    assert queue.state(other) == "PENDING"
    # It has ended: nothing is left to do, which is what was asked for.
    job.cancel()
    Job.load(number).cancel()
    assert queue.state(number) == "CANCELLED"
    assert repr(job) == f"slurmpy.Job({number})"


def test_cancel_of_a_job_that_waits(queue: Queue) -> None:
    number = queue.submit("--hold", "--wrap=true")
    Jobs.load()[number].cancel()
    assert queue.state(number) == "CANCELLED"


def test_cancel_of_a_job_that_completed(queue: Queue) -> None:
    number = queue.submit("--wrap=true")
    wait_for(lambda: queue.state(number) == "COMPLETED")
    Job(number).cancel()
    assert queue.state(number) == "COMPLETED"


# ---- wait ----


@pytest.mark.parametrize(
    ("command", "state", "code"), [("true", "COMPLETED", 0), ("exit 3", "FAILED", 3)]
)
def test_wait(queue: Queue, command: str, state: str, code: int) -> None:
    number = queue.submit("--hold", f"--wrap=sleep 1; {command}")
    job = Job(number)
    with pytest.raises(TimeoutError, match=f"job {number} .* after 0.3 s: its state is PENDING"):
        job.wait(timeout=0.3)
    job.release()
    assert job.wait(timeout=60) is job
    assert (job.state, job.exit_code) == (queue.state(number), code) == (state, code)
    # It has ended: there is nothing to wait for.
    began = time.monotonic()
    Job(number).wait()
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_wait_while_the_controller_restarts(
    slurm_cluster: LocalCluster, queue: Queue, tmp_path: Path
) -> None:
    number = queue.submit(f"--wrap=until [ -e {tmp_path}/end ]; do sleep 0.1; done")
    job = Job(number)

    def asked() -> int:
        return calls(slurm_cluster).get("REQUEST_JOB_INFO_SINGLE", 0)

    with ThreadPoolExecutor(1) as pool:
        before = asked()
        waiting = pool.submit(job.wait, 90)
        # It has had an answer, and is going to ask again.
        wait_for(lambda: asked() > before + 1)
        slurm_cluster.stop_daemon("slurmctld")
        with pytest.raises(ControllerUnreachable):
            Job(number).wait()
        assert not waiting.done()
        slurm_cluster.start_daemon("slurmctld")
        (tmp_path / "end").touch()
        assert waiting.result() is job
    assert job.state == "COMPLETED"


def test_wait_until_nothing_is_left(queue: Queue, tmp_path: Path) -> None:
    trapping = f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 0.1; done"
    number = queue.submit(f"--wrap={trapping}")
    wait_for((tmp_path / "ready").exists)
    job = Job(number)
    job.cancel()
    wait_for(lambda: "COMPLETING" in queue.state(number))
    assert job.wait(timeout=90).state == queue.state(number) == "CANCELLED"


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_wait_for_no_time_at_all(queue: Queue, timeout: float) -> None:
    job = Job(queue.submit("--hold", "--wrap=true"))
    with pytest.raises(ValueError, match="number of seconds from 0 on"):
        job.wait(timeout)
    with pytest.raises(TypeError, match="a number of seconds, not str: '5'"):
        job.wait("5")  # type: ignore[arg-type]


def test_wait_for_an_array(queue: Queue) -> None:
    number = queue.submit("--array=0-2%1", "--wrap=sleep $SLURM_ARRAY_TASK_ID")
    task = Job(f"{number}_0").wait(timeout=60)
    assert task.array_task_id == 0
    assert len(queue.with_state(number, "COMPLETED")) < 3
    Job(number).wait(timeout=60)
    assert queue.states(number) == dict.fromkeys(range(3), "COMPLETED")


def test_wait_for_a_task_with_the_arrays_id(queue: Queue) -> None:
    number = queue.submit("--array=0-1", "--wrap=sleep $((2 - 2 * SLURM_ARRAY_TASK_ID))")
    wait_for(lambda: len(queue.with_state(number, "PENDING")) == 0)
    last = next(job for job in Jobs.load().values() if job.id == number)
    assert last.array_task_id == 1
    last.wait(timeout=60)
    assert queue.states(number)[1] == "COMPLETED"
    assert last.id == number


@pytest.mark.usefixtures("slurm_cluster")
def test_wait_for_a_job_that_is_not_there() -> None:
    with pytest.raises(InvalidJobId):
        Job(UNKNOWN).wait()


# ---- signals ----


@pytest.fixture(scope="module")
def listener(shared: Queue) -> tuple[int, Path]:
    """A job with a step, both of which write down the signals that they get."""
    heard = shared.cluster.folder / "heard"
    script = shared.cluster.folder / "listener.sh"
    script.write_text(LISTENER)
    number = shared.submit(str(script), str(heard), "step", uses="--mem=50")
    wait_for(lambda: set(lines(heard)) == {"batch ready", "step ready"})
    return number, heard


@pytest.mark.parametrize(
    ("steps", "who"),
    [("children", {"step"}), ("batch", {"batch"}), ("all", {"step", "batch"})],
)
def test_signal_goes_to_the_steps(listener: tuple[int, Path], steps: str, who: set[str]) -> None:
    number, heard = listener
    start = len(lines(heard))
    Job(number).send_signal("SIGUSR1", steps=steps)
    wait_for(lambda: who <= {line.split()[0] for line in lines(heard)[start:]})
    # What comes after it at both shows that the first signal has been everywhere it went to.
    for after in "batch", "children":
        Job(number).send_signal("SIGUSR2", steps=after)
    wait_for(lambda: {"batch USR2", "step USR2"} <= set(lines(heard)[start:]))
    got = {line for line in lines(heard)[start:] if line.endswith("USR1")}
    assert got == {f"{one} USR1" for one in who}


def test_signal_goes_to_the_children_by_default(listener: tuple[int, Path]) -> None:
    number, heard = listener
    start = len(lines(heard))
    Job(number).send_signal("SIGUSR1")
    wait_for(lambda: "step USR1" in lines(heard)[start:])
    Job(number).send_signal("SIGUSR2", "batch")
    wait_for(lambda: "batch USR2" in lines(heard)[start:])
    assert "batch USR1" not in lines(heard)[start:]


@pytest.mark.parametrize(
    "name", ["SIGUSR2", "sigusr2", "USR2", "usr2", signal.SIGUSR2, int(signal.SIGUSR2)]
)
def test_names_of_signals(listener: tuple[int, Path], name: str | int) -> None:
    number, heard = listener
    start = len(lines(heard))
    Job(number).send_signal(name, steps="batch", hurry=True)
    wait_for(lambda: len(lines(heard)) > start)
    assert lines(heard)[start:] == ["batch USR2"]


@pytest.mark.parametrize(
    "name",
    ["SIGFOO", "foo", "", "SIG", "SIGSIGUSR1", "USR 1", "SIGUSR1\0", "ÜSR1", -1, 0, 9999, 2**40],
)
def test_unknown_signal_is_not_sent(name: str | int) -> None:
    # Slurm's answer for the id would be another error.
    with pytest.raises(ValueError, match="signal") as caught:
        Job(UNKNOWN).send_signal(name)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("steps", ["", "none", "ALL ", "batch,children"])
def test_unknown_steps_get_nothing(steps: str) -> None:
    with pytest.raises(ValueError, match="children"):
        Job(UNKNOWN).send_signal("SIGUSR1", steps)


def test_signal_that_ends_the_job(queue: Queue) -> None:
    number = queue.sleeper()
    Job(number).send_signal(9, steps="all")
    wait_for(lambda: queue.state(number) not in ("RUNNING", "COMPLETING"))
    assert queue.state(number) == "CANCELLED"
    # Unlike a cancellation, a signal that nobody gets is an error.
    with pytest.raises(RPCError) as caught:
        Job(number).send_signal("SIGUSR1")
    assert caught.value.name == "ESLURM_ALREADY_DONE"


def test_signal_to_a_job_that_waits(queue: Queue) -> None:
    number = queue.submit("--hold", "--wrap=true")
    with pytest.raises(RPCError):
        Job(number).send_signal("SIGUSR1")
    assert queue.state(number) == "PENDING"


# ---- hold and release ----


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(None, "JobHeldAdmin"), ("admin", "JobHeldAdmin"), ("user", "JobHeldUser")],
)
def test_hold_and_release(queue: Queue, mode: str | None, reason: str) -> None:
    number = queue.submit("--begin=now+1hour", "--wrap=true")
    job = Job(number)
    job.hold(mode)
    assert queue.value(number, "Reason") == reason
    assert queue.value(number, "Priority") == "0"
    job.release()
    assert queue.value(number, "Priority") != "0"
    wait_for(lambda: queue.value(number, "Reason") == "BeginTime")


def test_released_job_starts(queue: Queue) -> None:
    number = queue.submit("--hold", "--wrap=true")
    Job(number).release()
    wait_for(lambda: queue.state(number) == "COMPLETED")


@pytest.mark.parametrize("mode", ["", "root", "User", "admin "])
def test_unknown_mode_holds_nothing(mode: str) -> None:
    with pytest.raises(ValueError, match="mode") as caught:
        Job(UNKNOWN).hold(mode)
    assert type(caught.value) is ValueError


# ---- requeue ----


@pytest.mark.parametrize("hold", [False, True])
def test_requeue(queue: Queue, *, hold: bool) -> None:
    number = queue.sleeper("--requeue")
    Job(number).requeue(hold=hold)
    wait_for(lambda: queue.state(number) == "PENDING")
    assert queue.value(number, "Restarts") == "1"
    assert (queue.value(number, "Priority") == "0") is hold
    assert ("held" in queue.value(number, "Reason").lower()) is hold
    with pytest.raises(RPCError) as caught:
        Job(number).requeue()
    assert caught.value.name == "ESLURM_JOB_PENDING"


def test_requeue_of_a_job_that_may_not_be(queue: Queue) -> None:
    number = queue.sleeper("--no-requeue")
    with pytest.raises(RPCError) as caught:
        Job(number).requeue()
    assert caught.value.name == "ESLURM_DISABLED"
    assert queue.state(number) == "RUNNING"


# ---- suspend and unsuspend ----


def test_suspend_and_unsuspend(queue: Queue) -> None:
    ticks = queue.cluster.folder / "ticks"
    number = queue.submit(f"--wrap=while echo tick >> {ticks}; do sleep 0.1; done")
    wait_for(lambda: lines(ticks))
    job = Job(number)
    job.suspend()
    assert queue.state(number) == "SUSPENDED"

    def stands_still() -> bool:
        before = len(lines(ticks))
        time.sleep(0.5)
        return len(lines(ticks)) == before

    wait_for(stands_still)
    before = len(lines(ticks))
    job.unsuspend()
    assert queue.state(number) == "RUNNING"
    wait_for(lambda: len(lines(ticks)) > before)


# ---- notify ----


@pytest.mark.parametrize("text", ["Hello Friends!", "Grüße, €\t\"x\" 'y' %s $HOME \\n", "x" * 5000])
def test_notify(queue: Queue, text: str) -> None:
    out = queue.cluster.folder / "notified"
    out.unlink(missing_ok=True)
    number = queue.submit(f"--output={out}", "--wrap=echo started; sleep 300")
    wait_for(lambda: "started" in lines(out))
    Job(number).notify(text)
    wait_for(lambda: text in out.read_text())
    assert queue.state(number) == "RUNNING"


def test_notify_of_a_job_that_waits(queue: Queue) -> None:
    number = queue.submit("--hold", "--wrap=true")
    with pytest.raises(RPCError):
        Job(number).notify("too early")


def test_notify_refuses_what_would_be_cut(running: int) -> None:
    with pytest.raises(ValueError, match="NUL"):
        Job(running).notify("one\0two")


# ---- the batch script ----


SCRIPTS = {
    "plain": b"#!/bin/sh\ntrue\n",
    "utf-8": "#!/bin/sh\n# Grüße \N{GRINNING FACE}\necho 'ü'\n".encode(),
    "other bytes": b"#!/bin/sh\n# Gr\xfc\xdfe \xff\n",
    "quotes": b"#!/bin/bash\necho \"a 'b'\" `c` $(d) ${e} \\ \\n %s %d ~ !\n",
    "spaces": b"#!/bin/sh\n  \ttrue  \t \n\n   \n\n",
    "no newline": b"#!/bin/sh\ntrue",
    "long": b"#!/bin/sh\n" + b"".join(b"# line %d\n" % i for i in range(15_000)) + b"true",
    "long line": b"#!/bin/sh\n# " + b"x" * 200_000 + b"\n",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_batch_script(queue: Queue, script: bytes) -> None:
    number = queue.submit("--hold", script=script.decode("utf-8", "surrogateescape"))
    text = Job(number).get_batch_script()
    assert text.encode("utf-8", "surrogateescape") == script
    written = queue.cluster.folder / "written.sh"
    queue.cluster.run("scontrol", "write", "batch_script", str(number), str(written))
    assert written.read_bytes() == script
    Job(number).cancel()


def test_batch_script_of_a_job_without_one(queue: Queue) -> None:
    queue.cluster.run("salloc", "--no-shell", "--job-name=scriptless", "--mem=10")
    rows = queue.cluster.run("squeue", "-h", "--name=scriptless", "--format=%i").split()
    queue.ids += map(int, rows)
    with pytest.raises(RPCError) as caught:
        Job(queue.ids[-1]).get_batch_script()
    assert rows[-1] in str(caught.value)


# ---- jobs that there are not ----


@every_action
@pytest.mark.parametrize("name", [UNKNOWN, f"{UNKNOWN}_4", f"{UNKNOWN}+1"])
def test_unknown_job(slurm_cluster: LocalCluster, action: Action, name: int | str) -> None:
    assert slurm_cluster.daemons
    with pytest.raises(InvalidJobId) as caught:
        action(Job(name))
    error = caught.value
    assert type(error) is InvalidJobId
    assert (error.errno, error.name) == (2017, "ESLURM_INVALID_JOB_ID")
    assert str(name) in str(error)


# ---- arrays ----


def test_unknown_job_in_the_place_of_an_array(queue: Queue) -> None:
    """For slurmctld it is done where it has tasks of an array in the same place of its table."""
    number = queue.submit("--array=0-1", "--wrap=sleep 300")
    wait_for(lambda: queue.with_state(number, "RUNNING") == {0, 1})
    size = int(
        queue.cluster.run("scontrol", "show", "config").partition("MaxJobCount")[2].split()[1]
    )
    unknown = [number + size, number + 2 * size]
    for action in ACTIONS.values():
        with pytest.raises(InvalidJobId, match=str(unknown[0])):
            action(Job(unknown[0]))
    for to_all in MANY.values():
        with pytest.raises(JobErrors) as caught:
            to_all(Jobs([number, *unknown]))
        assert set(unknown) <= set(caught.value.errors) <= {number, *unknown}
        assert {type(caught.value.errors[job]) for job in unknown} == {InvalidJobId}


def test_name_of_a_task() -> None:
    for name in ("123_4", "123_[1-5]", "123+1"):
        job = Job(name)
        assert repr(job) == f"slurmpy.Job({name!r})"
        with pytest.raises(slurmpy.NotLoaded):
            _ = job.id


@pytest.mark.parametrize(
    "name", ["", "one", "123_", "_4", "123_[1-", "123+", "123_4x", "123 4", "0_1"]
)
def test_text_that_names_no_job(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        Job(name)


def test_each_task_has_its_own_error(queue: Queue, array: int) -> None:
    with pytest.raises(TaskErrors) as caught:
        Job(array).suspend()
    # Those that could be suspended were.
    assert queue.with_state(array, "SUSPENDED") == {0, 1}
    error = caught.value
    assert isinstance(error, RPCError)
    assert tasks(error.errors, array) == {2, 3, 4, 5}
    assert {one.name for one in error.errors.values()} == {"ESLURM_JOB_PENDING"}
    assert error.name == "ESLURM_JOB_PENDING"
    assert all(task in str(error) for task in error.errors)
    again: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is TaskErrors
    assert str(again) == str(error)
    assert again.errors.keys() == error.errors.keys()

    with pytest.raises(TaskErrors) as caught:
        Job(array).unsuspend()
    assert queue.with_state(array, "RUNNING") == {0, 1}
    assert tasks(caught.value.errors, array) == {2, 3, 4, 5}

    with pytest.raises(TaskErrors) as caught:
        Job(f"{array}_[1-3]").suspend()
    assert queue.with_state(array, "SUSPENDED") == {1}
    # The tasks that wait are one record, which Slurm may name whole.
    assert {2, 3} <= tasks(caught.value.errors, array) <= {2, 3, 4, 5}


def test_one_task(queue: Queue, array: int) -> None:
    Job(f"{array}_1").suspend()
    assert queue.with_state(array, "SUSPENDED") == {1}
    Job(f"{array}_1").unsuspend()
    assert queue.with_state(array, "RUNNING") == {0, 1}
    with pytest.raises(RPCError) as caught:
        Job(f"{array}_3").suspend()
    assert caught.value.name == "ESLURM_JOB_PENDING"
    Job(f"{array}_1").requeue(hold=True)
    wait_for(lambda: queue.states(array)[1] == "PENDING")
    assert queue.value(f"{array}_1", "Restarts") == "1"
    assert queue.value(f"{array}_0", "Restarts") == "0"
    assert queue.held(array) == {1}


@pytest.mark.parametrize("action", ["suspend", "hold", "requeue", "cancel"])
def test_unknown_task(queue: Queue, array: int, action: str) -> None:
    before = queue.states(array)
    with pytest.raises(InvalidJobId) as caught:
        ACTIONS[action](Job(f"{array}_77"))
    assert f"{array}_77" in str(caught.value)
    assert queue.states(array) == before


def test_hold_of_tasks(queue: Queue) -> None:
    number = queue.submit("--array=0-4", "--begin=now+1hour", "--wrap=true")
    Job(f"{number}_[1-2]").hold()
    assert queue.held(number) == {1, 2}
    Job(f"{number}_[1-2]").release()
    assert queue.held(number) == set()
    Job(number).hold(mode="user")
    assert queue.held(number) == {0, 1, 2, 3, 4}
    Job(f"{number}_3").release()
    assert queue.held(number) == {0, 1, 2, 4}
    Job(number).release()
    assert queue.held(number) == set()


def test_cancel_of_tasks(queue: Queue, array: int) -> None:
    # A task that is cancelled before it started leaves no record.
    Job(f"{array}_[3-4]").cancel()
    assert set(queue.states(array)) == {0, 1, 2, 5}
    Job(f"{array}_1").cancel()
    wait_for(lambda: queue.states(array)[1] == "CANCELLED")
    Job(f"{array}_1").cancel()
    wait_for(lambda: queue.with_state(array, "RUNNING") == {0, 2})
    Job(f"{array}_[0-1]").cancel()
    wait_for(lambda: queue.with_state(array, "CANCELLED") == {0, 1})
    assert queue.states(array)[2] == "RUNNING"


def test_cancel_goes_on_after_a_task_that_is_gone(queue: Queue) -> None:
    number = queue.submit("--array=0-5", "--hold", "--wrap=true")
    Job(f"{number}_4").cancel()
    assert queue.with_state(number, "PENDING") == {0, 1, 2, 3, 5}
    with pytest.raises(TaskErrors) as caught:
        Job(f"{number}_[3-5,8]").cancel()
    assert tasks(caught.value.errors, number) == {4, 8}
    assert {type(error) for error in caught.value.errors.values()} == {InvalidJobId}
    assert queue.with_state(number, "PENDING") == {0, 1, 2}


def test_hold_goes_on_after_a_task_that_is_not(queue: Queue) -> None:
    number = queue.submit("--array=0-5", "--begin=now+1hour", "--wrap=true")
    with pytest.raises(TaskErrors) as caught:
        Job(f"{number}_[4-7]").hold()
    assert tasks(caught.value.errors, number) == {6, 7}
    assert {type(error) for error in caught.value.errors.values()} == {InvalidJobId}
    assert queue.held(number) == {4, 5}


def test_several_tasks_have_no_one_output(queue: Queue) -> None:
    number = queue.submit("--array=0-5", "--hold", "--wrap=true")
    for action in Job.get_batch_script, lambda job: job.notify("hello"):
        with pytest.raises(ValueError, match="several"):
            action(Job(f"{number}_[1-2]"))


def test_cancel_of_a_whole_array(queue: Queue, array: int) -> None:
    other = queue.submit("--array=0-1", "--hold", "--wrap=true")
    Job(array).cancel()
    wait_for(lambda: set(queue.states(array).values()) == {"CANCELLED"})
    Job(array).cancel()
    Job(f"{array}_0").cancel()
    assert queue.with_state(other, "PENDING") == {0, 1}


def test_signal_to_one_task(queue: Queue) -> None:
    folder = queue.cluster.folder
    script = folder / "array-listener.sh"
    script.write_text(LISTENER.replace('"$1"', '"$1-$SLURM_ARRAY_TASK_ID"'))
    number = queue.submit("--array=0-1", str(script), f"{folder}/task")
    heard = [folder / f"task-{i}" for i in range(2)]
    wait_for(lambda: all(lines(path) for path in heard))
    Job(f"{number}_1").send_signal("SIGUSR1", "batch")
    wait_for(lambda: len(lines(heard[1])) > 1)
    Job(number).send_signal("SIGUSR2", "batch")
    wait_for(lambda: all("batch USR2" in lines(path) for path in heard))
    assert lines(heard[0]) == ["batch ready", "batch USR2"]
    assert lines(heard[1]) == ["batch ready", "batch USR1", "batch USR2"]


def test_output_and_script_of_one_task(queue: Queue) -> None:
    folder = queue.cluster.folder
    script = "#!/bin/sh\necho started; sleep 300\n"
    number = queue.submit("--array=0-1", f"--output={folder}/out-%a", script=script)
    out = [folder / f"out-{i}" for i in range(2)]
    wait_for(lambda: all("started" in lines(path) for path in out))
    Job(f"{number}_0").notify("only for you")
    wait_for(lambda: "only for you" in out[0].read_text())
    assert Job(f"{number}_1").get_batch_script() == script
    assert "only for you" not in out[1].read_text()


# ---- heterogeneous jobs ----


def test_component(queue: Queue) -> None:
    script = queue.cluster.folder / "components.sh"
    script.write_text("#!/bin/sh\nsleep 300\n")
    leader = queue.submit("-n1", ":", "--mem=10", "-n2", str(script))
    wait_for(lambda: queue.state(f"{leader}+1") == queue.state(f"{leader}+0") == "RUNNING")
    Job(f"{leader}+1").cancel()
    wait_for(lambda: queue.state(f"{leader}+1") == "CANCELLED")
    assert queue.state(f"{leader}+0") == "RUNNING"
    Job(leader).cancel()
    wait_for(lambda: queue.state(f"{leader}+0") == "CANCELLED")


def test_component_that_slurm_keeps_with_the_others(queue: Queue) -> None:
    script = queue.cluster.folder / "components.sh"
    script.write_text("#!/bin/sh\nsleep 300\n")
    leader = queue.submit("--hold", "-n1", ":", "--hold", "-n2", str(script))
    with pytest.raises(RPCError) as caught:
        Job(f"{leader}+1").cancel()
    assert caught.value.name == "ESLURM_NOT_WHOLE_HET_JOB"
    assert queue.state(f"{leader}+1") == "PENDING"
    Job(leader).cancel()
    assert queue.state(f"{leader}+0") == queue.state(f"{leader}+1") == "CANCELLED"


# ---- whose job, and where ----


@every_action
def test_job_of_a_closed_collection(queue: Queue, running: int, action: Action) -> None:
    with Jobs.load() as jobs:
        job = jobs[running]
    before = {key: queue.value(running, key) for key in ("JobState", "Restarts", "Priority")}
    with pytest.raises(slurmpy.ClosedError):
        action(job)
    assert {key: queue.value(running, key) for key in before} == before


def test_job_taken_out_of_a_closed_collection(queue: Queue) -> None:
    number, other = (queue.submit("--begin=now+1hour", "--wrap=true") for _ in range(2))
    with Jobs.load() as jobs:
        popped, copied = jobs.pop(number), copy.copy(jobs[other])
    for job in popped, copied:
        job.hold()
        assert queue.value(job.id, "Reason") == "JobHeldAdmin"
        job.cancel()
        assert queue.state(job.id) == "CANCELLED"


@every_action
@pytest.mark.parametrize("make", [Job, Job.load, lambda number: Job(str(number))])
def test_job_of_another_cluster(
    queue: Queue, running: int, make: Callable[[int], Job], action: Action
) -> None:
    job = copy.copy(make(running))
    job._cluster = "other"
    keys = ("JobState", "Restarts", "Priority", "SuspendTime")
    before = {key: queue.value(running, key) for key in keys}
    with pytest.raises(slurmpy.ConfigurationError, match="other"):
        action(job)
    assert {key: queue.value(running, key) for key in keys} == before
    assert not lines(queue.cluster.folder / "unchanged")


def as_user(cluster: LocalCluster, uid: int, code: str) -> Any:  # noqa: ANN401 - JSON
    """What a program of another user's prints, as JSON; root's are read before."""
    program = f"""
# What is imported later may be where others cannot read.
import json, os, signal
import slurmpy
from slurmpy import Job, Jobs
Jobs.load()
os.setgroups([])
os.setgid({uid})
os.setuid({uid})

def outcome(job, name, *args, **kwargs):
    try:
        return str(getattr(job, name)(*args, **kwargs))
    except slurmpy.SlurmError as error:
        return type(error).__name__
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**cluster.env, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_job_of_another_user(slurm_cluster: LocalCluster, queue: Queue, running: int) -> None:
    keys = ("JobState", "Restarts", "Priority", "SuspendTime")
    before = {key: queue.value(running, key) for key in keys}
    found = as_user(
        slurm_cluster,
        65534,
        f"""
job = Job({running})
print(json.dumps({{
    "cancel": outcome(job, "cancel"),
    "send_signal": outcome(job, "send_signal", 9, "all"),
    "hold": outcome(job, "hold"),
    "release": outcome(job, "release"),
    "requeue": outcome(job, "requeue"),
    "suspend": outcome(job, "suspend"),
    "unsuspend": outcome(job, "unsuspend"),
    "notify": outcome(job, "notify", "hello"),
    "get_batch_script": outcome(job, "get_batch_script"),
}}))
""",
    )
    assert found == dict.fromkeys(found, AccessDenied.__name__)
    assert {key: queue.value(running, key) for key in keys} == before


@pytest.mark.skipif(not ROOT, reason="only root can submit for another user")
def test_who_can_release(slurm_cluster: LocalCluster, queue: Queue) -> None:
    options = ("--uid=bin", "--chdir=/", "--begin=now+1hour", "--wrap=true")
    admins, users = queue.submit(*options), queue.submit(*options)
    Job(admins).hold()
    Job(users).hold(mode="user")
    found = as_user(
        slurm_cluster,
        int(slurm_cluster.run("id", "-u", "bin")),
        f"""
print(json.dumps([outcome(Job(number), "release") for number in ({admins}, {users})]))
""",
    )
    assert found == ["AccessDenied", "None"]
    assert queue.value(admins, "Reason") == "JobHeldAdmin"
    assert queue.value(admins, "Priority") == "0"
    assert queue.value(users, "Priority") != "0"


# ---- many at once ----


MANY: dict[str, Callable[[Jobs], object]] = {
    "cancel": Jobs.cancel,
    "send_signal": lambda jobs: jobs.send_signal("SIGUSR1", steps="all"),
    "hold": Jobs.hold,
    "hold for the user": lambda jobs: jobs.hold(mode="user"),
    "release": Jobs.release,
    "requeue": Jobs.requeue,
    "requeue held": lambda jobs: jobs.requeue(hold=True),
    "suspend": Jobs.suspend,
    "unsuspend": Jobs.unsuspend,
    "notify": lambda jobs: jobs.notify("never to be seen"),
}

every_action_on_many = pytest.mark.parametrize("action", MANY.values(), ids=MANY)


def loaded(*ids: int) -> Jobs:
    """These jobs, with all that is known of them."""
    jobs = Jobs.load()
    return Jobs([jobs[number] for number in ids])


def names(error: JobErrors) -> dict[Any, str]:
    """The name of each job's error."""
    assert all(isinstance(one, RPCError) for one in error.errors.values())
    return {key: one.name for key, one in error.errors.items() if isinstance(one, RPCError)}


def calls(cluster: LocalCluster) -> dict[str, int]:
    """How many calls of each kind slurmctld has had."""
    rows = re.findall(r"^\s+(REQUEST_\w+)\s.*count:(\d+)", cluster.run("sdiag"), re.MULTILINE)
    return {name: int(count) for name, count in rows}


@pytest.mark.parametrize("make", [Jobs, lambda ids: loaded(*ids)], ids=["ids", "loaded"])
def test_cancel_many(queue: Queue, make: Callable[[list[int]], Jobs]) -> None:
    running, ended = queue.sleeper(), queue.submit("--wrap=true")
    waiting = [queue.submit("--hold", "--wrap=true") for _ in range(20)]
    number = queue.submit("--array=0-9%2", "--wrap=sleep 300")
    other = queue.submit("--hold", "--wrap=true")
    wait_for(lambda: len(queue.with_state(number, "RUNNING")) == 2)
    wait_for(lambda: queue.state(ended) == "COMPLETED")
    array = [job.id for job in Jobs.load().values() if job.array_id == number]
    jobs = make([running, ended, *waiting, *array])
    jobs.cancel()
    assert {queue.state(one) for one in waiting} == {"CANCELLED"}
    wait_for(lambda: queue.state(running) == "CANCELLED")
    wait_for(lambda: set(queue.states(number).values()) == {"CANCELLED"})
    assert (queue.state(ended), queue.state(other)) == ("COMPLETED", "PENDING")
    # They have ended, which is what was asked for.
    jobs.cancel()
    jobs.frozen = True  # else these would be all jobs that there are
    jobs.reload().cancel()
    assert queue.state(other) == "PENDING"


def test_failures_of_many_are_all_reported(queue: Queue) -> None:
    waiting = [queue.submit("--hold", "--wrap=true") for _ in range(3)]
    running = queue.sleeper()
    gone = [UNKNOWN, UNKNOWN + 1]
    jobs = Jobs([gone[0], running, waiting[0], gone[1], waiting[1]])
    with pytest.raises(JobErrors, match="suspending 4 of 5 jobs") as caught:
        jobs.suspend()
    assert queue.state(running) == "SUSPENDED"
    pending = dict.fromkeys(waiting[:2], "ESLURM_JOB_PENDING")
    unknown = dict.fromkeys(gone, "ESLURM_INVALID_JOB_ID")
    assert names(caught.value) == {**pending, **unknown}
    # In the order of the collection, and each as the job's own method raises it.
    assert list(caught.value.errors) == [gone[0], waiting[0], gone[1], waiting[1]]
    for number, error in caught.value.errors.items():
        with pytest.raises(type(error)) as alone:
            jobs[number].suspend()
        assert str(alone.value) == str(error)
        assert str(number) in str(caught.value)
    with pytest.raises(JobErrors) as caught:
        jobs.cancel()
    assert names(caught.value) == unknown
    wait_for(lambda: queue.state(running) == "CANCELLED")
    assert [queue.state(one) for one in waiting] == ["CANCELLED", "CANCELLED", "PENDING"]


def test_signal_to_many(queue: Queue) -> None:
    folder = queue.cluster.folder
    script = folder / "many-listener.sh"
    script.write_text(LISTENER.replace('"$1"', '"$1-$SLURM_JOB_ID"'))
    ids = [queue.submit(str(script), f"{folder}/many") for _ in range(3)]
    ended = queue.submit("--wrap=true")
    heard = {number: folder / f"many-{number}" for number in ids}
    wait_for(lambda: all(lines(path) for path in heard.values()))
    wait_for(lambda: queue.state(ended) == "COMPLETED")
    with pytest.raises(JobErrors) as caught:
        Jobs([*ids[:2], ended]).send_signal("SIGUSR1", "batch")
    # Unlike a cancellation, a signal that nobody gets is an error.
    assert names(caught.value) == {ended: "ESLURM_ALREADY_DONE"}
    Jobs(ids).send_signal("USR2", steps="batch", hurry=True)
    wait_for(lambda: all("batch USR2" in lines(path) for path in heard.values()))
    got = [lines(path) for path in heard.values()]
    assert got == [["batch ready", "batch USR1", "batch USR2"]] * 2 + [
        ["batch ready", "batch USR2"]
    ]


@pytest.mark.parametrize(("mode", "reason"), [(None, "JobHeldAdmin"), ("user", "JobHeldUser")])
def test_hold_and_release_of_many(queue: Queue, mode: str | None, reason: str) -> None:
    ids = [queue.submit("--begin=now+1hour", "--wrap=true") for _ in range(3)]
    array = queue.submit("--array=0-4", "--begin=now+1hour", "--wrap=true")
    jobs = loaded(*ids[:2], array)
    jobs.hold(mode)
    held = [queue.value(number, "Reason") for number in ids]
    assert held[:2] == [reason, reason]
    assert held[2] != reason
    assert queue.held(array) == {0, 1, 2, 3, 4}
    jobs.release()
    assert "0" not in [queue.value(number, "Priority") for number in ids]
    assert queue.held(array) == set()


@pytest.mark.parametrize("hold", [False, True])
def test_requeue_of_many(queue: Queue, *, hold: bool) -> None:
    ids = [queue.submit("--requeue", "--wrap=sleep 300") for _ in range(2)]
    array = queue.submit("--requeue", "--array=0-2", "--wrap=sleep 300")
    stays = queue.sleeper("--no-requeue")
    wait_for(lambda: {queue.state(one) for one in ids} == {"RUNNING"})
    wait_for(lambda: queue.with_state(array, "RUNNING") == {0, 1, 2})
    tasks = {job.array_task_id: job.id for job in Jobs.load().values() if job.array_id == array}
    with pytest.raises(JobErrors) as caught:
        loaded(*ids, stays, tasks[0], tasks[2]).requeue(hold=hold)
    assert names(caught.value) == {stays: "ESLURM_DISABLED"}
    wait_for(lambda: {queue.state(one) for one in ids} == {"PENDING"})
    restarts = [queue.value(f"{array}_{task}", "Restarts") for task in range(3)]
    assert restarts == ["1", "0", "1"]
    if hold:
        wait_for(lambda: queue.held(array) == {0, 2})
    assert queue.state(stays) == "RUNNING"


def test_suspend_and_unsuspend_of_many(queue: Queue, array: int) -> None:
    number = queue.sleeper()
    records = [job.id for job in Jobs.load().values() if job.array_id == array]
    jobs = loaded(number, *records)
    with pytest.raises(JobErrors) as caught:
        jobs.suspend()
    # The tasks that wait are one record.
    assert names(caught.value) == {array: "ESLURM_JOB_PENDING"}
    assert queue.with_state(array, "SUSPENDED") == {0, 1}
    assert queue.state(number) == "SUSPENDED"
    jobs.remove(array)
    jobs.unsuspend()
    assert queue.with_state(array, "RUNNING") == {0, 1}
    assert queue.state(number) == "RUNNING"


def test_notify_many(queue: Queue) -> None:
    out = [queue.cluster.folder / f"told-{i}" for i in range(2)]
    ids = [queue.submit(f"--output={path}", "--wrap=echo started; sleep 300") for path in out]
    wait_for(lambda: all("started" in lines(path) for path in out))
    waiting = queue.submit("--hold", "--wrap=true")
    with pytest.raises(JobErrors) as caught:
        Jobs([waiting, *ids]).notify("to all of you")
    assert list(caught.value.errors) == [waiting]
    wait_for(lambda: all("to all of you" in path.read_text() for path in out))


def test_each_record_stands_for_its_own_tasks(queue: Queue, array: int) -> None:
    jobs = Jobs.load()
    own = [job for job in jobs.values() if job.array_id == array]
    # The record of the tasks that wait has the array's id.
    Jobs([job for job in own if job.state == "PENDING"]).cancel()
    assert queue.with_state(array, "RUNNING") == {0, 1}
    # There is nothing left of it, and it is not the whole array.
    rest = [job for job in Jobs.load().values() if job.id == array]
    Jobs(rest).cancel()
    for job in rest:
        job.cancel()
    assert queue.with_state(array, "RUNNING") == {0, 1}
    [task] = [job for job in own if job.array_task_id == 1]
    Jobs([task]).cancel()
    wait_for(lambda: queue.with_state(array, "CANCELLED") >= {1})
    assert queue.with_state(array, "RUNNING") == {0}


@pytest.mark.parametrize("many", [False, True])
def test_last_task_has_the_id_of_the_array(queue: Queue, *, many: bool) -> None:
    array = queue.submit("--array=0-2", "--wrap=sleep 300")
    wait_for(lambda: queue.with_state(array, "RUNNING") == {0, 1, 2})
    job = Jobs.load()[array]
    last = job.array_task_id
    assert last is not None
    for action, state in ("suspend", "SUSPENDED"), ("unsuspend", "RUNNING"):
        getattr(Jobs([job]) if many else job, action)()
        others = {task: "RUNNING" for task in range(3) if task != last}
        assert queue.states(array) == {**others, last: state}
    # Processes that were stopped may take KillWait to end.
    (Jobs([job]) if many else job).cancel()
    wait_for(lambda: queue.with_state(array, "CANCELLED", "COMPLETING") == {last})
    assert len(queue.with_state(array, "RUNNING")) == 2
    # By its id alone it is the whole array, as for scancel.
    Job(array).cancel()
    wait_for(lambda: queue.with_state(array, "CANCELLED", "COMPLETING") == {0, 1, 2})


@pytest.mark.parametrize("make", [Job, Job.load, lambda number: Jobs([Job.load(number)])])
def test_task_by_the_id_of_its_record(queue: Queue, array: int, make: Callable[[int], Any]) -> None:
    [task] = [
        job for job in Jobs.load().values() if (job.array_id, job.array_task_id) == (array, 1)
    ]
    assert task.id != array
    make(task.id).suspend()
    assert queue.with_state(array, "SUSPENDED") == {1}
    make(task.id).unsuspend()
    make(task.id).cancel()
    wait_for(lambda: queue.with_state(array, "CANCELLED", "COMPLETING") == {1})
    assert 0 in queue.with_state(array, "RUNNING")


def test_answers_for_many_tasks_are_told_apart(queue: Queue) -> None:
    # slurmctld cuts the tasks that it answers for: "900,902,904,906,908,910,91...".
    script = "#!/bin/sh\n[ $((SLURM_ARRAY_TASK_ID % 2)) = 0 ] || sleep 300\n"
    array = queue.submit("--array=900-915", script=script)
    even, odd = set(range(900, 916, 2)), set(range(901, 916, 2))
    wait_for(lambda: queue.with_state(array, "RUNNING") == odd)
    wait_for(lambda: queue.with_state(array, "COMPLETED") == even)
    jobs = Jobs([job for job in Jobs.load().values() if job.array_id == array])
    before = calls(queue.cluster).get("REQUEST_SUSPEND", 0)
    with pytest.raises(JobErrors) as caught:
        jobs.suspend()
    assert {jobs[number].array_task_id for number in caught.value.errors} == even
    assert set(names(caught.value).values()) == {"ESLURM_ALREADY_DONE"}
    assert queue.with_state(array, "SUSPENDED") == odd
    assert calls(queue.cluster)["REQUEST_SUSPEND"] - before < 5


def changed(target: _control.Target, **values: object) -> _control.Target:
    """A target with some of it changed."""
    other = copy.copy(target)
    for name, value in values.items():
        setattr(other, name, value)
    return other


def test_tasks_whose_array_has_no_record_of_its_own(queue: Queue) -> None:
    """Slurm finds no such array then, and the tasks by their own ids."""
    array = queue.submit("--array=0-2", "--wrap=sleep 300")
    wait_for(lambda: queue.with_state(array, "RUNNING") == {0, 1, 2})
    jobs = Jobs([job for job in Jobs.load().values() if job.array_id == array and job.id != array])
    last = jobs[next(iter(jobs))].array_task_id
    assert last is not None
    # As if the array's own record had been forgotten: an id that there is none of.
    targets: dict[Any, Any] = {
        job.id: changed(job._target(), array=UNKNOWN, name=f"{UNKNOWN}_{job.array_task_id}")
        for job in jobs.values()
    }
    _control.do_to_all(targets, _control.suspend())
    assert len(queue.with_state(array, "SUSPENDED")) == 2


@pytest.mark.skipif(not hasattr(lib, "slurmpy_kill_jobs"), reason="Slurm 23.11.6 and newer")
def test_many_are_cancelled_in_one_call(queue: Queue) -> None:
    ids = [queue.submit("--hold", "--wrap=true") for _ in range(30)]
    before = calls(queue.cluster)
    with pytest.raises(JobErrors) as caught:
        Jobs([*ids, UNKNOWN]).cancel()
    assert names(caught.value) == {UNKNOWN: "ESLURM_INVALID_JOB_ID"}
    after = calls(queue.cluster)
    assert after.get("REQUEST_KILL_JOBS", 0) - before.get("REQUEST_KILL_JOBS", 0) == 1
    assert after.get("REQUEST_KILL_JOB", 0) == before.get("REQUEST_KILL_JOB", 0)
    assert {queue.state(number) for number in ids} == {"CANCELLED"}


def test_what_slurm_does_not_take_together_goes_by_itself(queue: Queue) -> None:
    ids = [queue.submit("--hold", "--wrap=true") for _ in range(2)]
    targets: dict[Any, Any] = {number: Job(number)._target() for number in ids}
    # No name of a job's: where Slurm takes many, it refuses them all.
    targets[UNKNOWN] = changed(targets[ids[0]], job_id=UNKNOWN, name=f"{UNKNOWN}x")
    with pytest.raises(JobErrors) as caught:
        _control.do_to_all(targets, _control.cancel())
    assert list(caught.value.errors) == [UNKNOWN]
    assert {queue.state(number) for number in ids} == {"CANCELLED"}


def test_heterogeneous_job_among_many(queue: Queue) -> None:
    script = queue.cluster.folder / "components.sh"
    script.write_text("#!/bin/sh\nsleep 300\n")
    leader = queue.submit("--hold", "-n1", ":", "--hold", "-n2", str(script))
    # Waiting components go with their leader, whichever comes first.
    loaded(leader + 1, leader).cancel()
    assert queue.state(f"{leader}+0") == queue.state(f"{leader}+1") == "CANCELLED"


@every_action_on_many
def test_closed_and_empty_collections(
    queue: Queue, running: int, action: Callable[[Jobs], object]
) -> None:
    keys = ("JobState", "Restarts", "Priority")
    before = {key: queue.value(running, key) for key in keys}
    with Jobs.load() as jobs:
        job = jobs[running]
    with pytest.raises(slurmpy.ClosedError):
        action(jobs)
    # A job of a collection that was closed, in one that was not.
    with pytest.raises(JobErrors) as caught:
        action(Jobs([job]))
    assert {key: type(error) for key, error in caught.value.errors.items()} == {
        running: slurmpy.ClosedError
    }
    action(Jobs())
    assert {key: queue.value(running, key) for key in keys} == before
    assert not lines(queue.cluster.folder / "unchanged")


@every_action_on_many
def test_jobs_of_another_cluster_among_many(
    queue: Queue, running: int, action: Callable[[Jobs], object]
) -> None:
    job = copy.copy(Job.load(running))
    job._cluster = "other"
    keys = ("JobState", "Restarts", "Priority", "SuspendTime")
    before = {key: queue.value(running, key) for key in keys}
    with pytest.raises(JobErrors) as caught:
        action(Jobs([job, Job(UNKNOWN)]))
    error = caught.value.errors["other", running]
    assert isinstance(error, slurmpy.ConfigurationError)
    assert "other" in str(error)
    assert isinstance(caught.value.errors[UNKNOWN], InvalidJobId)
    assert {key: queue.value(running, key) for key in keys} == before
    assert not lines(queue.cluster.folder / "unchanged")


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda it: it.send_signal("SIGFOO"), ValueError),
        (lambda it: it.send_signal(None), TypeError),
        (lambda it: it.send_signal(1.5), TypeError),
        (lambda it: it.send_signal("USR1", "none"), ValueError),
        (lambda it: it.send_signal("USR1", ["batch"]), TypeError),
        (lambda it: it.send_signal("USR1", None), TypeError),
        (lambda it: it.send_signal("USR1", hurry="no"), TypeError),
        (lambda it: it.hold("root"), ValueError),
        (lambda it: it.hold(["user"]), TypeError),
        (lambda it: it.hold(5), TypeError),
        (lambda it: it.requeue("no"), TypeError),
        (lambda it: it.requeue(None), TypeError),
        (lambda it: it.notify(None), TypeError),
        (lambda it: it.notify(b"hello"), TypeError),
        (lambda it: it.notify("one\0two"), ValueError),
        (lambda it: it.notify("x" * 7901), ValueError),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(
    queue: Queue, action: Callable[[Any], object], error: type[Exception]
) -> None:
    sent = "REQUEST_(KILL_JOBS?|UPDATE_JOB|SUSPEND|JOB_REQUEUE|JOB_NOTIFY|JOB_INFO_SINGLE)"
    before = calls(queue.cluster)
    for it in Job(UNKNOWN), Jobs([UNKNOWN]), Jobs():
        with pytest.raises(error) as caught:
            action(it)
        assert type(caught.value) is error
        # It says what to pass.
        assert re.search("'children'|'user'|True or False|NUL|a str|a name|7900", str(caught.value))
    after = calls(queue.cluster)
    changed = {name for name in after if after[name] != before.get(name)}
    assert not [name for name in changed if re.fullmatch(sent, name)]


def test_longest_message(queue: Queue) -> None:
    out = queue.cluster.folder / "longest"
    number = queue.submit(f"--output={out}", "--wrap=echo started; sleep 300")
    wait_for(lambda: "started" in lines(out))
    text = "first" + "x" * (7900 - 9) + "last"
    Job(number).notify(text)
    wait_for(lambda: text in out.read_text())


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_many_jobs_of_another_user(slurm_cluster: LocalCluster, queue: Queue, running: int) -> None:
    options = ("--uid=bin", "--chdir=/", "--begin=now+1hour", "--wrap=true")
    own, more = queue.submit(*options), [queue.submit(*options) for _ in range(10)]
    keys = ("JobState", "Restarts", "Priority", "SuspendTime")
    before = {key: queue.value(running, key) for key in keys}
    counts = calls(slurm_cluster)
    found = as_user(
        slurm_cluster,
        int(slurm_cluster.run("id", "-u", "bin")),
        f"""
all_jobs = Jobs.load()
mine = Jobs([all_jobs[number] for number in {more}])
mine.add(all_jobs[{running}])

def outcomes(name, *args, jobs=Jobs([{running}, {own}, {UNKNOWN}])):
    try:
        return getattr(jobs, name)(*args)
    except slurmpy.JobErrors as error:
        return {{key: type(one).__name__ for key, one in error.errors.items()}}

print(json.dumps({{
    "hold": outcomes("hold", "user"),
    "release": outcomes("release"),
    "cancel": outcomes("cancel"),
    "mine": outcomes("cancel", jobs=mine),
}}))
""",
    )
    assert found.pop("mine") == {str(running): "AccessDenied"}
    assert {queue.state(number) for number in more} == {"CANCELLED"}
    if hasattr(lib, "slurmpy_kill_jobs"):
        # One's own go in one call. slurmctld 24.11 hangs where another user's is among them.
        after = calls(slurm_cluster)
        assert after["REQUEST_KILL_JOBS"] - counts.get("REQUEST_KILL_JOBS", 0) == 1
    refused = {str(running): "AccessDenied", str(UNKNOWN): "InvalidJobId"}
    assert found == dict.fromkeys(found, refused)
    assert queue.state(own) == "CANCELLED"
    assert {key: queue.value(running, key) for key in keys} == before


TWO_CLUSTERS = """
import json, os, pickle, signal, subprocess, sys, time
import slurmpy
from slurmpy import Jobs
from slurmpy.testing import LocalCluster

def states(cluster):
    return cluster.run("squeue", "-h", "--states=all", "--format=%T").split()

def errors(action):
    try:
        action()
    except slurmpy.JobErrors as error:
        return [[key, type(one).__name__] for key, one in error.errors.items()]

with LocalCluster(name=sys.argv[1], nodes=1, extra_conf="MessageTimeout=2") as cluster:
    for _ in range(2):
        cluster.run("sbatch", "--hold", "--wrap=true")
    jobs = Jobs.load()
    if sys.argv[1] == "one":
        program = [sys.executable, "-c", sys.stdin.read(), "two"]
        done = subprocess.run(program, input=pickle.dumps(jobs), stdout=subprocess.PIPE, check=True)
        print(json.dumps([states(cluster), *json.loads(done.stdout)]))
        sys.exit()
    both = pickle.load(sys.stdin.buffer) | jobs
    found = [errors(both.hold), errors(both.cancel), states(cluster)]
    # Nobody answers: one wait, and not one for each job.
    os.kill(cluster.daemons["slurmctld"], signal.SIGKILL)
    for action in Jobs.hold, Jobs.cancel, Jobs.notify:
        args = ("hello",) if action is Jobs.notify else ()
        start = time.monotonic()
        try:
            action(Jobs(range(1, 30)), *args)
        except slurmpy.SlurmError as error:
            found.append([type(error).__name__, time.monotonic() - start < 15])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_clusters_and_one_that_does_not_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_CLUSTERS, "one"],
        env={**os.environ, "PYTHONPATH": str(HOME)},
        input=TWO_CLUSTERS,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    others, held, cancelled, states, *unreachable = json.loads(done.stdout)
    # The jobs have the same ids in both.
    assert held == cancelled == [[["one", i], "ConfigurationError"] for i in (1, 2)]
    assert states == ["CANCELLED"] * 2
    assert others == ["PENDING"] * 2
    assert unreachable == [["ControllerUnreachable", True]] * 3


def test_errors_of_many_travel(running: int) -> None:
    with pytest.raises(JobErrors) as caught:
        Jobs(range(900_000, 900_030)).release()
    error = caught.value
    again: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is JobErrors
    assert str(again) == str(error)
    assert names(again) == names(error)
    assert len(error.errors) == 30
    assert str(error).endswith("20 more")
    assert running not in error.errors
