"""A writer that read an account before another committed never gets its entries in."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
import pytest

from semalink.application.accounts import TopUp
from semalink.application.ledger import Answer, Command, Decisions, decide_batch
from semalink.application.submission import Policy, StartSubmission, Wait
from semalink.domain.errors import InsufficientCredits, PaymentReferenceReused
from semalink_adapters.postgres.arrays import accept_packed
from semalink_adapters.postgres.batch import BatchStore, Loaded
from semalink_adapters.postgres.group_commit import GroupCommit, RefusedByDatabase


class _Stale(NamedTuple):
    """What a writer decided on books that are out of date by now."""

    store: BatchStore
    connection: psycopg.Connection[Any]
    loaded: Loaded
    decisions: Decisions

    def commit(self) -> None:
        self.store.store(self.connection, self.loaded, self.decisions)


def _decide_without_lock(
    connection: psycopg.Connection[Any], commands: Sequence[Command[Any]]
) -> _Stale:
    """Read and decide, and give the account's lock up as a broken writer might."""
    accept_packed(connection)
    store = BatchStore()
    loaded = store.load(connection, commands)
    connection.execute("ROLLBACK")
    decisions = decide_batch(commands, loaded.books, loaded.known)
    connection.execute("BEGIN")
    return _Stale(store, connection, loaded, decisions)


class _Interposing(BatchStore):
    """Lets a rival commit between what the first try reads and what it writes."""

    def __init__(self, rival: _Stale) -> None:
        super().__init__()
        self._rival = rival
        self.tries = 0

    def store(
        self, connection: psycopg.Connection[Any], loaded: Loaded, decisions: Decisions
    ) -> None:
        self.tries += 1
        if self.tries == 1:
            self._rival.commit()
        super().store(connection, loaded, decisions)


async def test_stale_writer_is_refused_when_another_committed_first(
    desk: Any, books: Any, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=2)
    stale = _decide_without_lock(connection, [desk.accepting(account_id)])
    await desk.accept(account_id)

    with pytest.raises(psycopg.errors.UniqueViolation):
        stale.commit()

    connection.execute("ROLLBACK")
    assert books.one("SELECT count(*) FROM message_events") == 1
    assert books.one("SELECT count(*) FROM pending_submissions") == 1
    books.assert_sound(account_id)


async def test_accept_is_decided_anew_when_a_rival_committed_in_between(
    desk: Any, books: Any, ledger: GroupCommit, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=2)
    rival = _decide_without_lock(connection, [desk.accepting(account_id)])
    ledger._store = store = _Interposing(rival)

    outcomes = await asyncio.gather(
        *(desk.accept(account_id) for _ in range(2)), return_exceptions=True
    )

    assert store.tries >= 2
    assert [type(outcome) for outcome in outcomes] == [Answer, InsufficientCredits]
    assert books.one("SELECT count(*) FROM message_events") == 2
    books.assert_sound(account_id)


async def test_start_happens_once_when_two_workers_hold_one_message(
    desk: Any, books: Any, ledger: GroupCommit, connection: psycopg.Connection[Any]
) -> None:
    job = await desk.accept_job(await desk.open_account(message_count=1))
    rival_start = StartSubmission(job, None, Policy(), desk.cause("worker:rival"))
    ledger._store = _Interposing(_decide_without_lock(connection, [rival_start]))

    answer = await ledger.execute(StartSubmission(job, None, Policy(), desk.cause("worker:sms")))

    assert isinstance(answer.value, Wait)
    assert books.all("SELECT topic FROM message_events ORDER BY originator_version") == [
        ("message.accepted.1",),
        ("message.submit_started.1",),
    ]


async def test_top_up_is_refused_when_a_rival_used_its_reference_for_another_account(
    desk: Any, books: Any, ledger: GroupCommit, connection: psycopg.Connection[Any]
) -> None:
    mine, theirs = await desk.open_account(), await desk.open_account()
    rival = _decide_without_lock(connection, [TopUp(theirs, 500, "payment-1", desk.cause())])
    ledger._store = _Interposing(rival)

    with pytest.raises(PaymentReferenceReused):
        await ledger.execute(TopUp(mine, 500, "payment-1", desk.cause()))

    assert (books.head(mine)[1], books.head(theirs)[1]) == (0, 500)


async def test_accept_crashes_alone_when_its_message_exists(
    desk: Any, books: Any, ledger: GroupCommit
) -> None:
    account_id = await desk.open_account(message_count=40)
    taken = desk.accepting(account_id)
    await ledger.execute(taken)

    outcomes = await asyncio.gather(
        *(desk.accept(account_id) for _ in range(10)),
        ledger.execute(taken),
        *(desk.accept(account_id) for _ in range(10)),
        return_exceptions=True,
    )

    crashed = [outcome for outcome in outcomes if not isinstance(outcome, Answer)]
    assert [type(outcome) for outcome in crashed] == [RefusedByDatabase]
    assert outcomes[10] is crashed[0]
    assert books.one("SELECT count(*) FROM message_events") == 21
    books.assert_sound(account_id)
