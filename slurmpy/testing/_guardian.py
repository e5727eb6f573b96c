"""The process that ends a `LocalCluster`, whatever becomes of the program that started it.

`LocalCluster` runs this file as a program of its own, with nothing but the standard library. The
guardian makes the cluster's folder, reserves its ports and starts its daemons, so that nothing of
the cluster exists before there is somebody to end it. It ends the cluster when its standard input
closes, when the program that started it is gone, or when it gets a signal: it kills every process
of the cluster and removes the folder.

Slurm's daemons, slurmstepd and many a job detach themselves from whoever started them. None gets
away: the guardian is a child subreaper (see prctl(2)), so a process whose parent has ended becomes
the guardian's child, not init's.

It reads commands and writes answers, one JSON object a line.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000

# A fork of the host that lives on keeps our standard input open, so we look at the host itself too.
LOOK_EVERY = 0.2
# What a job's processes get to end by themselves.
GRACE = 0.5
# A process that not even SIGKILL ends, as it waits for a dead disk, must not keep us for ever.
PATIENCE = 20.0

# The name of the machine that stands for 127.0.0.1 everywhere.
OTHER_NAME = "localhost"

WAITING_COMMANDS = (b"salloc", b"sattach", b"sbatch", b"scontrol", b"srun")

libc = ctypes.CDLL(None, use_errno=True)


def call(function: str, *arguments: int) -> None:
    """Call a function of the C library that returns 0 or sets errno."""
    if libc[function](*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}{arguments}: {os.strerror(error)}")


def rename_machine(name: str) -> None:
    """Give the machine another name, for this process and those below it alone."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        call("unshare", CLONE_NEWUTS)
    except PermissionError:
        if uid == 0:
            # Slurm's root wants to change groups, which a namespace made like this does not allow.
            raise
        # Who may not do that may often still do it in a user namespace, while staying who they are.
        call("unshare", CLONE_NEWUSER | CLONE_NEWUTS)
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            Path("/proc/self", file).write_text(text, encoding="ascii")
    socket.sethostname(name)


def why_no_other_name() -> str:
    """Why the system does not let us rename the machine; empty where it does."""
    end, other_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            rename_machine(OTHER_NAME)
        except OSError as error:
            os.write(other_end, str(error).encode())
        finally:
            os._exit(0)
    os.close(other_end)
    with os.fdopen(end) as answers:
        why = answers.read()
    os.waitpid(child, 0)
    return why


def descendants() -> list[int]:
    """The processes below this one, with the dead that nobody has waited for."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # A program's name may hold spaces and parentheses; nothing after it does.
                parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    parents = [os.getpid()]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += below
    return found


def commands(folder: str) -> list[int]:
    """The Slurm commands of this cluster, and what salloc runs, which others have started.

    They would wait for ever for a cluster that is gone. Programs that only know of the cluster are
    none of our business.
    """
    conf = f"SLURM_CONF={folder}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
                name = (entry / "comm").read_bytes().strip()
            except OSError:
                continue
            ours = any(variable.startswith(conf) for variable in variables)
            inside = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
            if ours and (inside or name in WAITING_COMMANDS):
                found.append(int(entry.name))
    return found


class Guardian:
    """The folder, the ports and the processes of one cluster."""

    def __init__(self, host: int) -> None:
        self.host = host
        self.folder = ""
        self.reserved: list[socket.socket] = []
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.told_to_stop = False

    def stop(self, *_: object) -> None:
        """Handle a signal."""
        self.told_to_stop = True

    def serve(self) -> None:
        """Obey commands until the host has closed its end or is gone, or a signal came."""
        received = b""
        while os.getppid() == self.host and not self.told_to_stop:
            self.reap()
            if not select.select([0], [], [], LOOK_EVERY)[0]:
                continue
            more = os.read(0, 65536)
            if not more:
                return
            *lines, received = (received + more).split(b"\n")
            for line in lines:
                self.obey(json.loads(line))

    def obey(self, command: dict[str, Any]) -> None:
        """Do one command, and answer it."""
        reply: dict[str, Any] = {"id": command["id"]}
        try:
            if command["do"] == "reserve":
                address, count = command["address"], command["count"]
                reply["result"] = [self.reserve(address) for _ in range(count)]
            elif command["do"] == "why_no_other_name":
                reply["result"] = why_no_other_name()
            elif command["do"] == "start":
                reply["result"] = self.start(command)
            else:
                reply["result"] = self.running()
        except (OSError, subprocess.SubprocessError) as error:
            reply["error"] = str(error)
        answer(reply)

    def reserve(self, address: str) -> int:
        """Reserve a free port, and keep it reserved for as long as the guardian runs.

        The kernel picks it as it binds the socket, so no two programs get the same. With
        SO_REUSEADDR on both sides, a daemon may listen on the port that we are bound to without
        listening. So it can use the port, end and use it again, and in between nobody else gets it.
        """
        reserved = socket.socket()
        self.reserved.append(reserved)
        reserved.bind((address, 0))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port: int = reserved.getsockname()[1]
        return port

    def start(self, command: dict[str, Any]) -> int:
        """Start a daemon, and return its process id."""

        def prepare() -> None:
            # Should somebody kill the guardian, then at least the daemons do not outlive it.
            call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if command["renamed"]:
                rename_machine(OTHER_NAME)

        with Path(command["log"]).open("ab") as log:
            daemon = subprocess.Popen(
                command["argv"],
                env=command["env"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 (unsafe with threads, which there are none of)
            )
        self.daemons[command["name"]] = daemon
        return daemon.pid

    def running(self) -> dict[str, int]:
        """The process ids of the daemons that run, by name."""
        self.reap()
        return {
            name: daemon.pid for name, daemon in self.daemons.items() if daemon.returncode is None
        }

    def reap(self) -> None:
        """Wait for what has ended: daemons, and the orphans that became our children."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for daemon in self.daemons.values():
                    if daemon.pid == pid:
                        daemon.returncode = status

    def end(self) -> None:
        """End every process of the cluster, then remove the folder."""
        began = time.monotonic()
        asked: set[int] = set()
        while time.monotonic() < began + PATIENCE:
            self.reap()
            pids = descendants() + commands(self.folder)
            if not pids:
                break
            late = time.monotonic() > began + GRACE
            for pid in pids:
                if late or pid not in asked:
                    asked.add(pid)
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)


def answer(reply: dict[str, Any]) -> None:
    """Write a line to the host. Where it is gone, `serve` finds that out by itself."""
    with suppress(BrokenPipeError):
        os.write(1, json.dumps(reply).encode() + b"\n")


def main() -> None:
    """Guard a cluster.

    The arguments are the process id of the host and the directory to make the folder in.
    """
    guardian = Guardian(int(sys.argv[1]))
    # Whatever the host has ignored or blocked we inherit, and the daemons and the jobs from us.
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(signum, guardian.stop)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)
    call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    guardian.folder = tempfile.mkdtemp(prefix="slurmpy-", dir=sys.argv[2])
    try:
        # Only its owner can look into a folder of mkdtemp, and munged wants to serve everybody.
        Path(guardian.folder).chmod(0o755)
        answer({"id": 0, "folder": guardian.folder})
        guardian.serve()
    finally:
        guardian.end()


if __name__ == "__main__":
    main()
