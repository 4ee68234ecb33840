"""What tasks and imports come to, as metrics."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from semalink.application.tasks import TASK_QUEUES
from semalink.domain.contact_import import RowCounts
from semalink_ops.observability import task_declarations as declared
from semalink_ops.observability.metrics import Metrics


class TaskMetrics:
    """Observes the publisher of tasks."""

    def __init__(self, metrics: Metrics) -> None:
        undone, age = declared.TASKS_UNDONE, declared.TASKS_OLDEST_AGE_SECONDS
        registry = metrics.registry
        self._undone = Gauge(undone.name, undone.meaning, undone.labels, registry=registry)
        self._age = Gauge(age.name, age.meaning, age.labels, registry=registry)

    def measured(self, found: Mapping[str, tuple[int, float]]) -> None:
        """Set how many tasks of each queue are undone, and the age of the oldest in seconds."""
        for queue in TASK_QUEUES:
            count, age_seconds = found.get(queue, (0, 0.0))
            self._undone.labels(queue).set(count)
            self._age.labels(queue).set(age_seconds)


class ImportMetrics:
    """Observes imports of contacts."""

    def __init__(self, metrics: Metrics) -> None:
        rows = declared.CONTACT_ROWS
        self._rows = Counter(rows.name, rows.meaning, rows.labels, registry=metrics.registry)

    def checked(self, counts: RowCounts) -> None:
        """Count the rows of a piece by what became of them."""
        for outcome in ("added", "updated", "duplicate", "invalid"):
            self._rows.labels(outcome).inc(getattr(counts, outcome))
