"""PostgreSQL: the event logs, group commit and reads."""
