"""Makes the secrets of endpoints: random, shown once, kept sealed."""

import secrets
from uuid import UUID

from semalink.application.webhooks import MadeSecret
from semalink.domain.webhook_endpoint import Secret, SecretKind
from semalink_adapters.ed25519 import Signer
from semalink_adapters.webhooks.sealing import Sealer
from semalink_adapters.webhooks.signing import SECRET_BYTES, fingerprint_of, show_secret


class SealedSecrets:
    """Makes secrets under the key of the installation."""

    def __init__(self, key: bytes) -> None:
        self._sealer = Sealer(key)

    def make(self, secret_id: UUID, kind: SecretKind) -> MadeSecret:
        """Return a new secret."""
        made = secrets.token_bytes(SECRET_BYTES)
        is_pair = kind is SecretKind.V1A
        told = Secret(
            secret_id,
            kind,
            fingerprint_of(kind.value, made),
            Signer(made).public_key.hex() if is_pair else None,
        )
        return MadeSecret(told, self._sealer.seal(secret_id, made), show_secret(kind.value, made))
