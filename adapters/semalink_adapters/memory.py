"""Reads of what a ledger in memory holds; for tests."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from semalink.application.message_view import MessageView, view_of
from semalink.application.reading import (
    AccountView,
    ApiKeyView,
    BalanceView,
    Caller,
    EventView,
    MessageFilter,
    ReadsUnavailable,
)
from semalink.domain.account import Account
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    API_KEY_PREFIX,
    EVENT_PREFIX,
    MESSAGE_PREFIX,
    format_id,
)
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger

_ENVELOPE = frozenset(
    {
        "originator_id",
        "originator_version",
        "originator_topic",
        "timestamp",
        "actor",
        "request_id",
    }
)
_PUBLIC_NAMES = {"message": "message", "credit_account": "credit"}


class MemoryReads:
    """Reads what a memory ledger holds."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: When False, nothing can be read.
        self.is_available = True
        #: How often a key was looked up.
        self.caller_count = 0

    async def caller(self, key_hash: bytes) -> Caller | None:
        """Return who a key that was not revoked speaks for, by its keyed hash."""
        self._check()
        self.caller_count += 1
        for account, issued in self._keys():
            if issued.key_hash == key_hash.hex() and issued.api_key_id in account.live_keys:
                return Caller(
                    account.id,
                    account.billing_account_id,
                    issued.api_key_id,
                    issued.mode,
                    frozenset(issued.scopes),
                    frozenset(account.senders),
                    account.tier.value,
                )
        return None

    async def message(self, message_id: UUID, account_id: UUID | None) -> MessageView | None:
        """Return one message; None for another account's."""
        self._check()
        message = self._ledger.load(Message, message_id)
        if message is None or account_id not in (None, message.asked.account_id):
            return None
        return view_of(message)

    async def history(self, message_id: UUID, account_id: UUID | None) -> list[EventView] | None:
        """Return every step of a message and its credits, oldest first."""
        if await self.message(message_id, account_id) is None:
            return None
        steps = list(self._ledger.streams[Message][message_id])
        entries = [
            entry
            for stream in self._ledger.streams[CreditAccount].values()
            for entry in stream
            if getattr(entry, "reservation_id", None) == message_id
        ]
        # A message and the credits that it moves share the time of the decision.
        ordered = sorted([*steps, *entries], key=lambda event: event.timestamp)
        return [_event_view(sequence, event) for sequence, event in enumerate(ordered, 1)]

    async def messages(
        self, account_id: UUID, wanted: MessageFilter, *, before: UUID | None, limit: int
    ) -> Sequence[MessageView]:
        """Return messages, newest first, starting below the id ``before``."""
        self._check()
        found = []
        for message_id in reversed(self._ledger.ids(Message)):
            message = self._ledger.load(Message, message_id)
            assert message is not None, "an id that is listed has a stream"
            below = before is None or message_id < before
            if below and message.asked.account_id == account_id and _fits(message, wanted):
                found.append(view_of(message))
        return found[:limit]

    async def balance(self, account_id: UUID) -> BalanceView | None:
        """Return the balance of the account that pays for ``account_id``."""
        self._check()
        account = self._ledger.load(Account, account_id)
        if account is None:
            return None
        credit = self._ledger.load(CreditAccount, account.billing_account_id)
        assert credit is not None, "an account is opened together with its credits"
        return BalanceView(
            account_id=format_id(ACCOUNT_PREFIX, account.id),
            billing_account_id=format_id(ACCOUNT_PREFIX, account.billing_account_id),
            posted_micros=credit.posted_micros,
            reserved_micros=credit.reserved_micros,
            credit_limit_micros=credit.credit_limit_micros,
            available_micros=credit.available_micros,
            as_of=credit.modified_on,
        )

    async def account(self, account_id: UUID) -> AccountView | None:
        """Return one account."""
        self._check()
        account = self._ledger.load(Account, account_id)
        return None if account is None else _account_view(account)

    async def accounts(self, *, after: UUID | None, limit: int) -> Sequence[AccountView]:
        """Return accounts in id order, starting above the id ``after``."""
        self._check()
        ids = [one for one in self._ledger.ids(Account) if after is None or one > after]
        found = [self._ledger.load(Account, account_id) for account_id in ids[:limit]]
        return [_account_view(account) for account in found if account is not None]

    async def api_keys(self, account_id: UUID) -> Sequence[ApiKeyView]:
        """Return all keys of an account, oldest first."""
        self._check()
        revoked_at = {
            event.api_key_id: event.timestamp
            for event in self._ledger.streams[Account].get(account_id, ())
            if isinstance(event, Account.ApiKeyRevoked)
        }
        return [
            ApiKeyView(
                id=format_id(API_KEY_PREFIX, issued.api_key_id),
                account_id=format_id(ACCOUNT_PREFIX, account_id),
                name=issued.name,
                scopes=issued.scopes,
                mode=issued.mode,
                last_four=issued.last_four,
                issued_at=issued.timestamp,
                revoked_at=revoked_at.get(issued.api_key_id),
            )
            for account, issued in self._keys()
            if account.id == account_id
        ]

    def _keys(self) -> Iterator[tuple[Account, Account.ApiKeyIssued]]:
        for account_id in self._ledger.ids(Account):
            account = self._ledger.load(Account, account_id)
            assert account is not None, "an id that is listed has a stream"
            for event in self._ledger.streams[Account][account_id]:
                if isinstance(event, Account.ApiKeyIssued):
                    yield account, event

    def _check(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)


def _fits(message: Message, wanted: MessageFilter) -> bool:
    asked = message.asked
    pairs = (
        (wanted.mode, asked.mode),
        (wanted.status, message.status.value),
        (wanted.to, asked.to),
        (wanted.sender, asked.sender),
        (wanted.lane, asked.lane),
    )
    accepted_at = message.created_on
    return (
        all(want in (None, has) for want, has in pairs)
        and (wanted.accepted_from is None or accepted_at >= wanted.accepted_from)
        and (wanted.accepted_before is None or accepted_at < wanted.accepted_before)
    )


def _account_view(account: Account) -> AccountView:
    return AccountView(
        id=format_id(ACCOUNT_PREFIX, account.id),
        billing_account_id=format_id(ACCOUNT_PREFIX, account.billing_account_id),
        name=account.name,
        kind=account.kind.value,
        tier=account.tier.value,
        preferred_aggregator=account.preferred_aggregator,
        opened_at=account.created_on,
    )


def _event_view(sequence: int, event: Any) -> EventView:
    kind, name, _ = event.TOPIC.split(".")
    prefixes = {
        "account_id": ACCOUNT_PREFIX,
        "billing_account_id": ACCOUNT_PREFIX,
        "reservation_id": MESSAGE_PREFIX,
    }
    facts = {
        key: format_id(prefixes[key], value) if key in prefixes else msgspec.to_builtins(value)
        for key, value in vars(event).items()
        if key not in _ENVELOPE
    }
    return EventView(
        id=f"{EVENT_PREFIX}{event.originator_id.hex}_{event.originator_version}",
        sequence=sequence,
        name=f"{_PUBLIC_NAMES[kind]}.{name}",
        at=event.timestamp,
        actor=event.actor,
        request_id=event.request_id,
        data=facts,
    )
