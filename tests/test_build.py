"""How Slurm is found, which declarations are taken for it, and what is compiled."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Union

import pytest
from cffi import FFI
from hypothesis import given
from hypothesis import strategies as st

import slurmpy
from slurmpy._ffi import MAJOR, ffi, has_members, lib

ROOT = Path(__file__).parent.parent
BUILDER = ROOT / "slurmpy" / "_build_ffi.py"
#: How a process of its own runs the builder that its first argument names.
BUILDING = "import runpy, sys; runpy.run_path(sys.argv[1])"


def load_builder() -> Any:  # noqa: ANN401 - a module that is no part of the installed package
    loader = SourceFileLoader("builder", str(BUILDER))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


build = load_builder()


def number(version: str) -> int:
    """A version as ``SLURM_VERSION_NUMBER`` has it."""
    major, minor, micro = map(int, version.split("."))
    return major << 16 | minor << 8 | micro


VERSIONS = [
    "22.05.11",
    "23.02.8",
    "23.11.11",
    "24.05.8",
    "24.11.7",
    "25.05.8",
    "25.11.7",
    "26.05.3",
]


# Version conditions

Version = tuple[int, int, int]
VERSION: st.SearchStrategy[Version] = st.tuples(
    st.integers(22, 26), st.sampled_from([2, 5, 8, 11]), st.integers(0, 12)
)

#: A line, or a condition: operator, version, and what stands before and after its ``#else``.
Node = Union[str, tuple[str, Version, list[Any], Union[list[Any], None]]]


def blocks(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, max_size=3)
    return st.tuples(st.sampled_from([">=", "<"]), VERSION, several, st.none() | several)


NODES: st.SearchStrategy[Node] = st.recursive(
    st.sampled_from(["int x;", "#define A ...", "", "\tuint32_t y;", "/* #if */"]), blocks
)


def render(nodes: list[Node], version: Version, kept: bool = True) -> tuple[list[str], list[str]]:
    """The lines of some nodes, and what is to be left of each for a version."""
    lines: list[str] = []
    left: list[str] = []
    for node in nodes:
        if isinstance(node, str):
            lines.append(node)
            left.append(node if kept else "")
            continue
        operator, bound, then, otherwise = node
        holds = version >= bound if operator == ">=" else version < bound
        parts = [(f"#if SLURM_VERSION_NUMBER {operator} SLURM_VERSION_NUM", then, holds)]
        parts[0] = (f"{parts[0][0]}({bound[0]},{bound[1]},{bound[2]})", then, holds)
        if otherwise is not None:
            parts.append(("#else", otherwise, not holds))
        for head, inside, taken in parts:
            inner_lines, inner_left = render(inside, version, kept and taken)
            lines += [head, *inner_lines]
            left += ["", *inner_left]
        lines.append("#endif")
        left.append("")
    return lines, left


@given(st.lists(NODES, max_size=5), VERSION)
def test_select_takes_what_holds_and_keeps_the_lines_in_place(
    nodes: list[Node], version: Version
) -> None:
    lines, left = render(nodes, version)
    selected = build.select("\n".join([*lines, "int last;"]), number("{}.{}.{}".format(*version)))
    assert selected == "\n".join([*left, "int last;"]) + "\n"


@pytest.mark.parametrize(
    ("version", "expected"),
    [("23.1.99", "old"), ("23.2.0", "new"), ("23.2.1", "new"), ("22.11.0", "old")],
)
def test_select_at_the_bound(version: str, expected: str) -> None:
    text = "#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23, 2, 0)\nnew\n#else\nold\n#endif\n"
    assert build.select(text, number(version)).split() == [expected]
    assert build.select(text.replace(">=", "<"), number(version)).split() != [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n#ifdef X\n#endif", "line 2 .*#ifdef X"),
        ("#if SLURM_VERSION_NUMBER == SLURM_VERSION_NUM(23,2,0)\n#endif", "line 1 .*=="),
        ("#if SLURM_VERSION_NUMBER >= 5\n#endif", "line 1 "),
        ("#else", "line 1 .*#else"),
        (
            "#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(23,2,0)\n#else\na\n#else\nb\n#endif",
            "line 4 .*#else",
        ),
        ("#endif", "line 1 .*#endif"),
        ("#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(23,2,0)\n#elif 1\n#endif", "line 2 .*#elif"),
        ("#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(23,2,0)\na", "not closed"),
    ],
)
def test_select_takes_no_other_condition(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build.select(text, number("24.11.7"))


# The declarations of every major

#: Members that are not in all majors: the first that has them, the first that lacks them.
CHANGED: dict[str, dict[str, tuple[str, str]]] = {
    "slurm_job_info_t": {
        "select_jobinfo": ("", "23.02"),
        "power_flags": ("", "24.05"),
        "show_flags": ("", "24.11"),
        **dict.fromkeys(["container_id", "extra", "failed_node", "job_size_str"], ("23.02", "99")),
        **dict.fromkeys(["priority_array", "resv_ports", "priority_array_parts"], ("24.05", "99")),
        **dict.fromkeys(["priority_array_names", "oom_kill_step"], ("24.11", "99")),
        **dict.fromkeys(["licenses_allocated", "segment_size"], ("25.05", "99")),
        **dict.fromkeys(["step_id", "submit_line"], ("25.11", "99")),
        **dict.fromkeys(["container_type", "exclusive", "oversubscribe"], ("26.05", "99")),
        **dict.fromkeys(["mem_update_delay", "mem_update_margin"], ("26.05", "99")),
    },
    "job_desc_msg_t": {
        "select_jobinfo": ("", "23.02"),
        "power_flags": ("", "24.05"),
        "job_id": ("", "25.11"),
        **dict.fromkeys(["container_id", "job_size_str", "licenses_tot"], ("23.02", "99")),
        "id": ("23.11", "99"),
        **dict.fromkeys(["resv_port_cnt", "segment_size"], ("24.05", "99")),
        "oom_kill_step": ("24.11", "99"),
        "alloc_tls_cert": ("25.05", "99"),
        "step_id": ("25.11", "99"),
        **dict.fromkeys(["container_type", "mem_update_delay"], ("26.05", "99")),
        "mem_update_margin": ("26.05", "99"),
    },
    "submit_response_msg_t": {"job_id": ("", "25.11")},
    "job_step_info_t": {
        "select_jobinfo": ("", "23.02"),
        "tres_alloc_str": ("", "25.05"),
        "container_id": ("23.02", "99"),
        **dict.fromkeys(["tres_fmt_alloc_str", "cwd", "job_name"], ("25.05", "99")),
        **dict.fromkeys(["std_err", "std_in", "std_out"], ("25.05", "99")),
        "container_type": ("26.05", "99"),
    },
    "job_step_info_response_msg_t": {"stepmgr_jobs": ("24.05", "99")},
    "slurm_step_layout_t": {"front_end": ("", "25.05"), "alias_addrs": ("23.11", "99")},
    "slurm_step_id_t": {"sluid": ("24.11", "99")},
    "job_array_resp_msg_t": {"err_msg": ("23.02", "99")},
}

#: Functions that some major declares otherwise than another, or not at all.
UNSTABLE = [
    "load_job",
    "kill_job",
    "signal_job",
    "suspend",
    "resume",
    "requeue",
    "notify_job",
    "job_batch_script",
    "get_end_time",
    "get_rem_time",
    "pid2jobid",
    "kill_job_step",
    "signal_job_step",
    "get_job_steps",
    "load_job_prio",
    "job_cpus_allocated_on_node",
    "job_cpus_allocated_on_node_id",
    "sprint_job_info",
    "print_job_info",
    "free_ctl_conf",
    "kill_jobs",
    "load_job_state",
    "get_errno",
    "seterrno",
]

ERRNO_HEADER = """
#define NOT_A_NAME 5
typedef enum {
	/* General, and not GENERAL, OTHER = 3, */
	SLURM_UNEXPECTED_MSG_ERROR =			1000,
	SLURM_COMMUNICATIONS_CONNECTION_ERROR,	/* WRONG, */
	// COMMENTED_OUT,
	SLURM_NO_CHANGE_IN_DATA = 1900,
#define ALSO_NONE 6
	ESLURM_INVALID_JOB_ID = 2017, ESLURM_ACCESS_DENIED,
	ESLURM_LAST
} slurm_err_t;
extern int slurm_seterrno(int errnum);
"""
ERRNO_NAMES = [
    "SLURM_UNEXPECTED_MSG_ERROR",
    "SLURM_COMMUNICATIONS_CONNECTION_ERROR",
    "SLURM_NO_CHANGE_IN_DATA",
    "ESLURM_INVALID_JOB_ID",
    "ESLURM_ACCESS_DENIED",
    "ESLURM_LAST",
]


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A folder of headers, of which the names of the errors are read."""
    (tmp_path / "include" / "slurm").mkdir(parents=True)
    (tmp_path / "include" / "slurm" / "slurm_errno.h").write_text(ERRNO_HEADER)
    return tmp_path / "include"


