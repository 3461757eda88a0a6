"""What is said to a host about its boot: one command that reads, and scripts that order a reboot and end its effects.

Nova's compute service must not start by itself on a host that came back: one whose name or identity has changed would
destroy its own guests' records. A condition beside its unit holds it back until the host has been looked at.
"""

import hashlib
import shlex

from activities.errors import Refused
from activities.units import units_of
from model.components import COMPUTE_UNIT
from model.reboot import HostBoot

STATE_DIR = "/var/lib/stackroll"
COMPUTE_ID = "/var/lib/nova/compute_id"
SYSTEMD_DIR = "/etc/systemd/system"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
REBOOT_REQUIRED = "/run/reboot-required"

# One line for each thing that was found: a letter, and the rest. A container has no kernels of its own, which is fine.
_READ = """
record={record}
echo "B $(cat {boot_id})"
echo "H $(cat /proc/sys/kernel/hostname)"
echo "K $(uname -r)"
for image in /boot/vmlinuz-*; do
    release=${{image#/boot/vmlinuz-}}
    [ ! -d "/lib/modules/$release" ] || echo "I $release"
done
if [ -e {required} ]; then
    {{ cat {required}.pkgs 2>/dev/null || echo "the package manager"; }} | sort -u | sed 's/^/P /'
fi
grep -lsE ' r-xp .* /(usr/)?lib[^ ]*[.]so[^ ]* [(]deleted[)]$' /proc/[0-9]*/maps |
    while IFS= read -r maps; do cat "${{maps%maps}}comm"; done 2>/dev/null | sort -u | sed 's/^/D /'
[ ! -s {compute_id} ] || echo "C $(cat {compute_id})"
echo "S $(systemctl is-system-running 2>/dev/null)"
[ ! -e {hold} ] || echo "X held"
[ -s "$record/boot" ] || exit 0
echo "O $(cat "$record/boot")"
echo "N $(cat "$record/name")"
while IFS= read -r unit; do
    [ "$unit" = {unit}.service ] || systemctl is-active --quiet "$unit" || echo "W $unit"
done <"$record/units"
exit 0
"""

# The order is carried out a moment later, by a unit of its own: this script's result is kept before the host goes down.
_REBOOT = """
record={record} seen={seen}
now=$(cat {boot_id})
if [ "$now" != "$seen" ]; then
    echo "it has been booted in the meantime: $now"
    exit 0
fi
mkdir -p "$record" {hold_folder} {drop_in} || exit 73
systemctl list-unit-files --type=service --state=enabled --plain --no-legend --no-pager | cut -d' ' -f1 | sort \\
    >"$record/enabled"
systemctl list-units --type=service --state=running --plain --no-legend --no-pager | cut -d' ' -f1 | sort |
    comm -12 - "$record/enabled" >"$record/units"
cat /proc/sys/kernel/hostname >"$record/name"
echo "$now" >"$record/boot.new" && mv "$record/boot.new" "$record/boot" || exit 73
printf '[Unit]\\nConditionPathExists=!%s\\n' {hold} >{condition} && : >{hold} || exit 73
systemctl daemon-reload || exit 71
sync
systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot || exit 71
echo "reboots in a second; until now it ran boot $now"
"""

_RELEASE = """
rm -f {hold} {condition} || exit 73
rmdir {drop_in} 2>/dev/null
systemctl daemon-reload || exit 71
"""


def record_of(upgrade: str, step: str) -> str:
    """Return where a host keeps what it was before this step rebooted it; all tries of the step share it."""
    return f"{STATE_DIR}/reboots/{hashlib.sha256(f'{upgrade}/{step}'.encode()).hexdigest()[:16]}"


def boot_command(record: str = "/nonexistent") -> str:
    """Return the shell command that prints what ``parse_boot`` reads. It changes nothing."""
    return _READ.format(record=shlex.quote(record), **_places())


def reboot_script(record: str, seen: str) -> str:
    """Return the script that has the host rebooted, unless it runs another boot than the one that was seen.

    It keeps what the host was (``record``) and holds nova's compute service back until ``release_script``.
    """
    return _REBOOT.format(record=shlex.quote(record), seen=shlex.quote(seen), **_places())


def release_script() -> str:
    """Return the script that starts nova's compute service, which no longer is held back."""
    return _RELEASE.format(**_places()) + units_of().start((COMPUTE_UNIT,))


def _places() -> dict[str, str]:
    drop_in = f"{SYSTEMD_DIR}/{COMPUTE_UNIT}.service.d"
    return {
        "boot_id": BOOT_ID,
        "required": REBOOT_REQUIRED,
        "compute_id": COMPUTE_ID,
        "hold": f"{STATE_DIR}/hold/{COMPUTE_UNIT}",
        "hold_folder": f"{STATE_DIR}/hold",
        "drop_in": drop_in,
        "condition": f"{drop_in}/90-stackroll-hold.conf",
        "unit": COMPUTE_UNIT,
    }


def parse_boot(output: str) -> HostBoot:
    """Return what a host printed.

    Raises:
        Refused: it printed something else; its shell or its base system is not what stackroll knows.
    """
    values: dict[str, list[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        values.setdefault(kind, []).append(rest.strip())

    def one(letter: str) -> str:
        return values.get(letter, [""])[0]

    if not one("B"):
        raise Refused(
            f"its answer makes no sense: {output[:200]!r}",
            remedy="the host needs systemd and a POSIX shell, and a login shell that prints nothing by itself",
        )
    return HostBoot(
        boot_id=one("B"),
        hostname=one("H"),
        kernel=one("K"),
        kernels=tuple(values.get("I", ())),
        packages=tuple(values.get("P", ())),
        stale=tuple(values.get("D", ())),
        compute_id=one("C"),
        state=one("S"),
        ordered=one("O") or None,
        before=one("N"),
        down=tuple(values.get("W", ())),
        held="X" in values,
    )
