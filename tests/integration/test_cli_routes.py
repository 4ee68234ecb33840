import json
from collections.abc import Callable

import psycopg
import pytest

from semalink_ops.cli import exit_codes, run

Semalink = Callable[..., tuple[int, str, str]]


@pytest.fixture
def semalink(capsys: pytest.CaptureFixture[str]) -> Semalink:
    """Runs one command line and returns its status, what it printed and what it said."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a platform whose database is fresh and whose broker is away."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")


def test_list_shows_health_and_what_operators_said(semalink: Semalink, database_url: str) -> None:
    semalink("routes", "override", "celcom", "disable", "--reason", "tower", "--minutes", "9")
    semalink("routes", "override", "celcom", "prefer", "--sender", "ACME", "--reason", "only there")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO route_hours SELECT date_trunc('hour', now()), 'celcom', 3, 200, 7"
        )

    status, shown, _ = semalink("routes", "list")
    _, listed, _ = semalink("routes", "list", "--json")

    assert status == exit_codes.OK
    rows = [line.split("\t") for line in shown.splitlines()]
    assert rows[1][:3] == ["celcom", "closed", "disable"]
    assert rows[1][6:] == ["7 of 200 failed", "0", "300"]
    assert rows[2][:3] == ["africastalking", "closed", "-"]
    assert rows[4][:5] == ["sender", "ACME", "celcom", "prefer", "only there"]
    items = json.loads(listed)["items"]
    assert [item["name"] for item in items] == ["celcom", "africastalking"]
    assert items[0]["override"]["set_by"].startswith("cli:")


def test_history_lists_what_happened_to_a_route_newest_first(semalink: Semalink) -> None:
    _, _, said = semalink("routes", "history", "celcom")
    semalink("routes", "override", "celcom", "disable", "--reason", "tower")
    semalink("routes", "clear", "celcom", "--reason", "tower stands")

    _, shown, _ = semalink("routes", "history", "celcom")

    assert "Nothing happened" in said
    rows = [line.split("\t") for line in shown.splitlines()[1:]]
    assert [(row[1], row[3]) for row in rows] == [
        ("route.override_cleared", "tower stands"),
        ("route.overridden", "tower"),
        ("route.created", "-"),
    ]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("override", "pigeon", "disable", "--reason", "slow"), exit_codes.NOT_FOUND),
        (("history", "pigeon"), exit_codes.NOT_FOUND),
        (("override", "celcom", "disable", "--sender", "A", "--reason", "x"), exit_codes.USAGE),
        (("override", "celcom", "prefer", "--sender", "@", "--reason", "x"), exit_codes.USAGE),
        (("clear", "--reason", "x"), exit_codes.USAGE),
        (("clear", "celcom", "--sender", "ACME", "--reason", "x"), exit_codes.USAGE),
        (("clear", "--account", "acct_1", "--sender", "A", "--reason", "x"), exit_codes.USAGE),
        (("clear", "--account", "acct_1", "--reason", "x"), exit_codes.NOT_FOUND),
        (("dedicate", "acct_1", "none", "--reason", "x"), exit_codes.NOT_FOUND),
    ],
)
def test_routes_say_what_cannot_be(
    semalink: Semalink, arguments: tuple[str, ...], status: int
) -> None:
    ended, shown, said = semalink("routes", *arguments)

    assert (ended, shown) == (status, "")
    assert said


def test_dedicate_is_refused_to_an_account_of_another_tier(semalink: Semalink) -> None:
    _, created, _ = semalink("account", "create", "Duka", "--json")
    account_id = json.loads(created)["id"]

    unknown, _, _ = semalink("routes", "dedicate", account_id, "own", "--reason", "x")
    taken_back, shown, _ = semalink("routes", "dedicate", account_id, "none", "--reason", "x")

    assert unknown == exit_codes.NOT_FOUND
    assert (taken_back, shown) == (exit_codes.OK, "")
