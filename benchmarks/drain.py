"""What a rolling reboot of hypervisors costs its guests: ``python -m benchmarks.drain [--hosts 200] [--seeds 3] ...``.

Clouds are made up, schedules are made for both orders, and carried out on paper (``model.placement.simulate``). Three
things are told apart:

- **expected** durations, which the schedule is made with: 15 s and 4 s per GiB for a move, 300 s for a reboot;
- **drawn** ones, which the run then has: log-normal around the expected ones, so the schedule knows none of them;
- **the bounds**: the fewest moves, and the fewest seconds with the drawn durations.

Each cloud is planned with ``max_per_group`` 1 and 2. With 1, hosts wait for others whose guests are of the same groups;
the bound on seconds knows of each group for itself, not of the thousands together, so the aim for the time of the
fastest order is asked with 2.

Beside it, what a drain without a plan costs: hosts by name, as many at a time, and nova's scheduler chooses the target
with its default weighers, which spread: the host with the most free memory and vCPUs, whether it is done or not. The
baseline has no canary, does not wait for targets' limits, keeps no reserve and lets members of a group be away
together: its time is flattered.

Planning is in seconds of CPU time, for both orders together.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from rich.console import Console
from rich.table import Table

from benchmarks.drain_fleet import draw_durations, make_fleet
from model.fleet import Fleet, FleetGuest, GroupPolicy, GuestClass
from model.placement import Cause, Durations, bound, makespan_bound, schedules, simulate
from model.placement.limits import resolve
from model.rolling import Order, Rolling
from model.words import duration

EXPECTED = Durations()
LOADS = (0.6, 0.8)
PER_GROUP = (1, 2)
# What is aimed at: moves per guest above the bound, and the makespan as a multiple of its bound, where
# ``max_per_group`` is at least so much.
MOST_EXCESS = 0.03
MOST_TIME = {Order.FEWEST_MOVES: (1.5, 1), Order.FASTEST: (1.15, 2)}


@dataclass
class Line:
    """One way to do it, on one cloud; the baseline has no ``per_group``."""

    name: str
    per_group: int
    moves: int
    movers: int
    bound: int
    excess: str
    most: int
    waves: str
    makespan: float
    shortest: float
    utilisation: float
    planning: float = 0.0
    stuck: int = 0

    @property
    def over(self) -> float:
        """Moves per guest above the bound."""
        return (self.moves - self.bound) / self.movers


def measure(fleet: Fleet, rolling: Rolling, seed: int, per_group: Sequence[int] = PER_GROUP) -> list[Line]:
    """Plan one cloud in both orders with each ``max_per_group``, carry them out, and the baseline too."""
    plans = [_planned(fleet, rolling.model_copy(update={"max_per_group": most}), seed) for most in per_group]
    lines = [line for group in plans for line in group]
    drawn = draw_durations(fleet, EXPECTED, seed)
    return [*lines, Baseline(fleet, rolling, drawn).run(lines[0].bound, lines[0].shortest)]


def _planned(fleet: Fleet, rolling: Rolling, seed: int) -> list[Line]:
    classes = {guest.id: GuestClass.LIVE for guest in fleet.guests}
    hosts = sorted(fleet.hosts)
    drawn = draw_durations(fleet, EXPECTED, seed)
    least = bound(fleet, classes, rolling, hosts=hosts).moves
    shortest = makespan_bound(fleet, classes, rolling, hosts=hosts, durations=drawn).seconds
    lines = []
    began = time.process_time()
    plans = schedules(fleet, classes, rolling, hosts=hosts, durations=EXPECTED)
    planning = time.process_time() - began
    for order, plan in plans.items():
        run = simulate(plan, fleet, drawn, rolling.limits, healthy_for=rolling.canary.healthy_for)
        times = Counter(move.guest for move in run.moves)
        lines.append(
            Line(
                name=order.value,
                per_group=rolling.max_per_group,
                moves=len(run.moves),
                movers=plan.movers,
                bound=least,
                excess=_causes(plan.excess) + (f", {len(plan.shortfalls)} SHORTFALLS" if plan.shortfalls else ""),
                most=max(times.values()),
                waves=f"{len(plan.waves)}: {' '.join(str(len(wave.hosts)) for wave in plan.waves)}",
                makespan=run.makespan,
                shortest=shortest,
                utilisation=run.utilisation,
                planning=planning,
                stuck=plan.movers - len(times),
            )
        )
    return lines


class Baseline:
    """Hosts by name; every target is the emptiest host of the moment."""

    def __init__(self, fleet: Fleet, rolling: Rolling, durations: Durations) -> None:
        self._fleet, self._rolling, self._durations = fleet, rolling, durations
        self._slots = resolve(rolling.max_unavailable, len(fleet.hosts))
        self._on: dict[str, dict[str, FleetGuest]] = {name: {} for name in sorted(fleet.hosts)}
        self._free = {
            name: {key: total - host.capacity.used.get(key, 0.0) for key, total in host.capacity.total.items()}
            for name, host in fleet.hosts.items()
        }
        for guest in fleet.guests:
            if guest.host is not None:
                self._on[guest.host][guest.id] = guest
        self._group = {m: g.members for g in fleet.groups if g.policy is GroupPolicy.ANTI_AFFINITY for m in g.members}
        self._moves: Counter[str] = Counter()
        self._stuck = 0

    def run(self, least: int, shortest: float) -> Line:
        """Empty host after host; each is away for as long as its moves and its reboot take."""
        away: list[tuple[float, str]] = []
        busy = now = 0.0
        for host in sorted(self._on):
            if len(away) >= self._slots:
                now = heappop(away)[0]
            out = {name for _, name in away} | {host}
            seconds = self._empty(host, out)
            busy += seconds
            heappush(away, (now + seconds, host))
        makespan = max(end for end, _ in away)
        return Line(
            name="by name, nova's choice",
            per_group=0,
            moves=self._moves.total(),
            movers=len(self._fleet.guests),
            bound=least,
            excess="not planned",
            most=max(self._moves.values()),
            waves="-",
            makespan=makespan,
            shortest=shortest,
            utilisation=busy / makespan / self._slots,
            stuck=self._stuck,
        )

    def _empty(self, host: str, out: set[str]) -> float:
        seconds = 0.0
        for guest in list(self._on[host].values()):
            target = self._choose(guest, out)
            if target is None:
                self._stuck += 1
                continue
            seconds += self._durations.of_guest(guest)
            self._moves[guest.id] += 1
            del self._on[host][guest.id]
            self._on[target][guest.id] = guest
            for key, held in guest.resources.items():
                self._free[host][key] += held
                self._free[target][key] -= held
        return seconds / self._rolling.limits.per_source + self._durations.of_host(host)

    def _choose(self, guest: FleetGuest, out: set[str]) -> str | None:
        """What nova's RAM and CPU weighers choose: the most that is free, each as a part of the most of all hosts."""
        possible = [
            name
            for name, free in self._free.items()
            if name not in out
            and guest.zone in {None, self._fleet.hosts[name].zone}
            and all(free[key] >= held for key, held in guest.resources.items())
            and not any(member in self._on[name] for member in self._group.get(guest.id, ()))
        ]
        if not possible:
            return None
        top = {key: max(self._free[name][key] for name in possible) or 1.0 for key in guest.resources}
        return max(possible, key=lambda name: sum(self._free[name][key] / top[key] for key in top))


