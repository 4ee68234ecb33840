"""Where a customer's endpoint may be: public addresses over HTTPS, never inside our network."""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

PORTS = frozenset({443, 8443})
URL_LENGTH_MAX = 2_048

Network = IPv4Network | IPv6Network

#: All that is given out to the public. What a library does not know is not public for that, such
#: as old ways to wrap an IPv4 address.
_IPV6_GIVEN_OUT = IPv6Network("2000::/3")
#: Not for the public, whatever a library says of them: protocol assignments, relays from IPv6 to
#: IPv4, and documentation.
_FORBIDDEN = tuple(
    ip_network(network) for network in ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")
)
_NOT_PUBLIC = "Its host must be public: nothing is sent into private networks."
#: Names that only mean something inside a network.
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")


def is_public(address: IPv4Address | IPv6Address, also_forbidden: Sequence[Network] = ()) -> bool:
    """Tell whether an address belongs to the public internet, also when it wraps another one."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped, also_forbidden)
        if address not in _IPV6_GIVEN_OUT:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in (*_FORBIDDEN, *also_forbidden))
    )


def is_public_host(host: str, also_forbidden: Sequence[Network] = ()) -> bool:
    """Tell whether a literal address is public; a name that cannot be resolved is judged later."""
    try:
        return is_public(ip_address(host), also_forbidden)
    except ValueError:
        return False


def why_unfit(
    url: str,
    *,
    allows_private: bool = False,
    extra_ports: frozenset[int] = frozenset(),
    also_forbidden: Sequence[Network] = (),
) -> str | None:
    """Return the sentence that says why nothing can be sent to this URL; None when it is fit.

    Names are not resolved here: what they mean is judged at each dialling.
    """
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return f"It must have at most {URL_LENGTH_MAX} printable ASCII characters and no blank."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "It is not a URL."
    host = (parts.hostname or "").rstrip(".")
    if not host:
        return "It names no host."
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "It must have neither a user, nor a password, nor a fragment."
    if allows_private:
        return None if parts.scheme in {"http", "https"} else "It must begin with https://."
    return _why_not_public(
        parts.scheme, host, 443 if port is None else port, PORTS | extra_ports
    ) or (_NOT_PUBLIC if _is_private_literal(host, also_forbidden) else None)


def _why_not_public(scheme: str, host: str, port: int, ports: frozenset[int]) -> str | None:
    if scheme != "https":
        return "It must begin with https://."
    if port not in ports:
        return "Its port must be 443 or 8443."
    return _NOT_PUBLIC if _is_local_name(host) else None


def _is_local_name(host: str) -> bool:
    return f".{host.lower()}".endswith(_LOCAL_SUFFIXES)


def _is_private_literal(host: str, also_forbidden: Sequence[Network]) -> bool:
    try:
        return not is_public(ip_address(host), also_forbidden)
    except ValueError:
        # Also 0x7f.1 and 2130706433: not a name that a public server has, and not an address.
        last = host.rsplit(".", 1)[-1]
        return last.isdigit() or last.lower().startswith("0x")
