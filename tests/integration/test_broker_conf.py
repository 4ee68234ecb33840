"""The reference configuration of the broker is one that the server takes."""

import os
import subprocess
from pathlib import Path

import pytest

from semalink_ops.embedded import nats

_CONFIGURATION = Path(__file__).parents[2] / "ops" / "deploy" / "broker.conf"
_VARIABLES = {
    "SEMALINK_BROKER_NAME": "broker-a",
    "SEMALINK_BROKER_HOST": "host:a",
    "SEMALINK_BROKER_TOKEN": '"0123e4"',
    "SEMALINK_BROKER_ROUTE_A": "nats-route://user:password@a:6222",
    "SEMALINK_BROKER_ROUTE_B": "nats-route://user:password@b:6222",
    "SEMALINK_BROKER_ROUTE_C": "nats-route://user:password@c:6222",
    "SEMALINK_BROKER_ROUTE_USER": "user",
    "SEMALINK_BROKER_ROUTE_PASSWORD": "password",
}


def _check(variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [nats._find_program(), "--config", _CONFIGURATION, "-t"],
        env={"PATH": os.defpath, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_broker_conf_is_valid_and_syncs_before_it_answers(tmp_path: Path) -> None:
    outcome = _check({**_VARIABLES, "SEMALINK_BROKER_STORE": str(tmp_path)})

    assert outcome.returncode == 0, outcome.stderr
    assert "  sync_interval: always\n" in _CONFIGURATION.read_text()


@pytest.mark.parametrize("name", [*_VARIABLES, "SEMALINK_BROKER_STORE"])
def test_broker_conf_needs_every_variable_that_it_names(tmp_path: Path, name: str) -> None:
    variables = {**_VARIABLES, "SEMALINK_BROKER_STORE": str(tmp_path)}

    outcome = _check({other: text for other, text in variables.items() if other != name})

    assert outcome.returncode != 0
    assert name in outcome.stderr
