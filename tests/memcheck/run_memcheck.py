"""Has valgrind, and then AddressSanitizer, look over the package's use of memory.

``run_memcheck.py valgrind`` runs ``calls.py`` under valgrind: every call of the library that the
package makes. ``run_memcheck.py asan`` runs tests, with a package and a cffi that were compiled
with -fsanitize=address. Either first has to find the faults that ``planted.py`` has.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
ROOT = TESTS.parent

#: The package, libslurm and its plugins, and cffi, by the files that they are in.
OUR_CODE = re.compile(r"/_slurm\.|/libslurm|/slurm[^/]*/[^/]*\.so|/_cffi_backend\.")
OUR_MODULE = "/_slurm."

#: What Slurm's allocator adds to each block, and the texts of records that it loses.
XMALLOC = 16
CONTAINER = "/bundles/one"  # which test_submission.py submits
LOADED = {"slurm_unpackmem_xmalloc", "slurm_send_recv_controller_msg"}

#: What is run with AddressSanitizer: all that reads records, alone and while others close them.
ASAN_TESTS = [
    "test_memory_lifetimes.py",
    "test_jobs.py",
    "test_fields.py",
    "test_steps.py",
    "test_layout.py",
    "test_columns.py",
    "test_tables.py",
]
#: Its allocator cannot say what it has given away.
ASAN_WITHOUT = "not what_malloc_says"


class Fault(NamedTuple):
    """Something that valgrind has found."""

    kind: str
    what: str
    #: Each place as (object file, function), the innermost first; of the error, then of where the
    #: memory came from and went.
    stacks: list[list[tuple[str, str]]]
    #: Of a leak: how many bytes each of the blocks has, as Slurm asked for them.
    size: int = 0

    @property
    def is_leak(self) -> bool:
        return self.kind.startswith("Leak_")

    @property
    def is_libslurms(self) -> bool:
        """Whether it is a leak within libslurm, of what nobody else is given a pointer to."""
        names = {name for _, name in self.stacks[0]}
        if not self.is_leak or "slurm_unpack_received_msg" not in names:
            return False
        # The number in an answer that is nothing but a number: mostly a refusal.
        is_code = self.size == XMALLOC + 4
        # 22.05 loses a copy of the job's container while it unpacks the record, which has but one
        # member for it.
        is_container = self.size == XMALLOC + len(CONTAINER) + 1 and names >= LOADED
        return is_code or is_container

    @property
    def is_ours(self) -> bool:
        if self.is_leak:
            is_called = any(OUR_MODULE in file for file, _ in self.stacks[0])
            return is_called and not self.is_libslurms
        # Some versions of CPython look at the digit that an int of 0 does not have, and take
        # nothing from it.
        if self.kind.startswith("Uninit") and "_PyLong_New" in [
            name for _, name in self.stacks[-1][:3]
        ]:
            return False
        return any(OUR_CODE.search(file) for stack in self.stacks for file, _ in stack)

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.what}"]
        for stack in self.stacks:
            lines += [f"    {name or '?'} ({Path(file).name})" for file, name in stack[:14]]
            lines.append("    --")
        return "\n".join(lines)


def faults(report: Path) -> list[Fault]:
    """What is in a report of valgrind's."""
    found = []
    for error in ET.parse(report).getroot().iter("error"):  # noqa: S314 - valgrind wrote it
        what = error.findtext("what") or error.findtext("xwhat/text") or ""
        stacks = [
            [(frame.findtext("obj") or "", frame.findtext("fn") or "") for frame in stack]
            for stack in error.iter("stack")
        ]
        lost, blocks = (
            int(error.findtext(f"xwhat/leaked{name}") or 0) for name in ("bytes", "blocks")
        )
        size = lost // blocks if blocks else 0
        found.append(Fault(error.findtext("kind") or "", what, stacks, size))
    return found


