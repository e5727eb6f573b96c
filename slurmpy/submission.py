"""Describing a job, and submitting it."""

from __future__ import annotations

import errno
import os

from slurmpy import _parse, _put, _request, _runtime, _sbatch
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy._options import GPU as _GPU
from slurmpy._options import (
    Message,
    Option,
    bits,
    fixed,
    flag,
    joined,
    number,
    parsed,
    text,
    tres,
    whole,
    word,
)
from slurmpy._records import answered, cell
from slurmpy.errors import check, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar, Union

    from typing_extensions import dataclass_transform

    from slurmpy.steps import TaskDistribution

    Moment = Union[str, int, dt.datetime]
    Duration = Union[str, int, dt.timedelta]
    Amount = Union[int, str]
    Gres = Union[str, Mapping[str, int]]
    Gpus = Union[int, str, Mapping[str, int]]
    Words = Union[str, Sequence[str]]
else:

    def dataclass_transform(**_):  # noqa: ANN003, ANN202 - for type checkers
        return lambda cls: cls


__all__ = ["Forecast", "JobSubmitDescription"]


class Forecast:
    """What a dry run gives: when and where the job would start.

    Attributes:
        start_time: When it would start (`int`, Unix timestamp).
        nodes: The nodes that it would have, such as ``"n[1-2]"``.
        partition: The partition that it would run in; None where Slurm does not say.
        cpus: How many CPUs it would have.
        preempts: The ids of the jobs that would have to make room.
        message: What Slurm had to say to the user; None for nothing.
    """

    __slots__ = ("cpus", "message", "nodes", "partition", "preempts", "start_time")

    def __init__(self, answer: Any) -> None:
        """See the class."""
        count = lib.slurmpy_preempted(answer, ffi.NULL, 0)
        ids = ffi.new("uint32_t[]", count or 1)
        lib.slurmpy_preempted(answer, ids, count)
        self.start_time: int = answer.start_time
        self.nodes: str | None = _text(answer.node_list)
        self.partition: str | None = _text(answer.part_name)
        self.cpus: int = answer.proc_cnt
        self.preempts: list[int] = list(ids[0:count])
        self.message: str | None = _text(answer.job_submit_user_msg)

    def __repr__(self) -> str:
        """All of it."""
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.__slots__))
        return f"slurmpy.Forecast({values})"


def _text(value: Any) -> str | None:
    """A text of the library's; None where it is empty."""
    found: str = ffi.string(value).decode("utf-8", "replace") if value else ""
    return found or None


#: What may have a password in it.
_SECRET = frozenset(["environment", "script", "script_args"])


def _refused(code: int) -> str:
    """What is said of a submission, and of a code whose own text says nothing of jobs."""
    if code != errno.EAGAIN:
        return "submitting a job"
    return (
        "submitting a job: slurmctld takes no more jobs for now, as a rule since it has as many as "
        "MaxJobCount in slurm.conf says, those included that have ended lately"
    )


@dataclass_transform(kw_only_default=True, eq_default=False)
class _Description:
    """What a description is apart from its attributes."""

    __slots__ = ("_values", "message")

    #: The attributes by name, in the order of their declaration.
    options: ClassVar[Mapping[str, Option[Any]]] = {}

    #: What is set, as it was given.
    _values: dict[str, Any]
    message: str | None

    def __init__(self, **values: Any) -> None:
        """See the class."""
        self._values = {}
        self.message = None
        for name, value in values.items():
            if name not in self.options:
                raise TypeError(_unknown(name, self.options))
            setattr(self, name, value)

    def __init_subclass__(cls) -> None:
        """Collects the declarations."""
        super().__init_subclass__()
        own = {name: item for name, item in vars(cls).items() if isinstance(item, Option)}
        cls.options = {**cls.options, **own}

    if not TYPE_CHECKING:  # for which it would allow every name

        def __setattr__(self, name: str, value: object) -> None:
            """Sets an attribute, and no other: a name that is spelled wrong would be lost."""
            if name not in self.options and name not in ("_values", "message"):
                raise AttributeError(_unknown(name, self.options))
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """What is set, in the order in which the attributes are documented.

        What may be nobody else's to see is not shown, since texts like this end in logs.
        """
        values = ", ".join(
            f"{name}={'...' if name in _SECRET else repr(self._values[name])}"
            for name in self.options
            if name in self._values
        )
        return f"slurmpy.JobSubmitDescription({values})"

    def __eq__(self, other: object) -> bool:
        """Whether the same is set."""
        if not isinstance(other, _Description):
            return NotImplemented
        return self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __copy__(self) -> _Description:
        """Another description with the same values."""
        return type(self)(**self._values)

    def __reduce__(self) -> tuple[Any, ...]:
        """Descriptions travel between processes."""
        return _restore, (type(self), self._values)


