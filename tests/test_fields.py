"""Every attribute over structs that were made by hand: marks, odd values, random ones, copies."""

from __future__ import annotations

import ast
import copy
import gc
import grp
import math
import pickle
import pwd
from typing import Any, Callable

import pytest
from cffi import FFI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurmpy import UNLIMITED, Job, Unlimited, UnsupportedField
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy._fields import Struct
from slurmpy._records import Record, Snapshot

STRUCT = "slurm_job_info_t"
MEMBERS: dict[str, Any] = dict(ffi.typeof(STRUCT).fields)
NOW = 1_700_000_000
YEAR = 365 * 86400

Members = dict[str, Any]
Case = tuple[Members, object]

#: What the paths of a job are made from.
BATCH: Members = {"batch_flag": 1, "job_id": 7, "work_dir": b"/home/user"}
if "step_id" in MEMBERS:
    BATCH["step_id"] = {"job_id": 7}


def make(members: Members, now: float = NOW) -> Job:
    """A job over a struct with these members; `bytes` become texts."""
    ptr = ffi.new(f"{STRUCT} *")
    kept = [ptr]

    for name, value in members.items():
        if isinstance(value, list):
            texts = [ffi.new("char[]", item) for item in value]
            kept += [*texts, ffi.new("char *[]", texts)]
        elif isinstance(value, bytes):
            kept.append(ffi.new("char[]", value))
        else:
            setattr(ptr, name, value)
            continue
        setattr(ptr, name, kept[-1])
    return Job._at(ptr, Snapshot(kept, "home", now), ptr.job_id)


# What each attribute has to say about the values that Slurm uses as marks, and about others


def signed(member: str) -> bool:
    """Whether a member can be less than 0, as times can."""
    return int(ffi.cast(MEMBERS[member].type, -1)) < 0


def marks(member: str) -> list[int]:
    """What stands for "not set" and for "no limit" in a member of its width."""
    if signed(member):
        return [lib.NO_VAL, lib.INFINITE, -2, -1]
    return {
        1: [lib.NO_VAL8, lib.INFINITE8],
        2: [lib.NO_VAL16, lib.INFINITE16],
        4: [lib.NO_VAL, lib.INFINITE],
        8: [lib.NO_VAL64, lib.INFINITE64],
    }[ffi.sizeof(MEMBERS[member].type)]


def largest(member: str) -> int:
    """The largest value that is no mark."""
    return int(lib.NO_VAL) - 1 if signed(member) else min(marks(member)) - 1


def number(member: str) -> list[Case]:
    """0 is a value."""
    found: list[Case] = [({member: value}, value) for value in (0, 1, largest(member))]
    return found + [({member: mark}, None) for mark in marks(member)]


def positive(member: str) -> list[Case]:
    """0 says that it is not set."""
    return [({member: 0}, None), *number(member)[1:]]


def text(member: str) -> list[Case]:
    return [
        ({}, None),
        ({member: b""}, None),
        ({member: b"some, text"}, "some, text"),
        ({member: "h\u00e9".encode()}, "h\u00e9"),
        ({member: b"\xff\x80"}, "\udcff\udc80"),
    ]


def boolean(member: str) -> list[Case]:
    found: list[Case] = [({member: value}, bool(value)) for value in (0, 1, 2)]
    return found + [({member: mark}, False) for mark in marks(member)]


def flag(bit: int) -> list[Case]:
    return [
        ({"bitflags": 0}, False),
        ({"bitflags": bit}, True),
        ({"bitflags": lib.INFINITE64}, True),
        ({"bitflags": lib.INFINITE64 ^ bit}, False),
    ]


def either(words: dict[int, object]) -> list[Case]:
    """One word for each of two bits."""
    found: list[Case] = [({"bitflags": bit}, word) for bit, word in words.items()]
    return [({"bitflags": 0}, None), ({"bitflags": lib.INFINITE64 ^ sum(words)}, None), *found]


def status(member: str, place: int) -> list[Case]:
    pairs = {0: (0, 0), 0x700: (7, 0), 0xFF00: (255, 0), 9: (0, 9), 15: (0, 15), 0x8B: (0, 11)}
    pairs[0x0109] = 0, 9
    found: list[Case] = [({member: value}, pair[place]) for value, pair in pairs.items()]
    return found + [({member: mark}, None) for mark in marks(member)]


def frequency(member: str) -> list[Case]:
    words = {
        0x80000001: "Low",
        0x80000003: "High",
        0x82000000: "Performance",
        0x80000009: "Unknown",
    }
    found: list[Case] = [({member: value}, word) for value, word in words.items()]
    return [({member: 2_000_000}, 2_000_000), ({member: 0}, None), *positive(member)[3:], *found]


def features(member: str) -> list[Case]:
    return [({}, None), ({member: b""}, None), ({member: b"[a|b]&c"}, ["[a|b]", "c"])]


