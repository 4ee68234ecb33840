"""How fast a month goes by, and who is told."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """Rows a second at most, and what is told how many went by."""

    rate: int | None = None
    tell: Callable[[int], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    _began: float = field(default_factory=time.monotonic)
    _rows: int = 0

    def keep(self, row_count: int) -> None:
        """Tell of so many rows, and pause until they were due."""
        self.tell(row_count)
        self._rows += row_count
        if self.rate is not None:
            left = self._rows / self.rate - (time.monotonic() - self._began)
            if left > 0:
                self.sleep(left)
