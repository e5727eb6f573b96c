"""How values that were checked are put into a message, and how they are written for sbatch."""

from __future__ import annotations

from slurmpy import _convert
from slurmpy._ffi import lib
from slurmpy._options import GPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from slurmpy._options import Message

__all__ = [
    "BINDING",
    "MAIL",
    "OPEN_MODES",
    "PER_SHARING",
    "PROFILES",
    "SHARING",
    "bitflags",
    "core_spec",
    "cpu_frequency",
    "distribution",
    "file",
    "gpus_per_task",
    "gres",
    "hold",
    "kill_on_invalid",
    "kill_on_node_fail",
    "memory_per_cpu",
    "nodes",
    "show_cpu_frequency",
    "show_distribution",
    "show_minutes",
    "show_nodes",
    "show_profiles",
    "show_seconds",
    "show_signal",
    "show_switches",
    "signal",
    "switches",
    "thread_spec",
]

_INFINITE, _NO_VAL = int(lib.INFINITE), int(lib.NO_VAL)


def nodes(message: Message, value: tuple[int, int, str]) -> None:
    message.ptr.min_nodes, message.ptr.max_nodes, sizes = value
    if sizes:
        message.text("job_size_str", sizes)


def file(member: str) -> Callable[[Message, str], None]:
    """A file that a job reads or writes, of which none is /dev/null."""
    return lambda message, value: message.text(
        member, "/dev/null" if value.lower() == "none" else value
    )


def memory_per_cpu(message: Message, value: int) -> None:
    message.ptr.pn_min_memory = value | lib.MEM_PER_CPU


def gres(message: Message, value: str) -> None:
    # Slurm takes "none" for the steps of a job; for a job it is nothing to send.
    if value != "none":
        prefix = GPU[:-3]
        message.append("tres_per_node", ",".join(prefix + item for item in value.split(",")))


def gpus_per_task(message: Message, value: str) -> None:
    if not lib.SLURMPY_SPELLS_TRES:
        message.append("tres_per_task", ",".join(f"{GPU}:{item}" for item in value.split(",")))
        return
    for item in value.split(","):
        kind, _, count = item.replace("=", ":").rpartition(":")
        message.append("tres_per_task", f"{GPU}:{kind}={count}" if kind else f"{GPU}={count}")


def switches(message: Message, value: tuple[int, int | None]) -> None:
    message.ptr.req_switch = value[0]
    if value[1] is not None:
        message.ptr.wait4switch = value[1]


def show_switches(value: tuple[int, int | None]) -> str:
    count, wait = value
    return str(count) if wait is None else f"{count}@{show_seconds(wait)}"


def signal(message: Message, value: tuple[int, int, int]) -> None:
    message.ptr.warn_signal, message.ptr.warn_time, message.ptr.warn_flags = value


def show_signal(value: tuple[int, int, int]) -> str:
    signal, before, flags = value
    letters = ("R" if flags & lib.KILL_JOB_RESV else "") + (
        "B" if flags & lib.KILL_JOB_BATCH else ""
    )
    return f"{letters}{':' if letters else ''}{signal}@{before}"


def distribution(message: Message, value: tuple[int, int | None, str]) -> None:
    message.ptr.task_dist = value[0]
    if value[1] is not None:
        message.ptr.plane_size = value[1]


def show_distribution(value: tuple[int, int | None, str]) -> str:
    return value[2] if value[1] is None else f"plane={value[1]}"


def cpu_frequency(message: Message, value: tuple[int, int, int]) -> None:
    message.ptr.cpu_freq_min, message.ptr.cpu_freq_max, message.ptr.cpu_freq_gov = value


def show_cpu_frequency(value: tuple[int, int, int]) -> str:
    low, high, governor = value
    span = f"{frequency(low)}-{frequency(high)}" if low != _NO_VAL else frequency(high)
    return ":".join(filter(None, (span, frequency(governor))))


def frequency(value: int) -> str:
    return "" if value == _NO_VAL else str(_convert.cpu_frequency(value))


