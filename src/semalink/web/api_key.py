"""API keys: how they are made, and how a mistyped one is told without a look-up."""

import hmac
import re
import secrets
from binascii import crc32
from dataclasses import dataclass, field

#: What a key begins with says what it is for.
PREFIX_BY_MODE = {"live": "sl_live_", "test": "sl_test_", "operator": "sl_admin_"}

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: 33 digits of base 62 carry 196 bits.
_RANDOM_LENGTH = 33
_CHECKSUM_LENGTH = 6
_FORM = re.compile(rf"sl_(?:live|test|admin)_[0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only time that it can be shown."""

    secret: str = field(repr=False)
    #: What is stored in its place.
    key_hash: bytes
    last_four: str


def make_key(mode: str, pepper: bytes) -> NewKey:
    """Make a key for "live", "test" or "operator"."""
    body = "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_LENGTH))
    unsealed = PREFIX_BY_MODE[mode] + body
    key = unsealed + _checksum(unsealed)
    return NewKey(key, hash_key(key, pepper), key[-4:])


def is_well_formed(key: str) -> bool:
    """Whether the form and the checksum of a key are right; says nothing of its rights."""
    if _FORM.fullmatch(key) is None:
        return False
    return _checksum(key[:-_CHECKSUM_LENGTH]) == key[-_CHECKSUM_LENGTH:]


def hash_key(key: str, pepper: bytes) -> bytes:
    """Return what is stored of a key: HMAC-SHA-256 under the platform's pepper."""
    return hmac.digest(pepper, key.encode(), "sha256")


def _checksum(unsealed: str) -> str:
    rest = crc32(unsealed.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, 62)
        digits = _DIGITS[digit] + digits
    return digits
