import pytest

from semalink_adapters.jetstream.broker_check import BrokerRefused, check_version
from semalink_adapters.jetstream.connection import BusConnection


@pytest.mark.parametrize("version", ["2.15.1", "2.15.10", "2.16.0", "3.0.0"])
def test_check_version_accepts_what_keeps_its_word(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["2.15.0", "2.14.9", "1.99.99", "2.15.1-RC.2", "", "unknown"])
def test_check_version_refuses_what_is_older_or_unknown(version: str) -> None:
    with pytest.raises(BrokerRefused, match=r"2\.15\.1 is the oldest"):
        check_version(version)


@pytest.mark.parametrize("url", ["", "nats://", "nats://one:4222,,"])
def test_connection_refuses_an_address_that_cannot_be_read(url: str) -> None:
    with pytest.raises(ValueError, match="nats://host:port"):
        BusConnection(url, "test")
