"""The ledger played back with nothing but dicts and sums: no aggregate of ours decides here."""

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of `ledger_entries`."""

    account_id: UUID
    version: int
    topic: str
    state: bytes
    message_id: UUID | None
    entry_hash: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """What the entry says."""
        facts: dict[str, Any] = msgspec.json.decode(self.state)
        return facts


@dataclass(slots=True)
class Purse:
    """What one account holds, as its entries say."""

    version: int = 0
    posted: int = 0
    reserved: int = 0
    limit: int = 0
    sealed: bytes = GENESIS


@dataclass(slots=True)
class Fate:
    """What became of the credits for one message."""

    account_id: UUID
    reserved: int
    charged: int | None = None
    released: int | None = None
    refunded: int = 0

    @property
    def is_open(self) -> bool:
        """Whether nothing was decided yet."""
        return self.charged is None and self.released is None


@dataclass(slots=True)
class LedgerReplay:
    """What the entries come to, and everything in them that cannot be."""

    purses: dict[UUID, Purse] = field(default_factory=lambda: defaultdict(Purse))
    fates: dict[UUID, Fate] = field(default_factory=dict)
    #: What is still reserved for campaigns, with whose credits.
    campaigns: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def open_reservations(self) -> dict[UUID, tuple[UUID, int]]:
        """Return what is still reserved, by message or campaign."""
        return self.campaigns | {
            message_id: (fate.account_id, fate.reserved)
            for message_id, fate in self.fates.items()
            if fate.is_open
        }

    def play(self, entry: Entry) -> None:
        """Take in the next entry of an account."""
        purse, facts = self.purses[entry.account_id], entry.facts
        purse.version += 1
        if entry.version != purse.version or facts["originator_version"] != entry.version:
            self._complain(entry, f"has a number other than {purse.version}")
        if UUID(facts["originator_id"]) != entry.account_id:
            self._complain(entry, "speaks of another account than its row")
        purse.sealed = seal(purse.sealed, entry)
        if purse.sealed != entry.entry_hash:
            self._complain(entry, "breaks the chain of hashes")
        self._count(entry, purse, facts)
        after = (facts["posted_after_micros"], facts["reserved_after_micros"])
        if after != (purse.posted, purse.reserved):
            self._complain(entry, f"states {after} and comes to {purse.posted, purse.reserved}")
        if purse.reserved < 0 or purse.posted - purse.reserved + purse.limit < 0:
            self._complain(entry, "overdraws the account")

    def _count(self, entry: Entry, purse: Purse, facts: dict[str, Any]) -> None:
        match entry.topic:
            case "credit_account.created.1":
                purse.limit = facts["credit_limit_micros"]
            case "credit_account.topped_up.1":
                purse.posted += facts["amount_micros"]
            case "credit_account.reserved.1":
                purse.reserved += facts["amount_micros"]
                self._reserve(entry, facts)
            case "credit_account.charged.1":
                purse.posted -= facts["amount_micros"]
                purse.reserved -= facts["amount_micros"]
                self._resolve(entry, facts)
            case "credit_account.released.1":
                purse.reserved -= facts["amount_micros"]
                self._resolve(entry, facts)
            case "credit_account.refunded.1":
                purse.posted += facts["amount_micros"]
                self._refund(entry, facts)
            case _:
                self._complain(entry, "has a topic that nobody knows")

    def _reserve(self, entry: Entry, facts: dict[str, Any]) -> None:
        if facts.get("campaign_id"):
            campaign_id = self._message_of(entry, facts)
            self.campaigns[campaign_id] = (entry.account_id, facts["amount_micros"])
            return
        message_id = self._message_of(entry, facts)
        if message_id in self.fates:
            self._complain(entry, "reserves again what was reserved before")
        self.fates[message_id] = Fate(entry.account_id, facts["amount_micros"])

    def _resolve(self, entry: Entry, facts: dict[str, Any]) -> None:
        if facts.get("campaign_id"):
            self._resolve_campaign(entry, facts)
            return
        fate = self.fates.get(self._message_of(entry, facts))
        if fate is None or not fate.is_open or fate.account_id != entry.account_id:
            self._complain(entry, "resolves a reservation that is not open")
            return
        if fate.reserved != facts["amount_micros"]:
            self._complain(entry, f"resolves {facts['amount_micros']} of {fate.reserved} reserved")
        if entry.topic == "credit_account.charged.1":
            fate.charged = facts["amount_micros"]
        else:
            fate.released = facts["amount_micros"]

    def _resolve_campaign(self, entry: Entry, facts: dict[str, Any]) -> None:
        campaign_id, amount = UUID(facts["campaign_id"]), facts["amount_micros"]
        account_id, reserved = self.campaigns.pop(campaign_id, (None, 0))
        left = reserved - amount
        if account_id != entry.account_id or left < 0:
            self._complain(entry, f"resolves {amount} of {reserved} reserved for a campaign")
        if entry.topic == "credit_account.released.1":
            if left:
                self._complain(entry, f"leaves {left} of a campaign reserved")
            return
        if left:
            self.campaigns[campaign_id] = (entry.account_id, left)
        message_id = UUID(facts["message_id"])
        if entry.message_id != message_id or message_id in self.fates:
            self._complain(entry, "charges a message of a campaign twice, or under another one")
        self.fates[message_id] = Fate(entry.account_id, amount, charged=amount)

    def _refund(self, entry: Entry, facts: dict[str, Any]) -> None:
        fate = self.fates.get(self._message_of(entry, facts))
        if fate is None or fate.charged is None or fate.account_id != entry.account_id:
            self._complain(entry, "refunds what was not charged")
            return
        fate.refunded += facts["amount_micros"]
        if fate.refunded > fate.charged:
            self._complain(entry, "refunds more than was charged")

    def _message_of(self, entry: Entry, facts: dict[str, Any]) -> UUID:
        message_id = UUID(facts["reservation_id"])
        if entry.message_id != message_id:
            self._complain(entry, "is filed under another message than it speaks of")
        return message_id

    def _complain(self, entry: Entry, what: str) -> None:
        self.violations.append(
            f"entry {entry.version} of {entry.account_id.hex}, {entry.topic}, {what}"
        )


def replay(entries: Iterable[Entry]) -> LedgerReplay:
    """Play entries back, each account's in order."""
    ledger = LedgerReplay()
    for entry in entries:
        ledger.play(entry)
    return ledger


def seal(previous: bytes, entry: Entry) -> bytes:
    """Return the hash that an entry must have, from the description of the chain alone."""
    fields = (
        previous,
        entry.account_id.bytes,
        struct.pack(">Q", entry.version),
        entry.topic.encode(),
        entry.state,
    )
    return hashlib.sha256(b"".join(struct.pack(">I", len(one)) + one for one in fields)).digest()


def differences(
    name: str, stored: Mapping[Any, object], replayed: Mapping[Any, object]
) -> list[str]:
    """Return a sentence for each key whose stored and replayed facts are not the same."""
    return [
        f"{name} {key}: stored {stored.get(key)}, replayed {replayed.get(key)}"
        for key in stored.keys() | replayed.keys()
        if stored.get(key) != replayed.get(key)
    ]
