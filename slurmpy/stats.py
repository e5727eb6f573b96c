"""What jobs and steps use while they run: what ``sstat`` prints, without running it."""

from __future__ import annotations

import dataclasses
import errno
import threading
import time
import warnings
from collections import Counter, deque
from dataclasses import dataclass, field

from slurmpy import _control, _runtime
from slurmpy._ffi import ffi, has_members, lib
from slurmpy._layout import hosts
from slurmpy._records import cell, take
from slurmpy.errors import (
    ConfigurationError,
    NodeUnreachable,
    RPCError,
    SlurmError,
    UnsupportedField,
    node_error,
    said,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Union

    from slurmpy.steps import JobStep, JobSteps, StepId

    #: The figures of a step, and its process ids by node; None where the step has ended.
    Answer = Union[tuple["JobStepStatistics", dict[str, list[int]]], None]

__all__ = ["JobStatistics", "JobStepStatistics", "StatisticsWarning"]

#: The numbers that Slurm gives to what it samples (``tres_ids``).
_CPU, _MEMORY, _DISK, _VIRTUAL, _PAGES = 1, 2, 6, 7, 8

#: Milliseconds of CPU time in a second.
_MILLISECONDS = 1000

_IS_KNOWN = has_members("jobacctinfo_t")

#: Of how many steps a node has to be silent before it is not asked any more, if it has answered
#: for none: a step can be stuck while its node is well.
_SILENT = 2


class StatisticsWarning(UserWarning):
    """Some jobs of a collection have no figures; ``stats.errors`` says which, and why."""


@dataclass
class JobStepStatistics:
    """What a step uses: the figures that ``sstat`` prints.

    All are 0 before `JobStep.load_stats`, and nodes and tasks None. After it, a figure is None
    where the sampler that is configured has none.

    Attributes:
        total_cpu_time: CPU time of all tasks, in seconds.
        user_cpu_time: The part of it that was spent in the programs.
        system_cpu_time: The part of it that was spent in the kernel for them.
        elapsed_cpu_time: Run time multiplied by the CPUs of the step, in seconds.
        avg_cpu_time: CPU time of a task, on the average, in seconds.
        avg_cpu_frequency: Frequency of the CPUs, on the average over the tasks, in kHz. (Where the
            system does not tell it in kHz, Slurm takes the MHz of ``/proc/cpuinfo`` for that.)
        consumed_energy: Energy, in joules.
        avg_disk_read: Bytes that a task has read, on the average.
        avg_disk_write: Bytes that a task has written, on the average.
        avg_page_faults: Major page faults of a task, on the average.
        avg_resident_memory: Resident memory of a task, on the average, in bytes.
        avg_virtual_memory: Virtual memory of a task, on the average, in bytes.
        max_disk_read: Bytes read by the task that has read most.
        max_disk_read_node: The node that this task runs on.
        max_disk_read_task: The number of this task.
        max_disk_write: Bytes written by the task that has written most.
        max_disk_write_node: The node that this task runs on.
        max_disk_write_task: The number of this task.
        max_page_faults: Page faults of the task that has had most.
        max_page_faults_node: The node that this task runs on.
        max_page_faults_task: The number of this task.
        max_resident_memory: Highest resident memory of any task, in bytes.
        max_resident_memory_node: The node that this task runs on.
        max_resident_memory_task: The number of this task.
        max_virtual_memory: Highest virtual memory of any task, in bytes.
        max_virtual_memory_node: The node that this task runs on.
        max_virtual_memory_task: The number of this task.
        min_cpu_time: CPU time of the task that has used least, in seconds.
        min_cpu_time_node: The node that this task runs on.
        min_cpu_time_task: The number of this task.

    Example:
        >>> from slurmpy import JobStepStatistics
        >>> JobStepStatistics().max_resident_memory
        0
    """

    total_cpu_time: int | None = 0
    user_cpu_time: int | None = 0
    system_cpu_time: int | None = 0
    elapsed_cpu_time: int = 0
    avg_cpu_time: int | None = 0
    avg_cpu_frequency: int | None = 0
    consumed_energy: int | None = 0
    avg_disk_read: int | None = 0
    avg_disk_write: int | None = 0
    avg_page_faults: int | None = 0
    avg_resident_memory: int | None = 0
    avg_virtual_memory: int | None = 0
    max_disk_read: int | None = 0
    max_disk_read_node: str | None = None
    max_disk_read_task: int | None = None
    max_disk_write: int | None = 0
    max_disk_write_node: str | None = None
    max_disk_write_task: int | None = None
    max_page_faults: int | None = 0
    max_page_faults_node: str | None = None
    max_page_faults_task: int | None = None
    max_resident_memory: int | None = 0
    max_resident_memory_node: str | None = None
    max_resident_memory_task: int | None = None
    max_virtual_memory: int | None = 0
    max_virtual_memory_node: str | None = None
    max_virtual_memory_task: int | None = None
    min_cpu_time: int | None = 0
    min_cpu_time_node: str | None = None
    min_cpu_time_task: int | None = None

    def to_dict(self) -> dict[str, int | str | None]:
        """All figures by name.

        Example:
            >>> from slurmpy import JobStepStatistics
            >>> JobStepStatistics().to_dict()["min_cpu_time_task"] is None
            True
        """
        return dataclasses.asdict(self)


@dataclass
class JobStatistics:
    """What a job uses, or a collection of jobs: sums over the steps that run.

    All are 0 before they are loaded. A step counts with its averages, and with the highest memory
    of any of its tasks; what its sampler does not know counts as 0.

    Attributes:
        total_cpu_time: CPU time of the steps, in seconds.
        user_cpu_time: The part of it that was spent in the programs.
        system_cpu_time: The part of it that was spent in the kernel for them.
        elapsed_cpu_time: Run time of each step multiplied by its CPUs, in seconds.
        consumed_energy: Energy, in joules.
        disk_read: Bytes that a task has read, on the average, summed over the steps.
        disk_write: Bytes that a task has written, on the average, summed over the steps.
        page_faults: Major page faults of a task, on the average, summed over the steps.
        resident_memory: Highest resident memory of any task of the job, in bytes; of a collection,
            summed over the jobs.
        virtual_memory: Highest virtual memory of any task of the job, in bytes; of a collection,
            summed over the jobs.
        errors: What could not be asked for, and is not in the sums: of a job, step id to error; of
            a collection, job id (or cluster and id) to error.

    Example:
        >>> from slurmpy import Job
        >>> Job(9999).stats.total_cpu_time
        0
    """

    total_cpu_time: int = 0
    user_cpu_time: int = 0
    system_cpu_time: int = 0
    elapsed_cpu_time: int = 0
    consumed_energy: int = 0
    disk_read: int = 0
    disk_write: int = 0
    page_faults: int = 0
    resident_memory: int = 0
    virtual_memory: int = 0
    errors: dict[Any, SlurmError] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, int]:
        """All figures by name, without the errors.

        Example:
            >>> from slurmpy import JobStatistics
            >>> JobStatistics().to_dict()["disk_read"]
            0
        """
        return {name: getattr(self, name) for name in _FIGURES}

    def __copy__(self) -> JobStatistics:
        """Figures and errors of their own."""
        return dataclasses.replace(self, errors=dict(self.errors))


