"""The steps of jobs."""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping

from slurmpy import _control, _convert, _runtime
from slurmpy._ffi import ffi, lib
from slurmpy._fields import Struct
from slurmpy._layout import hosts
from slurmpy._records import (
    Record,
    Snapshot,
    answered,
    cell,
    from_members,
    snapshot,
    take,
    to_members,
)
from slurmpy.errors import InvalidJobId, NotLoaded, RPCError, check
from slurmpy.job import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Union

    from slurmpy._records import Member
    from slurmpy.stats import JobStepStatistics

    #: What a step is called: a number, ``"batch"``, ``"extern"``, ``"interactive"``, ``"pending"``,
    #: or ``"0+1"`` for a component of a heterogeneous step.
    StepId = Union[int, str]

__all__ = ["JobStep", "JobSteps", "TaskDistribution"]

_STRUCT = "job_step_info_t"
_step = Struct(_STRUCT)
_MEMBERS = dict(ffi.typeof(_STRUCT).fields)

_NAMES = {
    lib.SLURM_BATCH_SCRIPT: "batch",
    lib.SLURM_EXTERN_CONT: "extern",
    lib.SLURM_INTERACTIVE_STEP: "interactive",
    lib.SLURM_PENDING_STEP: "pending",
}
_NUMBERS = {name: number for number, name in _NAMES.items()}

#: Steps are 32-bit numbers, and a heterogeneous one has at most 128 components.
_STEP_DIGITS, _COMPONENT_DIGITS = 10, 3


def step_name(number: int, component: int = lib.NO_VAL) -> StepId:
    """What a step is called."""
    name = _NAMES.get(number, number)
    return name if component == lib.NO_VAL else f"{name}+{component}"


def step_numbers(name: object) -> tuple[int, int]:
    """The number of a step, and of the component of it.

    Raises:
        TypeError: It is neither an `int` nor text.
        ValueError: No step can be called so.
    """
    given: Any = name
    number = given
    component = lib.NO_VAL
    if isinstance(name, str):
        first, plus, last = name.partition("+")
        is_number = first.isascii() and first.isdigit() and len(first) <= _STEP_DIGITS
        number = int(first) if is_number else None
        if plus:
            is_number = last.isascii() and last.isdigit() and len(last) <= _COMPONENT_DIGITS
            number, component = (number, int(last)) if is_number else (None, component)
        else:
            number = _NUMBERS.get(first, number)
    elif isinstance(name, bool) or not hasattr(name, "__index__"):
        msg = f"a step id is an int or a str, not {type(name).__name__}: {name!r}"
        raise TypeError(msg)
    is_named = number in _NAMES and component == lib.NO_VAL
    if number is None or not (0 <= number <= lib.SLURM_MAX_NORMAL_STEP_ID or is_named):
        shown = repr(name) if isinstance(name, str) else _convert.shown(operator.index(given))
        msg = (
            f"no step id: {shown} (a number from 0 on, 'batch', 'extern', 'interactive' or "
            "'pending'; '0+1' for a component of a heterogeneous step)"
        )
        raise ValueError(msg)
    return operator.index(number), component


def _run_time(ptr: Any) -> int:
    """Seconds that a step has run; those of one that waits mean nothing."""
    return int(ptr.run_time) if ptr.start_time else 0


class _StepNotLoaded:
    """Stands for the pointer of a step that was never asked for."""

    __slots__ = ("job_id", "limit", "named", "step_het_comp", "step_id")

    def __init__(self, job_id: int, name: StepId, limit: int | None) -> None:
        self.named = job_id, name
        self.limit = limit
        self.job_id = job_id
        #: The members of the struct within the struct are here.
        self.step_id = self

    def __getattr__(self, member: str) -> Any:
        if member == "time_limit" and self.limit is not None:
            return self.limit
        job_id, name = self.named
        msg = (
            f"step {name} of job {job_id} was not loaded: call "
            f"slurmpy.JobStep.load({job_id}, {name!r})"
        )
        raise NotLoaded(msg)


