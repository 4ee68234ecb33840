"""Keeps the credits in order beside the relay: expiry and warnings."""

import asyncio
from uuid import UUID

import structlog

from semalink.application.bus import NotReady
from semalink.application.credit_keeping import CreditKeeper
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink_adapters.postgres.credit_watch import PostgresCreditWatch
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import new_request_id, utc_now, wait_for_stop

SWEEP_SECONDS = 5.0

_log = structlog.get_logger(__name__)


async def keep_credits(core: Core, stop: asyncio.Event) -> None:
    """Expire what is due and tell who is low, until the stop; any number of processes may."""
    keeper = CreditKeeper(
        core.ledger,
        PostgresCreditWatch(core.pool),
        now=utc_now,
        new_request_id=lambda: new_request_id("job_"),
        on_low=_tell_low,
        on_stuck=_tell_stuck,
    )
    while not await wait_for_stop(stop, SWEEP_SECONDS):
        try:
            core.metrics.reservations_expired(await keeper.expire_due())
            core.metrics.accounts_low(await keeper.look_for_low())
        except NotReady:
            _log.warning("credit_keeping_postponed")


def _tell_low(account_id: UUID) -> None:
    _log.warning("credit_limit_neared", account_id=format_id(ACCOUNT_PREFIX, account_id))


def _tell_stuck(reservation_id: UUID) -> None:
    # `semalink ledger verify` says what is wrong with it.
    _log.error("reservation_stuck", reservation_id=reservation_id.hex)
