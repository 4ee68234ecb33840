"""Which rows of campaigns served their time."""

from datetime import datetime, timedelta
from typing import LiteralString

#: How long recipients are kept that no campaign was given, as when the request was refused.
UPLOADS_KEPT = timedelta(days=1)

# Those of a campaign that is over were written down by its check.
_DELETE_UPLOADS = """
DELETE FROM campaign_uploads WHERE (upload_id, place) IN (
    SELECT u.upload_id, u.place FROM campaign_uploads AS u
    WHERE u.stored_at < %s AND u.upload_id NOT IN (
        SELECT named.id::uuid FROM campaigns AS c
        CROSS JOIN LATERAL jsonb_array_elements_text(c.plan -> 'uploads') AS named (id)
        WHERE c.state NOT IN ('completed', 'cancelled'))
    LIMIT %s
)"""


def campaign_deletions(now: datetime) -> list[tuple[LiteralString, tuple[datetime]]]:
    """Return what deletes them, a chunk at a time."""
    return [(_DELETE_UPLOADS, (now - UPLOADS_KEPT,))]
