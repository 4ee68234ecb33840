import pytest

from semalink.domain.refunds import is_refunded
from semalink.domain.status import Status


@pytest.mark.parametrize("status", Status)
def test_is_refunded_holds_for_rejected_alone(status: Status) -> None:
    refunded = is_refunded(status)

    assert refunded is (status is Status.REJECTED)
