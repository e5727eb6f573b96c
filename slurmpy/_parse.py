"""From what a user writes in a description to what is sent; the reverse of `slurmpy._convert`.

Each function takes a value in any of the forms that an attribute has, and gives it in one form.
What it cannot take raises a `TypeError` or a `ValueError` whose text says what would be right; the
name of the attribute is added by the caller. The texts are those that sbatch takes.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Collection, Mapping

from slurmpy import _convert
from slurmpy._convert import Unlimited
from slurmpy._ffi import MAJOR, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Union

    #: What a comma-separated option takes.
    Words = Union[str, Collection[str]]

__all__ = [
    "absolute",
    "array",
    "boolean",
    "choice",
    "cpu_frequency",
    "dependencies",
    "distribution",
    "environment",
    "export_text",
    "flags",
    "frequencies",
    "gpu_binding",
    "gres",
    "gres_change",
    "group",
    "joined",
    "memory",
    "minutes",
    "moment",
    "nice",
    "node_count",
    "node_list",
    "number",
    "path",
    "priority",
    "seconds",
    "signal",
    "split_export",
    "switches",
    "text",
    "throttle",
    "typed",
    "user",
    "user_environment",
    "words",
]


#: Letters in either case, and not what Unicode has beside them: the Kelvin sign is no K to Slurm.
_ASCII = re.IGNORECASE | re.ASCII


def _kind(value: object) -> str:
    return type(value).__name__


def _lower(word: str) -> str:
    """Words of Slurm's in lower case; what is none stays none, as the Kelvin sign, whose is a k."""
    return word.lower() if word.isascii() else word


def text(value: object) -> str:
    """A text without a NUL."""
    if not isinstance(value, str):
        msg = f"has to be a str, not {_kind(value)}"
        raise TypeError(msg)
    if "\0" in value:
        msg = "cannot have a NUL character"
        raise ValueError(msg)
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        msg = f"has what is no character: {value[error.start]!r}"
        raise ValueError(msg) from None
    # Of an enumeration's members, what they stand for.
    return str.__str__(value)


def path(value: object) -> str:
    """A path as text."""
    import os

    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    found = text(os.fsdecode(value) if isinstance(value, bytes) else value)
    if not found:
        msg = "cannot be empty"
        raise ValueError(msg)
    return found


def absolute(value: object) -> str:
    """The path of a folder, as slurmctld keeps it."""
    found = path(value)
    if not found.startswith("/"):
        msg = f"of a job that was submitted has to be an absolute path, not {found!r}"
        raise ValueError(msg)
    return found


def words(value: object, separators: str = ",") -> list[str]:
    """The items of a list, or of a text with commas between them."""
    if isinstance(value, str):
        return re.split(f"[{separators}]", text(value))
    # No iterator, which a second look would find empty.
    if not isinstance(value, Collection) or isinstance(value, (bytes, Mapping)):
        msg = f"has to be a list of texts or one text, not {_kind(value)}"
        raise TypeError(msg)
    return [text(item) for item in value]


def joined(separator: str = ",") -> Callable[[Any], str]:
    """A list as one text; a text stays as it is."""

    def parse(value: object) -> str:
        if isinstance(value, str):
            return text(value)
        items = words(value)
        for item in items:
            if not item or separator in item:
                msg = f"an item cannot be empty or have a {separator!r} in it: {item!r}"
                raise ValueError(msg)
        return separator.join(items)

    return parse


