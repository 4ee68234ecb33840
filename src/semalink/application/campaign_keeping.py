"""The scheduler: starts campaigns that are due, and brings those under way to their end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from semalink.application.campaign_sending import (
    CampaignRef,
    CancelMessages,
    CompleteCampaign,
    SettleCampaign,
    StartCampaign,
)
from semalink.application.ledger import Ledger, Undecidable
from semalink.application.submission import Policy
from semalink.domain.cause import Cause
from semalink.domain.ids import CAMPAIGN_PREFIX, format_id
from semalink.domain.refusal import DomainError

ACTOR = "scheduler"

#: The longest sleep, whatever is due next: a clock that was set is noticed within it.
SLEEP_SECONDS_MAX = 30.0
#: Between two looks at campaigns under way.
KEEP_SECONDS = 1.0

#: How long nobody else is given a campaign that is about to be started.
CLAIM_SECONDS = 10.0
CLAIMS_MAX = 20
#: Messages that are cancelled in one decision.
CANCEL_SIZE = 500

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """A campaign that is due."""

    #: The time of the database.
    at: datetime
    campaign: CampaignRef
    #: Whether its account may still send under its sender id, which may have been withdrawn.
    may_use_sender: bool = True


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A campaign that started and is not settled, with what is left of it."""

    campaign: CampaignRef
    state: str
    #: Pieces that are still to be accepted.
    has_pieces: bool
    #: Messages that are still to be handed over.
    has_unsent: bool
    #: Messages that may still be charged, those whose answer was lost among them.
    has_open: bool


class ScheduleBook(Protocol):
    """Campaigns, as the scheduler sees them; each call raises NotReady."""

    async def claim_due(self, limit: int, seconds: float) -> Sequence[Due]:
        """Return campaigns that are due and that nobody else was given."""
        ...

    async def seconds_until_next(self) -> float | None:
        """Return how long until the next campaign is due; None when none is scheduled."""
        ...

    async def under_way(self) -> Sequence[UnderWay]:
        """Return the campaigns that started and are not settled."""
        ...

    async def unsent(self, campaign_id: UUID, after: UUID, limit: int) -> Sequence[UUID]:
        """Return messages that wait for submission, in id order."""
        ...


class Scheduler:
    """Starts what is due. Any number may run: a campaign is claimed, and started once anyhow."""

    def __init__(
        self, book: ScheduleBook, ledger: Ledger, *, new_request_id: Callable[[], str]
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._new_request_id = new_request_id
        self.started_count = 0
        self.sent_back_count = 0
        #: How often one could not be decided about, which keeps no other from its start.
        self.stuck_count = 0

    async def start_due(self) -> float:
        """Start what is due and return how long to sleep until the next, unless woken before.

        Raises NotReady or LedgerUnavailable; what was claimed is given again soon.
        """
        due = await self._book.claim_due(CLAIMS_MAX, CLAIM_SECONDS)
        for each in due:
            # The time of the database decides, whatever the clock here says.
            cause = Cause(ACTOR, each.at, self._new_request_id())
            command = StartCampaign(each.campaign, cause, may_use_sender=each.may_use_sender)
            try:
                outcome = (await self._ledger.execute(command)).value
            except (DomainError, Undecidable) as failure:
                self.stuck_count += 1
                _tell_stuck(each.campaign, failure)
            else:
                self._tell(each.campaign, outcome)
        if len(due) == CLAIMS_MAX:
            return 0.0
        seconds = await self._book.seconds_until_next()
        if seconds is None:
            return SLEEP_SECONDS_MAX
        # What another instance claimed and did not start is due, but not yet to be claimed.
        return min(SLEEP_SECONDS_MAX, max(0.05, seconds))

    def _tell(self, campaign: CampaignRef, outcome: str) -> None:
        if not outcome:
            return
        campaign_id = format_id(CAMPAIGN_PREFIX, campaign.campaign_id)
        if outcome == "started":
            self.started_count += 1
            _log.info("campaign_started", campaign_id=campaign_id)
        else:
            self.sent_back_count += 1
            _log.warning("campaign_sent_back", campaign_id=campaign_id, code=outcome)


class CampaignKeeper:
    """Cancels what a cancelled campaign has left, completes and settles; twice changes nothing."""

    def __init__(
        self,
        book: ScheduleBook,
        ledger: Ledger,
        *,
        now: Callable[[], datetime],
        new_request_id: Callable[[], str],
        policy: Policy,
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._now = now
        self._new_request_id = new_request_id
        self._policy = policy
        self._stuck: set[UUID] = set()
        self.under_way_count = 0
        #: How often one could not be decided about, which keeps no other from its end.
        self.stuck_count = 0

    async def step(self) -> float:
        """Bring every campaign under way as far as it gets; return how long to sleep."""
        campaigns = await self._book.under_way()
        self.under_way_count = len(campaigns)
        for each in campaigns:
            try:
                await self._bring_on(each)
            except (DomainError, Undecidable) as failure:
                self.stuck_count += 1
                if each.campaign.campaign_id not in self._stuck:
                    self._stuck.add(each.campaign.campaign_id)
                    _tell_stuck(each.campaign, failure)
        return KEEP_SECONDS if campaigns else SLEEP_SECONDS_MAX

    async def _bring_on(self, each: UnderWay) -> None:
        if each.state == "cancelled" and each.has_unsent:
            await self._cancel(each.campaign)
            return
        if each.has_pieces or each.has_unsent:
            return
        if each.state in ("sending", "paused"):
            await self._ledger.execute(CompleteCampaign(each.campaign, self._cause()))
        if not each.has_open:
            await self._ledger.execute(SettleCampaign(each.campaign, self._cause()))

    async def _cancel(self, campaign: CampaignRef) -> None:
        # Those that are with an aggregator go their way, and are looked at again later.
        after = UUID(int=0)
        while page := await self._book.unsent(campaign.campaign_id, after, CANCEL_SIZE):
            await self._ledger.execute(CancelMessages(campaign, page, self._policy, self._cause()))
            after = page[-1]

    def _cause(self) -> Cause:
        return Cause(ACTOR, self._now(), self._new_request_id())


def _tell_stuck(campaign: CampaignRef, failure: DomainError | Undecidable) -> None:
    campaign_id = format_id(CAMPAIGN_PREFIX, campaign.campaign_id)
    code = failure.code if isinstance(failure, DomainError) else type(failure).__name__
    _log.error("campaign_stuck", campaign_id=campaign_id, code=code)
