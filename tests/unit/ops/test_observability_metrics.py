"""Metrics: what is declared, what is counted, and the page about them."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest

from semalink.application.bus import BusObserver, PublishState
from semalink.domain.contact_import import RowCounts
from semalink_ops.content_keeping import rule_counter
from semalink_ops.observability.archive_metrics import ArchiveMetrics
from semalink_ops.observability.bus_observer import BusMetrics
from semalink_ops.observability.campaign_metrics import CampaignMetrics
from semalink_ops.observability.declarations import DECLARED, OF_THE_PROCESS, reference_page
from semalink_ops.observability.feed_metrics import FeedMetrics
from semalink_ops.observability.limit_metrics import LimitMetrics
from semalink_ops.observability.metrics import Metrics, watch_loop
from semalink_ops.observability.task_metrics import ImportMetrics, TaskMetrics
from semalink_ops.observability.turn_metrics import TurnMetrics

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_registry_holds_exactly_what_is_declared(metrics: Metrics) -> None:
    FeedMetrics(metrics)
    ArchiveMetrics(metrics)
    LimitMetrics(metrics)
    TurnMetrics(metrics)
    rule_counter(metrics)
    CampaignMetrics(metrics)
    TaskMetrics(metrics)
    ImportMetrics(metrics)

    exposed = {
        line.split()[2]
        for line in generate_latest(metrics.registry).decode().splitlines()
        if line.startswith("# TYPE")
    }

    assert exposed == {metric.name for metric in (*DECLARED, *OF_THE_PROCESS)}


def test_tasks_are_measured_by_queue_and_rows_by_outcome(metrics: Metrics) -> None:
    tasks, imports = TaskMetrics(metrics), ImportMetrics(metrics)

    tasks.measured({"sms.content": (3, 1.5)})
    imports.checked(RowCounts(added=2, invalid=1))

    assert value(metrics, "semalink_tasks_undone", queue="sms.content") == 3
    assert value(metrics, "semalink_tasks_undone", queue="contacts.validate") == 0
    assert value(metrics, "semalink_tasks_oldest_age_seconds", queue="sms.content") == 1.5
    assert value(metrics, "semalink_contact_rows_total", outcome="added") == 2
    assert value(metrics, "semalink_contact_rows_total", outcome="invalid") == 1


def test_reference_page_is_the_declarations() -> None:
    assert PAGE.read_text() == reference_page()


def test_request_ended_counts_under_its_template(metrics: Metrics) -> None:
    metrics.request_ended("/v1/messages/{message_id}", "GET", 200, 0.003)
    metrics.request_ended("/v1/messages/{message_id}", "GET", 200, 0.3)

    labels = {"route": "/v1/messages/{message_id}", "method": "GET", "code": "200"}
    assert value(metrics, "http_server_request_duration_seconds_count", **labels) == 2
    fast = value(metrics, "http_server_request_duration_seconds_bucket", **labels, le="0.005")
    assert fast == 1


def test_message_metrics_are_counted(metrics: Metrics) -> None:
    metrics.message_submitted("priority", 0.2)
    metrics.messages_reached("delivered", 2)
    metrics.provider_answered("celcom", 0.3)
    metrics.provider_failed("celcom", "throttled")
    metrics.report_received("celcom", "delivered")
    metrics.reports_shelved(4)

    lane = {"lane": "priority"}
    assert value(metrics, "semalink_accept_to_submit_seconds_sum", **lane) == 0.2
    assert value(metrics, "semalink_messages_total", state="delivered") == 2
    assert value(metrics, "semalink_provider_submit_seconds_count", provider="celcom") == 1
    failed = {"provider": "celcom", "class": "throttled"}
    assert value(metrics, "semalink_provider_errors_total", **failed) == 1
    told = {"aggregator": "celcom", "state": "delivered"}
    assert value(metrics, "semalink_reports_total", **told) == 1
    assert value(metrics, "semalink_reports_shelved") == 4


def test_rate_limits_are_counted_by_tier_and_outcome(metrics: Metrics) -> None:
    limits = LimitMetrics(metrics)

    for is_admitted in (True, True, False):
        limits.rate_checked("growth", is_admitted=is_admitted)
    limits.leased(0.002, is_answered=True)
    limits.leased(0.5, is_answered=False)

    name = "semalink_rate_checks_total"
    assert value(metrics, name, tier="growth", outcome="admitted") == 2
    assert value(metrics, name, tier="growth", outcome="limited") == 1
    assert value(metrics, "semalink_rate_lease_seconds_count") == 1
    assert value(metrics, "semalink_rate_lease_failures_total") == 1


def test_ledger_metrics_follow_the_ledger(metrics: Metrics) -> None:
    waiting = [7]
    metrics.watch_ledger(lambda: waiting[0])

    metrics.batch_committed(12, 0.004)
    waiting[0] = 9

    assert value(metrics, "semalink_ledger_batch_size_sum") == 12
    assert value(metrics, "semalink_ledger_commit_seconds_count") == 1
    assert value(metrics, "semalink_ledger_waiting") == 9


def test_measured_gauges_hold_the_last_value(metrics: Metrics) -> None:
    metrics.outbox_aged(3.5)
    metrics.projection_lagged("messages", 1.5)
    metrics.queue_measured("sms.normal", 11)
    metrics.queue_measured("sms.normal", 10)

    assert value(metrics, "semalink_outbox_oldest_age_seconds") == 3.5
    assert value(metrics, "semalink_projection_lag_seconds", projection="messages") == 1.5
    assert value(metrics, "semalink_consumer_pending", queue="sms.normal") == 10


def test_bus_metrics_count_by_queue(metrics: Metrics) -> None:
    bus: BusObserver = BusMetrics(metrics)

    bus.published("sms.normal", PublishState.ACKED, 2)
    bus.published("sms.normal", PublishState.DUPLICATE, 1)
    bus.published("sms.normal", PublishState.FAILED, 1)
    bus.published("dlq.sms.normal", PublishState.ACKED, 1)
    bus.delivered("sms.normal", 3)
    bus.acked("sms.normal")
    bus.naked("sms.normal", 2)
    bus.dead_lettered("sms.normal", "ValueError")
    bus.handled("sms.normal", 0.1)

    queue = {"queue": "sms.normal"}
    assert value(metrics, "semalink_outbox_published_total", **queue) == 2
    assert value(metrics, "semalink_publish_failures_total", **queue) == 1
    assert value(metrics, "semalink_outbox_published_total", queue="dlq") == 1
    assert value(metrics, "semalink_consumer_deliveries_total", **queue) == 3
    assert value(metrics, "semalink_consumer_redeliveries_total", **queue) == 2
    assert value(metrics, "semalink_dead_letters_total", **queue) == 1
    assert value(metrics, "semalink_consumer_handler_seconds_count", **queue) == 1


def test_shards_of_a_queue_count_as_the_queue(metrics: Metrics) -> None:
    bus: BusObserver = BusMetrics(metrics)

    bus.published("webhooks.outbound.03", PublishState.ACKED, 1)
    bus.published("webhooks.outbound.07", PublishState.ACKED, 1)

    queue = {"queue": "webhooks.outbound"}
    assert value(metrics, "semalink_outbox_published_total", **queue) == 2


def test_dead_letters_are_measured_by_queue(metrics: Metrics) -> None:
    metrics.dead_letters_waiting("sms.normal", 3, 901.5)
    metrics.queue_stuck("sms.normal", 1)

    queue = {"queue": "sms.normal"}
    assert value(metrics, "semalink_dead_letters_waiting", **queue) == 3
    assert value(metrics, "semalink_dead_letters_oldest_age_seconds", **queue) == 901.5
    assert value(metrics, "semalink_queue_stuck", **queue) == 1


async def test_watch_loop_measures_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    measured: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr(metrics, "loop_lagged", measured.put_nowait)

    watching = asyncio.create_task(watch_loop(metrics, interval_seconds=0.001))
    first = await asyncio.wait_for(measured.get(), 5)
    second = await asyncio.wait_for(measured.get(), 5)
    watching.cancel()

    assert 0 <= first <= second
    with pytest.raises(asyncio.CancelledError):
        await watching
