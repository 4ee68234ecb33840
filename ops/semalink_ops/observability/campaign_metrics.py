"""What scheduling and dealing come to, as metrics."""

from prometheus_client import Counter, Gauge

from semalink_ops.observability import campaign_declarations as declared
from semalink_ops.observability.declared import Declared
from semalink_ops.observability.metrics import Metrics


class CampaignMetrics:
    """Observes the scheduler and the dealer."""

    def __init__(self, metrics: Metrics) -> None:
        def counter(metric: Declared) -> Counter:
            return Counter(metric.name, metric.meaning, metric.labels, registry=metrics.registry)

        under_way = declared.CAMPAIGNS_UNDER_WAY
        self._queries = counter(declared.SCHEDULER_QUERIES)
        self._started = counter(declared.CAMPAIGNS_STARTED)
        self._stuck = counter(declared.CAMPAIGNS_STUCK)
        self._dealt = counter(declared.CAMPAIGN_MESSAGES_DEALT)
        self._under_way = Gauge(under_way.name, under_way.meaning, registry=metrics.registry)
        blocked = declared.CAMPAIGN_BLOCKED_SECONDS
        self._blocked = Gauge(blocked.name, blocked.meaning, registry=metrics.registry)

    def queried(self) -> None:
        """Count a query of the scheduler."""
        self._queries.inc()

    def started(self, *, count: int, sent_back_count: int) -> None:
        """Count campaigns that were due."""
        self._started.labels("started").inc(count)
        self._started.labels("sent_back").inc(sent_back_count)

    def stuck(self, count: int) -> None:
        """Count campaigns that could not be decided about."""
        self._stuck.inc(count)

    def under_way(self, count: int) -> None:
        """Set how many campaigns are under way."""
        self._under_way.set(count)

    def dealt(self, count: int, *, blocked_seconds: float) -> None:
        """Count messages that were dealt out, and set how long others have waited for that."""
        self._dealt.inc(count)
        self._blocked.set(blocked_seconds)
