"""Starts commands on PyPy as CPython does: without a copy of the tables of this process's memory.

PyPy's subprocess forks. Of a test process, which has some 300 MB, that takes 25 ms of processor
time for a command that takes two; the tests start thousands, in each cell of the matrix.
posix_spawn() shares the memory until the command has begun. What it cannot do is left to PyPy.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import cffi

ffi = cffi.FFI()
ffi.cdef("""
    extern char **environ;
    int posix_spawn(int *, const char *, void *, void *, char **, char **);
    int posix_spawn_file_actions_init(void *);
    int posix_spawn_file_actions_destroy(void *);
    int posix_spawn_file_actions_adddup2(void *, int, int);
    int posix_spawn_file_actions_addchdir_np(void *, const char *);
    int posix_spawn_file_actions_addclosefrom_np(void *, int);
    int posix_spawnattr_init(void *);
    int posix_spawnattr_destroy(void *);
    int posix_spawnattr_setflags(void *, short);
    int posix_spawnattr_setsigdefault(void *, void *);
    int sigemptyset(void *);
    int sigaddset(void *, int);
""")
libc: Any = ffi.dlopen(None)

SETSIGDEF, SETSID = 0x04, 0x80
#: The signals that Python ignores, and a command should not.
IGNORED = (13, 25)  # SIGPIPE, SIGXFSZ
#: More than the C library's structs have.
SIZE = 1024


def strings(texts: list[Any]) -> tuple[Any, list[Any]]:
    """An array of C's, and what keeps its strings."""
    kept = [ffi.new("char[]", os.fsencode(text)) for text in texts]
    return ffi.new("char *[]", [*kept, ffi.NULL]), kept


def spawner(fork_exec: Any) -> Any:  # noqa: ANN401
    """What takes the place of PyPy's function, and calls it for what posix_spawn() cannot do."""

    def spawn(  # noqa: PLR0913, PLR0917 - as subprocess calls it
        args: Any,  # noqa: ANN401
        executables: Any,  # noqa: ANN401
        close_fds: Any,  # noqa: ANN401
        keep: Any,  # noqa: ANN401
        cwd: Any,  # noqa: ANN401
        env: Any,  # noqa: ANN401
        *more: Any,  # noqa: ANN401
    ) -> int:
        p2cread, _, _, c2pwrite, _, errwrite, _, errpipe, restore_signals, new_session = more[:10]
        wanted = (p2cread, c2pwrite, errwrite)
        plain = all(it is None or it is True or it is False or it == -1 for it in more[10:])
        if (
            not plain
            or tuple(keep) != (errpipe,)
            or any(0 <= it < 3 for it in wanted)
            or (cwd is not None and not Path(os.fsdecode(cwd)).is_dir())
        ):
            return int(fork_exec(args, executables, close_fds, keep, cwd, env, *more))
        actions, attributes, signals = (ffi.new("char[]", SIZE) for _ in range(3))
        argv, kept = strings(list(args))
        environ, kept_too = (libc.environ, []) if env is None else strings(list(env))
        pid = ffi.new("int *")
        libc.posix_spawn_file_actions_init(actions)
        libc.posix_spawnattr_init(attributes)
        try:
            for target, source in enumerate(wanted):
                if source != -1:
                    libc.posix_spawn_file_actions_adddup2(actions, source, target)
            if cwd is not None:
                libc.posix_spawn_file_actions_addchdir_np(actions, os.fsencode(cwd))
            if close_fds:
                libc.posix_spawn_file_actions_addclosefrom_np(actions, 3)
            libc.sigemptyset(signals)
            for number in IGNORED if restore_signals else ():
                libc.sigaddset(signals, number)
            libc.posix_spawnattr_setsigdefault(attributes, signals)
            libc.posix_spawnattr_setflags(attributes, SETSIGDEF | (SETSID if new_session else 0))
            for path in executables:
                if not libc.posix_spawn(pid, path, actions, attributes, argv, environ):
                    return int(pid[0])
        finally:
            libc.posix_spawn_file_actions_destroy(actions)
            libc.posix_spawnattr_destroy(attributes)
            del kept, kept_too
        # It says why there is no such command.
        return int(fork_exec(args, executables, close_fds, keep, cwd, env, *more))

    return spawn


def install() -> None:
    """For all that this process starts from now on."""
    module: Any = subprocess
    if hasattr(module, "_fork_exec"):
        module._fork_exec = spawner(module._fork_exec)
    else:
        module._posixsubprocess.fork_exec = spawner(module._posixsubprocess.fork_exec)
