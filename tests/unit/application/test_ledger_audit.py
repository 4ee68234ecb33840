from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import pytest

from semalink.application.ledger_audit import AccountAudit, EntryRow, Head
from semalink.application.ledger_findings import Finding

ACCOUNT = UUID(int=1)
ONE = UUID(int=11)
TWO = UUID(int=12)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Chain:
    """Writes entries as the ledger does."""

    def __init__(self) -> None:
        self.rows: list[EntryRow] = []
        self.hash = bytes(32)
        self.balance = (0, 0, 0)
        self.enter("created", 0, 0)

    def enter(self, name: str, posted: int, reserved: int, **facts: Any) -> None:
        version = len(self.rows) + 1
        limit = facts.get("credit_limit_micros", self.balance[2])
        self.balance = (self.balance[0] + posted, self.balance[1] + reserved, limit)
        state: dict[str, Any] = {
            "originator_id": ACCOUNT,
            "originator_version": version,
            "timestamp": NOW,
            "posted_after_micros": self.balance[0],
            "reserved_after_micros": self.balance[1],
            "credit_limit_after_micros": self.balance[2],
        } | facts
        self.append(f"credit_account.{name}.1", msgspec.json.encode(state), **facts)

    def append(self, topic: str, state: bytes, **facts: Any) -> None:
        version = len(self.rows) + 1
        fields = (self.hash, ACCOUNT.bytes, version.to_bytes(8), topic.encode(), state)
        self.hash = sha256(b"".join(len(one).to_bytes(4) + one for one in fields)).digest()
        message_id = facts.get("message_id") or facts.get("reservation_id")
        self.rows.append(EntryRow(version, topic, state, self.hash, message_id, NOW))

    def top_up(self, amount: int = 100) -> None:
        self.enter("topped_up", amount, 0, amount_micros=amount)

    def reserve(self, reservation_id: UUID, amount: int = 10) -> None:
        self.enter("reserved", 0, amount, reservation_id=reservation_id, amount_micros=amount)

    def charge(self, reservation_id: UUID, amount: int = 10, left: int = 0) -> None:
        facts = {"reservation_id": reservation_id, "remaining_micros": left}
        self.enter("charged", -amount, -amount, amount_micros=amount, **facts)

    def release(self, reservation_id: UUID, amount: int = 10) -> None:
        self.enter("released", 0, -amount, reservation_id=reservation_id, amount_micros=amount)

    def head(self, **changes: Any) -> Head:
        return Head(len(self.rows), *self.balance, self.hash)._replace(**changes)


@pytest.fixture
def chain() -> Chain:
    """An account with credits and one open reservation, of version 3."""
    chain = Chain()
    chain.top_up()
    chain.reserve(ONE)
    return chain


def audit(
    rows: list[EntryRow],
    head: Head | None,
    reservations: dict[UUID, int],
    *,
    start: EntryRow | None = None,
) -> list[Finding]:
    account = AccountAudit(ACCOUNT)
    if start is not None:
        account.start_after(start)
    for row in rows:
        account.enter(row)
    return account.end(head, reservations)


def kinds(findings: list[Finding]) -> list[tuple[str, int]]:
    return [(str(one.kind), one.version) for one in findings]


def test_audit_finds_nothing_in_a_sound_account(chain: Chain) -> None:
    chain.charge(ONE, 4, left=6)
    chain.charge(ONE, 6)
    chain.reserve(TWO)
    chain.release(TWO)
    chain.enter("limit_set", 0, 0, credit_limit_micros=50)
    chain.enter("limit_neared", 0, 0)
    chain.reserve(TWO)

    findings = audit(chain.rows, chain.head(), {TWO: 10})

    assert findings == []


def test_audit_finds_nothing_in_a_campaign(chain: Chain) -> None:
    of_campaign = {"reservation_id": TWO, "campaign_id": TWO}
    chain.enter("reserved", 0, 30, amount_micros=30, **of_campaign)
    for number, left in ((21, 20), (22, 10)):
        charged = {"amount_micros": 10, "remaining_micros": left, "message_id": UUID(int=number)}
        chain.enter("charged", -10, -10, **of_campaign, **charged)
    refunded = {"amount_micros": 10, "message_id": UUID(int=22)}
    chain.enter("refunded", 10, 0, **of_campaign, **refunded)
    chain.enter("released", 0, -10, amount_micros=10, **of_campaign)

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert findings == []


def test_audit_finds_nothing_when_it_starts_in_the_middle(chain: Chain) -> None:
    start = len(chain.rows)
    chain.charge(ONE)
    chain.reserve(TWO)

    findings = audit(chain.rows[start:], chain.head(), {TWO: 10}, start=chain.rows[start - 1])

    assert findings == []


def test_audit_names_one_broken_link_when_a_state_was_changed(chain: Chain) -> None:
    chain.top_up()
    changed = chain.rows[1]
    chain.rows[1] = changed._replace(state=changed.state.replace(b"{", b"{ ", 1))

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert kinds(findings) == [("broken_link", 2)]
    assert findings[0].account_id == ACCOUNT.hex


def test_audit_names_a_wrong_balance_once(chain: Chain) -> None:
    chain.enter("topped_up", 500, 0, amount_micros=5)
    chain.top_up()

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert kinds(findings) == [("wrong_balance", 4)]
    assert findings[0].detail == (
        "posted, reserved, limit: (105, 10, 0) expected, (600, 10, 0) found"
    )


