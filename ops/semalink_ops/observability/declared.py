"""What a metric is declared with."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric can do."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric; the values of each label are few and known beforehand."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
