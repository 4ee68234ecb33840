"""The keys that sign checkpoints, as the settings name them."""

from base64 import b64decode, b64encode

from semalink_adapters.ed25519 import Signer
from semalink_ops.settings import Settings


def signer_of(settings: Settings) -> Signer | None:
    """Return what signs checkpoints; None when no key is set."""
    key = settings.ledger_signing_key
    return None if key is None else Signer(b64decode(key.reveal()))


def known_keys(settings: Settings) -> frozenset[bytes]:
    """Return the public keys whose checkpoints are taken for ours."""
    signer = signer_of(settings)
    retired = {b64decode(key) for key in settings.ledger_retired_keys}
    return frozenset(retired | ({signer.public_key} if signer else set()))


def format_key(public_key: bytes) -> str:
    """Return a public key as the settings take it."""
    return b64encode(public_key).decode()
