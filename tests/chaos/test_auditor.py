from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.chaos.auditor import Evidence, examine
from tests.chaos.ledger_replay import GENESIS, Entry, seal
from tests.chaos.message_replay import Step

ACCOUNT = UUID(int=1)
MESSAGE = UUID(int=2)
TO, TEXT, PRICE = "+254711000001", "Habari", 800
FULL = 10_000


def entry(version: int, name: str, posted: int, reserved: int, **facts: Any) -> Entry:
    state = msgspec.json.encode(
        {
            "originator_id": ACCOUNT,
            "originator_version": version,
            "posted_after_micros": posted,
            "reserved_after_micros": reserved,
            **facts,
        }
    )
    topic = f"credit_account.{name}.1"
    return Entry(ACCOUNT, version, topic, state, facts.get("reservation_id"), b"")


def sealed(entries: Sequence[Entry]) -> list[Entry]:
    chain = []
    last = GENESIS
    for one in entries:
        last = seal(last, one)
        chain.append(replace(one, entry_hash=last))
    return chain


def step(version: int, name: str, **facts: Any) -> Step:
    state = msgspec.json.encode({"originator_version": version, **facts})
    return Step(MESSAGE, version, f"message.{name}.1", state)


OPENED = [
    entry(1, "created", 0, 0, credit_limit_micros=0),
    entry(2, "topped_up", FULL, 0, amount_micros=FULL),
    entry(3, "reserved", FULL, PRICE, reservation_id=MESSAGE, amount_micros=PRICE),
]
CHARGED = entry(4, "charged", FULL - PRICE, 0, reservation_id=MESSAGE, amount_micros=PRICE)
RELEASED = entry(4, "released", FULL, 0, reservation_id=MESSAGE, amount_micros=PRICE)

ACCEPTED = step(
    1,
    "accepted",
    account_id=ACCOUNT,
    billing_account_id=ACCOUNT,
    mode="live",
    to=TO,
    text=TEXT,
    price_micros=PRICE,
)
STARTED = step(2, "submit_started", possible_duplicate=False)
SUBMITTED = step(3, "submitted", aggregator="celcom", reference="1", charged_micros=PRICE)
DELIVERED = step(4, "delivered")
LOST = step(3, "outcome_unknown")
AGAIN = step(4, "submit_started", possible_duplicate=True)


def evidence(entries: Sequence[Entry], steps: Sequence[Step], arrivals: int) -> Evidence:
    """Return what is stored and what arrived, with tables that agree with the entries."""
    chain = sealed(entries)
    last = msgspec.json.decode(chain[-1].state)
    posted, reserved = last["posted_after_micros"], last["reserved_after_micros"]
    head = (len(chain), posted, reserved, 0, chain[-1].entry_hash)
    took = {("celcom", "1"): MESSAGE} if SUBMITTED in steps else {}
    is_open = reserved > 0
    return Evidence(
        entries=chain,
        steps=steps,
        heads={ACCOUNT: head},
        open_reservations={MESSAGE: (ACCOUNT, PRICE)} if is_open else {},
        pending={MESSAGE: "queued"} if is_open else {},
        references=took,
        awaited={} if DELIVERED in steps else {one: key for key, one in took.items()},
        shown={},
        taken=[(TO, TEXT)] * arrivals,
    )


SOUND = evidence([*OPENED, CHARGED], [ACCEPTED, STARTED, SUBMITTED, DELIVERED], 1)
WAITING = evidence(OPENED, [ACCEPTED], 0)
SENT_TWICE = evidence(OPENED, [ACCEPTED, STARTED, LOST, AGAIN], 2)
ON_ITS_WAY = evidence([*OPENED, CHARGED], [ACCEPTED, STARTED, SUBMITTED], 1)


@pytest.mark.parametrize("sound", [SOUND, WAITING, SENT_TWICE, ON_ITS_WAY])
def test_examine_finds_nothing_in_sound_books(sound: Evidence) -> None:
    assert examine(sound).violations == []


