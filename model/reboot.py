"""Whether a host needs a reboot, and whether it came back as the one it was: judgements over what was read on it."""

import re

from model.base import Record
from model.words import listed

_SPLIT = re.compile(r"(\d+)")
# What tells two kinds of kernel apart: the letters behind the numbers, such as cloud-amd64, generic or el9.x86_64.
_FLAVOUR = re.compile(r"^[\d.+~_-]+(?:rc\d+-?)?")


class HostBoot(Record):
    """What was read on a host that matters to a reboot.

    Attributes:
        boot_id: of the kernel that runs now; another one after each boot.
        hostname: as the kernel has it.
        kernel: the release of the running kernel.
        kernels: the releases that are installed and can be booted; empty in a container.
        packages: names of packages that asked for a reboot (``/run/reboot-required``).
        stale: programs that still run with libraries whose files have been replaced.
        compute_id: nova's own id of the host, from its file there; empty when there is none.
        state: ``systemctl is-system-running``: ``running`` or ``degraded`` when the boot is over.
        ordered: the boot that was to be ended by a reboot of this run; None when none has been ordered.
        before: the name and the units that ran, of then.
        down: those of them that do not run now.
        held: whether nova's compute service is kept from starting by itself.
    """

    boot_id: str
    hostname: str = ""
    kernel: str = ""
    kernels: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    compute_id: str = ""
    state: str = ""
    ordered: str | None = None
    before: str = ""
    down: tuple[str, ...] = ()
    held: bool = False

    @property
    def rebooted(self) -> bool:
        """Whether the host has been booted since a reboot was ordered."""
        return self.ordered is not None and self.ordered != self.boot_id


class RebootNeed(Record):
    """Whether a host needs a reboot, and why."""

    required: bool
    reasons: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The reasons as one sentence."""
        return "; ".join(self.reasons) or "nothing on it waits for a reboot"


def judge_need(boot: HostBoot, kernel: str | None = None) -> RebootNeed:
    """Say whether a host needs a reboot: for another kernel, for packages that asked, or for replaced libraries.

    Args:
        boot: what was read on it.
        kernel: the release that it should run; by default the newest one that is installed.
    """
    reasons = []
    wanted = kernel or newest(boot)
    if wanted and boot.kernel and wanted != boot.kernel:
        reasons.append(f"it runs kernel {boot.kernel}, and {wanted} is {'wanted' if kernel else 'installed'}")
    if boot.packages:
        reasons.append(f"a reboot was asked for by {listed(boot.packages)}")
    if boot.stale:
        reasons.append(f"replaced libraries are still in use by {listed(boot.stale)}")
    return RebootNeed(required=bool(reasons), reasons=tuple(reasons))


def newest(boot: HostBoot) -> str | None:
    """Return the newest installed kernel of the kind that runs; None when none is known."""
    same = [name for name in boot.kernels if flavour(name) == flavour(boot.kernel)]
    return max(same, key=_order, default=None)


def flavour(kernel: str) -> str:
    """Return what kind of kernel a release is, such as ``cloud-amd64``, without its numbers."""
    return _FLAVOUR.sub("", kernel)


def judge_return(boot: HostBoot, kernel: str | None = None) -> tuple[str, ...]:
    """Say what is wrong with a host that has come back, as far as waiting does not mend it."""
    problems = []
    if boot.before and boot.hostname != boot.before:
        problems.append(f"its name was {boot.before}, and is {boot.hostname or 'empty'} now")
    wanted = kernel or newest(boot)
    if boot.rebooted and wanted and boot.kernel and wanted != boot.kernel:
        problems.append(f"it runs kernel {boot.kernel}, not {wanted}: see what its boot loader starts by default")
    return tuple(problems)


def _order(kernel: str) -> tuple[tuple[int, int, str], ...]:
    """Compare numbers as numbers: 6.1.0-9 is older than 6.1.0-41."""
    parts = (part for part in _SPLIT.split(kernel) if part)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)