def valgrind(report: Path, program: Path, *args: str, env: dict[str, str]) -> list[Fault]:
    command = [
        "valgrind",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
        "--track-origins=yes",
        "--num-callers=40",
        "--error-limit=no",
        "--trace-children=no",
        # Of threads, valgrind runs one at a time, and may never run one while others are busy.
        "--fair-sched=try",
        # The child in which a configuration is tried: what it does is done here afterwards.
        "--child-silent-after-fork=yes",
        f"--suppressions={HERE / 'cffi.supp'}",
        "--xml=yes",
        f"--xml-file={report}",
    ]
    start = time.monotonic()
    done = subprocess.run(
        [*command, sys.executable, str(program), *args],
        env={**env, "PYTHONMALLOC": "malloc"},
        check=False,
        timeout=1500,
    )
    print(f"valgrind {program.name} {' '.join(args)}: {time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        sys.exit(f"{program.name} ended with {done.returncode} under valgrind")
    return faults(report)


def run_valgrind(folder: Path, env: dict[str, str]) -> None:
    """Every call that there is, under valgrind."""
    # Without valgrind first, to see that every function is called.
    program = HERE / "calls.py"
    subprocess.run(
        [sys.executable, str(program), "--seen"],
        env={**env, "RUNNING": str(start_job(env))},
        check=True,
        timeout=600,
    )
    calls_env = {**env, "RUNNING": str(start_job(env))}
    with ThreadPoolExecutor() as pool:
        planting = pool.submit(
            valgrind, folder / "planted.xml", HERE / "planted.py", "leak", "use-after-free", env=env
        )
        calling = pool.submit(valgrind, folder / "calls.xml", program, env=calls_env)
        planted, found = planting.result(), calling.result()
    kinds = {fault.kind for fault in planted if fault.is_ours}
    if kinds != {"Leak_DefinitelyLost", "InvalidRead"}:
        sys.exit(f"valgrind was to find a leak and a use after free, and found {kinds}")
    print("planted: valgrind has found the leak and the use after free")
    ours = [fault for fault in found if fault.is_ours]
    for fault in ours:
        print(fault)
    for fault in found:
        if fault.is_libslurms:
            calls = [name for _, name in fault.stacks[0] if name.startswith("slurmpy_")]
            print(f"within libslurm, in {calls[0]}: {fault.what}")
    others = Counter(fault.kind for fault in found if not fault.is_ours and not fault.is_libslurms)
    print(f"calls: {len(ours)} faults of ours; the interpreter's and others': {dict(others)}")
    if ours:
        sys.exit(1)


def start_job(env: dict[str, str]) -> int:
    """A job with two steps, on two nodes."""

    def run(*command: str) -> str:
        return subprocess.run(
            command, env=env, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    script = "srun --mem=10 sleep 3000 & srun --mem=10 --overlap sleep 3000 & wait"
    options = ("--nodes=2", "--output=/dev/null", "--mem=100", f"--wrap={script}")
    number = run("sbatch", "--parsable", *options).strip()
    deadline = time.monotonic() + 100
    while not {f"{number}.0", f"{number}.1"} <= set(
        run("squeue", "--steps", "--noheader", "--format=%i").split()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return int(number)


def run_asan(folder: Path, env: dict[str, str]) -> None:
    """Tests, with AddressSanitizer in every process that imports the package."""
    start_job(env)
    planted = [sys.executable, str(HERE / "planted.py"), "use-after-free"]
    done = subprocess.run(planted, env=env, check=False, timeout=100)
    reports = sorted(folder.glob("asan.*"))
    if done.returncode == 0 or ["heap-use-after-free" in it.read_text() for it in reports] != [
        True
    ]:
        sys.exit(f"AddressSanitizer was to find a use after free: {done.returncode}, {reports}")
    reports[0].unlink()
    print("planted: the use after free was found", flush=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml")),
        *("--numprocesses=2", "--dist=loadfile", "--timeout=600", "-k", ASAN_WITHOUT),
        *(str(TESTS / name) for name in ASAN_TESTS),
    ]
    start = time.monotonic()
    rc = subprocess.run(command, check=False, timeout=1500).returncode
    print(f"tests with AddressSanitizer: {time.monotonic() - start:.0f} s")
    reports = sorted(folder.glob("asan.*"))
    for report in reports:
        print(report.read_text(errors="replace"))
    if rc or reports:
        sys.exit(f"with AddressSanitizer: {len(reports)} reports, and pytest ended with {rc}")
    print("tests with AddressSanitizer: nothing was found")


def asan_python(folder: Path) -> Path:
    """A Python with AddressSanitizer in it and in each Python that it starts, and in no daemon."""
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    python = Path(sys.executable).with_name("python-asan")
    python.write_text(f"""#!/bin/bash
# valgrind looks for leaks.
export ASAN_OPTIONS='detect_leaks=0:exitcode=99:log_path={folder}/asan'
export LD_PRELOAD='{Path(library).resolve()}'
exec -a "$0" '{Path(sys.executable).resolve()}' "$@"
""")
    python.chmod(0o755)
    at_start = Path(sysconfig.get_path("purelib"), "asan.pth")
    at_start.write_text("import os; os.environ.pop('LD_PRELOAD', None)\n")
    return python


def main(what: str) -> None:
    with tempfile.TemporaryDirectory(prefix="memcheck-") as name:
        folder = Path(name)
        if what == "asan":
            command = [str(asan_python(folder)), __file__, "within", name]
            sys.exit(subprocess.run(command, check=False).returncode)
        sys.path.insert(0, str(TESTS))
        from test_submission import OPTIONS

        from slurmpy.testing import LocalCluster

        # As that of the tests of submission, since what they submit is submitted here.
        with LocalCluster(**OPTIONS) as cluster:
            if what == "valgrind":
                run_valgrind(folder, dict(cluster.env))
            else:
                run_asan(Path(sys.argv[2]), dict(cluster.env))


if __name__ == "__main__":
    if sys.implementation.name != "cpython":
        sys.exit("valgrind and AddressSanitizer do not understand this Python: take CPython")
    main(sys.argv[1])
