"""Which point releases mend what is exposed, from what the repository has."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from packaging.version import InvalidVersion, Version

from model.advisories.documents import Advisory, Affected
from model.advisories.exposure import Exposure, mends, order
from model.advisories.reading import Candidate
from model.base import Record
from model.releases import release_of


class Pick(StrEnum):
    """Which of several versions that mend everything is taken."""

    LOWEST = "lowest"
    NEWEST = "newest"


class Remedy(Record):
    """What a security run installs.

    Attributes:
        versions: by service.
        mended: by service, the advisories that this mends.
        left: advisories that the repository has nothing against, by service; ``service: why``.
    """

    versions: dict[str, str] = {}
    mended: dict[str, tuple[str, ...]] = {}
    left: dict[str, dict[str, str]] = {}


def choose(exposure: Exposure, repository: Iterable[Candidate], pick: Pick = Pick.LOWEST) -> Remedy:
    """Choose for each exposed service the version of the cloud's series that mends most; of several, as asked.

    No version is lower than what runs anywhere: a security run never goes back.
    """
    versions: dict[str, str] = {}
    mended: dict[str, tuple[str, ...]] = {}
    left: dict[str, dict[str, str]] = {}
    known = tuple(repository)
    for service in dict.fromkeys(one.service for one in exposure.exposed):
        asked = _asked(exposure, service)
        candidates = _candidates(exposure, service, known)
        best = _best(service, candidates, asked, pick)
        done = tuple(id_ for id_, affected in asked.items() if best and all(mends(best, service, a) for a in affected))
        if best is not None and done:
            versions[service], mended[service] = best.version, done
        lacking = [id_ for id_ in asked if id_ not in done]
        if lacking:
            left[service] = {id_: _why(exposure, id_, service) for id_ in lacking}
    return Remedy(versions=versions, mended=mended, left=left)


def _asked(exposure: Exposure, service: str) -> dict[str, tuple[Affected, ...]]:
    """Return by advisory what of it exposes a service."""
    exposed = {(one.advisory, one.product) for one in exposure.exposed if one.service == service}
    known: Sequence[Advisory] = exposure.advisories
    return {
        advisory.id: affected
        for advisory in known
        if (affected := tuple(one for one in advisory.affected if (advisory.id, one.product) in exposed))
    }


def _candidates(exposure: Exposure, service: str, repository: Sequence[Candidate]) -> list[Candidate]:
    floor = max(filter(None, map(_parsed, exposure.services.get(service, ()))), default=None)
    found = []
    for one in repository:
        version, release = _parsed(one.version), release_of(service, one.version)
        own = one.service == service and release is not None and release.id == exposure.release
        if own and version is not None and (floor is None or version >= floor):
            found.append(one)
    return sorted(found, key=order)


def _best(
    service: str, candidates: Sequence[Candidate], asked: dict[str, tuple[Affected, ...]], pick: Pick
) -> Candidate | None:
    def worth(one: Candidate) -> int:
        return sum(all(mends(one, service, affected) for affected in several) for several in asked.values())

    most = max(map(worth, candidates), default=0)
    best = [one for one in candidates if most and worth(one) == most]
    if not best:
        return None
    return best[0] if pick is Pick.LOWEST else best[-1]


def _why(exposure: Exposure, advisory: str, service: str) -> str:
    found = [one.fixed_in for one in exposure.exposed if (one.advisory, one.service) == (advisory, service)]
    return found[0] if found and found[0] else "no version that mends it is known"


def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None
