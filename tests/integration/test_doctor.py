from datetime import UTC, datetime

import nats
import psycopg
import pytest

from semalink_adapters.jetstream.streams import SMS_NORMAL
from semalink_ops.doctor import Finding, examine, examine_settings, mend_streams
from semalink_ops.embedded.nats import EmbeddedNats
from semalink_ops.settings import Settings

NOW = datetime.now(UTC)
ROUTE = {
    "SEMALINK_CELCOM_PARTNER_ID": "77",
    "SEMALINK_CELCOM_API_KEY": "key",
    "SEMALINK_CELCOM_DLR_SECRET": "a-secret-of-24-letters-0",
    "SEMALINK_LEDGER_SIGNING_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}


def settings_of(database_url: str, nats_url: str, **more: str) -> Settings:
    return Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
            **more,
        }
    )


def wrong(findings: list[Finding]) -> dict[str, Finding]:
    return {f"{one.part} {one.check}": one for one in findings if not one.ok}


@pytest.fixture
def settings(database_url: str, clean_nats: EmbeddedNats) -> Settings:
    monitor = {"SEMALINK_NATS_MONITOR_URLS": clean_nats.monitor_url}
    return settings_of(database_url, clean_nats.url, **monitor, **ROUTE)


async def test_examine_finds_nothing_wrong_once_the_streams_are_made(settings: Settings) -> None:
    before = wrong(await examine(settings, {}, NOW))
    await mend_streams(settings)

    after = await examine(settings, {}, NOW)

    assert set(before) == {"broker streams"}
    assert before["broker streams"].remedy == "Run `semalink doctor --mend-streams`."
    assert wrong(after) == {}
    assert {"fsync", "synchronous_commit", "migrations", "partitions", "disk sync"} <= {
        one.check for one in after
    }


async def test_mend_changes_a_stream_back(settings: Settings, nats_url: str) -> None:
    await mend_streams(settings)
    client = await nats.connect(nats_url)
    try:
        found = await client.jetstream().stream_info(SMS_NORMAL.stream)
        await client.jetstream().update_stream(found.config.evolve(max_msg_size=1_024))
    finally:
        await client.close()

    drifted = wrong(await examine(settings, {}, NOW))
    mended = await mend_streams(settings)

    assert set(drifted) == {"broker streams"}
    assert [difference.where for difference in mended] == [SMS_NORMAL.stream]
    assert wrong(await examine(settings, {}, NOW)) == {}


async def test_examine_says_how_to_mend_servers_that_are_away() -> None:
    settings = settings_of("postgresql://nobody@127.0.0.1:9/nothing", "nats://127.0.0.1:9")

    found = wrong(await examine(settings, {}, NOW))

    assert set(found) == {
        "settings aggregators",
        "settings signing key",
        "database reachable",
        "broker reachable",
    }
    assert all(one.remedy for one in found.values())


async def test_examine_finds_an_empty_database(empty_database_url: str, nats_url: str) -> None:
    settings = settings_of(empty_database_url, nats_url, **ROUTE)
    await mend_streams(settings)

    found = wrong(await examine(settings, {}, NOW))

    assert set(found) == {"database migrations"}
    assert found["database migrations"].remedy == "Run `semalink migrate`."


async def test_examine_finds_a_log_that_could_be_changed(
    settings: Settings, database_url: str
) -> None:
    await mend_streams(settings)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TRIGGER no_change ON ledger_entries")

    found = wrong(await examine(settings, {}, NOW))

    assert set(found) == {"database append-only"}
    assert found["database append-only"].detail == "ledger_entries has no trigger no_change"
    assert found["database append-only"].remedy == "Run `semalink migrate`."


async def test_examine_finds_a_missing_partition(settings: Settings, database_url: str) -> None:
    await mend_streams(settings)
    name = f"message_events_{NOW:%Y_%m}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {name}")

    found = wrong(await examine(settings, {}, NOW))

    assert set(found) == {"database partitions"}
    assert name in found["database partitions"].detail


async def test_examine_finds_a_database_that_does_not_wait_for_its_disk(
    settings: Settings, database_url: str
) -> None:
    await mend_streams(settings)
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")

    found = wrong(await examine(settings, {}, NOW))

    assert set(found) == {"database synchronous_commit"}


def test_examine_finds_a_variable_that_is_no_setting() -> None:
    settings = settings_of("postgresql://a@b/c", "nats://b", **ROUTE)
    environment = {"SEMALINK_LOGLEVEL": "debug", "SEMALINK_API_KEY": "mine", "HOME": "/"}

    found = wrong(examine_settings(settings, environment))

    assert set(found) == {"settings variables"}
    assert "SEMALINK_LOG_LEVEL" in found["settings variables"].detail
