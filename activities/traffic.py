"""The limits of what moves at the same time, kept across all drains of a cloud.

Nova's own records count, whoever began a migration. Drains of one worker take turns in asking for one, so that two of
them never fill the same place; what another worker began in the same moment shows at the next look.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from activities import fleet, servers
from model.fleet import ServerGroup
from model.inventory import Inventory
from model.limits import find_hindrance
from model.nova import LIVE_MIGRATION, Migration
from model.rolling import Limits

# Seconds within which nova must show what it has taken on.
UNSEEN = 10.0
# Seconds for which the zones of hosts are known: each drain asks for those of the whole fleet, and they hardly change.
ZONES_KNOWN = 60.0


@dataclass
class Traffic:
    """What this worker has asked nova to move, by cloud.

    ``fresh``: for so many seconds a look at all migrations may tell guests to wait; nothing begins without a new look.
    """

    fresh: float = 2.0
    _looks: dict[str, tuple[float, tuple[Migration, ...]]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _asked: dict[str, dict[str, tuple[float, Migration]]] = field(default_factory=lambda: defaultdict(dict))
    _zones: dict[str, tuple[float, dict[str, str]]] = field(default_factory=dict)

    async def zones(self, inventory: Inventory) -> dict[str, str]:
        """Return the availability zone of each compute host, read not long ago."""
        async with self._locks[f"{inventory.cloud} zones"]:
            read, known = self._zones.get(inventory.cloud, (0.0, {}))
            if not known or time.monotonic() - read > ZONES_KNOWN:
                known = await fleet.read_zones(inventory)
                self._zones[inventory.cloud] = (time.monotonic(), known)
            return known

    async def begin(
        self,
        inventory: Inventory,
        guest: str,
        source: str,
        target: str | None,
        ask: Callable[[], Awaitable[str | None]],
        *,
        limits: Limits,
        zones: Mapping[str, str],
        groups: tuple[ServerGroup, ...] = (),
    ) -> tuple[str | None, str | None]:
        """Ask nova to move a guest, if the limits allow it now.

        Returns:
            Why the guest must wait, if it must; and why nova refused, if it did.
        """

        def judge(moving: tuple[Migration, ...]) -> str | None:
            return find_hindrance(guest, source, target, moving, limits=limits, zones=zones, groups=groups)

        async with self._locks[inventory.cloud]:
            taken, known = self._looks.get(inventory.cloud, (0.0, ()))
            if time.monotonic() - taken < self.fresh and (hindrance := judge(self._with_asked(inventory, known))):
                return hindrance, None
            if hindrance := judge(await self._moving(inventory)):
                return hindrance, None
            refusal = await ask()
            if refusal is None:
                asked = Migration(
                    id=0, guest=guest, kind=LIVE_MIGRATION, status="accepted", source=source, target=target
                )
                self._asked[inventory.cloud][guest] = (time.monotonic(), asked)
            return None, refusal

    def forget(self, inventory: Inventory, guest: str) -> None:
        """Take note that nova shows what it was asked for."""
        self._asked[inventory.cloud].pop(guest, None)

    async def _moving(self, inventory: Inventory) -> tuple[Migration, ...]:
        seen = {move.guest: move for move in await servers.moving(inventory)}
        asked, now = self._asked[inventory.cloud], time.monotonic()
        for guest, (since, _) in list(asked.items()):
            # Nova knows better, or has long forgotten.
            if (guest in seen and seen[guest].target) or now - since > UNSEEN:
                del asked[guest]
        self._looks[inventory.cloud] = (now, tuple(seen.values()))
        return self._with_asked(inventory, tuple(seen.values()))

    def _with_asked(self, inventory: Inventory, moving: tuple[Migration, ...]) -> tuple[Migration, ...]:
        asked = {guest: move for guest, (_, move) in self._asked[inventory.cloud].items()}
        return tuple(({move.guest: move for move in moving} | asked).values())
