"""Streams and consumers: declared once, created when missing, compared at start, mended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nats.js import JetStreamContext, api
from nats.js.errors import APIError, BadRequestError, NotFoundError

from semalink.application.bus import BrokerUnfit

MEND_COMMAND = "semalink doctor --mend-streams"

_MIB = 2**20
_GIB = 2**30
_DAY_SECONDS = 86_400
_STREAM_NAME_IN_USE = 10058
_CONSUMER_NAME_IN_USE = 10148


@dataclass(frozen=True, slots=True)
class Topology:
    """What differs between a laptop and a cluster; everything else is declared below."""

    #: 1 on one server, 3 on a cluster.
    replicas: int = 1
    #: The broker sets the declared bytes aside when it makes a stream; a small disk divides them.
    bytes_divisor: int = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream as it must be; ``declared`` names every field that is compared."""

    name: str
    declared: Mapping[str, Any]
    max_bytes: int
    #: Work is refused rather than lost; what is only a notice makes room for newer ones.
    discard: api.DiscardPolicy = api.DiscardPolicy.NEW

    def fields(self, topology: Topology) -> dict[str, Any]:
        """Return every declared field with its value on this installation."""
        return {
            **self.declared,
            "storage": api.StorageType.FILE,
            "discard": self.discard,
            "max_bytes": self.max_bytes // topology.bytes_divisor,
            "num_replicas": topology.replicas,
        }


@dataclass(frozen=True, slots=True)
class Reader:
    """A consumer that reads all of a stream and removes nothing from it."""

    name: str
    stream: str
    consumer: str
    ack_wait_seconds: float = 60
    max_ack_pending: int = 2_000
    #: As good as without end: what a reader fails at is the reader's fault.
    max_deliver: int = 1_000_000_000

    def declare_consumer(self) -> dict[str, Any]:
        """Return every declared field of the consumer."""
        return _declare_consumer(self)


@dataclass(frozen=True, slots=True)
class Queue:
    """One work queue: a stream of one subject, and the consumer that all its workers share."""

    name: str
    stream: str
    subject: str
    max_bytes: int
    consumer: str = "worker"
    dedup_seconds: float = 300
    ack_wait_seconds: float = 30
    max_ack_pending: int = 2_000
    max_deliver: int = 5
    max_message_bytes: int = 16 * 1024

    def declare_stream(self) -> Stream:
        """Return the stream behind the queue."""
        declared = {
            "subjects": [self.subject],
            "retention": api.RetentionPolicy.WORK_QUEUE,
            "max_msg_size": self.max_message_bytes,
            "max_age": 0,
            "duplicate_window": self.dedup_seconds,
        }
        return Stream(self.stream, declared, self.max_bytes)

    def declare_consumer(self) -> dict[str, Any]:
        """Return every declared field of the consumer."""
        return _declare_consumer(self)

    def owns(self, subject: str) -> bool:
        """Tell whether what is published to the subject lies in this queue."""
        prefix, wild, _ = self.subject.partition(">")
        return subject.startswith(prefix) if wild else subject == prefix


Consumed = Queue | Reader


def _declare_consumer(consumed: Consumed) -> dict[str, Any]:
    # There is no ``backoff`` on purpose: it adds up with the delay of a nak.
    return {
        "ack_policy": api.AckPolicy.EXPLICIT,
        "ack_wait": consumed.ack_wait_seconds,
        "deliver_policy": api.DeliverPolicy.ALL,
        "max_deliver": consumed.max_deliver,
        "max_ack_pending": consumed.max_ack_pending,
        "backoff": None,
        "filter_subject": None,
        "filter_subjects": None,
    }


