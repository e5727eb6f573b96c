"""Faults of the daemons, of munge and of slurm.conf while slurmpy is in use, and signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import (
    AuthenticationError,
    ConfigurationError,
    ControllerUnreachable,
    Job,
    Jobs,
    JobSteps,
    JobSubmitDescription,
    RPCError,
    _runtime,
)
from slurmpy._ffi import MAJOR, lib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

pytestmark = pytest.mark.slow

HOME = Path(slurmpy.__file__).parents[1]

#: MessageTimeout of the cluster, in seconds, and what a busy machine may take on top of it.
TIMEOUT, SOON = 2, 8

#: How many records there are where there are many: `SLURMPY_MANY_JOBS=100000` takes some more.
MANY = int(os.environ.get("SLURMPY_MANY_JOBS", "20000"))
ARRAY = 10_000
#: How much longer than usual that may take.
PATIENCE = max(1, MANY // 20_000)

SCRIPT = "#!/bin/sh\ntrue\n"

# A process can have one cluster only, and the tests have another: this one has a process of its
# own, which does what it is told until its standard input closes.
CLUSTER = """
import json, sys
from slurmpy.testing import LocalCluster
with LocalCluster(**json.loads(sys.argv[1])) as cluster:
    def move():
        [port] = cluster._guardian.reserve(cluster._place.address, 1)
        cluster._place.ports["slurmctld"] = port
        return port
    print(json.dumps([cluster.env, str(cluster.folder)]), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        done = move if name == "move" else getattr(cluster, name)
        print(json.dumps(done(*arguments) if callable(done) else done), flush=True)
"""


class Faulty:
    """A cluster whose daemons can be ended, held up and started again."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.env, folder = self._answer()
        self.folder = Path(folder)
        self.conf = Path(self.env["SLURM_CONF"])

    def _answer(self) -> Any:  # noqa: ANN401 - whatever was asked for
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the cluster has ended: see its traceback"
        return json.loads(line)

    def do(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - as above
        """What an attribute or a method of `LocalCluster` gives."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self.process.stdin.flush()
        return self._answer()

    @property
    def port(self) -> int:
        port: int = self.do("ports")["slurmctld"]
        return port

    def pid(self, daemon: str) -> int:
        pid: int = self.do("daemons")[daemon]
        return pid

    def kill(self, daemon: str, signum: int = signal.SIGKILL) -> None:
        self.do("stop_daemon", daemon, signum)

    def start(self, daemon: str) -> None:
        if daemon not in self.do("daemons"):
            self.do("start_daemon", daemon)

    @contextlib.contextmanager
    def without(self, daemon: str, signum: int = signal.SIGKILL) -> Iterator[None]:
        """A daemon that has ended, and is there again afterwards."""
        self.kill(daemon, signum)
        try:
            yield
        finally:
            self.start(daemon)

    @contextlib.contextmanager
    def held_up(self, daemon: str) -> Iterator[None]:
        """A daemon that is there and does nothing."""
        pid = self.pid(daemon)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def run(self, *command: str) -> str:
        return subprocess.run(
            command,
            env=self.env,
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=100,
        ).stdout

    def submit(self, *options: str) -> int:
        held = ("sbatch", "--parsable", "--hold", "--output=/dev/null")
        return int(self.run(*held, *options, "--wrap=true"))

    def confs(self) -> set[Path]:
        """The files with the configuration: that of the daemons may be another."""
        return {self.conf, *self.folder.glob("daemons.conf")}

    def variant(self, name: str, **changes: str) -> str:
        """The path of another slurm.conf for the same cluster."""
        path = self.folder / name
        path.write_text(changed(self.conf.read_text(), **changes))
        return str(path)


def changed(text: str, **changes: str) -> str:
    for key, value in changes.items():
        text = re.sub(rf"(?m)^{key}=.*\n", "", text) + f"\n{key}={value}\n"
    return text


@contextlib.contextmanager
def pointed_at(conf: str) -> Iterator[None]:
    before = _runtime.redirect(conf)
    try:
        yield
    finally:
        _runtime.put_back(before)


@contextlib.contextmanager
def cluster(**options: object) -> Iterator[Faulty]:
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, json.dumps({"nodes": 1, **options})],
        cwd=HOME,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        found = Faulty(process)
        with pointed_at(found.env["SLURM_CONF"]):
            yield found


#: The jobs that are there all the time: name to comment and time limit.
KEPT = {"kept-1": ("one", 10), "kept-2": ("two", 20), "kept-3": ("three", None)}


def keep(faulty: Faulty) -> None:
    """Submits them, and has the controller write them down: it may be killed from then on."""
    for name, (comment, minutes) in KEPT.items():
        limit = [f"--time={minutes}"] if minutes else []
        faulty.submit(f"--job-name={name}", f"--comment={comment}", *limit)
    faulty.do("restart_daemon", "slurmctld")


def kept(jobs: Jobs) -> bool:
    """Whether a collection has them with their values."""
    ours = [job for job in jobs.values() if (job.name or "").startswith("kept-")]
    found = {
        job.name: (job.comment, job.time_limit if isinstance(job.time_limit, int) else None)
        for job in ours
    }
    return found == KEPT and {job.state for job in ours} == {"PENDING"}


@pytest.fixture(scope="module")
def faulty() -> Iterator[Faulty]:
    with cluster(name="faulty", extra_conf=f"MessageTimeout={TIMEOUT}") as faulty:
        keep(faulty)
        yield faulty


@pytest.fixture
def jobs(faulty: Faulty) -> Iterator[Jobs]:
    """What was loaded before the fault, and stays as it is."""
    _runtime.redirect(faulty.env["SLURM_CONF"])
    jobs = Jobs.load()
    assert kept(jobs)
    yield jobs
    assert kept(jobs)
    assert kept(jobs.reload())


def sockets_to(port: int) -> set[str]:
    """The inodes of the connections to a port, as their callers have them."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01"}


def asks(port: int, pid: int | None = None) -> int:
    """How many connections a process, or this one, has to a controller."""
    found = set()
    for entry in Path(f"/proc/{pid or os.getpid()}/fd").iterdir():
        # One that was closed meanwhile.
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return sum(f"socket:[{inode}]" in found for inode in sockets_to(port))


def timed(action: Callable[[], object], error: type[RPCError]) -> tuple[str, float]:
    """The words of an error, and how long it took."""
    start = time.monotonic()
    with pytest.raises(error) as caught:
        action()
    return str(caught.value), time.monotonic() - start


def outcome(call: Callable[[], object]) -> RPCError | None:
    """The error of a call, if it has one."""
    try:
        call()
    except RPCError as error:
        return error
    return None


def calls(jobs: Jobs) -> dict[str, Callable[[], object]]:
    """Calls of every kind, by what an error of theirs begins with."""
    number = next(iter(jobs))
    changes = JobSubmitDescription(admin_comment="changed")
    return {
        "loading the jobs: ": Jobs.load,
        "loading the jobs:  ": jobs.reload,
        f"loading job {number}: ": lambda: Job.load(number),
        "loading the steps": JobSteps.load_all,
        f"holding job {number}: ": Job(number).hold,
        f"modifying job {number}: ": lambda: Job(number).modify(changes),
        f"sending signal 18 to job {number}: ": lambda: Job(number).send_signal("SIGCONT"),
        "submitting a job: ": JobSubmitDescription(script=SCRIPT, hold=True).submit,
    }


# ---- the controller ----


@pytest.mark.long
def test_a_controller_that_was_killed(faulty: Faulty, jobs: Jobs) -> None:
    """Every call says so, none waits longer than MessageTimeout, and the next one works."""
    asked = calls(jobs)
    with faulty.without("slurmctld"):
        for words, call in asked.items():
            said, seconds = timed(call, ControllerUnreachable)
            assert said.startswith(words.strip())
            assert "SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR" in said or "ECONNREFUSED" in said
            assert "slurm.conf" not in said
            assert seconds < TIMEOUT + SOON
            assert kept(jobs)
    errors = [error for error in map(outcome, asked.values()) if error]
    # A signal cannot be sent to a job that waits, which is an answer too.
    assert len(errors) <= 1
    assert not any(isinstance(error, ConnectionError) for error in errors)
    assert kept(jobs)


@pytest.mark.long
def test_a_controller_that_hangs(faulty: Faulty, jobs: Jobs) -> None:
    """It is waited for as long as MessageTimeout says, and what it was asked it does later."""
    number = next(iter(jobs))
    late = JobSubmitDescription(name="late", script=SCRIPT, hold=True)
    asked = (Jobs.load, jobs.reload, lambda: Job.load(number), late.submit)
    with faulty.held_up("slurmctld"):
        for call in asked:
            said, seconds = timed(call, ControllerUnreachable)
            assert "timed out" in said
            assert "SLURM_PROTOCOL_SOCKET_IMPL_TIMEOUT" in said
            assert TIMEOUT - 1 < seconds < TIMEOUT + SOON
            assert kept(jobs)
    # Answers to questions that nobody waits for any more are taken for no other's.
    for _ in range(3):
        assert kept(Jobs.load())
        assert Job.load(number).name == jobs[number].name
    # An error that says that there was no answer does not say that nothing was done.
    wait_for(lambda: "late" in [job.name for job in Jobs.load().values()])


def test_a_controller_that_hangs_for_a_moment(faulty: Faulty, jobs: Jobs) -> None:
    """A call that is waiting gets its answer when there is one."""
    patient = faulty.variant("patient.conf", MessageTimeout="60")
    with pointed_at(patient), ThreadPoolExecutor(3) as pool:
        collection = Jobs.load()
        faulty.submit("--job-name=new")
        with faulty.held_up("slurmctld"):
            loaded = pool.submit(Jobs.load)
            reloaded = pool.submit(collection.reload)
            single = pool.submit(Job.load, next(iter(jobs)))
            wait_for(lambda: asks(faulty.port) >= 3)
            assert not any(future.done() for future in (loaded, reloaded, single))
            assert kept(collection)
            assert "new" not in [job.name for job in collection.values()]
        assert kept(loaded.result(60))
        assert reloaded.result(60) is collection
        assert "new" in [job.name for job in collection.values()]
        assert single.result(60).name == "kept-1"


@pytest.mark.parametrize("seconds", [1, 0])
def test_smallest_message_timeout(faulty: Faulty, jobs: Jobs, seconds: int) -> None:
    """Slurm takes 0 too, and then waits for no answer at all."""
    with pointed_at(faulty.variant("short.conf", MessageTimeout=str(seconds))):
        if seconds:
            # Which is little on a machine that has more to do.
            wait_for(lambda: outcome(Jobs.load) is None)
        else:
            with faulty.held_up("slurmctld"):
                _, waited = timed(Jobs.load, ControllerUnreachable)
            # Slurm's own default would be ten.
            assert waited < 5
    assert kept(jobs)


class Loop(threading.Thread):
    """Loads or reloads again and again, and keeps what has gone wrong."""

    def __init__(self, collection: Jobs | None) -> None:
        super().__init__(daemon=True)
        self.collection = collection
        self.end = False
        self.done = self.failed = 0
        self.wrong: list[object] = []

    def run(self) -> None:
        while not self.end and not self.wrong:
            try:
                found = self.collection.reload() if self.collection else Jobs.load()
            except ControllerUnreachable:
                self.failed += 1
            except Exception as error:  # noqa: BLE001 - whatever else it is, it is wrong
                self.wrong.append(error)
            else:
                self.done += 1
                if not kept(found):
                    self.wrong.append(found)
            # What there was before stays, whether or not there was an answer.
            if self.collection and not kept(self.collection):
                self.wrong.append(self.collection)


@contextlib.contextmanager
def running(threads: Iterable[Loop]) -> Iterator[None]:
    started = list(threads)
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        for thread in started:
            thread.end = True
        for thread in started:
            thread.join(60)
    assert not any(thread.is_alive() for thread in started)
    assert [thread.wrong for thread in started] == [[]] * len(started)


@pytest.mark.long
def test_reloads_while_the_controller_is_restarted(faulty: Faulty, jobs: Jobs) -> None:
    shared = Jobs.load()
    loops = [Loop(jobs), Loop(shared), Loop(shared), Loop(None)]

    def all_succeed() -> None:
        """Each has had an answer to a question that it has put from now on."""
        before = [loop.done + 2 for loop in loops]
        wait_for(
            lambda: (
                any(loop.wrong for loop in loops)
                or all(loop.done >= least for loop, least in zip(loops, before))
            )
        )

    with running(loops):
        all_succeed()
        for signum in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            failed = [loop.failed for loop in loops]
            faulty.kill("slurmctld", signum)
            wait_for(lambda: any(loop.failed > least for loop, least in zip(loops, failed)))  # noqa: B023 - it is called here
            faulty.start("slurmctld")
            all_succeed()


# ---- munge ----


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_munge_that_comes_back(faulty: Faulty, jobs: Jobs, signum: int) -> None:
    """While munged is away, the call that needs it tries again."""

    def away() -> float:
        """For how many seconds it was, while a call waited."""
        with ThreadPoolExecutor(1) as pool:
            with faulty.without("munged", signum):
                began = time.monotonic()
                loaded = pool.submit(Jobs.load)
                # It has found nobody by then; and where it has not looked yet, it will find
                # somebody.
                time.sleep(0.3)
                early = loaded.done() and time.monotonic() - began < 1.8
                assert not early
                assert kept(jobs)
            seconds = time.monotonic() - began
            try:
                assert kept(loaded.result(60))
            except AuthenticationError:
                # Without a socket, munge's own library tries for two seconds.
                assert signum == signal.SIGTERM
                assert seconds > 1.8
        return seconds

    wait_for(lambda: away() < 1.8 or signum == signal.SIGKILL, seconds=90)


def test_munge_that_has_ended(faulty: Faulty, jobs: Jobs) -> None:
    with faulty.without("munged", signal.SIGTERM):
        for call in (Jobs.load, jobs.reload):
            said, seconds = timed(call, AuthenticationError)
            assert "loading the jobs: " in said
            assert f"{faulty.folder}/munge.socket" in said
            assert "SLURM_PROTOCOL_AUTHENTICATION_ERROR" in said or MAJOR >= "24"
            assert seconds < TIMEOUT + SOON
            assert kept(jobs)
    assert kept(Jobs.load())


@pytest.mark.long
def test_munge_that_was_killed(faulty: Faulty, jobs: Jobs) -> None:
    """Its socket stays, and munge's library takes most of a minute to believe that it is dead."""
    with faulty.without("munged"):
        said, _seconds = timed(jobs.reload, AuthenticationError)
        assert f"{faulty.folder}/munge.socket" in said
        assert kept(jobs)
    assert kept(Jobs.load())


def test_munge_that_hangs_for_a_moment(faulty: Faulty, jobs: Jobs) -> None:
    with ThreadPoolExecutor(1) as pool:
        with faulty.held_up("munged"):
            loaded = pool.submit(Jobs.load)
            time.sleep(1)
            assert not loaded.done()
            assert kept(jobs)
        assert kept(loaded.result(60))


# ---- slurm.conf changes ----


def test_slurm_conf_that_has_changed(jobs: Jobs) -> None:
    """What was read holds until fini(), and an error of the controller says that it is not new."""
    assert kept(jobs)
    with cluster(name="before", extra_conf=f"MessageTimeout={TIMEOUT}") as moving:
        keep(moving)
        collection = Jobs.load()
        number = next(iter(collection))

        # Another port.
        moving.kill("slurmctld", signal.SIGTERM)
        port = moving.do("move")
        for conf in moving.confs():
            conf.write_text(changed(conf.read_text(), SlurmctldPort=str(port)))
        moving.start("slurmctld")
        for call in (Jobs.load, collection.reload, Job(number).hold):
            said, seconds = timed(call, ControllerUnreachable)
            assert f"{moving.conf} has changed since it was read: call slurmpy.fini()" in said
            assert seconds < TIMEOUT + SOON
            assert kept(collection)
        slurmpy.fini()
        assert kept(collection.reload())
        assert kept(Jobs.load())

        # Another name. Nothing in an answer tells it, so the name is the old one until fini().
        moving.kill("slurmctld", signal.SIGTERM)
        for conf in moving.confs():
            conf.write_text(changed(conf.read_text(), ClusterName="after"))
        (moving.folder / "state" / "clustername").unlink()
        moving.start("slurmctld")
        old = Jobs.load()
        assert old.clusters() == collection.clusters() == ["before"]
        slurmpy.fini()
        # A job of the cluster that was is not taken for one of the cluster that is.
        with pytest.raises(ConfigurationError, match=r"of the cluster before, .* with after"):
            old[number].hold()
        assert collection.reload().clusters() == Jobs.load().clusters() == ["after"]
        collection[number].hold()

        # One that cannot be used: what was read holds on, and what is read next says so.
        good = moving.conf.read_text()
        moving.conf.write_text(f"{good}\nNonsense=1\n")
        assert kept(collection.reload())
        slurmpy.fini()
        with pytest.raises(ConfigurationError, match="Nonsense"):
            collection.reload()
        assert kept(collection)
        moving.conf.write_text(good)
        assert kept(collection.reload())


# ---- a full queue ----


@pytest.mark.long
def test_a_full_queue_that_empties() -> None:
    """Slurm counts jobs that have ended until it forgets them; sbatch tries again for ever."""
    job = JobSubmitDescription(name="one too many", script=SCRIPT, hold=True)
    array = JobSubmitDescription(script=SCRIPT, hold=True, array="0-9")
    with cluster(name="full", max_job_count=4, extra_conf="MinJobAge=2") as full:
        refused = None
        while not refused:
            refused = outcome(job.submit)
            assert len(Jobs.load()) <= 4
        assert refused.name in {"EAGAIN", "ESLURM_MAX_JOB_COUNT"}
        loaded = Jobs.load()
        ids = list(loaded)
        states = [held.state for held in loaded.values()]
        for description in (job, array):
            said, seconds = timed(description.submit, RPCError)
            assert said.startswith("submitting a job: ")
            assert "MaxJobCount" in said or refused.name == "ESLURM_MAX_JOB_COUNT"
            assert seconds < SOON
        assert list(Jobs.load()) == list(loaded) == ids
        assert [held.state for held in loaded.values()] == states
        Jobs(ids).cancel()

        def forgotten() -> bool:
            return not Jobs.load()

        wait_for(forgotten, 100)
        assert [held.state for held in loaded.values()] == states
        assert Job.load(job.submit()).name == "one too many"
        assert len(full.run("squeue", "--noheader").splitlines()) == 1


# ---- many jobs, and a controller that has much to do ----


class Updates:
    """Arrays whose tasks are changed in rounds, while others load them."""

    def __init__(self, many: Faulty) -> None:
        self.many = many
        self.arrays: dict[int, str] = {}
        for first in range(0, MANY, ARRAY):
            last = min(ARRAY, MANY - first) - 1
            array = many.submit(f"--array=0-{last}", "--job-name=many", "--comment=0")
            self.arrays[array] = f"jobid={array}_[0-{last}]"
            # The last task that was never touched stays the array's own record.
            many.run("scontrol", "update", f"jobid={array}_[0-{last - 1}]", "comment=1")
        self.rounds = 1
        self.ended = threading.Event()
        self.wrong: list[BaseException] = []
        self.answers = [0] * 4

    def update(self) -> None:
        while not self.ended.is_set():
            self.rounds += 1
            for tasks in self.arrays.values():
                self.many.run("scontrol", "update", tasks, f"comment={self.rounds}")

    def check(self, jobs: Jobs, before: int) -> int:
        """The oldest comment; all are of a round that had begun, and no older than what was."""
        after = self.rounds
        assert len(jobs) == MANY
        found: dict[int, set[int]] = {}
        for number in list(jobs)[:: MANY // 1000]:
            job = jobs[number]
            assert (job.id, job.name) == (number, "many")
            found.setdefault(job.array_id or 0, set()).add(int(job.comment or 0))
        assert sorted(found) == sorted(self.arrays)
        # One command changes an array at once, but for the record that was the array's own.
        assert all(len(of_array) <= 2 for of_array in found.values())
        comments: set[int] = set().union(*found.values())
        assert before <= min(comments) <= max(comments) <= after
        return min(comments)

    def ask(self, place: int, collection: Jobs | None) -> None:
        oldest = 0
        try:
            while not self.ended.is_set():
                jobs = collection.reload() if collection is not None else Jobs.load()
                oldest = self.check(jobs, oldest)
                self.answers[place] += 1
        except BaseException as error:  # noqa: BLE001 - a test that fails included
            self.wrong.append(error)


@pytest.mark.long
@pytest.mark.timeout(180 * PATIENCE)
def test_many_jobs_while_they_are_updated() -> None:
    with cluster(name="many", max_job_count=300_000, extra_conf="MessageTimeout=100") as many:
        updates = Updates(many)
        updates.check(Jobs.load(), 0)
        threads = [threading.Thread(target=updates.update, daemon=True)]
        threads += [
            threading.Thread(target=updates.ask, args=pair, daemon=True)
            for pair in enumerate((None, None, Jobs.load(), Jobs.load()))
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60 * PATIENCE
        while min(updates.answers) < 2 or updates.rounds < 3:
            if updates.wrong or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        updates.ended.set()
        for thread in threads:
            thread.join(60 * PATIENCE)
        assert updates.wrong == []
        assert not any(thread.is_alive() for thread in threads)
        assert min(updates.answers) >= 2
        assert updates.rounds >= 3
        assert updates.check(Jobs.load(), 1) == updates.rounds


# ---- a peer that closes ----


class Between(threading.Thread):
    """Stands between slurmpy and the controller, and cuts the connection when it is told to."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.upstream = port
        self.cut: str | None = None
        self.cuts = 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(client,), daemon=True).start()

    def pass_on(self, client: socket.socket) -> None:
        cut = self.cut
        with client, socket.create_connection(("127.0.0.1", self.upstream)) as upstream:
            if cut == "request":
                client.recv(100)
                self.break_off(client)
                return
            while True:
                for ready in select.select([client, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if cut == "answer" and ready is upstream:
                        client.sendall(data[:20])
                        self.break_off(client)
                        return
                    try:
                        (client if ready is upstream else upstream).sendall(data)
                    except OSError:
                        return
                    if not data:
                        return

    def break_off(self, client: socket.socket) -> None:
        self.cuts += 1
        if self.cuts % 2:
            # As a peer that has died: with what was not read, and no word of farewell.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def between(faulty: Faulty) -> Iterator[Between]:
    between = Between(faulty.port)
    with pointed_at(faulty.variant("between.conf", SlurmctldPort=str(between.port))):
        yield between
    # A socket that is only closed goes on accepting in the thread that waits for it.
    between.server.shutdown(socket.SHUT_RDWR)
    between.server.close()
    between.join(60)


@pytest.mark.parametrize("cut", ["request", "answer"])
def test_a_connection_that_breaks(jobs: Jobs, between: Between, cut: str) -> None:
    collection = Jobs.load()
    assert kept(collection)
    faulty_for = len(KEPT)
    between.cut = cut
    for _ in range(faulty_for):
        for call in (Jobs.load, collection.reload, lambda: Job.load(next(iter(jobs)))):
            said, seconds = timed(call, ControllerUnreachable)
            assert said.startswith("loading ")
            assert seconds < TIMEOUT + SOON
            assert kept(collection)
    assert between.cuts >= 3 * faulty_for
    between.cut = None
    assert kept(collection.reload())
    assert kept(Jobs.load())


# ---- signals of the host ----


class Host:
    """A program of its own that uses slurmpy, and says and hears lines."""

    def __init__(self, code: str, env: dict[str, str], *arguments: str, home: Path = HOME) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            env=env,
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hear(self) -> Any:  # noqa: ANN401 - what the program says
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr
            pytest.fail(f"it has ended with {self.process.wait(60)}: {self.process.stderr.read()}")
        return json.loads(line)


INTERRUPTED = """
import json, sys
import slurmpy

def say(what):
    print(json.dumps(what), flush=True)

jobs = slurmpy.Jobs.load()
say("ready")
for call in (slurmpy.Jobs.load, jobs.reload):
    sys.stdin.readline()
    try:
        call()
        say("went on")
    except KeyboardInterrupt:
        say("interrupted")
    except Exception as error:
        say(repr(error))
    before = sorted(job.name for job in jobs.values())
    sys.stdin.readline()
    say([before, sorted(job.name for job in slurmpy.Jobs.load().values())])
"""


@pytest.mark.parametrize("answered", [True, False])
def test_ctrl_c_during_a_load(faulty: Faulty, jobs: Jobs, *, answered: bool) -> None:
    """It comes through when the call has its answer, or has given up, and does no harm."""
    # In which the signal has to come, too.
    timeout = "60" if answered else "8"
    conf = faulty.variant("interrupted.conf", MessageTimeout=timeout)
    names = sorted(job.name or "" for job in jobs.values())
    with Host(INTERRUPTED, {**faulty.env, "SLURM_CONF": conf}) as host:
        assert host.hear() == "ready"
        for _ in range(2):
            with faulty.held_up("slurmctld"):
                host.tell()
                wait_for(lambda: asks(faulty.port, host.process.pid))
                host.process.send_signal(signal.SIGINT)
                if not answered:
                    assert host.hear() == "interrupted"
            if answered:
                assert host.hear() == "interrupted"
            host.tell()
            assert host.hear() == [names, names]


#: Calls that give an answer, each of which asks once.
LOADS = {
    "jobs": "slurmpy.Jobs.load",
    "jobs-of-a-user": "lambda: slurmpy.Jobs.load(user=0)",
    "reload": "kept.reload",
    "job": "lambda: slurmpy.Job.load(number)",
    "steps": "slurmpy.JobSteps.load_all",
    "script": "slurmpy.Job(number).get_batch_script",
    "nodes": "lambda: slurmpy._layout._threads(None, number)",
    "one-id": "lambda: slurmpy._control._load(number)",
    "several-ids": "lambda: slurmpy._control._absent({number, number + 1})",
    "tasks": "slurmpy.Job(f'{number}_[0-298]').hold",
    "submit": "slurmpy.JobSubmitDescription(script='#!/bin/sh', hold=True).submit",
    "dry-run": "slurmpy.JobSubmitDescription(script='#!/bin/sh').dry_run",
    "statistics": "slurmpy.JobStep.load(batch, 'batch').load_stats",
}
if hasattr(lib, "slurmpy_kill_jobs"):
    # A signal that does nothing to those.
    signalled = "(lambda jobs: lambda: jobs.send_signal('SIGCONT'))"
    LOADS["kill-jobs"] = f"{signalled}(slurmpy.Jobs.load())"
LEAKING = """
import json, sys
import slurmpy
import slurmpy._control, slurmpy._layout
import slurmpy.jobs, slurmpy.stats, slurmpy.steps, slurmpy.submission
from slurmpy import _records

def say(what):
    print(json.dumps(what), flush=True)

# What each answer has come to: it was there and nobody took it, and is freed.
dropped = []

def watched(ctype, drop):
    def watch(out):
        there = bool(out[0])
        drop(out)
        dropped.append([there, bool(out[0])])
    return cell(ctype, watch)

cell = _records.cell
for name, module in list(sys.modules.items()):
    if name.startswith("slurmpy.") and module is not _records and hasattr(module, "cell"):
        module.cell = watched

def interrupted(call):
    dropped.clear()
    try:
        call()
    except KeyboardInterrupt:
        pass
    else:
        return "went on"
    return [dropped[:], used()]

number, batch = map(int, sys.argv[1:3])
kept = slurmpy.Jobs()
call = eval(sys.argv[3])
slurmpy.Jobs.load().close()
before = used()
jobs = slurmpy.Jobs.load()
say(used() - before)
jobs.close()
del jobs
while sys.stdin.readline():
    say(interrupted(call))
"""


@pytest.fixture(scope="module")
def array(faulty: Faulty) -> Iterator[int]:
    """An array of many records, all under its one id."""
    number = faulty.submit("--array=0-299", f"--comment={'c' * 1000}")
    faulty.run("scontrol", "update", f"jobid={number}_[0-298]", "admincomment=own")
    yield number
    faulty.run("scancel", str(number))


@pytest.fixture(scope="module")
def batch(faulty: Faulty) -> Iterator[int]:
    """A job that runs."""
    # Without its controllers of before, a node may be taken for one that is down.
    faulty.do("restart_daemon", "slurmd-n1")
    number = int(faulty.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 1000"))
    wait_for(lambda: "batch" in JobSteps.load(number))
    yield number
    faulty.run("scancel", str(number))


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.usefixtures("jobs")
def test_ctrl_c_loses_no_memory(
    faulty: Faulty, used: str, array: int, batch: int, load: str
) -> None:
    """The answer of a call that was interrupted is freed."""
    conf = faulty.variant("patient.conf", MessageTimeout="60")
    env = {**faulty.env, "SLURM_CONF": conf}
    asked = "slurmd-n1" if load == "statistics" else "slurmctld"
    port = faulty.do("ports")[asked]
    with Host(used + LEAKING, env, str(array), str(batch), LOADS[load]) as host:
        size = host.hear()
        assert size > 300_000
        found = []
        for _ in range(6):
            with faulty.held_up(asked):
                host.tell()
                wait_for(lambda: asks(port, host.process.pid))
                host.process.send_signal(signal.SIGINT)
            dropped, now = host.hear()
            assert dropped == [[True, False]]
            found.append(now)
        assert found[-1] - found[0] < size


SUBMITTING = """
import json, logging, sys
import slurmpy

def say(what):
    print(json.dumps(what), flush=True)

logged = logging.StreamHandler(sys.stdout)
logged.setFormatter(logging.Formatter('["%(message)s"]'))
logging.getLogger("slurmpy").addHandler(logged)
job = slurmpy.JobSubmitDescription(script="#!/bin/sh\\ntrue", hold=True, name="interrupted")
slurmpy.Jobs.load()
say("ready")
sys.stdin.readline()
try:
    job.submit()
except KeyboardInterrupt:
    say("interrupted")
"""


def test_ctrl_c_during_a_submission(faulty: Faulty) -> None:
    """The job is there, and its id is not lost."""
    conf = faulty.variant("submitting.conf", MessageTimeout="60")
    with Host(SUBMITTING, {**faulty.env, "SLURM_CONF": conf}) as host:
        assert host.hear() == "ready"
        with faulty.held_up("slurmctld"):
            host.tell()
            wait_for(lambda: asks(faulty.port, host.process.pid))
            host.process.send_signal(signal.SIGINT)
        (logged,) = host.hear()
        assert host.hear() == "interrupted"
    number = faulty.run("squeue", "-h", "-o", "%i", "--name=interrupted").strip()
    faulty.run("scancel", number)
    assert logged == f"job {number} was submitted; its id was not given back"


#: What a program does with SIGPIPE, and what of it the kernel tells.
DISPOSITIONS = """
import ctypes, json, os, re, signal, sys, threading
import slurmpy

called = []
signal.signal(signal.SIGPIPE, {
    "default": signal.SIG_DFL,
    "ignored": signal.SIG_IGN,
    "handler": lambda *_: called.append(1),
}[sys.argv[1]])

def disposition():
    status = open("/proc/self/status").read()
    bits = [int(re.search(key + r":\\t(\\w+)", status)[1], 16) for key in ("SigCgt", "SigIgn")]
    blocked = signal.SIGPIPE in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return [*(number >> signal.SIGPIPE - 1 & 1 for number in bits), blocked]

def outcome(call):
    try:
        call()
        return "fine"
    except slurmpy.SlurmError as error:
        return type(error).__name__

def side_by_side(call, threads):
    found = []
    workers = [threading.Thread(target=lambda: found.append(outcome(call))) for _ in range(threads)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    return found

def say(what):
    print(json.dumps([what, disposition(), called]), flush=True)

slurmpy.init()
large = slurmpy.JobSubmitDescription(script="#!/bin/sh\\n#" + "x" * 3_000_000, hold=True)
say("ready")
"""

dispositions = pytest.mark.parametrize(
    ("kind", "bits"), [("default", [0, 0]), ("ignored", [0, 1]), ("handler", [1, 0])]
)


@dispositions
def test_sigpipe_stays_as_it_is(faulty: Faulty, jobs: Jobs, kind: str, bits: list[int]) -> None:
    code = """
say(outcome(slurmpy.Jobs.load))
say(side_by_side(lambda: [slurmpy.Jobs.load() for _ in range(100)], 4))
if sys.argv[1] == "handler":
    sys.stdin.readline()
    say(outcome(slurmpy.Jobs.load))
"""
    env = {**faulty.env, "SLURM_CONF": faulty.variant("patient.conf", MessageTimeout="60")}
    with Host(DISPOSITIONS + code, env, kind) as host:
        for what in ("ready", "fine", ["fine"] * 4):
            assert host.hear() == [what, [*bits, False], []]
        if kind == "handler":
            # What somebody else sends during a call is the host's as before.
            with faulty.held_up("slurmctld"):
                host.tell()
                wait_for(lambda: asks(faulty.port, host.process.pid))
                host.process.send_signal(signal.SIGPIPE)
            assert host.hear() == ["fine", [*bits, False], [1]]
    assert kept(jobs)


#: How a host sends itself a signal.
SENDERS = {
    "to the thread": "signal.pthread_kill(threading.main_thread().ident, signal.SIGPIPE)",
    "to the process": "os.kill(os.getpid(), signal.SIGPIPE)",
}


@pytest.mark.parametrize("sender", SENDERS)
def test_a_sigpipe_of_the_hosts_own_during_a_call(faulty: Faulty, jobs: Jobs, sender: str) -> None:
    """From another thread, while the call waits."""
    code = f"""
def send():
    sys.stdin.readline()
    {SENDERS[sender]}
    print(json.dumps("sent"), flush=True)

for _ in range(3):
    other = threading.Thread(target=send)
    sys.stdin.readline()
    other.start()
    found = outcome(slurmpy.Jobs.load)
    other.join()
    say(found)
"""
    env = {**faulty.env, "SLURM_CONF": faulty.variant("patient.conf", MessageTimeout="60")}
    with Host(DISPOSITIONS + code, env, "handler") as host:
        assert host.hear() == ["ready", [1, 0, False], []]
        for times in range(1, 4):
            with faulty.held_up("slurmctld"):
                host.tell()
                wait_for(lambda: asks(faulty.port, host.process.pid))
                host.tell()
                assert host.hear() == "sent"
            assert host.hear() == ["fine", [1, 0, False], [1] * times]
    assert kept(jobs)


@dispositions
def test_a_controller_that_closes_does_not_end_the_host(
    faulty: Faulty, between: Between, kind: str, bits: list[int]
) -> None:
    """In the middle of a submission, alone and side by side."""
    code = """
for _ in range(2):
    sys.stdin.readline()
    say(outcome(large.submit))
    say(side_by_side(large.submit, 4))
"""
    env = {**faulty.env, "SLURM_CONF": str(faulty.folder / "between.conf")}
    with Host(DISPOSITIONS + code, env, kind) as host:
        assert host.hear() == ["ready", [*bits, False], []]
        between.cut = "request"
        for _ in range(2):
            host.tell()
            unreachable = "ControllerUnreachable"
            for what in (unreachable, [unreachable] * 4):
                assert host.hear() == [what, [*bits, False], []]


def cpu() -> int:
    """The one CPU that both sides run on, so that the other has closed when slurmpy writes."""
    return min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


@contextlib.contextmanager
def closing_munge(faulty: Faulty) -> Iterator[None]:
    """A munge that closes each connection at once."""
    path, away = faulty.folder / "munge.socket", faulty.folder / "munge.away"
    path.rename(away)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            closing = threading.Thread(target=close_at_once, args=(server, cpu()), daemon=True)
            closing.start()
            yield
            server.shutdown(socket.SHUT_RDWR)
            closing.join(60)
    finally:
        away.rename(path)


def close_at_once(server: socket.socket, cpu: int) -> None:
    """Closes every connection before its peer has written to it, as far as that can be had."""
    if hasattr(os, "sched_setaffinity"):  # PyPy has none
        os.sched_setaffinity(0, {cpu})
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


#: Loads once while munge closes, and once after; with the lesser right to the one CPU.
LESSER = """
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [int(sys.argv[2])])
os.nice(19)
for _ in range(2):
    sys.stdin.readline()
    say(outcome(slurmpy.Jobs.load))
"""


@dispositions
def test_a_munge_that_closes_does_not_end_the_host(
    faulty: Faulty, jobs: Jobs, kind: str, bits: list[int]
) -> None:
    """Writing to a local socket that its peer has closed brings up SIGPIPE, every time."""
    with Host(DISPOSITIONS + LESSER, faulty.env, kind, str(cpu())) as host:
        assert host.hear() == ["ready", [*bits, False], []]
        with closing_munge(faulty):
            host.tell()
            assert host.hear() == ["AuthenticationError", [*bits, False], []]
        host.tell()
        assert host.hear() == ["fine", [*bits, False], []]
    assert kept(jobs)


@pytest.mark.long
@pytest.mark.slow
def test_a_munge_that_closes_does_bring_up_a_sigpipe(
    faulty: Faulty, jobs: Jobs, build: Callable[..., Path], tmp_path: Path
) -> None:
    """It ends a host with a slurmpy that does not take it away: so the test above tests that."""
    taking = "\tslurmpy_take_own_pipe();\n"
    path = build(tmp_path, "source.c", lambda text: text.replace(taking, ""))
    for kind, bits in (("handler", [1, 0]), ("default", [0, 0])):
        with Host(DISPOSITIONS + LESSER, faulty.env, kind, str(cpu()), home=path) as host:
            assert host.hear() == ["ready", [*bits, False], []]
            with closing_munge(faulty):
                host.tell()
                if kind == "handler":
                    assert host.hear() == ["AuthenticationError", [*bits, False], [1]]
                else:
                    assert host.process.wait(60) == -signal.SIGPIPE
    assert kept(jobs)
