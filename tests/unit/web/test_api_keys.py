import asyncio
import re
from typing import Any

import pytest

from semalink.application.accounts import RevokeApiKey
from semalink.application.reading import Caller
from semalink.web.api_key import PREFIX_BY_MODE, hash_key, is_well_formed, make_key
from semalink.web.auth import KeyRing
from semalink_adapters.memory import MemoryReads
from semalink_adapters.memory_ledger import MemoryLedger

PEPPER = b"another pepper"


@pytest.mark.parametrize(("mode", "prefix"), PREFIX_BY_MODE.items())
def test_make_key_makes_well_formed_keys(mode: str, prefix: str) -> None:
    made = make_key(mode, PEPPER)

    assert re.fullmatch(rf"{prefix}[0-9A-Za-z]{{39}}", made.secret)
    assert is_well_formed(made.secret)
    assert made.key_hash == hash_key(made.secret, PEPPER)
    assert made.secret.endswith(made.last_four)
    assert made.secret not in repr(made)


def test_make_key_never_makes_one_twice() -> None:
    assert len({make_key("live", PEPPER).secret for _ in range(100)}) == 100


def test_checksum_finds_every_typing_error() -> None:
    key = make_key("live", PEPPER).secret
    mistyped = [
        key[:place] + ("a" if key[place] != "a" else "b") + key[place + 1 :]
        for place in range(len("sl_live_"), len(key))
    ]

    assert not any(is_well_formed(one) for one in mistyped)


@pytest.mark.parametrize("key", ["", "sl_live_", "sk_live_" + "a" * 39, "sl_live_" + "é" * 39])
def test_is_well_formed_refuses_other_forms(key: str) -> None:
    assert not is_well_formed(key)


def test_keys_of_modes_do_not_pass_for_one_another() -> None:
    key = make_key("test", PEPPER).secret

    assert not is_well_formed(key.replace("sl_test_", "sl_live_"))


@pytest.fixture
def key_ring(platform: Any) -> KeyRing:
    ring: KeyRing = platform.key_ring
    return ring


async def test_key_ring_looks_up_once_a_second(platform: Any, acme: Any, key_ring: Any) -> None:
    for _ in range(3):
        await key_ring.principal(acme.live)
    platform.clock.pass_by(seconds=1)

    principal = await key_ring.principal(acme.live)

    assert principal.caller.account_id == acme.account_id
    assert platform.reads.caller_count == 2


async def test_key_ring_looks_up_once_for_many_at_once(
    platform: Any, acme: Any, key_ring: Any
) -> None:
    found = await asyncio.gather(*(key_ring.principal(acme.live) for _ in range(20)))

    assert {one.caller.api_key_id for one in found} == {acme.live_key_id}
    assert platform.reads.caller_count == 1


async def test_key_ring_remembers_unknown_keys_briefly(platform: Any, key_ring: Any) -> None:
    stranger = make_key("live", PEPPER).secret

    found = [await key_ring.principal(stranger) for _ in range(3)]

    assert found == [None] * 3
    assert platform.reads.caller_count == 1


async def test_key_ring_looks_nothing_up_when_checksum_is_wrong(
    platform: Any, acme: Any, key_ring: Any
) -> None:
    found = await key_ring.principal(acme.live[:-1] + ("a" if acme.live[-1] != "a" else "b"))

    assert found is None
    assert platform.reads.caller_count == 0


async def test_key_ring_forgets_one_key(
    platform: Any, acme: Any, other: Any, key_ring: Any
) -> None:
    for key in (acme.live, other.live):
        await key_ring.principal(key)

    key_ring.forget(acme.live_key_id)

    for key in (acme.live, other.live):
        await key_ring.principal(key)
    assert platform.reads.caller_count == 3


async def test_key_ring_forgets_all_keys(
    platform: Any, acme: Any, other: Any, key_ring: Any
) -> None:
    for key in (acme.live, other.live):
        await key_ring.principal(key)

    key_ring.forget_all()

    for key in (acme.live, other.live):
        await key_ring.principal(key)
    assert platform.reads.caller_count == 4


