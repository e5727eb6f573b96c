"""The jobs of a cluster, all at once."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView

from slurmpy import _attributes, _columns, _control, _convert, _runtime
from slurmpy._attributes import MISSING, uid
from slurmpy._convert import Unlimited
from slurmpy._ffi import lib
from slurmpy._records import Snapshot, cell, is_closed, load_message
from slurmpy.errors import ClosedError, NotLoaded, SlurmError, check, said
from slurmpy.job import THREADS, TIMEOUT, Job, close, detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, TypeVar, Union, overload

    from typing_extensions import TypeGuard

    from slurmpy._fields import Field
    from slurmpy.stats import JobStatistics
    from slurmpy.steps import AllSteps
    from slurmpy.submission import JobSubmitDescription

    T = TypeVar("T")

    # What names a job in a collection: its id, or its cluster and its id.
    Key = Union[int, tuple[str, int]]

__all__ = ["ClusterJobs", "JobIds", "JobItems", "JobValues", "Jobs"]


_CLOSED = "the collection was closed: load a new one with slurmpy.Jobs.load()"
_SHOWN = 10

#: How many times over this process is a child of fork().
_forks = 0


def _after_fork() -> None:
    """A child of fork() cannot wait for threads that it does not have."""
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_after_fork)


class _Table:
    """The jobs of a collection, by cluster and id.

    Those of the controller's message are known by their place in it until they are asked for: a
    collection costs what the call costs, and a `Job` is made when it is wanted.

    There is no lock: a signal handler or a finalizer of the host may use the collection while its
    own thread is in here. Each change is one step of a dict, and who comes second finds it. What is
    gone through is a copy, made in one step too.
    """

    __slots__ = (
        "_array",
        "_index",
        "_lent",
        "_made",
        "_steps",
        "changed",
        "closed",
        "snapshot",
        "whole",
    )

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot
        self._array: Any = snapshot.message.job_array if snapshot else None
        #: The one index, once somebody has made it.
        self._index: dict[None, dict[str, dict[int, Job | int]]] = {} if snapshot else {None: {}}
        #: Whether others have come, or some are gone, since the controller was asked.
        self.changed = snapshot is None
        #: Whether the jobs are all those of the message, in their order.
        self.whole = snapshot is not None
        self.closed = False
        #: The jobs that closing ends: those that were made of the message, by place, ...
        self._made: dict[int, Job] = {}
        #: ... and those on the memory of another, by identity.
        self._lent: dict[int, Job] = {}
        #: The steps of all jobs, for those that are made from now on.
        self._steps: AllSteps | None = None

    @property
    def clusters(self) -> dict[str, dict[int, Job | int]]:
        """Cluster to id to job, or to its place in the message."""
        clusters = self._index.get(None)
        if clusters is None:
            clusters = self._index.setdefault(None, self._indexed())
        # Jobs that were named before the local cluster's name was known.
        local = _local()
        if local and (unnamed := clusters.get("")) is not None:
            # The same dict under its name, into which another thread may be entering a job.
            named = clusters.setdefault(local, unnamed)
            for job in unnamed.copy().values():
                # From now on it is this cluster's, whichever Slurm is in use later.
                if isinstance(job, Job) and job._cluster is None:
                    job._cluster = local
            if named is not unnamed:
                named.update(unnamed)
            clusters.pop("", None)
        return clusters

    def _indexed(self) -> dict[str, dict[int, Job | int]]:
        if self.snapshot is None:
            return {}
        array = self._array
        count = self.snapshot.message.record_count
        jobs: dict[int, Job | int] = {array[i].job_id: i for i in range(count)}
        if len(jobs) < count:
            self.whole = False
        return {self.snapshot.cluster or "": jobs}

    def __len__(self) -> int:
        if not self._index and self.snapshot:
            return int(self.snapshot.message.record_count)
        return sum(map(len, list(self.clusters.values())))

    def job(self, entry: Job | int) -> Job:
        """A job, made where that was not done before."""
        if isinstance(entry, Job):
            return entry
        job = self._made.get(entry)
        if job is None:
            job = self._made.setdefault(entry, self._at(entry))
            # Those that were loaded since it was made.
            job._steps = self._steps
            self._end_if_closed(job)
        return job

    def _at(self, place: int) -> Job:
        """A job of the message."""
        ptr = self._array + place
        job = Job._at(ptr, self.snapshot, ptr.job_id)
        job._steps = self._steps
        return job

    def _end_if_closed(self, job: Job) -> None:
        """What was closed in the meantime does not come back."""
        if self.closed:
            close(job)
            raise ClosedError(_CLOSED)

    def each(self) -> list[tuple[str, dict[int, Job | int]]]:
        """Cluster, and its jobs or their places, of all clusters at one moment."""
        return list(self.clusters.copy().items())

    def groups(self) -> list[tuple[str, dict[int, Job | int]]]:
        """The same, in dicts that are the caller's."""
        return [(cluster, jobs.copy()) for cluster, jobs in self.each()]

    def entries(self) -> Iterator[tuple[str, int]]:
        """Cluster and id of every job."""
        for cluster, jobs in self.each():
            for job_id in jobs.copy():
                yield cluster, job_id

    def chosen(
        self, groups: Sequence[tuple[str, dict[int, Job | int]]] | None = None
    ) -> list[int | tuple[Any, Any]] | None:
        """The place of each job in the message, or pointer and owner where it is of another.

        None where they are the message's, all and in order.

        Args:
            groups: All jobs, as `groups` has given them before; None for those that there are now.
        """
        # A job that was loaded again by itself is in a message of its own.
        again = {
            place: job._record
            for place, job in self._made.copy().items()
            if job._record[1] is not self.snapshot
        }
        # It is false before any job comes or goes, so that the groups are all of the message here.
        if not again and self.whole:
            return None
        return [
            entry._record if isinstance(entry, Job) else again.get(entry, entry)
            for _, jobs in (self.groups() if groups is None else groups)
            for entry in jobs.values()
        ]

    def names(self) -> list[str]:
        """The clusters that there are jobs of, and the one that has answered."""
        answered = self.snapshot.cluster if self.snapshot else None
        return [name for name, jobs in self.each() if jobs or name == answered]

    def jobs(self, only: str | None = None) -> Iterator[tuple[str, Job]]:
        """Cluster and job of every entry; those that are taken out on the way are passed over.

        Args:
            only: The one cluster whose jobs are wanted; None for all.
        """
        for cluster, jobs in self.each():
            if only not in (None, cluster):
                continue
            for job_id, entry in jobs.copy().items():
                if job_id in jobs:
                    yield cluster, self.job(entry)

    def enter_steps(self, steps: AllSteps) -> None:
        """Gives each job of the cluster that has answered its steps."""
        cluster = steps.owner.cluster or ""
        entries = self.clusters.get(cluster, {}).copy().values()
        found = [entry for entry in entries if isinstance(entry, Job)]
        if self.snapshot and self.snapshot.cluster == cluster:
            self._steps = steps
            found += self._made.copy().values()
        for job in found:
            job._steps, job._stats = steps, None

    def owns(self, entry: Job | int) -> bool:
        """Whether closing ends the job."""
        return not isinstance(entry, Job) or id(entry) in self._lent

    def add(self, cluster: str, job: Job, *, lent: bool = False) -> None:
        """Enters a job, in place of one with the same id; closing ends it if it is on loan."""
        if self.closed:
            raise ClosedError(_CLOSED)
        if cluster and job._cluster is None:
            job._cluster = cluster
        jobs = self.clusters.setdefault(cluster, {})
        before = jobs.get(job._id)
        if job is (self._made.get(before) if isinstance(before, int) else before):
            return
        self.changed, self.whole = True, False
        if lent:
            self._lent[id(job)] = job
        jobs[job._id] = job
        if isinstance(before, int):
            self._made.pop(before, None)
        else:
            self._lent.pop(id(before), None)
        if lent:
            self._end_if_closed(job)

    def take(self, jobs: dict[int, Job | int], job_id: int) -> Job:
        """Takes a job out; it stays readable when the collection is closed.

        Raises:
            KeyError: It is not there, or another thread has taken it.
        """
        # Before it is gone: what Ctrl-C loses here, the next reload brings again.
        self.changed, self.whole = True, False
        return self._taken(jobs.pop(job_id))

    def take_last(self, jobs: dict[int, Job | int]) -> tuple[int, Job]:
        """The same with the last of a cluster's jobs, and its id."""
        self.changed, self.whole = True, False
        job_id, entry = jobs.popitem()
        return job_id, self._taken(entry)

    def _taken(self, entry: Job | int) -> Job:
        """The job of an entry that is no longer there."""
        if isinstance(entry, Job):
            self._lent.pop(id(entry), None)
            job = entry
        else:
            made: Job | None = self._made.pop(entry, None)
            job = self._at(entry) if made is None else made
        if self.closed:
            raise ClosedError(_CLOSED)
        return job

    def home(self) -> str:
        """The cluster that a bare id means: the local one, or the first that there is."""
        local = _local()
        if self.clusters.get(local):
            return local
        return next((name for name, jobs in self.each() if jobs), local)

    @staticmethod
    def lend(cluster: str, job: Job, borrower: _Table) -> None:
        """Enters a job into another table, as one of its own on the same memory."""
        lent = _lent(job)
        borrower.add(cluster or _local(), lent, lent=lent is not job)

    def copy(self, groups: Iterable[tuple[str, dict[int, Job | int]]]) -> _Table:
        """Another table over the same message, with some of the jobs, whose dicts it takes."""
        table = _Table(self.snapshot)
        table._steps = self._steps
        clusters = table._index.setdefault(None, {})
        made = {job._id: (place, job) for place, job in self._made.copy().items()}
        for cluster, jobs in groups:
            if jobs:
                clusters[cluster] = jobs
            for job_id in made.keys() & jobs.keys() if made else ():
                place, job = made[job_id]
                if jobs[job_id] == place:
                    # What it knows of itself: its statistics, and what it has loaded again.
                    table._made[place] = _lent(job)
            for job_id, entry in jobs.items() if self._lent else ():
                if id(entry) in self._lent and isinstance(entry, Job):
                    jobs[job_id] = lent = _lent(entry)
                    if lent is not entry:
                        table._lent[id(lent)] = lent
        table.changed = self.changed
        # Not compared with how many this one has, which another thread may change.
        count = self.snapshot.message.record_count if self.snapshot else None
        table.whole = self.whole and len(table) == count
        return table

    def close(self) -> None:
        """Lets go of the message, for the jobs too that were made of it.

        Who closes it a second time does it all again, so that it is closed when either comes back.
        """
        self.closed = True
        for jobs in (self._made, self._lent):
            for job in jobs.copy().values():
                close(job)


