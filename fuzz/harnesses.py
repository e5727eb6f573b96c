"""What is fuzzed: for each group of parsers, a function that takes bytes and raises on a finding.

Each checks more than that nothing crashes: only the errors that are documented come out, what is
taken comes back as it was given, and what is put into the C message is what was said. No harness
needs the fuzzer: `tests/test_fuzz.py` gives them the committed corpus.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import io
import os
import re
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from slurmpy import (
    Job,
    JobStep,
    JobSubmitDescription,
    SlurmError,
    TaskDistribution,
    UnsupportedField,
    _cli,
    _control,
    _convert,
    _layout,
    _parse,
    _records,
    _request,
    _sbatch,
    errors,
    steps,
)
from slurmpy._ffi import ffi, lib
from slurmpy._options import Message, Option
from slurmpy.testing._config import OURS, Config, Place

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HARNESSES", "Finding", "Harness", "describe", "seed"]


class Finding(AssertionError):
    """Something that is not as it should be."""


def expect(condition: object, *what: object) -> None:
    """Raises where something does not hold; the values go into the message."""
    if not condition:
        raise Finding(*map(_shown, what))


def _shown(value: object) -> str:
    """A value for a message, cut where it is long, or holds what cannot be printed."""
    try:
        return repr(value)[:600]
    except ValueError as error:
        return f"{type(value).__name__}: {error}"


def decoded(data: bytes) -> str:
    """Any text, also one that is none: lone surrogates, and bytes as Python keeps them."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def seed(text: str) -> bytes:
    """The reverse."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def named(data: bytes, names: list[str]) -> tuple[str, str]:
    """``name=text``; a name that is none stands for one of them nevertheless."""
    name, _, text = decoded(data).partition("=")
    return (name if name in names else names[sum(map(ord, name)) % len(names)]), text


def is_number(value: object) -> bool:
    """Whether it is a number, or the text of one."""
    return isinstance(value, int) or (isinstance(value, str) and value.isdigit())


def tried(call: Callable[..., Any], *args: object, name: str = "") -> Any:
    """What a call gives, or None where it refuses in the way that is documented.

    Args:
        call: What is called.
        args: Its arguments.
        name: What the words of a refusal have to begin with.
    """
    try:
        return call(*args)
    except (ValueError, TypeError) as error:
        # A codec's words, or those of int() for too many digits, say nothing of what was given.
        expect(not isinstance(error, UnicodeError), call, args, error)
        expect(str(error).startswith(name), call, args, error)
        expect("Exceeds the limit" not in str(error) or not any(map(is_number, args)), args, error)
        return None


# ---- one attribute ----

OPTIONS = JobSubmitDescription.options
_MEMBERS: dict[str, str] = {
    name: field.type.cname for name, field in ffi.typeof("job_desc_msg_t").fields
}
_BLANK = Message()
_MARKS = {
    "uint8_t": (lib.NO_VAL8, lib.INFINITE8),
    "uint16_t": (lib.NO_VAL16, lib.INFINITE16),
    "uint32_t": (lib.NO_VAL, lib.INFINITE),
    "uint64_t": (lib.NO_VAL64, lib.INFINITE64),
    # Of moments.
    "int64_t": (lib.NO_VAL, lib.INFINITE, -1, -2),
}
#: What an attribute sets besides the members that it is documented with.
_MORE = {
    "nodes": {"job_size_str"},
    "hold": {"priority"},
    "mail_types": set(),
}
#: Members in which the highest numbers mean nothing else.
_NO_MARKS = {"warn_time", "bitflags", "mail_type", "warn_flags", "shared", "profile", "task_dist"}
#: Attributes of which the text that is sent is the value itself.
_AS_GIVEN = {
    name
    for name, option in OPTIONS.items()
    if _MEMBERS.get(option.member) == "char *"
    and not name.startswith(("gpus", "gres", "gpu_", "cpus_per_gpu", "memory_per_gpu", "script"))
}


_PLACES = {
    name: slice(field.offset, field.offset + ffi.sizeof(field.type))
    for name, field in ffi.typeof("job_desc_msg_t").fields
}
_BLANK_BYTES = bytes(ffi.buffer(_BLANK.ptr))


def sent(message: Message) -> dict[str, Any]:
    """The members that were set, read back from C."""
    content = bytes(ffi.buffer(message.ptr))
    found = {}
    for name, place in _PLACES.items():
        if content[place] != _BLANK_BYTES[place]:
            value = getattr(message.ptr, name)
            found[name] = ffi.string(value) if _MEMBERS[name] == "char *" else value
    return found


def check_sent(name: str, value: Any, found: dict[str, Any]) -> None:
    """Whether what one attribute has put is what it stands for, and nothing else."""
    own = {*OPTIONS[name].member.split(", "), *_MORE.get(name, ())}
    expect(own >= found.keys(), name, value, found)
    for member, it in found.items():
        kind = _MEMBERS[member]
        if isinstance(it, int) and kind in _MARKS and member not in _NO_MARKS:
            # No limit is what one can ask for; that a value is not set is not.
            unlimited = it == lib.INFINITE and kind != "int64_t"
            expect(unlimited or it not in _MARKS[kind], name, value, member, it)
    if name in _AS_GIVEN:
        expected = value.encode("utf-8", "surrogateescape")
        if name.startswith("standard_") and value.lower() == "none":
            expected = b"/dev/null"
        expect(found == {OPTIONS[name].member: expected}, name, value, found)
    elif name in _TRES and found:
        (text,) = found.values()
        prefix = "gres[:/]" if name == "gres_per_node" else "gres[:/]gpu[:=]|^gpu:"
        back = re.sub(rf"(^|,)(?:{prefix})", r"\1", text.decode("utf-8", "surrogateescape"))
        expect(back.replace("=", ":") == value.replace("=", ":"), name, value, text)


def check_option(name: str, given: Any) -> None:
    """One attribute, through all that is done with one."""
    option = OPTIONS[name]
    checks = [option.check]
    if option._parse_change != option._parse:
        checks.append(option.check_change)
    for check in checks:
        with contextlib.suppress(UnsupportedField):
            value = tried(check, given, name=name)
            if value is None:
                continue
            ascii_only = name in (*_TIMES, *_AMOUNTS, *_WORDS, *_TRES) and isinstance(given, str)
            expect(not ascii_only or given.strip().isascii() or "(" in given, name, given)
            if isinstance(given, str) and check == option.check:
                check_amount(name, given, value)
            message = Message()
            option.put(message, value)
            check_sent(name, value, sent(message))
            if option.flags and check == option.check and name != "script":
                check_words(option, given, value)


_NUMBERS_OF = {
    name
    for name in OPTIONS
    if name.startswith(("ntasks", "cpus_", "cores_", "sockets_", "threads_", "segment", "min_cpus"))
}
_MEMORY = {name for name in OPTIONS if name.startswith(("memory_", "temporary"))}


def check_amount(name: str, given: str, value: Any) -> None:
    """Texts, which stay as they are, and numbers and memory, worked out in another way."""
    if name in _AS_GIVEN:
        expect(value in (given, given.strip()), name, given, value)
    elif name in _TRES:
        same = re.sub(r"\s|(?<![^,\s])gres[:/]", "", given)
        expect(re.sub(r"\s", "", value) == same or value == "none", name, given, value)
    match = re.fullmatch(r"\s*\+?0*([0-9]+)([KMGTkmgt]?)[Bb]?\s*", given)
    if name in _NUMBERS_OF:
        expect(match and not match[2] and str(value) == match[1], name, given, value)
    elif name in _MEMORY:
        power = "KMGT".index(match[2].upper() or "M") if match else 0
        kibibytes = int(match[1]) * 1024**power if match else -1
        expect(0 <= value * 1024 - kibibytes < 1024, name, given, value)  # noqa: PLR2004


def check_words(option: Option[Any], given: Any, value: Any) -> None:
    """Whether the words for sbatch stand for the same."""
    try:
        shown = option.show(given, value)
    except ValueError:
        expect(option.name == "environment", option, given)
        return
    if not shown:
        expect(value is False, option, given)
        return
    word, found, argument = shown[0].partition("=")
    expect(word in option.flags, option, given, shown)
    if not found:
        again: Any = option.bare if word != option.off else False
    else:
        again = option.read(argument)
    # One has a harness of its own; the other's words are read with those of gres_binding.
    if option.name in {"environment", "gres_tasks_per_sharing"}:
        return
    expect(option.check(again) == value, option.name, given, value, shown, option.check(again))


def is_slow(name: str, text: str) -> bool:
    """Whether it would be read from the disk, or is as long as it may be."""
    return name == "script" and not text.startswith("#!")


def options(*names: str) -> Callable[[bytes], None]:
    """The harness of some attributes."""

    def run(data: bytes) -> None:
        name, text = named(data, list(names))
        if is_slow(name, text):
            return
        check_option(name, text)
        value = tried(OPTIONS[name].read, text)
        if value is not None and value is not text:
            check_option(name, value)
        with contextlib.suppress(UnsupportedField):
            tried(_sbatch.from_variable, OPTIONS[name], text)
        if name in _ORACLES:
            _ORACLES[name](text)

    return run


# ---- libslurm's own parsers, which sbatch asks ----

_libslurm = ctypes.CDLL(f"libslurm.so.{lib.slurm_api_version() >> 16}")


def same_minutes(text: str) -> None:
    """A time limit that is taken is what libslurm makes of the same text."""
    found = tried(_parse.minutes, text)
    if found is not None:
        theirs = _libslurm.slurm_time_str2mins(seed(text.strip())) % 2**32
        expect(found == (theirs or lib.INFINITE), "minutes", text, found, theirs)


def same_seconds(text: str) -> None:
    """The same of a duration."""
    found = tried(_parse.seconds(60), text)
    if found is not None:
        theirs = _libslurm.slurm_time_str2secs(seed(text.strip())) % 2**32
        expect(found == theirs, "seconds", text, found, theirs)


def relative_moment(text: str) -> None:
    """A time from now on is as far away as it says."""
    before = time.time()
    found = tried(_parse.moment, text)
    match = re.fullmatch(r"now\s*([+-])\s*([0-9]+)\s*([a-z]*?)s?", text.strip().lower())
    if found is None:
        return
    expect(0 < found <= 2**62, text, found)
    if match:
        unit = {"": 1, "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
        wanted = int(match[1] + match[2]) * unit[match[3]]
        expect(before - 2 <= found - wanted <= time.time() + 2, text, found - before, wanted)


def known_nodes(text: str) -> None:
    """The list of nodes in libslurm is asked for what is taken."""
    found = tried(_parse.node_list, text)
    if found is not None:
        names = _layout.hosts(ffi.new("char[]", seed(found)))
        expect(len(names) <= 70_000 * (1 + found.count("[")), text[:80], len(names))


def same_dependencies(text: str) -> None:
    """A dependency that is taken is read back from Slurm's own form."""
    found = tried(_parse.dependencies, text)
    if not found or found.isdigit():
        return
    read = _convert.dependencies(found)
    expect("other" not in read, text, read)
    conditions = re.split("[,?]", found)
    jobs = sum(item.count(":") for item in conditions)
    # Slurm itself never has two jobs in one condition: `afterok:1:2` is two.
    apart = [
        f"{item.partition(':')[0]}:{job}" if job else item
        for item in conditions
        for job in item.split(":")[1:] or [""]
    ]
    read = _convert.dependencies(("?" if "?" in found else ",").join(apart))
    kept = sum(len(value) for value in read.values() if isinstance(value, list))
    expect(kept == jobs, text, read)
    again = tried(_parse.dependencies, dict(read))
    expect(again is not None and _parse.dependencies(again) == again, text, read)
    for value in read.values():
        for job in value if isinstance(value, list) else ():
            number = int(re.split("[_+]", str(job))[0])
            expect(0 < number < lib.NO_VAL, text, job)


