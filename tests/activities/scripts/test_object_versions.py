"""The program that asks nova's code what it knows; nova's classes are stood in for."""

from types import SimpleNamespace
from typing import Any

import pytest

from activities.scripts.object_versions import reachable


def to(kind: str, subclasses: bool = False) -> Any:
    """Return a field that holds an object."""
    return SimpleNamespace(_type=SimpleNamespace(_obj_name=kind, _subclasses=subclasses))


def many(of: Any) -> Any:
    """Return a field that holds a list or a mapping."""
    return SimpleNamespace(_type=SimpleNamespace(_element_type=of))


class Device:
    fields: dict[str, Any] = {"bus": to("Bus")}


class NetworkDevice(Device):
    fields = {"vlan": to("Vlan")}


def kind(**fields: Any) -> Any:
    return SimpleNamespace(fields=fields)


PLAIN = SimpleNamespace(_type=SimpleNamespace())
KINDS: dict[str, Any] = {
    "Spec": kind(id=PLAIN, image=to("Image"), hints=many(many(PLAIN)), groups=many(many(to("Group")))),
    "Image": kind(spec=to("Spec"), unknown=to("NotRegistered")),
    "Group": kind(),
    "Metadata": kind(devices=many(to("Device", subclasses=True))),
    "Device": Device,
    "NetworkDevice": NetworkDevice,
    "Bus": type("Bus", (), {"fields": {}}),
    "Vlan": type("Vlan", (), {"fields": {}}),
    "Migration": type("Migration", (), {"fields": {}}),
}
for name in ("Spec", "Image", "Group", "Metadata"):
    KINDS[name] = type(name, (), {"fields": KINDS[name].fields})


@pytest.mark.parametrize(
    ("roots", "found"),
    [
        (["Spec"], ["Group", "Image", "Spec"]),
        (["Metadata"], ["Bus", "Device", "Metadata", "NetworkDevice", "Vlan"]),
        (["Group", "--config-file", "Gone"], ["Group"]),
        ([], []),
    ],
)
def test_what_stored_kinds_contain(roots: list[str], found: list[str]) -> None:
    assert reachable(roots, KINDS) == found
