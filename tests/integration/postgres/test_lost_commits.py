"""A commit whose answer is lost: found out, told once, never counted twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from semalink.application.ledger import Answer, LedgerUnavailable, OutcomeInDoubt
from semalink.domain.errors import DomainError
from semalink_adapters.postgres import group_commit, writer_connection
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.writer_connection import Witness, WriterConnection

#: How the server says that it is ready and in no transaction.
IDLE = b"Z\x00\x00\x00\x05I"


class Fate(Enum):
    """What becomes of the next commit on its way through the proxy."""

    PASSES = auto()
    ARRIVES_AND_IS_NEVER_ANSWERED = auto()
    NEVER_ARRIVES = auto()
    HANGS = auto()


class Proxy:
    """Stands between a writer and its database, and breaks the line at a commit."""

    def __init__(self, database_url: str) -> None:
        self._url = urlsplit(database_url)
        self._lines: set[asyncio.StreamWriter] = set()
        self.fate = Fate.PASSES
        #: From the broken commit on, nobody gets through.
        self.stays_away = False
        self.is_away = False
        self._has_commit = False
        self.url = ""

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        credentials = f"{self._url.username}:{self._url.password}"
        self.url = f"postgresql://{credentials}@127.0.0.1:{port}{self._url.path}"
        return server

    def come_back(self) -> None:
        self.stays_away = self.is_away = False

    def hang_up(self) -> None:
        for line in self._lines:
            line.close()
        self._lines.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        if self.is_away:
            self.hang_up()
            return
        up_reader, up_writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        self._lines.add(up_writer)
        with suppress(OSError):
            await asyncio.gather(
                self._carry_questions(reader, up_writer), self._carry_answers(up_reader, writer)
            )
        self.hang_up()

    async def _carry_questions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tail = b""
        while question := await reader.read(65_536):
            if b"COMMIT" in tail + question and self.fate is not Fate.PASSES:
                self._has_commit = self.fate is Fate.ARRIVES_AND_IS_NEVER_ANSWERED
                self.is_away = self.stays_away
                if self.fate is Fate.NEVER_ARRIVES:
                    self.fate = Fate.PASSES
                    self.hang_up()
                if self.fate is Fate.HANGS:
                    continue
            tail = question[-6:]
            writer.write(question)
            await writer.drain()
        self.hang_up()

    async def _carry_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while answer := await reader.read(65_536):
            if self._has_commit and IDLE in answer:
                self.fate, self._has_commit = Fate.PASSES, False
                self.hang_up()
            writer.write(answer)
            await writer.drain()
        self.hang_up()


@asynccontextmanager
async def _proxied(database_url: str) -> AsyncIterator[tuple[Proxy, GroupCommit]]:
    proxy = Proxy(database_url)
    async with await proxy.serve(), GroupCommit(proxy.url) as ledger:
        yield proxy, ledger
        proxy.come_back()
        proxy.hang_up()


@pytest.mark.parametrize("fate", [Fate.ARRIVES_AND_IS_NEVER_ANSWERED, Fate.NEVER_ARRIVES])
async def test_accept_counts_once_when_the_line_breaks_at_its_commit(
    desk: Any, books: Any, database_url: str, fate: Fate
) -> None:
    account_id = await desk.open_account(message_count=10)
    async with _proxied(database_url) as (proxy, ledger):
        through_proxy = type(desk)(ledger)
        await through_proxy.accept(account_id, key="before")

        proxy.fate = fate
        answers = await asyncio.gather(
            *(through_proxy.accept(account_id, key=f"key-{number}") for number in range(5))
        )

    assert proxy.fate is Fate.PASSES
    assert [answer.replayed for answer in answers] == [False] * 5
    assert books.one("SELECT count(*) FROM message_events") == 6
    books.assert_sound(account_id)


async def test_refusal_is_told_once_when_the_answer_of_its_commit_is_lost(
    desk: Any, books: Any, database_url: str
) -> None:
    account_id = await desk.open_account()
    async with _proxied(database_url) as (proxy, ledger):
        proxy.fate = Fate.ARRIVES_AND_IS_NEVER_ANSWERED

        with pytest.raises(DomainError) as refusal:
            await type(desk)(ledger).accept(account_id, key="key-1")

    assert refusal.value.code == "insufficient_credits"
    assert books.one("SELECT count(*) FROM idempotency_keys") == 1


async def test_accept_is_decided_anew_when_its_backend_is_ended_at_the_commit(
    desk: Any, books: Any, ledger: GroupCommit, connection: psycopg.Connection[Any]
) -> None:
    account_id = await desk.open_account(message_count=1)
    connection.execute("CREATE SEQUENCE deaths")
    connection.execute(
        "CREATE FUNCTION die_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " IF nextval('deaths') = 1 THEN"
        "   PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);"
        " END IF; RETURN NULL; END $$"
    )
    connection.execute(
        "CREATE CONSTRAINT TRIGGER die_at_commit AFTER UPDATE ON credit_heads"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die_once()"
    )

    answer = await desk.accept(account_id)

    assert not answer.replayed
    assert books.one("SELECT last_value FROM deaths") == 2
    assert books.one("SELECT count(*) FROM message_events") == 1
    books.assert_sound(account_id)


@pytest.mark.parametrize("fate", [Fate.ARRIVES_AND_IS_NEVER_ANSWERED, Fate.NEVER_ARRIVES])
async def test_accept_is_in_doubt_when_the_database_stays_away(
    desk: Any, books: Any, database_url: str, monkeypatch: pytest.MonkeyPatch, fate: Fate
) -> None:
    monkeypatch.setattr(writer_connection, "DOUBT_SECONDS_MAX", 0.6)
    account_id = await desk.open_account(message_count=10)
    async with _proxied(database_url) as (proxy, ledger):
        through_proxy = type(desk)(ledger)
        await through_proxy.accept(account_id, key="before")
        proxy.fate, proxy.stays_away = fate, True

        in_doubt = asyncio.ensure_future(through_proxy.accept(account_id, key="key-1"))
        with pytest.raises(OutcomeInDoubt):
            await in_doubt
        with pytest.raises(LedgerUnavailable):
            await through_proxy.accept(account_id, key="key-2")

        proxy.come_back()
        async with asyncio.timeout(10):
            while not ledger.is_available:
                await asyncio.to_thread(books.one, "SELECT 1")
        again = await through_proxy.accept(account_id, key="key-1")

    assert again.replayed is (fate is Fate.ARRIVES_AND_IS_NEVER_ANSWERED)
    assert books.one("SELECT count(*) FROM message_events") == 2
    books.assert_sound(account_id)


async def test_others_are_refused_at_once_while_a_commit_is_in_doubt(
    desk: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_connection, "DOUBT_SECONDS_MAX", 1.5)
    account_id = await desk.open_account(message_count=10)
    async with _proxied(database_url) as (proxy, ledger):
        through_proxy = type(desk)(ledger)
        await through_proxy.accept(account_id)
        proxy.fate, proxy.stays_away = Fate.NEVER_ARRIVES, True
        in_doubt = asyncio.ensure_future(through_proxy.accept(account_id))
        async with asyncio.timeout(10):
            while not proxy.is_away:
                await asyncio.to_thread(int)

        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        for _ in range(3):
            with pytest.raises(LedgerUnavailable):
                await through_proxy.accept(account_id)
        refused_after = loop.time() - asked_at

        with pytest.raises(OutcomeInDoubt):
            await in_doubt
    assert refused_after < 0.5


async def test_accept_is_answered_when_the_database_hangs(
    desk: Any, books: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(group_commit, "INTERRUPT_SECONDS", 0.5)
    account_id = await desk.open_account(message_count=10)
    async with _proxied(database_url) as (proxy, ledger):
        through_proxy = type(desk)(ledger)
        await through_proxy.accept(account_id)
        proxy.fate = Fate.HANGS

        hanging = asyncio.ensure_future(through_proxy.accept(account_id))
        async with asyncio.timeout(10):
            while ledger.is_available:
                await asyncio.to_thread(books.one, "SELECT 1")
        with pytest.raises(LedgerUnavailable):
            await through_proxy.accept(account_id)
        proxy.fate = Fate.PASSES

        assert isinstance(await hanging, Answer)
    assert books.one("SELECT count(*) FROM message_events") == 2
    books.assert_sound(account_id)


@pytest.fixture
def asking(database_url: str) -> WriterConnection:
    """A writer that asks what became of a transaction."""
    return WriterConnection(database_url, "asking")


def _row(books: Any, account_id: Any) -> tuple[str, Witness]:
    [(xid, version, state)] = books.all(
        "SELECT xid::text, originator_version, state FROM ledger_entries WHERE originator_id = %s",
        account_id,
    )
    return xid, Witness("ledger_entries", account_id, version, state)


async def test_commit_is_recognised_by_its_row(
    desk: Any, books: Any, asking: WriterConnection
) -> None:
    xid, witness = _row(books, await desk.open_account())

    assert asking.was_committed(xid, witness, lambda: None)
    asking.close()


@pytest.mark.parametrize(
    "given_again",
    ["SELECT (%s::text::bigint + 0)::text", "SELECT (%s::text::bigint + 1000000)::text"],
)
async def test_commit_is_not_taken_for_another_with_its_id(
    desk: Any, books: Any, asking: WriterConnection, given_again: str
) -> None:
    # A crash may lose an id that was never flushed; it is then unknown, or given to another.
    xid, witness = _row(books, await desk.open_account())
    lost = witness._replace(state=b"{}")

    assert not asking.was_committed(books.one(given_again, xid), lost, lambda: None)
    asking.close()


async def test_commit_is_waited_for_while_it_is_in_progress(
    desk: Any, books: Any, connection: psycopg.Connection[Any], asking: WriterConnection
) -> None:
    xid, witness = _row(books, await desk.open_account())
    connection.execute("BEGIN")
    open_xid = books.one("SELECT pg_current_xact_id()::text")
    waits: list[str] = []

    def on_wait() -> None:
        waits.append(xid)
        connection.execute("ROLLBACK")

    assert not asking.was_committed(open_xid, witness, on_wait)
    assert waits == [xid]
    asking.close()
