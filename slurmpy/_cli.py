"""The command line: what `python -m slurmpy` understands and prints."""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import slurmpy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["attribute_lines", "job_number", "job_row", "main", "table"]

HEADINGS = ("JOBID", "PARTITION", "NAME", "USER", "ST", "TIME", "NODES", "NODELIST(REASON)")

# squeue's short names; a state that is newer than this table is shown by its long one.
SHORT_STATES = {
    "BOOT_FAIL": "BF",
    "CANCELLED": "CA",
    "COMPLETED": "CD",
    "COMPLETING": "CG",
    "CONFIGURING": "CF",
    "DEADLINE": "DL",
    "FAILED": "F",
    "NODE_FAIL": "NF",
    "OUT_OF_MEMORY": "OOM",
    "PENDING": "PD",
    "PREEMPTED": "PR",
    "REQUEUED": "RQ",
    "REQUEUE_FED": "RF",
    "REQUEUE_HOLD": "RH",
    "RESIZING": "RS",
    "RESV_DEL_HOLD": "RD",
    "REVOKED": "RV",
    "RUNNING": "R",
    "SIGNALING": "SI",
    "SPECIAL_EXIT": "SE",
    "STAGE_OUT": "SO",
    "STOPPED": "ST",
    "SUSPENDED": "S",
    "TIMEOUT": "TO",
}
# As squeue writes them.
JOB_NUMBER = re.compile(r"[0-9]+(_[0-9]+|_\[[-0-9,:%]+\]|\+[0-9]+)?")
# In these states what keeps or ended the job says more than where it would run or ran.
REASON_STATES = {"PENDING", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "FAILED"}

COLOURS = {
    "CANCELLED": "magenta",
    "COMPLETED": "dim",
    "FAILED": "red",
    "OUT_OF_MEMORY": "red",
    "PENDING": "yellow",
    "RUNNING": "green",
    "TIMEOUT": "red",
}


def printable(value: object) -> str:
    """Text that cannot steer the terminal: a job's name is whatever its owner typed."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def duration(seconds: int | None) -> str:
    """Seconds as squeue prints them: `5:03`, `1:00:00` or `2-01:00:00`."""
    if seconds is None:
        return "N/A"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def job_number(job: slurmpy.Job) -> str:
    """The job's number as squeue writes it: `12`, `12_3`, `12_[4-9]` or `12+1`."""
    if job.array_tasks_waiting is not None:
        return f"{job.array_id}_[{job.array_tasks_waiting}]"
    if job.array_task_id is not None:
        return f"{job.array_id}_{job.array_task_id}"
    if job.heterogeneous_id is not None:
        return f"{job.heterogeneous_id}+{job.heterogeneous_offset}"
    return str(job.id)


def job_row(job: slurmpy.Job) -> tuple[str, ...]:
    """One line of the table, in the order of the headings."""
    where = job.allocated_nodes or ""
    if job.state in REASON_STATES:
        where = f"({job.state_reason or 'None'})"
    cells = (
        job_number(job),
        job.partition,
        job.name,
        job.user_id if job.user_name is None else job.user_name,
        SHORT_STATES.get(job.state, job.state),
        duration(job.run_time),
        job.num_nodes,
        where,
    )
    return tuple("" if cell is None else printable(cell) for cell in cells)


def table(jobs: Iterable[slurmpy.Job]) -> list[str]:
    """The jobs as aligned lines, headings first."""
    rows = [HEADINGS, *map(job_row, jobs)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]


def moment(value: int) -> str:
    """A timestamp as it is read; nothing where it is beyond what a calendar has."""
    try:
        return time.strftime("  (%Y-%m-%d %H:%M:%S)", time.localtime(value))
    except (OverflowError, OSError, ValueError):
        return ""


def attribute_lines(item: slurmpy.Job | slurmpy.JobStep) -> list[str]:
    """Every attribute of one job or step, one on a line; `-` where it is not set."""
    values = item.to_dict()
    width = max(map(len, values))
    lines = []
    for name, value in values.items():
        text = "-" if value is None else printable(value)
        if value is not None and item.fields[name].unit == "Unix timestamp":
            text += moment(value)
        lines.append(f"{name:{width}}  {text}")
    return lines


