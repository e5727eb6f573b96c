"""Builds ``slurmpy._slurm`` against the Slurm that is installed.

Run by cffi when the package is installed (``cffi_modules`` in ``setup.py``). It finds Slurm's
headers and library, reads the version, picks the declarations of ``cdefs/`` for it, and hands them
to the compiler. It imports nothing of ``slurmpy``, since that needs what is built here.

Where Slurm is looked for, in this order:

1. ``SLURM_INCLUDE_DIR`` (the folder that has ``slurm/slurm.h``) and ``SLURM_LIB_DIR`` (the one that
   has ``libslurm.so``);
2. ``SLURM_PREFIX``, as it was given to Slurm's ``configure --prefix``;
3. the prefix of the ``scontrol`` on the ``PATH``;
4. the compiler's own search paths.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import sysconfig
from pathlib import Path
from typing import NamedTuple

from cffi import FFI

__all__ = ["BuildError", "Slurm", "declarations", "ffibuilder", "find_slurm", "select"]

CDEFS = Path(__file__).resolve().parent.parent / "cdefs"
HEADERS = (
    "runtime.h",
    "constants.h",
    "errno.h",
    "jobs.h",
    "columns.h",
    "control.h",
    "submit.h",
    "steps.h",
    "stats.h",
    "jobacctinfo.h",
    "layout.h",
    "job_resources.h",
)
#: What is compiled beside them, in this order. Two of these are declarations that no header of
#: Slurm's has: the compiler needs them as cffi does.
SOURCES = (
    "source.c",
    "columns.c",
    "submit.c",
    "steps.c",
    "jobacctinfo.h",
    "stats.c",
    "job_resources.h",
    "layout.c",
)

#: The majors whose declarations were checked, oldest first.
MAJORS = ((22, 5), (23, 2), (23, 11), (24, 5), (24, 11), (25, 5), (25, 11), (26, 5))

#: The number of libslurm.so in the first of them; each major has the next.
FIRST_SONAME = 38

_HEADERS_ANEW = (
    "install Slurm's headers anew (Debian and Ubuntu: libslurm-dev; RHEL: slurm-devel), or set "
    "SLURM_INCLUDE_DIR to where they are"
)

_CONDITION = re.compile(
    r"#if SLURM_VERSION_NUMBER (>=|<) SLURM_VERSION_NUM\((\d+),\s*(\d+),\s*(\d+)\)"
)


class BuildError(SystemExit):
    """Ends the build with one line that says what is missing and what brings it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"slurmpy: {message}")


class Slurm(NamedTuple):
    """An installed Slurm: where it is, and which one."""

    include: Path
    library: Path
    version: int

    @property
    def major(self) -> str:
        """The major as Slurm writes it, such as ``"22.05"``."""
        return _text(self.version)


def select(text: str, version: int) -> str:
    """Evaluates the version conditions of one file of declarations.

    Args:
        text: The declarations.
        version: ``SLURM_VERSION_NUMBER`` of the Slurm that they are for.

    Returns:
        The declarations that hold for this version; the lines left out are empty.

    Raises:
        ValueError: A preprocessor line that is no version condition, or a condition left open.
    """
    kept: list[str] = []
    taken: list[bool] = []
    turned: list[bool] = []
    for number, line in enumerate(text.splitlines(), 1):
        condition = _CONDITION.fullmatch(line.strip())
        if condition:
            operator, *parts = condition.groups()
            bound = int(parts[0]) << 16 | int(parts[1]) << 8 | int(parts[2])
            taken.append(version >= bound if operator == ">=" else version < bound)
            turned.append(False)
        elif line.strip() == "#else" and taken and not turned[-1]:
            taken[-1] = not taken[-1]
            turned[-1] = True
        elif line.strip() == "#endif" and taken:
            taken.pop()
            turned.pop()
        elif line.startswith(("#if", "#el", "#end")):
            msg = f"line {number} is no version condition that is known here: {line}"
            raise ValueError(msg)
        elif all(taken):
            kept.append(line)
            continue
        kept.append("")
    if taken:
        msg = "a version condition is not closed with #endif"
        raise ValueError(msg)
    return "\n".join(kept) + "\n"


