"""Kinds of settings: each says in words what it must be, with an example that works."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec


class Secret:
    """A text that no log, traceback or page shows."""

    PATTERN: ClassVar[str] = r"\S+"

    def __init__(self, text: str) -> None:
        if not re.fullmatch(self.PATTERN, text):
            # Without the text: it may be right but for one character.
            raise ValueError("not of the form that it must have")
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._text == getattr(other, "_text", None)

    def __hash__(self) -> int:
        return hash(self._text)


class DatabaseAddress(Secret):
    """The address of a PostgreSQL database; it may hold a password."""

    PATTERN = r"postgres(ql)?://\S+"


class BrokerAddress(Secret):
    """The address of a NATS server, or several with commas; it may hold a token."""

    PATTERN = r"(nats|tls)://\S+"


class Pepper(Secret):
    """A key of a keyed hash."""

    PATTERN = r"\S{32,}"


class SigningSeed(Secret):
    """The seed of a signing key: 32 bytes in base64."""

    PATTERN = r"[A-Za-z0-9+/]{43}="


class PathSecret(Secret):
    """The last segment of a callback address; long enough not to be guessed."""

    PATTERN = r"[A-Za-z0-9_-]{16,}"


class Cidr:
    """A network of IPv4 or IPv6 addresses."""

    def __init__(self, text: str) -> None:
        self.network = ip_network(text)

    def __str__(self) -> str:
        return str(self.network)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and self.network == other.network

    def __hash__(self) -> int:
        return hash(self.network)


def _kind(description: str, example: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, examples=[example], **bounds)


DatabaseUrl = Annotated[
    DatabaseAddress,
    _kind(
        "the address of a PostgreSQL database", "postgresql://semalink:password@db:5432/semalink"
    ),
]
BrokerUrl = Annotated[
    BrokerAddress,
    _kind("the address of a NATS server, or several with commas", "nats://token@broker:4222"),
]
KeyPepper = Annotated[
    Pepper,
    _kind("at least 32 characters that nobody can guess", "$(openssl rand -hex 32)"),
]
DlrSecret = Annotated[
    PathSecret,
    _kind("at least 16 letters, digits, '-' and '_'", "$(openssl rand -hex 16)"),
]
SigningKey = Annotated[
    SigningSeed,
    _kind("32 bytes that nobody can guess, in base64", "$(openssl rand -base64 32)"),
]
PublicKeys = Annotated[
    tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{43}=$")], ...],
    _kind(
        "public keys in base64 with commas between",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ),
]
ProviderKey = Annotated[Secret, _kind("the key that the aggregator gave you", "the-key")]
Name = Annotated[str, _kind("a name without blanks", "name", pattern=r"^\S+$")]
HttpUrl = Annotated[
    str,
    _kind("an http or https address", "http://127.0.0.1:8081", pattern=r"^https?://[^\s/]+"),
]
ArchiveUrl = Annotated[
    str,
    _kind(
        "file:/// and the path of a folder, or s3://, a bucket and a prefix",
        "s3://semalink-archive/production",
        pattern=r"^(file:///[^\s?#]+|s3://[^\s/?#@:]+(/[^\s?#]*)?)$",
    ),
]
HttpUrls = Annotated[
    tuple[HttpUrl, ...],
    _kind("http or https addresses with commas between", "http://a:8222,http://b:8222"),
]
WebhookKey = SigningKey
Ports = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=1, le=65_535)], ...],
    _kind("ports with commas between", "9443,10443"),
]
Networks = Annotated[
    tuple[Cidr, ...],
    _kind("networks with commas between", "203.0.113.0/24,2001:db8::/32"),
]
Flag = Annotated[bool, _kind('"true" or "false"', "true")]
Host = Annotated[str, _kind("an address of this machine", "0.0.0.0", pattern=r"^\S+$")]  # noqa: S104 - an example
Port = Annotated[int, _kind("a port from 1 to 65535", "8080", ge=1, le=65_535)]
Count = Annotated[int, _kind("a whole number from 1 to 10000", "8", ge=1, le=10_000)]
Amount = Annotated[int, _kind("a whole number from 1 to 10⁹", "1000000", ge=1, le=10**9)]
Replicas = Annotated[Literal[1, 3, 5], _kind("1, 3 or 5", "3")]
Seconds = Annotated[int, _kind("whole seconds, at most 30 days", "86400", ge=1, le=2_592_000)]
DrainSeconds = Annotated[int, _kind("whole seconds from 0 to 10", "5", ge=0, le=10)]
Ratio = Annotated[float, _kind("a number from 0 to 1", "0.01", ge=0, le=1)]
SenderIds = Annotated[
    tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9 ._-]{1,15}$")], ...],
    _kind("sender ids with commas between", "SEMALINK,ALERTS", min_length=1),
]
OptOutText = Annotated[
    str,
    _kind(
        "one line of at most 60 letters of plain ASCII that says how to stop messages",
        "STOP*456*9*5#",
        pattern=r"^[ -_a-z{|}~]{1,60}$",
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    _kind("debug, info, warning or error", "info"),
]
TraceTarget = Annotated[Literal["log"], _kind('"log", or unset', "log")]
TomlPath = Annotated[Path, _kind("the path of a TOML file", "/etc/semalink/rules.toml")]
