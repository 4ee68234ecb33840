"""What the bus tells, counted."""

from semalink.application.bus import PublishState
from semalink_adapters.jetstream.streams import queue_of_subject
from semalink_ops.observability.metrics import Metrics

_DEAD_LETTERS = "dlq"


class BusMetrics:
    """A `BusObserver` that counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def published(self, subject: str, state: PublishState, count: int) -> None:
        """Count what the broker stored anew, and what it may not have."""
        # Shards of a queue count as the queue, and dead letters as one.
        dead = subject.startswith(f"{_DEAD_LETTERS}.")
        queue = _DEAD_LETTERS if dead else queue_of_subject(subject)
        if state is PublishState.ACKED:
            self._metrics.outbox_published(queue, count)
        elif state is PublishState.FAILED:
            self._metrics.publish_failed(queue, count)

    def delivered(self, queue: str, count: int) -> None:
        """Count the messages taken."""
        self._metrics.delivered(queue, count)

    def acked(self, queue: str) -> None:
        """Count nothing: what was handled is measured by its time."""

    def naked(self, queue: str, count: int) -> None:
        """Count what will come again."""
        self._metrics.given_back(queue, count)

    def dead_lettered(self, queue: str, error_type: str) -> None:
        """Count one message that was given up."""
        self._metrics.dead_lettered(queue)

    def handled(self, queue: str, seconds: float) -> None:
        """Record the time of one call of a handler."""
        self._metrics.handled(queue, seconds)
