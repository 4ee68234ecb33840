"""Results of campaigns that are put there by hand; for tests."""

from collections.abc import Sequence
from uuid import UUID

from semalink.application.campaign_results import CampaignFacts, Outcome
from semalink.application.reading import ReadsUnavailable


class MemoryCampaignResults:
    """CampaignResultReads of what it was given."""

    def __init__(self) -> None:
        #: When False, nothing can be read.
        self.is_available = True
        self._held: dict[UUID, tuple[UUID, CampaignFacts, Sequence[Outcome]]] = {}

    def hold(
        self, account_id: UUID, facts: CampaignFacts, outcomes: Sequence[Outcome] = ()
    ) -> None:
        """Have a campaign, and what became of its recipients."""
        self._held[facts.campaign_id] = account_id, facts, outcomes

    async def facts(self, campaign_id: UUID, account_id: UUID, mode: str) -> CampaignFacts | None:
        """Return what is known of a campaign; None for another account's, or of another mode."""
        self._check()
        owner, facts, _ = self._held.get(campaign_id, (None, None, ()))
        if facts is None or owner != account_id or facts.mode != mode:
            return None
        return facts

    async def outcomes(
        self, campaign_id: UUID, account_id: UUID, *, after: int, limit: int
    ) -> Sequence[Outcome]:
        """Return what became of its recipients, in their order, behind the place ``after``."""
        self._check()
        owner, _, outcomes = self._held[campaign_id]
        assert owner == account_id, "whose campaign it is was looked up before"
        return [one for one in outcomes if one.place > after][:limit]

    def _check(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)
