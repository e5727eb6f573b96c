"""Becomes a database server, once that has made its own tables; a program of its own.

A server that has just made them and is killed cannot be started again; one that has ended in
between, can.
"""

from __future__ import annotations

import os
import subprocess
import sys


def main(program: str, configuration: str, made: str, statements: str) -> None:
    """Makes the tables where they are missing, and goes on as the server.

    Args:
        program: The server.
        configuration: Its option that names the file with its settings.
        made: The folder that is there when the tables are.
        statements: The file with the statements that make them.
    """
    if not os.path.isdir(made):  # noqa: PTH112 - pathlib would take longer than all the rest
        with open(statements, "rb") as file:  # noqa: PTH123 - as above
            command = (program, configuration, "--bootstrap")
            subprocess.run(command, stdin=file, check=True)
    os.execv(program, (program, configuration))  # noqa: S606 - which is what is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
