"""Further routes, each with credentials of its own, that single accounts have for themselves."""

import tomllib
from typing import Annotated, Literal

import msgspec

from semalink.domain.routing import DEFAULT_ORDER, TEST_ROUTE
from semalink_ops.setting_types import Secret
from semalink_ops.settings import Settings, SettingsInvalid, variable

_NAME = r"[a-z][a-z0-9-]{1,39}"
_SETTING = variable("dedicated_routes_path")


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: Literal["celcom", "africastalking"]
    #: Our partner id, or our username.
    user: Annotated[str, msgspec.Meta(pattern=r"^\S+$")]
    api_key: Annotated[str, msgspec.Meta(pattern=r"^\S+$")]
    dlr_secret: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{16,}$")]
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/]+")] | None = None


_Rows = dict[Annotated[str, msgspec.Meta(pattern=f"^{_NAME}$")], _Row]


class DedicatedRoute(msgspec.Struct, frozen=True):
    """A named way to an aggregator with credentials of its own."""

    name: str
    provider: Literal["celcom", "africastalking"]
    user: str
    api_key: Secret
    dlr_secret: Secret
    url: str


def load_dedicated_routes(settings: Settings) -> tuple[DedicatedRoute, ...]:
    """Read the further routes; raises SettingsInvalid, which says where the file is wrong."""
    path = settings.dedicated_routes_path
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            rows = msgspec.convert(tomllib.load(file), _Rows)
    except OSError as error:
        raise SettingsInvalid((f"{_SETTING}: {path} cannot be read: {error.strerror}.",)) from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        # Neither quotes a value, which may be a key.
        raise SettingsInvalid((f"{_SETTING}: {path} is not right: {error}.",)) from None
    taken = sorted(rows.keys() & {*DEFAULT_ORDER, TEST_ROUTE})
    if taken:
        raise SettingsInvalid((f"{_SETTING}: {taken[0]} is the name of a shared route.",))
    return tuple(_route(name, row, settings) for name, row in rows.items())


def _route(name: str, row: _Row, settings: Settings) -> DedicatedRoute:
    shared = settings.celcom_url if row.provider == "celcom" else settings.africastalking_url
    return DedicatedRoute(
        name,
        row.provider,
        row.user,
        Secret(row.api_key),
        Secret(row.dlr_secret),
        row.url or shared,
    )
