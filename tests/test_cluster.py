"""LocalCluster: that it starts what it says, where it says, and that nothing of it stays.

A process has only one active cluster, and the other tests share one: so the clusters here are
started in processes of their own, or without slurmpy being pointed at them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

import slurmpy
from slurmpy.testing import LocalCluster, LocalClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(slurmpy.__file__).parent

# What is used of slurmpy.testing in the programs below.
PRELUDE = """
    import os, signal, subprocess, sys, time
    from slurmpy.testing import LocalCluster, LocalClusterError

    def run_job(cluster, mark):
        # Processes that ignore signals, leave their session, and lose their parent.
        cluster.run("sbatch", stdin=f'''#!/bin/sh
            trap '' HUP INT TERM
            setsid sh -c 'sleep {mark} & sleep {mark}' &
            env -i setsid sleep {mark} &
            (setsid sleep {mark} &)
            touch started
            sleep {mark}
            sleep {mark}
        ''')
        while not (cluster.folder / "started").exists():
            time.sleep(0.02)

    def tell(*words):
        print(*words, flush=True)
"""


@contextlib.contextmanager
def started(**options: Any) -> Iterator[LocalCluster]:  # noqa: ANN401 (whatever it takes)
    """A cluster that slurmpy in this process is not pointed at."""
    cluster = LocalCluster(**options)
    cluster._start_daemons()
    try:
        yield cluster
    finally:
        cluster._stop_daemons()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with started(
        cpus=4,
        memory=2000,
        gpus={"tesla": 1, "volta": 2},
        partitions={"short": "MaxTime=10", "long": "Default=YES Nodes=n2"},
        node_options={"n2": "Features=fast RealMemory=3000"},
        extra_conf="# fewer\nmessagetimeout = 7\nKillWait=9\nLicenses=one:1\n",
        max_job_count=5000,
        name="own-name_1",
    ) as running:
        yield running


@contextlib.contextmanager
def program(
    text: str, *arguments: str, path: Path = PACKAGE.parent
) -> Iterator[subprocess.Popen[str]]:
    """A Python program that uses the slurmpy of a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(text), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As a shell has it for what a terminal's Ctrl-C goes to.
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(path)},
    ) as running:
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def line(running: subprocess.Popen[str]) -> str:
    """The next line that a program prints."""
    assert running.stdout is not None
    return running.stdout.readline().rstrip("\n")


def output(text: str, path: Path = PACKAGE.parent) -> str:
    """What such a program prints, once it has ended well."""
    with program(text, path=path) as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    return out


def processes(*marks: str) -> dict[int, str]:
    """The processes with one of these in their command line, environment or folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                text = words.decode(errors="replace") + str((entry / "cwd").readlink())
                if any(mark in text for mark in marks):
                    found[int(entry.name)] = words.decode(errors="replace")[:200]
    return found


def remains(folder: Path, mark: str, seconds: float = 5.0) -> object:
    """What is left of a cluster after some seconds; falsy as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while True:
        left = processes(folder.name, mark) or folder.exists()
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def new_mark() -> str:
    """A number of seconds to sleep that no other process sleeps."""
    return f"1000.{secrets.randbelow(10**9):09}"


# What it starts.


def test_it_is_ready() -> None:
    with started() as running:
        assert running.run("sinfo", "--noheader", "--format=%D %T %P") == "2 idle debug*\n"
        assert sorted(running.daemons) == ["munged", "slurmctld", "slurmd-n1", "slurmd-n2"]
        assert sorted(running.ports) == ["slurmctld", "slurmd-n1", "slurmd-n2"]
        assert "of 2 nodes, in /" in repr(running)


def test_jobs_run_on_all_nodes(cluster: LocalCluster) -> None:
    printed = cluster.run("srun", "-pshort", "-N2", "printenv", "SLURMD_NODENAME")
    assert sorted(printed.split()) == cluster.nodes == ["n1", "n2"]
    cluster.run(
        "sbatch", "--wait", "--output=out", stdin="#!/bin/sh\nsrun printenv SLURMD_NODENAME\n"
    )
    assert (cluster.folder / "out").read_text() == "n2\n"


def test_options_arrive_in_slurm(cluster: LocalCluster) -> None:
    config = cluster.run("scontrol", "show", "config")
    for key, value in (
        ("ClusterName", "own-name_1"),
        ("MessageTimeout", "7 sec"),
        ("KillWait", "9 sec"),
        ("MaxJobCount", "5000"),
        ("MaxArraySize", "5000"),
        ("Licenses", "one:1"),
    ):
        assert re.search(rf"^{key} += {value}$", config, re.MULTILINE), key
    nodes = cluster.run("scontrol", "--oneliner", "show", "node").splitlines()
    assert re.search(
        r"CPUTot=4 .*Features=\(null\) .*RealMemory=2000 .*Partitions=short ", nodes[0]
    )
    assert re.search(
        r"CPUTot=4 .*Features=fast .*RealMemory=3000 .*Partitions=short,long", nodes[1]
    )
    partitions = cluster.run("sinfo", "--noheader", "--format=%P %l %D")
    assert partitions == "short 10:00 2\nlong* infinite 1\n"


