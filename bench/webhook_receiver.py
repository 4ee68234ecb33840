"""A customer's server that answers at once, or hangs: as little work as a server can make."""

import asyncio
import json
import os
import time
from typing import Any

import httptools
import uvloop

PORT = "BENCH_RECEIVER_PORT"
HANG_SECONDS = 15.0

_TAKEN = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


class Tally:
    """What came, and how long after it was made."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.count = 0
        self.hung = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self.waits: list[float] = []
        self.ids: set[str] = set()

    def note(self, event_id: str, body: bytes) -> None:
        """Count one that was answered."""
        now = time.time()
        self.first_at = self.first_at or now
        self.last_at = now
        self.count += 1
        self.ids.add(event_id)
        self.waits.append(now - json.loads(body).get("made_at", now))

    def summary(self) -> dict[str, Any]:
        """Return the figures so far."""
        waits = sorted(self.waits) or [0.0]
        return {
            "count": self.count,
            "distinct": len(self.ids),
            "hung": self.hung,
            "seconds": self.last_at - self.first_at,
            "p50_ms": waits[len(waits) // 2] * 1_000,
            "p99_ms": waits[len(waits) * 99 // 100] * 1_000,
        }


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._url = b""
        self._event_id = ""
        self._body = bytearray()

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """A request begins."""
        self._url = url
        self._body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only the id is of interest."""
        if name.lower() == b"webhook-id":
            self._event_id = value.decode()

    def on_body(self, body: bytes) -> None:
        """A part of the event."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer, at once or much later."""
        if self._url == b"/stats":
            text = json.dumps(self._tally.summary()).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
            self._transport.write(head + text)
        elif self._url == b"/clear":
            self._tally.clear()
            self._transport.write(_TAKEN)
        elif self._url.startswith(b"/hang"):
            self._tally.hung += 1
            asyncio.get_running_loop().call_later(HANG_SECONDS, self._answer_late)
        else:
            self._tally.note(self._event_id, bytes(self._body))
            self._transport.write(_TAKEN)

    def _answer_late(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_TAKEN)


async def _serve() -> None:
    tally = Tally()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Receiver(tally), "127.0.0.1", int(os.environ[PORT]), backlog=2_048
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
