"""New targets for guests that the plan has none for, or whose target did not take them, as the cloud is now."""

from collections.abc import Collection, Mapping

from activities.fleet import read_fleet
from model.drain import HostView
from model.fleet import GuestClass
from model.inventory import Inventory
from model.ladder import failures_of
from model.moves import Orders, Refusal
from model.placement import choose_targets

_MOVES = frozenset({GuestClass.LIVE, GuestClass.COLD})


class Retarget:
    """Chooses targets, where there is a plan at all; without one nova's scheduler chooses.

    What was chosen, and for which guests in vain, is remembered: the whole fleet is read only when something is new.
    """

    def __init__(self, inventory: Inventory, avoid: Collection[str]) -> None:
        self._inventory, self._avoid = inventory, frozenset(avoid)
        self._asked: set[tuple[str, frozenset[str]]] = set()
        self.reasons: dict[str, str] = {}

    async def renew(self, view: HostView, orders: Orders, refusals: Mapping[str, tuple[Refusal, ...]]) -> Orders:
        """Return the orders with targets for those guests that have none any more."""
        if not (orders.targets or orders.spares):
            return orders
        tried_by = self._tried(view, orders, refusals)
        needy = {guest: tried for guest, tried in tried_by.items() if self._is_needy(guest, tried, orders)}
        if not needy:
            return orders
        self._asked |= set(needy.items())
        pool = {*orders.spares, *orders.targets.values()} - {orders.host}
        # With its own room: what its guests hold is read there.
        fleet = await read_fleet(self._inventory, hosts=pool | {orders.host})
        others = dict(orders.others)
        for tried in set(needy.values()):
            guests = [guest for guest, mine in needy.items() if mine == tried]
            avoid = {*self._avoid, *tried, orders.host}
            chosen = choose_targets(fleet, guests, clean=pool - avoid, avoid=avoid, planned=orders.targets)
            for guest, choice in chosen.items():
                others[guest] = (*others.get(guest, ()), *([choice.target] if choice.target else []))
                self.reasons[guest] = choice.reason
        return orders.model_copy(update={"others": others})

    def _tried(
        self, view: HostView, orders: Orders, refusals: Mapping[str, tuple[Refusal, ...]]
    ) -> dict[str, frozenset[str]]:
        """Return the targets that each guest of the host has been sent to in vain."""
        busy = {move.guest for move in view.migrations if move.unfinished}
        movers = [g.id for g in view.guests if g.id not in busy and g.id in view.classes]
        movers = [guest for guest in movers if view.classes[guest].kind in _MOVES]
        return {
            guest: frozenset(
                {move.target for move in failures_of(guest, view.migrations, orders) if move.target}
                | {refusal.target for refusal in refusals.get(guest, ()) if refusal.target}
            )
            for guest in movers
        }

    def _is_needy(self, guest: str, tried: frozenset[str], orders: Orders) -> bool:
        """It has no planned target, or has tried that; and what is chosen now was not chosen before."""
        planned = [host for host in (orders.targets.get(guest), *orders.others.get(guest, ())) if host]
        return all(host in tried for host in planned) and (guest, tried) not in self._asked
