"""What is known about OpenStack releases: their order, versions, and which steps between them are supported.

Sources: openstack/releases ``deliverables/`` and ``data/series_status.yaml``; nova ``nova/objects/service.py``
(``SERVICE_VERSION``, ``SERVICE_VERSION_ALIASES``) and ``nova/compute/manager.py`` (RPC target) of each release.
"""

from collections.abc import Mapping
from typing import Any

from model.base import Record


class UnsupportedStepError(ValueError):
    """A pair of releases that cannot be rolled in one upgrade."""


class Release(Record):
    """One OpenStack series.

    Attributes:
        id: the release id, such as ``2026.1``.
        name: the series' code name.
        slurp: whether the release is a SLURP (skip-level) release.
        versions: the version of each service that this project installs.
        nova_service_version: ``nova.objects.service.SERVICE_VERSION``.
        nova_compute_rpc: the compute RPC version that ``[upgrade_levels] compute=auto`` may use at the newest.
    """

    id: str
    name: str
    slurp: bool
    versions: dict[str, str]
    nova_service_version: int
    nova_compute_rpc: str


def _release(id_: str, name: str, versions: tuple[str, str, str, str], service: int, rpc: str) -> Release:
    keystone, placement, glance, nova = versions
    return Release(
        id=id_,
        name=name,
        slurp=id_.endswith(".1"),
        versions={"keystone": keystone, "placement": placement, "glance": glance, "nova": nova},
        nova_service_version=service,
        nova_compute_rpc=rpc,
    )


RELEASES: dict[str, Release] = {
    release.id: release
    for release in (
        _release("2024.1", "caracal", ("25.0.0", "11.0.0", "28.0.0", "29.0.1"), 66, "6.3"),
        _release("2024.2", "dalmatian", ("26.0.0", "12.0.0", "29.0.0", "30.0.0"), 67, "6.3"),
        _release("2025.1", "epoxy", ("27.0.0", "13.0.0", "30.0.0", "31.0.0"), 68, "6.4"),
        _release("2025.2", "flamingo", ("28.0.0", "14.0.0", "31.0.0", "32.1.0"), 70, "6.4"),
        _release("2026.1", "gazpacho", ("29.0.1", "15.0.0", "32.0.0", "33.0.1"), 72, "6.5"),
        _release("2026.2", "hibiscus", ("30.0.0", "16.0.0", "33.0.0", "34.0.0"), 74, "6.5"),
    )
}


def find_release(release_id: str) -> Release:
    """Return the release with this id.

    Raises:
        UnsupportedStepError: if no such release is known.
    """
    try:
        return RELEASES[release_id]
    except KeyError:
        known = ", ".join(RELEASES)
        raise UnsupportedStepError(f"unknown release {release_id!r}; known releases: {known}") from None


def release_of(service: str, version: str) -> Release | None:
    """Return the release to whose series a version of a service belongs; None when none is known."""
    major = version.partition(".")[0]
    found = (one for one in RELEASES.values() if one.versions.get(service, "").partition(".")[0] == major)
    return next(found, None)


def check_versions(target_id: str, versions: Mapping[Any, str]) -> None:
    """Refuse versions that are not of the target's series.

    Raises:
        UnsupportedStepError: with the first one.
    """
    for service, version in versions.items():
        found = release_of(service, version)
        if found is None or found.id != target_id:
            series = f"of {found.id}" if found else "of no known release"
            own = RELEASES[target_id].versions.get(service, "") if target_id in RELEASES else ""
            raise UnsupportedStepError(
                f"{service} {version} is {series}, and {target_id} is wanted: choose one like {own or 'its own'}"
            )


def check_step(source_id: str, target_id: str, *, point_releases: bool = False) -> None:
    """Refuse a pair of releases that cannot be rolled with mixed versions.

    With point releases a cloud may also stay in its series.

    A rolling upgrade has both releases at work at the same time, which the services test between neighbours only;
    SLURP to SLURP is promised for upgrades in general, not for a mixed control plane
    (openstack/governance ``resolutions/20220210-release-cadence-adjustment.rst``).

    Raises:
        UnsupportedStepError: with the way that would be possible.
    """
    source, target = find_release(source_id), find_release(target_id)
    order = list(RELEASES)
    distance = order.index(target.id) - order.index(source.id)
    if distance == 1 or (distance == 0 and point_releases):
        return
    if distance == 0:
        raise UnsupportedStepError(
            f"the cloud is at {source.id} already; choose a later release as the target, or say in versions which "
            "point releases it should run"
        )
    if distance < 0:
        raise UnsupportedStepError(f"{source.id} to {target.id} goes backwards; choose a later release as the target")
    way = " to ".join(order[order.index(source.id) : order.index(target.id) + 1])
    raise UnsupportedStepError(
        f"{source.id} to {target.id} skips {distance - 1} release(s), and a rolling upgrade runs both releases side by "
        f"side, which is supported between neighbours only; go {way}, one upgrade each"
    )
