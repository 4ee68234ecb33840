from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.account import Account, Kind, Tier
from semalink.domain.cause import Cause
from semalink.domain.errors import ApiKeyNotFound
from semalink.domain.limit import Limit

ACCOUNT_ID = UUID(int=1)
KEY_ID = UUID(int=2)
CAUSE = Cause("operator:1", datetime(2026, 11, 23, 9, tzinfo=UTC), "req_1")


def opened() -> Account:
    account = Account.open(ACCOUNT_ID, "Duka", Kind.DIRECT, Tier.GROWTH, CAUSE)
    account.collect_events()
    return account


def issue(account: Account) -> None:
    account.issue_key(
        KEY_ID,
        CAUSE,
        name="till",
        scopes=["messages:write"],
        mode="live",
        key_hash="00" * 32,
        last_four="abcd",
    )


def names(account: Account) -> list[str]:
    return [type(event).__name__ for event in account.collect_events()]


def test_open_pays_for_itself() -> None:
    account = Account.open(ACCOUNT_ID, "Duka", Kind.AGENT, Tier.STARTER, CAUSE)

    assert account.billing_account_id == ACCOUNT_ID
    assert (account.name, account.kind, account.tier) == ("Duka", Kind.AGENT, Tier.STARTER)
    assert account.live_keys == set()
    assert account.senders == set()
    assert account.preferred_aggregator is None
    assert names(account) == ["Created"]


def test_issue_key_lets_it_work() -> None:
    account = opened()

    issue(account)

    assert account.live_keys == {KEY_ID}
    assert names(account) == ["ApiKeyIssued"]


def test_issue_key_changes_nothing_when_repeated() -> None:
    account = opened()
    issue(account)
    account.collect_events()

    issue(account)

    assert account.collect_events() == []


def test_revoke_key_stops_it() -> None:
    account = opened()
    issue(account)
    account.collect_events()

    account.revoke_key(KEY_ID, CAUSE)

    assert account.live_keys == set()
    assert names(account) == ["ApiKeyRevoked"]


def test_revoke_key_refuses_a_key_that_does_not_work() -> None:
    account = opened()

    with pytest.raises(ApiKeyNotFound):
        account.revoke_key(KEY_ID, CAUSE)

    assert account.collect_events() == []


def test_sender_that_an_older_release_approved_is_still_known() -> None:
    account = opened()

    account.trigger_event(
        Account.SenderApproved,
        timestamp=CAUSE.at,
        actor=CAUSE.actor,
        request_id=CAUSE.request_id,
        sender="SEMA",
    )

    assert account.senders == {"SEMA"}


def test_prefer_route_counts_once_and_can_be_taken_back() -> None:
    account = opened()

    account.prefer_route("africastalking", CAUSE)
    account.prefer_route("africastalking", CAUSE)
    account.prefer_route(None, CAUSE)

    assert account.preferred_aggregator is None
    assert names(account) == ["RoutePreferred", "RoutePreferred"]


def test_replay_comes_to_the_same_account() -> None:
    account = Account.open(ACCOUNT_ID, "Duka", Kind.DIRECT, Tier.GROWTH, CAUSE)
    issue(account)
    account.prefer_route("celcom", CAUSE)
    account.revoke_key(KEY_ID, CAUSE)

    replayed: Any = None
    for event in account.collect_events():
        replayed = event.mutate(replayed)

    assert replayed == account


def test_set_rate_limit_counts_once_and_goes_back_to_the_tiers() -> None:
    account = opened()
    agreed = Limit(250, 1_500)

    account.set_rate_limit(Tier.ENTERPRISE, agreed, "Contract", CAUSE)
    account.set_rate_limit(Tier.ENTERPRISE, agreed, "Contract", CAUSE)
    limit = account.agreed_limit
    account.set_rate_limit(Tier.GROWTH, None, "It ended", CAUSE)

    assert limit == agreed
    assert (account.tier, account.agreed_limit) == (Tier.GROWTH, None)
    assert names(account) == ["RateLimitSet", "RateLimitSet"]


def test_set_rate_limit_takes_the_own_route_back_with_the_tier() -> None:
    account = Account.open(ACCOUNT_ID, "Benki", Kind.DIRECT, Tier.ENTERPRISE, CAUSE)
    account.dedicate_route("celcom-acme", "Contract", CAUSE)

    account.set_rate_limit(Tier.ENTERPRISE, Limit(900, 900), "More", CAUSE)
    kept = account.dedicated_route
    account.set_rate_limit(Tier.GROWTH, None, "It ended", CAUSE)

    assert (kept, account.dedicated_route) == ("celcom-acme", None)


def test_set_key_rate_limit_counts_once_and_ends_with_the_key() -> None:
    account = opened()
    issue(account)

    account.set_key_rate_limit(KEY_ID, Limit(2, 4), "It loops", CAUSE)
    account.set_key_rate_limit(KEY_ID, Limit(2, 4), "It loops", CAUSE)
    limits = dict(account.key_limits)
    account.revoke_key(KEY_ID, CAUSE)

    assert limits == {KEY_ID: Limit(2, 4)}
    assert account.key_limits == {}
    assert names(account) == ["ApiKeyIssued", "ApiKeyLimited", "ApiKeyRevoked"]


def test_set_key_rate_limit_is_lifted() -> None:
    account = opened()
    issue(account)
    account.set_key_rate_limit(KEY_ID, Limit(2, 4), "It loops", CAUSE)

    account.set_key_rate_limit(KEY_ID, None, "Mended", CAUSE)

    assert account.key_limits == {}


def test_set_key_rate_limit_refuses_an_unknown_key() -> None:
    account = opened()

    with pytest.raises(ApiKeyNotFound):
        account.set_key_rate_limit(KEY_ID, Limit(2, 4), "It loops", CAUSE)

    assert names(account) == []
