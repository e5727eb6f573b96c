"""The process that ends a `LocalCluster`, whatever becomes of the program that started it.

`LocalCluster` runs this file as a program of its own, with the standard library alone. It makes the cluster's folder, reserves its ports, and
starts its daemons, so that nothing of the cluster exists before something is there to end it. It ends when it is told to, when
its standard input closes, or when the program that started it is gone: then every process that descends from it is killed,
and the folder is removed.

A job can detach itself from its slurmstepd, and slurmstepd detaches itself from slurmd. Neither gets away: the
guardian is a child subreaper (see prctl(2)), so that a process whose parent has ended becomes the guardian's child, not init's.

It reads commands and writes answers, one JSON object a line. `LocalCluster` is the only one to speak to it.
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
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# How long a job's processes have to end by themselves, before they are killed.
GRACE = 0.5
# A process that not even SIGKILL ends (one that waits for a dead disk) must not keep the guardian for ever.
PATIENCE = 20.0
# A program that was forked off the host, and runs on, keeps our standard input open: so look at
# the host itself as well.
PARENT_POLL = 0.2

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Call prctl(2)."""
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")


def descendants() -> list[int]:
    """The ids of the processes below this one, the dead that nobody has waited for included."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    # The name of a program may hold spaces and parentheses; nothing after it does.
                    parent = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


class Guardian:
    """The folder, the ports and the processes of one cluster."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.folder = ""
        self.reserved: list[socket.socket] = []
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.told_to_stop = False

    def stop(self, *_: object) -> None:
        """Leave `serve` soon: the handler of every signal that would end the guardian."""
        self.told_to_stop = True

    def serve(self) -> None:
        """Answer commands until the host has closed its end, or is gone."""
        pending = b""
        while os.getppid() == self.parent and not self.told_to_stop:
            if not select.select([0], [], [], PARENT_POLL)[0]:
                self.reap()
                continue
            received = os.read(0, 65536)
            if not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                answer(self.obey(json.loads(line)))

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do one command, and return the answer to it."""
        reply: dict[str, Any] = {"id": command["id"]}
        try:
            if command["do"] == "ports":
                reply["ports"] = [self.reserve_port() for _ in range(command["count"])]
            elif command["do"] == "start":
                reply["pid"] = self.start(command)
            else:
                reply["daemons"] = self.status()
        except OSError as error:
            reply["error"] = str(error)
        return reply

    def reserve_port(self) -> int:
        """Reserve a free port of the loopback device for as long as the guardian runs.

        The kernel picks it while binding, so no two processes get the same one. `SO_REUSEADDR`, set
        on both sides, lets one socket listen on a port that another one is bound to without
        listening: so the daemon can use the port, restart and use it again, and nobody else gets it.
        """
        reserved = socket.socket()
        reserved.bind(("127.0.0.1", 0))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.reserved.append(reserved)
        port: int = reserved.getsockname()[1]
        return port

    def start(self, command: dict[str, Any]) -> int:
        """Start a daemon, and return its process id."""
        with open(command["log"], "ab") as log:
            daemon = subprocess.Popen(
                command["argv"],
                env=command["env"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Should the guardian itself be killed, then the daemons at least do not outlive it.
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        self.daemons[command["name"]] = daemon
        return daemon.pid

    def status(self) -> dict[str, Any]:
        """Say of each daemon its process id, and how it ended or None."""
        self.reap()
        return {
            name: {"pid": daemon.pid, "status": daemon.returncode}
            for name, daemon in self.daemons.items()
        }

    def reap(self) -> None:
        """Wait for what has ended: daemons, and orphans that became children of this process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for daemon in self.daemons.values():
                if daemon.pid == pid:
                    daemon.returncode = status

    def end(self) -> None:
        """End every process below this one, then remove the folder."""
        now = time.monotonic()
        kill_at, give_up_at = now + GRACE, now + PATIENCE
        asked: set[int] = set()
        while time.monotonic() < give_up_at:
            self.reap()
            pids = descendants()
            if not pids:
                break
            late = time.monotonic() >= kill_at
            for pid in pids:
                if late or pid not in asked:
                    asked.add(pid)
                    try:
                        os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                    except OSError:
                        continue
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)


def answer(reply: dict[str, Any]) -> None:
    """Send a line to the host. It may be gone: the caller finds out by itself."""
    try:
        os.write(1, json.dumps(reply).encode() + b"\n")
    except BrokenPipeError:
        pass


def main() -> None:
    """Guard a cluster in a new folder below the second argument, for the process of the first."""
    parent, directory = int(sys.argv[1]), sys.argv[2]
    guardian = Guardian(parent)
    # The host may have had any of these ignored or blocked, which is inherited: by the daemons too.
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(signum, guardian.stop)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)
    prctl(PR_SET_CHILD_SUBREAPER, 1)

    guardian.folder = tempfile.mkdtemp(prefix="slurmpy-", dir=directory)
    try:
        # munged runs only where everybody can reach its socket.
        os.chmod(guardian.folder, 0o755)
        answer({"id": 0, "folder": guardian.folder})
        guardian.serve()
    finally:
        guardian.end()


if __name__ == "__main__":
    main()
