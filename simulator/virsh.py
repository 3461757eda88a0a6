"""What virsh prints of a machine's last job, as libvirt 9.0 has it."""

from simulator.machines import Machine

_ARRIVED = """\
Job type:         Completed   \n\
Operation:        Incoming migration
Time elapsed:     {elapsed:<12.0f} ms
Time elapsed w/o network: {elapsed:<12.0f} ms
Total downtime:   {downtime:<12.0f} ms
Downtime w/o network: {downtime:<12.0f} ms
Setup time:       1            ms

"""
_NONE = f"Job type:         {'None':<12}\n\n"


def completed_job(machine: Machine | None, guest: str, *, up: bool) -> str:
    """Return what ``domjobinfo --completed`` says of a machine of a host; ``up``: whether libvirtd answers."""
    if not up:
        return "error: failed to connect to the hypervisor\n"
    if machine is None:
        return f"error: failed to get domain '{guest}'\n"
    if machine.arrival is None:
        return _NONE
    elapsed, downtime = machine.arrival
    return _ARRIVED.format(elapsed=elapsed * 1000, downtime=downtime * 1000)
