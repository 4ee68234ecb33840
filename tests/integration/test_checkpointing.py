import base64
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount
from semalink.domain.account import Kind, Tier
from semalink.domain.cause import Cause
from semalink_adapters.ed25519 import Signer
from semalink_adapters.postgres.checkpoints import latest
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_ops.checkpointing import Taker
from semalink_ops.runtime import utc_now
from semalink_ops.settings import Settings
from semalink_ops.signing import known_keys, signer_of

SEED = bytes(range(32))


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


async def test_taker_signs_with_the_rights_of_writers_and_goes_on_after_a_break(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    taker = Taker(database_url, Signer(SEED))
    numbers = []
    async with GroupCommit(database_url) as ledger:
        for _ in range(2):
            cause = Cause("operator:test", utc_now(), "req_test")
            await ledger.execute(OpenAccount(uuid7(), "A", Kind.DIRECT, Tier.STARTER, cause))

            taker.take()

            taken = latest(connection)
            assert taken is not None
            numbers.append(taken.checkpoint.number)
            taker.close()

    assert numbers == [1, 2]


def test_keys_of_the_settings_are_the_one_that_signs_and_the_retired_ones(
    database_url: str,
) -> None:
    retired = Signer(bytes(32)).public_key
    settings = Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": "nats://127.0.0.1:9",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            "SEMALINK_LEDGER_SIGNING_KEY": base64.b64encode(SEED).decode(),
            "SEMALINK_LEDGER_RETIRED_KEYS": base64.b64encode(retired).decode(),
        }
    )

    signer = signer_of(settings)

    assert signer is not None
    assert known_keys(settings) == {signer.public_key, retired}
