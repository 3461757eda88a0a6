"""What a host says of its boot, and does when it is ordered to boot anew: the scripts of ``activities.boot``."""

from collections.abc import Callable

from model.components import COMPUTE_UNIT
from simulator.boots import COMPUTE_ID
from simulator.cloud import SimCloud
from simulator.faults import Fault, ReturnsAs
from simulator.host import HOLD, REBOOT_REQUIRED, Host

Say = Callable[[str], None]
# Seconds after which an ordered reboot begins.
_DELAY = 1.0


def read(host: Host, record: str) -> str:
    """Return what ``boot_command`` prints."""
    lines = [f"B {host.boot_id}", f"H {host.hostname}", f"K {host.kernel}"]
    lines += [f"I {kernel}" for kernel in sorted(host.kernels)]
    if REBOOT_REQUIRED in host.files:
        packages = host.files.get(f"{REBOOT_REQUIRED}.pkgs", "the package manager\n")
        lines += [f"P {name}" for name in sorted(set(packages.split("\n")) - {""})]
    lines += [f"D {process}" for process in sorted(host.stale)]
    if identity := host.files.get(COMPUTE_ID):
        lines.append(f"C {identity.strip()}")
    lines.append(f"S {_state(host)}")
    if host.is_held(COMPUTE_UNIT):
        lines.append("X held")
    if before := host.files.get(f"{record}/boot"):
        lines += [f"O {before.strip()}", f"N {host.files[f'{record}/name'].strip()}"]
        ran = host.files[f"{record}/units"].split()
        lines += [f"W {unit}" for unit in ran if unit != f"{COMPUTE_UNIT}.service" and not _runs(host, unit)]
    return "".join(f"{line}\n" for line in lines)


def order(cloud: SimCloud, host: Host, values: dict[str, str], fault: Fault | None, say: Say) -> None:
    """Do what ``reboot_script`` does: keep what the host was, hold nova-compute back, and boot a moment later."""
    record, seen = values["record"], values["seen"]
    if host.boot_id != seen:
        say(f"it has been booted in the meantime: {host.boot_id}")
        return
    running = [name for name, unit in host.units.items() if unit.running]
    running += [name for name, runs in host.others.items() if runs]
    host.files[f"{record}/units"] = "".join(f"{name}.service\n" for name in sorted(running))
    host.files[f"{record}/name"] = f"{host.hostname}\n"
    host.files[f"{record}/boot"] = f"{host.boot_id}\n"
    host.files[f"{HOLD}/{COMPUTE_UNIT}"] = ""
    cloud.spawn(_later(cloud, host, fault if isinstance(fault, ReturnsAs) else None))
    say(f"reboots in a second; until now it ran boot {seen}")


async def _later(cloud: SimCloud, host: Host, fault: ReturnsAs | None) -> None:
    await cloud.clock.sleep(_DELAY)
    await cloud.reboot(host, fault)


def release(host: Host) -> None:
    """Do what ``release_script`` does before it starts the unit."""
    host.files.pop(f"{HOLD}/{COMPUTE_UNIT}", None)


def _state(host: Host) -> str:
    """What ``systemctl is-system-running`` says."""
    if host.booting:
        return "starting"
    failed = [unit.name for unit in host.units.values() if unit.active == "failed"]
    return "degraded" if failed or not all(host.others.values()) else "running"


def _runs(host: Host, unit: str) -> bool:
    name = unit.removesuffix(".service")
    return host.units[name].running if name in host.units else host.others.get(name, False)
