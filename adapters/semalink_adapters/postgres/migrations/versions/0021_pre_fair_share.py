"""A fair share of the queue of normal messages."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Those of campaigns are held until they are dealt out in bundles.
_STATES = """
ALTER TABLE pending_submissions
    DROP CONSTRAINT pending_submissions_state_check,
    ADD CONSTRAINT pending_submissions_state_check
        CHECK (state IN ('queued', 'waiting', 'held', 'postponed', 'unknown', 'parked'))"""

# The first that waits of an account is one probe away.
_WAITING = """
CREATE INDEX pending_submissions_waiting ON pending_submissions (account_id, message_id)
    WHERE state = 'waiting'"""

_EXPIRING = """
DROP INDEX pending_submissions_expiring;
CREATE INDEX pending_submissions_expiring ON pending_submissions (expires_at)
    WHERE state IN ('queued', 'waiting', 'held', 'postponed', 'parked')"""


def upgrade() -> None:
    """Let messages wait for a turn of their account."""
    op.execute(_STATES)
    op.execute(_WAITING)
    op.execute(_EXPIRING)
