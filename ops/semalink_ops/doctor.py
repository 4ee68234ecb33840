"""Checks an installation: what is so, what is not as it must be, and how to mend it."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
import nats.errors
import psycopg

from semalink.application.bus import BrokerUnfit
from semalink_adapters.jetstream.broker_check import check_server
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.streams import Difference, Topology, check_drift, mend
from semalink_adapters.postgres.append_only import weaknesses
from semalink_adapters.postgres.migrate import current_and_head
from semalink_adapters.postgres.partitions import PARTITIONED, month_start
from semalink_ops.dedicated_routes import load_dedicated_routes
from semalink_ops.settings import PREFIX, Settings, SettingsInvalid, find_unknown

_OLDEST_POSTGRES = 160_000
_CONNECT_SECONDS = 5
#: What acknowledged data needs to survive a crash.
_DURABLE = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    # Each of these waits for the local disk.
    "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
}
#: Variables of our own programs that are no settings of a process.
_OF_CLIENTS = frozenset({"SEMALINK_API_URL", "SEMALINK_API_KEY"})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    #: "settings", "database" or "broker".
    part: str
    check: str
    ok: bool
    detail: str
    #: What to do; None when all is well.
    remedy: str | None = None


async def examine(
    settings: Settings, environment: Mapping[str, str], now: datetime
) -> list[Finding]:
    """Look at everything; a part that is away is one finding, and ends the look at that part."""
    return [
        *examine_settings(settings, environment),
        *await examine_database(settings, now),
        *await examine_broker(settings),
    ]


def examine_settings(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Look at the variables, and at whether messages have a way out."""
    known = {name: text for name, text in environment.items() if name not in _OF_CLIENTS}
    found = [
        _wrong("settings", "variables", sentence, "Unset it, or spell it right.")
        for sentence in find_unknown(known)
    ]
    routes = [
        name
        for name, user in (
            ("celcom", settings.celcom_partner_id),
            ("africastalking", settings.africastalking_username),
        )
        if user
    ]
    if routes:
        found.append(_well("settings", "aggregators", f"messages go through {', '.join(routes)}"))
    else:
        remedy = f"Set {PREFIX}CELCOM_… or {PREFIX}AFRICASTALKING_…: who we are, key and secret."
        found.append(_wrong("settings", "aggregators", "no live message has a way out", remedy))
    return [*found, *_dedicated(settings), _signing(settings)]


async def examine_database(settings: Settings, now: datetime) -> list[Finding]:
    """Look at the server, its durability, the schema and the partitions."""
    url = settings.database_url.reveal()
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=_CONNECT_SECONDS
        )
    except psycopg.OperationalError as error:
        remedy = f"Start it (`semalink up` starts one), or correct {PREFIX}DATABASE_URL."
        why = str(error).strip().split(os.linesep, 1)[0]
        return [_wrong("database", "reachable", why, remedy)]
    async with connection:
        found = [
            _well("database", "reachable", "it answers"),
            _version_of(connection),
            *[await _durability(connection, name) for name in _DURABLE],
        ]
        current, newest = current_and_head(url)
        if current != newest:
            detail = f"revision {current or 'none'}, and this release has {newest}"
            found.append(_wrong("database", "migrations", detail, "Run `semalink migrate`."))
        else:
            found.append(_well("database", "migrations", f"revision {current}"))
            found.append(await _partitions(connection, now))
            found.append(await asyncio.to_thread(_append_only, url))
    return found


async def examine_broker(settings: Settings) -> list[Finding]:
    """Look at the servers, and at the streams on them."""
    async with _broker(settings) as connection:
        if not await connection.wait_connected(_CONNECT_SECONDS):
            remedy = f"Start it (`semalink up` starts one), or correct {PREFIX}NATS_URL."
            return [_wrong("broker", "reachable", "it does not answer", remedy)]
        return [
            _well("broker", "reachable", "it answers"),
            *await _server(connection, settings),
            await _streams(connection, settings),
        ]


async def mend_streams(settings: Settings) -> Sequence[Difference]:
    """Make the streams and consumers as they are declared; return what was changed."""
    async with _broker(settings) as connection:
        if not await connection.wait_connected(_CONNECT_SECONDS):
            raise BrokerAway
        return await mend(connection.js, _topology(settings))


