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
