"""What the platform is told from outside: the variables ``SEMALINK_*`` of the environment."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, get_args, get_origin

import msgspec

from semalink_ops.setting_types import (
    Amount,
    ArchiveUrl,
    BrokerUrl,
    Count,
    DatabaseUrl,
    DlrSecret,
    DrainSeconds,
    Flag,
    Host,
    HttpUrl,
    HttpUrls,
    KeyPepper,
    LogLevel,
    Name,
    Networks,
    OptOutText,
    Port,
    Ports,
    ProviderKey,
    PublicKeys,
    Ratio,
    Replicas,
    Seconds,
    Secret,
    SenderIds,
    SigningKey,
    TomlPath,
    TraceTarget,
    WebhookKey,
)

PREFIX = "SEMALINK_"

_PACKAGE = Path(__file__).parent
_INJECTED_BY_KUBERNETES = "tcp://"


class SettingsInvalid(Exception):
    """One sentence for each variable that is missing or wrong, saying how to mend it."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, with what it is by default; its variable is the name in capitals."""

    #: PostgreSQL: the event log, the ledger and everything derived from it.
    database_url: DatabaseUrl
    #: Connections that a process holds for reading.
    database_pool_size: Count = 8
    #: NATS: carries work, and can be rebuilt from the database.
    nats_url: BrokerUrl
    #: Monitoring of each NATS server, looked at before anything runs on it.
    nats_monitor_urls: HttpUrls = ()
    #: Copies of each stream: 1 on one server, 3 on a cluster.
    nats_replicas: Replicas = 1
    #: Divides the bytes that each stream sets aside, for a broker with a small disk.
    nats_bytes_divisor: Count = 1

    #: From SIGTERM on, servers still take requests for so long, while balancers turn elsewhere.
    drain_seconds: DrainSeconds = 5

    #: The interface that every server of ours listens on.
    host: Host = "127.0.0.1"
    #: The customers' API.
    api_port: Port = 8080
    #: The intake of delivery reports.
    dlr_port: Port = 8081
    #: The admin API and pages.
    admin_port: Port = 8082
    #: The sandbox aggregator.
    sandbox_port: Port = 8083
    #: Health and metrics of a process with no server of its own; each needs a port of its own.
    metrics_port: Port = 9464

    #: Keys the hash under which API keys are stored; changing it ends all of them.
    key_pepper: KeyPepper

    #: Signs checkpoints over the ledger; unset, none are made.
    ledger_signing_key: SigningKey | None = None
    #: Public keys that signed checkpoints before, so that those are still known.
    ledger_retired_keys: PublicKeys = ()
    #: How often a checkpoint is signed while credits move.
    checkpoint_seconds: Seconds = 5

    #: Where the sandbox is found by the workers.
    sandbox_url: HttpUrl = "http://127.0.0.1:8083"
    #: Where the intake is found by the sandbox.
    dlr_url: HttpUrl = "http://127.0.0.1:8081"
    #: In the path of the sandbox's reports; unset, the intake takes none of them.
    sandbox_dlr_secret: DlrSecret | None = None

    #: Where Celcom Africa takes messages.
    celcom_url: HttpUrl = "https://isms.celcomafrica.com"
    #: Our number at Celcom Africa; unset, nothing is sent through it.
    celcom_partner_id: Name | None = None
    #: Our key at Celcom Africa.
    celcom_api_key: ProviderKey | None = None
    #: In the path of Celcom Africa's reports.
    celcom_dlr_secret: DlrSecret | None = None

    #: Where Africa's Talking takes messages.
    africastalking_url: HttpUrl = "https://api.africastalking.com"
    #: Our name at Africa's Talking; unset, nothing is sent through it.
    africastalking_username: Name | None = None
    #: Our key at Africa's Talking.
    africastalking_api_key: ProviderKey | None = None
    #: In the path of Africa's Talking's reports.
    africastalking_dlr_secret: DlrSecret | None = None

    #: Seals the secrets of webhook endpoints; unset, there are no webhooks.
    webhook_key: WebhookKey | None = None
    #: Ports that webhooks may be sent to beside 443 and 8443.
    webhook_ports: Ports = ()
    #: Public networks that webhooks may not be sent to, such as our own.
    webhook_forbidden_networks: Networks = ()
    #: Whether webhooks may go into private networks and over plain HTTP: on a developer's machine.
    webhook_allow_private: Flag = False

    #: Further routes that single accounts have for themselves, with their credentials; unset, none.
    dedicated_routes_path: TomlPath | None = None

    #: Where months of the logs are archived: a folder, or a bucket of S3 with a prefix; unset, they
    #: stay in the database.
    archive_url: ArchiveUrl | None = None
    #: Where S3 is found, when it is not that of AWS.
    archive_endpoint: HttpUrl | None = None
    #: The region of the bucket.
    archive_region: Name | None = None
    #: Who we are at S3; unset, what the machine or its environment says.
    archive_access_key_id: ProviderKey | None = None
    #: The secret that goes with it.
    archive_secret_access_key: ProviderKey | None = None

    #: Sender ids that every account may use.
    shared_senders: SenderIds = ("SEMALINK",)
    #: Further ones that every account may use, for promotional messages.
    shared_promotional_senders: SenderIds = ()
    #: Added to promotional messages that do not hold it.
    opt_out_text: OptOutText = "STOP*456*9*5#"
    #: When promotional messages may be sent, by country.
    sending_windows_path: TomlPath = _PACKAGE / "sending_windows.toml"
    #: Prices by country and network.
    rate_card_path: TomlPath = _PACKAGE / "rate_card.toml"
    #: What aggregators charge us a segment, for reconciling with them.
    provider_rates_path: TomlPath = _PACKAGE / "provider_rates.toml"
    #: How often the balance at each aggregator is written down.
    provider_balance_seconds: Seconds = 600
    #: What no message may say.
    blocklist_path: TomlPath = _PACKAGE / "blocklist.toml"
    #: How long a message that names no limit may wait to be sent.
    default_ttl_seconds: Seconds = 86_400
    #: Messages a second that the platform was seen to send, by which campaigns are forecast.
    campaign_messages_per_second: Count = 800
    #: How long a report is waited for when an aggregator's answer was lost.
    unknown_after_seconds: Seconds = 172_800
    #: How long the final report on a message is waited for that an aggregator took.
    report_wait_seconds: Seconds = 259_200
    #: Questions a second to one aggregator for reports that did not come, over all workers.
    report_polls_per_second: Count = 10

    #: Processes that send messages, under `semalink up`.
    workers: Count = 1
    #: Messages that one of them has under way at once.
    sms_concurrency: Count = 128
    #: Normal messages that one account has in the queue at most, and all whose messages wait for
    #: turns together; twice what all workers have under way at once keeps them busy.
    normal_share: Count = 256

    #: Rows that one imported file of contacts may have.
    contact_file_rows_max: Amount = 1_000_000
    #: Bytes that one imported file of contacts may have, decompressed.
    contact_file_bytes_max: Amount = 268_435_456

    #: The least serious lines that are logged.
    log_level: LogLevel = "info"
    #: Where spans go when no OTLP endpoint is set: "log", or nowhere.
    traces: TraceTarget | None = None
    #: The share of requests and messages that is traced.
    trace_ratio: Ratio = 0.01

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every setting, or raise one SettingsInvalid that names all that is wrong."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        for field in msgspec.structs.fields(cls):
            # An empty variable is an unset one: compose files pass on what nobody set.
            text = environment.get(variable(field.name), "").strip()
            if text:
                try:
                    values[field.name] = _parse(text, field.type)
                except msgspec.ValidationError:
                    problems.append(_wrong(field, text))
            elif field.required:
                problems.append(_missing(field))
        problems += _half_set(values)
        if problems:
            raise SettingsInvalid(tuple(problems))
        return cls(**values)

    def to_environment(self) -> dict[str, str]:
        """Return the variables from which another process reads these settings."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {variable(name): _text(value) for name, value in values.items() if value is not None}


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return PREFIX + name.upper()


def find_unknown(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each variable that looks like a setting and is none."""
    known = Settings.__struct_fields__
    sentences = []
    for given in sorted(environment):
        name = given.removeprefix(PREFIX).lower()
        if given.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {variable(near[0])}?" if near else ""
            sentences.append(f"{given} is not a setting.{hint}")
    return tuple(sentences)


