"""What housekeeping drops of contacts, each in chunks of so many rows."""

from datetime import datetime, timedelta
from typing import Any, LiteralString

#: How long the rejected rows of an import can be downloaded.
REJECTS_KEPT = timedelta(days=30)
#: How long pieces of a file stay that belong to no import that goes on.
PIECES_KEPT = timedelta(days=1)

# One probe of the index for each list or import that is over: the order and the limit within keep
# it from becoming a join, which read every contact there is to find that none is to go. So does
# deleting rows by their place.

# Again and again: a worker may have been in the middle of a piece when its list was deleted.
DELETE_CONTACTS = """
DELETE FROM contacts WHERE ctid = ANY (ARRAY(
    SELECT c.ctid FROM contact_lists AS l
    CROSS JOIN LATERAL (
        SELECT ctid FROM contacts WHERE list_id = l.list_id ORDER BY number LIMIT %s
    ) AS c
    WHERE l.state = 'deleted' LIMIT %s
))"""

DELETE_REJECTS = """
DELETE FROM contact_import_rejects WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM contact_imports AS i
    CROSS JOIN LATERAL (
        SELECT ctid FROM contact_import_rejects WHERE import_id = i.import_id
        ORDER BY line LIMIT %s
    ) AS r
    WHERE i.ended_at < %s LIMIT %s
))"""

# Uploads that broke off with the process, and imports that ended before their last piece.
DELETE_PIECES = """
DELETE FROM contact_import_pieces WHERE (import_id, piece_no) IN (
    SELECT p.import_id, p.piece_no FROM contact_import_pieces AS p
    LEFT JOIN contact_imports AS i ON i.import_id = p.import_id
    WHERE p.stored_at < %s AND i.state IS DISTINCT FROM 'running' LIMIT %s
)"""


def contact_deletions(
    now: datetime, chunk: int
) -> tuple[tuple[LiteralString, tuple[Any, ...]], ...]:
    """Return what is to be dropped now, each without its last parameter, the size of a chunk."""
    return (
        (DELETE_CONTACTS, (chunk,)),
        (DELETE_REJECTS, (chunk, now - REJECTS_KEPT)),
        (DELETE_PIECES, (now - PIECES_KEPT,)),
    )