_FIGURES = [item.name for item in dataclasses.fields(JobStatistics) if item.name != "errors"]


def of_steps(steps: Iterable[JobStepStatistics]) -> JobStatistics:
    """The figures of a job, from those of its steps."""
    job = JobStatistics()
    for step in steps:
        job.total_cpu_time += step.total_cpu_time or 0
        job.user_cpu_time += step.user_cpu_time or 0
        job.system_cpu_time += step.system_cpu_time or 0
        job.elapsed_cpu_time += step.elapsed_cpu_time
        job.consumed_energy += step.consumed_energy or 0
        job.disk_read += step.avg_disk_read or 0
        job.disk_write += step.avg_disk_write or 0
        job.page_faults += step.avg_page_faults or 0
        job.resident_memory = max(job.resident_memory, step.max_resident_memory or 0)
        job.virtual_memory = max(job.virtual_memory, step.max_virtual_memory or 0)
    return job


def of_jobs(jobs: Iterable[JobStatistics]) -> JobStatistics:
    """The figures of a collection, from those of its jobs."""
    total = JobStatistics()
    for job in jobs:
        for name in _FIGURES:
            setattr(total, name, getattr(total, name) + getattr(job, name))
    return total


# ---- one step ----


def ask(step: JobStep, *, alone: bool = True) -> Answer:
    """Asks the nodes of a step what it uses.

    Args:
        step: The step, which is loaded.
        alone: Whether no other thread asks at the same time, whose words could not be told from
            those of this call.

    Returns:
        The figures and the process ids; None where the step has ended, on some node or on all.

    Raises:
        NodeUnreachable: A node does not answer.
        RPCError: A node refuses.
        UnsupportedField: How this Slurm keeps the figures was not checked.
    """
    if not _IS_KNOWN:
        attribute = "load_stats"
        raise UnsupportedField(attribute, "")
    ptr, _owner = step._record
    with cell("job_step_stat_response_msg_t **", lib.slurmpy_drop_stats) as out:
        rc = _runtime.call(lib.slurmpy_step_stat, step._of, ptr, out)
        response = take(out, lib.slurm_job_step_stat_response_msg_free)
    if rc == lib.SLURMPY_OTHER_CLUSTER:
        raise _control.other_cluster(step.job_id, step._in_cluster)
    words = said()
    answers: list[Any] = []
    try:
        while response is not None and (entry := lib.slurmpy_pop_stat(response)):
            answers.append(ffi.gc(entry, lib.slurm_job_step_stat_free))
        named = [it for it in answers if it.step_pids and it.step_pids.node_name]
        pids = {ffi.string(it.step_pids.node_name).decode(): _pids(it.step_pids) for it in named}
        silent = [node for node in hosts(ptr.nodes) if node not in pids]
        if not rc and not silent:
            tasks = sum(answer.num_tasks for answer in named)
            samples = {node: it.jobacct for node, it in zip(pids, named) if it.jobacct}
            return _fold(step, tasks, samples), pids
    finally:
        # At once, since PyPy does not know how much there is.
        for item in (*answers, *filter(None, [response])):
            ffi.release(item)
    if rc == lib.ESLURM_INVALID_JOB_ID:
        return None
    detail = _what(step)
    if silent:
        # Those are among them that have said something else, and libslurm does not tell which.
        either = " or from one of them" if len(silent) > 1 else ""
        detail += f": no answer from {', '.join(silent)}{either}"
    # It was no slurmctld that broke off.
    broken = rc in (0, lib.SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR)
    code = lib.SLURM_COMMUNICATIONS_CONNECTION_ERROR if broken else rc
    raise node_error(code, silent, f"{detail}: {words}" if words and alone else detail)


