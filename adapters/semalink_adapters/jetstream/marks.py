"""What identifies the contents of a stream, so that a lost one is noticed."""

from collections.abc import Sequence
from datetime import UTC, datetime

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from semalink.application.outbox import StreamMark
from semalink_adapters.jetstream.streams import QUEUES, Queue


async def read_marks(
    js: JetStreamContext, queues: Sequence[Queue] = QUEUES
) -> Sequence[StreamMark]:
    """Return the marks of the streams that exist; raises nats errors when the broker is away."""
    marks: list[StreamMark] = []
    for queue in queues:
        try:
            info = await js.stream_info(queue.stream)
        except NotFoundError:
            continue
        try:
            consumer = await js.consumer_info(queue.stream, queue.consumer)
            waiting_count = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
        except NotFoundError:
            # Nobody was given anything yet, so all of it is still to be done.
            waiting_count = info.state.messages
        created_at = info.created or datetime.fromtimestamp(0, UTC)
        state = info.state
        marks.append(
            StreamMark(queue.stream, created_at, state.last_seq, state.messages, waiting_count)
        )
    return marks
