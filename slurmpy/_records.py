"""What the records of Slurm have in common: the struct, what owns it, and copies that own theirs.

A record is a pointer into an array that one message of slurmctld holds. The message is freed when
nothing refers to it any more: each record refers to its `Snapshot`, the snapshot to the message.
"""

from __future__ import annotations

import functools
import grp
import pwd
import time

from slurmpy._ffi import ffi, lib
from slurmpy._fields import Field
from slurmpy.errors import ClosedError, UnsupportedField, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar, Union

    from slurmpy._layout import Place

    #: A member of a struct that owns its memory, as Python holds it.
    Member = Union[int, float, bytes, list[bytes], dict[str, "Member"]]

__all__ = [
    "Record",
    "Snapshot",
    "answered",
    "cell",
    "closed",
    "is_closed",
    "load_message",
    "snapshot",
    "take",
]


class Snapshot:
    """One message of slurmctld, and the moment that it speaks of.

    Args:
        message: What owns the memory of the records; None where each record owns its own.
        cluster: The cluster that answered.
        now: The moment, as a Unix timestamp.
        configuration: The number of the configuration under which it was asked.
    """

    __slots__ = (
        "cluster",
        "configuration",
        "groups",
        "message",
        "now",
        "places",
        "threads",
        "users",
    )

    def __init__(
        self, message: Any, cluster: str | None, now: float, configuration: int = 0
    ) -> None:
        """See the class."""
        self.configuration = configuration
        self.message = message
        self.cluster = cluster
        self.now = now
        self.users: dict[int, str | None] = {}
        self.groups: dict[int, str | None] = {}
        #: Node to threads a core, once a layout was asked for.
        self.threads: dict[str, int] | None = None
        #: Where the one job of a copy is, whose record has lost what only Slurm can make.
        self.places: list[Place] | None = None

    def preload_names(self) -> None:
        """Reads the whole passwd and group databases, in place of one look-up a name."""
        # The first of an id counts, as in a look-up.
        for user in pwd.getpwall():
            self.users.setdefault(user.pw_uid, user.pw_name)
        for group in grp.getgrall():
            self.groups.setdefault(group.gr_gid, group.gr_name)

    def user(self, uid: int) -> str | None:
        """The name of a user id; None where the system knows none."""
        if uid not in self.users:
            try:
                self.users[uid] = pwd.getpwuid(uid).pw_name
            except (KeyError, OverflowError):
                self.users[uid] = None
        return self.users[uid]

    def group(self, gid: int) -> str | None:
        """The name of a group id; None where the system knows none."""
        if gid not in self.groups:
            try:
                self.groups[gid] = grp.getgrgid(gid).gr_name
            except (KeyError, OverflowError):
                self.groups[gid] = None
        return self.groups[gid]


def cell(ctype: str, drop: Callable[[Any], None]) -> Any:
    """Where a call puts its answer, which is freed at the end of ``with`` if nobody took it.

    Ctrl-C during a call comes through when there is an answer already.

    Args:
        ctype: A pointer to a pointer.
        drop: What frees the answer, if there is one.
    """
    return ffi.gc(ffi.new(ctype), drop)


def take(out: Any, free: Callable[[Any], None], size: int = 0) -> Any:
    """The answer, which is the caller's from then on; None where there is none.

    Args:
        out: What `cell` gave.
        free: What frees it.
        size: How much that is, in bytes.
    """
    ptr = out[0]
    if not ptr:
        return None
    # In this order: at no moment do two own it.
    out[0] = ffi.NULL
    return ffi.gc(ptr, free, size)


def answered(out: Any, what: str) -> None:
    """Raises where a call has given no answer, and called that no error."""
    if not out[0]:
        check(lib.SLURM_UNEXPECTED_MSG_ERROR, what)


def load_message(out: Any, what: str) -> Snapshot:
    """The snapshot of a message that ``slurm_load_jobs`` or a relative of it has just given."""
    answered(out, what)
    size = ffi.sizeof("slurm_job_info_t") * out[0].record_count
    # PyPy frees in time only where it knows how much there is to free; the texts of a record
    # take about as much as the record.
    return snapshot(take(out, lib.slurmpy_free_jobs, 2 * size))


