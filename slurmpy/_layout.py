"""Where a job's CPUs, memory and generic resources are on its nodes."""

from __future__ import annotations

import re

from slurmpy import _control, _runtime
from slurmpy._ffi import ffi, has_members, lib
from slurmpy._records import answered, cell, take
from slurmpy.errors import UnsupportedField, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    from slurmpy._records import Snapshot

    class Gres(TypedDict):
        """A generic resource on a node."""

        count: int
        indexes: list[int]

    class NodeResources(TypedDict):
        """What a job has on a node."""

        cpu_ids: list[int]
        memory: int
        gres: dict[str, Gres]

    #: A node, the numbers of the job's cores on it, and MiB of memory.
    Place = tuple[str, list[int], int]

#: slurmctld cuts a list of indexes after so many characters, be it within a number.
_CUT = 127

_NUMBER = re.compile("[0-9]{1,20}")

#: No node has as many devices: what says so is not what Slurm writes, and would take all memory.
_MOST_INDEXES = 2**16

__all__ = ["IS_KNOWN", "gres", "hosts", "layout", "places"]

#: Whether it was checked how this Slurm keeps it.
IS_KNOWN = has_members("job_resources_t")


def places(ptr: Any) -> list[Place]:
    """Where a job is, from its record; nowhere where Slurm has given no resources.

    Raises:
        UnsupportedField: How this Slurm keeps it is not known.
    """
    resources = ptr.job_resrcs
    if not resources:
        return []
    if not IS_KNOWN:
        attribute = "get_resource_layout_per_node"
        raise UnsupportedField(attribute, "")
    bits = resources.core_bitmap
    names = hosts(resources.nodes)[: resources.nhosts]
    if not bits or not names:
        return []
    found: list[Place] = []
    memory = resources.memory_allocated
    size = lib.slurm_bit_size(bits)
    kind = counted = first = 0
    for number, name in enumerate(names):
        # Nodes with as many cores as the one before are told of once.
        if counted >= resources.sock_core_rep_count[kind]:
            kind, counted = kind + 1, 0
        counted += 1
        count = resources.sockets_per_node[kind] * resources.cores_per_socket[kind]
        numbers = range(max(0, min(count, size - first)))
        cores = [core for core in numbers if lib.slurm_bit_test(bits, first + core)]
        found.append((name, cores, memory[number] if memory else 0))
        first += count
    return found


def layout(ptr: Any, owner: Snapshot | None, job_id: int) -> dict[str, NodeResources]:
    """What a job has on each of its nodes, as ``scontrol -d show job`` prints it."""
    kept = owner.places if owner else None
    # A pointer that stands for no memory raises by itself.
    found = places(ptr) if kept is None else kept
    if owner is None or not found:
        return {}
    if owner.threads is None:
        owner.threads = _threads(owner.cluster, job_id)
    details = [
        ffi.string(ptr.gres_detail_str[i]).decode("utf-8", "replace")
        if ptr.gres_detail_str[i]
        else ""
        for i in range(min(ptr.gres_detail_cnt, len(found)))
    ]
    details += [""] * (len(found) - len(details))
    return {
        name: {
            "cpu_ids": [cpu for core in cores for cpu in _cpus(core, owner.threads.get(name, 1))],
            "memory": memory,
            "gres": gres(detail),
        }
        for (name, cores, memory), detail in zip(found, details)
    }


def _cpus(core: int, threads: int) -> range:
    """The CPUs of a core."""
    return range(core * threads, (core + 1) * threads)


def _threads(cluster: str | None, job_id: int) -> dict[str, int]:
    """Node to threads of each of its cores, from the controller."""
    of = ffi.NULL if cluster is None else cluster.encode("utf-8", "surrogateescape")
    what = f"loading the nodes of job {job_id}"
    with cell("node_info_msg_t **", lib.slurmpy_drop_nodes) as out:
        rc = _runtime.call(lib.slurmpy_load_nodes, of, out)
        if rc == lib.SLURMPY_OTHER_CLUSTER:
            raise _control.other_cluster(job_id, cluster)
        check(rc, what)
        answered(out, what)
        message = take(out, lib.slurm_free_node_info_msg)
    nodes = [message.node_array[i] for i in range(message.record_count)]
    return {
        ffi.string(node.name).decode("utf-8", "surrogateescape"): node.threads
        for node in nodes
        if node.name
    }


def hosts(ranges: Any) -> list[str]:
    """The names in a list such as ``n[1-3]`` in C."""
    names = lib.slurmpy_hosts(ranges) if ranges else None
    if not names:
        return []
    text: str = ffi.string(ffi.gc(names, lib.free)).decode("utf-8", "surrogateescape")
    return text.split(",") if text else []


def gres(text: str) -> dict[str, Gres]:
    """What Slurm writes of a node: ``"gpu:tesla:2(IDX:0-1),shard:3(2/4,1/4),craynetwork(CNT:1)"``.

    A shared resource has how much of each the job has in place of indexes. An item whose count
    is no number is kept whole, as one of its kind.
    """
    found: dict[str, Gres] = {}
    for item, brackets, inside in re.findall(r"([^,()]+)(\(([^()]*)\))?", text):
        if not brackets:
            continue
        kind, _, value = inside.rpartition(":")
        name, number = (item, value) if kind == "CNT" else item.rpartition(":")[::2]
        if kind == "IDX":
            indexes = _numbers(value if len(value) < _CUT else value.rpartition(",")[0])
        else:
            parts = enumerate(inside.split(",") if "/" in inside else ())
            indexes = [index for index, part in parts if not part.startswith("0/")]
        if not _NUMBER.fullmatch(number):
            name, number = f"{item}({inside})", "1"
        of = found.setdefault(name, {"count": 0, "indexes": []})
        of["count"] += int(number)
        of["indexes"] += indexes
    return found


def _numbers(ranges: str) -> list[int]:
    """``"0-2,5"`` as numbers."""
    found: list[int] = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        if all(_NUMBER.fullmatch(it) for it in (first, last or first)):
            found += range(int(first), min(int(last or first), int(first) + _MOST_INDEXES) + 1)
    return found
