"""A stored topic is for ever: rows written under it must stay readable."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.domain import Aggregate, AggregateEvent

import semalink.domain

FROZEN = Path(__file__).with_name("topics.txt")
EVENT_TOPIC = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\.[1-9][0-9]*")


def aggregates(base: type[Any] = Aggregate) -> Iterator[type[Any]]:
    for aggregate in base.__subclasses__():
        if aggregate.__module__.startswith(f"{semalink.domain.__name__}."):
            yield aggregate
        yield from aggregates(aggregate)


def event_classes() -> Iterator[type]:
    """Yield each event that can be stored; the one named Event only holds what others share."""
    for aggregate in aggregates():
        for name, nested in vars(aggregate).items():
            if isinstance(nested, type) and issubclass(nested, AggregateEvent) and name != "Event":
                yield nested


@pytest.fixture(scope="module")
def topics() -> dict[type, str]:
    for module in pkgutil.walk_packages(semalink.domain.__path__, "semalink.domain."):
        importlib.import_module(module.name)
    return {event_class: vars(event_class).get("TOPIC", "") for event_class in event_classes()}


def frozen_topics() -> list[str]:
    return FROZEN.read_text().splitlines()


def test_every_event_declares_a_versioned_topic(topics: dict[type, str]) -> None:
    unnamed = [
        f"{event_class.__module__}:{event_class.__qualname__}"
        for event_class, topic in topics.items()
        if not EVENT_TOPIC.fullmatch(topic)
    ]

    assert unnamed == [], "give the event a TOPIC of the form aggregate.event.version"


def test_every_topic_names_one_event(topics: dict[type, str]) -> None:
    assert sorted(topics.values()) == sorted(set(topics.values()))


def test_frozen_topics_are_still_readable(topics: dict[type, str]) -> None:
    lost = set(frozen_topics()) - set(topics.values())

    assert lost == set(), "events are stored under these topics; keep a class for each"


def test_new_topics_are_frozen(topics: dict[type, str]) -> None:
    added = sorted(set(topics.values()) - set(frozen_topics()))

    assert added == [], f"add these lines to {FROZEN.name}, in order; they are then for ever"


def test_frozen_topics_are_sorted() -> None:
    assert frozen_topics() == sorted(set(frozen_topics()))
