from pathlib import Path

import pytest

from semalink_ops.cli import exit_codes
from semalink_ops.cli.failures import CommandFailed
from semalink_ops.cli.settings_source import read_environment
from semalink_ops.up.own_files import SETTINGS_FILE, parse_environment, render_environment

DATABASE = "SEMALINK_DATABASE_URL"
NATS = "SEMALINK_NATS_URL"


def test_environment_that_names_a_database_counts_alone(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f"{DATABASE}=postgresql://b\n{NATS}=nats://b\n")

    read = read_environment({DATABASE: "postgresql://a", "HOME": "/"}, tmp_path)

    assert read == {DATABASE: "postgresql://a"}


def test_file_of_up_counts_when_the_environment_names_no_database(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f"{DATABASE}=postgresql://b\n{NATS}=nats://b\n")

    read = read_environment({NATS: "nats://a", DATABASE: ""}, tmp_path)

    assert read == {NATS: "nats://a", DATABASE: "postgresql://b"}


def test_missing_settings_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as refused:
        read_environment({}, tmp_path)

    assert refused.value.exit_code == exit_codes.USAGE
    assert "semalink up" in refused.value.message
    assert "--data-dir" in refused.value.message
    assert DATABASE in refused.value.message


def test_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f"{DATABASE}='postgresql://b\n")

    with pytest.raises(CommandFailed) as refused:
        read_environment({}, tmp_path)

    assert refused.value.exit_code == exit_codes.USAGE
    assert "postgresql" not in refused.value.message


def test_written_settings_are_read_back() -> None:
    variables = {
        "SEMALINK_SHARED_SENDERS": "A B,C",
        "SEMALINK_RATE_CARD_PATH": "/it's/a #path.toml",
        "SEMALINK_NATS_MONITOR_URLS": "",
    }

    assert parse_environment(render_environment(variables)) == variables
