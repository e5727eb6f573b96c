"""What can go wrong.

.. code-block:: text

    SlurmError
    ├── RPCError                     a call to Slurm failed: errno, name, msg
    │   ├── InvalidJobId             + LookupError
    │   ├── AccessDenied             + PermissionError
    │   │   └── AuthenticationError
    │   ├── ControllerUnreachable    + ConnectionError
    │   ├── NodeUnreachable          + ConnectionError: a node of a step does not answer
    │   └── TaskErrors               several tasks of an array, each with its own
    ├── JobErrors                    several jobs of a collection, each with its own
    ├── ConfigurationError           + ValueError: Slurm cannot be used as it is set up
    ├── NotLoaded                    a value of a job that was never asked for
    ├── ClosedError                  + ValueError: the collection was closed
    └── UnsupportedField             + AttributeError: this Slurm has no such value

An error of a code that has no class of its own is an `RPCError` with its number and Slurm's text.
"""

from __future__ import annotations

import errno as _errno

from slurmpy._ffi import MAJOR, ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, ClassVar, Union

    # What a collection finds a job by.
    Key = Union[int, tuple[str, int]]

__all__ = [
    "AccessDenied",
    "AuthenticationError",
    "ClosedError",
    "ConfigurationError",
    "ControllerUnreachable",
    "InvalidJobId",
    "JobErrors",
    "NodeUnreachable",
    "NotLoaded",
    "RPCError",
    "SlurmError",
    "TaskErrors",
    "UnsupportedField",
]


class SlurmError(Exception):
    """Whatever slurmpy raises for a reason of Slurm's."""


def _strerror(error: RPCError) -> str:
    """The same as ``msg``: what `OSError`, which some of the classes are too, calls its text."""
    return error.msg


class RPCError(SlurmError):
    """A call to Slurm failed.

    Args:
        errno: Slurm's code, or the operating system's.
        detail: What was asked for, and what Slurm said beyond the text of the code.

    Attributes:
        errno: The code (`int`).
        name: The code's name, such as ``"ESLURM_INVALID_JOB_ID"``; the number as text where no
            table has it.
        msg: Slurm's text for the code (``slurm_strerror``).
        detail: What was asked for, and what Slurm said on the way.

    Example:
        >>> from slurmpy import RPCError
        >>> error = RPCError(2017)
        >>> error.name
        'ESLURM_INVALID_JOB_ID'
        >>> error.msg
        'Invalid job id specified'
    """

    errno: Any
    name: str
    msg: str
    strerror: Any = property(_strerror)

    #: Slurm's code -> class, filled by the classes below.
    _classes: ClassVar[dict[str, type[RPCError]]] = {}

    def __init_subclass__(cls, codes: tuple[str, ...] = (), **kwargs: Any) -> None:
        """Enters the class for the codes that it stands for."""
        super().__init_subclass__(**kwargs)
        RPCError._classes.update(dict.fromkeys(codes, cls))

    def __init__(self, errno: int, detail: str = "") -> None:
        """See the class."""
        super().__init__(errno, detail)
        self.errno = errno
        self.detail = detail
        self.name = _name(errno)
        self.msg = ffi.string(lib.slurm_strerror(errno)).decode("utf-8", "replace")

    def __str__(self) -> str:
        """The detail, Slurm's text, and the code."""
        lead = f"{self.detail}: " if self.detail else ""
        return f"{lead}{self.msg} [{self.name}, {self.errno}]"

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return type(self), (self.errno, self.detail)


class InvalidJobId(RPCError, LookupError, codes=("ESLURM_INVALID_JOB_ID",)):
    """There is no such job, or not any more."""


class TaskErrors(RPCError):
    """What was asked for was done to some tasks of an array, or to none, and others refused.

    Args:
        errors: The error of each task that refused, by the task as Slurm names it: ``"12_3"``.
        detail: What was asked for.

    Attributes:
        errors: The same.
        errno: The code of the first of them, as ``name`` and ``msg`` are its.
    """

    def __init__(self, errors: dict[str, RPCError], detail: str = "") -> None:
        """See the class."""
        super().__init__(next(iter(errors.values())).errno, detail)
        self.errors = errors

    def __str__(self) -> str:
        """Each task with its error."""
        tasks = "; ".join(f"{task}: {_brief(error)}" for task, error in self.errors.items())
        return f"{self.detail}: {tasks}" if self.detail else tasks

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return type(self), (self.errors, self.detail)


