"""What binds a guest to its host, so that it cannot be moved live: devices, secrets, disks.

Sources, in nova's own tree (33.0): ``nova/compute/api.py`` has what ``live_migrate`` and ``resize`` refuse
(``block_accelerators``, ``reject_legacy_vtpm_live_migration``, ``reject_sev_instances``); the administrator's guide has
PCI devices, virtual GPUs, emulated TPM and AMD SEV. Since 2024.1 virtual GPUs, and since 2025.1 PCI devices marked
``live_migratable``, can go live under conditions that no API shows: they count as bound.
"""

import re
from collections.abc import Mapping

from model.base import Record
from model.fleet import FleetGuest

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_PCI_NAMES = ("pci_passthrough:alias", "hw:pci_numa_affinity_policy")
# With a number for a group of their own, as in ``resources1:VGPU``.
_PCI = re.compile(r"^resources\w*:CUSTOM_(PCI|GPU|VGPU)_")
_VGPU = re.compile(r"^resources\w*:VGPU$")
_SEV = re.compile(r"^resources\w*:MEM_ENCRYPTION_CONTEXT$")
_BARE_METAL = re.compile(r"^resources\w*:CUSTOM_BAREMETAL")


class Binding(Record):
    """What binds a guest. ``cold``: whether it can be moved while it is off."""

    code: str
    reason: str
    cold: bool = True


def find_binding(guest: FleetGuest, max_local_disk_gb: int | None = None) -> Binding | None:
    """Return the strongest thing that binds a guest to its host; None when it can be moved live."""
    specs, image = guest.extra_specs, guest.image_properties
    disk = guest.local_disk_gb
    found = (
        (_has(specs, _BARE_METAL), "bare-metal", "it is a machine of its own (ironic)", False),
        (
            bool(specs.get("accel:device_profile")),
            "accelerator",
            "it has an accelerator (cyborg), with which nova moves no guest",
            False,
        ),
        (
            max_local_disk_gb is not None and disk > max_local_disk_gb,
            "local-disk-too-big",
            f"{disk} GB of local disk would be copied, of at most {max_local_disk_gb}",
            False,
        ),
        (_has_pci(specs), "pci", "it has a PCI device of its host", True),
        (_has(specs, _VGPU), "vgpu", "it has a virtual GPU", True),
        (_has_tpm(specs, image), "vtpm", "it has a TPM whose secret only its owner can unlock", True),
        (_is_encrypted(specs, image), "sev", "its memory is encrypted by the processor", True),
        (bool(specs.get("hw:pmem")), "pmem", "it has persistent memory of its host", True),
    )
    return next((Binding(code=code, reason=why, cold=cold) for is_so, code, why, cold in found if is_so), None)


def _has(specs: Mapping[str, str], name: re.Pattern[str]) -> bool:
    return any(name.match(spec) for spec in specs)


def _has_pci(specs: Mapping[str, str]) -> bool:
    return any(specs.get(name) for name in _PCI_NAMES) or _has(specs, _PCI)


def _has_tpm(specs: Mapping[str, str], image: Mapping[str, str]) -> bool:
    asked = any(specs.get(f"hw:tpm_{part}") or image.get(f"hw_tpm_{part}") for part in ("version", "model"))
    return asked and specs.get("hw:tpm_secret_security") != "host"


def _is_encrypted(specs: Mapping[str, str], image: Mapping[str, str]) -> bool:
    asked = (specs.get("hw:mem_encryption", ""), image.get("hw_mem_encryption", ""))
    return any(value.lower() in _TRUE for value in asked) or _has(specs, _SEV)
