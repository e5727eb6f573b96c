"""`Jobs`: loading, loading again, frozen, of several clusters, as a mapping, and its totals."""

from __future__ import annotations

import collections.abc
import contextlib
import copy
import gc
import grp
import inspect
import json
import os
import pickle
import pwd
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar, Union

import pytest
from waiting import wait_for

import slurmpy
from slurmpy import Job, Jobs, _runtime
from slurmpy._ffi import ffi
from slurmpy.jobs import _Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slurmpy.testing import LocalCluster

T = TypeVar("T")

# What a collection can be made of.
Given = Union[Iterable[Union[int, Job]], Mapping[int, Job], str, None]

HOME = Path(slurmpy.__file__).parents[1]
ROOT = os.geteuid() == 0
PYTHON = {**os.environ, "PYTHONPATH": str(HOME)}

# A process can have one cluster only, so a second one runs in a process of its own, until its
# standard input closes.
SECOND = """
import json, sys
from slurmpy.testing import LocalCluster
with LocalCluster(**json.loads(sys.argv[1])) as cluster:
    print(json.dumps(dict(cluster.env)), flush=True)
    sys.stdin.read()
"""


class Second:
    """A cluster of another process."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.conf = env["SLURM_CONF"]

    def run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            command,
            env=self.env,
            cwd=Path(self.conf).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def sbatch(self, *options: str) -> int:
        return int(self.run("sbatch", "--parsable", "--output=/dev/null", *options))


@contextlib.contextmanager
def second_cluster(**options: object) -> Iterator[Second]:
    with subprocess.Popen(
        [sys.executable, "-c", SECOND, json.dumps(options)],
        env=PYTHON,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        yield Second(json.loads(process.stdout.readline()))


@contextlib.contextmanager
def pointed_at(conf: str) -> Iterator[None]:
    """Let slurmpy in this process use another cluster."""
    before = _runtime.redirect(conf)
    try:
        yield
    finally:
        _runtime.put_back(before)


def python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**PYTHON, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sbatch(cluster: LocalCluster, *options: str) -> int:
    return int(cluster.run("sbatch", "--parsable", "--output=/dev/null", *options).split(";")[0])


def message_of(jobs: Jobs) -> weakref.ref[Any]:
    """Dead as soon as the memory that Slurm's library filled is freed."""
    assert jobs._table is not None
    assert jobs._table.snapshot is not None
    return weakref.ref(jobs._table.snapshot.message)


def unchanged_reload(jobs: Jobs) -> None:
    """Reload until slurmctld has nothing new; the job's own changes keep it from that for 2 s."""

    def kept() -> bool:
        message = message_of(jobs)()
        jobs.reload()
        return message_of(jobs)() is message

    wait_for(kept)


def collect() -> None:
    for _ in range(3):
        gc.collect()


def pickled(value: T) -> T:
    same: T = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    return same


@pytest.fixture(scope="module")
def held(slurm_cluster: LocalCluster) -> Iterator[list[int]]:
    """Jobs that stay as they are."""
    ids = [sbatch(slurm_cluster, "--hold", f"-n{i}", f"-Jheld-{i}", "--wrap=:") for i in (1, 2, 3)]
    yield ids
    slurm_cluster.run("scancel", *map(str, ids))


# ---- made by hand ----


@pytest.mark.parametrize(
    "given",
    [
        [1, 2],
        (1, 2),
        iter([1, 2]),
        "1,2",
        " 1, 2",
        {1: Job(1), 2: Job(2)},
        [Job(1), 2],
        {1: None, 2: None}.keys(),
        Jobs("1,2"),
        Jobs("1,2").keys(),
        Jobs("1,2").values(),
    ],
)
def test_made_by_hand(given: Given) -> None:
    jobs = Jobs(given)
    assert list(jobs) == [1, 2]
    assert [type(job) for job in jobs.values()] == [Job, Job]
    assert repr(jobs) == str(jobs) == "slurmpy.Jobs({1: slurmpy.Job(1), 2: slurmpy.Job(2)})"
    assert jobs.frozen is False
    assert Jobs(given, frozen=True).frozen is True


