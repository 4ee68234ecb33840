"""Why an event happened: who asked, when, in which request."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """Who, when and in which request; stored on every event that it brings about."""

    #: "key:<api key id>", "operator:<api key id>", "worker:<name>" or "aggregator:<name>".
    actor: str
    #: Aware, UTC.
    at: datetime
    #: Id of the request or of the unit of work: "req_…", "job_…" or "rpt_…".
    request_id: str
    #: W3C trace context to go on with; "" when the request is not traced.
    traceparent: str = ""