class TaskDistribution:
    """How tasks are distributed over nodes, sockets and cores; prints as ``--distribution`` takes.

    Args:
        text: As sbatch and srun take it, such as ``"cyclic:block"`` or ``"block,nopack"``.

    Attributes:
        nodes: Over nodes: ``"block"``, ``"cyclic"``, ``"plane"`` or ``"arbitrary"``; None for what
            Slurm takes by default.
        sockets: Over the sockets of a node: ``"block"``, ``"cyclic"`` or ``"fcyclic"``; None where
            that is left to Slurm.
        cores: The same, over the cores of a socket.
        plane: Size of the planes of ``"plane"``; None where it is another, or is not known: Slurm
            does not tell it of a step.
        pack: Whether nodes are filled before others are taken; None where that is left to Slurm.

    Raises:
        ValueError: The text is no distribution.

    Example:
        >>> from slurmpy import TaskDistribution
        >>> distribution = TaskDistribution("cyclic:block,nopack")
        >>> distribution.nodes, distribution.sockets, distribution.pack
        ('cyclic', 'block', False)
        >>> str(distribution)
        'cyclic:block,nopack'
    """

    __slots__ = ("cores", "nodes", "pack", "plane", "sockets")

    nodes: str | None
    sockets: str | None
    cores: str | None
    plane: int | None
    pack: bool | None

    def __init__(self, text: str) -> None:
        """See the class."""
        from slurmpy import _parse

        try:
            bits, self.plane, _words = _parse.distribution(text)
        except ValueError as error:
            msg = f"the text {error}"
            raise ValueError(msg) from None
        self._take(bits)

    def _take(self, bits: int) -> None:
        """Takes over the bits of a distribution."""
        from slurmpy import _parse

        self.nodes, self.sockets, self.cores, self.pack = _parse.distribution_words(bits)

    def __str__(self) -> str:
        """As sbatch's ``--distribution`` takes it."""
        nodes = f"plane={self.plane}" if self.plane else self.nodes
        words = ":".join(filter(None, (nodes, self.sockets, self.cores)))
        packing = {None: "", True: "pack", False: "nopack"}[self.pack]
        return ",".join(filter(None, (words, packing)))

    def __repr__(self) -> str:
        """As it is made."""
        return f"slurmpy.TaskDistribution({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both distribute in the same way."""
        return str(self) == str(other) if isinstance(other, TaskDistribution) else NotImplemented

    def __hash__(self) -> int:
        """As it is compared."""
        return hash(str(self))


def _distribution(bits: int) -> TaskDistribution | None:
    """The distribution of a step; None where it has none."""
    made = TaskDistribution.__new__(TaskDistribution)
    made.plane = None
    made._take(bits)
    return made if str(made) else None


