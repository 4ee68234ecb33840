"""Which kinds of tasks the workers know, and what does each of them."""

from collections.abc import Mapping

from semalink.application.tasks import TaskWork
from semalink_ops.bootstrap import Core


def contact_kinds(_core: Core) -> Mapping[str, TaskWork]:
    """Return what the worker of contacts does."""
    return {}


def content_kinds(_core: Core) -> Mapping[str, TaskWork]:
    """Return what the worker of content does."""
    return {}