def _index(value: Any) -> int:
    """A whole number, also as text."""
    if isinstance(value, str) and re.fullmatch("[+-]?[0-9]{1,20}", value.strip(_convert.SPACE)):
        return int(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        msg = f"has to be a whole number, not {value!r}"
        raise (ValueError if isinstance(value, str) else TypeError)(msg)
    found: Any = value
    return operator.index(found)


def number(least: int, most: int) -> Callable[[Any], int]:
    """A whole number between two others."""

    def parse(value: object) -> int:
        found = _index(value)
        if not least <= found <= most:
            msg = f"has to be a number from {least} to {most}, not {_convert.shown(found)}"
            raise ValueError(msg)
        return found

    return parse


_YES = frozenset(("yes", "true", "1", "on", "y", "t"))
_NO = frozenset(("no", "false", "0", "off", "n", "f"))


def boolean(value: object) -> bool:
    """Yes or no, also in words."""
    word = _lower(value.strip()) if isinstance(value, str) else None
    if value in (True, False) and not isinstance(value, float):
        return bool(value)
    if word in _YES or word in _NO:
        return word in _YES
    msg = f"has to be True or False, not {value!r}"
    raise (TypeError if word is None else ValueError)(msg)


def choice(names: Mapping[str, int]) -> Callable[[Any], int]:
    """One of some words, in any case."""

    def parse(value: object) -> int:
        found = names.get(_lower(text(value)))
        if found is None:
            msg = f"has to be one of {', '.join(map(repr, names))}, not {value!r}"
            raise ValueError(msg)
        return found

    return parse


def flags(names: Mapping[str, int], *, alone: str = "") -> Callable[[Any], int]:
    """Several of some words, as the sum of their bits; one of them may have to stand alone."""

    def parse(value: object) -> int:
        bits = 0
        items = [_lower(item.strip()) for item in words(value)]
        for item in items:
            if item not in names:
                msg = f"has to be made of {', '.join(map(repr, names))}, not {item!r}"
                raise ValueError(msg)
            if item == alone and len(items) > 1:
                msg = f"{item!r} has to stand alone"
                raise ValueError(msg)
            bits |= names[item]
        return bits

    return parse


# ---- times ----

_CLOCK = re.compile(
    r"(?:(?P<days>[0-9]{1,7})-(?:(?P<h>[0-9]{1,9})(?::(?P<m>[0-9]{1,9}))?(?::(?P<s>[0-9]{1,9}))?)?"
    r"|(?P<first>[0-9]{1,9})(?::(?P<second>[0-9]{1,9}))?(?::(?P<third>[0-9]{1,9}))?)"
)
_ENDLESS = frozenset(("infinite", "unlimited", "-1"))


#: The most seconds that sbatch takes, which counts them in 31 bits and says nothing of more.
_MOST_SECONDS = 2**31 - 1


def _clock(value: str) -> int | None:
    """Seconds of a text such as ``"2-00:00:00"`` or ``"90"`` (minutes); None without end."""
    if value.strip().lower() in _ENDLESS:
        return None
    match = _CLOCK.fullmatch(value.strip())
    if match is None:
        msg = (
            f"is no duration: {value!r} (minutes, minutes:seconds, hours:minutes:seconds, "
            "days-hours, days-hours:minutes, days-hours:minutes:seconds, or UNLIMITED)"
        )
        raise ValueError(msg)
    part = {name: int(digits or 0) for name, digits in match.groupdict().items()}
    if match["days"]:
        return ((part["days"] * 24 + part["h"]) * 60 + part["m"]) * 60 + part["s"]
    if match["third"]:
        return (part["first"] * 60 + part["second"]) * 60 + part["third"]
    return part["first"] * 60 + part["second"]


def _duration(value: object, unit: int) -> int | None:
    """Seconds of a number of units, a text or a `timedelta`; None without end."""
    import datetime as dt

    if isinstance(value, Unlimited):
        return None
    if isinstance(value, dt.timedelta):
        total = value // dt.timedelta(seconds=1) + bool(value.microseconds)
    elif isinstance(value, str):
        found = _clock(value)
        if found is None:
            return None
        total = found
    else:
        total = _index(value) * unit
    if total < 0:
        shown = _convert.shown(value) if isinstance(value, int) else repr(value)
        msg = f"cannot be less than 0: {shown}"
        raise ValueError(msg)
    return total


def minutes(value: object) -> int:
    """A time limit in minutes, parts of one rounded up; 0 is none, as for sbatch."""
    total = _duration(value, 60)
    if not total:
        return int(lib.INFINITE)
    # sbatch adds what rounds it up before it divides.
    return number(1, (_MOST_SECONDS - 59) // 60)(-(-total // 60))


def seconds(unit: int) -> Callable[[Any], int]:
    """A duration in seconds, from a number of units, a text or a `timedelta`."""

    def parse(value: object) -> int:
        total = _duration(value, unit)
        return int(lib.INFINITE) if total is None else number(0, _MOST_SECONDS)(total)

    return parse


_MONTH, _DAY = "(?:1[0-2]|0?[1-9])", "(?:[12][0-9]|3[01]|0?[1-9])"
_DATE = (
    rf"(?:today|tomorrow|[12][0-9]{{3}}-{_MONTH}-{_DAY}"
    rf"|{_MONTH}/{_DAY}(?:/[0-9]{{2}})?|{_MONTH}\.{_DAY}(?:\.[0-9]{{2}})?"
    r"|(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[0-9]{2})?)"
)
_TIME = (
    r"(?:midnight|noon|fika|teatime|(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
    r"|(?:0?[0-9]|1[0-2]):[0-5][0-9](?::[0-5][0-9])?\s?[ap]m)"
)
_MOMENT = re.compile(
    r"now(?:\s*[+-]\s*[0-9]{1,9}\s*(?:(?:second|minute|hour|day|week)s?)?)?"
    rf"|uts[1-9][0-9]{{6,18}}|{_DATE}(?:[-T\s]{_TIME})?|{_TIME}(?:\s{_DATE})?",
    _ASCII,
)


def moment(value: object) -> int:
    """A Unix timestamp, from one, a `datetime` or a text."""
    import datetime as dt

    if isinstance(value, dt.datetime):
        return _timestamp(int(value.timestamp()))
    if not isinstance(value, str):
        return _timestamp(value)
    given = text(value).strip()
    # What the library does not take it complains of on stderr, so it is asked only what it takes.
    found = lib.slurm_parse_time(given.encode(), 0) if _MOMENT.fullmatch(given) else 0
    if not found or not _is_on(given, found):
        msg = (
            f"is no time: {value!r} (such as '16:00', 'tomorrow', 'now+1hour', "
            "'2027-01-31T12:00:00')"
        )
        raise ValueError(msg)
    return _timestamp(found)


def _is_on(given: str, found: int) -> bool:
    """Whether the day of a date is that of the timestamp: there is no 30 February."""
    day = re.search(r"[0-9]{4}-[0-9]+-([0-9]+)|[0-9]+[./]([0-9]+)|^[0-9]{2}([0-9]{2})", given)
    return not day or int(day[day.lastindex or 1]) == time.localtime(found).tm_mday


def _timestamp(value: object) -> int:
    """A timestamp that sbatch takes too, and that does not stand for none."""
    found = number(10**6, 2**62)(value)
    if found in (lib.NO_VAL, lib.INFINITE):
        msg = f"cannot be {found}, which Slurm takes for no time: set a second before or after"
        raise ValueError(msg)
    return found


# ---- amounts ----

_MEGABYTES = {"k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}


def memory(most: int) -> Callable[[Any], int]:
    """Memory in MiB, from a number of them or a text such as ``"3G"``; KiB are rounded up."""

    def parse(value: object) -> int:
        if isinstance(value, str):
            match = re.fullmatch(r"([0-9]{1,18})([kmgt]?)b?", value.strip(), _ASCII)
            if match is None or (value.strip()[-1] in "bB" and not match[2]):
                msg = f"is no amount of memory: {value!r} (MiB, or a text such as '500M' or '3G')"
                raise ValueError(msg)
            kibibytes = int(match[1]) * _MEGABYTES[match[2].lower() or "m"]
            value = -(-kibibytes // 1024)
        return number(0, most)(value)

    return parse


def nice(value: object) -> int:
    """An adjustment of the priority, as it is sent."""
    return number(-lib.NICE_OFFSET + 3, lib.NICE_OFFSET - 3)(value) + int(lib.NICE_OFFSET)


def priority(value: object) -> int:
    """A priority; ``"TOP"`` is the highest."""
    if isinstance(value, str) and value.upper() == "TOP":
        return int(lib.NO_VAL - 1)
    return number(0, lib.NO_VAL - 1)(value)


def array(value: object) -> str:
    """The tasks of an array, such as ``"0-15:4%2"``."""
    found = text(value).strip()
    span = "[0-9]+(?:-[0-9]+(?::[0-9]+)?)?"
    tasks = rf"{span}(?:,{span})*,?(?:%[0-9]+)?"
    if not re.fullmatch(rf"{tasks}|\[{tasks}\]", found):
        msg = f"is no list of tasks: {value!r} (such as '0-9', '1,3,5', '0-15:4' or '1-100%5')"
        raise ValueError(msg)
    # Of a greater number slurmctld would take the lower 32 bits.
    try:
        _at_once(found.strip("[]").partition("%")[2] or 0)
    except ValueError as error:
        msg = f"after % {error}"
        raise ValueError(msg) from None
    return found


def throttle(value: object) -> str:
    """How many tasks of an array may run at once, as ``"%5"``; 0 is any number."""
    given = value.strip().removeprefix("%") if isinstance(value, str) else value
    try:
        return _at_once(given)
    except ValueError:
        msg = f"of a job that was submitted can only be as '%5', not {value!r}"
        raise ValueError(msg) from None


def _at_once(value: object) -> str:
    return str(number(0, lib.NO_VAL - 1)(value))


_SIZES = r"[0-9]{1,5}(?:-[0-9]{1,5}(?::[1-9][0-9]{0,4})?)?"


def node_count(value: object) -> tuple[int, int, str]:
    """Least and most number of nodes, and the text where it is a list of sizes."""
    if isinstance(value, Mapping):
        if not set(value) <= {"min", "max"} or "min" not in value:
            msg = f"has to be a dict of 'min' and 'max', not {dict(value)!r}"
            raise ValueError(msg)
        value = f"{_index(value['min'])}-{_index(value.get('max', value['min']))}"
    if not isinstance(value, str):
        found = number(0, lib.NO_VAL - 1)(value)
        return found, found, ""
    given = value.strip()
    match = re.fullmatch(r"([0-9]{1,9})([km]?)(?:-([0-9]{1,9})([km]?))?", given, _ASCII)
    if match:
        least = most = _nodes(match[1], match[2])
        if match[3]:
            most = _nodes(match[3], match[4])
        if most < least:
            msg = f"asks for at least {least} nodes and at most {most}: the first is the lesser one"
            raise ValueError(msg)
        return least, most, ""
    if re.fullmatch(f"{_SIZES}(?:,{_SIZES})*", given, re.ASCII):
        ends = [int(end) for part in given.split(",") for end in part.partition(":")[0].split("-")]
        if MAJOR < "23.02":
            msg = f"can be a list of sizes from Slurm 23.02 on, and this is {MAJOR}: {value!r}"
            raise ValueError(msg)
        return min(ends), max(ends), given
    msg = f"is no number of nodes: {value!r} (such as 3, '1-5' or {{'min': 1, 'max': 5}})"
    raise ValueError(msg)


def _nodes(digits: str, unit: str) -> int:
    return number(0, lib.NO_VAL - 1)(int(digits) * {"": 1, "k": 1024, "m": 1024**2}[unit.lower()])


def node_list(value: object) -> str:
    """Nodes by name, as a list or as text such as ``"n[1-3],n7"``."""
    found = joined()(value)
    if "/" in found:
        msg = f"has to be names of nodes, not the path of a file: {value!r}"
        raise ValueError(msg)
    bare = re.sub(r"\[[^][]*\]", "", found)
    if "[" in bare or "]" in bare:
        msg = f"has a bracket without the other one: {value!r}"
        raise ValueError(msg)
    if sum(map(_product, re.findall(r"(?:[^],[]|\[[^][]*\])+", found))) > _MOST_NODES:
        msg = f"has brackets that together stand for more than {_MOST_NODES} nodes"
        raise ValueError(msg)
    return found


#: Of one range Slurm takes no more; several brackets in a name multiply, and would take all memory.
_MOST_NODES = 2**16


def _product(name: str) -> int:
    """How many nodes a name with several brackets stands for; 0 for others, which Slurm counts."""
    brackets = re.findall(r"\[([^][]*)\]", name)
    count = 1 if len(brackets) > 1 else 0
    for ranges in brackets:
        ends = re.findall("([0-9]{1,18})-([0-9]{1,18})", ranges)
        more = sum(max(0, int(last) - int(first)) for first, last in ends)
        count = min(count * (ranges.count(",") + 1 + more), _MOST_NODES + 1)
    return count


# ---- generic resources ----

_GRES_NAME = r"[A-Za-z_][\w.+-]*"
_COUNT = r"[0-9]{1,18}[KMGTP]?"


def _tres(value: object, item: str, example: str) -> list[str]:
    """The items of a text, a dict of counts or a number, each of a form."""
    if isinstance(value, Mapping):
        counts = [(text(name), number(0, 2**63)(count)) for name, count in value.items()]
        items = [f"{name}:{count}" if name else str(count) for name, count in counts]
    elif isinstance(value, str):
        items = [part.strip() for part in text(value).split(",")]
    else:
        items = [str(number(0, 2**63)(value))]
    for part in items:
        if not re.fullmatch(item, part, re.ASCII):
            msg = f"cannot have {part!r} in it (such as {example})"
            raise ValueError(msg)
    if not items:
        msg = f"cannot be empty (such as {example})"
        raise ValueError(msg)
    return items


def typed(value: object) -> str:
    """GPUs: a number, numbers by type in a text, or a dict of these."""
    item = rf"{_COUNT}|{_GRES_NAME}(?:[:=]{_COUNT})?"
    return ",".join(_tres(value, item, "2, 'tesla:1,volta:5' or {'tesla': 1}"))


def gres_change(value: object) -> str:
    """The same of a job that there is."""
    found = gres(value)
    if found == "none":
        msg = "of a job that was submitted cannot be 'none': name the resources that it is to have"
        raise ValueError(msg)
    return found


def gres(value: object) -> str:
    """Generic resources: a text such as ``"gpu:tesla:2,nic"``, or a dict of counts."""
    if isinstance(value, str) and value.strip().lower() == "none":
        return "none"
    if not isinstance(value, (str, Mapping)):
        msg = f"has to be a text or a dict of counts, not {_kind(value)}"
        raise TypeError(msg)
    if isinstance(value, str):
        value = re.sub(r"(^|,)\s*gres[:/]", r"\1", value)
    item = rf"{_GRES_NAME}(?::{_GRES_NAME})?(?:[:=]{_COUNT})?(?:\([^()]*\))?"
    return ",".join(_tres(value, item, "'gpu:2', 'gpu:tesla:1,nic' or {'gpu:tesla': 1}"))


_GPU_BINDING = re.compile(
    r"(?:verbose,)?(?:closest|none|(?:map_gpu|mask_gpu):[0-9a-fA-Fx,*]+"
    r"|(?:per_task|single):[0-9]+)"
)


def gpu_binding(value: object) -> str:
    """How tasks are bound to GPUs."""
    found = text(value).strip()
    if not _GPU_BINDING.fullmatch(found):
        msg = (
            f"is no binding: {value!r} (closest, none, map_gpu:LIST, mask_gpu:LIST, per_task:N or "
            "single:N, and verbose, before it)"
        )
        raise ValueError(msg)
    return found


def switches(value: object) -> tuple[int, int | None]:
    """How many switches, and how many seconds to wait for no more than these."""
    wait: Any = None
    if isinstance(value, Mapping):
        if not set(value) <= {"count", "max_wait_time"} or "count" not in value:
            msg = f"has to be a dict of 'count' and 'max_wait_time', not {dict(value)!r}"
            raise ValueError(msg)
        wait = value.get("max_wait_time")
        value = value["count"]
    elif isinstance(value, str):
        value, found, rest = value.partition("@")
        wait = rest if found else None
    count = number(1, lib.NO_VAL - 1)(value)
    return count, None if wait is None else seconds(1)(wait)


def signal(value: object) -> tuple[int, int, int]:
    """A signal that comes before the end: its number, seconds before, and flags."""
    bits, before = 0, 60
    if isinstance(value, Mapping):
        known = {"signal", "time", "batch_only", "allow_reservation_overlap"}
        if not set(value) <= known or "signal" not in value:
            msg = f"has to be a dict of {', '.join(sorted(known))}, not {dict(value)!r}"
            raise ValueError(msg)
        batch_only = boolean(value.get("batch_only", False))
        bits |= lib.KILL_JOB_BATCH if batch_only else 0
        overlap = boolean(value.get("allow_reservation_overlap", False))
        bits |= lib.KILL_JOB_RESV if overlap else 0
        before = number(0, 0xFFFF)(value.get("time", 60))
        name: Any = value["signal"]
    elif isinstance(value, str):
        match = re.fullmatch(
            r"(?:([RB]{1,2}):)?([^@:]+)(?:@([0-9]+))?", value.strip(), re.IGNORECASE
        )
        if match is None:
            msg = f"is no signal: {value!r} (such as 'USR1@120' or 'B:SIGUSR1@120')"
            raise ValueError(msg)
        letters = (match[1] or "").upper()
        bits |= lib.KILL_JOB_BATCH if "B" in letters else 0
        bits |= lib.KILL_JOB_RESV if "R" in letters else 0
        name = match[2]
        before = number(0, 0xFFFF)(match[3] or 60)
    else:
        name = value
    return _convert.signal_number(name), before, bits


# ---- distribution ----

_OVER_NODES = {"cyclic": lib.SLURM_DIST_NODECYCLIC, "block": lib.SLURM_DIST_NODEBLOCK}
_OVER_SOCKETS = {
    "cyclic": lib.SLURM_DIST_SOCKCYCLIC,
    "block": lib.SLURM_DIST_SOCKBLOCK,
    "fcyclic": lib.SLURM_DIST_SOCKCFULL,
}
_OVER_CORES = {
    "cyclic": lib.SLURM_DIST_CORECYCLIC,
    "block": lib.SLURM_DIST_COREBLOCK,
    "fcyclic": lib.SLURM_DIST_CORECFULL,
}
_PACKING = {"pack": lib.SLURM_DIST_PACK_NODES, "nopack": lib.SLURM_DIST_NO_PACK_NODES}


def distribution(value: object) -> tuple[int, int | None, str]:
    """A distribution of tasks: its bits, the size of its planes, and the text for srun."""
    given = _lower(text(value if isinstance(value, str) else str(value)).strip())
    base, comma, packing = given.partition(",")
    if base in _PACKING and not comma:
        return lib.SLURM_DIST_UNKNOWN | _PACKING[base], None, base
    plane = re.fullmatch(r"plane=([1-9][0-9]{0,8})", given)
    if plane:
        return int(lib.SLURM_DIST_PLANE), number(1, lib.NO_VAL16 - 1)(plane[1]), "plane"
    parts = base.split(":")
    if base in ("arbitrary", "hostfile"):
        bits, names = lib.SLURM_DIST_ARBITRARY, ["arbitrary"]
    else:
        # An asterisk is the default: over cores, what there is over sockets.
        names = ["block" if parts[0] == "*" else parts[0]]
        names += ["cyclic" if part == "*" else part for part in parts[1:2]]
        names += [names[1] if part == "*" else part for part in parts[2:]]
        tables = (_OVER_NODES, _OVER_SOCKETS, _OVER_CORES)
        found = [table.get(name) for table, name in zip(tables, names)]
        bits = None if len(names) > len(tables) or None in found else sum(map(int, found))  # type: ignore[arg-type]
    if bits is None or (comma and packing not in _PACKING):
        msg = (
            f"is no distribution: {value!r} (block or cyclic over nodes; then block, cyclic or "
            "fcyclic over sockets, and over cores, with ':' between; or plane=SIZE; or arbitrary; "
            "and ',pack' or ',nopack')"
        )
        raise ValueError(msg)
    return int(bits) | (_PACKING[packing] if comma else 0), None, ":".join(names) + comma + packing


def distribution_words(bits: int) -> tuple[str | None, str | None, str | None, bool | None]:
    """The words for a distribution: over nodes, over sockets, over cores, and whether it packs."""
    others = {lib.SLURM_DIST_PLANE: "plane", lib.SLURM_DIST_ARBITRARY: "arbitrary"}
    nodes = {**others, **{bit: word for word, bit in _OVER_NODES.items()}}.get(bits & 0xF)
    sockets = {bit: word for word, bit in _OVER_SOCKETS.items()}.get(bits & 0xF0)
    cores = {bit: word for word, bit in _OVER_CORES.items()}.get(bits & 0xF00)
    packing = [word for word, bit in _PACKING.items() if bits & bit]
    return nodes, sockets, cores, packing == ["pack"] if packing else None


# ---- CPU frequency ----

_FREQUENCIES = {
    "low": lib.CPU_FREQ_LOW,
    "medium": lib.CPU_FREQ_MEDIUM,
    "high": lib.CPU_FREQ_HIGH,
    "highm1": lib.CPU_FREQ_HIGHM1,
}
_GOVERNORS = {
    "conservative": lib.CPU_FREQ_CONSERVATIVE,
    "ondemand": lib.CPU_FREQ_ONDEMAND,
    "performance": lib.CPU_FREQ_PERFORMANCE,
    "powersave": lib.CPU_FREQ_POWERSAVE,
    "userspace": lib.CPU_FREQ_USERSPACE,
    "schedutil": lib.CPU_FREQ_SCHEDUTIL,
}


def _frequency(value: object) -> int:
    if isinstance(value, str) and _lower(value.strip()) in _FREQUENCIES:
        return int(_FREQUENCIES[_lower(value.strip())])
    if isinstance(value, str) and not value.strip().isdigit():
        msg = f"is no frequency: {value!r} (kHz, or one of {', '.join(_FREQUENCIES)})"
        raise ValueError(msg)
    return number(1, lib.CPU_FREQ_RANGE_FLAG - 1)(value)


def _governor(value: object) -> int:
    found = _GOVERNORS.get(_lower(text(value).strip()))
    if found is None:
        msg = f"is no governor: {value!r} (one of {', '.join(_GOVERNORS)})"
        raise ValueError(msg)
    return int(found)


def cpu_frequency(value: object) -> tuple[int, int, int]:
    """Least and highest frequency and governor, each as it is sent."""
    unset = int(lib.NO_VAL)
    if isinstance(value, Mapping):
        if not value or not set(value) <= {"min", "max", "governor"}:
            msg = f"has to be a dict of 'min', 'max' and 'governor', not {dict(value)!r}"
            raise ValueError(msg)
        low, high, governor = (value.get(name) for name in ("min", "max", "governor"))
    elif isinstance(value, str):
        span, _, governor = text(value).strip().partition(":")
        first, dash, last = span.partition("-")
        low, high = (first, last) if dash else (None, first)
        if not governor and not dash and first.lower() in _GOVERNORS:
            high, governor = None, first
        governor = governor or None
    else:
        low, high, governor = None, value, None
    if (low is not None or governor is not None) and high is None and low is not None:
        msg = "has to have a highest frequency where it has a least one"
        raise ValueError(msg)
    single = "userspace" if MAJOR >= "23.11" else None
    is_single = isinstance(governor, str) and governor.strip().lower() == single
    if is_single and low is not None:
        msg = "has a range of frequencies, and the governor userspace, which has one at a time"
        raise ValueError(msg)
    if governor is not None and high is not None and low is None and not is_single:
        msg = "has to have a range of frequencies, low-high, where it has one and a governor"
        raise ValueError(msg)
    if low is high is governor is None:
        msg = f"has nothing in it: {value!r}"
        raise ValueError(msg)
    least = unset if low is None else _frequency(low)
    most = unset if high is None else _frequency(high)
    if least != unset and _is_above(least, most):
        msg = f"has a least frequency, {low}, that is above the highest, {high}"
        raise ValueError(msg)
    return least, most, unset if governor is None else _governor(governor)


def _is_above(least: int, most: int) -> bool:
    """Whether a range is upside down, as far as can be told: words are compared with words."""
    ranks = {
        lib.CPU_FREQ_LOW: 0, lib.CPU_FREQ_MEDIUM: 1, lib.CPU_FREQ_HIGHM1: 2, lib.CPU_FREQ_HIGH: 3
    }  # fmt: skip
    if least in ranks and most in ranks:
        return ranks[least] > ranks[most]
    return least not in ranks and least > most


# ---- dependencies ----

_ON_JOBS = "after(?:any|burstbuffer|corr|notok|ok)?|expand"
_JOB = r"[0-9]{1,10}(?:_(?:[0-9]{1,7}|\*))?(?:\+[0-9]{1,9})?"
_DEPENDENCY = rf"(?:(?:{_ON_JOBS})(?::{_JOB})+|singleton)"


def dependencies(value: object) -> str:
    """What a job waits for, as text such as ``"afterok:12:13,singleton"``."""
    if isinstance(value, Mapping):
        satisfy = value.get("satisfy", "all")
        if satisfy not in ("all", "any"):
            msg = f"has 'satisfy' {satisfy!r}, which has to be 'all' or 'any'"
            raise ValueError(msg)
        items = []
        for condition, jobs in value.items():
            if condition == "singleton":
                items += ["singleton"] if boolean(jobs) else []
            elif condition != "satisfy":
                names = [jobs] if isinstance(jobs, str) or hasattr(jobs, "__index__") else jobs
                if not isinstance(names, Collection):
                    msg = f"has to name jobs by id or in a list, not {jobs!r}"
                    raise TypeError(msg)
                items.append(":".join([text(condition), *map(str, names)]))
        found = ("?" if satisfy == "any" else ",").join(items)
    else:
        found = text(value).strip()
    if found and not (
        re.fullmatch(
            rf"[0-9]{{1,10}}|{_DEPENDENCY}(?:,{_DEPENDENCY})*|{_DEPENDENCY}(?:\?{_DEPENDENCY})+",
            found,
        )
    ):
        msg = (
            f"is no dependency: {value!r} (such as 'afterok:12:13', 'after:12+5?afterany:13', "
            "'singleton', or {'afterok': [12, 13], 'satisfy': 'all'})"
        )
        raise ValueError(msg)
    _check_ids(found)
    return found


def _check_ids(found: str) -> None:
    """Raises where slurmctld would take the lower 32 bits of a number, which mean another job."""
    for job_id, later in re.findall(r"(?<![0-9_*+])([0-9]+)(?:_[0-9*]+)?(?:\+([0-9]+))?", found):
        if not 0 < int(job_id) < lib.NO_VAL:
            msg = f"names {job_id}, which is no job id (ids go from 1 to {lib.NO_VAL - 1})"
            raise ValueError(msg)
        if int(later or 0) > lib.NO_VAL // 60:
            msg = f"names {later} minutes, and the most is {lib.NO_VAL // 60}"
            raise ValueError(msg)


# ---- accounting ----


def frequencies(value: object) -> str:
    """How often figures are gathered, such as ``"task=10,energy=60"``."""
    item = "(?:(?:energy|task|filesystem|network)=)?[0-9]{1,9}"
    found = str(_index(value)) if isinstance(value, int) else text(value).strip()
    if not re.fullmatch(rf"{item}(?:,{item})*", found, _ASCII):
        msg = f"is no list of intervals: {value!r} (such as 30 or 'task=10,energy=60', seconds)"
        raise ValueError(msg)
    return found


def user(value: object) -> int:
    """A uid, also from a name."""
    import pwd

    if isinstance(value, str) and not value.strip().isdigit():
        try:
            return pwd.getpwnam(text(value)).pw_uid
        except KeyError:
            msg = f"is no user that this system knows: {value!r}"
            raise ValueError(msg) from None
    return number(0, lib.NO_VAL - 2)(value)


def group(value: object) -> int:
    """A gid, also from a name."""
    import grp

    if isinstance(value, str) and not value.strip().isdigit():
        try:
            return grp.getgrnam(text(value)).gr_gid
        except KeyError:
            msg = f"is no group that this system knows: {value!r}"
            raise ValueError(msg) from None
    return number(0, lib.NO_VAL - 2)(value)


# ---- environment ----


def split_export(value: str) -> list[str]:
    """The items of an ``--export``, one of which may be quoted whole: ``A=1,'B=1,2'``."""
    items = [""]
    for char in value:
        # Both kinds of quotes are counted, each by itself, as sbatch does it.
        if char == "," and not any(items[-1].count(quote) % 2 for quote in "'\""):
            items.append("")
        else:
            items[-1] += char
    if any(items[-1].count(quote) % 2 for quote in "'\""):
        # Without the text, in which there may be a secret.
        msg = f"has a quotation mark that is not closed, in its item {len(items)}"
        raise ValueError(msg)
    quoted = re.compile(r"""(['"])(.*)\1""", re.DOTALL)
    return [match[2] if (match := quoted.fullmatch(item)) else item for item in items]


def export_text(given: str | list[str] | Mapping[str, str]) -> str:
    """Variables as ``--export`` takes them.

    Raises:
        ValueError: A value has what cannot be said so.
    """
    if isinstance(given, str):
        return given
    pairs = given if isinstance(given, list) else [f"{name}={it}" for name, it in given.items()]
    for pair in pairs:
        if "'" in pair or '"' in pair:
            name = pair.partition("=")[0]
            msg = f"the variable {name} has a quotation mark, which --export cannot say"
            raise ValueError(msg)
    return ",".join(f"'{pair}'" if "," in pair else pair for pair in pairs)


def environment(value: object) -> str | list[str] | dict[str, str]:
    """``"ALL"``, ``"NONE"``, another ``--export``, the items of one, or a dict of variables."""
    if isinstance(value, str):
        found = text(value)
        if found.upper() in ("ALL", "NONE"):
            return found.upper()
        if found.upper() == "NIL":
            msg = "'NIL' is not known here: use 'NONE', or a dict of variables"
            raise ValueError(msg)
        for place, item in enumerate(split_export(found), 1):
            _check_variable(item.partition("=")[0], place)
        return found
    if isinstance(value, Mapping):
        variables = {}
        for place, (name, content) in enumerate(value.items(), 1):
            _check_variable(text(name), place)
            try:
                variables[name] = text(content)
            except (TypeError, ValueError) as error:
                msg = f"has a value of {name} that {error}"
                raise type(error)(msg) from None
        return variables
    items = words(value)
    for place, item in enumerate(items, 1):
        _check_variable(item.partition("=")[0], place)
    return items


def user_environment(value: str) -> bool:
    """Seconds and mode of ``--get-user-env``, which only sbatch for another user has a use for."""
    if not re.fullmatch("[0-9]*[sSlL]?", value):
        msg = f"--get-user-env takes seconds, and S or L after them, not {value!r}"
        raise ValueError(msg)
    return True


def _check_variable(name: str, place: int) -> None:
    # A quotation mark is none that --export, or srun in the job, could be told of.
    if not name or re.search("[=,'\"]", name):
        # Without the name, which may be part of a value that has a comma in it.
        what = "has = , ' or \" in it" if name else "is empty"
        msg = f"has a variable without a usable name: that of its item {place} {what}"
        raise ValueError(msg)