class JobStep(Record):
    """A step of a job.

    ``JobStep(job_id, step_id)`` asks nothing of the controller. `JobStep.load` asks for one step,
    `JobSteps.load` for those of a job.

    Args:
        job_id: The id of the job.
        step_id: The step's number; or ``"batch"``, ``"extern"``, ``"interactive"`` or
            ``"pending"``; or ``"0+1"``, a component of a heterogeneous step.
        **changes: What `modify` is to change: ``time_limit``, in minutes or as text such as
            ``"1-00:00:00"`` or ``"UNLIMITED"``, which 0 is too, as for sbatch.

    Raises:
        TypeError: An id is of another type, or a keyword is none that can be changed.
        ValueError: An id is one that Slurm cannot give, or a time limit cannot be read.

    Example:
        >>> from slurmpy import JobStep
        >>> JobStep(9999, "batch")
        slurmpy.JobStep(9999, 'batch')
        >>> JobStep(9999, 0, time_limit="1-00:00:00").time_limit
        1440
    """

    __slots__ = ("__weakref__", "_numbers", "_pids", "_stats")

    _struct = _STRUCT
    #: Job id, step id and component as Slurm has them.
    _numbers: tuple[int, int, int]
    _stats: JobStepStatistics | None
    _pids: dict[str, list[int]]

    def __init__(self, job_id: int, step_id: StepId, **changes: Any) -> None:
        """See the class."""
        number, component = step_numbers(step_id)
        job = Job(job_id)._id
        if isinstance(job, str):
            msg = f"a step is of one job, by its id, and {job!r} is none"
            raise ValueError(msg)  # noqa: TRY004 - it is the value that is wrong
        wrong = next((name for name in changes if name != "time_limit"), None)
        if wrong is not None:
            msg = f"of a step, only time_limit can be changed, not {wrong}"
            raise TypeError(msg)
        limit = _limit(changes["time_limit"]) if "time_limit" in changes else None
        self._numbers = job, number, component
        self._record = _StepNotLoaded(job, step_name(number, component), limit), None
        self._stats = None
        self._pids = {}

    @classmethod
    def _at(cls, ptr: Any, owner: Any) -> JobStep:
        """The step at a place in memory that its owner keeps."""
        step = cls.__new__(cls)
        of = ptr.step_id
        step._numbers = of.job_id, of.step_id, of.step_het_comp
        step._record = ptr, owner
        step._stats = None
        step._pids = {}
        return step

    @_step.computed("step_id")
    def id(self) -> int | str:
        """Number of the step, or what Slurm calls it."""
        _job, number, component = self._numbers
        return step_name(number, component)

    @_step.computed("step_id")
    def job_id(self) -> int:
        """Id of the job that the step is of."""
        job_id: int = self._numbers[0]
        return job_id

    name = _step.text("name", "Name of the step.")
    user_id = _step.integer("user_id", "Uid of the user whose job it is.")

    @_step.computed("user_id")
    def user_name(self) -> str | None:
        """Name of the user whose job it is; None where the system does not know the uid."""
        ptr, owner = self._record
        uid = ptr.user_id
        name: str | None = owner.user(uid)
        return name

    partition = _step.text("partition", "Partition of the job.")

    @_step.computed("state")
    def state(self) -> str:
        """State of the step, such as ``"RUNNING"``."""
        ptr, _owner = self._record
        state: str = ffi.string(lib.slurm_job_state_string(ptr.state)).decode()
        return state

    @_step.computed("cluster")
    def cluster(self) -> str | None:
        """Cluster that the job is on."""
        ptr, owner = self._record
        name = ffi.string(ptr.cluster) if ptr.cluster else b""
        text: str = name.decode("utf-8", "surrogateescape")
        return text or owner.cluster

    network = _step.text("network", "Specification of the network.")
    container = _step.text("container", "Bundle of the container that the step runs in.")
    time_limit = _step.minutes(
        "time_limit", "Time limit; None where the step has none of its own.", zero=False
    )
    cpu_frequency_min = _step.mapped(
        "cpu_freq_min",
        _convert.cpu_frequency,
        "Least CPU frequency, or a word such as ``Low``.",
        "int | str | None",
        "kHz",
    )
    cpu_frequency_max = _step.mapped(
        "cpu_freq_max",
        _convert.cpu_frequency,
        "Highest CPU frequency, or a word such as ``High``.",
        "int | str | None",
        "kHz",
    )
    cpu_frequency_governor = _step.mapped(
        "cpu_freq_gov",
        _convert.cpu_frequency,
        "Governor of the CPU frequency, such as ``Performance``.",
        "int | str | None",
    )
    reserved_ports = _step.text("resv_ports", "Ports that are reserved for the step.")
    srun_host = _step.text("srun_host", "Host that the step's srun runs on.")
    srun_process_id = _step.number("srun_pid", "Process id of the step's srun.", zero=False)
    array_id = _step.number("array_job_id", "Id of the array that the job is of.", zero=False)

    @_step.computed("array_task_id, array_job_id")
    def array_task_id(self) -> int | None:
        """Number of the job in its array; None where it is of none."""
        ptr, _owner = self._record
        task: int = ptr.array_task_id
        return None if not ptr.array_job_id or task in (lib.NO_VAL, lib.INFINITE) else task

    @_step.computed("nodes")
    def allocated_nodes(self) -> list[str]:
        """Nodes that the step runs on, each by its name."""
        ptr, _owner = self._record
        return hosts(ptr.nodes)

    start_time = _step.timestamp("start_time", "When the step started.")

    @_step.computed("run_time, start_time", "seconds")
    def run_time(self) -> int:
        """How long the step has run, without the time that it was suspended."""
        ptr, _owner = self._record
        return _run_time(ptr)

    @_step.computed("run_time, start_time, time_limit", "seconds")
    def run_time_remaining(self) -> int | None:
        """What is left until the step's own time limit; None where it has none."""
        ptr, _owner = self._record
        limit = ptr.time_limit
        if limit in (0, lib.NO_VAL, lib.INFINITE):
            return None
        return int(limit) * 60 - _run_time(ptr)

    @_step.computed("run_time, start_time, num_cpus", "seconds")
    def elapsed_cpu_time(self) -> int:
        """Run time multiplied by the CPUs of the step."""
        ptr, _owner = self._record
        cpus = ptr.num_cpus
        return 0 if cpus in (lib.NO_VAL, lib.INFINITE) else _run_time(ptr) * int(cpus)

    cpus = _step.number("num_cpus", "How many CPUs the step has.")
    ntasks = _step.number("num_tasks", "How many tasks the step has.")
    distribution = _step.mapped(
        "task_dist",
        _distribution,
        "How the tasks are distributed; None where that is not set.",
        "TaskDistribution | None",
    )
    command = _step.text("submit_line", "Command line that the step was started with.")
    alloc_tres = _step.parsed(
        "tres_fmt_alloc_str" if "tres_fmt_alloc_str" in _MEMBERS else "tres_alloc_str",
        _convert.tres,
        "Trackable resources that the step has; ``mem`` is in MiB.",
        "dict[str, int]",
    )
    standard_input = _step.text("std_in", "Path of the step's standard input.", since="25.05")
    standard_output = _step.text("std_out", "Path of the step's standard output.", since="25.05")
    standard_error = _step.text("std_err", "Path of the step's standard error.", since="25.05")

    @property
    def stats(self) -> JobStepStatistics:
        """What `load_stats` has found; zeros before (``slurm_job_step_stat``)."""
        if self._stats is None:
            from slurmpy.stats import JobStepStatistics

            self._stats = JobStepStatistics()
        return self._stats

    @property
    def pids(self) -> dict[str, list[int]]:
        """Node to process ids, as `load_stats` has found them (``slurm_job_step_stat``)."""
        return self._pids

    @classmethod
    def load(cls, job: Job | int | str, step_id: StepId) -> JobStep:
        """Asks the controller for one step (``slurm_get_job_steps``).

        Args:
            job: The job, or its id.
            step_id: The step's number or name.

        Returns:
            The step.

        Raises:
            InvalidJobId: There is no such job, or no such step of it.
            TypeError, ValueError: An id is none.
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.

        Example:
            >>> from slurmpy import JobStep
            >>> JobStep.load(job_id, "batch").ntasks
            1
        """
        name = step_name(*step_numbers(step_id))
        steps = JobSteps.load(job)
        if name not in steps:
            there = ", ".join(map(str, steps)) or "none"
            of = job._id if isinstance(job, Job) else job
            detail = f"loading step {name} of job {of}, whose steps are {there}"
            raise InvalidJobId(lib.ESLURM_INVALID_JOB_ID, detail)
        return steps[name]

    def cancel(self) -> None:
        """Ends the step (``slurm_kill_job_step``), as ``scancel 12.0`` does.

        One that is ending already is no error. Slurm takes a heterogeneous step as a whole: all of
        its components end.

        Raises:
            ValueError: The step waits, and has no number yet; nothing was sent.
            InvalidJobId: There is no such job or step.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import JobStep
            >>> JobStep(9999, 0).cancel()
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: cancelling step 0 of job 9999: ...
        """
        try:
            self._do("cancelling", lib.slurmpy_signal_step, lib.SIGKILL)
        except RPCError as error:
            if error.errno != lib.ESLURM_ALREADY_DONE:
                raise

    def send_signal(self, signal: str | int) -> None:
        """Sends a signal to the step's processes (``slurm_kill_job_step``), as ``scancel -s`` does.

        Args:
            signal: A signal by name (``"SIGUSR1"``, ``"usr1"``), number or `signal.Signals`.

        Raises:
            ValueError: There is no such signal, or the step waits; nothing was sent.
            TypeError: It is of another type; nothing was sent.
            InvalidJobId: There is no such job or step.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import JobStep
            >>> JobStep(job_id, "batch").send_signal("SIGCONT")
        """
        number = _convert.signal_number(signal)
        self._do(f"sending signal {number} to", lib.slurmpy_signal_step, number)

    def modify(self, changes: JobStep) -> None:
        """Changes the step (``slurm_update_step``), as ``scontrol update`` does.

        Args:
            changes: A step that carries the changes, whatever its ids are. The time limit can be
                changed.

        Raises:
            TypeError: It is no `JobStep`.
            ValueError: It carries no change, or the step waits; nothing was sent.
            InvalidJobId: There is no such job or step.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import JobStep
            >>> step = JobStep(9999, 0)
            >>> step.modify(JobStep(9999, 0, time_limit=60))
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: modifying step 0 of job 9999: ...
        """
        self._do("modifying", lib.slurmpy_limit_step, _change(changes))

    def load_stats(self) -> JobStepStatistics:
        """Asks the nodes what the step uses (``slurm_job_step_stat``), as ``sstat`` does.

        Each node looks what the step uses when it is asked. A step that was not loaded is loaded
        for it.

        Returns:
            The figures, which are in `stats` from then on, as the process ids are in `pids`.

        Raises:
            InvalidJobId: There is no such step, or not any more, or not on all of its nodes.
            NodeUnreachable: A node of the step does not answer.
            AccessDenied: The job is another user's.
            RPCError: The controller or a node refused, or could not be asked.
            UnsupportedField: How this Slurm keeps the figures was not checked.

        Example:
            >>> from slurmpy import JobStep
            >>> step = JobStep.load(job_id, "batch")
            >>> stats = step.load_stats()
            >>> stats.elapsed_cpu_time == step.elapsed_cpu_time
            True
        """
        from slurmpy import stats

        is_loaded = not isinstance(self._record[0], _StepNotLoaded)
        step = self if is_loaded else JobStep.load(self.job_id, self.id)
        found = stats.ask(step)
        if found is None:
            why = "it has ended, or has not begun, on one of its nodes at the least"
            if self._numbers[1] == lib.SLURM_PENDING_STEP:
                why = "it waits, and has no processes yet"
            detail = f"loading statistics of {self._what()}: {why}"
            raise InvalidJobId(lib.ESLURM_INVALID_JOB_ID, detail)
        self._stats, self._pids = found
        return self._stats

    def _what(self) -> str:
        """The step, for messages."""
        return f"step {self.id} of job {self.job_id}"

    @property
    def _in_cluster(self) -> str | None:
        """The cluster that the step was loaded from."""
        owner = self._record[1]
        name: str | None = owner.cluster if owner else None
        return name

    @property
    def _of(self) -> Any:
        """The same as C has it."""
        name = self._in_cluster
        return ffi.NULL if name is None else name.encode("utf-8", "surrogateescape")

    def _do(self, what: str, call: Any, *args: object) -> None:
        """Makes a call for the step."""
        job_id, number, component = self._numbers
        if number == lib.SLURM_PENDING_STEP:
            msg = (
                f"{what} {self._what()}: a step that waits has no number yet, by which Slurm could "
                "be told of it: signal its srun, process srun_process_id on srun_host"
            )
            raise ValueError(msg)
        if component != lib.NO_VAL and self._record[1] is None:
            # Slurm is told of the whole step, and would take another one of this number.
            JobStep.load(job_id, self.id)
        rc = _runtime.call(call, self._of, job_id, number, *args)
        if rc == lib.SLURMPY_OTHER_CLUSTER:
            raise _control.other_cluster(job_id, self._in_cluster)
        check(rc, f"{what} {self._what()}")

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name, without statistics; what the installed Slurm lacks is left out.

        Returns:
            A new dict, in the order in which the attributes are documented. `distribution` is text.

        Example:
            >>> from slurmpy import JobStep
            >>> JobStep(9999, 0).to_dict()
            {'id': 0, 'job_id': 9999}
        """
        if isinstance(self._record[0], _StepNotLoaded):
            limited = {} if self._record[0].limit is None else {"time_limit": self.time_limit}
            return {"id": self.id, "job_id": self.job_id, **limited}
        values = super().to_dict()
        if values["distribution"] is not None:
            values["distribution"] = str(values["distribution"])
        return values

    def __repr__(self) -> str:
        """As it is made."""
        return f"slurmpy.JobStep({self.job_id}, {self.id!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both are the same step of the same job."""
        return self._numbers == other._numbers if isinstance(other, JobStep) else NotImplemented

    def __hash__(self) -> int:
        """As it is compared."""
        return hash(self._numbers)

    def __copy__(self) -> JobStep:
        """A step that owns its data."""
        make, args = self.__reduce__()
        step: JobStep = make(*args)
        step._stats = copy.copy(step._stats)
        step._pids = {node: list(pids) for node, pids in step._pids.items()}
        return step

    def __deepcopy__(self, _memo: object) -> JobStep:
        """The same as a copy."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Pickles all that is known of the step."""
        ptr, owner = self._record
        if isinstance(ptr, _StepNotLoaded):
            return _unloaded, (type(self), self._numbers, ptr.limit, self._stats, self._pids)
        members = to_members(_STRUCT, ptr)
        known = (owner.cluster, owner.now, owner.user(ptr.user_id), self._stats, self._pids)
        return _restore, (type(self), members, *known)


