"""Log lines: their form, and what never gets into them."""

import io
import json
import logging
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from semalink_ops.observability import logs

UNDISTURBED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
NUMBER = "+254712345678"
API_KEY = "sl_live_4f9Zk2Qm7Xw1"


class Lines:
    def __init__(self) -> None:
        self.stream = io.BytesIO()

    @property
    def rendered(self) -> str:
        return self.stream.getvalue().decode()

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.rendered.splitlines()[-1])
        return line

    def forget(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def lines() -> Lines:
    found = Lines()
    logs.configure("info", process="api", stream=found.stream)
    return found


@pytest.fixture
def log(lines: Lines) -> Any:
    return structlog.get_logger("semalink.tests")


def refuse(why: str, local: str = "") -> None:
    raise ValueError(why)


def ways_to_write(national: str) -> st.SearchStrategy[str]:
    spaced = f"{national[:3]} {national[3:6]} {national[6:]}"
    return st.sampled_from(
        [
            f"+254{national}",
            f"254{national}",
            f"0{national}",
            f"+254 {spaced}",
            f"(0{national[:3]}) {national[3:6]}-{national[6:]}",
            f"0{spaced.replace(' ', '-')}",
            f"+254.{spaced.replace(' ', '.')}",
        ]
    )


nationals = st.integers(min_value=700_000_000, max_value=799_999_999).map(str)
key_bodies = st.text("ABCDEFGHJKabcdefghjk0123456789", min_size=16, max_size=40)


def test_log_writes_one_json_line_with_its_context(lines: Lines, log: Any) -> None:
    message_id, request_id = f"msg_{uuid.uuid4().hex}", f"req_{uuid.uuid4().hex}"
    structlog.contextvars.bind_contextvars(request_id=request_id)

    log.bind(message_id=message_id).info("message_submitted", lane="normal", price_micros=7_500)

    assert lines.rendered.count("\n") == 1
    assert lines.last.pop("timestamp").endswith("Z")
    assert lines.last == {
        "timestamp": lines.last["timestamp"],
        "level": "info",
        "event": "message_submitted",
        "logger": "semalink.tests",
        "process": "api",
        "request_id": request_id,
        "message_id": message_id,
        "lane": "normal",
        "price_micros": 7_500,
    }


def test_log_writes_nothing_below_its_level(lines: Lines, log: Any) -> None:
    log.debug("span_ended")

    assert lines.rendered == ""


def test_configure_refuses_a_level_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="is none of debug, info"):
        logs.configure("loud", process="api")


def test_log_names_the_current_trace(lines: Lines, log: Any) -> None:
    context = trace.SpanContext(0x0123456789, 0x12345678, is_remote=False)

    with trace.use_span(trace.NonRecordingSpan(context)):
        log.info("message_submitted")

    assert lines.last["trace_id"] == "00000000000000000000000123456789"
    assert lines.last["span_id"] == "0000000012345678"


@pytest.mark.parametrize(
    "name",
    [
        *("text", "to", "recipient", "phone", "msisdn", "key", "api_key", "apiKey", "X-Api-Key"),
        *("body", "message_text", "webhook_secret", "Authorization", "idempotency_key", "tokens"),
    ],
)
def test_log_masks_a_value_by_its_name(lines: Lines, log: Any, name: str) -> None:
    log.info("report_received", **{name: "Hello"}, nested={name: ["Hello"]})

    assert lines.last[name] == "***"
    assert lines.last["nested"][name] == "***"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_id", "msg_01990000000000000000000000000a11"),
        ("cause", "after evt_0199123456781234567812345678ab12 was stored"),
        ("account", "01991234-5678-7123-8123-0123456789ab"),
        ("due", "due 2026-03-01T12:30:00.123456+00:00, server 192.168.100.100"),
        ("available_micros", 254_712_345_678),
        ("position", 1_234_567_890),
        ("attempt", 3),
        ("is_replayed", True),
        ("key_id", "key_0199aaaabbbbccccddddeeeeffff0000"),
        ("text_length", 160),
    ],
)
def test_log_keeps_what_identifies_nobody(lines: Lines, log: Any, name: str, value: object) -> None:
    log.info("message_accepted", **{name: value})

    assert lines.last[name] == value


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("postgresql://semalink:hunter2@db/semalink", "postgresql://semalink:***@db/semalink"),
        ("host=db password=hunter2 dbname=x", "host=db password=*** dbname=x"),
        ("nats://user:a@b@broker:4222", "nats://user:***@broker:4222"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer ***"),
        ("https://sms.example/send?to=1&message=Hello", "https://sms.example/send?***"),
        ("duplicate key\nDETAIL: Key (text)=(Hello\nyou) exists", "duplicate key\nDETAIL: ***"),
        (f"the key {API_KEY} is unknown", "the key sl_live_*** is unknown"),
        ('{"apiKey": "hunter2", "n": 1}', '{"apiKey": ***, "n": 1}'),
    ],
)
def test_log_masks_secrets_within_a_sentence(lines: Lines, log: Any, said: str, shown: str) -> None:
    log.warning("connection_lost", reason=said)

    assert lines.last["reason"] == shown


