"""Where the programs are that a `LocalCluster` runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from slurmpy.testing._errors import LocalClusterError

__all__ = ["Programs", "find_programs", "find_python"]

# The PATH of an ordinary user often has no folder for daemons.
DAEMON_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/slurm/sbin", "/opt/slurm/bin")
# And that of RHEL has none for this one.
MARIADBD_FOLDERS = ("/usr/libexec",)

# Debian's package, then that of RHEL and its relatives.
PACKAGES = {
    "munged": ("munge", "munge"),
    "slurmctld": ("slurmctld", "slurm-slurmctld"),
    "slurmd": ("slurmd", "slurm-slurmd"),
    "scontrol": ("slurm-client", "slurm"),
    "slurmdbd": ("slurmdbd", "slurm-slurmdbd"),
    "mariadbd": ("mariadb-server-core", "mariadb-server"),
}
# Of the rest, no installation has a prefix of its own.
OF_SLURM = ("slurmctld", "slurmd", "scontrol", "slurmdbd")


@dataclass(frozen=True)
class Programs:
    """The installed Slurm.

    What only accounting needs is empty where nobody asked for accounting.
    """

    munged: str
    slurmctld: str
    slurmd: str
    scontrol: str
    release: str
    slurmdbd: str
    mariadbd: str
    system_tables: str

    @property
    def version(self) -> tuple[int, int]:
        """The major version, such as (22, 5) of the release 22.05.8."""
        major, minor = self.release.split(".")[:2]
        return int(major), int(minor)

    @property
    def folders(self) -> list[str]:
        """The folders to search for Slurm's commands, each once."""
        found = (str(Path(path).parent) for path in (self.scontrol, self.slurmctld))
        return list(dict.fromkeys(found))


def find_programs(prefix: str, *, accounting: bool = False) -> Programs:
    """Find munge's and Slurm's programs, Slurm's below `prefix` if that is not empty."""
    path = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *DAEMON_FOLDERS]
    slurm_path = [f"{prefix}/sbin", f"{prefix}/bin"] if prefix else path
    slurmctld, slurmd, scontrol = (
        find_program(name, slurm_path) for name in ("slurmctld", "slurmd", "scontrol")
    )
    mariadbd = find_program("mariadbd", [*path, *MARIADBD_FOLDERS]) if accounting else ""
    return Programs(
        munged=find_program("munged", path),
        slurmctld=slurmctld,
        slurmd=slurmd,
        scontrol=scontrol,
        release=slurm_release(slurmctld),
        slurmdbd=find_program("slurmdbd", slurm_path) if accounting else "",
        mariadbd=mariadbd,
        system_tables=find_system_tables(mariadbd) if accounting else "",
    )


def find_program(name: str, folders: list[str]) -> str:
    """The path of a program.

    It ends in the name that was asked for. Debian's slurmctld is a link to slurmctld-wlm, but
    started by that name 22.05 does not know that it is a controller, and loses all GRES.
    """
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise LocalClusterError(
            f"{name} was not found in {', '.join(dict.fromkeys(folders))}. {how_to_install(name)}"
        )
    return str(Path(found).absolute())


def how_to_install(name: str) -> str:
    """What to do about a program that is missing."""
    debian, rhel = PACKAGES[name]
    words = f"Install it (Debian, Ubuntu: apt-get install {debian}; RHEL: dnf install {rhel})"
    if name in OF_SLURM:
        words += ", or name the installation with prefix= or the environment variable SLURM_PREFIX"
    return words


def find_system_tables(mariadbd: str) -> str:
    """The path of MariaDB's own file that makes the tables which a server keeps for itself."""
    share = Path(mariadbd).resolve().parent.parent / "share"
    for folder in ("mysql", "mariadb", "."):
        for name in ("mariadb_system_tables.sql", "mysql_system_tables.sql"):
            path = share / folder / name
            if path.is_file():
                return str(path)
    raise LocalClusterError(
        f"{mariadbd} comes without its mysql_system_tables.sql, which is not below {share}. "
        f"{how_to_install('mariadbd')}"
    )


def slurm_release(slurmctld: str) -> str:
    """The release of an installed Slurm, such as 22.05.8."""
    done = subprocess.run(
        [slurmctld, "-V"], capture_output=True, text=True, check=False, timeout=30
    )
    found = re.search(r"\d+\.\d+(\.\w+)*", done.stdout)
    if done.returncode or not found:
        raise LocalClusterError(
            f"{slurmctld} -V does not run (exit code {done.returncode}): "
            f"{(done.stderr or done.stdout).strip()}"
        )
    return found[0]


def find_python() -> str:
    """A Python to run the programs of this folder with; any will do.

    Where Python is embedded in another program, `sys.executable` may be empty, or be that program,
    and to start that a second time might do anything.
    """
    for candidate in (
        sys.executable,
        f"{sys.base_prefix}/bin/python3",
        f"{sys.base_prefix}/bin/pypy3",
        shutil.which("python3"),
        "/usr/bin/python3",
    ):
        if (
            candidate
            and Path(candidate).name.startswith(("python", "pypy"))
            and os.access(candidate, os.X_OK)
        ):
            return candidate
    raise LocalClusterError(
        "LocalCluster needs a Python interpreter for the process that ends the cluster when this "
        f"program dies: sys.executable is {sys.executable!r}, and no python3 is on the PATH"
    )