def _unloaded(
    kind: type[JobStep],
    numbers: tuple[int, int, int],
    limit: int | None,
    stats: JobStepStatistics | None,
    pids: dict[str, list[int]],
) -> JobStep:
    """The step of a pickle that was never loaded."""
    job_id, *step = numbers
    name = step_name(*step)
    made = kind(job_id, name)
    made._record = _StepNotLoaded(job_id, name, limit), None
    made._stats, made._pids = stats, pids
    return made


def _restore(  # noqa: PLR0913, PLR0917 - what there is to know of a step
    kind: type[JobStep],
    members: Mapping[str, Member],
    cluster: str | None,
    now: float,
    user: str | None,
    stats: JobStepStatistics | None,
    pids: dict[str, list[int]],
) -> JobStep:
    """The step of a pickle or a copy."""
    ptr, kept = from_members(_STRUCT, members)
    owner = Snapshot(kept, cluster, now)
    owner.users[ptr.user_id] = user
    step = kind._at(ptr, owner)
    step._stats, step._pids = stats, pids
    return step


def _change(changes: object) -> int:
    """The time limit that a step carries as a change."""
    if not isinstance(changes, JobStep):
        msg = f"changes are a JobStep, not {type(changes).__name__}: {changes!r}"
        raise TypeError(msg)
    limit: int | None = getattr(changes._record[0], "limit", None)
    if limit is None:
        msg = f"{changes!r} carries no change: give slurmpy.JobStep() a time_limit"
        raise ValueError(msg)
    return limit


