"""How long a queue has held what it holds."""

from contextlib import suppress
from datetime import datetime

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from semalink_adapters.jetstream.streams import Queue


async def find_oldest(js: JetStreamContext, queue: Queue) -> datetime | None:
    """Return when the oldest message was stored; None when there is none or nobody answers."""
    with suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):
        state = (await js.stream_info(queue.stream)).state
        if state.messages:
            return (await js.get_msg(queue.stream, state.first_seq)).time
    return None
