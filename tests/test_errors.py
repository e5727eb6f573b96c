"""What goes wrong, and as what it can be caught."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, TypeVar

import pytest

import slurmpy
from slurmpy import errors
from slurmpy._ffi import MAJOR, ffi, lib
from slurmpy.errors import check, rpc_error

if TYPE_CHECKING:
    from slurmpy.testing import LocalCluster

T = TypeVar("T")

HOME = Path(slurmpy.__file__).parents[1]

# What each comes from, and which of Python's own errors it is too.
CLASSES: dict[type[Exception], tuple[type[Exception], set[type[Exception]]]] = {
    slurmpy.SlurmError: (Exception, set()),
    slurmpy.RPCError: (slurmpy.SlurmError, set()),
    slurmpy.InvalidJobId: (slurmpy.RPCError, {LookupError}),
    slurmpy.AccessDenied: (slurmpy.RPCError, {PermissionError, OSError}),
    slurmpy.AuthenticationError: (slurmpy.AccessDenied, {PermissionError, OSError}),
    slurmpy.ControllerUnreachable: (slurmpy.RPCError, {ConnectionError, OSError}),
    slurmpy.NodeUnreachable: (slurmpy.RPCError, {ConnectionError, OSError}),
    slurmpy.TaskErrors: (slurmpy.RPCError, set()),
    slurmpy.JobErrors: (slurmpy.SlurmError, set()),
    slurmpy.ConfigurationError: (slurmpy.SlurmError, {ValueError}),
    slurmpy.NotLoaded: (slurmpy.SlurmError, set()),
    slurmpy.ClosedError: (slurmpy.SlurmError, {ValueError}),
    slurmpy.UnsupportedField: (slurmpy.SlurmError, {AttributeError}),
}
BUILTINS: tuple[type[Exception], ...] = (
    AttributeError,
    ConnectionError,
    LookupError,
    OSError,
    PermissionError,
    ValueError,
)

# One of each, as they come.
ERRORS: list[slurmpy.SlurmError] = [
    slurmpy.SlurmError("words"),
    slurmpy.RPCError(2000, "asking"),
    slurmpy.RPCError(99_999),
    slurmpy.InvalidJobId(2017, "loading job 5"),
    slurmpy.AccessDenied(2002, "loading job 5"),
    slurmpy.AccessDenied(13),
    slurmpy.AuthenticationError(1007, "loading the jobs"),
    slurmpy.ControllerUnreachable(1800, "loading the jobs"),
    slurmpy.TaskErrors({"12_3": slurmpy.InvalidJobId(2017, "holding")}, "holding job 12"),
    slurmpy.JobErrors(
        {12: slurmpy.InvalidJobId(2017, "holding"), ("other", 5): slurmpy.ClosedError("words")},
        "holding 2 of 9 jobs",
    ),
    slurmpy.ConfigurationError("words"),
    slurmpy.NotLoaded("words"),
    slurmpy.ClosedError("words"),
    slurmpy.UnsupportedField("submit_line", "25.11"),
]


def pickled(value: T, protocol: int = pickle.HIGHEST_PROTOCOL) -> T:
    same: T = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own
    return same


def code_of(name: str) -> int:
    """Slurm's number for a code; the tests name it, since numbers are used again."""
    numbers: dict[int, str] = ffi.typeof("slurm_err_t").elements
    return next(number for number, known in numbers.items() if known == name)


# ---- the classes ----


@pytest.mark.parametrize("cls", CLASSES)
def test_what_it_can_be_caught_as(cls: type[Exception]) -> None:
    parent, builtins = CLASSES[cls]
    assert issubclass(cls, parent)
    assert issubclass(cls, slurmpy.SlurmError)
    assert {builtin for builtin in BUILTINS if issubclass(cls, builtin)} == builtins


