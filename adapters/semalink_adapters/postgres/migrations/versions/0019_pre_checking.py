"""Recipients that are given with a campaign, and the check of all of them."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_ACCOUNTS = """
ALTER TABLE accounts ADD COLUMN campaigns_need_approval boolean NOT NULL DEFAULT false;
ALTER TABLE campaigns
    -- The version of the campaign with which its last check began, and when that was over.
    ADD COLUMN check_version integer,
    ADD COLUMN checked_at timestamptz;
"""

# A batch counts once the plan of its campaign names it.
_UPLOADS = """
CREATE TABLE campaign_uploads (
    upload_id uuid NOT NULL,
    place integer NOT NULL,
    -- As the customer wrote it when it is no number; E.164 otherwise.
    number text COLLATE "C" NOT NULL,
    -- Null: no number.
    country text,
    network text,
    variables jsonb,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (upload_id, place)
);
CREATE INDEX campaign_uploads_stored ON campaign_uploads (stored_at);
"""

_CHECKS = """
CREATE TABLE campaign_checks (
    campaign_id uuid PRIMARY KEY,
    check_version integer NOT NULL,
    recipient_count integer NOT NULL,
    checked_count integer NOT NULL DEFAULT 0,
    -- Who brings it to 0 asks for the totals.
    pages_left integer NOT NULL
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    """Create the tables and columns."""
    for script in (_ACCOUNTS, _UPLOADS, _CHECKS):
        op.execute(script)
