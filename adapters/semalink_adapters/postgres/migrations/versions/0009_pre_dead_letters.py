"""Tables of dead letters."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of dead letters and of the bulk actions on them."""
    op.execute("""
CREATE TABLE dead_letters (
    dead_letter_id uuid PRIMARY KEY,
    -- The id under which the broker stored it once; so there is one row of it, too.
    buried_as text NOT NULL UNIQUE,
    queue text NOT NULL,
    subject text NOT NULL,
    error_type text NOT NULL,
    error text NOT NULL,
    delivery_count integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    -- The id that it was first published with, and how often it went round before.
    message_id text NOT NULL,
    redrive_count integer NOT NULL,
    about text,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    -- 'arriving' until its event is recorded; 'republishing' until the broker has it again.
    state text NOT NULL DEFAULT 'arriving'
        CHECK (state IN ('arriving', 'waiting', 'republishing', 'republished', 'discarded')),
    republished_count integer NOT NULL DEFAULT 0,
    edited_payload bytea,
    settled_by text,
    settled_at timestamptz,
    reason text
)""")
    op.execute("""
CREATE INDEX dead_letters_waiting ON dead_letters (dead_letter_id) WHERE state = 'waiting'""")
    op.execute("""
CREATE INDEX dead_letters_republishing ON dead_letters (dead_letter_id)
WHERE state = 'republishing'""")
    op.execute("""
CREATE INDEX dead_letters_arriving ON dead_letters (dead_letter_id) WHERE state = 'arriving'""")
    # Those given up, of which some may have no dead letter.
    op.execute("""
CREATE INDEX pending_submissions_parked ON pending_submissions (message_id)
WHERE state = 'parked'""")
    op.execute("CREATE INDEX dead_letters_about ON dead_letters (about)")
    op.execute("CREATE INDEX dead_letters_settled ON dead_letters (settled_at)")
    _create_jobs()


def _create_jobs() -> None:
    op.execute("""
CREATE TABLE dead_letter_jobs (
    job_id uuid PRIMARY KEY,
    action text NOT NULL CHECK (action IN ('republish', 'discard')),
    queue text,
    error_type text,
    older_than_seconds integer,
    newer_than_seconds integer,
    rate_per_second integer NOT NULL CHECK (rate_per_second > 0),
    reason text,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'cancelled', 'finished')),
    total_count integer NOT NULL,
    done_count integer NOT NULL DEFAULT 0,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    -- What is recorded later is not meant: a letter that comes back is not sent round for ever.
    recorded_until timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
)""")
    op.execute(
        "CREATE INDEX dead_letter_jobs_running ON dead_letter_jobs (job_id) WHERE state = 'running'"
    )