SMS_PRIORITY = Queue("sms.priority", "SMS_PRIORITY", "sms.priority", 1 * _GIB)
SMS_NORMAL = Queue("sms.normal", "SMS_NORMAL", "sms.normal", 8 * _GIB)
# Bundles of messages of campaigns, which never stand before a single one.
SMS_BULK = Queue(
    "sms.bulk",
    "SMS_BULK",
    "sms.bulk",
    1 * _GIB,
)
SMS_CONTENT = Queue("sms.content", "SMS_CONTENT", "sms.content", 2 * _GIB)
DLR_INBOUND = Queue(
    "dlr.inbound",
    "DLR_INBOUND",
    "dlr.inbound",
    4 * _GIB,
    dedup_seconds=600,
    max_ack_pending=10_000,
    # A report is stored as it came, and aggregators send several in one body.
    max_message_bytes=256 * 1024,
)
CONTACTS_VALIDATE = Queue(
    "contacts.validate",
    "CONTACTS_VALIDATE",
    "contacts.validate",
    4 * _GIB,
)
WEBHOOKS_OUTBOUND = Queue(
    "webhooks.outbound",
    "WEBHOOKS_OUTBOUND",
    "webhooks.outbound.>",
    4 * _GIB,
    dedup_seconds=600,
    # Longer than a customer's server may take to answer.
    ack_wait_seconds=45,
)
QUEUES = (
    SMS_PRIORITY,
    SMS_NORMAL,
    SMS_BULK,
    SMS_CONTENT,
    DLR_INBOUND,
    CONTACTS_VALIDATE,
    WEBHOOKS_OUTBOUND,
)

#: Limits retention, because a work queue cannot be browsed.
DEAD_LETTERS = Stream(
    "DLQ",
    {
        "subjects": ["dlq.>"],
        "retention": api.RetentionPolicy.LIMITS,
        "max_msg_size": _MIB,
        "max_age": 30 * _DAY_SECONDS,
        "duplicate_window": _DAY_SECONDS,
        "allow_direct": True,
        "deny_purge": False,
    },
    10 * _GIB,
)

MAX_DELIVERIES = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
MSG_TERMINATED = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."

#: The broker tells once, to whoever listens, that it gave a message up; the stream always listens.
ADVISORIES = Stream(
    "ADVISORIES",
    {
        "subjects": [f"{MAX_DELIVERIES}>", f"{MSG_TERMINATED}>"],
        "retention": api.RetentionPolicy.LIMITS,
        "max_age": 7 * _DAY_SECONDS,
    },
    1 * _GIB,
    discard=api.DiscardPolicy.OLD,
)

DEAD_LETTER_READER = Reader("dlq.projector", DEAD_LETTERS.name, "projector")
ADVISORY_READER = Reader("dlq.mover", ADVISORIES.name, "dlq-mover")
_READERS = (DEAD_LETTER_READER, ADVISORY_READER)


def queue_of_subject(subject: str) -> str:
    """Return the name of the queue that a subject belongs to, or the subject when none has it."""
    return next((queue.name for queue in QUEUES if queue.owns(subject)), subject)


@dataclass(frozen=True, slots=True)
class Difference:
    """One declared field that is not so on the broker."""

    #: The stream, or "stream/consumer".
    where: str
    field: str
    found: object
    wanted: object

    def __str__(self) -> str:
        return f"{self.where}: {self.field} is {_shown(self.found)}, not {_shown(self.wanted)}"


class StreamDrift(BrokerUnfit):
    """What the broker has is not what we declare; nothing may run on it."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        self.differences = tuple(differences)
        lines = "; ".join(str(difference) for difference in self.differences)
        super().__init__(f"{lines}. Mend it with `{MEND_COMMAND}`.")


class StreamNotMendable(BrokerUnfit):
    """The broker refused to change a stream in place."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"{where} cannot be changed in place: {why}. "
            "Empty it and delete it by hand; the relay fills the new one from the event log."
        )


async def ensure(
    js: JetStreamContext,
    topology: Topology | None = None,
    queues: Sequence[Queue] = QUEUES,
) -> None:
    """Create the streams and consumers that are missing, and leave what exists as it is."""
    wanted = topology or Topology()
    for stream in _streams(queues):
        if await _stream_config(js, stream.name) is None:
            await _create_stream(js, stream, wanted)
    for consumed in _consumed(queues):
        if await _consumer_config(js, consumed) is None:
            await _create_consumer(js, consumed)


async def check_drift(
    js: JetStreamContext,
    topology: Topology | None = None,
    queues: Sequence[Queue] = QUEUES,
) -> None:
    """Raise StreamDrift when any declared field differs from what exists."""
    differences = await _find_drift(js, topology or Topology(), queues)
    if differences:
        raise StreamDrift(differences)


