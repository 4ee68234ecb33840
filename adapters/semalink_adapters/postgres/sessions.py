"""Settings that sessions share."""

from typing import Any

from semalink_adapters.postgres.append_only import WRITER

#: Every statement of ours finds its rows by key or goes on from a place in an index. A plan made
#: while a table was still empty would read it whole, and prepared statements keep their plans
#: while the table grows; a bitmap would fetch and sort a whole backlog for each page of it.
_OFF = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")

#: Options of a connection.
LOOK_UP_BY_KEY = " ".join(f"-c {setting}=off" for setting in _OFF)

CONNECT_TIMEOUT_SECONDS = 2

#: A dead network is noticed after about five seconds, on either side: locks are not kept for it.
KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}

#: The role of every connection that serves requests or work: it can change nothing in a log.
AS_WRITER = f"-c role={WRITER}"

#: Options of a connection, with the server's side of the keepalives.
KEPT_ALIVE = (
    f"{LOOK_UP_BY_KEY} {AS_WRITER}"
    " -c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
)

#: Options of a connection that writes and holds locks.
BOUNDED = f"{KEPT_ALIVE} -c idle_in_transaction_session_timeout=5s -c lock_timeout=5s"

#: What looks up by key, for a session that was opened elsewhere.
SET_LOOK_UP_BY_KEY = "SELECT " + ", ".join(
    f"set_config('{setting}', 'off', false)" for setting in _OFF
)
