"""The hash chain of a credit account: each ledger entry seals all entries before it."""

import hashlib
import struct

from eventsourcing.persistence import StoredEvent

#: What the first entry of an account is chained to.
GENESIS = bytes(32)

_LENGTH = struct.Struct(">I")
_VERSION = struct.Struct(">Q")


def entry_hash(previous: bytes, entry: StoredEvent) -> bytes:
    """Return SHA-256 over the previous hash and the entry, each field behind its length.

    The fields are the previous hash, the account's 16 bytes, the version as 8 bytes, the topic
    and the state as stored; lengths are 4 bytes. All numbers are big-endian.
    """
    originator_id = entry.originator_id
    assert not isinstance(originator_id, str), "credit accounts are named by UUIDs"
    fields = (
        previous,
        originator_id.bytes,
        _VERSION.pack(entry.originator_version),
        entry.topic.encode(),
        entry.state,
    )
    return hashlib.sha256(
        b"".join([part for field in fields for part in (_LENGTH.pack(len(field)), field)])
    ).digest()
