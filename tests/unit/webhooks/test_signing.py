import time
from base64 import b64decode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from semalink_adapters.ed25519 import Signer, is_signed_by
from semalink_adapters.webhooks.sealing import SealBroken, Sealer
from semalink_adapters.webhooks.signing import (
    SigningKey,
    fingerprint_of,
    read_shown,
    show_secret,
    signature_header,
)

EVENT = "evt_0190b1f0c0de7000800000000000beef"
BODY = '{"type":"message.delivered","data":{"name":"Wanjikũ"}}'.encode()
SECRETS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=6, unique=True)


def headers_of(signature: str, at_seconds: int) -> dict[str, str]:
    return {
        "webhook-id": EVENT,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": signature,
    }


@given(SECRETS)
def test_sign_is_verified_by_the_public_library_with_each_live_secret(secrets: list[bytes]):
    now = int(time.time())
    keys = [SigningKey("v1", secret) for secret in secrets]

    headers = headers_of(signature_header(keys, EVENT, now, BODY), now)

    for secret in secrets:
        Webhook(show_secret("v1", secret)).verify(BODY, headers)


@given(SECRETS, st.binary(min_size=32, max_size=32))
def test_sign_is_refused_by_the_public_library_with_another_secret(
    secrets: list[bytes], other: bytes
):
    now = int(time.time())
    keys = [SigningKey("v1", secret) for secret in secrets if secret != other]

    headers = headers_of(signature_header(keys, EVENT, now, BODY), now)

    with pytest.raises(WebhookVerificationError):
        Webhook(show_secret("v1", other)).verify(BODY, headers)


def test_sign_gives_what_the_public_libraries_are_tested_with():
    secret = read_shown("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signature = SigningKey("v1", secret).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_sign_is_refused_by_the_public_library_for_another_body():
    now = int(time.time())
    key = SigningKey("v1", bytes(32))

    headers = headers_of(key.sign(EVENT, now, BODY), now)

    with pytest.raises(WebhookVerificationError):
        Webhook(show_secret("v1", bytes(32))).verify(BODY + b" ", headers)


def test_sign_is_verified_with_the_public_key_of_a_pair():
    seed = bytes(range(32))

    version, signature = SigningKey("v1a", seed).sign(EVENT, 1_700_000_000, BODY).split(",")

    assert version == "v1a"
    signed = b"%b.1700000000.%b" % (EVENT.encode(), BODY)
    assert is_signed_by(read_shown(show_secret("v1a", seed)), signed, b64decode(signature))


def test_sign_goes_by_the_newest_secret_first_and_both_kinds_stand_beside():
    keys = [SigningKey("v1", b"n" * 32), SigningKey("v1", b"o" * 32), SigningKey("v1a", bytes(32))]

    header = signature_header(keys, EVENT, 1, BODY)

    assert header.split(" ") == [key.sign(EVENT, 1, BODY) for key in keys]


def test_show_secret_tells_a_pairs_public_half_only():
    seed = b"s" * 32

    assert show_secret("v1", seed).startswith("whsec_")
    assert read_shown(show_secret("v1", seed)) == seed
    assert read_shown(show_secret("v1a", seed)) == Signer(seed).public_key
    assert fingerprint_of("v1", seed) != fingerprint_of("v1a", seed)


@given(st.uuids(), st.binary(max_size=64))
def test_unseal_returns_what_was_sealed(secret_id: UUID, secret: bytes):
    sealer = Sealer(b"k" * 32)

    sealed = sealer.seal(secret_id, secret)

    assert sealer.unseal(secret_id, sealed) == secret
    assert sealed != sealer.seal(secret_id, secret)


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(60)])
def test_unseal_refuses_what_was_not_sealed(sealed: bytes):
    with pytest.raises(SealBroken, match="SEMALINK_WEBHOOK_KEY"):
        Sealer(bytes(32)).unseal(UUID(int=1), sealed)


def test_unseal_refuses_another_key_and_another_secrets_row():
    sealed = Sealer(b"k" * 32).seal(UUID(int=1), b"secret")

    with pytest.raises(SealBroken):
        Sealer(b"o" * 32).unseal(UUID(int=1), sealed)
    with pytest.raises(SealBroken):
        Sealer(b"k" * 32).unseal(UUID(int=2), sealed)
