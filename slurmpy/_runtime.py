"""Slurm is initialised once, by the first call that needs it, and never at the host's cost."""

from __future__ import annotations

import os
import threading

from slurmpy import _slurm
from slurmpy._ffi import ffi, lib
from slurmpy.errors import ConfigurationError, note, plain, rpc_error, said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call", "cluster_name", "ensure", "fini", "init", "put_back", "redirect", "stale"]

# A signal handler of the host may come back here while its thread is inside.
_lock = threading.RLock()
_ready = False
#: What `init` was given, and what holds where it was given nothing.
_config: str | None = None
_default: str | None = None
_cluster: str | None = None
#: The slurm.conf that was read, and what it was like then.
_read: tuple[bytes, tuple[int, ...]] | None = None
#: Whether it was said that Slurm's messages cannot be caught.
_told = False
# Slurm's plugins take libslurm's symbols from the global scope. This makes the libraries that are
# loaded already global, and no others: the interpreter's dlopen flags stay as they are.
_libslurm: object = None


def _after_fork() -> None:
    """A child of fork() cannot wait for threads that it does not have."""
    global _lock
    _lock = threading.RLock()
    lib.slurmpy_after_fork()


os.register_at_fork(
    before=lib.slurmpy_before_fork,
    after_in_parent=lib.slurmpy_after_fork_in_parent,
    after_in_child=_after_fork,
)


def init(config: str | os.PathLike[str] | None = None) -> None:
    """Makes Slurm ready for use.

    The first call of anything that needs Slurm does it as well; this is for those who want to
    choose the configuration, or to learn at once whether it works. Whether it would end the
    process, as libslurm does where the configuration is wrong, is tried in a child process first.

    Args:
        config: The slurm.conf to use. By default the one that ``SLURM_CONF`` names when this is
            called, else where Slurm itself looks.

    Raises:
        ValueError: The path has a NUL character.
        ConfigurationError: The configuration is missing, cannot be read or is wrong, or a plugin
            does not load; the message has Slurm's words. Also where Slurm was made ready with
            another configuration before, which `fini` undoes.
        RPCError: The controller refused; `ControllerUnreachable` where it did not answer.

    Example:
        >>> import slurmpy
        >>> slurmpy.init()
    """
    global _config
    wanted = None if config is None else os.fspath(config)
    if wanted is not None and b"\0" in os.fsencode(wanted):
        msg = f"no path: {wanted!r} has a NUL character"
        raise ValueError(msg)
    with _lock:
        if _ready and wanted not in (None, _config or _default):
            msg = (
                f"Slurm is in use with {_config or _default or 'what the environment names'}: "
                "call slurmpy.fini() first"
            )
            raise ConfigurationError(msg)
        if not _ready:
            _config = wanted
            try:
                _start()
            except BaseException:
                _config = None
                raise


def fini() -> None:
    """Undoes `init`; the next call that needs Slurm makes it ready anew.

    What was loaded stays readable. Calling it twice, or before `init`, does nothing.

    Example:
        >>> import slurmpy
        >>> slurmpy.fini()
    """
    global _config
    with _lock:
        _stop()
        _config = None


def redirect(config: str | None) -> tuple[str | None, str | None]:
    """Undoes `init` and names the configuration for calls to come, without asking Slurm.

    Args:
        config: The slurm.conf of whoever does not name one; None for the environment's own.

    Returns:
        What was set before, for `put_back`.
    """
    return put_back((None, config))


def put_back(
    choice: tuple[str | None, str | None],
) -> tuple[str | None, str | None]:
    """Undoes `redirect`.

    Args:
        choice: What `redirect` returned.

    Returns:
        What was set before.
    """
    global _config, _default
    with _lock:
        _stop()
        before = _config, _default
        _config, _default = choice
    return before


def ensure() -> None:
    """Makes Slurm ready if it is not."""
    if not _ready:
        with _lock:
            if not _ready:
                _start()


