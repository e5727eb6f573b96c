"""How does slurmpy take bad input? Runs the harnesses, with atheris where it is there.

``nox -s fuzz -- --seconds N`` gives each harness N seconds; ends with 1 where there is a finding,
which is printed with what it takes to have it again. ``--engine random`` mutates the corpus without
coverage, on any Python. ``--collect`` makes the corpus anew, from the texts in the tests.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"

#: glibc's own checks of the heap, since libslurm is built without a sanitizer.
HEAP = {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165", "LD_PRELOAD": "libc_malloc_debug.so.0"}

#: What an input may take at most, in seconds and in MiB: far more than any does.
LIMITS = ["-timeout=20", "-rss_limit_mb=1500", "-malloc_limit_mb=1000"]


def inputs(name: str) -> list[bytes]:
    """The committed corpus of a harness: one JSON string on each line, a character for a byte."""
    path = CORPUS / f"{name}.txt"
    if not path.exists():
        return []
    return [json.loads(line).encode("latin-1") for line in path.read_text("ascii").splitlines()]


def write(name: str, items: Sequence[bytes]) -> None:
    """Writes the corpus of a harness."""
    lines = sorted({json.dumps(item.decode("latin-1")) for item in items})
    (CORPUS / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), "ascii")


# ---- the corpus ----

#: The tests that a harness's texts come from, for those whose texts belong to no attribute.
SOURCES = {
    "environment": ("test_submission",),
    "lines": ("test_submission",),
    "names": ("test_control", "test_convert", "test_cli", "test_steps", "test_jobs"),
    "reading": ("test_convert", "test_errors", "test_layout", "test_fields"),
    "records": ("test_fields",),
    "control": ("test_control",),
    "config": ("test_cluster", "test_submission", "test_layout"),
    "arguments": ("test_cli",),
    "cli": ("test_cli",),
}
#: What those have to be like.
LIKE = {
    "environment": r"(?i)all|none|nil|.*[A-Z]=.*",
    "lines": r"-.*",
    "names": r"[0-9].*|batch|extern|interactive|pending",
    "config": r"(?s)(\s*[A-Za-z]+=\S*)+\s*|[a-z0-9-]{1,9}",
    "control": r"(?s)\w+|.*\W.*\s.*",
    "reading": r"(?s).*[=:,(].*",
    "records": r"(?s).*[=:,(/].*",
    "cli": r"\S+",
    "arguments": r"\S+",
}


#: Of the texts that are taken from tests.
_LONGEST = 160


def constants(tree: ast.AST) -> Iterator[str]:
    """The texts in a piece of Python."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            value = node.value
            yield value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def settings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names and values of what looks like an attribute that is set: in a call, or in a dict."""
    for node in ast.walk(tree):
        pairs: list[tuple[Any, ast.AST]] = []
        if isinstance(node, ast.Dict):
            pairs = [(getattr(key, "value", None), it) for key, it in zip(node.keys, node.values)]
        elif isinstance(node, ast.Call):
            pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
            if len(node.args) > 1:
                pairs.append((getattr(node.args[0], "value", None), node.args[1]))
        for name, value in pairs:
            if isinstance(name, str):
                numbers = [it.value for it in ast.walk(value) if isinstance(it, ast.Constant)]
                yield from ((name, str(it)) for it in numbers if it is not None)


def collect() -> None:
    """Makes the corpus, out of what the tests have; findings that are there stay."""
    from harnesses import HARNESSES, OPTIONS, seed

    trees = {path.stem: ast.parse(path.read_text("utf-8")) for path in HERE.glob("../tests/*.py")}
    attributes: dict[str, set[str]] = {}
    for stem in ("test_submission", "test_modify"):
        for name, value in settings(trees[stem]):
            if name in OPTIONS:
                attributes.setdefault(name, set()).add(value)
    for harness, it in HARNESSES.items():
        found = {seed(f"{name}={value}") for name in it.names for value in attributes.get(name, ())}
        like = re.compile(LIKE.get(harness, r"(?s).*"))
        for stem in SOURCES.get(harness, ()):
            texts = {text for text in constants(trees[stem]) if len(text) <= _LONGEST}
            found |= {seed(text) for text in texts if like.fullmatch(text)}
        if harness == "config":
            keys = (b"extra_conf", b"node_options", b"partitions", b"name")
            found = {
                b"%s=%s" % (keys[place % len(keys)], text)
                for place, text in enumerate(sorted(found))
            }
        write(harness, [*found, *inputs(harness)])


# ---- one harness ----


def fuzz(name: str, folder: str, flags: list[str]) -> None:
    """Runs a harness under atheris, in this process; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["slurmpy"]):
        from values import HARNESSES
    for hook in ("RegEx", "str"):
        atheris.enabled_hooks.add(hook)
    argv = ["fuzz", *LIMITS, "-print_final_stats=1", "-max_len=600", *flags, folder]
    atheris.Setup(argv, HARNESSES[name].run)
    atheris.Fuzz()


def mutated(data: bytes, others: Sequence[bytes], choose: random.Random) -> bytes:
    """An input that is like another."""
    given = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        start = choose.randint(0, len(given))
        end = min(len(given), start + choose.randint(0, 6))
        other = choose.choice(others)
        piece = choose.randint(0, len(other))
        given[start:end] = choose.choice(
            (
                b"",
                bytes([choose.choice(b"0123456789:-,=@%[]_+*&|()'\" \\\n\0#kMgG\xff\xed")]),
                other[piece : piece + choose.randint(1, 12)],
                bytes(given[start:end]) * choose.randint(2, 5),
                choose.choice((b"0", b"65535", b"4294967294", b"18446744073709551615")),
            )
        )
    return bytes(given)


