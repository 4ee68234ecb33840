from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from semalink_adapters.postgres.dead_letter_work import Republishing
from semalink_ops.dead_lettering import burial_of, outgoing_of

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ID = UUID("01a21f3c-5b0a-7c3f-9d0e-1f2a3b4c5d6e")


class Letter:
    """A delivery out of the stream of dead letters."""

    settled = False
    num_delivered = 1
    message_id = ""

    def __init__(self, subject: str, headers: Mapping[str, str], payload: bytes = b"{}") -> None:
        self.subject, self.headers, self.payload = subject, headers, payload

    async def ack(self) -> None: ...

    async def nak(self, delay_seconds: float = 0) -> None: ...

    async def term(self, reason: str) -> None: ...

    async def in_progress(self) -> None: ...


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sema-Origin-Stream": "NO_SUCH", "Sema-Origin-Deliveries": "many"},
        {"Sema-Origin-First-At": "yesterday", "Sema-Origin-Last-At": "2026-11-25T08:00:00"},
    ],
)
def test_burial_of_reads_what_somebody_published_by_hand(headers: dict[str, str]) -> None:
    burial = burial_of(Letter("dlq.webhooks.outbound.07", headers), NOW)

    assert burial == burial_of(Letter("dlq.webhooks.outbound.07", headers), NOW)
    assert (burial.queue, burial.subject) == ("webhooks.outbound", "webhooks.outbound.07")
    assert (burial.error_type, burial.delivery_count) == ("unknown", 0)
    assert (burial.first_at, burial.last_at) == (NOW, NOW)


def test_burial_of_names_the_message_that_it_is_about() -> None:
    payload = b'{"message_id": "%s"}' % ID.hex.encode()
    headers = {
        "Nats-Msg-Id": "dlq:SMS_NORMAL:1:2:1",
        "Sema-Origin-Stream": "SMS_NORMAL",
        "Sema-Origin-Subject": "sms.normal",
        "Sema-Origin-Deliveries": "5",
        "Sema-Redrive": "1",
    }

    burial = burial_of(Letter("dlq.sms.normal", headers, payload), NOW)

    assert burial.buried_as == "dlq:SMS_NORMAL:1:2:1"
    assert burial.about == f"msg_{ID.hex}"
    assert (burial.delivery_count, burial.redrive_count) == (5, 1)


@pytest.mark.parametrize(
    ("first_id", "kept_id"), [("evt_1", "evt_1"), ("", f"redrive:dlq_{ID.hex}:2")]
)
def test_outgoing_of_has_a_new_id_and_keeps_the_first(first_id: str, kept_id: str) -> None:
    headers: dict[str, Any] = {
        "Nats-Msg-Id": "dlq:1",
        "Sema-Origin-Stream": "SMS_NORMAL",
        "traceparent": "00-1",
    }

    outgoing = outgoing_of(Republishing(ID, "sms.normal", b"x", headers, first_id, 1, 2))

    assert outgoing.message_id == f"redrive:dlq_{ID.hex}:2"
    assert outgoing.headers == {
        "traceparent": "00-1",
        "Sema-Message-Id": kept_id,
        "Sema-Redrive": "3",
    }
