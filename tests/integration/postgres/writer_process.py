"""A process of its own that accepts messages, run by the tests as a script."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from semalink.application.ledger import Answer
from semalink.application.sending import AcceptMessage
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink.domain.errors import InsufficientCredits
from semalink_adapters.postgres.group_commit import GroupCommit


def _accepting(account_id: UUID, price_micros: int, number: int) -> AcceptMessage:
    cause = Cause("key:process", datetime.now(UTC), f"req_{number}")
    draft = Draft(
        account_id=account_id,
        billing_account_id=account_id,
        mode="live",
        to="+254712345678",
        country="KE",
        network=None,
        text="Hello",
        sender="DESK",
        lane="normal",
        encoding="GSM-7",
        segments=1,
        price_micros=price_micros,
        expires_at=cause.at + timedelta(hours=1),
        metadata={},
    )
    return AcceptMessage(uuid7(), account_id, draft, cause, None)


async def main(database_url: str, account_id: UUID, price_micros: int, count: int) -> None:
    """Wait for a line on the input, accept all at once, and write what became of them."""
    async with GroupCommit(database_url) as ledger:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        outcomes = await asyncio.gather(
            *(
                ledger.execute(_accepting(account_id, price_micros, number))
                for number in range(count)
            ),
            return_exceptions=True,
        )
    result: dict[str, list[str]] = {"accepted": [], "refused": [], "failed": []}
    for outcome in outcomes:
        if isinstance(outcome, Answer):
            result["accepted"].append(outcome.value.id)
        elif isinstance(outcome, InsufficientCredits):
            result["refused"].append(outcome.code)
        else:
            result["failed"].append(repr(outcome))
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
