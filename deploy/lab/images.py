"""Read-only layers under the hosts' root file systems: built once, kept in the cache.

::

    base ─┬─ infra                      database, messaging, memcached, load balancer from Debian's packages
          ├─ nova RELEASE ── control    the virtual environments of a release, byte code included
          └─ libvirt                    below nova RELEASE on compute hosts that run QEMU guests

Beside them lies the guest image of a lab with QEMU, which is no layer but is built and kept in the same way.
"""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from deploy.lab import guest_image, libvirt, overlay, packages, templates
from deploy.lab.command import run
from deploy.lab.errors import LabError
from deploy.lab.prerequisites import no_autostart
from deploy.lab.settings import OPENSTACK_UID, SERVICES, Host, Paths, digest

SUITE = "bookworm"
_BASE = (
    "systemd,systemd-sysv,dbus,openssh-server,python3,iproute2,iputils-ping,procps,udev,ca-certificates,socat,libxml2,"
    "curl,sudo"
)
_INFRA = "mariadb-server rabbitmq-server memcached haproxy"
_INFRA_HINT = "check that this machine reaches its Debian mirror (apt-get update), then run it again"

_PREPARE_BASE = f"""
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
printf 'openstack:x:{OPENSTACK_UID}:{OPENSTACK_UID}::/var/lib/openstack:/usr/sbin/nologin\\n' >> /etc/passwd
printf 'openstack:x:{OPENSTACK_UID}:\\n' >> /etc/group
printf 'openstack:!:19000::::::\\n' >> /etc/shadow
mkdir -p /etc/keystone/keys /etc/placement /etc/glance /etc/nova /etc/uv /srv/openstack /opt/openstack/venvs \\
  /var/lib/openstack /var/lib/nova/lock /var/lib/glance /var/log/openstack /var/log/journal /var/cache/uv \\
  {packages.PYCACHE} /etc/systemd/journald.conf.d /etc/ssh/sshd_config.d /root/.ssh
chmod 700 /root/.ssh
# Logs of earlier boots must still be there after a reboot.
printf '[Journal]\\nStorage=persistent\\nSystemMaxUse=128M\\nRateLimitIntervalSec=0\\n' \\
  > /etc/systemd/journald.conf.d/lab.conf
printf 'UseDNS no\\nMaxStartups 200\\nMaxSessions 100\\nPermitRootLogin prohibit-password\\n' \\
  > /etc/ssh/sshd_config.d/lab.conf
# No container has these, and apt has nowhere to go.
systemctl mask -q systemd-udevd.service systemd-resolved.service systemd-timesyncd.service \\
  apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer getty.target console-getty.service
chown -R openstack:openstack /var/lib/openstack /var/lib/nova /var/lib/glance /var/log/openstack /var/cache/openstack
"""


def mirror() -> str:
    """Return the address of this machine's own mirror of the suite.

    Raises:
        LabError: apt knows none.
    """
    form = ["--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages", f"Codename: {SUITE}"]
    for line in run(["apt-get", "indextargets", *form]).stdout.splitlines():
        address, _, component = line.rpartition(" ")
        if component == "main":
            return address
    raise LabError(
        f"apt on this machine has no source for Debian {SUITE} main; next: add one to /etc/apt/sources.list.d"
    )


def acquire_settings(dump: str) -> str:
    """Pick from `apt-config dump` what apt inside a root needs to reach the same mirror: proxies, certificates."""
    wanted = re.compile(r"^Acquire::(https?|Check-|Retries|ForceIPv)", re.IGNORECASE)
    return "".join(f"{line}\n" for line in dump.splitlines() if wanted.match(line))


