"""HAProxy, by the commands of its admin socket (HAProxy management guide, section 9.3)."""

import csv
import io
import re
import shlex

from activities.balancer import Server, Session, registry
from activities.errors import StepFailed
from model.inventory import LoadBalancer

_AGES = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@registry.register("haproxy")
class HAProxy:
    """One HAProxy, through ``socat`` on its host."""

    def __init__(self, settings: LoadBalancer) -> None:
        self._socket = shlex.quote(settings.socket)
        self._hold_map = settings.hold_map

    def set_state(self, backend: str, server: str, state: str) -> str:
        """Return the command that sets an instance's administrative state."""
        return self._ask(f"set server {backend}/{server} state {state}")

    def check(self, output: str) -> str | None:
        """Return HAProxy's complaint: it says nothing when it has done what it was told."""
        return output.strip() or None

    def servers(self) -> str:
        """Return the command for the statistics."""
        return self._ask("show stat")

    def parse_servers(self, output: str) -> tuple[Server, ...]:
        """Return all instances from the statistics.

        Raises:
            StepFailed: what came is no statistics.
        """
        return tuple(
            Server(
                backend=row["pxname"],
                name=row["svname"],
                status=row["status"],
                sessions=int(row["scur"] or 0),
                queued=int(row["qcur"] or 0),
                address=row.get("addr") or "",
            )
            for row in _rows(output)
            if row["svname"] not in {"FRONTEND", "BACKEND"}
        )

    def waiting(self, output: str, backend: str) -> int:
        """Return the length of a service's queue."""
        mine = [row for row in _rows(output) if row["pxname"] == backend and row["svname"] != "FRONTEND"]
        return sum(int(row["qcur"] or 0) for row in mine)

    def sessions(self) -> str:
        """Return the command for the sessions."""
        return self._ask("show sess")

    def parse_sessions(self, output: str) -> tuple[Session, ...]:
        """Return the sessions: lines like ``0x5…: proto=tcpv4 src=… fe=nova-api be=nova-api srv=ctl1 … age=2s …``."""
        found = []
        for line in output.splitlines():
            fields = dict(re.findall(r"(\w+)=(\S*)", line))
            if "fe" in fields and "age" in fields:
                server = fields.get("srv", "")
                found.append(
                    Session(
                        frontend=fields["fe"],
                        server=None if server in {"", "<none>"} else server,
                        age=_seconds(fields["age"]),
                    )
                )
        return tuple(found)

    def hold(self, frontend: str, seconds: int) -> str:
        """Return the command that sets until when writes are held, by the balancer's own clock.

        The map holds the time at which the hold ends by itself: should nobody live to end it, it ends.
        """
        if self._hold_map is None:
            raise ValueError("this load balancer has no map for holding back writes")
        until = f"$(( $(date +%s) + {seconds} ))" if seconds else "0"
        place = f"{shlex.quote(self._hold_map)} {shlex.quote(frontend)}"
        known = f'printf "set map %s %s %s\\n" {place} "{until}" | {self._pipe}'
        added = f'printf "add map %s %s %s\\n" {place} "{until}" | {self._pipe}'
        # HAProxy can set only what is in the map already.
        return f'said=$({known}); case "$said" in *"not found"*) {added} ;; *) printf %s "$said" ;; esac'

    def holds(self) -> str:
        """Return the command for the balancer's clock and the map of holds; one that says nothing without a map."""
        return "true" if self._hold_map is None else f"date +%s; {self._ask(f'show map {self._hold_map}')}"

    def parse_holds(self, output: str) -> tuple[str, ...]:
        """Return the frontends whose hold has not ended: the clock, then lines like ``0x5581… nova-api 1795400000``."""
        now, *lines = output.splitlines() or ["0"]
        rows = [line.split() for line in lines]
        return tuple(sorted(row[1] for row in rows if len(row) == 3 and row[2].isdigit() and int(row[2]) > int(now)))

    @property
    def _pipe(self) -> str:
        return f"socat -t 10 stdio unix-connect:{self._socket}"

    def _ask(self, command: str) -> str:
        return f"printf '%s\\n' {shlex.quote(command)} | {self._pipe}"


def _rows(output: str) -> list[dict[str, str]]:
    text = output.lstrip("# \n")
    if not text.startswith("pxname,"):
        raise StepFailed("the load balancer's answer is no statistics", tail=output)
    return [row for row in csv.DictReader(io.StringIO(text)) if row.get("svname")]


def _seconds(age: str) -> int:
    """Return the seconds of HAProxy's ``1d2h``, ``3m20s``, ``5s``."""
    return sum(int(number) * _AGES[unit] for number, unit in re.findall(r"(\d+)([dhms])", age))
