import asyncio

from tests.integration.postgres.conftest import Desk
from uuid_utils.compat import uuid7

from semalink.application.sending import AcceptBatch
from semalink_adapters.postgres.command_queue import BATCH_MAX
from semalink_adapters.postgres.group_commit import GroupCommit

MESSAGES = 200


async def test_commands_about_many_messages_share_no_long_transaction(database_url: str) -> None:
    batch_sizes: list[int] = []
    async with GroupCommit(
        database_url, on_batch=lambda count, _: batch_sizes.append(count)
    ) as ledger:
        desk = Desk(ledger)
        account_id = await desk.open_account(message_count=8 * MESSAGES)
        batch_sizes.clear()

        await asyncio.gather(
            *(
                ledger.execute(
                    AcceptBatch(
                        [uuid7() for _ in range(MESSAGES)],
                        account_id,
                        [desk.accepting(account_id).checked] * MESSAGES,
                        desk.cause(),
                        None,
                    )
                )
                for _ in range(8)
            )
        )

    assert sum(batch_sizes) == 8
    assert max(batch_sizes) * MESSAGES < BATCH_MAX + MESSAGES
