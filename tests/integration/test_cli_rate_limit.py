import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from semalink_ops.cli import exit_codes, run

Semalink = Callable[..., tuple[int, Any]]


@pytest.fixture
def semalink(
    capsys: pytest.CaptureFixture[str], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Semalink:
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, json.loads(shown.out) if "--json" in arguments and shown.out else (
            shown.out + shown.err
        )

    return call


@pytest.fixture
def account_id(semalink: Semalink) -> str:
    _, opened = semalink("account", "create", "Acme", "--json")
    return str(opened["id"])


def test_rate_limit_shows_and_sets_what_was_agreed(semalink: Semalink, account_id: str) -> None:
    command = ("account", "rate-limit", account_id)
    _, began = semalink(*command, "--json")

    agreed = ("--tier", "enterprise", "--rate", "250", "--burst", "1500")
    status, shown = semalink(*command, *agreed, "--reason", "Contract", "--json")
    _, table = semalink(*command)
    _, unset = semalink(*command, "--unset", "--reason", "It ended", "--json")

    assert status == exit_codes.OK
    assert (began["tier"], began["rate_per_second"], began["burst"]) == ("starter", 10, 50)
    assert (shown["tier"], shown["rate_per_second"], shown["burst"]) == ("enterprise", 250, 1500)
    assert "250 (as agreed)" in table
    assert (unset["tier"], unset["is_limit_agreed"]) == ("enterprise", False)


def test_rate_limit_of_a_key_is_kept_with_the_key(
    semalink: Semalink, account_id: str, database_url: str
) -> None:
    _, issued = semalink("key", "create", account_id, "--name", "shop", "--json")
    limited = ("account", "rate-limit", account_id, "--key", issued["id"])

    _, shown = semalink(*limited, "--rate", "2", "--burst", "4", "--reason", "Loops", "--json")
    _, table = semalink("account", "rate-limit", account_id)

    assert [key["burst"] for key in shown["keys"]] == [4]
    assert "shop" in table
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT rate_per_second, burst FROM api_keys").fetchone()
    assert row == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--rate", "5"], exit_codes.USAGE),
        (["--rate", "5", "--burst", "4", "--reason", "x"], exit_codes.USAGE),
        (["--rate", "5", "--burst", "5"], exit_codes.USAGE),
        (["--rate", "5", "--burst", "5", "--unset", "--reason", "x"], exit_codes.USAGE),
        (["--tier", "growth", "--key", "key_1", "--reason", "x"], exit_codes.USAGE),
        (["--key", "key_1"], exit_codes.USAGE),
        (["--key", "key_1", "--unset", "--reason", "x"], exit_codes.NOT_FOUND),
    ],
)
def test_rate_limit_refuses_what_does_not_fit(
    semalink: Semalink, account_id: str, arguments: list[str], status: int
) -> None:
    refused, said = semalink("account", "rate-limit", account_id, *arguments)

    assert refused == status
    assert said
