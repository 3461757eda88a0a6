"""The clouds that are broken and upgraded here."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from simulator.server import Simulation, simulation
from simulator.settings import Durations, SimSpec
from tests.chaos.networks import leased_network


@contextlib.asynccontextmanager
async def small_cloud(
    speed: float, durations: Durations | None = None, *, compute: int = 2, guests: int = 3
) -> AsyncIterator[Simulation]:
    """Run a small cloud, or one with more compute hosts, whose files are thrown away."""
    with leased_network() as network, tempfile.TemporaryDirectory(prefix="stackroll-chaos-") as folder:
        spec = SimSpec(control=2, compute=compute, guests=guests, speed=speed, network=network)
        async with simulation(spec, Path(folder), durations=durations) as sim:
            yield sim