def declarations(slurm: Slurm) -> str:
    """All declarations for one Slurm, with the names of its error codes."""
    text = "".join(select((CDEFS / name).read_text("utf-8"), slurm.version) for name in HEADERS)
    return text.replace("SLURM_ERRNO_NAMES", "".join(f"{name}, " for name in errno_names(slurm)))


def errno_names(slurm: Slurm) -> list[str]:
    """The names of Slurm's error codes, which differ with every major, from the header."""
    header = _read(slurm.include / "slurm" / "slurm_errno.h")
    enum = re.search(r"typedef enum\s*\{(.*?)\}\s*slurm_err_t;", header, re.DOTALL)
    if enum is None:
        msg = f"{slurm.include}/slurm/slurm_errno.h has no slurm_err_t: {_HEADERS_ANEW}"
        raise BuildError(msg)
    body = re.sub(r"/\*.*?\*/|//[^\n]*", "", enum.group(1), flags=re.DOTALL)
    return re.findall(r"\b([A-Z]\w+)\s*(?==|,|$)", body)


def _read(header: Path) -> str:
    """The text of a header."""
    if not header.is_file():
        msg = f"no {header}: {_HEADERS_ANEW}"
        raise BuildError(msg)
    return header.read_text("utf-8", "replace")


def _check_compiler() -> None:
    """Says what to install where there is no C compiler."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(command.split()[0]) is None:
        msg = (
            f"no C compiler: {command.split()[0]} is not on the PATH. Install gcc "
            "(Debian, Ubuntu and RHEL: package gcc), or set CC"
        )
        raise BuildError(msg)


def _folders(*variables: str) -> list[Path]:
    """The folders that search paths of the environment name."""
    named = [folder for name in variables for folder in os.environ.get(name, "").split(os.pathsep)]
    return [Path(folder).absolute() for folder in named if folder]


def _places() -> list[tuple[list[Path], list[Path]]]:
    """Where to look, in order: folders with headers, and folders with the library for them."""
    prefixes = _folders("SLURM_PREFIX")
    if not prefixes:
        scontrol = shutil.which("scontrol")
        prefixes = [Path(scontrol).resolve().parent.parent] if scontrol else []
        prefixes += [Path("/usr"), Path("/usr/local")]
    multiarch = sysconfig.get_config_var("MULTIARCH") or "lib"
    libraries = (f"lib/{multiarch}", "lib64", "lib", "lib64/slurm")
    places = [([prefix / "include"], [prefix / part for part in libraries]) for prefix in prefixes]
    if not os.environ.get("SLURM_PREFIX"):
        places.append((_folders("CPATH", "C_INCLUDE_PATH"), _folders("LIBRARY_PATH")))
    include, library = _folders("SLURM_INCLUDE_DIR"), _folders("SLURM_LIB_DIR")
    if include and library:
        return [(include, library)]
    return [(include or headers, library or folders) for headers, folders in places]


def _header(folders: list[Path]) -> Path | None:
    """The folder that has slurm/slurm.h."""
    return next((folder for folder in folders if (folder / "slurm" / "slurm.h").is_file()), None)


def _library(folders: list[Path]) -> Path | None:
    """libslurm.so; the package that is needed at run time has it with a number alone."""
    for folder in folders:
        newest = sorted(folder.glob("libslurm.so.*"), reverse=True)
        for path in (folder / "libslurm.so", *newest):
            if path.is_file():
                return path
    return None


def _missing(what: str, variable: str, packages: str) -> BuildError:
    """The error for headers or a library that are nowhere."""
    for name in (variable, "SLURM_PREFIX"):
        if os.environ.get(name):
            return BuildError(f"{name} is {os.environ[name]}, where there is no {what}")
    return BuildError(
        f"no {what}. Install it ({packages}), or set SLURM_PREFIX or {variable} to where it is"
    )


def _check_library(library: Path, version: int) -> None:
    """Holds the library against the interpreter and against the headers."""
    with library.open("rb") as file:
        start = file.read(5)
    if start[:4] == b"\x7fELF" and start[4] * 32 != struct.calcsize("P") * 8:
        msg = (
            f"{library} is a {start[4] * 32}-bit library and this Python has "
            f"{struct.calcsize('P') * 8} bits: set SLURM_LIB_DIR to a libslurm.so that fits"
        )
        raise BuildError(msg)
    number = re.search(r"libslurm\.so\.(\d+)", library.resolve().name)
    wanted = FIRST_SONAME + MAJORS.index(_major(version))
    if number and int(number[1]) != wanted:
        msg = (
            f"the headers are of Slurm {_text(version)}, whose library is libslurm.so.{wanted}, "
            f"and {library} is libslurm.so.{number[1]}: set SLURM_PREFIX to the Slurm to use, or "
            "SLURM_INCLUDE_DIR and SLURM_LIB_DIR"
        )
        raise BuildError(msg)


def _major(version: int) -> tuple[int, int]:
    """Year and month of a version."""
    return version >> 16, version >> 8 & 0xFF


def _text(version: int) -> str:
    """The major as Slurm writes it, such as ``"22.05"``."""
    return "{}.{:02d}".format(*_major(version))


def _version(include: Path) -> int:
    """SLURM_VERSION_NUMBER of the headers, one of the majors that are known."""
    header = include / "slurm" / "slurm_version.h"
    found = re.search(r"#define\s+SLURM_VERSION_NUMBER\s+(0x[0-9a-fA-F]+)", _read(header))
    if found is None:
        msg = f"{header} has no SLURM_VERSION_NUMBER: {_HEADERS_ANEW}"
        raise BuildError(msg)
    version = int(found[1], 16)
    if _major(version) not in MAJORS:
        known = ", ".join(f"{year}.{month:02d}" for year, month in MAJORS)
        msg = (
            f"{header} is of Slurm {_text(version)}, which this release does not know (it knows "
            f"{known}): take a newer slurmpy-cffi, or set SLURM_PREFIX to another Slurm"
        )
        raise BuildError(msg)
    return version


def find_slurm() -> Slurm:
    """Finds the Slurm to build against: the first place that has both headers and library.

    Raises:
        BuildError: Something is missing or does not fit; one line says what, and what brings it.
    """
    places = _places()
    for headers, folders in places:
        include, library = _header(headers), _library(folders)
        if include and library:
            version = _version(include)
            _check_library(library, version)
            return Slurm(include, library, version)
    if any(_header(headers) for headers, _ in places):
        raise _missing(
            "libslurm.so",
            "SLURM_LIB_DIR",
            "Debian and Ubuntu: libslurm-dev; RHEL: slurm and slurm-devel",
        )
    raise _missing(
        "slurm/slurm.h",
        "SLURM_INCLUDE_DIR",
        "Debian and Ubuntu: libslurm-dev; RHEL: slurm-devel",
    )


def ffibuilder() -> FFI:
    """The binding for the installed Slurm, which cffi compiles."""
    _check_compiler()
    slurm = find_slurm()
    ffi = FFI()
    ffi.cdef(declarations(slurm))
    ffi.set_source(
        "slurmpy._slurm",
        "".join((CDEFS / name).read_text("utf-8") for name in SOURCES),
        include_dirs=[str(slurm.include)],
        # By its path, since a libslurm.so for -lslurm is in the development package alone.
        extra_objects=[str(slurm.library)],
        # The loader does not search a prefix of one's own.
        runtime_library_dirs=[str(slurm.library.parent)],
    )
    return ffi