@pytest.mark.parametrize("given", [None, [], {}, (), Jobs()])
def test_made_empty(given: Given) -> None:
    jobs = Jobs(given)
    assert len(jobs) == 0
    assert not jobs
    assert repr(jobs) == "slurmpy.Jobs({})"
    assert len(Jobs()) == 0


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (5, TypeError),
        (1.5, TypeError),
        (b"1,2", TypeError),
        ([1.5], TypeError),
        (["one"], ValueError),
        ([None], TypeError),
        ([True], TypeError),
        ([(1, Job(1))], TypeError),
        ({1: 1}, TypeError),
        ({1: "x"}, TypeError),
        ({2: Job(1)}, ValueError),
        ("1,x", ValueError),
        ("1;2", ValueError),
        ("1,,2", ValueError),
        ("-1", ValueError),
        ("0", ValueError),
        ([0], ValueError),
        ([-1], ValueError),
        ([2**32], ValueError),
    ],
)
def test_made_of_wrong_input(given: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Jobs(given)  # type: ignore[arg-type]


def test_made_by_hand_asks_nothing() -> None:
    python(
        """
from slurmpy import ConfigurationError, Job, Jobs
jobs = Jobs([1, 2]) | Jobs("3") | {4: Job(4)}
assert list(jobs) == [1, 2, 3, 4] and jobs[1] is jobs[1] and 2 in jobs
assert Job(3) in jobs and Job(5) not in jobs
assert jobs.to_dict() == {i: {"id": i} for i in (1, 2, 3, 4)}
assert jobs.copy() == jobs
assert jobs.pop(4) == Job(4)
assert jobs.clusters() == [""] and jobs[""][1] is jobs[1]
jobs.close()
try:
    Jobs([1]).reload()
except ConfigurationError:
    pass
else:
    raise AssertionError("reload() would have been noticed")
""",
        SLURM_CONF="/nowhere/slurm.conf",
    )


def test_ids_made_before_slurm_is_in_use(slurm_cluster: LocalCluster, held: list[int]) -> None:
    python(
        f"""
from slurmpy import Job, Jobs
a, b, c = {held}
early = Jobs([a, 999999], frozen=True)
loaded = Job.load(b)
early.add(loaded)
assert early[a] == Job(a) and a in early and Job(a) in early
assert early[b] is loaded and len(early) == 3
early.reload()
assert sorted(early) == sorted([a, b, 999999])
assert early[a].name == "held-1" and early[b].name == "held-2"
assert early[999999].to_dict() == {{"id": 999999}}
assert early.clusters() == ["{slurm_cluster.name}"]
assert early == Jobs([a, b, 999999])
""",
        SLURM_CONF=str(slurm_cluster.conf),
    )


def test_a_collection_stays_of_the_cluster_that_it_says(
    slurm_cluster: LocalCluster, tmp_path: Path
) -> None:
    own = f"ClusterName={slurm_cluster.name}"
    text = slurm_cluster.conf.read_text()
    assert own in text
    (tmp_path / "slurm.conf").write_text(text.replace(own, "ClusterName=another"))
    python(
        f"""
import slurmpy
early, job = slurmpy.Jobs("999999"), slurmpy.Job(999998)
slurmpy.init({str(slurm_cluster.conf)!r})
assert early.clusters() == ["{slurm_cluster.name}"]
early.add(job)
slurmpy.fini()
slurmpy.init({str(tmp_path / "slurm.conf")!r})
assert early.clusters() == ["{slurm_cluster.name}"]
try:
    early.hold()
except slurmpy.JobErrors as errors:
    for job_id in (999998, 999999):
        said = str(errors.errors[("{slurm_cluster.name}", job_id)])
        assert "of the cluster {slurm_cluster.name}, and Slurm is in use with another" in said
else:
    raise AssertionError("it was done to jobs of another cluster")
"""
    )


# ---- loading ----


def test_load(slurm_cluster: LocalCluster, held: list[int]) -> None:
    def listed() -> list[int]:
        command = ("squeue", "--noheader", "--all", "--states=all", "-O", "JobID")
        return list(map(int, slurm_cluster.run(*command).split()))

    # The jobs of other tests may be forgotten meanwhile.
    before, jobs, after = listed(), Jobs.load(), listed()
    assert set(before) & set(after) <= set(jobs) <= set(before) | set(after)
    assert len(jobs) == len(list(jobs)) == len(set(jobs))
    assert [jobs[i].name for i in held] == ["held-1", "held-2", "held-3"]
    assert jobs.clusters() == [slurm_cluster.name]
    assert jobs[held[0]] is jobs[held[0]]


def test_signature_of_load() -> None:
    parameters = inspect.signature(Jobs.load).parameters.values()
    assert [(p.name, p.default, p.kind.name) for p in parameters] == [
        ("preload_passwd_info", False, "POSITIONAL_OR_KEYWORD"),
        ("frozen", False, "POSITIONAL_OR_KEYWORD"),
        ("user", None, "KEYWORD_ONLY"),
        ("hidden", True, "KEYWORD_ONLY"),
        ("details", True, "KEYWORD_ONLY"),
    ]
    assert Jobs.load(frozen=True).frozen is True


def test_load_of_a_user(held: list[int]) -> None:
    me = pwd.getpwuid(os.geteuid())
    for user in (me.pw_name, me.pw_uid):
        jobs = Jobs.load(user=user)
        assert set(held) <= set(jobs)
        assert {job.user_id for job in jobs.values()} == {me.pw_uid}


@pytest.mark.skipif(not ROOT, reason="only root can submit for another user")
def test_load_of_another_user(slurm_cluster: LocalCluster, held: list[int]) -> None:
    other = pwd.getpwnam("daemon")
    theirs = sbatch(slurm_cluster, "--uid=daemon", "--hold", "--chdir=/", "--wrap=true")
    try:
        jobs = Jobs.load(user="daemon")
        assert list(jobs) == list(Jobs.load(user=other.pw_uid)) == [theirs]
        assert jobs[theirs].user_name == "daemon"
        assert theirs not in Jobs.load(user=os.geteuid())
        assert set(held) <= set(Jobs.load(user=os.geteuid()))
        # It stays the collection of that user.
        assert list(jobs.reload()) == [theirs]
        assert list(copy.deepcopy(jobs).reload()) == [theirs]
        assert list(jobs.copy().reload()) == [theirs]
    finally:
        slurm_cluster.run("scancel", str(theirs))


@pytest.mark.usefixtures("held")
def test_load_of_a_user_without_jobs() -> None:
    jobs = Jobs.load(user=54321)
    assert len(jobs) == 0
    assert list(jobs.reload()) == []
    assert jobs.to_dict() == {}
    assert (jobs.memory, jobs.cpus, jobs.ntasks, jobs.elapsed_cpu_time) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("user", "error"),
    [
        ("no-such-user", ValueError),
        ("", ValueError),
        ("root\0", ValueError),
        (-1, ValueError),
        (2**32, ValueError),
        (1.5, TypeError),
        (b"root", TypeError),
        (True, TypeError),
    ],
)
@pytest.mark.usefixtures("slurm_cluster")
def test_load_of_a_wrong_user(user: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Jobs.load(user=user)  # type: ignore[arg-type]


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[[int], object]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, number: int) -> object:
        self.calls += 1
        return self.function(number)


@pytest.mark.parametrize("preload", [False, True])
def test_names_are_looked_up_once(
    monkeypatch: pytest.MonkeyPatch, held: list[int], preload: bool
) -> None:
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    of_user, of_group = Counted(pwd.getpwuid), Counted(grp.getgrgid)
    monkeypatch.setattr(pwd, "getpwuid", of_user)
    monkeypatch.setattr(grp, "getgrgid", of_group)
    jobs = Jobs.load(preload_passwd_info=preload)
    ours = [jobs[i] for i in held]
    for _ in range(2):
        assert [job.user_name for job in ours] == [user] * 3
        assert [job.group_name for job in ours] == [group] * 3
    assert of_group.calls == (0 if preload else 1)
    # slurmctld may have sent the user's name.
    assert of_user.calls in ((0,) if preload else (0, 1))


