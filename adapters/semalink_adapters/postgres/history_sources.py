"""Where an auditor's history comes from: each log, its cheap conditions, and its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from semalink.application.archive import ArchivedEvent
from semalink.application.history import (
    KINDS,
    REFUSAL_PREFIX,
    REFUSED,
    HistoryFilter,
    Place,
    Recorded,
    public_facts,
    recorded_event,
)
from semalink.domain.ids import format_id
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.partitions import first_id_of

LEDGER, MESSAGES, ADMIN, REFUSALS, WEBHOOKS = 1, 2, 3, 4, 5
#: Those whose months may be in the archive.
ARCHIVED = (MESSAGES, WEBHOOKS)

#: Entries that people make, which have an index of their own (migration 0005).
HAND_TOPICS = frozenset(
    f"credit_account.{step}.1"
    for step in (
        "created", "topped_up", "adjusted", "limit_set", "transferred_out", "transferred_in",
        "limit_neared",
    )
)  # fmt: skip

#: Ids of refusals are made a moment before they are recorded.
_IDS_APART = timedelta(minutes=1)

_EVENT_ROWS = """
SELECT s.originator_id, s.originator_version, s.recorded_at, s.topic, s.state, {owner}, {before}
FROM (
    SELECT originator_id, originator_version, recorded_at, topic, state
    FROM {table} AS e
    WHERE {conditions} AND {slice}
    ORDER BY {order} LIMIT %(row_count)s
) AS s ORDER BY {order}"""

_REFUSAL_ROWS = """
SELECT refusal_id, 0, recorded_at, refused_at, account_id, actor, request_id, command, code,
       detail, part
