"""The kinds of attribute of a description. An attribute is one line that names its kind.

An `Option` knows the option of sbatch that it stands for, takes the value in all its forms, and
puts it into the struct that is sent. The value stays in the description as it was given.
"""

from __future__ import annotations

import re

from slurmpy import _convert, _parse
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy.errors import UnsupportedField

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Callable, Generic, TypeVar, overload

    T = TypeVar("T")

    class _Attribute(Generic[T]):
        """What a type checker sees of an option: a value, or None."""

        @overload
        def __get__(self, instance: None, owner: type) -> Option[T]: ...
        @overload
        def __get__(self, instance: object, owner: type) -> T | None: ...
        def __get__(self, instance: object | None, owner: type) -> Option[T] | T | None: ...
        def __set__(self, instance: object, value: T | None) -> None: ...

else:

    class _Attribute(property):
        """A property that can be written ``Option[int]``, as the type checkers want it."""

        def __class_getitem__(cls, _type: object) -> type:
            return cls


__all__ = [
    "Message",
    "Option",
    "bits",
    "fixed",
    "flag",
    "joined",
    "number",
    "parsed",
    "text",
    "tres",
    "whole",
    "word",
]

_MEMBERS = dict(ffi.typeof("job_desc_msg_t").fields)

#: What stands between the name of a TRES and the rest, as this major sends it.
GPU = "gres/gpu" if lib.SLURMPY_SPELLS_TRES else "gres:gpu"


class Message:
    """A ``job_desc_msg_t`` and the memory of all that it points to, which is Python's."""

    __slots__ = ("_kept", "ptr")

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self.ptr: Any = ffi.new("job_desc_msg_t *")
        lib.slurm_init_job_desc_msg(self.ptr)

    def text(self, member: str, value: str | bytes) -> None:
        """Sets a text."""
        setattr(self.ptr, member, self._copy(value))

    def texts(self, member: str, values: list[str] | list[bytes]) -> None:
        """Sets an array of texts with NULL at its end."""
        array = ffi.new("char *[]", [*map(self._copy, values), ffi.NULL])
        self._kept.append(array)
        setattr(self.ptr, member, array)

    def append(self, member: str, value: str) -> None:
        """Adds to a list with commas."""
        before = getattr(self.ptr, member)
        given = value.encode("utf-8", "surrogateescape")
        self.text(member, ffi.string(before) + b"," + given if before else given)

    def _copy(self, value: str | bytes) -> Any:
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape")
        self._kept.append(ffi.new("char[]", value))
        return self._kept[-1]


class Option(_Attribute["T"]):
    """An attribute of a description.

    Attributes:
        name: Its name.
        annotation: Its type.
        flags: The options of sbatch that set it, such as ``("--job-name", "-J")``.
        argument: Whether these take an argument: ``"required"``, ``"optional"`` or ``"none"``.
        bare: The value that they stand for without one.
        off: The one of them that stands for False.
        member: The members of ``job_desc_msg_t`` that it goes to.
        since: The first Slurm major that has it, or an empty text.
        changes: Whether a job that there is can be changed in it: always, never, or from a major
            on.
    """

    name: str
    member: str
    since: str

    def __init__(  # noqa: PLR0913 - what there is to know of an option
        self,
        flags: str,
        doc: str,
        *,
        annotation: str,
        parse: Callable[[Any], Any],
        put: Callable[[Message, Any], None],
        show: Callable[[Any], str | None] = str,
        read: Callable[[str], Any] = str,
        argument: str = "required",
        bare: Any = True,
        off: str = "",
        member: str = "",
        since: str = "",
        supported: object = True,
        changes: bool | str = True,
        parse_change: Callable[[Any], Any] | None = None,
    ) -> None:
        """See the class."""
        self.flags = tuple(flags.split())
        self.annotation = annotation
        self.argument = argument
        self.bare = bare
        self.off = off
        self.member = member
        self.since = since
        self.changes = changes
        self.read = read
        self._parse = parse
        self._parse_change = parse_change or parse
        self._put = put
        self._show = show
        self._supported = bool(supported)
        if not TYPE_CHECKING:
            super().__init__(self._get, self._set, self._set)
        source = ", ".join(f"``{name}``" for name in member.split(", ") if name)
        option = f"sbatch's ``{self.flags[0]}``" if self.flags else ""
        self.__doc__ = f"{doc} ({'; '.join(filter(None, (option, source)))})"
        if since:
            self.__doc__ += f" Slurm {since} and newer."

    def __set_name__(self, owner: type, name: str) -> None:
        """Learns the name that the class gives it, and the class."""
        self.name = name
        self._owner = owner

    def sibling(self, name: str) -> Option[Any]:
        """Another attribute of the same class."""
        found: Option[Any] = vars(self._owner)[name]
        return found

    def __repr__(self) -> str:
        """Name and type."""
        return f"<Option {self.name}: {self.annotation}>"

    def _get(self, description: Any) -> Any:
        return description._values.get(self.name)

    def _set(self, description: Any, value: Any = None) -> None:
        if value is None:
            description._values.pop(self.name, None)
        else:
            description._values[self.name] = value

    def check(self, value: Any) -> Any:
        """The value in the one form in which it is put and shown.

        Raises:
            TypeError, ValueError: It is none for this attribute; the text names the attribute.
            UnsupportedField: The installed Slurm lacks it.
        """
        return self._checked(value, self._parse)

    def check_change(self, value: Any) -> Any:
        """The same for a job that there is.

        Raises:
            TypeError, ValueError, UnsupportedField: The same; or it cannot be changed.
        """
        if self.changes is True or (self.changes and str(self.changes) <= MAJOR):
            return self._checked(value, self._parse_change)
        why = f" before Slurm {self.changes}" if self.changes else ""
        msg = f"{self.name} of a job that was submitted cannot be changed{why}"
        raise ValueError(msg)

    def _checked(self, value: Any, parse: Callable[[Any], Any]) -> Any:
        if not self._supported:
            raise UnsupportedField(self.name, self.since)
        try:
            return parse(value)
        except (TypeError, ValueError) as error:
            msg = f"{self.name} {error}"
            raise (TypeError if isinstance(error, TypeError) else ValueError)(msg) from None

    def put(self, message: Message, value: Any) -> None:
        """Puts a value that was checked into a message."""
        self._put(message, value)

    def show(self, given: Any, value: Any) -> list[str]:
        """The words for sbatch, of a value as it was given and as it was checked."""
        if self.argument == "none":
            return [self.flags[0]] if value else [self.off] if self.off else []
        as_given = self._show is str and isinstance(given, str) and not isinstance(value, str)
        shown = self._show(str.__str__(given).strip() if as_given else value)
        if shown is None:
            return []
        bare = not shown and self.argument == "optional"
        return [self.flags[0] if bare else f"{self.flags[0]}={shown}"]


