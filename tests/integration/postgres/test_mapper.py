"""Events to bytes and back: every class, and nothing else."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, get_type_hints
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import TopicError
from hypothesis import given
from hypothesis import strategies as st

from semalink_adapters.postgres.hash_chain import GENESIS, entry_hash
from semalink_adapters.postgres.mapper import AGGREGATES, EventMapper

# What PostgreSQL and JSON can hold: any text but half a surrogate pair.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MICROS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def _event_classes() -> list[type[Any]]:
    """Return every event class that has a topic of its own."""
    return [
        found
        for aggregate in AGGREGATES
        for found in vars(aggregate).values()
        if isinstance(found, type) and "TOPIC" in vars(found)
    ]


def _events(event_class: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(event_class)
    values = {
        UUID: st.uuids(),
        str: TEXTS,
        int: MICROS,
        datetime: TIMES,
        bool: st.booleans(),
        str | None: st.none() | TEXTS,
        datetime | None: st.none() | TIMES,
        UUID | None: st.none() | st.uuids(),
        int | None: st.none() | MICROS,
        list[str]: st.lists(TEXTS),
        list[UUID]: st.lists(st.uuids()),
        list[str] | None: st.none() | st.lists(TEXTS),
        tuple[str, ...] | None: st.none() | st.lists(TEXTS).map(tuple),
        tuple[str, ...]: st.lists(TEXTS).map(tuple),
        tuple[UUID, ...]: st.lists(st.uuids()).map(tuple),
        Mapping[str, int]: st.dictionaries(TEXTS, MICROS),
        dict[str, int]: st.dictionaries(TEXTS, MICROS),
        dict[str, str]: st.dictionaries(TEXTS, TEXTS),
        bytes | None: st.none() | st.binary(max_size=64),
        dict[str, dict[str, int | str]] | None: st.none()
        | st.dictionaries(TEXTS, st.dictionaries(TEXTS, MICROS | TEXTS, max_size=3), max_size=3),
    }
    strategies = {
        name: st.uuids()
        if name == "originator_id"
        else _events(hint)
        if is_dataclass(hint)
        else values[hint]
        for name, hint in ((field.name, hints[field.name]) for field in fields(event_class))
    }
    return st.builds(event_class, **strategies)


def test_every_event_class_is_tried() -> None:
    topics = {event_class.TOPIC for event_class in _event_classes()}

    assert len(topics) == len(_event_classes()) >= 21


@pytest.mark.parametrize("event_class", _event_classes(), ids=lambda found: found.TOPIC)
def test_event_survives_its_stored_form(event_class: type[Any]) -> None:
    mapper = EventMapper()

    @given(_events(event_class))
    def survives(event: Any) -> None:
        stored = mapper.to_stored_event(event)
        assert stored.topic == event_class.TOPIC
        assert mapper.to_domain_event(stored) == event

    survives()


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="not_text"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a_list"),
        pytest.param(b"{}", id="no_facts"),
        pytest.param(b'{"originator_id": "x"}', id="no_id"),
    ],
)
def test_foreign_bytes_are_refused(state: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        EventMapper().to_domain_event(StoredEvent(UUID(int=1), 1, "message.delivered.1", state))


def test_foreign_topic_is_refused() -> None:
    with pytest.raises(TopicError):
        EventMapper().to_domain_event(StoredEvent(UUID(int=1), 1, "message.sold.1", b"{}"))


def test_hash_is_the_one_that_was_worked_out_by_hand() -> None:
    # printf, xxd and sha256sum made these from the encoding that the docstring describes:
    # 00000020 <32 zero bytes> 00000010 <id> 00000008 0000000000000001
    # 00000014 "credit_account.opene" 00000002 "{}"
    entry = StoredEvent(
        UUID("00112233-4455-6677-8899-aabbccddeeff"), 1, "credit_account.opene", b"{}"
    )
    following = StoredEvent(entry.originator_id, 2, "t", b"")

    first = entry_hash(GENESIS, entry)
    second = entry_hash(first, following)

    assert first.hex() == "2177828245fda702b2b906fa448b8d0554cbb97976d43c42a16efd7472391d31"
    assert second.hex() == "cd0811e66671b15177d0eb837af67d059a122c72d7c5601eda755a9816add0e5"


@pytest.mark.parametrize(
    "changed",
    [
        StoredEvent(UUID(int=2), 7, "topic", b"state"),
        StoredEvent(UUID(int=1), 8, "topic", b"state"),
        StoredEvent(UUID(int=1), 7, "topi", b"cstate"),
        StoredEvent(UUID(int=1), 7, "topics", b"tate"),
        StoredEvent(UUID(int=1), 7, "topic", b"stat"),
    ],
)
def test_hash_changes_with_every_field(changed: StoredEvent) -> None:
    entry = StoredEvent(UUID(int=1), 7, "topic", b"state")

    assert entry_hash(GENESIS, entry) != entry_hash(GENESIS, changed)
    assert entry_hash(GENESIS, entry) != entry_hash(bytes(31) + b"\1", entry)
