# ruff: noqa: INP001 - Python looks for it in a directory of its path
"""Python runs this before the program, in every process that has this directory on its path."""

import os
import traceback

try:
    from proofs.chaos.inside import enter

    enter()
except BaseException:  # noqa: BLE001 - Python would go on without what should be tried
    traceback.print_exc()
    os._exit(70)
