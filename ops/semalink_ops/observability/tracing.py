"""Traces: set up in one place, and nearly free for the work that is not sampled."""

import importlib
import random
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from semalink_ops.observability.redaction import redact
from semalink_ops.observability.span_log import SpanLog

DEFAULT_RATIO = 0.01
_OTLP_PACKAGE = "opentelemetry-exporter-otlp-proto-http"
_OTLP_MODULE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_NO_SPAN = nullcontext(INVALID_SPAN)
_PROPAGATOR = TraceContextTextMapPropagator()


class TracesUnavailable(Exception):
    """The traces cannot be sent where the settings say."""


def choose_exporter(environment: Mapping[str, str]) -> SpanExporter | None:
    """Return where spans go: OTLP when an endpoint is set, the log when asked, or nowhere."""
    if environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return _otlp_exporter()
    wanted = environment.get("SEMALINK_TRACES", "")
    if wanted not in {"", "log"}:
        raise TracesUnavailable('SEMALINK_TRACES may be "log" or unset.')
    return SpanLog() if wanted else None


def configure(service_name: str, *, ratio: float, exporter: SpanExporter | None) -> "Tracing":
    """Start tracing that share of the work; without an exporter none is traced."""
    if not 0 <= ratio <= 1:
        raise ValueError("The share of the work that is traced lies between 0 and 1.")
    if exporter is None:
        return Tracing(None, 0.0)
    # The roots are chosen before the SDK is asked, at a hundredth of its price; a child goes
    # where its parent went.
    provider = TracerProvider(
        sampler=DEFAULT_ON,
        resource=Resource.create({"service.name": service_name}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, ratio)


class Tracing:
    """Starts spans, and carries their context from one process to the next."""

    def __init__(self, provider: TracerProvider | None, ratio: float) -> None:
        self._provider = provider
        self._tracer = (provider or trace.NoOpTracerProvider()).get_tracer("semalink")
        self._ratio = ratio

    def span(self, name: str, **attributes: Any) -> AbstractContextManager[Span]:
        """Run the block as a step of the sampled work at hand, if it is sampled."""
        if not trace.get_current_span().is_recording():
            return _NO_SPAN
        return self._entered(self._tracer.start_span(name, attributes=_shown(attributes)))

    def work(
        self, name: str, headers: Mapping[str, str] | None = None, **attributes: Any
    ) -> AbstractContextManager[Span]:
        """Run the block as a trace of its own, linked to whoever asked for the work.

        Work that came with the context of a sampled trace is sampled as well.
        """
        asked_by = extract(headers) if headers else None
        if self._provider is None or not (asked_by is not None or self._is_chosen()):
            return _NO_SPAN
        links = [Link(asked_by)] if asked_by is not None else []
        span = self._tracer.start_span(
            name, Context(), SpanKind.CONSUMER, _shown(attributes), links
        )
        return self._entered(span)

    def begin_request(self, method: str) -> "RequestSpan | None":
        """Start the trace of one request, if it is chosen; a caller's own context is not obeyed.

        Otherwise anybody could have all of their requests sampled.
        """
        if not self._is_chosen():
            return None
        span = self._tracer.start_span(method, Context(), SpanKind.SERVER)
        return RequestSpan(span)

    def shut_down(self) -> None:
        """Send what waits, then stop."""
        if self._provider is not None:
            self._provider.shutdown()

    def _is_chosen(self) -> bool:
        return random.random() < self._ratio  # noqa: S311 -- nothing is guarded by this choice

    @contextmanager
    def _entered(self, span: Span) -> Iterator[Span]:
        # The SDK would record the message of an exception, which may quote what we must not show.
        with trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield span
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise


class RequestSpan:
    """The span of one request, current from its beginning to its end."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token = attach(trace.set_span_in_context(span, Context()))

    def end(self, route: str, method: str, code: int) -> None:
        """Name the span after the route, and end it."""
        detach(self._token)
        span = self._span
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", code)
        if code >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def inject(headers: MutableMapping[str, str]) -> None:
    """Add the context of the sampled work at hand to the headers of what is published."""
    if trace.get_current_span().is_recording():
        _PROPAGATOR.inject(headers)


def extract(headers: Mapping[str, str]) -> trace.SpanContext | None:
    """Return the context of the sampled trace that the headers carry, if they do."""
    if "traceparent" not in headers:
        return None
    carried = _PROPAGATOR.extract(dict(headers), Context())
    context = trace.get_current_span(carried).get_span_context()
    return context if context.is_valid and context.trace_flags.sampled else None


def _shown(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redact(name, value) for name, value in attributes.items() if value is not None}


def _otlp_exporter() -> SpanExporter:
    try:
        module = importlib.import_module(_OTLP_MODULE)
    except ModuleNotFoundError as missing:
        raise TracesUnavailable(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set and {_OTLP_PACKAGE} is not installed. "
            "Install it, or unset the variable."
        ) from missing
    return cast("SpanExporter", module.OTLPSpanExporter())
