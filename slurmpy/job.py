"""One job of Slurm's."""

from __future__ import annotations

import copy
import operator
import time

from slurmpy import _control, _convert, _runtime
from slurmpy._control import Target
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy._fields import Struct
from slurmpy._records import (
    Closed,
    Record,
    Snapshot,
    cell,
    closed,
    from_members,
    load_message,
    to_members,
)
from slurmpy.errors import ControllerUnreachable, InvalidJobId, NotLoaded, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from slurmpy._layout import NodeResources, Place
    from slurmpy._records import Member
    from slurmpy.stats import JobStatistics
    from slurmpy.steps import AllSteps, JobSteps
    from slurmpy.submission import JobSubmitDescription

__all__ = ["Job"]

_STRUCT = "slurm_job_info_t"
_job = Struct(_STRUCT)

#: How every job is asked for: those of hidden partitions too, with details, of this cluster.
SHOW = lib.SHOW_ALL | lib.SHOW_DETAIL | lib.SHOW_LOCAL

_MAX_ID = lib.NO_VAL - 1

#: How many steps are asked for statistics at once, and for how many seconds.
THREADS, TIMEOUT = 16, 60

#: Seconds between the questions whether a job has ended: at first, and in the end.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0

#: The members that `_run_time` reads.
_RUN_TIME = "job_state, start_time, end_time, suspend_time, pre_sus_time"

#: The marks as a double has them.
_NO_AMOUNT = tuple(map(float, (lib.NO_VAL, lib.INFINITE, lib.NO_VAL64, lib.INFINITE64)))


class _NotLoaded:
    """Stands for the pointer of a job that was never asked for."""

    __slots__ = ("named",)

    def __init__(self, named: int | str) -> None:
        self.named = named

    def __getattr__(self, member: str) -> Any:
        if member == "job_id" and isinstance(self.named, int):
            return self.named
        msg = (
            f"job {self.named} was not loaded: call slurmpy.Job.load({self.named!r}), or reload() "
            "of this job, or of a collection of it that is frozen"
        )
        raise NotLoaded(msg)


def _base_state(ptr: Any) -> int:
    """The state without its flags."""
    state: int = ptr.job_state & lib.JOB_STATE_BASE
    return state


def _has_ended(ptr: Any) -> bool:
    """Whether it has ended on its nodes as well."""
    return _base_state(ptr) >= lib.JOB_COMPLETE and not ptr.job_state & lib.JOB_COMPLETING


def _runs(ptr: Any) -> bool:
    """Whether it has begun, and not ended on all of its nodes."""
    return _base_state(ptr) != lib.JOB_PENDING and not _has_ended(ptr)


def _optional_text(value: Any) -> str | None:
    """A text of the library's; None where it is empty."""
    text: str = ffi.string(value).decode("utf-8", "surrogateescape") if value else ""
    return text or None


def _path(call: Any, ptr: Any, given: Any) -> str | None:
    """A path that the library makes up from the patterns in a job; None where it is empty."""
    if given and given[0] == b"\0":
        return None  # which would crash 24.11
    size = 4096
    while True:
        buffer = ffi.new("char[]", size)
        call(buffer, size, ptr)
        path: bytes = ffi.string(buffer)
        if len(path) < size - 1:
            return path.decode("utf-8", "surrogateescape") or None
        size *= 4


def _run_time(ptr: Any, now: float) -> int:
    """Seconds that a job has run, as squeue counts them."""
    state = _base_state(ptr)
    if state == lib.JOB_PENDING or not ptr.start_time:
        return 0
    if state == lib.JOB_SUSPENDED:
        return int(ptr.pre_sus_time)
    end = int(now) if state == lib.JOB_RUNNING or not ptr.end_time else ptr.end_time
    if ptr.suspend_time:
        return int(end - ptr.suspend_time + ptr.pre_sus_time)
    return int(end - ptr.start_time)


def _waiting(ptr: Any) -> str | None:
    """The tasks of an array that a record stands for, with how many may run at once."""
    ranges = lib.slurmpy_array_tasks(ptr) if ptr.array_bitmap else None
    if not ranges:
        return _optional_text(ptr.array_task_str)
    text: str = ffi.string(ffi.gc(ranges, lib.free)).decode()
    return f"{text}%{ptr.array_max_tasks}" if ptr.array_max_tasks else text


def _per_node(memory: int) -> int | None:
    """MiB a node; None where the memory is meant for each CPU or for each GPU."""
    return None if memory & lib.MEM_PER_CPU else memory


def _per_cpu(memory: int) -> int | None:
    """MiB a CPU; None where the memory is meant for each node."""
    if memory in (lib.NO_VAL64, lib.INFINITE64) or not memory & lib.MEM_PER_CPU:
        return None
    amount: int = memory ^ lib.MEM_PER_CPU
    return amount


def _cores(spec: int) -> int | None:
    return None if spec & lib.CORE_SPEC_THREAD else spec


def _threads(spec: int) -> int | None:
    if spec in (lib.NO_VAL16, lib.INFINITE16) or not spec & lib.CORE_SPEC_THREAD:
        return None
    threads: int = spec ^ lib.CORE_SPEC_THREAD
    return threads


def _nice(value: int) -> int | None:
    return None if value in (lib.NO_VAL, lib.INFINITE) else value - int(lib.NICE_OFFSET)


def _billable(value: float) -> float | None:
    return None if value != value or value in _NO_AMOUNT else value  # noqa: PLR0124 - nan


def _wckey(text: str) -> str | None:
    return None if text == "*" else text


