"""Reads of what a ledger in memory holds; for tests."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from semalink.application.event_view import Reader, history_of, message_of, reader_of
from semalink.application.explaining import Explanation, explain
from semalink.application.message_view import MessageView, view_of
from semalink.application.reading import (
    AccountView,
    ApiKeyView,
    Caller,
    EventView,
    MessageFilter,
)
from semalink.domain.account import Account
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import (
    ACCOUNT_PREFIX,
    API_KEY_PREFIX,
    format_id,
)
from semalink.domain.message import Message
from semalink.domain.price_list import PriceList, Terms
from semalink.domain.rate_limit import Limits, limit_of
from semalink_adapters.memory_content import approved_in, promotional_in
from semalink_adapters.memory_credit_reads import MemoryCreditReads
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryReads(MemoryCreditReads):
    """Reads what a memory ledger holds."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__(ledger)
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
                senders = approved_in(self._ledger, account)
                return Caller(
                    account.id,
                    account.billing_account_id,
                    issued.api_key_id,
                    issued.mode,
                    frozenset(issued.scopes),
                    frozenset(senders),
                    account.tier.value,
                    self._terms(account),
                    self._limits(account, issued),
                    promotional_in(self._ledger, senders),
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
        found = self._story(message_id, account_id)
        return found and history_of(*found)

    async def explanation(self, message_id: UUID, account_id: UUID | None) -> Explanation | None:
        """Return why a message went as it did."""
        found = self._story(message_id, account_id)
        return found and explain(*found)

    def _story(self, message_id: UUID, account_id: UUID | None) -> tuple[list[Any], Reader] | None:
        self._check()
        message = self._ledger.load(Message, message_id)
        if message is None or account_id not in (None, message.asked.account_id):
            return None
        steps = list(self._ledger.streams[Message][message_id])
        entries = [
            entry
            for stream in self._ledger.streams[CreditAccount].values()
            for entry in stream
            if message_of(entry) == message_id
        ]
        # A message and the credits that it moves share the time of the decision.
        ordered = sorted([*steps, *entries], key=lambda event: event.timestamp)
        return ordered, reader_of(account_id, message.asked.billing_account_id)

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
                **_key_limit(account, issued.api_key_id),
            )
            for account, issued in self._keys()
            if account.id == account_id
        ]

    def _terms(self, account: Account) -> Terms:
        payer = self._ledger.load(Account, account.billing_account_id)
        assert payer is not None, "whoever pays is there"
        refunded_on = payer.refunded_on if account.refunded_on is None else account.refunded_on
        if payer.id == account.id:
            return Terms(refunded_on=refunded_on)
        prices = PriceList.from_mapping(payer.price_list)
        return Terms(prices, format_id(ACCOUNT_PREFIX, payer.id), refunded_on)

    def _limits(self, account: Account, issued: Account.ApiKeyIssued) -> Limits:
        of_mode = [
            event
            for owner, event in self._keys()
            if owner.id == account.id
            and event.mode == issued.mode
            and event.api_key_id in account.live_keys
        ]
        return Limits(
            limit_of(account.tier, account.agreed_limit),
            account.key_limits.get(issued.api_key_id),
            len(of_mode),
        )

    def _keys(self) -> Iterator[tuple[Account, Account.ApiKeyIssued]]:
        for account_id in self._ledger.ids(Account):
            account = self._ledger.load(Account, account_id)
            assert account is not None, "an id that is listed has a stream"
            for event in self._ledger.streams[Account][account_id]:
                if isinstance(event, Account.ApiKeyIssued):
                    yield account, event


def _fits(message: Message, wanted: MessageFilter) -> bool:
    asked = message.asked
    pairs = (
        (wanted.mode, asked.mode),
        (wanted.status, message.status.value),
        (wanted.to, asked.to),
        (wanted.sender, asked.sender),
        (wanted.lane, asked.lane),
        (wanted.campaign_id, asked.campaign_id),
    )
    accepted_at = message.created_on
    return (
        all(want in (None, has) for want, has in pairs)
        and (wanted.accepted_from is None or accepted_at >= wanted.accepted_from)
        and (wanted.accepted_before is None or accepted_at < wanted.accepted_before)
    )


def _key_limit(account: Account, api_key_id: UUID) -> dict[str, int]:
    limit = account.key_limits.get(api_key_id)
    if limit is None:
        return {}
    return {"rate_per_second": limit.rate_per_second, "burst": limit.burst}


def _account_view(account: Account) -> AccountView:
    limit = limit_of(account.tier, account.agreed_limit)
    return AccountView(
        id=format_id(ACCOUNT_PREFIX, account.id),
        billing_account_id=format_id(ACCOUNT_PREFIX, account.billing_account_id),
        name=account.name,
        kind=account.kind.value,
        tier=account.tier.value,
        preferred_aggregator=account.preferred_aggregator,
        opened_at=account.created_on,
        agent_id=format_id(ACCOUNT_PREFIX, account.agent_id) if account.agent_id else None,
        spending_cap_micros=account.spending_cap_micros,
        price_list=dict(account.price_list),
        refunded_on=None if account.refunded_on is None else list(account.refunded_on),
        rate_per_second=limit.rate_per_second,
        burst=limit.burst,
        is_limit_agreed=account.agreed_limit is not None,
        campaigns_need_approval=account.campaigns_need_approval,
    )
