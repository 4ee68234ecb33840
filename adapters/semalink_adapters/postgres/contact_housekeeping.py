"""What housekeeping drops of contacts, each in chunks of so many rows."""

from datetime import datetime, timedelta
from typing import Any, LiteralString

#: How long the rejected rows of an import can be downloaded.
REJECTS_KEPT = timedelta(days=30)
#: How long pieces of a file stay that belong to no import that goes on.
PIECES_KEPT = timedelta(days=1)

# Again and again: a worker may have been in the middle of a piece when its list was deleted.
DELETE_CONTACTS = """
DELETE FROM contacts WHERE (list_id, number) IN (
    SELECT c.list_id, c.number
    FROM contact_lists AS l JOIN contacts AS c ON c.list_id = l.list_id
    WHERE l.state = 'deleted' LIMIT %s
)"""

DELETE_REJECTS = """
DELETE FROM contact_import_rejects WHERE (import_id, line) IN (
    SELECT r.import_id, r.line
    FROM contact_imports AS i JOIN contact_import_rejects AS r ON r.import_id = i.import_id
    WHERE i.ended_at < %s LIMIT %s
)"""

# Uploads that broke off with the process, and imports that ended before their last piece.
DELETE_PIECES = """
DELETE FROM contact_import_pieces WHERE (import_id, piece_no) IN (
    SELECT p.import_id, p.piece_no FROM contact_import_pieces AS p
    LEFT JOIN contact_imports AS i ON i.import_id = p.import_id
    WHERE p.stored_at < %s AND i.state IS DISTINCT FROM 'running' LIMIT %s
)"""


def contact_deletions(now: datetime) -> tuple[tuple[LiteralString, tuple[Any, ...]], ...]:
    """Return what is to be dropped now, without the size of the chunks."""
    return (
        (DELETE_CONTACTS, ()),
        (DELETE_REJECTS, (now - REJECTS_KEPT,)),
        (DELETE_PIECES, (now - PIECES_KEPT,)),
    )