def test_the_first_name_of_an_id_counts(monkeypatch: pytest.MonkeyPatch, held: list[int]) -> None:
    job = Jobs.load()[held[0]]
    expected = job.user_name, job.group_name
    for module, name in ((pwd, "getpwall"), (grp, "getgrall")):
        entries: list[Any] = getattr(module, name)()
        again = [type(entry)((f"other-{entry[0]}", *entry[1:])) for entry in entries]
        monkeypatch.setattr(module, name, lambda both=entries + again: both)
    job = Jobs.load(preload_passwd_info=True)[held[0]]
    assert (job.user_name, job.group_name) == expected


# ---- a cluster of our own, where jobs are forgotten soon after their end ----


@dataclass
class Aging:
    """Jobs of which some are being forgotten, and what was loaded while all of them ran."""

    cluster: Second
    stays: int
    goes: int
    hidden: int
    new: int = 0
    jobs: dict[str, Jobs] = field(default_factory=dict)
    messages: dict[str, weakref.ref[Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


# Slurm takes ten seconds and more to forget: let it do so while other tests run.
@pytest.fixture(scope="module", autouse=True)
def aging() -> Iterator[Aging]:
    with second_cluster(
        name="second",
        nodes=1,
        gpus=1,
        extra_conf="MinJobAge=2",
        partitions={"debug": "", "secret": "Hidden=YES"},
    ) as cluster:
        sleep = ["-n1", "--mem=10", "--time=60", "--wrap=sleep 1000"]
        aging = Aging(
            cluster,
            stays=cluster.sbatch("--gres=gpu:1", "--comment=before", *sleep),
            goes=cluster.sbatch("--comment=gone", *sleep),
            hidden=cluster.sbatch("--partition=secret", "--hold", *sleep),
        )
        wait_for(lambda: cluster.run("squeue", "-h", "-trunning").count("\n") == 2)
        with pointed_at(cluster.conf):
            loaded = Jobs.load()
            aging.jobs = {
                "plain": Jobs.load(),
                "frozen": Jobs.load(frozen=True),
                "never looked at": Jobs.load(frozen=True),
                "frozen afterwards": Jobs.load(),
                "copied": Jobs.load(frozen=True).copy(),
                "ids": Jobs([aging.stays, aging.goes, 999_999], frozen=True).reload(),
                "of a user": Jobs.load(frozen=True, user=os.geteuid()),
            }
            aging.messages = {name: message_of(jobs) for name, jobs in aging.jobs.items()}
            aging.jobs["of jobs"] = Jobs([loaded[aging.stays], loaded[aging.goes]], frozen=True)
            aging.messages["of jobs"] = message_of(loaded)
            aging.jobs["frozen afterwards"].frozen = True
            aging.values = still(loaded[aging.goes])
            del loaded
        cluster.run("scancel", str(aging.goes))
        cluster.run("scontrol", "update", f"jobid={aging.stays}", "comment=after")
        aging.new = cluster.sbatch("--hold", *sleep)
        yield aging


def still(job: Job) -> dict[str, Any]:
    """What does not depend on the moment of the load."""
    values = job.to_dict()
    for name in ("run_time", "run_time_remaining", "elapsed_cpu_time"):
        del values[name]
    return values


@pytest.fixture
def second(aging: Aging) -> Iterator[Aging]:
    """The second cluster, for slurmpy too."""
    with pointed_at(aging.cluster.conf):
        yield aging


@pytest.fixture
def aged(second: Aging) -> Aging:
    """The same when slurmctld has forgotten the jobs that ended."""
    known = ("squeue", "--noheader", "--states=all", "-O", "JobID")
    wait_for(lambda: str(second.goes) not in second.cluster.run(*known).split())
    return second


@pytest.mark.skipif(not ROOT, reason="only root can ask as a user from whom a partition is hidden")
def test_load_without_hidden_partitions(aging: Aging) -> None:
    shown = python(
        f"""
import os
from slurmpy import Job, Jobs
hidden, owner = {aging.hidden}, os.geteuid()
Jobs.load()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(hidden in Jobs.load(), hidden in Jobs.load(hidden=False), {aging.stays} in Jobs.load())
print(hidden in Jobs.load(user=owner), hidden in Jobs.load(user=owner, hidden=False))
jobs = Jobs.load(hidden=False)
print(hidden in jobs.copy().reload(), hidden in Jobs(jobs).reload(), Job.load(hidden).id == hidden)
""",
        SLURM_CONF=aging.cluster.conf,
    )
    assert shown == "True False True\nTrue False\nFalse True True\n"


def test_load_with_and_without_details(second: Aging) -> None:
    detail = re.search(
        r" GRES=(gpu:\S+)", second.cluster.run("scontrol", "-d", "show", "job", str(second.stays))
    )
    assert detail
    for details in (True, False):
        ptr, _owner = Jobs.load(details=details)[second.stays]._record
        found = [ffi.string(ptr.gres_detail_str[i]).decode() for i in range(ptr.gres_detail_cnt)]
        assert found == ([detail[1]] if details else [])


# ---- loading again ----


def test_changed_reload(slurm_cluster: LocalCluster) -> None:
    number = sbatch(slurm_cluster, "--hold", "--job-name=one", "--wrap=true")
    jobs = Jobs.load()
    kept = [jobs[number]]
    for name in ("two", "three"):
        slurm_cluster.run("scontrol", "update", f"jobid={number}", f"jobname={name}")
        assert jobs.reload() is jobs
        assert jobs[number].name == name
        assert all(jobs[number] is not job and jobs[number] == job for job in kept)
        kept.append(jobs[number])
    assert [job.name for job in kept] == ["one", "two", "three"]
    more = sbatch(slurm_cluster, "--hold", "--wrap=true")
    assert more not in jobs
    assert more in jobs.reload()
    slurm_cluster.run("scancel", str(number), str(more))


def test_reload_after_changes_by_hand(held: list[int]) -> None:
    jobs, frozen = Jobs.load(), Jobs.load(frozen=True)
    for collection in (jobs, frozen):
        taken = collection.pop(held[0])
        collection.add(Job(999_999))
        del collection[held[1]]
        collection.reload()
        assert taken.name == "held-1"
    assert set(held) <= set(jobs)
    assert 999_999 not in jobs
    assert not {held[0], held[1]} & set(frozen)
    assert frozen[999_999].to_dict() == {"id": 999_999}
    assert frozen[held[2]].name == "held-3"


def changing(number: int) -> Jobs:
    """A frozen collection that asks for everything when it is loaded again."""
    jobs = Jobs.load(frozen=True)
    jobs.add(Job(number))
    return jobs


@pytest.mark.parametrize("moment", ["_ask", "_detach_lost", "_keep"])
def test_a_frozen_reload_beside_another_thread(
    monkeypatch: pytest.MonkeyPatch, held: list[int], moment: str
) -> None:
    """What another thread does before a reload has come back is not undone by it."""
    jobs = changing(999_998)
    original, popped = getattr(Jobs, moment), list[Job]()

    def change() -> None:
        popped.append(jobs.pop(held[0]))
        del jobs[999_998]
        jobs.add(Job(999_997))

    thread = threading.Thread(target=change, daemon=True)

    def meanwhile(*args: Any) -> Any:  # noqa: ANN401 - whatever it is
        given = original(*args)
        thread.start()
        # While the jobs are carried over, it waits.
        thread.join(60 if moment != "_keep" else 0.1)
        return given

    wrapped = meanwhile if moment == "_ask" else staticmethod(meanwhile)
    monkeypatch.setattr(Jobs, moment, wrapped)
    jobs.reload()
    thread.join(60)
    monkeypatch.undo()
    assert not thread.is_alive()
    assert {held[0], 999_997, 999_998} & set(jobs) == {999_997}
    assert {held[0], 999_997, 999_998} & set(jobs.reload()) == {999_997}
    assert jobs[held[1]].name == "held-2"
    jobs.close()
    assert popped[0].name == "held-1"


def once(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Does something in the middle of the next reload, when the answer is there."""
    ask = Jobs._ask

    def meanwhile(self: Jobs, before: Any = None) -> Any:  # noqa: ANN401 - a snapshot's
        given = ask(self, before)
        monkeypatch.undo()
        action()
        return given

    monkeypatch.setattr(Jobs, "_ask", meanwhile)


def test_what_is_cleared_meanwhile_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = changing(999_998)

    def change() -> None:
        jobs.clear()
        jobs.add(Job(999_997))

    once(monkeypatch, change)
    assert list(jobs.reload()) == [999_997]
    assert list(jobs.reload()) == [999_997]


def test_a_frozen_reload_in_a_reload_is_the_last(
    monkeypatch: pytest.MonkeyPatch, held: list[int]
) -> None:
    """As of a signal handler's."""
    jobs = changing(999_998)
    once(monkeypatch, lambda: jobs.reload().pop(held[0]))
    assert held[0] not in jobs.reload()
    assert jobs[held[1]].name == "held-2"


def test_closed_in_a_frozen_reload(monkeypatch: pytest.MonkeyPatch, held: list[int]) -> None:
    jobs = changing(999_998)
    taken: list[Job] = []

    def change() -> None:
        taken.append(jobs.pop(held[0]))
        jobs.close()

    once(monkeypatch, change)
    with pytest.raises(slurmpy.ClosedError):
        jobs.reload()
    assert taken[0].name == "held-1"


def test_a_job_that_is_closed_while_it_is_carried_over_stays_closed(
    monkeypatch: pytest.MonkeyPatch, held: list[int]
) -> None:
    """By another thread, between the copy of its data and its taking them."""
    jobs = Jobs.load(frozen=True)
    job, copied = jobs[held[0]], Job.__copy__
    table = jobs._open()
    # As if slurmctld, which forgets no job that is held, did not have it any more.
    table.clusters["elsewhere"] = {held[0]: table.clusters[jobs.clusters()[0]].pop(held[0])}
    table.changed, table.whole = True, False

    def meanwhile(self: Job) -> Job:
        other = copied(self)
        monkeypatch.undo()
        jobs.close()
        return other

    monkeypatch.setattr(Job, "__copy__", meanwhile)
    with pytest.raises(slurmpy.ClosedError):
        jobs.reload()
    with pytest.raises(slurmpy.ClosedError):
        _ = job.name


def test_a_handler_reloads_a_frozen_collection_that_another_thread_reloads(
    monkeypatch: pytest.MonkeyPatch, held: list[int]
) -> None:
    """In the middle of what its own thread does to it, for which the other one waits."""
    jobs = changing(999_998)
    asked, go_on = threading.Event(), threading.Event()
    ask, take = Jobs._ask, _Table.take

    def wait(self: Jobs, before: Any = None) -> Any:  # noqa: ANN401 - a snapshot's
        given = ask(self, before)
        asked.set()
        assert go_on.wait(60)
        return given

    def handler(self: _Table, of: dict[int, Any], job_id: int) -> Job:
        monkeypatch.undo()
        go_on.set()
        jobs.reload()
        return take(self, of, job_id)

    monkeypatch.setattr(Jobs, "_ask", wait)
    thread = threading.Thread(target=jobs.reload, daemon=True)
    thread.start()
    assert asked.wait(60)
    monkeypatch.setattr(_Table, "take", handler)
    assert jobs.pop(held[0]).name == "held-1"
    thread.join(60)
    assert not thread.is_alive()
    assert jobs.reload()[held[1]].name == "held-2"


def test_threads_that_take_beside_frozen_reloads_take_each_job_once() -> None:
    jobs = Jobs(range(900_000, 902_000), frozen=True)
    reloads, wrong, ended = [0], list[BaseException](), threading.Event()

    def load_again() -> None:
        try:
            while not ended.is_set():
                jobs.reload()
                reloads[0] += 1
        except BaseException as error:  # noqa: BLE001 - it fails the test
            wrong.append(error)

    thread = threading.Thread(target=load_again, daemon=True)
    thread.start()
    taken = []
    try:
        for part in range(20):
            wait_for(lambda part=part: wrong or reloads[0] > part)  # type: ignore[misc]
            taken += [jobs.popitem()[0] for _ in range(100)]
    finally:
        ended.set()
        thread.join(60)
    assert not thread.is_alive()
    assert wrong == []
    assert sorted(taken) == list(range(900_000, 902_000))
    assert len(jobs) == 0


def test_reload_of_ids(held: list[int]) -> None:
    jobs = Jobs(held[:1])
    before = jobs[held[0]]
    with pytest.raises(slurmpy.NotLoaded):
        _ = before.name
    jobs.reload()
    # Not frozen, so it is as if it were loaded.
    assert set(held) <= set(jobs)
    assert jobs[held[0]].name == "held-1"
    with pytest.raises(slurmpy.NotLoaded):
        _ = before.name


def test_reload_that_fails(held: list[int]) -> None:
    jobs = Jobs.load()
    job, message = jobs[held[0]], message_of(jobs)()
    with pointed_at("/nowhere/slurm.conf"), pytest.raises(slurmpy.ConfigurationError):
        jobs.reload()
    assert message_of(jobs)() is message
    assert jobs[held[0]] is job
    assert job.name == "held-1"
    assert jobs.reload()[held[0]].name == "held-1"


def test_reload_from_another_cluster(slurm_cluster: LocalCluster, aging: Aging) -> None:
    jobs = Jobs.load()
    with pointed_at(aging.cluster.conf):
        # Its last change is not the other's.
        assert aging.stays in jobs.reload()
        assert jobs.clusters() == ["second"]
    assert jobs.reload().clusters() == [slurm_cluster.name]


# ---- an empty queue ----


def test_empty_queue() -> None:
    with second_cluster(name="empty", nodes=1) as cluster, pointed_at(cluster.conf):
        with Jobs.load() as jobs:
            assert len(jobs) == 0
            assert not jobs
            for empty in (jobs, jobs.keys(), jobs.values(), jobs.items()):
                assert len(empty) == len(list(empty)) == 0
            assert not list(jobs.keys().with_cluster())
            assert not list(jobs.items().with_cluster())
            assert repr(jobs) == "slurmpy.Jobs({})"
            assert jobs.clusters() == ["empty"]
            assert (1 in jobs, Job(1) in jobs, ("empty", 1) in jobs) == (False, False, False)
            assert jobs.get(1) is None
            assert jobs.pop(1, None) is None
            assert "empty" in jobs
            assert dict(jobs["empty"]) == {}
            for key in (1, "other", ("empty", 1)):
                with pytest.raises(KeyError):
                    _ = jobs[key]
            with pytest.raises(KeyError):
                jobs.popitem()
            assert (jobs.memory, jobs.cpus, jobs.ntasks, jobs.elapsed_cpu_time) == (0, 0, 0, 0)
            assert jobs.to_dict() == jobs.to_dict(multi_cluster=True) == {}
            assert jobs.to_json() == "{}"
            assert jobs.copy() == jobs == jobs | Jobs() == pickled(jobs) == copy.deepcopy(jobs)
            assert len(jobs | {1: Job(1)}) == 1
            assert len(jobs.reload().reload()) == 0
        for jobs in (
            Jobs.load(preload_passwd_info=True, frozen=True),
            Jobs.load(user=os.geteuid()),
            Jobs.load(hidden=False, details=False),
        ):
            assert len(jobs) == len(jobs.reload()) == 0
        with pytest.raises(slurmpy.InvalidJobId):
            Job.load(1)
        frozen, jobs = Jobs.load(frozen=True), Jobs.load()
        first = cluster.sbatch("--hold", "--wrap=true")
        assert list(jobs.reload()) == [first]
        assert list(frozen.reload()) == []
        assert list(Jobs([first], frozen=True).reload()) == [first]


# ---- the mapping ----


@pytest.fixture(scope="module")
def elsewhere(held: list[int]) -> list[Job]:
    """Jobs of another cluster that have the ids of the first two held ones here."""
    with (
        second_cluster(name="other", nodes=1, extra_conf=f"FirstJobId={held[0]}") as cluster,
        pointed_at(cluster.conf),
    ):
        for name in ("other-1", "other-2"):
            cluster.sbatch("--hold", f"--job-name={name}", "--wrap=true")
        jobs = list(Jobs.load().values())
    assert [job.id for job in jobs] == held[:2]
    return jobs


@pytest.fixture
def here(held: list[int]) -> list[Job]:
    jobs = Jobs.load()
    return [jobs[i] for i in held]


def test_is_a_mapping(here: list[Job]) -> None:
    jobs = Jobs(here)
    assert issubclass(Jobs, collections.abc.MutableMapping)
    for name in (
        *("__contains__", "__delitem__", "__eq__", "__getitem__", "__iter__", "__len__"),
        *("__setitem__", "clear", "get", "items", "keys", "pop", "popitem", "setdefault"),
        *("update", "values"),
    ):
        assert callable(getattr(jobs, name))
    assert dict(jobs) == {job.id: job for job in here}
    assert {**jobs} == dict(jobs.items())
    with pytest.raises(TypeError):
        hash(jobs)


def test_several_clusters(
    slurm_cluster: LocalCluster, here: list[Job], elsewhere: list[Job]
) -> None:
    local = slurm_cluster.name
    a, b, c = here
    d, e = elsewhere
    jobs = Jobs([d, *here, e])
    assert len(jobs) == 5
    assert sorted(jobs.clusters()) == sorted([local, "other"])
    # A bare id is the local cluster's.
    assert jobs[a.id] is a
    assert jobs[(local, a.id)] is a
    assert jobs[("other", a.id)] is d
    assert (jobs[("other", a.id)].name, jobs[a.id].name) == ("other-1", "held-1")
    assert jobs[local] == {a.id: a, b.id: b, c.id: c}
    assert jobs["other"] == {d.id: d, e.id: e}
    assert isinstance(jobs["other"], Mapping)
    assert (len(jobs["other"]), list(jobs["other"]), jobs["other"][e.id]) == (2, [d.id, e.id], e)
    assert list(jobs["other"].values()) == [d, e]
    for job in (*here, *elsewhere):
        assert job in jobs
        assert (job.cluster, job.id) in jobs
        assert job.id in jobs
    assert ("other", c.id) not in jobs
    assert sorted(jobs.keys().with_cluster()) == sorted(
        [(local, a.id), (local, b.id), (local, c.id), ("other", d.id), ("other", e.id)]
    )
    by_key = {(cluster, number): job for cluster, number, job in jobs.items().with_cluster()}
    assert {key: id(job) for key, job in by_key.items()} == {
        (str(job.cluster), job.id): id(job) for job in (*here, *elsewhere)
    }
    assert sorted(jobs) == sorted(jobs.keys()) == sorted([a.id, b.id, c.id, d.id, e.id])
    assert {id(job) for job in jobs.values()} == set(map(id, (*here, *elsewhere)))
    assert len(list(jobs.items())) == 5
    for key in ("nowhere", ("nowhere", a.id), ("other", c.id), 999_999, (local, 999_999)):
        with pytest.raises(KeyError, match=re.escape(repr(key))):
            _ = jobs[key]
    with pytest.raises(KeyError, match="ids are numbers"):
        _ = jobs[str(a.id)]


def test_first_cluster_where_there_is_nothing_local(here: list[Job], elsewhere: list[Job]) -> None:
    jobs = Jobs(elsewhere)
    d, e = elsewhere
    assert jobs[d.id] is d
    assert d.id in jobs
    # That holds for an id; a job says of which cluster it is, or that it is of this one.
    assert here[0] not in jobs
    assert Job(d.id) not in jobs
    jobs.add(Job(d.id))
    assert len(jobs) == 3
    assert jobs[("other", d.id)] is d
    assert jobs[d.id] == Job(d.id) != d
    assert jobs.pop(d.id) == Job(d.id)
    assert jobs[d.id] is d
    del jobs[e.id]
    assert list(jobs.keys().with_cluster()) == [("other", d.id)]


def test_equality_of_jobs_of_several_clusters(here: list[Job], elsewhere: list[Job]) -> None:
    assert here[0].id == elsewhere[0].id
    assert here[0] != elsewhere[0]
    assert Job(here[0].id) == here[0]
    assert Job(here[0].id) != elsewhere[0]
    assert len({*here, *elsewhere, Job(here[0].id)}) == 5
    assert copy.copy(elsewhere[0]) == elsewhere[0] == pickled(elsewhere[0])
    with pytest.raises(slurmpy.SlurmError, match="other"):
        elsewhere[0].reload()


@pytest.mark.parametrize("other", [None, 1.5, "1", b"1", [], {}, (1,), (), ("local",), object()])
def test_what_is_no_key(held: list[int], other: object) -> None:
    assert other not in Jobs(held)
    with pytest.raises((KeyError, TypeError)):
        _ = Jobs(held)[other]  # type: ignore[call-overload]


def test_get(here: list[Job], elsewhere: list[Job]) -> None:
    jobs = Jobs([*here, *elsewhere])
    default = object()
    assert jobs.get(here[0].id) is here[0]
    assert jobs.get(("other", here[0].id)) is elsewhere[0]
    assert jobs.get(999_999) is None
    assert jobs.get(999_999, default) is default
    assert jobs.get(999_999, default=default) is default
    assert jobs.get(("other", 999_999), default) is default


def test_views(here: list[Job]) -> None:
    jobs = Jobs(here)
    keys, values, items = jobs.keys(), jobs.values(), jobs.items()
    assert (len(keys), len(values), len(items)) == (3, 3, 3)
    assert here[0].id in keys
    assert here[0] in values
    assert (here[0].id, here[0]) in items
    assert (here[0].id, here[1]) not in items
    assert keys & {here[0].id, 999_999} == {here[0].id}
    assert keys | {999_999} == {*jobs, 999_999}
    # They are views: what is added later is seen.
    jobs.add(Job(999_999))
    assert (len(keys), len(values), len(items)) == (4, 4, 4)
    assert 999_999 in keys
    assert Job(999_999) in values


def test_add(here: list[Job], elsewhere: list[Job]) -> None:
    jobs = Jobs()
    for job in (*here, *elsewhere):
        jobs.add(job)
    assert len(jobs) == 5
    newer = Job.load(here[0].id)
    jobs.add(item=newer)
    assert len(jobs) == 5
    assert jobs[here[0].id] is newer
    wrong: Any
    for wrong in (1, "1", None, {1: Job(1)}, jobs):
        with pytest.raises(TypeError):
            jobs.add(wrong)
    assert len(jobs) == 5


def test_set_item(here: list[Job], elsewhere: list[Job]) -> None:
    jobs = Jobs()
    jobs[here[0].id] = here[0]
    jobs[("other", here[0].id)] = elsewhere[0]
    assert len(jobs) == 2
    assert jobs[("other", here[0].id)] is elsewhere[0]
    for key in (999_999, ("other", here[1].id), ("nowhere", here[1].id)):
        with pytest.raises(ValueError, match="own"):
            jobs[key] = here[1]
    wrong: Any = "x"
    with pytest.raises(TypeError):
        jobs[1] = wrong
    assert len(jobs) == 2
    assert jobs.setdefault(here[0].id, Job(here[0].id)) is here[0]
    assert jobs.setdefault(here[1].id, here[1]) is here[1]
    assert len(jobs) == 3


def test_taking_out(here: list[Job], elsewhere: list[Job]) -> None:
    a, b, c = here
    jobs = Jobs([*here, *elsewhere])
    assert jobs.pop(("other", a.id)) is elsewhere[0]
    assert jobs.pop(a.id) is a
    assert jobs.pop(a.id, None) is None
    assert jobs.pop(999_999, 5) == 5
    del jobs[("other", b.id)]
    assert jobs.clusters() == [c.cluster]
    jobs.remove(b)
    assert list(jobs) == [c.id]
    for missing in (a.id, ("other", b.id), 999_999):
        with pytest.raises(KeyError):
            jobs.pop(missing)
        with pytest.raises(KeyError):
            del jobs[missing]
        with pytest.raises(KeyError):
            jobs.remove(missing)
    with pytest.raises(KeyError):
        jobs.remove(a)
    assert jobs.popitem() == (c.id, c)
    assert len(jobs) == 0
    with pytest.raises(KeyError):
        jobs.popitem()
    jobs.update([a, b])
    jobs.clear()
    assert len(jobs) == 0
    assert jobs.clusters() == []


def test_taking_out_of_what_was_loaded(held: list[int]) -> None:
    jobs = Jobs.load()
    count = len(jobs)
    jobs.remove(held[0])
    jobs.remove(jobs[held[1]])
    assert jobs.pop(held[2]).name == "held-3"
    assert len(jobs) == len(list(jobs)) == count - 3
    assert not set(held) & set(jobs)
    jobs.add(Job(999_999))
    jobs.clear()
    assert (len(jobs), list(jobs), jobs.clusters()) == (0, [], [])
    assert set(held) <= set(jobs.reload())
    left = len(jobs)
    number, job = jobs.popitem()
    assert job.id == number
    assert number not in jobs
    assert len(jobs) == len(list(jobs)) == left - 1


def test_update(here: list[Job], elsewhere: list[Job]) -> None:
    everything = Jobs([*here, *elsewhere])
    for given in ([*here, *elsewhere], everything, everything.values(), iter(here + elsewhere)):
        jobs = Jobs([999_999])
        jobs.update(given)
        assert len(jobs) == 6
        assert all(job in jobs for job in everything.values())
    jobs = Jobs([999_999])
    jobs.update({here[0].id: here[0]})
    jobs.update(f"{here[1].id}")
    jobs.update([])
    assert set(jobs) == {999_999, here[0].id, here[1].id}
    assert jobs[here[0].id] is here[0]
    wrong: Any
    for wrong in (5, None, [None], {1: 1}):
        with pytest.raises(TypeError):
            jobs.update(wrong)
    loaded = Jobs.load()
    jobs.update(loaded)
    assert len(jobs) == len(loaded) + 1


def test_union(here: list[Job], elsewhere: list[Job]) -> None:
    a, b, c = here
    left, right = Jobs([a, b]), Jobs([b, c, *elsewhere])
    both = left | right
    assert len(both) == 5
    assert (len(left), len(right)) == (2, 5 - 1)
    assert both == Jobs([*here, *elsewhere])
    # Of those in both, the other's.
    newer = Job.load(a.id)
    assert (left | {a.id: newer})[a.id] is newer
    same = left
    left |= right
    assert left is same
    assert left == both
    left |= {999_999: Job(999_999)}
    assert len(left) == 6
    for wrong in (5, None, [Job(1)], "1"):
        with pytest.raises(TypeError):
            _ = right | wrong  # type: ignore[operator]
    loaded = Jobs.load()
    assert loaded | Jobs(elsewhere) == Jobs(elsewhere) | loaded


def test_copy(here: list[Job]) -> None:
    for jobs in (Jobs(here, frozen=True), Jobs.load(frozen=True)):
        for make in (Jobs.copy, copy.copy, copy.deepcopy, pickled):
            same = make(jobs)
            assert type(same) is Jobs
            assert same is not jobs
            assert same == jobs
            assert same.frozen is True
            assert [job.to_dict() for job in same.values()] == [
                job.to_dict() for job in jobs.values()
            ]
            del same[here[0].id]
            assert here[0].id in jobs
            same.add(Job(999_999))
            assert 999_999 not in jobs


def test_equality(here: list[Job], elsewhere: list[Job]) -> None:
    jobs = Jobs(here)
    assert jobs == Jobs(reversed(here))
    assert jobs == Jobs([job.id for job in here])
    assert jobs != Jobs(here[:2])
    assert Jobs(here[:2]) != Jobs(elsewhere)
    assert jobs != [job.id for job in here]
    assert jobs != None  # noqa: E711 - it is the comparison that is tested
    assert Jobs() == Jobs([])
    loaded = Jobs.load()
    assert loaded == loaded.copy()
    again = Jobs.load()
    assert (loaded == again) == (set(loaded) == set(again))


def test_jobs_are_made_once(held: list[int]) -> None:
    for _ in range(50):
        jobs = Jobs.load()
        start, found = threading.Barrier(8), []

        def read(jobs: Jobs = jobs, start: threading.Barrier = start) -> None:
            start.wait()
            found.append(jobs[held[0]])  # noqa: B023 - the threads end in this round

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(map(id, found))) == 1


# ---- all at once ----


def test_totals(slurm_cluster: LocalCluster) -> None:
    ids = [
        sbatch(slurm_cluster, "--hold", "-n3", "-c2", "--mem-per-cpu=50", "--wrap=true"),
        sbatch(slurm_cluster, "-n2", "--mem=100", "--wrap=sleep 300"),
        # Ten tasks that wait are one record.
        sbatch(slurm_cluster, "--hold", "--array=0-9", "-n1", "-c2", "--mem=70", "--wrap=true"),
    ]
    wait_for(lambda: Job.load(ids[1]).state == "RUNNING")
    shown = [slurm_cluster.run("scontrol", "show", "job", str(i)) for i in ids]

    def total(pattern: str) -> int:
        return sum(int(number) for text in shown for number in re.findall(pattern, text))

    loaded = Jobs.load()
    jobs = Jobs([loaded[i] for i in ids])
    assert (jobs.memory, jobs.cpus, jobs.ntasks) == (300 + 100 + 70, 6 + 2 + 2, 3 + 2 + 1)
    assert jobs.cpus == total(r"NumCPUs=(\d+)")
    assert jobs.ntasks == total(r"NumTasks=(\d+)")
    # Newer majors print what is allocated too.
    assert jobs.memory == total(r"(?<!Alloc)TRES=\S*\bmem=(\d+)M")
    time.sleep(1.1)
    jobs.frozen = True
    jobs.reload()
    assert jobs.elapsed_cpu_time == 2 * jobs[ids[1]].run_time > 0
    # What was never asked for has no values to sum up.
    with pytest.raises(slurmpy.NotLoaded):
        _ = Jobs([1]).memory
    for name in ("memory", "cpus", "ntasks", "elapsed_cpu_time"):
        with pytest.raises(AttributeError):
            setattr(jobs, name, 1)
    slurm_cluster.run("scancel", *map(str, ids))


def test_to_dict_and_json(here: list[Job], elsewhere: list[Job]) -> None:
    jobs = Jobs(here)
    expected = {job.id: job.to_dict() for job in here}
    assert jobs.to_dict() == expected
    assert json.loads(jobs.to_json()) == {str(i): values for i, values in expected.items()}
    assert Jobs([5]).to_dict() == {5: {"id": 5}}
    assert json.loads(Jobs([5]).to_json()) == {"5": {"id": 5}}
    jobs = Jobs([*here, *elsewhere])
    by_cluster = {
        str(cluster): {job.id: job.to_dict() for job in of}
        for cluster, of in ((here[0].cluster, here), ("other", elsewhere))
    }
    assert jobs.to_dict(multi_cluster=True) == by_cluster
    assert json.loads(jobs.to_json(multi_cluster=True)) == json.loads(json.dumps(by_cluster))
    # Nothing is left out in silence.
    for method in (jobs.to_dict, jobs.to_json):
        with pytest.raises(ValueError, match="multi_cluster"):
            method()


def test_json_of_text_that_is_not_utf8(slurm_cluster: LocalCluster) -> None:
    done = subprocess.run(
        [b"sbatch", b"--parsable", b"--hold", b"--comment=\xff \xc3\xbc", b"--wrap=true"],
        env=slurm_cluster.env,
        cwd=slurm_cluster.folder,
        capture_output=True,
        check=True,
    )
    number = int(done.stdout)
    text = Jobs([Job.load(number)]).to_json()
    assert text.isascii()
    comment = json.loads(text)[str(number)]["comment"]
    assert comment.encode("utf-8", "surrogateescape") == b"\xff \xc3\xbc"
    slurm_cluster.run("scancel", str(number))


def test_repr_is_cut_short() -> None:
    assert repr(Jobs([5])) == str(Jobs([5])) == "slurmpy.Jobs({5: slurmpy.Job(5)})"
    few = Jobs(range(1, 11))
    assert repr(few).count("slurmpy.Job(") == 10
    assert "..." not in repr(few)
    many = Jobs(range(1, 5001))
    assert repr(many).startswith("slurmpy.Jobs({1: slurmpy.Job(1), 2: slurmpy.Job(2), ")
    assert repr(many).endswith("})")
    assert "..." in repr(many)
    assert len(repr(many)) < 1000
    assert str(many) == repr(many)


def test_repr_of_one_cluster(held: list[int]) -> None:
    few, many = Jobs([5]), Jobs(range(1, 5001))
    (cluster,) = few.clusters()
    assert repr(few[cluster]) == "{5: slurmpy.Job(5)}"
    assert repr(many[cluster]).endswith("10: slurmpy.Job(10), ... 4990 more}")
    view = few[cluster]
    few.close()
    assert repr(view) == f"slurmpy.Jobs(closed)[{cluster!r}]"
    # None was made to be shown.
    loaded = Jobs.load()
    assert str(held[0]) in repr(loaded[cluster]) or len(loaded) > 10
    assert not loaded._open()._made
    # Nor for the sums.
    assert loaded.cpus >= len(held)
    assert not loaded._open()._made


def test_jobs_of_one_cluster_are_lent(held: list[int]) -> None:
    with Jobs.load() as jobs:
        (cluster,) = jobs.clusters()
        others = Jobs(jobs[cluster]), Jobs() | jobs[cluster], Jobs(jobs)
    for other in others:
        assert other[held[0]].name == "held-1"
        other.close()


# ---- what needs jobs to be forgotten: last, for the time that takes ----


def test_unchanged_reload(aged: Aging) -> None:
    jobs = Jobs.load()
    # For two seconds after a change, slurmctld cannot say that there was none.
    unchanged_reload(jobs)
    message, ours, theirs = message_of(jobs)(), jobs[aged.stays], jobs.pop(aged.new)
    jobs.add(theirs)
    unchanged_reload(jobs)
    message, ours = message_of(jobs)(), jobs[aged.stays]
    before = ours.run_time, ours.elapsed_cpu_time, ours.run_time_remaining
    time.sleep(1.1)
    assert (ours.run_time, ours.elapsed_cpu_time, ours.run_time_remaining) == before
    assert jobs.reload() is jobs
    assert message_of(jobs)() is message, "the jobs were sent again"
    assert jobs[aged.stays] is ours
    assert ours.run_time > before[0]
    assert ours.elapsed_cpu_time == ours.run_time * (ours.cpus or 0)
    assert ours.run_time_remaining == (ours.time_limit or 0) * 60 - ours.run_time


def test_reload_without_frozen(aged: Aging) -> None:
    jobs = aged.jobs["plain"]
    gone, changed = jobs[aged.goes], jobs[aged.stays]
    assert jobs.reload() is jobs
    assert aged.goes not in jobs
    assert aged.new in jobs
    assert set(jobs) == set(Jobs.load())
    assert (changed.comment, jobs[aged.stays].comment) == ("before", "after")
    assert still(gone) == aged.values
    with pytest.raises(slurmpy.InvalidJobId):
        gone.reload()
    assert still(gone) == aged.values
    # What was given before holds the memory that it is read from, and nothing else does.
    message = aged.messages["plain"]
    collect()
    assert message() is not None
    del gone, changed
    collect()
    assert message() is None


FROZEN = ["frozen", "never looked at", "frozen afterwards", "copied", "ids", "of a user", "of jobs"]


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_reload(aged: Aging, name: str) -> None:
    jobs = aged.jobs[name]
    ids = set(jobs)
    assert {aged.stays, aged.goes} <= ids
    given = {} if name == "never looked at" else dict(jobs.items())
    for _ in range(2):
        assert jobs.reload() is jobs
        assert set(jobs) == ids
        assert jobs.frozen is True
        assert aged.new not in jobs
        assert jobs[aged.stays].comment == "after"
        assert still(jobs[aged.goes]) == aged.values
    if given:
        assert given[aged.stays].comment == "before"
        assert still(given[aged.goes]) == aged.values
    if name == "ids":
        assert jobs[999_999].to_dict() == {"id": 999_999}
    # The survivor does not hold the message that it came with.
    del given
    collect()
    assert aged.messages[name]() is None
    assert still(jobs[aged.goes]) == aged.values
    if name == "of jobs":
        return  # those it was given, and they are not its own to end
    survivor = jobs[aged.goes]
    own = copy.copy(survivor)
    jobs.close()
    with pytest.raises(slurmpy.ClosedError):
        _ = survivor.name
    assert still(own) == aged.values


@pytest.mark.parametrize("kind", [float, Fraction])
def test_keys_stay_ints(held: list[int], kind: type) -> None:
    """As a dict's do: an equal number finds the job, and does not become its id."""
    jobs = Jobs.load()
    assert type(jobs[kind(held[0])]._id) is int
    assert repr(jobs[held[0]]) == f"slurmpy.Job({held[0]})"
    assert {type(key) for key in jobs.to_dict()} == {int}
