"""The projector: keeps every read model up to date, and one that fails from stopping others."""

import asyncio
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from semalink.application.relaying import POKE_SUBJECT
from semalink.projections.projection import Projection
from semalink.projections.registry import PROJECTIONS
from semalink.projections.runner import PAGE_SIZE, Page, ProjectionRunner
from semalink.projections.standing import Failure, forget_failure, lag_seconds, note_failure
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.migrate import sqlalchemy_url
from semalink_ops.bootstrap import Core
from semalink_ops.endpoint_keeping import keep_endpoints
from semalink_ops.feeding import run_feed
from semalink_ops.observability.metrics import Metrics
from semalink_ops.runtime import wait_for_stop

#: Many events a page cost little more than one, so a quiet moment is left between pages; a list
#: may lag so long behind one message.
ROUND_SECONDS = 0.1
#: Nobody poked: a poke may be lost, and an event may become readable after its poke.
POLL_SECONDS = 1.0
#: After a poke or a page, so many rounds follow one another, for what was not readable yet.
ROUNDS_AFTER_NEWS = 10
RETRY_SECONDS = 0.5
FAILURE_PAUSE_SECONDS = 0.5
FAILURE_PAUSE_SECONDS_MAX = 30.0

#: Events that bring a message into a state, which their metric counts.
STATE_BY_TOPIC = {
    "message.accepted.1": "accepted",
    "message.submitted.1": "submitted",
    "message.delivered.1": "delivered",
    "message.failed.1": "failed",
    "message.rejected.1": "rejected",
    "message.expired.1": "expired",
    "message.unknown.1": "unknown",
}
#: Several read models read the same events; those of this one are counted.
COUNTED = "messages"

#: SQLSTATEs of a server that is going or gone: connection, transaction state, shut down. A page
#: that takes too long or too much is the fault of that page, and must not stop other read models.
_STATES_OF_THE_SERVER = ("08", "25", "57P")

_log = structlog.get_logger(__name__)


