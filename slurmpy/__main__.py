"""`python -m slurmpy`: a quick look at a cluster's jobs."""

from __future__ import annotations

import sys

from slurmpy._cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
