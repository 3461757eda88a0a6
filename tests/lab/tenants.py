"""Servers of every kind on the lab, and a witness who looks at them each second while their hosts are rebooted."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.lab.access import Cloud, addresses, all_servers, sql, ssh
from tests.lab.observers import Threads

LIMIT = 240.0
OWNERS_WISH = "stackroll:drain=stop"
# What of a server must be the same afterwards.
_KEPT = ("status", "locked", "OS-EXT-STS:power_state", "OS-EXT-STS:vm_state", "metadata")
_GROUPS = "select instance_uuid from nova_api.instance_group_member"
_PLACES = f"select uuid, host from nova.instances where deleted = 0 and uuid in ({_GROUPS})"
_ROOM = (
    "select p.name, i.resource_class_id, sum(a.used), (i.total - i.reserved) * i.allocation_ratio "
    "from placement.resource_providers p join placement.inventories i on i.resource_provider_id = p.id "
    "join placement.allocations a on a.resource_provider_id = p.id and a.resource_class_id = i.resource_class_id "
    "group by p.name, i.resource_class_id, i.total, i.reserved, i.allocation_ratio"
)


class Tenants:
    """An anti-affinity group, and of the other servers: some SHUTOFF, one PAUSED, one locked, one to be stopped."""

    def __init__(self, shutoff: int, apart: int) -> None:
        self._cloud = Cloud()
        self.group = self._make_group(apart)
        others = [server["id"] for server in all_servers() if server["id"] not in self.group]
        off, (paused, locked, stopped) = others[:shutoff], others[shutoff : shutoff + 3]
        for id_ in off:
            self._act(id_, {"os-stop": None})
        self._act(paused, {"pause": None})
        self._act(locked, {"lock": {"locked_reason": "mine"}})
        self._tag(stopped)
        self.stopped = stopped
        self._until(off, "SHUTOFF")
        self._until([paused], "PAUSED")
        self.before = self.now()
        statuses = [server["status"] for server in self.before.values()]
        assert statuses.count("SHUTOFF") == shutoff
        assert statuses.count("PAUSED") == 1
        assert [server["locked"] for server in self.before.values()].count(True) == 1

    def now(self) -> dict[str, dict[str, Any]]:
        """What must stay the same of every server, by id."""
        return {server["id"]: {key: server[key] for key in _KEPT} for server in all_servers()}

    def assert_as_before(self) -> None:
        assert self.now() == self.before

    def _make_group(self, members: int) -> list[str]:
        body = {"server_group": {"name": "apart", "policy": "anti-affinity"}}
        group = self._call("POST", "/v2.1/os-server-groups", body)
        flavors = self._call("GET", "/v2.1/flavors")["flavors"]
        tiny = next(flavor["id"] for flavor in flavors if flavor["name"] == "m1.tiny")
        image = self._cloud.call("GET", "glance", "/v2/images").json()["images"][0]["id"]
        made = []
        for number in range(members):
            server = {"name": f"apart{number}", "flavorRef": tiny, "imageRef": image, "networks": "none"}
            hints = {"group": group["server_group"]["id"]}
            asked = {"server": server, "os:scheduler_hints": hints}
            made.append(str(self._call("POST", "/v2.1/servers", asked)["server"]["id"]))
            # One after another: built at the same time they may meet on a host, and nova gives up after three tries.
            self._until(made, "ACTIVE")
        return made

    def _tag(self, id_: str) -> None:
        # A tag may not hold ":" or "/" unescaped in a path; the body of the whole list may.
        self._call("PUT", f"/v2.1/servers/{id_}/tags", {"tags": [OWNERS_WISH]})

    def _act(self, id_: str, action: dict[str, Any]) -> None:
        answer = self._cloud.call("POST", "nova", f"/v2.1/servers/{id_}/action", action)
        assert answer.status_code == 202, f"{action}: HTTP {answer.status_code}: {answer.text[:300]}"

    def _until(self, ids: list[str], status: str) -> None:
        limit = time.monotonic() + LIMIT
        while True:
            found = {server["id"]: server["status"] for server in all_servers()}
            assert "ERROR" not in {found[id_] for id_ in ids}, [server.get("fault") for server in all_servers()]
            if {found[id_] for id_ in ids} <= {status}:
                return
            assert time.monotonic() < limit, {id_: found[id_] for id_ in ids}
            time.sleep(0.5)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._cloud.call(method, "nova", path, body)
        assert answer.status_code < 300, f"{method} {path}: HTTP {answer.status_code}: {answer.text[:300]}"
        return answer.json()


@dataclass
class Seen:
    """What a witness saw: how often it looked, and what was wrong."""

    looks: int = 0
    broken: list[str] = field(default_factory=list)


class Witness(Threads):
    """Looks each second, in the databases themselves: is the group apart, and does what is used fit on every host?"""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.spawn(self._watch)

    def _watch(self) -> None:
        for _ in self.every(1.0):
            together = defaultdict(list)
            for guest, host in sql(_PLACES):
                together[host].append(guest)
            at = time.strftime("%H:%M:%S")
            self.seen.broken += [f"{at} {host}: {', '.join(found)}" for host, found in together.items() if found[1:]]
            for host, resource, used, room in sql(_ROOM):
                if float(used) > float(room):
                    self.seen.broken.append(f"{at} {host}: {used} of resource {resource} used, room for {room}")
            self.seen.looks += 1


def boot_ids() -> dict[str, str]:
    """Return each compute host's boot id."""
    return {name: ssh(at, "cat /proc/sys/kernel/random/boot_id").strip() for name, at in addresses("compute").items()}
