"""Outages of real APIs, made at the lab's load balancer, and what the probe of a run says of them."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.lab.access import LAB, read_yaml, ssh
from tests.lab.conftest import Dev
from tests.lab.judge import assert_wholly_at

pytestmark = pytest.mark.slow
RATE = 2
SECONDS = 1.5
APIS = {"keystone", "placement", "glance", "nova-api"}


def balancer() -> str:
    cloud = read_yaml("cloud.yaml")
    return str(cloud["hosts"][cloud["load_balancer"]["host"]]["address"])


def break_off(frontend: str, seconds: float = SECONDS) -> tuple[float, float]:
    """Let nobody connect to one API for a while; the host's own clock says when, and it is this machine's."""
    say = "echo '{} frontend {}' | socat stdio /run/haproxy/admin.sock > /dev/null"
    off, on = say.format("disable", frontend), say.format("enable", frontend)
    times = ssh(balancer(), f"date +%s.%N; {off}; sleep {seconds}; {on}; date +%s.%N").split()
    return float(times[0]), float(times[-1])


class Watched:
    """An upgrade that waits at a gate while its cloud is probed."""

    def __init__(self, dev: Dev, folder: Path, **spec: str) -> None:
        self.dev, self.run = dev, f"A{uuid4().hex[:8]}"
        wanted = {"to": "'2026.2'", "soak": "1s", "availability": f"{{rate: {RATE}}}"}
        wanted |= {"approvals": "{plan: manual}"} | spec
        path = folder / "upgrade.yaml"
        lines = [f"{key}: {value}\n" for key, value in wanted.items()]
        path.write_text(f"cloud: {LAB / 'cloud.yaml'}\n" + "".join(lines))
        done = dev.stackroll("start", str(path), "--id", self.run)
        assert done.returncode == 0, done.stdout + done.stderr

    def until_waiting_for(self, gate: str, seconds: float = 120) -> None:
        self.dev.until(self.run, lambda s: any(f"approval of {gate}" in w["what"] for w in s["waiting"] or ()), seconds)

    def seen(self) -> Any:
        done = self.dev.stackroll("availability", self.run, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return {**found, "apis": {api["service"]: api for api in found["apis"]}}

    def until_seen(self, condition: Any, seconds: float = 60) -> Any:
        limit = time.monotonic() + seconds
        while not condition(found := self.seen()):
            assert time.monotonic() < limit, found
            time.sleep(1)
        return found

    def stop(self) -> Any:
        assert self.dev.stackroll("abort", self.run, "--reason", "test").returncode == 0
        self.dev.until(self.run, lambda s: bool(s["ended"]), 120)
        return self.seen()


def _length(outage: Any) -> float:
    return float(outage["end"]) - float(outage["start"])


@pytest.mark.usefixtures("lab_any")
def test_an_outage_of_one_api_is_found_with_its_length_and_no_other(dev: Dev, tmp_path: Path) -> None:
    watched = Watched(dev, tmp_path)
    watched.until_waiting_for("plan")
    watched.until_seen(lambda found: all(api["requests"] > 40 for api in found["apis"].values()) and found["apis"])
    begun, end = break_off("glance")
    watched.until_seen(lambda found: [o for o in found["apis"]["glance"]["outages"] if not o["open"]])
    found = watched.stop()
    print(json.dumps(found["apis"]["glance"], indent=1))
    (outage,) = found["apis"]["glance"]["outages"]
    assert abs(_length(outage) - (end - begun)) < 0.5
    assert begun - 0.1 <= outage["start"] <= begun + 0.5
    assert set(found["apis"]) == APIS
    assert {name: api["failed"] for name, api in found["apis"].items() if name != "glance"} == dict.fromkeys(
        APIS - {"glance"}, 0
    )


@pytest.mark.usefixtures("lab_any")
def test_where_nothing_fails_nothing_is_reported(dev: Dev, tmp_path: Path) -> None:
    writes = f"{{rate: {RATE}, writes: [keypair, image, token]}}"
    watched = Watched(dev, tmp_path, availability=writes)
    watched.until_waiting_for("plan")
    watched.until_seen(lambda found: all(api["requests"] > 60 for api in found["apis"].values()) and found["apis"])
    found = watched.stop()
    print({name: (api["requests"], api["median"], api["p99"], api["slow"]) for name, api in found["apis"].items()})
    bad = {name: (api["failed"], api["outages"]) for name, api in found["apis"].items()}
    assert bad == dict.fromkeys(APIS, (0, []))


@pytest.mark.usefixtures("lab_any")
def test_a_killed_worker_leaves_a_hole_that_is_admitted(dev: Dev, tmp_path: Path) -> None:
    watched = Watched(dev, tmp_path)
    watched.until_waiting_for("plan")
    watched.until_seen(lambda found: bool(found["apis"]))
    dev.kill("worker")
    watched.until_seen(lambda found: found["unobserved"] > 0, 120)
    found = watched.stop()
    print("not observed:", found["unobserved"])
    assert 1.5 < found["unobserved"] < 60
    assert all(api["failed"] == 0 for api in found["apis"].values())


@pytest.mark.usefixtures("lab_any")
def test_a_spent_error_budget_ends_in_a_rollback(dev: Dev, tmp_path: Path) -> None:
    """The whole cloud has been upgraded and waits for its commit when glance is away for longer than is allowed."""
    watched = Watched(
        dev,
        tmp_path,
        availability="{rate: 1, budget: {downtime: 1s, failed_requests: 50, when_spent: rollback}}",
        approvals="{plan: auto, commit: manual}",
        max_unavailable="2",
    )
    watched.until_waiting_for("commit", 1200)
    assert_wholly_at("2026.2")
    break_off("glance", 3.0)
    status = dev.until_ended(watched.run)
    assert status["state"] == "rolled_back", status["message"]
    assert "error budget of glance spent: " in status["message"]
    assert_wholly_at("2026.1", schema="2026.2")
