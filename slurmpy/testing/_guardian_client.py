"""The host's end of the guardian: see `slurmpy.testing._guardian`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from slurmpy.testing._errors import LocalClusterError
from slurmpy.testing._programs import find_python

__all__ = ["Guardian"]

PROGRAM = Path(__file__).with_name("_guardian.py")

# The guardian gives up on a process that cannot be killed before this.
PATIENCE = 30.0


class Guardian:
    """A guardian process, with the folder that it has made."""

    def __init__(self, directory: str) -> None:
        """Start it, to make its folder in `directory`."""
        self._process = subprocess.Popen(
            [find_python(), "-I", "-S", str(PROGRAM), str(os.getpid()), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            # Ctrl-C on the terminal is for the host, which then stops the cluster in its own time.
            start_new_session=True,
        )
        self._commands = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._lock = threading.Lock()
        self._last_id = 0
        try:
            self.folder = Path(self._read(0)["folder"])
        except BaseException:
            self._end()
            raise

    def reserve(self, address: str, count: int) -> list[int]:
        """Reserve free ports for as long as the guardian runs."""
        ports: list[int] = self._ask("reserve", address=address, count=count)
        return ports

    def why_no_other_name(self) -> str:
        """Why daemons cannot be started with ``renamed``; empty where they can be."""
        why: str = self._ask("why_no_other_name")
        return why

    def start(
        self, name: str, argv: list[str], env: dict[str, str], log: Path, *, renamed: bool
    ) -> None:
        """Start a daemon.

        Args:
            name: Its name in `running`.
            argv: The program and its arguments.
            env: Its environment.
            log: Where what it prints is added.
            renamed: Whether it is to see a machine that is called localhost.
        """
        self._ask("start", name=name, argv=argv, env=env, log=str(log), renamed=renamed)

    def running(self) -> dict[str, int]:
        """The process ids of the daemons that run."""
        pids: dict[str, int] = self._ask("running")
        return pids

    def stop(self) -> None:
        """Let it end all processes, remove the folder and end."""
        self._end()
        # It has done so itself, unless somebody killed it.
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        with suppress(BrokenPipeError):
            self._commands.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise LocalClusterError(
                f"the cluster's guardian, process {self._process.pid}, did not end the cluster"
                f" within {PATIENCE:.0f} s"
            ) from None
        finally:
            self._answers.close()

    def _ask(self, do: str, **arguments: object) -> Any:
        """Send a command, and return its result."""
        with self._lock:
            self._last_id += 1
            command = {"id": self._last_id, "do": do, **arguments}
            try:
                self._commands.write(json.dumps(command).encode() + b"\n")
                self._commands.flush()
            except BrokenPipeError:
                raise LocalClusterError("the cluster's guardian process is gone") from None
            reply = self._read(self._last_id)
        if "error" in reply:
            raise LocalClusterError(str(reply["error"]))
        return reply["result"]

    def _read(self, wanted: int) -> dict[str, Any]:
        """Read the answer to a command.

        One that nobody waited for, because of Ctrl-C, may come before it.
        """
        while True:
            text = self._answers.readline()
            try:
                reply: dict[str, Any] = json.loads(text)
            except ValueError:
                said = (text + self._answers.read()).decode(errors="replace").strip()
                raise LocalClusterError(
                    f"the cluster's guardian process ended: {said or 'it said nothing'}"
                ) from None
            if reply["id"] == wanted:
                return reply
