"""What is told of the availability while it is measured: when it is news for the run, and in how few words."""

from model.availability import AvailabilityResult
from model.outages import coarse
from model.status import AvailabilityNews
from model.words import count, duration

GOOD_NEWS_EVERY = 300.0
# Each news is a signal, and a run's history is limited: the more there have been since the last calm, the longer until
# the next one.
_EVERY = ((20, 0.4), (50, 2.0), (150, 10.0))
_SELDOM = 60.0
_SEGMENTS = 40


class Teller:
    """Decides what is news, and when."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._last: AvailabilityNews | None = None
        self._number = 0

    def due(self, news: AvailabilityNews) -> bool:
        """Whether the run is to be told now."""
        last = self._last
        if last is None:
            return news.baseline or bool(news.services)
        since = news.at - last.at
        if news.services != last.services or news.baseline != last.baseline or news.unobserved != last.unobserved:
            return since >= next((every for number, every in _EVERY if self._number < number), _SELDOM)
        return since >= GOOD_NEWS_EVERY

    def told(self, news: AvailabilityNews) -> None:
        """Take note that the run has been told."""
        calm = self._last is not None and news.at - self._last.at >= GOOD_NEWS_EVERY
        self._number = 0 if calm else self._number + 1
        self._last = news


def brief(result: AvailabilityResult) -> tuple[str, AvailabilityResult]:
    """Return a result in a few words, and small enough to be sent every few seconds."""
    sent, failed = sum(api.requests for api in result.apis), sum(api.failed for api in result.apis)
    text = f"{count(sent, 'request')}, {failed} failed"
    text += f", not observed for {duration(result.unobserved)}" if result.unobserved else ""
    apis = (
        api.model_copy(
            update={
                "track": api.track if len(api.track) <= _SEGMENTS else coarse(api.track, _SEGMENTS),
                "outages": api.outages[:5],
                "failures": api.failures[:3],
            }
        )
        for api in result.apis
    )
    return text, result.model_copy(update={"apis": tuple(apis)})
