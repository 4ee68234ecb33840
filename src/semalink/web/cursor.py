"""Cursors: opaque, signed, and good only with the filters that they were given out with."""

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

from semalink.web.problems import EdgeRefusal

_ID_LENGTH = 16
_FILTERS_LENGTH = 8
_SIGNATURE_LENGTH = 16
_LENGTH = _ID_LENGTH + _FILTERS_LENGTH + _SIGNATURE_LENGTH


class Cursors:
    """Makes and checks cursors under one key, which all processes share."""

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, b"semalink.cursor.1", "sha256")

    def write(self, last_id: UUID, filters: str) -> str:
        """Return the cursor to what follows ``last_id`` under these filters."""
        payload = last_id.bytes + _digest(filters)
        return base64.urlsafe_b64encode(payload + self._sign(payload)).rstrip(b"=").decode()

    def read(self, cursor: str | None, filters: str) -> UUID | None:
        """Return the id that a cursor stands for; raises EdgeRefusal when it does not fit."""
        if cursor is None:
            return None
        raw = _decode(cursor)
        payload, signature = raw[:-_SIGNATURE_LENGTH], raw[-_SIGNATURE_LENGTH:]
        if len(raw) != _LENGTH or not hmac.compare_digest(self._sign(payload), signature):
            raise EdgeRefusal("invalid_cursor", "The cursor is not one that was given out.")
        if payload[_ID_LENGTH:] != _digest(filters):
            raise EdgeRefusal("invalid_cursor", "The cursor was given out with other filters.")
        return UUID(bytes=payload[:_ID_LENGTH])

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")[:_SIGNATURE_LENGTH]


def _digest(filters: str) -> bytes:
    return hashlib.sha256(filters.encode()).digest()[:_FILTERS_LENGTH]


def _decode(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
