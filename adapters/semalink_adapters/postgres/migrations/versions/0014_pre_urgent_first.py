"""An index of the priority messages that wait."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Few rows at any time, however many normal messages wait beside them.
_URGENT = """
CREATE INDEX pending_submissions_urgent ON pending_submissions (message_id)
    WHERE lane = 'priority' AND state = 'queued' AND round = 0
"""


def upgrade() -> None:
    """Create the index."""
    op.execute(_URGENT)