def test_jobs_get_gpus_that_are_made_up(cluster: LocalCluster) -> None:
    shown = cluster.run("srun", "--gres=gpu:volta:2,gpu:tesla:1", "scontrol", "-d", "show", "job")
    assert re.search(r"GRES=.*gpu:tesla:1\(IDX:0\)", shown)
    assert re.search(r"GRES=.*gpu:volta:2\(IDX:1-2\)", shown)


def test_the_key_is_secret_and_nothing_is_writable(cluster: LocalCluster) -> None:
    assert (cluster.folder / "munge.key").stat().st_mode & 0o777 == 0o600
    assert cluster.folder.stat().st_mode & 0o777 == 0o755
    assert cluster.folder.stat().st_uid == os.geteuid()


def test_the_environment_leads_to_this_cluster_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SBATCH_PARTITION", "SLURM_CLUSTERS", "SQUEUE_FORMAT"):
        monkeypatch.setenv(name, "1")
    before = dict(os.environ)
    with started(nodes=1) as running:
        assert {name for name in running.env if name.startswith(("SLURM_", "SB", "SQ"))} <= {
            "SLURM_CONF",
            "SLURM_PREFIX",
            "SLURM_INCLUDE_DIR",
            "SLURM_LIB_DIR",
        }
        assert running.env["SLURM_CONF"] == str(running.conf) == str(running.folder / "slurm.conf")
        running.run("sbatch", "--wrap=true")
    assert dict(os.environ) == before


def listening(pids: set[int]) -> dict[str, int]:
    """The sockets that processes listen with, as address and inode, and the process."""
    inodes = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes[str(descriptor.readlink())] = pid
    found = {}
    for kind in ("tcp", "tcp6"):
        for row in Path("/proc/net", kind).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = row.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in inodes:
                found[f"{local} {inode}"] = inodes[f"socket:[{inode}]"]
    return found


def test_it_listens_on_loopback_only(cluster: LocalCluster) -> None:
    command = ["srun", "-pshort", "-N2", "sleep", "100"]
    with subprocess.Popen(command, env=cluster.env, cwd=cluster.folder) as srun:
        wait_for(lambda: "sleep" in cluster.run("squeue", "--steps", "--format=%j"))
        everything = set(processes(cluster.folder.name)) | {srun.pid}
        daemons = {pid for name, pid in cluster.daemons.items() if name != "munged"}
        # A process that starts another while its descriptors are looked at may seem to have none.
        wait_for(lambda: set(listening(everything).values()) >= daemons)
        found = listening(everything)
        if socket.gethostbyname(socket.gethostname()) == "127.0.0.1":
            assert srun.pid in found.values()
        else:
            found = {address: pid for address, pid in found.items() if pid != srun.pid}
        numbers = [bytes.fromhex(address.partition(":")[0]) for address in found]
        assert {number[-1 if sys.byteorder == "little" else 0] for number in numbers} == {127}
        assert {len(number) for number in numbers} == {4}
        srun.send_signal(signal.SIGTERM)
        srun.wait()
    cluster.cancel_all()


# What it refuses, before anything is started.


