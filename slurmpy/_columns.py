"""Members of all the records of one message at once, as NumPy arrays on Slurm's own memory."""

from __future__ import annotations

import sys

from slurmpy._ffi import ffi
from slurmpy.errors import UnsupportedField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from slurmpy._fields import Field
    from slurmpy._records import Snapshot

    # NumPy is an extra, and a type checker may not have it either.
    Array: TypeAlias = Any

__all__ = ["raw"]

_ORDER = "<" if sys.byteorder == "little" else ">"


class _Memory:
    """Where a column is, as NumPy asks for it (its array interface).

    An array keeps this as its base as long as it, or another view on it, is there; and this keeps
    the message. So the memory outlives the collection, and whatever is closed.
    """

    def __init__(self, interface: dict[str, Any], owner: object) -> None:
        """See the class."""
        self.__array_interface__ = interface
        self._owner = owner


def raw(
    snapshot: Snapshot | None, struct: str, fields: Iterable[Field[Any]], rows: list[int] | None
) -> dict[str, Array]:
    """The members that attributes read, for all records of a message.

    Args:
        snapshot: What owns the message; None where there is none.
        struct: Name of the C struct.
        fields: The attributes.
        rows: Which records are wanted; None for all, without a copy.

    Returns:
        The name of each attribute to an array, which cannot be written to.

    Raises:
        ValueError: An attribute is not a number of the record's own.
        UnsupportedField: This Slurm does not have one.
    """
    import numpy as np

    members = dict(ffi.typeof(struct).fields)
    arrays: dict[str, Array] = {}
    for field in fields:
        if field.since and field.member not in members:
            raise UnsupportedField(field.name, field.since)
        kind = members[field.member].type if field.member in members else None
        if kind is None or kind.kind != "primitive":
            msg = f"{field.name} is not one number of the record, but {field.annotation}"
            raise ValueError(msg)
        interface = {
            "version": 3,
            "typestr": f"{_ORDER}{_letter(kind)}{ffi.sizeof(kind)}",
            "shape": (0,),
            "data": (0, True),
        }
        if snapshot is not None and snapshot.message.record_count:
            start = int(ffi.cast("uintptr_t", snapshot.message.job_array))
            interface["data"] = (start + ffi.offsetof(struct, field.member), True)
            interface["shape"] = (int(snapshot.message.record_count),)
            interface["strides"] = (ffi.sizeof(struct),)
        column = np.asarray(_Memory(interface, snapshot))
        if rows is not None:
            column = column[rows]
            column.flags.writeable = False
        arrays[field.name] = column
    return arrays


def _letter(kind: Any) -> str:
    """NumPy's letter for a C number."""
    if kind.cname in ("float", "double"):
        return "f"
    return "i" if int(ffi.cast(kind, -1)) < 0 else "u"
