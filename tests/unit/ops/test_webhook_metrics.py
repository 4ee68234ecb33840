from prometheus_client import CollectorRegistry

from semalink_ops.observability.webhook_metrics import WebhookMetrics


def test_webhook_metrics_are_counted():
    registry = CollectorRegistry()
    metrics = WebhookMetrics(registry)

    metrics.attempted("delivered", 0.2)
    metrics.attempted("delivered", 0.4)
    metrics.attempted("timeout", 15.0)
    metrics.put_off(3)
    metrics.held(7)
    metrics.breaker_opened()
    metrics.endpoint_disabled()
    metrics.owner_warned()

    delivered = {"result": "delivered"}
    value = registry.get_sample_value
    assert value("semalink_webhook_attempts_total", delivered) == 2
    assert value("semalink_webhook_attempts_total", {"result": "timeout"}) == 1
    assert value("semalink_webhook_attempt_seconds_count", delivered) == 2
    assert value("semalink_webhooks_put_off_total") == 3
    assert value("semalink_webhooks_held") == 7
    assert value("semalink_webhook_breakers_opened_total") == 1
    assert value("semalink_webhook_endpoints_disabled_total") == 1
    assert value("semalink_webhook_owners_warned_total") == 1
