"""Recomputes one account from its entries, by a table of its own of what each entry does.

Nothing here comes from the aggregate: an error in it must not hide itself.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from struct import Struct
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec

from semalink.application.ledger_findings import Finding, Kind

_GENESIS = bytes(32)
_FIXED = Struct(">I32sI16sIQ")
_LENGTH = Struct(">I")

#: What causes an entry may wait so long until the entry is recorded: a command is tried again for
#: minutes while the database is away. The clocks of hosts differ by far less.
RECORDING_SLACK = timedelta(hours=1)
#: So much earlier than the one before an entry may be recorded: the clock of the database may be
#: set, or another host take over.
CLOCK_SLACK = timedelta(minutes=1)


class Effect(NamedTuple):
    """What an entry does with its amount, by sign, and with its reservation."""

    posted: int = 0
    reserved: int = 0
    opens: bool = False
    resolves: bool = False
    sets_limit: bool = False


EFFECTS = {
    "credit_account.created.1": Effect(sets_limit=True),
    "credit_account.topped_up.1": Effect(posted=1),
    "credit_account.reserved.1": Effect(reserved=1, opens=True),
    "credit_account.charged.1": Effect(posted=-1, reserved=-1, resolves=True),
    "credit_account.released.1": Effect(reserved=-1, resolves=True),
    "credit_account.reservation_expired.1": Effect(reserved=-1, resolves=True),
    "credit_account.refunded.1": Effect(posted=1),
    "credit_account.adjusted.1": Effect(posted=1),
    "credit_account.limit_set.1": Effect(sets_limit=True),
    "credit_account.transferred_out.1": Effect(posted=-1),
    "credit_account.transferred_in.1": Effect(posted=1),
    "credit_account.limit_neared.1": Effect(),
}


class EntryState(msgspec.Struct, gc=False):
    """What counts in the state of any entry."""

    originator_id: UUID
    originator_version: int
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    posted_after_micros: int
    reserved_after_micros: int
    credit_limit_after_micros: int = 0
    amount_micros: int = 0
    remaining_micros: int = 0
    credit_limit_micros: int = 0
    reservation_id: UUID | None = None
    message_id: UUID | None = None


decode_state = msgspec.json.Decoder(EntryState).decode


class EntryRow(NamedTuple):
    """An entry as it is stored."""

    version: int
    topic: str
    state: bytes
    entry_hash: bytes
    message_id: UUID | None
    #: None for a time that no entry can have.
    recorded_at: datetime | None


class Head(NamedTuple):
    """The head of an account as it is stored, in micros."""

    version: int
    posted: int
    reserved: int
    limit: int
    entry_hash: bytes


class AccountAudit:
    """Takes the entries of one account in order, and then what is kept beside them."""

    def __init__(self, account_id: UUID) -> None:
        self.findings: list[Finding] = []
        self._account_id = account_id
        self._id_bytes = account_id.bytes
        self._version = 0
        self._hash = _GENESIS
        self._recorded_at: datetime | None = None
        self._balance = (0, 0, 0)
        # False where the entry before is not known, so that nothing can be said of the step.
        self._follows = True
        # False from where reservations may be open that no entry here has opened.
        self._is_whole = True
        self._open: dict[UUID, int] = {}
        self._resolved_unseen: set[UUID] = set()

    def start_after(self, row: EntryRow) -> None:
        """Go on from an entry that is taken as it is."""
        self._version, self._hash = row.version, row.entry_hash
        self._follows = self._is_whole = False
        state = self._read(row.version, row.topic, row.state)
        if state is not None:
            self._balance = _balance_after(state)
            self._follows = True
            self._date(row, state)

    def enter(self, row: EntryRow) -> None:
        """Check one entry against those before it."""
        version, topic, raw, entry_hash, message_id, _ = row
        if version == self._version + 1:
            if self._seal(version, topic, raw) != entry_hash:
                self._find(Kind.BROKEN_LINK, "it is not what its hash seals", version)
        else:
            self._miss(self._version + 1, version - 1)
        # Whatever is wrong is told once: what follows is held against what is stored.
        self._version, self._hash = version, entry_hash
        state = self._read(version, topic, raw)
        if state is None:
            self._follows = self._is_whole = False
            return
        if (
            state.originator_version != version
            or state.originator_id != self._account_id
            or (state.message_id or state.reservation_id) != message_id
        ):
            self._find(Kind.MISFILED_ENTRY, "its columns differ from what is sealed", version)
        self._date(row, state)
        effect = EFFECTS[topic]
        self._weigh(effect, state, version)
        if effect.opens or effect.resolves:
            self._settle(effect, state, version)

    def end(self, head: Head | None, reservations: Mapping[UUID, int]) -> list[Finding]:
        """Compare what came out with the head and the open reservations; return all findings."""
        if head is None:
            self._find(Kind.HEAD_MISMATCH, "it has entries and no head")
        elif head.version > self._version:
            self._miss(self._version + 1, head.version)
        else:
            self._compare_head(head)
        self._compare_reservations(reservations)
        return self.findings

    def _seal(self, version: int, topic: str, state: bytes) -> bytes:
        name = topic.encode()
        return sha256(
            _FIXED.pack(32, self._hash, 16, self._id_bytes, 8, version)
            + _LENGTH.pack(len(name))
            + name
            + _LENGTH.pack(len(state))
            + state
        ).digest()

    def _miss(self, first: int, last: int) -> None:
        if first <= last:
            detail = f"no entry has version {first}" + (f" to {last}" if last > first else "")
        else:
            detail = f"version {first - 1} is followed by {last + 1}"
        self._find(Kind.MISSING_ENTRY, detail, first)
        self._follows = self._is_whole = False

    def _read(self, version: int, topic: str, raw: bytes) -> EntryState | None:
        if topic not in EFFECTS:
            self._find(Kind.UNREADABLE_ENTRY, "no such kind of entry is known", version)
            return None
        try:
            return decode_state(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._find(Kind.UNREADABLE_ENTRY, "its state cannot be read", version)
            return None

    def _date(self, row: EntryRow, state: EntryState) -> None:
        # The column is not sealed, but months and exports go by it; the cause's time is sealed.
        before, recorded_at = self._recorded_at, row.recorded_at
        if recorded_at is None or abs(recorded_at - state.timestamp) > RECORDING_SLACK:
            detail = "it was recorded long before or after the time that is sealed in it"
            self._find(Kind.WRONG_TIME, detail, row.version)
            return
        if before is not None and before - recorded_at > CLOCK_SLACK:
            self._find(Kind.WRONG_TIME, "it was recorded before the entry before it", row.version)
        self._recorded_at = recorded_at

    def _weigh(self, effect: Effect, state: EntryState, version: int) -> None:
        after = _balance_after(state)
        if self._follows:
            posted, reserved, limit = self._balance
            amount = state.amount_micros
            expected = (
                posted + effect.posted * amount,
                reserved + effect.reserved * amount,
                state.credit_limit_micros if effect.sets_limit else limit,
            )
            if after != expected:
                self._find(Kind.WRONG_BALANCE, _apart(expected, after), version)
        posted, reserved, limit = self._balance = after
        self._follows = True
        if reserved < 0 or posted - reserved + limit < 0:
            self._find(Kind.OVERDRAWN, f"posted, reserved, limit: {after}", version)

    def _settle(self, effect: Effect, state: EntryState, version: int) -> None:
        reservation_id = state.reservation_id
        if reservation_id is None:
            self._find(Kind.UNREADABLE_ENTRY, "it names no reservation", version)
            return
        before = self._open.pop(reservation_id, None)
        if effect.opens:
            if before is not None:
                self._find_reservation(
                    Kind.DOUBLE_RESOLUTION, "it was opened twice", reservation_id, version
                )
            self._open[reservation_id] = state.amount_micros
            return
        left = state.remaining_micros
        if before is None:
            self._resolve_unseen(reservation_id, version)
        elif before != state.amount_micros + left:
            detail = f"{before} were reserved, {state.amount_micros} resolved and {left} kept"
            self._find_reservation(Kind.WRONG_BALANCE, detail, reservation_id, version)
        if left:
            self._open[reservation_id] = left

    def _resolve_unseen(self, reservation_id: UUID, version: int) -> None:
        if self._is_whole or reservation_id in self._resolved_unseen:
            detail = "it was not open when it was resolved"
            self._find_reservation(Kind.DOUBLE_RESOLUTION, detail, reservation_id, version)
        self._resolved_unseen.add(reservation_id)

    def _compare_head(self, head: Head) -> None:
        stored = (head.posted, head.reserved, head.limit)
        if head.version != self._version:
            detail = f"the head has version {head.version}, the last entry {self._version}"
            self._find(Kind.HEAD_MISMATCH, detail, self._version)
        elif self._follows and stored != self._balance:
            self._find(Kind.HEAD_MISMATCH, _apart(self._balance, stored), self._version)
        elif head.entry_hash != self._hash:
            self._find(Kind.HEAD_MISMATCH, "the head has another hash", self._version)

    def _compare_reservations(self, stored: Mapping[UUID, int]) -> None:
        kind = Kind.OPEN_RESERVATION_MISMATCH
        ids = self._open.keys() | (stored.keys() if self._is_whole else self._resolved_unseen)
        for reservation_id in sorted(ids):
            expected, found = self._open.get(reservation_id, 0), stored.get(reservation_id, 0)
            if expected != found:
                detail = f"{expected} are open by the entries, {found} by the table"
                self._find_reservation(kind, detail, reservation_id, self._version)
        total, reserved = sum(stored.values()), self._balance[1]
        if not self._is_whole and self._follows and total != reserved:
            detail = f"{reserved} are reserved by the entries, {total} by the table"
            self._find(kind, detail, self._version)

    def _find(self, kind: Kind, detail: str, version: int = 0) -> None:
        account = self._account_id.hex
        self.findings.append(Finding(kind=kind, detail=detail, account_id=account, version=version))

    def _find_reservation(
        self, kind: Kind, detail: str, reservation_id: UUID, version: int
    ) -> None:
        self.findings.append(
            Finding(
                kind=kind,
                detail=detail,
                account_id=self._account_id.hex,
                version=version,
                reservation_id=reservation_id.hex,
            )
        )


def _balance_after(state: EntryState) -> tuple[int, int, int]:
    return (
        state.posted_after_micros,
        state.reserved_after_micros,
        state.credit_limit_after_micros,
    )


def _apart(expected: tuple[int, int, int], found: tuple[int, int, int]) -> str:
    return f"posted, reserved, limit: {expected} expected, {found} found"
