"""For tests without polled messages."""

from arq import PollFailed, ReplyToJudge


class NoPolls:
    """Nobody knows the meaning of replies to polled messages, as there are none."""

    def judge(self, event: ReplyToJudge) -> None:
        raise AssertionError(event)

    def failed(self, event: PollFailed) -> None:
        raise AssertionError(event)
