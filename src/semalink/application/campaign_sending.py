"""Sending campaigns: start with the money in hand, accept in pieces, cancel, complete, settle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from semalink.application.ledger import Books, Idempotency, Needs, PlainCommand
from semalink.application.sending import RESERVED_BEYOND_VALIDITY
from semalink.application.submission import Policy, await_or_give_up
from semalink.domain.calendar import month_of
from semalink.domain.campaign import Campaign, CampaignState
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.draft import Draft, Mode
from semalink.domain.errors import InsufficientCredits, SpendingCapReached, UnknownSender
from semalink.domain.message import Message

#: Recipients that are accepted in one decision.
PIECE_SIZE = 1_000

#: Public code of a campaign that was not started while it was worth it.
VALIDITY_PASSED = "campaign_validity_passed"
NOTHING_TO_SEND = "campaign_has_no_recipients"

_UNDER_WAY = (CampaignState.SENDING, CampaignState.PAUSED)


@dataclass(frozen=True, slots=True)
class CampaignRef:
    """Which campaign, of whom, and whose credits pay."""

    campaign_id: UUID
    account_id: UUID
    billing_account_id: UUID


def ends_at(campaign: Campaign) -> datetime:
    """Return when what was not sent of a scheduled campaign is worth nothing any more."""
    assert campaign.start_at is not None, "a campaign that starts has a time"
    return campaign.start_at + timedelta(seconds=campaign.plan.validity_seconds)


@dataclass(frozen=True, slots=True)
class StartCampaign(PlainCommand):
    """Reserve the whole cost of a campaign that is due and begin, or send it back."""

    campaign: CampaignRef
    cause: Cause
    may_use_sender: bool = True

    def needs(self, needs: Needs) -> None:
        """The campaign, the credits that pay, and what the agent's customer has spent."""
        needs.settings.add(self.campaign.campaign_id)
        needs.credit_accounts.add(self.campaign.billing_account_id)
        if self.campaign.account_id != self.campaign.billing_account_id:
            needs.spending.add((self.campaign.account_id, month_of(self.cause.at)))

    def decide(self, books: Books) -> str:
        """Return "started", why it was sent back, or "" when it was not due."""
        campaign = books.find(Campaign, self.campaign.campaign_id)
        if campaign is None or campaign.state is not CampaignState.SCHEDULED:
            return ""
        assert campaign.start_at is not None, "what is scheduled has a time"
        if campaign.start_at > self.cause.at:
            return ""
        if ends_at(campaign) <= self.cause.at:
            detail = "Its validity passed before it could be started; schedule it again."
            campaign.send_back(VALIDITY_PASSED, detail, self.cause)
            return VALIDITY_PASSED
        if not self.may_use_sender:
            gone = UnknownSender(campaign.plan.sender)
            campaign.send_back(gone.code, str(gone), self.cause)
            return gone.code
        return self._begin(books, campaign)

    def _begin(self, books: Books, campaign: Campaign) -> str:
        totals = campaign.totals
        assert totals is not None, "what was not checked is not scheduled"
        if not totals.message_count:
            detail = "None of its recipients can be messaged."
            campaign.send_back(NOTHING_TO_SEND, detail, self.cause)
            return NOTHING_TO_SEND
        reserved_micros = totals.cost_micros if campaign.mode == Mode.LIVE else 0
        if reserved_micros:
            try:
                books.credit_account(campaign.billing_account_id).reserve(
                    campaign.id,
                    reserved_micros,
                    self.cause,
                    expires_at=ends_at(campaign) + RESERVED_BEYOND_VALIDITY,
                    on_behalf=self._on_behalf(campaign, totals.price_micros),
                    campaign_id=campaign.id,
                )
            except (InsufficientCredits, SpendingCapReached) as short:
                campaign.send_back(short.code, str(short), self.cause)
                return short.code
        campaign.start(reserved_micros, self.cause)
        return "started"

    def _on_behalf(self, campaign: Campaign, price_micros: int) -> OnBehalf | None:
        if campaign.account_id == campaign.billing_account_id:
            return None
        return OnBehalf(campaign.account_id, price_micros, month_of(self.cause.at))


class PieceOutcome(msgspec.Struct, frozen=True):
    """What became of the recipients of a piece."""

    accepted_count: int
    #: Opted out since the campaign was checked.
    opted_out_count: int = 0


_outcome_decoder = msgspec.json.Decoder(PieceOutcome)


