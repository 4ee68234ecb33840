"""What only live keys may do: whatever changes or destroys what is real."""

from typing import Any

from litestar import Request

from semalink.web.arrival import Arrival, arrival_of
from semalink.web.problems import EdgeRefusal


def writing(request: Request[Any, Any, Any]) -> Arrival:
    """Return the arrival of a request that changes what is real; raises for test keys."""
    arrival = arrival_of(request.scope)
    if arrival.caller.mode != "live":
        raise EdgeRefusal("forbidden", "A test key changes nothing real; use a live key.")
    return arrival
