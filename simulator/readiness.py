"""What a host says of its own state before an upgrade, and who listens on the message queue."""

import re

from model.components import COMPUTE_UNIT
from model.releases import RELEASES
from simulator.cloud import SimCloud
from simulator.host import REBOOT_REQUIRED, Host
from simulator.settings import REPOSITORY

REPOSITORY_CHECK = "uv pip install --dry-run"
_OPTION = re.compile(r'^\[ ! -r \S+ \] \|\| echo "OP (\S+ \S+ \S+) ', re.MULTILINE)
_LOCK = re.compile(r"^lock (\w+) \S*?/([\d.]+)/\w+/requirements.txt", re.MULTILINE)
_LOCK_OF = re.compile(r'^lock (\w+) "\$\(lock_of \S*?/([\d.]+)/\w+ (\S+)\)"', re.MULTILINE)
_KEYS = re.compile(r"^keys (\w+) ", re.MULTILINE)
_DUMP_ROOM = 'echo "RM '


def state(host: Host, command: str) -> list[str]:
    """Return the lines that ``activities.readiness.parse_state`` reads, as far as the command asks for them."""
    lines = [f"ID {host.machine_id}", f"NT {host.synchronised}"]
    lines += ["RB yes"] if REBOOT_REQUIRED in host.files else []
    lines += [f"PK {package}" for package in sorted(host.broken)]
    lines += [f"V C {service}-{version}" for service, version in sorted(host.complete)]
    lines += [f"V T {service}-{version}" for service, version in sorted(host.torsos)]
    lines += [f"OP {option} {host.options.get(option, '')}" for option in _OPTION.findall(command)]
    lines += [f"KY {name} {host.keys[name][0]} {host.keys[name][1]}" for name in _KEYS.findall(command)]
    for service, release, version in _LOCK_OF.findall(command):
        place = f"{REPOSITORY}/{release}/{service}/{version}/requirements.txt"
        pin = version if place in host.files else RELEASES[release].versions[service]
        lines += [f"LK {service} {host.lock}", f"PN {service} {pin}"]
    for service, release in _LOCK.findall(command):
        lines += [f"LK {service} {host.lock}", f"PN {service} {RELEASES[release].versions[service]}"]
    lines += [f"RM /var/lib/stackroll {host.free_bytes}"] if _DUMP_ROOM in command else []
    return lines


def queues(cloud: SimCloud) -> str:
    """Return RabbitMQ's queues of nova and how many listen, as rabbitmqctl prints them."""
    listening: dict[str, int] = {}
    for host in cloud.hosts.values():
        for unit in host.units.values():
            queue = {"nova-conductor": "conductor", "nova-scheduler": "scheduler"}.get(unit.name)
            queue = f"compute.{host.name}" if unit.name == COMPUTE_UNIT else queue
            if queue is not None:
                listening[queue] = listening.get(queue, 0) + int(host.up and unit.running)
    return "".join(f"Q {queue}\t{number}\n" for queue, number in listening.items())
