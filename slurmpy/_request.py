"""What is sent to submit a job: the values of a description, and all that sbatch adds to them."""

from __future__ import annotations

import os
import re

from slurmpy import _convert, _parse, _put, _runtime
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy._options import GPU, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from slurmpy._options import Option

    Values = Mapping[str, Any]

__all__ = ["Script", "arguments", "build", "check_together", "required", "script"]


class Script:
    """A batch script: a file, or a text.

    Attributes:
        path: The path, as it was given; None for a text.
    """

    __slots__ = ("_text", "path")

    def __init__(self, path: str | None, content: str) -> None:
        """See the class."""
        self.path = path
        self._text = content

    def content(self) -> bytes:
        """The script as it is sent.

        Raises:
            ValueError: slurmctld or the node would not take it.
            OSError: The file cannot be read.
        """
        if self.path is None:
            found = self._text.encode("utf-8", "surrogateescape")
        else:
            try:
                with open(self.path, "rb") as file:  # noqa: PTH123 - a bare path
                    found = file.read()
            except FileNotFoundError as error:
                msg = f"{error.strerror} (the text of a script begins with '#!')"
                raise FileNotFoundError(error.errno, msg, self.path) from None
        for wrong, why in (
            (not found, "is empty"),
            (not found.strip(), "has nothing but white space"),
            (not found.startswith(b"#!"), "has to begin with '#!' and an interpreter: #!/bin/sh"),
            (b"\0" in found, "cannot have a NUL character"),
            (b"\r\n" in found, "has DOS line ends (\\r\\n): they have to be \\n"),
        ):
            if wrong:
                msg = f"script {why}" + (f" (the file {self.path})" if self.path else "")
                raise ValueError(msg)
        return found


def script(value: object) -> Script:
    """A script from a path or a text."""
    if isinstance(value, os.PathLike):
        return Script(_parse.path(value), "")
    # Not `_parse.text`: that a script has a NUL is said with what else is wrong with it.
    if not isinstance(value, str):
        msg = f"has to be a path or a text, not {type(value).__name__}"
        raise TypeError(msg)
    value = value if "\0" in value else _parse.text(value)
    is_text = not value or value.startswith("#!") or "\n" in value or "\0" in value
    if not is_text and not os.path.exists(value) and re.search(r"\s", value):  # noqa: PTH110
        # Words, and no file of that name: most likely the text of a script.
        is_text = True
    return Script(None, value) if is_text else Script(value, "")


def arguments(value: object) -> list[str]:
    """The arguments of a script, from a list or from words as in a shell."""
    import shlex

    if not isinstance(value, str):
        return _parse.words(value)
    try:
        return shlex.split(_parse.text(value))
    except ValueError as error:
        # Not which: a script may be handed what nobody else is to see.
        msg = f"are no words of a shell ({error})"
        raise ValueError(msg) from None


def required(value: object) -> object:
    """The script, or an error where there is none."""
    if value is None:
        msg = "script is not set: give the path of a file, or a text that begins with '#!'"
        raise ValueError(msg)
    return value


# ---- what does not go together ----

_EXCLUSIVE = (
    ("memory_per_node", "memory_per_cpu", "memory_per_gpu"),
    ("cpus_per_task", "cpus_per_gpu"),
    ("cores_reserved_for_system", "threads_reserved_for_system"),
    ("ntasks_per_gpu", "gpus_per_task"),
    ("ntasks_per_gpu", "gpus_per_socket"),
    ("ntasks_per_gpu", "ntasks_per_node"),
)


def check_together(values: Values) -> None:
    """Raises where two of the values cannot both be.

    Raises:
        ValueError: The message names both.
    """
    for names in _EXCLUSIVE:
        given = [name for name in names if name in values]
        if len(given) > 1:
            msg = f"{' and '.join(given)} exclude each other: set one of them"
            raise ValueError(msg)


