"""Keeps logs out of the terminal: what fails is said once, by the command."""

import logging

import structlog


def silence_logs() -> None:
    """Drop every line that a part of ours or the connection pool would log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
