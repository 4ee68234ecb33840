"""Secrets of endpoints at rest: sealed with AES-256-GCM under one key of the installation."""

import secrets
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A stored secret was sealed under another key, or was changed."""

    def __init__(self, secret_id: UUID) -> None:
        self.secret_id = secret_id
        super().__init__(
            "A stored webhook secret cannot be opened: SEMALINK_WEBHOOK_KEY is not the key under "
            "which it was sealed. Set the key of before, or rotate the secret of the endpoint."
        )


class Sealer:
    """Seals secrets, each bound to its id, so that rows cannot be swapped."""

    def __init__(self, key: bytes) -> None:
        assert len(key) == KEY_BYTES, "the settings take no other key"
        self._cipher = AESGCM(key)

    def seal(self, secret_id: UUID, secret: bytes) -> bytes:
        """Return a secret as it is stored: the nonce, then the sealed bytes."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, secret_id.bytes)

    def unseal(self, secret_id: UUID, sealed: bytes) -> bytes:
        """Return the secret; raises SealBroken."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, secret_id.bytes)
        except (InvalidTag, ValueError):
            # Without the cause: what cannot be opened has nothing to tell.
            raise SealBroken(secret_id) from None
