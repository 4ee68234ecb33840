"""Traces: what is sampled, how work is linked, and what no span holds."""

import sys
from collections.abc import Callable, Iterator, Sequence

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from semalink.web.dependencies import RequestObserver
from semalink_ops.observability import tracing
from semalink_ops.observability.metrics import Metrics
from semalink_ops.observability.request_observer import RequestTelemetry
from semalink_ops.observability.span_log import SpanLog
from semalink_ops.observability.tracing import TracesUnavailable, Tracing

Ended = Callable[[], Sequence[ReadableSpan]]
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + "0"


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def everything(memory: InMemorySpanExporter) -> Iterator[Tracing]:
    started = tracing.configure("semalink-api", ratio=1.0, exporter=memory)
    yield started
    started.shut_down()


@pytest.fixture
def nothing_chosen(memory: InMemorySpanExporter) -> Iterator[Tracing]:
    started = tracing.configure("semalink-api", ratio=0.0, exporter=memory)
    yield started
    started.shut_down()


@pytest.fixture
def ended(memory: InMemorySpanExporter, request: pytest.FixtureRequest) -> Ended:
    def find() -> Sequence[ReadableSpan]:
        for name in {"everything", "nothing_chosen"} & set(request.fixturenames):
            request.getfixturevalue(name).shut_down()
        return memory.get_finished_spans()

    return find


def test_request_is_named_after_its_route(everything: Tracing, ended: Ended) -> None:
    observer: RequestObserver = RequestTelemetry(Metrics(), everything)

    token = observer.begin({"type": "http", "method": "GET", "path": "/v1/messages/254712345678"})
    inside = trace.get_current_span()
    observer.end(token, route="/v1/messages/{message_id}", method="GET", status=200, seconds=0.01)

    (span,) = ended()
    assert inside.get_span_context() == span.get_span_context()
    assert span.name == "GET /v1/messages/{message_id}"
    assert span.resource.attributes["service.name"] == "semalink-api"
    assert not trace.get_current_span().is_recording()
    assert "254712345678" not in span.to_json()


def test_request_that_failed_is_an_error(everything: Tracing, ended: Ended) -> None:
    observer: RequestObserver = RequestTelemetry(Metrics(), everything)

    token = observer.begin({"type": "http", "method": "GET"})
    observer.end(token, route="unmatched", method="GET", status=500, seconds=0.01)

    (span,) = ended()
    assert span.name == "GET unmatched"
    assert not span.status.is_ok


def test_request_is_measured_when_not_sampled(nothing_chosen: Tracing, ended: Ended) -> None:
    metrics = Metrics()
    observer: RequestObserver = RequestTelemetry(metrics, nothing_chosen)

    token = observer.begin({"type": "http", "method": "GET"})
    observer.end(token, route="/", method="GET", status=200, seconds=0.01)

    labels = {"route": "/", "method": "GET", "code": "200"}
    count = "http_server_request_duration_seconds_count"
    assert metrics.registry.get_sample_value(count, labels) == 1
    assert token is None
    assert ended() == ()


def test_span_is_a_child_of_the_sampled_work(everything: Tracing, ended: Ended) -> None:
    with everything.work("submit message"), everything.span("call provider", provider="celcom"):
        pass

    child, root = ended()
    assert child.parent is not None
    assert root.context is not None
    assert child.parent.span_id == root.context.span_id
    assert child.attributes == {"provider": "celcom"}


def test_span_is_nothing_outside_sampled_work(everything: Tracing, ended: Ended) -> None:
    with everything.span("call provider") as span:
        span.set_attribute("provider", "celcom")

    assert ended() == ()


def test_span_hides_what_its_attributes_and_error_hold(everything: Tracing, ended: Ended) -> None:
    with pytest.raises(ValueError, match="Hello"), everything.work("submit", to="+254712345678"):
        raise ValueError("Hello +254712345678")

    (span,) = ended()
    assert span.status.description == "ValueError"
    assert span.attributes == {"to": "***"}
    assert span.events == ()
    assert "Hello" not in span.to_json()


def test_work_is_a_new_trace_linked_to_its_producer(everything: Tracing, ended: Ended) -> None:
    headers: dict[str, str] = {}
    with everything.work("relay"):
        tracing.inject(headers)
    with everything.work("submit message", headers):
        pass

    producer, consumer = ended()
    assert producer.context is not None
    assert consumer.context is not None
    assert list(headers) == ["traceparent"]
    assert consumer.parent is None
    assert consumer.context.trace_id != producer.context.trace_id
    assert [link.context.span_id for link in consumer.links] == [producer.context.span_id]


def test_work_is_sampled_when_its_producer_was(nothing_chosen: Tracing, ended: Ended) -> None:
    with nothing_chosen.work("submit message", {"traceparent": SAMPLED}):
        pass

    assert len(ended()) == 1


@pytest.mark.parametrize("carried", [{}, {"traceparent": UNSAMPLED}, {"traceparent": "broken"}])
def test_work_is_not_sampled_when_nobody_chose_it(
    nothing_chosen: Tracing, ended: Ended, carried: dict[str, str]
) -> None:
    headers: dict[str, str] = {}

    with nothing_chosen.work("submit message", carried):
        tracing.inject(headers)

    assert headers == {}
    assert ended() == ()


def test_configure_traces_nothing_without_an_exporter() -> None:
    off = tracing.configure("semalink-api", ratio=1.0, exporter=None)

    with off.work("submit message", {"traceparent": SAMPLED}) as span:
        assert not span.is_recording()

    assert off.begin_request("GET") is None
    off.shut_down()


def test_configure_refuses_a_ratio_above_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        tracing.configure("semalink-api", ratio=1.1, exporter=None)


def test_choose_exporter_sends_nothing_when_nothing_is_set() -> None:
    assert tracing.choose_exporter({}) is None


def test_choose_exporter_refuses_a_word_it_does_not_know() -> None:
    with pytest.raises(TracesUnavailable, match="SEMALINK_TRACES"):
        tracing.choose_exporter({"SEMALINK_TRACES": "yes"})


def test_choose_exporter_names_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in the table of modules is how Python marks one that cannot be imported.
    monkeypatch.setitem(sys.modules, tracing._OTLP_MODULE, None)

    with pytest.raises(TracesUnavailable, match="opentelemetry-exporter-otlp-proto-http"):
        tracing.choose_exporter({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_span_log_writes_a_line_for_each_span() -> None:
    exporter = tracing.choose_exporter({"SEMALINK_TRACES": "log"})
    assert isinstance(exporter, SpanLog)
    structlog.reset_defaults()
    started = tracing.configure("semalink-api", ratio=1.0, exporter=exporter)

    with capture_logs() as lines:
        with started.work("submit message", {"traceparent": SAMPLED}, lane="normal"):
            pass
        started.shut_down()

    (line,) = lines
    assert line["event"] == "span_ended"
    assert line["span"] == "submit message"
    assert line["linked_traces"] == ["0af7651916cd43dd8448eb211c80319c"]
    assert line["attributes"] == {"lane": "normal"}