def test_log_names_only_the_type_of_an_unknown_object(lines: Lines, log: Any) -> None:
    @dataclass
    class Draft:
        words: str

    log.info("message_refused", draft=Draft("Hello"), length=b"Hello", other=[Draft("Hello")])

    assert lines.last["draft"] == "<Draft>"
    assert "Hello" not in lines.rendered


def test_log_masks_a_number_that_is_an_integer_or_a_name(lines: Lines, log: Any) -> None:
    log.info("counted", seen=254_712_345_678, by_number={NUMBER: 1}, pair=(254_712_345_678,))

    assert "712345678" not in lines.rendered


def test_log_exception_shows_frames_without_values(lines: Lines, log: Any) -> None:
    try:
        refuse(f"{NUMBER} and {API_KEY} are refused", local="Hello")
    except ValueError:
        log.exception("command_crashed")

    raised = lines.last["exception"][0]
    assert raised["exc_type"] == "ValueError"
    assert raised["exc_value"] == "*** and sl_live_*** are refused"
    assert raised["frames"][-1]["name"] == "refuse"
    assert "Hello" not in lines.rendered


def test_log_renders_half_a_surrogate_pair(lines: Lines, log: Any) -> None:
    log.info("report_refused", reason="\ud83d")

    assert lines.last["reason"] == "\ud83d"


def test_log_fails_no_work_when_its_stream_is_closed(lines: Lines, log: Any) -> None:
    lines.stream.close()

    log.info("message_submitted")


def test_library_lines_have_the_same_form(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(request_id="req_1")

    logging.getLogger("uvicorn.error").warning("lost %s", NUMBER)

    assert lines.last["event"] == "lost ***"
    assert lines.last["logger"] == "uvicorn.error"
    assert lines.last["level"] == "warning"
    assert lines.last["request_id"] == "req_1"


def test_library_lines_survive_arguments_that_do_not_fit(lines: Lines) -> None:
    library = logging.getLogger("nats")
    record = library.makeRecord("nats", logging.ERROR, "", 0, "lost %d", ("much",), None)

    logging.getLogger().handlers[0].handle(record)

    assert lines.last["event"] == "lost %d"


def test_access_lines_are_not_written(lines: Lines) -> None:
    logging.getLogger("uvicorn.access").info("GET /")

    assert lines.rendered == ""


def test_crash_ends_as_a_masked_line(lines: Lines) -> None:
    crash = RuntimeError(f"no route to {NUMBER}")

    sys.excepthook(RuntimeError, crash, None)

    assert lines.last["event"] == "crashed"
    assert lines.last["exception"][0]["exc_value"] == "no route to ***"


def test_terminal_is_given_lines_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.configure("info", process="api")
    log = structlog.get_logger("semalink.tests")

    try:
        refuse(NUMBER)
    except ValueError:
        log.exception("command_crashed", to=NUMBER)

    shown = capsys.readouterr().err
    assert "command_crashed" in shown
    assert "ValueError: ***" in shown
    assert "712345678" not in shown


@given(before=st.text(max_size=40), after=st.text(max_size=40), data=st.data())
@UNDISTURBED
def test_log_never_shows_a_number(
    lines: Lines, log: Any, before: str, after: str, data: st.DataObject
) -> None:
    national = data.draw(nationals)
    said = before + data.draw(ways_to_write(national)) + after
    lines.forget()

    try:
        refuse(said)
    except ValueError:
        log.exception("message_refused", said=said, nested=[{"said": (said, {said: said})}])
    logging.getLogger("library").warning("said %s", said)

    digits = "".join(filter(str.isdigit, national))
    windows = {digits[start : start + 7] for start in range(len(digits) - 6)}
    assert not any(window in lines.rendered for window in windows)
    assert f"{national[:3]} {national[3:6]}" not in lines.rendered


@given(before=st.text(max_size=40), body=key_bodies, after=st.text(max_size=40), data=st.data())
@UNDISTURBED
def test_log_never_shows_a_key(
    lines: Lines, log: Any, before: str, body: str, after: str, data: st.DataObject
) -> None:
    assume(body not in before)
    assume(body not in after)
    kind = data.draw(st.sampled_from(["live", "test", "admin"]))
    said = f"{before}sl_{kind}_{body}{after}"
    lines.forget()

    log.info("request_refused", reason=said, error=ValueError(said))

    assert body not in lines.rendered


@given(text=st.text(max_size=30_000), national=nationals)
@UNDISTURBED
def test_log_never_shows_a_number_that_the_limit_cuts(
    lines: Lines, log: Any, text: str, national: str
) -> None:
    said = ("x" * (8_192 - len(national) // 2)) + national + text
    lines.forget()

    log.info("report_refused", reason=said)

    assert national[:3] not in lines.rendered.replace(lines.last["timestamp"], "")
    assert len(lines.rendered) < 10_000