async def run_projector(core: Core, stop: asyncio.Event) -> None:
    """Keep the read models up to date, and the feeds of accounts, until the stop."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_read_models(core, stop))
        group.create_task(run_feed(core, stop))
        group.create_task(keep_endpoints(core, stop))


async def _keep_read_models(core: Core, stop: asyncio.Event) -> None:
    poked = asyncio.Event()
    await core.bus.on_poke(POKE_SUBJECT, poked.set)
    engine = open_engine(core.settings.database_url.reveal())
    try:
        while not stop.is_set():
            try:
                await project(engine, core.metrics, poked, stop)
            except (OperationalError, InterfaceError):
                _log.warning("projector_lost_database")
                await wait_for_stop(stop, RETRY_SECONDS)
    finally:
        engine.dispose()


def open_engine(database_url: str) -> Engine:
    """Return the engine of the projector."""
    return create_engine(
        sqlalchemy_url(database_url),
        pool_size=1,
        max_overflow=1,
        hide_parameters=True,
        # A process that froze in the middle of a page leaves it to another one.
        connect_args={"options": "-c idle_in_transaction_session_timeout=5s"},
    )


async def project(
    engine: Engine,
    metrics: Metrics,
    poked: asyncio.Event,
    stop: asyncio.Event,
    projections: tuple[Projection, ...] = PROJECTIONS,
) -> None:
    """Serve the read models in turn, a page each, until the stop or the loss of the database."""
    supervised = [
        Supervised(
            engine, one, await asyncio.to_thread(ProjectionRunner, engine, one, EventMapper.read)
        )
        for one in projections
    ]
    rounds_left = ROUNDS_AFTER_NEWS
    while not stop.is_set():
        pages = [await one.step(metrics) for one in supervised]
        if any(page.event_count >= PAGE_SIZE for page in pages):
            continue
        if any(page.event_count for page in pages) or poked.is_set():
            poked.clear()
            rounds_left = ROUNDS_AFTER_NEWS
        rounds_left -= 1
        if rounds_left > 0:
            await wait_for_stop(stop, ROUND_SECONDS)
        else:
            await _wait_for_poke(poked, stop)


@dataclass(slots=True)
class Supervised:
    """One read model, retried with a growing pause while it fails."""

    engine: Engine
    projection: Projection
    runner: ProjectionRunner
    failure_count: int = 0
    #: Whether no failure stands in the list; a process that begins does not know.
    is_clean: bool = False
    retry_at: float = 0.0

    async def step(self, metrics: Metrics) -> Page:
        """Apply the next page; raises only what the loss of the database raises."""
        now = asyncio.get_running_loop().time()
        if now < self.retry_at:
            return Page(0, 0.0)
        # As a value: whatever one read model throws ends its page and nothing else.
        [outcome] = await asyncio.gather(
            asyncio.to_thread(self.runner.step), return_exceptions=True
        )
        if isinstance(outcome, OperationalError | InterfaceError) and is_database_lost(outcome):
            raise outcome
        if not isinstance(outcome, BaseException):
            await self._went_well(outcome, metrics)
            return outcome
        if not isinstance(outcome, Exception):
            raise outcome
        if self.runner.page_size > 1:
            # Smaller pages come as far as can be, and the last one names the event.
            self.runner.page_size //= 2
            return Page(0, 0.0)
        await self._failed(outcome, metrics)
        self.retry_at = now + self._pause_seconds()
        return Page(0, 0.0)

    async def _went_well(self, page: Page, metrics: Metrics) -> None:
        metrics.projection_lagged(self.projection.name, page.lag_seconds)
        if self.projection.name == COUNTED:
            for topic, count in page.topics.items():
                if topic in STATE_BY_TOPIC:
                    metrics.messages_reached(STATE_BY_TOPIC[topic], count)
        if page.event_count:
            self.runner.page_size = min(PAGE_SIZE, self.runner.page_size * 2)
            if not self.is_clean:
                await asyncio.to_thread(self._note, None)
                self.is_clean = True
            if self.failure_count:
                _log.info("projection_recovered", projection=self.projection.name)
                self.failure_count = 0
        metrics.projection_failing(self.projection.name, failing=self.failure_count > 0)

    async def _failed(self, error: Exception, metrics: Metrics) -> None:
        self.failure_count += 1
        self.is_clean = False
        event = self.runner.began_at or (None, None, None)
        failure = Failure(type(error).__name__, *event)
        # The class of the error only: what it says may repeat what the event says.
        _log.error(
            "projection_failed",
            projection=self.projection.name,
            error_class=failure.error,
            topic=failure.topic,
            originator_id=failure.originator_id,
            version=failure.version,
        )
        metrics.projection_failing(self.projection.name, failing=True)
        lag = await asyncio.to_thread(self._note, failure)
        metrics.projection_lagged(self.projection.name, lag)

    def _note(self, failure: Failure | None) -> float:
        with self.engine.begin() as tx:
            if failure is None:
                forget_failure(tx, self.projection.name)
                return 0.0
            note_failure(tx, self.projection.name, failure)
            return lag_seconds(tx, self.projection)

    def _pause_seconds(self) -> float:
        doubled = FAILURE_PAUSE_SECONDS * 2.0 ** min(self.failure_count - 1, 10)
        return min(doubled, FAILURE_PAUSE_SECONDS_MAX)


def is_database_lost(error: DBAPIError) -> bool:
    """Tell whether an error is the server's state rather than what it was asked to store."""
    code = getattr(error.orig, "sqlstate", None)
    return code is None or code.startswith(_STATES_OF_THE_SERVER)


async def _wait_for_poke(poked: asyncio.Event, stop: asyncio.Event) -> None:
    if stop.is_set():
        return
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await poked.wait()
    except TimeoutError:
        return
