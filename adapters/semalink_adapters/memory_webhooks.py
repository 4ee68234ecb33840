"""What is due, issued and claimed, in memory: for tests, held to the contract of the real one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from semalink.application.bus import NotReady
from semalink.application.webhook_dispatching import Issued, Room, Target, Ticket
from semalink.application.webhook_sending import Claimed
from semalink.domain.endpoint_health import SHUT, Breaker, Record, note_attempt
from semalink.domain.webhook_delivery import WebhookDelivery
from semalink.domain.webhook_endpoint import EndpointState, WebhookEndpoint
from semalink_adapters.memory_ledger import MemoryLedger


@dataclass(slots=True)
class _Hold:
    """What is kept of a delivery beside its log, as long as nothing new is recorded of it."""

    version: int
    #: "waiting", "issued" or "sending".
    state: str
    #: When it was issued, its lease ends, or it is due.
    at: datetime
    #: Of the endpoint, then.
    endpoint_version: int


class MemoryWebhooks:
    """The dispatch book and the claims, over the deliveries of a ledger in memory."""

    def __init__(self, ledger: MemoryLedger, now: Callable[[], datetime]) -> None:
        self.ledger = ledger
        self.breakers: dict[UUID, Breaker] = {}
        #: Payloads of the feed, by event id; a delivery that brings its own needs none.
        self.payloads: dict[str, bytes] = {}
        self._now = now
        self._holds: dict[UUID, _Hold] = {}

    async def targets_due(self) -> Sequence[Target]:
        """Return the endpoints for which something is due."""
        found = dict.fromkeys(
            delivery.subject.endpoint_id for delivery, _ in self._in_state("waiting", due=True)
        )
        return [self._target(endpoint_id) for endpoint_id in found]

    async def issue(self, rooms: Sequence[Room], limit: int) -> Sequence[Issued]:
        """Mark what is due longest as issued, as far as there is room, and return it."""
        issued: list[Issued] = []
        for room in rooms:
            out = sum(
                delivery.subject.endpoint_id == room.endpoint_id
                for state in ("issued", "sending")
                for delivery, _ in self._in_state(state)
            )
            waiting = [
                (at, delivery)
                for delivery, at in self._in_state("waiting", due=True)
                if delivery.subject.endpoint_id == room.endpoint_id
            ]
            waiting.sort(key=lambda row: row[0])
            free = max(0, min(room.issue_max, room.out_max - out, limit - len(issued)))
            for _, delivery in waiting[:free]:
                self._hold(delivery, "issued", self._now())
                ticket = Ticket(delivery.id, delivery.attempt_no + 1)
                issued.append(Issued(ticket, room.endpoint_id, self._now()))
        return issued

    async def store_breakers(self, breakers: Mapping[UUID, Breaker]) -> None:
        """Store breakers that have changed."""
        self.breakers.update(breakers)

    async def take_back(self, issued: Sequence[Issued]) -> None:
        """Make what could not be published due again."""
        for one in issued:
            if self.state_of(one.ticket.delivery_id) == "issued":
                del self._holds[one.ticket.delivery_id]

    async def take_back_lost(self, lost_after: timedelta) -> int:
        """Make due again what was issued long ago, and what a worker holds beyond its lease."""
        now = self._now()
        lost = [d for d, at in self._in_state("issued") if at < now - lost_after]
        lost += [d for d, at in self._in_state("sending") if at < now]
        for delivery in lost:
            del self._holds[delivery.id]
        return len(lost)

    async def issued_now(self, after: UUID | None, limit: int) -> Sequence[Issued]:
        """Return what is issued and in nobody's hands, in the order of its ids."""
        return [
            Issued(Ticket(d.id, d.attempt_no + 1), d.subject.endpoint_id, at)
            for d, at in self._in_state("issued")
            if after is None or d.id > after
        ][:limit]

    async def claim(self, tickets: Sequence[Ticket], lease: timedelta) -> Sequence[Claimed]:
        """Take those that are issued and in nobody's hands; raises NotReady."""
        if not self.ledger.is_available:
            msg = "The database is away."
            raise NotReady(msg)
        claimed = []
        for ticket in tickets:
            delivery = self.ledger.load(WebhookDelivery, ticket.delivery_id)
            if delivery is None or self.state_of(ticket.delivery_id) != "issued":
                continue
            endpoint = self._endpoint(delivery.subject.endpoint_id)
            if delivery.attempt_no != ticket.attempt_no - 1:
                continue
            if endpoint.state is not EndpointState.ENABLED:
                del self._holds[delivery.id]
            else:
                self._hold(delivery, "sending", self._now() + lease)
                claimed.append(self._claimed(delivery, endpoint))
        return claimed

    async def put_off(self, claimed: Sequence[Claimed], seconds: float) -> None:
        """Make attempts due again that were not made."""
        for one in claimed:
            delivery = self.ledger.load(WebhookDelivery, one.delivery_id)
            if delivery is not None and self.state_of(one.delivery_id) == "sending":
                due_at = self._now() + timedelta(seconds=seconds)
                self._hold(delivery, "waiting", max(due_at, delivery.next_attempt_at or due_at))

    def state_of(self, delivery_id: UUID) -> str:
        """Return "waiting", "issued" or "sending", or how the delivery ended."""
        delivery = self.ledger.load(WebhookDelivery, delivery_id)
        assert delivery is not None, "it was made before"
        hold = self._hold_of(delivery)
        return hold.state if delivery.is_waiting and hold else delivery.state.value

    def record_of(self, endpoint_id: UUID) -> Record:
        """Return what the attempts at an endpoint came to."""
        record = Record()
        for event in self.ledger.log:
            if isinstance(event, WebhookEndpoint.Enabled) and event.originator_id == endpoint_id:
                record = Record()
            if isinstance(event, WebhookEndpoint.Resumed) and event.originator_id == endpoint_id:
                record = replace(record, failing_since=None)
            if not isinstance(event, WebhookDelivery.AttemptRecorded):
                continue
            created = self.ledger.streams[WebhookDelivery][event.originator_id][0]
            if created.endpoint_id == endpoint_id:
                succeeded = event.outcome == "delivered"
                record = note_attempt(record, succeeded=succeeded, at=event.timestamp)
        return record

    def _in_state(
        self, state: str, *, due: bool = False
    ) -> Iterator[tuple[WebhookDelivery, datetime]]:
        """Yield deliveries with when each was issued, its lease ends, or it is due."""
        for delivery_id in self.ledger.ids(WebhookDelivery):
            delivery = self.ledger.load(WebhookDelivery, delivery_id)
            if delivery is None or not delivery.is_waiting:
                continue
            hold = self._hold_of(delivery)
            at = hold.at if hold else delivery.next_attempt_at
            assert at is not None, "what waits is due at some time"
            if (hold.state if hold else "waiting") == state and not (due and at > self._now()):
                yield delivery, at

    def _hold(self, delivery: WebhookDelivery, state: str, at: datetime) -> None:
        self._holds[delivery.id] = _Hold(
            delivery.version, state, at, self._endpoint(delivery.subject.endpoint_id).version
        )

    def _hold_of(self, delivery: WebhookDelivery) -> _Hold | None:
        hold = self._holds.get(delivery.id)
        if hold and hold.state == "issued" and self._was_stopped(delivery, hold):
            return None
        if hold is None or hold.version == delivery.version:
            return hold
        # What is out stays out when a new round begins.
        later = self.ledger.streams[WebhookDelivery][delivery.id][hold.version :]
        opens = all(isinstance(event, WebhookDelivery.Reopened) for event in later)
        return hold if opens and hold.state != "waiting" else None

    def _was_stopped(self, delivery: WebhookDelivery, hold: _Hold) -> bool:
        stream = self.ledger.streams[WebhookEndpoint][delivery.subject.endpoint_id]
        stops = (WebhookEndpoint.Paused, WebhookEndpoint.Disabled)
        return any(isinstance(event, stops) for event in stream[hold.endpoint_version :])

    def _endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        endpoint = self.ledger.load(WebhookEndpoint, endpoint_id)
        assert endpoint is not None, "a delivery is for an endpoint"
        return endpoint

    def _target(self, endpoint_id: UUID) -> Target:
        endpoint = self._endpoint(endpoint_id)
        return Target(
            endpoint_id,
            endpoint.state is EndpointState.ENABLED,
            endpoint.terms.rate_per_second,
            endpoint.terms.concurrency,
            self.record_of(endpoint_id),
            self.breakers.get(endpoint_id, SHUT),
            endpoint.warned_percent,
        )

    def _claimed(self, delivery: WebhookDelivery, endpoint: WebhookEndpoint) -> Claimed:
        subject = delivery.subject
        own = None if subject.payload is None else subject.payload.encode()
        return Claimed(
            delivery.id,
            delivery.attempt_no + 1,
            subject.endpoint_id,
            subject.event_id,
            own or self.payloads.get(subject.event_id),
            endpoint.terms.url,
            endpoint.terms.concurrency,
            subject.account_id,
        )