def _limit(value: object) -> int:
    """A time limit in minutes, as Slurm has it."""
    from slurmpy import _parse
    from slurmpy._convert import UNLIMITED

    if value is None:
        msg = "a time limit is a number of minutes, a text or a timedelta, not None"
        raise TypeError(msg)
    try:
        return int(lib.INFINITE) if value is UNLIMITED else _parse.minutes(value)
    except ValueError as error:
        msg = f"time_limit {error}"
        raise ValueError(msg) from None


class JobSteps(Mapping["StepId", JobStep]):
    """The steps of a job, by their ids: a number, or ``"batch"``, ``"extern"``, ``"interactive"``.

    ``"0+1"`` is a component of a heterogeneous step, and ``"pending"`` a step that waits for
    resources. `JobSteps.load` asks for the steps of a job, `JobSteps.load_all` for all that there
    are.

    Args:
        steps: Steps, all of one job.

    Raises:
        TypeError: Something is no `JobStep`.
        ValueError: They are of several jobs.

    Example:
        >>> from slurmpy import JobStep, JobSteps
        >>> steps = JobSteps([JobStep(9999, "batch"), JobStep(9999, 0)])
        >>> steps
        slurmpy.JobSteps({'batch': slurmpy.JobStep(9999, 'batch'), 0: slurmpy.JobStep(9999, 0)})
        >>> steps[0].job_id
        9999
    """

    __slots__ = ("__weakref__", "_steps")

    def __init__(self, steps: Iterable[JobStep] = ()) -> None:
        """See the class."""
        found = [_checked(step) for step in steps]
        jobs = sorted({step.job_id for step in found})
        if len(jobs) > 1:
            msg = f"the steps are of several jobs: {jobs}"
            raise ValueError(msg)
        self._steps = {step.id: step for step in found}

    @staticmethod
    def load(job: Job | int | str) -> JobSteps:
        """Asks the controller for the steps of a job (``slurm_get_job_steps``).

        Args:
            job: The job, or its id. The steps are those of this one job: each task of an array has
                an id of its own.

        Returns:
            The steps; none where the job waits, or has ended.

        Raises:
            InvalidJobId: There is no such job, or not any more.
            TypeError, ValueError: It is no job, and no id of one.
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.

        Example:
            >>> from slurmpy import JobSteps
            >>> JobSteps.load(job_id)["batch"].name
            'batch'
        """
        return load_steps(job if isinstance(job, Job) else Job(job))

    @staticmethod
    def load_all() -> dict[int, JobSteps]:
        """Asks the controller for all steps of all jobs, in one call (``slurm_get_job_steps``).

        Returns:
            Job id to the steps of the job; jobs without steps are not there.

        Raises:
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.

        Example:
            >>> from slurmpy import JobSteps
            >>> "batch" in JobSteps.load_all()[job_id]
            True
        """
        steps = load_all_steps()
        return {job_id: steps.of(job_id) for job_id in steps.places}

    def __getitem__(self, step_id: StepId) -> JobStep:
        """A step by its id."""
        return self._steps[step_id]

    def __iter__(self) -> Iterator[StepId]:
        """The ids, in Slurm's order."""
        return iter(self._steps)

    def __len__(self) -> int:
        """How many steps there are."""
        return len(self._steps)

    def to_dict(self) -> dict[StepId, dict[str, Any]]:
        """Step id to `JobStep.to_dict`.

        Example:
            >>> from slurmpy import JobStep, JobSteps
            >>> JobSteps([JobStep(9999, 0)]).to_dict()
            {0: {'id': 0, 'job_id': 9999}}
        """
        return {step_id: step.to_dict() for step_id, step in self.items()}

    def __repr__(self) -> str:
        """The steps."""
        return f"slurmpy.JobSteps({self._steps!r})"

    def __copy__(self) -> JobSteps:
        """Steps that own their data."""
        return type(self)(copy.copy(step) for step in self.values())

    def __deepcopy__(self, _memo: object) -> JobSteps:
        """The same as a copy."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the steps, each with all its data."""
        return type(self), (list(self.values()),)