#: Set together or not at all: with a part of them, what they lead to would be half there.
_SETTINGS_TOGETHER = (
    ("celcom_partner_id", "celcom_api_key", "celcom_dlr_secret"),
    ("africastalking_username", "africastalking_api_key", "africastalking_dlr_secret"),
    ("archive_access_key_id", "archive_secret_access_key"),
)


def _parse(text: str, wanted: Any) -> Any:
    value = [part.strip() for part in text.split(",")] if _is_tuple(wanted) else text
    return msgspec.convert(value, wanted, strict=False, dec_hook=lambda kind, given: kind(given))


def _text(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _half_set(values: Mapping[str, Any]) -> list[str]:
    problems = []
    for group in _SETTINGS_TOGETHER:
        missing = [variable(name) for name in group if name not in values]
        if 0 < len(missing) < len(group):
            present = ", ".join(variable(name) for name in group if name in values)
            problems.append(
                f"{' and '.join(missing)} must be set as well, because {present} is. "
                "Set all of them, or none."
            )
    return problems


def _missing(field: msgspec.structs.FieldInfo) -> str:
    name, kind = variable(field.name), _kind_of(field.type)
    return f"{name} is not set. It must be {kind.description}: {name}={_example(kind)}"


def _wrong(field: msgspec.structs.FieldInfo, text: str) -> str:
    # Never the value: it may be a secret that was put into the wrong variable.
    name, kind = variable(field.name), _kind_of(field.type)
    sentence = f"{name} must be {kind.description}: {name}={_example(kind)}"
    if text.startswith(_INJECTED_BY_KUBERNETES):
        sentence += (
            " (Kubernetes made this value from a service of that name; "
            "set `enableServiceLinks: false` on the pod.)"
        )
    return sentence


def _kind_of(annotation: Any) -> msgspec.Meta:
    """Return the outermost description inside an annotation."""
    for argument in get_args(annotation):
        if isinstance(argument, msgspec.Meta) and argument.description:
            return argument
    return next(_kind_of(part) for part in get_args(annotation) if get_args(part))


def _is_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(
        get_origin(part) is tuple for part in get_args(annotation)
    )


def _example(kind: msgspec.Meta) -> str:
    assert kind.examples, "every kind of setting has an example"
    return str(kind.examples[0])
