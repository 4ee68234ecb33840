"""What was archived."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# One row for each month of a log that ever was archived, and how far that has come. Who did it and
# what it came to is in the log of settings as well; this is what a run goes on from.
_ARCHIVED_MONTHS = """
CREATE TABLE archived_months (
    log text NOT NULL,
    month text NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    state text NOT NULL CHECK (state IN (
        'exporting', 'verified', 'dropped', 'archived', 'restoring', 'attached', 'restored')),
    -- Each export that begins anew writes into a folder of its own.
    generation integer NOT NULL,
    folder text NOT NULL,
    -- The files that were written so far, as the manifest lists them.
    files bytea NOT NULL DEFAULT '[]',
    row_count bigint NOT NULL DEFAULT 0,
    byte_count bigint NOT NULL DEFAULT 0,
    content_sha256 text,
    -- Set once the month was read back from the archive and was the same.
    manifest_path text,
    manifest_sha256 text,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    -- When it was dropped from the database.
    archived_at timestamptz,
    PRIMARY KEY (log, month)
);
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_ARCHIVED_MONTHS)
