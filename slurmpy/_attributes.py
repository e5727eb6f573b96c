"""Which attributes of jobs are meant by their names, and which values of theirs are wanted."""

from __future__ import annotations

import itertools
import pwd
from collections.abc import Mapping

from slurmpy._convert import Unlimited
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy.job import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

    from slurmpy._columns import Records
    from slurmpy._fields import Field

    #: An attribute, and the values of it of which any will do.
    Condition = tuple[Field[Any], Collection[Any]]

__all__ = ["MISSING", "conditions", "fields", "matching", "named", "uid"]


class _Missing:
    """Stands for an argument that was not given."""

    def __repr__(self) -> str:
        return "no default"


MISSING: Any = _Missing()


def named(names: tuple[Any, ...], method: str) -> list[Field[Any]]:
    """Attributes whose names were given one by one, or in a list."""
    if len(names) == 1 and not isinstance(names[0], str) and hasattr(names[0], "__iter__"):
        names = tuple(names[0])
    return _named(names, method)


def _named(
    names: tuple[Any, ...], method: str, error: type[Exception] = ValueError
) -> list[Field[Any]]:
    """Attributes by name."""
    if not names:
        msg = f"{method} takes the names of attributes, such as 'id' and 'cpus', and none was given"
        raise TypeError(msg)
    for name in names:
        if not isinstance(name, str):
            msg = f"{method} takes the names of attributes, and {name!r} is none"
            raise TypeError(msg)
    unknown = [name for name in names if name not in Job.fields]
    if unknown:
        others = [name for name in unknown if hasattr(Job, name)]
        if others:
            msg = f"{method} takes what a job's record has, and not Job.{others[0]}"
            raise error(msg)
        msg = f"Job has no attribute {', '.join(map(repr, unknown))}{_meant(unknown, method)}"
        raise error(msg)
    return [Job.fields[name] for name in names]


def _meant(unknown: Sequence[str], method: str) -> str:
    """What names may stand for: attributes that are spelled much like them, or C members."""
    import difflib

    if any("," in name for name in unknown):
        return ": give the names one by one"
    meant = {field.member: name for name, field in Job.fields.items()}
    meant.update({"jobid": "id", "nodelist": "allocated_nodes", "uid": "user_id"})
    meant.update({"user": "user_name", "users": "user_name"})
    if method == "filter()":
        meant["users"] = "user"
    meant.update({name: name for name in Job.fields})
    found = [difflib.get_close_matches(name.lower(), meant, 1, cutoff=0.7) for name in unknown]
    hints = dict.fromkeys(repr(meant[near[0]]) for near in found if near)
    return f": did you mean {', '.join(hints)}?" if hints else ""


def fields(names: Iterable[str] | None, method: str) -> list[Field[Any]]:
    """The attributes that are wanted; all that this Slurm has where none is named."""
    if names is None:
        return [field for field in Job.fields.values() if field.since <= MAJOR]
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        such = [it.strip() for it in names.split(",")] if isinstance(names, str) else ["id", "cpus"]
        msg = f"fields of {method} are a list of names, such as {such}, and not {names!r}"
        raise TypeError(msg)
    return _named(tuple(names), method)


def uid(user: int | str) -> int:
    """The uid of a user's name."""
    if isinstance(user, bool) or not isinstance(user, (int, str)):
        msg = f"a user is a name or a uid, not {type(user).__name__}: {user!r}"
        raise TypeError(msg)
    if isinstance(user, int):
        if not 0 <= user < lib.NO_VAL:
            msg = f"no uid: {user} (uids go from 0 to {lib.NO_VAL - 1})"
            raise ValueError(msg)
        return user
    try:
        # PyPy's look-up ends at a NUL.
        return pwd.getpwnam(user if "\0" not in user else "").pw_uid
    except KeyError:
        msg = f"no user has the name {user!r}"
        if user.isdecimal():
            msg += ": a uid is an int"
        raise ValueError(msg) from None


