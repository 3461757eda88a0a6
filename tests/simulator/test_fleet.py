"""A fleet is what its settings say, and the same each time."""

from collections import Counter

import pytest
from pydantic import ValidationError

from cli.documents import BadInputError
from cli.load import load_reboot
from cli.sim import load_settings
from simulator.catalog import BIG
from simulator.cloud import SimCloud
from simulator.host import KERNEL, REBOOT_REQUIRED
from simulator.outputs import write
from simulator.settings import FleetSpec, SimSpec

WIDE = FleetSpec(
    zones=3,
    racks=2,
    big=0.5,
    ssd=0.25,
    updated=0.5,
    load="60%",
    spread=0.1,
    sizes={"small": 3, "medium": 2, "large": 1, "ssd": 1},
    groups=0.3,
    states={"SHUTOFF": 0.1, "PAUSED": 0.1, "locked": 0.1, "tagged": 0.2, "pinned": 0.3, "volume": 0.2, "busy": 0.1},
)


@pytest.fixture(scope="module")
def cloud() -> SimCloud:
    return SimCloud(SimSpec(compute=12, fleet=WIDE))


def test_it_breaks_no_rule(cloud: SimCloud) -> None:
    assert cloud.truth.audit() == []


def test_hosts_have_sizes_and_places(cloud: SimCloud) -> None:
    nova = cloud.nova
    assert Counter(nova.zone_of(host) for host in nova.providers) == {"az1": 4, "az2": 4, "az3": 4}
    assert [(one.name, len(one.hosts)) for one in nova.aggregates if one.zone is None] == [("rack1", 6), ("rack2", 6)]
    assert sum(cloud.hosts[host].size.ram == BIG.ram for host in nova.providers) == 6
    assert sum("STORAGE_DISK_SSD" in nova.traits(host) for host in nova.providers) == 3
    waiting = [host for host in nova.providers if REBOOT_REQUIRED in cloud.hosts[host].files]
    assert len(waiting) == 6
    assert {cloud.hosts[host].kernel for host in waiting} == {KERNEL}


def test_hosts_are_as_full_as_was_asked_for(cloud: SimCloud) -> None:
    nova = cloud.nova
    shares = [nova.used(p)["MEMORY_MB"] / nova.room(host)["MEMORY_MB"] for host, p in nova.providers.items()]
    assert 0.45 < min(shares) < max(shares) < 0.75
    assert sum(shares) / len(shares) == pytest.approx(0.6, abs=0.08)


def test_guests_are_of_many_kinds(cloud: SimCloud) -> None:
    guests = list(cloud.nova.guests.values())
    assert len({guest.flavor.name for guest in guests}) >= 4
    ssd = [guest for guest in guests if guest.flavor.name == "ssd"]
    assert ssd
    assert all("STORAGE_DISK_SSD" in cloud.nova.traits(guest.host or "") for guest in ssd)
    shares = {
        "SHUTOFF": sum(guest.status == "SHUTOFF" for guest in guests),
        "PAUSED": sum(guest.status == "PAUSED" for guest in guests),
        "locked": sum(guest.locked for guest in guests),
        "tagged": sum(guest.tags == ["stackroll:drain=stop"] for guest in guests),
        "pinned": sum(guest.zone == cloud.nova.zone_of(guest.host or "") for guest in guests),
        "volume": sum(guest.image is None and len(guest.volumes) == 1 for guest in guests),
        "busy": sum(guest.dirty > 0 for guest in guests),
    }
    for kind, count in shares.items():
        assert count / len(guests) == pytest.approx(WIDE.states[kind], abs=0.08), kind  # type: ignore[index]


def test_groups_are_spread_within_a_zone(cloud: SimCloud) -> None:
    nova = cloud.nova
    members = [nova.guests[id_] for group in nova.groups.values() for id_ in group.members]
    assert len(members) / len(nova.guests) == pytest.approx(0.3, abs=0.05)
    for group in nova.groups.values():
        hosts = {nova.guests[id_].host or "" for id_ in group.members}
        assert (len(hosts), len({nova.zone_of(host) for host in hosts})) == (3, 1)


def test_the_same_settings_make_the_same_fleet(cloud: SimCloud) -> None:
    def places(one: SimCloud) -> list[tuple[str, str | None, str, str]]:
        return [(guest.id, guest.host, guest.flavor.name, guest.status) for guest in one.nova.guests.values()]

    assert places(SimCloud(SimSpec(compute=12, fleet=WIDE))) == places(cloud)
    other = WIDE.model_copy(update={"seed": 2})
    assert places(SimCloud(SimSpec(compute=12, fleet=other))) != places(cloud)


def test_settings_are_read_from_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("sim") / "sim.yaml"
    path.write_text("compute: 40\nfleet:\n  zones: 2\n  load: 70%\n  states: {SHUTOFF: 0.1}\n")
    spec = load_settings(path)
    assert (spec.compute, spec.fleet.zones, spec.fleet.load, spec.fleet.states) == (40, 2, "70%", {"SHUTOFF": 0.1})
    path.write_text("compute: 40\nfleet:\n  zones: 0\n")
    with pytest.raises(BadInputError, match=r"sim.yaml:3: .*zones"):
        load_settings(path)


def test_what_no_fleet_is() -> None:
    for wrong in ({"load": "160%"}, {"sizes": {"huge": 1}}, {"states": {"SLEEPING": 0.5}}, {"groups": 2}):
        with pytest.raises(ValidationError):
            FleetSpec.model_validate(wrong)


def test_a_reboot_can_be_ordered_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("sim")
    write(folder, SimSpec(compute=12))
    for name in ("id_ed25519", "known_hosts"):
        (folder / name).touch(mode=0o600)
    request = load_reboot(folder / "reboot.yaml")
    assert (len(request.compute_hosts), request.spec.max_unavailable) == (12, 2)
