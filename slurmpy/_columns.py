"""The values of attributes for all records of a collection at once.

All that makes this fast is here, and comes down to two things. A number that is its member as it
is, but for the marks of what is not set, is read from the whole message in one step. Whatever there
is more to, records that are the same in the members that an attribute comes of have the same value:
C finds those (``cdefs/columns.c``), and the attribute is read once for each, or all texts at once.
"""

from __future__ import annotations

import copy
import functools

from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy.errors import UnsupportedField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    from slurmpy._fields import Field
    from slurmpy._records import Record, Snapshot

    # NumPy is an extra, and a type checker may not have it either.
    Array: TypeAlias = Any

__all__ = ["Records", "dicts", "needed"]

#: The units whose values are moments, and those whose values are durations, as NumPy writes them.
MOMENT = "Unix timestamp"
DURATIONS = {"seconds": "s", "minutes": "m"}

#: Of fewer members, to find those that all records have the same takes longer than it saves.
_MANY = 30

#: No 64 bits have a number as large, which a text of Slurm's can be.
LARGE = 2**63


class Records:
    """The records of a collection, in its order.

    Args:
        kind: The class whose attributes they have.
        snapshot: What owns the message; None where there is none.
        chosen: The place of each in the message, or pointer and owner where it is of another. None
            is all of the message.
        fields: The attributes that will be read.
    """

    def __init__(
        self,
        kind: type[Record],
        snapshot: Snapshot | None,
        chosen: list[int | tuple[Any, Any]] | None,
        fields: Iterable[Field[Any]] = (),
    ) -> None:
        """See the class."""
        if snapshot is None and chosen:
            # The jobs of a collection that was made by hand are of one message as a rule.
            owners = (it[1] for it in chosen if isinstance(it, tuple))
            snapshot = next((it for it in owners if it and isinstance(it.message, ffi.CData)), None)
        self._kind = kind
        # Of one moment, whatever a reload in another thread finds out.
        self._snapshot = copy.copy(snapshot)
        self._members = _members_of(kind._struct)
        self._size = ffi.sizeof(kind._struct)
        self._array: Any = snapshot.message.job_array if snapshot else ffi.NULL
        #: Those that are of other messages, by their numbers here.
        self._others: dict[int, tuple[Any, Any]] = {}
        #: The places for C, NULL for all as they come.
        self._places: Any = ffi.NULL
        if chosen is None:
            self._count = int(snapshot.message.record_count) if snapshot else 0
        else:
            self._count = len(chosen)
            self._places = ffi.new("uint32_t[]", list(self._placed(chosen, snapshot)))
        self._whole: Array = None
        fields = [field for field in fields if field.since <= MAJOR and field.path is None]
        #: The members of these attributes that all records have the same.
        self._same = self._find_same(
            {name for field in fields for name in field.member.split(", ")}
        )
        numbers = {field.member for field in fields if field.unset is not None}
        #: The other numbers of these attributes, each until it is asked for.
        self._ready = self._gathered(numbers - self._same)

    def _placed(
        self, chosen: list[int | tuple[Any, Any]], snapshot: Snapshot | None
    ) -> Iterator[int]:
        """The places; notes which records are elsewhere."""
        for number, one in enumerate(chosen):
            if not isinstance(one, tuple):
                yield one
            elif snapshot is not None and one[1] is snapshot:
                yield one[0] - self._array
            else:
                self._others[number] = one
                yield lib.SLURMPY_ELSEWHERE

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def values(self, field: Field[Any]) -> list[Any]:
        """The attribute of each."""
        found, is_one = self.column(field)
        return [found] * len(self) if is_one else found

    def column(self, field: Field[Any]) -> tuple[Any, bool]:
        """The one value that all records have, or the values of each, and which of these it is."""
        if field.unset is not None and field.since <= MAJOR and field.member not in self._same:
            raw = self._numbers(field.member)
            return list(map(field.unset.get, raw, raw)) if field.unset else raw, False
        codes, values = self.encoded(field)
        if codes is None:
            return values, False
        if len(values) == 1 and (values[0] is None or not _is_changeable(field)):
            return values[0], True
        return self._spread(field, codes, values), False

    def _spread(self, field: Field[Any], codes: Any, values: list[Any]) -> list[Any]:
        """The value of each record, from what `encoded` gives."""
        each = ffi.unpack(codes, self._count) if self._count else []
        if not _is_changeable(field):
            return [values[code] for code in each]
        # One that its owner can change is each record's own.
        return [it if it is None else _copied(it) for it in map(values.__getitem__, each)]

    def encoded(self, field: Field[Any]) -> tuple[Any, list[Any]]:
        """Values of an attribute, and which of them each record has.

        Returns:
            An array in C with the number of a value for each record, or None where each has its
            own; and the values, of which several may be equal.

        Raises:
            UnsupportedField: This Slurm does not have it.
        """
        if field.since > MAJOR:
            raise UnsupportedField(field.name, field.since)
        # First, as it raises where one was never loaded.
        others = zip(self._others, self._read(field, self._others))
        if field.path is not None:
            values = self._paths(field.path)
            for number, value in others:
                values[number] = value
            return None, values
        names = field.member.split(", ")
        if self._same.issuperset(names):
            codes = ffi.new("uint32_t[]", self._count)
            firsts = [self._first()]
        else:
            codes, firsts = self._distinct(names)
        values = self._texts(field.member, firsts) if field.is_text else self._read(field, firsts)
        for number, value in others:
            codes[number] = len(values)
            values.append(value)
        return codes, values

    def _read(self, field: Field[Any], numbers: Iterable[int]) -> list[Any]:
        """The attribute of some of the records, by their numbers here."""
        get: Any = field.fget  # type: ignore[attr-defined]  # it is a property
        record = object.__new__(self._kind)
        values = []
        for number in numbers:
            record._record = self._others.get(number) or self._own(number)
            values.append(get(record))
        return values

    def _first(self) -> int:
        """The number of the first that is of the message."""
        return next(number for number in range(self._count) if number not in self._others)

    def _own(self, number: int) -> tuple[Any, Any]:
        """Pointer and owner of one of the message."""
        return self._array + (self._places[number] if self._places else number), self._snapshot

    def _numbers(self, member: str) -> list[Any]:
        """A member of each record, as it is."""
        return ffi.unpack(self._values(member), self._count) if self._count else []

    def _values(self, member: str) -> Any:
        """A member of each record, in an array in C, which is the caller's."""
        if member not in self._ready:
            self._ready.update(self._gathered({member}))
        return self._ready.pop(member)

    def _gathered(self, names: set[str]) -> dict[str, Any]:
        """Members of each record, in arrays in C."""
        arrays = {
            name: ffi.new(ffi.getctype(self._members[name].type, "[]"), self._count)
            for name in names
        }
        if arrays:
            pointers = ffi.new("void *[]", list(arrays.values()))
            members = self._c_members(arrays)
            lib.slurmpy_gather(
                self._array,
                self._size,
                self._places,
                self._count,
                members,
                len(arrays),
                pointers,
            )
        for number, (ptr, _owner) in self._others.items():
            for name, values in arrays.items():
                values[number] = getattr(ptr, name)
        return arrays

    def _numpy(self, member: str) -> Array:
        """A member of each record, in an array of NumPy's."""
        import numpy as np

        letter = _letter(self._members[member].type)
        if member not in self._same:
            return np.frombuffer(ffi.buffer(self._values(member)), letter)
        record, _owner = self._own(self._first())
        array = np.full(self._count, getattr(record, member), letter)
        for number, (ptr, _owner) in self._others.items():
            array[number] = getattr(ptr, member)
        return array

    def _distinct(self, names: Sequence[str]) -> tuple[Any, list[int]]:
        """Which records of the message are the same in some members.

        Returns:
            An array in C with a code for each record, and the first record of each code.
        """
        codes = ffi.new("uint32_t[]", self._count or 1)
        firsts = ffi.new("uint32_t[]", self._count or 1)
        members = self._c_members(names)
        found = lib.slurmpy_distinct(
            self._array,
            self._size,
            self._places,
            self._count,
            members,
            len(names),
            codes,
            firsts,
        )
        if found < 0:
            raise MemoryError
        return codes, ffi.unpack(firsts, found) if found else []

    def _find_same(self, names: set[str]) -> set[str]:
        """Those of some members that all records have the same."""
        if len(names) < _MANY:
            return set()
        found = ffi.new("uint8_t[]", len(names))
        members = self._c_members(names)
        lib.slurmpy_same(
            self._array, self._size, self._places, self._count, members, len(names), found
        )
        return {name for name, same in zip(names, found) if same}

    def _c_members(self, names: Collection[str]) -> Any:
        """Where some members are, for C."""
        members = ffi.new("slurmpy_member_t[]", len(names))
        for member, name in zip(members, names):
            kind = self._members[name].type
            member.offset = self._members[name].offset
            member.width = 0 if kind.cname == "char *" else ffi.sizeof(kind)
        return members

    def _texts(self, member: str, numbers: list[int]) -> list[Any]:
        """A text of some of the records of the message, by their numbers here."""
        length = ffi.new("size_t *")
        offset, which = self._members[member].offset, ffi.new("uint32_t[]", numbers)
        return _split(
            lib.slurmpy_texts(
                self._array, self._size, self._places, which, len(which), offset, length
            ),
            length,
        )

    def _paths(self, which: int) -> list[Any]:
        """The paths of all records: each has its own, and to ask for each takes long."""
        length = ffi.new("size_t *")
        return _split(
            lib.slurmpy_paths(which, self._array, self._places, self._count, length), length
        )

    # ---- with NumPy ----

    def raw(self, field: Field[Any]) -> Array:
        """The member that an attribute reads, for all records, on the memory of the message.

        They are copied where these are not all records of the message, or some are of others.

        Returns:
            An array that cannot be written to.

        Raises:
            ValueError: The attribute is not a number of the record's own.
            UnsupportedField: This Slurm does not have it.
        """
        if field.since > MAJOR:
            raise UnsupportedField(field.name, field.since)
        found = self._members.get(field.member)
        if found is None or found.type.kind != "primitive":
            why = "no number in the record" if found else f"made of several: {field.member}"
            msg = f"{field.name} is {why}: columns() has it"
            raise ValueError(msg)
        if self._places or not self._count:
            column = self._numpy(field.member)
            column.flags.writeable = False
            return column
        if self._whole is None:
            self._whole = self._mapped()
        return self._whole[field.member]

    def _mapped(self) -> Array:
        """All records of the message with all numbers in them, on its memory.

        Every array that comes of it, and every view on one, keeps the message. So the memory
        outlives the collection, and whatever is closed.
        """
        import numpy as np

        memory = _Memory()
        memory.owner = self._snapshot
        memory.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{self._size}",
            "shape": (self._count,),
            "data": (int(ffi.cast("uintptr_t", self._array)), True),
        }
        # No buffer of cffi's: it can be written to, and PyPy would keep it for ever.
        return np.asarray(memory).view(_dtype(self._kind._struct))

    def array(self, field: Field[Any]) -> Array:
        """The attribute of each, in an array of its own.

        Returns:
            ``datetime64`` and ``timedelta64`` where it is a moment or a duration, with NaT where it
            is not set; other numbers masked there; a plain array where it always is set; objects
            where it is no number, or too large a one for 64 bits.

        Raises:
            UnsupportedField: This Slurm does not have it.
        """
        import numpy as np

        if field.unset is not None:
            data = self._numpy(field.member)
            unset = np.zeros(len(self), dtype=bool)
            found = np.empty_like(unset)
            for mark in field.unset:
                if _can_have(data.dtype, mark):
                    # In one array for all marks: PyPy keeps what is thrown away for long.
                    unset |= np.equal(data, mark, out=found)
            return typed(data, unset, field)
        codes, values = self.encoded(field)
        which = None if codes is None else self.codes(codes)
        plain, may_be_unset = field.annotation.removesuffix(" | None"), "None" in field.annotation
        if plain == "int" and field.unit in DURATIONS:
            # More seconds than any 64 bits have are as good as none.
            values = [None if it is None or abs(it) >= LARGE else it for it in values]
            may_be_unset = True
        fits = plain != "int" or all(it is None or abs(it) < LARGE for it in values)
        if plain in ("int", "float", "bool") and fits:
            unset = np.array([value is None for value in values], dtype=bool)
            data = np.array([0 if value is None else value for value in values], dtype=plain)
            if which is not None:
                data, unset = data[which], unset[which]
            return typed(data, unset if may_be_unset else None, field)
        if codes is not None and _is_changeable(field):
            which, values = None, self._spread(field, codes, values)
        objects = np.fromiter(values, dtype=object, count=len(values))
        return objects if which is None else objects[which]

    def codes(self, codes: Any) -> Array:
        """The numbers of values, from C."""
        import numpy as np

        return np.frombuffer(ffi.buffer(codes), dtype=np.uint32)[: len(self)]


