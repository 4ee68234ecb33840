"""Spans written to the log, for a developer who has no collector."""

from collections.abc import Sequence

import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_log = structlog.get_logger(__name__)


class SpanLog(SpanExporter):
    """Writes one debug line for each span that ended."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans."""
        for span in spans:
            _log.debug("span_ended", **_describe(span))
        return SpanExportResult.SUCCESS


def _describe(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    assert context is not None, "a span that ended has a context"
    assert span.start_time is not None, "a span that ended has begun"
    assert span.end_time is not None, "an exported span has ended"
    return {
        "span": span.name,
        "duration_ms": (span.end_time - span.start_time) / 1_000_000,
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
        "parent_id": trace.format_span_id(span.parent.span_id) if span.parent else None,
        "linked_traces": [trace.format_trace_id(link.context.trace_id) for link in span.links],
        "attributes": dict(span.attributes or {}),
        "is_error": span.status.status_code is trace.StatusCode.ERROR,
    }