def _checked(step: object) -> JobStep:
    """Refuses what is no step."""
    if not isinstance(step, JobStep):
        msg = f"steps are slurmpy.JobStep objects, not {type(step).__name__}: {step!r}"
        raise TypeError(msg)
    return step


class AllSteps:
    """The steps of many jobs, from one answer of the controller.

    Args:
        owner: The answer.
    """

    __slots__ = ("_made", "_places", "owner")

    def __init__(self, owner: Snapshot) -> None:
        """See the class."""
        self.owner = owner
        self._places: dict[int, list[Any]] | None = None
        self._made: dict[int, JobSteps] = {}

    @property
    def places(self) -> dict[int, list[Any]]:
        """Job id to the places of its steps in the answer."""
        found = self._places
        if found is None:
            found = {}
            array = self.owner.message.job_steps
            for i in range(self.owner.message.job_step_count):
                found.setdefault(array[i].step_id.job_id, []).append(array + i)
            self._places = found
        return found

    def of(self, job_id: int) -> JobSteps:
        """The steps of a job: the same object whenever and from wherever it is asked for."""
        made = self._made.get(job_id)
        if made is None:
            steps = JobSteps(JobStep._at(ptr, self.owner) for ptr in self.places.get(job_id, ()))
            made = self._made.setdefault(job_id, steps)
        return made