def _split(made: Any, length: Any) -> list[Any]:
    """Texts that C has put one after the other, each with the 0 at its end; None for empty ones."""
    texts = ffi.gc(made, lib.free)
    if not texts:
        raise MemoryError
    # Decoded in one go, which takes a tenth of the time that they take one by one.
    whole: str = ffi.buffer(texts, length[0])[:].decode("utf-8", "surrogateescape")
    # At once: PyPy does not know how much there is to free.
    ffi.release(texts)
    return [text or None for text in whole.split("\0")[:-1]]


def dicts(records: Records, fields: Sequence[Field[Any]]) -> list[dict[str, Any]]:
    """Attributes as one dict for each record."""
    # A copy has its room from the beginning, and the garbage collector leaves it alone: half the
    # time of dict(zip(...)). It has what all records have in common.
    common: dict[str, Any] = {}
    columns: dict[str, list[Any]] = {}
    for field in fields:
        found, is_one = records.column(field)
        common[field.name] = found if is_one else None
        if not is_one:
            columns[field.name] = found
    if not columns:
        return [common.copy() for _ in range(len(records))]
    rows = []
    # Each in one go: all of them are more than the processor's cache has room for.
    for values in zip(*columns.values()):
        row = common.copy()
        row.update(zip(columns, values))
        rows.append(row)
    return rows


