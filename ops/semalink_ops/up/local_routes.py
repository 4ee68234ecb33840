"""The dedicated route of a platform on one machine, so that one can be tried."""

from pathlib import Path

from semalink_ops.embedded.data_folder import write_private
from semalink_ops.up.own_files import Secrets

ROUTES_FILE = "dedicated-routes.toml"

#: A second partner at Celcom, as an enterprise customer may ask for.
NAME = "celcom-enterprise"


def write_dedicated_routes(data_dir: Path, secrets: Secrets, sandbox_url: str) -> Path:
    """Write the file that names the route, with the sandbox behind it, and return its path."""
    path = data_dir / ROUTES_FILE
    lines = (
        "# Written by `semalink up`; changes are lost. Name a file of your own with",
        "# SEMALINK_DEDICATED_ROUTES_PATH.",
        f"[{NAME}]",
        'provider = "celcom"',
        'user = "local-enterprise"',
        f'api_key = "{secrets.get("celcom_enterprise_api_key")}"',
        f'dlr_secret = "{secrets.get("celcom_enterprise_dlr_secret")}"',
        f'url = "{sandbox_url}"',
    )
    write_private(path, "\n".join(lines) + "\n")
    return path.absolute()