# ---- the kinds ----


def whole(text: str) -> int | str:
    """A number, or the text where it is none, for which the check has words.

    int() takes more than sbatch: ``1_000``, and the digits of other scripts.
    """
    stripped = text.strip(_convert.SPACE)
    return int(stripped) if re.fullmatch("[+-]?[0-9]{1,20}", stripped) else text


def _nothing(_message: Message, _value: Any) -> None:
    """Puts what only the whole description can put."""


def fixed(
    flags: str,
    doc: str,
    parse: Callable[[Any], Any],
    annotation: str,
    put: Callable[[Message, Any], None] = _nothing,
    **more: Any,
) -> Option[Any]:
    """An attribute with a form and a way of its own."""
    return Option(flags, doc, parse=parse, annotation=annotation, put=put, **more)


def parsed(
    flags: str, member: str, parse: Callable[[Any], Any], doc: str, annotation: str, **more: Any
) -> Option[Any]:
    """A member that one function makes of the value; a text, or a number."""
    is_text = member in _MEMBERS and _MEMBERS[member].type.cname == "char *"

    def put(message: Message, value: Any) -> None:
        if is_text:
            message.text(member, value)
        else:
            setattr(message.ptr, member, value)

    if more.get("since"):
        more.setdefault("supported", member in _MEMBERS)
    return Option(flags, doc, parse=parse, annotation=annotation, put=put, member=member, **more)


def text(flags: str, member: str, doc: str, **more: Any) -> Option[str]:
    """A text."""
    return parsed(flags, member, _parse.text, doc, "str", **more)


def joined(flags: str, member: str, doc: str, separator: str = ",", **more: Any) -> Option[Any]:
    """A list, or the text that it makes."""
    return parsed(flags, member, _parse.joined(separator), doc, "str | list[str]", **more)


def number(
    flags: str, member: str, doc: str, least: int = 1, most: int | None = None, **more: Any
) -> Option[int | str]:
    """A whole number, also as text."""
    highest = most
    if highest is None:
        width = ffi.sizeof(_MEMBERS[member].type) if member in _MEMBERS else 2
        # The two highest are the marks for "not set" and "no limit".
        highest = 2 ** (8 * width) - 3
    more.setdefault("read", whole)
    return parsed(flags, member, _parse.number(least, highest), doc, "int | str", **more)


def _with_words(doc: str, words: Iterable[str]) -> str:
    """A description with the words that there are, where it does not have them by itself."""
    return doc if "``" in doc else f"{doc} Of {', '.join(f'``{name}``' for name in words)}."


def word(flags: str, member: str, words: Mapping[str, int], doc: str, **more: Any) -> Option[str]:
    """One of some words."""
    names = {value: name for name, value in reversed(list(words.items()))}
    doc = _with_words(doc, names.values())
    more.setdefault("show", names.__getitem__)
    return parsed(flags, member, _parse.choice(words), doc, "str", **more)


def bits(
    flags: str, member: str, words: Mapping[str, int], doc: str, alone: str = "", **more: Any
) -> Option[Any]:
    """Several of some words."""

    def show(value: int) -> str:
        whole = [name for name, bit in words.items() if bit == value]
        return ",".join(
            whole or [name for name, bit in words.items() if bit and value & bit == bit]
        )

    doc = _with_words(doc, words)
    parse = _parse.flags(words, alone=alone)
    return parsed(flags, member, parse, doc, "str | list[str]", show=show, **more)


def flag(flags: str, member: str, doc: str, bit: int = 0, **more: Any) -> Option[bool]:
    """Yes or no: a bit of a member, or the whole member."""

    def put(message: Message, value: bool) -> None:
        if not bit:
            setattr(message.ptr, member, int(value))
        elif value:
            setattr(message.ptr, member, getattr(message.ptr, member) | bit)

    more.setdefault("argument", "none")
    return Option(
        flags,
        doc,
        parse=_parse.boolean,
        annotation="bool",
        put=put,
        read=_parse.boolean,
        member=member,
        **more,
    )


def tres(flags: str, member: str, doc: str, **more: Any) -> Option[int | str | Mapping[str, int]]:
    """Numbers of GPUs."""

    def put(message: Message, value: str) -> None:
        message.append(member, ",".join(f"{GPU}:{item}" for item in value.split(",")))

    return Option(
        flags,
        doc,
        parse=_parse.typed,
        annotation="int | str | dict[str, int]",
        put=put,
        member=member,
        **more,
    )