def _check_job(values: Values) -> None:
    """The same for what only a job that is submitted has."""
    check_together(values)
    if "gpus_per_socket" in values and "sockets_per_node" not in values:
        msg = "gpus_per_socket goes with sockets_per_node: set it to how many sockets a node has"
        raise ValueError(msg)
    begin, deadline = values.get("begin_time"), values.get("deadline")
    if begin and deadline and deadline < begin:
        msg = "deadline is before begin_time: set it to a later time"
        raise ValueError(msg)
    if values.get("hold") and "priority" in values:
        msg = "hold and priority exclude each other: a job is held by the priority 0"
        raise ValueError(msg)
    limit, limit_min = values.get("time_limit"), values.get("time_limit_min")
    if limit and limit_min and limit_min > limit:
        msg = "time_limit_min is above time_limit: it has to be the lesser one"
        raise ValueError(msg)
    per_core, threads = values.get("ntasks_per_core"), values.get("threads_per_core")
    if per_core and threads and per_core > threads and MAJOR >= "24.11":
        msg = f"ntasks_per_core is {per_core}, and threads_per_core only {threads}"
        raise ValueError(msg)
    if _is_arbitrary(values):
        _check_arbitrary(values)


def _check_arbitrary(values: Values) -> None:
    if "required_nodes" not in values:
        msg = "distribution 'arbitrary' needs required_nodes, the node of each task in order"
        raise ValueError(msg)
    if "nodes" in values and MAJOR >= "24.11":
        msg = "nodes and distribution 'arbitrary' exclude each other: required_nodes has the nodes"
        raise ValueError(msg)


def _is_arbitrary(values: Values) -> bool:
    return bool(values.get("distribution", ("", "", ""))[2].startswith("arbitrary"))


# ---- how much of what ----


#: Whether a node can be named for several tasks of an arbitrary distribution: up to 23.02 each
#: name counts once.
_NAMED_TWICE = MAJOR >= "23.11"


class _Counts:
    """How many nodes, tasks and CPUs there are to be, as sbatch works it out."""

    def __init__(self, values: Values) -> None:
        self.least, self.most, _ = values.get("nodes", (1, 0, ""))
        self.nodes_set = "nodes" in values
        self.tasks: int = values.get("ntasks", 1)
        self.tasks_set = "ntasks" in values
        self.nodes: str | None = None
        #: How many tasks there are where the nodes are named, one for each of them.
        self._named = 0
        if "required_nodes" in values:
            self._require(values)
        per_node = values.get("ntasks_per_node")
        one_size = self.most in (0, self.least)
        #: The tasks that CPUs are counted for.
        self.estimated = self.tasks
        if per_node and not self.tasks_set and one_size:
            self.estimated = self.least * per_node
            # Newer majors leave it to slurmctld to count them.
            if MAJOR < "23.02":
                self.tasks, self.tasks_set = self.estimated, True
        self._check_planes(values)
        if self.nodes_set and self.tasks_set:
            self.most = min(self.most, self.tasks)
            if self.tasks < self.least:
                msg = (
                    f"ntasks is {self.tasks}, and there are to be at least {self.least} nodes: set "
                    "ntasks to as many as there are nodes, or nodes or required_nodes to fewer"
                )
                raise ValueError(msg)
        elif self.nodes_set and one_size and (not per_node or MAJOR < "23.02"):
            self.tasks = max(self.least, 1)
            for name in ("sockets_per_node", "cores_per_socket", "threads_per_core"):
                if name in values:
                    self.tasks *= values[name]
                    self.tasks_set = True
            self.estimated = self.tasks
        else:
            self.estimated = max(self.estimated, self.tasks)
        if self._named and not self.tasks_set:
            self.tasks, self.tasks_set = self._named, True
            self.estimated = self.tasks

    def _require(self, values: Values) -> None:
        text, count, different = ffi.new("char **"), ffi.new("uint32_t *"), ffi.new("uint32_t *")
        given = values["required_nodes"].encode("utf-8", "surrogateescape")
        keeps = _is_arbitrary(values) and _NAMED_TWICE
        _runtime.call(lib.slurmpy_nodes, given, keeps, text, count, different)
        if not text[0]:
            msg = f"required_nodes is no list of nodes: {values['required_nodes']!r}"
            raise ValueError(msg)
        self.nodes = ffi.string(ffi.gc(text[0], lib.slurmpy_xfree)).decode(
            "utf-8", "surrogateescape"
        )
        self.least = max(different[0], self.least) if self.nodes_set else different[0]
        if self.most and self.most < self.least:
            msg = (
                f"required_nodes names {different[0]} nodes, and nodes allows {self.most}: set "
                "nodes to more, or name fewer"
            )
            raise ValueError(msg)
        if _is_arbitrary(values):
            self._named = (count if _NAMED_TWICE else different)[0]
        self.nodes_set = True

    def _check_planes(self, values: Values) -> None:
        size = values.get("distribution", (0, None, ""))[1]
        too_few = size and (self.least - 1) * size >= self.tasks
        if too_few and self.tasks // size < max(self.least, 1):
            msg = f"distribution has planes of {size} tasks, too many for {self.tasks} on all nodes"
            raise ValueError(msg)


