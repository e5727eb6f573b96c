"""Coming up: nothing that is wrong with Slurm ends or hangs the process that asks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import slurmpy
from slurmpy import _runtime
from slurmpy._ffi import MAJOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slurmpy.testing import LocalCluster

# libslurm retries a configuration that it cannot read for a minute: what is meant is "at once",
# with room for a machine that is busy.
SOON = 8


def run(script: str, *args: object, env: dict[str, str] | None = None) -> dict[str, Any]:
    """What a script in a process of its own gives out as JSON, and what the process says."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, args)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(re.findall(r"(?m)^\{.*\}$", done.stdout)[-1])
    return {**answer, "stdout": done.stdout, "stderr": done.stderr}


# A plugin that the library loads for the calls made here.
NO_PLUGIN = {"SelectType": "select/nosuch"} if MAJOR < "23" else {"HashPlugin": "hash/nosuch"}

TRY = """
import json, sys, time
import slurmpy
from slurmpy import _runtime

def attempt():
    start = time.monotonic()
    try:
        slurmpy.Jobs.load()
        error = None
    except Exception as exc:
        error = exc
    return error, time.monotonic() - start
"""

ASK = (
    TRY
    + """
slurmpy._runtime.redirect(sys.argv[1])
error, seconds = attempt()
kinds = [kind.__name__ for kind in type(error).__mro__]
print(json.dumps({"kinds": kinds, "text": str(error), "seconds": seconds}))
"""
)


@pytest.fixture
def conf(slurm_cluster: LocalCluster, tmp_path: Path) -> Callable[..., Path]:
    """Makes a slurm.conf that differs from the cluster's."""
    text = slurm_cluster.conf.read_text()

    def make(**changes: str) -> Path:
        changed = text
        for key, value in changes.items():
            changed = re.sub(rf"(?m)^{key}=.*\n", "", changed) + f"\n{key}={value}\n"
        path = tmp_path / "slurm.conf"
        path.write_text(changed)
        return path

    return make


def test_import_does_nothing_to_slurm() -> None:
    answer = run(
        """
        import json, os, sys, threading
        before = sys.getdlopenflags(), dict(os.environ), sorted(os.listdir("/proc/self/fd"))
        import slurmpy
        after = sys.getdlopenflags(), dict(os.environ), sorted(os.listdir("/proc/self/fd"))
        print(json.dumps({"same": before == after, "threads": threading.active_count()}))
        """,
        env={"SLURM_CONF": "/nonexistent/slurm.conf"},
    )
    assert answer["same"]
    assert answer["threads"] == 1
    assert answer["stderr"] == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SelectTypo": "select/cons_tres"}, "SelectTypo"),
        (NO_PLUGIN, "/nosuch"),
        ({"PluginDir": "/nonexistent"}, "/nonexistent"),
        ({"MessageTimeout": "soon"}, "soon"),
    ],
)
def test_wrong_configuration(
    conf: Callable[..., Path], changes: dict[str, str], words: str
) -> None:
    answer = run(ASK, conf(**changes))
    assert "ConfigurationError" in answer["kinds"]
    assert words in answer["text"]
    assert "fatal: " in answer["text"]
    assert answer["seconds"] < SOON