def print_in_colour(lines: list[str], states: list[str]) -> None:
    """The same lines, each in a colour that tells its state."""
    from rich.console import Console
    from rich.text import Text

    texts = [Text(lines[0], style="bold")]
    texts += [Text(line, style=COLOURS.get(state, "")) for line, state in zip(lines[1:], states)]
    # In one piece, since every call of print() costs as much as three lines.
    Console(soft_wrap=True, highlight=False).print(Text("\n").join(texts))


def print_jobs(user: str | int | None) -> None:
    """Print the table of all jobs, or of one user's."""
    if isinstance(user, str) and user.isdecimal():
        user = int(user)
    with slurmpy.Jobs.load(user=user) as collection:
        jobs = list(collection.values())
        lines = table(jobs)
        if sys.stdout.isatty() and find_spec("rich"):
            print_in_colour(lines, [job.state for job in jobs])
        else:
            print("\n".join(lines))


def waits(task: str, ranges: str) -> bool:
    """Whether an array's task is one of those that wait, as in `1-5,8,10-20:2%3`."""
    for part in ranges.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        if int(task) in range(int(first), int(last or first) + 1, int(step or 1)):
            return True
    return False


def find_job(number: str) -> slurmpy.Job:
    """The job that squeue calls by this number; for a task that waits, the record of them all.

    Raises:
        ValueError: It is no number of a job.
        LookupError: slurmctld knows none.
    """
    shown = printable(number)
    if not JOB_NUMBER.fullmatch(number):
        msg = f"{shown or 'the empty text'} is no job id, such as 12, 12_3, 12_[4-9] or 12+1"
        raise ValueError(msg)
    unknown = f"slurmctld knows no job {shown}"
    if number.isdecimal():
        try:
            return slurmpy.Job.load(int(number))
        except slurmpy.InvalidJobId as error:
            raise LookupError(unknown) from error
    array, _, task = number.partition("_")
    for job in slurmpy.Jobs.load().values():
        if job_number(job) == number:
            return job
        waiting = job.array_tasks_waiting
        if waiting and task.isdecimal() and array == str(job.array_id) and waits(task, waiting):
            return job
    raise LookupError(unknown)


def find_step(job: slurmpy.Job, number: str) -> slurmpy.JobStep:
    """The step of a job that squeue calls by this number.

    Raises:
        ValueError: It is no number of a step.
        LookupError: The job has none such.
    """
    step = slurmpy.JobStep(job.id, number).id
    steps = slurmpy.JobSteps.load(job)
    if step not in steps:
        there = f"its steps are {', '.join(map(str, steps))}" if steps else "it has none now"
        msg = f"job {job_number(job)} has no step {step}: {there}"
        raise LookupError(msg)
    return steps[step]


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    top = argparse.ArgumentParser(
        prog="python -m slurmpy" if sys.argv[0].endswith("__main__.py") else "slurmpy",
        description="A quick look at a Slurm cluster's jobs.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"slurmpy {slurmpy.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    jobs = commands.add_parser(
        "jobs", help="list all jobs that slurmctld remembers, those that have ended included"
    )
    whose = jobs.add_mutually_exclusive_group()
    whose.add_argument("-u", "--user", metavar="USER", help="only this user's (a name or a uid)")
    whose.add_argument(
        "--me", dest="user", action="store_const", const=os.getuid(), help="only your own"
    )
    job = commands.add_parser("job", help="show every attribute of one job, or of a step of one")
    job.add_argument(
        "number",
        metavar="ID",
        help="as squeue writes it: 12, 12_3, '12_[4-9]', 12+1; 12.0 for a step",
    )
    demo = commands.add_parser(
        "demo", help="start a Slurm of one's own, give it jobs, show them, and stop it"
    )
    demo.add_argument(
        "-i", "--interactive", action="store_true", help="go on in a REPL before it is stopped"
    )
    return top


def run(args: argparse.Namespace) -> None:
    """Do what was asked for."""
    if args.command == "jobs":
        print_jobs(args.user)
    elif args.command == "job":
        number, is_step, step = args.number.partition(".")
        job = find_job(number)
        print("\n".join(attribute_lines(find_step(job, step) if is_step else job)))
    else:
        from slurmpy import _demo

        _demo.run(interactive=args.interactive)
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    args = parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks is shown as an escape, not as a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        run(args)
    except BrokenPipeError:
        # The reader has seen enough. Python's own flush at the end must not meet the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (slurmpy.SlurmError, LookupError, ValueError) as error:
        print("slurmpy:", " ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0
