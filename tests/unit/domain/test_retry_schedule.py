from itertools import pairwise

from semalink.domain.retry_schedule import postponement


def test_postponement_grows_and_then_stays() -> None:
    delays = [postponement(times) for times in range(8)]

    assert [delay.total_seconds() for delay in delays] == [5, 15, 60, 300, 300, 300, 300, 300]
    assert all(sooner <= later for sooner, later in pairwise(delays))
