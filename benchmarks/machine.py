"""How long the DAG machine takes to walk a fleet: ``python -m benchmarks.machine [HOSTS ...]``."""

import sys
import time

from workflows.dag import Machine, Node

STEPS = ("install", "disable", "drain", "switch", "verify", "enable")


def fleet(hosts: int) -> list[Node]:
    """Chains of six steps, one for each host."""
    return [
        Node(f"h{host}/{step}", (f"h{host}/{STEPS[at - 1]}",) if at else (), "hosts" if not at else None)
        for host in range(hosts)
        for at, step in enumerate(STEPS)
    ]


def walk(hosts: int) -> float:
    """Return the seconds that a whole walk takes, with ten chains begun at a time."""
    machine = Machine(fleet(hosts), {"hosts": 10})
    began = time.perf_counter()
    while not machine.finished:
        for id_ in machine.startable():
            machine.start(id_)
            machine.succeed(id_)
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each size."""
    for hosts in [int(word) for word in sys.argv[1:]] or [10, 100, 300]:
        seconds = walk(hosts)
        steps = hosts * len(STEPS)
        print(f"{hosts:6} hosts {steps:7} steps {seconds:8.3f} s {seconds / steps * 1e6:8.1f} us a step")


if __name__ == "__main__":
    main()