def same_distribution(text: str) -> None:
    """A distribution prints as what it was made of."""
    found = tried(TaskDistribution, text)
    if found is not None:
        expect(TaskDistribution(str(found)) == found, text, str(found))


_ORACLES: dict[str, Callable[[str], None]] = {
    "time_limit": same_minutes,
    "delay_boot_time": same_seconds,
    "begin_time": relative_moment,
    "required_nodes": known_nodes,
    "dependencies": same_dependencies,
    "distribution": same_distribution,
}


def environment(data: bytes) -> None:
    """The texts of --export, as text, as items and as a dict."""
    text = decoded(data)
    check_option("environment", text)
    check_option("environment", text.split(";"))
    check_option("environment", dict(item.partition("=")[::2] for item in text.split(";")))
    for given in (text.split(";"), dict(item.partition("=")[::2] for item in text.split(";"))):
        items = tried(_parse.environment, given)
        if items is None:
            continue
        pairs = items if isinstance(items, list) else [f"{k}={v}" for k, v in items.items()]
        shown = tried(_parse.export_text, items)
        if shown:
            expect(_parse.split_export(shown) == pairs, given, shown)
        # What srun in the job takes over has to parse, too.
        tried(_parse.split_export, _request._exported(items))
        expect(_parse.split_export(_request._exported(items)) is not None, given)
    tried(_parse.user_environment, text)
    items = tried(_parse.environment, text)
    if isinstance(items, str):
        tried(_request._taken, items)


