"""systemd."""

import shlex
from collections.abc import Sequence

from activities.units import registry

_RUN = """systemctl {verb} {units} && failed= || failed=$?
if [ -n "$failed" ]; then
    for unit in {units}; do
        systemctl is-active --quiet "$unit" || {{ echo "--- $unit"; journalctl -u "$unit" -n 12 --no-pager -o cat; }}
    done
    exit "$failed"
fi
"""


@registry.register("systemd")
class Systemd:
    """Units of systemd."""

    def restart(self, units: Sequence[str]) -> str:
        """Return the script that restarts units; a unit that gave up before may try again."""
        return self._run("restart", units)

    def stop(self, units: Sequence[str]) -> str:
        """Return the script that stops units. ``systemctl stop`` itself waits."""
        return self._run("stop", units)

    def start(self, units: Sequence[str]) -> str:
        """Return the script that starts units."""
        return self._run("start", units)

    def reload_caches(self, unit: str) -> str:
        """Return the script that sends SIGHUP to a unit's main process, if it runs."""
        name = shlex.quote(f"{unit}.service")
        return f"! systemctl is-active --quiet {name} || systemctl kill --kill-who=main --signal=HUP {name}\n"

    def log(self, unit: str, lines: int = 12) -> str:
        """Return the command for the last lines of a unit's journal."""
        return f"journalctl -u {shlex.quote(unit)} -n {lines} --no-pager -o cat"

    def _run(self, verb: str, units: Sequence[str]) -> str:
        names = shlex.join(f"{unit}.service" for unit in units)
        reset = f"systemctl reset-failed {names} 2>/dev/null\n" if verb != "stop" else ""
        return reset + _RUN.format(verb=verb, units=names)
