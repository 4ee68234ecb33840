"""How fast read models are fed, rebuilt and verified, and what memory that takes."""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, NullPool, create_engine
from uuid_utils.compat import uuid7

from bench.drafts import draft_of
from semalink.domain.cause import Cause
from semalink.domain.message import Message
from semalink.projections.messages import MESSAGES
from semalink.projections.rebuilding import open_rebuild
from semalink.projections.registry import BY_NAME
from semalink.projections.runner import ProjectionRunner
from semalink.projections.shadow import Pace
from semalink.projections.verifying import verify
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url, upgrade
from semalink_ops.embedded.ports import free_port
from semalink_ops.embedded.postgres import EmbeddedPostgres
from semalink_ops.runtime import utc_now

MESSAGE_COUNT = 100_000
#: So many messages are under way at a time, as their events mix in the log.
MIXED = 500
TARGET_PER_SECOND = 20_000

_COPY = "COPY message_events (originator_id, originator_version, topic, state) FROM STDIN"


def measure(*, quick: bool) -> None:
    """Print the figures; servers of its own, so that nothing else is in the log."""
    count = MESSAGE_COUNT // 10 if quick else MESSAGE_COUNT
    with tempfile.TemporaryDirectory(prefix="semalink-bench-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "postgres", free_port()) as server:
            upgrade(server.dsn)
            _fill(server.dsn, count)
            engine = create_engine(sqlalchemy_url(server.dsn), poolclass=NullPool)
            _measure(engine, count * 4)
            engine.dispose()


def _measure(engine: Engine, event_count: int) -> None:
    print(f"\nRead models, {event_count:,} events of messages (aim: {TARGET_PER_SECOND:,}/s)")
    for name in ("messages", "usage"):
        projection = BY_NAME[name]
        runner = ProjectionRunner(engine, projection, EventMapper.read)
        feed = partial(_feed, runner, event_count)
        _timed(f"{name}: live, pages of 2,000", event_count, feed)
    before = _memory_megabytes()
    for name in ("messages", "usage"):
        phases = _rebuild(engine, name)
        total = sum(phases.values())
        told = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in phases.items())
        print(f"  {name + ': rebuild, to the swap':<36}{event_count / total:>9,.0f}/s  {told}")
    _timed(
        "messages: verify",
        event_count,
        lambda: verify(engine, MESSAGES, EventMapper.read, Pace()),
    )
    grown = _memory_megabytes() - before
    print(f"  memory of rebuilds and verification above the runner's: {grown:.0f} MB", flush=True)


def _timed(title: str, event_count: int, work: Callable[[], Any]) -> None:
    started = time.perf_counter()
    work()
    elapsed = time.perf_counter() - started
    print(f"  {title:<36}{event_count / elapsed:>9,.0f}/s", flush=True)


def _feed(runner: ProjectionRunner, event_count: int) -> None:
    while event_count > 0:
        event_count -= runner.step().event_count


def _rebuild(engine: Engine, name: str) -> dict[str, float]:
    phases: dict[str, float] = {}
    with open_rebuild(engine, BY_NAME[name], EventMapper.read, Pace()) as opened:
        assert opened is not None, "a new one is begun"
        for phase, work in (
            ("load", opened.shadow.load),
            ("follow", opened.shadow.follow),
            ("compare", opened.compare),
            ("swap", opened.swap),
        ):
            started = time.perf_counter()
            work()
            phases[phase] = time.perf_counter() - started
        assert opened.comparison is not None, "it was compared"
        assert opened.comparison.difference_count == 0, "both read the same log"
    return phases


def _fill(database_url: str, count: int) -> None:
    with psycopg.connect(database_url) as connection:
        with connection.cursor().copy(_COPY) as rows:
            for row in _rows(count):
                rows.write_row(row)
        connection.commit()
        connection.execute("ANALYZE message_events")


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    template = _life()
    mapper = EventMapper()
    stored = [mapper.to_stored_event(event) for event in template]
    known = str(template[0].originator_id).encode()
    for start in range(0, count, MIXED):
        ids = [uuid7() for _ in range(min(MIXED, count - start))]
        for step in stored:
            for message_id in ids:
                state = step.state.replace(known, str(message_id).encode())
                yield message_id, step.originator_version, step.topic, state


def _life() -> list[Any]:
    """Return the events of a message that is delivered."""
    now = utc_now()
    account_id = uuid7()
    draft = draft_of(account_id, now)
    cause = Cause("key:bench", now, "req_bench")
    message = Message.accept(uuid7(), draft, cause)
    message.start_submission("africastalking", cause)
    message.record_receipt(
        1, "africastalking", "ATXid_1", cause,
        charged_micros=800_000, network=None, cost="KES 0.8000",
    )  # fmt: skip
    message.deliver("Success", None, cause)
    return list(message.collect_events())


def _memory_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


if __name__ == "__main__":
    measure(quick="--quick" in sys.argv)