def load_all_steps() -> AllSteps:
    """Asks the controller for all steps that there are."""
    return AllSteps(_ask(ffi.NULL, lib.NO_VAL, "loading the steps of all jobs"))


def load_steps(job: Job) -> JobSteps:
    """Asks the controller for the steps of a job."""
    target = job._numbered()
    job_id = int(target.name)
    found = AllSteps(_ask(target.of, job_id, f"loading the steps of job {job._id}", job))
    if found.places and job_id not in found.places and not job._record[1]:
        # The id is an array's, whose task with this id is gone: take the one that a job of this
        # id would be loaded as.
        job_id = Job.load(job_id)._id
    return found.of(job_id)


def _ask(cluster: Any, job_id: int, what: str, job: Job | None = None) -> Snapshot:
    """The controller's steps of a job, or of all."""
    with cell("job_step_info_response_msg_t **", lib.slurmpy_drop_steps) as out:
        rc = _runtime.call(lib.slurmpy_load_steps, cluster, job_id, out)
        if rc == lib.SLURMPY_OTHER_CLUSTER and job is not None:
            raise _control.other_cluster(job._id, job._cluster)
        check(rc, what)
        answered(out, what)
        size = ffi.sizeof(_STRUCT) * out[0].job_step_count
        # As for jobs, the texts of a step take about as much as the step.
        return snapshot(take(out, lib.slurmpy_free_steps, 2 * size))


for _public in (JobStep, JobSteps, TaskDistribution):
    _public.__module__ = "slurmpy"
