"""The metrics of one process in one registry, cheap to record."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.process_collector import ProcessCollector

from semalink.domain.routing import Board
from semalink_ops.observability import declarations as declared
from semalink_ops.observability.declared import Declared
from semalink_ops.observability.webhook_metrics import WebhookMetrics

_LOOP_INTERVAL_SECONDS = 0.5
_LOOP_WINDOW = 30

M = TypeVar("M", bound=MetricWrapperBase)


class _Family(Generic[M]):
    """Finds the child of some label values in one look-up; the library's own takes a lock."""

    def __init__(self, metric: M) -> None:
        self._metric = metric
        self._children: dict[tuple[str | int, ...], M] = {}

    def at(self, *values: str | int) -> M:
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._metric.labels(*values)
        return child


class Metrics:
    """What this process counts and measures; every method may be called from any thread."""

    def __init__(self) -> None:
        # The time each series began would be half of all that is scraped.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.webhooks = _of_process_and_webhooks(self.registry)
        self._requests = _Family(self._histogram(declared.HTTP_REQUEST_SECONDS))
        self._waits = _Family(self._histogram(declared.ACCEPT_TO_SUBMIT_SECONDS))
        self._messages = _Family(self._counter(declared.MESSAGES))
        self._submissions = _Family(self._histogram(declared.PROVIDER_SUBMIT_SECONDS))
        self._provider_errors = _Family(self._counter(declared.PROVIDER_ERRORS))
        self._outbox_age = self._gauge(declared.OUTBOX_OLDEST_AGE_SECONDS)
        self._published = _Family(self._counter(declared.OUTBOX_PUBLISHED))
        self._publish_failures = _Family(self._counter(declared.PUBLISH_FAILURES))
        self._projection_lag = _Family(self._gauge(declared.PROJECTION_LAG_SECONDS))
        self._projection_failing = _Family(self._gauge(declared.PROJECTION_FAILING))
        self._declare_queues()
        self._declare_routes()
        self._declare_reports()
        self._batch_size = self._histogram(declared.LEDGER_BATCH_SIZE)
        self._commit_seconds = self._histogram(declared.LEDGER_COMMIT_SECONDS)
        self._ledger_waiting = self._gauge(declared.LEDGER_WAITING)
        self._accounts_low = self._gauge(declared.ACCOUNTS_LOW)
        self._reservations_expired = self._counter(declared.RESERVATIONS_EXPIRED)
        self._checkpoint_age = self._gauge(declared.CHECKPOINT_AGE_SECONDS)
        self._loop_lag = self._gauge(declared.LOOP_LAG_SECONDS)

    def _declare_queues(self) -> None:
        self._pending = _Family(self._gauge(declared.CONSUMER_PENDING))
        self._deliveries = _Family(self._counter(declared.CONSUMER_DELIVERIES))
        self._redeliveries = _Family(self._counter(declared.CONSUMER_REDELIVERIES))
        self._handlers = _Family(self._histogram(declared.CONSUMER_HANDLER_SECONDS))
        self._dead_letters = _Family(self._counter(declared.DEAD_LETTERS))
        self._letters_waiting = _Family(self._gauge(declared.DEAD_LETTERS_WAITING))
        self._letters_age = _Family(self._gauge(declared.DEAD_LETTERS_OLDEST_AGE_SECONDS))
        self._stuck = _Family(self._gauge(declared.QUEUE_STUCK))

    def _declare_routes(self) -> None:
        self._routes_out = _Family(self._gauge(declared.ROUTE_OUT_OF_USE))
        self._routes_seen: set[tuple[str, str]] = set()
        self._route_trips = _Family(self._counter(declared.ROUTE_TRIPS))

    def _declare_reports(self) -> None:
        self._reports = _Family(self._counter(declared.REPORTS))
        self._reports_shelved = self._gauge(declared.REPORTS_SHELVED)
        self._reports_awaited = _Family(self._gauge(declared.REPORTS_AWAITED))
        self._report_polls = _Family(self._counter(declared.REPORT_POLLS))
        self._reports_timed_out = _Family(self._counter(declared.REPORTS_TIMED_OUT))

    def request_ended(self, route: str, method: str, code: int, seconds: float) -> None:
        """Record one answered request; the route is a template and the method one of a few."""
        self._requests.at(route, method, code).observe(seconds)

    def message_submitted(self, lane: str, seconds_since_accepted: float) -> None:
        """Record how long a message waited until an aggregator took it."""
        self._waits.at(lane).observe(seconds_since_accepted)

    def messages_reached(self, state: str, count: int) -> None:
        """Count messages into their new state."""
        self._messages.at(state).inc(count)

    def provider_answered(self, provider: str, seconds: float) -> None:
        """Record one call to an aggregator."""
        self._submissions.at(provider).observe(seconds)

    def provider_failed(self, provider: str, failure: str) -> None:
        """Count one refused or unanswered call by its class of failure."""
        self._provider_errors.at(provider, failure).inc()

    def routes_seen(self, board: Board) -> None:
        """Set which routes and networks are out of use."""
        out = {
            (route, network or "all")
            for route, standing in board.standings.items()
            for network in standing.circuits
        }
        self._routes_seen |= out | {(route, "all") for route in board.standings}
        for seen in self._routes_seen:
            self._routes_out.at(*seen).set(seen in out)

    def route_tripped(self, route: str, cause: str) -> None:
        """Count one trip."""
        self._route_trips.at(route, cause).inc()

    def checkpoint_aged(self, seconds: float) -> None:
        """Set how long ago all credits were known to be in a checkpoint."""
        self._checkpoint_age.set(seconds)

    def outbox_aged(self, seconds: float) -> None:
        """Set how old the oldest unpublished event is."""
        self._outbox_age.set(seconds)

    def outbox_published(self, queue: str, count: int = 1) -> None:
        """Count messages that the broker stored."""
        self._published.at(queue).inc(count)

    def publish_failed(self, queue: str, count: int = 1) -> None:
        """Count one message that is not known to be stored."""
        self._publish_failures.at(queue).inc(count)

    def projection_lagged(self, projection: str, seconds: float) -> None:
        """Set how far a read model is behind."""
        self._projection_lag.at(projection).set(seconds)

    def projection_failing(self, projection: str, *, failing: bool) -> None:
        """Set whether a read model stands still at an event that it fails at."""
        self._projection_failing.at(projection).set(failing)

    def queue_measured(self, queue: str, pending: int) -> None:
        """Set how many messages wait in a queue."""
        self._pending.at(queue).set(pending)

    def delivered(self, queue: str, count: int) -> None:
        """Count messages taken from a queue."""
        self._deliveries.at(queue).inc(count)

    def given_back(self, queue: str, count: int = 1) -> None:
        """Count one message that will be delivered again."""
        self._redeliveries.at(queue).inc(count)

    def handled(self, queue: str, seconds: float) -> None:
        """Record the work on one delivery."""
        self._handlers.at(queue).observe(seconds)

    def dead_lettered(self, queue: str) -> None:
        """Count one message that was given up."""
        self._dead_letters.at(queue).inc()

    def dead_letters_waiting(self, queue: str, count: int, oldest_age_seconds: float) -> None:
        """Set how many dead letters of a queue wait, and for how long."""
        self._letters_waiting.at(queue).set(count)
        self._letters_age.at(queue).set(oldest_age_seconds)

    def queue_stuck(self, queue: str, count: int) -> None:
        """Set how many messages no worker will be given."""
        self._stuck.at(queue).set(count)

    def batch_committed(self, count: int, seconds: float) -> None:
        """Record one batch of the ledger; the hook `on_batch` of the group commit."""
        self._batch_size.observe(count)
        self._commit_seconds.observe(seconds)

    def watch_ledger(self, count_waiting: Callable[[], int]) -> None:
        """Ask for the number of waiting commands at each scrape."""
        self._ledger_waiting.set_function(count_waiting)

    def report_received(self, aggregator: str, state: str) -> None:
        """Count one delivery report."""
        self._reports.at(aggregator, state).inc()

    def reports_shelved(self, count: int) -> None:
        """Set how many delivery reports wait for their message."""
        self._reports_shelved.set(count)

    def reports_awaited(self, aggregator: str, count: int) -> None:
        """Set how many messages of an aggregator wait for their final report."""
        self._reports_awaited.at(aggregator).set(count)

    def report_asked_for(self, aggregator: str, result: str) -> None:
        """Count one question for a report, by what it brought."""
        self._report_polls.at(aggregator, result).inc()

    def report_timed_out(self, aggregator: str) -> None:
        """Count one message whose final report never came."""
        self._reports_timed_out.at(aggregator).inc()

    def accounts_low(self, count: int) -> None:
        """Set how many accounts came near their credit limit."""
        self._accounts_low.set(count)

    def reservations_expired(self, count: int) -> None:
        """Count reservations that nobody resolved in time."""
        self._reservations_expired.inc(count)

    def loop_lagged(self, seconds: float) -> None:
        """Set how late the event loop is."""
        self._loop_lag.set(seconds)

    def _counter(self, metric: Declared) -> Counter:
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _gauge(self, metric: Declared) -> Gauge:
        return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _histogram(self, metric: Declared) -> Histogram:
        return Histogram(
            metric.name,
            metric.meaning,
            metric.labels,
            registry=self.registry,
            buckets=metric.buckets,
        )


def _of_process_and_webhooks(registry: CollectorRegistry) -> WebhookMetrics:
    ProcessCollector(registry=registry)
    return WebhookMetrics(registry)


async def watch_loop(metrics: Metrics, *, interval_seconds: float = _LOOP_INTERVAL_SECONDS) -> None:
    """Measure how late the event loop wakes, until cancelled."""
    loop = asyncio.get_running_loop()
    lags: deque[float] = deque(maxlen=_LOOP_WINDOW)
    while True:
        due_at = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        lags.append(max(0.0, loop.time() - due_at))
        metrics.loop_lagged(max(lags))