@pytest.mark.parametrize(
    ("error", "options", "words"),
    [
        (TypeError, {"nodes": "2"}, "nodes must be an int, not str"),
        (TypeError, {"cpus": True}, "cpus must be an int, not bool"),
        (ValueError, {"nodes": 0}, "nodes must be at least 1, not 0"),
        (ValueError, {"memory": -1}, "memory must be at least 1"),
        (ValueError, {"gpus": -1}, "gpus must be at least 0"),
        (ValueError, {"gpus": {"a b": 1}}, "a type is a word, not 'a b'"),
        (ValueError, {"gpus": {"tesla": 0}}, r"gpus\['tesla'\] must be at least 1"),
        (ValueError, {"max_job_count": 1}, "max_job_count must be at least 2"),
        (TypeError, {"partitions": "debug"}, "a list of names"),
        (ValueError, {"partitions": []}, "at least one partition"),
        (ValueError, {"partitions": ["a b"]}, "'a b' is no name"),
        (ValueError, {"partitions": {"a": "MaxTime"}}, "'MaxTime' should be Key=value"),
        (TypeError, {"partitions": {"a": 1}}, "must be a str, not int"),
        (ValueError, {"node_options": "Features"}, "'Features' should be Key=value"),
        (ValueError, {"node_options": {"n3": ""}}, "no node 'n3', only n1, n2"),
        (ValueError, {"node_options": "State=DOWN"}, "LocalCluster sets State itself"),
        (TypeError, {"extra_conf": ["A=1"]}, "extra_conf must be a str, not list"),
        (ValueError, {"extra_conf": "slurmctldport=1"}, "LocalCluster sets SlurmctldPort itself"),
        (ValueError, {"extra_conf": "A=1 SlurmctldPort =1"}, "LocalCluster sets SlurmctldPort"),
        (ValueError, {"extra_conf": "A=1\\\n"}, "ends with a backslash"),
        (ValueError, {"gres_conf": "Name=gpu \\"}, "ends with a backslash"),
        (ValueError, {"partitions": {"a": "State=UP\\ MaxTime=1"}}, "should be Key=value"),
        (ValueError, {"node_options": "Features=a\0"}, "no file of Slurm's can have"),
        (ValueError, {"extra_conf": "A=\ud800"}, "no file of Slurm's can have"),
        (TypeError, {"gres_conf": 1}, "gres_conf must be a str"),
        (ValueError, {"name": "Upper"}, "lower-case letter"),
        (ValueError, {"directory": "relative"}, "absolute path"),
        (ValueError, {"directory": "/a b"}, "absolute path"),
        (ValueError, {"directory": "/nowhere"}, "no directory that you can write to"),
        (ValueError, {"directory": "/" + 60 * "x"}, "too long .* at most 45 characters"),
        (ValueError, {"timeout": 0}, "more than 0 seconds"),
        (TypeError, {"timeout": "1"}, "a number of seconds, not str"),
        (TypeError, {"accounting": 1}, "accounting must be a bool, not int"),
        (
            ValueError,
            {"accounting": True, "extra_conf": "accountingstorageport=1"},
            "LocalCluster sets AccountingStoragePort itself",
        ),
        (TypeError, {"federation": True}, "unexpected keyword"),
    ],
)
def test_a_wrong_option_is_refused(
    error: type[Exception], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(error, match=words):
        LocalCluster(**options)


def test_a_cluster_that_does_not_run_says_so() -> None:
    idle = LocalCluster()
    assert "not running" in repr(idle)
    for use in (lambda: idle.folder, lambda: idle.env, lambda: idle.daemons, idle.wait_idle):
        with pytest.raises(LocalClusterError, match="not running"):
            use()
    idle.stop()


# What goes wrong while it starts.


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name, which has to be empty in the end."""
    made = Path(tempfile.mkdtemp(prefix="test-"))
    yield made
    made.rmdir()


def failure(**options: Any) -> str:  # noqa: ANN401 (whatever LocalCluster takes)
    """What a cluster says that does not start, which it has to at once."""
    start = time.monotonic()
    with pytest.raises(LocalClusterError) as caught, started(**options):
        pass
    assert time.monotonic() - start < options.get("timeout", 0) + 15
    return str(caught.value)


def test_a_broken_slurm_conf_is_reported_with_slurms_words(directory: Path) -> None:
    message = failure(extra_conf="NoSuchKey=1", directory=directory)
    assert message.startswith("slurmctld has ended:\nslurmctld: ")
    assert "NoSuchKey" in message


def test_a_slurmd_that_ends_is_reported_with_its_words(directory: Path) -> None:
    message = failure(nodes=1, gpus=1, gres_conf="NoSuchKey=1", directory=directory)
    assert message.startswith("slurmd-n1 has ended:\nslurmd-n1: ")
    assert "NoSuchKey" in message


@pytest.mark.slow
def test_nodes_that_do_not_come_up_are_reported_in_time(directory: Path) -> None:
    # Unless it is told to believe slurm.conf, Slurm drains a node that has less than that says.
    conf = "SlurmdParameters=l3cache_as_socket"
    message = failure(memory=10**8, extra_conf=conf, timeout=8, directory=directory)
    assert message.startswith("the nodes are not idle after 8 s")
    assert "\nslurmd-n2: " in message


def test_a_missing_program_is_named_with_its_packages(tmp_path: Path) -> None:
    message = failure(prefix=tmp_path)
    assert f"slurmctld was not found in {tmp_path}/sbin, {tmp_path}/bin" in message
    assert "apt-get install slurmctld" in message
    assert "dnf install slurm-slurmctld" in message


def test_slurm_is_found_below_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, names in (("sbin", ("slurmctld", "slurmd")), ("bin", ("scontrol", "srun"))):
        (tmp_path / folder).mkdir()
        for name in names:
            found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
            assert found is not None
            (tmp_path / folder / name).symlink_to(found)
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    with started(nodes=1) as running:
        first, second = running.env["PATH"].split(":")[:2]
        assert [first, second] == [str(tmp_path / "bin"), str(tmp_path / "sbin")]
        assert str(tmp_path) in Path(f"/proc/{running.daemons['slurmctld']}/cmdline").read_text()


# Commands and daemons while it runs.


def test_a_command_that_fails_says_why(cluster: LocalCluster) -> None:
    with pytest.raises(LocalClusterError, match=r"sbatch -pnone .* exit code 1: .*[Ii]nvalid part"):
        cluster.run("sbatch", "-pnone", "--wrap=true")
    with pytest.raises(LocalClusterError, match="nonesuch is not installed"):
        cluster.run("nonesuch")
    with pytest.raises(LocalClusterError, match=r"sleep 9: not done after 0.1 s"):
        cluster.run("sleep", "9", timeout=0.1)
    with pytest.raises(LocalClusterError, match=r"separate arguments"):
        cluster.run("sbatch --wrap=true")
    assert LocalClusterError.__module__ == "slurmpy.testing"


def test_cancel_all_leaves_idle_nodes(cluster: LocalCluster) -> None:
    for options in (["-pshort"], ["--hold"], ["-pshort", "--array=1-5"], ["-n4"], ["-n4"]):
        cluster.run("sbatch", *options, "--wrap=sleep 1000")
    wait_for(lambda: "R" in cluster.run("squeue", "--noheader", "--format=%t"))
    cluster.cancel_all()
    assert cluster.run("squeue", "--noheader") == ""
    assert cluster.run("sinfo", "--noheader", "--format=%C", "-pshort") == "0/8/0/8\n"


@pytest.mark.slow
def test_daemons_can_be_stopped_and_started() -> None:
    with started(nodes=1, extra_conf="MessageTimeout=2") as running:
        job = running.run("sbatch", "--parsable", "--hold", "--wrap=true").strip()
        for end in (signal.SIGTERM, signal.SIGKILL):
            running.stop_daemon("slurmctld", end)
            assert "slurmctld" not in running.daemons
            with pytest.raises(LocalClusterError, match="connect"):
                running.run("squeue")
            running.start_daemon("slurmctld")
            assert running.run("squeue", "--noheader", "--format=%i").strip() == job
        before = running.daemons
        for name in before:
            running.restart_daemon(name)
        running.wait_idle()
        assert not set(before.values()) & set(running.daemons.values())
        running.run("srun", "true")
        with pytest.raises(ValueError, match="'slurmd' is none of the daemons: munged, slurmctld"):
            running.restart_daemon("slurmd")


@pytest.mark.slow
def test_a_daemon_that_dies_later_is_reported() -> None:
    with started(nodes=1, extra_conf="MessageTimeout=2") as running:
        os.kill(running.daemons["slurmctld"], signal.SIGKILL)
        with pytest.raises(LocalClusterError, match="slurmctld has ended"):
            running.wait_idle()


@pytest.mark.slow
def test_a_stopped_controller_does_not_hold_up_the_end() -> None:
    with started(nodes=1) as running:
        os.kill(running.daemons["slurmctld"], signal.SIGSTOP)
        folder = running.folder
    assert not folder.exists()


# Several at once, and slurmpy in between.


def test_slurmpy_is_pointed_at_it_and_back() -> None:
    output("""
        import slurmpy
        from slurmpy import _runtime

        before = dict(os.environ)
        _runtime.redirect("/nowhere/slurm.conf")
        with LocalCluster(nodes=1) as cluster:
            assert len(slurmpy.Jobs.load()) == 0
            cluster.run("sbatch", "--hold", "--wrap=true")
            assert len(slurmpy.Jobs.load()) == 1
            try:
                LocalCluster(nodes=1).start()
            except RuntimeError as error:
                assert "active in this process already" in str(error), error
            else:
                raise AssertionError("a second one started")
            assert len(slurmpy.Jobs.load()) == 1
            assert dict(os.environ) == before
        assert _runtime.redirect("/nowhere/slurm.conf") == (None, "/nowhere/slurm.conf")

        again = LocalCluster(nodes=1)
        again.start()
        assert len(slurmpy.Jobs.load()) == 0
        again.stop()
        again.stop()
        assert _runtime.redirect(None) == (None, "/nowhere/slurm.conf")
    """)


@pytest.mark.slow
def test_two_in_two_processes_do_not_disturb_each_other() -> None:
    text = """
        with LocalCluster(nodes=3) as cluster:
            tell(cluster.folder, *cluster.ports.values())
            for _ in range(3):
                assert len(cluster.run("srun", "-N3", "hostname").split()) == 3
            tell(sorted(cluster.run("squeue", "--noheader", "--state=all", "--format=%A").split()))
            sys.stdin.readline()
            cluster.run("srun", "-N3", "true")
    """
    with program(text) as one, program(text) as two:
        places = [set(line(each).split()) for each in (one, two)]
        assert [len(place) for place in places] == [5, 5]
        assert not places[0] & places[1]
        for each in (one, two):
            assert line(each) == "['1', '2', '3']"
        # The second works on when the first has ended.
        for each in (one, two):
            out, err = each.communicate("\n", timeout=60)
            assert (each.returncode, out) == (0, ""), err


@pytest.mark.slow
def test_a_fork_does_not_end_its_parents_cluster() -> None:
    assert "still there" in output("""
        with LocalCluster(nodes=1) as cluster:
            child = os.fork()
            if child == 0:
                sys.exit()
            assert os.waitpid(child, 0)[1] == 0
            cluster.run("srun", "true")
            tell("still there")
    """)


# How it ends.

ENDS = {
    "an exception": "raise ValueError('mine')",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "exec": "os.execvp('true', ['true'])",
    "the end of the program, and no stop": "LocalCluster.stop = lambda self: None",
    # A fork has a copy of all that the host holds open.
    "SIGKILL, but not of a fork": """
        if os.fork() == 0:
            time.sleep(1000)
        os.kill(os.getpid(), signal.SIGKILL)
    """,
    # These would wait for a cluster that is gone.
    "SIGKILL with commands running": """
        for command in ("srun sleep", "salloc sleep"):
            words = [*command.split(), sys.argv[1]]
            subprocess.Popen(words, env=cluster.env, cwd=cluster.folder)
        while cluster.run("squeue", "-h", "-tR").count("\\n") < 3:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_after(end: str) -> None:
    mark = new_mark()
    text = textwrap.dedent("""
        with LocalCluster(nodes=1) as cluster:
            run_job(cluster, sys.argv[1])
            tell(cluster.folder)
            sys.stdin.readline()
    """) + textwrap.indent(textwrap.dedent(ENDS[end]), "    ")
    with program(text, mark) as host:
        folder = Path(line(host))
        # The shell, and the sleeps in it, below it and away from it.
        wait_for(lambda: len(processes(mark)) >= 5)
        assert len(processes(folder.name)) >= 5
        assert host.stdin is not None
        host.stdin.write("\n")
        host.stdin.flush()
        host.wait(timeout=60)
        # The fork that lives on has the number of seconds too, in its command line.
        assert not remains(folder, f"sleep\0{mark}")


@pytest.mark.slow
def test_nothing_is_left_after_ctrl_c() -> None:
    mark = new_mark()
    text = """
        with LocalCluster(nodes=1) as cluster:
            run_job(cluster, sys.argv[1])
            tell(cluster.folder)
            cluster.run("srun", "sleep", sys.argv[1], timeout=1000)
    """
    with program(text, mark) as host:
        folder = Path(line(host))
        wait_for(lambda: any("srun" in words for words in processes(mark).values()))
        # As from a terminal, it goes to all that the program has started.
        os.killpg(host.pid, signal.SIGINT)
        _, err = host.communicate(timeout=60)
        assert err.rstrip().endswith("KeyboardInterrupt")
        # The host has waited for the end of its cluster.
        assert not remains(folder, mark, seconds=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_start_is_interrupted(
    end: signal.Signals, directory: Path
) -> None:
    text = """
        cluster = LocalCluster(directory=sys.argv[1])
        tell("now")
        with cluster:
            time.sleep(1000)
    """
    for wait in (0.0, 0.02, 0.05, 0.1, 0.15):
        with program(text, str(directory)) as host:
            assert line(host) == "now"
            time.sleep(wait)
            host.send_signal(end)
            host.communicate(timeout=60)
        wait_for(lambda: not processes(str(directory)) and not [*directory.iterdir()])


@pytest.mark.slow
def test_a_guardian_that_is_told_to_end_ends_the_cluster() -> None:
    with started(nodes=1) as running:
        folder, guardian = running.folder, running._running_guardian()._process
        guardian.terminate()
        assert guardian.wait(timeout=60) == 0
        assert not remains(folder, folder.name)
        with pytest.raises(LocalClusterError, match="guardian process is gone"):
            running.daemons  # noqa: B018 (it is the asking that fails)


@pytest.mark.slow
def test_no_daemon_outlives_a_guardian_that_was_killed() -> None:
    with started(nodes=1) as running:
        folder, guardian = running.folder, running._running_guardian()._process
        pids = set(running.daemons.values())
        guardian.kill()
        guardian.wait()
        wait_for(lambda: not pids & set(processes(folder.name)))
    assert not folder.exists()


# Accounting.


@pytest.fixture(scope="module")
def books() -> Iterator[LocalCluster]:
    """A cluster with accounting, in which accounts, QOS and wckeys are made."""
    with started(accounting=True, gpus=1) as running:
        yield running


def sacctmgr(running: LocalCluster, *arguments: str) -> str:
    return running.run("sacctmgr", "--immediate", "--noheader", "--parsable2", *arguments)


def submit(running: LocalCluster, *options: str) -> str:
    """Submit a job that waits, and return what Slurm shows of it that accounting checks."""
    job = running.run("sbatch", "--parsable", "--hold", *options, "--wrap=true").strip()
    return running.run("squeue", f"--jobs={job}", "--noheader", "--format=%a %q %w").strip()


def test_with_accounting_its_user_can_submit_at_once() -> None:
    with started(accounting=True, nodes=1) as running:
        assert submit(running) == "test normal *test"
        assert [*running.daemons] == ["mariadbd", "munged", "slurmdbd", "slurmctld", "slurmd-n1"]
        assert sorted(running.ports) == ["slurmctld", "slurmd-n1", "slurmdbd"]
        user = pwd.getpwuid(os.geteuid()).pw_name
        shown = sacctmgr(running, "show", "user", user, "format=DefaultAccount,Admin")
        assert shown == "test|Administrator\n"
        running.run("srun", "true")
        folder = running.folder
    assert not remains(folder, str(folder), seconds=0)


@pytest.mark.parametrize(
    ("option", "refused", "make", "shown"),
    [
        ("--account=physics", "Invalid account", ["add", "account", "physics"], "physics normal"),
        ("--qos=urgent", "Invalid qos", ["add", "qos", "urgent"], "test urgent"),
        ("--wckey=key1", "Invalid wckey", [], "test normal key1"),
    ],
)
def test_what_accounting_does_not_know_is_refused(
    books: LocalCluster, option: str, refused: str, make: list[str], shown: str
) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    name = option.partition("=")[2]
    with pytest.raises(LocalClusterError, match=f"(?i){refused}"):
        submit(books, option)
    if make:
        sacctmgr(books, *make)
    if "account" in option:
        with pytest.raises(LocalClusterError, match=f"(?i){refused}"):
            submit(books, option)
    if "qos" in option:
        sacctmgr(books, "modify", "user", user, "set", f"qos+={name}")
    else:
        kind = option.partition("=")[0].lstrip("-")
        sacctmgr(books, "add", "user", user, f"{kind}={name}")
        default = ("show", "user", user, "format=DefaultWCKey")
        if kind == "wckey" and sacctmgr(books, *default) != "test\n":
            # Some majors take the last one; 26.05 marks one twice that is set twice.
            sacctmgr(books, "modify", "user", user, "set", "defaultwckey=test")
    assert submit(books, option).startswith(shown)


def test_limits_hold(books: LocalCluster) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    sacctmgr(books, "add", "account", "small", "GrpTRES=gres/gpu=1", "MaxSubmitJobs=1")
    sacctmgr(books, "add", "user", user, "account=small")
    submit(books, "--account=small")
    with pytest.raises(LocalClusterError, match="job submit limit"):
        submit(books, "--account=small")


def test_accounting_keeps_what_it_is_told(books: LocalCluster) -> None:
    books.run("srun", "--job-name=kept", "true")
    command = ("sacct", "--noheader", "--parsable2", "-X", "--name=kept", "--format=State,WCKey")
    wait_for(lambda: books.run(*command) == "COMPLETED|*test\n")


def test_accounting_listens_on_loopback_only(books: LocalCluster) -> None:
    daemons = books.daemons
    found = listening(set(daemons.values()))
    assert daemons["slurmdbd"] in found.values()
    assert daemons["mariadbd"] not in found.values()
    assert {address.partition(":")[0] for address in found} <= {
        in_proc("127.0.0.1"),
        in_proc(books._place.address),
    }
    assert books._place.address.startswith("127.")


def test_the_database_is_its_owners_alone(books: LocalCluster) -> None:
    assert (books.folder / "slurmdbd.conf").stat().st_mode & 0o777 == 0o600
    assert (books.folder / "mariadb").stat().st_mode & 0o777 == 0o700
    if os.geteuid() == 0:
        path = books.folder / "mariadb/socket"
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        command = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "/usr/bin/python3", "-c"]
        done = subprocess.run([*command, code], capture_output=True, text=True, check=False)
        assert "PermissionError" in done.stderr
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("name", ["mariadbd", "slurmdbd"])
def test_the_daemons_of_accounting_can_be_stopped_and_started(
    books: LocalCluster, name: str, end: signal.Signals
) -> None:
    account = f"{name}-{end}".lower()
    before = books.daemons[name]
    sacctmgr(books, "add", "account", account)
    books.stop_daemon(name, end)
    assert name not in books.daemons
    with pytest.raises(LocalClusterError):
        sacctmgr(books, "add", "account", f"{account}-late")
    # slurmctld knows by itself what there is.
    assert submit(books) == "test normal *test"
    books.start_daemon(name)
    assert books.daemons[name] != before
    user = pwd.getpwuid(os.geteuid()).pw_name
    sacctmgr(books, "add", "user", user, f"account={account}")
    assert submit(books, f"--account={account}").startswith(f"{account} ")


@pytest.mark.slow
def test_the_controller_finds_accounting_again(books: LocalCluster) -> None:
    books.restart_daemon("slurmctld")
    sacctmgr(books, "add", "account", "again")
    user = pwd.getpwuid(os.geteuid()).pw_name
    sacctmgr(books, "add", "user", user, "account=again")
    assert submit(books, "--account=again").startswith("again ")


@pytest.mark.slow
def test_a_slurmdbd_that_ends_is_reported(books: LocalCluster) -> None:
    books.stop_daemon("slurmdbd")
    conf = books.folder / "slurmdbd.conf"
    good = conf.read_text()
    conf.write_text(f"{good}NoSuchKey=1\n")
    with pytest.raises(LocalClusterError, match=r"slurmdbd has ended:\n(.*\n)*.*NoSuchKey"):
        books.start_daemon("slurmdbd")
    conf.write_text(good)
    books.start_daemon("slurmdbd")


@pytest.mark.slow
@pytest.mark.parametrize(
    "end", ["raise ValueError('mine')", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_nothing_of_accounting_is_left_after(end: str) -> None:
    text = f"""
        with LocalCluster(nodes=1, accounting=True) as cluster:
            tell(cluster.folder, *cluster.daemons.values())
            sys.stdin.readline()
            {end}
    """
    with program(text) as host:
        folder, *pids = line(host).split()
        assert len(pids) == 5
        found = processes(Path(folder).name)
        assert {int(pid) for pid in pids} <= set(found)
        assert sum("mariadbd" in words for words in found.values()) == 1
        host.communicate("\n", timeout=60)
        assert not remains(Path(folder), folder, seconds=0.1 if "raise" in end else 5)


@pytest.mark.slow
def test_nothing_of_accounting_is_left_when_the_start_is_interrupted(directory: Path) -> None:
    text = """
        cluster = LocalCluster(directory=sys.argv[1], nodes=1, accounting=True)
        tell("now")
        with cluster:
            time.sleep(1000)
    """
    # In the making of the server's tables, in slurmdbd's start, in sacctmgr.
    for wait in (0.3, 0.7, 1.5):
        with program(text, str(directory)) as host:
            assert line(host) == "now"
            time.sleep(wait)
            host.kill()
            host.communicate(timeout=60)
        wait_for(lambda: not processes(str(directory)) and not [*directory.iterdir()])


@pytest.mark.slow
def test_no_database_outlives_a_guardian_that_was_killed() -> None:
    with started(nodes=1, accounting=True) as running:
        folder, guardian = running.folder, running._running_guardian()._process
        pids = set(running.daemons.values())
        guardian.kill()
        guardian.wait()
        wait_for(lambda: not pids & set(processes(folder.name)))
    assert not folder.exists()


@pytest.mark.slow
def test_two_with_accounting_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What MariaDB would read, and end at, if it looked for a configuration of its own.
    (tmp_path / ".my.cnf").write_text("[mariadbd]\nno_such_option\n[client]\nsocket=/nowhere\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    text = """
        with LocalCluster(nodes=1, accounting=True) as cluster:
            own = sys.argv[1]
            user = cluster.run("id", "--user", "--name").strip()
            cluster.run("sacctmgr", "-i", "add", "account", own)
            cluster.run("sacctmgr", "-i", "add", "user", user, f"account={own}")
            tell("made")
            sys.stdin.readline()
            cluster.run("sbatch", "--hold", f"--account={own}", "--wrap=true")
            tell(*cluster.run("sacctmgr", "-nP", "show", "account", "format=account").split())
    """
    with program(text, "one") as one, program(text, "two") as two:
        for each in (one, two):
            assert line(each) == "made", each.communicate(timeout=60)[1]
        # The second works on when the first has ended.
        for each, names in ((one, "one root test\n"), (two, "root test two\n")):
            out, err = each.communicate("\n", timeout=60)
            assert (each.returncode, out) == (0, names), err


@pytest.mark.parametrize(
    ("missing", "debian", "rhel"),
    [
        ("slurmdbd", "slurmdbd", "slurm-slurmdbd"),
        ("mariadbd", "mariadb-server-core", "mariadb-server"),
    ],
)
def test_what_accounting_lacks_is_named_with_its_packages(
    missing: str, debian: str, rhel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slurmpy.testing import _programs

    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:/usr/libexec"
    for name in ("munged", "slurmctld", "slurmd", "slurmdbd", "scontrol", "mariadbd"):
        found = shutil.which(name, path=path)
        assert found is not None
        if name != missing:
            (tmp_path / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_PREFIX", raising=False)
    monkeypatch.setattr(_programs, "DAEMON_FOLDERS", ())
    monkeypatch.setattr(_programs, "MARIADBD_FOLDERS", ())
    message = failure(accounting=True)
    assert message.startswith(f"{missing} was not found in {tmp_path}. ")
    assert f"apt-get install {debian};" in message
    assert f"dnf install {rhel})" in message
    # Nobody else needs it.
    with started(nodes=1) as running:
        assert missing not in running.daemons


# Where it runs.


@pytest.mark.slow
@pytest.mark.parametrize("accounting", [False, True])
def test_an_ordinary_user_can_run_it(*, accounting: bool) -> None:
    root = os.getuid() == 0
    # Slurm does not take nobody for a user.
    user = pwd.getpwnam("daemon") if root else pwd.getpwuid(os.getuid())
    with tempfile.TemporaryDirectory(prefix="test-") as directory:
        # Others may not be allowed to where the checkout is.
        Path(directory).chmod(0o755)
        shutil.copytree(PACKAGE, Path(directory, PACKAGE.name))
        out = output(
            f"""
            import slurmpy

            def use(cluster):
                with cluster:
                    assert len(cluster.run("srun", "-N2", "--gres=gpu:1", "hostname").split()) == 2
                    run_job(cluster, "10")
                    assert len(slurmpy.Jobs.load()) == 2
                    tell(cluster.folder.stat().st_uid, cluster.run("squeue", "-h", "-o%U").strip())

            # The first makes Python import what the second needs and may not read.
            use(LocalCluster(gpus=1, directory="/tmp"))
            if {root}:
                os.setgroups([])
                os.setresgid({user.pw_gid}, {user.pw_gid}, {user.pw_gid})
                os.setresuid({user.pw_uid}, {user.pw_uid}, {user.pw_uid})
                os.environ["HOME"] = "/"
            use(LocalCluster(gpus=1, directory="/tmp", accounting={accounting}))
            """,
            path=Path(directory),
        )
    assert out == f"{os.getuid()} {os.getuid()}\n{user.pw_uid} {user.pw_uid}\n"


@pytest.mark.slow
def test_it_runs_where_python_is_embedded_and_signals_are_ignored() -> None:
    output("""
        sys.executable = "/usr/sbin/embedder"
        for signum in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(signum, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
        os.umask(0o077)
        with LocalCluster(nodes=1, extra_conf="KillWait=60") as cluster:
            job = cluster.run("sbatch", "--parsable", "--wrap=sleep 1000").strip()
            while "RUNNING" not in cluster.run("squeue", "-h", "-o%T"):
                time.sleep(0.05)
            begin = time.monotonic()
            cluster.run("scancel", job)
            cluster.wait_idle()
            # SIGTERM has ended it, not the SIGKILL that follows after a minute.
            assert time.monotonic() - begin < 30
    """)


@pytest.mark.slow
def test_without_a_python_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from slurmpy.testing import _programs

    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(
        LocalClusterError, match=r"needs a Python interpreter .* sys.executable is ''"
    ):
        _programs.find_python()


# As root one can try what the machine's name stands for, in a namespace of one's own.
HOSTS = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']
# Nor can what runs below this make any more namespaces.
NO_NAMESPACES = """
    import ctypes, os, sys
    libc = ctypes.CDLL(None)
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        assert libc.unshare(0x10000000) == 0
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        for kind in ("user", "uts"):
            with open(f"/proc/sys/user/max_{kind}_namespaces", "w") as limit:
                limit.write("0")
        os.execvp(sys.argv[1], sys.argv[1:])
    os.read(ready[0], 1)
    for kind in ("uid", "gid"):
        with open(f"/proc/{child}/{kind}_map", "w") as ids:
            ids.write("0 0 65536")
    os.write(go[1], b"x")
    sys.exit(os.waitpid(child, 0)[1] and 1)
"""

needs_namespaces = pytest.mark.skipif(
    subprocess.run([*HOSTS, "/etc/hosts", "true"], capture_output=True, check=False).returncode
    != 0,
    reason="to change what the machine's name stands for takes root, and leave to mount",
)


def in_proc(address: str) -> str:
    """An address as /proc/net/tcp has it."""
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"


def use_as(
    address: str, options: str, tmp_path: Path, *prefix: str
) -> subprocess.CompletedProcess[str]:
    """Use a cluster on a machine whose name stands for an address."""
    hosts = tmp_path / "hosts"
    own = f"{address} {socket.gethostname()}\n" if address else ""
    hosts.write_text(f"127.0.0.1 localhost\n{own}")
    text = f"""
        with LocalCluster({options}) as cluster:
            addresses = set()
            for socket in list(open("/proc/net/tcp"))[1:]:
                address, port = socket.split()[1].split(":")
                if socket.split()[3] == "0A" and int(port, 16) in cluster.ports.values():
                    addresses.add(address)
            tell(*addresses)
            cluster.run("srun", "-N2", "true")
            cluster.run("sbatch", "--wait", "-N2", "--wrap=srun hostname", "--output=out")
            assert len((cluster.folder / "out").read_text().split()) == 2
    """
    script = tmp_path / "use.py"
    script.write_text(textwrap.dedent(PRELUDE) + textwrap.dedent(text))
    return subprocess.run(
        [*HOSTS, hosts, *prefix, sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_namespaces
@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "options"),
    [("127.0.1.1", ""), ("192.0.2.1", "accounting=True"), ("", "")],
)
def test_it_listens_on_loopback_whatever_the_machine_is_called(
    address: str, options: str, tmp_path: Path
) -> None:
    done = use_as(address, options, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{in_proc('127.0.0.1')}\n"), done.stderr


@pytest.mark.slow
@needs_namespaces
def test_it_finds_a_way_without_namespaces_or_says_so(tmp_path: Path) -> None:
    fence = (sys.executable, "-c", textwrap.dedent(NO_NAMESPACES))
    done = use_as("127.0.1.1", "accounting=True", tmp_path, *fence)
    assert (done.returncode, done.stdout) == (0, f"{in_proc('127.0.1.1')}\n"), done.stderr
    # Where it has that name already, there is nothing to change.
    named = ("unshare", "--uts", "sh", "-c", 'hostname localhost && exec "$0" "$@"')
    done = use_as("192.0.2.1", "", tmp_path, *named, *fence)
    assert (done.returncode, done.stdout) == (0, f"{in_proc('127.0.0.1')}\n"), done.stderr
    done = use_as("192.0.2.1", "", tmp_path, *fence)
    assert done.returncode == 1
    assert "stands for 192.0.2.1, and that is where Slurm listens" in done.stderr
    assert "loopback_only=False" in done.stderr


# The pytest plugin.


@pytest.mark.slow
def test_the_plugin_leaves_other_projects_alone(tmp_path: Path) -> None:
    """The package, whose library may be missing or of another Slurm, is not even imported."""
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_it(): assert not [x for x in sys.modules if x.startswith('slurmpy')]"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_slurmpy",
            tmp_path,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Slurm" not in done.stdout


@pytest.mark.slow
def test_the_plugin_gives_a_cluster_with_the_options_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        textwrap.dedent("""
            import pytest
            import pytest_slurmpy
            import slurmpy

            def pytest_configure(config):
                if not config.pluginmanager.is_registered(pytest_slurmpy):
                    config.pluginmanager.register(pytest_slurmpy)

            @pytest.fixture(scope="session")
            def slurm_cluster_options():
                return {"nodes": 3, "name": "project"}
        """)
    )
    (tmp_path / "test_project.py").write_text(
        textwrap.dedent("""
            import slurmpy

            def test_it(slurm_cluster):
                assert slurm_cluster.nodes == ["n1", "n2", "n3"]
                assert slurm_cluster.name == "project"
                slurm_cluster.run("sbatch", "--hold", "--wrap=true")
                assert len(slurmpy.Jobs.load()) == 1

            def test_it_is_the_same(slurm_cluster):
                assert len(slurmpy.Jobs.load()) == 1
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert re.search(
        rf"^slurmpy {re.escape(slurmpy.__version__)}, Slurm \d\d\.\d\d\.", done.stdout, re.MULTILINE
    )
