"""The rules that contents are held to: read from files, kept up with what operators manage."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import Counter

from semalink.application.content_rules import RuleBook
from semalink.application.reading import ReadsUnavailable
from semalink.domain.blocklist import Blocklist
from semalink.domain.content_check import Rules
from semalink.domain.rate_card import RateCard
from semalink.domain.sending_window import SendingWindows
from semalink_adapters.postgres.content_reads import PostgresContentRules
from semalink_ops.bootstrap import Core
from semalink_ops.observability import declarations as declared
from semalink_ops.observability.metrics import Metrics
from semalink_ops.runtime import background
from semalink_ops.settings import Settings

#: How often a process looks whether operators changed a rule.
REFRESH_SECONDS = 2.0

_log = structlog.get_logger(__name__)


def load_rules(settings: Settings) -> Rules:
    """Read what the files say; raises what they say is wrong with them."""
    promotional = settings.shared_promotional_senders
    return Rules(
        senders=frozenset((*settings.shared_senders, *promotional)),
        rate_card=RateCard.from_mapping(read_toml(settings.rate_card_path)),
        blocklist=Blocklist.from_mapping(read_toml(settings.blocklist_path)),
        promotional=dict.fromkeys(promotional, settings.opt_out_text),
        windows=SendingWindows.from_mapping(read_toml(settings.sending_windows_path), ZoneInfo),
        opt_out_text=settings.opt_out_text,
    )


@asynccontextmanager
async def open_rule_book(core: Core) -> AsyncIterator[RuleBook]:
    """Keep the rules of now, those of the files and those that operators manage."""
    book = RuleBook(load_rules(core.settings), PostgresContentRules(core.pool))
    async with kept(book):
        yield book


@asynccontextmanager
async def kept(book: RuleBook) -> AsyncIterator[None]:
    """Keep up with the rules beside the block; what fails in that ends it, and its process.

    Going on with rules of some hour ago would let pass what operators forbade since.
    """
    async with background(_keep(book)):
        yield


def rule_counter(metrics: Metrics) -> Callable[[str, str], None]:
    """Return what counts what content rules found; names are those of rules that there are."""
    found = declared.CONTENT_RULE_MATCHES
    counter = Counter(found.name, found.meaning, found.labels, registry=metrics.registry)
    return lambda rule, mode: counter.labels(rule, mode).inc()


def read_toml(path: Path) -> Mapping[str, Any]:
    """Return what a TOML file holds."""
    with path.open("rb") as file:
        return tomllib.load(file)


async def _keep(book: RuleBook) -> None:
    is_away = False
    while True:
        try:
            await book.refresh()
        except ReadsUnavailable:
            # What was known last goes on holding; before it was read once, nothing is accepted.
            if not is_away:
                _log.warning("content_rules_not_read")
            is_away = True
        else:
            is_away = False
        await asyncio.sleep(REFRESH_SECONDS)
