"""Who calls: API keys looked up once a second at most, and the rights that routes ask for."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from litestar.types import ASGIApp, Receive, Scope, Send

from semalink.application.reading import Reads
from semalink.web.api_key import hash_key, is_well_formed
from semalink.web.arrival import Arrival, Principal, arrival_of
from semalink.web.operation import operation_of
from semalink.web.problems import EdgeRefusal

TTL_SECONDS = 1.0
#: Keys remembered, of those that work and of those that do not.
REMEMBERED_MAX = 10_000

_BEARER = b"bearer "
_CHALLENGE = 'Bearer realm="semalink"'


class _Remembered(NamedTuple):
    principal: Principal | None
    good_until: float


class KeyRing:
    """Keys that were looked up a moment ago; keeps hashes, never keys."""

    def __init__(
        self,
        reads: Reads,
        pepper: bytes,
        monotonic: Callable[[], float],
        *,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self._reads = reads
        self._pepper = pepper
        self._monotonic = monotonic
        self._remembered_max = remembered_max
        # Apart, so that no flood of wrong keys pushes out those that work.
        self._valid: dict[bytes, _Remembered] = {}
        self._invalid: dict[bytes, _Remembered] = {}
        self._pending: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._forgotten = 0

    async def principal(self, key: str) -> Principal | None:
        """Return who a key speaks for; raises ReadsUnavailable when that cannot be known."""
        if not is_well_formed(key):
            return None
        key_hash = hash_key(key, self._pepper)
        known = self._valid.get(key_hash) or self._invalid.get(key_hash)
        if known is not None and self._monotonic() < known.good_until:
            return known.principal
        pending = self._pending.get(key_hash)
        if pending is None:
            pending = asyncio.create_task(self._look_up(key_hash))
            self._pending[key_hash] = pending
            pending.add_done_callback(lambda done: self._settle(key_hash, done))
        # One client that goes away must not fail the others that wait for the same key.
        return await asyncio.shield(pending)

    def forget(self, api_key_id: UUID) -> None:
        """Look a key up anew at its next use, because it may have been revoked."""
        self._begin_anew()
        for key_hash, known in list(self._valid.items()):
            if known.principal and known.principal.caller.api_key_id == api_key_id:
                del self._valid[key_hash]

    def forget_all(self) -> None:
        """Look every key up anew at its next use, because one of them was revoked."""
        self._begin_anew()
        self._valid.clear()

    def _begin_anew(self) -> None:
        # What was read before a revocation may be neither remembered nor handed on after it.
        self._forgotten += 1
        self._pending.clear()

    async def _look_up(self, key_hash: bytes) -> Principal | None:
        forgotten = self._forgotten
        caller = await self._reads.caller(key_hash)
        principal = None if caller is None else Principal.of(caller)
        self._valid.pop(key_hash, None)
        self._invalid.pop(key_hash, None)
        if forgotten == self._forgotten:
            remembered = self._invalid if principal is None else self._valid
            while len(remembered) >= self._remembered_max:
                del remembered[next(iter(remembered))]
            remembered[key_hash] = _Remembered(principal, self._monotonic() + TTL_SECONDS)
        return principal

    def _settle(self, key_hash: bytes, done: "asyncio.Task[Principal | None]") -> None:
        if self._pending.get(key_hash) is done:
            del self._pending[key_hash]
        if not done.cancelled():
            # Marks a failure as seen, also when everyone who waited for it has gone.
            done.exception()


class Authenticate:
    """Lets a request in when its key has one of the scopes that its operation asks for.

    Every operation asks for scopes or says that it is public, so none is open by oversight.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key_ring: KeyRing | None,
        on_request: Callable[[Arrival], None] | None = None,
    ) -> None:
        self._app = app
        self._key_ring = key_ring
        self._on_request = on_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who calls, then go on."""
        operation = operation_of(scope)
        if operation is not None and operation.scopes:
            arrival = arrival_of(scope)
            await self._admit(arrival, operation.scopes)
            if self._on_request is not None and not operation.counts_messages:
                self._on_request(arrival)
        await self._app(scope, receive, send)

    async def _admit(self, arrival: Arrival, scopes: frozenset[str]) -> None:
        assert self._key_ring is not None, "an application with keys has a key ring"
        header = arrival.headers.get(b"authorization")
        if header is None or header[:7].lower() != _BEARER:
            raise _unauthorised("missing_api_key", "There is no Authorization: Bearer header.")
        principal = await self._key_ring.principal(header[7:].strip().decode("latin-1"))
        if principal is None:
            raise _unauthorised("invalid_api_key", "The key does not exist or was revoked.")
        if scopes.isdisjoint(principal.caller.scopes):
            needed = " or ".join(sorted(scopes))
            raise EdgeRefusal("forbidden", f"The operation asks for the scope {needed}.")
        arrival.principal = principal


def _unauthorised(code: str, detail: str) -> EdgeRefusal:
    error = ', error="invalid_token"' if code == "invalid_api_key" else ""
    return EdgeRefusal(code, detail, headers={"WWW-Authenticate": _CHALLENGE + error})


def authenticating(
    key_ring: KeyRing | None, on_request: Callable[[Arrival], None] | None = None
) -> Callable[[Any], Authenticate]:
    """Return the middleware that checks keys against this ring.

    ``on_request`` may refuse what a key asks for, unless the operation counts messages itself.
    """

    def wrap(app: ASGIApp) -> Authenticate:
        return Authenticate(app, key_ring=key_ring, on_request=on_request)

    return wrap
