"""The sandbox as a process: whom it knows, and where it reports."""

import asyncio

from semalink_ops.bootstrap import SANDBOX_API_KEY, SANDBOX_PARTNER_ID
from semalink_ops.dedicated_routes import load_dedicated_routes
from semalink_ops.observability import logs
from semalink_ops.runtime import run_until_stopped
from semalink_ops.sandbox import Credential, SandboxSettings, running
from semalink_ops.settings import Settings


def serve(settings: Settings) -> None:
    """Serve the sandbox until SIGTERM or SIGINT."""
    logs.configure(settings.log_level, process="sandbox")

    async def main(stop: asyncio.Event) -> None:
        async with running(
            sandbox_settings(settings), host=settings.host, port=settings.sandbox_port
        ):
            await stop.wait()

    run_until_stopped(main)


def sandbox_settings(settings: Settings) -> SandboxSettings:
    """Return what the sandbox must know to stand for every aggregator that is set to be it."""
    credentials = {}
    if settings.sandbox_dlr_secret:
        secret = settings.sandbox_dlr_secret.reveal()
        credentials[SANDBOX_PARTNER_ID] = Credential("sandbox", SANDBOX_API_KEY, secret)
    for name, url, user, key, dlr_secret in (
        (
            "celcom",
            settings.celcom_url,
            settings.celcom_partner_id,
            settings.celcom_api_key,
            settings.celcom_dlr_secret,
        ),
        (
            "africastalking",
            settings.africastalking_url,
            settings.africastalking_username,
            settings.africastalking_api_key,
            settings.africastalking_dlr_secret,
        ),
    ):
        # A real provider's credentials are nothing that the sandbox needs to know.
        if url == settings.sandbox_url and user and key and dlr_secret:
            credentials[user] = Credential(name, key.reveal(), dlr_secret.reveal())
    for own in load_dedicated_routes(settings):
        if own.url == settings.sandbox_url:
            credentials[own.user] = Credential(
                own.name, own.api_key.reveal(), own.dlr_secret.reveal()
            )
    return SandboxSettings(dlr_url=settings.dlr_url, credentials=credentials)