def show_profiles(value: int) -> str:
    """As scontrol and srun write them."""
    none = value == lib.ACCT_GATHER_PROFILE_NONE
    return "None" if none else ",".join(_convert.profile_types(value))


def show_minutes(value: int) -> str:
    return "UNLIMITED" if value == _INFINITE else str(value)


def show_seconds(value: int) -> str:
    return "UNLIMITED" if value == _INFINITE else f"{value // 60}:{value % 60:02}"


def show_nodes(value: tuple[int, int, str]) -> str:
    least, most, sizes = value
    return sizes or (str(least) if least == most else f"{least}-{most}")


def core_spec(message: Message, value: int) -> None:
    message.ptr.core_spec = value


def thread_spec(message: Message, value: int) -> None:
    message.ptr.core_spec = value | lib.CORE_SPEC_THREAD


def kill_on_invalid(message: Message, value: bool) -> None:
    message.ptr.bitflags |= lib.KILL_INV_DEP if value else lib.NO_KILL_INV_DEP


def kill_on_node_fail(message: Message, value: bool) -> None:
    # Without it a job ends with its node, unless the cluster's administrator says otherwise.
    if not value:
        message.ptr.kill_on_node_fail = 0


def hold(message: Message, value: bool) -> None:
    if value:
        message.ptr.priority = 0


def bitflags(message: Message, value: int) -> None:
    message.ptr.bitflags |= value


SHARING = {
    "yes": lib.JOB_SHARED_OK,
    "oversubscribe": lib.JOB_SHARED_OK,
    "no": lib.JOB_SHARED_NONE,
    "exclusive": lib.JOB_SHARED_NONE,
    "user": lib.JOB_SHARED_USER,
    "mcs": lib.JOB_SHARED_MCS,
}
if lib.JOB_SHARED_TOPO:
    SHARING["topo"] = lib.JOB_SHARED_TOPO
BINDING = {"enforce-binding": lib.GRES_ENFORCE_BIND, "disable-binding": lib.GRES_DISABLE_BIND}
PER_SHARING = {
    "multiple": lib.GRES_MULT_TASKS_PER_SHARING,
    "one": lib.GRES_ONE_TASK_PER_SHARING,
}
OPEN_MODES = {
    "append": lib.OPEN_MODE_APPEND,
    "truncate": lib.OPEN_MODE_TRUNCATE,
    "a": lib.OPEN_MODE_APPEND,
    "t": lib.OPEN_MODE_TRUNCATE,
}
MAIL = {
    "none": 0,
    "begin": lib.MAIL_JOB_BEGIN,
    "end": lib.MAIL_JOB_END,
    "fail": lib.MAIL_JOB_FAIL,
    "requeue": lib.MAIL_JOB_REQUEUE,
    "invalid_depend": lib.MAIL_INVALID_DEPEND,
    "stage_out": lib.MAIL_JOB_STAGE_OUT,
    "all": lib.MAIL_JOB_BEGIN
    | lib.MAIL_JOB_END
    | lib.MAIL_JOB_FAIL
    | lib.MAIL_JOB_REQUEUE
    | lib.MAIL_INVALID_DEPEND
    | lib.MAIL_JOB_STAGE_OUT,
    "time_limit": lib.MAIL_JOB_TIME100,
    "time_limit_90": lib.MAIL_JOB_TIME90,
    "time_limit_80": lib.MAIL_JOB_TIME80,
    "time_limit_50": lib.MAIL_JOB_TIME50,
    "array_tasks": lib.MAIL_ARRAY_TASKS,
}
PROFILES = {
    "none": lib.ACCT_GATHER_PROFILE_NONE,
    "all": lib.ACCT_GATHER_PROFILE_ALL,
    "energy": lib.ACCT_GATHER_PROFILE_ENERGY,
    "task": lib.ACCT_GATHER_PROFILE_TASK,
    "lustre": lib.ACCT_GATHER_PROFILE_LUSTRE,
    "network": lib.ACCT_GATHER_PROFILE_NETWORK,
}
