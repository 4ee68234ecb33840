"""Runs one server and ends it when the process that asked for it ends, however that ends.

Started as a script by `guarded.py`, with the standard library only. Its standard input is a pipe
from the owner: the end of it means "stop", whether the owner closed it or was killed. The death
signal alone would not do: it follows the thread that started the server, not the process.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

#: Written by the owner to end the server as a crash would.
KILL = b"kill\n"

_COMMAND_BYTES = 64
_LINUX_SET_DEATH_SIGNAL = 1
_STANDARD_INPUT = 0
_STANDARD_ERROR = 2

Escalation = Sequence[tuple[signal.Signals, float]]


def main(arguments: Sequence[str]) -> int:
    """Run the server to its end and return its exit status.

    Arguments: "uid:gid" to run as or "", "SIGNAL:SECONDS,…" to stop with, the descriptor of the
    lock, and the command.
    """
    identity, stops, lock, *command = arguments
    escalation = _parse_escalation(stops)
    server = _spawn(command, identity, escalation[0][0], int(lock))
    # Terminals and service managers signal whole groups; the owner decides the order of ending.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.close()
    ended = threading.Event()
    threading.Thread(target=_obey, args=(server, escalation, ended), daemon=True).start()
    status = server.wait()
    ended.set()
    return status if status >= 0 else 128 - status


def _parse_escalation(text: str) -> Escalation:
    pairs = (pair.split(":") for pair in text.split(","))
    return [(signal.Signals[name], float(seconds)) for name, seconds in pairs]


def _spawn(
    command: Sequence[str], identity: str, death_signal: signal.Signals, lock: int
) -> "subprocess.Popen[bytes]":
    uid, gid = (int(part) for part in identity.split(":")) if identity else (None, None)
    return subprocess.Popen(  # noqa: S603 - the command is the owner's, and no shell reads it
        command,
        stdin=subprocess.DEVNULL,
        stdout=_STANDARD_ERROR,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        # The server inherits the lock, and its children do: it is free once the last is gone.
        pass_fds=(lock,),
        # There is no other thread yet, and this thread lives as long as this process.
        preexec_fn=lambda: _follow_into_death(death_signal),  # noqa: PLW1509
    )


def _follow_into_death(death_signal: signal.Signals) -> None:
    """Have the kernel end the server when this process is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_LINUX_SET_DEATH_SIGNAL, int(death_signal))


def _obey(
    server: "subprocess.Popen[bytes]", escalation: Escalation, ended: threading.Event
) -> None:
    # Unbuffered: a thread inside a buffered read would break the end of the interpreter.
    while command := os.read(_STANDARD_INPUT, _COMMAND_BYTES):
        if command == KILL:
            server.kill()
    for stop_signal, seconds in escalation:
        server.send_signal(stop_signal)
        if ended.wait(seconds):
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
