"""`LocalCluster`: a real Slurm on this machine, for as long as it is needed."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from slurmpy.testing._config import LOOPBACK, Config, Place
from slurmpy.testing._errors import LocalClusterError
from slurmpy.testing._guardian_client import Guardian
from slurmpy.testing._programs import find_programs, find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from slurmpy.testing._programs import Programs

__all__ = ["LocalCluster", "LocalClusterError"]

# slurmstepd makes a socket <folder>/spool-<node>/<node>_<job>.<step>.<component>, and the kernel
# takes no more than 107 bytes for the path of one.
LONGEST_DIRECTORY = 45

# These variables would send Slurm's commands to another cluster, or into a job of it.
FOREIGN_VARIABLE = re.compile(
    r"(SLURM|SLURMD|SBATCH|SALLOC|SRUN|SQUEUE|SINFO|SCANCEL|SCONTROL|SPRIO|SACCT|SSTAT|STRIGGER)_"
)
# And these tell slurmpy where Slurm is installed.
OWN_VARIABLES = ("SLURM_PREFIX", "SLURM_INCLUDE_DIR", "SLURM_LIB_DIR")
# The daemons, and the jobs that they start, get these of the host's variables and no others.
DAEMON_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")

# The name that the guardian makes the daemons see, where the machine's own does not stand for
# loopback.
OTHER_NAME = "localhost"

LOG_LINES = 20

_active: LocalCluster | None = None
_active_lock = threading.Lock()


class LocalCluster:
    """A real Slurm of one's own: munged, slurmctld and some slurmd, on this machine.

    It is for tests and demonstrations of programs that use Slurm. It runs the daemons of the
    installed packages, as the user who runs the program, on free ports of the loopback device, in
    a temporary folder. It needs neither root nor containers, and leaves the system's configuration
    alone, and a Slurm that may run there.

    It is a context manager; `start` and `stop` do the same. In between, slurmpy talks to this
    cluster, before and after to whatever it would otherwise. The environment of this process stays
    as it is: `env` has one for Slurm's commands and for other programs, and `run` runs a command in
    it. A process can have one active cluster.

    Nothing is left behind, however the program ends, be it by an exception, by Ctrl-C or by
    SIGKILL: all processes of the cluster and of its jobs are killed, and the folder is removed.

    Args:
        nodes: How many nodes, called n1, n2 and so on. Each is a slurmd.
        cpus: CPUs of each node. It may have more than the machine has.
        memory: Memory of each node, in MiB. Nothing enforces it.
        gpus: Made-up GPUs of each node: how many, or how many of each type, such as
            ``{"tesla": 2}``. Jobs are given them, but there is nothing to compute with.
        partitions: Names of partitions, or a mapping of names to options as slurm.conf has them.
            They have all nodes and no time limit unless the options say otherwise; the first is the
            default unless another one has ``Default=YES``.
        node_options: More options for the nodes' lines of slurm.conf, such as
            ``"Features=fast TmpDisk=10000"``; or a mapping of node names to options.
        extra_conf: More lines for slurm.conf. A key that the cluster has a value for is replaced.
        gres_conf: Lines for gres.conf.
        max_job_count: ``MaxJobCount``, with a ``MaxArraySize`` to match.
        accounting: Whether accounts, QOS, limits and wckeys are real: slurmdbd keeps them in a
            MariaDB in the cluster's folder, and slurmctld refuses a job that names one which is not
            there. The user who runs the cluster is its administrator, and has the account and the
            wckey ``test``; make more with ``sacctmgr``. slurmdbd and mariadbd have to be installed.
        name: ``ClusterName``.
        prefix: Where Slurm is installed. By default ``SLURM_PREFIX``, else what is on the ``PATH``
            or in one of the usual places.
        directory: Where to make the cluster's folder. By default where temporary files go. The path
            has to be short.
        loopback_only: Slurm can listen on all addresses, or on the one that the machine's name
            stands for. Where that is none of the loopback device, the daemons are made to see
            another name, if the system lets this user do that; if not, `start` fails. With False,
            they then listen on that address: in a container, for example. (Of Slurm's commands,
            srun and salloc listen too while they run, and then on all addresses.)
        timeout: How many seconds to wait for the daemons.

    Attributes:
        name: The cluster's name.
        nodes: The names of its nodes.

    Raises:
        TypeError: An option is not of its type.
        ValueError: An option has a value that cannot work; the message says what to change.

    Example:
        >>> import slurmpy
        >>> from slurmpy.testing import LocalCluster
        >>> with LocalCluster(nodes=2, cpus=4) as cluster:
        ...     job_id = int(cluster.run("sbatch", "--parsable", "--wrap", "sleep 60"))
        ...     print(slurmpy.Job.load(job_id).name)
        wrap
    """

    def __init__(  # noqa: PLR0913 (one argument an option, all of them keywords)
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
        accounting: bool = False,
        name: str = "local",
        prefix: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        loopback_only: bool = True,
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
            accounting=accounting,
            name=name,
        )
        if not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
        if timeout <= 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {timeout}")
        self.name = name
        self.nodes = list(self._config.nodes)
        self._prefix = os.fspath(prefix or os.environ.get("SLURM_PREFIX", ""))
        self._directory = check_directory(os.fspath(directory or tempfile.gettempdir()))
        self._loopback_only = loopback_only
        self._timeout = timeout

        self._guardian: Guardian | None = None
        self._owner = 0
        self._redirected = False
        self._before: tuple[str | None, str | None] = None, None
        self._place = Place(Path(), "", "", {}, (0, 0))
        self._renamed = False
        self._env: dict[str, str] = {}
        self._daemon_conf = Path()
        self._commands: dict[str, list[str]] = {}
        # Daemons whose end is news.
        self._wanted: set[str] = set()

    def __repr__(self) -> str:
        state = f"in {self._guardian.folder}" if self._guardian else "not running"
        return f"<LocalCluster {self.name!r} of {len(self.nodes)} nodes, {state}>"

    def __enter__(self) -> Self:
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
        """Start the daemons, wait until all nodes are idle, and point slurmpy at the cluster.

        Raises:
            LocalClusterError: A program is not installed, or a daemon did not start; the message
                has what it said last.
            RuntimeError: A cluster is active in this process already.
        """
        from slurmpy import _runtime

        self._claim()
        try:
            self._start_daemons()
            self._before = _runtime.redirect(str(self.conf))
            self._redirected = True
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Point slurmpy at what it used before, and end the cluster.

        Doing it twice does no harm. In a process that was forked off the one that started the
        cluster, it does nothing.
        """
        global _active  # noqa: PLW0603 (one a process)
        if self._owner != os.getpid():
            return
        try:
            if self._redirected:
                from slurmpy import _runtime

                self._redirected = False
                _runtime.put_back(self._before)
        finally:
            try:
                self._stop_daemons()
            finally:
                with _active_lock:
                    if _active is self:
                        _active = None

    @property
    def folder(self) -> Path:
        """The folder with everything of the cluster: its configuration, logs, state and keys."""
        return self._running_guardian().folder

    @property
    def conf(self) -> Path:
        """The slurm.conf, as ``SLURM_CONF`` in `env` names it."""
        return self.folder / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """The environment for programs that are to use the cluster.

        It is what this process had when the cluster started, without what would lead to another
        cluster, with ``SLURM_CONF``, and with Slurm's commands on the ``PATH``. You may change it.
        """
        self._running_guardian()
        return self._env

    @property
    def ports(self) -> dict[str, int]:
        """The port that each of Slurm's daemons listens on, by the daemon's name."""
        self._running_guardian()
        return dict(self._place.ports)

    @property
    def daemons(self) -> dict[str, int]:
        """The process ids of the daemons that run, by name: munged, slurmctld, slurmd-n1 and so on.

        With accounting, mariadbd and slurmdbd are among them.

        In `folder` are what a daemon printed, as its name with ``.err``, and Slurm's own logs, with
        ``.log``.
        """
        return self._running_guardian().running()

    def run(
        self,
        *command: str | os.PathLike[str],
        stdin: str = "",
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
    ) -> str:
        """Run one of Slurm's commands, or any other, on this cluster.

        Args:
            command: The command and its arguments.
            stdin: What it can read, such as a batch script for ``sbatch``.
            cwd: Where it runs. By default in `folder`, so that the output files of jobs vanish with
                the cluster.
            timeout: How many seconds it may take.

        Returns:
            What it printed on its standard output.

        Raises:
            LocalClusterError: It failed or took too long; the message has what it printed.

        Example:
            >>> from slurmpy.testing import LocalCluster
            >>> with LocalCluster() as cluster:
            ...     print(cluster.run("sinfo", "--noheader", "--format=%P %D %T"), end="")
            debug* 2 idle
        """
        words = [os.fspath(word) for word in command]
        try:
            done = subprocess.run(
                words,
                env=self.env,
                cwd=cwd or self.folder,
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            if len(words) == 1 and " " in words[0]:
                raise LocalClusterError(
                    f"{words[0]}: give the command as separate arguments:"
                    f" run({', '.join(repr(word) for word in words[0].split())})"
                ) from None
            raise LocalClusterError(f"{words[0]} is not installed ({error})") from None
        except subprocess.TimeoutExpired:
            raise LocalClusterError(f"{' '.join(words)}: not done after {timeout} s") from None
        if done.returncode:
            raise LocalClusterError(
                f"{' '.join(words)}: exit code {done.returncode}:"
                f" {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def wait_idle(self, timeout: float | None = None) -> None:
        """Wait until every node is up and has nothing to do.

        Args:
            timeout: How many seconds to wait; by default as many as for the start.

        Raises:
            LocalClusterError: A node is not idle by then, or a daemon has ended.
        """
        self._wait(self._idle, "the nodes are not idle", timeout)

    def cancel_all(self) -> None:
        """Cancel every job and wait until the nodes are idle, such as between two tests.

        Raises:
            LocalClusterError: A job does not end.
        """
        for state in ("PENDING", "RUNNING", "SUSPENDED"):
            self.run("scancel", f"--state={state}")
        self._wait(lambda: not self.run("squeue", "--noheader"), "jobs do not end")
        self.wait_idle()

    def start_daemon(self, name: str) -> None:
        """Start a daemon that does not run, and wait until it serves.

        Args:
            name: One of the names in `ports`, ``"munged"`` or, with accounting, ``"mariadbd"``.

        Raises:
            LocalClusterError: It did not start.
        """
        self._launch(self._check_name(name))
        self._wait(lambda: self._serves(name), f"{name} does not serve", only=name)

    def stop_daemon(self, name: str, signum: int = signal.SIGTERM) -> None:
        """End a daemon and wait until it has ended.

        To Slurm it has failed. To have one that hangs, send SIGSTOP to its process, which `daemons`
        names.

        Args:
            name: One of the names in `daemons`.
            signum: The signal to send. SIGKILL follows after 10 s.
        """
        pid = self.daemons.get(self._check_name(name))
        self._wanted.discard(name)
        deadline = time.monotonic() + 10
        while pid is not None and self.daemons.get(name) == pid:
            os.kill(pid, signum)
            while self.daemons.get(name) == pid and time.monotonic() < deadline:
                time.sleep(0.02)
            signum = signal.SIGKILL

    def restart_daemon(self, name: str) -> None:
        """End a daemon if it runs, start it, and wait until it serves.

        Args:
            name: One of the names in `daemons`.

        Raises:
            LocalClusterError: It did not start.
        """
        self.stop_daemon(name)
        self.start_daemon(name)

    def _claim(self) -> None:
        """Become the one cluster of this process."""
        global _active  # noqa: PLW0603 (one a process)
        with _active_lock:
            # A fork inherits the variable, but not the cluster.
            if _active is not None and _active._owner == os.getpid():
                raise RuntimeError(
                    "a LocalCluster is active in this process already: stop it first, or use it"
                )
            _active = self
            self._owner = os.getpid()

    def _running_guardian(self) -> Guardian:
        if self._guardian is None:
            raise LocalClusterError(
                "the cluster is not running: use it in a with block, or start() it"
            )
        return self._guardian

    def _check_name(self, name: str) -> str:
        if name not in self._commands:
            raise ValueError(f"{name!r} is none of the daemons: {', '.join(self._commands)}")
        return name

    def _start_daemons(self) -> None:
        """Start all daemons; slurmpy in this process does not learn of them."""
        accounting = self._config.accounting
        programs = find_programs(self._prefix, accounting=accounting)
        self._owner = os.getpid()
        try:
            self._guardian = guardian = Guardian(self._directory)
            machine, address = self._choose_address(guardian)
            names = ["slurmctld", *(f"slurmd-{node}" for node in self.nodes)]
            if accounting:
                names.append("slurmdbd")
            ports = dict(zip(names, guardian.reserve(address, len(names))))
            self._place = Place(guardian.folder, machine, address, ports, programs.version)
            self._write_files()
            self._prepare_commands(programs)
            if accounting:
                self._prepare_accounting(programs)
                self._launch("mariadbd")
            self.start_daemon("munged")
            if accounting:
                self._wait(lambda: self._serves("mariadbd"), "mariadbd does not serve")
                self.start_daemon("slurmdbd")
                # One command for all: what sacctmgr says to slurmdbd goes out in two parts each
                # time, and the second waits for TCP's delayed acknowledgement of the first.
                self._sacctmgr(stdin=self._config.accounts())
            self.start_daemon("slurmctld")
            for node in self.nodes:
                self._launch(f"slurmd-{node}")
            if accounting:
                self._wait(self._registered, "slurmctld has not found slurmdbd")
            self.wait_idle()
        except BaseException:
            self._stop_daemons()
            raise

    def _stop_daemons(self) -> None:
        guardian, self._guardian = self._guardian, None
        if guardian is not None:
            guardian.stop()

    def _choose_address(self, guardian: Guardian) -> tuple[str, str]:
        """The machine's name, as the daemons are to see it, and the address that it stands for.

        Slurm listens on all addresses of a machine or, as here, on the one that the machine's name
        stands for. Nothing in slurm.conf can name another one. So where that is not 127.0.0.1, the
        machine gets another name, if that is allowed.
        """
        machine = socket.gethostname()
        try:
            found = socket.getaddrinfo(machine, None, socket.AF_INET, socket.SOCK_STREAM)
            address = str(found[0][4][0])
        except OSError:
            address = ""
        why_not = "" if address == LOOPBACK else guardian.why_no_other_name()
        self._renamed = address != LOOPBACK and not why_not
        if self._renamed:
            return OTHER_NAME, LOOPBACK
        if address.startswith("127.") or (address and not self._loopback_only):
            return machine.partition(".")[0], address
        raise LocalClusterError(
            f"this machine's name, {machine}, stands for {address or 'no address'}, and that is"
            f" where Slurm listens. Its daemons cannot be made to see another name ({why_not})."
            f" Let /etc/hosts say 127.0.0.1 for {machine}, or set loopback_only=False"
        )

    def _write_files(self) -> None:
        place = self._place
        folder = place.folder
        # Whoever connects to a loopback address comes from 127.0.0.1, and gets called back there.
        # So srun cannot listen on what its machine's name stands for, unless that is 127.0.0.1.
        plain = place.address == LOOPBACK and not self._renamed
        self._daemon_conf = folder / ("slurm.conf" if plain else "daemons.conf")
        for conf, listen in (
            (self.conf, "NoCtldInAddrAny"),
            (self._daemon_conf, "NoCtldInAddrAny,NoInAddrAny"),
        ):
            conf.write_text(self._config.slurm_conf(place, listen), encoding="utf-8")
        # Slurm tells a job's tasks the configuration of the daemons.
        prolog = folder / "task-prolog"
        prolog.write_text(f"#!/bin/sh\necho export SLURM_CONF={self.conf}\n", encoding="utf-8")
        prolog.chmod(0o755)
        (folder / "gres.conf").write_text(self._config.gres_conf(folder), encoding="utf-8")
        if place.version >= (23, 2):
            (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n", encoding="utf-8")
        for gpu in self._config.gpu_files(folder):
            gpu.symlink_to("/dev/null")
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (folder / name).mkdir()
        key = os.open(folder / "munge.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(key, "wb") as file:
            file.write(os.urandom(128))

    def _prepare_commands(self, programs: Programs) -> None:
        folder = self.folder
        path = os.pathsep.join([*programs.folders, os.environ.get("PATH", os.defpath)])
        self._env = {
            name: value
            for name, value in os.environ.items()
            if name in OWN_VARIABLES or not FOREIGN_VARIABLE.match(name)
        }
        self._env.update(PATH=path, SLURM_CONF=str(self.conf))
        self._commands = {
            "munged": [
                programs.munged,
                "--foreground",
                # It wants no folder above its socket that everybody may write to, as /tmp is.
                "--force",
                f"--key-file={folder}/munge.key",
                f"--socket={folder}/munge.socket",
                f"--pid-file={folder}/munged.pid",
                f"--seed-file={folder}/munged.seed",
            ],
            "slurmctld": [programs.slurmctld, "-D", "-f", str(self._daemon_conf)],
        }
        for node in self.nodes:
            self._commands[f"slurmd-{node}"] = [
                programs.slurmd, "-D", "-N", node, "-f", str(self._daemon_conf)
            ]  # fmt: skip
        self._wanted = set()

    def _prepare_accounting(self, programs: Programs) -> None:
        folder = self.folder
        conf = os.open(folder / "slurmdbd.conf", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(conf, "w", encoding="utf-8") as file:
            file.write(self._config.slurmdbd_conf(self._place))
        for name in ("mariadb", "mariadb/data", "mariadb/temporary"):
            (folder / name).mkdir(0o700)
        (folder / "mariadb.cnf").write_text(self._config.mariadb_conf(folder), encoding="utf-8")
        tables = Path(programs.system_tables).read_text(encoding="utf-8")
        (folder / "mariadb.sql").write_text(self._config.mariadb_sql(tables), encoding="utf-8")
        self._commands["mariadbd"] = [
            find_python(),
            "-I",
            "-S",
            str(Path(__file__).with_name("_mariadb.py")),
            programs.mariadbd,
            f"--defaults-file={folder}/mariadb.cnf",
            str(folder / "mariadb/data/mysql"),
            str(folder / "mariadb.sql"),
        ]
        self._commands["slurmdbd"] = [programs.slurmdbd, "-D"]

    def _sacctmgr(self, *arguments: str, stdin: str = "") -> str:
        command = ("sacctmgr", "--immediate", "--noheader", "--parsable2", *arguments)
        return self.run(*command, stdin=stdin, timeout=self._timeout)

    def _registered(self) -> bool:
        """Whether slurmdbd knows where slurmctld is, and so tells it of every change."""
        port = self._sacctmgr("show", "cluster", self.name, "format=ControlPort")
        return port.strip() == str(self._place.ports["slurmctld"])

    def _launch(self, name: str) -> None:
        env = {key: value for key, value in os.environ.items() if key in DAEMON_VARIABLES}
        env.update(PATH=self._env["PATH"], SLURM_CONF=str(self._daemon_conf))
        if name == "slurmdbd":
            # slurmdbd.conf has no setting for it, but the library that slurmdbd uses looks here.
            env["MYSQL_UNIX_PORT"] = f"{self.folder}/mariadb/socket"
        log = self.folder / f"{name}.err"
        self._running_guardian().start(name, self._commands[name], env, log, renamed=self._renamed)
        self._wanted.add(name)

    def _serves(self, name: str) -> bool:
        if name == "munged":
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(str(self.folder / "munge.socket")) == 0
        if name == "mariadbd":
            return greets(f"{self.folder}/mariadb/socket")
        # A connection would tell as well, and have the daemon log an error about it. An address can
        # be had beside others who have it and allow that, until one of them listens.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._place.address, self._place.ports[name]))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return True
        return False

    def _idle(self) -> bool:
        nodes = self.run("scontrol", "--oneliner", "show", "nodes", timeout=self._timeout)
        states = re.findall(r"^NodeName=.* State=(\S+) ", nodes, re.MULTILINE)
        return len(states) == len(self.nodes) and {*states} <= {"IDLE", "IDLE+PLANNED"}

    def _wait(
        self,
        ready: Callable[[], bool],
        failure: str,
        timeout: float | None = None,
        only: str | None = None,
    ) -> None:
        """Wait for something that needs all daemons, or only one, to stay alive."""
        patience = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + patience
        while True:
            running = self.daemons
            for name in [only] if only else sorted(self._wanted):
                if name not in running:
                    raise LocalClusterError(f"{name} has ended:\n{self._last_words(name)}")
            try:
                if ready():
                    return
                said = ""
            except LocalClusterError as error:
                said = f" ({error})"
            if time.monotonic() > deadline:
                words = "\n".join(self._last_words(name) for name in sorted(self._wanted))
                raise LocalClusterError(f"{failure} after {patience} s{said}:\n{words}")
            time.sleep(0.03)

    def _last_words(self, name: str) -> str:
        lines = (self.folder / f"{name}.err").read_text(errors="replace").splitlines()
        return "\n".join(f"{name}: {line}" for line in lines[-LOG_LINES:])


def greets(path: str) -> bool:
    """Whether the database server behind a socket is done with its start.

    It listens before that, but its first bytes come after.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.5)
        try:
            client.connect(path)
            return client.recv(1) != b""
        except OSError:
            return False


def check_directory(path: str) -> str:
    """Refuse a directory that the cluster's folder cannot be in."""
    if not re.fullmatch(r"/[\w./+-]*", path):
        raise ValueError(
            f"directory={path!r}: slurm.conf takes only an absolute path of letters, digits and"
            " any of ./_+-"
        )
    if len(path) > LONGEST_DIRECTORY:
        raise ValueError(
            f"directory={path!r} is too long for sockets in it: give one of at most"
            f" {LONGEST_DIRECTORY} characters, or set TMPDIR to one"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"directory={path!r} is no directory that you can write to")
    return path
