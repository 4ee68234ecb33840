"""Checkpoints over all credit accounts: what is hashed, and the text that is signed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from semalink.domain import merkle

#: What the first checkpoint is chained to.
NO_CHECKPOINT = bytes(32)

#: The first line of what is signed; another form gets another number.
HEADING = "semalink ledger checkpoint 1"


@dataclass(frozen=True, slots=True)
class Leaf:
    """How far the chain of one account is: its last entry, and the hash that seals it."""

    account_id: UUID
    version: int
    entry_hash: bytes

    def encode(self) -> bytes:
        """Return the leaf as it is hashed: 16 bytes, 8 bytes big-endian, 32 bytes."""
        return self.account_id.bytes + self.version.to_bytes(8) + self.entry_hash


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one signature vouches for: every account's chain, and all checkpoints before."""

    number: int
    taken_at: datetime
    account_count: int
    root: bytes
    previous_hash: bytes

    def text(self) -> bytes:
        """Return the text that is signed: a line each, every one ended by a line feed."""
        taken_at = self.taken_at.astimezone(UTC)
        lines = (
            HEADING,
            f"number {self.number}",
            f"taken_at {taken_at:%Y-%m-%dT%H:%M:%S.%fZ}",
            f"account_count {self.account_count}",
            f"root {self.root.hex()}",
            f"previous_hash {self.previous_hash.hex()}",
        )
        return "".join(f"{line}\n" for line in lines).encode()

    def hash(self) -> bytes:
        """Return SHA-256 of the text, to which the next checkpoint is chained."""
        return hashlib.sha256(self.text()).digest()


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with its signature and the public key that checks it."""

    checkpoint: Checkpoint
    checkpoint_hash: bytes
    public_key: bytes
    signature: bytes


def root_of(leaves: list[Leaf]) -> bytes:
    """Return the root over leaves, which must be in the order of their account ids."""
    return merkle.root([leaf.encode() for leaf in leaves])
