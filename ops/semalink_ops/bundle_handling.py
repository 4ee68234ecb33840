"""What a worker does with a bundle of messages of a campaign."""

import msgspec
import structlog

from semalink.application.bundles import BundleBook, BundlePayload, BundleSubmitter
from semalink.application.bus import Delivery, NotReady, PoisonMessage
from semalink.application.campaign_sending import CampaignRef
from semalink.application.yielding import ReportsFirst
from semalink.domain.ids import CAMPAIGN_PREFIX, format_id
from semalink_adapters.jetstream.streams import SMS_BULK
from semalink_ops.observability.tracing import Tracing

_bundles = msgspec.json.Decoder(BundlePayload)

_log = structlog.get_logger(__name__)


class BundleHandler:
    """Reads a bundle from a delivery and submits its messages."""

    def __init__(
        self,
        submitter: BundleSubmitter,
        book: BundleBook,
        tracing: Tracing,
        reports_first: ReportsFirst,
    ) -> None:
        self._reports_first = reports_first
        self._submitter = submitter
        self._book = book
        self._tracing = tracing

    async def handle(self, delivery: Delivery) -> None:
        """Submit; a bundle that fails for the last time has its messages parked.

        They are not dealt out again by themselves, and cannot hide behind their campaign's end.
        """
        try:
            payload = _bundles.decode(delivery.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as unreadable:
            msg = "unreadable_bundle"
            raise PoisonMessage(msg) from unreadable
        await self._reports_first.wait()
        campaign = CampaignRef(payload.campaign_id, payload.account_id, payload.billing_account_id)
        campaign_id = format_id(CAMPAIGN_PREFIX, campaign.campaign_id)
        try:
            with self._tracing.work("submit_bundle", delivery.headers, campaign_id=campaign_id):
                await self._submitter.submit(campaign, payload.message_ids)
        except NotReady:
            raise
        except Exception:
            if delivery.num_delivered >= SMS_BULK.max_deliver:
                await self._book.park(payload.message_ids)
                _log.warning("bundle_parked", campaign_id=campaign_id)
            raise