def _causes(excess: dict[Cause, int]) -> str:
    return ", ".join(f"{count} {cause.value}" for cause, count in sorted(excess.items())) or "none"


def show(console: Console, title: str, lines: list[Line]) -> bool:
    """Print a cloud's lines; tell whether all that is aimed at was reached."""
    table = Table(title=title, title_justify="left")
    for name in (
        "order",
        "per group",
        "moves / guest",
        "bound",
        "moves beyond one",
        "worst guest",
        "makespan",
        "x bound",
        "busy",
    ):
        table.add_column(name, justify="left" if name in {"order", "moves beyond one"} else "right")
    table.add_column("planned in", justify="right")
    reached = True
    for line in lines:
        aims = (aim for order, (aim, least) in MOST_TIME.items() if order == line.name and line.per_group >= least)
        aim = next(aims, None)
        ratio = line.makespan / line.shortest
        good = not line.per_group or (
            (aim is None or ratio <= aim)
            and line.most <= 2
            and not line.stuck
            and (line.name != Order.FEWEST_MOVES.value or line.over <= MOST_EXCESS)
        )
        reached &= good
        table.add_row(
            line.name if good else f"[red]{line.name}[/red]",
            str(line.per_group or "-"),
            f"{line.moves / line.movers:.4f}",
            f"{line.bound / line.movers:.4f}",
            line.excess + (f"; {line.stuck} without a target" if line.stuck else ""),
            str(line.most),
            duration(line.makespan),
            f"{ratio:.2f}",
            f"{line.utilisation:.0%}",
            f"{line.planning:.1f} s" if line.planning else "-",
        )
    console.print(table)
    for line in lines[:-1]:
        console.print(f"  waves {line.name}, {line.per_group} per group, {line.waves}")
    return reached


def main() -> int:
    """Measure, and say with the exit status whether all that is aimed at was reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3, help="so many clouds of each load, with seeds 1, 2 ...")
    parser.add_argument("--max-unavailable", default="10%", help="a number or a percentage")
    parser.add_argument("--reserve-hosts", type=int, default=1)
    parser.add_argument("--max-per-group", type=int, action="append", help="1 and 2 unless told")
    parser.add_argument("--load", type=float, action="append", help="how full hosts are; 0.6 and 0.8 unless told")
    args = parser.parse_args()
    slots = args.max_unavailable
    rolling = Rolling.model_validate(
        {"max_unavailable": slots if slots.endswith("%") else int(slots), "reserve_hosts": args.reserve_hosts}
    )
    console = Console(width=150)
    reached = True
    for load in args.load or LOADS:
        for seed in range(1, args.seeds + 1):
            fleet = make_fleet(args.hosts, load, seed)
            title = (
                f"{args.hosts} hosts of two sizes, {len(fleet.guests):,} guests, {load:.0%} full, four zones, "
                f"{sum(len(g.members) for g in fleet.groups):,} guests in groups; max_unavailable {slots}, "
                f"reserve {args.reserve_hosts}; seed {seed}"
            )
            reached &= show(console, title, measure(fleet, rolling, seed, args.max_per_group or PER_GROUP))
    console.print("all that is aimed at was reached" if reached else "[red]not all that is aimed at was reached[/red]")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
