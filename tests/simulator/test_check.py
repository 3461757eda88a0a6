"""`stackroll check` of a simulated cloud over real SSH and HTTP: a good one, and one with much that is wrong."""

from pathlib import Path

from activities.facts import read_facts
from activities.ssh import Hosts
from model.preflight import judge
from simulator.host import REBOOT_REQUIRED
from simulator.schemas import revision
from tests.simulator.conftest import request_of, sim_cloud


async def test_a_good_cloud_has_no_findings(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path / "sim") as sim:
        request = request_of(sim)
        facts = await read_facts(hosts, request)
        assert (*facts.findings, *judge(facts, request)) == ()
        assert sim.shell.unknown == []


async def test_everything_that_is_wrong_is_found_in_one_run(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path / "sim") as sim:
        ctl2, cmp1 = sim.cloud.hosts["ctl2"], sim.cloud.hosts["cmp1"]
        ctl2.keys = {**ctl2.keys, "fernet": ("other", 3)}
        ctl2.broken.add("libvirt0")
        ctl2.unresolved = "X nova never asked: it is not the first control host"
        cmp1.lock = "another"
        cmp1.options["nova upgrade_levels compute"] = ""
        cmp1.synchronised = "no"
        cmp1.files[REBOOT_REQUIRED] = ""
        sim.cloud.hosts["ctl1"].unresolved = "X glance no version of glance==33.0.0"
        sim.cloud.balancer.say("set server keystone/ctl2 state maint")
        sim.cloud.nova.record("nova-compute", "cmp2").version = 66
        sim.cloud.schemas.rows["glance"] = (revision("glance", "2025.2"),)
        request = request_of(sim)
        facts = await read_facts(hosts, request)
        told = {(finding.check, finding.word): finding.subject for finding in facts.findings}
        assert told == {
            ("keys", "blocker"): "ctl2",
            ("packages", "warning"): "ctl2",
            ("rpc-pin", "blocker"): "cmp1",
            ("clock", "note"): "cmp1",
            ("reboot", "note"): "cmp1",
            ("repository", "blocker"): told["repository", "blocker"],
            ("balancer", "blocker"): "keystone on ctl2",
            ("service-records", "blocker"): "nova-compute on cmp2",
            ("schemas", "blocker"): "schema glance",
        }
        assert {f.subject for f in facts.findings if f.check == "repository"} == {"cmp1", "ctl1"}
        assert sim.shell.unknown == []
