"""Which processes the platform is made of, and in which order they end."""

from dataclasses import dataclass, field

from semalink_ops.settings import variable
from semalink_ops.up.local_settings import HOST
from semalink_ops.up.ports import Ports

#: Those that take work in end first, those that others need end last.
STOP_STAGES = (0, 1, 2, 3)
_TAKES_WORK_IN, _WORKS, _CARRIES, _STANDS_IN = STOP_STAGES


@dataclass(frozen=True, slots=True)
class Child:
    """One process that `semalink up` keeps running."""

    name: str
    #: The sub-command of `semalink`.
    arguments: tuple[str, ...]
    #: Where it answers for its health and its metrics.
    port: int
    stop_stage: int
    #: Variables that only this process has.
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def ready_url(self) -> str:
        """Answers 200 when the process is of use."""
        return f"http://{HOST}:{self.port}/health/ready"

    @property
    def metrics_url(self) -> str:
        """What the process counts and measures."""
        return f"http://{HOST}:{self.port}/metrics"


def children(ports: Ports) -> list[Child]:
    """Return every process, those that a first message waits for first."""
    return [
        *_apis(ports),
        _background("relay", ("relay",), ports.relay, _CARRIES),
        *(
            _background(_numbered("worker-sms", number), ("worker", "sms"), port, _WORKS)
            for number, port in enumerate(ports.worker_sms, start=1)
        ),
        Child("sandbox", ("sandbox",), ports.sandbox, _STANDS_IN),
        Child("dlr-intake", ("dlr-intake",), ports.dlr, _TAKES_WORK_IN),
        _background("worker-dlr", ("worker", "dlr"), ports.worker_dlr, _WORKS),
        _background("worker-webhooks", ("worker", "webhooks"), ports.worker_webhooks, _WORKS),
        _background("worker-background", ("worker", "background"), ports.worker_background, _WORKS),
        _background("scheduler", ("scheduler",), ports.scheduler, _CARRIES),
        _background("projector", ("projector",), ports.projector, _CARRIES),
        Child("admin", ("admin",), ports.admin, _TAKES_WORK_IN),
    ]


def _apis(ports: Ports) -> list[Child]:
    if len(ports.api_health) == 1:
        return [Child("api", ("api",), ports.api, _TAKES_WORK_IN)]
    return [
        Child(
            _numbered("api", number),
            ("api", "--reuse-port", "--health-port", str(port)),
            port,
            _TAKES_WORK_IN,
        )
        for number, port in enumerate(ports.api_health, start=1)
    ]


def _background(name: str, arguments: tuple[str, ...], port: int, stop_stage: int) -> Child:
    return Child(name, arguments, port, stop_stage, {variable("metrics_port"): str(port)})


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