def items(member: str) -> list[Case]:
    return [({}, None), ({member: b""}, None), ({member: b"a:2,b:1"}, ["a:2", "b:1"])]


def per_gpu(member: str) -> list[Case]:
    found: list[Case] = [({}, None), ({member: b""}, None), ({member: b"gres:shard:1"}, None)]
    return found + [
        ({member: spelling}, 1024)
        for spelling in (b"gres:gpu:1024", b"gres/gpu:1024", b"gres/gpu=1024")
    ]


def path(member: str) -> list[Case]:
    return [
        ({}, None),
        ({**BATCH, member: b"/tmp/file"}, "/tmp/file"),  # noqa: S108 - nothing is written
        ({**BATCH, member: b"file"}, "/home/user/file"),
        ({**BATCH, member: b"%j.file"}, "/home/user/7.file"),
        ({**BATCH, member: b"/\xff"}, "/\udcff"),
    ]


def missing_id(known: set[int]) -> int:
    """An id that the system has no name for."""
    return next(number for number in range(60_000, 70_000) if number not in known)


UID = missing_id({entry.pw_uid for entry in pwd.getpwall()})
GID = missing_id({entry.gr_gid for entry in grp.getgrall()})
ROOT = pwd.getpwuid(0).pw_name

RUNNING = {"job_state": lib.JOB_RUNNING, "start_time": NOW - 100, "end_time": NOW + 1000}
PER_CPU = lib.MEM_PER_CPU