def _what(step: JobStep) -> str:
    """What is asked for, in errors."""
    return f"loading statistics of step {step.id} of job {step.job_id}"


def _pids(answer: Any) -> list[int]:
    """The process ids in a node's answer."""
    return ffi.unpack(answer.pid, answer.pid_cnt) if answer.pid_cnt else []


def _fold(step: JobStep, tasks: int, samples: Mapping[str, Any]) -> JobStepStatistics:
    """The figures of a step, from how many tasks it has and what each node has sampled of its."""
    found = JobStepStatistics(elapsed_cpu_time=_elapsed(step))
    cpu = _Usage(samples, _CPU, "in", "min")
    found.total_cpu_time = _divided(cpu.sum, _MILLISECONDS)
    found.avg_cpu_time = _divided(_divided(cpu.sum, tasks), _MILLISECONDS)
    found.min_cpu_time = _divided(cpu.value, _MILLISECONDS)
    found.min_cpu_time_node, found.min_cpu_time_task = cpu.node, cpu.task
    # These two sstat prints as 0 where there is no sampler.
    found.avg_cpu_frequency = found.consumed_energy = 0
    found.user_cpu_time = found.system_cpu_time = None
    if samples:
        of = samples.values()
        found.user_cpu_time = _seconds((it.user_cpu_sec, it.user_cpu_usec) for it in of)
        found.system_cpu_time = _seconds((it.sys_cpu_sec, it.sys_cpu_usec) for it in of)
        found.avg_cpu_frequency = _divided(sum(it.act_cpufreq for it in of), tasks)
        energy = [it.energy.consumed_energy for it in of]
        found.consumed_energy = None if lib.NO_VAL64 in energy else sum(energy)
    for name, tres, way in (
        ("disk_read", _DISK, "in"),
        ("disk_write", _DISK, "out"),
        ("page_faults", _PAGES, "in"),
        ("resident_memory", _MEMORY, "in"),
        ("virtual_memory", _VIRTUAL, "in"),
    ):
        usage = _Usage(samples, tres, way, "max")
        setattr(found, f"avg_{name}", _divided(usage.sum, tasks))
        setattr(found, f"max_{name}", usage.value)
        setattr(found, f"max_{name}_node", usage.node)
        setattr(found, f"max_{name}_task", usage.task)
    return found


def _elapsed(step: JobStep) -> int:
    """Run time multiplied by CPUs, as of now: a step may have been loaded a while ago."""
    ptr, owner = step._record
    since = int(time.time() - owner.now) if ptr.state == lib.JOB_RUNNING else 0
    return step.elapsed_cpu_time + max(0, since) * (step.cpus or 0)