def conditions(attributes: Mapping[str, Any], user: Any) -> list[Condition]:
    """What jobs have to have: of each attribute that is named, one of some values.

    Args:
        attributes: The attributes, each with the value or the values.
        user: A user or several, or `MISSING` for all.
    """
    found: list[Condition] = []
    if attributes:
        which = _named(tuple(attributes), "filter()", TypeError)
        found = [(field, _wanted(field, attributes[field.name])) for field in which]
    if user is not MISSING:
        found.append((Job.fields["user_id"], set(map(uid, _choices(user)))))
    return found


def _choices(wanted: Any) -> list[Any]:
    """What is wanted, of which any will do."""
    if hasattr(wanted, "tolist"):
        # An array, or a number of NumPy's.
        wanted = wanted.tolist()
    if (
        wanted is None
        or isinstance(wanted, (str, bytes, Mapping))
        or not hasattr(wanted, "__iter__")
    ):
        return [wanted]
    return list(wanted)


def _state(name: str) -> str:
    """A state as the attribute has it, from what squeue takes."""
    # In C, a text would end at a NUL.
    number = (
        lib.NO_VAL
        if "\0" in name
        else lib.slurm_job_state_num(name.encode("utf-8", "surrogateescape"))
    )
    if number == lib.NO_VAL:
        strings = map(lib.slurm_job_state_string, range(lib.JOB_STATE_BASE))
        states = (ffi.string(text).decode() for text in strings)
        known = ", ".join(itertools.takewhile(lambda state: state != "?", states))
        msg = f"no such state: {name!r} (there are {known}, and flags such as COMPLETING)"
        if "," in name:
            msg += ": several are a list"
        raise ValueError(msg)
    state: str = ffi.string(lib.slurm_job_state_string(number)).decode()
    return state


#: What a value can be, by the types that an attribute is declared with.
_TYPES: dict[str, tuple[type, ...]] = {
    "None": (type(None),),
    "Unlimited": (Unlimited,),
    "bool": (bool,),
    "float": (int, float),
    "int": (int,),
    "str": (str,),
}


def _wanted(field: Field[Any], wanted: Any) -> Collection[Any]:
    """The values of an attribute of which any will do.

    Raises:
        TypeError: It does not have such values.
    """
    import re

    choices = _choices(wanted)
    # One of a list, or a dict.
    annotation = re.sub(r"list\[str\]", "str", field.annotation)
    kinds: set[type] = set()
    if "dict[" in annotation:
        kinds.add(Mapping)
    for part in re.sub(r"dict\[.*\]", "None", annotation).split(" | "):
        kinds.update(_TYPES[part])
    for value in choices:
        fits = isinstance(value, tuple(kinds)) or (int in kinds and hasattr(value, "__index__"))
        if not fits or (isinstance(value, bool) and bool not in kinds):
            kind = f"{field.annotation} ({field.unit})" if field.unit else field.annotation
            msg = f"{field.name} is {kind}, and not {type(value).__name__}: {value!r}"
            raise TypeError(msg)
    if field.name == "state":
        choices = list(map(_state, choices))
    # There may be as many as jobs; dicts are few.
    return choices if "dict[" in field.annotation else frozenset(choices)


def matching(records: Records, conditions: Iterable[Condition]) -> list[bool]:
    """Which of the records have, of each attribute, a value that is wanted."""
    keep = [True] * len(records)
    for field, choices in conditions:
        codes, values = records.encoded(field)
        fitting = [_fits(field, value, choices) for value in values]
        which = range(len(records)) if codes is None else ffi.unpack(codes, len(records))
        keep = [kept and fitting[code] for kept, code in zip(keep, which)]
    return keep


def _fits(field: Field[Any], value: Any, choices: Collection[Any]) -> bool:
    """Whether a value is among those that are wanted; of several values, whether one is."""
    if isinstance(value, list):
        return any(one in choices for one in value)
    if field.name == "partition" and value is not None:
        return any(one in choices for one in (value, *value.split(",")))
    return value in choices
