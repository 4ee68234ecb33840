"""The accounts and keys of the quick start: drawn once, then recorded if they are not yet."""

from pathlib import Path
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.errors import PaymentReferenceReused
from semalink.domain.ids import API_KEY_PREFIX, REQUEST_PREFIX, format_id
from semalink.domain.money import MICROS_PER_CREDIT
from semalink.web.api_key import make_key
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.reads import PostgresReads
from semalink_ops.embedded.data_folder import write_private
from semalink_ops.key_issue import (
    CUSTOMER_SCOPES,
    OPERATOR_MODE,
    OPERATOR_SCOPES,
    KeyRequest,
    prepare_known_key,
)
from semalink_ops.runtime import new_request_id, utc_now
from semalink_ops.settings import Settings

_ACTOR = "cli:up"
_TOP_UP_MICROS = 1_000 * MICROS_PER_CREDIT
_PAYMENT_REFERENCE = "quickstart"
_APPLICATION_NAME = "semalink-up"


class DemoKey(msgspec.Struct, frozen=True):
    """A key and its id."""

    api_key_id: UUID
    secret: str


class Demo(msgspec.Struct, frozen=True):
    """What the quick start consists of; kept in a private file before any of it is recorded."""

    account_id: UUID
    platform_account_id: UUID
    live: DemoKey
    test: DemoKey
    operator: DemoKey

    @classmethod
    def read_or_draw(cls, path: Path, pepper: bytes) -> "Demo":
        """Return what the file holds, after drawing it when there is none."""
        if not path.exists():
            drawn = cls(uuid7(), uuid7(), *(_draw(mode, pepper) for mode in _MODES))
            write_private(path, msgspec.json.encode(drawn).decode())
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def key_requests(self) -> list[tuple[DemoKey, KeyRequest]]:
        """Return each key with what it is to be allowed."""
        return [
            (key, KeyRequest(key.api_key_id, owner, "Quickstart", mode, scopes))
            for key, owner, mode, scopes in (
                (self.live, self.account_id, "live", CUSTOMER_SCOPES),
                (self.test, self.account_id, "test", CUSTOMER_SCOPES),
                (self.operator, self.platform_account_id, OPERATOR_MODE, OPERATOR_SCOPES[:1]),
            )
        ]


_MODES = ("live", "test", OPERATOR_MODE)


def _draw(mode: str, pepper: bytes) -> DemoKey:
    return DemoKey(uuid7(), make_key(mode, pepper).secret)


async def record_demo(demo: Demo, settings: Settings) -> None:
    """Record whatever of it is not in the database, so that any interruption is made good."""
    url = settings.database_url.reveal()
    pool = open_pool(url, size=1)
    await pool.open(wait=True)
    try:
        async with GroupCommit(url, application_name=_APPLICATION_NAME) as ledger:
            await _record(demo, settings, PostgresReads(pool), ledger)
    finally:
        await pool.close()


async def _record(
    demo: Demo, settings: Settings, reads: PostgresReads, ledger: GroupCommit
) -> None:
    for account_id, name, kind, tier in (
        (demo.account_id, "Quickstart", Kind.DIRECT, Tier.ENTERPRISE),
        (demo.platform_account_id, "Platform", Kind.PLATFORM, Tier.ENTERPRISE),
    ):
        if await reads.account(account_id) is None:
            await ledger.execute(OpenAccount(account_id, name, kind, tier, _cause()))
    pepper = settings.key_pepper.reveal().encode()
    for key, request in demo.key_requests():
        known = {one.id for one in await reads.api_keys(request.account_id)}
        if format_id(API_KEY_PREFIX, request.api_key_id) not in known:
            prepared = prepare_known_key(key.secret, request, pepper, _cause())
            await ledger.execute(prepared.command)
    await _top_up(demo.account_id, ledger)


async def _top_up(account_id: UUID, ledger: GroupCommit) -> None:
    try:
        await ledger.execute(TopUp(account_id, _TOP_UP_MICROS, _PAYMENT_REFERENCE, _cause()))
    except PaymentReferenceReused:
        # The database was given, and the quick start of another folder is in it.
        reference = f"{_PAYMENT_REFERENCE}-{account_id.hex}"
        await ledger.execute(TopUp(account_id, _TOP_UP_MICROS, reference, _cause()))


def _cause() -> Cause:
    return Cause(_ACTOR, utc_now(), new_request_id(REQUEST_PREFIX))
