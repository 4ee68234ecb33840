"""Signs checkpoints over the ledger every few seconds while credits move."""

import asyncio
from typing import Any

import psycopg
import structlog

from semalink_adapters.ed25519 import Signer
from semalink_adapters.postgres import checkpoints
from semalink_adapters.postgres.sessions import BOUNDED, CONNECT_TIMEOUT_SECONDS, KEEPALIVES
from semalink_ops.bootstrap import Core
from semalink_ops.runtime import utc_now, wait_for_stop
from semalink_ops.signing import signer_of

_log = structlog.get_logger()


async def sign_checkpoints(core: Core, stop: asyncio.Event) -> None:
    """Take checkpoints until the stop; without a signing key do nothing.

    Several relays may do it: one takes a checkpoint at a time, and the others find nothing moved.
    """
    signer = signer_of(core.settings)
    if signer is None:
        _log.warning("checkpoints_off", setting="SEMALINK_LEDGER_SIGNING_KEY")
        return
    taker = Taker(core.settings.database_url.reveal(), signer)
    sound_at = utc_now()
    try:
        while not await wait_for_stop(stop, core.settings.checkpoint_seconds):
            try:
                await asyncio.to_thread(taker.take)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                _log.warning("checkpoint_postponed")
                taker.close()
            else:
                sound_at = utc_now()
            core.metrics.checkpoint_aged((utc_now() - sound_at).total_seconds())
    finally:
        taker.close()


class Taker:
    """Takes checkpoints over a connection of its own, made anew when it broke."""

    def __init__(self, database_url: str, signer: Signer) -> None:
        self._database_url = database_url
        self._signer = signer
        self._connection: psycopg.Connection[Any] | None = None

    def take(self) -> None:
        """Take one, when any head moved."""
        if self._connection is None:
            self._connection = psycopg.connect(
                self._database_url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name="semalink-checkpoints",
                options=BOUNDED,
                **KEEPALIVES,
            )
        taken = checkpoints.take(self._connection, self._signer, utc_now())
        if taken is not None:
            _log.debug("checkpoint_taken", number=taken.checkpoint.number)

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
