"""Answers that are made while they are sent, so that none is held whole."""

from collections.abc import AsyncIterator, Sequence

from litestar.types import Receive, Scope, Send


class StreamedReply:
    """An answer whose body comes piece by piece; what fails on the way cuts it off."""

    __slots__ = ("_headers", "_pieces")

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        media_type: bytes,
    ) -> None:
        self._pieces = pieces
        self._headers = [(b"content-type", media_type), *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; to HEAD, without its body."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if scope.get("method") != "HEAD":
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
