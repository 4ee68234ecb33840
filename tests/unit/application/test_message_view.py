from collections.abc import Callable
from datetime import UTC, datetime

from semalink.application.message_view import (
    Failure,
    Route,
    decode_view,
    encode_view,
    failure_of,
    view_of,
)
from semalink.application.ports import ReportState
from semalink.application.submission import Job, Next
from semalink.domain.ids import ACCOUNT_PREFIX, MESSAGE_PREFIX, format_id
from semalink.domain.message import Message
from semalink.domain.status import Status

See = Callable[[Job], Message]


def test_view_of_an_accepted_message_has_no_route_and_no_failure(accepted: Job, see: See) -> None:
    view = view_of(see(accepted))

    assert view.id == format_id(MESSAGE_PREFIX, accepted.message_id)
    assert view.account_id == format_id(ACCOUNT_PREFIX, accepted.account_id)
    assert view.status == "accepted"
    assert (view.price_micros, view.charged_micros) == (800_000, 0)
    assert (view.route, view.failure, view.submitted_at) == (None, None, None)
    assert view.accepted_at == datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_view_of_names_the_route_and_the_failure(
    submitted: Job, report: Callable[..., Status], see: See
) -> None:
    report(submitted, ReportState.FAILED, failure_code="absent_subscriber")

    view = view_of(see(submitted))

    assert view.route == Route("celcom", f"celcom-{submitted.message_id.int}-1")
    assert view.failure is not None
    assert (view.failure.code, view.failure.who_can_fix) == ("absent_subscriber", "recipient")
    assert view.failure.retryable


def test_failure_of_has_plain_words_for_a_code_that_is_not_listed() -> None:
    failure = failure_of("swallowed_by_hippo")

    assert failure == Failure(
        "swallowed_by_hippo", "The message failed.", "platform", retryable=False
    )
    assert failure_of(None) is None


def test_decode_view_reads_what_encode_view_wrote(
    in_flight: Job, take: Callable[..., Next], see: See
) -> None:
    take(in_flight)
    view = view_of(see(in_flight))

    stored = encode_view(view)

    assert decode_view(stored) == view
