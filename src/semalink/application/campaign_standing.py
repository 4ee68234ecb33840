"""How campaigns stand, for operators: how far each is, and what may be wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

#: What takes longer than this is looked at.
_CHECK_MAX = timedelta(minutes=10)
_START_MAX = timedelta(minutes=1)
_QUIET_MAX = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class CampaignStanding:
    """One campaign, as operators see it."""

    campaign_id: UUID
    account_id: UUID
    name: str
    state: str
    mode: str
    start_at: datetime | None
    started_at: datetime | None
    changed_at: datetime
    settled_at: datetime | None
    message_count: int | None
    #: Messages that exist, and those of them that are handed over or have ended.
    accepted: int
    handed_over: int
    #: The minute in which an aggregator last took one.
    last_taken_at: datetime | None
    #: Messages that wait, by how: "held", "queued", "postponed", "parked", "unknown".
    waiting: Mapping[str, int]
    problem_code: str | None
    #: When this was true.
    as_of: datetime
    #: Parts of its list that failed too often to be accepted and that nobody is at.
    parked_pieces: int = 0

    @property
    def progress_percent(self) -> int:
        """Messages that are handed over or have ended, in per cent of all."""
        return self.handed_over * 100 // self.message_count if self.message_count else 0


def why_slow(standing: CampaignStanding) -> str | None:
    """Return what may be wrong with a campaign, and where to look; None: nothing seems to be."""
    if standing.parked_pieces:
        return (
            f"{standing.parked_pieces} pieces of its list are parked and not accepted: see "
            "`semalink dlq list --queue sms.content`."
        )
    parked = standing.waiting.get("parked", 0)
    if parked:
        return f"{parked} messages are parked: see `semalink dlq list`."
    if standing.state == "checking" and _since(standing, standing.changed_at) > _CHECK_MAX:
        return "It is checked for over ten minutes: does `worker content` run?"
    if standing.state == "scheduled" and _since(standing, standing.start_at) > _START_MAX:
        return "It is due and does not start: does `scheduler` run?"
    last = standing.last_taken_at or standing.started_at
    if standing.state == "sending" and _since(standing, last) > _QUIET_MAX:
        return (
            "Nothing was handed over for five minutes: the hours of the recipients, the routes "
            "(`semalink routes list`) or `worker sms`."
        )
    return None


def _since(standing: CampaignStanding, at: datetime | None) -> timedelta:
    return timedelta() if at is None else standing.as_of - at
