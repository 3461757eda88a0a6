"""Hosts as systemd-nspawn machines: start, end, look at."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.lab import cgroups, launcher, libvirt, network, overlay
from deploy.lab.command import in_parallel, ssh, wait
from deploy.lab.settings import Host, Paths


def bind_options(paths: Paths, host: Host) -> list[str]:
    """Return the nspawn options that give a host its mounts from this machine, and what its hypervisor needs."""
    if host.kind == "infra":
        return []
    binds = [f"--bind-ro={paths.repository}:/srv/openstack", f"--bind={paths.uv_cache}:/var/cache/uv"]
    if host.kind == "control":
        binds += [
            f"--bind={paths.shared / 'keys'}:/etc/keystone/keys",
            f"--bind={paths.shared / 'images'}:/var/lib/glance",
        ]
    if host.hypervisor == "qemu":
        binds += libvirt.NSPAWN_OPTIONS
    return binds


def nspawn_command(paths: Paths, host: Host) -> list[str]:
    """Return the command line that boots a host."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={paths.host(host.name) / 'root'}",
        f"--machine={host.name}",
        f"--network-namespace-path=/run/netns/{network.namespace(host.name)}",
        # No machined and no unit of this machine's systemd: the lab also runs where that is not process 1.
        "--register=no",
        "--keep-unit",
        "--kill-signal=SIGRTMIN+3",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--console=pipe",
        *bind_options(paths, host),
    ]


def running(host: Host) -> bool:
    """Tell whether the host runs under its launcher; without one nobody would boot it again after a reboot."""
    return any(_is_launcher(pid) for pid in cgroups.processes(host.name))


def _is_launcher(pid: int) -> bool:
    try:
        return launcher.__file__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def start(paths: Paths, host: Host, chain: Sequence[Path]) -> None:
    """Boot a host on a chain of layers; it is not up yet when this returns."""
    if running(host):
        # A save that was killed half-way may have left it frozen.
        cgroups.freeze(host.name, False)
        return
    cgroups.kill(host.name)
    overlay.mount(paths.host(host.name), chain)
    network.create_bridge()
    network.connect(host)
    cgroups.create(host.name)
    log = paths.state / "logs" / f"{host.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    groups = [str(tree) for tree in cgroups.trees(host.name)]
    launch = [sys.executable, "-I", str(Path(launcher.__file__)), *groups, "--", *nspawn_command(paths, host)]
    with log.open("a") as output:
        subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", *launch],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(paths: Paths, host: Host) -> None:
    """End a host as a power failure would, and unmount its root; its files stay."""
    cgroups.kill(host.name)
    overlay.unmount(paths.host(host.name))


def boot_all(paths: Paths, hosts: Sequence[Host], chains: dict[str, list[Path]]) -> None:
    """Boot hosts and wait until each lets root in over SSH.

    Raises:
        LabError: One of them did not come up.
    """
    network.create_bridge()
    for host in hosts:
        start(paths, host, chains[host.name])
    in_parallel(lambda host: wait_ssh(paths, host), hosts, workers=4)


def wait_ssh(paths: Paths, host: Host, timeout: float = 60) -> None:
    """Wait until root can log in on a host."""

    def probe() -> str:
        with socket.create_connection((host.address, 22), timeout=2):
            pass
        ssh(paths, host, "true", timeout=15)
        return ""

    log = paths.state / "logs" / f"{host.name}.log"
    wait(f"SSH on {host.name}", probe, timeout=timeout, remedy=f"its console is in {log}")


def remove_all(paths: Paths) -> None:
    """Remove every machine of the lab from this machine: processes, mounts, namespaces, cgroups, the bridge."""
    directories = {path.name for path in (paths.state / "hosts").glob("*")}
    for name in sorted(directories | cgroups.all_hosts() | network.namespaces()):
        cgroups.kill(name)
        overlay.unmount(paths.host(name))
        network.disconnect(name)
        cgroups.remove(name)
    overlay.unmount_all()
    network.remove_bridge()