async def mend(
    js: JetStreamContext,
    topology: Topology | None = None,
    queues: Sequence[Queue] = QUEUES,
) -> Sequence[Difference]:
    """Create what is missing and change in place what differs; return what was changed.

    Nothing is deleted: a consumer made anew would deliver every dead letter again.
    """
    wanted = topology or Topology()
    await ensure(js, wanted, queues)
    differences = await _find_drift(js, wanted, queues)
    drifted = {difference.where for difference in differences}
    for stream in _streams(queues):
        if stream.name in drifted:
            await _update_stream(js, stream, wanted)
    for consumed in _consumed(queues):
        if _place(consumed) in drifted:
            await _update_consumer(js, consumed)
    return differences


async def _find_drift(
    js: JetStreamContext, topology: Topology, queues: Sequence[Queue]
) -> list[Difference]:
    differences: list[Difference] = []
    for stream in _streams(queues):
        found = await _stream_config(js, stream.name)
        differences += _compare(stream.name, found, stream.fields(topology))
    for consumed in _consumed(queues):
        found_consumer = await _consumer_config(js, consumed)
        differences += _compare(_place(consumed), found_consumer, consumed.declare_consumer())
    return differences


def _compare(
    where: str, found: api.StreamConfig | api.ConsumerConfig | None, wanted: Mapping[str, Any]
) -> Iterator[Difference]:
    if found is None:
        yield Difference(where, "existence", "missing", "present")
        return
    for name, value in wanted.items():
        existing = getattr(found, name)
        if existing != value:
            yield Difference(where, name, existing, value)


def _streams(queues: Sequence[Queue]) -> list[Stream]:
    return [*(queue.declare_stream() for queue in queues), DEAD_LETTERS, ADVISORIES]


def _consumed(queues: Sequence[Queue]) -> list[Consumed]:
    return [*queues, *_READERS]


def _place(consumed: Consumed) -> str:
    return f"{consumed.stream}/{consumed.consumer}"


def _shown(value: object) -> str:
    return str(getattr(value, "value", value))


async def _stream_config(js: JetStreamContext, name: str) -> api.StreamConfig | None:
    try:
        return (await js.stream_info(name)).config
    except NotFoundError:
        return None


async def _consumer_config(js: JetStreamContext, consumed: Consumed) -> api.ConsumerConfig | None:
    try:
        config: api.ConsumerConfig = (
            await js.consumer_info(consumed.stream, consumed.consumer)
        ).config
    except NotFoundError:
        return None
    return config


async def _create_stream(js: JetStreamContext, stream: Stream, topology: Topology) -> None:
    try:
        await js.add_stream(api.StreamConfig(name=stream.name, **stream.fields(topology)))
    except BadRequestError as error:
        # Another process made it first, from another declaration; the comparison will say so.
        if error.err_code != _STREAM_NAME_IN_USE:
            raise


async def _create_consumer(js: JetStreamContext, consumed: Consumed) -> None:
    config = api.ConsumerConfig(
        name=consumed.consumer, durable_name=consumed.consumer, **consumed.declare_consumer()
    )
    try:
        await js.add_consumer(consumed.stream, config)
    except BadRequestError as error:
        if error.err_code != _CONSUMER_NAME_IN_USE:
            raise


async def _update_stream(js: JetStreamContext, stream: Stream, topology: Topology) -> None:
    existing = await _stream_config(js, stream.name)
    assert existing is not None, "a stream that was compared exists"
    try:
        await js.update_stream(existing.evolve(**stream.fields(topology)))
    except APIError as error:
        raise StreamNotMendable(stream.name, error.description or "no reason given") from error


async def _update_consumer(js: JetStreamContext, consumed: Consumed) -> None:
    existing = await _consumer_config(js, consumed)
    assert existing is not None, "a consumer that was compared exists"
    try:
        await js.add_consumer(consumed.stream, existing.evolve(**consumed.declare_consumer()))
    except APIError as error:
        raise StreamNotMendable(_place(consumed), error.description or "no reason given") from error
