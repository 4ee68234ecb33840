"""Liveness, readiness and metrics of the sandbox."""

from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from semalink_ops.sandbox.sandbox import SANDBOX, Sandbox

_REGISTRY = web.AppKey("REGISTRY", CollectorRegistry)


class _SandboxCollector(Collector):
    """Reads the counters that the sandbox keeps anyway, when somebody asks for them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def collect(self) -> Iterable[Metric]:
        """Yield one metric at a time."""
        labels = ("aggregator", "outcome")
        submissions = CounterMetricFamily(
            "semalink_sandbox_submissions", "Messages and requests by outcome.", labels=labels
        )
        reports = CounterMetricFamily(
            "semalink_sandbox_reports", "Delivery reports by outcome.", labels=labels
        )
        for name, line in self._sandbox.lines.items():
            for outcome, count in line.submissions.items():
                submissions.add_metric((name, outcome), count)
            for outcome, count in line.reports.items():
                reports.add_metric((name, outcome), count)
        yield submissions
        yield reports
        yield GaugeMetricFamily(
            "semalink_sandbox_reports_pending",
            "Delivery reports that wait or are under way.",
            value=self._sandbox.reports.pending,
        )


async def _answer_ok(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _answer_ready(request: web.Request) -> web.Response:
    is_ready = request.app[SANDBOX].reports.is_running
    return web.json_response(
        {"status": "ok" if is_ready else "stopping"}, status=200 if is_ready else 503
    )


async def _answer_metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=generate_latest(request.app[_REGISTRY]),
        headers={"Content-Type": CONTENT_TYPE_LATEST},
    )


def add_routes(app: web.Application) -> None:
    """Serve what every process serves to its operator."""
    registry = CollectorRegistry()
    registry.register(_SandboxCollector(app[SANDBOX]))
    app[_REGISTRY] = registry
    app.router.add_get("/health/live", _answer_ok)
    app.router.add_get("/health/ready", _answer_ready)
    app.router.add_get("/metrics", _answer_metrics)
