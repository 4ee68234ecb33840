"""Sender ids and content rules of a ledger in memory, for tests."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from semalink.application.content_reading import (
    ManagedRule,
    MatchView,
    SenderIdFilter,
    SenderIdView,
)
from semalink.application.history import REFUSAL_PREFIX, Place
from semalink.domain.account import Account
from semalink.domain.blocklist import BlocklistRule
from semalink.domain.content_errors import rule_in
from semalink.domain.content_rule import ContentRule
from semalink.domain.errors import ContentBlocked
from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id
from semalink.domain.message import Message
from semalink.domain.sender_id import (
    SENDER_ID_PREFIX,
    SenderClass,
    SenderId,
    SenderState,
    class_of_uses,
)
from semalink_adapters.memory_ledger import MemoryLedger


def approved_in(ledger: MemoryLedger, account: Account) -> dict[str, str | None]:
    """Return the sender ids that an account may use, each with its own opt-out text."""
    approved: dict[str, str | None] = dict.fromkeys(account.senders)
    for sender_id in _sender_ids(ledger):
        if sender_id.account_id == account.id:
            approved.pop(sender_id.sender, None)
            if sender_id.state is SenderState.APPROVED:
                approved[sender_id.sender] = sender_id.opt_out_text
    return approved


def promotional_in(
    ledger: MemoryLedger, approved: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the promotional ones of these: those that anyone uses for promotion."""
    promotional = _promotional(ledger)
    return {sender: text for sender, text in approved.items() if sender.lower() in promotional}


class MemorySenderIdReads:
    """Reads the sender ids of a memory ledger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def sender_id(self, sender_id: UUID, account_id: UUID | None) -> SenderIdView | None:
        """Return one; None for another account's, any account's when that is None."""
        found = [view for place, view in self._rows() if place.id == sender_id]
        return next((one for one in found if _is_of(one, account_id)), None)

    async def sender_ids(
        self, wanted: SenderIdFilter, *, before: Place | None, limit: int
    ) -> Sequence[SenderIdView]:
        """Return those that fit, the last asked for first, behind a place."""
        found = [
            view
            for place, view in self._rows()
            if (before is None or place < before)
            and _is_of(view, wanted.account_id)
            and wanted.state in (None, view.state)
            and wanted.sender_class in (None, view.sender_class)
            and wanted.sender in (None, view.sender)
        ]
        return found[:limit]

    async def waiting_count(self, account_id: UUID) -> int:
        """Return how many of an account wait for their decision."""
        wanted = SenderIdFilter(account_id, SenderState.REQUESTED)
        return len(await self.sender_ids(wanted, before=None, limit=1_000))

    def _rows(self) -> list[tuple[Place, SenderIdView]]:
        promotional = _promotional(self._ledger)
        rows = []
        for one in _sender_ids(self._ledger):
            asked, decided = _times(self._ledger.streams[SenderId][one.id])
            uses = {one.sender_class}
            if one.sender.lower() in promotional:
                uses.add(SenderClass.PROMOTIONAL)
            view = SenderIdView(
                format_id(SENDER_ID_PREFIX, one.id),
                format_id(ACCOUNT_PREFIX, one.account_id),
                one.sender,
                str(class_of_uses(uses)),
                str(one.state),
                one.reason,
                one.opt_out_text,
                asked,
                decided,
            )
            rows.append((Place(asked, 0, one.id, 0), view))
        return sorted(rows, key=lambda row: row[0], reverse=True)


class MemoryContentRules:
    """Reads the content rules of a memory ledger, and what they found."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def managed_rules(self) -> Sequence[BlocklistRule]:
        """Return the rules that operators manage, by name, as texts are held to them."""
        rules = (self._ledger.load(ContentRule, one) for one in self._ledger.ids(ContentRule))
        found = [one.rule for one in rules if one is not None and not one.is_removed]
        return sorted(found, key=lambda rule: rule.name)

    async def rule_records(self) -> Sequence[ManagedRule]:
        """Return the rules that operators manage, by name."""
        last = {
            stream[-1].rule: stream[-1] for stream in self._ledger.streams[ContentRule].values()
        }
        return [
            ManagedRule(
                rule.name, str(rule.mode), list(rule.phrases), list(rule.words), rule.reason,
                last[rule.name].actor, last[rule.name].timestamp,
            )
            for rule in await self.managed_rules()
        ]  # fmt: skip

    async def match_counts(self, since: datetime) -> Mapping[tuple[str, str], int]:
        """Count what rules found since then, by rule and mode."""
        return Counter((one.rule, one.mode) for place, one in self._found() if place.at >= since)

    async def matches(
        self, rule: str, mode: str | None, *, before: Place | None, limit: int
    ) -> Sequence[tuple[Place, MatchView]]:
        """Return what a rule found, newest first, behind a place."""
        found = [
            (place, one)
            for place, one in self._found()
            if one.rule == rule and mode in (None, one.mode) and (before is None or place < before)
        ]
        return sorted(found, key=lambda row: row[0], reverse=True)[:limit]

    def _found(self) -> Iterator[tuple[Place, MatchView]]:
        for [created, *_] in self._ledger.streams[Message].values():
            for rule in created.shadow_rules:
                message_id, at = created.originator_id, created.timestamp
                shown = format_id(MESSAGE_PREFIX, message_id)
                account = format_id(ACCOUNT_PREFIX, created.account_id)
                view = MatchView(rule, "shadow", account, shown, None, at)
                yield Place(at, 0, message_id, 0), view
        for number, refusal in enumerate(self._ledger.refusals, 1):
            if refusal.code == ContentBlocked.code:
                refusal_id, at = UUID(int=number), refusal.cause.at
                shown = format_id(REFUSAL_PREFIX, refusal_id)
                account = format_id(ACCOUNT_PREFIX, refusal.account_id)
                view = MatchView(rule_in(refusal.detail), "block", account, None, shown, at)
                yield Place(at, 0, refusal_id, 0), view


def _sender_ids(ledger: MemoryLedger) -> list[SenderId]:
    loaded = (ledger.load(SenderId, one) for one in ledger.ids(SenderId))
    return [one for one in loaded if one is not None]


def _promotional(ledger: MemoryLedger) -> set[str]:
    return {
        one.sender.lower()
        for one in _sender_ids(ledger)
        if one.state is SenderState.APPROVED and one.sender_class is SenderClass.PROMOTIONAL
    }


def _times(stream: list[SenderId.Event]) -> tuple[datetime, datetime | None]:
    asks = (SenderId.Created, SenderId.RequestedAgain)
    asked = [event.timestamp for event in stream if isinstance(event, asks)]
    decided = [event.timestamp for event in stream if not isinstance(event, asks)]
    return asked[-1], decided[-1] if decided else None


def _is_of(view: SenderIdView, account_id: UUID | None) -> bool:
    return account_id is None or view.account_id == format_id(ACCOUNT_PREFIX, account_id)
