"""The hash chain of a credit account: each ledger entry seals all entries before it."""

import hashlib
import struct

from eventsourcing.persistence import StoredEvent

#: What the first entry of an account is chained to.
GENESIS = bytes(32)

#: Previous hash, account and version, each behind its length.
_FIXED = struct.Struct(">I32sI16sIQ")
_LENGTH = struct.Struct(">I")


def entry_hash(previous: bytes, entry: StoredEvent) -> bytes:
    """Return SHA-256 over the previous hash and the entry, each field behind its length.

    The fields are the previous hash, the account's 16 bytes, the version as 8 bytes, the topic
    and the state as stored; lengths are 4 bytes. All numbers are big-endian.
    """
    originator_id = entry.originator_id
    assert not isinstance(originator_id, str), "credit accounts are named by UUIDs"
    topic = entry.topic.encode()
    return hashlib.sha256(
        b"".join(
            (
                _FIXED.pack(32, previous, 16, originator_id.bytes, 8, entry.originator_version),
                _LENGTH.pack(len(topic)),
                topic,
                _LENGTH.pack(len(entry.state)),
                entry.state,
            )
        )
    ).digest()
