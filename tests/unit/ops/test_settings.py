"""Settings: read from the environment, handed on, and never shown."""

from pathlib import Path

import msgspec
import pytest

from semalink_ops import settings as settings_module
from semalink_ops.setting_types import Secret
from semalink_ops.settings import Settings, SettingsInvalid, find_unknown, variable

PEPPER = "p" * 32
LEAST = {
    "SEMALINK_DATABASE_URL": "postgresql://semalink:sesame@127.0.0.1:5432/semalink",
    "SEMALINK_NATS_URL": "nats://sesame@127.0.0.1:4222",
    "SEMALINK_KEY_PEPPER": PEPPER,
}
CELCOM = {
    "SEMALINK_CELCOM_PARTNER_ID": "42",
    "SEMALINK_CELCOM_API_KEY": "sesame-celcom",
    "SEMALINK_CELCOM_DLR_SECRET": "sesame-0123456789",
}


def _variable_of(field: msgspec.structs.FieldInfo) -> str:
    return variable(field.name)


def _problems(environment: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_environment(environment)
    return refusal.value.problems


def test_from_environment_takes_the_defaults_for_what_is_unset() -> None:
    settings = Settings.from_environment(LEAST)

    assert settings.api_port == 8080
    assert settings.default_ttl_seconds == 86_400
    assert settings.shared_senders == ("SEMALINK",)
    assert settings.celcom_api_key is None
    assert settings.rate_card_path.is_file()
    assert settings.blocklist_path.is_file()


def test_from_environment_refuses_a_network_that_is_none() -> None:
    [problem] = _problems(LEAST | {"SEMALINK_WEBHOOK_FORBIDDEN_NETWORKS": "41.90.0.1/16"})

    assert "networks with commas between" in problem


def test_from_environment_reads_every_kind_of_setting() -> None:
    environment = LEAST | {
        "SEMALINK_API_PORT": " 9000 ",
        "SEMALINK_SHARED_SENDERS": "SEMALINK, ALERTS",
        "SEMALINK_NATS_MONITOR_URLS": "http://a:8222,http://b:8222",
        "SEMALINK_RATE_CARD_PATH": "/etc/card.toml",
        "SEMALINK_TRACE_RATIO": "0.5",
        "SEMALINK_NATS_REPLICAS": "3",
        "SEMALINK_LOG_LEVEL": "warning",
        "SEMALINK_WEBHOOK_FORBIDDEN_NETWORKS": "41.90.0.0/16, 2c0f:fe38::/32",
    }

    settings = Settings.from_environment(environment)

    assert settings.database_url.reveal() == LEAST["SEMALINK_DATABASE_URL"]
    assert settings.api_port == 9000
    assert [str(one) for one in settings.webhook_forbidden_networks] == [
        "41.90.0.0/16",
        "2c0f:fe38::/32",
    ]
    assert Settings.from_environment(settings.to_environment()) == settings
    assert settings.shared_senders == ("SEMALINK", "ALERTS")
    assert settings.nats_monitor_urls == ("http://a:8222", "http://b:8222")
    assert settings.rate_card_path == Path("/etc/card.toml")
    assert settings.trace_ratio == 0.5
    assert settings.nats_replicas == 3
    assert settings.log_level == "warning"


def test_from_environment_takes_an_empty_variable_for_unset() -> None:
    settings = Settings.from_environment(LEAST | {"SEMALINK_API_PORT": ""})

    assert settings.api_port == 8080


def test_from_environment_names_every_missing_variable_and_an_example() -> None:
    problems = _problems({})

    assert [problem.split()[0] for problem in problems] == list(LEAST)
    assert "SEMALINK_DATABASE_URL=postgresql://" in problems[0]
    assert "SEMALINK_KEY_PEPPER=$(openssl rand -hex 32)" in problems[2]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("SEMALINK_DATABASE_URL", "mysql://sesame@db/x", "the address of a PostgreSQL database"),
        ("SEMALINK_NATS_URL", "http://sesame:4222", "the address of a NATS server"),
        ("SEMALINK_KEY_PEPPER", "sesame", "at least 32 characters"),
        ("SEMALINK_API_PORT", "sesame", "a port from 1 to 65535"),
        ("SEMALINK_API_PORT", "0", "a port from 1 to 65535"),
        ("SEMALINK_DLR_PORT", "65536", "a port from 1 to 65535"),
        ("SEMALINK_SANDBOX_URL", "sesame:8083", "an http or https address"),
        ("SEMALINK_NATS_MONITOR_URLS", "http://a:8222,sesame", "http or https addresses"),
        ("SEMALINK_SHARED_SENDERS", "SEMALINK,,SESAME", "sender ids with commas"),
        ("SEMALINK_NATS_REPLICAS", "2", "1, 3 or 5"),
        ("SEMALINK_WORKERS", "-1", "a whole number from 1"),
        ("SEMALINK_DEFAULT_TTL_SECONDS", "1.5", "whole seconds"),
        ("SEMALINK_TRACE_RATIO", "1.01", "a number from 0 to 1"),
        ("SEMALINK_TRACE_RATIO", "nan", "a number from 0 to 1"),
        ("SEMALINK_LOG_LEVEL", "sesame", "debug, info, warning or error"),
        ("SEMALINK_SANDBOX_DLR_SECRET", "sesame/0123456789", "at least 16 letters"),
    ],
)
def test_from_environment_says_what_a_wrong_variable_must_be(
    name: str, text: str, wanted: str
) -> None:
    (problem,) = _problems(LEAST | {name: text})

    assert problem.startswith(f"{name} must be {wanted}")
    assert f"{name}=" in problem
    assert "sesame" not in problem.lower()


