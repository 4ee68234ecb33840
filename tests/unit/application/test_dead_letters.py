from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from semalink.application.dead_letter_reading import (
    DeadLetterContents,
    DeadLetterView,
    StoredReport,
)
from semalink.application.dead_letters import (
    BuryDeadLetter,
    CancelDeadLetterJob,
    DiscardDeadLetter,
    FinishDeadLetterJob,
    JobPlan,
    RepublishDeadLetter,
    StartDeadLetterJob,
    about_of,
    letter_uuid,
)
from semalink.application.history import time_in
from semalink.application.relaying import ReportPayload
from semalink.application.republishing import Edit, payload_bytes_max, republishing_of
from semalink.domain.cause import Cause
from semalink.domain.dead_letter import DeadLetter
from semalink.domain.dead_letter_job import DeadLetterJob
from semalink.domain.errors import (
    DeadLetterJobNotFound,
    DeadLetterNotFound,
    PayloadTooLarge,
)
from semalink_adapters.jetstream.streams import QUEUES
from semalink_adapters.memory_ledger import MemoryLedger

NOW = datetime(2026, 11, 25, 8, 15, 4, 210_000, tzinfo=UTC)
CAUSE = Cause("operator:key_1", NOW, "req_1")
ID = UUID("01a21f3c-5b0a-7c3f-9d0e-1f2a3b4c5d6e")
BURY = BuryDeadLetter(ID, "sms.normal", "ValueError", "", 5, "dlq:1", None, CAUSE)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def contents(queue: str, payload: bytes, report: StoredReport | None = None) -> DeadLetterContents:
    letter = DeadLetterView(
        "dlq_1", queue, "waiting", "E", "", 5, NOW, NOW, None, "id", 0, None, None, None
    )
    return DeadLetterContents(letter, queue, payload, None, {}, [], report)


@pytest.mark.parametrize(
    ("queue", "payload", "about"),
    [
        ("sms.normal", b'{"message_id": "%s"}' % str(ID).encode(), f"msg_{ID.hex}"),
        ("dlr.inbound", b'{"report_id": "%s"}' % ID.hex.encode(), f"rpt_{ID.hex}"),
        ("webhooks.outbound", b'{"delivery_id": "%s"}' % ID.hex.encode(), f"whk_{ID.hex}"),
        ("contacts.validate", b'{"message_id": "%s"}' % ID.hex.encode(), None),
        ("sms.normal", b'{"message_id": "oops"}', None),
        ("sms.normal", b'["a list"]', None),
        ("sms.normal", b"{}", None),
        ("sms.normal", b"\xff", None),
        ("outbox.poke", b"{}", None),
    ],
)
def test_about_of_reads_what_can_be_read(queue: str, payload: bytes, about: str | None) -> None:
    assert about_of(queue, payload) == about


def test_letter_uuid_is_the_same_each_time_and_tells_the_time() -> None:
    first = letter_uuid("dlq:SMS_NORMAL:1:2:0", NOW)

    assert first == letter_uuid("dlq:SMS_NORMAL:1:2:0", NOW)
    assert first != letter_uuid("dlq:SMS_NORMAL:1:3:0", NOW)
    assert time_in(first) == NOW
    assert first.variant == "specified in RFC 4122"
    assert letter_uuid("dlq:SMS_NORMAL:1:2:0", NOW + timedelta(seconds=1)) > first


async def test_bury_records_a_letter_once(ledger: MemoryLedger) -> None:
    first, second = [(await ledger.execute(BURY)).value for _ in range(2)]

    assert (first, second) == (True, False)
    assert len(ledger.streams[DeadLetter][ID]) == 1


async def test_commands_refuse_what_is_not_there(ledger: MemoryLedger) -> None:
    with pytest.raises(DeadLetterNotFound):
        await ledger.execute(RepublishDeadLetter(ID, CAUSE))
    with pytest.raises(DeadLetterNotFound):
        await ledger.execute(DiscardDeadLetter(ID, "why", CAUSE))
    with pytest.raises(DeadLetterJobNotFound):
        await ledger.execute(CancelDeadLetterJob(ID, CAUSE))


async def test_republish_and_discard_record_their_part_in_a_job(ledger: MemoryLedger) -> None:
    other = UUID(int=ID.int + 1)
    await ledger.execute(BURY)
    await ledger.execute(BuryDeadLetter(other, "sms.normal", "E", "", 5, "dlq:2", None, CAUSE))

    await ledger.execute(RepublishDeadLetter(ID, CAUSE, job_id=other))
    await ledger.execute(DiscardDeadLetter(other, "old", CAUSE, other))

    assert ledger.streams[DeadLetter][ID][-1].job_id == other
    assert ledger.streams[DeadLetter][other][-1].job_id == other


@pytest.mark.parametrize("end", [CancelDeadLetterJob, FinishDeadLetterJob])
async def test_job_starts_and_ends(
    end: type[CancelDeadLetterJob | FinishDeadLetterJob], ledger: MemoryLedger
) -> None:
    await ledger.execute(StartDeadLetterJob(ID, JobPlan("republish", "sms.normal"), CAUSE))

    await ledger.execute(end(ID, CAUSE))

    started, ended = ledger.streams[DeadLetterJob][ID]
    assert (started.queue, started.rate_per_second) == ("sms.normal", 10)
    assert ended.actor == "operator:key_1"


def test_republishing_sends_the_same_again_when_nothing_is_edited() -> None:
    found = contents("sms.normal", b'{"message_id": "%s"}' % ID.hex.encode())

    command = republishing_of(found, ID, Edit(), CAUSE, ID)

    assert command.payload is None
    assert command.about == f"msg_{ID.hex}"


def test_republishing_sends_another_payload_and_says_what_that_is_about() -> None:
    payload = b'{"message_id": "%s"}' % ID.hex.encode()

    command = republishing_of(
        contents("sms.normal", b"broken"), ID, Edit(payload, again=True), CAUSE, ID
    )

    assert (command.payload, command.about, command.again) == (payload, f"msg_{ID.hex}", True)


def test_republishing_makes_a_new_report_of_a_mended_one() -> None:
    report = StoredReport("celcom", "application/json", b"broken", NOW)
    found = contents("dlr.inbound", b"{}", report)

    command = republishing_of(found, ID, Edit(report_body=b"mended"), CAUSE, ID)

    assert command.payload is not None
    assert msgspec.json.decode(command.payload, type=ReportPayload) == ReportPayload(
        ID, "celcom", "application/json", b"mended", NOW
    )


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_republishing_refuses_what_the_queue_would_not_take(queue: object) -> None:
    name, bytes_max = queue.name, queue.max_message_bytes  # type: ignore[attr-defined]

    assert payload_bytes_max(name) == bytes_max
    with pytest.raises(PayloadTooLarge):
        republishing_of(contents(name, b""), ID, Edit(bytes(bytes_max + 1)), CAUSE, ID)
