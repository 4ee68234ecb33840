"""Mobile networks by the codes that aggregators report."""

from collections.abc import Mapping
from types import MappingProxyType

# Africa's Talking documents these codes with its delivery reports. Celcom's network ids are not
# documented, so they never replace the guess from the prefix.
_BY_CODE: Mapping[str, str] = MappingProxyType(
    {
        "63902": "safaricom",
        "63903": "airtel",
        "63907": "telkom",
        "63999": "equitel",
        "64101": "airtel",
        "64110": "mtn",
        "64111": "utl",
        "64114": "africell",
        "64002": "yas",
        "64004": "vodacom",
        "64005": "airtel",
        "64007": "ttcl",
        "64009": "halotel",
        "63510": "mtn",
        "63514": "airtel",
    }
)


def network_of_code(code: str | None) -> str | None:
    """Return the network that a reported code names, or None when it names none for certain."""
    return _BY_CODE.get(code or "")
