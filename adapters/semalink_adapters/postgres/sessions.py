"""Settings that sessions share."""

#: Every statement of ours finds its rows by key. A plan made while a table was still empty would
#: read it whole, and prepared statements keep their plans while the table grows.
LOOK_UP_BY_KEY = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"

#: The same, for a session that was opened elsewhere.
SET_LOOK_UP_BY_KEY = """
SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false)"""