CASES: dict[str, list[Case]] = {
    "id": [({"job_id": 1}, 1), ({"job_id": lib.NO_VAL - 1}, lib.NO_VAL - 1)],
    "name": text("name"),
    "association_id": positive("assoc_id"),
    "account": text("account"),
    "user_id": [({"user_id": 0}, 0), ({"user_id": 1000}, 1000)],
    "user_name": [
        ({"user_id": 0}, ROOT),
        ({"user_id": 0, "user_name": b""}, ROOT),
        ({"user_id": 0, "user_name": b"alice"}, "alice"),
        ({"user_id": UID}, None),
        ({"user_id": UID, "user_name": b"\xff"}, "\udcff"),
        ({"user_id": lib.INFINITE}, None),
    ],
    "group_id": [({"group_id": 0}, 0), ({"group_id": 1000}, 1000)],
    "group_name": [
        ({"group_id": 0}, grp.getgrgid(0).gr_name),
        ({"group_id": GID}, None),
        ({"group_id": lib.INFINITE}, None),
    ],
    "priority": number("priority"),
    "nice": [
        ({"nice": lib.NICE_OFFSET}, 0),
        ({"nice": lib.NICE_OFFSET + 5}, 5),
        ({"nice": lib.NICE_OFFSET - 5}, -5),
        ({"nice": 3}, 3 - 2**31),
        ({"nice": lib.NO_VAL - 1}, 2**31 - 3),
        *(({"nice": mark}, None) for mark in marks("nice")),
    ],
    "qos": text("qos"),
    "min_cpus_per_node": number("pn_min_cpus"),
    "state": [
        ({"job_state": lib.JOB_PENDING}, "PENDING"),
        ({"job_state": lib.JOB_RUNNING}, "RUNNING"),
        ({"job_state": lib.JOB_SUSPENDED}, "SUSPENDED"),
        ({"job_state": lib.JOB_COMPLETE}, "COMPLETED"),
        ({"job_state": lib.JOB_COMPLETE | 1 << 15}, "COMPLETING"),
    ],
    "state_reason": [
        ({"state_reason": 0}, None),
        ({"state_reason": 0, "state_desc": b""}, None),
        ({"state_reason": 1}, "Priority"),
        ({"state_reason": 1, "state_desc": b""}, "Priority"),
        ({"state_reason": 1, "state_desc": b"launch failed"}, "launch failed"),
        ({"state_reason": 1, "state_desc": b"None"}, None),
    ],
    "is_requeueable": boolean("requeue"),
    "requeue_count": number("restart_cnt"),
    "is_batch_job": boolean("batch_flag"),
    "node_reboot_required": boolean("reboot"),
    "dependencies": [
        ({}, None),
        ({"dependency": b""}, None),
        (
            {"dependency": b"afterok:3(unfulfilled)?singleton(unfulfilled)"},
            {"afterok": [3], "singleton": True, "satisfy": "any"},
        ),
    ],
    "time_limit": number("time_limit"),
    "time_limit_min": positive("time_min"),
    "submit_time": positive("submit_time"),
    "eligible_time": positive("eligible_time"),
    "accrue_time": positive("accrue_time"),
    "start_time": positive("start_time"),
    "resize_time": positive("resize_time"),
    "deadline": positive("deadline"),
    "preempt_eligible_time": positive("preemptable_time"),
    "preempt_time": positive("preempt_time"),
    "suspend_time": positive("suspend_time"),
    "last_sched_evaluation_time": positive("last_sched_eval"),
    "pre_suspension_time": number("pre_sus_time"),
    "mcs_label": text("mcs_label"),
    "partition": text("partition"),
    "submit_host": text("alloc_node"),
    "batch_host": text("batch_host"),
    "num_nodes": number("num_nodes"),
    "max_nodes": positive("max_nodes"),
    "allocated_nodes": [
        ({"job_state": lib.JOB_RUNNING}, None),
        ({"job_state": lib.JOB_RUNNING, "nodes": b""}, None),
        ({"job_state": lib.JOB_RUNNING, "nodes": b"n[1-2]"}, "n[1-2]"),
        ({"job_state": lib.JOB_COMPLETE, "nodes": b"n1"}, "n1"),
        ({"job_state": lib.JOB_PENDING, "nodes": b"n1"}, None),
        ({"job_state": lib.JOB_PENDING | 1 << 10, "nodes": b"n1"}, None),
    ],
    "required_nodes": text("req_nodes"),
    "excluded_nodes": text("exc_nodes"),
    "scheduled_nodes": text("sched_nodes"),
    "derived_exit_code": status("derived_ec", 0),
    "derived_exit_code_signal": status("derived_ec", 1),
    "exit_code": status("exit_code", 0),
    "exit_code_signal": status("exit_code", 1),
    "batch_constraints": features("batch_features"),
    "federation_origin": text("fed_origin_str"),
    "federation_siblings_active": positive("fed_siblings_active"),
    "federation_siblings_viable": positive("fed_siblings_viable"),
    "cpus": number("num_cpus"),
    "cpus_per_task": number("cpus_per_task"),
    "cpus_per_gpu": per_gpu("cpus_per_tres"),
    "boards_per_node": number("boards_per_node"),
    "sockets_per_board": number("sockets_per_board"),
    "sockets_per_node": number("sockets_per_node"),
    "cores_per_socket": number("cores_per_socket"),
    "threads_per_core": number("threads_per_core"),
    "ntasks": number("num_tasks"),
    "ntasks_per_node": number("ntasks_per_node"),
    "ntasks_per_board": number("ntasks_per_board"),
    "ntasks_per_socket": number("ntasks_per_socket"),
    "ntasks_per_core": number("ntasks_per_core"),
    "ntasks_per_gpu": positive("ntasks_per_tres"),
    "delay_boot_time": [
        ({"delay_boot": 0}, 0),
        ({"delay_boot": 59}, 0),
        ({"delay_boot": 120}, 2),
        ({"delay_boot": lib.NO_VAL}, None),
        ({"delay_boot": lib.INFINITE}, UNLIMITED),
    ],
    "constraints": features("features"),
    "cluster": [({}, "home"), ({"cluster": b""}, "home"), ({"cluster": b"away"}, "away")],
    "cluster_constraints": items("cluster_features"),
    "reservation": text("resv_name"),
    "resource_sharing": [
        ({"shared": 0}, "NO"),
        ({"shared": 1}, "YES"),
        ({"shared": 2}, "USER"),
        ({"shared": 3}, "MCS"),
        ({"shared": lib.NO_VAL16}, "OK"),
    ],
    "requires_contiguous_nodes": boolean("contiguous"),
    "licenses": items("licenses"),
    "network": text("network"),
    "command": text("command"),
    "working_directory": text("work_dir"),
    "admin_comment": text("admin_comment"),
    "system_comment": text("system_comment"),
    "container": text("container"),
    "comment": text("comment"),
    "standard_input": path("std_in"),
    "standard_output": path("std_out"),
    "standard_error": path("std_err"),
    "required_switches": positive("req_switch"),
    "max_wait_time_switches": [
        ({"req_switch": 0, "wait4switch": 60}, None),
        ({"req_switch": 1, "wait4switch": 60}, 60),
        ({"req_switch": 1, "wait4switch": 0}, 0),
        ({"req_switch": 1, "wait4switch": lib.NO_VAL}, None),
    ],
    "burst_buffer": text("burst_buffer"),
    "burst_buffer_state": text("burst_buffer_state"),
    "cpu_frequency_min": frequency("cpu_freq_min"),
    "cpu_frequency_max": frequency("cpu_freq_max"),
    "cpu_frequency_governor": frequency("cpu_freq_gov"),
    "billable_tres": [
        ({"billable_tres": 0.0}, 0.0),
        ({"billable_tres": 2.5}, 2.5),
        *(
            ({"billable_tres": float(mark)}, None)
            for mark in (lib.NO_VAL, lib.INFINITE, lib.NO_VAL64, lib.INFINITE64, math.nan)
        ),
    ],
    "wckey": [*text("wckey"), ({"wckey": b"*"}, None), ({"wckey": b"*key"}, "*key")],
    "mail_user": [
        ({"mail_type": 1}, None),
        ({"mail_type": 1, "mail_user": b""}, None),
        ({"mail_type": 1, "mail_user": b"a,b@c"}, ["a", "b@c"]),
        ({"mail_type": 0, "mail_user": b"a"}, None),
    ],
    "mail_types": [
        ({"mail_type": 0}, None),
        ({"mail_type": 1 << 15}, None),
        ({"mail_type": 0b10000_0010}, ["END", "STAGE_OUT"]),
        ({"mail_type": 0b110_0000_0001}, ["ARRAY_TASKS", "INVALID_DEPEND", "BEGIN"]),
    ],
    "heterogeneous_id": positive("het_job_id"),
    "heterogeneous_offset": [
        ({"het_job_id": 0, "het_job_offset": 0}, None),
        ({"het_job_id": 5, "het_job_offset": 0}, 0),
        ({"het_job_id": 5, "het_job_offset": 2}, 2),
        *(({"het_job_id": 5, "het_job_offset": mark}, None) for mark in marks("het_job_offset")),
    ],
    "temporary_disk_per_node": number("pn_min_tmp_disk"),
    "array_id": positive("array_job_id"),
    "array_tasks_parallel": positive("array_max_tasks"),
    "array_task_id": [
        ({"array_job_id": 0, "array_task_id": 0}, None),
        ({"array_job_id": 5, "array_task_id": 0}, 0),
        ({"array_job_id": 5, "array_task_id": 7}, 7),
        *(({"array_job_id": 5, "array_task_id": mark}, None) for mark in marks("array_task_id")),
    ],
    "array_tasks_waiting": text("array_task_str"),
    "end_time": [
        *positive("end_time"),
        ({"end_time": NOW + YEAR, "time_limit": lib.INFINITE}, None),
        ({"end_time": NOW + YEAR, "time_limit": 60}, NOW + YEAR),
        ({"end_time": NOW - 60, "time_limit": lib.INFINITE}, NOW - 60),
    ],
    "run_time": [({}, 0), (RUNNING, 100)],
    "cores_reserved_for_system": [
        ({"core_spec": 0}, 0),
        ({"core_spec": 3}, 3),
        ({"core_spec": lib.CORE_SPEC_THREAD | 3}, None),
        *(({"core_spec": mark}, None) for mark in marks("core_spec")),
    ],
    "threads_reserved_for_system": [
        ({"core_spec": lib.CORE_SPEC_THREAD}, 0),
        ({"core_spec": lib.CORE_SPEC_THREAD | 3}, 3),
        ({"core_spec": 3}, None),
        *(({"core_spec": mark}, None) for mark in marks("core_spec")),
    ],
    "memory": [
        ({}, None),
        ({"tres_req_str": b"cpu=1,node=1"}, None),
        ({"tres_req_str": b"cpu=1,mem=2G"}, 2048),
        ({"tres_req_str": b"mem=2G", "tres_alloc_str": b""}, 2048),
        ({"tres_req_str": b"mem=2G", "tres_alloc_str": b"mem=1500M"}, 1500),
    ],
    "memory_per_cpu": [
        ({"pn_min_memory": PER_CPU | 100}, 100),
        ({"pn_min_memory": PER_CPU}, 0),
        ({"pn_min_memory": 100}, None),
        *(({"pn_min_memory": mark}, None) for mark in marks("pn_min_memory")),
    ],
    "memory_per_node": [
        ({"pn_min_memory": 100}, 100),
        ({"pn_min_memory": 0}, 0),
        ({"pn_min_memory": PER_CPU | 100}, None),
        ({"pn_min_memory": 0, "mem_per_tres": b"gres:gpu:5"}, None),
        # What is there is the memory for each GPU once more, from some newer major on.
        (
            {"pn_min_memory": 100, "mem_per_tres": b"gres:gpu:5"},
            100 if MAJOR == "22.05" else None,
        ),
        *(({"pn_min_memory": mark}, None) for mark in marks("pn_min_memory")),
    ],
    "memory_per_gpu": per_gpu("mem_per_tres"),
    "gres_per_node": [
        ({}, None),
        ({"tres_per_node": b""}, None),
        ({"tres_per_node": b"gres:gpu:tesla:2,gres:shard"}, {"gpu:tesla": 2, "shard": 1}),
        ({"tres_per_node": b"gres/gpu:tesla=2,gres/shard"}, {"gpu:tesla": 2, "shard": 1}),
    ],
    "profile_types": [
        ({"profile": lib.ACCT_GATHER_PROFILE_NOT_SET}, None),
        ({"profile": lib.ACCT_GATHER_PROFILE_NONE}, None),
        ({"profile": lib.ACCT_GATHER_PROFILE_TASK}, ["Task"]),
        ({"profile": lib.ACCT_GATHER_PROFILE_ALL}, ["Energy", "Lustre", "Network", "Task"]),
    ],
    "gres_binding": either(
        {lib.GRES_ENFORCE_BIND: "enforce-binding", lib.GRES_DISABLE_BIND: "disable-binding"}
    ),
    "kill_on_invalid_dependency": either({lib.KILL_INV_DEP: True, lib.NO_KILL_INV_DEP: False}),
    "spreads_over_nodes": flag(lib.SPREAD_JOB),
    "is_cronjob": flag(lib.CRON_JOB),
    "cronjob_time": text("cronspec"),
    "elapsed_cpu_time": [
        ({}, 0),
        ({**RUNNING, "num_cpus": 8}, 800),
        ({**RUNNING, "num_cpus": 0}, 0),
    ],
    "run_time_remaining": [
        ({"time_limit": 10}, 600),
        ({**RUNNING, "time_limit": 10}, 500),
        ({**RUNNING, "time_limit": 1}, -40),
        *(({**RUNNING, "time_limit": mark}, None) for mark in marks("time_limit")),
    ],
}
HAS_SHARING = bool(lib.GRES_ONE_TASK_PER_SHARING)
if HAS_SHARING:
    CASES["gres_tasks_per_sharing"] = either(
        {lib.GRES_MULT_TASKS_PER_SHARING: "multiple", lib.GRES_ONE_TASK_PER_SHARING: "one"}
    )