class Images:
    """Builds layers and names the chain of layers for each host."""

    def __init__(self, paths: Paths, release: str) -> None:
        self._paths = paths
        self._release = release
        base = digest(SUITE, _BASE, _PREPARE_BASE, packages.host_uv_config(), packages.uv_binary().stat().st_size)
        self.base = paths.layers / f"base-{base}"
        self.infra = paths.layers / f"infra-{digest(base, _INFRA)}"
        self.libvirt = paths.layers / f"libvirt-{digest(base, libvirt.PACKAGES, libvirt.PREPARE)}"
        guest = (guest_image.DOWNLOAD, guest_image.init_script(), guest_image.disk())
        self.guest = paths.layers / f"guest-{digest(base, *guest)}"
        self.nova = self._release_layer("nova", base, ("nova",))
        self.control = self._release_layer("control", self.nova.name, self._control_services)

    @property
    def _control_services(self) -> tuple[str, ...]:
        return tuple(service for service in SERVICES if service != "nova")

    def _release_layer(self, name: str, below: str, services: tuple[str, ...]) -> Path:
        content = [
            (
                packages.lock(self._release, service).read_text(),
                templates.release_files(self._release, service),
                _install_steps(self._release, service),
            )
            for service in services
        ]
        return self._paths.layers / f"{name}-{self._release}-{digest(below, content)}"

    def chain(self, host: Host) -> list[Path]:
        """Return the layers below a new host, topmost first."""
        above = {"infra": [self.infra], "control": [self.control, self.nova], "compute": [self.nova]}[host.kind]
        # Both stand on the base alone and have no file in common, so libvirt is built once for all releases.
        more = [self.libvirt] if host.hypervisor == "qemu" else []
        return [*above, *more, self.base]

    def drop_outdated(self, needed: set[Path]) -> None:
        """Delete layers that these replace, unless a lab or a saved state stands on them."""
        for layer in (self.base, self.infra, self.libvirt, self.guest, self.nova, self.control):
            kind = layer.name.rpartition("-")[0]
            for other in self._paths.layers.glob(f"{kind}-*"):
                if other.name.rpartition("-")[0] == kind and other != layer and other not in needed:
                    overlay.discard(other)

    def build_base(self) -> bool:
        """Make the base with debootstrap; tell whether that was necessary."""
        return self._build(self.base, self._debootstrap)

    def build_infra(self) -> bool:
        """Install the infrastructure packages into a layer; tell whether that was necessary."""
        return self._build(self.infra, lambda work: self._layer(work, [self.base], self._apt(_INFRA)))

    def build_libvirt(self) -> bool:
        """Install QEMU and libvirt into a layer; tell whether that was necessary."""
        fill = self._apt(libvirt.PACKAGES, libvirt.PREPARE)
        return self._build(self.libvirt, lambda work: self._layer(work, [self.base], fill))

    def build_guest(self) -> bool:
        """Make the guest's kernel, initramfs and disk; tell whether that was necessary."""
        return self._build(self.guest, self._guest)

    def build_release(self) -> bool:
        """Install the virtual environments of the release into layers; tell whether that was necessary."""
        made = self._build(self.nova, lambda work: self._layer(work, [self.base], self._install("nova")))
        below = [self.nova, self.base]
        more = self._build(self.control, lambda work: self._layer(work, below, self._install(*self._control_services)))
        return made or more

    def _build(self, target: Path, make: Callable[[Path], Path]) -> bool:
        """Make a layer beside its place and move it there when it is whole."""
        if target.exists():
            return False
        work = self._paths.layers / f".{target.name}"
        overlay.unmount(work)
        overlay.discard(work)
        work.mkdir(parents=True)
        made = make(work)
        made.rename(target)
        overlay.discard(work)
        return True

    def _debootstrap(self, work: Path) -> Path:
        root = work / "root"
        debs = self._paths.cache / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        line = [
            "debootstrap",
            "--variant=minbase",
            f"--cache-dir={debs}",
            f"--include={_BASE}",
            SUITE,
            str(root),
            mirror(),
        ]
        run(line, timeout=1800, remedy=_INFRA_HINT)
        (root / "usr/local/bin/uv").write_bytes(packages.uv_binary().read_bytes())
        (root / "usr/local/bin/uv").chmod(0o755)
        run(["chroot", str(root), "sh", "-es"], stdin=_PREPARE_BASE)
        (root / "etc/uv/uv.toml").write_text(packages.host_uv_config())
        return root

    def _layer(self, work: Path, chain: list[Path], fill: Callable[[Path], None]) -> Path:
        with overlay.scratch(work, chain) as root:
            fill(root)
        return work / "upper"

    def _guest(self, work: Path) -> Path:
        with overlay.scratch(work, [self.base]) as root:
            self._with_apt(root, guest_image.DOWNLOAD)
            guest_image.write(root / "guest" / "root", work / "image")
        return work / "image"

    def _apt(self, names: str, then: str = "") -> Callable[[Path], None]:
        """Return what installs Debian packages into a root, and then runs a script there."""
        script = (
            "export DEBIAN_FRONTEND=noninteractive\napt-get update -qq\n"
            f"apt-get install -y -qq --no-install-recommends {names}\nrm -rf /var/lib/apt/lists/*"
        )
        return lambda root: self._with_apt(root, f"{script}\n{then}" if then else script)

    def _with_apt(self, root: Path, script: str) -> None:
        """Run a script in a root whose apt reaches the mirror of this machine."""
        settings = root / "etc/apt/apt.conf.d/99-build"
        settings.write_text(acquire_settings(run(["apt-config", "dump"]).stdout))
        debs = self._paths.cache / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        binds = {"/etc/resolv.conf": "/etc/resolv.conf", "/etc/hosts": "/etc/hosts", "/etc/ssl/certs": "/etc/ssl/certs"}
        for name in ("etc/resolv.conf", "etc/hosts"):
            (root / name).touch()
        with no_autostart(root):
            in_root(root, script, binds | {str(debs): "/var/cache/apt/archives"}, remedy=_INFRA_HINT)
        settings.unlink()

    def _install(self, *services: str) -> Callable[[Path], None]:
        def fill(root: Path) -> None:
            binds = {str(self._paths.repository): "/srv/openstack", str(self._paths.uv_cache): packages.HOST_UV_CACHE}
            steps = [step for service in services for step in _install_steps(self._release, service)]
            in_root(root, "\n".join([*steps, f"chown -R openstack:openstack {packages.PYCACHE}"]), binds)

        return fill


