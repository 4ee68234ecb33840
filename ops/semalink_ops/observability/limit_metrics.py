"""What the rate limiter tells, counted."""

from prometheus_client import Counter, Histogram

from semalink_ops.observability import declarations as declared
from semalink_ops.observability.metrics import Metrics

_OUTCOMES = {True: "admitted", False: "limited"}


class LimitMetrics:
    """A `LimitObserver` that counts."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        leases, checks = declared.RATE_LEASE_SECONDS, declared.RATE_CHECKS
        failures = declared.RATE_LEASE_FAILURES
        self._checks = Counter(checks.name, checks.meaning, checks.labels, registry=registry)
        self._leases = Histogram(
            leases.name, leases.meaning, buckets=leases.buckets, registry=registry
        )
        self._failures = Counter(failures.name, failures.meaning, registry=registry)
        # The library's own look-up takes a lock.
        self._by_outcome: dict[tuple[str, bool], Counter] = {}

    def rate_checked(self, tier: str, *, is_admitted: bool) -> None:
        """Count one request that a rate limit let in or refused."""
        counter = self._by_outcome.get((tier, is_admitted))
        if counter is None:
            counter = self._checks.labels(tier, _OUTCOMES[is_admitted])
            self._by_outcome[tier, is_admitted] = counter
        counter.inc()

    def leased(self, seconds: float, *, is_answered: bool) -> None:
        """Record one lease of tokens, or that the store did not answer."""
        if is_answered:
            self._leases.observe(seconds)
        else:
            self._failures.inc()