class Job(Record):
    """A job.

    ``Job(id)`` asks nothing of the controller: it knows its id, and `reload` asks for the rest.
    `Job.load` does both at once, and `Jobs.load` gives all jobs there are.

    Everything that can be read of a job is an attribute. A value is `None` exactly where Slurm's
    own tools show it as not set; a time limit that they show as UNLIMITED is `None` too. Two jobs
    are equal where cluster and id are.

    What is done to ``Job(id)`` is done to all that Slurm understands by the id, such as a whole
    array; to a job that was loaded, to its own record: one task, or those that wait together.

    Args:
        job_id: The id of the job; or text for what else Slurm can name: a task of an array
            (``"123_4"``), several of them (``"123_[1-5]"``), or a component of a heterogeneous
            job (``"123+1"``).

    Raises:
        TypeError: The id is neither an `int` nor text.
        ValueError: It is one that Slurm cannot give.

    Example:
        >>> from slurmpy import Job
        >>> job = Job(9999)
        >>> job
        slurmpy.Job(9999)
        >>> job.to_dict()
        {'id': 9999}
    """

    __slots__ = ("__weakref__", "_cluster", "_id", "_stats", "_steps")

    _struct = _STRUCT
    #: The id; the text that was given for it until the job is loaded.
    _id: Any
    #: The name of the job's cluster; None is the local one, whose name was not known yet.
    _cluster: str | None
    #: The steps, or those of many jobs that they are among; None as long as they are not loaded.
    _steps: JobSteps | AllSteps | None
    _stats: JobStatistics | None

    def __init__(self, job_id: int | str) -> None:
        """See the class."""
        self._steps = self._stats = None
        if isinstance(job_id, str):
            job_id = _convert.job_name(job_id)
        if isinstance(job_id, str):
            self._id = job_id
            self._cluster = _runtime.cluster_name()
            self._record = _NotLoaded(job_id), None
            return
        try:
            number = operator.index(job_id)
        except TypeError:
            number = None
        if number is None or isinstance(job_id, bool):
            msg = f"a job id is an int, not {type(job_id).__name__}: {job_id!r}"
            raise TypeError(msg)
        if not 0 < number <= _MAX_ID:
            msg = f"no job id: {_convert.shown(number)} (ids go from 1 to {_MAX_ID})"
            raise ValueError(msg)
        self._id = number
        self._cluster = _runtime.cluster_name()
        self._record = _NotLoaded(number), None

    @classmethod
    def _at(cls, ptr: Any, owner: Any, job_id: int) -> Job:
        """The job at a place in memory that its owner keeps."""
        job = cls.__new__(cls)
        job._id = job_id
        job._cluster = owner.cluster
        job._record = ptr, owner
        job._steps = job._stats = None
        return job

    id = _job.integer("job_id", "Unique id of the job.")
    name = _job.text("name", "Name of the job.")
    association_id = _job.number(
        "assoc_id", "Id of the association that the job runs with.", zero=False
    )
    account = _job.text("account", "Account that the job is charged to.")
    user_id = _job.integer("user_id", "Uid of the user whose job it is.")

    @_job.computed("user_name, user_id")
    def user_name(self) -> str | None:
        """Name of the user whose job it is; None where the system does not know the uid."""
        ptr, owner = self._record
        return _optional_text(ptr.user_name) or owner.user(ptr.user_id)

    group_id = _job.integer("group_id", "Gid of the group that the job runs under.")

    @_job.computed("group_id")
    def group_name(self) -> str | None:
        """Name of the group that the job runs under; None where the system does not know it."""
        ptr, owner = self._record
        gid = ptr.group_id
        name: str | None = owner.group(gid)
        return name

    priority = _job.number("priority", "Priority of the job; 0 where it is held.")
    nice = _job.mapped("nice", _nice, "Adjustment of the priority.", "int | None")
    qos = _job.text("qos", "Quality of service that the job runs with.")
    min_cpus_per_node = _job.number("pn_min_cpus", "Least number of CPUs on each node.")

    @_job.computed("job_state")
    def state(self) -> str:
        """State of the job, such as ``"RUNNING"``; a flag such as ``"COMPLETING"`` goes first."""
        ptr, _owner = self._record
        state: str = ffi.string(lib.slurm_job_state_string(ptr.job_state)).decode()
        return state

    @_job.computed("state_desc, state_reason")
    def state_reason(self) -> str | None:
        """Why the job is in its state, as squeue says it."""
        ptr, _owner = self._record
        reason = _optional_text(ptr.state_desc)
        if reason is None:
            reason = _optional_text(lib.slurmpy_reason_string(ptr.state_reason))
        return None if reason == "None" else reason

    is_requeueable = _job.boolean("requeue", "Whether the job may be requeued.")
    requeue_count = _job.number("restart_cnt", "How many times the job was requeued.")
    is_batch_job = _job.boolean("batch_flag", "Whether the job has a batch script.")
    node_reboot_required = _job.boolean("reboot", "Whether the nodes reboot before the job starts.")

    @property
    def requires_node_reboot(self) -> bool:
        """The same as `node_reboot_required` (``reboot``)."""
        return self.node_reboot_required

    dependencies = _job.parsed(
        "dependency",
        _convert.dependencies,
        "What the job waits for: condition to jobs, ``singleton``, and ``satisfy``, all or any.",
        "dict[str, list[int | str] | bool | str]",
    )
    time_limit = _job.minutes("time_limit", "Time limit; None where there is none.")
    time_limit_min = _job.minutes(
        "time_min", "Least time limit that the scheduler may set.", zero=False
    )
    submit_time = _job.timestamp("submit_time", "When the job was submitted.")
    eligible_time = _job.timestamp("eligible_time", "When the job may start at the earliest.")
    accrue_time = _job.timestamp("accrue_time", "Since when the job's priority grows with age.")
    start_time = _job.timestamp("start_time", "When the job started, or is expected to.")
    resize_time = _job.timestamp("resize_time", "When the job was last resized.")
    deadline = _job.timestamp("deadline", "When the job is cancelled if it still waits.")
    preempt_eligible_time = _job.timestamp(
        "preemptable_time", "From when on the job may be preempted."
    )
    preempt_time = _job.timestamp("preempt_time", "When the job was told that it is preempted.")
    suspend_time = _job.timestamp("suspend_time", "When the job was last suspended or resumed.")
    last_sched_evaluation_time = _job.timestamp(
        "last_sched_eval", "When the scheduler last looked at the job."
    )
    pre_suspension_time = _job.number(
        "pre_sus_time", "How long the job ran before it was last suspended.", "seconds"
    )
    mcs_label = _job.text("mcs_label", "Label of multi-category security.")
    partition = _job.text("partition", "Partition of the job; several while it waits.")
    submit_host = _job.text("alloc_node", "Host that the job was submitted from.")
    batch_host = _job.text("batch_host", "Node that the batch script runs on.")
    num_nodes = _job.number("num_nodes", "How many nodes the job has, or asks for at the least.")
    max_nodes = _job.number("max_nodes", "How many nodes the job asks for at the most.", zero=False)

    @_job.computed("nodes, job_state")
    def allocated_nodes(self) -> str | None:
        """Nodes that the job has or had; None while it waits."""
        ptr, _owner = self._record
        return None if _base_state(ptr) == lib.JOB_PENDING else _optional_text(ptr.nodes)

    required_nodes = _job.text("req_nodes", "Nodes that the job has to have.")
    excluded_nodes = _job.text("exc_nodes", "Nodes that the job must not have.")
    scheduled_nodes = _job.text("sched_nodes", "Nodes that the scheduler has planned for the job.")
    derived_exit_code = _job.mapped(
        "derived_ec",
        lambda status: _convert.exit_status(status)[0],
        "Highest exit code of the job's steps.",
        "int | None",
    )
    derived_exit_code_signal = _job.mapped(
        "derived_ec",
        lambda status: _convert.exit_status(status)[1],
        "Signal that ended the step with the highest exit status; 0 for none.",
        "int | None",
    )
    exit_code = _job.mapped(
        "exit_code",
        lambda status: _convert.exit_status(status)[0],
        "Exit code of the job; 0 until it has ended.",
        "int | None",
    )
    exit_code_signal = _job.mapped(
        "exit_code",
        lambda status: _convert.exit_status(status)[1],
        "Signal that ended the job; 0 for none.",
        "int | None",
    )
    batch_constraints = _job.parsed(
        "batch_features",
        _convert.features,
        "Features that the node of the batch script has to have.",
        "list[str]",
    )
    federation_origin = _job.text("fed_origin_str", "Cluster of a federation that the job is from.")
    federation_siblings_active = _job.number(
        "fed_siblings_active", "Bits of the clusters with an active sibling of the job.", zero=False
    )
    federation_siblings_viable = _job.number(
        "fed_siblings_viable", "Bits of the clusters where a sibling could run.", zero=False
    )
    cpus = _job.number("num_cpus", "How many CPUs the job has, or asks for.")
    cpus_per_task = _job.number("cpus_per_task", "CPUs for each task.")
    cpus_per_gpu = _job.parsed("cpus_per_tres", _convert.per_gpu, "CPUs for each GPU.", "int")
    boards_per_node = _job.number("boards_per_node", "Boards that a node has to have.")
    sockets_per_board = _job.number("sockets_per_board", "Sockets that a board has to have.")
    sockets_per_node = _job.number("sockets_per_node", "Sockets that a node has to have.")
    cores_per_socket = _job.number("cores_per_socket", "Cores that a socket has to have.")
    threads_per_core = _job.number("threads_per_core", "Threads that a core has to have.")
    ntasks = _job.number("num_tasks", "How many tasks the job asks for.")
    ntasks_per_node = _job.number("ntasks_per_node", "Tasks on each node.")
    ntasks_per_board = _job.number("ntasks_per_board", "Tasks on each board.")
    ntasks_per_socket = _job.number("ntasks_per_socket", "Tasks on each socket.")
    ntasks_per_core = _job.number("ntasks_per_core", "Tasks on each core.")
    ntasks_per_gpu = _job.number("ntasks_per_tres", "Tasks for each GPU.", zero=False)
    delay_boot_time = _job.duration(
        "delay_boot",
        "How long the job waits for nodes with its features before others reboot; whole minutes.",
        "minutes",
        divide=60,
    )
    constraints = _job.parsed(
        "features", _convert.features, "Features that the nodes have to have.", "list[str]"
    )

    @_job.computed("cluster")
    def cluster(self) -> str | None:
        """Cluster that the job is on."""
        ptr, owner = self._record
        return _optional_text(ptr.cluster) or owner.cluster

    cluster_constraints = _job.parsed(
        "cluster_features",
        _convert.comma_list,
        "Features that the cluster has to have.",
        "list[str]",
    )
    reservation = _job.text("resv_name", "Reservation that the job uses.")
    resource_sharing = _job.mapped(
        "shared",
        lambda shared: str(_optional_text(lib.slurm_job_share_string(shared))),
        "How the job shares its nodes: ``OK``, ``NO``, ``YES``, ``USER`` or ``MCS``. In Slurm "
        "26.05, scontrol shows two words instead, ``OverSubscribe`` and ``Exclusive``.",
        "str",
    )
    requires_contiguous_nodes = _job.boolean("contiguous", "Whether the nodes must be neighbours.")
    licenses = _job.parsed(
        "licenses", _convert.comma_list, "Licenses that the job needs.", "list[str]"
    )
    network = _job.text("network", "Specification of the network.")
    command = _job.text("command", "What the job runs.")
    working_directory = _job.text("work_dir", "Folder that the job runs in.")
    admin_comment = _job.text("admin_comment", "Comment of an administrator.")
    system_comment = _job.text("system_comment", "Comment of slurmctld or of a plugin of its.")
    container = _job.text("container", "Bundle of the container that the job runs in.")
    comment = _job.text("comment", "Comment of the user.")

    @_job.computed("std_in", path=0)
    def standard_input(self) -> str | None:
        """Path of the job's standard input."""
        ptr, _owner = self._record
        return _path(lib.slurm_get_job_stdin, ptr, ptr.std_in)

    @_job.computed("std_out", path=1)
    def standard_output(self) -> str | None:
        """Path of the job's standard output, patterns filled in as the installed Slurm does."""
        ptr, _owner = self._record
        return _path(lib.slurm_get_job_stdout, ptr, ptr.std_out)

    @_job.computed("std_err", path=2)
    def standard_error(self) -> str | None:
        """Path of the job's standard error, patterns filled in as the installed Slurm does."""
        ptr, _owner = self._record
        return _path(lib.slurm_get_job_stderr, ptr, ptr.std_err or ptr.std_out)

    required_switches = _job.number("req_switch", "Most switches that the nodes span.", zero=False)

    @_job.computed("wait4switch, req_switch", "seconds")
    def max_wait_time_switches(self) -> int | None:
        """How long the job waits for that number of switches."""
        ptr, _owner = self._record
        wait: int = ptr.wait4switch
        return None if not ptr.req_switch or wait in (lib.NO_VAL, lib.INFINITE) else wait

    burst_buffer = _job.text("burst_buffer", "Specification of the burst buffer.")
    burst_buffer_state = _job.text("burst_buffer_state", "State of the burst buffer.")
    cpu_frequency_min = _job.mapped(
        "cpu_freq_min",
        _convert.cpu_frequency,
        "Least CPU frequency, or a word such as ``Low``.",
        "int | str | None",
        "kHz",
    )
    cpu_frequency_max = _job.mapped(
        "cpu_freq_max",
        _convert.cpu_frequency,
        "Highest CPU frequency, or a word such as ``High``.",
        "int | str | None",
        "kHz",
    )
    cpu_frequency_governor = _job.mapped(
        "cpu_freq_gov",
        _convert.cpu_frequency,
        "Governor of the CPU frequency, such as ``Performance``.",
        "int | str | None",
    )
    billable_tres = _job.mapped(
        "billable_tres",
        _billable,
        "Trackable resources that are billed; None until the job starts.",
        "float | None",
    )
    wckey = _job.parsed("wckey", _wckey, "Workload characterization key.", "str")

    @_job.computed("mail_user, mail_type")
    def mail_user(self) -> list[str] | None:
        """Who gets mail about the job; None where nobody does."""
        ptr, _owner = self._record
        text = _optional_text(ptr.mail_user)
        return _convert.comma_list(text) if text and ptr.mail_type else None

    mail_types = _job.mapped(
        "mail_type",
        lambda bits: _convert.mail_types(bits) or None,
        "What mail is sent about, in the words of sbatch.",
        "list[str] | None",
    )
    heterogeneous_id = _job.number(
        "het_job_id", "Id of the leader of the heterogeneous job.", zero=False
    )

    @_job.computed("het_job_offset, het_job_id")
    def heterogeneous_offset(self) -> int | None:
        """Number of the component of the heterogeneous job; the leader is 0."""
        ptr, _owner = self._record
        offset: int = ptr.het_job_offset
        return None if not ptr.het_job_id or offset in (lib.NO_VAL, lib.INFINITE) else offset

    temporary_disk_per_node = _job.number(
        "pn_min_tmp_disk", "Temporary disk space on each node.", "MiB"
    )
    array_id = _job.number("array_job_id", "Id of the array that the job is of.", zero=False)
    array_tasks_parallel = _job.number(
        "array_max_tasks", "How many tasks of the array may run at once.", zero=False
    )

    @_job.computed("array_task_id, array_job_id")
    def array_task_id(self) -> int | None:
        """Number of the task; None where this is no array, or the record of its waiting tasks."""
        ptr, _owner = self._record
        task: int = ptr.array_task_id
        return None if not ptr.array_job_id or task in (lib.NO_VAL, lib.INFINITE) else task

    @_job.computed("array_bitmap, array_max_tasks, array_task_str")
    def array_tasks_waiting(self) -> str | None:
        """Tasks that still wait, as in ``1-5%2``; never cut short."""
        ptr, _owner = self._record
        return _waiting(ptr)

    @_job.computed("end_time, time_limit", "Unix timestamp")
    def end_time(self) -> int | None:
        """When the job ended, or will at the latest; None where that is not known."""
        ptr, owner = self._record
        end: int = ptr.end_time
        if end in (0, lib.NO_VAL, lib.INFINITE, -2, -1) or (
            ptr.time_limit == lib.INFINITE and end > owner.now
        ):
            return None
        return end

    @_job.computed(_RUN_TIME, "seconds")
    def run_time(self) -> int:
        """How long the job has run, at the moment of the snapshot."""
        ptr, owner = self._record
        return _run_time(ptr, owner.now if owner else 0)

    cores_reserved_for_system = _job.mapped(
        "core_spec", _cores, "Cores that are kept for the system.", "int | None"
    )
    threads_reserved_for_system = _job.mapped(
        "core_spec", _threads, "Threads that are kept for the system.", "int | None"
    )

    @_job.computed("tres_alloc_str, tres_req_str", "MiB")
    def memory(self) -> int | None:
        """Memory that the job has, or asks for, on all of its nodes."""
        ptr, _owner = self._record
        text = _optional_text(ptr.tres_alloc_str) or _optional_text(ptr.tres_req_str)
        return _convert.tres_memory(text) if text else None

    memory_per_cpu = _job.mapped(
        "pn_min_memory", _per_cpu, "Memory for each CPU.", "int | None", "MiB"
    )

    @_job.computed("pn_min_memory, mem_per_tres", "MiB")
    def memory_per_node(self) -> int | None:
        """Memory on each node; 0 is all of it."""
        ptr, _owner = self._record
        if ptr.mem_per_tres and MAJOR > "22.05":
            # Slurm 24.11 and 26.05 write the memory for each GPU here too, whatever else was asked.
            return None
        memory = _per_node(ptr.pn_min_memory)
        return memory or (None if ptr.mem_per_tres else memory)

    memory_per_gpu = _job.parsed(
        "mem_per_tres", _convert.per_gpu, "Memory for each GPU.", "int", "MiB"
    )
    gres_per_node = _job.parsed(
        "tres_per_node",
        _convert.gres,
        "Generic resources on each node, such as ``{'gpu:tesla': 2}``.",
        "dict[str, int]",
    )
    profile_types = _job.mapped(
        "profile",
        lambda bits: _convert.profile_types(bits) or None,
        "What detailed accounting data is gathered of.",
        "list[str] | None",
    )

    @_job.computed("bitflags")
    def gres_binding(self) -> str | None:
        """Binding of CPUs to generic resources: ``enforce-binding`` or ``disable-binding``."""
        ptr, _owner = self._record
        flags = ptr.bitflags
        if flags & lib.GRES_ENFORCE_BIND:
            return "enforce-binding"
        return "disable-binding" if flags & lib.GRES_DISABLE_BIND else None

    @_job.computed("bitflags", since="24.05", supported=lib.GRES_ONE_TASK_PER_SHARING)
    def gres_tasks_per_sharing(self) -> str | None:
        """Whether ``one`` or ``multiple`` tasks may use a shared generic resource."""
        ptr, _owner = self._record
        flags = ptr.bitflags
        if flags & lib.GRES_MULT_TASKS_PER_SHARING:
            return "multiple"
        return "one" if flags & lib.GRES_ONE_TASK_PER_SHARING else None

    @_job.computed("bitflags")
    def kill_on_invalid_dependency(self) -> bool | None:
        """Whether the job ends where its dependency cannot be met; None leaves it to Slurm."""
        ptr, _owner = self._record
        flags = ptr.bitflags
        if flags & lib.KILL_INV_DEP:
            return True
        return False if flags & lib.NO_KILL_INV_DEP else None

    spreads_over_nodes = _job.flag(
        "bitflags", lib.SPREAD_JOB, "Whether the job takes as many nodes as it can."
    )
    is_cronjob = _job.flag("bitflags", lib.CRON_JOB, "Whether the job comes of scrontab.")
    cronjob_time = _job.text("cronspec", "When the job of scrontab runs.")

    @_job.computed(f"{_RUN_TIME}, num_cpus", "seconds")
    def elapsed_cpu_time(self) -> int:
        """Run time multiplied by the CPUs of the job."""
        ptr, owner = self._record
        cpus = ptr.num_cpus
        return 0 if cpus in (lib.NO_VAL, lib.INFINITE) else _run_time(ptr, owner.now) * int(cpus)

    @_job.computed(f"{_RUN_TIME}, time_limit", "seconds")
    def run_time_remaining(self) -> int | None:
        """What is left until the time limit; None where there is none."""
        ptr, owner = self._record
        limit = ptr.time_limit
        if limit in (lib.NO_VAL, lib.INFINITE):
            return None
        return int(limit) * 60 - _run_time(ptr, owner.now)

    @property
    def steps(self) -> JobSteps:
        """The steps of the job, as `load`, `reload` or `Jobs.load_steps` has found them.

        A job that waits has none, and neither has one that has ended.

        Raises:
            NotLoaded: They were not asked for.
            ClosedError: The collection of the job was closed.
        """
        ptr, _owner = self._record
        if isinstance(ptr, Closed):
            _ = self.id
        found = self._steps
        if found is None:
            msg = (
                f"the steps of job {self._id} were not loaded: call reload() of this object, "
                f"load_steps() of its collection, or slurmpy.JobSteps.load({self._id!r})"
            )
            raise NotLoaded(msg)
        of = getattr(found, "of", None)
        if of is not None:
            found = self._steps = of(self._id)
        return found  # type: ignore[return-value]  # which it is by now

    @property
    def stats(self) -> JobStatistics:
        """What the job uses, as `load_stats` has found it; zeros before."""
        if isinstance(self._record[0], Closed):
            _ = self.id
        if self._stats is None:
            from slurmpy.stats import JobStatistics

            self._stats = JobStatistics()
        return self._stats

    @property
    def pids(self) -> dict[str, list[int]]:
        """Node to process ids of the job, as `load_stats` has found them; empty before."""
        if isinstance(self._record[0], Closed):
            _ = self.id
        found: dict[str, list[int]] = {}
        for step in self.steps.values() if self._steps is not None else ():
            for node, pids in step.pids.items():
                found.setdefault(node, []).extend(pids)
        return found

    @classmethod
    def load(cls, job_id: int | str) -> Job:
        """Asks the controller for one job (``slurm_load_job``), and for its steps.

        Args:
            job_id: The id of the job. That of an array gives the record that has the id itself;
                where there is none, the one of the tasks that wait, or else the lowest task. Or
                text for one task (``"123_4"``) or component (``"123+1"``); a task that waits is in
                the record of all that do.

        Returns:
            The job.

        Raises:
            InvalidJobId: There is no such job, or not any more.
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.

        Example:
            >>> from slurmpy import Job
            >>> job = Job.load(job_id)
            >>> job.id == job_id
            True
        """
        job = cls(job_id)
        job.reload()
        return job

    def reload(self) -> Job:
        """Asks the controller for the job again (``slurm_load_job``).

        Where the job has started and not ended, its steps are asked for too
        (``slurm_get_job_steps``).

        Returns:
            The job itself, with the values of now.

        Raises:
            InvalidJobId: There is no such job any more; the values stay as they were.
            RPCError: The controller could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up, or is in use with another
                cluster than the job's.
            ClosedError: The collection of the job was closed.

        Example:
            >>> from slurmpy import Job
            >>> Job(job_id).reload().name
            'sleeper'
        """
        owner = self._ask()
        ptr = self._chosen(owner)
        steps = self._steps_of(ptr, owner)
        self._take(ptr, owner)
        self._steps, self._stats = steps, None
        return self

    def _steps_of(self, ptr: Any, owner: Any) -> JobSteps:
        """The steps of the job at a place, which are asked for where it can have some."""
        from slurmpy.steps import JobSteps, load_steps

        return load_steps(self._at(ptr, owner, ptr.job_id)) if _runs(ptr) else JobSteps()

    def _ask(self) -> Any:
        """All records that the controller has under the id."""
        if isinstance(self._record[0], Closed):
            _ = self.id
        wanted = _convert.first_id(self._id)
        with cell("job_info_msg_t **", lib.slurmpy_drop_jobs) as out:
            rc = _runtime.call(lib.slurmpy_load_job, out, wanted, SHOW)
            answered: str = ffi.string(lib.slurmpy_cluster()).decode()
            if self._cluster not in (None, answered):
                raise _control.other_cluster(self._id, self._cluster, answered)
            check(rc, f"loading job {self._id}")
            return load_message(out, f"loading job {self._id}")

    def _chosen(self, owner: Any) -> Any:
        """The record that is the job's."""
        wanted = _convert.first_id(self._id)
        ptr = _choose(owner.message, self._id)
        if self._record[1] is not None and ptr.job_id != wanted:
            # The array has other tasks yet, and this one is gone.
            raise InvalidJobId(lib.ESLURM_INVALID_JOB_ID, f"loading job {wanted}")
        return ptr

    def _take(self, ptr: Any, owner: Any) -> None:
        """Takes over the values of a record."""
        self._id = ptr.job_id
        self._cluster = owner.cluster
        self._record = ptr, owner

    def load_stats(
        self, *, threads: int = THREADS, timeout: float | None = TIMEOUT
    ) -> JobStatistics:
        """Asks the nodes what the job and its steps use (``slurm_job_step_stat``), as ``sstat``.

        The steps are loaded first, and each node looks what its tasks use when it is asked. A job
        that waits, has ended or has no steps has zeros; a step that has ended on one of its nodes
        or on all does not count.

        Args:
            threads: How many steps are asked for at once.
            timeout: For how many seconds the nodes are asked, at the most; None for as long as
                Slurm takes.

        Returns:
            The sums over the steps, which are in `stats` from then on; the process ids are in
            `pids`, and the figures of each step in its own ``stats``.

        Raises:
            InvalidJobId: There is no such job, or not any more.
            NodeUnreachable: A node of the job does not answer.
            AccessDenied: The job is another user's.
            TypeError, ValueError: There is no such number of threads or seconds.
            RPCError: The controller or a node refused, or could not be asked.
            UnsupportedField: How this Slurm keeps the figures was not checked.

        Example:
            >>> from slurmpy import Job
            >>> job = Job.load(job_id)
            >>> stats = job.load_stats()
            >>> stats.resident_memory == job.steps["batch"].stats.max_resident_memory
            True
            >>> list(job.pids)
            ['n1']
        """
        from slurmpy import stats
        from slurmpy.steps import load_steps

        stats.check_limits(threads, timeout)
        steps = load_steps(self)
        [found] = stats.load({self._id: steps}, threads, timeout).values()
        if found.errors:
            raise next(iter(found.errors.values()))
        self._steps, self._stats = steps, found
        return found

    def _can_have_steps(self) -> bool:
        """Whether it is not known that the job waits, or has ended."""
        ptr, owner = self._record
        return owner is None or _runs(ptr)

    def get_resource_layout_per_node(self) -> dict[str, NodeResources]:
        """Where the job is on its nodes (``job_resrcs``, ``gres_detail_str``).

        The same as ``scontrol -d show job`` prints, and never cut short. How many threads the cores
        of a node have, the controller is asked for once for each load of jobs
        (``slurm_load_node``). Of a generic resource with very many scattered devices, slurmctld
        itself cuts the list of indexes after 127 characters: what is left of the last is dropped.

        Returns:
            Node to ``cpu_ids``, a list of numbers; ``memory``, in MiB; and ``gres``, a dict of
            names such as ``"gpu:tesla"`` to ``{"count": 2, "indexes": [0, 1]}``. It is empty for a
            job that waits.

        Raises:
            NotLoaded: The job was loaded without details, or not at all.
            RPCError: The controller could not be asked.
            UnsupportedField: How this Slurm keeps it was not checked.

        Example:
            >>> from slurmpy import Job
            >>> Job.load(job_id).get_resource_layout_per_node()
            {'n1': {'cpu_ids': [0], 'memory': 10, 'gres': {}}}
        """
        from slurmpy import _layout

        ptr, owner = self._record
        found = _layout.layout(ptr, owner, self._id)
        has_nodes = ptr.nodes and _base_state(ptr) != lib.JOB_PENDING
        if has_nodes and not ptr.job_resrcs and owner.places is None:
            msg = f"job {self._id} was loaded without details: call reload() of this object"
            raise NotLoaded(msg)
        return found

    def wait(self, timeout: float | None = None) -> Job:
        """Waits until the job has ended, and nothing of it is left (``slurm_load_job``).

        The controller is asked ever more seldom: after a tenth of a second at first, every ten
        seconds in the end. An array has ended when all of its tasks have, and the values are those
        of one of them: `Jobs.load` has all. A controller that does
        not answer for a while, as when it is restarted, does not end the wait.

        Args:
            timeout: How many seconds to wait at the most; None for no end.

        Returns:
            The job itself, with the values that it has ended with.

        Raises:
            TimeoutError: It has not ended by then.
            InvalidJobId: There is no such job, or not any more.
            TypeError, ValueError: The timeout is no number of seconds.
            RPCError: The controller could not be asked the first time, or refused to answer.
            ConfigurationError: Slurm cannot be used as it is set up.

        Example:
            >>> from slurmpy import Job, JobSubmitDescription
            >>> description = JobSubmitDescription(script="#!/bin/false", memory_per_node=10)
            >>> description.standard_output = "/dev/null"
            >>> job = Job(description.submit()).wait(timeout=60)
            >>> job.state, job.exit_code
            ('FAILED', 1)
        """
        try:
            fits = timeout is None or timeout >= 0  # which NaN is not either
        except TypeError:
            msg = (
                f"timeout has to be a number of seconds, not {type(timeout).__name__}: {timeout!r}"
            )
            raise TypeError(msg) from None
        if not fits:
            msg = f"timeout has to be a number of seconds from 0 on, or None, not {timeout!r}"
            raise ValueError(msg)
        from slurmpy.steps import JobSteps

        deadline = None if timeout is None else time.monotonic() + timeout
        # One that was loaded as a task is that task, be its id the array's or its own.
        is_task = self._record[1] is not None and self.array_task_id is not None
        pause, owner = _FIRST_PAUSE, None
        while True:
            try:
                owner = self._ask()
            except ControllerUnreachable:
                # It has answered before, so it is worth while to ask again.
                if owner is None:
                    raise
            records = _records(owner.message, self._id)
            if is_task:
                records = [ptr for ptr in records if ptr.job_id == self._id]
            if records and all(map(_has_ended, records)):
                self._take(self._chosen(owner), owner)
                self._steps, self._stats = JobSteps(), None
                return self
            left = pause if deadline is None else deadline - time.monotonic()
            if not records or left <= 0:
                # Which raises where the job is gone.
                self._take(self._chosen(owner), owner)
                self._steps = self._stats = None
                msg = f"job {self._id} has not ended after {timeout} s: its state is {self.state}"
                raise TimeoutError(msg)
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def cancel(self) -> None:
        """Cancels the job (``slurm_kill_job2``), as ``scancel`` does.

        A job that has ended already stays as it is, which is no error.

        Raises:
            InvalidJobId: There is no such job, and was none.
            TaskErrors: Some of the tasks that were named are unknown; the others were cancelled.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).cancel()
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: cancelling job 9999: ...
        """
        _control.do(self._target(), _control.cancel())

    def send_signal(self, signal: str | int, steps: str = "children", hurry: bool = False) -> None:
        """Sends a signal to the job's processes (``slurm_kill_job2``), as ``scancel -s`` does.

        Args:
            signal: A signal by name (``"SIGUSR1"``, ``"usr1"``), number or `signal.Signals`.
            steps: ``"children"``, all steps but the batch script; ``"batch"``, the batch script
                alone; or ``"all"``.
            hurry: Whether no burst buffer data is staged out.

        Raises:
            ValueError: There is no such signal, or no such choice of steps; nothing was sent.
            TypeError: An argument is of another type; nothing was sent.
            TaskErrors: Some of the tasks that were named refused.
            InvalidJobId: There is no such job.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(job_id).send_signal("SIGCONT")
        """
        action = _control.send_signal(signal, steps, hurry)
        _control.do(self._target(), action)

    def hold(self, mode: str | None = None) -> None:
        """Keeps a job that waits from being started (``slurm_update_job2``).

        Args:
            mode: ``"admin"``, which is the default: only an administrator can release the job; or
                ``"user"``: the user can, too.

        Raises:
            ValueError: There is no such mode; nothing was sent.
            TypeError: The mode is no text; nothing was sent.
            TaskErrors: Some tasks of the array refused.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).hold("user")
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: holding job 9999: ...
        """
        action = _control.hold(mode)
        _control.do(self._target(), action)

    def release(self) -> None:
        """Lets a job that was held be started again (``slurm_update_job2``).

        Raises:
            TaskErrors: Some tasks of the array refused.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).release()
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: releasing job 9999: ...
        """
        _control.do(self._target(), _control.release())

    def requeue(self, hold: bool = False) -> None:
        """Puts a job that runs or has ended back into the queue (``slurm_requeue2``).

        Args:
            hold: Whether it is held there.

        Raises:
            TypeError: ``hold`` is no bool; nothing was sent.
            TaskErrors: Some tasks of the array refused.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).requeue()
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: requeueing job 9999: ...
        """
        action = _control.requeue(hold)
        _control.do(self._target(), action)

    def suspend(self) -> None:
        """Suspends a job that runs (``slurm_suspend2``).

        Raises:
            TaskErrors: Some tasks of the array refused.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).suspend()
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: suspending job 9999: ...
        """
        _control.do(self._target(), _control.suspend())

    def unsuspend(self) -> None:
        """Lets a job that was suspended go on (``slurm_resume2``).

        Raises:
            TaskErrors: Some tasks of the array refused.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).unsuspend()
            Traceback (most recent call last):
                ...
            slurmpy.InvalidJobId: resuming job 9999: ...
        """
        _control.do(self._target(), _control.unsuspend())

    def notify(self, msg: str) -> None:
        """Writes a message to the job's output (``slurm_notify_job``), as ``scontrol notify`` does.

        The job has to run: for any other, the controller says that it is disabled.

        Args:
            msg: The message, of at most 7900 bytes; of more, Slurm would keep the end.

        Raises:
            ValueError: The message has a NUL character, or is too long; nothing was sent.
            TypeError: It is no text; nothing was sent.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(job_id).notify("Hello!")
        """
        action = _control.notify(msg)
        _control.do(self._numbered(), action)

    def modify(self, changes: JobSubmitDescription) -> None:
        """Changes the job (``slurm_update_job2``), as ``scontrol update`` does.

        Args:
            changes: What to change: the attributes that are set. `array` is ``"%5"`` here, how many
                tasks may run at once. An empty text takes a text away.

        Raises:
            TypeError: It is no `JobSubmitDescription`.
            ValueError: An attribute cannot be changed, or its value is none for it; or nothing is
                set. Nothing was sent.
            TaskErrors: Some tasks of the array refused.
            AccessDenied: The job is another user's.
            RPCError: The controller refused, or could not be asked.

        Example:
            >>> from slurmpy import Job, JobSubmitDescription
            >>> job = Job(job_id)
            >>> job.modify(JobSubmitDescription(time_limit="1-00:00:00", comment="longer"))
            >>> job.reload().time_limit, job.comment
            (1440, 'longer')
        """
        from slurmpy.submission import changes_of

        message = changes_of(changes)
        _control.do(self._target(), _control.modify(message))

    def get_batch_script(self) -> str:
        """The batch script of the job (``slurm_job_batch_script``), as it was submitted.

        Returns:
            The text. Bytes that are not UTF-8 come as surrogates.

        Raises:
            InvalidJobId: There is no such job.
            AccessDenied: The job is another user's.
            RPCError: The job has no script, or the controller could not be asked.

        Example:
            >>> from slurmpy import Job
            >>> Job(job_id).get_batch_script().splitlines()[0]
            '#!/bin/sh'
        """
        target = self._numbered()
        number, size = int(target.name), ffi.new("size_t *")
        with cell("char **", lib.slurmpy_drop_text) as text:
            rc = _runtime.call(lib.slurmpy_batch_script, target.of, number, text, size)
            if rc == lib.SLURMPY_OTHER_CLUSTER:
                raise _control.other_cluster(self._id, self._cluster)
            check(rc, f"loading the script of job {self._id}")
            content = ffi.buffer(text[0], size[0])[:] if text[0] else b""
        decoded: str = content.decode("utf-8", "surrogateescape")
        return decoded

    def _target(self) -> Target:
        """The job as Slurm is told of it.

        By an id alone Slurm understands the whole array where there is one of that id. A job that
        was loaded is one record of the array's, and stands for its own tasks.
        """
        ptr, owner = self._record
        if isinstance(ptr, Closed):
            _ = self.id
        if not owner:
            return Target(self._id, self._cluster, str(self._id))
        user = ptr.user_id
        array = ptr.array_job_id
        if array in (0, lib.NO_VAL):
            return Target(self._id, self._cluster, str(self._id), user=user)
        task = ptr.array_task_id
        if task not in (lib.NO_VAL, lib.INFINITE):
            return Target(self._id, self._cluster, f"{array}_{task}", array, task, user)
        waiting = _waiting(ptr)
        # Without any, those that were left were cancelled; the others are no part of this record.
        name = f"{array}_[{waiting.partition('%')[0]}]" if waiting else ""
        return Target(self._id, self._cluster, name, array, user=user)

    def _numbered(self) -> Target:
        """The job by its id, which the controller is asked for where it was named by text."""
        if isinstance(self._record[0], Closed):
            _ = self.id
        job = self
        if isinstance(self._id, str):
            job = Job(self._id)
            job._cluster = self._cluster
            job.reload()
        return Target(self._id, self._cluster, str(job._id))

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name, without steps and statistics.

        What the installed Slurm lacks is left out; a job that was never asked for knows its id.

        Returns:
            A new dict, in the order in which the attributes are documented.

        Raises:
            ClosedError: The collection of the job was closed.

        Example:
            >>> from slurmpy import Job
            >>> Job(9999).to_dict()
            {'id': 9999}
        """
        if isinstance(self._record[0], _NotLoaded):
            return {"id": self.id}
        return super().to_dict()

    def __repr__(self) -> str:
        """As it is made."""
        return f"slurmpy.Job({self._id!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both are the same job of the same cluster."""
        if not isinstance(other, Job):
            return NotImplemented
        local = _runtime.cluster_name()
        return self._id == other._id and (self._cluster or local) == (other._cluster or local)

    def __hash__(self) -> int:
        """By the id alone: jobs that are equal have it in common.

        The local cluster's name, which is the other half of what makes jobs equal, may become
        known only after the hash was taken.
        """
        return hash(self._id)

    def __copy__(self) -> Job:
        """A job that owns its data, whatever becomes of the collection."""
        make, args = self.__reduce__()
        job: Job = make(*args)
        job._steps, job._stats = copy.copy(job._steps), copy.copy(job._stats)
        return job

    def __deepcopy__(self, _memo: object) -> Job:
        """The same as a copy."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Pickles all that is known of the job."""
        ptr, owner = self._record
        steps = self.steps if self._steps is not None else None
        if isinstance(ptr, _NotLoaded):
            return _unloaded, (type(self), self._id, steps, self._stats)
        members = to_members(_STRUCT, ptr)
        # What these are read from is the library's, or this system's.
        for name, text in (
            ("array_task_str", self.array_tasks_waiting),
            ("user_name", self.user_name),
        ):
            if text:
                members[name] = text.encode("utf-8", "surrogateescape")
        places = _places(ptr, owner)
        known = (self._cluster, owner.now, self.group_name, places, steps, self._stats)
        return _restore, (type(self), members, *known)