class SlowReads(MemoryReads):
    """Answers when told to, with what was true when it was asked."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__(ledger)
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def caller(self, key_hash: bytes) -> Caller | None:
        caller = await super().caller(key_hash)
        self.asked.set()
        await self.may_answer.wait()
        return caller


async def test_key_ring_keeps_nothing_that_was_read_before_a_revocation(
    platform: Any, acme: Any
) -> None:
    reads = SlowReads(platform.ledger)
    key_ring = KeyRing(reads, platform.pepper, platform.clock.monotonic)
    before = asyncio.create_task(key_ring.principal(acme.live))
    await reads.asked.wait()
    await platform.ledger.execute(RevokeApiKey(acme.account_id, acme.live_key_id, platform.cause))

    key_ring.forget(acme.live_key_id)

    after = asyncio.create_task(key_ring.principal(acme.live))
    reads.may_answer.set()
    assert await before is not None
    assert await after is None
    assert await key_ring.principal(acme.live) is None


async def test_key_ring_remembers_a_bounded_number(platform: Any, acme: Any) -> None:
    reads, monotonic = platform.reads, platform.clock.monotonic
    key_ring = KeyRing(reads, platform.pepper, monotonic, remembered_max=2)
    await key_ring.principal(acme.live)

    for _ in range(5):
        await key_ring.principal(make_key("live", PEPPER).secret)

    assert len(key_ring._invalid) == 2
    assert len(key_ring._valid) == 1


async def test_one_client_that_leaves_fails_no_other(platform: Any, acme: Any) -> None:
    reads = SlowReads(platform.ledger)
    key_ring = KeyRing(reads, platform.pepper, platform.clock.monotonic)
    leaving = asyncio.create_task(key_ring.principal(acme.live))
    staying = asyncio.create_task(key_ring.principal(acme.live))
    await reads.asked.wait()

    leaving.cancel()

    reads.may_answer.set()
    principal = await staying
    assert principal is not None
    assert principal.caller.api_key_id == acme.live_key_id


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "BEARER"])
async def test_scheme_is_bearer_in_any_case(api: Any, acme: Any, scheme: str) -> None:
    answer = await api.get("/v1/balance", headers={"Authorization": f"{scheme} {acme.live}"})

    assert answer.status_code == (401 if scheme == "Basic" else 200)


async def test_wrong_key_is_challenged(api: Any) -> None:
    headers = {"Authorization": f"Bearer {make_key('live', PEPPER).secret}"}

    answer = await api.get("/v1/balance", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_api_key"
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_key_without_scope_is_forbidden(
    api: Any, platform: Any, acme: Any, bearer: Any
) -> None:
    _, key = await platform.issue(acme.account_id, "live", ["messages:read"])

    answer = await api.get("/v1/balance", headers=bearer(key))

    assert answer.status_code == 403
    assert answer.json()["detail"] == "The operation asks for the scope balance:read."


async def test_operators_and_customers_have_no_rights_with_one_another(
    api: Any, admin: Any, acme: Any, admin_key: str, bearer: Any
) -> None:
    operator_on_api = await api.get("/v1/balance", headers=bearer(admin_key))
    customer_on_admin = await admin.get("/admin/v1/accounts", headers=bearer(acme.live))

    assert operator_on_api.status_code == customer_on_admin.status_code == 403


async def test_revoked_key_works_no_more(
    api: Any, admin: Any, platform: Any, acme: Any, admin_key: str, bearer: Any
) -> None:
    before = await api.get("/v1/balance", headers=bearer(acme.live))

    revoked = await admin.delete(
        f"/admin/v1/accounts/acct_{acme.account_id.hex}/api-keys/key_{acme.live_key_id.hex}",
        headers=bearer(admin_key),
    )

    after = await api.get("/v1/balance", headers=bearer(acme.live))
    assert (before.status_code, revoked.status_code, after.status_code) == (200, 204, 401)
    assert platform.revoked == [acme.live_key_id]
