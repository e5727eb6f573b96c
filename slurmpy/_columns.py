"""Members of all the records of one message at once, as NumPy arrays on Slurm's own memory."""

from __future__ import annotations

import sys

from slurmpy._ffi import MAJOR, ffi
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
    snapshot: Snapshot | None,
    struct: str,
    fields: Iterable[Field[Any]],
    chosen: list[int] | list[tuple[Any, Any]] | None,
) -> dict[str, Array]:
    """The members that attributes read, for all records of a message.

    Args:
        snapshot: What owns the message; None where there is none.
        struct: Name of the C struct.
        fields: The attributes.
        chosen: The places of the records that are wanted, or pointers and owners where some are
            of other messages; their members are copied. None is all of the message, without a copy.

    Returns:
        The name of each attribute to an array, which cannot be written to.

    Raises:
        ValueError: An attribute is not a number of the record's own.
        UnsupportedField: This Slurm does not have one.
    """
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        msg = "raw_columns() needs NumPy: pip install 'slurmpy-cffi[numpy]', or numpy itself"
        raise ModuleNotFoundError(msg, name=error.name) from None
    members = dict(ffi.typeof(struct).fields)
    arrays: dict[str, Array] = {}
    for field in fields:
        if field.since > MAJOR:
            raise UnsupportedField(field.name, field.since)
        kind = members[field.member].type if field.member in members else None
        if kind is None or kind.kind != "primitive":
            is_member = field.member in members
            why = "no number in the record" if is_member else f"made of several: {field.member}"
            msg = f"{field.name} is {why}; read it from each job"
            raise ValueError(msg)
        letters = f"{_ORDER}{_letter(kind)}{ffi.sizeof(kind)}"
        if snapshot is not None and snapshot.message.record_count and _in_message(chosen):
            start = int(ffi.cast("uintptr_t", snapshot.message.job_array))
            interface = {
                "version": 3,
                "typestr": letters,
                "shape": (int(snapshot.message.record_count),),
                "strides": (ffi.sizeof(struct),),
                "data": (start + ffi.offsetof(struct, field.member), True),
            }
            column = np.asarray(_Memory(interface, snapshot))
            if chosen is not None:
                column = column[chosen]
        else:
            records: Any = chosen or ()
            column = np.array([getattr(ptr, field.member) for ptr, _ in records], dtype=letters)
        column.flags.writeable = False
        arrays[field.name] = column
    return arrays


def _in_message(chosen: list[int] | list[tuple[Any, Any]] | None) -> bool:
    """Whether each of the records is in the message."""
    return not chosen or isinstance(chosen[0], int)


def _letter(kind: Any) -> str:
    """NumPy's letter for a C number."""
    if kind.cname in ("float", "double"):
        return "f"
    return "i" if int(ffi.cast(kind, -1)) < 0 else "u"
