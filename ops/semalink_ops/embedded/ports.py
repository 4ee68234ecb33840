"""Ports of the loopback interface for servers that we start."""

import random
import socket

LOOPBACK = "127.0.0.1"

#: Below the range from which systems take the ports of outgoing connections.
_FIRST_PORT = 20_000
_LAST_PORT = 31_999
_ATTEMPTS_MAX = 200

_given_out: set[int] = set()


class NoFreePort(Exception):
    """Every port that was tried is taken."""

    def __init__(self) -> None:
        super().__init__(
            f"None of {_ATTEMPTS_MAX} ports from {_FIRST_PORT} to {_LAST_PORT} is free. "
            "Name one yourself."
        )


def free_port() -> int:
    """Return a port that nothing listens on and that this process was not given before."""
    # Other processes draw as well: they must not draw the same, whatever seed a test has set.
    draw = random.SystemRandom()
    for _ in range(_ATTEMPTS_MAX):
        port = draw.randint(_FIRST_PORT, _LAST_PORT)
        if port not in _given_out and is_free(port):
            _given_out.add(port)
            return port
    raise NoFreePort


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connection has just closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