def _lent(job: Job) -> Job:
    """Another job on the same memory, for another collection; one without memory is the same."""
    # At once, as another thread may close it.
    record = job._record
    if is_closed(record):
        raise ClosedError(_CLOSED)
    ptr, owner = record
    if owner is None:
        return job
    lent = Job._at(ptr, owner, job._id)
    lent._steps, lent._stats = job._steps, job._stats
    return lent


class Jobs:
    """Jobs of one cluster or of several, by id.

    `Jobs.load` asks the controller for all jobs that there are. A collection can also be made by
    hand, of ids or of jobs; ids alone ask nothing of the controller until `reload`.

    It is used like a dict of job ids to `Job`: ``jobs[1]``, ``1 in jobs``, ``len``, iteration over
    the ids, ``get``, ``keys``, ``values``, ``items``, ``pop``, ``update``, ``|``. Where clusters
    differ, ``jobs[("cluster", 1)]`` names both and ``jobs["cluster"]`` is the mapping of one
    cluster; a bare id means the local cluster, or the first one in the collection where it has
    none of the local cluster.

    All jobs of a collection share the memory that Slurm's library has filled. It is freed when the
    collection and every job that came of it are gone; `close`, or the end of a ``with`` block,
    does it at once. A job that is to stay is taken out with `pop` or copied with `copy.copy`.

    Args:
        jobs: Ids or jobs: a list of either, a dict of ids to jobs, or text such as ``"1,2"``.
        frozen: Whether `reload` keeps to the jobs that are in the collection.

    Attributes:
        frozen: Whether `reload` keeps to the jobs that are in the collection: new ones are not
            added, and those that slurmctld has forgotten are not removed.

    Raises:
        TypeError: Something that is neither a job nor an id.
        ValueError: A number that is no job id.

    Example:
        >>> from slurmpy import Jobs
        >>> Jobs("1,2")
        slurmpy.Jobs({1: slurmpy.Job(1), 2: slurmpy.Job(2)})
    """

    __slots__ = (
        "__weakref__",
        "_carrying",
        "_closed",
        "_kept",
        "_names",
        "_reloading",
        "_show",
        "_stats",
        "_table",
        "_uid",
        "frozen",
    )

    frozen: bool

    def __init__(
        self,
        jobs: Iterable[int | Job] | Mapping[int, Job] | str | None = None,
        frozen: bool = False,
    ) -> None:
        """See the class."""
        self.frozen = frozen
        self._table: _Table | None = _Table()
        self._closed = False
        self._kept = False
        self._names = False
        self._show = lib.SHOW_ALL | lib.SHOW_DETAIL | lib.SHOW_LOCAL
        self._uid: int | None = None
        #: What a reload holds, anew in each child of fork().
        self._reloading: dict[int, threading.RLock] = {}
        #: And what whoever changes it holds while it is frozen.
        self._carrying: dict[int, threading.RLock] = {}
        self._stats: JobStatistics | None = None
        if jobs is not None:
            self.update(jobs)

    @staticmethod
    def load(
        preload_passwd_info: bool = False,
        frozen: bool = False,
        *,
        user: int | str | None = None,
        hidden: bool = True,
        details: bool = True,
    ) -> Jobs:
        """Asks the controller for all jobs (``slurm_load_jobs``).

        Args:
            preload_passwd_info: Whether to read the whole passwd and group databases now, in place
                of one look-up for each user and group when it is first asked for.
            frozen: Whether `reload` keeps to the jobs that are loaded now.
            user: A user's name or uid: only the jobs of this user (``slurm_load_job_user``).
            hidden: Whether jobs in hidden partitions and revoked ones are loaded too.
            details: Whether the details of the resources are loaded too.

        Returns:
            The jobs.

        Raises:
            ValueError: There is no user of that name.
            RPCError: The controller could not be asked; `ControllerUnreachable` where it did not
                answer.
            ConfigurationError: Slurm cannot be used as it is set up.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> jobs[job_id].state
            'RUNNING'
        """
        jobs = Jobs(frozen=frozen)
        jobs._uid = None if user is None else uid(user)
        jobs._names = preload_passwd_info
        jobs._show = (
            lib.SHOW_LOCAL | (lib.SHOW_ALL if hidden else 0) | (lib.SHOW_DETAIL if details else 0)
        )
        snapshot = jobs._ask()
        jobs._table = _Table(snapshot)
        return jobs

    def reload(self) -> Jobs:
        """Asks the controller for the jobs again.

        Where nothing has changed, the controller says so and no job is sent; what depends on the
        clock, such as ``run_time``, moves on all the same. Where something has, the collection
        gives new `Job` objects, and those that it gave before stay as they were.

        A collection that was made of ids has all jobs from then on, unless it is `frozen`:
        ``Jobs([1, 2], frozen=True).reload()`` gives these two. A collection of one user's jobs is
        always loaded in full. What another thread clears meanwhile is not loaded, where the
        collection is frozen.

        Returns:
            The collection itself.

        Raises:
            RPCError: The controller could not be asked; the collection stays as it was.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> jobs.reload() is jobs
            True
        """
        with self._reloading.setdefault(_forks, threading.RLock()):
            table = self._open()
            # A collection that was frozen may lack what an unchanged queue has.
            thawed = self._kept and not self.frozen
            before = None if table.changed or thawed else table.snapshot
            snapshot = self._ask(before)
            if snapshot is None:
                self._open()
                before.now = time.time()  # type: ignore[union-attr]  # it was asked with its time
                return self
            fresh, frozen = _Table(snapshot), self.frozen
            if frozen:
                self._detach_lost(table, fresh)
            with self._changing(frozen, seconds=1):
                if frozen:
                    if self._table is not table:
                        # Cleared meanwhile, or loaded again by a signal handler.
                        self._open()
                        return self
                    self._keep(table, fresh)
                    fresh.changed = False
                self._replace(fresh)
            self._stats = None
            self._kept = frozen
        return self

    def _ask(self, before: Snapshot | None = None) -> Snapshot | None:
        """The controller's jobs; None where nothing has changed since a snapshot."""
        with cell("job_info_msg_t **", lib.slurmpy_drop_jobs) as out:
            if self._uid is None:
                known = (before.message.last_update, before.configuration) if before else (0, 0)
                rc = _runtime.call(lib.slurmpy_load_jobs, *known, out, self._show)
            else:
                rc = _runtime.call(lib.slurmpy_load_job_user, out, self._uid, self._show)
            if rc == lib.SLURM_NO_CHANGE_IN_DATA:
                said()
                return None
            check(rc, "loading the jobs")
            snapshot = load_message(out, "loading the jobs")
        if self._names:
            snapshot.preload_names()
        return snapshot

    @contextlib.contextmanager
    def _changing(self, frozen: bool | None = None, seconds: float = -1) -> Iterator[None]:
        """What is held while jobs of a frozen collection come or go.

        A reload carries them over, which would undo what another thread does in between.

        Args:
            frozen: Whether it is one; None for what it is now.
            seconds: How long to wait for other threads, and go on without; -1 is without end. It is
                held for moments, but by one whose signal handler waits for the reload.
        """
        if not (self.frozen if frozen is None else frozen):
            yield
            return
        lock = self._carrying.setdefault(_forks, threading.RLock())
        held = lock.acquire(timeout=seconds)
        try:
            yield
        finally:
            if held:
                lock.release()

    @staticmethod
    def _detach_lost(old: _Table, new: _Table) -> None:
        """Gives data of their own to the jobs that a new table lacks."""
        for cluster, jobs in old.groups():
            there = new.clusters.get(cluster, {})
            for job_id, entry in jobs.items():
                if job_id not in there:
                    detach(old.job(entry))
                    if old.closed:
                        # By another thread, before the job had data of its own.
                        old.close()
                        raise ClosedError(_CLOSED)

    @staticmethod
    def _keep(old: _Table, new: _Table) -> None:
        """Leaves in a new table what is in the old one, and carries over what it has lost."""
        clusters = new.clusters
        for cluster, jobs in new.each():
            before = old.clusters.get(cluster, {})
            kept = {job_id: place for job_id, place in jobs.items() if job_id in before}
            new.whole = new.whole and len(kept) == len(jobs)
            clusters[cluster] = kept
        for cluster, before in old.groups():
            there = clusters.get(cluster, {})
            for job_id, entry in before.items():
                if job_id in there:
                    continue
                job = old.job(entry)
                # One that has another id since it was loaded again by itself.
                if job._id not in there:
                    new.add(cluster, job, lent=old.owns(entry))

    # ---- what runs of them ----

    @property
    def stats(self) -> JobStatistics:
        """What the jobs use, as `load_stats` has found it; zeros before."""
        self._open()
        if self._stats is None:
            from slurmpy.stats import JobStatistics

            self._stats = JobStatistics()
        return self._stats

    def load_steps(self) -> None:
        """Asks for the steps of all jobs, in one call (``slurm_get_job_steps``).

        They are in the ``steps`` of each job of the local cluster from then on; those of a job that
        waits, or has ended, are empty. After a `reload` that found changes they are not loaded.

        Raises:
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> jobs.load_steps()
            >>> list(jobs[job_id].steps)
            ['batch']
        """
        from slurmpy.steps import load_all_steps

        self._open()
        steps = load_all_steps()
        self._open().enter_steps(steps)
        self._stats = None

    def load_stats(
        self, *, threads: int = THREADS, timeout: float | None = TIMEOUT
    ) -> JobStatistics:
        """Asks the nodes what all jobs use (``slurm_job_step_stat``), as ``sstat`` does.

        It loads the steps first, as `load_steps` does, and then asks for each of them, several at
        once. A job that waits, has ended or has no steps has zeros. A job of which a step could
        not be asked for has no figures, nor has one of another cluster than the one in use: its
        error is in ``errors`` of what is returned, and the errors of its steps in ``errors`` of
        its own `Job.stats`. A node that was silent for two steps, and has answered for none, is
        not asked again.

        Args:
            threads: How many steps are asked for at once.
            timeout: For how many seconds the nodes are asked, at the most; None for as long as
                Slurm takes, which is ``MessageTimeout`` for a node that does not answer.

        Returns:
            The sums over the jobs, which are in `stats` from then on; those of each job are in its
            own ``stats``, and its process ids in ``pids``.

        Raises:
            TypeError, ValueError: There is no such number of threads or seconds.
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.
            UnsupportedField: How this Slurm keeps the figures was not checked.
            ClosedError: The collection was closed.

        Warns:
            StatisticsWarning: Some jobs have no figures.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> stats = jobs.load_stats()
            >>> stats.resident_memory == sum(job.stats.resident_memory for job in jobs.values())
            True
            >>> stats.errors
            {}
        """
        from slurmpy import stats
        from slurmpy.steps import load_all_steps

        stats.check_limits(threads, timeout)
        self._open()
        steps = load_all_steps()
        cluster = steps.owner.cluster or ""
        own = self._open().clusters.get(cluster, {})
        asked = [i for i in steps.places if i in own]
        by_job = stats.load({i: steps.of(i) for i in asked}, threads, timeout)
        # Another one where the collection was loaded again meanwhile.
        table = self._open()
        jobs = table.clusters.get(cluster, {})
        # What was known before goes with the steps that it is of.
        table.enter_steps(steps)
        errors: dict[Key, SlurmError] = {}
        for job_id, found in by_job.items():
            if found.errors:
                key = job_id if cluster == _local() else (cluster, job_id)
                errors[key] = next(iter(found.errors.values()))
            entry = jobs.get(job_id)
            if entry is not None:
                table.job(entry)._stats = found
        for name, job in table.jobs():
            if name != cluster and job._can_have_steps():
                errors[name, job._id] = _control.other_cluster(job._id, name)
        self._stats = stats.of_jobs(by_job.values())
        self._stats.errors = errors
        stats.warn(errors, len(table))
        return self._stats

    # ---- what is done to all of them ----

    def cancel(self) -> None:
        """Cancels the jobs (``slurm_kill_jobs``, before Slurm 23.11.6 ``slurm_kill_job2``).

        A job that has ended already stays as it is, which is no error. From Slurm 23.11.6 on
        thousands of one's own jobs go into one call, once they are loaded; before, each is a call.

        Raises:
            JobErrors: Some of the jobs refused, with the error of each; the others were cancelled.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("9998,9999").cancel()
            Traceback (most recent call last):
                ...
            slurmpy.JobErrors: cancelling 2 of 2 jobs: 9998: Invalid job id specified ...
        """
        self._do(_control.cancel())

    def send_signal(self, signal: str | int, steps: str = "children", hurry: bool = False) -> None:
        """Sends a signal to the processes of the jobs (the calls of `cancel`).

        Args:
            signal: A signal by name (``"SIGUSR1"``, ``"usr1"``), number or `signal.Signals`.
            steps: ``"children"``, all steps but the batch script; ``"batch"``, the batch script
                alone; or ``"all"``.
            hurry: Whether no burst buffer data is staged out.

        Raises:
            ValueError: There is no such signal, or no such choice of steps; nothing was sent.
            TypeError: An argument is of another type; nothing was sent.
            JobErrors: Some of the jobs refused, with the error of each; the others have got it.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs([job_id]).send_signal("SIGCONT")
        """
        self._do(_control.send_signal(signal, steps, hurry))

    def hold(self, mode: str | None = None) -> None:
        """Keeps the jobs from being started (``slurm_update_job2``).

        Slurm takes one job a call, or several tasks of one array, as with the actions below.

        Args:
            mode: ``"admin"``, which is the default: only an administrator can release the jobs; or
                ``"user"``: the user can, too.

        Raises:
            ValueError: There is no such mode; nothing was sent.
            TypeError: The mode is no text; nothing was sent.
            JobErrors: Some of the jobs refused, with the error of each; the others are held.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("9998,9999").hold("user")
            Traceback (most recent call last):
                ...
            slurmpy.JobErrors: holding 2 of 2 jobs: 9998: Invalid job id specified ...
        """
        self._do(_control.hold(mode))

    def release(self) -> None:
        """Lets the jobs be started that were held (``slurm_update_job2``).

        Raises:
            JobErrors: Some of the jobs refused, with the error of each.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs().release()
        """
        self._do(_control.release())

    def requeue(self, hold: bool = False) -> None:
        """Puts the jobs back into the queue (``slurm_requeue2``).

        Args:
            hold: Whether they are held there.

        Raises:
            TypeError: ``hold`` is no bool; nothing was sent.
            JobErrors: Some of the jobs refused, with the error of each.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs().requeue(hold=True)
        """
        self._do(_control.requeue(hold))

    def suspend(self) -> None:
        """Suspends the jobs (``slurm_suspend2``).

        Raises:
            JobErrors: Some of the jobs refused, with the error of each; the others are suspended.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs().suspend()
        """
        self._do(_control.suspend())

    def unsuspend(self) -> None:
        """Lets the jobs go on that were suspended (``slurm_resume2``).

        Raises:
            JobErrors: Some of the jobs refused, with the error of each.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs().unsuspend()
        """
        self._do(_control.unsuspend())

    def modify(self, changes: JobSubmitDescription) -> None:
        """Changes every job (``slurm_update_job2``; one call for several tasks of an array).

        Args:
            changes: What to change, as for `Job.modify`.

        Raises:
            TypeError: It is no `JobSubmitDescription`.
            ValueError: There is something wrong in it; nothing was sent.
            JobErrors: Some of the jobs refused, with the error of each.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs, JobSubmitDescription
            >>> Jobs([job_id]).modify(JobSubmitDescription(time_limit="1-00:00:00"))
        """
        from slurmpy.submission import changes_of

        message = changes_of(changes)
        self._do(_control.modify(message))

    def notify(self, msg: str) -> None:
        """Writes a message to the output of each job (``slurm_notify_job``, one call a job).

        Args:
            msg: The message, of at most 7900 bytes; of more, Slurm would keep the end.

        Raises:
            ValueError: The message has a NUL character, or is too long; nothing was sent.
            TypeError: It is no text; nothing was sent.
            JobErrors: Some of the jobs refused, with the error of each.
            ControllerUnreachable: The controller did not answer, and nothing was done.
            ConfigurationError: Slurm cannot be used as it is set up.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs([job_id]).notify("The cluster goes down at six.")
        """
        self._do(_control.notify(msg))

    def _do(self, action: _control.Action) -> None:
        """Does something to all jobs that are there now."""
        table = self._open()
        if not len(table):
            return
        _runtime.ensure()
        local = _local()
        targets: dict[Key, _control.Target | SlurmError] = {}
        for cluster, job in table.jobs():
            key = job._id if cluster == local else (cluster, job._id)
            try:
                targets[key] = job._numbered() if action.by_id else job._target()
            except SlurmError as error:
                targets[key] = error
        _control.do_to_all(targets, action)

    def _open(self) -> _Table:
        """The table, or an error where the collection was closed."""
        table = self._table
        if self._closed or table is None:
            raise ClosedError(_CLOSED)
        return table

    def _replace(self, fresh: _Table) -> None:
        """Has another table from now on, unless it was closed meanwhile."""
        self._table = fresh
        # Looked at afterwards: either this sees that it was closed, or who closes sees the table.
        if self._closed:
            self.close()
            raise ClosedError(_CLOSED)

    def close(self) -> None:
        """Ends the use of the collection.

        From then on, the collection and the jobs that it has given raise `ClosedError`; those that
        it gave before a `reload` that found changes are no longer its own. Slurm's memory is freed
        when nobody reads it any more: jobs that were taken out, and collections made of this one
        (`copy`, `filter`, ``|``, `update`), keep it. A job that was given to another collection as
        an object (`add`, in a list or a dict) stays this one's, and ends with it. Closing twice
        does nothing.

        Example:
            >>> import slurmpy
            >>> with slurmpy.Jobs.load() as jobs:
            ...     name = jobs[job_id].name
            >>> name
            'sleeper'
        """
        # First, so that no other table takes the place of this one.
        self._closed = True
        table = self._table
        if table is not None:
            # Until all of it is closed the table stays, for whoever comes second.
            table.close()
            self._table = None

    def __enter__(self) -> Jobs:  # noqa: PYI034 - Self is not in Python 3.9
        """The collection itself."""
        self._open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the collection."""
        self.close()

    # ---- the mapping ----

    def _find(self, key: Key) -> tuple[_Table, dict[int, Job | int], int]:
        """The table, the jobs of the cluster that a key means, and the id.

        The table is the caller's to use: a reload in another thread has another one, in which the
        places in the message are others too.

        Raises:
            KeyError: The job is not there.
        """
        table = self._open()
        cluster, job_id = key if _is_pair(key) else (table.home(), key)
        jobs = table.clusters.get(cluster, {})
        if job_id not in jobs:
            raise KeyError(key)
        return table, jobs, job_id

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: Key) -> Job: ...
        @overload
        def __getitem__(self, key: str) -> ClusterJobs: ...

    def __getitem__(self, key: Key | str) -> Job | ClusterJobs:
        """A job by id, or by cluster and id; by a cluster's name, that cluster's jobs."""
        if isinstance(key, str):
            if key not in self._open().names():
                is_id = key.isdecimal()
                raise KeyError(f"{key!r} is a text, and ids are numbers" if is_id else key)
            return ClusterJobs(self, key)
        table, jobs, job_id = self._find(key)
        return table.job(jobs[job_id])

    def __contains__(self, item: object) -> bool:
        """Whether there is such a job, given as job, as id, or as cluster and id; or a cluster."""
        if isinstance(item, Job):
            cluster, job_id = self._place(item)
            return job_id in self._open().clusters.get(cluster, {})
        if isinstance(item, str):
            return item in self._open().names()
        try:
            self._find(item)  # type: ignore[arg-type]  # what is no key is not there
        except (KeyError, TypeError):
            return False
        return True

    def __len__(self) -> int:
        """How many jobs there are."""
        return len(self._open())

    def __iter__(self) -> Iterator[int]:
        """The ids, cluster after cluster."""
        return (job_id for _, job_id in self._open().entries())

    def __reversed__(self) -> Iterator[int]:
        """The ids from the last to the first."""
        return reversed(list(self))

    if TYPE_CHECKING:

        @overload
        def get(self, key: Key) -> Job | None: ...
        @overload
        def get(self, key: Key, default: T) -> Job | T: ...

    def get(self, key: Key, default: object = None) -> object:
        """The job, or the default where there is none.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("1,2").get(3) is None
            True
        """
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> JobIds:
        """The ids; ``keys().with_cluster()`` gives pairs of cluster and id.

        Example:
            >>> from slurmpy import Jobs
            >>> list(Jobs("1,2").keys())
            [1, 2]
        """
        return JobIds(self)

    def values(self) -> JobValues:
        """The jobs.

        Example:
            >>> from slurmpy import Jobs
            >>> list(Jobs("1,2").values())
            [slurmpy.Job(1), slurmpy.Job(2)]
        """
        return JobValues(self)

    def items(self) -> JobItems:
        """Ids and jobs; ``items().with_cluster()`` gives cluster, id and job.

        Example:
            >>> from slurmpy import Jobs
            >>> list(Jobs("1,2").items())
            [(1, slurmpy.Job(1)), (2, slurmpy.Job(2))]
        """
        return JobItems(self)

    def clusters(self) -> list[str]:
        """The names of the clusters that the jobs are of.

        Jobs that were named by id alone, and never loaded, are of the local cluster, whose name is
        empty as long as Slurm was not asked.

        Example:
            >>> import slurmpy
            >>> slurmpy.Jobs.load().clusters() == [slurmpy.Job.load(job_id).cluster]
            True
        """
        return self._open().names()

    def _place(self, job: Job) -> tuple[str, int]:
        """Where a job belongs."""
        return _local() if job._cluster is None else job._cluster, job._id

    def add(self, item: Job) -> None:
        """Adds a job, in place of one with the same cluster and id.

        Raises:
            TypeError: It is no `Job`.

        Example:
            >>> from slurmpy import Job, Jobs
            >>> jobs = Jobs()
            >>> jobs.add(Job(3))
            >>> jobs
            slurmpy.Jobs({3: slurmpy.Job(3)})
        """
        _check_job(item)
        with self._changing():
            self._open().add(self._place(item)[0], item)

    def __setitem__(self, key: Key, job: Job) -> None:
        """Adds a job under its own id."""
        _check_job(job)
        if key not in (job._id, self._place(job)):
            msg = f"job {job._id} goes under its own id, not under {key!r}: use add()"
            raise ValueError(msg)
        self.add(job)

    def setdefault(self, key: Key, default: Job) -> Job:
        """The job of that key; where there is none, the default, which is added.

        Example:
            >>> from slurmpy import Job, Jobs
            >>> Jobs().setdefault(3, Job(3))
            slurmpy.Job(3)
        """
        if key not in self:
            self[key] = default
        return self[key]

    def remove(self, item: Job | Key) -> None:
        """Takes out a job, given as job or by its key.

        Raises:
            KeyError: It is not there.

        Example:
            >>> from slurmpy import Jobs
            >>> jobs = Jobs("1,2")
            >>> jobs.remove(1)
            >>> jobs
            slurmpy.Jobs({2: slurmpy.Job(2)})
        """
        del self[self._place(item) if isinstance(item, Job) else item]

    def __delitem__(self, key: Key) -> None:
        """Takes out a job."""
        self._take(key)

    def _take(self, key: Key) -> Job:
        """Takes out a job and gives it."""
        with self._changing():
            table, jobs, job_id = self._find(key)
            return table.take(jobs, job_id)

    def pop(self, key: Key, default: Any = MISSING) -> Any:
        """Takes out a job and gives it; it stays readable when the collection is closed.

        Args:
            key: The id, or cluster and id.
            default: What to give where there is no such job.

        Raises:
            KeyError: There is no such job, and no default.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("1,2").pop(1)
            slurmpy.Job(1)
        """
        try:
            return self._take(key)
        except KeyError:
            if default is MISSING:
                raise
            return default

    def popitem(self) -> tuple[int, Job]:
        """Takes out the last job and gives its id and it.

        Raises:
            KeyError: There is none.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("1").popitem()
            (1, slurmpy.Job(1))
        """
        with self._changing():
            table = self._open()
            for _, jobs in reversed(table.each()):
                # Empty, perhaps since another thread has taken the last.
                with contextlib.suppress(KeyError):
                    return table.take_last(jobs)
        msg = "the collection is empty"
        raise KeyError(msg)

    def clear(self) -> None:
        """Takes out all jobs; those that were given stay readable.

        Example:
            >>> from slurmpy import Jobs
            >>> jobs = Jobs("1,2")
            >>> jobs.clear()
            >>> len(jobs)
            0
        """
        with self._changing():
            self._open()
            self._replace(_Table())

    def update(self, jobs: Jobs | Iterable[int | Job] | Mapping[int, Job] | str) -> None:
        """Adds jobs, from whatever a collection can be made of.

        Raises:
            TypeError: Something that is neither a job nor an id.
            ValueError: A number that is no job id.

        Example:
            >>> from slurmpy import Jobs
            >>> jobs = Jobs("1")
            >>> jobs.update([2])
            >>> jobs
            slurmpy.Jobs({1: slurmpy.Job(1), 2: slurmpy.Job(2)})
        """
        self._open()
        if isinstance(jobs, (Jobs, ClusterJobs)):
            other = (jobs if isinstance(jobs, Jobs) else jobs._jobs)._open()
            only = None if isinstance(jobs, Jobs) else jobs._cluster
            for cluster, job in other.jobs(only):
                with self._changing():
                    other.lend(cluster, job, self._open())
            return
        if isinstance(jobs, Mapping):
            for key, job in jobs.items():
                self[key] = job  # pyright: ignore[reportArgumentType]  # a mapping has ids
            return
        if isinstance(jobs, (bytes, bytearray)):
            msg = f"job ids are a str or a list, not {type(jobs).__name__}: {jobs!r}"
            raise TypeError(msg)
        for item in _convert.job_ids(jobs) if isinstance(jobs, str) else jobs:
            self.add(item if isinstance(item, Job) else Job(item))

    def copy(self) -> Jobs:
        """Another collection of the same jobs, on the same memory.

        Closing one leaves the other as it is.

        Example:
            >>> from slurmpy import Jobs
            >>> jobs = Jobs("1")
            >>> jobs.copy() == jobs
            True
        """
        table = self._open()
        jobs = self._with(table.copy(table.groups()))
        jobs.frozen, jobs._kept, jobs._stats = self.frozen, self._kept, self._stats
        return jobs

    __copy__ = copy

    def _with(self, table: _Table) -> Jobs:
        """A collection that asks for the same, of other jobs."""
        jobs = Jobs()
        jobs._names, jobs._show, jobs._uid = self._names, self._show, self._uid
        jobs._table = table
        return jobs

    def __or__(self, other: Jobs | Mapping[int, Job]) -> Jobs:
        """The jobs of both; of those in both, the other's."""
        if not isinstance(other, (Jobs, Mapping)):
            return NotImplemented
        jobs = self.copy()
        jobs.update(other)
        return jobs

    def __ror__(self, other: Mapping[int, Job]) -> Jobs:
        """The jobs of both; of those in both, this one's."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return Jobs(other) | self

    def __ior__(self, other: Jobs | Mapping[int, Job]) -> Jobs:  # noqa: PYI034 - as above
        """Adds the jobs of the other."""
        if not isinstance(other, (Jobs, Mapping)):
            return NotImplemented
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both have the same jobs."""
        if isinstance(other, Jobs):
            return len(self) == len(other) and all(job in other for job in self.values())
        if isinstance(other, Mapping):
            return dict(self.items()) == dict(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the jobs, each with all its data, and what `reload` asks for."""
        settings = (self.frozen, self._uid, self._show, self._names)
        return _restore, (list(self.values()), settings)

    def __repr__(self) -> str:
        """The jobs, cut short where there are many."""
        table = self._table
        if self._closed or table is None:
            return "slurmpy.Jobs(closed)"
        return f"slurmpy.Jobs({_shown((job_id for _, job_id in table.entries()), len(table))})"

    # ---- all of them at once ----

    def _total(self, attribute: str) -> int:
        """The sum of an attribute over the jobs where it is set."""
        field = Job.fields[attribute]
        return sum(filter(None, self._records((field,)).values(field)))

    @property
    def memory(self) -> int:
        """Memory of all jobs together, in MiB; the record of waiting tasks counts once."""
        return self._total("memory")

    @property
    def cpus(self) -> int:
        """CPUs of all jobs together; the record of waiting tasks counts once."""
        return self._total("cpus")

    @property
    def ntasks(self) -> int:
        """Tasks of all jobs together; the record of waiting tasks counts once."""
        return self._total("ntasks")

    @property
    def elapsed_cpu_time(self) -> int:
        """Run time multiplied by CPUs, of all jobs together, in seconds."""
        return self._total("elapsed_cpu_time")

    def raw_columns(self, *names: str | Iterable[str]) -> dict[str, Any]:
        """Attributes of all jobs as NumPy arrays on the memory that Slurm's library has filled.

        They are the members of ``slurm_job_info_t`` that the attributes read, as they are:
        ``NO_VAL`` where a number is not set, 0 where a moment is not known, all bits of a state or
        of flags. Nothing is copied, unless the collection is not what one call has loaded: where
        jobs were added, taken out or loaded again by themselves, some were picked (`filter`), or
        where a frozen collection is not all of what there is (`frozen`).

        An array is for reading only. Where nothing was copied, it keeps the memory of all jobs,
        whatever becomes of the collection: `close` does not end it.

        Args:
            names: Attributes of `Job` that come of one number of the record, one by one or in a
                list.

        Returns:
            The name to an array with a value for each job, in the order of the collection.

        Raises:
            TypeError: No attribute is named.
            ValueError: There is no such attribute, or it is not one number.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks it.
            ClosedError: The collection was closed.
            ImportError: NumPy is not installed (the extra ``numpy``).

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> columns = jobs.raw_columns("id", "cpus")
            >>> columns["id"].tolist() == list(jobs)
            True
            >>> int(columns["cpus"].sum()) == jobs.cpus
            True
        """
        _columns.needed("numpy", "numpy", "raw_columns()")
        records = self._records()
        return {
            field.name: records.raw(field) for field in _attributes.named(names, "raw_columns()")
        }

    def columns(self, *names: str | Iterable[str]) -> dict[str, Any]:
        """Attributes of all jobs as NumPy arrays, with the values that the attributes have.

        A moment is a ``datetime64`` (UTC) and a duration a ``timedelta64``, NaT where it is not
        set; any other number is masked there (``numpy.ma``), or in a plain array where it always is
        set. Everything else is in arrays of objects, as is `Job.delay_boot_time`, which may be
        `UNLIMITED`. ``tolist()`` gives Python values, with None
        for what is not set.

        The arrays are their own: nothing that becomes of the collection touches them.

        Args:
            names: Attributes of `Job`, one by one or in a list.

        Returns:
            The name to an array with a value for each job, in the order of the collection.

        Raises:
            TypeError: No attribute is named.
            ValueError: There is no such attribute.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks it.
            ClosedError: The collection was closed.
            ImportError: NumPy is not installed (the extra ``numpy``).

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> columns = jobs.columns("id", "state", "submit_time")
            >>> dict(zip(columns["id"].tolist(), columns["state"].tolist()))[job_id]
            'RUNNING'
            >>> columns["submit_time"].dtype
            dtype('<M8[s]')
        """
        _columns.needed("numpy", "numpy", "columns()")
        wanted = _attributes.named(names, "columns()")
        records = self._records(wanted)
        return {field.name: records.array(field) for field in wanted}

    def filter(
        self,
        where: Callable[[Job], object] | None = None,
        *,
        user: Any = MISSING,
        **attributes: Any,
    ) -> Jobs:
        """The jobs that have certain attributes, in a collection on the same memory.

        Which they are is found before there is a `Job` for any of them, unless ``where`` is asked.
        `reload` of the new collection keeps to its jobs (`frozen`). Closing one collection leaves
        the other as it is.

        Args:
            where: What is asked of each job that has the attributes: whether it is wanted.
            user: A user's name or uid, or several; where it is not given, those of all users.
            attributes: Attributes of `Job`, each with the value that is wanted, or with several
                (any iterable but a text or a dict) of which any will do. A state can be written as
                squeue takes it, such as ``"R"``. A job that waits for several partitions is in
                each, and one with several features, licenses or the like has each of them.

        Returns:
            The jobs, in the order of this collection.

        Raises:
            TypeError: There is no such attribute, or it has no such values; or ``where`` cannot be
                asked.
            ValueError: There is no such user, or no such state.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks an attribute.
            ClosedError: The collection was closed.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> job_id in jobs.filter(state="RUNNING", partition=["debug", "long"])
            True
            >>> len(jobs.filter(where=lambda job: job.cpus > 1000))
            0
        """
        if where is not None and not callable(where):
            msg = f"where is a function that is asked of each job, not {where!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        conditions = _attributes.conditions(attributes, user)
        table = self._open()
        groups = table.groups()
        if conditions:
            records = self._records((), table, groups)
            keep = iter(_attributes.matching(records, conditions))
            groups = [
                (cluster, {number: it for number, it in jobs.items() if next(keep)})
                for cluster, jobs in groups
            ]
        found = self._selection(table.copy(groups))
        if where is None:
            return found
        table = found._open()
        groups = [
            (cluster, {number: it for number, it in jobs.items() if where(table.job(it))})
            for cluster, jobs in table.groups()
        ]
        return self._selection(table.copy(groups))

    def _selection(self, table: _Table) -> Jobs:
        """A collection that keeps to its jobs."""
        found = self._with(table)
        found.frozen = found._kept = True
        return found

    def to_dicts(self, fields: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Attributes of all jobs, a dict for each job.

        It is what `Job.to_dict` gives of each, many times as fast where there are many.

        Args:
            fields: Which attributes, and in which order; all that the installed Slurm has where
                nothing is said.

        Returns:
            The dicts, in the order of the collection.

        Raises:
            TypeError, ValueError: That is no list of attributes.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks one that was named.
            ClosedError: The collection was closed.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> {"id": job_id, "state": "RUNNING"} in jobs.to_dicts(fields=["id", "state"])
            True
        """
        wanted = _attributes.fields(fields, "to_dicts()")
        return _columns.dicts(self._records(wanted), wanted)

    def to_lists(self, fields: Iterable[str] | None = None) -> dict[str, list[Any]]:
        """Attributes of all jobs, a list for each attribute.

        It needs no NumPy, and is the fastest way to a few attributes of many jobs.

        Args:
            fields: Which attributes, and in which order; all that the installed Slurm has where
                nothing is said.

        Returns:
            The name to a list with the value of each job, in the order of the collection.

        Raises:
            TypeError, ValueError: That is no list of attributes.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks one that was named.
            ClosedError: The collection was closed.

        Example:
            >>> import slurmpy
            >>> jobs = slurmpy.Jobs.load()
            >>> lists = jobs.to_lists(fields=["id", "state"])
            >>> dict(zip(lists["id"], lists["state"]))[job_id]
            'RUNNING'
        """
        wanted = _attributes.fields(fields, "to_lists()")
        records = self._records(wanted)
        return {field.name: records.values(field) for field in wanted}

    def to_dataframe(self, fields: Iterable[str] | None = None) -> Any:
        """Attributes of all jobs as a pandas ``DataFrame``, one row for each job.

        Numbers that may be unset are of pandas' nullable types, moments ``datetime64`` in UTC,
        durations ``timedelta64``; state, reason, partition, user, group, account, QOS and cluster
        are categories. A boot delay without a limit is `UNLIMITED`, in a column of objects.

        Args:
            fields: Which attributes, and in which order; all that the installed Slurm has where
                nothing is said.

        Returns:
            The data frame; its rows are numbered.

        Raises:
            TypeError, ValueError: That is no list of attributes.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks one that was named.
            ClosedError: The collection was closed.
            ImportError: pandas is not installed (the extra ``pandas``).

        Example:
            >>> import slurmpy
            >>> frame = slurmpy.Jobs.load().to_dataframe(fields=["id", "state", "cpus"])
            >>> int(frame[frame.state == "RUNNING"].cpus.sum())
            1
        """
        _columns.needed("pandas", "pandas", "to_dataframe()")
        _columns.needed("numpy", "pandas", "to_dataframe()")
        from slurmpy import _frames

        wanted = _attributes.fields(fields, "to_dataframe()")
        return _frames.dataframe(self._records(wanted), wanted)

    def to_arrow(self, fields: Iterable[str] | None = None) -> Any:
        """Attributes of all jobs as an Arrow ``Table``, one row for each job.

        Polars, DuckDB and Parquet take it. Moments are timestamps in UTC, durations of seconds;
        what is categories in `to_dataframe` is dictionary-encoded; dependencies, and CPU
        frequencies, which are numbers or words, are texts (JSON where they are no text). A boot
        delay without a limit is null. What is not UTF-8 in a text is replaced.

        Args:
            fields: Which attributes, and in which order; all that the installed Slurm has where
                nothing is said.

        Returns:
            The table.

        Raises:
            TypeError, ValueError: That is no list of attributes.
            NotLoaded: A job was never loaded.
            UnsupportedField: The installed Slurm lacks one that was named.
            ClosedError: The collection was closed.
            ImportError: pyarrow is not installed (the extra ``arrow``).

        Example:
            >>> import slurmpy
            >>> table = slurmpy.Jobs.load().to_arrow(fields=["id", "submit_time"])
            >>> table.schema.field("submit_time").type
            TimestampType(timestamp[s, tz=UTC])
        """
        _columns.needed("pyarrow", "arrow", "to_arrow()")
        _columns.needed("numpy", "arrow", "to_arrow()")
        from slurmpy import _frames

        wanted = _attributes.fields(fields, "to_arrow()")
        return _frames.arrow(self._records(wanted), wanted)

    def _records(
        self,
        fields: Iterable[Field[Any]] = (),
        table: _Table | None = None,
        groups: Sequence[tuple[str, dict[int, Job | int]]] | None = None,
    ) -> _columns.Records:
        """The records of all jobs, or of some, for what takes them at once.

        Args:
            fields: The attributes that will be read.
            table: Whose jobs; None for the collection's.
            groups: All of them at one moment; None for now.
        """
        if table is None:
            table = self._open()
        return _columns.Records(Job, table.snapshot, table.chosen(groups), fields)

    def to_dict(
        self, *, multi_cluster: bool = False, fields: Iterable[str] | None = None
    ) -> dict[Any, dict[Any, Any]]:
        """All attributes of all jobs, by id.

        Args:
            multi_cluster: Whether the ids stand under the names of their clusters.
            fields: Which attributes, and in which order; all that a job has where nothing is said.

        Returns:
            Id to the job's `Job.to_dict`, or cluster to id to it.

        Raises:
            ValueError: An id is there for two clusters, and ``multi_cluster`` is not set; or there
                is no such attribute.
            TypeError: ``fields`` is no list of attributes.
            NotLoaded: Attributes were named, and a job was never loaded.
            UnsupportedField: The installed Slurm lacks one that was named.
            ClosedError: The collection was closed.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("1,2").to_dict()
            {1: {'id': 1}, 2: {'id': 2}}
        """
        return self._to_dict(multi_cluster, fields, "to_dict()")

    def _to_dict(
        self, multi_cluster: bool, fields: Iterable[str] | None, method: str
    ) -> dict[Any, dict[Any, Any]]:
        """As `to_dict`."""
        table = self._open()
        groups = table.groups()
        try:
            wanted = _attributes.fields(fields, method)
            rows = _columns.dicts(self._records(wanted, table, groups), wanted)
        except NotLoaded:
            if fields is not None:
                raise
            rows = [table.job(it).to_dict() for _, jobs in groups for it in jobs.values()]
        each = iter(rows)
        clusters = {cluster: dict(zip(jobs, each)) for cluster, jobs in groups if jobs}
        if multi_cluster:
            return clusters
        merged = {job_id: job for jobs in clusters.values() for job_id, job in jobs.items()}
        if len(merged) < sum(map(len, clusters.values())):
            msg = "jobs of several clusters have the same id: use to_dict(multi_cluster=True)"
            raise ValueError(msg)
        return merged

    def to_json(self, *, multi_cluster: bool = False, fields: Iterable[str] | None = None) -> str:
        """The same as `to_dict`, as JSON; the ids are texts there.

        Raises:
            ValueError, TypeError, NotLoaded, UnsupportedField, ClosedError: As `to_dict`.

        Example:
            >>> from slurmpy import Jobs
            >>> Jobs("1,2").to_json()
            '{"1": {"id": 1}, "2": {"id": 2}}'
        """
        import json

        values = self._to_dict(multi_cluster, fields, "to_json()")
        return json.dumps(values, default=_json)


MutableMapping.register(Jobs)  # pyright: ignore[reportAttributeAccessIssue]


def _shown(ids: Iterable[int], count: int) -> str:
    """The first of the jobs, and how many more there are."""
    shown = [f"{job_id}: slurmpy.Job({job_id})" for job_id in itertools.islice(ids, _SHOWN)]
    if count > _SHOWN:
        shown.append(f"... {count - _SHOWN} more")
    return f"{{{', '.join(shown)}}}"


class ClusterJobs(Mapping[int, Job]):
    """The jobs of one cluster in a collection: ``jobs["cluster"]``."""

    __slots__ = ("_cluster", "_jobs")

    def __init__(self, jobs: Jobs, cluster: str) -> None:
        """See the class."""
        self._jobs = jobs
        self._cluster = cluster

    def __getitem__(self, job_id: int) -> Job:
        """A job by its id."""
        return self._jobs[(self._cluster, job_id)]

    def __iter__(self) -> Iterator[int]:
        """The ids."""
        return iter(list(self._jobs._open().clusters.get(self._cluster, ())))

    def __len__(self) -> int:
        """How many jobs there are."""
        return len(self._jobs._open().clusters.get(self._cluster, ()))

    def __repr__(self) -> str:
        """The jobs, cut short where there are many."""
        table = self._jobs._table
        if self._jobs._closed or table is None:
            return f"slurmpy.Jobs(closed)[{self._cluster!r}]"
        jobs = table.clusters.get(self._cluster, {}).copy()
        return _shown(jobs, len(jobs))


class JobIds(KeysView[int]):
    """The ids of a collection."""

    __slots__ = ()
    _mapping: Any

    def __init__(self, jobs: Jobs) -> None:
        """See the class."""
        super().__init__(jobs)

    def with_cluster(self) -> Iterator[tuple[str, int]]:
        """Pairs of cluster and id."""
        entries: Iterator[tuple[str, int]] = self._mapping._open().entries()
        return entries


class JobValues(ValuesView[Job]):
    """The jobs of a collection."""

    __slots__ = ()
    _mapping: Any

    def __init__(self, jobs: Jobs) -> None:
        """See the class."""
        super().__init__(jobs)

    def __contains__(self, job: object) -> bool:
        """Whether the job is there."""
        return isinstance(job, Job) and job in self._mapping

    def __iter__(self) -> Iterator[Job]:
        """The jobs, cluster after cluster."""
        return (job for _, _, job in self._mapping.items().with_cluster())


class JobItems(ItemsView[int, Job]):
    """Ids and jobs of a collection."""

    __slots__ = ()
    _mapping: Any

    def __init__(self, jobs: Jobs) -> None:
        """See the class."""
        super().__init__(jobs)

    def __iter__(self) -> Iterator[tuple[int, Job]]:
        """Pairs of id and job."""
        return ((job_id, job) for _, job_id, job in self.with_cluster())

    def with_cluster(self) -> Iterator[tuple[str, int, Job]]:
        """Cluster, id and job."""
        table: _Table = self._mapping._open()
        return ((cluster, job._id, job) for cluster, job in table.jobs())


def _local() -> str:
    """The local cluster's name; empty as long as it is not known."""
    return _runtime.cluster_name() or ""


def _is_pair(key: object) -> TypeGuard[tuple[str, int]]:
    """Whether a key has a cluster."""
    return isinstance(key, tuple) and len(key) == len(("cluster", "id"))


def _check_job(item: object) -> None:
    """Refuses what is no job."""
    if not isinstance(item, Job):
        msg = f"only a slurmpy.Job can be added, not {type(item).__name__}: {item!r}"
        raise TypeError(msg)
    if isinstance(item._id, str):
        msg = f"{item!r} has no id yet: load it first"
        raise ValueError(msg)  # noqa: TRY004 - a job it is


def _restore(jobs: list[Job], settings: tuple[Any, ...]) -> Jobs:
    """The collection of a pickle or a deep copy."""
    restored = Jobs(jobs)
    restored.frozen, restored._uid, restored._show, restored._names = settings
    return restored


def _json(value: object) -> str:
    """What JSON has no form for."""
    if isinstance(value, Unlimited):
        return str(value)
    msg = f"no JSON for {type(value).__name__}"
    raise TypeError(msg)
