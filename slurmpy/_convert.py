"""From Slurm's texts and numbers to Python values; no memory but Python's is touched here."""

from __future__ import annotations

from slurmpy._ffi import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Union

    Dependencies = dict[str, Union[list[Union[int, str]], bool, str]]

__all__ = [
    "UNLIMITED",
    "Unlimited",
    "comma_list",
    "count",
    "cpu_frequency",
    "dependencies",
    "exit_status",
    "features",
    "first_id",
    "gres",
    "job_ids",
    "job_name",
    "mail_types",
    "mebibytes",
    "per_gpu",
    "profile_types",
    "shown",
    "signal_number",
    "tasks",
    "tres",
    "tres_memory",
]


class Unlimited:
    """The type of `UNLIMITED`, of which there is one object."""

    __slots__ = ()

    def __new__(cls) -> Unlimited:  # noqa: PYI034 - there is but one
        """Gives the one object."""
        return UNLIMITED

    def __repr__(self) -> str:
        """As it is imported."""
        return "slurmpy.UNLIMITED"

    def __str__(self) -> str:
        """As Slurm's tools and JSON have it."""
        return "UNLIMITED"

    def __reduce__(self) -> str:
        """Copies and pickles are the same object."""
        return "UNLIMITED"


#: Where a count or a duration has no limit (Slurm's ``INFINITE``); ``"UNLIMITED"`` in JSON.
UNLIMITED: Unlimited = object.__new__(Unlimited)


def shown(number: int) -> str:
    """A number for a message; of thousands of digits str() would take none, or very long."""
    bits = number.bit_length()
    return str(number) if bits <= _MOST_BITS else f"a number of {bits} bits"


#: Of a number in a text.
_MOST_DIGITS = 20

#: Of numbers that are shown as such.
_MOST_BITS = 256

#: Job ids are 32-bit numbers.
_ID_DIGITS = 10

#: The largest MaxArraySize that slurm.conf takes.
_MOST_TASKS = 4_000_001

_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def count(text: str) -> int:
    """A count, in the form ``"2"`` or ``"4K"`` (of 1024).

    Raises:
        ValueError: The text is no count.
    """
    digits = text.rstrip("KMGTPEkmgtpe")
    unit = _UNITS.get(text[len(digits) :].upper())
    if unit is None or not (digits.isascii() and digits.isdigit()):
        msg = f"no count: {text!r}"
        raise ValueError(msg)
    return int(digits) << 10 * unit


def mebibytes(text: str) -> int:
    """Memory in MiB, from ``"1500M"``, ``"2G"`` or a plain number of MiB; parts of one are dropped.

    Raises:
        ValueError: The text is no amount of memory.
    """
    import re

    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?([KMGTPE]?)", text, re.IGNORECASE | re.ASCII)
    if match is None:
        msg = f"no amount of memory: {text!r}"
        raise ValueError(msg)
    whole, part, unit = match.groups("")
    scaled: int = int(whole + part) << 10 * _UNITS[unit.upper() or "M"]
    divisor: int = 10 ** len(part)
    return scaled // divisor >> 20


def gres(text: str) -> dict[str, int]:
    """``"gres:gpu:tesla:2,gres/shard"`` as ``{"gpu:tesla": 2, "shard": 1}``."""
    found: dict[str, int] = {}
    for item in filter(None, text.split(",")):
        text = item[5:] if item.startswith(("gres:", "gres/")) else item
        name, _, number = text.rpartition("=" if "=" in text else ":")
        try:
            amount = count(number) if name else 1
        except ValueError:
            name, amount = text, 1
        name = name or text
        found[name] = found.get(name, 0) + amount
    return found


def per_gpu(text: str) -> int | None:
    """The amount for GPUs in a list of amounts for TRES, as Slurm's ``mem_per_tres`` is."""
    for name, amount in gres(text).items():
        if name == "gpu" or name.startswith("gpu:"):
            return amount
    return None


def tres_memory(text: str) -> int | None:
    """MiB of memory in a list of TRES such as ``"cpu=2,mem=1500M,node=1"``."""
    for item in text.split(","):
        if item.startswith("mem="):
            try:
                return mebibytes(item[4:])
            except ValueError:
                return None
    return None


def tres(text: str) -> dict[str, int]:
    """``"cpu=2,mem=1500M,node=1,gres/gpu=1"`` as counts by name; memory in MiB.

    What is of no form known here is kept whole, as one of its kind.
    """
    found: dict[str, int] = {}
    for item in comma_list(text):
        name, _, value = item.partition("=")
        try:
            found[name] = mebibytes(value) if name == "mem" else count(value)
        except ValueError:
            found[item] = 1
    return found


