"""Settings of the aggregators: what they hide, and what they refuse."""

from typing import Any

import pytest

from semalink_adapters.aggregators.africas_talking import AfricasTalkingSettings
from semalink_adapters.aggregators.celcom import CelcomSettings

KEYS = ("k3y-0f-c3lcom", "k3y-0f-africa")


def test_settings_hide_the_key():
    settings = (
        CelcomSettings(partner_id="1", api_key=KEYS[0]),
        AfricasTalkingSettings(username="semalink", api_key=KEYS[1]),
    )

    shown = repr(settings)

    assert not [key for key in KEYS if key in shown]


@pytest.mark.parametrize(
    "base_url",
    ["", "isms.example", "ftp://isms.example", "https://a:b@isms.example", "https://x.example?k=1"],
)
def test_settings_refuse_an_address_that_cannot_be_called(base_url: str):
    with pytest.raises(ValueError, match="base URL"):
        CelcomSettings(partner_id="1", api_key="k", base_url=base_url)
    with pytest.raises(ValueError, match="base URL"):
        AfricasTalkingSettings(username="s", api_key="k", base_url=base_url)


@pytest.mark.parametrize("limits", [{"bulk_limit": 0}, {"bulk_calls_at_once": 0}])
def test_settings_refuse_limits_below_one(limits: dict[str, Any]):
    with pytest.raises(ValueError, match="at least one"):
        CelcomSettings(partner_id="1", api_key="k", **limits)
    with pytest.raises(ValueError, match="at least one"):
        AfricasTalkingSettings(username="s", api_key="k", **limits)


def test_settings_refuse_a_key_that_would_break_the_header():
    with pytest.raises(ValueError, match="header"):
        AfricasTalkingSettings(username="s", api_key="k\r\nHost: x")
