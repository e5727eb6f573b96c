"""The only import of the compiled module: ``ffi``, ``lib``, and whether they fit together."""

from __future__ import annotations

_AGAIN = (
    "install slurmpy-cffi again, with pip's --no-cache-dir and with SLURM_PREFIX set to the Slurm "
    "that this machine runs"
)


#: Slurm's majors in the order of the numbers in libslurm's file name, from libslurm.so.38 on.
MAJORS = ("22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11", "26.05")
_FIRST_SONAME = 38


def _major_of(number: int) -> str:
    """The major whose libslurm has a number in its file's name."""
    index = number - _FIRST_SONAME
    return MAJORS[index] if 0 <= index < len(MAJORS) else f"unknown (libslurm.so.{number})"


def _installed() -> list[str]:
    """The majors whose libslurm is where libraries are."""
    import contextlib
    import os
    import re
    import sysconfig

    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders += ["/usr/local/lib", "/usr/lib64", "/usr/lib", f"/usr/lib/{multiarch}"]
    numbers: set[int] = set()
    for folder in filter(None, folders):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):  # noqa: PTH208 - as in the other modules
                if found := re.fullmatch(r"libslurm\.so\.(\d+)[.\d]*", name):
                    numbers.add(int(found[1]))
    return [_major_of(number) for number in sorted(numbers)]


def _refuse_subinterpreter() -> None:
    """There is one libslurm in a process, and what two interpreters did to it would be mixed up."""
    from importlib import import_module

    # Since 3.13, and before. PyPy has neither, and no subinterpreters.
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            msg = (
                "slurmpy cannot be imported in a subinterpreter, since libslurm is in use once in "
                "a process: import it in the main interpreter (under mod_wsgi with "
                "`WSGIApplicationGroup %{GLOBAL}`), or in a process of its own"
            )
            raise ImportError(msg)
        return


_refuse_subinterpreter()

try:
    from slurmpy._slurm import ffi, lib
except ModuleNotFoundError as error:
    if error.name != "slurmpy._slurm":
        raise
    msg = (
        "slurmpy is imported from a checkout that was not compiled: leave its folder if "
        "slurmpy-cffi is installed, or compile it with `pip install --editable .` or `make demo`"
    )
    raise ImportError(msg) from error
except ImportError as error:
    import re

    # The file's own path is in the loader's words too, and whatever else is amiss with it.
    found = re.search(
        r"(?:libslurm\.so\.?(\d*)[.\d]*: cannot open|undefined symbol: slurm)", str(error)
    )
    if not found:
        raise
    built = f", Slurm {_major_of(int(found[1]))}" if found[1] else ""
    there = f"; this machine has Slurm {' and '.join(majors)}" if (majors := _installed()) else ""
    msg = (
        f"slurmpy does not find in libslurm what it was built with{built}{there}: where Slurm was "
        f"upgraded since, {_AGAIN} ({error})"
    )
    raise ImportError(msg) from error

__all__ = ["MAJOR", "MAJORS", "ffi", "has_members", "lib"]


def _major(version: int) -> str:
    """``SLURM_VERSION_NUMBER`` as Slurm writes a major."""
    return f"{version >> 16}.{version >> 8 & 0xFF:02d}"


#: The major of the headers that this was compiled with, such as ``"22.05"``.
MAJOR: str = _major(lib.SLURM_VERSION_NUMBER)


def has_members(struct: str) -> bool:
    """Whether the declarations for this major say what is in a struct."""
    try:
        # Asking for the fields of one of which nothing is known aborts the process.
        ffi.sizeof(struct)
    except ffi.error:
        return False
    return True


def _check() -> None:
    """Holds the library that was loaded against the headers of the build."""
    loaded = _major_of(lib.slurm_api_version() >> 16)
    if loaded != MAJOR:
        msg = (
            f"slurmpy was built with the headers of Slurm {MAJOR}, and the libslurm that is "
            f"loaded is of Slurm {loaded}: {_AGAIN}"
        )
        raise ImportError(msg)


_check()