#: Attributes that the installed Slurm has.
PRESENT = [name for name in Job.fields if name != "gres_tasks_per_sharing" or HAS_SHARING]


def test_every_attribute_has_its_cases() -> None:
    assert sorted(CASES) == sorted(PRESENT)
    assert all(len(cases) > 1 for cases in CASES.values())


@pytest.mark.parametrize("name", PRESENT)
def test_values(name: str) -> None:
    for members, expected in CASES[name]:
        value = getattr(make(members), name)
        assert (type(value), value) == (type(expected), expected), members


@pytest.mark.parametrize("name", PRESENT)
def test_values_survive_a_copy(name: str) -> None:
    for members, expected in CASES[name]:
        assert getattr(copy.copy(make(members)), name) == expected, members


@pytest.mark.skipif(MAJOR >= "25.11", reason="from 25.11 on, the library makes up no paths")
def test_paths_that_slurm_makes_up() -> None:
    job = make(BATCH)
    assert job.standard_input == "/dev/null"
    assert job.standard_output == "/home/user/slurm-7.out"
    assert job.standard_error == "/home/user/slurm-7.out"
    job = make({**BATCH, "array_job_id": 5, "array_task_id": 0, "std_out": b"%A-%a"})
    assert job.standard_output == "/home/user/5-0"
    assert job.standard_error == "/home/user/5-0"
    assert make({**BATCH, "batch_flag": 0}).standard_output is None