def needed(module: str, extra: str, method: str) -> None:
    """Imports what is not installed with slurmpy, or says how it is."""
    import importlib

    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        msg = f"{method} needs {module}: pip install 'slurmpy-cffi[{extra}]', or {module} itself"
        raise ModuleNotFoundError(msg, name=module) from None


@functools.cache
def _members_of(struct: str) -> dict[str, Any]:
    """The members of a struct by name."""
    return dict(ffi.typeof(struct).fields)


@functools.cache
def _dtype(struct: str) -> Any:
    """The numbers of a struct, where they are in it, as NumPy's structured type."""
    import numpy as np

    members = {
        name: found for name, found in _members_of(struct).items() if found.type.kind == "primitive"
    }
    return np.dtype(
        {
            "names": list(members),
            "formats": [_letter(found.type) for found in members.values()],
            "offsets": [found.offset for found in members.values()],
            "itemsize": ffi.sizeof(struct),
        }
    )


class _Memory:
    """Where the records are, as NumPy asks for it, and what keeps them there."""

    owner: object
    __array_interface__: dict[str, Any]


def _is_changeable(field: Field[Any]) -> bool:
    """Whether the values are lists or dicts."""
    return "[" in field.annotation


def typed(data: Array, unset: Array | None, field: Field[Any]) -> Array:
    """Numbers as an array that tells what is not set."""
    import numpy as np

    letter = "M8[s]" if field.unit == MOMENT else DURATIONS.get(field.unit)
    if letter is None:
        if unset is None or not field.annotation.endswith("None"):
            return data
        return np.ma.MaskedArray(data, unset, keep_mask=False)
    moments = data.astype(np.int64, copy=False)
    if unset is not None:
        moments[unset] = np.iinfo(np.int64).min
    return moments.view(letter if letter.startswith("M") else f"m8[{letter}]")


def _copied(value: Any) -> Any:
    """A list or a dict, with what is in it."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return list(value) if isinstance(value, list) else value


def _letter(kind: Any) -> Any:
    """The letter that NumPy has for a C number."""
    width = ffi.sizeof(kind)
    if kind.cname in ("float", "double"):
        return "d" if kind.cname == "double" else "f"
    letters = {1: "B", 2: "H", 4: "I", 8: "Q"}
    return letters[width].lower() if int(ffi.cast(kind, -1)) < 0 else letters[width]


def _can_have(kind: Any, number: int) -> bool:
    """Whether an array of that kind can have the number at all."""
    import numpy as np

    if kind.kind == "f":
        return True
    limits = np.iinfo(kind)
    return bool(limits.min <= number <= limits.max)
