"""What the handsets received: a ring of the last messages taken, with counters that go on."""

from collections.abc import Iterator
from dataclasses import dataclass

from semalink_ops.sandbox.magic_numbers import Act


@dataclass(frozen=True, slots=True)
class Order:
    """One message as a caller asked for it."""

    number: str
    text: str
    sender: str
    #: The caller's own id; empty where the wire format has none.
    client_id: str
    act: Act


@dataclass(slots=True)
class Taking:
    """One message that an aggregator took."""

    order: Order
    aggregator: str
    sequence: int
    reference: int
    #: How often this client id went to this number so far; 0 without a client id.
    count: int
    #: How often this text went to this number so far, by any aggregator.
    text_count: int
    #: Unix time.
    taken_at: float
    #: Time of the event loop.
    taken_at_tick: float
    #: Sequence of the message before, to the same number; 0 when there was none.
    previous: int
    #: What the last report said, pushed or not; None while there was none.
    status: str | None = None
    #: Unix time of that report.
    reported_at: float | None = None


@dataclass(slots=True)
class _Tally:
    count: int = 0
    last_sequence: int = 0


class Takings:
    """A ring: memory is flat however long it runs, and every look-up is direct."""

    def __init__(self, *, capacity: int, reference_base: int) -> None:
        assert capacity > 0, "a ring needs room for one"
        self._capacity = capacity
        self._reference_base = reference_base
        self._last_sequence = 0
        self._forget_all()

    def _forget_all(self) -> None:
        self._slots: list[Taking | None] = [None] * self._capacity
        self._by_key: dict[tuple[str, str], _Tally] = {}
        self._by_text: dict[tuple[str, str], _Tally] = {}
        self._last_by_number: dict[str, int] = {}
        self.taken = 0
        self.held = 0
        self.duplicates = 0
        self.text_duplicates = 0

    def reset(self) -> None:
        """Forget every message; sequences and references go on, so that none repeats."""
        self._forget_all()

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest message; 0 before the first."""
        return self._last_sequence

    @property
    def first_sequence(self) -> int:
        """The sequence of the oldest message still held; one past the newest when none is."""
        return self._last_sequence - self.held + 1

    @property
    def handsets(self) -> int:
        """How many numbers have a message that is still held."""
        return len(self._last_by_number)

    def add(self, order: Order, *, aggregator: str, now: float, tick: float) -> Taking:
        """Record that a handset gets this message, and push the oldest one out of a full ring."""
        sequence = self._last_sequence = self._last_sequence + 1
        self._evict(sequence)
        taking = Taking(
            order=order,
            aggregator=aggregator,
            sequence=sequence,
            reference=self._reference_base + sequence,
            count=self._count(self._by_key, order.number, order.client_id, sequence),
            text_count=self._count(self._by_text, order.number, order.text, sequence),
            taken_at=now,
            taken_at_tick=tick,
            previous=self._last_by_number.get(order.number, 0),
        )
        self._last_by_number[order.number] = sequence
        self._slots[sequence % self._capacity] = taking
        self.taken += 1
        self.held += 1
        self.duplicates += taking.count > 1
        self.text_duplicates += taking.text_count > 1
        return taking

    @staticmethod
    def _count(tallies: dict[tuple[str, str], _Tally], number: str, key: str, sequence: int) -> int:
        if not key:
            return 0
        tally = tallies.setdefault((number, key), _Tally())
        tally.count += 1
        tally.last_sequence = sequence
        return tally.count

    def _evict(self, sequence: int) -> None:
        old = self._slots[sequence % self._capacity]
        if old is None:
            return
        self.held -= 1
        number = old.order.number
        if self._last_by_number.get(number) == old.sequence:
            del self._last_by_number[number]
        for tallies, key in ((self._by_key, old.order.client_id), (self._by_text, old.order.text)):
            tally = tallies.get((number, key))
            if tally is not None and tally.last_sequence == old.sequence:
                del tallies[(number, key)]

    def _at(self, sequence: int) -> Taking | None:
        taking = self._slots[sequence % self._capacity]
        return taking if taking is not None and taking.sequence == sequence else None

    def by_reference(self, reference: int) -> Taking | None:
        """Find a message by the id that its caller was given."""
        return self._at(reference - self._reference_base)

    def of_handset(self, number: str) -> list[Taking]:
        """List what one handset received, oldest first."""
        received = []
        taking = self._at(self._last_by_number.get(number, 0))
        while taking is not None:
            received.append(taking)
            taking = self._at(taking.previous)
        received.reverse()
        return received

    def since(self, sequence: int) -> Iterator[Taking]:
        """Walk through what was taken after a sequence, oldest first."""
        for position in range(max(sequence + 1, self.first_sequence), self._last_sequence + 1):
            taking = self._at(position)
            if taking is not None:
                yield taking
