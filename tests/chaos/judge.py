"""Whether a cloud is wholly at one release and whole: read from the simulated cloud itself, which knows everything."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable

from model.releases import Release, find_release
from model.status import StepStatus
from simulator.server import Simulation
from tests.chaos.user import User

_KEY = re.compile(r"^Started stackroll (?P<step>.+)/(?P<way>do|undo)/(?:(?P<by>.+)/)?(?P<try>\d+)/(?P<part>[^/]+)$")


async def at_rest(sim: Simulation, within: float) -> None:
    """Wait until nova works on no server any more, or so many seconds: a user's last one may still be on its way."""
    until = time.monotonic() + within
    while any(guest.task_state is not None for guest in sim.cloud.nova.guests.values()) and time.monotonic() < until:
        await asyncio.sleep(0.1)


def wholly_at(sim: Simulation, release: str) -> list[str]:
    """Return what is not as it must be when the whole cloud is at a release and at rest."""
    wanted = find_release(release)
    return [*_hosts(sim, wanted), *_services(sim, wanted), *_guests(sim), *_front(sim), *_schemas(sim, release)]


def _hosts(sim: Simulation, wanted: Release) -> list[str]:
    problems = []
    for host in sim.cloud.hosts.values():
        for unit in host.units.values():
            version = wanted.versions[unit.component.service]
            if unit.version != version:
                problems.append(f"{unit.name} on {host.name} runs {unit.version} ({unit.active}), not {version}")
        for service, version in host.links.items():
            if version != wanted.versions[service]:
                problems.append(f"{service} {version} is the active one on {host.name}")
            if (service, version) not in host.complete:
                problems.append(f"{service} {version} is active on {host.name} and not there")
    return problems


def _services(sim: Simulation, wanted: Release) -> list[str]:
    nova, problems = sim.cloud.nova, []
    for row in nova.services:
        if row.version != wanted.nova_service_version:
            problems.append(f"the record of {row.binary} on {row.host} has version {row.version}")
        if row.disabled:
            problems.append(f"{row.binary} on {row.host} is disabled ({row.reason})")
        if row.binary in sim.cloud.hosts[row.host].units and not nova.is_up(row):
            problems.append(f"{row.binary} on {row.host} is down")
    return problems


def _guests(sim: Simulation) -> list[str]:
    nova, problems = sim.cloud.nova, []
    for guest in nova.guests.values():
        if guest.status != "ACTIVE" or guest.task_state is not None:
            problems.append(f"guest {guest.name} is {guest.status}, {guest.task_state}")
        held = [host for host, provider in nova.providers.items() if guest.id in nova.allocations[provider]]
        if held != [guest.host]:
            places = ", ".join(held) or "none"
            problems.append(f"guest {guest.name} is on {guest.host}, and has allocations on {places}")
    for host, provider in nova.providers.items():
        strangers = set(nova.allocations[provider]) - set(nova.guests)
        problems += [f"on {host} there are allocations of {one}, which is no guest" for one in strangers]
    return problems + [f"migration {m.id} of {m.guest} is {m.status}" for m in nova.migrations if m.unfinished]


def _front(sim: Simulation) -> list[str]:
    balancer = sim.cloud.balancer
    states = [(name, server) for name, servers in balancer.backends.items() for server in servers.values()]
    wrong = [(name, server) for name, server in states if server.status != "UP"]
    return [f"the balancer counts {name}/{server.name} as {server.status}" for name, server in wrong]


def _schemas(sim: Simulation, release: str) -> list[str]:
    """The code must fit the schema; after a rollback the schema may stay expanded."""
    versions = find_release(release).versions
    return [
        f"the schema of {service} does not fit {version}"
        for service, version in versions.items()
        if not sim.cloud.schemas.serves(service, version)
    ]


def lost(sim: Simulation, before: Iterable[str], user: User) -> list[str]:
    """Return what was there, or was made meanwhile, and is gone."""
    tenants, nova = sim.cloud.tenants, sim.cloud.nova
    problems = [f"guest {id_} is gone" for id_ in (*before, *user.guests) if id_ not in nova.guests]
    problems += [f"image {id_} is gone" for id_ in user.images if id_ not in tenants.images]
    return problems + [f"user {id_} is gone" for id_ in user.users if id_ not in tenants.users]


async def not_usable(sim: Simulation, user: User) -> list[str]:
    """Return which of the user's servers the release that runs now cannot work with."""
    problems = []
    for guest in user.guests:
        answer = await user.migrate(guest)
        if answer.status_code != 202:
            problems.append(f"migrating the user's server {guest}: {answer.status_code} {answer.text[:160]}")
    return problems


def repeated(sim: Simulation, steps: Iterable[StepStatus]) -> list[str]:
    """Return the changing commands that ran more often than the tries of their steps say."""
    tries = {step.id: step.tries for step in steps}
    problems = []
    for host in sim.cloud.hosts.values():
        for line, count in Counter(host.journal).items():
            if count > 1:
                problems.append(f"{host.name}: {line}, {count} times")
        for line in host.journal:
            found = _KEY.match(line)
            if found is None or found["way"] != "do" or found["by"]:
                continue
            step = found["step"].partition("/")[2]
            if int(found["try"]) >= tries.get(step, 0):
                problems.append(f"{host.name}: {line}, but {step} was tried {tries.get(step, 0)} times")
    return problems
