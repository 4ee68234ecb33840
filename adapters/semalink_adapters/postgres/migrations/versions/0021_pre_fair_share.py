"""A fair share of the queue of normal messages."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# The first that waits of an account is one probe away.
_WAITING = """
CREATE INDEX pending_submissions_waiting ON pending_submissions (account_id, message_id)
    WHERE state = 'waiting'"""


def upgrade() -> None:
    """Let messages wait for a turn of their account."""
    op.execute(_WAITING)