PATHS = {
    "standard_input": ("std_in", lib.slurm_get_job_stdin),
    "standard_output": ("std_out", lib.slurm_get_job_stdout),
    "standard_error": ("std_err", lib.slurm_get_job_stderr),
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("length", [4000, 4094, 4095, 4096, 5000, 20_000])
def test_paths_are_as_long_as_the_library_lets_them_be(name: str, length: int) -> None:
    member, call = PATHS[name]
    long = b"/" + b"x" * (length - 1)
    for members in ({member: long}, {member: b"file", "work_dir": long}):
        job = make({**BATCH, **members})
        ample = ffi.new("char[]", 100_000)
        call(ample, len(ample), job._record[0])
        assert getattr(job, name) == ffi.string(ample).decode()
        assert len(getattr(job, name)) >= min(length, 4095)


@pytest.mark.parametrize("empty", PATHS)
@pytest.mark.parametrize("batch", [0, 1])
def test_a_path_that_is_empty(empty: str, batch: int) -> None:
    """The library ends the process over it in 24.11, and says "(null)" in 26.05."""
    job = make({**BATCH, "batch_flag": batch, PATHS[empty][0]: b""})
    assert getattr(job, empty) is None
    for found in (job.standard_input, job.standard_output, job.standard_error):
        assert found is None or found.startswith("/")


def test_the_other_name_of_an_attribute() -> None:
    assert make({"reboot": 1}).requires_node_reboot is True
    assert make({"reboot": 0}).requires_node_reboot is False


# Whatever the members hold


def values(name: str) -> st.SearchStrategy[Any]:
    """The values that a member can have, marks and ends of its range more often than others."""
    kind = MEMBERS[name].type
    if kind.cname == "double":
        return st.floats() | st.sampled_from([float(lib.NO_VAL), float(lib.NO_VAL64)])
    if kind.kind == "struct":
        return st.fixed_dictionaries(
            {}, optional={inner: st.integers(0, 9) for inner, _ in kind.fields}
        )
    if kind.kind == "primitive":
        bits = 8 * ffi.sizeof(kind)
        low = -(2 ** (bits - 1)) if signed(name) else 0
        high = low + 2**bits - 1
        often = [0, 1, low, high, high - 1, *marks(name)]
        return st.sampled_from(often) | st.integers(low, high)
    raw = st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"%"))
    return st.none() | st.sampled_from(TEXTS) | raw