def mutate(name: str, seconds: float, number: int, most: int = 2**31) -> int:
    """Runs a harness on mutations of its corpus, for a time or for so many; gives how many."""
    from values import HARNESSES

    run, corpus = HARNESSES[name].run, inputs(name) or [b"\0" * 64]
    # S311: the same numbers on every run are what is wanted.
    choose = random.Random(number)  # noqa: S311
    end, cases = time.monotonic() + seconds, 0
    while cases < most and time.monotonic() < end:
        data = mutated(choose.choice(corpus), corpus, choose)
        try:
            run(data)
        except BaseException:
            print(f"{name} finds with {data!r}:", file=sys.stderr)
            raise
        cases += 1
    return cases


# ---- bounds on work ----


def pumped(data: bytes, times: int) -> list[bytes]:
    """An input with each of a few pieces of it many times over."""
    middle = len(data) // 2
    pieces = {data[:1], data[-1:], data[middle:], data[middle : middle + 3], data[-2:]}
    name, equals, rest = data.partition(b"=")
    return [name + equals + rest + piece * times for piece in sorted(pieces)]


def lines_run(run: Callable[[bytes], None], data: bytes) -> int:
    """How many lines of Python a harness takes for an input: work that no clock measures."""
    count = 0

    def trace(*_: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(before)
    return count


# ---- all of them ----


def child(name: str, arguments: argparse.Namespace, folder: Path, env: dict[str, str]) -> list[str]:
    """Runs a harness in a process of its own; gives its row of the table."""
    command = [sys.executable, __file__, "--child", name, "--engine", arguments.engine,
               "--seconds", str(arguments.seconds), "--number", str(arguments.number)]  # fmt: skip
    seeds = inputs(name)
    corpus = folder / name / "corpus"
    corpus.mkdir(parents=True)
    for place, item in enumerate(seeds):
        (corpus / f"{place:05}").write_bytes(item)
    done = subprocess.run(
        [*command, "--corpus", str(corpus)],
        env={**os.environ, **HEAP, **env},
        cwd=folder / name,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    log = done.stderr
    if arguments.logs:
        (Path(arguments.logs) / f"{name}.log").write_text(done.stdout + log, "utf-8")
    cases = re.findall(r"^(?:stat::number_of_executed_units:|cases:) *([0-9]+)", log, re.MULTILINE)
    covered = re.findall(r"cov: ([0-9]+) ft: ([0-9]+) corp: ([0-9]+)", log)
    if done.returncode:
        print(f"---- {name} ended with {done.returncode}:\n{log[-6000:]}", flush=True)
        for path in (folder / name).glob("*-*"):
            print(f"input: {json.dumps(path.read_bytes().decode('latin-1'))}", flush=True)
    edges, features, kept = covered[-1] if covered else ("-", "-", "-")
    finding = "finding" if done.returncode else "none"
    return [name, cases[-1] if cases else "0", str(len(seeds)), kept, edges, features, finding]


def main() -> int:
    """Runs what was asked for."""
    top = argparse.ArgumentParser(description=__doc__)
    top.add_argument("--seconds", type=float, default=30, help="for each harness (%(default)s)")
    top.add_argument("--only", default="", help="some harnesses, with commas")
    top.add_argument("--engine", choices=("atheris", "random"), help="atheris where it is there")
    top.add_argument("--number", type=int, default=1, help="what the random numbers begin with")
    top.add_argument("--jobs", type=int, default=1, help="how many at once")
    top.add_argument("--logs", help="a folder for what the fuzzer says")
    top.add_argument("--collect", action="store_true", help="make the corpus anew")
    top.add_argument("--child", help=argparse.SUPPRESS)
    top.add_argument("--corpus", help=argparse.SUPPRESS)
    arguments = top.parse_args()
    has_atheris = importlib.util.find_spec("atheris")
    arguments.engine = arguments.engine or ("atheris" if has_atheris else "random")
    if arguments.collect:
        collect()
        return 0
    if arguments.child and arguments.engine == "atheris":
        flags = [f"-max_total_time={int(arguments.seconds)}", f"-seed={arguments.number}"]
        fuzz(arguments.child, arguments.corpus, flags)
    if arguments.child:
        cases = mutate(arguments.child, arguments.seconds, arguments.number)
        print(f"cases: {cases}", file=sys.stderr)
        return 0

    from values import HARNESSES

    from slurmpy.testing import LocalCluster

    chosen = arguments.only.split(",") if arguments.only else list(HARNESSES)
    if unknown := set(chosen) - set(HARNESSES):
        top.error(f"no harness {', '.join(unknown)}; there are {', '.join(HARNESSES)}")
    rows = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        env: dict[str, str] = {}
        if any(HARNESSES[name].live for name in chosen):
            env = stack.enter_context(LocalCluster()).env
        threads = stack.enter_context(ThreadPoolExecutor(arguments.jobs))
        for row in threads.map(lambda name: child(name, arguments, folder, env), chosen):
            print(" ".join(row), flush=True)
            rows.append(row)
    print(f"\n{platform.python_implementation()} {platform.python_version()}, {arguments.engine}\n")
    print("| harness | drives | cases | seeds | corpus | edges | features | findings |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    for name, *rest in rows:
        print(f"| `{name}` | {HARNESSES[name].drives} | {' | '.join(rest)} |")
    print(f"\n{sum(int(row[1]) for row in rows):,} cases")
    return int(any(row[-1] != "none" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
