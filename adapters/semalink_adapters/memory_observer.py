"""An observer that remembers what it is told; for tests."""


class MemorySubmitObserver:
    """A SubmitObserver that keeps each call."""

    def __init__(self) -> None:
        #: Lane and seconds since acceptance, for each message that was about to leave.
        self.hand_overs: list[tuple[str, float]] = []
        #: Aggregator, seconds and result of each call.
        self.submissions: list[tuple[str, float, str]] = []

    def handed_over(self, lane: str, seconds: float) -> None:
        """Remember that a message is about to leave."""
        self.hand_overs.append((lane, seconds))

    def submitted(self, aggregator: str, seconds: float, result: str) -> None:
        """Remember how a call ended."""
        self.submissions.append((aggregator, seconds, result))


class MemoryPollObserver:
    """A PollObserver that keeps each call."""

    def __init__(self) -> None:
        #: Aggregator and result of each question.
        self.questions: list[tuple[str, str]] = []
        #: The aggregator of each message that was given up.
        self.time_outs: list[str] = []

    def report_asked_for(self, aggregator: str, result: str) -> None:
        """Remember what a question brought."""
        self.questions.append((aggregator, result))

    def report_timed_out(self, aggregator: str) -> None:
        """Remember that a message was given up."""
        self.time_outs.append(aggregator)
