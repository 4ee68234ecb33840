"""What is known of a request from its arrival on: its id, its time, its headers, its caller."""

import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from semalink.application.reading import Caller
from semalink.domain.cause import Cause
from semalink.domain.errors import DomainError
from semalink.domain.ids import API_KEY_PREFIX, REQUEST_PREFIX, format_id

_SCOPE_KEY = "semalink.arrival"
_GIVEN_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, and how events name who acted."""

    caller: Caller
    #: "key:<api key id>" or "operator:<api key id>".
    actor: str

    @classmethod
    def of(cls, caller: Caller) -> "Principal":
        """Return the principal that a caller is."""
        kind = "operator" if caller.mode == "operator" else "key"
        return cls(caller, f"{kind}:{format_id(API_KEY_PREFIX, caller.api_key_id)}")


@dataclass(slots=True)
class Arrival:
    """One request, before anything of it was read but the headers."""

    request_id: str
    at: datetime
    headers: dict[bytes, bytes]
    #: W3C trace context for the work that follows; "" when the request is not traced.
    traceparent: str = ""
    #: Set once the key was verified.
    principal: Principal | None = None
    #: Every refusal of the content, for the answer; the first is the one that counts.
    refusals: Sequence[DomainError] = field(default_factory=tuple)
    #: What the answer tells of rate limits, whatever becomes of the request.
    limit_headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def caller(self) -> Caller:
        """Who calls; only on routes that ask for a key."""
        return self._known.caller

    @property
    def cause(self) -> Cause:
        """Why an event of this request happened."""
        return Cause(self._known.actor, self.at, self.request_id, self.traceparent)

    @property
    def _known(self) -> Principal:
        assert self.principal is not None, "the route asks for a key"
        return self.principal


def arrive(
    scope: MutableMapping[str, Any],
    clock: Callable[[], datetime],
    new_id: Callable[[datetime], UUID],
) -> Arrival:
    """Stamp a request with its time and its id: the client's own, if it can be kept."""
    headers = dict(scope["headers"])
    at = clock()
    given = headers.get(b"x-request-id")
    if given is not None and _GIVEN_ID.fullmatch(given):
        request_id = given.decode()
    else:
        request_id = REQUEST_PREFIX + new_id(at).hex
    arrival = Arrival(request_id, at, headers)
    scope[_SCOPE_KEY] = arrival
    return arrival


def arrival_of(scope: Any) -> Arrival:
    """Return what is known of the request that a scope belongs to."""
    return cast("Arrival", scope[_SCOPE_KEY])
