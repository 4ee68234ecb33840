"""What becomes of bundles that cannot be read, or fail again and again."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest

from semalink.application.bundles import BundlePayload
from semalink.application.bus import NotReady, PoisonMessage
from semalink.application.campaign_sending import CampaignRef
from semalink_adapters.jetstream.streams import SMS_BULK
from semalink_ops.bundle_handling import BundleHandler

PAYLOAD = BundlePayload(UUID(int=1), UUID(int=2), UUID(int=3), [UUID(int=4)])


@dataclass
class Worker:
    """Submits, remembers and parks as it is told."""

    error: Exception | None = None
    submitted: list[Any] = field(default_factory=list)
    parked: list[UUID] = field(default_factory=list)

    async def submit(self, campaign: CampaignRef, message_ids: Sequence[UUID]) -> None:
        self.submitted.append((campaign, list(message_ids)))
        if self.error is not None:
            raise self.error

    async def park(self, message_ids: Sequence[UUID]) -> None:
        self.parked += message_ids

    async def wait(self) -> None:
        return

    def work(self, *_: Any, **__: Any) -> Any:
        return nullcontext()


@dataclass
class Given:
    """A bundle that was delivered."""

    num_delivered: int = 1
    payload: bytes = msgspec.json.encode(PAYLOAD)
    headers: dict[str, str] = field(default_factory=dict)


async def _handle(worker: Any, delivery: Any) -> None:
    await BundleHandler(worker, worker, worker, worker).handle(delivery)


async def test_handle_submits_the_messages_of_the_bundle() -> None:
    worker = Worker()

    await _handle(worker, Given())

    assert worker.submitted == [(CampaignRef(UUID(int=1), UUID(int=2), UUID(int=3)), [UUID(int=4)])]


async def test_handle_calls_unreadable_bundles_poison() -> None:
    worker = Worker()

    with pytest.raises(PoisonMessage, match="unreadable_bundle"):
        await _handle(worker, Given(payload=b"{\xff"))

    assert worker.submitted == []


@pytest.mark.parametrize(
    ("error", "num_delivered", "parked"),
    [
        (RuntimeError("bug"), 1, []),
        (RuntimeError("bug"), SMS_BULK.max_deliver, [UUID(int=4)]),
        (NotReady("away"), SMS_BULK.max_deliver, []),
    ],
)
async def test_handle_parks_only_what_fails_for_the_last_time(
    error: Exception, num_delivered: int, parked: list[UUID]
) -> None:
    worker = Worker(error)

    with pytest.raises(type(error)):
        await _handle(worker, Given(num_delivered))

    assert worker.parked == parked