def comma_list(text: str) -> list[str]:
    """The items between commas."""
    return [item for item in text.split(",") if item]


def features(text: str) -> list[str]:
    """Features that have to hold together; ``[a|b]`` and ``a|b`` stay one item, as written."""
    items, depth = [""], 0
    for char in text:
        depth += (char in "[(") - (char in "])")
        if char in "&," and depth <= 0:
            items.append("")
        else:
            items[-1] += char
    return [item for item in items if item]


def dependencies(text: str) -> Dependencies:
    """``"afterok:12(unfulfilled),singleton"`` as ``{"afterok": [12], "singleton": True, …}``.

    A job is an `int`; what an int cannot say stays as Slurm writes it: ``"12_*"``, ``"12_3"``,
    ``"12+5"`` (minutes later), and ``"12(failed)"`` for a dependency that can no longer be met.
    ``"satisfy"`` is ``"all"`` or ``"any"``. An item that is of no form known here is kept whole
    under ``"other"``.
    """
    import re

    found: Dependencies = {}
    for item in filter(None, re.split(r"[,?]", text)):
        match = re.fullmatch(
            r"(?P<type>after[a-z]*|expand):(?P<job>[^()]+)(?:\((?P<state>[a-z]+)\))?", item
        )
        if match:
            job, failed = match["job"], match["state"] not in (None, "unfulfilled")
            plain = not failed and job.isascii() and job.isdigit() and len(job) <= _ID_DIGITS
            value = int(job) if plain else f"{job}({match['state']})" if failed else job
            jobs = found.setdefault(match["type"], [])
        elif re.fullmatch(r"singleton(\([a-z]+\))?", item):
            found["singleton"] = True
            continue
        else:
            value = item
            jobs = found.setdefault("other", [])
        if isinstance(jobs, list):
            jobs.append(value)
    found["satisfy"] = "any" if "?" in text else "all"
    return found


def exit_status(status: int) -> tuple[int | None, int | None]:
    """Exit code and signal of a ``wait()`` status; one of them is 0."""
    if status in (lib.NO_VAL, lib.INFINITE):
        return None, None
    signal = status & 0x7F
    if signal in (0, 0x7F):
        return status >> 8 & 0xFF, 0
    return 0, signal


#: What C takes for space, which is less than what strip() and int() take by themselves.
SPACE = " \t\n\r\v\f"


def job_ids(text: str) -> list[int]:
    """The ids of a list such as ``"1,2, 3"``.

    Raises:
        ValueError: An item is no job id.
    """
    ids = []
    for item in text.split(","):
        item = item.strip(SPACE)  # noqa: PLW2901 - the same
        # More digits than any number of C's has would be refused by int(), in words of its own.
        if not (item.isascii() and item.isdigit() and len(item) <= _MOST_DIGITS):
            msg = f"no job id: {item!r} (ids are numbers, separated by commas)"
            raise ValueError(msg)
        ids.append(int(item))
    return ids


def signal_number(value: str | int) -> int:
    """The number of a signal, from a name in any spelling, a number or `signal.Signals`.

    Raises:
        ValueError: There is no such signal.
        TypeError: It is neither text nor a number.
    """
    import operator
    import signal

    if isinstance(value, str):
        # Beside the letters of ASCII there are some whose upper case is one of these.
        name = value.upper() if value.isascii() else ""
        number = getattr(signal.Signals.__members__.get(name), "value", None)
        if number is None:
            number = getattr(signal.Signals.__members__.get(f"SIG{name}"), "value", None)
        if number is None and name.isascii() and name.isdigit():
            number = int(name)
    else:
        try:
            number = None if isinstance(value, bool) else operator.index(value)
        except TypeError:
            msg = f"a signal is a name or a number, not {type(value).__name__}: {value!r}"
            raise TypeError(msg) from None
    if number is None or not 0 < number < signal.NSIG:
        given = repr(value) if isinstance(value, str) or number is None else shown(number)
        msg = f"no signal: {given} (a name such as 'SIGUSR1' or 'usr1', or a number)"
        raise ValueError(msg)
    return number


