"""What a campaign refuses."""

from semalink.domain.errors import DomainError


class CampaignNotFound(DomainError):
    """There is no campaign of this id in the account."""

    code = "campaign_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such campaign.")


class CampaignStateConflict(DomainError):
    """What was asked cannot be done with a campaign that stands where this one does."""

    code = "campaign_state_conflict"

    def __init__(self, *, state: str, wanted: str) -> None:
        self.state = state
        super().__init__(f"A campaign that is {state} cannot be {wanted}.")
