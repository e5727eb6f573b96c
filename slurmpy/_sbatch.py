"""A description in sbatch's terms: the lines with ``#SBATCH``, the environment, the command."""

from __future__ import annotations

import re

from slurmpy._ffi import MAJOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from slurmpy._options import Option

    Options = Mapping[str, Option[Any]]

__all__ = ["PREFIX", "from_variable", "read", "words"]

#: What the names of variables with attributes begin with.
PREFIX = "SLURMPY_JOBDESC_"

#: Options of sbatch, of any major, that have no attribute; and whether they take an argument.
_OTHERS = {
    "--autocomplete": "required",
    "--bb": "required",
    "--bbf": "required",
    "--consolidate-segments": "none",
    "--container-type": "required",
    "--export-file": "required",
    "--external": "none",
    "--external-launcher": "optional",
    "--gpu-freq": "required",
    "--help -h": "none",
    "--hint": "required",
    "--ignore-pbs": "none",
    "--mem-bind": "required",
    "--mem-update": "required",
    "--nodefile -F": "required",
    "--ntasks-per-tres": "required",
    "--oom-kill-step": "optional",
    "--parsable": "none",
    "--power": "required",
    "--prefer": "required",
    "--propagate": "optional",
    "--quiet -Q": "none",
    "--spread-segments": "none",
    "--stepmgr": "none",
    "--test-only": "none",
    "--tres-bind": "required",
    "--tres-per-task": "required",
    "--usage": "none",
    "--verbose -v": "none",
    "--version -V": "none",
    "--wait -W": "none",
    "--wrap": "required",
}

#: Options that are other names of one with an attribute.
_ALIASES = {"--cluster": "--clusters"}


#: Options that each component of a heterogeneous job has for itself; the rest it takes over from
#: the component before it.
_OWN = frozenset(
    (  # noqa: SIM905 - to be read
        "--constraint --contiguous --core-spec --cores-per-socket --cpu-freq --cpus-per-gpu "
        "--cpus-per-task --distribution --exclusive --gpu-bind --gpus --gpus-per-socket "
        "--gpus-per-task --gres --gres-flags --licenses --mail-type --mail-user --mem-per-cpu "
        "--mem-per-gpu --mincpus --network --nodelist --nodes --ntasks --ntasks-per-core "
        "--ntasks-per-gpu --ntasks-per-node --ntasks-per-socket --overcommit --partition "
        "--resv-ports --segment --sockets-per-node --spread-job --switches --thread-spec "
        "--threads-per-core --tmp --use-min-nodes"
    ).split()
)

_ASCII = re.IGNORECASE | re.ASCII

#: What sbatch takes for white space.
_SPACE = " \t\n\v\f\r"


class _Table:
    """All options of sbatch by their flags."""

    def __init__(self, options: Options) -> None:
        self.options: dict[str, Option[Any]] = {}
        self.argument: dict[str, str] = {}
        for option in options.values():
            for flag in option.flags:
                self.options.setdefault(flag, option)
                self.argument[flag] = option.argument
        for alias, flag in _ALIASES.items():
            self.options[alias] = self.options[flag]
            self.argument[alias] = self.argument[flag]
        others = {**_OTHERS, **{flags: argument for flags, argument, _ in _COMBINED}}
        for flags, argument in others.items():
            self.argument.update(dict.fromkeys(flags.split(), argument))

    def long(self, flag: str) -> str | None:
        """The option that a flag means, which may be shortened; None for none.

        Raises:
            ValueError: It may mean several.
        """
        if flag in self.argument:
            return flag
        found = [name for name in self.argument if name.startswith(flag) and flag != "--"]
        if len({self.options.get(name, name) for name in found}) > 1:
            msg = f"{flag} is short for {', '.join(sorted(found))}: write one of them"
            raise ValueError(msg)
        return found[0] if found else None


