"""`LocalCluster`: a real Slurm on this machine, for as long as a `with` block runs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slurmpy.testing import _guardian
from slurmpy.testing._config import Config
from slurmpy.testing._errors import LocalClusterError
from slurmpy.testing._programs import Programs, find_programs, find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

__all__ = ["LocalCluster", "LocalClusterError"]

# slurmstepd's socket is <folder>/spool-<node>/<node>_<job>.<step>, and its path has to fit into
# the 107 bytes that the kernel has for one.
LONGEST_DIRECTORY = 50

# Variables that would send Slurm's commands to another cluster, or into a job of one.
FOREIGN = re.compile(r"(SLURM|SLURMD|SBATCH|SALLOC|SRUN|SQUEUE|SINFO|SCANCEL|SCONTROL|SACCT|SPRIO)_")
# slurmpy's own variables look the same.
BUILD = ("SLURM_PREFIX", "SLURM_INCLUDE_DIR", "SLURM_LIB_DIR")

_active: LocalCluster | None = None
_active_lock = threading.Lock()


class Guardian:
    """The process that starts the daemons and ends them: see `slurmpy.testing._guardian`."""

    def __init__(self, directory: str) -> None:
        self.process = subprocess.Popen(
            [find_python(), "-I", "-S", _guardian.__file__, str(os.getpid()), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
        self.lock = threading.Lock()
        self.last_id = 0
        try:
            self.folder = Path(self.read(0)["folder"])
        except BaseException:
            self.stop()
            raise

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Send a command, and return the answer."""
        assert self.process.stdin
        with self.lock:
            self.last_id += 1
            command = {"id": self.last_id, "do": do, **arguments}
            try:
                self.process.stdin.write(json.dumps(command).encode() + b"\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                raise LocalClusterError("the cluster's guardian process is gone") from None
            reply = self.read(self.last_id)
        if "error" in reply:
            raise LocalClusterError(str(reply["error"]))
        return reply

    def read(self, wanted: int) -> dict[str, Any]:
        """Read the answer to one command; one that nobody waited for (Ctrl-C) may come before it."""
        assert self.process.stdout
        while True:
            text = self.process.stdout.readline()
            try:
                reply: dict[str, Any] = json.loads(text)
            except ValueError:
                said = (text + self.process.stdout.read()).decode(errors="replace").strip()
                raise LocalClusterError(
                    "the cluster's guardian process ended: " + (said or "it said nothing")
                ) from None
            if reply["id"] == wanted:
                return reply

    def stop(self) -> None:
        """Let it end all processes, remove the folder, and end."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()


class LocalCluster:
    """A real Slurm on this machine.

    TODO doc
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        nodes: int = 2,
        cpus: int = 8,
        memory: int = 4000,
        gpus: int | Mapping[str, int] = 0,
        partitions: Mapping[str, str] | Iterable[str] = ("debug",),
        node_options: str | Mapping[str, str] = "",
        extra_conf: str = "",
        gres_conf: str = "",
        max_job_count: int | None = None,
        name: str = "local",
        prefix: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._config = Config(
            nodes=nodes,
            cpus=cpus,
            memory=memory,
            gpus=gpus,
            partitions=partitions,
            node_options=node_options,
            extra_conf=extra_conf,
            gres_conf=gres_conf,
            max_job_count=max_job_count,
            name=name,
        )
        self._prefix = os.fspath(prefix) if prefix is not None else None
        self._directory = os.fspath(directory) if directory is not None else None
        self._timeout = timeout
        self.name = name
        self.nodes = list(self._config.nodes)
        self._guardian: Guardian | None = None
        self._owner = 0
        self._redirected = False
        self._previous: str | None = None

    def __enter__(self) -> LocalCluster:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the daemons, wait until all nodes are idle, and point slurmpy at them."""
        global _active
        from slurmpy import _runtime

        with _active_lock:
            if _active is not None and _active._owner == os.getpid():
                raise RuntimeError("a LocalCluster is active in this process already")
            self._owner = os.getpid()
            _active = self
        try:
            self._start_daemons()
            self._previous = _runtime.redirect(str(self.conf))
            self._redirected = True
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Put back where slurmpy looked before, and end the cluster. Doing it twice is fine."""
        global _active
        if self._owner != os.getpid():
            return
        try:
            if self._redirected:
                from slurmpy import _runtime

                _runtime.redirect(self._previous)
                self._redirected = False
        finally:
            try:
                self._stop_daemons()
            finally:
                with _active_lock:
                    if _active is self:
                        _active = None

    @property
    def folder(self) -> Path:
        """The folder that holds all of the cluster: configuration, logs, state, keys."""
        return self._running().folder

    @property
    def conf(self) -> Path:
        """The cluster's slurm.conf."""
        return self.folder / "slurm.conf"

    @property
    def daemons(self) -> dict[str, int]:
        """The process ids of the daemons that run, by name."""
        status = self._running().ask("status")["daemons"]
        return {name: found["pid"] for name, found in status.items() if found["status"] is None}

    def run(
        self,
        *command: str | os.PathLike[str],
        input: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
    ) -> str:
        """Run one of Slurm's commands on this cluster, and return what it prints."""
        shown = " ".join(os.fspath(word) for word in command)
        try:
            done = subprocess.run(
                command,
                env=self.env,
                cwd=cwd or self.folder,
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LocalClusterError(f"{shown}: not done after {timeout} s") from None
        if done.returncode:
            raise LocalClusterError(
                f"{shown}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def wait_idle(self, timeout: float | None = None) -> None:
        """Wait until no node has anything to do."""

        def idle() -> bool:
            found = re.findall(
                r"^NodeName=(\S+) .*? State=(\S+)", self.run("scontrol", "-o", "show", "nodes"), re.M
            )
            return len(found) == len(self.nodes) and all(
                state in ("IDLE", "IDLE+PLANNED") for _, state in found
            )

        self._wait(idle, "the nodes are not idle", list(self._expected), timeout)

    def start_daemon(self, name: str) -> None:
        """Start a daemon, and wait until it serves."""
        self._launch(name)
        self._wait(lambda: self._serves(name), f"{name} does not serve", [name])

    def stop_daemon(self, name: str, signum: int = signal.SIGTERM) -> None:
        """End a daemon, with SIGKILL if it takes more than 10 s."""
        pid = self.daemons[name]
        self._expected.discard(name)
        os.kill(pid, signum)
        deadline = time.monotonic() + 10
        while name in self.daemons:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def restart(self, name: str) -> None:
        """End a daemon if it runs, and start it again."""
        if name in self.daemons:
            self.stop_daemon(name)
        self.start_daemon(name)

    def _running(self) -> Guardian:
        if self._guardian is None:
            raise LocalClusterError("the cluster is not running")
        return self._guardian

    def _start_daemons(self) -> None:
        """Start everything, but leave slurmpy in this process as it is."""
        self._owner = os.getpid()
        programs = find_programs(self._prefix or os.environ.get("SLURM_PREFIX"))
        directory = self._directory or tempfile.gettempdir()
        self._expected: set[str] = set()
        self._guardian = Guardian(directory)
        self._ports = self._guardian.ask("ports", count=1 + len(self.nodes))["ports"]
        self._write_files(programs)
        self._commands = self._command_lines(programs)
        self.start_daemon("munged")
        self.start_daemon("slurmctld")
        for node in self.nodes:
            self._launch(f"slurmd-{node}")
        self.wait_idle(self._timeout)

    def _stop_daemons(self) -> None:
        if self._guardian is not None:
            guardian, self._guardian = self._guardian, None
            guardian.stop()

    def _write_files(self, programs: Programs) -> None:
        folder = self.folder
        key = os.open(folder / "munge.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(key, "wb") as file:
            file.write(os.urandom(128))
        (folder / "slurm.conf").write_text(
            self._config.slurm_conf(folder, self._ports, programs.version), encoding="utf-8"
        )
        (folder / "gres.conf").write_text(self._config.gres_conf(folder), encoding="utf-8")
        if programs.version >= (23, 2):
            (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n", encoding="utf-8")
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (folder / name).mkdir()
        for files in self._config.gpu_files(folder).values():
            for file in files:
                file.touch()
        path = os.environ.get("PATH", os.defpath)
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not FOREIGN.match(name) or name in BUILD
        }
        self.env["PATH"] = os.pathsep.join([*programs.folders, path])
        self.env["SLURM_CONF"] = str(self.conf)

    def _command_lines(self, programs: Programs) -> dict[str, list[str]]:
        folder = self.folder
        commands = {
            "munged": [
                programs.munged,
                "--foreground",
                # The folder for temporary files is everybody's, which munged is right to refuse elsewhere.
                "--force",
                f"--key-file={folder}/munge.key",
                f"--socket={folder}/munge.socket",
                f"--pid-file={folder}/munged.pid",
                f"--seed-file={folder}/munged.seed",
            ],
            "slurmctld": [programs.slurmctld, "-D", "-f", str(self.conf)],
        }
        for node in self.nodes:
            commands[f"slurmd-{node}"] = [programs.slurmd, "-D", "-N", node, "-f", str(self.conf)]
        return commands

    def _launch(self, name: str) -> None:
        kept = ("HOME", "LANG", "LD_LIBRARY_PATH", "TZ")
        env = {key: value for key, value in os.environ.items() if key in kept}
        env.update(PATH=self.env["PATH"], SLURM_CONF=str(self.conf))
        self._running().ask(
            "start",
            name=name,
            argv=self._commands[name],
            env=env,
            log=str(self.folder / f"{name}.err"),
        )
        self._expected.add(name)

    def _serves(self, name: str) -> bool:
        if name == "munged":
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(str(self.folder / "munge.socket")) == 0
        port = self._ports[list(self._commands).index(name) - 1]
        return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()

    def _wait(
        self,
        ready: Callable[[], bool],
        otherwise: str,
        names: list[str],
        timeout: float | None = None,
    ) -> None:
        deadline = time.monotonic() + (timeout or self._timeout)
        while not ready():
            running = self.daemons
            for name in names:
                if name not in running:
                    raise LocalClusterError(f"{name} has ended:\n" + self._log(name))
            if time.monotonic() > deadline:
                raise LocalClusterError(
                    f"{otherwise}:\n" + "\n".join(self._log(name) for name in names)
                )
            time.sleep(0.02)

    def _log(self, name: str) -> str:
        text = ""
        for suffix in ("err", "log"):
            path = self.folder / f"{name}.{suffix}"
            if path.exists():
                text += "".join(
                    f"{path.name}: {line}\n"
                    for line in path.read_text(errors="replace").splitlines()[-20:]
                )
        return text
