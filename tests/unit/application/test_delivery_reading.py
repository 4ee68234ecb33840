from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from semalink.application.delivery_reading import (
    DeliveryDetail,
    DeliveryRow,
    HealthRow,
    check_at_rest,
    delivery_detail,
    health_view,
)
from semalink.domain.errors import WebhookDeliveryUnderWay

AT = datetime(2026, 11, 25, 9, tzinfo=UTC)


def row(*, open_until: datetime | None, state: str = "enabled") -> HealthRow:
    return HealthRow(
        UUID(int=1), UUID(int=2), state, 5, 6, 6, AT, AT, AT, 12, open_until, 25, 9, AT
    )  # fmt: skip


@pytest.mark.parametrize(
    ("open_until", "breaker"),
    [
        (None, "closed"),
        (AT + timedelta(seconds=1), "open"),
        (AT, "half_open"),
    ],
)
def test_health_tells_whether_the_breaker_is_open(
    open_until: datetime | None, breaker: str
) -> None:
    view = health_view(row(open_until=open_until), AT)

    assert (view.breaker, view.open_until) == (breaker, open_until)


@pytest.mark.parametrize(("state", "held_count"), [("enabled", 0), ("paused", 9), ("disabled", 9)])
def test_health_tells_how_many_are_held(state: str, held_count: int) -> None:
    view = health_view(row(open_until=None, state=state), AT)

    assert (view.waiting_count, view.held_count) == (9, held_count)


def delivery(state: str) -> DeliveryDetail:
    row = DeliveryRow(
        UUID(int=1), UUID(int=2), UUID(int=3), "evt_1", "message.delivered", 1, None, state,
        "enabled", "auto", None, 1, AT, AT, None, 503, "status",
    )  # fmt: skip
    return delivery_detail(row, None, [])


@pytest.mark.parametrize("state", ["issued", "sending"])
def test_round_cannot_begin_while_an_attempt_is_made(state: str) -> None:
    with pytest.raises(WebhookDeliveryUnderWay):
        check_at_rest(delivery(state))


@pytest.mark.parametrize("state", ["waiting", "delivered", "failed", "cancelled"])
def test_round_may_begin_while_no_attempt_is_made(state: str) -> None:
    check_at_rest(delivery(state))
