"""What the feed comes to, as metrics."""

from prometheus_client import Counter

from semalink_ops.observability import declarations as declared
from semalink_ops.observability.declared import Declared
from semalink_ops.observability.metrics import Metrics

#: The label of its lag, beside those of the read models.
FEED = "feed"


class FeedMetrics:
    """Observes the feed."""

    def __init__(self, metrics: Metrics) -> None:
        def counter(metric: Declared) -> Counter:
            return Counter(metric.name, metric.meaning, registry=metrics.registry)

        self._metrics = metrics
        self._events = counter(declared.FEED_EVENTS)
        self._deliveries = counter(declared.FEED_DELIVERIES)

    def moved(self, *, event_count: int, delivery_count: int, lag_seconds: float) -> None:
        """Count what one step added, and set how far the feed is behind."""
        self._events.inc(event_count)
        self._deliveries.inc(delivery_count)
        self._metrics.projection_lagged(FEED, lag_seconds)

    def failing(self, *, failing: bool) -> None:
        """Set whether the feed stands still at an event that it fails at."""
        self._metrics.projection_failing(FEED, failing=failing)
