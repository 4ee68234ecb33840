from importlib import import_module

import pytest

from semalink.application.ledger import LedgerUnavailable, OutcomeInDoubt
from semalink.domain.errors import InsufficientCredits, MessageNotFound, PaymentReferenceReused
from semalink_ops.cli import cli, exit_codes, failures, run
from semalink_ops.settings import SettingsInvalid


@pytest.mark.parametrize("place", failures._EXIT_CODES)
def test_every_listed_failure_exists(place: str) -> None:
    module, _, name = place.rpartition(".")

    kind = getattr(import_module(module), name)

    assert f"{kind.__module__}.{kind.__qualname__}" == place


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (MessageNotFound(), exit_codes.NOT_FOUND),
        (PaymentReferenceReused(), exit_codes.CONFLICT),
        (InsufficientCredits(available_micros=0, price_micros=1), exit_codes.FAILED),
        (LedgerUnavailable("The database is away."), exit_codes.UNAVAILABLE),
        (OutcomeInDoubt("The database went away."), exit_codes.UNAVAILABLE),
        (SettingsInvalid(("SEMALINK_HOST is wrong.",)), exit_codes.USAGE),
    ],
)
def test_expected_error_ends_with_its_own_status(error: Exception, exit_code: int) -> None:
    failure = failures.to_command_failed(error)

    assert failure is not None
    assert failure.exit_code == exit_code
    assert failure.message == str(error)


def test_unexpected_error_is_no_failure_of_a_command() -> None:
    assert failures.to_command_failed(KeyError("a")) is None


def test_run_says_a_bug_on_stderr_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise KeyError("a")

    monkeypatch.setattr(cli, "invoke", break_down)

    status = run(["up"])

    shown = capsys.readouterr()
    assert status == exit_codes.FAILED
    assert shown.out == ""
    assert shown.err == "Error: this is a bug: KeyError: 'a'\n"


def test_run_ends_with_130_when_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "invoke", interrupt)

    status = run(["up"])

    assert status == exit_codes.INTERRUPTED
    assert capsys.readouterr().err.strip() == "Interrupted."


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["up", "--port", "70000"], ["account", "top-up", "a", "-1"]],
)
def test_run_ends_with_2_when_the_command_line_is_wrong(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(arguments)

    assert status == exit_codes.USAGE
    assert capsys.readouterr().out == ""
