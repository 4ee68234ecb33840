"""Ends this process when the one that started it ends, however that ends."""

import ctypes
import os
import signal
import sys

from semalink_ops.cli.failures import fail

_LINUX_SET_DEATH_SIGNAL = 1


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent is gone.

    Killed, not asked: whoever supervised an orderly end is not there any more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_LINUX_SET_DEATH_SIGNAL, int(signal.SIGKILL))
    # It may have ended before the kernel was told.
    if os.getppid() != parent_pid:
        fail("The process that started this one has ended.")
