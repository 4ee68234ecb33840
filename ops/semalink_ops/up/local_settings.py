"""The settings of a platform that runs on one machine, with the sandbox as both aggregators."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from semalink_ops.settings import PREFIX, Settings, variable
from semalink_ops.up.own_files import Secrets
from semalink_ops.up.ports import Ports

HOST = "127.0.0.1"
#: The sandbox answers in milliseconds: what has no report by then gets none.
_UNKNOWN_AFTER_SECONDS = 60
#: No balancer stands in front.
_DRAIN_SECONDS = "0"
#: For trying out what promotional messages must be like.
_PROMOTIONAL_SENDER = "SEMAPROMO"

#: What says that an aggregator is the real one.
_CELCOM = variable("celcom_partner_id")
_AFRICASTALKING = variable("africastalking_username")


def local_settings(
    environment: Mapping[str, str],
    *,
    ports: Ports,
    secrets: Secrets,
    workers: int,
    servers: Mapping[str, str],
) -> Settings:
    """Return the settings for all processes; what the environment sets counts before ours.

    ``servers`` holds the variables of the servers that were started here.
    """
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX) and text}
    sandbox_url = f"http://{HOST}:{ports.sandbox}"
    ours = {
        "host": HOST,
        "unknown_after_seconds": str(_UNKNOWN_AFTER_SECONDS),
        "drain_seconds": _DRAIN_SECONDS,
        "key_pepper": secrets.get("key_pepper"),
        "ledger_signing_key": _seed_from(secrets.get("ledger_signing_key")),
        "sandbox_dlr_secret": secrets.get("sandbox_dlr_secret"),
        "webhook_key": _seed_from(secrets.get("webhook_key")),
        "webhook_allow_private": "true",
        "shared_promotional_senders": _PROMOTIONAL_SENDER,
    }
    if _CELCOM not in given:
        ours |= {
            "celcom_url": sandbox_url,
            "celcom_partner_id": "local-celcom",
            "celcom_api_key": secrets.get("celcom_api_key"),
            "celcom_dlr_secret": secrets.get("celcom_dlr_secret"),
        }
    if _AFRICASTALKING not in given:
        ours |= {
            "africastalking_url": sandbox_url,
            "africastalking_username": "local-africastalking",
            "africastalking_api_key": secrets.get("africastalking_api_key"),
            "africastalking_dlr_secret": secrets.get("africastalking_dlr_secret"),
        }
    # Said on the command line, or known only here.
    fixed = {
        "api_port": str(ports.api),
        "dlr_port": str(ports.dlr),
        "admin_port": str(ports.admin),
        "sandbox_port": str(ports.sandbox),
        "sandbox_url": sandbox_url,
        "dlr_url": f"http://{HOST}:{ports.dlr}",
        "workers": str(workers),
    }
    return Settings.from_environment({**_variables(ours), **servers, **given, **_variables(fixed)})


def _seed_from(secret: str) -> str:
    # A kept secret is a text of any length; a seed is 32 bytes.
    return b64encode(sha256(secret.encode()).digest()).decode()


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    return {variable(name): text for name, text in settings.items()}