def test_all_are_exported() -> None:
    found = {
        item
        for _, item in inspect.getmembers(errors, inspect.isclass)
        if issubclass(item, Exception)
    }
    assert found == set(CLASSES)
    for cls in CLASSES:
        assert getattr(slurmpy, cls.__name__) is cls
        assert cls.__name__ in slurmpy.__all__
        assert cls.__name__ in errors.__all__
        assert cls.__module__ == "slurmpy"
        assert cls.__doc__
        # The module's docstring draws them all.
        assert cls.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_copies_and_pickles(error: slurmpy.SlurmError) -> None:
    ways: list[Callable[[slurmpy.SlurmError], slurmpy.SlurmError]] = [copy.copy, copy.deepcopy]
    copies = [way(error) for way in ways]
    copies += [pickled(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    copies.append(pickled(pickled(error)))
    for same in copies:
        assert type(same) is type(error)
        assert str(same) == str(error)
        assert repr(same) == repr(error)
        assert same.args == error.args
        for name in ("errno", "name", "msg", "detail", "attribute", "needs"):
            assert getattr(same, name, None) == getattr(error, name, None)


def test_pickles_in_another_process() -> None:
    code = """
import pickle, sys
for error in pickle.load(sys.stdin.buffer):
    print(type(error).__name__, str(error), getattr(error, "errno", "-"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(HOME)},
        input=pickle.dumps(ERRORS),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().splitlines() == [
        f"{type(error).__name__} {error} {getattr(error, 'errno', '-')}" for error in ERRORS
    ]


# ---- errors of calls ----


def test_what_an_rpc_error_says() -> None:
    error = slurmpy.InvalidJobId(2017, "loading job 5")
    assert error.errno == 2017
    assert error.name == "ESLURM_INVALID_JOB_ID"
    assert error.msg == "Invalid job id specified"
    assert str(error) == "loading job 5: Invalid job id specified [ESLURM_INVALID_JOB_ID, 2017]"
    assert "2017" in repr(error)
    assert str(slurmpy.RPCError(2017)) == "Invalid job id specified [ESLURM_INVALID_JOB_ID, 2017]"
    assert slurmpy.RPCError(errno=2017, detail="x").errno == 2017


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (slurmpy.AccessDenied, "ESLURM_ACCESS_DENIED"),
        (slurmpy.AuthenticationError, "SLURM_PROTOCOL_AUTHENTICATION_ERROR"),
        (slurmpy.ControllerUnreachable, "SLURM_COMMUNICATIONS_CONNECTION_ERROR"),
    ],
)
def test_those_that_are_os_errors(cls: type[slurmpy.RPCError], name: str) -> None:
    code = code_of(name)
    for error in (cls(code, "asking"), cls(errno=code, detail="asking")):
        assert isinstance(error, OSError)
        assert (error.errno, error.name) == (code, name)
        assert error.strerror == error.msg
        assert error.filename is None
        assert str(error) == f"asking: {error.msg} [{name}, {code}]"


def test_unknown_code() -> None:
    error = rpc_error(99_999, "asking")
    assert type(error) is slurmpy.RPCError
    assert error.errno == 99_999
    assert error.msg == os.strerror(99_999)
    assert "99999" in error.name
    assert str(error).startswith("asking: ")
    assert "99999" in str(error)


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (slurmpy.InvalidJobId, ["ESLURM_INVALID_JOB_ID"]),
        (slurmpy.AccessDenied, ["ESLURM_ACCESS_DENIED", "ESLURM_USER_ID_MISSING"]),
        (slurmpy.AuthenticationError, ["SLURM_PROTOCOL_AUTHENTICATION_ERROR"]),
        (
            slurmpy.ControllerUnreachable,
            [
                "SLURM_COMMUNICATIONS_CONNECTION_ERROR",
                "SLURM_COMMUNICATIONS_SEND_ERROR",
                "SLURM_COMMUNICATIONS_RECEIVE_ERROR",
                "SLURM_COMMUNICATIONS_MISSING_SOCKET_ERROR",
                "SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR",
                "SLURM_PROTOCOL_SOCKET_IMPL_TIMEOUT",
                "ESLURM_PROTOCOL_INCOMPLETE_PACKET",
                "ESLURM_IN_STANDBY_MODE",
            ],
        ),
        (slurmpy.RPCError, ["ESLURM_INVALID_PARTITION_NAME", "ESLURM_ALREADY_DONE"]),
    ],
)
def test_class_of_a_code(cls: type[slurmpy.RPCError], names: list[str]) -> None:
    for name in names:
        code = code_of(name)
        error = rpc_error(code, "asking")
        assert type(error) is cls
        assert (error.errno, error.name) == (code, name)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (slurmpy.ControllerUnreachable, "ECONNREFUSED"),
        (slurmpy.ControllerUnreachable, "ENOTCONN"),
        (slurmpy.ControllerUnreachable, "ETIMEDOUT"),
        (slurmpy.AccessDenied, "EACCES"),
        (slurmpy.RPCError, "ENOENT"),
    ],
)
def test_code_of_the_operating_system(cls: type[slurmpy.RPCError], name: str) -> None:
    import errno

    code: int = getattr(errno, name)
    error = rpc_error(code, "asking")
    assert type(error) is cls
    assert (error.errno, error.name, error.msg) == (code, name, os.strerror(code))


def test_every_code_has_a_name_and_a_text() -> None:
    numbers: dict[int, str] = ffi.typeof("slurm_err_t").elements
    assert len(numbers) > 200
    for code, name in numbers.items():
        error = slurmpy.RPCError(code)
        assert (error.errno, error.name) == (code, name)
        assert error.msg


@pytest.mark.parametrize(
    ("returned", "errno", "code"),
    [
        # What an earlier call has left in errno is no error.
        (0, 2017, 0),
        (2005, 2017, 2005),
        (-1, 2017, 2017),
        # Where a plugin has refused.
        (-1, -1, -1),
        # A broken connection leaves less than 0, and nothing in errno.
        (-1, 0, code_of("SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR")),
    ],
)
def test_the_code_of_what_a_call_returns(returned: int, errno: int, code: int) -> None:
    assert lib.slurmpy_code(returned, errno) == code


def test_a_code_is_an_error() -> None:
    """What errno has by then, such as a signal handler's call has left, does not matter."""
    ffi.errno = 2017
    check(0, "asking")
    with pytest.raises(slurmpy.AccessDenied):
        check(code_of("ESLURM_ACCESS_DENIED"), "asking")
    ffi.errno = 0


@pytest.mark.usefixtures("slurm_cluster")
def test_a_call_returns_its_code() -> None:
    """Slurm's own functions return -1, and leave the code in errno."""
    slurmpy.init()
    out = ffi.new("job_info_msg_t **")
    code = lib.slurmpy_load_job(out, 999_999, 0)
    assert (code, out[0]) == (code_of("ESLURM_INVALID_JOB_ID"), ffi.NULL)


def test_error_of_a_real_call(slurm_cluster: LocalCluster) -> None:
    done = subprocess.run(
        ["scontrol", "show", "job", "999999"],
        env=slurm_cluster.env,
        capture_output=True,
        text=True,
        check=False,
    )
    for builtin in (LookupError, slurmpy.RPCError, slurmpy.SlurmError):
        with pytest.raises(builtin) as caught:
            slurmpy.Job.load(999_999)
        error = caught.value
        assert isinstance(error, slurmpy.InvalidJobId)
        assert error.errno == code_of("ESLURM_INVALID_JOB_ID")
        assert error.msg in done.stderr
    # It is an error of that call alone.
    assert 999_999 not in slurmpy.Jobs.load()


# ---- the others ----


def test_unsupported_field() -> None:
    error = slurmpy.UnsupportedField("submit_line", "25.11")
    assert (error.attribute, error.needs) == ("submit_line", "25.11")
    for part in ("submit_line", "25.11", MAJOR):
        assert part in str(error)


def test_messages_say_what_to_do() -> None:
    jobs = slurmpy.Jobs([5])
    with pytest.raises(slurmpy.NotLoaded, match=r"slurmpy\.Job\.load\(5\)"):
        _ = jobs[5].name
    jobs.close()
    with pytest.raises(slurmpy.ClosedError, match=r"slurmpy\.Jobs\.load\(\)"):
        len(jobs)
