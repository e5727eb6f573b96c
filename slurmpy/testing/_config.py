"""The configuration of a `LocalCluster`: its options, checked, and the files made from them."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slurmpy.testing._errors import LocalClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["LOOPBACK", "Config", "Place"]

LOOPBACK = "127.0.0.1"

# What makes the cluster this one: with other values it would not be found, would not be ended, or
# would be open to the network.
OURS = (
    "AuthInfo",
    "AuthType",
    "ClusterName",
    "CommunicationParameters",
    "SlurmctldHost",
    "SlurmctldLogFile",
    "SlurmctldPidFile",
    "SlurmctldPort",
    "SlurmdLogFile",
    "SlurmdPidFile",
    "SlurmdPort",
    "SlurmdSpoolDir",
    "SlurmdUser",
    "SlurmUser",
    "StateSaveLocation",
)
# With accounting, these too.
OURS_WITH_ACCOUNTING = (
    "AccountingStorageHost",
    "AccountingStoragePass",
    "AccountingStoragePort",
    "AccountingStorageType",
)

# The user who runs the cluster has these when it starts.
ACCOUNT = "test"
WCKEY = "test"

DATABASE = "slurm"

# Nothing of the database is to outlive the machine, so it need not be safe on the disk, only with
# the kernel: a MariaDB that is killed has lost nothing when it is started again. And it is small.
# MariaDB may rename or drop such options: then it says so, and starts nevertheless.
FAST = """
loose_aria_log_file_size=8M
loose_innodb_autoextend_increment=1
loose_innodb_buffer_pool_dump_at_shutdown=0
loose_innodb_buffer_pool_load_at_startup=0
loose_innodb_buffer_pool_size=32M
loose_innodb_data_file_path=ibdata1:2M:autoextend
loose_innodb_doublewrite=0
loose_innodb_flush_log_at_trx_commit=2
loose_innodb_flush_method=nosync
loose_innodb_lock_wait_timeout=900
loose_innodb_log_file_size=4M
loose_innodb_stats_persistent=0
loose_innodb_temp_data_file_path=ibtmp1:2M:autoextend
loose_innodb_use_native_aio=0
loose_log_warnings=1
loose_performance_schema=0
loose_skip_log_bin
loose_sync_frm=0
"""


@dataclass(frozen=True)
class Place:
    """Where a cluster runs.

    Attributes:
        folder: Its folder.
        machine: The name of the machine, as the daemons see it.
        address: The address that they listen on.
        ports: The port of each daemon, by the daemon's name.
        version: Slurm's major version.
    """

    folder: Path
    machine: str
    address: str
    ports: dict[str, int]
    version: tuple[int, int]


def check_count(name: str, value: object, least: int) -> None:
    """Refuse what is not a whole number, or is too small."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_text(name: str, value: object) -> str:
    """Refuse what is not text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if re.search("[\0\ud800-\udfff]", value):
        raise ValueError(f"{name} has what no file of Slurm's can have: {value!r}")
    if value.rstrip(" \t\r\n").endswith("\\"):
        raise ValueError(f"{name} ends with a backslash, which would join the next line: {value!r}")
    return value


def pairs(name: str, text: object) -> dict[str, str]:
    """Take `"Key=value Key=value"` apart."""
    found = {}
    for word in check_text(name, text).split():
        key, equals, value = word.partition("=")
        if not key or not equals or value.endswith("\\"):
            raise ValueError(f"{name}: {word!r} should be Key=value, with no space around the '='")
        found[key] = value
    return found


def merged(defaults: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """`defaults` with `changes`: Slurm takes its keys in any case, but each only once."""
    changed = {key.lower() for key in changes}
    kept = {key: value for key, value in defaults.items() if key.lower() not in changed}
    return {**kept, **changes}


def user_name() -> str:
    """The name of the user who runs the cluster."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise LocalClusterError(
            f"Slurm needs a name for the user that runs it, and user id {os.geteuid()} has"
            " none in the passwd database"
        ) from None