def changed(entries: Sequence[Entry], place: int, **facts: Any) -> list[Entry]:
    """Return entries of which one says something else, under the same hash."""
    state = msgspec.json.decode(entries[place].state) | facts
    forged = replace(entries[place], state=msgspec.json.encode(state))
    return [*entries[:place], forged, *entries[place + 1 :]]


@pytest.mark.parametrize(
    ("books", "violation"),
    [
        (replace(SOUND, entries=changed(SOUND.entries, 1, actor="someone")), "chain of hashes"),
        (replace(SOUND, entries=changed(SOUND.entries, 1, amount_micros=1)), "comes to"),
        (replace(SOUND, entries=[*SOUND.entries[:2], *SOUND.entries[3:]]), "a number other than"),
        (replace(SOUND, entries=SOUND.entries[:-1]), "credit head"),
        (replace(SOUND, heads={}), "credit head"),
        (replace(SOUND, references={}), "reference"),
        (replace(SOUND, awaited={MESSAGE: ("celcom", "1")}), "awaited report"),
        (replace(ON_ITS_WAY, awaited={}), "awaited report"),
        (replace(WAITING, open_reservations={}), "open reservation"),
        (replace(WAITING, pending={}), "on the work list None"),
        (replace(SOUND, pending={MESSAGE: "queued"}), "on the work list queued"),
        (replace(WAITING, steps=[]), "which is no message"),
        (replace(SOUND, taken=[(TO, TEXT)] * 2), "does not say possible duplicate"),
        (replace(SENT_TWICE, taken=[(TO, TEXT)] * 3), "does not say possible duplicate"),
        (replace(WAITING, taken=[(TO, TEXT)]), "does not say possible duplicate"),
        (replace(SOUND, taken=[]), "arrived only 0 times"),
        (replace(SOUND, taken=[(TO, TEXT), (TO, "Other")]), "nobody asked for"),
    ],
)
def test_examine_finds_what_was_tampered_with(books: Evidence, violation: str) -> None:
    assert any(violation in found for found in examine(books).violations)


@pytest.mark.parametrize(
    ("books", "violation"),
    [
        (evidence([*OPENED, RELEASED], [ACCEPTED, STARTED, SUBMITTED], 1), "800 charged"),
        (
            evidence(
                OPENED,
                [ACCEPTED, STARTED, LOST, step(4, "submit_started", possible_duplicate=False)],
                1,
            ),
            "does not say so",
        ),
        (evidence([*OPENED, CHARGED], [*SOUND.steps, step(5, "failed")], 1), "a second outcome"),
        (
            evidence(
                [*OPENED, CHARGED],
                [*SOUND.steps[:3], step(4, "submitted", **msgspec.json.decode(SUBMITTED.state))],
                1,
            ),
            "a receipt too many",
        ),
        (
            evidence(
                [
                    *OPENED,
                    entry(
                        4, "charged", FULL - 1, PRICE - 1, reservation_id=MESSAGE, amount_micros=1
                    ),
                ],
                SOUND.steps,
                1,
            ),
            "resolves 1 of 800",
        ),
        (
            evidence(
                [
                    *OPENED,
                    RELEASED,
                    entry(5, "released", FULL, -PRICE, reservation_id=MESSAGE, amount_micros=PRICE),
                ],
                [ACCEPTED],
                0,
            ),
            "not open",
        ),
        (
            evidence(
                [
                    *OPENED[:2],
                    entry(
                        3,
                        "reserved",
                        FULL,
                        FULL + 1,
                        reservation_id=MESSAGE,
                        amount_micros=FULL + 1,
                    ),
                ],
                [ACCEPTED],
                0,
            ),
            "overdraws",
        ),
    ],
)
def test_examine_finds_what_may_not_happen(books: Evidence, violation: str) -> None:
    assert any(violation in found for found in examine(books).violations)
