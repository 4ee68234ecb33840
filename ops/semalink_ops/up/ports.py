"""Which port everything listens on."""

from dataclasses import dataclass, fields

from semalink_ops.embedded.ports import free_port, is_free
from semalink_ops.up.failures import UpFailed

#: Ports that follow the one that is named, so that the last one still exists.
FOLLOWING_PORTS = 60
_API_HEALTH = 40
_SMS_HEALTH = 20


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each listener; those of processes without a server are for their health."""

    api: int
    dlr: int
    admin: int
    sandbox: int
    postgres: int
    nats: int
    nats_monitor: int
    worker_dlr: int
    relay: int
    projector: int
    worker_webhooks: int
    worker_background: int
    scheduler: int
    #: One for each API process, when several share the port of the API.
    api_health: tuple[int, ...]
    #: One for each process that sends messages.
    worker_sms: tuple[int, ...]

    @classmethod
    def following(cls, first: int, workers: int) -> "Ports":
        """Return ports at fixed distances from the first one."""
        return cls(
            api=first,
            dlr=first + 1,
            admin=first + 2,
            sandbox=first + 3,
            postgres=first + 4,
            nats=first + 5,
            nats_monitor=first + 6,
            worker_dlr=first + 10,
            relay=first + 11,
            projector=first + 12,
            worker_webhooks=first + 13,
            worker_background=first + 14,
            scheduler=first + 15,
            api_health=tuple(first + _API_HEALTH + number for number in range(workers)),
            worker_sms=tuple(first + _SMS_HEALTH + number for number in range(workers)),
        )

    @classmethod
    def free(cls, workers: int) -> "Ports":
        """Return ports that nothing listens on."""
        single = [field.name for field in fields(cls)][:-2]
        return cls(
            **{name: free_port() for name in single},
            api_health=tuple(free_port() for _ in range(workers)),
            worker_sms=tuple(free_port() for _ in range(workers)),
        )

    def refuse_taken(self) -> None:
        """Raise UpFailed when something listens on a port of our processes.

        The servers see to theirs: they may have to wait for those of an owner that was killed.
        """
        ours = [self.api, self.dlr, self.admin, self.sandbox, self.worker_dlr, self.relay]
        ours += [self.projector, self.worker_webhooks, self.worker_background]
        ours += [self.scheduler]
        ours += [*self.api_health, *self.worker_sms]
        taken = [str(number) for number in ours if not is_free(number)]
        if taken:
            several = len(taken) > 1
            raise UpFailed(
                f"{'Ports' if several else 'Port'} {', '.join(taken)} "
                f"{'are' if several else 'is'} taken. Stop what listens there, name another "
                "first port with --port, or let --port 0 find free ones."
            )
