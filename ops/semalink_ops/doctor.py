"""Checks an installation: what is so, what is not as it must be, and how to mend it."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
import nats.errors
import psycopg
from nats.js.errors import APIError

from semalink.application.bus import BrokerUnfit
from semalink_adapters.jetstream.broker_check import check_server
from semalink_adapters.jetstream.connection import BusConnection
from semalink_adapters.jetstream.streams import Difference, Topology, check_drift, mend
from semalink_adapters.postgres.migrate import current_and_head
from semalink_adapters.postgres.partitions import PARTITIONED, month_start
from semalink_ops.settings import PREFIX, Settings, find_unknown

_OLDEST_POSTGRES = 160_000
_CONNECT_SECONDS = 5
#: What acknowledged data needs to survive a crash.
_DURABLE = {"fsync": "on", "full_page_writes": "on"}
#: Any of these waits for the local disk.
_SYNCHRONOUS = frozenset({"on", "local", "remote_write", "remote_apply"})
#: Variables of our own programs that are no settings of a process.
_OF_CLIENTS = frozenset({"SEMALINK_API_URL", "SEMALINK_API_KEY"})


class Finding(msgspec.Struct, frozen=True):
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
    unknown = [
        Finding("settings", "variable is known", ok=False, detail=sentence, remedy="Unset it.")
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
    detail = f"live messages go through {', '.join(routes) or 'nobody'}"
    remedy = f"Set {PREFIX}CELCOM_* or {PREFIX}AFRICASTALKING_*: partner or user, key and secret."
    outward = Finding("settings", "aggregators", bool(routes), detail, None if routes else remedy)
    return [*unknown, outward]


async def examine_database(settings: Settings, now: datetime) -> list[Finding]:
    """Look at the server, its durability, the schema and the partitions."""
    url = settings.database_url.reveal()
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=_CONNECT_SECONDS
        )
    except psycopg.OperationalError as error:
        return [
            Finding(
                "database",
                "reachable",
                ok=False,
                detail=_first_line(error),
                remedy=f"Start it (`semalink up` starts one), or correct {PREFIX}DATABASE_URL.",
            )
        ]
    async with connection:
        found = [
            Finding("database", "reachable", ok=True, detail="it answers"),
            _version_of(connection),
            *[finding async for finding in _durability(connection)],
        ]
        schema = _schema(url)
        found.append(schema)
        if schema.ok:
            found.append(await _partitions(connection, now))
    return found


async def examine_broker(settings: Settings) -> list[Finding]:
    """Look at the servers, and at the streams on them."""
    async with _broker(settings) as connection:
        if not await connection.wait_connected(_CONNECT_SECONDS):
            remedy = f"Start it (`semalink up` starts one), or correct {PREFIX}NATS_URL."
            return [Finding("broker", "reachable", False, "it does not answer", remedy)]
        found = [Finding("broker", "reachable", ok=True, detail="it answers")]
        try:
            report = await check_server(connection.client, monitor_urls=settings.nats_monitor_urls)
        except BrokerUnfit as error:
            found.append(Finding("broker", "server", False, str(error), "Do what it says."))
        else:
            found.append(Finding("broker", "server", ok=True, detail=f"version {report.version}"))
            found.append(_sync(report.sync_always))
        found.append(await _streams(connection, settings))
    return found


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
    is_new = number >= _OLDEST_POSTGRES
    return Finding(
        "database",
        "version",
        is_new,
        f"PostgreSQL {number // 10_000}.{number % 10_000}",
        None if is_new else f"Upgrade it to {_OLDEST_POSTGRES // 10_000} or later.",
    )


async def _durability(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[Finding]:
    for name, wanted in _DURABLE.items():
        found = await _setting(connection, name)
        remedy = f"Set {name} = {wanted} in postgresql.conf and restart the server."
        is_so = found == wanted
        yield Finding("database", name, is_so, f"{name} = {found}", None if is_so else remedy)
    found = await _setting(connection, "synchronous_commit")
    remedy = "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();"
    is_so = found in _SYNCHRONOUS
    yield Finding(
        "database",
        "synchronous_commit",
        is_so,
        f"synchronous_commit = {found}",
        None if is_so else remedy,
    )


async def _setting(connection: psycopg.AsyncConnection[Any], name: str) -> str:
    cursor = await connection.execute("SELECT current_setting(%s)", (name,))
    row = await cursor.fetchone()
    assert row is not None, "a setting that exists has a value"
    return str(row[0])


def _schema(url: str) -> Finding:
    current, newest = current_and_head(url)
    is_current = current == newest
    detail = f"revision {current or 'none'}, this release has {newest}"
    return Finding(
        "database",
        "migrations",
        is_current,
        detail,
        None if is_current else "Run `semalink migrate`.",
    )


async def _partitions(connection: psycopg.AsyncConnection[Any], now: datetime) -> Finding:
    names = [
        f"{table}_{month_start(now, months):%Y_%m}" for table in PARTITIONED for months in (0, 1)
    ]
    cursor = await connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", (names,)
    )
    missing = [row[0] for row in await cursor.fetchall()]
    detail = f"missing: {', '.join(missing)}" if missing else "this and the next month are there"
    return Finding(
        "database",
        "partitions",
        not missing,
        detail,
        "Run `semalink migrate`, which makes them." if missing else None,
    )


def _sync(sync_always: bool | None) -> Finding:
    if sync_always is None:
        return Finding(
            "broker",
            "disk sync",
            ok=True,
            detail=f"cannot be seen; set {PREFIX}NATS_MONITOR_URLS to have it checked",
        )
    return Finding("broker", "disk sync", ok=True, detail="sync_interval = always")


async def _streams(connection: BusConnection, settings: Settings) -> Finding:
    try:
        await check_drift(connection.js, _topology(settings))
    except BrokerUnfit as error:
        return Finding(
            "broker", "streams", False, str(error), "Run `semalink doctor --mend-streams`."
        )
    except (nats.errors.Error, APIError, TimeoutError) as error:
        detail = f"JetStream does not answer ({type(error).__name__})"
        return Finding(
            "broker", "streams", False, detail, "Enable JetStream in the server's configuration."
        )
    return Finding("broker", "streams", ok=True, detail="as declared")


def _topology(settings: Settings) -> Topology:
    return Topology(settings.nats_replicas, settings.nats_bytes_divisor)


def _first_line(error: Exception) -> str:
    return str(error).strip().split(os.linesep, 1)[0]
