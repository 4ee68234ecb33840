"""How well a route does: what speaks against it, and when it is taken out of use."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

#: Health is judged by what happened in the last so many seconds.
WINDOW_SECONDS = 60
#: With fewer attempts an error rate says nothing.
ATTEMPTS_MIN = 20
#: At this share of errors, in a hundred attempts, a route is taken out of use.
ERROR_PERCENT_TRIPS = 20
#: So many failures without a success between them are an outage, whatever came before: at 100
#: messages a second the share of errors of a healthy minute would need twelve seconds to tell.
FAILURES_IN_A_ROW = 10

#: A stall: so many messages, submitted in the span between the two ages, …
STALL_MESSAGES_MIN = 20
#: … of which this share has had no final report.
STALL_PERCENT_TRIPS = 50
STALL_YOUNGEST = timedelta(minutes=5)
STALL_OLDEST = timedelta(minutes=15)

#: Successful probes that bring a route back.
PROBES_TO_RECOVER = 3
#: A probe without an answer by then is lost, with the worker that sent it.
PROBE_LEASE = timedelta(seconds=30)
#: A route that fails again so soon after it came back goes on with its longer pauses.
RELAPSE = timedelta(minutes=10)
#: A stall shows after minutes only, and more so while little is sent.
RELAPSE_STALLED = timedelta(hours=1)
_FIRST_PAUSE = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(minutes=5)
#: A route that stalls takes probes as it takes everything: it is given time instead.
_FIRST_PAUSE_STALLED = timedelta(minutes=5)
_LONGEST_PAUSE_STALLED = timedelta(hours=1)
_DOUBLINGS_MAX = 5

#: What a call can end with that is the fault of the route. A refusal for the recipient, the text
#: or the hour is an answer: the route works.
_FAULTS = frozenset({"transient", "provider_credit", "configuration", "bug", "unknown", "silent"})

#: Stands for all networks of a route.
EVERY_NETWORK = ""


class TripCause(StrEnum):
    """Why a route was taken out of use."""

    ERROR_RATE = "error_rate"
    OUTAGE = "outage"
    #: Messages are taken, and nothing is heard of them again.
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened on a route within one second, to one network."""

    #: Since the epoch.
    second: int
    #: EVERY_NETWORK when it is not known.
    network: str
    attempts: int
    errors: int


@dataclass(frozen=True, slots=True)
class Figures:
    """A route's last minute."""

    attempts: int = 0
    errors: int = 0
    #: Failures since the last second that brought a success.
    failures_in_a_row: int = 0

    @property
    def error_permille(self) -> int:
        """Errors in a thousand attempts."""
        return self.errors * 1000 // self.attempts if self.attempts else 0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A network of a route that is to be taken out of use; or all of them."""

    network: str
    cause: TripCause
    figures: Figures


def is_route_fault(result: str) -> bool:
    """Whether the end of a call, a failure class or "accepted" or "unknown", blames the route."""
    return result in _FAULTS


def pause_before_probe(trips_in_a_row: int, cause: str = "") -> timedelta:
    """Return how long a route rests before it is tried again: 15 s, doubled up to 5 minutes.

    A route that stalls rests for 5 minutes, doubled up to an hour.
    """
    doublings = min(max(trips_in_a_row - 1, 0), _DOUBLINGS_MAX)
    if cause == TripCause.STALL:
        return min(_FIRST_PAUSE_STALLED * (1 << doublings), _LONGEST_PAUSE_STALLED)
    return min(_FIRST_PAUSE * (1 << doublings), _LONGEST_PAUSE)


def relapse_within(cause: str) -> timedelta:
    """Return how soon after a recovery a trip goes on with the longer pauses of before."""
    return RELAPSE_STALLED if cause == TripCause.STALL else RELAPSE


