"""Cursors: opaque, signed, and good only with the filters that they were given out with."""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from semalink.application.history import Place
from semalink.web.problems import EdgeRefusal

_ID_LENGTH = 16
#: Microseconds since 1970, number of the log, version.
_PLACE_NUMBERS = struct.Struct(">qBq")
_PLACE_LENGTH = _PLACE_NUMBERS.size + _ID_LENGTH
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILTERS_LENGTH = 8
_SIGNATURE_LENGTH = 16


class _Signed:
    def __init__(self, pepper: bytes, purpose: bytes) -> None:
        self._key = hmac.digest(pepper, purpose, "sha256")

    def write(self, place: bytes, filters: str) -> str:
        payload = place + _digest(filters)
        return base64.urlsafe_b64encode(payload + self._sign(payload)).rstrip(b"=").decode()

    def read(self, cursor: str, filters: str, length: int) -> bytes:
        raw = _decode(cursor)
        payload, signature = raw[:-_SIGNATURE_LENGTH], raw[-_SIGNATURE_LENGTH:]
        is_whole = len(raw) == length + _FILTERS_LENGTH + _SIGNATURE_LENGTH
        if not is_whole or not hmac.compare_digest(self._sign(payload), signature):
            raise EdgeRefusal("invalid_cursor", "The cursor is not one that was given out.")
        if payload[length:] != _digest(filters):
            raise EdgeRefusal("invalid_cursor", "The cursor was given out with other filters.")
        return payload[:length]

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")[:_SIGNATURE_LENGTH]


class Cursors:
    """Makes and checks cursors under one key, which all processes share."""

    def __init__(self, pepper: bytes) -> None:
        self._signed = _Signed(pepper, b"semalink.cursor.1")

    def write(self, last_id: UUID, filters: str) -> str:
        """Return the cursor to what follows ``last_id`` under these filters."""
        return self._signed.write(last_id.bytes, filters)

    def read(self, cursor: str | None, filters: str) -> UUID | None:
        """Return the id that a cursor stands for; raises EdgeRefusal when it does not fit."""
        if cursor is None:
            return None
        return UUID(bytes=self._signed.read(cursor, filters, _ID_LENGTH))


class PlaceCursors:
    """Makes and checks cursors into a history, as Cursors does for lists by id."""

    def __init__(self, pepper: bytes) -> None:
        self._signed = _Signed(pepper, b"semalink.cursor.history.1")

    def write(self, place: Place, filters: str) -> str:
        """Return the cursor to what follows a place under these filters."""
        micros = (place.at - _EPOCH) // timedelta(microseconds=1)
        numbers = _PLACE_NUMBERS.pack(micros, place.source, place.version)
        return self._signed.write(numbers + place.id.bytes, filters)

    def read(self, cursor: str | None, filters: str) -> Place | None:
        """Return the place that a cursor stands for; raises EdgeRefusal when it does not fit."""
        if cursor is None:
            return None
        raw = self._signed.read(cursor, filters, _PLACE_LENGTH)
        micros, source, version = _PLACE_NUMBERS.unpack(raw[: _PLACE_NUMBERS.size])
        at = _EPOCH + timedelta(microseconds=micros)
        return Place(at, source, UUID(bytes=raw[_PLACE_NUMBERS.size :]), version)


class TextCursors:
    """Makes and checks cursors to places that are told by texts, as Cursors does for ids."""

    def __init__(self, pepper: bytes) -> None:
        self._signed = _Signed(pepper, b"semalink.cursor.text.1")

    def write(self, place: Sequence[str], filters: str) -> str:
        """Return the cursor to what follows a place under these filters."""
        return self._signed.write(msgspec.json.encode(place), filters)

    def read(self, cursor: str | None, filters: str) -> Sequence[str] | None:
        """Return the place that a cursor stands for; raises EdgeRefusal when it does not fit."""
        if cursor is None:
            return None
        length = max(0, len(_decode(cursor)) - _FILTERS_LENGTH - _SIGNATURE_LENGTH)
        place = self._signed.read(cursor, filters, length)
        return msgspec.json.decode(place, type=list[str])


def _digest(filters: str) -> bytes:
    return hashlib.sha256(filters.encode()).digest()[:_FILTERS_LENGTH]


def _decode(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