def _records(message: Any, name: int | str) -> list[Any]:
    """The records of a message that a name is of."""
    records = [message.job_array + i for i in range(message.record_count)]
    return [ptr for ptr in records if _is_named(ptr, name)] if isinstance(name, str) else records


def _choose(message: Any, wanted: int | str) -> Any:
    """The record of a message that a name stands for, of all that Slurm gives for it."""
    records = _records(message, wanted)
    if not records:
        raise InvalidJobId(lib.ESLURM_INVALID_JOB_ID, f"loading job {wanted}")
    return min(
        records,
        key=lambda ptr: (
            ptr.job_id != wanted,
            _base_state(ptr) != lib.JOB_PENDING or ptr.array_task_id != lib.NO_VAL,
            ptr.array_task_id,
        ),
    )


def _is_named(ptr: Any, name: str) -> bool:
    """Whether a record is that of a task (``"123_4"``) or of a component (``"123+1"``)."""
    if "+" in name:
        offset = int(name.partition("+")[2])
        return bool(ptr.het_job_id) and ptr.het_job_offset == offset
    task = int(name.partition("_")[2])
    if ptr.array_task_id != lib.NO_VAL:
        return bool(ptr.array_task_id == task)
    return bool(ptr.array_bitmap and lib.slurmpy_has_task(ptr, task))