class _Usage:
    """One of the things that are sampled, over all nodes of a step.

    Each node gives the sum over its tasks, and the task that has most or least.

    Args:
        samples: What each node has found.
        tres: Slurm's number for the thing.
        way: ``"in"`` for what is read and used, ``"out"`` for what is written.
        which: ``"max"`` or ``"min"``.

    Attributes:
        sum: Over all tasks; None where no node has it.
        value: The task's with most or least.
        node: The node that this task is on: the one that has told of it. Slurm's own number of it
            means another node in a component of a heterogeneous step, as sstat shows.
        task: The number of this task.
    """

    __slots__ = ("node", "sum", "task", "value")

    def __init__(self, samples: Mapping[str, Any], tres: int, way: str, which: str) -> None:
        """See the class."""
        self.sum: int | None = None
        self.value: int | None = None
        self.node: str | None = None
        self.task: int | None = None
        arrays = f"tres_usage_{way}_{which}"
        for node, sample in samples.items():
            ids = ffi.unpack(sample.tres_ids, sample.tres_count) if sample.tres_ids else []
            if tres not in ids:
                continue
            place = ids.index(tres)
            total = _set(getattr(sample, f"tres_usage_{way}_tot"), place)
            if total is not None:
                self.sum = total if self.sum is None else self.sum + total
            value = _set(getattr(sample, arrays), place)
            # Of nodes that have the same, the first counts, as in sstat.
            if value is not None and (
                self.value is None or (value > self.value if which == "max" else value < self.value)
            ):
                self.value = value
                self.node = node
                self.task = _set(getattr(sample, f"{arrays}_taskid"), place)


def _set(array: Any, place: int) -> int | None:
    """A value in an array of the sampler's; None where it is not set."""
    value: int | None = array[place] if array else None
    return None if value in (None, lib.INFINITE64, lib.NO_VAL64) else value


def _divided(value: int | None, by: int) -> int | None:
    """A figure in larger units, or of each task."""
    return None if value is None else value // by if by else value


def _seconds(times: Iterable[tuple[int, int]]) -> int:
    """The sum of times in seconds and microseconds."""
    return sum(seconds * 10**6 + more for seconds, more in times) // 10**6


# ---- many steps, side by side ----


def ask_all(
    steps: Iterable[JobStep], threads: int, timeout: float | None
) -> list[tuple[JobStep, Answer | SlurmError]]:
    """Asks the nodes of many steps at once.

    Args:
        steps: The steps.
        threads: How many calls are made at once.
        timeout: For how many seconds, at the most. A call cannot be interrupted: what is under way
            by then goes on in the background, and what it gives is dropped.

    Returns:
        Each step with the answer, or Slurm's error.

    Raises:
        ConfigurationError: Slurm cannot be used as it is set up.
        UnsupportedField: How this Slurm keeps the figures was not checked.
        RuntimeError: No thread could be started.
    """
    todo = list(steps)
    crew = _Crew(todo)
    is_endless = timeout is None or timeout > threading.TIMEOUT_MAX
    deadline = None if is_endless else time.monotonic() + (timeout or 0)
    try:
        crew.start(min(threads, len(todo)))
        with crew.changed:
            while len(crew.answers) < len(todo):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                crew.changed.wait(left)
            answers = dict(crew.answers)
    finally:
        crew.waiting.clear()
    found: list[tuple[JobStep, Answer | SlurmError]] = []
    for number, step in enumerate(todo):
        answer = answers[number] if number in answers else crew.late(number, timeout)
        # What is not about the one step is raised.
        if isinstance(answer, (ConfigurationError, UnsupportedField)) or (
            isinstance(answer, Exception) and not isinstance(answer, SlurmError)
        ):
            raise answer
        found.append((step, answer))
    return found