def read(
    script: bytes, options: Options, component: int | None
) -> tuple[dict[str, Any], list[str]]:
    """The values that the lines of a script set, and what there is to warn of.

    Raises:
        ValueError: A line is malformed; the message has its number.
    """
    table = _Table(options)
    found: dict[str, Any] = {}
    warnings: list[str] = []
    current = 0
    for number, rest in _lines(script, warnings):
        separator = re.match(r"\s*(?:het|pack)job(?=\s|$)", rest, _ASCII)
        line = rest[separator.end() :] if separator else rest
        if separator and component is None:
            msg = (
                f"line {number} of the script begins another component of a heterogeneous job: "
                "name the one to load, load_sbatch_options(component=0), and so on"
            )
            raise ValueError(msg)
        if separator:
            current += 1
        if current > (component or 0):
            break
        if separator:
            found = {name: value for name, value in found.items() if _is_inherited(name, options)}
        said = warnings if current == (component or 0) else []
        try:
            for flag, argument in _flags(_split(line), table, number, said):
                _set(found, table, flag, argument)
        except (TypeError, ValueError, AttributeError) as error:
            msg = f"line {number} of the script: {error}"
            raise ValueError(msg) from None
    if component is not None and component > current:
        msg = f"the script has no component {component}: its last one is {current}"
        raise ValueError(msg)
    per_node = found.pop("gpus_per_node", None)
    if per_node is not None:
        more = found.get("gres_per_node", "none")
        found["gres_per_node"] = per_node if more == "none" else f"{per_node},{more}"
    return found, warnings


def _is_inherited(name: str, options: Options) -> bool:
    """Whether a component of a heterogeneous job has what the one before it has."""
    return name in options and not _OWN.intersection(options[name].flags)


def _lines(script: bytes, warnings: list[str]) -> Iterator[tuple[int, str]]:
    """Number and rest of each line with ``#SBATCH`` before the first command."""
    for number, raw in enumerate(script.split(b"\n"), 1):
        line = raw.decode("utf-8", "surrogateescape")
        if line.startswith("#SBATCH"):
            yield number, line[len("#SBATCH") :]
        elif line.startswith("#SLURM"):
            # Which sbatch reads as well, with a word of its own.
            warnings.append(f"line {number} of the script begins with #SLURM: write #SBATCH")
            yield number, line[len("#SLURM") :]
        elif re.match(r"#(PBS|BSUB)\s", line):
            warnings.append(f"line {number} of the script is for another program: {line.strip()}")
        elif not re.match(r"\s*(?:#|$)", line, re.ASCII):
            return


def _split(line: str) -> list[str]:
    """The words of a line, by sbatch's rules: quotes, backslashes, and # for a comment.

    A backslash keeps a quotation mark or a # from being one, but no space from ending the word.
    """
    found: list[str] = []
    word: str | None = None
    quote, escaped = "", False
    for char in line:
        if char in _SPACE and not quote:
            found += [] if word is None else [word]
            word, escaped = None, False
        elif escaped:
            word, escaped = (word or "") + char, False
        elif char == "\\":
            escaped = True
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, word = char, word or ""
        elif not quote and char == "#":
            break
        else:
            word = (word or "") + char
    if quote:
        # Without the line, in which there may be a secret.
        msg = f"a {quote} is not closed"
        raise ValueError(msg)
    return found if word is None else [*found, word]


def _flags(
    words: list[str], table: _Table, line: int, warnings: list[str]
) -> Iterator[tuple[str, str | None]]:
    """The options among some words, each with its argument, as getopt_long finds them."""
    rest = list(words)
    unknown = False
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word in ("-", "--"):
            # What comes after an option that is not known may be its argument.
            if not unknown:
                msg = f"{word!r} is no option"
                raise ValueError(msg)
            unknown = False
            continue
        name, flag, given = _name(word, table, rest)
        unknown = flag is None
        if flag is None:
            warnings.append(
                f"line {line} of the script: sbatch's option {name} is not known here, and was not "
                "loaded"
            )
            continue
        if table.argument[flag] == "required" and given is None:
            if not rest:
                msg = f"{flag} needs an argument"
                raise ValueError(msg)
            given = rest.pop(0)
        if flag not in table.options and flag not in _SETTERS:
            warnings.append(
                f"line {line} of the script: {flag} has no attribute, and was not loaded"
            )
            continue
        yield flag, given


def _name(word: str, table: _Table, rest: list[str]) -> tuple[str, str | None, str | None]:
    """An option as written, the one that is meant, and its argument where that is in the word.

    Short options without arguments can stand together; what follows the first is put back.
    """
    if word.startswith("--"):
        name, equals, argument = word.partition("=")
        flag = table.long(name)
        if equals and flag and table.argument[flag] == "none":
            msg = f"{flag} takes no argument"
            raise ValueError(msg)
        return name, flag, argument if equals else None
    name, argument = word[:2], word[2:]
    flag = name if name in table.argument else None
    if flag and argument and table.argument[flag] == "none":
        rest.insert(0, f"-{argument}")
        argument = ""
    return name, flag, argument or None


