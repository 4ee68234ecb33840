import pytest

from semalink_adapters.jetstream.streams import (
    ADVISORIES,
    DEAD_LETTERS,
    QUEUES,
    Difference,
    StreamDrift,
    Topology,
    queue_of_subject,
)
from semalink_adapters.jetstream.streams import Queue as WorkQueue


def test_queues_have_a_stream_and_a_subject_each() -> None:
    names = [queue.stream for queue in QUEUES]
    subjects = [queue.subject for queue in QUEUES]

    assert len({*names, DEAD_LETTERS.name, ADVISORIES.name}) == len(QUEUES) + 2
    assert len(set(subjects)) == len(QUEUES)


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_queue_keeps_on_disk_what_is_not_done_and_refuses_what_does_not_fit(
    queue: WorkQueue,
) -> None:
    fields = queue.declare_stream().fields(Topology(replicas=3))

    assert fields["retention"] == "workqueue"
    assert fields["storage"] == "file"
    assert fields["discard"] == "new"
    assert fields["num_replicas"] == 3


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_queue_delivers_five_times_without_a_backoff(queue: WorkQueue) -> None:
    fields = queue.declare_consumer()

    assert fields["max_deliver"] == 5
    assert fields["ack_policy"] == "explicit"
    assert fields["backoff"] is None


def test_dead_letters_are_kept_for_thirty_days() -> None:
    fields = DEAD_LETTERS.fields(Topology())

    assert fields["retention"] == "limits"
    assert fields["max_age"] == 30 * 24 * 3600
    assert fields["duplicate_window"] == 24 * 3600


def test_advisories_are_kept_for_a_week_and_never_refused() -> None:
    fields = ADVISORIES.fields(Topology())

    assert fields["max_age"] == 7 * 24 * 3600
    assert fields["discard"] == "old"


@pytest.mark.parametrize(
    ("subject", "queue"),
    [
        ("sms.normal", "sms.normal"),
        ("webhooks.outbound.07", "webhooks.outbound"),
        ("sms.normal.07", "sms.normal.07"),
    ],
)
def test_queue_of_subject_names_the_queue_that_holds_it(subject: str, queue: str) -> None:
    assert queue_of_subject(subject) == queue


def test_topology_divides_the_bytes_that_are_set_aside() -> None:
    assert DEAD_LETTERS.fields(Topology(bytes_divisor=10))["max_bytes"] == 2**30


def test_stream_drift_says_what_mends_it() -> None:
    drift = StreamDrift([Difference("SMS_NORMAL", "max_bytes", 1, 2)])

    assert str(drift) == (
        "SMS_NORMAL: max_bytes is 1, not 2. Mend it with `semalink doctor --mend-streams`."
    )
