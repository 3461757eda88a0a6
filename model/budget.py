"""Whether the error budget is spent, and the words for it."""

from model.account import exact_clock
from model.availability_spec import ErrorBudget
from model.status import AvailabilityNews, ServiceNews
from model.words import count, duration

TOGETHER = "all services"


class Spent(dict[str, tuple[float, int]]):
    """How much of the budget has been used, by service: seconds down, and failed requests."""


def used(budget: ErrorBudget, news: AvailabilityNews) -> Spent:
    """Return what has been used of a budget."""
    if budget.per == "cloud":
        return Spent({TOGETHER: (news.down, sum(one.failed for one in news.services))})
    return Spent({one.service: (one.downtime, one.failed) for one in news.services})


def overspent(budget: ErrorBudget, news: AvailabilityNews, forgiven: Spent) -> str:
    """Say which service has used more than its budget, when, and by which requests; empty when none has.

    ``forgiven`` is what had been used when an operator let the run go on: from then on the whole budget is there anew.
    """
    for service, (downtime, failed) in used(budget, news).items():
        before = forgiven.get(service, (0.0, 0))
        down, requests = downtime - before[0], failed - before[1]
        over = []
        if budget.downtime is not None and down > budget.downtime:
            over.append(f"{_exact(down)} down, {_exact(budget.downtime)} allowed")
        if budget.failed_requests is not None and requests > budget.failed_requests:
            over.append(f"{count(requests, 'failed request')}, {budget.failed_requests} allowed")
        if over:
            return f"error budget of {service} spent: {'; '.join(over)}. {_last(service, news)}"
    return ""


def _exact(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds < 60 else duration(seconds)


def _last(service: str, news: AvailabilityNews) -> str:
    named = [one for one in news.services if one.failed and service in (TOGETHER, one.service)]
    return "; ".join(_about(one) for one in named)


def _about(one: ServiceNews) -> str:
    since = f", down since {exact_clock(one.down_since)} UTC" if one.down_since is not None else ""
    return f"{one.service}: {count(one.failed, 'failed request')}{since}, the newest {one.last_failure}"


def line(news: AvailabilityNews) -> str:
    """Say in one line what has been seen until now."""
    failed = sum(one.failed for one in news.services)
    slow = sum(one.slow for one in news.services)
    parts = [f"{one.service} DOWN since {exact_clock(one.down_since)}" for one in news.services if one.down_since]
    parts.append(f"{news.requests:,} requests, {f'{failed:,} failed' if failed else 'none failed'}")
    if failed:
        worst = max(news.services, key=lambda one: one.downtime)
        parts.append(f"{worst.service} down {_exact(worst.downtime)} in all")
    parts += [f"{slow:,} slow"] if slow else []
    parts += [f"not observed for {duration(news.unobserved)}"] if news.unobserved else []
    return ", ".join(parts)
