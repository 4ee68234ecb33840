"""A local aggregator that speaks both wire formats, for test keys, tests and `semalink up`."""

from semalink_ops.sandbox.app import create_app, running, serve
from semalink_ops.sandbox.controls import Controls, Outage
from semalink_ops.sandbox.settings import Credential, SandboxSettings

__all__ = [
    "Controls",
    "Credential",
    "Outage",
    "SandboxSettings",
    "create_app",
    "running",
    "serve",
]
