"""Answers as ASGI applications: what an answer costs on the hot path is two calls of ``send``."""

from collections.abc import Sequence

from litestar.types import Receive, Scope, Send

JSON = b"application/json"

#: What every answer of an API says: no sniffing, no framing, no caching, no content of others.
API_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)


class Reply:
    """An answer whose body is at hand; Litestar sends it as it is."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        media_type: bytes = JSON,
    ) -> None:
        self._status = status
        self._body = body
        self._headers = headers
        if status != 204:
            self._headers = [
                (b"content-type", media_type),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; to HEAD, without its body."""
        await send(
            {
                "type": "http.response.start",
                "status": self._status,
                "headers": list(self._headers),
            }
        )
        body = b"" if scope.get("method") == "HEAD" else self._body
        await send({"type": "http.response.body", "body": body, "more_body": False})
