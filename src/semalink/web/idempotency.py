"""The Idempotency-Key header: what makes two requests one."""

import hashlib
import re
from typing import Any

import msgspec

from semalink.application.ledger import Idempotency
from semalink.web.arrival import Arrival
from semalink.web.problems import EdgeRefusal

# Printable ASCII, bare or as a structured-field string, in which \ escapes a quote and itself.
_BARE = re.compile(rb"[!#-~][ -~]{0,254}")
_QUOTED = re.compile(rb'"(?P<text>(?:[ !#-\[\]-~]|\\["\\]){1,510})"')
_ESCAPED = re.compile(rb'\\(["\\])')
_LENGTH_MAX = 255

#: The header of an answer that was given before, and what it says.
REPLAYED = (b"idempotent-replayed", b"true")
REPLAYED_NOTE = {
    "Idempotent-Replayed": '"true" when the answer is the one of an earlier, equal request.'
}

#: Fields in one order, whatever order the client wrote them in.
_canonical = msgspec.json.Encoder(order="sorted")


def idempotency_of(arrival: Arrival, route: str, asked: Any) -> Idempotency | None:
    """Return the idempotency of a request, or None when it asks for none.

    A key holds within one account, one mode and one route: live and test keys share no outcomes.
    """
    header = arrival.headers.get(b"idempotency-key")
    if header is None:
        return None
    caller = arrival.caller
    fingerprint = hashlib.sha256(route.encode() + b"\n" + _canonical.encode(asked)).digest()
    return Idempotency(caller.account_id, f"{caller.mode}:{route}:{_read(header)}", fingerprint)


def _read(header: bytes) -> str:
    key = header.strip()
    quoted = _QUOTED.fullmatch(key)
    if quoted is not None:
        key = _ESCAPED.sub(rb"\1", quoted["text"])
    elif _BARE.fullmatch(key) is None:
        raise _malformed()
    if len(key) > _LENGTH_MAX:
        raise _malformed()
    return key.decode("ascii")


def _malformed() -> EdgeRefusal:
    detail = "The Idempotency-Key must be 1 to 255 printable ASCII characters."
    return EdgeRefusal("invalid_idempotency_key", detail)