def _set_sharing(found: dict[str, Any], _table: _Table, _argument: str) -> None:
    found["resource_sharing"] = "oversubscribe"


def _set_node_info(found: dict[str, Any], table: _Table, argument: str) -> None:
    flags = ("--sockets-per-node", "--cores-per-socket", "--threads-per-core")
    parts = argument.split(":")
    if len(parts) > len(flags):
        msg = f"--extra-node-info has sockets, cores and threads, not {argument!r}"
        raise ValueError(msg)
    for flag, part in zip(flags, parts):
        if part != "*":
            _keep(found, table.options[flag], part)


def _set_gpus_per_node(found: dict[str, Any], table: _Table, argument: str) -> None:
    # An option of its own for sbatch, which puts what the other one says after it.
    items = ",".join(f"gpu:{item}" for item in argument.split(","))
    table.options["--gres"].check(items)
    found["gpus_per_node"] = items


def _set_gres_flags(found: dict[str, Any], table: _Table, argument: str) -> None:
    option = table.options["--gres-flags"]
    for item in argument.split(","):
        match = re.fullmatch("(one|multiple)-tasks?-per-sharing", item, _ASCII)
        if match:
            _keep(found, option.sibling("gres_tasks_per_sharing"), match[1])
        else:
            _keep(found, option.sibling("gres_binding"), item)


def _set_mail_types(found: dict[str, Any], table: _Table, argument: str) -> None:
    # Of this one alone, each adds to those before it, and NONE adds nothing, or takes all away.
    option = table.options["--mail-type"]
    option.check(argument)
    is_last = MAJOR >= "26.05" and argument.upper() == "NONE"
    items = ["NONE" if is_last else found.get("mail_types", "NONE"), argument]
    _keep(found, option, ",".join(item for item in items if item.upper() != "NONE") or "NONE")


#: Options without an attribute of their own that set those of others, as what they take and how.
_COMBINED = (
    ("--extra-node-info -B", "required", _set_node_info),
    ("--gpus-per-node", "required", _set_gpus_per_node),
    ("--oversubscribe -s", "none", _set_sharing),
)
_SETTERS = {
    "--gres-flags": _set_gres_flags,
    "--mail-type": _set_mail_types,
    **{flag: setter for flags, _, setter in _COMBINED for flag in flags.split()},
}


def _set(found: dict[str, Any], table: _Table, flag: str, argument: str | None) -> None:
    """Sets what an option stands for."""
    if flag in _SETTERS:
        _SETTERS[flag](found, table, argument or "")
        return
    option = table.options[flag]
    if argument is not None:
        _keep(found, option, argument)
        return
    value = option.bare if flag != option.off else False
    option.check(value)
    found[option.name] = value


def _keep(found: dict[str, Any], option: Option[Any], argument: str) -> None:
    """Sets an attribute to what a text stands for, once it has been seen to parse."""
    value = option.read(argument)
    option.check(value)
    found[option.name] = value


def from_variable(option: Option[Any], content: str) -> Any:
    """The value of an attribute from the environment."""
    from slurmpy import _parse

    value = _parse.boolean(content) if option.annotation == "bool" else option.read(content)
    option.check(value)
    return value


def words(options: Options, given: Mapping[str, Any], checked: Mapping[str, Any]) -> list[str]:
    """The words after ``sbatch``.

    Raises:
        ValueError: Something has no option.
    """
    found: list[str] = []
    both = [name for name in ("gres_binding", "gres_tasks_per_sharing") if name in checked]
    for name, value in checked.items():
        option = options[name]
        if name in both[1:]:
            # One option for both, of which sbatch takes the last.
            shown = option.show(given[name], value)[0].partition("=")[2]
            place = next(i for i, word in enumerate(found) if word.startswith("--gres-flags="))
            found[place] += f",{shown}"
        elif option.flags:
            found += option.show(given[name], value)
    script = checked.get("script")
    arguments = checked.get("script_args", [])
    if script is not None and script.path is not None:
        # That sbatch does not take it for an option.
        path = f"./{script.path}" if script.path.startswith("-") else script.path
        return [*found, path, *arguments]
    if arguments:
        msg = "script_args go with the path of a script: sbatch takes none for one that it reads"
        raise ValueError(msg)
    return found
