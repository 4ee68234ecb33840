"""Settings that sessions share."""

#: Every statement of ours finds its rows by key or goes on from a place in an index. A plan made
#: while a table was still empty would read it whole, and prepared statements keep their plans
#: while the table grows; a bitmap would fetch and sort a whole backlog for each page of it.
_OFF = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")

#: Options of a connection.
LOOK_UP_BY_KEY = " ".join(f"-c {setting}=off" for setting in _OFF)

#: The same, for a session that was opened elsewhere.
SET_LOOK_UP_BY_KEY = "SELECT " + ", ".join(
    f"set_config('{setting}', 'off', false)" for setting in _OFF
)
