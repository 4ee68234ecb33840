"""Advisory locks are numbers: two places that chose the same one keep each other out."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

_NUMBER = re.compile(r"LOCK = (7_230_[0-9]{3})\b")


def test_every_lock_has_a_number_of_its_own(sources: Sequence[Any]) -> None:
    numbers = Counter(number for source in sources for number in _NUMBER.findall(source.text))

    assert len(numbers) >= 4
    assert [number for number, count in numbers.items() if count > 1] == []
