"""What is done to jobs: one way for a single job and for a whole collection."""

from __future__ import annotations

import os

from slurmpy import _convert, _runtime
from slurmpy._ffi import ffi, lib
from slurmpy._records import cell, take
from slurmpy.errors import (
    AuthenticationError,
    ConfigurationError,
    ControllerUnreachable,
    InvalidJobId,
    JobErrors,
    RPCError,
    SlurmError,
    TaskErrors,
    check,
    rpc_error,
    said,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from slurmpy._options import Message
    from slurmpy.errors import Key

__all__ = [
    "Action",
    "Target",
    "cancel",
    "do",
    "do_to_all",
    "hold",
    "modify",
    "notify",
    "other_cluster",
    "release",
    "requeue",
    "send_signal",
    "suspend",
    "unsuspend",
]

#: What a signal goes to.
_STEPS = {
    "children": lib.KILL_STEPS_ONLY,
    "batch": lib.KILL_JOB_BATCH,
    "all": lib.KILL_FULL_JOB,
}

#: What keeps others than an administrator from releasing a job, or does not.
_HOLDS = {None: 0, "admin": 0, "user": lib.ALLOC_SID_USER_HOLD}

#: How many jobs go into one call: slurmctld does nothing else meanwhile.
_MOST_AT_ONCE = 5000

#: slurmctld cuts the tasks that it answers for where they are longer than this.
_ANSWER_LENGTH = 29

#: What Slurm keeps of a message to a batch job, without its own words and the node's name before.
_MESSAGE_LENGTH = 7900

_NO_TASK = (lib.NO_VAL, lib.INFINITE)

#: An array's id, and the tasks of it, with brackets or without.
_TASKS = r"([0-9]+)_\[?([^\]]+)\]?"

_KILL_MANY = getattr(lib, "slurmpy_kill_jobs", None)


class Action:
    """Something that can be done to a job.

    Args:
        what: What is done, for messages.
        call: The library's function.
        args: Its arguments after the cluster and the job.
        answers: Whether it answers for each task of an array.
        by_id: Whether it takes the id of the job alone.
        over: Whether a job that has ended is no error.
        many: The function for many jobs in one call, where the library has one.
    """

    __slots__ = ("answers", "args", "by_id", "call", "many", "over", "what")

    def __init__(  # noqa: PLR0913 - what there is to know of an action
        self,
        what: str,
        call: Any,
        args: tuple[Any, ...] = (),
        *,
        answers: bool = False,
        by_id: bool = False,
        over: bool = False,
        many: Any = None,
    ) -> None:
        """See the class."""
        self.what = what
        self.call = call
        self.args = args
        self.answers = answers
        self.by_id = by_id
        self.over = over
        self.many = many


class Target:
    """A job as Slurm is told of it.

    Args:
        job_id: The id, or the text that the job was named by.
        cluster: The job's cluster; None for the one in use.
        name: What the job, and nothing but the job, is called; empty where it has ended for sure.
        array: The array that it is a task of.
        task: The number of that task.
        user: The uid of the job's owner, where it is known.
    """

    __slots__ = ("array", "cluster", "job_id", "name", "task", "user")

    def __init__(  # noqa: PLR0913, PLR0917 - what there is to know of a job
        self,
        job_id: int | str,
        cluster: str | None,
        name: str,
        array: int = 0,
        task: int | None = None,
        user: int | None = None,
    ) -> None:
        """See the class."""
        self.job_id = job_id
        self.cluster = cluster
        self.name = name
        self.array = array
        self.task = task
        self.user = user

    @property
    def record(self) -> str:
        """The name for calls that take the id of a task's record for that task.

        A signal does not, and to others the name of a task may mean nothing any more: suspending
        looks for a record with the array's id, which can be gone before its tasks are.
        """
        own = self.task is not None and self.job_id != self.array
        return str(self.job_id) if own else self.name

    @property
    def of(self) -> Any:
        """The cluster as C has it."""
        return ffi.NULL if self.cluster is None else self.cluster.encode("utf-8", "surrogateescape")


def cancel() -> Action:
    """Ends a job."""
    return Action("cancelling", lib.slurmpy_kill_job, (lib.SIGKILL, 0), over=True, many=_KILL_MANY)


def send_signal(signal: str | int, steps: str, hurry: bool) -> Action:
    """Sends a signal to a job's processes."""
    number = _convert.signal_number(signal)
    flags = _choice(steps, _STEPS, "steps") | (lib.KILL_HURRY if _switch(hurry, "hurry") else 0)
    what = f"sending signal {number} to"
    return Action(what, lib.slurmpy_kill_job, (number, flags), many=_KILL_MANY)


def hold(mode: str | None) -> Action:
    """Keeps a job that waits from being started."""
    sid = _choice(mode, _HOLDS, "mode")
    return Action("holding", lib.slurmpy_set_priority, (0, sid), answers=True)


def release() -> Action:
    """Undoes a hold."""
    return Action("releasing", lib.slurmpy_set_priority, (lib.INFINITE, 0), answers=True)


def requeue(hold: bool) -> Action:
    """Puts a job back into the queue."""
    flags = lib.JOB_REQUEUE_HOLD if _switch(hold, "hold") else 0
    return Action("requeueing", lib.slurmpy_requeue, (flags,), answers=True)


def suspend() -> Action:
    """Suspends a job that runs."""
    return Action("suspending", lib.slurmpy_suspend, answers=True)


def unsuspend() -> Action:
    """Undoes a suspension."""
    return Action("resuming", lib.slurmpy_resume, answers=True)


def modify(message: Message) -> Action:
    """Changes a job; the message has to be kept until that is done."""
    return Action("modifying", lib.slurmpy_update_job, (message.ptr,), answers=True)


def notify(msg: object) -> Action:
    """Writes a message to a job's output."""
    if not isinstance(msg, str):
        text = f"a message is a str, not {type(msg).__name__}: {msg!r}"
        raise TypeError(text)
    if "\0" in msg:
        text = f"a message cannot have a NUL character: {msg!r}"
        raise ValueError(text)
    message = msg.encode("utf-8", "surrogateescape")
    if len(message) > _MESSAGE_LENGTH:
        text = (
            f"a message has at most {_MESSAGE_LENGTH} bytes, and this one {len(message)}: Slurm "
            "would keep the end of it"
        )
        raise ValueError(text)
    return Action("notifying", lib.slurmpy_notify_job, (message,), by_id=True)


def _choice(value: object, choices: Mapping[Any, int], name: str) -> int:
    """What a word stands for."""
    words = ", ".join(repr(word) for word in choices if word is not None)
    if not isinstance(value, str) and (value is not None or None not in choices):
        msg = f"{name} is one of {words}, and no {type(value).__name__}: {value!r}"
        raise TypeError(msg)
    if value not in choices:
        msg = f"no such {name}: {value!r} (there are {words})"
        raise ValueError(msg)
    return choices[value]


def _switch(value: object, name: str) -> bool:
    """A bool, and no word such as ``"no"``, which would be true."""
    if value in (True, False):
        return bool(value)
    msg = f"{name} is True or False, not {type(value).__name__}: {value!r}"
    raise TypeError(msg)


# ---- one job ----


def do(target: Target, action: Action) -> None:
    """Does something to a job.

    Raises:
        TaskErrors: Some of its tasks refused.
        RPCError: It was refused, or could not be asked for.
        ConfigurationError: The job is of another cluster, or Slurm cannot be used.
    """
    named = _do(target, action)
    if named and _absent([named]) and not _is_over(target, action, lib.ESLURM_INVALID_JOB_ID):
        raise _unknown(target, action)


def _do(target: Target, action: Action) -> int:
    """Does something to a job.

    Returns:
        The id that Slurm was told where it is yet to be seen that there is such a job, else 0.
    """
    if not target.name:
        if action.over:
            return 0
        raise rpc_error(lib.ESLURM_ALREADY_DONE, f"{action.what} job {target.job_id}")
    # The call for several with one answer does not say whose it is: so each by itself.
    several = isinstance(target.job_id, str) and not (action.answers or action.by_id)
    tasks = _convert.tasks(target.job_id) if several else []
    if len(tasks) <= 1:
        return _do_to_one(target, action)
    errors: dict[str, RPCError] = {}
    for task in tasks:
        try:
            _ask(target, task, action)
        except RPCError as error:
            errors[task] = error
    if errors:
        raise TaskErrors(errors, f"{action.what} job {target.job_id}")
    return 0


def _do_to_one(target: Target, action: Action) -> int:
    """Makes the call for a job, or for what Slurm answers for task by task; returns as `_do`."""
    name = target.record if action.answers else target.name
    try:
        answers = _ask(target, name, action)
    except InvalidJobId:
        # Older majors do not take a task's own id for a signal.
        name = "" if action.answers or action.by_id else _name_of_task(target.job_id)
        if not name:
            raise
        answers = _ask(target, name, action)
    except RPCError as error:
        ended = error.errno == lib.ESLURM_ALREADY_DONE and name.isdecimal()
        if ended and _absent([int(name)]):
            raise _unknown(target, action) from None
        raise
    detail = f"{action.what} job {target.job_id}"
    errors = {task: rpc_error(code, detail) for task, code in answers.items() if code}
    if errors and len(answers) == 1:
        raise next(iter(errors.values()))
    if errors:
        raise TaskErrors(errors, detail)
    is_sure = answers or action.by_id
    return int(name) if not is_sure and name.isdecimal() else 0


def _unknown(target: Target, action: Action) -> RPCError:
    """The error for a job that is not there."""
    return rpc_error(lib.ESLURM_INVALID_JOB_ID, f"{action.what} job {target.job_id}")


def _absent(ids: Collection[int]) -> set[int]:
    """Those ids that no job has.

    slurmctld answers 0, or that a job has ended, for one that never was where a task of some array
    happens to be in the same place of its table (seen in 22.05, and in the source of 24.11).
    """
    if len(ids) == 1:
        return {job_id for job_id in ids if _why(job_id) == lib.ESLURM_INVALID_JOB_ID}
    with cell("job_info_msg_t **", lib.slurmpy_drop_jobs) as out:
        rc = _runtime.call(lib.slurmpy_load_jobs, 0, 0, out, lib.SHOW_ALL | lib.SHOW_LOCAL)
        message = take(out, lib.slurmpy_free_jobs) if rc == 0 else None
    said()
    if message is None:
        # It was told that all is done, and cannot be asked any more.
        return set()
    records = [message.job_array[i] for i in range(message.record_count)]
    return {*ids} - {it for job in records for it in (job.job_id, job.array_job_id, job.het_job_id)}


def _ask(target: Target, name: str, action: Action) -> dict[str, int]:
    """Makes the call for what Slurm knows by a name.

    Returns:
        The code for each task or range of tasks, 0 included, where Slurm answers for each.
    """
    detail = f"{action.what} job {target.job_id}"
    job = int(name) if action.by_id else name.encode()
    with cell("job_array_resp_msg_t **", lib.slurmpy_drop_array) as out:
        place = (out,) if action.answers else ()
        rc = _runtime.call(action.call, target.of, job, *action.args, *place)
        answers = take(out, lib.slurm_free_job_array_resp)
    if rc == lib.SLURMPY_OTHER_CLUSTER:
        raise other_cluster(target.job_id, target.cluster)
    if rc and _is_over(target, action, rc):
        said()
        return {}
    if action.answers and rc == lib.SLURM_UNEXPECTED_MSG_ERROR:
        # libslurm says so in place of why it got no answer: ask something that does.
        words = said()
        code = _why(_convert.first_id(target.job_id, several=True)) or rc
        raise rpc_error(code, f"{detail}: {words}" if words else detail)
    check(rc, detail)
    if answers is None:
        return {}
    return {
        _task_name(ffi.string(answers.job_array_id[i]).decode()): answers.error_code[i]
        for i in range(answers.job_array_count)
    }


def _task_name(answered: str) -> str:
    """One spelling for all majors: some put one task in brackets too, and some not even several."""
    import re

    found = re.fullmatch(_TASKS, answered)
    if not found:
        return answered
    array, tasks = found.groups()
    return f"{array}_{tasks}" if tasks.isdecimal() else f"{array}_[{tasks}]"


def _is_over(target: Target, action: Action, code: int) -> bool:
    """Whether a code says that there is nothing left to do.

    Tasks that are cancelled while they wait leave no record, which the record that stood for them
    shows that there were.
    """
    waited = target.array and target.task is None
    over = (lib.ESLURM_ALREADY_DONE, lib.ESLURM_INVALID_JOB_ID)
    return action.over and code in over[: 2 if waited else 1]


def _why(job_id: int) -> int:
    """The code for what keeps a job from being asked for; 0 where nothing does."""
    code, _message = _load(job_id)
    return code


def _name_of_task(job_id: int | str) -> str:
    """What the task of an array is called whose record has an id; empty where there is none."""
    if isinstance(job_id, str):
        return ""
    _code, message = _load(job_id)
    records = [message.job_array[i] for i in range(message.record_count)] if message else []
    return next(
        (
            f"{record.array_job_id}_{record.array_task_id}"
            for record in records
            if record.job_id == job_id != record.array_job_id
            and record.array_task_id not in _NO_TASK
        ),
        "",
    )


def _load(job_id: int) -> tuple[int, Any]:
    """The code of a question for a job, and the answer."""
    with cell("job_info_msg_t **", lib.slurmpy_drop_jobs) as out:
        rc = _runtime.call(lib.slurmpy_load_job, out, job_id, lib.SHOW_ALL | lib.SHOW_LOCAL)
        message = take(out, lib.slurmpy_free_jobs) if rc == 0 else None
    said()
    return rc, message


def other_cluster(
    job_id: int | str, cluster: str | None, used: str | None = None
) -> ConfigurationError:
    """The error for a job that is not of the cluster in use."""
    return ConfigurationError(
        f"job {job_id} is of the cluster {cluster}, and Slurm is in use with "
        f"{used or _runtime.cluster_name()}: call slurmpy.init() with its configuration"
    )


# ---- a collection ----


def do_to_all(targets: Mapping[Key, Target | SlurmError], action: Action) -> None:
    """Does something to many jobs, in as few calls as there can be with an answer for each.

    Args:
        targets: The jobs, or what keeps one from being named, by what the errors go under.
        action: What is done.

    Raises:
        JobErrors: Some of the jobs refused; it was tried with all of them.
        ControllerUnreachable: The controller did not answer, and nothing was done.
        AuthenticationError: The controller does not know who asks, and nothing was done.
    """
    jobs = {key: it for key, it in targets.items() if isinstance(it, Target)}
    errors = {key: it for key, it in targets.items() if isinstance(it, SlurmError)}
    batches = _batches(jobs, action)
    answered = 0
    unseen: dict[Key, int] = {}
    while batches:
        batch = batches.pop()
        try:
            refused = _do_to_batch(batch, action, unseen)
        except (ControllerUnreachable, AuthenticationError) as error:
            if not answered:
                raise
            # Each further call would wait as long, and fail likewise.
            for rest in (batch, *batches):
                errors.update(_for_each(rest, action, error))
            break
        if refused is None:
            batches += [{key: target} for key, target in reversed(batch.items())]
            continue
        errors.update(refused)
        answered += 1
    absent = _absent(unseen.values()) if unseen else set()
    for key, job_id in unseen.items():
        if job_id in absent and not _is_over(jobs[key], action, lib.ESLURM_INVALID_JOB_ID):
            errors[key] = _unknown(jobs[key], action)
    if errors:
        raise JobErrors(
            {key: errors[key] for key in targets if key in errors},
            f"{action.what} {len(errors)} of {len(targets)} jobs",
        )


def _for_each(
    batch: Mapping[Key, Target], action: Action, error: RPCError
) -> dict[Key, SlurmError]:
    """The same error for each job of a call."""
    return {
        key: rpc_error(error.errno, f"{action.what} job {target.job_id}")
        for key, target in batch.items()
    }


def _batches(jobs: Mapping[Key, Target], action: Action) -> list[dict[Key, Target]]:
    """The jobs of each call, the last call first.

    The record of an array, or the leader of a heterogeneous job, goes before those that come of
    it: else tasks that wait would start in the place of those that end.
    """
    # slurmctld without accounting hangs for good where somebody who is no administrator asks for
    # many jobs and one is another user's (24.11; so does `scancel --ctld`): it is never asked so.
    user = os.geteuid()
    is_any = user in (0, lib.slurm_conf.slurm_user_id)
    calls: dict[Any, list[Key]] = {}
    for key in sorted(jobs, key=lambda key: _convert.first_id(jobs[key].job_id, several=True)):
        target = jobs[key]
        if not target.name:
            calls[None, key] = [key]
        elif action.many and (is_any or target.user == user):
            calls.setdefault(target.cluster, []).append(key)
        elif action.answers and target.task is not None:
            calls.setdefault((target.cluster, target.array), []).append(key)
        else:
            calls[None, key] = [key]
    batches: list[dict[Key, Target]] = []
    for keys in calls.values():
        most = _MOST_AT_ONCE
        if action.answers and len(keys) > 1:
            # So many that no answer is cut, whichever of the tasks it is for.
            most = (_ANSWER_LENGTH + 1) // (1 + max(len(str(jobs[key].task)) for key in keys))
        parts = (keys[start : start + most] for start in range(0, len(keys), most))
        batches += [{key: jobs[key] for key in part} for part in parts]
    return batches[::-1]


def _do_to_batch(
    batch: Mapping[Key, Target], action: Action, unseen: dict[Key, int]
) -> dict[Key, SlurmError] | None:
    """Makes one call.

    Args:
        batch: The jobs.
        action: What is done.
        unseen: Takes the ids of those of which it is yet to be seen that they are there.

    Returns:
        The errors of those that refused; None where nothing was done, since Slurm does not take
        these jobs together.

    Raises:
        ControllerUnreachable: There was no answer.
        AuthenticationError: The controller does not know who asks.
    """
    if len(batch) > 1 and action.many:
        return _kill(batch, action)
    if len(batch) > 1:
        return _do_to_tasks(batch, action)
    [(key, target)] = batch.items()
    try:
        named = _do(target, action)
    except (ControllerUnreachable, AuthenticationError):
        raise
    except SlurmError as error:
        return {key: error}
    if named:
        unseen[key] = named
    return {}


def _do_to_tasks(batch: Mapping[Key, Target], action: Action) -> dict[Key, SlurmError] | None:
    """Makes one call for several tasks of an array."""
    keys = {f"{target.array}_{target.task}": key for key, target in batch.items()}
    first = next(iter(batch.values()))
    tasks = ",".join(str(target.task) for target in batch.values())
    try:
        answers = _ask(first, f"{first.array}_[{tasks}]", action)
    except (ControllerUnreachable, AuthenticationError):
        raise
    except RPCError as error:
        if error.errno in (lib.ESLURM_INVALID_JOB_ID, lib.SLURM_UNEXPECTED_MSG_ERROR):
            return None
        return _for_each(batch, action, error)
    except ConfigurationError:
        return {key: other_cluster(target.job_id, target.cluster) for key, target in batch.items()}
    codes = {
        task: code
        for text, code in answers.items()
        if not text.endswith("...")
        for task in _convert.tasks(text)
    }
    return {
        key: rpc_error(code, f"{action.what} job {batch[key].job_id}")
        for task, key in keys.items()
        # Whether one that is not answered for was done is not known.
        if (code := codes.get(task, lib.SLURM_UNEXPECTED_MSG_ERROR) if answers else 0)
    }


def _kill(batch: Mapping[Key, Target], action: Action) -> dict[Key, SlurmError] | None:
    """Makes one call for many jobs."""
    first = next(iter(batch.values()))
    names = [ffi.new("char[]", target.name.encode()) for target in batch.values()]
    jobs = ffi.new("char *[]", names)
    with cell("kill_jobs_resp_msg_t **", lib.slurmpy_drop_kill_jobs) as out:
        rc = _runtime.call(action.many, first.of, jobs, len(names), *action.args, out)
        answers = take(out, lib.slurmpy_free_kill_jobs)
    if rc == lib.SLURMPY_OTHER_CLUSTER:
        return {key: other_cluster(target.job_id, target.cluster) for key, target in batch.items()}
    if rc == lib.SLURMPY_NOT_TAKEN:
        said()
        return None
    check(rc, f"{action.what} {len(names)} jobs")
    ids = {target.job_id: key for key, target in batch.items()}
    tasks = {(it.array, it.task): key for key, it in batch.items() if it.task is not None}
    errors: dict[Key, dict[str, RPCError]] = {}
    for i in range(answers.jobs_cnt if answers else 0):
        answer = answers.job_responses[i]
        code, of, task = answer.error_code, answer.id.step_id.job_id, answer.id.array_task_id
        if not code:
            continue
        # Under the task where it is one of the collection's own, else under the job that it is of.
        places = (tasks.get((of, task)), ids.get(answer.real_job_id), ids.get(of))
        found = next((key for key in places if key is not None), None)
        if found is None or _is_over(batch[found], action, code):
            continue
        name = f"{of}_{task}" if task not in _NO_TASK else str(batch[found].job_id)
        errors.setdefault(found, {})[name] = rpc_error(
            code, f"{action.what} job {batch[found].job_id}"
        )
    return {
        key: next(iter(own.values()))
        if len(own) == 1
        else TaskErrors(own, f"{action.what} job {batch[key].job_id}")
        for key, own in errors.items()
    }
