"""Every kind of entry is known to the verifier, whose rules are written apart from ours."""

import subprocess
import sys
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.credit_entries import Entry, OnBehalf
from semalink_adapters.ed25519 import Signer
from semalink_adapters.postgres.hash_chain import GENESIS, entry_hash
from semalink_adapters.postgres.mapper import EventMapper
from semalink_ops.ledger_tools.export import VERIFIER, Wanted, export
from semalink_ops.ledger_tools.export_source import Range

SIGNER = Signer(bytes(range(32)))
KEY = b64encode(SIGNER.public_key).decode()

INSERT_ENTRY = """
INSERT INTO ledger_entries (originator_id, originator_version, topic, state, entry_hash)
VALUES (%s, %s, %s, %s, %s)"""
INSERT_HEAD = """
INSERT INTO credit_heads (
    account_id, version, posted_micros, reserved_micros, credit_limit_micros, entry_hash
) VALUES (%s, %s, %s, %s, %s, %s)"""


def live(account: CreditAccount, cause: Cause) -> None:
    """Make an entry of every kind."""
    messages = [UUID(int=number) for number in range(1, 5)]
    customer = OnBehalf(UUID(int=77), 9, "2026-11")
    facts: dict[str, Any] = {
        "transfer_id": UUID(int=5),
        "counterpart_id": UUID(int=6),
        "reason": "a transfer",
    }
    account.top_up(1_000, "INV-1", cause, currency="KES", paid_minor_units=100)
    account.reserve(messages[0], 300, cause)
    account.charge(messages[0], cause, amount_micros=100, message_id=messages[3])
    account.charge(messages[0], cause)
    account.refund(messages[0], 50, cause, charge_version=4)
    account.reserve(messages[1], 70, cause, on_behalf=None)
    account.release(messages[1], cause)
    account.reserve(messages[2], 30, cause, expires_at=cause.at)
    account.expire(messages[2], cause)
    account.adjust(
        -20,
        cause,
        adjustment_id=UUID(int=9),
        category="correction",
        reason='"quoted", é',
        proposed_by="operator:ann",
    )
    account.set_limit(5_000, "postpaid", cause)
    account.send_transfer(10, cause, **facts)
    account.receive_transfer(15, cause, **facts)
    account.reserve(messages[1], 5_400, cause)
    account.refund(messages[0], 1, cause, on_behalf=customer)


def store(connection: psycopg.Connection[Any], account: CreditAccount) -> set[str]:
    """Put the account's entries where the ledger puts them, and return their topics."""
    sealed, topics = GENESIS, set()
    for event in account.collect_events():
        entry = EventMapper().to_stored_event(event)
        sealed = entry_hash(sealed, entry)
        row = (entry.originator_id, entry.originator_version, entry.topic, entry.state, sealed)
        connection.execute(INSERT_ENTRY, row)
        topics.add(entry.topic)
    balance = (account.posted_micros, account.reserved_micros, account.credit_limit_micros)
    connection.execute(INSERT_HEAD, (account.id, account.version, *balance, sealed))
    return topics


def kinds() -> set[str]:
    found, left = set(), [Entry]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if "TOPIC" in vars(kind):
            found.add(vars(kind)["TOPIC"])
    return found


def test_entry_of_every_kind_is_verified(
    database_url: str, connection: psycopg.Connection[Any], tmp_path: Path
):
    cause = Cause("operator:ann", datetime.now(UTC), "req_1")
    account = CreditAccount.open(UUID(int=0xABC), cause, credit_limit_micros=10)
    live(account, cause)
    topics = store(connection, account)

    export(database_url, Wanted(Range(None, None), tmp_path / "e"), SIGNER, lambda *_: None)

    assert topics == kinds()
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(tmp_path / "e"), "--public-key", KEY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
