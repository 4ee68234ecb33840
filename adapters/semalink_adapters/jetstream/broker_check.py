"""What the broker must be before anything runs on it: new enough, and on disk before it answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
from nats.aio.client import Client

from semalink.application.bus import BrokerUnfit

OLDEST_VERSION = (2, 15, 1)

_MONITOR_SECONDS = 5.0
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


class BrokerRefused(BrokerUnfit):
    """The broker may lose what it acknowledged; the message says what to change."""


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """What was found out about the broker."""

    version: str
    #: None when no monitoring address was given: a client cannot see it.
    sync_always: bool | None


class _JetStreamSettings(msgspec.Struct):
    sync_always: bool = False


class _JetStream(msgspec.Struct):
    config: _JetStreamSettings = msgspec.field(default_factory=_JetStreamSettings)


class _Varz(msgspec.Struct):
    version: str
    jetstream: _JetStream = msgspec.field(default_factory=_JetStream)


async def check_server(
    client: Client, *, monitor_urls: Sequence[str] = (), require_sync: bool = False
) -> BrokerReport:
    """Raise BrokerRefused when a server is too old or answers before its disk has the message.

    A client sees the version of its own server only. Give the monitoring address of each server
    of a cluster to have all of them looked at.
    """
    version = str(client.connected_server_version).removeprefix("<nats server v").removesuffix(">")
    check_version(version)
    for url in monitor_urls:
        varz = await _read_varz(url)
        check_version(varz.version)
        if not varz.jetstream.config.sync_always:
            raise BrokerRefused(
                f"The NATS server {varz.version} acknowledges before its disk has the message. "
                "Set `sync_interval: always` in the `jetstream` section of its configuration."
            )
    if require_sync and not monitor_urls:
        raise BrokerRefused(
            "Whether the NATS server syncs its disk cannot be seen. "
            "Open its monitoring port and set SEMALINK_NATS_MONITOR_URLS."
        )
    return BrokerReport(version, sync_always=True if monitor_urls else None)


def check_version(version: str) -> None:
    """Raise BrokerRefused for a server that is older than the oldest that we trust."""
    match = _VERSION.match(version)
    # A build before the release of its number does not have what the release has.
    if match is None or "-" in version or tuple(map(int, match.groups())) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise BrokerRefused(
            f"The NATS server is {version}; {oldest} is the oldest that keeps what it "
            "acknowledged. Upgrade it."
        )


async def _read_varz(url: str) -> _Varz:
    timeout = aiohttp.ClientTimeout(total=_MONITOR_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/varz") as response,
        ):
            response.raise_for_status()
            return msgspec.json.decode(await response.read(), type=_Varz)
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
        raise BrokerRefused(
            "The monitoring port of the NATS server gave no readable answer "
            f"({type(error).__name__}). Check SEMALINK_NATS_MONITOR_URLS."
        ) from error