# ---- lines with #SBATCH ----


def _load(job: JobSubmitDescription, component: int | None) -> bool:
    job.load_sbatch_options(component=component)
    return True


def loaded(script: str) -> JobSubmitDescription | None:
    """The description that the lines of a script make; None where they are refused."""
    job = JobSubmitDescription(script=script)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for component in (None, 0, 1):
            if tried(_load, job, component):
                return job
    return None


def quoted(word: str) -> str:
    """A word as a line with #SBATCH has it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


def lines(data: bytes) -> None:
    """A script's lines, and the same once they were made words of a command, and these lines."""
    text = decoded(data)
    job = loaded("#!/bin/sh\n" + "\n".join(f"#SBATCH {line}" for line in text.split("\n")))
    loaded(f"#!/bin/sh\n{text}")
    if job is None:
        return
    checked = job._checked()
    words = tried(_sbatch.words, job.options, job._values, checked)
    if words is None or any("\n" in word for word in words):
        return
    again = loaded("#!/bin/sh\n#SBATCH " + " ".join(map(quoted, words)) + "\n")
    if again is None:
        raise Finding(text, words)
    twice = again._checked()
    for values in (checked, twice):
        values.pop("script")
        if not values.get("get_user_environment", True):
            del values["get_user_environment"]
    expect(twice == checked, text, words, checked, twice)