def test_audit_names_missing_entries(chain: Chain) -> None:
    chain.top_up()
    chain.top_up()
    chain.top_up()

    in_the_middle = audit([chain.rows[0], *chain.rows[2:]], chain.head(), {ONE: 10})
    several = audit([*chain.rows[:3], chain.rows[5]], chain.head(), {ONE: 10})
    at_the_end = audit(chain.rows[:-1], chain.head(), {ONE: 10})
    twice = audit([*chain.rows[:2], chain.rows[1], *chain.rows[2:]], chain.head(), {ONE: 10})

    assert kinds(in_the_middle) == [("missing_entry", 2)]
    assert [(one.version, one.detail) for one in several] == [(4, "no entry has version 4 to 5")]
    assert kinds(at_the_end) == [("missing_entry", 6)]
    assert [(str(one.kind), one.detail) for one in twice] == [
        ("missing_entry", "version 2 is followed by 2")
    ]


@pytest.mark.parametrize(
    "changes",
    [{"posted": 99}, {"reserved": 9}, {"limit": 1}, {"entry_hash": bytes(32)}, {"version": 2}],
)
def test_audit_names_a_head_that_differs(chain: Chain, changes: dict[str, Any]) -> None:
    findings = audit(chain.rows, chain.head(**changes), {ONE: 10})

    assert kinds(findings) == [("head_mismatch", 3)]


def test_audit_names_a_head_that_is_gone(chain: Chain) -> None:
    findings = audit(chain.rows, None, {ONE: 10})

    assert kinds(findings) == [("head_mismatch", 0)]


@pytest.mark.parametrize("stored", [{}, {ONE: 9}, {ONE: 10, TWO: 1}])
def test_audit_names_open_reservations_that_differ(chain: Chain, stored: dict[UUID, int]) -> None:
    findings = audit(chain.rows, chain.head(), stored)

    assert [str(one.kind) for one in findings] == ["open_reservation_mismatch"]
    assert findings[0].reservation_id in {ONE.hex, TWO.hex}


def test_audit_compares_the_sum_when_it_starts_in_the_middle(chain: Chain) -> None:
    findings = audit([], chain.head(), {ONE: 9}, start=chain.rows[-1])

    assert [(str(one.kind), one.detail) for one in findings] == [
        ("open_reservation_mismatch", "10 are reserved by the entries, 9 by the table")
    ]


def test_audit_names_what_was_resolved_or_opened_twice(chain: Chain) -> None:
    chain.reserve(TWO)
    chain.release(ONE)
    chain.release(ONE)
    chain.reserve(TWO)

    whole = audit(chain.rows, chain.head(), {TWO: 10})
    later = audit(chain.rows[4:6], None, {TWO: 10}, start=chain.rows[3])

    assert kinds(whole) == [("double_resolution", 6), ("double_resolution", 7)]
    assert ("double_resolution", 6) in kinds(later)


def test_audit_names_a_charge_of_more_than_was_reserved(chain: Chain) -> None:
    chain.charge(ONE, 7, left=6)

    findings = audit(chain.rows, chain.head(), {ONE: 6})

    assert kinds(findings) == [("wrong_balance", 4)]
    assert findings[0].reservation_id == ONE.hex


def test_audit_names_an_account_that_spent_too_much(chain: Chain) -> None:
    chain.reserve(TWO, 200)

    findings = audit(chain.rows, chain.head(), {ONE: 10, TWO: 200})

    assert kinds(findings) == [("overdrawn", 4)]


@pytest.mark.parametrize(
    ("topic", "state"),
    [("credit_account.given_away.1", b"{}"), ("credit_account.topped_up.1", b"\xff")],
)
def test_audit_names_what_it_cannot_read(chain: Chain, topic: str, state: bytes) -> None:
    chain.append(topic, state)
    chain.top_up()

    findings = audit(chain.rows, chain.head(), {ONE: 10})
    after = audit(chain.rows[4:], chain.head(), {ONE: 10}, start=chain.rows[3])

    assert kinds(findings) == kinds(after) == [("unreadable_entry", 4)]


def test_audit_names_a_charge_of_no_reservation(chain: Chain) -> None:
    chain.enter("charged", -10, -10, amount_micros=10)

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert kinds(findings) == [("unreadable_entry", 4)]


def test_audit_names_columns_that_differ_from_what_is_sealed(chain: Chain) -> None:
    chain.rows[2] = chain.rows[2]._replace(message_id=TWO)

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert kinds(findings) == [("misfiled_entry", 3)]


@pytest.mark.parametrize("minutes", [-61, 61, None])
def test_audit_names_an_entry_that_was_recorded_at_another_time(
    chain: Chain, minutes: int | None
) -> None:
    moved = None if minutes is None else NOW + timedelta(minutes=minutes)
    chain.rows = [row._replace(recorded_at=moved) for row in chain.rows]

    findings = audit(chain.rows, chain.head(), {ONE: 10})
    after = audit([], chain.head(), {ONE: 10}, start=chain.rows[2])

    assert kinds(findings) == [("wrong_time", 1), ("wrong_time", 2), ("wrong_time", 3)]
    assert kinds(after) == [("wrong_time", 3)]


def test_audit_names_an_entry_that_was_recorded_before_the_last_one(chain: Chain) -> None:
    chain.rows[1] = chain.rows[1]._replace(recorded_at=NOW + timedelta(minutes=2))

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert kinds(findings) == [("wrong_time", 3)]


def test_audit_finds_nothing_when_clocks_differ_a_little_or_entries_are_late(chain: Chain) -> None:
    late = NOW + timedelta(minutes=50)
    chain.rows[1] = chain.rows[1]._replace(recorded_at=late)
    chain.rows[2] = chain.rows[2]._replace(recorded_at=late - timedelta(seconds=30))

    findings = audit(chain.rows, chain.head(), {ONE: 10})

    assert findings == []
