from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.errors import WebhookEndpointNotFound
from semalink.domain.webhook_endpoint import (
    DisabledReason,
    EndpointState,
    EndpointTerms,
    Secret,
    SecretKind,
    WebhookEndpoint,
)

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)
CAUSE = Cause("key:1", AT, "req_1")
TERMS = EndpointTerms("https://example.com/hooks", ("message.*",))
LATER = AT + timedelta(hours=24)


def registered() -> WebhookEndpoint:
    endpoint = WebhookEndpoint.register(UUID(int=1), UUID(int=2), TERMS, CAUSE)
    endpoint.collect_events()
    return endpoint


def secret(number: int, kind: SecretKind = SecretKind.V1) -> Secret:
    return Secret(UUID(int=number), kind, f"{number:016x}")


def names(endpoint: WebhookEndpoint) -> list[str]:
    return [event.TOPIC.split(".")[1] for event in endpoint.collect_events()]  # type: ignore[attr-defined]


def at(minutes: int) -> Cause:
    return replace(CAUSE, at=AT + timedelta(minutes=minutes))


def test_register_enables_the_endpoint_and_remembers_its_terms() -> None:
    endpoint = registered()

    assert endpoint.state is EndpointState.ENABLED
    assert (endpoint.account_id, endpoint.terms) == (UUID(int=2), TERMS)
    assert endpoint.live_secrets(AT) == []


def test_wants_goes_by_any_of_the_patterns() -> None:
    endpoint = registered()

    assert endpoint.wants("message.delivered")
    assert not endpoint.wants("credit.charged")


def test_change_records_other_terms_and_nothing_for_the_same() -> None:
    endpoint = registered()
    other = replace(TERMS, event_types=("*",), rate_per_second=5, description="All")

    endpoint.change(other, CAUSE)
    endpoint.change(other, CAUSE)

    assert endpoint.terms == other
    assert names(endpoint) == ["changed"]


def test_pause_and_resume_happen_once_each() -> None:
    endpoint = registered()

    for _ in range(2):
        endpoint.pause("Deploying", CAUSE)
    assert endpoint.state is EndpointState.PAUSED
    for _ in range(2):
        endpoint.resume(CAUSE)

    assert endpoint.state is EndpointState.ENABLED
    assert names(endpoint) == ["paused", "resumed"]


def test_resume_enables_what_was_disabled_and_forgets_the_warning() -> None:
    endpoint = registered()
    endpoint.warn(75, CAUSE)
    endpoint.disable(DisabledReason.FAILING, CAUSE)
    assert endpoint.disabled_reason is DisabledReason.FAILING

    endpoint.disable(DisabledReason.GONE, CAUSE)
    endpoint.resume(CAUSE)

    assert (endpoint.state, endpoint.disabled_reason) == (EndpointState.ENABLED, None)
    assert endpoint.warned_percent == 0
    assert names(endpoint) == ["warned", "disabled", "enabled"]


def test_warn_tells_each_step_once_and_takes_it_back() -> None:
    endpoint = registered()

    for percent in (25, 25, 50, 0, 0, 25):
        endpoint.warn(percent, CAUSE)

    warned = [event.percent for event in endpoint.collect_events()]  # type: ignore[attr-defined]
    assert warned == [25, 50, 0, 25]


def test_add_secret_lets_the_older_sign_until_its_time() -> None:
    endpoint = registered()
    endpoint.add_secret(secret(1), CAUSE, old_expires_at=AT)
    endpoint.add_secret(secret(2), at(1), old_expires_at=LATER)
    endpoint.add_secret(secret(2), at(2), old_expires_at=LATER)

    assert [one.secret_id.int for one in endpoint.live_secrets(AT)] == [2, 1]
    assert [one.secret_id.int for one in endpoint.live_secrets(LATER)] == [2]
    assert names(endpoint) == ["secret_added", "secret_added", "secret_retired"]


def test_add_secret_never_prolongs_what_was_retired_before() -> None:
    endpoint = registered()
    endpoint.add_secret(secret(1), CAUSE, old_expires_at=AT)
    endpoint.add_secret(secret(2), at(0), old_expires_at=AT + timedelta(hours=1))
    endpoint.add_secret(secret(3), at(1), old_expires_at=LATER)

    assert [one.secret_id.int for one in endpoint.live_secrets(AT + timedelta(hours=2))] == [3, 2]


def test_add_secret_keeps_five_old_ones() -> None:
    endpoint = registered()
    for number in range(1, 9):
        endpoint.add_secret(secret(number), at(number), old_expires_at=LATER)

    live = endpoint.live_secrets(AT + timedelta(hours=1))

    assert [one.secret_id.int for one in live] == [8, 7, 6, 5, 4, 3]


def test_add_secret_leaves_other_kinds_alone() -> None:
    endpoint = registered()
    endpoint.add_secret(secret(1), CAUSE, old_expires_at=AT)
    endpoint.add_secret(secret(2, SecretKind.V1A), CAUSE, old_expires_at=AT)

    assert len(endpoint.live_secrets(LATER)) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda endpoint: endpoint.change(replace(TERMS, url="https://b.example"), CAUSE),
        lambda endpoint: endpoint.pause("", CAUSE),
        lambda endpoint: endpoint.resume(CAUSE),
        lambda endpoint: endpoint.add_secret(secret(1), CAUSE, old_expires_at=AT),
        lambda endpoint: endpoint.remove(CAUSE),
    ],
)
def test_removed_endpoint_refuses_every_change(ask: Any) -> None:
    endpoint = registered()
    endpoint.remove(CAUSE)
    endpoint.collect_events()

    with pytest.raises(WebhookEndpointNotFound):
        ask(endpoint)

    assert endpoint.collect_events() == []


def test_removed_endpoint_is_neither_warned_nor_disabled() -> None:
    endpoint = registered()
    endpoint.remove(CAUSE)

    endpoint.warn(25, CAUSE)
    endpoint.disable(DisabledReason.GONE, CAUSE)

    assert names(endpoint) == ["removed"]
