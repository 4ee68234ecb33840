from pathlib import Path

import pytest

from semalink_ops.asgi import dlr_secrets
from semalink_ops.dedicated_routes import load_dedicated_routes
from semalink_ops.doctor import examine_settings
from semalink_ops.sandbox_process import sandbox_settings
from semalink_ops.settings import Settings, SettingsInvalid

CHECK = "dedicated routes"
KEY = "a-key-that-nobody-may-see"
RIGHT = f"""
[celcom-acme]
provider = "celcom"
user = "4711"
api_key = "{KEY}"
dlr_secret = "acme-secret-of-the-path"

[at-acme]
provider = "africastalking"
user = "acme"
api_key = "{KEY}"
dlr_secret = "acme-secret-of-another"
url = "http://127.0.0.1:8083"
"""


def settings(path: Path | None) -> Settings:
    variables = {
        "SEMALINK_DATABASE_URL": "postgresql://db/semalink",
        "SEMALINK_NATS_URL": "nats://broker:4222",
        "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
    }
    if path is not None:
        variables["SEMALINK_DEDICATED_ROUTES_PATH"] = str(path)
    return Settings.from_environment(variables)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def test_load_dedicated_routes_finds_none_when_no_file_is_named() -> None:
    assert load_dedicated_routes(settings(None)) == ()


def test_load_dedicated_routes_gives_each_its_address_and_secrets(path: Path) -> None:
    path.write_text(RIGHT)

    celcom, africastalking = load_dedicated_routes(settings(path))

    assert (celcom.name, celcom.user, celcom.url) == (
        "celcom-acme",
        "4711",
        "https://isms.celcomafrica.com",
    )
    assert africastalking.url == "http://127.0.0.1:8083"
    assert celcom.api_key.reveal() == KEY
    assert KEY not in repr(celcom)


def test_dedicated_routes_are_known_to_the_intake_and_to_the_sandbox(path: Path) -> None:
    path.write_text(RIGHT)

    secrets = dlr_secrets(settings(path))
    credentials = sandbox_settings(settings(path)).credentials

    assert secrets["celcom-acme"] == ("acme-secret-of-the-path",)
    # The other one is at a real aggregator.
    assert [credential.aggregator for credential in credentials.values()] == ["at-acme"]


@pytest.mark.parametrize(
    "text",
    [
        "[celcom-acme",
        RIGHT.replace('provider = "celcom"', 'provider = "pigeon"'),
        RIGHT.replace("acme-secret-of-the-path", "short"),
        RIGHT.replace('user = "4711"\n', ""),
        RIGHT.replace("[celcom-acme]", "[celcom]"),
        RIGHT.replace("[celcom-acme]", '["Celcom Acme"]'),
    ],
)
def test_load_dedicated_routes_says_what_is_wrong_and_no_key(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(SettingsInvalid, match="SEMALINK_DEDICATED_ROUTES_PATH") as refused:
        load_dedicated_routes(settings(path))

    assert KEY not in str(refused.value)


def test_load_dedicated_routes_says_that_there_is_no_file(path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load_dedicated_routes(settings(path))


def test_doctor_names_dedicated_routes_or_says_what_is_wrong_with_them(path: Path) -> None:
    path.write_text(RIGHT)
    [well] = [one for one in examine_settings(settings(path), {}) if one.check == CHECK]
    path.write_text("nothing = 1")

    [wrong] = [one for one in examine_settings(settings(path), {}) if one.check == CHECK]

    assert (well.ok, well.detail) == (True, "celcom-acme, at-acme")
    assert not wrong.ok
    assert not [one for one in examine_settings(settings(None), {}) if one.check == CHECK]
