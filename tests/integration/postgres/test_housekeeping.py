from datetime import UTC, datetime, timedelta

import psycopg
from uuid_utils.compat import uuid7

from semalink.application.accounts import PAYMENT_SCOPE
from semalink_adapters.postgres import partitions
from semalink_adapters.postgres.housekeeping import keep_house

NOW = datetime.now(UTC)

INSERT = """
INSERT INTO idempotency_keys (scope, key, fingerprint, answer, stored_at)
VALUES (%s, %s, '', '', %s)"""


def test_keep_house_drops_keys_after_a_week_and_keeps_payment_references(database_url: str) -> None:
    account_id = uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for scope, key, age in (
            (account_id, "old", timedelta(days=8)),
            (account_id, "young", timedelta(days=6)),
            (PAYMENT_SCOPE, "payment", timedelta(days=800)),
        ):
            connection.execute(INSERT, (scope, key, NOW - age))

        _, dropped = keep_house(database_url, NOW)

        kept = connection.execute("SELECT key FROM idempotency_keys ORDER BY key").fetchall()
    assert dropped == 1
    assert kept == [("payment",), ("young",)]


def test_keep_house_drops_what_no_report_comes_for_any_more(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for days in (6, 8):
            report_id = partitions.first_id_of(NOW - timedelta(days=days))
            connection.execute(
                "INSERT INTO report_shelf (report_id, part, aggregator, reference, report)"
                " VALUES (%s, 0, 'celcom', %s, '')",
                (report_id, f"after {days} days"),
            )
        for days in (89, 91):
            connection.execute(
                "INSERT INTO provider_references VALUES ('celcom', %s, %s, %s, %s)",
                (f"after {days} days", uuid7(), uuid7(), NOW - timedelta(days=days)),
            )

        _, dropped = keep_house(database_url, NOW)

        shelved = connection.execute("SELECT reference FROM report_shelf").fetchall()
        references = connection.execute("SELECT reference FROM provider_references").fetchall()
    assert dropped == 2
    assert shelved == [("after 6 days",)]
    assert references == [("after 89 days",)]


def test_keep_house_drops_feeds_after_their_month_and_lists_of_what_is_over(
    database_url: str,
) -> None:
    delivery = (
        "INSERT INTO webhook_deliveries (delivery_id, endpoint_id, account_id, event_id,"
        " event_name, state, created_at) VALUES (%s, %s, %s, %s, 'x', %s, now())"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        for days, state in ((29, "failed"), (31, "failed"), (32, "waiting")):
            delivery_id = partitions.first_id_of(NOW - timedelta(days=days))
            label = f"{state} {days}"
            connection.execute(delivery, (delivery_id, uuid7(), uuid7(), label, state))
        month = f"account_events_{NOW:%Y_%m}"
        exists = "SELECT to_regclass(%s) IS NOT NULL"

        _, dropped = keep_house(database_url, NOW)
        left = connection.execute("SELECT event_id FROM webhook_deliveries ORDER BY 1").fetchall()
        keep_house(database_url, NOW + timedelta(days=29))
        kept = connection.execute(exists, (month,)).fetchall()
        keep_house(database_url, NOW + timedelta(days=62))
        gone = connection.execute(exists, (month,)).fetchall()

    assert dropped == 1
    assert left == [("failed 29",), ("waiting 32",)]
    assert (kept, gone) == ([(True,)], [(False,)])


def test_keep_house_drops_secrets_that_sign_nothing_any_more(database_url: str) -> None:
    endpoint = (
        "INSERT INTO webhook_endpoints (endpoint_id, account_id, url, event_types, state,"
        " rate_per_second, concurrency, description, created_at, changed_at)"
        " VALUES (%s, %s, 'https://a.example', '{*}', %s, 1, 1, '', now(), %s)"
    )
    secret = (
        "INSERT INTO webhook_secrets (secret_id, endpoint_id, kind, sealed, fingerprint,"
        " created_at, expires_at) VALUES (%s, %s, 'v1', '', %s, now(), %s)"
    )
    kept, removed, just_removed = uuid7(), uuid7(), uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for endpoint_id, state, days in (
            (kept, "disabled", 400),
            (removed, "removed", 2),
            (just_removed, "removed", 0),
        ):
            changed_at = NOW - timedelta(days=days)
            connection.execute(endpoint, (endpoint_id, uuid7(), state, changed_at))
        for endpoint_id, name, days in (
            (kept, "newest", None),
            (kept, "just expired", 0),
            (kept, "expired", 2),
            (removed, "of one removed", None),
            (just_removed, "of one just removed", None),
        ):
            expires_at = None if days is None else NOW - timedelta(days=days)
            connection.execute(secret, (uuid7(), endpoint_id, name, expires_at))

        _, dropped = keep_house(database_url, NOW)

        left = connection.execute("SELECT fingerprint FROM webhook_secrets ORDER BY 1").fetchall()
    assert dropped == 2
    assert left == [("just expired",), ("newest",), ("of one just removed",)]


def test_keep_house_drops_what_content_rules_found_long_ago(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for days in (89, 91):
            connection.execute(
                "INSERT INTO content_rule_matches VALUES (%s, %s, %s, 'shadow', %s)",
                (f"after_{days}_days", NOW - timedelta(days=days), uuid7(), uuid7()),
            )

        _, dropped = keep_house(database_url, NOW)

        kept = connection.execute("SELECT rule FROM content_rule_matches").fetchall()
    assert dropped == 1
    assert kept == [("after_89_days",)]


def test_keep_house_makes_the_partitions_of_the_months_to_come(database_url: str) -> None:
    later = NOW + timedelta(days=100)

    made, _ = keep_house(database_url, later)
    again, _ = keep_house(database_url, later)

    assert made
    assert again == []


def test_keep_house_drops_dead_letters_that_were_settled_long_ago(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, state, days in (
            ("old", "discarded", 91),
            ("young", "republished", 89),
            ("waiting", "waiting", None),
        ):
            settled_at = None if days is None else NOW - timedelta(days=days)
            connection.execute(
                "INSERT INTO dead_letters (dead_letter_id, buried_as, queue, subject, error_type,"
                " error, delivery_count, first_at, last_at, message_id, redrive_count, payload,"
                " headers, state, settled_at) VALUES (%s, %s, 'q', 'q', 'E', '', 1, now(), now(),"
                " '', 0, '', '{}', %s, %s)",
                (uuid7(), name, state, settled_at),
            )

        _, dropped = keep_house(database_url, NOW)

        kept = connection.execute("SELECT buried_as FROM dead_letters ORDER BY 1").fetchall()
    assert dropped == 1
    assert kept == [("waiting",), ("young",)]
