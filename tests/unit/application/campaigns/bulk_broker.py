"""A broker of bundles for the dealer."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from semalink.application.bundles import BundlePayload
from semalink.application.bus import Outgoing, PublishOutcome, PublishState


class Broker:
    """Keeps what is published; may refuse it."""

    def __init__(self) -> None:
        self.bundles: list[BundlePayload] = []
        self.message_ids: list[str] = []
        self.refuses = False
        self.outstanding: int | None = None
        #: What workers do with bundles before the broker's answer is read.
        self.on_bundles: Callable[[Sequence[BundlePayload]], Awaitable[None]] | None = None

    async def publish_many(self, items: Sequence[Outgoing]) -> Sequence[PublishOutcome]:
        if self.on_bundles is not None:
            await self.on_bundles(
                [msgspec.json.decode(each.payload, type=BundlePayload) for each in items]
            )
        if self.refuses:
            return [PublishOutcome(PublishState.FAILED, "timeout") for _ in items]
        self.bundles += [msgspec.json.decode(each.payload, type=BundlePayload) for each in items]
        self.message_ids += [each.message_id for each in items]
        return [PublishOutcome(PublishState.ACKED) for _ in items]

    async def count(self) -> int:
        return len(self.bundles) if self.outstanding is None else self.outstanding
