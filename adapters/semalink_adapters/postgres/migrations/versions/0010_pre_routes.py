"""Tables of routes: their health, what is out of use, and what operators said."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _create_routes()
    _create_counts()


def _create_routes() -> None:
    # Kept with the events of routes, in the same transaction.
    op.execute("""
CREATE TABLE routes (
    route_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    mode text NOT NULL DEFAULT 'auto',
    reason text NOT NULL DEFAULT '',
    set_by text NOT NULL DEFAULT '',
    set_at timestamptz,
    expires_at timestamptz
)""")
    op.execute("""
CREATE TABLE route_circuits (
    route_id uuid NOT NULL REFERENCES routes,
    -- '' for the whole route.
    network text NOT NULL,
    is_open boolean NOT NULL,
    since timestamptz NOT NULL,
    cause text NOT NULL,
    probe_at timestamptz NOT NULL,
    probe_until timestamptz,
    error_permille integer NOT NULL,
    -- Messages that it took as probes since then.
    taken_probes uuid[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (route_id, network)
)""")
    op.execute("""
CREATE TABLE route_overrides (
    -- 'sender', 'account', or 'dedicated' for an account's own route.
    scope text NOT NULL,
    subject text NOT NULL,
    route text NOT NULL,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (scope, subject)
)""")


def _create_counts() -> None:
    # What workers counted; not derived from events, and of no use for long.
    op.execute("""
CREATE TABLE route_seconds (
    second bigint NOT NULL,
    route text NOT NULL,
    network text NOT NULL,
    attempts integer NOT NULL,
    errors integer NOT NULL,
    PRIMARY KEY (second, route, network)
)""")
    op.execute("""
CREATE TABLE route_hours (
    hour timestamptz NOT NULL,
    route text NOT NULL,
    latency_bin smallint NOT NULL,
    attempts bigint NOT NULL,
    errors bigint NOT NULL,
    PRIMARY KEY (hour, route, latency_bin)
)""")
