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
HEADERS = ("runtime.h", "constants.h", "errno.h", "jobs.h")

#: The majors whose declarations were checked, oldest first.
MAJORS = ((22, 5), (23, 2), (23, 11), (24, 5), (24, 11), (25, 5), (25, 11), (26, 5))

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
        return f"{self.version >> 16}.{self.version >> 8 & 0xFF:02d}"


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
    for number, line in enumerate(text.splitlines(), 1):
        condition = _CONDITION.fullmatch(line.strip())
        if condition:
            operator, *parts = condition.groups()
            bound = int(parts[0]) << 16 | int(parts[1]) << 8 | int(parts[2])
            taken.append(version >= bound if operator == ">=" else version < bound)
        elif line.strip() == "#else" and taken:
            taken[-1] = not taken[-1]
        elif line.strip() == "#endif" and taken:
            taken.pop()
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
    header = (slurm.include / "slurm" / "slurm_errno.h").read_text("utf-8", "replace")
    enum = re.search(r"typedef enum\s*\{(.*?)\}\s*slurm_err_t;", header, re.DOTALL)
    if enum is None:
        msg = f"{slurm.include}/slurm/slurm_errno.h has no slurm_err_t: is it Slurm's?"
        raise BuildError(msg)
    body = re.sub(r"/\*.*?\*/|//[^\n]*", "", enum.group(1), flags=re.DOTALL)
    return re.findall(r"\b([A-Z]\w+)\s*(?==|,|$)", body)


def _prefixes() -> list[Path]:
    """Prefixes to look in, after the two variables for the folders themselves."""
    if os.environ.get("SLURM_PREFIX"):
        return [Path(os.environ["SLURM_PREFIX"])]
    scontrol = shutil.which("scontrol")
    found = [Path(scontrol).resolve().parent.parent] if scontrol else []
    return [*found, Path("/usr"), Path("/usr/local")]


def _check_compiler() -> None:
    """Says what to install where there is no C compiler."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(command.split()[0]) is None:
        msg = (
            f"no C compiler: {command.split()[0]} is not on the PATH. Install gcc "
            "(Debian, Ubuntu and RHEL: package gcc), or set CC"
        )
        raise BuildError(msg)


def _header(prefixes: list[Path]) -> Path:
    """The folder that has slurm/slurm.h."""
    named = os.environ.get("SLURM_INCLUDE_DIR")
    for folder in [Path(named)] if named else [prefix / "include" for prefix in prefixes]:
        if (folder / "slurm" / "slurm.h").is_file():
            return folder
    if named:
        msg = f"SLURM_INCLUDE_DIR is {named}, where there is no slurm/slurm.h"
    elif os.environ.get("SLURM_PREFIX"):
        msg = f"SLURM_PREFIX is {prefixes[0]}, where there is no include/slurm/slurm.h"
    else:
        msg = (
            "no slurm/slurm.h. Install Slurm's headers (Debian and Ubuntu: libslurm-dev; RHEL: "
            "slurm-devel), or set SLURM_PREFIX or SLURM_INCLUDE_DIR to where they are"
        )
    raise BuildError(msg)


def _library(prefixes: list[Path]) -> Path:
    """libslurm.so, by its full path."""
    named = os.environ.get("SLURM_LIB_DIR")
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [Path(named)] if named else []
    for prefix in prefixes if not named else []:
        folders += [
            prefix / part for part in (f"lib/{multiarch}", "lib64", "lib", "lib64/slurm") if part
        ]
    for folder in folders:
        for name in ("libslurm.so", *sorted(path.name for path in folder.glob("libslurm.so.*"))):
            if (folder / name).is_file():
                return folder / name
    if named:
        msg = f"SLURM_LIB_DIR is {named}, where there is no libslurm.so"
    elif os.environ.get("SLURM_PREFIX"):
        msg = f"SLURM_PREFIX is {prefixes[0]}, where no lib folder has a libslurm.so"
    else:
        msg = (
            "no libslurm.so. Install Slurm's library (Debian and Ubuntu: libslurm-dev; RHEL: "
            "slurm and slurm-devel), or set SLURM_PREFIX or SLURM_LIB_DIR to where it is"
        )
    raise BuildError(msg)


def _check_library(library: Path) -> None:
    """Holds the width of the library against the interpreter's."""
    with library.open("rb") as file:
        start = file.read(5)
    if start[:4] == b"\x7fELF" and start[4] * 32 != struct.calcsize("P") * 8:
        msg = (
            f"{library} is a {start[4] * 32}-bit library and this Python has "
            f"{struct.calcsize('P') * 8} bits: set SLURM_LIB_DIR to a libslurm.so that fits"
        )
        raise BuildError(msg)


def _version(include: Path) -> int:
    """SLURM_VERSION_NUMBER of the headers, one of the majors that are known."""
    header = include / "slurm" / "slurm_version.h"
    if not header.is_file():
        msg = f"{include} has slurm/slurm.h but no slurm/slurm_version.h: install the headers anew"
        raise BuildError(msg)
    found = re.search(r"#define\s+SLURM_VERSION_NUMBER\s+(0x[0-9a-fA-F]+)", header.read_text())
    if found is None:
        msg = f"{header} has no SLURM_VERSION_NUMBER: is it Slurm's?"
        raise BuildError(msg)
    version = int(found.group(1), 16)
    if (version >> 16, version >> 8 & 0xFF) not in MAJORS:
        known = ", ".join(f"{year}.{month:02d}" for year, month in MAJORS)
        msg = (
            f"{header} is of Slurm {version >> 16}.{version >> 8 & 0xFF:02d}, which this release "
            f"does not know (it knows {known}): take a newer slurmpy-cffi, or set SLURM_PREFIX "
            "to another Slurm"
        )
        raise BuildError(msg)
    return version


def find_slurm() -> Slurm:
    """Finds the Slurm to build against.

    Raises:
        BuildError: Something is missing or does not fit; one line says what, and what brings it.
    """
    prefixes = _prefixes()
    include = _header(prefixes)
    library = _library(prefixes)
    _check_library(library)
    return Slurm(include, library, _version(include))


def ffibuilder() -> FFI:
    """The binding for the installed Slurm, which cffi compiles."""
    _check_compiler()
    slurm = find_slurm()
    ffi = FFI()
    ffi.cdef(declarations(slurm))
    ffi.set_source(
        "slurmpy._slurm",
        (CDEFS / "source.c").read_text("utf-8"),
        include_dirs=[str(slurm.include)],
        libraries=["slurm"],
        library_dirs=[str(slurm.library.parent)],
        # The loader does not search a prefix of one's own.
        runtime_library_dirs=[str(slurm.library.parent)],
    )
    return ffi
