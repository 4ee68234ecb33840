"""What waits for turns of the normal queue, as metrics."""

from prometheus_client import Gauge

from semalink.application.sharing_out import Shares
from semalink_ops.observability import declarations as declared
from semalink_ops.observability.declared import Declared
from semalink_ops.observability.metrics import Metrics


class TurnMetrics:
    """Observes the shares that accounts have."""

    def __init__(self, metrics: Metrics) -> None:
        def gauge(metric: Declared) -> Gauge:
            return Gauge(metric.name, metric.meaning, registry=metrics.registry)

        self._messages = gauge(declared.TURNS_WAITING)
        self._accounts = gauge(declared.TURNS_ACCOUNTS)
        self._share = gauge(declared.TURNS_SHARE)

    def seen(self, shares: Shares, message_count: int) -> None:
        """Set how many wait, and how many an account may have in the queue."""
        self._messages.set(message_count)
        self._accounts.set(shares.waiting_accounts)
        self._share.set(shares.share)