def snapshot(message: Any) -> Snapshot:
    """The snapshot of a message that this thread's last call has given."""
    cluster = ffi.string(lib.slurmpy_cluster()).decode()
    return Snapshot(message, cluster, time.time(), lib.slurmpy_configuration_number())


class Closed:
    """Stands for the pointer of a record whose collection was closed."""

    __slots__ = ()

    def __getattr__(self, member: str) -> Any:
        """No member can be read."""
        msg = (
            "the collection of this job was closed: take a job that is to stay out before, with "
            "pop() or copy.copy()"
        )
        raise ClosedError(msg)


_CLOSED = (Closed(), None)


def closed(record: Record) -> None:
    """Lets go of a record's memory; its attributes raise from then on."""
    record._record = _CLOSED


def is_closed(record: tuple[Any, Any]) -> bool:
    """Whether the pointer of a record, and its owner, stand for one that was closed."""
    return record is _CLOSED


class Record:
    """A record of Slurm's, whose attributes are `Field` declarations."""

    __slots__ = ("_record",)

    #: Name of the C struct.
    _struct: ClassVar[str]
    #: The attributes by name, in the order of their declaration.
    fields: ClassVar[Mapping[str, Field[Any]]] = {}

    #: The pointer and what owns its memory, in one so that both change at once.
    _record: tuple[Any, Any]

    def __init_subclass__(cls) -> None:
        """Collects the declarations."""
        super().__init_subclass__()
        own = {name: item for name, item in vars(cls).items() if isinstance(item, Field)}
        cls.fields = {**cls.fields, **own}

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name; those that the installed Slurm lacks are left out.

        Returns:
            A new dict, in the order in which the attributes are documented.

        Raises:
            ClosedError: The collection of the record was closed.
        """
        values: dict[str, Any] = {}
        for name in self.fields:
            try:
                values[name] = getattr(self, name)
            except UnsupportedField:
                continue
        return values


@functools.cache
def _members(struct: str) -> tuple[tuple[str, str], ...]:
    """The members that can be copied, and how."""
    texts = {"char *": "text", "char * *": "texts"}
    kinds = ((name, field.type) for name, field in ffi.typeof(struct).fields)
    return tuple(
        (name, texts.get(kind.cname, kind.kind))
        for name, kind in kinds
        if kind.kind in ("primitive", "struct") or kind.cname in texts
    )


def to_members(struct: str, ptr: Any) -> dict[str, Member]:
    """The members of a struct as Python values; what is 0 or NULL is left out."""
    values: dict[str, Member] = {}
    for name, kind in _members(struct):
        value = getattr(ptr, name)
        if kind == "struct":
            values[name] = to_members(ffi.typeof(value).cname, value)
        elif not value:
            continue
        elif kind == "text":
            values[name] = ffi.string(value)
        elif kind == "texts":
            size = ptr.gres_detail_cnt
            values[name] = [ffi.string(value[i]) if value[i] else b"" for i in range(size)]
        else:
            values[name] = value
    return values


def from_members(struct: str, values: Mapping[str, Member]) -> tuple[Any, list[Any]]:
    """A struct of one's own with these members.

    Returns:
        The pointer, and what has to be kept as long as it is used.
    """
    ptr = ffi.new(f"{struct} *")
    kept: list[Any] = [ptr]
    _fill(struct, ptr, values, kept)
    return ptr, kept


def _fill(struct: str, ptr: Any, values: Mapping[str, Member], kept: list[Any]) -> None:
    """Sets the members of a struct."""
    for name, _kind in _members(struct):
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, dict):
            member = getattr(ptr, name)
            _fill(ffi.typeof(member).cname, member, value, kept)
            continue
        if isinstance(value, bytes):
            kept.append(ffi.new("char[]", value))
        elif isinstance(value, list):
            texts = [ffi.new("char[]", text) for text in value]
            kept.extend(texts)
            kept.append(ffi.new("char *[]", texts))
        else:
            setattr(ptr, name, value)
            continue
        setattr(ptr, name, kept[-1])