def _restore(kind: type[_Description], values: dict[str, Any]) -> _Description:
    return kind(**values)


def _unknown(name: str, options: Mapping[str, Option[Any]]) -> str:
    """What to say of a name that is none, which may be sbatch's."""
    import difflib

    meant = {"gpus_per_node": "gres_per_node", "cpus": "cpus_per_task"}
    for attribute, option in options.items():
        for name_of_sbatch in option.flags:
            meant.setdefault(name_of_sbatch.lstrip("-").replace("-", "_"), attribute)
    meant.update((attribute, attribute) for attribute in options)
    near = difflib.get_close_matches(name, meant, 1)
    return f"a description has no {name!r}" + "".join(
        f"; did you mean {meant[it]!r}?" for it in near
    )


class JobSubmitDescription(_Description):
    r"""A job that is to be submitted, or what is to be changed in one that was.

    Every attribute is None until it is set, in the call or afterwards, and None again where it is
    to be left to Slurm. A value is kept as it was given: a number, a text as sbatch takes it for
    the option that is named with the attribute, or one of the Python types that are named there.
    What is wrong with it is said by `submit`, before anything is sent.

    What is not set is as with sbatch: one task, one CPU for it, the current folder, the whole
    environment. sbatch's own environment variables (``SBATCH_…``) and the plugins that run inside
    of sbatch (spank, cli_filter) are sbatch's alone.

    A description can be submitted again and again, changed in between, compared, copied, pickled,
    printed, and turned into words for sbatch (`to_sbatch`).

    Args:
        values: Attributes by name.

    Attributes:
        message: What Slurm had to say to the user when this was last submitted (from the cluster's
            job_submit plugin); None for nothing. It also goes to the log.

    Raises:
        TypeError: There is no attribute of that name; the message has the nearest one.

    Example:
        >>> from slurmpy import JobSubmitDescription
        >>> job = JobSubmitDescription(name="first", script="#!/bin/sh\nsleep 60", ntasks=2)
        >>> job.time_limit = "1:30:00"
        >>> job
        slurmpy.JobSubmitDescription(name='first', time_limit='1:30:00', ntasks=2, script=...)
    """

    __slots__ = ()

    name: Option[str] = text(
        "--job-name -J", "name", "Name of the job; by default that of the script's file."
    )
    account: Option[str] = text("--account -A", "account", "Account that is charged.")
    wckey: Option[str] = text("--wckey", "wckey", "Workload characterization key.")
    comment: Option[str] = text("--comment", "comment", "Any text.")
    qos: Option[str] = text("--qos -q", "qos", "Quality of service.")
    network: Option[str] = text("--network", "network", "Specification of the network.")
    mcs_label: Option[str] = text(
        "--mcs-label", "mcs_label", "Label of multi-category security.", changes=False
    )
    extra: Option[str] = text(
        "--extra",
        "extra",
        "Any text, which some clusters filter nodes by.",
        since="23.02",
        supported=MAJOR >= "23.02",
    )
    container: Option[str] = text(
        "--container", "container", "Bundle of a container to run in.", changes=False
    )
    container_id: Option[str] = text(
        "--container-id", "container_id", "Id of the container.", since="23.02", changes=False
    )
    user_id: Option[int | str] = parsed(
        "--uid",
        "user_id",
        _parse.user,
        "User to run as, by uid or name; for root.",
        "int | str",
        show="{}".format,
        changes=False,
    )
    group_id: Option[int | str] = parsed(
        "--gid",
        "group_id",
        _parse.group,
        "Group to run as, by gid or name; for root.",
        "int | str",
        show="{}".format,
        changes=False,
    )
    priority: Option[int | str] = parsed(
        "--priority",
        "priority",
        _parse.priority,
        'Priority, or ``"TOP"``; 0 holds the job. For operators.',
        "int | str",
    )
    hold: Option[bool] = fixed(
        "--hold -H",
        "Whether the job is held until it is released; one that there is has `Job.hold`.",
        _parse.boolean,
        "bool",
        _put.hold,
        argument="none",
        read=_parse.boolean,
        changes=False,
    )
    nice: Option[int | str] = parsed(
        "--nice",
        "nice",
        _parse.nice,
        "Adjustment of the priority: the more, the later.",
        "int | str",
        show=lambda value: str(value - int(lib.NICE_OFFSET)),
        argument="optional",
        bare=100,
        read=whole,
    )
    site_factor: Option[int | str] = parsed(
        "",
        "site_factor",
        _parse.nice,
        "The site's part of the priority; only for `Job.modify`, and for administrators.",
        "int | str",
        read=whole,
    )
    admin_comment: Option[str] = text(
        "", "admin_comment", "Comment of an administrator; only for `Job.modify`."
    )
    array: Option[str] = parsed(
        "--array -a",
        "array_inx",
        _parse.array,
        "Tasks of an array, such as ``0-15:4%2``; of one that there is, ``%2`` alone changes how "
        "many run at once.",
        "str",
        parse_change=_parse.throttle,
    )
    begin_time: Option[Moment] = parsed(
        "--begin -b",
        "begin_time",
        _parse.moment,
        "When the job may start: a Unix timestamp, a `datetime`, or text such as ``now+1hour``.",
        "str | int | datetime",
        show="uts{}".format,
    )
    deadline: Option[Moment] = parsed(
        "--deadline",
        "deadline",
        _parse.moment,
        "When the job is given up if it cannot end by then; as ``begin_time``.",
        "str | int | datetime",
        show="uts{}".format,
    )
    time_limit: Option[Duration] = parsed(
        "--time -t",
        "time_limit",
        _parse.minutes,
        "Time limit: minutes, a `timedelta`, or text such as ``2-00:00:00``; 0 for none.",
        "int | str | timedelta",
        show=_put.show_minutes,
    )
    time_limit_min: Option[Duration] = parsed(
        "--time-min",
        "time_min",
        _parse.minutes,
        "Least time limit that the scheduler may set; as ``time_limit``.",
        "int | str | timedelta",
        show=_put.show_minutes,
    )
    delay_boot_time: Option[Duration] = parsed(
        "--delay-boot",
        "delay_boot",
        _parse.seconds(60),
        "How long the job waits for nodes with its features before others reboot; as "
        "``time_limit``.",
        "int | str | timedelta",
        show=_put.show_seconds,
    )
    partitions: Option[Words] = joined(
        "--partition -p", "partition", "Partitions, of which the first that can takes the job."
    )
    reservations: Option[Words] = joined("--reservation", "reservation", "Reservations to use.")
    licenses: Option[Words] = joined("--licenses -L", "licenses", "Licenses, such as ``matlab:2``.")
    clusters: Option[Words] = joined(
        "--clusters -M",
        "clusters",
        "Clusters to submit to. Any but the local one is refused: see `init`.",
        changes=False,
    )
    required_nodes: Option[Words] = parsed(
        "--nodelist -w",
        "req_nodes",
        _parse.node_list,
        "Nodes that the job has to have, such as ``n[1-3]``.",
        "str | list[str]",
    )
    excluded_nodes: Option[Words] = parsed(
        "--exclude -x",
        "exc_nodes",
        _parse.node_list,
        "Nodes that the job must not have.",
        "str | list[str]",
    )
    mail_user: Option[Words] = joined("--mail-user", "mail_user", "Who gets mail.")
    mail_types: Option[Words] = bits(
        "--mail-type", "mail_type", _put.MAIL, "What mail is sent about.", alone="none"
    )
    constraints: Option[Words] = joined(
        "--constraint -C", "features", "Features that the nodes have to have.", "&"
    )
    batch_constraints: Option[Words] = joined(
        "--batch",
        "batch_features",
        "Features that the node of the batch script has to have.",
        "&",
        changes=False,
    )
    cluster_constraints: Option[Words] = joined(
        "--cluster-constraint", "cluster_features", "Features that the cluster has to have."
    )
    dependencies: Option[str | Mapping[str, Any]] = parsed(
        "--dependency -d",
        "dependency",
        _parse.dependencies,
        "What the job waits for: text, or a dict of conditions to ids, with ``singleton`` (True), "
        "and with ``satisfy``, ``all`` or ``any``.",
        "str | dict[str, list[int | str] | bool | str]",
    )
    nodes: Option[int | str | Mapping[str, int]] = fixed(
        "--nodes -N",
        "How many nodes: ``3``, ``\"1-5\"``, or ``{'min': 1, 'max': 5}``. No more than there are "
        "tasks, where both are set.",
        _parse.node_count,
        "int | str | dict[str, int]",
        _put.nodes,
        member="min_nodes, max_nodes",
        show=_put.show_nodes,
    )
    use_min_nodes: Option[bool] = flag(
        "--use-min-nodes",
        "bitflags",
        "Whether fewer nodes of a range are better.",
        lib.USE_MIN_NODES,
        changes=False,
    )
    requires_contiguous_nodes: Option[bool] = flag(
        "--contiguous", "contiguous", "Whether the nodes have to be neighbours."
    )
    spreads_over_nodes: Option[bool] = flag(
        "--spread-job",
        "bitflags",
        "Whether the job takes as many nodes as it can.",
        lib.SPREAD_JOB,
        changes=False,
    )
    segment_size: Option[Amount] = number(
        "--segment",
        "segment_size",
        "Nodes in each segment of a block topology.",
        since="24.05",
        changes=False,
    )
    ntasks: Option[Amount] = number("--ntasks -n", "num_tasks", "How many tasks.")
    ntasks_per_node: Option[Amount] = number(
        "--ntasks-per-node --tasks-per-node", "ntasks_per_node", "Tasks on each node."
    )
    ntasks_per_socket: Option[Amount] = number(
        "--ntasks-per-socket", "ntasks_per_socket", "Tasks on each socket.", changes=False
    )
    ntasks_per_core: Option[Amount] = number(
        "--ntasks-per-core", "ntasks_per_core", "Tasks on each core.", changes=False
    )
    ntasks_per_gpu: Option[Amount] = number(
        "--ntasks-per-gpu", "ntasks_per_tres", "Tasks for each GPU.", changes=False
    )
    distribution: Option[str | TaskDistribution] = fixed(
        "--distribution -m",
        "How tasks are distributed: ``block`` or ``cyclic`` over nodes, and with colons over "
        "sockets and cores; ``plane=4``; ``arbitrary``.",
        _parse.distribution,
        "str",
        _put.distribution,
        member="task_dist, plane_size",
        show=_put.show_distribution,
        changes=False,
    )
    cpus_per_task: Option[Amount] = number(
        "--cpus-per-task -c", "cpus_per_task", "CPUs for each task."
    )
    cpus_per_gpu: Option[Amount] = fixed(
        "--cpus-per-gpu",
        "CPUs for each GPU.",
        _parse.number(1, 2**31 - 1),
        "int | str",
        lambda message, value: message.text("cpus_per_tres", f"{_GPU}:{value}"),
        member="cpus_per_tres",
        read=whole,
    )
    min_cpus_per_node: Option[Amount] = number(
        "--mincpus", "pn_min_cpus", "Least number of CPUs on each node."
    )
    sockets_per_node: Option[Amount] = number(
        "--sockets-per-node", "sockets_per_node", "Sockets that a node has to have."
    )
    cores_per_socket: Option[Amount] = number(
        "--cores-per-socket", "cores_per_socket", "Cores that a socket has to have."
    )
    threads_per_core: Option[Amount] = number(
        "--threads-per-core", "threads_per_core", "Threads that a core has to have."
    )
    cores_reserved_for_system: Option[Amount] = fixed(
        "--core-spec -S",
        "Cores of each node that are kept for the system.",
        _parse.number(0, lib.CORE_SPEC_THREAD - 1),
        "int | str",
        _put.core_spec,
        member="core_spec",
        read=whole,
    )
    threads_reserved_for_system: Option[Amount] = fixed(
        "--thread-spec",
        "Threads of each node that are kept for the system.",
        _parse.number(1, lib.CORE_SPEC_THREAD - 3),
        "int | str",
        _put.thread_spec,
        member="core_spec",
        read=whole,
    )
    overcommit: Option[bool] = flag(
        "--overcommit -O",
        "overcommit",
        "Whether a CPU may be given to several tasks.",
        changes=False,
    )
    cpu_frequency: Option[Amount | Mapping[str, Any]] = fixed(
        "--cpu-freq",
        "CPU frequency: kHz or a word such as ``low``, a range such as ``low-high``, a governor, "
        "or ``low-high:performance``; or a dict of ``min``, ``max`` and ``governor``.",
        _parse.cpu_frequency,
        "str | int | dict[str, int | str]",
        _put.cpu_frequency,
        member="cpu_freq_min, cpu_freq_max, cpu_freq_gov",
        show=_put.show_cpu_frequency,
        changes=False,
    )
    memory_per_node: Option[Amount] = parsed(
        "--mem",
        "pn_min_memory",
        _parse.memory(lib.MEM_PER_CPU - 1),
        "Memory on each node: MiB, or text such as ``3G``; 0 for all of it.",
        "int | str",
    )
    memory_per_cpu: Option[Amount] = fixed(
        "--mem-per-cpu",
        "Memory for each CPU; as ``memory_per_node``.",
        # With its bit, the two highest would be the marks for "not set" and "no limit".
        _parse.memory(lib.MEM_PER_CPU - 3),
        "int | str",
        _put.memory_per_cpu,
        member="pn_min_memory",
    )
    memory_per_gpu: Option[Amount] = fixed(
        "--mem-per-gpu",
        "Memory for each GPU; as ``memory_per_node``.",
        _parse.memory(lib.MEM_PER_CPU - 1),
        "int | str",
        lambda message, value: message.text("mem_per_tres", f"{_GPU}:{value}"),
        member="mem_per_tres",
    )
    temporary_disk_per_node: Option[Amount] = parsed(
        "--tmp",
        "pn_min_tmp_disk",
        _parse.memory(lib.NO_VAL - 1),
        "Temporary disk space on each node; as ``memory_per_node``.",
        "int | str",
    )
    gpus: Option[Gpus] = tres(
        "--gpus -G",
        "tres_per_job",
        "GPUs of the whole job: ``6``, ``tesla:1,volta:5``, or ``{'tesla': 1}``.",
    )
    gpus_per_socket: Option[Gpus] = tres(
        "--gpus-per-socket", "tres_per_socket", "GPUs for each socket; as ``gpus``."
    )
    gpus_per_task: Option[Gpus] = fixed(
        "--gpus-per-task",
        "GPUs for each task; as ``gpus``.",
        _parse.typed,
        "int | str | dict[str, int]",
        _put.gpus_per_task,
        member="tres_per_task",
    )
    gres_per_node: Option[Gres] = fixed(
        "--gres",
        "Generic resources on each node: ``gpu:tesla:2,nic``, or ``{'gpu:tesla': 2}``.",
        _parse.gres,
        "str | dict[str, int]",
        _put.gres,
        member="tres_per_node",
        parse_change=_parse.gres_change,
    )
    gpu_binding: Option[str] = fixed(
        "--gpu-bind",
        "How tasks are bound to GPUs, such as ``closest`` or ``single:2``.",
        _parse.gpu_binding,
        "str",
        lambda message, value: message.text(
            "tres_bind", f"{_GPU if lib.SLURMPY_SPELLS_TRES else 'gpu'}:{value}"
        ),
        member="tres_bind",
    )
    gres_binding: Option[str] = fixed(
        "--gres-flags",
        "Binding of CPUs to generic resources: ``enforce-binding`` or ``disable-binding``.",
        _parse.choice(_put.BINDING),
        "str",
        _put.bitflags,
        member="bitflags",
        show={bit: name for name, bit in _put.BINDING.items()}.__getitem__,
        changes=False,
    )
    gres_tasks_per_sharing: Option[str] = fixed(
        "--gres-flags",
        "Whether ``one`` or ``multiple`` tasks may use a shared generic resource.",
        _parse.choice(_put.PER_SHARING),
        "str",
        _put.bitflags,
        member="bitflags",
        since="24.05",
        supported=MAJOR >= "24.05",
        show=lambda bit: (
            "one-task-per-sharing"
            if bit == lib.GRES_ONE_TASK_PER_SHARING
            else "multiple-tasks-per-sharing"
        ),
        changes=False,
    )
    switches: Option[Amount | Mapping[str, Any]] = fixed(
        "--switches",
        "Most switches that the nodes span, and how long the job waits for that: "
        "``5@00:10:00``, or ``{'count': 5, 'max_wait_time': 600}`` (seconds).",
        _parse.switches,
        "int | str | dict[str, int | str | timedelta]",
        _put.switches,
        member="req_switch, wait4switch",
        show=_put.show_switches,
    )
    signal: Option[Amount | Mapping[str, Any]] = fixed(
        "--signal",
        "Signal before the end: ``B:USR1@120`` (seconds), or a dict of ``signal``, ``time``, "
        "``batch_only`` and ``allow_reservation_overlap``.",
        _parse.signal,
        "str | int | dict[str, int | str | bool]",
        _put.signal,
        member="warn_signal, warn_time, warn_flags",
        show=_put.show_signal,
        changes=False,
    )
    kill_on_node_fail: Option[bool] = fixed(
        "--no-kill -k",
        "Whether the job ends when one of its nodes fails.",
        _parse.boolean,
        "bool",
        _put.kill_on_node_fail,
        member="kill_on_node_fail",
        argument="optional",
        bare=False,
        read=lambda value: _parse.choice({"set": 0, "off": 1, "no": 1})(value) == 1,
        show=lambda value: "off" if value else "",
        changes=False,
    )
    kill_on_invalid_dependency: Option[bool] = fixed(
        "--kill-on-invalid-dep",
        "Whether the job ends where its dependency cannot be met.",
        _parse.boolean,
        "bool",
        _put.kill_on_invalid,
        member="bitflags",
        read=lambda value: _parse.choice({"no": 0, "yes": 1})(value) == 1,
        show=lambda value: "yes" if value else "no",
        changes=False,
    )
    is_requeueable: Option[bool] = flag(
        "--requeue --no-requeue",
        "requeue",
        "Whether the job may be requeued.",
        off="--no-requeue",
    )
    requires_node_reboot: Option[bool] = flag(
        "--reboot", "reboot", "Whether the nodes reboot before the job starts."
    )
    wait_all_nodes: Option[bool] = flag(
        "--wait-all-nodes",
        "wait_all_nodes",
        "Whether the job starts only when all of its nodes are ready.",
        argument="required",
        show=lambda value: str(int(value)),
        changes=False,
    )
    resource_sharing: Option[str] = word(
        "--exclusive",
        "shared",
        _put.SHARING,
        "How the job shares its nodes: ``yes`` or ``oversubscribe``, ``no`` or ``exclusive``, "
        "``user``, ``mcs``; from Slurm 24.11 on ``topo``.",
        argument="optional",
        bare="exclusive",
        show={
            lib.JOB_SHARED_TOPO: "topo",
            lib.JOB_SHARED_OK: "oversubscribe",
            lib.JOB_SHARED_NONE: "",
            lib.JOB_SHARED_USER: "user",
            lib.JOB_SHARED_MCS: "mcs",
        }.__getitem__,
    )
    working_directory: Option[str | os.PathLike[str]] = fixed(
        "--chdir -D",
        "Folder that the job runs in; by default the current one.",
        _parse.path,
        "str | PathLike[str]",
        lambda message, value: message.text("work_dir", value),
        member="work_dir",
        parse_change=_parse.absolute,
    )
    standard_in: Option[str | os.PathLike[str]] = fixed(
        "--input -i",
        "File of the standard input; by default /dev/null.",
        _parse.path,
        "str | PathLike[str]",
        _put.file("std_in"),
        member="std_in",
        changes="23.02",
    )
    standard_output: Option[str | os.PathLike[str]] = fixed(
        "--output -o",
        "File of the standard output, with sbatch's patterns; by default ``slurm-%j.out``.",
        _parse.path,
        "str | PathLike[str]",
        _put.file("std_out"),
        member="std_out",
    )
    standard_error: Option[str | os.PathLike[str]] = fixed(
        "--error -e",
        "File of the standard error; by default that of the output.",
        _parse.path,
        "str | PathLike[str]",
        _put.file("std_err"),
        member="std_err",
        changes="23.02",
    )
    log_files_open_mode: Option[str] = word(
        "--open-mode",
        "open_mode",
        _put.OPEN_MODES,
        "Whether these files are continued (``append``) or begun anew (``truncate``).",
        changes=False,
    )
    script: Option[str | os.PathLike[str]] = fixed(
        "",
        "The script: the path of its file, or its text, which begins with ``#!``.",
        _request.script,
        "str | PathLike[str]",
        member="script",
        changes=False,
    )
    script_args: Option[Words] = fixed(
        "",
        "Arguments of the script: a list, or text as in a shell.",
        _request.arguments,
        "str | list[str]",
        member="argv",
        changes=False,
    )
    environment: Option[str | Sequence[str] | Mapping[str, str]] = fixed(
        "--export",
        "Variables of the job: ``ALL``, the default; ``NONE``; a dict of them, or text or a list "
        "such as ``HOME,A=1``, which takes what has no value from the environment here. "
        "Other than with ALL, nothing else of the environment here is sent.",
        _parse.environment,
        "str | list[str] | dict[str, str]",
        member="environment",
        show=_parse.export_text,
        changes=False,
    )
    get_user_environment: Option[bool] = fixed(
        "--get-user-env",
        "Whether the user's login environment is made on the node.",
        _parse.boolean,
        "bool",
        argument="none" if MAJOR >= "26.05" else "optional",
        read=_parse.user_environment,
        show=lambda value: "" if value else None,
        changes=False,
    )
    profile_types: Option[Words] = bits(
        "--profile",
        "profile",
        _put.PROFILES,
        "What detailed data is gathered of.",
        alone="none",
        changes=False,
    )
    accounting_gather_frequency: Option[Amount] = parsed(
        "--acctg-freq",
        "acctg_freq",
        _parse.frequencies,
        "Seconds between samples: ``30``, or ``task=30,energy=60``.",
        "int | str",
        changes=False,
    )
    reserved_ports: Option[Amount] = number(
        "--resv-ports",
        "resv_port_cnt",
        "How many ports are reserved.",
        0,
        argument="optional",
        bare=0,
        since="24.05",
        changes=False,
    )
    selinux_context: Option[str] = text(
        "--context", "req_context", "SELinux context.", changes=False
    )

    def submit(self) -> int:
        r"""Submits the job (``slurm_submit_batch_job``), as sbatch does.

        The lines with ``#SBATCH`` in the script are read only by `load_sbatch_options`.

        Returns:
            The id of the new job.

        Raises:
            ValueError: A value is none for its attribute, or values do not go together; nothing was
                sent, and the message says what to change. A `TypeError` where the type is wrong.
            OSError: The script cannot be read.
            UnsupportedField: The installed Slurm lacks an attribute that is set.
            RPCError: Slurm refuses the job, or could not be asked.
            ConfigurationError: Slurm cannot be used as it is set up.
            KeyboardInterrupt: Ctrl-C, once Slurm has answered: the job is there, unless it was
                refused, and the logger ``slurmpy`` has its id.

        Example:
            >>> from slurmpy import JobSubmitDescription
            >>> job = JobSubmitDescription(script="#!/bin/sh\necho hello", time_limit=5)
            >>> job.standard_output = "/dev/null"
            >>> job.submit() > 0
            True
        """
        return self._send([self])

    @staticmethod
    def submit_heterogeneous(components: Sequence[JobSubmitDescription]) -> int:
        r"""Submits one job of several components (``slurm_submit_batch_het_job``).

        It is what sbatch does with ``:`` between options, but for this: sbatch takes some options
        over from one component to the next; a description has what is set in it, and no more. The
        script is that of the first component, the leader; the others have none, and no arguments.

        Args:
            components: The components, two or more.

        Returns:
            The id of the job, which is that of its leader.

        Raises:
            ValueError: As `submit`; or another component than the first has a script.
            RPCError: As `submit`.

        Example:
            >>> from slurmpy import JobSubmitDescription
            >>> leader = JobSubmitDescription(script="#!/bin/sh\ntrue", hold=True)
            >>> parts = [leader, JobSubmitDescription(nodes=2)]
            >>> JobSubmitDescription.submit_heterogeneous(parts) > 0
            True
        """
        parts = list(components)
        for part in parts:
            _check_kind(part, "a component has")
        if len(parts) < 2:  # noqa: PLR2004 - one is no several
            msg = "a heterogeneous job has two components or more: submit() is for one"
            raise ValueError(msg)
        return JobSubmitDescription._send(parts)

    @staticmethod
    def _send(parts: list[JobSubmitDescription]) -> int:
        messages = _request.build([part._checked() for part in parts], parts[0].options)
        pointers = ffi.new("job_desc_msg_t *[]", [message.ptr for message in messages])
        rc = None
        job_id = 0
        parts[0].message = None
        try:
            with cell("submit_response_msg_t **", lib.slurmpy_drop_submitted) as out:
                try:
                    rc = _runtime.call(lib.slurmpy_submit, pointers, len(parts), out)
                    check(rc, _refused(rc))
                    answered(out, "submitting a job")
                finally:
                    # Ctrl-C comes through when the call has come back, and the job may be there.
                    if out[0] and not rc:
                        job_id = lib.slurmpy_submitted(out[0])
                parts[0].message = _text(out[0].job_submit_user_msg)
                if parts[0].message:
                    note(f"job {job_id}: {parts[0].message}")
        except BaseException:
            if job_id:
                note(f"job {job_id} was submitted; its id was not given back")
            raise
        return job_id

    def dry_run(self) -> Forecast:
        r"""Asks when and where the job would start (``slurm_job_will_run2``); none is submitted.

        It is ``sbatch --test-only``.

        Returns:
            When and where.

        Raises:
            ValueError: As `submit`.
            RPCError: As `submit`: the job would be refused.

        Example:
            >>> from slurmpy import JobSubmitDescription
            >>> JobSubmitDescription(script="#!/bin/sh\ntrue", nodes=2).dry_run().nodes
            'n[1-2]'
        """
        (message,) = _request.build([self._checked()], self.options)
        with cell("will_run_response_msg_t **", lib.slurmpy_drop_will_run) as out:
            rc = _runtime.call(lib.slurmpy_will_run, message.ptr, out)
            check(rc, "asking for a dry run")
            answered(out, "asking for a dry run")
            return Forecast(out[0])

    def _checked(self) -> dict[str, Any]:
        """The values in the form in which they are put, each by itself in order."""
        for name in ("site_factor", "admin_comment"):
            if name in self._values:
                msg = f"{name} can only be set in a job that there is: see Job.modify()"
                raise ValueError(msg)
        return {
            name: option.check(self._values[name])
            for name, option in self.options.items()
            if name in self._values
        }

    def _changes(self) -> Message:
        """What `Job.modify` sends."""
        if not self._values:
            msg = "nothing is set in the description, so there is nothing to change"
            raise ValueError(msg)
        message = Message()
        for name, option in self.options.items():
            if name in self._values:
                option.put(message, option.check_change(self._values[name]))
        _request.check_together(self._values)
        return message

    def load_environment(self, overwrite: bool = False) -> None:
        """Sets attributes from variables ``SLURMPY_JOBDESC_<ATTRIBUTE>``, such as ``…_NTASKS``.

        Args:
            overwrite: Whether they go before what is set already.

        Raises:
            ValueError: A variable has a text that does not parse; nothing was set.
            UnsupportedField: The installed Slurm lacks an attribute that one names; the same.

        Warns:
            UserWarning: A variable names no attribute.

        Example:
            >>> import os
            >>> from slurmpy import JobSubmitDescription
            >>> os.environ["SLURMPY_JOBDESC_NTASKS"] = "4"
            >>> job = JobSubmitDescription()
            >>> job.load_environment()
            >>> job.ntasks
            4
        """
        import warnings

        found = {}
        for variable, content in os.environ.items():
            if not variable.startswith(_sbatch.PREFIX):
                continue
            name = variable[len(_sbatch.PREFIX) :].lower()
            option = self.options.get(name)
            if option is None:
                warnings.warn(
                    f"{variable}: {_unknown(name, self.options)}", UserWarning, stacklevel=2
                )
                continue
            try:
                found[name] = _sbatch.from_variable(option, content)
            except ValueError as error:
                msg = f"{variable}={content!r}: {error}"
                raise ValueError(msg) from None
        self._take(found, overwrite=overwrite)

    def load_sbatch_options(self, overwrite: bool = False, *, component: int | None = None) -> None:
        r"""Sets attributes from the lines with ``#SBATCH`` in the script.

        Args:
            overwrite: Whether they go before what is set already.
            component: Which component of a heterogeneous job; the first is 0. It takes over from
                those before it what sbatch does: the account, but not the number of nodes.

        Raises:
            ValueError: There is no script; or a line is malformed, which is named; or the script
                is of a heterogeneous job and no component was named. Nothing was set.

        Warns:
            UserWarning: An option is not known, or has no attribute here; it is named.

        Example:
            >>> from slurmpy import JobSubmitDescription
            >>> job = JobSubmitDescription(script="#!/bin/sh\n#SBATCH -n 4 --time=10\nsrun date")
            >>> job.load_sbatch_options()
            >>> job.ntasks, job.time_limit
            (4, '10')
        """
        import warnings

        if component is not None and (not hasattr(component, "__index__") or component < 0):
            msg = f"component has to be a number from 0 on, not {component!r}"
            raise ValueError(msg)
        script = self.options["script"].check(_request.required(self._values.get("script")))
        found, unknown = _sbatch.read(script.content(), self.options, component)
        for words in unknown:
            warnings.warn(words, UserWarning, stacklevel=2)
        self._take(found, overwrite=overwrite)

    def _take(self, found: Mapping[str, Any], *, overwrite: bool) -> None:
        for name, value in found.items():
            if overwrite or name not in self._values:
                self._values[name] = value

    def to_sbatch(self) -> list[str]:
        """The words of a command that submits the same job with sbatch.

        Returns:
            The command, for `subprocess.run` or `shlex.join`. A script that was given as text is
            not part of it: that is for the command's standard input.

        Raises:
            ValueError: As `submit`; or something that sbatch has no option for; or the script has
                lines with ``#SBATCH`` for what is not set here, which sbatch would read.

        Warns:
            UserWarning: The script has such a line for what has no attribute here.

        Example:
            >>> from slurmpy import JobSubmitDescription
            >>> JobSubmitDescription(script="job.sh", ntasks=4, hold=True, nice=5).to_sbatch()
            ['sbatch', '--hold', '--nice=5', '--ntasks=4', 'job.sh']
        """
        checked = self._checked()
        self._check_lines(checked)
        return ["sbatch", *_sbatch.words(self.options, self._values, checked)]

    def _check_lines(self, checked: Mapping[str, Any]) -> None:
        """Raises where sbatch would read of a script what submit() does not."""
        import warnings

        try:
            content = checked["script"].content()
        except (KeyError, OSError):
            return
        found, unknown = _sbatch.read(content, self.options, None)
        more = [name for name in found if name not in checked]
        if more:
            msg = (
                f"the script has #SBATCH lines for {', '.join(more)}, which sbatch would read and "
                "submit() does not: call load_sbatch_options() first, or set them"
            )
            raise ValueError(msg)
        for words in unknown:
            warnings.warn(words, UserWarning, stacklevel=3)


def changes_of(changes: JobSubmitDescription) -> Message:
    """What `Job.modify` sends.

    Raises:
        TypeError: It is no description.
        ValueError: There is something wrong in it.
    """
    _check_kind(changes, "changes have")
    return changes._changes()


def _check_kind(description: object, what: str) -> None:
    if not isinstance(description, JobSubmitDescription):
        msg = f"{what} to be a JobSubmitDescription, not {type(description).__name__}"
        raise TypeError(msg)


# Both say that they are the package's, as all that is public does.
Forecast.__module__ = JobSubmitDescription.__module__ = "slurmpy"