#: What numbers of tasks, CPUs and nodes are made of.
_COUNTED = (
    "nodes", "ntasks", "ntasks_per_node", "cpus_per_task", "sockets_per_node", "cores_per_socket",
    "threads_per_core", "gpus", "gres_per_node", "ntasks_per_gpu", "gpus_per_task",
    "gpus_per_socket", "cpus_per_gpu",
)  # fmt: skip


def _put_counts(message: Message, values: Values, counts: _Counts) -> None:
    """Sets what follows from several values together."""
    desc = message.ptr
    if counts.tasks_set:
        desc.bitflags |= lib.JOB_NTASKS_SET
        desc.num_tasks = counts.tasks
    per_task: int = values.get("cpus_per_task", 0)
    if values.get("overcommit"):
        desc.min_cpus = max(counts.least, 1)
    elif per_task:
        desc.min_cpus = counts.estimated * per_task
    elif counts.nodes_set and not counts.least:
        desc.min_cpus = 0
    else:
        desc.min_cpus = counts.estimated
    if per_task:
        desc.bitflags |= lib.JOB_CPUS_SET
        desc.pn_min_cpus = max(values.get("min_cpus_per_node", 0), per_task)
    desc.min_nodes = desc.max_nodes = lib.NO_VAL
    if counts.nodes_set:
        desc.min_nodes = counts.least
        if counts.most:
            desc.max_nodes = counts.most
    elif counts.tasks_set and "ntasks_per_node" in values and MAJOR >= "23.02":
        desc.min_nodes = -(-counts.tasks // values["ntasks_per_node"])
    if counts.nodes is not None:
        message.text("req_nodes", counts.nodes)


def _gpus(values: Values, name: str) -> dict[str, int]:
    """GPUs by type, which is an empty text where none is named."""
    items = values.get(name, "").split(",")
    if name != "gres_per_node":
        items = [item if item.startswith("gpu") else f"gpu:{item}" for item in items if item]
    parts = [(key.partition(":"), count) for key, count in _convert.gres(",".join(items)).items()]
    return {kind: count for (gres, _, kind), count in parts if gres == "gpu" and count}


def _or_one(count: int, unset: int) -> int:
    return 1 if count == unset else count


class _Gpus:
    """The GPUs of a job by type, and what follows from them.

    slurmctld works it out as well, but after it has counted the CPUs of the job.
    """

    def __init__(self, message: Message, values: Values) -> None:
        self.desc = message.ptr
        self.values = values
        self.in_all = _gpus(values, "gpus")
        self.on_node = _gpus(values, "gres_per_node")
        self.on_socket = _gpus(values, "gpus_per_socket")
        self.for_task = _gpus(values, "gpus_per_task")

    def total(self) -> int:
        """How many there are on all nodes, by what says the most of each type."""
        desc = self.desc
        nodes = _or_one(desc.min_nodes, lib.NO_VAL)
        sockets = nodes * _or_one(desc.sockets_per_node, lib.NO_VAL16)
        totals: dict[str, int] = {}
        for counts, factor in (
            (self.in_all, 1),
            (self.on_node, nodes),
            (self.on_socket, sockets),
            (self.for_task, _or_one(desc.num_tasks, lib.NO_VAL)),
        ):
            for kind, count in counts.items():
                totals[kind] = max(totals.get(kind, 0), count * factor)
        return sum(totals.values())

    def put_counts(self) -> None:
        """Sets how many nodes and tasks there are where that follows."""
        self._put_tasks()
        for kind in {**self.in_all, **self.on_node, **self.on_socket, **self.for_task}:
            self._put_nodes(kind)
            if kind in self.for_task:
                self._put_for_tasks(kind, self.for_task[kind])
            if kind in self.in_all and self.desc.max_nodes != lib.NO_VAL:
                # No more nodes than there are GPUs of any one type.
                self.desc.max_nodes = min(self.desc.max_nodes, self.in_all[kind])

    def _put_tasks(self) -> None:
        desc, values = self.desc, self.values
        per_gpu: int = values.get("ntasks_per_gpu", 0)
        is_fixed = desc.min_nodes == desc.max_nodes != lib.NO_VAL
        if is_fixed and desc.num_tasks == lib.NO_VAL and (per_gpu or self.for_task):
            if per_gpu or "ntasks_per_node" in values:
                desc.num_tasks = desc.min_nodes * (per_gpu or values["ntasks_per_node"])
            elif "cpus_per_task" not in values:
                desc.num_tasks = desc.min_nodes
        if not per_gpu:
            return
        if self.total():
            desc.num_tasks = self.total() * per_gpu
        elif desc.num_tasks != lib.NO_VAL:
            self.in_all[""] = desc.num_tasks // per_gpu
        else:
            msg = "ntasks_per_gpu says nothing alone: set gpus, ntasks or one number of nodes too"
            raise ValueError(msg)

    def _put_nodes(self, kind: str) -> None:
        desc = self.desc
        if kind in self.in_all and kind in self.on_node:
            nodes = self.in_all[kind] // self.on_node[kind]
            if nodes and (
                desc.min_nodes == lib.NO_VAL or desc.min_nodes <= nodes <= desc.max_nodes
            ):
                desc.min_nodes = desc.max_nodes = nodes

    def _put_for_tasks(self, kind: str, each: int) -> None:
        desc, values = self.desc, self.values
        if desc.num_tasks == lib.NO_VAL and kind not in self.in_all:
            msg = "gpus_per_task says nothing alone: set ntasks or gpus, or a number of nodes, too"
            raise ValueError(msg)
        if desc.num_tasks == lib.NO_VAL:
            desc.num_tasks = self.in_all[kind] // each
        self.in_all.setdefault(kind, desc.num_tasks * each)
        if kind in self.on_node and desc.ntasks_per_node in (0, lib.NO_VAL16):
            desc.ntasks_per_node = self.on_node[kind] // each
        if kind in self.on_socket and desc.ntasks_per_socket in (0, lib.NO_VAL16):
            desc.ntasks_per_socket = self.on_socket[kind] // each
        if not kind and "cpus_per_gpu" in values and desc.cpus_per_task in (0, lib.NO_VAL16):
            desc.cpus_per_task = values["cpus_per_gpu"] * each


def _put_counts_for_gpus(message: Message, values: Values) -> None:
    """Sets what follows from the GPUs of a job."""
    gpus = _Gpus(message, values)
    gpus.put_counts()
    if "cpus_per_gpu" in values and MAJOR >= "24.05":
        message.ptr.min_cpus = max(message.ptr.min_cpus, values["cpus_per_gpu"] * gpus.total())


# ---- the environment ----

_LIMITS = ["CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS"]


def _here() -> str:
    """The current folder, as text."""
    try:
        return os.getcwd()  # noqa: PTH109 - as text
    except FileNotFoundError as error:
        msg = "the current folder is gone: change to one that there is"
        raise FileNotFoundError(error.errno, msg) from None


def _umask(export: object) -> str:
    """The umask, which os.umask() could only tell by changing it for all threads."""
    variables = export if isinstance(export, dict) else os.environ
    if variables.get("SLURM_UMASK"):
        # That of the shell in which a job that this runs in was submitted.
        return str(variables["SLURM_UMASK"])
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - one line of it
        found = re.search(rb"^Umask:\s*([0-7]+)$", file.read(), re.MULTILINE)
    return f"{int(found[1], 8) if found else 0o022:04o}"


def _limits(conf: Any) -> dict[str, str]:
    """The resource limits that go with a job (PropagateResourceLimits in slurm.conf)."""
    import resource

    def named(text: Any) -> set[str]:
        words = re.split(r"[,\s]+", ffi.string(text).decode())
        return {word.removeprefix("RLIMIT_") for word in words if word}

    wanted, unwanted = named(conf.limits), named(conf.no_limits)
    if "ALL" in wanted:
        wanted = set(_LIMITS)
    elif unwanted:
        wanted = set() if "ALL" in unwanted else set(_LIMITS) - unwanted
    found = {}
    for name in _LIMITS:
        if name in wanted and wanted != {"NONE"}:
            soft, _ = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
            found[f"SLURM_RLIMIT_{name}"] = str(soft % 2**64)
    return found


def _circumstances(values: Values, name: str | None, conf: Any) -> dict[str, str]:
    """The variables that say where a job comes from and what was asked for."""
    found = {
        "SLURM_SUBMIT_DIR": _here(),
        "SLURM_SUBMIT_HOST": os.uname().nodename,
        "SLURM_PRIO_PROCESS": str(os.getpriority(os.PRIO_PROCESS, 0)),
        "SLURM_UMASK": _umask(values.get("environment")),
    }
    if not values.get("get_user_environment"):
        found.update(_limits(conf))
    for attribute, variable in (
        ("container", "SLURM_CONTAINER"),
        ("container_id", "SLURM_CONTAINER_ID"),
        ("dependencies", "SLURM_JOB_DEPENDENCY"),
    ):
        if attribute in values:
            found[variable] = values[attribute]
    return found if _SLURMCTLD_TELLS else {**found, **_described(values, name)}


#: Whether slurmctld tells a job itself what is in its description.
_SLURMCTLD_TELLS = MAJOR >= "24.11"


def _described(values: Values, name: str | None) -> dict[str, str]:
    """The variables that say what is in a description."""
    found: dict[str, str] = {}
    if name is not None:
        found["SLURM_JOB_NAME"] = name
    if "accounting_gather_frequency" in values:
        found["SLURM_ACCTG_FREQ"] = values["accounting_gather_frequency"]
    if "log_files_open_mode" in values:
        appends = values["log_files_open_mode"] == lib.OPEN_MODE_APPEND
        found["SLURM_OPEN_MODE"] = "a" if appends else "t"
    if values.get("profile_types"):
        found["SLURM_PROFILE"] = _put.show_profiles(values["profile_types"])
    if "cpu_frequency" in values:
        found["SLURM_CPU_FREQ_REQ"] = _put.show_cpu_frequency(values["cpu_frequency"])
    return found


def _wanted(values: Values, counts: _Counts) -> dict[str, str]:
    """The variables that tell srun in the job what the job asked for."""
    found: dict[str, Any] = {
        "SLURM_CPUS_PER_TASK": values.get("cpus_per_task"),
        "SLURM_DISTRIBUTION": values["distribution"][2] if "distribution" in values else None,
        "SLURM_DIST_PLANESIZE": values["distribution"][1] if "distribution" in values else None,
        "SLURM_NTASKS_PER_CORE": values.get("ntasks_per_core"),
        "SLURM_NTASKS_PER_GPU": values.get("ntasks_per_gpu"),
        "SLURM_NTASKS_PER_NODE": values.get("ntasks_per_node"),
        "SLURM_NTASKS_PER_SOCKET": values.get("ntasks_per_socket"),
        "SLURM_THREADS_PER_CORE": values.get("threads_per_core"),
    }
    if _is_arbitrary(values):
        found["SLURM_ARBITRARY_NODELIST"] = counts.nodes
    if counts.tasks_set:
        found["SLURM_NPROCS"] = found["SLURM_NTASKS"] = counts.tasks
    return {name: str(value) for name, value in found.items() if value is not None}


def _wanted_gpus(values: Values, message: Message) -> dict[str, str]:
    """The same for GPUs."""
    found: dict[str, Any] = {
        "SLURM_CPUS_PER_GPU": values.get("cpus_per_gpu"),
        "SLURM_GPUS": values.get("gpus"),
        "SLURM_GPUS_PER_SOCKET": values.get("gpus_per_socket"),
        "SLURM_MEM_PER_GPU": values.get("memory_per_gpu"),
    }
    if lib.SLURMPY_SPELLS_TRES:
        for variable, member in (
            ("SLURM_TRES_PER_TASK", message.ptr.tres_per_task),
            ("SLURM_TRES_BIND", message.ptr.tres_bind),
        ):
            found[variable] = ffi.string(member).decode() if member else None
    else:
        found["SLURM_GPU_BIND"] = values.get("gpu_binding")
        found["SLURM_GPUS_PER_TASK"] = values.get("gpus_per_task")
    return {name: str(value) for name, value in found.items() if value is not None}


def _launchers(conf: Any) -> dict[str, str]:
    """The variables that tell an mpirun in the job to start its daemons through srun."""
    if MAJOR < "23.11":
        return {}
    external = "--external-launcher"
    found = {"OMPI_MCA_plm_slurm_args": external, "PRTE_MCA_plm_slurm_args": external}
    is_off = b"disable_slurm_hydra_bootstrap" in ffi.string(conf.mpi)
    for name, arguments in (
        ("HYDRA_BOOTSTRAP", "HYDRA_LAUNCHER_EXTRA_ARGS"),
        ("I_MPI_HYDRA_BOOTSTRAP", "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS"),
    ):
        # Another way that the user has chosen stays, and takes no arguments for srun.
        if os.environ.get(name, "" if is_off else "slurm") == "slurm":
            found.update({name: "slurm", arguments: external})
    return found


def _bytes(text: str) -> bytes:
    """A text as Slurm has it, whatever the encoding of the file system here."""
    return text.encode("utf-8", "surrogateescape")


def _encode(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    return {_bytes(name): _bytes(value) for name, value in variables.items()}


def _environment(values: Values, circumstances: Mapping[str, str]) -> dict[bytes, bytes]:
    """The environment of a job, but for what several components have each for itself."""
    export = values.get("environment", "ALL")
    variables = _encode(export) if isinstance(export, dict) else _taken(export)
    variables.update(_encode(circumstances))
    if export != "ALL":
        variables.setdefault(b"SLURM_EXPORT_ENV", _bytes(_exported(export)))
    if export != "ALL" or values.get("get_user_environment"):
        variables[b"SLURM_GET_USER_ENV"] = b"1"
    if MAJOR >= "26.05":
        # srun in the job refuses to start with the token of whoever submitted it.
        variables.pop(b"SLURM_JWT", None)
    return variables


def _taken(export: str | list[str]) -> dict[bytes, bytes]:
    """What an ``--export`` takes of the environment here, and adds to it."""
    variables: dict[bytes, bytes] = {}
    if isinstance(export, str):
        export = _parse.split_export(export) if export != "NONE" else []
    # What stands after a comma may be part of a value, which nobody else is to see.
    names_only = not any("=" in item for item in export)
    for item in export:
        name, found, content = item.partition("=")
        if found:
            variables.update(_encode({name: content}))
        elif name.upper() == "ALL":
            variables.update(os.environb)
        elif _bytes(name) in os.environb:
            variables[_bytes(name)] = os.environb[_bytes(name)]
        else:
            which = name if names_only else "a variable"
            msg = f"environment names {which}, which the environment here does not have"
            raise ValueError(msg)
    return variables


def _exported(export: str | list[str] | dict[str, str]) -> str:
    """What srun in the job takes over of the job's environment."""
    try:
        return _parse.export_text(export)
    except ValueError:
        # The values are in the job's environment already, so their names will do.
        return ",".join(item.partition("=")[0] for item in export)


# ---- all of it ----


def _path(path: str, folder: str) -> str:
    """The path of a file that Slurm opens, as sbatch completes it."""
    if path.lower() == "none":
        return "/dev/null"
    return path if path.startswith("/") or not path else f"{folder}/{path}"


def _put_files(message: Message, values: Values) -> None:
    """Sets the folder of a job, and its files."""
    here = _here()
    folder = os.path.join(here, values.get("working_directory", here))  # noqa: PTH118 - as text
    message.text("work_dir", folder)
    for name, member, otherwise in (
        ("standard_in", "std_in", "/dev/null"),
        ("standard_output", "std_out", None),
        ("standard_error", "std_err", None),
    ):
        path = values.get(name, otherwise)
        if path is not None:
            message.text(member, _path(path, folder))


def _put_gpu_binding(message: Message, values: Values) -> None:
    """Sets what newer majors make of what there is for each task."""
    if not lib.SLURMPY_SPELLS_TRES:
        return
    per_task = values.get("gpus_per_task")
    if per_task and values.get("cpus_per_task"):
        gpus = ffi.string(message.ptr.tres_per_task).decode()
        message.text("tres_per_task", f"cpu={values['cpus_per_task']},{gpus}")
    elif values.get("cpus_per_task"):
        message.text("tres_per_task", f"cpu={values['cpus_per_task']}")
    if per_task and "gpu_binding" not in values:
        count = re.split("[:=]", per_task.split(",")[0])[-1]
        message.text("tres_bind", f"{GPU}:per_task:{count}")


def _put_gres_binding(message: Message, conf: Any) -> None:
    """Sets what slurm.conf has as the default of the binding to generic resources."""
    desc = message.ptr
    if conf.binds_gres and not desc.bitflags & lib.GRES_DISABLE_BIND:
        desc.bitflags |= lib.GRES_ENFORCE_BIND
    if conf.one_task_per_sharing and not desc.bitflags & lib.GRES_MULT_TASKS_PER_SHARING:
        desc.bitflags |= lib.GRES_ONE_TASK_PER_SHARING


def _submission_conf() -> Any:
    conf = ffi.new("slurmpy_submission_conf_t *")
    _runtime.call(lib.slurmpy_submission_conf, conf)
    return conf


def _put_governor(values: dict[str, Any], conf: Any) -> None:
    """Completes a frequency with the governor that newer majors want with each.

    Raises:
        ValueError: It has a range, and neither it nor the cluster has a governor for it.
    """
    unset = lib.NO_VAL
    low, high, governor = values.get("cpu_frequency", (unset, unset, unset))
    if MAJOR < "23.11" or high == unset or governor != unset:
        return
    governor = lib.CPU_FREQ_USERSPACE if low == unset else conf.governor
    if governor == unset:
        msg = (
            "cpu_frequency has a range without a governor, and there is no CpuFreqDef in "
            "slurm.conf: add one, as in 'low-high:performance'"
        )
        raise ValueError(msg)
    values["cpu_frequency"] = (low, high, governor)


def _check_conf(values: Values, conf: Any) -> None:
    """Raises what the cluster's configuration does not allow, and Slurm would leave away."""
    governor = values.get("cpu_frequency", (0, 0, lib.NO_VAL))[2]
    if governor != lib.NO_VAL and not governor & conf.governors & ~lib.CPU_FREQ_RANGE_FLAG:
        msg = "cpu_frequency has a governor that CpuFreqGovernors in slurm.conf does not allow"
        raise ValueError(msg)
    for name in ("cores_reserved_for_system", "threads_reserved_for_system"):
        if name in values and not conf.specialized:
            msg = f"{name} is not allowed here (AllowSpecResourcesUsage in slurm.conf)"
            raise ValueError(msg)
    local = _runtime.cluster_name()
    others = [name for name in values.get("clusters", "").split(",") if name not in ("", local)]
    if others:
        msg = (
            f"clusters names {', '.join(others)}, and Slurm is in use with {local}: call "
            "slurmpy.init() with the configuration of the other one, and leave clusters unset"
        )
        raise ValueError(msg)


def _check_parts(parts: list[dict[str, Any]]) -> None:
    """Raises where the components of a job are none together, or one by itself."""
    required(parts[0].get("script"))
    for values in parts:
        _check_job(values)
    if len(parts) > 1 and any("array" in values for values in parts):
        msg = "array does not go with a heterogeneous job: leave it unset, or submit one job a task"
        raise ValueError(msg)
    for values in parts[1:]:
        for name in ("script", "script_args"):
            if name in values:
                msg = f"{name} is that of the first component alone: leave it unset in the others"
                raise ValueError(msg)


def build(parts: list[dict[str, Any]], options: Mapping[str, Option[Any]]) -> list[Message]:
    """The messages for the components of a job; most have one.

    Raises:
        ValueError: Values do not go together, or something is missing.
    """
    _check_parts(parts)
    first = parts[0]
    content = first["script"].content()
    conf = _submission_conf()
    messages: list[Message] = []
    environments: list[dict[bytes, bytes]] = []
    for place, values in enumerate(parts):
        _put_governor(values, conf)
        _check_conf(values, conf)
        counts = _Counts(values)
        message = Message()
        lib.slurmpy_init_submission(message.ptr)
        for name, value in values.items():
            options[name].put(message, value)
        try:
            _put_counts(message, values, counts)
            _put_counts_for_gpus(message, values)
        except OverflowError:
            names = ", ".join(name for name in _COUNTED if name in values)
            msg = f"{names} together ask for more than Slurm can count: set less"
            raise ValueError(msg) from None
        _put_gpu_binding(message, values)
        _put_gres_binding(message, conf)
        _put_files(message, values)
        called = _put_program(message, values, first)
        environments.append(_environment(values, _circumstances(values, called, conf)))
        # What each component asked for is told to the script, which is the leader's.
        asked = {**_wanted_gpus(values, message), **_wanted(values, counts)}
        suffixes = [f"_{group}_GROUP_{place}" for group in ("HET", "PACK")]
        for suffix in suffixes if len(parts) > 1 else [""]:
            environments[0].update(_encode({name + suffix: it for name, it in asked.items()}))
        messages.append(message)
    environments[0] = {**_encode(_launchers(conf)), **environments[0]}
    messages[0].text("script", content)
    for message, variables in zip(messages, environments):
        message.texts("environment", [b"%s=%s" % pair for pair in variables.items()])
        message.ptr.env_size = len(variables)
    return messages


def _put_program(message: Message, values: Values, first: Values) -> str | None:
    """Sets what runs, for whom, and under what name; gives the name that the job is told."""
    source: Script = first["script"]
    words = [os.path.abspath(source.path)] if source.path else []  # noqa: PTH100 - as text
    if values is first and "script_args" in values:
        # The first word is the program's name; that of a text is the one that slurmd gives it.
        words = [*(words or ["slurm_script"]), *values["script_args"]]
    if words:
        message.texts("argv", words)
        message.ptr.argc = len(words)
    name: str | None = values.get("name")
    if name is None and source.path:
        name = os.path.basename(source.path)  # noqa: PTH119 - as text
    message.text("name", "sbatch" if name is None else name)
    desc = message.ptr
    if "user_id" not in values:
        desc.user_id = os.geteuid()
    if "group_id" not in values:
        desc.group_id = os.getegid()
    for member, unless, otherwise in (
        ("contiguous", "requires_contiguous_nodes", 0),
        ("mail_type", "mail_types", 0),
        ("mem_bind_type", "", 0),
        ("task_dist", "distribution", lib.SLURM_DIST_UNKNOWN),
    ):
        if unless not in values:
            setattr(desc, member, otherwise)
    return name
