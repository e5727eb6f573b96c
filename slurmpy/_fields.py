"""The kinds of attribute. An attribute of a record is one line that names its kind.

A `Field` is a property whose getter reads one member of the C struct and converts it. What a class
declares is found again in ``Class.fields``, from which `to_dict`, the documentation and the tests
are made.
"""

from __future__ import annotations

from slurmpy._convert import UNLIMITED, Unlimited
from slurmpy._ffi import ffi, lib
from slurmpy.errors import UnsupportedField

__all__ = ["Field", "Struct"]

# typing costs a quarter of `import slurmpy`, and only type checkers need it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Generic, NoReturn, TypeVar, overload

    T = TypeVar("T")

    class _Property(Generic[T]):
        """What a type checker sees of a field: a value that can be read."""

        @overload
        def __get__(self, instance: None, owner: type) -> Field[T]: ...
        @overload
        def __get__(self, instance: object, owner: type) -> T: ...
        def __get__(self, instance: object | None, owner: type) -> Field[T] | T: ...
        def __set__(self, instance: object, value: NoReturn) -> None: ...

else:

    class _Property(property):
        """A property that can be written ``Field[int]``, as the type checkers want it."""

        def __class_getitem__(cls, _type: object) -> type:
            return cls


class Field(_Property["T"]):
    """An attribute of a record.

    Attributes:
        name: Its name.
        annotation: Its type.
        unit: What the value counts, or an empty text.
        member: The members of the C struct that it comes from.
        since: The first Slurm major that has it, or an empty text.
        unset: The values of the member that stand for None, where the attribute is the member as
            it is otherwise; None where there is more to it.
        is_text: Whether it is a text of the record's own, as it is.
        path: Which of the paths it is that the library makes up of the whole record: 0 is that of
            standard input, 1 of output, 2 of error; None for none.
    """

    name: str
    unit: str
    member: str
    since: str
    unset: Mapping[Any, None] | None
    is_text: bool
    path: int | None

    def __init__(  # noqa: PLR0913 - what there is to know of an attribute
        self,
        getter: Callable[[Any], T],
        doc: str,
        *,
        annotation: str,
        member: str,
        unit: str = "",
        since: str = "",
        unset: Mapping[Any, None] | None = None,
        is_text: bool = False,
        path: int | None = None,
    ) -> None:
        """See the class."""
        self.annotation = annotation
        self.unset = unset
        self.is_text = is_text
        self.path = path
        self.unit = unit
        self.member = member
        self.since = since
        source = ", ".join(f"``{name}``" for name in member.split(", "))
        text = f"{doc} ({unit}; {source})" if unit else f"{doc} ({source})"
        if since:
            text += f" Slurm {since} and newer."
        getter.__doc__ = text
        if not TYPE_CHECKING:
            super().__init__(getter)
            # The class's own docstring hides what a property would keep.
            self.__doc__ = text

    def __set_name__(self, owner: type, name: str) -> None:
        """Learns the name that the class gives it."""
        self.name = name

    def __repr__(self) -> str:
        """Name and type."""
        return f"<Field {self.name}: {self.annotation}>"


#: What each width of integer has for "not set" and for "no limit".
_MARKS = {
    1: (lib.NO_VAL8, lib.INFINITE8),
    2: (lib.NO_VAL16, lib.INFINITE16),
    4: (lib.NO_VAL, lib.INFINITE),
    8: (lib.NO_VAL64, lib.INFINITE64),
}

#: The marks as a signed time has them, 32 bits wide or 64.
_NO_TIME = (lib.NO_VAL, lib.INFINITE, -2, -1)