def job_name(text: str) -> int | str:
    """An id, or what else Slurm can name in text.

    Raises:
        ValueError: Slurm cannot name anything so.
    """
    import re

    if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS:
        return int(text)
    span = "[0-9]{1,7}(-[0-9]{1,7}(:[1-9][0-9]{0,6})?)?"
    spans = f"{span}(,{span})*"
    name = rf"[0-9]{{1,{_ID_DIGITS}}}(_({spans}|\[{spans}(%[0-9]+)?\])|\+[0-9]{{1,7}})"
    if not re.fullmatch(name, text) or not 0 < int(re.split("[_+]", text)[0]) < lib.NO_VAL:
        msg = f"no name of a job: {text!r} (such as '123', '123_4', '123_[1-5]' or '123+1')"
        raise ValueError(msg)
    return text


def first_id(name: int | str, *, several: bool = False) -> int:
    """The id in a name of one job, or of several where that is wanted.

    Raises:
        ValueError: The name is of several, and that is not wanted.
    """
    if isinstance(name, int):
        return name
    first, _, rest = name.replace("+", "_").partition("_")
    if not rest.isdigit() and not several:
        msg = f"{name} names several jobs: load the array by its id, {first}"
        raise ValueError(msg)
    return int(first)


def tasks(name: int | str) -> list[str]:
    """The tasks that a name of several is of, each by its own name.

    Raises:
        ValueError: They are more than there can be.
    """
    array, _, ranges = str(name).partition("_")
    found: list[range] = []
    for part in ranges.strip("[]").partition("%")[0].split(",") if ranges else ():
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        found.append(range(int(first), int(last or first) + 1, int(step or 1)))
    # Before any is made.
    if sum(map(len, found)) > _MOST_TASKS:
        msg = f"{name} names more tasks than an array of Slurm's can have, {_MOST_TASKS}"
        raise ValueError(msg)
    return [f"{array}_{number}" for numbers in found for number in numbers]


def _names(*flags: tuple[int, str]) -> Callable[[int], list[str]]:
    """A function that gives the names of the bits that are set, in this order."""

    def names(bits: int) -> list[str]:
        return [name for flag, name in flags if bits & flag]

    return names


#: Names of the mail flags, as sbatch takes them and in scontrol's order.
mail_types = _names(
    (lib.MAIL_ARRAY_TASKS, "ARRAY_TASKS"),
    (lib.MAIL_INVALID_DEPEND, "INVALID_DEPEND"),
    (lib.MAIL_JOB_BEGIN, "BEGIN"),
    (lib.MAIL_JOB_END, "END"),
    (lib.MAIL_JOB_FAIL, "FAIL"),
    (lib.MAIL_JOB_REQUEUE, "REQUEUE"),
    (lib.MAIL_JOB_STAGE_OUT, "STAGE_OUT"),
    (lib.MAIL_JOB_TIME50, "TIME_LIMIT_50"),
    (lib.MAIL_JOB_TIME80, "TIME_LIMIT_80"),
    (lib.MAIL_JOB_TIME90, "TIME_LIMIT_90"),
    (lib.MAIL_JOB_TIME100, "TIME_LIMIT"),
)

#: Names of the kinds of profile, as squeue prints them.
profile_types = _names(
    (lib.ACCT_GATHER_PROFILE_ENERGY, "Energy"),
    (lib.ACCT_GATHER_PROFILE_LUSTRE, "Lustre"),
    (lib.ACCT_GATHER_PROFILE_NETWORK, "Network"),
    (lib.ACCT_GATHER_PROFILE_TASK, "Task"),
)

_CPU_FREQUENCIES = {
    lib.CPU_FREQ_LOW: "Low",
    lib.CPU_FREQ_MEDIUM: "Medium",
    lib.CPU_FREQ_HIGH: "High",
    lib.CPU_FREQ_HIGHM1: "Highm1",
    lib.CPU_FREQ_CONSERVATIVE: "Conservative",
    lib.CPU_FREQ_ONDEMAND: "OnDemand",
    lib.CPU_FREQ_PERFORMANCE: "Performance",
    lib.CPU_FREQ_POWERSAVE: "PowerSave",
    lib.CPU_FREQ_USERSPACE: "UserSpace",
    lib.CPU_FREQ_SCHEDUTIL: "SchedUtil",
}


def cpu_frequency(value: int) -> int | str | None:
    """A frequency in kHz, or the word for a range or a governor."""
    if value in (0, lib.NO_VAL, lib.INFINITE):
        return None
    if value & lib.CPU_FREQ_RANGE_FLAG:
        return _CPU_FREQUENCIES.get(value, "Unknown")
    return value
