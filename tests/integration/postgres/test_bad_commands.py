"""A command with a bug fails alone: its neighbours in the batch are decided."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from semalink.application.ledger import Answer, Books, LedgerUnavailable, Needs, PlainCommand
from semalink.application.sender_ids import ApproveSender
from semalink_adapters.postgres.group_commit import GroupCommit, RefusedByDatabase


@dataclass(frozen=True)
class _Broken(PlainCommand):
    """A command whose decision is a bug."""

    def needs(self, needs: Needs) -> None:
        """Nothing."""

    def decide(self, books: Books) -> None:
        raise AssertionError("a rule that cannot be broken was")


@pytest.mark.parametrize("position", [0, 7, 19])
async def test_assertion_in_a_decision_fails_that_command_alone(
    desk: Any, books: Any, ledger: GroupCommit, position: int
) -> None:
    account_id = await desk.open_account(message_count=100)
    commands = [desk.accepting(account_id, key=f"key-{number}") for number in range(20)]
    commands.insert(position, _Broken())

    outcomes = await asyncio.gather(
        *(ledger.execute(command) for command in commands), return_exceptions=True
    )

    broken = outcomes.pop(position)
    assert isinstance(broken, AssertionError)
    assert all(isinstance(outcome, Answer) and not outcome.replayed for outcome in outcomes)
    assert books.one("SELECT count(*) FROM message_events") == 20
    books.assert_sound(account_id)


async def test_text_with_nul_fails_that_command_alone(
    desk: Any, books: Any, ledger: GroupCommit
) -> None:
    account_id = await desk.open_account(message_count=100)

    outcomes = await asyncio.gather(
        *(desk.accept(account_id, key=f"key-{number}") for number in range(6)),
        desk.accept(account_id, key="key\0with nul"),
        ledger.execute(ApproveSender(account_id, "AC\0ME", desk.cause())),
        *(desk.accept(account_id, key=f"key-{number}") for number in range(6, 12)),
        return_exceptions=True,
    )

    refused = [outcome for outcome in outcomes if not isinstance(outcome, Answer)]
    assert [type(outcome) for outcome in refused] == [RefusedByDatabase] * 2
    assert books.one("SELECT count(*) FROM message_events") == 12
    assert books.one("SELECT count(*) FROM approved_senders") == 0
    books.assert_sound(account_id)


async def test_crash_is_logged_without_what_was_asked(
    desk: Any, ledger: GroupCommit, recipient: str
) -> None:
    account_id = await desk.open_account(message_count=1)

    with structlog.testing.capture_logs() as logs, pytest.raises(RefusedByDatabase) as refused:
        await desk.accept(account_id, key="secret\0key", text="A secret text")

    assert [line["event"] for line in logs] == ["command_crashed"]
    for words in (str(logs), repr(refused.value)):
        assert "secret" not in words
        assert recipient not in words


async def test_execute_refuses_when_the_ledger_has_been_closed(
    desk: Any, database_url: str
) -> None:
    account_id = await desk.open_account(message_count=1)
    async with GroupCommit(database_url) as closed:
        pass

    with pytest.raises(LedgerUnavailable):
        await closed.execute(desk.accepting(account_id))


async def test_close_decides_what_is_waiting(desk: Any, books: Any, database_url: str) -> None:
    account_id = await desk.open_account(message_count=300)

    async with GroupCommit(database_url) as ledger:
        waiting = [
            asyncio.ensure_future(ledger.execute(desk.accepting(account_id))) for _ in range(300)
        ]
        await waiting[0]
    answers = await asyncio.gather(*waiting)

    assert len(answers) == books.one("SELECT count(*) FROM message_events") == 300
