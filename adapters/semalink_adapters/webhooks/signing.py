"""Signatures of webhooks: Standard Webhooks 1.0.0, symmetric `v1` and asymmetric `v1a`."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence

from semalink_adapters.ed25519 import Signer

SECRET_BYTES = 32
#: What a customer is shown: the shared secret of `v1`, the public key of `v1a`.
SECRET_PREFIX = "whsec_"  # noqa: S105 - it only says what follows
PUBLIC_KEY_PREFIX = "whpk_"


class SigningKey:
    """Signs with one secret of an endpoint."""

    __slots__ = ("_sign", "kind")

    def __init__(self, kind: str, secret: bytes) -> None:
        self.kind = kind
        self._sign = _signer_of(kind, secret)

    def sign(self, event_id: str, timestamp_seconds: int, body: bytes) -> str:
        """Return one signature as the header holds it, such as "v1,K5oZ…"."""
        text = b"%b.%d.%b" % (event_id.encode(), timestamp_seconds, body)
        return f"{self.kind},{b64encode(self._sign(text)).decode()}"


def signature_header(
    keys: Sequence[SigningKey], event_id: str, timestamp_seconds: int, body: bytes
) -> str:
    """Return the header `webhook-signature`: one signature a key, in the order of the keys."""
    return " ".join(key.sign(event_id, timestamp_seconds, body) for key in keys)


def show_secret(kind: str, secret: bytes) -> str:
    """Return what a customer verifies with; of `v1a` it is the public key, which is no secret."""
    if kind == "v1":
        return SECRET_PREFIX + b64encode(secret).decode()
    return PUBLIC_KEY_PREFIX + b64encode(Signer(secret).public_key).decode()


def read_shown(text: str) -> bytes:
    """Return the bytes behind what ``show_secret`` returned."""
    return b64decode(text.removeprefix(SECRET_PREFIX).removeprefix(PUBLIC_KEY_PREFIX))


def fingerprint_of(kind: str, secret: bytes) -> str:
    """Return what names a secret without telling it, in logs and events."""
    return hashlib.sha256(b"semalink webhook " + show_secret(kind, secret).encode()).hexdigest()[
        :16
    ]


def _signer_of(kind: str, secret: bytes) -> Callable[[bytes], bytes]:
    if kind == "v1a":
        return Signer(secret).sign
    assert kind == "v1", "these are the kinds of the standard"
    return lambda text: hmac.digest(secret, text, "sha256")