def line(first: str, rest: Mapping[str, str]) -> str:
    """One line of slurm.conf that declares a node or a partition."""
    return " ".join([first, *(f"{key}={value}" for key, value in rest.items())])


class Config:
    """The options of a `LocalCluster`, which documents them."""

    def __init__(  # noqa: PLR0913 (one for each option)
        self,
        *,
        nodes: int,
        cpus: int,
        memory: int,
        gpus: int | Mapping[str, int],
        partitions: Mapping[str, str] | Iterable[str],
        node_options: str | Mapping[str, str],
        extra_conf: str,
        gres_conf: str,
        max_job_count: int | None,
        accounting: bool,
        name: str,
    ) -> None:
        check_count("nodes", nodes, 1)
        check_count("cpus", cpus, 1)
        check_count("memory", memory, 1)
        if max_job_count is not None:
            check_count("max_job_count", max_job_count, 2)
        if not isinstance(accounting, bool):
            raise TypeError(f"accounting must be a bool, not {type(accounting).__name__}")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", check_text("name", name)):
            raise ValueError(
                f"name must be a lower-case letter and up to 39 more of these, digits, '-' and '_',"
                f" not {name!r}"
            )
        self.name = name
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self.cpus = cpus
        self.memory = memory
        self.gpus = self.read_gpus(gpus)
        self.partitions = self.read_partitions(partitions)
        self.node_options = self.read_node_options(node_options)
        self.accounting = accounting
        self.extra = self.read_extra(extra_conf)
        self.gres = check_text("gres_conf", gres_conf)
        self.max_job_count = max_job_count

    @staticmethod
    def read_gpus(gpus: int | Mapping[str, int]) -> dict[str, int]:
        """GPUs by type, those of no type under an empty one."""
        if not isinstance(gpus, Mapping):
            check_count("gpus", gpus, 0)
            return {"": gpus} if gpus else {}
        for kind, count in gpus.items():
            if not re.fullmatch(r"\w+", check_text("gpus", kind)):
                raise ValueError(f"gpus: a type is a word, not {kind!r}")
            check_count(f"gpus[{kind!r}]", count, 1)
        return dict(gpus)

    @staticmethod
    def read_partitions(partitions: Mapping[str, str] | Iterable[str]) -> dict[str, dict[str, str]]:
        """Partitions with their options; the first is the default if no other says that it is."""
        if isinstance(partitions, str):
            raise TypeError("partitions must be a list of names, or a dict of names and options")
        given = partitions if isinstance(partitions, Mapping) else dict.fromkeys(partitions, "")
        read = {}
        for name, options in given.items():
            if not re.fullmatch(r"[\w.-]+", check_text("partitions", name)):
                raise ValueError(f"partitions: {name!r} is no name for a partition")
            read[name] = merged(
                {"Nodes": "ALL", "MaxTime": "INFINITE", "State": "UP"},
                pairs(f"partitions[{name!r}]", options),
            )
        if not read:
            raise ValueError("partitions must name at least one partition")
        if not any(key.lower() == "default" for options in read.values() for key in options):
            next(iter(read.values()))["Default"] = "YES"
        return read

    def read_node_options(self, options: str | Mapping[str, str]) -> dict[str, dict[str, str]]:
        """What the user adds to each node's line."""
        given = options if isinstance(options, Mapping) else dict.fromkeys(self.nodes, options)
        for node in given:
            if node not in self.nodes:
                raise ValueError(
                    f"node_options: there is no node {node!r}, only {', '.join(self.nodes)}"
                )
        read = {node: pairs(f"node_options[{node!r}]", text) for node, text in given.items()}
        for node, found in read.items():
            for key in found:
                if key.lower() in {"nodename", "nodehostname", "nodeaddr", "port", "state"}:
                    raise ValueError(
                        f"node_options[{node!r}]: LocalCluster sets {key} itself"
                        " (change a node's state with scontrol, once the cluster runs)"
                    )
        return read

    def read_extra(self, text: str) -> list[tuple[str, str]]:
        """The user's lines, each with its key in lower case."""
        keys = (*OURS, *OURS_WITH_ACCOUNTING) if self.accounting else OURS
        ours = {key.lower(): key for key in keys}
        read = []
        for entry in check_text("extra_conf", text).splitlines():
            stripped = entry.strip()
            if stripped and not stripped.startswith("#"):
                key = re.split(r"[\s=]", stripped, maxsplit=1)[0].lower()
                # Slurm reads all pairs of a line, up to a comment.
                read_too = re.split(r"(?<!\\)#", stripped, maxsplit=1)[0]
                others = re.findall(r"\s([\w.]+)[ \t]*[-+*/]?=", read_too)
                for it in (key, *map(str.lower, others)):
                    if it in ours:
                        raise ValueError(f"extra_conf: LocalCluster sets {ours[it]} itself")
                read.append((key, stripped))
        return read

    def slurm_conf(self, place: Place, listen: str) -> str:
        """The text of slurm.conf.

        Args:
            place: Where the cluster runs.
            listen: What there is to say in CommunicationParameters about where to listen.
        """
        user = user_name()
        folder = place.folder
        settings = {
            "ClusterName": self.name,
            "SlurmctldHost": f"{place.machine}({place.address})",
            "SlurmctldPort": str(place.ports["slurmctld"]),
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge.socket",
            "StateSaveLocation": f"{folder}/state",
            "SlurmdSpoolDir": f"{folder}/spool-%n",
            "SlurmctldLogFile": f"{folder}/slurmctld.log",
            "SlurmdLogFile": f"{folder}/slurmd-%n.log",
            "SlurmctldPidFile": f"{folder}/slurmctld.pid",
            "SlurmdPidFile": f"{folder}/slurmd-%n.pid",
            "CommunicationParameters": listen,
            # All of this works without cgroups, and as any user.
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/linux",
            "JobAcctGatherFrequency": "1",
            "MpiDefault": "none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            # A job that asks for no memory would get all of a node's.
            "DefMemPerCPU": str(max(1, self.memory // self.cpus)),
            # Take the nodes for as large as they are said to be.
            "SlurmdParameters": "config_overrides",
            "ReturnToService": "2",
            # Jobs start, end and are looked at again at once, not after seconds.
            "SchedulerType": "sched/backfill",
            "SchedulerParameters": "batch_sched_delay=1,bf_interval=1",
            "KillWait": "2",
            # The limits of the program that submits may be more than slurmd can give.
            "PropagateResourceLimits": "NONE",
            "MailProg": "/bin/true",
        }
        if place.address != LOOPBACK:
            settings["TaskProlog"] = f"{folder}/task-prolog"
        if place.version < (23, 2):
            settings["SwitchType"] = "switch/none"
        if self.gpus:
            settings["GresTypes"] = "gpu"
        if self.max_job_count is not None:
            settings["MaxJobCount"] = str(self.max_job_count)
            settings["MaxArraySize"] = str(min(max(self.max_job_count, 1001), 4000001))
        if self.accounting:
            settings.update(
                AccountingStorageType="accounting_storage/slurmdbd",
                AccountingStorageHost=place.address,
                AccountingStoragePort=str(place.ports["slurmdbd"]),
                # Of munge, whatever the name says.
                AccountingStoragePass=f"{folder}/munge.socket",
                AccountingStorageEnforce="associations,limits,qos,wckeys",
                TrackWCKey="yes",
            )
            if self.gpus:
                settings["AccountingStorageTRES"] = "gres/gpu"
        keys = {key for key, _ in self.extra}
        # The three ways to say a default for memory exclude each other.
        if any(key.startswith("defmemper") for key in keys):
            del settings["DefMemPerCPU"]
        lines = [f"{key}={value}" for key, value in settings.items() if key.lower() not in keys]
        lines += [text for _, text in self.extra]
        lines += [line(f"NodeName={node}", self.node_settings(node, place)) for node in self.nodes]
        lines += [line(f"PartitionName={name}", rest) for name, rest in self.partitions.items()]
        return "\n".join(lines) + "\n"

    @staticmethod
    def slurmdbd_conf(place: Place) -> str:
        """The text of slurmdbd.conf."""
        folder = place.folder
        settings = {
            "DbdHost": place.machine,
            "DbdAddr": place.address,
            "DbdPort": str(place.ports["slurmdbd"]),
            "SlurmUser": user_name(),
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge.socket",
            "CommunicationParameters": "NoCtldInAddrAny,NoInAddrAny",
            "LogFile": f"{folder}/slurmdbd.log",
            "PidFile": f"{folder}/slurmdbd.pid",
            "StorageType": "accounting_storage/mysql",
            # That is a socket, which MYSQL_UNIX_PORT names: see LocalCluster.
            "StorageHost": "localhost",
            "StorageLoc": DATABASE,
            "StorageUser": "slurm",
            "TrackWCKey": "yes",
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    @staticmethod
    def mariadb_conf(folder: Path) -> str:
        """The text of the configuration of MariaDB.

        Whoever gets at its socket may do everything, and only its owner can look into the folder
        that the socket is in. No port is open.
        """
        database = folder / "mariadb"
        lines = [
            "[mariadbd]",
            f"user={user_name()}",
            f"datadir={database}/data",
            # A server that starts removes what others have in the same one.
            f"tmpdir={database}/temporary",
            f"socket={database}/socket",
            f"pid_file={database}/pid",
            "skip_networking",
            "skip_grant_tables",
            "skip_name_resolve",
        ]
        return "\n".join(lines) + FAST

    @staticmethod
    def mariadb_sql(system_tables: str) -> str:
        """The statements that make the server's own tables, and the database for slurmdbd.

        Procedures are kept in one of them, and slurmdbd makes some. MariaDB's own program for this,
        mariadb-install-db, also fills tables that nobody needs here, and Debian has the rest of
        what it takes in another package.

        slurmdbd makes its database itself where there is none, but then goes on with a connection
        that has failed once, on which the library of MariaDB 11.8 takes no answer.
        """
        return f"CREATE DATABASE {DATABASE};\nCREATE DATABASE mysql;\nUSE mysql;\n{system_tables}"

    def accounts(self) -> str:
        """What sacctmgr reads to make the cluster known, with the account and wckey of its user."""
        new = f"account={ACCOUNT} wckey={WCKEY}"
        default = f"defaultaccount={ACCOUNT} defaultwckey={WCKEY}"
        return (
            f"add cluster {self.name}\n"
            f"add account {ACCOUNT}\n"
            # Root is there from the beginning, with another account.
            f"add user {user_name()} {new} {default} adminlevel=administrator\n"
        )

    def node_settings(self, node: str, place: Place) -> dict[str, str]:
        """What slurm.conf says of one node."""
        settings = {
            "NodeHostname": place.machine,
            "NodeAddr": place.address,
            "Port": str(place.ports[f"slurmd-{node}"]),
            "CPUs": str(self.cpus),
            "RealMemory": str(self.memory),
        }
        if self.gpus:
            settings["Gres"] = ",".join(
                f"gpu:{kind}:{count}" if kind else f"gpu:{count}"
                for kind, count in self.gpus.items()
            )
        return merged(settings, self.node_options.get(node, {}))

    def gpu_files(self, folder: Path) -> list[Path]:
        """The device files of the GPUs, which all nodes have in common."""
        return [folder / f"gpu{number}" for number in range(sum(self.gpus.values()))]

    def gres_conf(self, folder: Path) -> str:
        """The text of gres.conf."""
        files = iter(self.gpu_files(folder))
        lines = ["AutoDetect=off"] if self.gpus else []
        for kind, count in self.gpus.items():
            type_ = f" Type={kind}" if kind else ""
            names = ",".join(str(next(files)) for _ in range(count))
            lines.append(f"NodeName={','.join(self.nodes)} Name=gpu{type_} File={names}")
        return "\n".join([*lines, self.gres]) + "\n"