def measure(
    tallies: Iterable[Tally], *, now_second: int, since: Mapping[str, int] | None = None
) -> Figures:
    """Add up the last minute; ``since`` names networks whose seconds up to then do not count."""
    counted: dict[int, list[int]] = {}
    first_second = now_second - WINDOW_SECONDS
    begins = since or {}
    for tally in tallies:
        begin = max(begins.get(tally.network, 0), begins.get(EVERY_NETWORK, 0), first_second)
        if tally.second > begin:
            sums = counted.setdefault(tally.second, [0, 0])
            sums[0] += tally.attempts
            sums[1] += tally.errors
    in_a_row = 0
    for _, (attempts, errors) in sorted(counted.items(), reverse=True):
        if attempts > errors:
            break
        in_a_row += errors
    totals = list(counted.values())
    return Figures(sum(sums[0] for sums in totals), sum(sums[1] for sums in totals), in_a_row)


def trip_cause(figures: Figures) -> TripCause | None:
    """Return why figures take a route out of use, or None when they do not."""
    if figures.failures_in_a_row >= FAILURES_IN_A_ROW:
        return TripCause.OUTAGE
    if figures.attempts < ATTEMPTS_MIN:
        return None
    too_many = figures.errors * 100 >= figures.attempts * ERROR_PERCENT_TRIPS
    return TripCause.ERROR_RATE if too_many else None


def diagnose(
    tallies: Sequence[Tally],
    *,
    now_second: int,
    since: Mapping[str, int],
    resting: Collection[str] = (),
) -> Sequence[Diagnosis]:
    """Return what of a route is to be taken out of use now.

    Networks alone where the others do well, else the whole route. ``resting`` are out of use.
    """
    if EVERY_NETWORK in resting:
        return []
    awake = [tally for tally in tallies if tally.network not in resting]
    whole = measure(awake, now_second=now_second, since=since)
    sick = []
    for network in sorted({tally.network for tally in awake} - {EVERY_NETWORK}):
        own = [tally for tally in awake if tally.network == network]
        figures = measure(own, now_second=now_second, since=since)
        cause = trip_cause(figures)
        if cause is not None:
            sick.append(Diagnosis(network, cause, figures))
    cause = trip_cause(whole)
    if cause is None:
        return sick
    sick_networks = {each.network for each in sick}
    rest = [tally for tally in awake if tally.network not in sick_networks]
    others = measure(rest, now_second=now_second, since=since)
    if sick and others.attempts >= ATTEMPTS_MIN and trip_cause(others) is None:
        return sick
    return [Diagnosis(EVERY_NETWORK, cause, whole)]


def diagnose_stall(
    submitted: Mapping[str, int], unreported: Mapping[str, int], resting: Collection[str] = ()
) -> Sequence[Diagnosis]:
    """Return what of a route takes messages and reports on too few, by network or the whole."""
    if EVERY_NETWORK in resting:
        return []
    awake = sorted((submitted.keys() | unreported.keys()) - set(resting))
    sick = [
        _stalled(network, [network], submitted, unreported)
        for network in awake
        if network != EVERY_NETWORK
        and is_stalled(submitted.get(network, 0), unreported.get(network, 0))
    ]
    whole = _stalled(EVERY_NETWORK, awake, submitted, unreported)
    if not is_stalled(whole.figures.attempts, whole.figures.errors):
        return sick
    sick_networks = {each.network for each in sick}
    rest = [network for network in awake if network not in sick_networks]
    others = _stalled(EVERY_NETWORK, rest, submitted, unreported).figures
    does_well = others.attempts >= STALL_MESSAGES_MIN and not is_stalled(
        others.attempts, others.errors
    )
    return sick if sick and does_well else [whole]


def _stalled(
    name: str,
    networks: Sequence[str],
    submitted: Mapping[str, int],
    unreported: Mapping[str, int],
) -> Diagnosis:
    taken = sum(submitted.get(network, 0) for network in networks)
    silent = sum(unreported.get(network, 0) for network in networks)
    return Diagnosis(name, TripCause.STALL, Figures(taken, silent))


def is_stalled(submitted: int, unreported: int) -> bool:
    """Whether too many messages of a span, all of them old enough, were never reported on."""
    enough = submitted >= STALL_MESSAGES_MIN
    return enough and unreported * 100 >= submitted * STALL_PERCENT_TRIPS
