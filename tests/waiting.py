"""How the tests wait for what daemons do in their own time."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], seconds: float = 60, otherwise: Callable[[], object] | None = None
) -> T:
    """What a condition gives as soon as that is true.

    Args:
        condition: Asked often at first, and then less, as asking takes its part of the machine.
        seconds: For how long to ask.
        otherwise: What there is in its place, which the failure shows.
    """
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not (found := condition()):
        if time.monotonic() > deadline:
            there = f", there is: {otherwise()}" if otherwise else ""
            raise AssertionError(f"in vain for {seconds} s{there}")
        time.sleep(pause)
        pause = min(1.5 * pause, 0.3)
    return found