# ---- names of jobs and steps ----


def count_tasks(name: str) -> int:
    """How many tasks a name has, worked out apart from `_convert.tasks`."""
    count = 0
    for part in name.partition("_")[2].strip("[]").partition("%")[0].split(","):
        first, last, step = (re.match(r"(\d+)(?:-(\d+))?(?::(\d+))?", part) or [""] * 3).groups()  # type: ignore[union-attr]
        count += max(0, (int(last or first) - int(first)) // int(step or 1) + 1)
    return count


def names(data: bytes) -> None:
    """Names of jobs, of several, of tasks and of steps."""
    text = decoded(data)
    job = tried(Job, text)
    if job is not None:
        expect(str(job._id) == text or int(text) == job._id, text, job)
        expect(0 < _convert.first_id(job._id, several=True) <= lib.NO_VAL, text, job)
        tried(_convert.first_id, job._id)
        count = count_tasks(text) if "_" in text else 0
        if count < 1000 or count > 4_000_001:  # noqa: PLR2004 - more would only take time
            tasks = tried(_convert.tasks, job._id)
            expect((tasks is None) == (count > 4_000_001), text)  # noqa: PLR2004
            expect(tasks is None or len(tasks) == count, text, tasks)
    ids = tried(_convert.job_ids, text)
    if ids is not None:
        expect(_convert.job_ids(",".join(map(str, ids))) == ids, text)
    step = tried(steps.step_numbers, text)
    if step is not None:
        number, component = step
        expect(0 <= number < 2**32 and (component < 1000 or component == lib.NO_VAL), text, step)  # noqa: PLR2004
        expect(steps.step_numbers(str(steps.step_name(*step))) == step, text, step)
        tried(JobStep, 1, text)
    array = tried(_parse.array, text)
    if array is not None:
        expect(array == text.strip(), text)
    tried(_cli.find_job, text) if not _cli.JOB_NUMBER.fullmatch(text) else None


# ---- what is read ----

_TEXT_MEMBERS = {
    kind: [name for name, field in ffi.typeof(kind).fields if field.type.cname == "char *"]
    for kind in ("slurm_job_info_t", "job_step_info_t")
}
_NUMBERS = {
    kind: [
        (name, field.type)
        for name, field in ffi.typeof(kind).fields
        if field.type.kind == "primitive" and field.type.cname not in ("double", "float")
    ]
    for kind in _TEXT_MEMBERS
}


def reading(data: bytes) -> None:
    """Texts of Slurm's: what an attribute makes of them never raises, and loses nothing."""
    text = data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
    for parse in (_convert.gres, _convert.per_gpu, _convert.tres_memory, _convert.features,
                  _convert.dependencies, _layout.gres, _convert.tres, errors.plain):  # fmt: skip
        parse(text)
    tried(_convert.count, text)
    tried(_convert.mebibytes, text)
    expect(",".join(_convert.comma_list(text)) == re.sub(",+", ",", text).strip(","), text)
    found = _convert.dependencies(text)
    items = [item for item in re.split("[,?]", text) if item]
    single = [item for item in items if item.startswith("singleton")]
    kept = sum(len(value) for value in found.values() if isinstance(value, list))
    expect(kept >= len(items) - len(single), text, found)
    expect(_cli.printable(text).isprintable(), text)
    if text.count("[") < 3:  # noqa: PLR2004 - which multiply, and which slurmctld has looked at
        _layout.hosts(ffi.new("char[]", seed(text)))
    if not text.split():
        expect(errors.plain(text) == "", text)


def records(data: bytes) -> None:
    """Jobs and steps with a text in every member that takes one, and numbers in the others."""
    text, numbers = data.replace(b"\0", b""), data[-16:] or b"\0"
    for kind, make in (("slurm_job_info_t", Job), ("job_step_info_t", JobStep)):
        ptr = ffi.new(f"{kind} *")
        kept = [ptr, ffi.new("char[]", text)]
        for name in _TEXT_MEMBERS[kind]:
            setattr(ptr, name, kept[1])
        for place, (name, ctype) in enumerate(_NUMBERS[kind]):
            if name.endswith("_cnt") or name == "array_size":
                continue
            value = int.from_bytes((numbers[place % len(numbers) :] + numbers)[:8], "little")
            setattr(ptr, name, ffi.cast(ctype, value))
        owner = _records.Snapshot(kept, "home", 1_700_000_000)
        owner.users[ptr.user_id] = None
        made: Any = Job._at(ptr, owner, ptr.job_id) if make is Job else JobStep._at(ptr, owner)
        values = made.to_dict()
        if make is Job:
            wanted = text.decode("utf-8", "surrogateescape") or None
            expect(values["comment"] == wanted, text, values["comment"])
            expect(copy.copy(made).comment == wanted, text)
        if make is Job:
            _cli.attribute_lines(made)
            _cli.table([made])


def control(data: bytes) -> None:
    """Words and texts of what is done to a job."""
    text = decoded(data)
    action = tried(_control.notify, text)
    if action is not None:
        expect(action.args == (text.encode("utf-8", "surrogateescape"),), text, action)
        expect(ffi.string(ffi.new("char[]", action.args[0])) == action.args[0], text)
    for call in (
        lambda: _control.send_signal(text, "all", hurry=False),
        lambda: _control.send_signal("TERM", text, hurry=False),
        lambda: _control.hold(text),
        lambda: _control.requeue(text),  # type: ignore[arg-type]
    ):
        action = tried(call)
        expect(action is None or 0 < (action.args[0] or 1) < 2**32, text)


# ---- LocalCluster's options ----

_PLACE = Place(
    Path("/cluster"), "machine", "127.0.0.1",
    dict.fromkeys(("slurmctld", "slurmdbd", "slurmd-n1", "slurmd-n2"), 1), (22, 5),
)  # fmt: skip


def logical_lines(text: str) -> Iterable[str]:
    """The lines of a slurm.conf as Slurm has them: one that ends with a backslash goes on."""
    return re.sub(r"\\\n", "", text).split("\n")


def config(data: bytes) -> None:
    """What a cluster makes of its options never takes away what makes it this cluster."""
    which, text = named(
        data, ["extra_conf", "gres_conf", "node_options", "partitions", "name", "partition", "gpus"]
    )
    given: dict[str, Any] = {
        "nodes": 2, "cpus": 1, "memory": 1, "gpus": 0, "partitions": ["debug"],
        "node_options": "", "extra_conf": "", "gres_conf": "", "max_job_count": None,
        "accounting": False, "name": "test",
    }  # fmt: skip
    plain = Config(**given).slurm_conf(_PLACE, "NoInAddrAny")
    values: dict[str, Any] = {"partitions": {"debug": text, "other": ""}, "gpus": {text: 1}}
    values["partition"] = [text, "other"]
    given["partitions" if which == "partition" else which] = values.get(which, text)
    made = tried(lambda: Config(**given))
    if made is None:
        return
    conf = made.slurm_conf(_PLACE, "NoInAddrAny")
    expect("\0" not in conf + made.gres_conf(_PLACE.folder), which, text)
    (conf + made.gres_conf(_PLACE.folder)).encode()
    ours = {key.lower() for key in OURS} - ({"clustername"} if which == "name" else set())

    def settings(content: str) -> list[tuple[str, str]]:
        found = re.findall(r"(?m)(?:^|[ \t])([\w.]+)[ \t]*[-+*/]?=[ \t]*(\S*)", content)
        return [(key, value) for key, value in found if key.lower() in ours]

    every = list(logical_lines(conf))
    declared = ("NodeName=", "PartitionName=")
    expect(
        settings("\n".join(it for it in every if not it.startswith(declared))) == settings(plain),
        which,
        text,
        conf,
    )
    for name in (*made.partitions, *made.nodes):
        start = re.compile(rf"(?:NodeName|PartitionName)={re.escape(name)} ")
        expect(any(start.match(line) for line in every), which, text, conf)


# ---- the command line ----


def cli(data: bytes) -> None:
    """The command line ends with a status and one line of words, whatever it is given."""
    text = decoded(data)
    if "\0" in text:  # which no argument can have
        return
    for words in (["job", text], ["jobs", "--user", text], text.split()):
        if words[:1] == ["demo"] or any("de" in word for word in words[:1]):
            continue
        out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
        err = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = _cli.main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        expect(status in (0, 1, 2), words, status)
        expect(status != 1 or err.getvalue().count("\n") == 1, words, err.getvalue())


def arguments(data: bytes) -> None:
    """The same without Slurm: what is no job is refused before it is looked for."""
    text = decoded(data)
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        found = _cli.parser().parse_args(["job", f"{text}"])
        expect(found.number == text, text)
    number = text.partition(".")[0]
    if not _cli.JOB_NUMBER.fullmatch(number):
        expect(tried(_cli.find_job, number) is None, text)
    elif "[" in number:
        with contextlib.suppress(ValueError):
            _cli.waits("1", number.partition("[")[2].rstrip("]"))


# ---- whole descriptions ----


def check_message(values: dict[str, Any], checked: dict[str, Any], message: Message) -> None:
    """Whether the texts of a message are those of its description."""
    found = sent(message)
    for name in _AS_GIVEN - {"required_nodes", "working_directory", "standard_in",
                             "standard_output", "standard_error", "clusters"}:  # fmt: skip
        if name in checked:
            it = found[OPTIONS[name].member]
            expect(it == checked[name].encode("utf-8", "surrogateescape"), name, values, it)
    script = values["script"]
    if isinstance(script, str) and script.startswith("#!"):
        expect(found["script"] == script.encode("utf-8", "surrogateescape"), values)
    variables = [ffi.string(message.ptr.environment[i]) for i in range(message.ptr.env_size)]
    expect(not message.ptr.environment[message.ptr.env_size], values)
    if isinstance(checked.get("environment"), dict):
        for name, content in checked["environment"].items():
            pair = f"{name}={content}".encode("utf-8", "surrogateescape")
            expect(pair in variables or name.startswith(("SLURM", "HYDRA", "OMPI", "PRTE", "I_MPI"))
                   or name == "SLURM_JWT", name, content)  # fmt: skip
    words = [ffi.string(message.ptr.argv[i]) for i in range(message.ptr.argc)]
    if "script_args" in checked:
        wanted = [it.encode("utf-8", "surrogateescape") for it in checked["script_args"]]
        expect(words[1:] == wanted, values, words)


def describe(values: dict[str, Any]) -> JobSubmitDescription | None:
    """A description as it is sent and as it would change a job; None where it is refused.

    Needs Slurm to be there, whose configuration is looked into.
    """
    job = JobSubmitDescription(**values)
    changes = {name: value for name, value in values.items() if name != "script"}
    if changes:
        with contextlib.suppress(UnsupportedField):
            tried(JobSubmitDescription(**changes)._changes)
    try:
        messages = tried(lambda: _request.build([job._checked()], job.options))
    except SlurmError as error:
        expect(isinstance(error, UnsupportedField), values, error)
        return None
    except OSError:
        expect(not str(values.get("script")).startswith("#!"), values)
        return None
    if messages is None:
        return None
    check_message(values, job._checked(), messages[0])
    return job


class Harness(NamedTuple):
    """One of what is fuzzed.

    Args:
        drives: What it drives, for the table.
        run: Takes the input.
        names: The attributes that its inputs begin with, as in ``nodes=1-3``.
        live: Whether it needs a cluster.
    """

    drives: str
    run: Callable[[bytes], None]
    names: tuple[str, ...] = ()
    live: bool = False


def _rest(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes that are in no group."""
    return tuple(name for name in OPTIONS if not any(name in group for group in groups))


_TIMES = ("begin_time", "deadline", "time_limit", "time_limit_min", "delay_boot_time", "switches")
_AMOUNTS = tuple(
    name
    for name, option in OPTIONS.items()
    if "int | str" in option.annotation and name not in (*_TIMES, "user_id", "group_id")
    and not name.startswith("gpus")
)  # fmt: skip
_LISTS = ("array", "partitions", "reservations", "licenses", "clusters", "required_nodes",
          "excluded_nodes", "mail_user", "mail_types", "constraints", "batch_constraints",
          "cluster_constraints", "profile_types", "script_args", "dependencies")  # fmt: skip
_TRES = ("gpus", "gpus_per_socket", "gpus_per_task", "gres_per_node", "gpu_binding")
_WORDS = ("distribution", "resource_sharing", "log_files_open_mode", "gres_binding",
          "gres_tasks_per_sharing", "signal", "cpu_frequency",
          *(name for name, option in OPTIONS.items() if option.annotation == "bool"))  # fmt: skip
_TEXTS = _rest(_TIMES, _AMOUNTS, _LISTS, _TRES, _WORDS, ("environment",))

HARNESSES: dict[str, Harness] = {
    "times": Harness("durations and moments", options(*_TIMES), _TIMES),
    "amounts": Harness("numbers, memory, numbers of nodes", options(*_AMOUNTS), _AMOUNTS),
    "lists": Harness("arrays, dependencies, nodes, lists of words", options(*_LISTS), _LISTS),
    "tres": Harness("GPUs and generic resources", options(*_TRES), _TRES),
    "words": Harness("words, signals, frequencies, distributions", options(*_WORDS), _WORDS),
    "texts": Harness("texts, paths, users, the script", options(*_TEXTS), _TEXTS),
    "environment": Harness("--export and variables", environment),
    "lines": Harness("lines with #SBATCH, and back", lines),
    "names": Harness("names of jobs, tasks and steps", names),
    "reading": Harness("Slurm's texts, and messages", reading),
    "records": Harness("every attribute of jobs and steps", records),
    "control": Harness("signals, messages, modes", control),
    "config": Harness("options of LocalCluster", config),
    "arguments": Harness("arguments of the command line", arguments),
    "cli": Harness("the command line on a cluster", cli, live=True),
}
os.environ.setdefault("COLUMNS", "80")