FROM refusals AS e WHERE {conditions} AND {slice} ORDER BY {order} LIMIT %(row_count)s"""

_COUNT = """
SELECT count(*) FROM (
    SELECT FROM {table} AS e WHERE {probes} AND {span} LIMIT %(count_max)s
) AS s"""

_SPAN = "recorded_at >= %(start)s AND recorded_at < %(end)s"
_REFUSAL_SPAN = f"{_SPAN} AND refusal_id >= %(first_id)s AND refusal_id < %(last_id)s"

#: Whose message it is, is told by the first step; whose adjustment, by the table of them.
_OWNERS = {
    LEDGER: "NULL::bytea",
    MESSAGES: (
        "(SELECT c.state FROM message_events AS c"
        " WHERE c.originator_id = s.originator_id AND c.originator_version = 1)"
    ),
    ADMIN: (
        "COALESCE("
        "(SELECT a.account_id FROM adjustments AS a WHERE a.adjustment_id = s.originator_id),"
        " (SELECT w.account_id FROM webhook_endpoints AS w"
        " WHERE w.endpoint_id = s.originator_id),"
        " (SELECT i.account_id FROM sender_ids AS i WHERE i.sender_id = s.originator_id),"
        " (SELECT r.account_id FROM recoveries AS r WHERE r.recovery_id = s.originator_id))"
    ),
    WEBHOOKS: (
        "(SELECT c.state FROM webhook_events AS c"
        " WHERE c.originator_id = s.originator_id AND c.originator_version = 1)"
    ),
}
#: What a change replaced: the limit after the entry before, or the same setting before.
_BEFORE = {
    LEDGER: (
        "CASE WHEN s.topic = 'credit_account.limit_set.1' THEN"
        " (SELECT p.state FROM ledger_entries AS p WHERE p.originator_id = s.originator_id"
        " AND p.originator_version = s.originator_version - 1) END"
    ),
    MESSAGES: "NULL::bytea",
    ADMIN: (
        "CASE WHEN s.topic ~ '^account[.].*_(set|preferred)[.]' THEN"
        " (SELECT p.state FROM admin_events AS p WHERE p.originator_id = s.originator_id"
        " AND p.topic = s.topic AND p.originator_version < s.originator_version"
        " ORDER BY p.originator_version DESC LIMIT 1) END"
    ),
    WEBHOOKS: "NULL::bytea",
}
_BY_ACCOUNT_OF_STREAM = (
    "EXISTS (SELECT FROM {log} AS c WHERE c.originator_id = e.originator_id"
    " AND c.originator_version = 1 AND position(%(account_needle)s IN c.state) > 0)"
)
_BY_ACCOUNT_IN_ADMIN = (
    "originator_id = ANY(ARRAY(SELECT a.adjustment_id FROM adjustments AS a"
    " WHERE a.account_id = %(account_id)s"
    " UNION ALL SELECT w.endpoint_id FROM webhook_endpoints AS w"
    " WHERE w.account_id = %(account_id)s"
    " UNION ALL SELECT i.sender_id FROM sender_ids AS i WHERE i.account_id = %(account_id)s"
    " UNION ALL SELECT r.recovery_id FROM webhook_endpoints AS w"
    " JOIN recoveries AS r ON r.endpoint_id = w.endpoint_id"
    " WHERE w.account_id = %(account_id)s"
    " UNION ALL SELECT l.list_id FROM contact_lists AS l WHERE l.account_id = %(account_id)s"
    " UNION ALL SELECT i.import_id FROM contact_imports AS i WHERE i.account_id = %(account_id)s"
    # Those alone that changed since, as there may be very many.
    " UNION ALL SELECT o.opt_out_id FROM opt_outs AS o WHERE o.account_id = %(account_id)s"
    " AND greatest(o.recorded_at, o.lifted_at) >= %(start)s - interval '1 minute'"
    ") || %(account_id)s::uuid)"
)
_TABLES = {
    LEDGER: "ledger_entries",
    MESSAGES: "message_events",
    ADMIN: "admin_events",
    REFUSALS: "refusals",
    WEBHOOKS: "webhook_events",
}
_KINDS_OF = {
    LEDGER: ("credit_account",),
    MESSAGES: ("message",),
    ADMIN: (
        "account",
        "adjustment",
        "accounting_month",
        "archived_month",
        "contact_import",
        "contact_list",
        "dead_letter",
        "dead_letter_job",
        "opt_out",
        "orphan_report",
        "recovery",
        "route",
        "sender_route",
        "sender_id",
        "content_rule",
        "webhook_endpoint",
    ),
    WEBHOOKS: ("webhook_delivery",),
}


@dataclass(slots=True)
class Source:
    """One log, as one question looks through it."""

    number: int
    #: Conditions that an index answers, beside the time.
    probes: list[str] = field(default_factory=list)
    #: Conditions that each row must be looked at for.
    filters: list[str] = field(default_factory=list)

    @property
    def is_ordered(self) -> bool:
        """Whether an index gives the rows in order, so that no more are looked at than shown."""
        return bool(self.probes) and not self.filters

    @property
    def goes_by_time(self) -> bool:
        """Whether only the time leads to its rows."""
        return not self.probes

    def count(self) -> str:
        """Return what counts the rows of a slice that must be looked at, up to a bound."""
        span = _REFUSAL_SPAN if self.number == REFUSALS else _SPAN
        probes = " AND ".join(self.probes) or "true"
        return _COUNT.format(table=_TABLES[self.number], probes=probes, span=span)

    def rows(self, *, is_newest_first: bool, goes_on: bool) -> str:
        """Return what selects the rows of a slice, in order."""
        key, version = "originator_id", "originator_version"
        span = _SPAN
        if self.number == REFUSALS:
            key, version, span = "refusal_id", "0", _REFUSAL_SPAN
        direction = "DESC" if is_newest_first else "ASC"
        order = [f"recorded_at {direction}", f"{key} {direction}"]
        if self.number != REFUSALS:
            order.append(f"{version} {direction}")
        if goes_on:
            compare = "<" if is_newest_first else ">"
            span += (
                f" AND (recorded_at, {self.number}, {key}, {version}) {compare}"
                " (%(after_at)s, %(after_source)s::int, %(after_id)s, %(after_version)s)"
            )
        statement = _REFUSAL_ROWS if self.number == REFUSALS else _EVENT_ROWS
        return statement.format(
            table=_TABLES[self.number],
            conditions=" AND ".join([*self.probes, *self.filters]) or "true",
            slice=span,
            order=", ".join(order),
            owner=_OWNERS.get(self.number),
            before=_BEFORE.get(self.number),
        )

    def read(self, row: Any) -> Recorded:
        """Return what a row says."""
        place = Place(row[2].astimezone(UTC), self.number, row[0], row[1])
        return _refusal(place, row) if self.number == REFUSALS else _event(place, row)


def table_of(number: int) -> str:
    """Return the table of a log."""
    return _TABLES[number]


def read_archived(
    number: int, stream_id: UUID, events: Sequence[ArchivedEvent]
) -> Iterator[Recorded]:
    """Yield what the archived events of a stream say; whose it is, is told by the first."""
    owner = next((event.state for event in events if event.version == 1), None)
    for event in events:
        place = Place(event.recorded_at.astimezone(UTC), number, stream_id, event.version)
        yield _event(place, (None, None, None, event.topic, event.state, owner, None))


def span_parameters(start: datetime, end: datetime) -> dict[str, Any]:
    """Return the parameters that bound a slice."""
    return {
        "start": start,
        "end": end,
        "first_id": first_id_of(start - _IDS_APART),
        "last_id": first_id_of(end + _IDS_APART),
    }


def parameters_of(asked: HistoryFilter, payer_id: UUID | None) -> dict[str, Any]:
    """Return the parameters of what was asked; ``payer_id`` pays for the account asked for."""
    command = asked.name.removeprefix(f"{REFUSED}.") if asked.name else None
    return {
        "subject_id": asked.subject_id,
        "account_id": asked.account_id,
        "payer_id": payer_id,
        "actor": asked.actor,
        "request_id": asked.request_id,
        "command": command,
        "account_needle": _needle("account_id", asked.account_id),
        "customer_needle": _needle("sub_account_id", asked.account_id),
        "actor_needle": _needle("actor", asked.actor),
        "request_needle": _needle("request_id", asked.request_id),
    }


def sources_of(asked: HistoryFilter, payer_id: UUID | None) -> list[Source]:
    """Return the logs that may hold what was asked, each with the conditions on it."""
    logs = (LEDGER, MESSAGES, ADMIN, *((WEBHOOKS,) if asked.asks_for_deliveries else ()))
    wanted = [_logs(number, asked, payer_id) for number in logs]
    return [source for source in (*wanted, _refusals(asked)) if source is not None]


def _logs(number: int, asked: HistoryFilter, payer_id: UUID | None) -> Source | None:
    topics = _topics(number, asked.name)
    if topics is not None and not topics:
        return None
    source = Source(number)
    if asked.subject_id is not None:
        column = "message_id" if number == LEDGER else "originator_id"
        source.probes.append(f"{column} = %(subject_id)s")
    elif asked.account_id is not None:
        _by_account(source, asked.account_id, payer_id)
    if topics is not None and topics != {""}:
        (topic,) = topics
        by_hand = number == LEDGER and bool(source.probes) and topic in HAND_TOPICS
        (source.probes if by_hand else source.filters).append(f"topic = '{topic}'")
    for asks, needle in ((asked.actor, "actor"), (asked.request_id, "request")):
        if asks is not None:
            source.filters.append(f"position(%({needle}_needle)s IN state) > 0")
    return source


def _by_account(source: Source, account_id: UUID, payer_id: UUID | None) -> None:
    if source.number in (MESSAGES, WEBHOOKS):
        source.filters.append(_BY_ACCOUNT_OF_STREAM.format(log=_TABLES[source.number]))
    elif source.number == ADMIN:
        source.probes.append(_BY_ACCOUNT_IN_ADMIN)
    elif payer_id in (None, account_id):
        source.probes.append("originator_id = %(account_id)s")
    else:
        source.probes.append("originator_id IN (%(account_id)s, %(payer_id)s)")
        source.filters.append(
            "(originator_id = %(account_id)s OR position(%(customer_needle)s IN state) > 0)"
        )


def _topics(number: int, name: str | None) -> set[str] | None:
    """Return the topic wanted of a log, one; {""} for all, none when it has none of them."""
    if name is None:
        return None
    first, _, step = name.partition(".")
    kinds = [kind for kind in _KINDS_OF[number] if KINDS[kind] == first]
    if not kinds:
        return set()
    # Only of letters: it becomes a constant of the statement, for the index on such.
    if not step.replace("_", "").isalpha():
        return set() if step else {""}
    return {f"{kinds[0]}.{step}.1"}


def _refusals(asked: HistoryFilter) -> Source | None:
    first, _, command = (asked.name or REFUSED).partition(".")
    if first != REFUSED or asked.subject_id is not None:
        return None
    source = Source(REFUSALS)
    if asked.request_id is not None:
        source.probes.append("request_id = %(request_id)s")
    if asked.account_id is not None:
        condition = "account_id = %(account_id)s"
        (source.filters if source.probes else source.probes).append(condition)
    if asked.actor is not None:
        source.filters.append("actor = %(actor)s")
    if command:
        source.filters.append("command = %(command)s")
    return source


def _needle(name: str, wanted: object) -> bytes:
    """Return how an event says it; what a customer wrote is found too and dropped later."""
    return f'"{name}":'.encode() + msgspec.json.encode(wanted)


def _event(place: Place, row: Any) -> Recorded:
    _, _, _, topic, state, owner, before = row
    event = EventMapper.read(topic, state)
    if place.source in (MESSAGES, WEBHOOKS):
        owner = None if owner is None else UUID(msgspec.json.decode(owner)["account_id"])
    return recorded_event(event, place, owner_id=owner, before=_before(place, topic, before))


def _before(place: Place, topic: str, state: bytes | None) -> dict[str, Any] | None:
    if state is None:
        return None
    if place.source == LEDGER:
        limit_micros = msgspec.json.decode(state).get("credit_limit_after_micros", 0)
        return {"credit_limit_micros": limit_micros}
    return public_facts(EventMapper.read(topic, state))


def _refusal(place: Place, row: Any) -> Recorded:
    refusal_id, _, _, refused_at, account_id, actor, request_id, command, code, detail, part = row
    return Recorded(
        place=place,
        caused_at=refused_at,
        name=f"{REFUSED}.{command}",
        actor=actor,
        request_id=request_id,
        id=format_id(REFUSAL_PREFIX, refusal_id),
        account_id=account_id,
        customer_id=None,
        message_id=None,
        reason=code,
        detail=detail,
        facts={} if part is None else {"part": part},
    )