TEXTS = [
    b"",
    b"*",
    b"None",
    b"afterok:1(unfulfilled)?afterany:2_*+5(failed)",
    b"singleton(unfulfilled)",
    b"gres:gpu:tesla:2,gres/shard=4K",
    b"cpu=1,mem=1.5G,node=1",
    b"mem=1..5",
    b"[a|b]&(c,d)*2",
    b"%A_%a_%j_%u_%x%%%",
    b"/\xff\xfe",
    b"x" * 5000,
]
POINTERS = {"array_bitmap", "job_resrcs", "gres_detail_str", "gres_detail_cnt"}


def structs() -> st.SearchStrategy[Members]:
    """Structs with any value in any member."""
    details = st.none() | st.lists(st.sampled_from(TEXTS), max_size=3)
    plain = st.fixed_dictionaries({}, optional={n: values(n) for n in MEMBERS if n not in POINTERS})
    return st.builds(with_details, plain, details)


def with_details(members: Members, details: list[bytes] | None) -> Members:
    if details is not None:
        members = {**members, "gres_detail_str": details, "gres_detail_cnt": len(details)}
    return {name: value for name, value in members.items() if value is not None}


SIMPLE = {"int": int, "float": float, "str": str, "bool": bool, "Unlimited": Unlimited}


def conforms(value: object, annotation: ast.expr) -> bool:
    """Whether a value has the type that an annotation names; a `bool` is no `int` here."""
    if isinstance(annotation, ast.BinOp):
        return conforms(value, annotation.left) or conforms(value, annotation.right)
    if isinstance(annotation, ast.Constant):
        return value is None
    if isinstance(annotation, ast.Name):
        return type(value) is SIMPLE[annotation.id]
    assert isinstance(annotation, ast.Subscript)
    assert isinstance(annotation.value, ast.Name)
    inner = annotation.slice
    if annotation.value.id == "list":
        return isinstance(value, list) and all(conforms(item, inner) for item in value)
    assert annotation.value.id == "dict"
    assert isinstance(inner, ast.Tuple)
    key, item = inner.elts
    return isinstance(value, dict) and all(
        conforms(left, key) and conforms(right, item) for left, right in value.items()
    )


TYPES = {name: ast.parse(field.annotation, mode="eval").body for name, field in Job.fields.items()}


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, "int", True),
        (True, "int", False),
        (None, "int", False),
        (None, "int | None", True),
        ("a", "int | str | None", True),
        (["a", 1], "list[str]", False),
        ({"a": [1, "b"], "c": True}, "dict[str, list[int | str] | bool]", True),
        ({"a": [1.0]}, "dict[str, list[int | str] | bool]", False),
    ],
)
def test_the_check_of_types_can_fail(value: object, annotation: str, expected: bool) -> None:
    assert conforms(value, ast.parse(annotation, mode="eval").body) is expected


@given(structs())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_anything_gives_values_of_the_declared_types(members: Members) -> None:
    found = make(members).to_dict()
    assert list(found) == PRESENT
    for name, value in found.items():
        assert conforms(value, TYPES[name]), (name, value)


@given(structs())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_copies_have_the_same_values(members: Members) -> None:
    job = make(members)
    before = job.to_dict()
    for other in (
        copy.copy(job),
        copy.deepcopy(job),
        pickle.loads(pickle.dumps(job)),  # noqa: S301 - one's own
        copy.copy(pickle.loads(pickle.dumps(copy.copy(job)))),  # noqa: S301 - one's own
    ):
        assert other.to_dict() == before
        assert other == job
        assert repr(other) == repr(job)


def test_a_copy_has_memory_of_its_own() -> None:
    members: Members = {"job_id": 7, "name": b"name", "num_cpus": 4}
    job = make({**members, "gres_detail_str": [b"one", b"two"], "gres_detail_cnt": 2})
    other = copy.copy(job)
    ptr, owner = job._record
    for text in (ptr.name, ptr.gres_detail_str[0], ptr.gres_detail_str[1]):
        ffi.buffer(text, 3)[:] = b"ZZZ"
    ptr.num_cpus = 99
    assert (job.name, job.cpus) == ("ZZZe", 99)
    # What the copy does not keep is overwritten by now.
    gc.collect()
    fill = [ffi.new("char[]", b"YYYY"[:size]) for size in (3, 4) for _ in range(10_000)]
    assert (other.name, other.cpus) == ("name", 4)
    details = other._record[0].gres_detail_str
    assert [ffi.string(details[place]) for place in range(2)] == [b"one", b"two"]
    assert other._record[1] is not owner
    assert fill