@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "unreadable"])
def test_no_configuration(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "slurm.conf"
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "unreadable":
        path.write_bytes(b"\xff\xfe\x00binary")
    answer = run(ASK, path)
    assert "ConfigurationError" in answer["kinds"]
    assert "error: " in answer["text"]
    assert str(path) in answer["text"]
    assert answer["seconds"] < SOON


def test_configuration_without_rights(conf: Callable[..., Path]) -> None:
    path = conf()
    path.chmod(0)
    # Root may read everything, so root becomes somebody else first.
    answer = run(
        "import json, os, time, slurmpy\nif os.getuid() == 0: os.seteuid(65534)\n" + ASK, path
    )
    assert "ConfigurationError" in answer["kinds"]
    assert answer["seconds"] < SOON


def test_unknown_host(slurm_cluster: LocalCluster, conf: Callable[..., Path]) -> None:
    """The error has the words that squeue has: those of the resolver where it says them."""
    path = conf(SlurmctldHost="nosuchhost.invalid")
    answer = run(ASK, path)
    assert {"ConfigurationError", "ConnectionError"} & set(answer["kinds"])
    squeue = subprocess.run(
        ["squeue"],
        env={**slurm_cluster.env, "SLURM_CONF": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert squeue.returncode
    assert ("getaddrinfo" in answer["text"]) == ("getaddrinfo" in squeue.stderr)
    # What the resolver of the machine takes for each of some attempts.
    assert answer["seconds"] < 30


@pytest.mark.parametrize("auth", ["AuthType", "AuthInfo"])
def test_no_authentication(conf: Callable[..., Path], auth: str) -> None:
    value = {"AuthType": "auth/nosuch", "AuthInfo": "socket=/nonexistent/munge"}[auth]
    answer = run(ASK, conf(**{auth: value}))
    assert {"ConfigurationError", "AuthenticationError"} & set(answer["kinds"])
    assert value.rpartition("=")[2] in answer["text"]
    assert answer["seconds"] < SOON


def test_nobody_listens(conf: Callable[..., Path]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        answer = run(ASK, conf(SlurmctldPort=str(port), MessageTimeout="3"))
    assert "ConnectionError" in answer["kinds"]
    assert "SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR" in answer["text"]
    assert answer["seconds"] < 3 + SOON


def test_controller_that_does_not_answer(conf: Callable[..., Path]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        answer = run(ASK, conf(SlurmctldPort=str(port), MessageTimeout="3"))
    assert "ConnectionError" in answer["kinds"]
    assert answer["seconds"] < 3 + SOON


def test_next_call_works_when_the_cause_is_mended(
    slurm_cluster: LocalCluster, tmp_path: Path
) -> None:
    path = tmp_path / "slurm.conf"
    answer = run(
        TRY
        + """
import os, shutil
os.environ["SLURM_CONF"] = sys.argv[1]
first, _ = attempt()
shutil.copy(sys.argv[2], sys.argv[1])
second, _ = attempt()
print(json.dumps({"first": type(first).__name__, "second": repr(second)}))
""",
        path,
        slurm_cluster.conf,
    )
    assert answer["first"] == "ConfigurationError"
    assert answer["second"] == "None"


@pytest.mark.parametrize("executable", ["''", "'/bin/false'", "None"])
def test_needs_no_interpreter(slurm_cluster: LocalCluster, executable: str) -> None:
    answer = run(f"import sys\nsys.executable = {executable}\n" + ASK, slurm_cluster.conf)
    assert answer["text"] == "None"
    answer = run(f"import sys\nsys.executable = {executable}\n" + ASK, "/nonexistent/conf")
    assert "ConfigurationError" in answer["kinds"]


def test_what_the_host_left_for_its_exit_is_not_the_childs(tmp_path: Path) -> None:
    """The trial ends a child of ours: neither buffers nor handlers of the host are its to run."""
    (tmp_path / "slurm.conf").touch()  # libslurm calls exit() over it
    answer = run(
        """
        import ctypes, json, os, sys
        import slurmpy
        libc = ctypes.CDLL(None)
        path = ctypes.c_char_p(sys.argv[2].encode())
        libc.__cxa_atexit(ctypes.cast(libc.mkdir, ctypes.c_void_p), path, None)
        libc.printf(b"in the buffer of C ")
        sys.stdout.write("in the buffer of Python ")
        try:
            slurmpy.init(sys.argv[1])
        except slurmpy.ConfigurationError as error:
            print()
            print(json.dumps({"text": str(error), "done": os.path.exists(sys.argv[2])}))
        """,
        tmp_path / "slurm.conf",
        tmp_path / "done",
    )
    assert not answer["done"]
    assert (tmp_path / "done").exists()
    assert "buffer" not in answer["text"]
    for text in ("in the buffer of C", "in the buffer of Python"):
        assert answer["stdout"].count(text) == 1


def test_trial_does_not_outlive_the_host(conf: Callable[..., Path]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        path = conf(SlurmctldPort=str(silent.getsockname()[1]), MessageTimeout="30")
        code = "import sys, slurmpy; slurmpy.init(sys.argv[1])"
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as host:
            connection, _ = silent.accept()
            children = Path(f"/proc/{host.pid}/task/{host.pid}/children")
            (child,) = children.read_text().split()
            host.kill()
            connection.close()
    deadline = time.monotonic() + SOON
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_first_and_last_words_of_many(conf: Callable[..., Path]) -> None:
    path = conf()
    with path.open("a") as file:
        file.writelines(f"Broken{number}=x\n" for number in range(2000))
    answer = run(ASK, path)
    assert "Broken0" in answer["text"]
    assert "fatal: " in answer["text"]
    assert len(answer["text"]) < 9000


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "reap"])
def test_host_that_reaps_children_itself(slurm_cluster: LocalCluster, handler: str) -> None:
    answer = run(
        """
        import os, signal
        def reap(signum, frame):
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
        """
        + f"\nsignal.signal(signal.SIGCHLD, {handler})\n".replace("\n", "\n        ")
        + "\n"
        + textwrap.indent(ASK, "        "),
        slurm_cluster.conf,
    )
    assert answer["text"] == "None"


def test_trial_leaves_no_child(tmp_path: Path) -> None:
    answer = run(
        """
        import json, os, sys
        import slurmpy
        try:
            slurmpy.init(sys.argv[1])
        except slurmpy.ConfigurationError:
            pass
        try:
            os.waitpid(-1, os.WNOHANG)
            children = True
        except ChildProcessError:
            children = False
        print(json.dumps({"children": children}))
        """,
        tmp_path / "missing.conf",
    )
    assert not answer["children"]


def test_first_call_from_many_threads(slurm_cluster: LocalCluster) -> None:
    answer = run(
        """
        import json, sys, threading
        import slurmpy
        slurmpy._runtime.redirect(sys.argv[1])
        ready, found = threading.Barrier(8), []
        def load():
            ready.wait()
            found.append(slurmpy.Jobs.load().clusters())
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(json.dumps({"found": len(found), "cluster": slurmpy._runtime.cluster_name()}))
        """,
        slurm_cluster.conf,
    )
    assert answer["found"] == 8
    assert answer["cluster"] == slurm_cluster.name


def test_environment_of_children_stays_as_it_was(slurm_cluster: LocalCluster) -> None:
    answer = run(
        """
        import json, os, subprocess, sys
        import slurmpy
        command = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
        before = json.loads(subprocess.check_output(command))
        slurmpy.init(sys.argv[1])
        slurmpy.Jobs.load()
        after = json.loads(subprocess.check_output(command))
        os.environ["SLURM_CONF"] = "/kept/by/the/host"
        slurmpy.fini()
        slurmpy.init(sys.argv[1])
        kept = json.loads(subprocess.check_output(command))
        print(json.dumps({"before": before, "after": after, "kept": kept["SLURM_CONF"]}))
        """,
        slurm_cluster.conf,
    )
    assert answer["before"] == answer["after"]
    assert answer["kept"] == "/kept/by/the/host"


def test_slurm_conf_is_read_at_the_first_call(slurm_cluster: LocalCluster) -> None:
    answer = run(
        TRY
        + """
import os
os.environ["SLURM_CONF"] = sys.argv[1]
error, _ = attempt()
print(json.dumps({"error": repr(error)}))
""",
        slurm_cluster.conf,
        env={"SLURM_CONF": "/nonexistent/slurm.conf"},
    )
    assert answer["error"] == "None"


def test_child_of_a_fork_can_ask(slurm_cluster: LocalCluster) -> None:
    answer = run(
        """
        import json, os, sys
        import slurmpy
        slurmpy.init(sys.argv[1])
        jobs = slurmpy.Jobs.load()
        pid = os.fork()
        if pid == 0:
            slurmpy.Jobs.load()
            jobs.close()
            os._exit(0)
        print(json.dumps({"status": os.waitpid(pid, 0)[1]}))
        """,
        slurm_cluster.conf,
    )
    assert answer["status"] == 0


@pytest.fixture
def own_state(slurm_cluster: LocalCluster) -> Iterator[None]:
    """Puts back what slurmpy was pointed at."""
    yield
    _runtime.redirect(str(slurm_cluster.conf))


@pytest.mark.usefixtures("own_state")
def test_init_and_fini(slurm_cluster: LocalCluster, conf: Callable[..., Path]) -> None:
    slurmpy.fini()
    slurmpy.fini()
    slurmpy.init(slurm_cluster.conf)
    slurmpy.init(slurm_cluster.conf)
    slurmpy.init()
    other = conf()
    with pytest.raises(slurmpy.ConfigurationError, match=r"slurmpy\.fini\(\)"):
        slurmpy.init(other)
    jobs = slurmpy.Jobs.load()
    slurmpy.fini()
    jobs.reload()
    slurmpy.fini()
    slurmpy.init(other)
    assert slurmpy.Jobs.load() is not None


@pytest.mark.usefixtures("own_state")
def test_a_path_ends_at_no_nul(slurm_cluster: LocalCluster) -> None:
    slurmpy.fini()
    for path in (f"{slurm_cluster.conf}\0.new", os.fsencode(slurm_cluster.conf) + b"\0"):
        with pytest.raises(ValueError, match="has a NUL character"):
            slurmpy.init(path)  # type: ignore[arg-type]
    assert not _runtime._ready


@pytest.mark.usefixtures("own_state")
def test_failed_init_leaves_the_choice_open(slurm_cluster: LocalCluster, tmp_path: Path) -> None:
    slurmpy.fini()
    with pytest.raises(slurmpy.ConfigurationError):
        slurmpy.init(tmp_path / "missing.conf")
    slurmpy.init(slurm_cluster.conf)


@pytest.mark.usefixtures("own_state")
def test_seconds_of_a_wrong_configuration_here(tmp_path: Path) -> None:
    slurmpy.fini()
    start = time.monotonic()
    with pytest.raises(slurmpy.ConfigurationError):
        slurmpy.init(tmp_path / "missing.conf")
    assert time.monotonic() - start < SOON


@pytest.mark.usefixtures("own_state")
def test_choice_of_init_is_put_back(slurm_cluster: LocalCluster, conf: Callable[..., Path]) -> None:
    slurmpy.fini()
    slurmpy.init(slurm_cluster.conf)
    before = _runtime.redirect(str(conf()))
    _runtime.put_back(before)
    _runtime._default = None
    slurmpy.init(slurm_cluster.conf)
    assert _runtime.cluster_name() == slurm_cluster.name


def test_interrupt_of_a_trial_comes_through(conf: Callable[..., Path]) -> None:
    """A controller that does not answer: Ctrl-C is not to wait for Slurm's time-outs."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        path = conf(SlurmctldPort=str(silent.getsockname()[1]), MessageTimeout="30")
        answer = run(
            # What takes long comes before the alarm.
            "import signal, slurmpy\n"
            "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
            "signal.setitimer(signal.ITIMER_REAL, 1)\n"
            + ASK.replace("except Exception", "except BaseException"),
            path,
        )
    assert "KeyboardInterrupt" in answer["kinds"]
    assert answer["seconds"] < SOON


def test_handler_that_comes_back_in(conf: Callable[..., Path]) -> None:
    """A host that shuts down in a signal handler does not wait for itself."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        path = conf(SlurmctldPort=str(silent.getsockname()[1]), MessageTimeout="3")
        answer = run(
            "import signal, slurmpy\n"
            "signal.setitimer(signal.ITIMER_REAL, 1)\n"
            "signal.signal(signal.SIGALRM, lambda *_: slurmpy.fini())\n" + ASK,
            path,
        )
    assert answer["seconds"] < 3 + SOON


def test_messages_of_a_forked_child_are_its_own(
    slurm_cluster: LocalCluster, tmp_path: Path
) -> None:
    answer = run(
        """
        import json, os, sys
        import slurmpy
        from slurmpy import _runtime
        slurmpy.init(sys.argv[1])
        slurmpy.Jobs.load()
        pid = os.fork()
        if pid == 0:
            slurmpy.fini()
            text = open(sys.argv[1]).read()
            lines = [x for x in text.splitlines() if not x.startswith("AuthInfo")]
            with open(sys.argv[2], "w") as file:
                file.write("\\n".join([*lines, "AuthInfo=socket=/nonexistent/munge"]))
            try:
                slurmpy.init(sys.argv[2])
            except slurmpy.AuthenticationError:
                os._exit(0)
            os._exit(1)
        status = os.waitpid(pid, 0)[1]
        try:
            slurmpy.Job.load(4711)
        except slurmpy.InvalidJobId as error:
            print(json.dumps({"status": status, "text": str(error)}))
        """,
        slurm_cluster.conf,
        tmp_path / "slurm.conf",
    )
    assert answer["status"] == 0
    assert "unge" not in answer["text"]


def test_host_that_closes_every_descriptor(slurm_cluster: LocalCluster, tmp_path: Path) -> None:
    """As one that becomes a daemon does: what it opens next is its own, and stays as it is."""
    answer = run(
        """
        import json, os, sys
        import slurmpy
        slurmpy.init(sys.argv[1])
        slurmpy.Jobs.load()
        os.closerange(3, 100)
        files = [open(f"{sys.argv[2]}/{number}", "wb", buffering=0) for number in range(20)]
        socket = [x for x in open(sys.argv[1]).read().splitlines() if x.startswith("AuthInfo")]
        path = socket[0].partition("socket=")[2]
        os.rename(path, path + ".away")
        try:
            slurmpy.Jobs.load()
        except slurmpy.AuthenticationError as error:
            text = str(error)
        finally:
            os.rename(path + ".away", path)
        slurmpy.Jobs.load()
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        # In the child of a fork too: the number that was ours stays the host's.
        os.closerange(3, 100)
        others = [
            os.open(f"{sys.argv[2]}/child-{number}", os.O_WRONLY | os.O_CREAT)
            for number in range(40)
        ]
        pid = os.fork()
        if pid == 0:
            for other in others:
                os.write(other, b"x")
            os._exit(0)
        os.waitpid(pid, 0)
        written = [os.fstat(other).st_size for other in others]
        print(json.dumps({"text": text, "sizes": sum(sizes), "written": written}))
        """,
        slurm_cluster.conf,
        tmp_path,
    )
    assert "unge" in answer["text"]
    assert answer["sizes"] == 0
    assert answer["written"] == [1] * 40
    assert answer["stderr"] == ""


@contextlib.contextmanager
def continued(pid: int) -> Iterator[None]:
    """A process that a script stops goes on afterwards, however the script has ended."""
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_host_that_takes_a_descriptor_of_ours_during_a_call(
    slurm_cluster: LocalCluster, tmp_path: Path
) -> None:
    """Its file under that number is not read or emptied at the end of the call."""
    controller = slurm_cluster.daemons["slurmctld"]
    path = tmp_path / "file"
    path.write_text("the host's own words\n")
    with continued(controller):
        answer = run(
            """
            import json, os, signal, sys, threading, time
            import slurmpy

            def descriptors():
                found = {}
                for entry in os.listdir("/proc/self/fd"):
                    try:
                        found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")
                    except OSError:
                        pass
                return found

            def sockets():
                return sum(name.startswith("socket:") for name in descriptors().values())

            def ask():
                try:
                    slurmpy.Jobs.load()
                except slurmpy.SlurmError as error:
                    said.append(str(error))

            said = []
            slurmpy.init(sys.argv[1])
            slurmpy.Jobs.load()
            [ours] = [fd for fd, name in descriptors().items() if "memfd:slurmpy" in name]
            controller = int(sys.argv[3])
            os.kill(controller, signal.SIGSTOP)
            thread = threading.Thread(target=ask)
            before = sockets()
            thread.start()
            while sockets() == before:
                time.sleep(0.01)
            os.dup2(os.open(sys.argv[2], os.O_RDWR), ours)
            os.kill(controller, signal.SIGCONT)
            thread.join()
            slurmpy.Jobs.load()
            print(json.dumps({"said": said, "name": os.readlink(f"/proc/self/fd/{ours}")}))
            """,
            slurm_cluster.conf,
            path,
            controller,
        )
    assert path.read_text() == "the host's own words\n"
    assert "host's own" not in str(answer["said"])
    assert answer["name"] == str(path)


def test_alarm_during_a_call_is_the_hosts(slurm_cluster: LocalCluster) -> None:
    """While it asks munge, libslurm sets SIGALRM to its default, which ends the process."""
    answer = run(
        """
        import json, signal, sys, threading, time
        import slurmpy
        slurmpy.init(sys.argv[1])
        alarms = []
        signal.signal(signal.SIGALRM, lambda *_: alarms.append(1))
        # The kernel gives the signal to a thread that does not hold it back.
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(500):
            slurmpy.Jobs.load()
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps({"alarms": len(alarms)}))
        """,
        slurm_cluster.conf,
    )
    assert answer["alarms"] > 0


def test_handlers_outlive_calls_side_by_side(slurm_cluster: LocalCluster) -> None:
    answer = run(
        """
        import json, re, signal, sys, threading
        import slurmpy
        slurmpy.init(sys.argv[1])
        def caught():
            bits = re.search(r"SigCgt:\\t(\\w+)", open("/proc/self/status").read())[1]
            return [int(bits, 16) >> number - 1 & 1 for number in (signal.SIGALRM, signal.SIGPIPE)]
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.signal(signal.SIGPIPE, lambda *_: None)
        before = caught()
        threads = [
            threading.Thread(target=lambda: [slurmpy.Jobs.load() for _ in range(200)])
            for _ in range(4)
        ]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(json.dumps({"before": before, "after": caught()}))
        """,
        slurm_cluster.conf,
    )
    assert answer["before"] == answer["after"] == [1, 1]


def test_fork_while_a_thread_makes_ready(
    slurm_cluster: LocalCluster, conf: Callable[..., Path]
) -> None:
    """The child has none of the threads that hold what it needs."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        path = conf(SlurmctldPort=str(silent.getsockname()[1]), MessageTimeout="30")
        answer = run(
            """
            import json, os, sys, threading, time
            import slurmpy
            slurmpy.init(sys.argv[1])
            slurmpy.fini()
            _runtime = slurmpy._runtime
            _runtime.redirect(sys.argv[2])
            def ask():
                try:
                    slurmpy.Jobs.load()
                except slurmpy.SlurmError:
                    pass
            thread = threading.Thread(target=ask)
            thread.start()
            time.sleep(0.5)
            pid = os.fork()
            if pid == 0:
                _runtime.redirect(None)
                slurmpy.init(sys.argv[1])
                slurmpy.Jobs.load()
                os._exit(0)
            deadline = time.monotonic() + 25
            status = (0, None)
            while status[0] == 0 and time.monotonic() < deadline:
                status = os.waitpid(pid, os.WNOHANG)
                time.sleep(0.05)
            if status[0] == 0:
                os.kill(pid, 9)
            found = {"ended": status[0] == pid, "status": status[1], "inside": thread.is_alive()}
            print(json.dumps(found), flush=True)
            os._exit(0)
            """,
            slurm_cluster.conf,
            path,
        )
    assert answer["ended"]
    assert answer["status"] == 0
    # The thread was inside all the time.
    assert answer["inside"]


def test_fork_while_a_thread_is_inside_a_call(slurm_cluster: LocalCluster) -> None:
    """In the child, calls work, and signals are handled as they were outside of the call."""
    answer = run(
        """
        import json, os, re, signal, sys, threading, time, warnings
        import slurmpy

        # Which it is about.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

        def sockets():
            found = 0
            for entry in os.listdir("/proc/self/fd"):
                try:
                    found += os.readlink(f"/proc/self/fd/{entry}").startswith("socket:")
                except OSError:
                    pass
            return found

        def handling():
            masks = re.findall(r"Sig(?:Ign|Cgt):\\s*(\\w+)", open("/proc/self/status").read())
            # Those above are the C library's own.
            return [int(mask, 16) & 0x7FFFFFFF for mask in masks]

        controller = int(sys.argv[2])
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        slurmpy.init(sys.argv[1])
        slurmpy.Jobs.load()
        before, handled = sockets(), handling()
        os.kill(controller, signal.SIGSTOP)
        try:
            thread = threading.Thread(target=slurmpy.Jobs.load)
            thread.start()
            while sockets() == before:
                time.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                signal.alarm(60)
                same = handling() == handled
                os.kill(controller, signal.SIGCONT)
                slurmpy.Jobs.load()
                slurmpy.fini()
                slurmpy.init(sys.argv[1])
                slurmpy.Jobs.load()
                os._exit(0 if same and handling() == handled else 1)
            _, status = os.waitpid(pid, 0)
        finally:
            os.kill(controller, signal.SIGCONT)
        thread.join(60)
        slurmpy.Jobs.load()
        ended = not thread.is_alive()
        print(json.dumps({"status": status, "ended": ended, "same": handling() == handled}))
        """,
        slurm_cluster.conf,
        slurm_cluster.daemons["slurmctld"],
    )
    assert answer.pop("stderr") == ""
    answer.pop("stdout")
    assert answer == {"status": 0, "ended": True, "same": True}


WORDY = """
import json, os, signal, sys, threading, time
sys.path[:0] = sys.argv[3:]
import slurmpy

def sizes():
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            if "memfd:slurmpy" in os.readlink(f"/proc/self/fd/{entry}"):
                found.append(os.stat(f"/proc/self/fd/{entry}").st_size)
        except OSError:
            pass
    return found

slurmpy.init(sys.argv[1])
controller = int(sys.argv[2])
os.kill(controller, signal.SIGSTOP)
try:
    thread = threading.Thread(target=slurmpy.Jobs.load)
    thread.start()
    most = []
    for number in range(60):
        job = slurmpy.JobSubmitDescription(script="#!/bin/sh", required_nodes=f"n[{number}-x]")
        try:
            job.submit()
        except ValueError:
            most += sizes()
finally:
    os.kill(controller, signal.SIGCONT)
thread.join()
print(json.dumps({"most": max(most), "left": sizes()}))
"""


@pytest.mark.slow
def test_what_libslurm_says_does_not_pile_up(
    slurm_cluster: LocalCluster, build: Callable[..., Path], tmp_path: Path
) -> None:
    """Where calls overlap without end, the file with its words is emptied all the same."""
    arguments = (slurm_cluster.conf, slurm_cluster.daemons["slurmctld"])
    with continued(slurm_cluster.daemons["slurmctld"]):
        answer = run(WORDY, *arguments)
    # More than fits below, and far from the limit.
    assert answer["most"] > 4000
    assert answer["left"] == [0]
    folder = build(tmp_path, "source.c", lambda text: text.replace("(1 << 20)", "1000"))
    with continued(slurm_cluster.daemons["slurmctld"]):
        answer = run(WORDY, *arguments, folder)
    assert 0 < answer["most"] < 1200
    assert answer["left"] == [0]


@pytest.mark.parametrize("state", ["as it was", "away", "out of reach", "changed"])
def test_slurm_conf_is_called_changed_only_where_it_is(
    slurm_cluster: LocalCluster, tmp_path: Path, state: str
) -> None:
    """By a name that held in another working directory; one that cannot be seen says nothing."""
    folder = tmp_path / "conf"
    folder.mkdir()
    conf = folder / "slurm.conf"
    conf.write_text(slurm_cluster.conf.read_text())
    answer = run(
        """
        import json, os, pathlib, sys
        import slurmpy
        from slurmpy import _runtime
        folder, state = sys.argv[1:]
        os.chdir(folder)
        slurmpy.init("slurm.conf")
        os.chdir("/")
        path = pathlib.Path(folder, "slurm.conf")
        if state == "away":
            path.unlink()
        elif state == "out of reach":
            pathlib.Path(folder).rename(folder + ".away")
            pathlib.Path(folder).write_text("no folder")
        elif state == "changed":
            path.write_text(path.read_text() + "# more")
        print(json.dumps({"stale": _runtime.stale()}))
        """,
        folder,
        state,
    )
    told = f"{conf} has changed since it was read: call slurmpy.fini() to have it read again"
    assert answer["stale"] == (told if state == "changed" else "")


def test_working_directory_that_is_gone(slurm_cluster: LocalCluster, tmp_path: Path) -> None:
    """A slurm.conf by a name that is whole can be used there as anywhere."""
    answer = run(
        """
        import json, os, sys
        import slurmpy
        os.mkdir(sys.argv[2])
        os.chdir(sys.argv[2])
        os.rmdir(sys.argv[2])
        slurmpy.init(sys.argv[1])
        print(json.dumps({"clusters": slurmpy.Jobs.load().clusters()}))
        """,
        slurm_cluster.conf,
        tmp_path / "gone",
    )
    assert answer["clusters"] == [slurm_cluster.name]
