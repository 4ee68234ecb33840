import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
import pytest

from semalink.application.dead_letters import Burial, BuryDeadLetter, about_of, letter_uuid
from semalink.domain.cause import Cause
from semalink.domain.ids import format_id
from semalink_adapters.jetstream.streams import QUEUES
from semalink_adapters.postgres.dead_letter_work import DeadLetterWork
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.queries import open_pool
from semalink_ops.cli import exit_codes, run
from semalink_ops.cli.dlq.filters import QUEUE_NAMES
from semalink_ops.dead_lettering import BulkActions

Semalink = Callable[..., tuple[int, Any]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status and its JSON, or else what it said."""

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, json.loads(shown.out) if shown.out else shown.err

    return call


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a platform whose database is fresh and whose broker is away."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")


@pytest.fixture
def letters(database_url: str) -> list[str]:
    """Two dead letters, the older first."""
    ids = [letter_uuid(f"dlq:{number}", datetime.now(UTC)) for number in range(2)]
    asyncio.run(bury(database_url, ids))
    return sorted(format_id("dlq_", letter_id) for letter_id in ids)


async def bury(database_url: str, ids: list[UUID]) -> None:
    now = datetime.now(UTC)
    async with GroupCommit(database_url) as ledger, open_pool(database_url, size=1) as pool:
        for letter_id in ids:
            burial = Burial(
                letter_id, letter_id.hex, "sms.normal", "sms.normal", "PoisonMessage",
                "unreadable_job", 1, now, now, "id", 0, about_of("sms.normal", b"{}"),
                b"\xffbroken", {"traceparent": "00-1"},
            )  # fmt: skip
            await DeadLetterWork(pool).store([burial])
            cause = Cause("worker:dead-letters", now, "job_1")
            await ledger.execute(
                BuryDeadLetter(
                    letter_id,
                    "sms.normal",
                    "PoisonMessage",
                    "unreadable_job",
                    1,
                    letter_id.hex,
                    None,
                    cause,
                )
            )


def test_queues_of_the_options_are_those_that_are_declared() -> None:
    assert tuple(queue.name for queue in QUEUES) == QUEUE_NAMES


def test_dlq_list_shows_what_waits_and_its_groups(semalink: Semalink, letters: list[str]) -> None:
    _, found = semalink("dlq", "list", "--queue", "sms.normal", "--newer-than", "1h", "--json")
    _, none = semalink("dlq", "list", "--older-than", "15m", "--json")
    _, groups = semalink("dlq", "list", "--groups", "--json")

    assert sorted(one["id"] for one in found["items"]) == letters
    assert none["items"] == []
    assert [(one["error"], one["count"]) for one in groups["items"]] == [("unreadable_job", 2)]


def test_dlq_show_prints_payload_headers_and_actions(
    semalink: Semalink, letters: list[str]
) -> None:
    status, shown = semalink("dlq", "show", letters[0], "--json")
    missing, said = semalink("dlq", "show", "dlq_nothing")

    assert status == exit_codes.OK
    assert shown["payload"] == {"encoding": "base64", "content": "/2Jyb2tlbg=="}
    assert shown["headers"] == {"traceparent": "00-1"}
    assert [action["name"] for action in shown["actions"]] == ["dead_letter.buried"]
    assert missing == exit_codes.NOT_FOUND
    assert "semalink dlq list" in said


def test_dlq_republish_sends_an_edited_payload_once(
    semalink: Semalink, letters: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mended").write_bytes(b"mended")
    edit = ("--payload-file", str(tmp_path / "mended"))

    status, sent = semalink("dlq", "republish", letters[0], *edit, "--json")
    twice, said = semalink("dlq", "republish", letters[0])
    again, _ = semalink("dlq", "republish", letters[0], "--again", "--json")
    _, shown = semalink("dlq", "show", letters[0], "--json")

    assert (status, sent["state"]) == (exit_codes.OK, "republishing")
    assert (twice, again) == (exit_codes.CONFLICT, exit_codes.OK)
    assert "republished before" in said
    assert [action["edited"] for action in shown["actions"]] == [False, True, False]


@pytest.mark.parametrize(
    "arguments",
    [
        ("republish",),
        ("republish", "--all", "--payload", "x"),
        ("republish", "dlq_1", "--all"),
        ("republish", "dlq_1", "--payload", "x", "--payload-file", "pyproject.toml"),
        ("discard", "dlq_1", "--queue", "sms.normal", "--reason", "x"),
        ("list", "--older-than", "15"),
    ],
)
def test_dlq_refuses_what_does_not_go_together(
    semalink: Semalink, arguments: tuple[str, ...]
) -> None:
    status, _ = semalink("dlq", *arguments)

    assert status == exit_codes.USAGE


def test_dlq_republish_refuses_a_report_for_what_is_about_none(
    semalink: Semalink, letters: list[str], tmp_path: Path
) -> None:
    (tmp_path / "report").write_bytes(b"{}")

    status, said = semalink(
        "dlq", "republish", letters[0], "--report-body-file", str(tmp_path / "report")
    )

    assert status == exit_codes.USAGE
    assert "no stored report" in said


def test_dlq_discard_all_follows_the_relay_to_the_end(
    semalink: Semalink, letters: list[str], database_url: str
) -> None:
    async def relay() -> None:
        async with GroupCommit(database_url) as ledger, open_pool(database_url, size=1) as pool:
            actions = BulkActions(DeadLetterWork(pool), ledger)
            while not await actions.step(1.0):
                continue
            await actions.step(1.0)

    async def both() -> tuple[int, Any]:
        working = asyncio.create_task(relay())
        discarding = asyncio.to_thread(
            semalink, "dlq", "discard", "--all", "--reason", "old", "--json"
        )
        answer = await discarding
        await working
        return answer

    status, job = asyncio.run(both())

    assert status == exit_codes.OK
    assert (job["state"], job["done_count"]) == ("finished", 2)


def test_dlq_poison_refuses_where_there_is_no_sandbox(semalink: Semalink) -> None:
    status, said = semalink("dlq", "poison", "sms.normal")

    assert status == exit_codes.NOT_ALLOWED
    assert "semalink up" in said


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_dlq_poison_publishes_to_every_queue(
    queue: Any, semalink: Semalink, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMALINK_NATS_URL", nats_url)
    monkeypatch.setenv("SEMALINK_NATS_BYTES_DIVISOR", "64")
    monkeypatch.setenv("SEMALINK_SANDBOX_DLR_SECRET", "a-secret-of-the-sandbox-1234567890")

    status, _ = semalink("dlq", "poison", queue.name, "--json")

    async def count() -> int:
        client = await nats.connect(nats_url)
        found = (await client.jetstream().stream_info(queue.stream)).state.messages
        await client.close()
        return found

    assert status == exit_codes.OK
    assert asyncio.run(count()) == 1
