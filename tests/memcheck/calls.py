"""Makes every call of the C library that the package makes, and reads all that comes of them.

``python calls.py [--seen]`` runs in the environment of the cluster that ``run_memcheck.py`` starts.
With --seen it ends with an error where Python has not called all of the library's functions.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import getpass
import os
import pickle
import random
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Callable

import slurmpy
from slurmpy import (
    ConfigurationError,
    Job,
    Jobs,
    JobStep,
    JobSteps,
    JobSubmitDescription,
    SlurmError,
    UnsupportedField,
    _runtime,
)
from slurmpy._ffi import ffi, lib
from slurmpy._records import cell

TESTS = Path(__file__).resolve().parent.parent
SCRIPT = "#!/bin/sh\nexec sleep 600\n"
NO_JOB = 99_999_999


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def fails(call: Callable[[], object], kind: type[Exception] = SlurmError) -> None:
    try:
        call()
    except kind:
        return
    msg = f"{call} raises no {kind}"
    raise AssertionError(msg)


def again(item: Any) -> Any:  # noqa: ANN401 - of whatever type it is
    return pickle.loads(pickle.dumps(item))  # noqa: S301 - it is our own


def submit_everything() -> list[int]:
    """Every option that the tests have, one job each; some are refused here."""
    sys.path.insert(0, str(TESTS))
    from test_submission import ROWS

    numbers = []
    for _, values, _ in ROWS:
        with contextlib.suppress(SlurmError, ValueError, UnsupportedField):
            numbers.append(
                JobSubmitDescription(**{"script": SCRIPT, "hold": True, **values}).submit()
            )
    assert len(numbers) > len(ROWS) / 2
    part = JobSubmitDescription(
        name="part", hold=True, gres_per_node="gpu:tesla:1", required_nodes="n1"
    )
    leader = JobSubmitDescription(script=SCRIPT, hold=True)
    numbers.append(JobSubmitDescription.submit_heterogeneous([leader, part]))
    fails(JobSubmitDescription(script=SCRIPT, partitions="nowhere").submit)
    fails(JobSubmitDescription(script=SCRIPT, required_nodes="n[1").submit, ValueError)
    JobSubmitDescription(script=SCRIPT, begin_time="now+1hour", nodes=2).dry_run()
    return numbers


def read_everything() -> None:
    with Jobs.load(preload_passwd_info=True) as jobs:
        for job in jobs.values():
            values = job.to_dict()
            assert copy.copy(job).to_dict().keys() == values.keys()
            assert again(job).to_dict().keys() == values.keys()
            job.get_resource_layout_per_node()
        assert len(again(jobs)) == len(jobs.copy()) == len(jobs)
        jobs.to_json()
        assert len(jobs.to_dicts()) == len(jobs)
        assert len(jobs.filter(state="PENDING", user=os.getuid()).to_dicts()) > 0
        jobs.columns("id", "state", "submit_time")
        assert jobs.raw_columns("id")["id"].tolist() == list(jobs)
        # With some that are of other messages.
        mixed = Jobs([copy.copy(job) if number % 2 else job for number, job in jobs.items()])
        assert mixed.to_dicts() == [job.to_dict() for job in mixed.values()]
        assert mixed.columns("id")["id"].tolist() == list(mixed)
        jobs.reload()
        jobs.add(jobs.pop(next(iter(jobs))))
        jobs.frozen = True
        jobs.reload()
        left = jobs.popitem()[1]
    left.to_dict()
    assert len(Jobs.load(user=getpass.getuser(), hidden=False, details=False))
    gc.collect()


def leave_answers() -> None:
    """As Ctrl-C does: nobody takes them, and they are freed where the call has put them."""
    with cell("job_info_msg_t **", lib.slurmpy_drop_jobs) as out:
        _runtime.call(lib.slurmpy_load_jobs, 0, 0, out, lib.SHOW_ALL)
        assert out[0]
    with cell("job_step_info_response_msg_t **", lib.slurmpy_drop_steps) as out:
        _runtime.call(lib.slurmpy_load_steps, ffi.NULL, lib.NO_VAL, out)
        assert out[0]
    with cell("node_info_msg_t **", lib.slurmpy_drop_nodes) as out:
        _runtime.call(lib.slurmpy_load_nodes, ffi.NULL, out)
        assert out[0]


def steps_and_statistics(running: int) -> None:
    job = Job.load(running)
    job.to_dict()
    job.reload()
    job.load_stats()
    for steps in (
        job.steps,
        JobSteps.load(running),
        JobSteps.load_all()[running],
        again(job.steps),
    ):
        for step in steps.values():
            step.to_dict()
            copy.copy(step).to_dict()
    jobs = Jobs.load()
    jobs.load_steps()
    jobs.load_stats(threads=3)
    jobs.close()
    step = JobStep.load(running, 0)
    step.load_stats()
    step.modify(JobStep(running, 0, time_limit=60))
    step.send_signal("CONT")
    step.cancel()
    fails(JobStep(running, 99).cancel)
    fails(lambda: JobStep.load(NO_JOB, 0))


def control(running: int) -> None:
    number = JobSubmitDescription(
        script=SCRIPT, array="0-5", hold=True, standard_output="/dev/null"
    ).submit()
    changes = JobSubmitDescription(comment="changed", time_limit=5, name="other")
    for job in (Job(number), Job(f"{number}_[1-2]"), Jobs([number])):
        job.release()
        job.hold()
        job.hold(mode="user")
        job.modify(changes)
    Job.load(f"{number}_1").to_dict()
    job = Job.load(running)
    job.suspend()
    job.unsuspend()
    job.send_signal("CONT", steps="all")
    job.notify("a word")
    assert job.get_batch_script().startswith("#!")
    job.requeue(hold=True)
    for call in (
        "suspend",
        "unsuspend",
        "cancel",
        "hold",
        "release",
        "requeue",
        "get_batch_script",
    ):
        fails(getattr(Job(NO_JOB), call))
        if hasattr(Jobs, call):
            fails(getattr(Jobs([NO_JOB, NO_JOB + 1]), call))
    fails(lambda: Job(NO_JOB).notify("nobody"))
    fails(lambda: Job(NO_JOB).modify(changes))
    fails(lambda: Job.load(NO_JOB))
    Job(number).cancel()
    assert Job(number).wait(timeout=200).state == "CANCELLED"


def close_while_others_read(rounds: int) -> None:
    wrong: list[object] = []
    now: list[list[Job]] = [[]]
    end = threading.Event()

    def read(seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - no secret
        while not end.is_set():
            for job in choose.sample(now[0], min(3, len(now[0]))):
                try:
                    job.to_dict()
                except slurmpy.ClosedError:  # noqa: PERF203 - one that is closed is no end
                    continue
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is wrong
                    wrong.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        jobs = Jobs.load()
        now[0] = list(jobs.values())
        time.sleep(0.05)
        jobs.close()
    end.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


def come_and_go() -> None:
    conf = os.environ["SLURM_CONF"]
    for _ in range(3):
        slurmpy.fini()
        slurmpy.init(conf)
        len(Jobs.load())
    slurmpy.fini()
    slurmpy.fini()
    fails(lambda: slurmpy.init("/nowhere/slurm.conf"), ConfigurationError)
    job = next(iter(Jobs.load().values()))
    if not os.fork():
        job.to_dict()
        Jobs.load().close()
        os._exit(0)
    assert os.wait()[1] == 0


def main() -> None:
    warnings.simplefilter("ignore", slurmpy.StatisticsWarning)
    running = int(os.environ["RUNNING"])
    numbers = submit_everything()
    read_everything()
    leave_answers()
    steps_and_statistics(running)
    control(running)
    close_while_others_read(15)
    Jobs(numbers).cancel()
    come_and_go()
    # What is alive where the interpreter ends.
    globals().update(jobs=Jobs.load(), step=JobSteps.load_all(), job=list(Jobs.load().values()))


def not_called() -> set[str]:
    """The library's functions that Python does not call in `main`."""
    called = set()

    def watch(_frame: object, event: str, function: Any) -> None:  # noqa: ANN401 - of any kind
        if event == "c_call":
            called.add(getattr(function, "__name__", ""))

    threading.setprofile(watch)
    sys.setprofile(watch)
    main()
    sys.setprofile(None)
    functions = {
        name for name in dir(lib) if name.startswith("slurm") and callable(getattr(lib, name))
    }
    return functions - called


if __name__ == "__main__":
    if "--seen" in sys.argv:
        # Those are called by the garbage collector, which is no call from Python, when a module is
        # imported, and in the child of a fork.
        by_others = ("free", "_drop_")
        missing = {name for name in not_called() if not any(it in name for it in by_others)} - {
            "slurm_conf",
            "slurm_api_version",
            # At the end of each call, by C; a test calls it by itself.
            "slurmpy_code",
            "slurmpy_before_fork",
            "slurmpy_after_fork_in_parent",
            "slurmpy_after_fork",
        }
        assert not missing, missing
    else:
        main()