class Struct:
    """The kinds of attribute over one C struct.

    The getters take the record in one step, as a pair of the pointer and of what owns the memory:
    the second name keeps the memory while the first is read, whatever another thread closes.

    Args:
        name: The struct's name in ``cdefs/``.
    """

    def __init__(self, name: str) -> None:
        """See the class."""
        self._members = dict(ffi.typeof(name).fields)

    def _field(  # noqa: PLR0913 - what there is to know of an attribute
        self,
        getter: Callable[[Any], T],
        doc: str,
        member: str,
        annotation: str,
        unit: str = "",
        *,
        unset: Mapping[Any, None] | None = None,
    ) -> Field[T]:
        return Field(getter, doc, annotation=annotation, member=member, unit=unit, unset=unset)

    def _marks(self, member: str) -> tuple[int, int]:
        """The member's own marks for "not set" and "no limit"."""
        return _MARKS[ffi.sizeof(self._members[member].type)]

    def _unset(self, member: str) -> tuple[int, ...]:
        """All that can stand for "not set" in a member, 0 aside."""
        if int(ffi.cast(self._members[member].type, -1)) < 0:
            return _NO_TIME
        return self._marks(member)

    def integer(self, member: str, doc: str, unit: str = "") -> Field[int]:
        """A number that is always set."""

        def get(record: Any) -> Any:
            ptr, _owner = record._record
            return getattr(ptr, member)

        return self._field(get, doc, member, "int", unit, unset={})

    def number(
        self, member: str, doc: str, unit: str = "", *, zero: bool = True
    ) -> Field[int | None]:
        """A number that may be unset: ``NO_VAL``, ``INFINITE`` and, unless ``zero``, 0."""
        marks = dict.fromkeys((*self._unset(member), *(() if zero else (0,))))
        unset = marks.get

        def get(record: Any) -> Any:
            ptr, _owner = record._record
            value = getattr(ptr, member)
            return unset(value, value)

        return self._field(get, doc, member, "int | None", unit, unset=marks)

    def duration(
        self, member: str, doc: str, unit: str, divide: int = 1
    ) -> Field[int | Unlimited | None]:
        """A duration that may be unset, or have no end."""
        unset, endless = self._marks(member)

        def get(record: Any) -> int | Unlimited | None:
            ptr, _owner = record._record
            value: int = getattr(ptr, member)
            if value == unset:
                return None
            return UNLIMITED if value == endless else value // divide

        return self._field(get, doc, member, "int | Unlimited | None", unit)

    def minutes(self, member: str, doc: str, *, zero: bool = True) -> Field[int | None]:
        """A time limit in minutes; None where there is none."""
        return self.number(member, doc, "minutes", zero=zero)

    def timestamp(self, member: str, doc: str) -> Field[int | None]:
        """A moment, as a Unix timestamp."""
        marks = dict.fromkeys((0, *_NO_TIME))
        unset = marks.get

        def get(record: Any) -> Any:
            ptr, _owner = record._record
            value = getattr(ptr, member)
            return unset(value, value)

        return self._field(get, doc, member, "int | None", "Unix timestamp", unset=marks)

    def boolean(self, member: str, doc: str) -> Field[bool]:
        """Yes or no, from a number."""
        no = (0, *self._marks(member))

        def get(record: Any) -> bool:
            ptr, _owner = record._record
            return getattr(ptr, member) not in no

        return self._field(get, doc, member, "bool")

    def flag(self, member: str, bit: int, doc: str) -> Field[bool]:
        """Yes or no, from one bit of a member."""

        def get(record: Any) -> bool:
            ptr, _owner = record._record
            return bool(getattr(ptr, member) & bit)

        return self._field(get, doc, member, "bool")

    def text(self, member: str, doc: str, *, since: str = "") -> Field[str | None]:
        """A text; None where it is empty. Bytes that are not UTF-8 come as surrogates.

        With ``since``, it is one that older majors lack.
        """
        string = ffi.string

        def unsupported(_record: Any) -> Any:
            raise UnsupportedField(field.name, since)

        def get(record: Any) -> Any:
            ptr, _owner = record._record
            value = getattr(ptr, member)
            if not value:
                return None
            try:
                return string(value).decode() or None
            except UnicodeDecodeError:
                return string(value).decode("utf-8", "surrogateescape")

        field = Field(
            get if not since or member in self._members else unsupported,
            doc,
            annotation="str | None",
            member=member,
            since=since,
            is_text=True,
        )
        return field

    def parsed(
        self,
        member: str,
        parse: Callable[[str], T | None],
        doc: str,
        annotation: str,
        unit: str = "",
    ) -> Field[T | None]:
        """A text that one function makes something of; None where it is empty."""
        string = ffi.string

        def get(record: Any) -> T | None:
            ptr, _owner = record._record
            value = getattr(ptr, member)
            text = string(value).decode("utf-8", "surrogateescape") if value else ""
            return parse(text) if text else None

        return self._field(get, doc, member, f"{annotation} | None", unit)

    def mapped(
        self,
        member: str,
        convert: Callable[[int], T],
        doc: str,
        annotation: str,
        unit: str = "",
    ) -> Field[T]:
        """A number that one function makes something of."""

        def get(record: Any) -> T:
            ptr, _owner = record._record
            return convert(getattr(ptr, member))

        return self._field(get, doc, member, annotation, unit)

    def computed(
        self,
        member: str,
        unit: str = "",
        *,
        since: str = "",
        supported: object = True,
        path: int | None = None,
    ) -> Callable[[Callable[[Any], T]], Field[T]]:
        """Makes a method a field that comes of several members.

        Args:
            member: The members, separated by a comma and a space. Records that are the same in them
                have the same value, within one message.
            unit: What the value counts.
            since: The first major that has the members.
            supported: Whether this Slurm does.
            path: Which path it is that the library makes up, of other members too.
        """

        def decorate(method: Callable[[Any], T]) -> Field[T]:
            annotation: str = method.__annotations__["return"]

            def unsupported(_record: Any) -> T:
                raise UnsupportedField(field.name, since)

            field = Field(
                method if supported else unsupported,
                method.__doc__ or "",
                annotation=annotation,
                member=member,
                unit=unit,
                since=since,
                path=path,
            )
            return field

        return decorate