def call(function: Callable[..., int], *args: object) -> int:
    """What a call of the library returns, with Slurm ready."""
    while True:
        ensure()
        rc = function(*args)
        if rc != lib.SLURMPY_NOT_READY:
            return rc


def cluster_name() -> str | None:
    """Name of the local cluster (ClusterName in slurm.conf); None before Slurm is initialised."""
    return _cluster


def stale() -> str:
    """What there is to say where slurm.conf is not any more what was read; nothing otherwise."""
    read = _read
    now = read and _look(read[0])
    # A file that is away, or out of reach, says nothing.
    if not read or not now or now == read[1]:
        return ""
    return (
        f"{os.fsdecode(read[0])} has changed since it was read: call slurmpy.fini() to have it "
        "read again"
    )


def _look(path: bytes) -> tuple[int, ...] | None:
    """What tells one state of a file from another; None where it cannot be seen."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib takes time to import
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _found(path: bytes) -> tuple[bytes, tuple[int, ...]] | None:
    """A file by a name that holds in every working directory, and what it is like."""
    try:
        path = os.path.abspath(path)  # noqa: PTH100 - pathlib takes time to import
    except OSError:
        # The working directory is gone.
        return None
    state = _look(path)
    return None if state is None else (path, state)


def _start() -> None:
    """Tries in a child what libslurm would end the process over, then does it here."""
    global _ready, _cluster, _read, _libslurm, _told
    if _libslurm is None:
        soname = f"libslurm.so.{lib.slurm_api_version() >> 16}"
        flags = ffi.RTLD_GLOBAL | ffi.RTLD_LAZY
        # In this order: the compiled module has a function in place of one of libslurm's.
        _libslurm = (ffi.dlopen(_slurm.__file__, flags), ffi.dlopen(soname, flags))
    config = _config or _default
    path = ffi.NULL if config is None else os.fsencode(config)
    lib.slurmpy_init(path, _try(path))
    said()
    if lib.slurmpy_catches() < 0 and not _told:
        _told = True
        note(
            "this libslurm takes other options for its log than are known here: its messages go "
            "to stderr, and are not in exceptions"
        )
    name = lib.slurm_conf.cluster_name
    _cluster = ffi.string(name).decode() if name else ""
    file = lib.slurm_conf.slurm_conf
    _read = _found(ffi.string(file)) if file else None
    _ready = True


def _stop() -> None:
    """Lets go of Slurm, once the calls that are under way have ended."""
    global _ready, _cluster, _read
    _ready = False
    _cluster = None
    _read = None
    lib.slurmpy_fini()


def _try(path: object) -> object:
    """What a trial in a child process has found out; raises what it ran into."""
    trial = ffi.new("slurmpy_trial_t *")
    try:
        error = lib.slurmpy_trial_start(trial, path)
        if error:
            raise rpc_error(error, "making a child process for a trial of Slurm")
        while lib.slurmpy_trial_step(trial):
            pass
    finally:
        lib.slurmpy_trial_end(trial)
    words = plain(ffi.string(trial.text).decode("utf-8", "replace"))
    if trial.stage != lib.SLURMPY_ANSWERED:
        raise ConfigurationError(_unusable(words, timed_out=bool(trial.timed_out)))
    if trial.code not in (0, lib.SLURM_NO_CHANGE_IN_DATA):
        raise rpc_error(trial.code, words or "asking the controller")
    return trial


def _unusable(words: str, *, timed_out: bool) -> str:
    """What is wrong with the configuration, in a sentence and in Slurm's words."""
    # It was not given the time.
    words = words.partition(", retrying in")[0]
    why = words or ("no answer in time" if timed_out else "it ended without a word")
    config = _config or _default or os.environ.get("SLURM_CONF")
    if config:
        return f"Slurm cannot be used with the configuration {config}: {why}"
    return (
        "Slurm cannot be used with the configuration that it finds by itself; SLURM_CONF is not "
        f"set, which would name another: {why}"
    )
