import json
from pathlib import Path

import pytest

from semalink_ops.cli import exit_codes, run
from semalink_ops.cli.failures import CommandFailed
from semalink_ops.cli.send import _find_access, _parse_metadata, _refusal

QUICKSTART = {
    "api_url": "http://127.0.0.1:8080",
    "api_key": "live",
    "test_api_key": "test",
    "sender": "SEMALINK",
}


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    path = tmp_path / "quickstart.json"
    path.write_text(json.dumps(QUICKSTART))
    return path


def test_send_uses_the_quickstart(quickstart: Path) -> None:
    access = _find_access({}, quickstart, is_test=False)

    assert (access.url, access.key, access.sender) == ("http://127.0.0.1:8080", "live", "SEMALINK")


def test_send_uses_the_test_key_when_asked(quickstart: Path) -> None:
    assert _find_access({}, quickstart, is_test=True).key == "test"


def test_send_prefers_the_environment(quickstart: Path) -> None:
    environment = {"SEMALINK_API_URL": "https://api.example", "SEMALINK_API_KEY": "other"}

    access = _find_access(environment, quickstart, is_test=False)

    assert (access.url, access.key, access.sender) == ("https://api.example", "other", None)


def test_send_never_shows_the_key(quickstart: Path) -> None:
    assert "live" not in repr(_find_access({}, quickstart, is_test=False))


def test_send_says_what_to_do_when_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SEMALINK_API_URL", raising=False)

    status = run(["send", "--to", "+254711000001", "--text", "a", "--data-dir", str(tmp_path)])

    assert status == exit_codes.USAGE
    assert "semalink up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "invalid_api_key", exit_codes.NOT_ALLOWED),
        (402, "insufficient_credits", exit_codes.FAILED),
        (404, "message_not_found", exit_codes.NOT_FOUND),
        (422, "idempotency_key_reused", exit_codes.CONFLICT),
        (422, "invalid_number", exit_codes.FAILED),
        (429, "rate_limited", exit_codes.UNAVAILABLE),
        (503, "service_unavailable", exit_codes.UNAVAILABLE),
    ],
)
def test_send_ends_with_the_status_of_the_problem(status: int, code: str, exit_code: int) -> None:
    problem = {"detail": "It is so.", "code": code, "request_id": "req_1", "errors": []}

    refusal = _refusal(status, problem)

    assert refusal.exit_code == exit_code
    assert refusal.message == f"It is so.\n  ({code}, request req_1)"


def test_send_says_every_field_at_fault() -> None:
    errors = [{"pointer": "/to", "detail": "Too short."}, {"pointer": "/text", "detail": "Empty."}]

    refusal = _refusal(422, {"detail": "Two fields are wrong.", "errors": errors})

    assert "/to: Too short." in refusal.message
    assert "/text: Empty." in refusal.message


def test_metadata_is_read_at_the_first_equals_sign() -> None:
    assert _parse_metadata(("order=1=2", "note=")) == {"order": "1=2", "note": ""}


@pytest.mark.parametrize("pair", ["order", "=1"])
def test_metadata_without_a_name_or_value_is_refused(pair: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        _parse_metadata((pair,))

    assert refused.value.exit_code == exit_codes.USAGE
