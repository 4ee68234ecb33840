"""Accepting a campaign: its recipients become messages, a piece at a time, each at most once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from semalink.application.campaign_sending import AcceptPiece, CampaignRef
from semalink.application.ledger import Ledger
from semalink.application.recording import RECORD_SECONDS_MAX, Recorder
from semalink.application.tasks import Task
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft, Lane

PIECE_TASK = "accept_piece"

#: Who accepts.
ACTOR = "worker:content"


@dataclass(frozen=True, slots=True)
class PricedRecipient:
    """A recipient as the check of the campaign left it: what it is sent, and what that costs."""

    number: str = field(repr=False)
    text: str = field(repr=False)
    country: str
    network: str | None
    encoding: str
    segments: int
    price_micros: int
    cost_micros: int
    #: Content rules in shadow mode that would have blocked it.
    shadow_rules: tuple[str, ...] = ()
    #: Names the prices that were applied, with their version.
    priced_by: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a campaign that started, with what all of its messages share."""

    campaign: CampaignRef
    mode: str
    sender: str
    metadata: Mapping[str, str]
    refunded_on: tuple[str, ...] | None
    #: Until when its messages are worth sending.
    ends_at: datetime
    recipients: Sequence[PricedRecipient]


class PieceBook(Protocol):
    """Campaigns that started, as a worker sees them; each call raises NotReady."""

    async def piece(self, campaign_id: UUID, first: int, size: int) -> Piece | None:
        """Return the recipients of so many places that get a message; None: no such campaign."""
        ...

    async def end(self, task_id: UUID) -> None:
        """Take note that a task is done."""
        ...


class PieceAcceptor:
    """Does the tasks of campaigns that started."""

    def __init__(
        self,
        book: PieceBook,
        ledger: Ledger,
        *,
        new_id: Callable[[], UUID],
        now: Callable[[], datetime],
        record_seconds_max: float = RECORD_SECONDS_MAX,
    ) -> None:
        self._book = book
        self._recorder = Recorder(ledger, now, seconds_max=record_seconds_max)
        self._new_id = new_id
        self._now = now

    async def accept(self, task: Task) -> None:
        """Accept the messages of a piece; after a crash, and twice, changes nothing."""
        campaign_id = UUID(task.payload["campaign_id"])
        first: int = task.payload["first"]
        piece = await self._book.piece(campaign_id, first, task.payload["size"])
        if piece is not None and piece.recipients:
            drafts = [_draft(piece, recipient) for recipient in piece.recipients]
            ids = [self._new_id() for _ in drafts]
            cause = Cause(ACTOR, self._now(), f"job_{task.task_id.hex}")
            await self._recorder.record(AcceptPiece(piece.campaign, first, ids, drafts, cause))
        await self._book.end(task.task_id)


def _draft(piece: Piece, recipient: PricedRecipient) -> Draft:
    campaign = piece.campaign
    is_on_behalf = campaign.account_id != campaign.billing_account_id
    return Draft(
        account_id=campaign.account_id,
        billing_account_id=campaign.billing_account_id,
        mode=piece.mode,
        to=recipient.number,
        country=recipient.country,
        network=recipient.network,
        text=recipient.text,
        sender=piece.sender,
        lane=Lane.NORMAL,
        encoding=recipient.encoding,
        segments=recipient.segments,
        price_micros=recipient.price_micros,
        expires_at=piece.ends_at,
        metadata=dict(piece.metadata),
        cost_micros=recipient.cost_micros if is_on_behalf else None,
        priced_by=recipient.priced_by,
        refunded_on=piece.refunded_on,
        campaign_id=campaign.campaign_id,
        shadow_rules=recipient.shadow_rules,
    )
