from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from semalink_adapters.postgres.housekeeping import keep_house

NOW = datetime.now(UTC)

INSERT_UPLOAD = """
INSERT INTO campaign_uploads (upload_id, place, number, stored_at)
VALUES (%s, 0, '+254712000001', %s)"""

INSERT_CAMPAIGN = """
INSERT INTO campaigns (
    campaign_id, account_id, billing_account_id, mode, state, plan, revision, created_by,
    created_at, changed_at)
VALUES (%s, %s, %s, 'live', %s, %s, 1, 'key:1', now(), now())"""


SET_TIMES = """
UPDATE campaigns SET changed_at = %s, started_at = %s, settled_at = %s WHERE campaign_id = %s"""

INSERT_RECIPIENTS = """
INSERT INTO campaign_recipients (campaign_id, place, number)
SELECT %s, place, '+254712000001' FROM generate_series(0, 2) AS place"""


def test_keep_house_drops_recipients_that_no_campaign_needs(database_url: str) -> None:
    uploads = {name: uuid7() for name in ("orphan", "young", "drafted", "over")}
    account_id = uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, upload_id in uploads.items():
            age = timedelta(hours=23 if name == "young" else 25)
            connection.execute(INSERT_UPLOAD, (upload_id, NOW - age))
        for name, state in (("drafted", "draft"), ("over", "completed")):
            plan = Jsonb({"uploads": [str(uploads[name])]})
            connection.execute(INSERT_CAMPAIGN, (uuid7(), account_id, account_id, state, plan))

        _, dropped = keep_house(database_url, NOW)

        kept = {row[0] for row in connection.execute("SELECT upload_id FROM campaign_uploads")}
    assert dropped == 2
    assert kept == {uploads["young"], uploads["drafted"]}


def test_keep_house_drops_recipients_of_campaigns_that_are_over(database_url: str) -> None:
    account_id, old, young = uuid7(), NOW - timedelta(days=91), NOW - timedelta(days=89)
    stands = {
        "settled": ("completed", old, old, old),
        "settled lately": ("completed", old, old, young),
        "sending": ("sending", old, old, None),
        "draft": ("draft", old, None, None),
        "changed lately": ("draft", young, None, None),
        "given up": ("cancelled", old, None, None),
        "stopped": ("cancelled", old, old, None),
        "scheduled": ("scheduled", old, None, None),
    }
    names = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, (state, *times) in stands.items():
            names[campaign_id := uuid7()] = name
            plan = Jsonb({"uploads": []})
            connection.execute(INSERT_CAMPAIGN, (campaign_id, account_id, account_id, state, plan))
            connection.execute(SET_TIMES, (*times, campaign_id))
            connection.execute(INSERT_RECIPIENTS, (campaign_id,))

        keep_house(database_url, NOW)

        kept = connection.execute("SELECT DISTINCT campaign_id FROM campaign_recipients")
        kept_names = {names[row[0]] for row in kept}
    assert set(stands) - kept_names == {"settled", "draft", "given up"}