def test_a_copy_has_the_names_of_where_it_was_loaded() -> None:
    job = make({"job_id": 7, "user_id": UID, "group_id": GID})
    _ptr, owner = job._record
    owner.users[UID] = "alice"
    owner.groups[GID] = "staff"
    for other in (copy.copy(job), pickle.loads(pickle.dumps(job))):  # noqa: S301 - one's own
        assert (other.user_name, other.group_name) == ("alice", "staff")
    unknown = make({"job_id": 7, "user_id": UID, "group_id": 0})
    unknown._record[1].groups[0] = None
    assert copy.copy(unknown).group_name is None


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_numbers_that_the_library_has_no_text_for(state: int, shared: int, reason: int) -> None:
    job = make({"job_state": state, "shared": shared, "state_reason": reason})
    assert job.state
    assert job.resource_sharing
    assert job.state_reason is None or job.state_reason


# Run time


FLAGS = st.sampled_from([0, 1 << 10, 1 << 15, 1 << 23])
SECONDS = st.integers(1, 2**33)


@given(SECONDS, SECONDS, SECONDS, SECONDS, FLAGS)
def test_run_time_while_pending_is_0(
    start: int, end: int, suspended: int, before: int, flags: int
) -> None:
    members = {"start_time": start, "end_time": end}
    members |= {"suspend_time": suspended, "pre_sus_time": before}
    assert make({**members, "job_state": lib.JOB_PENDING | flags}).run_time == 0
    for state in (lib.JOB_RUNNING, lib.JOB_SUSPENDED, lib.JOB_COMPLETE):
        assert make({**members, "start_time": 0, "job_state": state | flags}).run_time == 0


@given(SECONDS, st.integers(0, 10**6), st.integers(0, 10**9), FLAGS, st.floats(0, 0.99))
def test_run_time_while_running_is_since_the_start(
    start: int, ran: int, limit: int, flags: int, part: float
) -> None:
    members = {"job_state": lib.JOB_RUNNING | flags, "start_time": start, "end_time": start + limit}
    job = make(members, now=start + ran + part)
    assert job.run_time == ran
    # A job that is resumed has run before, too.
    members |= {"suspend_time": start, "pre_sus_time": 50}
    assert make(members, now=start + ran).run_time == ran + 50


@given(SECONDS, st.integers(0, 10**6), SECONDS, FLAGS)
def test_run_time_after_the_end_does_not_move(start: int, ran: int, now: int, flags: int) -> None:
    members = {"job_state": lib.JOB_COMPLETE | flags, "start_time": start, "end_time": start + ran}
    assert make(members, now).run_time == ran
    members |= {"suspend_time": start + ran, "pre_sus_time": 50}
    assert make(members, now).run_time == 50


@given(SECONDS, SECONDS, st.integers(0, 10**6), SECONDS, FLAGS)
def test_run_time_while_suspended_is_what_went_before(
    start: int, suspended: int, before: int, now: int, flags: int
) -> None:
    members = {"job_state": lib.JOB_SUSPENDED | flags, "start_time": start}
    members |= {"suspend_time": suspended, "pre_sus_time": before}
    assert make(members, now).run_time == before


@given(structs())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_follows_from_the_run_time(members: Members) -> None:
    job = make(members)
    assert job.elapsed_cpu_time == job.run_time * (job.cpus or 0)
    if job.time_limit is None:
        assert job.run_time_remaining is None
    else:
        assert job.run_time_remaining == job.time_limit * 60 - job.run_time


# The tasks of an array that wait


_bits = FFI()
_bits.cdef("""
    void *slurm_bit_alloc(int64_t size);
    void slurm_bit_set(void *bits, int64_t bit);
    void slurm_bit_free(void **bits);
""")
# Other than in slurmpy, which only reads them, they have to be made here.
_libslurm: Any = _bits.dlopen(f"libslurm.so.{lib.slurm_api_version() >> 16}")


def waiting(tasks: set[int], at_once: int = 0) -> str | None:
    """The text for an array whose tasks wait, out of libslurm's own bitmap."""
    bits = _libslurm.slurm_bit_alloc(max(tasks, default=0) + 1)
    for task in tasks:
        _libslurm.slurm_bit_set(bits, task)
    address = int(_bits.cast("uintptr_t", bits))
    try:
        return make(
            {
                "array_bitmap": ffi.cast("bitstr_t *", address),
                "array_max_tasks": at_once,
                "array_task_str": b"1-5...",
            }
        ).array_tasks_waiting
    finally:
        _libslurm.slurm_bit_free(_bits.new("void **", bits))