def _places(ptr: Any, owner: Snapshot) -> list[Place] | None:
    """Where a job is on its nodes, which only Slurm can keep in a record."""
    from slurmpy import _layout

    if owner.places is not None or not ptr.job_resrcs or not _layout.IS_KNOWN:
        return owner.places
    return _layout.places(ptr)


def _unloaded(
    kind: type[Job], named: int | str, steps: JobSteps | None, stats: JobStatistics | None
) -> Job:
    """The job of a pickle or a copy that was never loaded."""
    job = kind(named)
    job._steps, job._stats = steps, stats
    return job


def _restore(  # noqa: PLR0913, PLR0917 - what there is to know of a job
    kind: type[Job],
    members: Mapping[str, Member],
    cluster: str | None,
    now: float,
    group: str | None,
    places: list[Place] | None,
    steps: JobSteps | None,
    stats: JobStatistics | None,
) -> Job:
    """The job of a pickle or a copy."""
    ptr, kept = from_members(_STRUCT, members)
    owner = Snapshot(kept, cluster, now)
    owner.places = places
    owner.groups[ptr.group_id] = group
    owner.users.setdefault(ptr.user_id, None)
    job = kind._at(ptr, owner, ptr.job_id)
    job._steps, job._stats = steps, stats
    return job


def close(job: Job) -> None:
    """Lets go of a job's memory, and of that of its steps; its attributes raise from then on."""
    closed(job)
    job._steps = job._stats = None


def detach(job: Job) -> None:
    """Gives a job data of its own in place of what it borrows, for readers at any moment."""
    owner = job._record[1]
    if owner is not None and not isinstance(owner.message, list):
        other = job.__copy__()
        job._record, job._steps = other._record, other._steps
