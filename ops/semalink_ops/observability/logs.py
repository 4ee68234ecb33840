"""Log lines: one JSON object an event, written to stderr, with nothing personal in it."""

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO

import msgspec
import structlog
from opentelemetry import trace
from structlog.dev import ConsoleRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import ExcInfo

from semalink_ops.observability.redaction import redact, redact_name, redact_text

EventDict = MutableMapping[str, Any]

_FRAMES_MAX = 20
_LEVELS = ("debug", "info", "warning", "error", "critical")
#: Servers that would write their own lines, and one for each request.
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "aiohttp.access")
_ACCESS_LOGGERS = ("uvicorn.access", "aiohttp.access")

_current_span = trace.get_current_span
_encode = msgspec.json.Encoder().encode


def configure(level: str, *, process: str, stream: BinaryIO | None = None) -> None:
    """Send the lines of structlog and of the standard library to stderr, or to the stream.

    A terminal is given lines for people, everything else JSON.
    """
    if level.lower() not in _LEVELS:
        raise ValueError(f"The log level {level!r} is none of {', '.join(_LEVELS)}.")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    pipeline = _Pipeline(process, for_people=stream is None and sys.stderr.isatty())
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, pipeline],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_WriterFactory(stream),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(_StandardHandler(pipeline, stream), threshold)
    _route_crashes()


class LineWriter:
    """Writes one line at a time; a line that cannot be written fails no work."""

    __slots__ = ("_stream", "name")

    def __init__(self, name: str, stream: BinaryIO | None) -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: bytes) -> None:
        """Write the line in one piece and hand it to the system."""
        stream = self._stream or sys.stderr.buffer
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            # The reader is gone or the stream is closed; there is nowhere left to say so.
            return

    debug = info = warning = error = critical = msg


class _WriterFactory:
    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream

    def __call__(self, name: str = "", *_: object) -> LineWriter:
        return LineWriter(name, self._stream)


class _Clock:
    """Formats the seconds once a second; only the milliseconds differ within it."""

    def __init__(self) -> None:
        self._second = (0, "")

    def now(self) -> str:
        at_ms = time.time_ns() // 1_000_000
        second, millisecond = divmod(at_ms, 1_000)
        known, text = self._second
        if known != second:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            # One assignment, so that another thread sees both or neither.
            self._second = (second, text)
        return f"{text}.{millisecond:03d}Z"


class _Pipeline:
    """Stamps, redacts and renders in one pass: a line of each state change must be cheap."""

    def __init__(self, process: str, *, for_people: bool) -> None:
        self._process = process
        self._clock = _Clock()
        self._format_exception: Callable[[ExcInfo], Any]
        self._render: Callable[[dict[str, Any]], bytes]
        if for_people:
            console = ConsoleRenderer()
            self._format_exception = _traceback_text
            self._render = lambda line: f"{console(None, '', line)}\n".encode(errors="replace")
        else:
            self._format_exception = ExceptionDictTransformer(
                show_locals=False, max_frames=_FRAMES_MAX
            )
            self._render = _to_json

    def __call__(self, writer: Any, level: str, event_dict: EventDict) -> bytes:
        line: dict[str, Any] = {
            "timestamp": self._clock.now(),
            "level": level,
            "event": redact_text(str(event_dict.pop("event", ""))),
            "logger": writer.name,
            "process": self._process,
        }
        span = _current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
            line["span_id"] = trace.format_span_id(span.span_id)
        raised = _exc_info(event_dict.pop("exc_info", None))
        if raised is not None:
            event_dict["exception"] = self._format_exception(raised)
        for name, value in event_dict.items():
            line.setdefault(redact_name(name), redact(name, value))
        return self._render(line)


class _StandardHandler(logging.Handler):
    """What libraries log, in the same form."""

    def __init__(self, pipeline: _Pipeline, stream: BinaryIO | None) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        event_dict: EventDict = {"event": _message(record), "exc_info": record.exc_info}
        writer = LineWriter(record.name, self._stream)
        structlog.contextvars.merge_contextvars(writer, "", event_dict)
        writer.msg(self._pipeline(writer, record.levelname.lower(), event_dict))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # The library gave arguments that do not fit its own sentence.
        return str(record.msg)


def _exc_info(raised: Any) -> ExcInfo | None:
    if not raised:
        return None
    if isinstance(raised, BaseException):
        return type(raised), raised, raised.__traceback__
    found = raised if isinstance(raised, tuple) else sys.exc_info()
    return None if found[0] is None else found


def _traceback_text(raised: ExcInfo) -> str:
    return "".join(traceback.format_exception(*raised)).rstrip()


def _to_json(line: dict[str, Any]) -> bytes:
    try:
        return _encode(line) + b"\n"
    except UnicodeEncodeError:
        # Half a surrogate pair, from a library that decodes carelessly.
        return json.dumps(line, default=str).encode() + b"\n"


def _route_standard_library(handler: logging.Handler, threshold: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # At DEBUG libraries log what they carry.
    root.setLevel(max(threshold, logging.INFO))
    for name in _SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _ACCESS_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _route_crashes() -> None:
    """Let an exception that nobody caught end as a redacted line as well."""
    sys.excepthook = _log_crash
    threading.excepthook = lambda args: _log_crash(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def _log_crash(
    kind: type[BaseException], raised: BaseException | None, frames: TracebackType | None
) -> None:
    if raised is None or issubclass(kind, KeyboardInterrupt):
        return
    log = structlog.get_logger(__name__)
    log.critical("crashed", exc_info=(kind, raised, frames))
