"""What a run is about and how far its fleet is, as one line: the same words for every view."""

from model.status import FleetStatus, UpgradeStatus
from model.words import count


def way(status: UpgradeStatus, *, to: str = "→") -> str:
    """Return from where to where a run takes its cloud, such as ``2026.1 → 2026.2``, or that it reboots it."""
    if status.kind == "RollingReboot":
        return f"{status.source} rolling reboot"
    return f"{status.source} {to} {status.target}"


def fleet_line(fleet: FleetStatus) -> str:
    """Return how far a rolling reboot is."""
    parts = [
        f"wave {fleet.wave} of {fleet.waves}",
        f"hosts done {fleet.done}, in work {fleet.working}, left {fleet.left}",
    ]
    if fleet.guests:
        parts.append(f"{fleet.guests_left} of {count(fleet.guests, 'move')} of guests left")
    if fleet.exposed:
        parts.append(f"exposed: {', '.join(fleet.exposed)}")
    return " · ".join(parts)