def test_from_environment_tells_a_port_that_kubernetes_made_of_a_service() -> None:
    (problem,) = _problems(LEAST | {"SEMALINK_API_PORT": "tcp://10.0.0.1:80"})

    assert "enableServiceLinks: false" in problem


@pytest.mark.parametrize("name", CELCOM)
def test_from_environment_refuses_half_an_aggregator(name: str) -> None:
    environment = LEAST | {other: text for other, text in CELCOM.items() if other != name}

    (problem,) = _problems(environment)

    assert problem.startswith(f"{name} must be set as well")
    assert "sesame" not in problem


def test_to_environment_gives_what_reads_as_the_same_settings() -> None:
    settings = Settings.from_environment(
        LEAST | CELCOM | {"SEMALINK_SHARED_SENDERS": "A,B", "SEMALINK_TRACE_RATIO": "0.25"}
    )

    again = Settings.from_environment(settings.to_environment())

    assert again == settings


def test_to_environment_hands_on_a_change() -> None:
    settings = msgspec.structs.replace(Settings.from_environment(LEAST), metrics_port=9500)

    environment = settings.to_environment()

    assert environment["SEMALINK_METRICS_PORT"] == "9500"
    assert "SEMALINK_CELCOM_API_KEY" not in environment


def test_settings_show_no_secret() -> None:
    settings = Settings.from_environment(LEAST | CELCOM)

    shown = f"{settings!r} {settings} {settings.key_pepper}"

    assert "sesame" not in shown
    assert PEPPER not in shown


def test_secret_equals_a_secret_of_its_kind_with_the_same_text() -> None:
    secret = Secret("sesame")

    assert secret == Secret("sesame")
    assert hash(secret) == hash(Secret("sesame"))
    assert secret != Secret("another")
    assert secret != "sesame"


def test_find_unknown_suggests_the_setting_that_was_meant() -> None:
    environment = LEAST | {"SEMALINK_DATABSE_URL": "x", "SEMALINK_ZZ": "x", "PATH": "x"}

    found = find_unknown(environment)

    assert found == (
        "SEMALINK_DATABSE_URL is not a setting. Did you mean SEMALINK_DATABASE_URL?",
        "SEMALINK_ZZ is not a setting.",
    )


@pytest.mark.parametrize("field", msgspec.structs.fields(Settings), ids=_variable_of)
def test_every_setting_says_what_it_must_be(field: msgspec.structs.FieldInfo) -> None:
    kind = settings_module._kind_of(field.type)

    example = settings_module._example(kind)

    assert kind.description
    assert example.startswith("$(") or settings_module._parse(example, field.type)
