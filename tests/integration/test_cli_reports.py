import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink.application.ports import DeliveryReport, ReportState
from semalink_ops.cli import exit_codes, run

PEPPER = "a-pepper-of-at-least-thirty-two-characters"
BODY = b"id=ATPid_1&status=Success&phoneNumber=%2B254712345678"
SHELVE = """
INSERT INTO report_shelf (report_id, part, aggregator, reference, recipient, report, shelved_at)
VALUES (%s, 0, 'africastalking', 'ATPid_1', '+254712345678', %s, %s)"""

Semalink = Callable[..., tuple[int, Any]]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def semalink(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Semalink:
    """Runs one command line and returns its status and what it printed."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", PEPPER)

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = run(["reports", *arguments, "--json"])
        out = capsys.readouterr().out
        return status, json.loads(out) if out else None

    return call


@pytest.fixture
def shelve(connection: psycopg.Connection[Any]) -> Callable[..., str]:
    """Puts a report on the shelf, so old, and returns its id."""

    def put(age: timedelta = timedelta()) -> str:
        report_id: UUID = uuid7()
        at = datetime.now(UTC) - age
        report = DeliveryReport("ATPid_1", ReportState.DELIVERED, "Success", to="+254712345678")
        connection.execute(
            "INSERT INTO inbound_reports (report_id, aggregator, content_type, body, received_at)"
            " VALUES (%s, 'africastalking', 'application/x-www-form-urlencoded', %s, %s)",
            (report_id, BODY, at),
        )
        connection.execute(SHELVE, (report_id, msgspec.json.encode(report), at))
        return f"rpt_{report_id.hex}"

    return put


def test_orphans_lists_the_shelf_oldest_first(
    semalink: Semalink, shelve: Callable[..., str]
) -> None:
    first, second = shelve(timedelta(hours=2)), shelve()

    _, everything = semalink("orphans")
    _, old = semalink("orphans", "--older-than", "3600", "--aggregator", "africastalking")
    _, none = semalink("orphans", "--aggregator", "celcom")

    assert [one["id"] for one in everything["items"]] == [first, second]
    assert [one["id"] for one in old["items"]] == [first]
    assert old["items"][0]["to"] == "+254******678"
    assert none == {"items": []}


def test_show_brings_the_body(semalink: Semalink, shelve: Callable[..., str]) -> None:
    status, shown = semalink("show", shelve())

    assert status == exit_codes.OK
    assert shown["body"] == BODY.decode()


def test_discard_takes_a_report_off_the_shelf_and_tells_auditors(
    semalink: Semalink, shelve: Callable[..., str], connection: psycopg.Connection[Any]
) -> None:
    report_id = shelve()

    status, _ = semalink("discard", report_id, "--reason", "of another platform")
    again, _ = semalink("discard", report_id, "--reason", "twice")

    assert (status, again) == (exit_codes.OK, exit_codes.NOT_FOUND)
    assert semalink("orphans") == (exit_codes.OK, {"items": []})
    [[state]] = connection.execute(
        "SELECT state FROM admin_events WHERE topic = 'orphan_report.settled.1'"
    ).fetchall()
    assert msgspec.json.decode(state)["reason"] == "of another platform"


def test_attach_finds_no_message_that_there_is_not(
    semalink: Semalink, shelve: Callable[..., str]
) -> None:
    status, _ = semalink("attach", shelve(), "msg_" + "0" * 32, "--reason", "guessed")

    assert status == exit_codes.NOT_FOUND