class _Crew:
    """What several threads share that ask for steps.

    Args:
        steps: The steps to ask for.

    Attributes:
        waiting: Numbers of the steps that were not begun.
        answers: Number of a step to the answer.
        changed: Told of each answer.
    """

    def __init__(self, steps: list[JobStep]) -> None:
        """See the class."""
        self.waiting = deque(range(len(steps)))
        self.answers: dict[int, Answer | Exception] = {}
        self.changed = threading.Condition()
        self._steps = steps
        self._begun: set[int] = set()
        #: Node to how many steps it was silent of, where it is known that it was this one.
        self._silent: Counter[str] = Counter()
        self._answered: set[str] = set()

    def start(self, threads: int) -> None:
        """Starts as many threads as there may be, if it is but one."""
        for number in range(threads):
            try:
                # Not to be waited for where the interpreter ends.
                threading.Thread(target=self._work, name="slurmpy-stats", daemon=True).start()
            except RuntimeError:
                if number == 0:
                    raise
                break

    def _work(self) -> None:
        """Asks for one step after the other."""
        while True:
            try:
                number = self.waiting.popleft()
            except IndexError:
                return
            self._begun.add(number)
            try:
                answer = self._ask(self._steps[number])
            except Exception as error:  # noqa: BLE001 - who waits for it raises it
                # The traceback would keep all that the calls had at hand.
                answer = error.with_traceback(None)
            with self.changed:
                self.answers[number] = answer
                self.changed.notify()

    def _ask(self, step: JobStep) -> Answer | Exception:
        """The answer for a step; one on a node that was found silent is not asked for."""
        silent = {node for node, times in list(self._silent.items()) if times >= _SILENT}
        silent -= self._answered
        missing = [node for node in step.allocated_nodes if node in silent] if silent else []
        if missing:
            why = f"{', '.join(missing)} did not answer for other steps"
            return NodeUnreachable(errno.ETIMEDOUT, f"{_what(step)}: {why}", missing)
        try:
            answer = ask(step, alone=len(self._steps) == 1)
        except NodeUnreachable as error:
            if len(error.nodes) == 1:
                self._silent.update(error.nodes)
            self._answered.update(set(step.allocated_nodes) - set(error.nodes))
            raise
        if answer is not None:
            self._answered.update(answer[1])
        return answer

    def late(self, number: int, timeout: float | None) -> SlurmError:
        """The error for a step that there is no answer for in time."""
        step = self._steps[number]
        if number not in self._begun:
            detail = f"{_what(step)}: it was not its turn within {timeout} s"
            return RPCError(errno.ETIMEDOUT, detail)
        nodes = step.allocated_nodes
        detail = f"{_what(step)}: {', '.join(nodes)} did not all answer within {timeout} s"
        return NodeUnreachable(errno.ETIMEDOUT, detail, nodes)


# ---- many jobs ----


def load(
    jobs: Mapping[Any, JobSteps], threads: int, timeout: float | None
) -> dict[Any, JobStatistics]:
    """Asks the nodes of many jobs at once, and enters the figures of each step.

    Args:
        jobs: What the caller knows a job by, and its steps.
        threads: How many calls are made at once.
        timeout: For how many seconds, at the most.

    Returns:
        The figures of each job. A job of which a step could not be asked for has none, but the
        errors by step.
    """
    keys = [(key, step_id) for key, steps in jobs.items() for step_id in steps]
    steps = [jobs[key][step_id] for key, step_id in keys]
    found: dict[Any, list[JobStepStatistics]] = {key: [] for key in jobs}
    errors: dict[Any, dict[StepId, SlurmError]] = {}
    for (key, step_id), (step, answer) in zip(keys, ask_all(steps, threads, timeout)):
        if isinstance(answer, SlurmError):
            errors.setdefault(key, {})[step_id] = answer
        elif answer is not None:
            step._stats, step._pids = answer
            found[key].append(answer[0])
    return {
        key: JobStatistics(errors=errors[key]) if key in errors else of_steps(of)
        for key, of in found.items()
    }


def check_limits(threads: object, timeout: object) -> None:
    """Refuses what is no number of threads or seconds."""
    if isinstance(threads, bool) or not isinstance(threads, int):
        msg = f"threads is an int, not {type(threads).__name__}: {threads!r}"
        raise TypeError(msg)
    if threads < 1:
        msg = f"threads has to be 1 or more, not {threads}"
        raise ValueError(msg)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float, type(None))):
        msg = f"timeout is a number of seconds or None, not {type(timeout).__name__}: {timeout!r}"
        raise TypeError(msg)
    if timeout is not None and not timeout > 0:  # which NaN is not either
        msg = f"timeout has to be a number of seconds above 0, or None, not {timeout!r}"
        raise ValueError(msg)


def warn(errors: Mapping[Any, SlurmError], jobs: int) -> None:
    """Says that jobs have no figures."""
    if errors:
        first = next(iter(errors.values()))
        msg = f"{len(errors)} of {jobs} jobs have no statistics, see stats.errors: {first}"
        warnings.warn(msg, StatisticsWarning, stacklevel=3)


for _public in (JobStatistics, JobStepStatistics, StatisticsWarning):
    _public.__module__ = "slurmpy"
