"""Which rows of campaigns served their time."""

from datetime import datetime, timedelta
from typing import Any, LiteralString

from semalink.application.campaign_reading import RECIPIENTS_KEPT

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


# One probe of the index for each campaign that is over, as for contacts. A draft that is checked
# again meanwhile has new rows, which this statement does not see.
_DELETE_RECIPIENTS = """
DELETE FROM campaign_recipients WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM campaigns AS c
    CROSS JOIN LATERAL (
        SELECT ctid FROM campaign_recipients WHERE campaign_id = c.campaign_id
        ORDER BY place LIMIT %s
    ) AS r
    WHERE CASE WHEN c.started_at IS NULL AND c.state IN ('draft', 'cancelled')
        THEN c.changed_at ELSE c.settled_at END < %s
    LIMIT %s
))"""


def campaign_deletions(
    now: datetime, chunk: int
) -> tuple[tuple[LiteralString, tuple[Any, ...]], ...]:
    """Return what is to be dropped now, each without its last parameter, the size of a chunk."""
    return (
        (_DELETE_UPLOADS, (now - UPLOADS_KEPT,)),
        (_DELETE_RECIPIENTS, (chunk, now - RECIPIENTS_KEPT)),
    )