def parsed(include: Path, version: str) -> dict[str, Any]:
    """What cffi understands of the declarations for a version, by kind and name."""
    slurm = build.Slurm(include, include / "libslurm.so", number(version))
    builder: Any = FFI()
    builder.cdef(build.declarations(slurm))
    builder.set_source("_sample", "")
    builder.emit_c_code(str(include / "sample.c"))
    return {name: kind for name, (kind, _) in builder._parser._declarations.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_declarations_of_every_major(include: Path, version: str) -> None:
    found = parsed(include, version)
    major = version.rpartition(".")[0]
    job = found["typedef slurm_job_info_t"]
    types = {name: kind.get_c_name() for name, kind in zip(job.fldnames, job.fldtypes)}
    assert len(types) > 100
    assert types["job_id"] == "uint32_t"
    assert types["state_reason"] == ("uint16_t" if major == "22.05" else "uint32_t")
    assert found["typedef slurm_err_t"].enumerators == tuple(ERRNO_NAMES)

    for struct_name, changes in CHANGED.items():
        declared = found.get(f"typedef {struct_name}")
        for member in declared.fldnames if declared else ():
            first, gone = changes.get(member, ("", "99"))
            assert first <= major < gone, f"{struct_name}.{member}"
    assert not {f"function slurm_{name}" for name in UNSTABLE} & set(found)


#: Members of what is private to Slurm that are not in all majors, in the same way.
PRIVATE = {
    "job_resources_t": {"next_step_node_inx": ("24.11", "99"), "node_ranks": ("26.05", "99")},
}
#: What came with a micro version of a major.
FROM_23_11_6 = {"slurm_selected_step_t", "kill_jobs_resp_job_t", "kill_jobs_resp_msg_t"}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """The members of every struct that is declared, by major."""
    include = tmp_path_factory.mktemp("include")
    (include / "slurm").mkdir()
    (include / "slurm" / "slurm_errno.h").write_text(ERRNO_HEADER)
    return {
        version.rpartition(".")[0]: {
            name.partition(" ")[2]: set(kind.fldnames)
            for name, kind in parsed(include, version).items()
            # A typedef and its struct are one.
            if name.startswith("typedef ") and getattr(kind, "fldnames", None)
        }
        for version in VERSIONS
    }


def test_what_a_major_has_is_declared_from_its_first_to_its_last(
    members: dict[str, dict[str, set[str]]],
) -> None:
    """What is declared for one major is declared for each that has it, and for no other."""
    everywhere: dict[str, set[str]] = {}
    for structs in members.values():
        for name, declared in structs.items():
            everywhere.setdefault(name, set()).update(declared)
    assert len(everywhere) > 15
    for major, structs in members.items():
        for name, declared in everywhere.items():
            changes = {**CHANGED.get(name, {}), **PRIVATE.get(name, {})}
            spans = {member: changes.get(member, ("", "99")) for member in declared}
            expected = {member for member, (first, gone) in spans.items() if first <= major < gone}
            if name in FROM_23_11_6 and major < "23.11":
                expected = set()
            assert structs.get(name, set()) == expected, f"{name} of {major}"


#: The files in ``cdefs/`` that are not for a major what they are for the one before it.
CHANGING: dict[str, set[str]] = {
    "22.05": set(),
    "23.02": {"jobs.h", "submit.h"},
    "23.11": {"control.h"},
    "24.05": {"submit.h"},
    "24.11": {"job_resources.h"},
    "25.05": {"steps.h"},
    "25.11": {"jobs.h"},
    "26.05": {"job_resources.h"},
}


def test_every_condition_is_for_a_major_that_changed() -> None:
    texts = {name: (build.CDEFS / name).read_text(encoding="utf-8") for name in build.HEADERS}
    for version, before in zip(VERSIONS, [VERSIONS[0], *VERSIONS]):
        changed = {
            name
            for name, text in texts.items()
            if build.select(text, number(version)) != build.select(text, number(before))
        }
        assert changed == CHANGING[version.rpartition(".")[0]], version


#: The struct of each class; what came with a major without a member; one member's names.
STRUCTS = {
    "Job": "slurm_job_info_t",
    "JobStep": "job_step_info_t",
    "JobSubmitDescription": "job_desc_msg_t",
}
NO_MEMBER = {"extra": "23.02", "gres_tasks_per_sharing": "24.05"}
RENAMED = {"tres_alloc_str", "tres_fmt_alloc_str"}


@pytest.mark.parametrize("kind", STRUCTS)
def test_an_attribute_is_there_where_its_members_are(
    members: dict[str, dict[str, set[str]]], kind: str
) -> None:
    """The documentation's table of versions is made from the attributes' ``since``."""
    found = {major: structs[STRUCTS[kind]] for major, structs in members.items()}
    anywhere = set().union(*found.values())
    cls: Any = getattr(slurmpy, kind)
    attributes = cls.options if kind == "JobSubmitDescription" else cls.fields
    checked = 0
    for attribute in attributes.values():
        named = set(attribute.member.split(", "))
        named |= RENAMED if named & RENAMED else set()
        first = attribute.since or "22.05"
        if attribute.name in NO_MEMBER:
            assert first == NO_MEMBER[attribute.name]
        elif named & anywhere:
            have = {major for major, declared in found.items() if named & declared}
            assert have == {major for major in found if major >= first}, attribute
            checked += 1
    assert checked > len(attributes) / 2


@pytest.mark.parametrize(
    ("version", "has"),
    [("22.05.8", False), ("23.11.5", False), ("23.11.6", True), ("24.05.0", True)],
)
def test_signals_to_many_came_with_a_micro_version(
    include: Path, version: str, *, has: bool
) -> None:
    found = parsed(include, version)
    for name in ("function slurmpy_kill_jobs", "typedef kill_jobs_resp_msg_t"):
        assert (name in found) is has


@pytest.mark.parametrize("version", VERSIONS)
def test_structs_of_slurm_are_declared_in_part(include: Path, version: str) -> None:
    structs = {
        name: kind
        for name, kind in parsed(include, version).items()
        if name.startswith("struct ") and kind.fldnames
    }
    # Of what is private to Slurm, the compiler knows no more than cffi. Of the two, one has a
    # struct of the headers within, and is in part for that.
    assert {"struct jobacctinfo", "struct job_resources"} < set(structs)
    assert [name for name, kind in structs.items() if not kind.partial] == ["struct job_resources"]


def test_what_is_private_to_slurm_is_not_declared_for_a_major_to_come() -> None:
    for name in ("jobacctinfo", "job_resources"):
        text = (build.CDEFS / f"{name}.h").read_text(encoding="utf-8")
        assert f"struct {name} {{" in build.select(text, number("26.05.3"))
        assert f"struct {name} {{" not in build.select(text, number("26.11.0"))


@given(
    st.lists(st.from_regex(r"E?SLURM[A-Z0-9_]{1,20}", fullmatch=True), min_size=1, unique=True),
    st.sampled_from(["", " = 12", "\t=\t0x1F", " = -1"]),
    st.sampled_from(["", " /* with, A, COMMENT = 5, */", " // to the END, of it"]),
    st.booleans(),
)
def test_names_of_errors(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    value: str,
    comment: str,
    ends_with_comma: bool,
) -> None:
    include = tmp_path_factory.mktemp("include")
    (include / "slurm").mkdir()
    lines = [f"\t{name}{value},{comment}" for name in names]
    if not ends_with_comma:
        lines[-1] = f"\t{names[-1]}{value}{comment}"
    text = "typedef enum\n{\n" + "\n".join(lines) + "\n} slurm_err_t;\n"
    (include / "slurm" / "slurm_errno.h").write_text(text)
    assert build.errno_names(build.Slurm(include, include, 0)) == names


# Finding Slurm

WIDTH = struct.calcsize("P") * 8
MULTIARCH = [f"lib/{name}" for name in [sysconfig.get_config_var("MULTIARCH")] if name]
VARIABLES = (
    "SLURM_INCLUDE_DIR",
    "SLURM_LIB_DIR",
    "SLURM_PREFIX",
    "CC",
    "CPATH",
    "C_INCLUDE_PATH",
    "LIBRARY_PATH",
)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment that names no Slurm; gives the folder that is all of its PATH."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


def headers(folder: Path, version: str = "22.05.8") -> Path:
    """A folder with the two headers that are looked at."""
    (folder / "slurm").mkdir(parents=True)
    (folder / "slurm" / "slurm.h").touch()
    text = f"/* of Slurm */\n#define SLURM_VERSION_NUMBER {number(version):#x}\n"
    (folder / "slurm" / "slurm_version.h").write_text(text)
    return folder


def library(folder: Path, name: str = "libslurm.so", width: int = WIDTH) -> Path:
    """The first bytes of a library of a width, of which no more is looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\x7fELF" + bytes([width // 32]))
    return folder / name


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_major_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    include = headers(tmp_path / "opt" / "include", version)
    found = library(tmp_path / "opt" / "lib")
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path / "opt"))
    slurm = build.find_slurm()
    assert slurm == (include, found, number(version))
    assert slurm.major == version.rpartition(".")[0]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("folder", [*MULTIARCH, "lib64", "lib", "lib64/slurm"])
@pytest.mark.parametrize("name", ["libslurm.so", "libslurm.so.38.0.0"])
def test_folders_of_a_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, name: str
) -> None:
    headers(tmp_path / "opt" / "include")
    found = library(tmp_path / "opt" / folder, name)
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path / "opt"))
    assert build.find_slurm().library == found


def test_order_of_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    for place in ("on_path", "prefix", "named"):
        headers(tmp_path / place / "include")
        library(tmp_path / place / "lib")
    scontrol = program(tmp_path / "on_path" / "bin", "scontrol")
    (clean / "scontrol").symlink_to(scontrol)
    assert build.find_slurm()[:2] == (
        tmp_path / "on_path" / "include",
        tmp_path / "on_path" / "lib" / "libslurm.so",
    )
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path / "prefix"))
    assert build.find_slurm()[:2] == (
        tmp_path / "prefix" / "include",
        tmp_path / "prefix" / "lib" / "libslurm.so",
    )
    monkeypatch.setenv("SLURM_INCLUDE_DIR", str(tmp_path / "named" / "include"))
    assert build.find_slurm()[:2] == (
        tmp_path / "named" / "include",
        tmp_path / "prefix" / "lib" / "libslurm.so",
    )
    monkeypatch.setenv("SLURM_LIB_DIR", str(tmp_path / "named" / "lib"))
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path / "nowhere"))
    assert build.find_slurm()[:2] == (
        tmp_path / "named" / "include",
        tmp_path / "named" / "lib" / "libslurm.so",
    )


def test_headers_and_library_come_from_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: Path
) -> None:
    half = library(tmp_path / "half" / "lib")
    (clean / "scontrol").symlink_to(program(tmp_path / "half" / "bin", "scontrol"))
    # The last place of all, where this machine has Slurm in none of those before.
    monkeypatch.setenv("CPATH", str(headers(tmp_path / "whole" / "include")))
    monkeypatch.setenv("LIBRARY_PATH", str(library(tmp_path / "whole" / "lib").parent))
    assert build.find_slurm().library != half
    headers(tmp_path / "half" / "include")
    assert build.find_slurm()[:2] == (tmp_path / "half" / "include", half)


@pytest.mark.usefixtures("clean")
def test_the_search_paths_of_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = headers(tmp_path / "headers")
    found = library(tmp_path / "libraries")
    monkeypatch.setenv("CPATH", f"{tmp_path / 'none'}{os.pathsep}{include}")
    monkeypatch.setenv("LIBRARY_PATH", f"{os.pathsep}{found.parent}")
    last = build._places()[-1:]
    assert last == [([tmp_path / "none", include], [found.parent])]
    # The machine that runs this has Slurm in a place before the last.
    monkeypatch.setattr(build, "_places", lambda: last)
    assert build.find_slurm()[:2] == (include, found)


@pytest.mark.usefixtures("clean")
def test_a_relative_prefix_is_good_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers(tmp_path / "opt" / "include")
    library(tmp_path / "opt" / "lib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_PREFIX", "opt")
    slurm = build.find_slurm()
    # The library's folder is written into the module that is built.
    assert slurm.library == tmp_path / "opt" / "lib" / "libslurm.so"
    assert slurm.include == tmp_path / "opt" / "include"


# What is missing


def message(caught: pytest.ExceptionInfo[SystemExit]) -> str:
    """The one line that the build ends with."""
    text = str(caught.value)
    assert isinstance(caught.value, build.BuildError)
    assert caught.value.code == text
    assert text.startswith("slurmpy: ")
    assert "\n" not in text
    return text


PACKAGES = ("libslurm-dev", "slurm-devel")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("library", ["slurm/slurm.h", "SLURM_INCLUDE_DIR"]),
        ("header", ["libslurm.so", "SLURM_LIB_DIR"]),
    ],
)
def test_half_of_it_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, words: list[str]
) -> None:
    if there == "header":
        headers(tmp_path)
    else:
        library(tmp_path)
    # The machine that runs this has all of Slurm in a place where it is looked for.
    monkeypatch.setattr(build, "_places", lambda: [([tmp_path], [tmp_path])])
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    for word in (*words, *PACKAGES, "SLURM_PREFIX"):
        assert word in message(caught)


@pytest.mark.usefixtures("clean")
def test_no_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    assert f"SLURM_PREFIX is {tmp_path}" in message(caught)
    assert "slurm/slurm.h" in message(caught)

    monkeypatch.setenv("SLURM_INCLUDE_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    assert f"SLURM_INCLUDE_DIR is {tmp_path / 'nowhere'}" in message(caught)


@pytest.mark.usefixtures("clean")
def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers(tmp_path / "include")
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    assert f"SLURM_PREFIX is {tmp_path}" in message(caught)
    assert "libslurm.so" in message(caught)

    monkeypatch.setenv("SLURM_LIB_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    assert f"SLURM_LIB_DIR is {tmp_path / 'nowhere'}" in message(caught)


@pytest.mark.usefixtures("clean")
def test_a_library_of_another_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers(tmp_path / "include")
    found = library(tmp_path / "lib", width=96 - WIDTH)
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    for word in (str(found), f"{96 - WIDTH}-bit", f"{WIDTH} bits", "SLURM_LIB_DIR"):
        assert word in message(caught)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_library_of_another_major(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    headers(tmp_path / "include", version)
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    link = tmp_path / "lib" / "libslurm.so"
    fitting = f"libslurm.so.{38 + VERSIONS.index(version)}"
    for name in (f"libslurm.so.{soname}" for soname in range(37, 48)):
        library(tmp_path / "lib", f"{name}.0.0")
        link.unlink(missing_ok=True)
        link.symlink_to(f"{name}.0.0")
        if name == fitting:
            assert build.find_slurm().library == link
            continue
        with pytest.raises(SystemExit) as caught:
            build.find_slurm()
        for word in (version.rpartition(".")[0], fitting, name, str(link), "SLURM_PREFIX"):
            assert word in message(caught)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("version", ["21.08.8", "22.11.1", "26.11.0", "99.01.0"])
def test_a_major_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    headers(tmp_path / "include", version)
    library(tmp_path / "lib")
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    known = [known.rpartition(".")[0] for known in VERSIONS]
    for word in (version.rpartition(".")[0], *known, "SLURM_PREFIX", "slurmpy-cffi"):
        assert word in message(caught)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("text", [None, "", "#define SLURM_VERSION_NUMBER five\n"])
def test_headers_without_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    headers(tmp_path / "include")
    library(tmp_path / "lib")
    header = tmp_path / "include" / "slurm" / "slurm_version.h"
    header.unlink()
    if text is not None:
        header.write_text(text)
    monkeypatch.setenv("SLURM_PREFIX", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        build.find_slurm()
    for word in ("slurm_version.h", *PACKAGES):
        assert word in message(caught)


@pytest.mark.parametrize("text", [None, "", "typedef enum { A } other_t;\n"])
def test_headers_without_the_errors(include: Path, text: str | None) -> None:
    header = include / "slurm" / "slurm_errno.h"
    header.unlink()
    if text is not None:
        header.write_text(text)
    with pytest.raises(SystemExit) as caught:
        build.declarations(build.Slurm(include, include, number("24.11.7")))
    for word in ("slurm_errno.h", *PACKAGES):
        assert word in message(caught)


@pytest.mark.usefixtures("clean")
def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as caught:
        build.ffibuilder()
    assert "package gcc" in message(caught)
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(SystemExit) as caught:
        build.ffibuilder()
    assert "no-such-compiler is not on the PATH" in message(caught)
    assert "CC" in message(caught)


def test_the_build_ends_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{BUILDING}['ffibuilder']()", BUILDER],
        env={**os.environ, "SLURM_PREFIX": str(tmp_path), "SLURM_INCLUDE_DIR": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(rf"slurmpy: SLURM_PREFIX is {re.escape(str(tmp_path))}, .*\n", done.stderr)


# The compiled module


@pytest.mark.parametrize("name", [name for names in ffi.list_types() for name in names])
def test_sizes_of_all_types(name: str) -> None:
    """An integer whose declared width is wrong shows only when the type is first used."""
    kinds = dict.fromkeys(ffi.list_types()[1], "struct ")
    kind = ffi.typeof(kinds.get(name, "") + name)
    if name == "job_step_stat_response_msg_t":
        # Nothing of it is read here.
        assert not has_members(name)
        return
    assert has_members(kind.cname)
    assert ffi.sizeof(kind) > 0
    if kind.kind == "struct":
        assert ffi.sizeof(kind) >= sum(ffi.sizeof(field.type) for _, field in kind.fields)
        assert kind.fields


def test_all_names_of_the_library_are_there() -> None:
    names = [name for name in dir(lib) if not name.startswith("_")]
    assert len(names) > 100
    for name in names:
        assert getattr(lib, name) is not None


def test_marks_are_the_ends_of_their_width() -> None:
    for bits in (8, 16, 32, 64):
        suffix = "" if bits == 32 else str(bits)
        assert getattr(lib, f"INFINITE{suffix}") == 2**bits - 1
        assert getattr(lib, f"NO_VAL{suffix}") == 2**bits - 2


def test_names_of_errors_are_those_of_the_headers() -> None:
    slurm = build.find_slurm()
    if slurm.major != MAJOR:
        pytest.skip(f"built with Slurm {MAJOR}, and what is found now is {slurm.major}")
    compiled: dict[int, str] = ffi.typeof("slurm_err_t").elements
    names = set(build.errno_names(slurm))
    assert len(names) > 200
    assert set(compiled.values()) <= names
    assert all(getattr(lib, name) in compiled for name in names)
    assert compiled[2017] == "ESLURM_INVALID_JOB_ID"


@pytest.mark.once
@pytest.mark.parametrize("development", [True, False])
def test_a_library_where_the_loader_does_not_look(tmp_path: Path, development: bool) -> None:
    pytest.importorskip("setuptools")
    soname = f"libslurm.so.{lib.slurm_api_version() >> 16}"
    loaded = re.search(rf"/\S*/{re.escape(soname)}\S*", Path("/proc/self/maps").read_text())
    assert loaded is not None
    prefix = tmp_path / "prefix"
    (prefix / "lib").mkdir(parents=True)
    shutil.copy(loaded[0], prefix / "lib" / soname)
    if development:
        (prefix / "lib" / "libslurm.so").symlink_to(soname)
    (prefix / "include").mkdir()
    (prefix / "include" / "slurm").symlink_to(build.find_slurm().include / "slurm")

    built = tmp_path / "built"
    (built / "slurmpy").mkdir(parents=True)
    (built / "slurmpy" / "__init__.py").touch()
    kept = {k: v for k, v in os.environ.items() if k not in {*VARIABLES, "LD_LIBRARY_PATH"}}
    compiling = (
        "import runpy, sys; runpy.run_path(sys.argv[1])['ffibuilder']().compile(tmpdir=sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", compiling, BUILDER, built],
        env={**kept, "SLURM_PREFIX": str(prefix)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    reading = (
        "from slurmpy._slurm import lib; lib.slurm_api_version(); "
        "print(*(line for line in open('/proc/self/maps') if 'libslurm' in line), sep='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", reading],
        env={**kept, "PYTHONPATH": os.pathsep.join([str(built), *sys.path])},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    paths = {line.split(maxsplit=5)[5] for line in done.stdout.splitlines() if line}
    assert paths == {str(prefix / "lib" / soname)}
