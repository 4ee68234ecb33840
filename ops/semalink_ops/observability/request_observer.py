"""What the web server tells of each request: measured always, traced now and then."""

from collections.abc import Mapping
from typing import Any

from semalink_ops.observability.metrics import Metrics
from semalink_ops.observability.tracing import RequestSpan, Tracing, inject


class RequestTelemetry:
    """A `RequestObserver`; the token is the span of a sampled request."""

    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._metrics = metrics
        self._tracing = tracing

    def begin(self, scope: Mapping[str, Any]) -> RequestSpan | None:
        """Start the span of the request, if it is to be sampled."""
        return self._tracing.begin_request(scope["method"])

    def traceparent(self, token: RequestSpan | None) -> str:
        """Return the trace context of a sampled request, and "" for the others."""
        if token is None:
            return ""
        headers: dict[str, str] = {}
        inject(headers)
        return headers.get("traceparent", "")

    def end(
        self, token: RequestSpan | None, *, route: str, method: str, status: int, seconds: float
    ) -> None:
        """Record the request, and end its span."""
        self._metrics.request_ended(route, method, status, seconds)
        if token is not None:
            token.end(route, method, status)