@dataclass(frozen=True, slots=True)
class AcceptPiece:
    """Accept the messages of a piece of a campaign, once, however often it is asked."""

    campaign: CampaignRef
    piece: int
    message_ids: Sequence[UUID]
    drafts: Sequence[Draft]
    cause: Cause

    @property
    def subject(self) -> UUID | None:
        """Nobody's: the whole campaign was decided about before."""
        return None

    @property
    def weight(self) -> int:
        """As many as it has messages."""
        return max(1, len(self.drafts))

    @property
    def idempotency(self) -> Idempotency:
        """One piece of a campaign is accepted once, whatever its texts came to meanwhile."""
        return Idempotency(self.campaign.campaign_id, f"piece:{self.piece}", b"")

    def needs(self, needs: Needs) -> None:
        """The campaign, the lock that guards the key, and who opted out.

        The money was set aside before, so no credits are touched: the lock is of an id that no
        account has, and neither charges of the same payer nor other pieces wait for this one.
        """
        needs.settings.add(self.campaign.campaign_id)
        needs.credit_accounts.add(uuid5(self.campaign.campaign_id, f"piece:{self.piece}"))
        needs.opt_outs.update((each.account_id, each.sender, each.to) for each in self.drafts)

    def decide(self, books: Books) -> PieceOutcome:
        """Accept, unless the campaign was cancelled; who opted out gets nothing."""
        campaign = books.find(Campaign, self.campaign.campaign_id)
        if campaign is None or campaign.state not in _UNDER_WAY:
            return PieceOutcome(0)
        accepted_count, month = 0, self._spending_month(campaign)
        for message_id, wanted in zip(self.message_ids, self.drafts, strict=True):
            draft = replace(wanted, spending_month=month)
            if not books.is_opted_out(draft.account_id, draft.sender, draft.to):
                books.add(Message.accept(message_id, draft, self.cause))
                accepted_count += 1
        return PieceOutcome(accepted_count, len(self.drafts) - accepted_count)

    @staticmethod
    def _spending_month(campaign: Campaign) -> str | None:
        # Counted when the money was reserved; pieces may be accepted after the month has ended.
        if campaign.account_id == campaign.billing_account_id:
            return None
        assert campaign.started_at is not None, "what is under way has started"
        return month_of(campaign.started_at)

    @staticmethod
    def encode(value: Any) -> bytes:
        """Write the outcome down."""
        return msgspec.json.encode(value)

    @staticmethod
    def decode(stored: bytes) -> PieceOutcome:
        """Read the outcome back."""
        return _outcome_decoder.decode(stored)


@dataclass(frozen=True, slots=True)
class CancelMessages(PlainCommand):
    """Give up on those messages of a cancelled campaign that no aggregator may have.

    A call that was begun and never answered is taken for lost, as nobody repeats it.
    """

    campaign: CampaignRef
    message_ids: Sequence[UUID]
    policy: Policy
    cause: Cause

    @property
    def weight(self) -> int:  # type: ignore[override]
        """As many as there are."""
        return len(self.message_ids)

    def needs(self, needs: Needs) -> None:
        """The campaign and the messages; their money is the campaign's."""
        needs.settings.add(self.campaign.campaign_id)
        needs.messages.update(self.message_ids)

    def decide(self, books: Books) -> int:
        """Cancel, and return how many were."""
        campaign = books.find(Campaign, self.campaign.campaign_id)
        if campaign is None or campaign.state is not CampaignState.CANCELLED:
            return 0
        return sum(self._cancel(books.message(each)) for each in self.message_ids)

    def _cancel(self, message: Message) -> bool:
        if message.in_submission:
            await_or_give_up(message, self.policy, self.cause)
        return message.cancel(self.cause)


@dataclass(frozen=True, slots=True)
class CompleteCampaign(PlainCommand):
    """Take note that nothing of a campaign is left to be handed over."""

    campaign: CampaignRef
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Only the campaign."""
        needs.settings.add(self.campaign.campaign_id)

    def decide(self, books: Books) -> bool:
        """Complete it, once; True when that was news."""
        campaign = books.find(Campaign, self.campaign.campaign_id)
        if campaign is None or campaign.state not in _UNDER_WAY:
            return False
        campaign.complete(self.cause)
        return True


@dataclass(frozen=True, slots=True)
class SettleCampaign(PlainCommand):
    """Give back what a campaign did not spend, once nothing of it can be charged any more."""

    campaign: CampaignRef
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The campaign, the credits and the reservation."""
        needs.settings.add(self.campaign.campaign_id)
        needs.credit_accounts.add(self.campaign.billing_account_id)
        needs.reservations.add(self.campaign.campaign_id)

    def decide(self, books: Books) -> int | None:
        """Release and return what it was in micros; None when there was nothing to settle."""
        campaign = books.find(Campaign, self.campaign.campaign_id)
        if campaign is None or not campaign.has_started or campaign.is_settled:
            return None
        if campaign.state in _UNDER_WAY:
            return None
        released_micros = 0
        if campaign.mode == Mode.LIVE:
            credit_account = books.credit_account(campaign.billing_account_id)
            if campaign.id in credit_account.open_reservations:
                released_micros = credit_account.release(campaign.id, self.cause)
        campaign.settle(released_micros, self.cause)
        return released_micros
