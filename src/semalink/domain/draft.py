"""A message as asked for: checked, priced, not yet accepted."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from semalink.domain.lookalikes import Replacement


class Lane(StrEnum):
    """How soon a message is served; priority before normal."""

    PRIORITY = "priority"
    NORMAL = "normal"


class Mode(StrEnum):
    """Whether a message is real; test messages go to the sandbox and cost nothing."""

    LIVE = "live"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Alteration:
    """What was done to a text before it was accepted, for whoever wrote it."""

    #: What was added at the end of a promotional message; None: nothing.
    opt_out_text: str | None = None
    #: Look-alikes that gave way, as was asked for.
    replacements: tuple[Replacement, ...] = ()
    saved_segments: int = 0
    saved_micros: int = 0
    #: Whether it is a test message that a live one could not be at this hour.
    outside_sending_window: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked and priced message, ready to be accepted."""

    account_id: UUID
    billing_account_id: UUID
    mode: str
    to: str
    country: str
    network: str | None
    text: str
    sender: str
    lane: str
    encoding: str
    segments: int
    price_micros: int
    expires_at: datetime
    metadata: dict[str, str]
    #: What leaves the credits that pay; None: the price. It differs for an agent's customer.
    cost_micros: int | None = None
    #: Names the prices that were applied, with their version.
    priced_by: str = ""
    #: Final states that give a charge back; None: as the platform does.
    refunded_on: tuple[str, ...] | None = None
    #: The campaign whose reservation pays for it; None: it has one of its own.
    campaign_id: UUID | None = None
    #: The month in which its price was counted as spent when its campaign started; None: its own.
    spending_month: str | None = None
    #: None: nothing.
    alteration: Alteration | None = None
    #: Content rules in shadow mode that would have blocked it.
    shadow_rules: tuple[str, ...] = ()
