"""Reports in bundles between a real database and a real broker: none is lost, only bad ones end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool
from tests.chaos.waiting import until

from semalink.application.ports import DeliveryReport, ReportState
from semalink.domain.ids import uuid7
from semalink_adapters.jetstream.streams import DLR_INBOUND
from semalink_adapters.postgres.raw_reports import RawReportWriter
from semalink_ops.bootstrap import Core, open_core
from semalink_ops.settings import Settings
from semalink_ops.workers import run_dlr_worker, run_relay

GOOD = b'{"messageid": "%d", "description": "DeliveredToTerminal"}'
GARBLED = b"{"


@pytest.fixture
def settings(database_url: str, nats_url: str) -> Settings:
    return Settings.from_environment(
        {
            "SEMALINK_DATABASE_URL": database_url,
            "SEMALINK_NATS_URL": nats_url,
            "SEMALINK_NATS_BYTES_DIVISOR": "64",
            "SEMALINK_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-characters",
        }
    )
