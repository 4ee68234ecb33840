"""What webhooks come to, as metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from semalink_ops.observability import declarations as declared
from semalink_ops.observability.declared import Declared


class WebhookMetrics:
    """Observes the sender and the dispatcher."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(metric: Declared) -> Counter:
            return Counter(metric.name, metric.meaning, metric.labels, registry=registry)

        self._attempts = counter(declared.WEBHOOK_ATTEMPTS)
        self._put_off = counter(declared.WEBHOOKS_PUT_OFF)
        self._breakers_opened = counter(declared.WEBHOOK_BREAKERS_OPENED)
        self._endpoints_disabled = counter(declared.WEBHOOK_ENDPOINTS_DISABLED)
        self._owners_warned = counter(declared.WEBHOOK_OWNERS_WARNED)
        held = declared.WEBHOOKS_HELD
        self._held = Gauge(held.name, held.meaning, registry=registry)
        seconds = declared.WEBHOOK_ATTEMPT_SECONDS
        self._seconds = Histogram(
            seconds.name,
            seconds.meaning,
            seconds.labels,
            registry=registry,
            buckets=seconds.buckets,
        )
        # A child is looked up under a lock; there are few.
        self._by_result: dict[str, tuple[Counter, Histogram]] = {}

    def attempted(self, result: str, seconds: float) -> None:
        """Count one attempt by its result."""
        known = self._by_result.get(result)
        if known is None:
            known = (self._attempts.labels(result), self._seconds.labels(result))
            self._by_result[result] = known
        known[0].inc()
        known[1].observe(seconds)

    def put_off(self, count: int) -> None:
        """Count attempts that were not made."""
        self._put_off.inc(count)

    def held(self, count: int) -> None:
        """Set how much is due and not sent."""
        self._held.set(count)

    def breaker_opened(self) -> None:
        """Count one endpoint that is left alone."""
        self._breakers_opened.inc()

    def endpoint_disabled(self) -> None:
        """Count one endpoint that is sent nothing more."""
        self._endpoints_disabled.inc()

    def owner_warned(self) -> None:
        """Count one warning."""
        self._owners_warned.inc()