def _install_steps(release: str, service: str) -> list[str]:
    """Return the commands that put a service into a layer."""
    venv = packages.venv(release, service)
    return [
        packages.install_script(release, service),
        packages.activate_script(release, service),
        _compile_script(f"{venv}/lib/python3.11/site-packages", f"{venv}/bin/python"),
        _compile_script("/usr/lib/python3.11", "python3"),
    ]


def _compile_script(directory: str, python: str) -> str:
    """Return the command that compiles a directory, so that the first start of a service is a fast one."""
    skip = "/tests?/|/numpy/|/os_win/|/pygments/|/lib2to3/"
    return f"PYTHONPYCACHEPREFIX={packages.PYCACHE} {python} -m compileall -q -j 2 -x '{skip}' {directory}"


def in_root(root: Path, script: str, binds: dict[str, str], remedy: str = "") -> None:
    """Run a shell script inside a root, with /proc, /dev and some directories of this machine, but no other process.

    The mounts live in a namespace of their own and end with the script, however it ends.
    """
    mounts = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
    for source, target in binds.items():
        with contextlib.suppress(FileExistsError):
            if Path(source).is_dir():
                (root / target.lstrip("/")).mkdir(parents=True)
        mounts.append(f"mount --bind {source} {root}{target}")
    environment = "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8"
    outer = "\n".join([*mounts, f"exec chroot {root} {environment} sh -es"])
    line = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", outer]
    run(line, host=f"{root} (chroot)", stdin=script, timeout=1800, remedy=remedy, shown=script)
