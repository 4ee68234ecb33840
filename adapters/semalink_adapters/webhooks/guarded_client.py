"""The one way out to customers' endpoints: bounded, without redirects, and never into a network."""

import asyncio
import hashlib
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from aiohttp.abc import AbstractResolver

from semalink.application.endpoint_address import Network, is_public_host, why_unfit
from semalink_adapters.webhooks.resolver import PooledResolver

CONNECT_SECONDS_MAX = 3.0
TOTAL_SECONDS_MAX = 15.0
#: What is kept of an answer, for the customer to look at.
KEPT_BYTES = 4 * 1024
#: What is read of an answer; a longer one costs the connection.
READ_BYTES_MAX = 256 * 1024
KEEP_ALIVE_SECONDS = 60
#: An address that a name server gave is believed for so long.
NAMES_SECONDS = 10
USER_AGENT = "SemaLink-Webhooks/1"

_ADDED_BY_THE_CLIENT = frozenset({"Accept", "Accept-Encoding", "User-Agent"})


class Answer(NamedTuple):
    """What came of one call."""

    #: None when nothing readable came back.
    status: int | None
    #: dns, connect, tls, timeout, read, blocked_ip, unfit_url; None when there is a status.
    error_class: str | None
    headers: Mapping[str, str] = {}
    #: The first part of what was answered.
    body: bytes = b""
    #: Of everything that was read.
    body_sha256: str | None = None


class AddressForbidden(Exception):
    """The name of an endpoint stands for an address that nothing may be sent to."""


class GuardedClient:
    """Sends to public addresses only, whatever a name server says, at every dialling."""

    def __init__(
        self,
        *,
        allows_private: bool = False,
        extra_ports: frozenset[int] = frozenset(),
        also_forbidden: Sequence[Network] = (),
        resolver: AbstractResolver | None = None,
        total_seconds: float = TOTAL_SECONDS_MAX,
    ) -> None:
        self._allows_private = allows_private
        self._also_forbidden = also_forbidden
        self._why_unfit = lru_cache(4_096)(
            partial(
                why_unfit,
                allows_private=allows_private,
                extra_ports=extra_ports,
                also_forbidden=also_forbidden,
            )
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # What is under way is bounded by whoever calls, endpoint by endpoint.
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ttl_dns_cache=NAMES_SECONDS,
                resolver=resolver or PooledResolver(),
                # One after another: the first address that is forbidden ends the call.
                happy_eyeballs_delay=None,
                socket_factory=self._open_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=total_seconds, connect=CONNECT_SECONDS_MAX),
            skip_auto_headers=_ADDED_BY_THE_CLIENT,
            # What is packed small may be endless.
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one body; whatever goes wrong is in the answer."""
        if self._why_unfit(url) is not None:
            return Answer(None, "unfit_url")
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await _read(response)
        except AddressForbidden:
            return Answer(None, "blocked_ip")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Answer(None, _class_of(error))

    def _open_socket(self, address: Any) -> socket.socket:
        family, kind, proto, _, peer = address
        if not self._allows_private and not is_public_host(peer[0], self._also_forbidden):
            raise AddressForbidden
        return socket.socket(family, kind, proto)


async def _read(response: aiohttp.ClientResponse) -> Answer:
    kept = bytearray()
    digest = None
    size = 0
    while chunk := await response.content.readany():
        digest = digest or hashlib.sha256()
        digest.update(chunk)
        kept += chunk[: KEPT_BYTES - len(kept)]
        size += len(chunk)
        if size > READ_BYTES_MAX:
            response.close()
            break
    sha256 = digest.hexdigest() if digest else None
    return Answer(response.status, None, response.headers, bytes(kept), sha256)


def _class_of(error: Exception) -> str:
    for kinds, name in _CLASSES:
        if isinstance(error, kinds):
            return name
    return "read"


#: In this order: the earlier ones are special cases of the later ones.
_CLASSES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "dns"),
    ((aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError), "tls"),
    ((aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError), "connect"),
    ((TimeoutError, asyncio.TimeoutError), "timeout"),
    (aiohttp.InvalidURL, "unfit_url"),
)