class JobErrors(SlurmError):
    """What was asked for was done to some jobs of a collection, or to none, and others refused.

    Args:
        errors: The error of each job that refused, by what the collection finds the job by: the id
            of a job of the local cluster, cluster and id of any other's. They are those that the
            job's own method would have raised.
        detail: What was asked for.

    Attributes:
        errors: The same.
        detail: The same.

    Example:
        >>> from slurmpy import Jobs, JobErrors
        >>> try:
        ...     Jobs("1,999999").release()
        ... except JobErrors as error:
        ...     print(type(error.errors[999999]).__name__)
        InvalidJobId
    """

    def __init__(self, errors: Mapping[Key, SlurmError], detail: str = "") -> None:
        """See the class."""
        super().__init__(detail)
        self.errors = dict(errors)
        self.detail = detail

    def __str__(self) -> str:
        """Each job with its error, cut short where there are many."""
        shown = [
            f"{key if isinstance(key, int) else ' '.join(map(str, key))}: {_brief(error)}"
            for key, error in list(self.errors.items())[:_SHOWN]
        ]
        if len(self.errors) > _SHOWN:
            shown.append(f"... {len(self.errors) - _SHOWN} more")
        return ": ".join(filter(None, (self.detail, "; ".join(shown))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return type(self), (self.errors, self.detail)


class AccessDenied(
    RPCError,
    PermissionError,
    codes=(
        "ESLURM_ACCESS_DENIED",
        "ESLURM_USER_ID_MISSING",
        "EACCES",
        "EPERM",
    ),
):
    """Slurm does not let this user do that."""


class AuthenticationError(
    AccessDenied,
    codes=(
        "SLURM_PROTOCOL_AUTHENTICATION_ERROR",
        "ESLURM_AUTH_CRED_INVALID",
        "ESLURM_AUTH_FOPEN_ERROR",
        "ESLURM_AUTH_NET_ERROR",
        "ESLURM_AUTH_UNABLE_TO_SIGN",
        "ESLURM_AUTH_INVALID",
        "ESLURM_AUTH_UNPACK",
    ),
):
    """Slurm cannot tell who asks: munge does not answer, or its key is not the controller's."""


class ControllerUnreachable(
    RPCError,
    ConnectionError,
    codes=(
        "SLURM_COMMUNICATIONS_CONNECTION_ERROR",
        "SLURM_COMMUNICATIONS_SEND_ERROR",
        "SLURM_COMMUNICATIONS_RECEIVE_ERROR",
        "SLURM_COMMUNICATIONS_SHUTDOWN_ERROR",
        "SLURM_COMMUNICATIONS_MISSING_SOCKET_ERROR",
        "SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR",
        "SLURMCTLD_COMMUNICATIONS_SEND_ERROR",
        "SLURMCTLD_COMMUNICATIONS_RECEIVE_ERROR",
        "SLURMCTLD_COMMUNICATIONS_SHUTDOWN_ERROR",
        "SLURM_PROTOCOL_SOCKET_IMPL_TIMEOUT",
        "SLURM_PROTOCOL_SOCKET_IMPL_ZERO_RECV_LENGTH",
        "SLURM_PROTOCOL_SOCKET_ZERO_BYTES_SENT",
        "ESLURM_PROTOCOL_INCOMPLETE_PACKET",
        "ESLURM_IN_STANDBY_MODE",
        "ECONNREFUSED",
        "ECONNRESET",
        "ECONNABORTED",
        "ENOTCONN",
        "EPIPE",
        "ETIMEDOUT",
        "EHOSTUNREACH",
        "ENETUNREACH",
    ),
):
    """The controller does not answer."""


class NodeUnreachable(RPCError, ConnectionError):
    """A node does not answer, which is asked for what runs on it.

    Args:
        errno: Slurm's code, or the operating system's.
        detail: What was asked for, and what Slurm said.
        nodes: The nodes that did not answer. Where they are several, it is one of them at the
            least.

    Attributes:
        nodes: The same.
    """

    def __init__(self, errno: int, detail: str = "", nodes: Iterable[str] = ()) -> None:
        """See the class."""
        super().__init__(errno, detail)
        self.nodes = list(nodes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return type(self), (self.errno, self.detail, self.nodes)


class ConfigurationError(SlurmError, ValueError):
    """Slurm cannot be used as it is set up here; the message has Slurm's own words."""


class NotLoaded(SlurmError):
    """The value was never asked of the controller; the message says what to call."""


class ClosedError(SlurmError, ValueError):
    """The collection that the object belongs to was closed."""


class UnsupportedField(SlurmError, AttributeError):
    """The installed Slurm has no such value.

    Args:
        attribute: The attribute's name.
        needs: The first major that has it, such as ``"25.11"``; empty where it depends on what
            Slurm keeps to itself, and this slurmpy does not know how this major does.
    """

    def __init__(self, attribute: str, needs: str) -> None:
        """See the class."""
        super().__init__(attribute, needs)
        self.attribute = attribute
        self.needs = needs

    def __str__(self) -> str:
        """The attribute and both majors."""
        if not self.needs:
            return (
                f"{self.attribute} reads what Slurm keeps to itself, and how Slurm {MAJOR} keeps "
                "it was not checked: a newer slurmpy-cffi may know"
            )
        return f"{self.attribute} needs Slurm {self.needs} or newer, and this is Slurm {MAJOR}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return type(self), (self.attribute, self.needs)


#: How many jobs an error names in its text.
_SHOWN = 10


def _brief(error: SlurmError) -> str:
    """An error's text without what was asked for."""
    if isinstance(error, RPCError) and not isinstance(error, TaskErrors):
        return f"{error.msg} [{error.name}, {error.errno}]"
    return str(error)


def _name(code: int) -> str:
    """The name of an error code of Slurm's or of the operating system's."""
    names: dict[int, str] = ffi.typeof("slurm_err_t").elements
    return names.get(code) or _errno.errorcode.get(code) or str(code)


def check(rc: int, detail: str) -> None:
    """Raises what a return code of Slurm's stands for.

    Args:
        rc: What the call returned: 0, or the code of what went wrong; the marks of slurmpy's own
            (``SLURMPY_...``) are the caller's to look for.
        detail: What was asked for.

    Raises:
        RPCError: Or the narrower class that the code has.
    """
    words = said()
    if rc:
        raise rpc_error(rc, f"{detail}: {words}" if words else detail)


def said() -> str:
    """What Slurm had to say since the last call, which is the log's too."""
    size = lib.slurmpy_messages_size()
    if not size:
        return ""
    buffer = ffi.new("char[]", size)
    taken = lib.slurmpy_take_messages(buffer, size)
    words = plain(ffi.buffer(buffer, taken)[:].decode("utf-8", "replace"))
    note(words)
    return words


def note(words: str) -> None:
    """Enters what Slurm had to say into the log ``slurmpy``."""
    import logging

    log = logging.getLogger("slurmpy")
    if not log.handlers:
        # Without a handler of the host's, logging would print to stderr.
        log.addHandler(logging.NullHandler())
    log.warning("%s", words)


def plain(text: str) -> str:
    """Slurm's messages without time, program and what is said again and again."""
    import re

    lines: dict[str, str] = {}
    for line in text.splitlines():
        words = re.sub(r"^(\[[^]]*\] |\S+: (?=error: |fatal: ))", "", line).strip()
        if words:
            lines.setdefault(re.sub(r"-?\d+", "0", words), words)
    return "; ".join(lines.values())


def rpc_error(code: int, detail: str) -> RPCError:
    """The error for a code."""
    cls = RPCError._classes.get(_name(code), RPCError)
    if issubclass(cls, (AuthenticationError, ControllerUnreachable)):
        from slurmpy import _runtime

        detail = ": ".join(filter(None, (detail, _runtime.stale())))
    return cls(code, detail)


def node_error(code: int, nodes: list[str], detail: str) -> RPCError:
    """The error for a code that nodes have given, or the connections to them."""
    error = rpc_error(code, detail)
    unreachable = isinstance(error, ControllerUnreachable)
    return NodeUnreachable(error.errno, detail, nodes) if unreachable else error