class BrokerAway(BrokerUnfit):
    """The broker does not answer."""

    def __init__(self) -> None:
        super().__init__(f"The broker does not answer. Start it, or correct {PREFIX}NATS_URL.")


@asynccontextmanager
async def _broker(settings: Settings) -> AsyncIterator[BusConnection]:
    connection = BusConnection(settings.nats_url.reveal(), "semalink-doctor")
    connection.start()
    try:
        yield connection
    finally:
        await connection.close()


def _version_of(connection: psycopg.AsyncConnection[Any]) -> Finding:
    number = connection.info.server_version
    detail = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < _OLDEST_POSTGRES:
        remedy = f"Upgrade it to {_OLDEST_POSTGRES // 10_000} or later."
        return _wrong("database", "version", detail, remedy)
    return _well("database", "version", detail)


async def _durability(connection: psycopg.AsyncConnection[Any], name: str) -> Finding:
    cursor = await connection.execute("SELECT current_setting(%s)", (name,))
    row = await cursor.fetchone()
    assert row is not None, "a setting that exists has a value"
    detail = f"{name} = {row[0]}"
    if row[0] not in _DURABLE[name]:
        remedy = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
        return _wrong("database", name, detail, remedy)
    return _well("database", name, detail)


async def _partitions(connection: psycopg.AsyncConnection[Any], now: datetime) -> Finding:
    names = [
        f"{table}_{month_start(now, months):%Y_%m}" for table in PARTITIONED for months in (0, 1)
    ]
    cursor = await connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", (names,)
    )
    missing = [row[0] for row in await cursor.fetchall()]
    if missing:
        remedy = "Run `semalink migrate`, which makes them."
        return _wrong("database", "partitions", f"{', '.join(missing)} missing", remedy)
    return _well("database", "partitions", "this month's and the next month's are there")


def _append_only(url: str) -> Finding:
    with psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
        found = weaknesses(connection)
    if found:
        return _wrong("database", "append-only", "; ".join(found), "Run `semalink migrate`.")
    return _well("database", "append-only", "the role that serves customers cannot change a log")


def _signing(settings: Settings) -> Finding:
    if settings.ledger_signing_key is None:
        remedy = f"Set {PREFIX}LEDGER_SIGNING_KEY to `openssl rand -base64 32`, and keep it."
        return _wrong("settings", "signing key", "no checkpoint of the ledger is signed", remedy)
    return _well("settings", "signing key", "checkpoints of the ledger are signed")


async def _server(connection: BusConnection, settings: Settings) -> list[Finding]:
    monitors = settings.nats_monitor_urls
    try:
        report = await check_server(connection.client, monitor_urls=monitors)
    except BrokerUnfit as error:
        remedy = "Change the server as it says, and restart it."
        return [_wrong("broker", "server", str(error), remedy)]
    sync = (
        "sync_interval = always"
        if report.sync_always
        else f"cannot be seen; set {PREFIX}NATS_MONITOR_URLS to have it checked"
    )
    return [
        _well("broker", "server", f"NATS {report.version}"),
        _well("broker", "disk sync", sync),
    ]


async def _streams(connection: BusConnection, settings: Settings) -> Finding:
    try:
        await check_drift(connection.js, _topology(settings))
    except BrokerUnfit as error:
        return _wrong("broker", "streams", str(error), "Run `semalink doctor --mend-streams`.")
    except (nats.errors.Error, TimeoutError) as error:
        detail = f"JetStream does not answer ({type(error).__name__})"
        remedy = "Enable JetStream in the server's configuration."
        return _wrong("broker", "streams", detail, remedy)
    return _well("broker", "streams", "as declared")


def _topology(settings: Settings) -> Topology:
    return Topology(settings.nats_replicas, settings.nats_bytes_divisor)


def _dedicated(settings: Settings) -> list[Finding]:
    try:
        names = [each.name for each in load_dedicated_routes(settings)]
    except SettingsInvalid as invalid:
        remedy = "Mend the file, or unset the variable."
        return [_wrong("settings", "dedicated routes", str(invalid), remedy)]
    return [_well("settings", "dedicated routes", ", ".join(names))] if names else []


def _well(part: str, check: str, detail: str) -> Finding:
    return Finding(part=part, check=check, ok=True, detail=detail)


def _wrong(part: str, check: str, detail: str, remedy: str) -> Finding:
    return Finding(part=part, check=check, ok=False, detail=detail, remedy=remedy)