def expanded(text: str) -> list[int]:
    """The tasks of a text such as ``1-3,7`` or ``1-9:2``."""
    tasks: list[int] = []
    for part in text.split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        tasks.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return tasks


@given(st.sets(st.integers(0, 3000), min_size=1, max_size=300), st.integers(0, 50))
def test_waiting_tasks_are_all_there(tasks: set[int], at_once: int) -> None:
    found = waiting(tasks, at_once)
    assert found is not None
    ranges, _, limit = found.partition("%")
    assert limit == (str(at_once) if at_once else "")
    assert expanded(ranges) == sorted(tasks)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ({0}, "0"),
        ({0, 1, 2, 3}, "0-3"),
        ({1, 3}, "1,3"),
        ({1, 2, 4}, "1-2,4"),
        # An even distance is said as such only for more than five tasks over more than ten.
        (set(range(1, 14, 2)), "1-13:2"),
        (set(range(0, 11, 2)), "0,2,4,6,8,10"),
        (set(range(0, 21, 4)), "0-20:4"),
        (set(range(0, 20, 4)), "0,4,8,12,16"),
        # What libslurm's own text, cut at 64 bytes, would not hold.
        ({1, *range(0, 900, 3)}, ",".join(["0-1", *map(str, range(3, 900, 3))])),
    ],
)
def test_waiting_tasks(tasks: set[int], expected: str) -> None:
    assert waiting(tasks) == expected
    assert waiting(tasks, 7) == f"{expected}%7"


# The declarations themselves


@pytest.mark.parametrize("name", Job.fields)
def test_a_declaration_names_its_members(name: str) -> None:
    field = Job.fields[name]
    assert field.name == name
    assert vars(Job)[name] is field
    documentation = field.__doc__
    assert documentation
    assert documentation[0].isupper() or documentation.startswith("``")
    assert "\n" not in documentation
    assert field.unit in documentation
    members = field.member.split(", ")
    for member in members:
        assert f"``{member}``" in documentation
        assert member in MEMBERS, f"no member of the struct: {member}"
    used = {member for case, _ in CASES.get(name, []) for member in case}
    assert not used or used & set(members)


@pytest.mark.parametrize("name", Job.fields)
def test_attributes_can_only_be_read(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(make({}), name, 1)


# What an older Slurm lacks


class Sample(Record):
    """A record with an attribute that no Slurm has."""

    __slots__ = ()
    _struct = STRUCT
    _kinds = Struct(STRUCT)

    comment = _kinds.text("comment", "A text.")

    @_kinds.computed("name", since="99.11", supported=0)
    def later(self) -> str:
        """Something of a later Slurm."""
        raise NotImplementedError

    @_kinds.computed("name", since="00.11", supported=1)
    def earlier(self) -> str:
        """Something of an earlier Slurm."""
        return "there"


def test_an_attribute_that_this_slurm_lacks() -> None:
    sample = Sample()
    sample._record = make({"comment": b"text"})._record
    assert list(Sample.fields) == ["comment", "later", "earlier"]
    assert not hasattr(sample, "later")
    assert sample.to_dict() == {"comment": "text", "earlier": "there"}
    with pytest.raises(UnsupportedField, match=rf"^later needs Slurm 99\.11 .*{MAJOR}$") as caught:
        sample.later  # noqa: B018 - reading it is what raises
    assert isinstance(caught.value, AttributeError)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - one's own
    assert str(again) == str(caught.value)
    assert (again.attribute, again.needs) == ("later", "99.11")
    assert "Slurm 99.11 and newer" in (Sample.fields["later"].__doc__ or "")


def test_sharing_of_generic_resources_needs_a_newer_slurm() -> None:
    job = make({"job_id": 1})
    assert hasattr(job, "gres_tasks_per_sharing") is HAS_SHARING
    assert ("gres_tasks_per_sharing" in job.to_dict()) is HAS_SHARING
    assert (Job.fields["gres_tasks_per_sharing"].since <= MAJOR) is HAS_SHARING


READERS: list[Callable[[Job], object]] = [Job.to_dict, copy.copy, pickle.dumps]


@pytest.mark.parametrize("read", READERS)
def test_reading_leaves_the_struct_as_it_is(read: Callable[[Job], object]) -> None:
    job = make({"job_id": 7, "name": b"name", "state_desc": b"a b", "batch_flag": 1})
    ptr, _owner = job._record
    before = bytes(ffi.buffer(ptr)), ffi.string(ptr.name), ffi.string(ptr.state_desc)
    read(job)
    assert (bytes(ffi.buffer(ptr)), ffi.string(ptr.name), ffi.string(ptr.state_desc)) == before
