"""How campaigns are started and dealt out."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_CLAIMS = """
-- Which scheduler is about to start it: nobody else does until then.
ALTER TABLE campaigns ADD COLUMN claimed_until timestamptz;

-- The pieces of a campaign that are still to be accepted.
CREATE INDEX tasks_of_campaigns ON tasks ((payload->>'campaign_id'))
    WHERE kind = 'accept_piece';
"""

# Messages of campaigns travel in bundles through a queue of their own.
_LANE = """
UPDATE pending_submissions SET lane = 'bulk' WHERE campaign_id IS NOT NULL;
CREATE INDEX pending_submissions_bulk ON pending_submissions (queued_at)
    WHERE lane = 'bulk' AND state = 'queued';
"""


def upgrade() -> None:
    """Add what schedulers and the dealer look for."""
    op.execute(_CLAIMS)
    op.execute(_LANE)
