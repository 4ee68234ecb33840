"""How the archive stands, as metrics."""

from prometheus_client import Gauge

from semalink_ops.archiving.standing import Standing
from semalink_ops.observability import archive_declarations as declared
from semalink_ops.observability.declared import Declared
from semalink_ops.observability.metrics import Metrics


class ArchiveMetrics:
    """Observes the archive."""

    def __init__(self, metrics: Metrics) -> None:
        def gauge(metric: Declared) -> Gauge:
            return Gauge(metric.name, metric.meaning, registry=metrics.registry)

        self._due = gauge(declared.ARCHIVE_DUE_MONTHS)
        self._age = gauge(declared.ARCHIVE_LAST_SUCCESS_AGE_SECONDS)

    def seen(self, standing: Standing) -> None:
        """Set how many months are due, and how long ago one was archived."""
        self._due.set(standing.due_months)
        self._age.set(standing.age_seconds)
