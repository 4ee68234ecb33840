from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from semalink.application.accounts import (
    IssueApiKey,
    IssuedKey,
    OpenAccount,
    PreferRoute,
    RevokeApiKey,
    TopUp,
)
from semalink.application.ledger import Command
from semalink.application.sender_ids import ApproveSender
from semalink.domain.account import Account, Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.errors import AccountNotFound, ApiKeyNotFound, PaymentReferenceReused
from semalink_adapters.memory_ledger import MemoryLedger

OTHER_ID = UUID(int=0xACC1)
KEY = IssuedKey(UUID(int=7), "till", ["messages:write"], "live", "00" * 32, "abcd")


def see(ledger: MemoryLedger, account_id: UUID) -> Account:
    account = ledger.load(Account, account_id)
    assert account is not None, "the fixture opened it"
    return account


def test_open_account_opens_its_credits_too(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    command = OpenAccount(OTHER_ID, "Soko", Kind.AGENT, Tier.GROWTH, cause())

    account = ledger.decide(command).value

    assert (account.name, account.kind, account.tier) == ("Soko", Kind.AGENT, Tier.GROWTH)
    assert ledger.balance(OTHER_ID).available_micros == 0


def test_open_account_changes_nothing_when_repeated(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    command = OpenAccount(OTHER_ID, "Soko", Kind.AGENT, Tier.GROWTH, cause())
    ledger.decide(command)
    recorded = len(ledger.log)

    opened = ledger.decide(command).value

    assert opened.account_id == OTHER_ID
    assert len(ledger.log) == recorded


def test_issue_api_key_lets_it_speak_until_it_is_revoked(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    ledger.decide(IssueApiKey(account_id, KEY, cause()))
    live = see(ledger, account_id).live_keys

    ledger.decide(RevokeApiKey(account_id, KEY.api_key_id, cause()))

    assert live == {KEY.api_key_id}
    assert see(ledger, account_id).live_keys == set()


def test_revoke_api_key_refuses_a_key_that_does_not_work(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    with pytest.raises(ApiKeyNotFound):
        ledger.decide(RevokeApiKey(account_id, KEY.api_key_id, cause()))


def test_prefer_route_is_kept(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    ledger.decide(PreferRoute(account_id, "africastalking", cause()))

    account = see(ledger, account_id)
    assert account.preferred_aggregator == "africastalking"


def test_settings_refuse_an_account_that_is_not_there(
    ledger: MemoryLedger, cause: Callable[..., Cause]
) -> None:
    commands: list[Command[Any]] = [
        IssueApiKey(OTHER_ID, KEY, cause()),
        RevokeApiKey(OTHER_ID, KEY.api_key_id, cause()),
        ApproveSender(OTHER_ID, "SEMA", cause()),
        PreferRoute(OTHER_ID, None, cause()),
    ]

    outcomes = ledger.decide_together(commands)

    assert [type(outcome) for outcome in outcomes] == [AccountNotFound] * len(commands)


def test_top_up_answers_with_the_balance_after_it(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    recorded = ledger.decide(TopUp(account_id, 5_000_000, "mpesa-1", cause())).value

    assert recorded.posted_micros == 15_000_000
    assert recorded.available_micros == 15_000_000
    assert ledger.balance(account_id).posted_micros == 15_000_000


def test_top_up_counts_once_however_often_its_reference_comes(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    command = TopUp(account_id, 5_000_000, "mpesa-1", cause())
    first = ledger.decide(command)

    second = ledger.decide(command)

    assert second.replayed
    assert second.value == first.value
    assert ledger.balance(account_id).posted_micros == 15_000_000


def test_top_up_refuses_the_reference_for_another_amount_or_account(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    command = TopUp(account_id, 5_000_000, "mpesa-1", cause())
    ledger.decide(command)
    ledger.decide(OpenAccount(OTHER_ID, "Soko", Kind.AGENT, Tier.GROWTH, cause()))

    outcomes = ledger.decide_together(
        [replace(command, amount_micros=6_000_000), replace(command, account_id=OTHER_ID)]
    )

    assert [type(outcome) for outcome in outcomes] == [PaymentReferenceReused] * 2
    assert ledger.balance(account_id).posted_micros == 15_000_000
    assert ledger.balance(OTHER_ID).posted_micros == 0


def test_top_up_leaves_the_reference_free_when_the_account_is_not_there(
    ledger: MemoryLedger, account_id: UUID, cause: Callable[..., Cause]
) -> None:
    mistaken = TopUp(OTHER_ID, 5_000_000, "mpesa-1", cause())
    with pytest.raises(AccountNotFound):
        ledger.decide(mistaken)

    answer = ledger.decide(replace(mistaken, account_id=account_id))

    assert not answer.replayed
    assert ledger.balance(account_id).posted_micros == 15_000_000
