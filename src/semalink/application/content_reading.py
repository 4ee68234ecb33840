"""What is read of sender ids, of content rules and of what they found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from semalink.application.content_rules import RuleSource
from semalink.application.history import Place


class SenderIdView(msgspec.Struct, frozen=True):
    """A sender id of an account, and what was decided of it."""

    id: str
    account_id: str
    sender: str
    #: "promotional" if it, or the same one of another account, is used for anything promotional.
    sender_class: str = msgspec.field(name="class")
    #: "requested", "approved", "rejected" or "withdrawn".
    state: str
    #: What was said when it was asked for or decided, whichever came last.
    reason: str
    #: What is added to its messages instead of the platform's text; null: the platform's.
    opt_out_text: str | None
    requested_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class SenderIdFilter:
    """Which sender ids are listed."""

    account_id: UUID | None = None
    state: str | None = None
    sender_class: str | None = None
    sender: str | None = None


class SenderIdReads(Protocol):
    """Reads; each method raises ReadsUnavailable while the database is away."""

    async def sender_id(self, sender_id: UUID, account_id: UUID | None) -> SenderIdView | None:
        """Return one; None for another account's, any account's when that is None."""
        ...

    async def sender_ids(
        self, wanted: SenderIdFilter, *, before: Place | None, limit: int
    ) -> Sequence[SenderIdView]:
        """Return those that fit, the last asked for first, behind a place."""
        ...

    async def waiting_count(self, account_id: UUID) -> int:
        """Return how many of an account wait for their decision."""
        ...


class MatchView(msgspec.Struct, frozen=True):
    """A message that a rule found fault with; never its text."""

    rule: str
    #: "block": it was refused. "shadow": it was accepted, and would have been refused.
    mode: str
    account_id: str
    #: The accepted message; null for a refused one.
    message_id: str | None
    #: The refusal, as the history shows it; null for an accepted message.
    refusal_id: str | None
    at: datetime


class ManagedRule(msgspec.Struct, frozen=True):
    """A rule that operators manage, and who last changed it."""

    name: str
    mode: str
    phrases: list[str]
    words: list[str]
    reason: str
    changed_by: str
    changed_at: datetime


class ContentRuleReads(RuleSource, Protocol):
    """Reads of rules; each method raises ReadsUnavailable while the database is away."""

    async def rule_records(self) -> Sequence[ManagedRule]:
        """Return the rules that operators manage, by name."""
        ...

    async def match_counts(self, since: datetime) -> Mapping[tuple[str, str], int]:
        """Count what rules found since then, by rule and mode."""
        ...

    async def matches(
        self, rule: str, mode: str | None, *, before: Place | None, limit: int
    ) -> Sequence[tuple[Place, MatchView]]:
        """Return what a rule found, newest first, behind a place."""
        ...
