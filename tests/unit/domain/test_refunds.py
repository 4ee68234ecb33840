import pytest

from semalink.domain.refunds import is_refunded
from semalink.domain.status import Status


@pytest.mark.parametrize("status", Status)
def test_is_refunded_holds_for_rejected_alone(status: Status) -> None:
    refunded = is_refunded(status)

    assert refunded is (status is Status.REJECTED)


@pytest.mark.parametrize("refunded_on", [None, (), ("failed",)])
@pytest.mark.parametrize("status", Status)
def test_is_refunded_holds_for_any_opt_out_by_any_rule(
    status: Status, refunded_on: tuple[str, ...] | None
) -> None:
    refunded = is_refunded(status, refunded_on, failure_code="opted_out")

    assert refunded
