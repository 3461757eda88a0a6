"""Everything that the adapters write is understood; what nobody writes is not."""

import pytest

from activities.balancer.haproxy import HAProxy
from activities.database.mariadb import MariaDB
from activities.manage import manage_script
from activities.packaging.venv import Venv
from activities.units.systemd import Systemd
from model.actions import ManageParams
from model.components import DATABASES
from model.inventory import LoadBalancer, Packaging
from model.plan import Action
from simulator.intents import BalancerCommands, Part, Scripts, names_of
from simulator.settings import HOLD_MAP
from tests.workflows.clouds import facts, upgrade
from workflows.plan import make_plan

PACKAGING, UNITS, DATABASE = Venv(Packaging()), Systemd(), MariaDB()


@pytest.fixture(scope="module")
def scripts() -> Scripts:
    return Scripts()


def understood(scripts: Scripts, script: str) -> tuple[Part, ...]:
    parts = scripts.parse(script)
    assert parts is not None, script
    return parts


def test_software(scripts: Scripts) -> None:
    (part,) = understood(scripts, PACKAGING.install("nova", "34.0.0", "2026.2"))
    assert part == Part("install", {"service": "nova", "version": "34.0.0", "release": "2026.2"})
    (part,) = understood(scripts, PACKAGING.uninstall("nova", "34.0.0"))
    assert part == Part("uninstall", {"service": "nova", "version": "34.0.0"})


def test_switching_is_two_parts(scripts: Scripts) -> None:
    units = ("nova-conductor", "nova-scheduler")
    parts = understood(scripts, PACKAGING.activate("nova", "34.0.0") + UNITS.restart(units))
    assert [part.intent for part in parts] == ["activate", "restart"]
    assert parts[1].units == units
    assert names_of(parts) == ("switch", "switch:nova", "switch:nova-conductor", "switch:nova-scheduler")
    stop = understood(scripts, PACKAGING.check("nova", "34.0.0") + UNITS.stop(units))
    assert names_of(stop)[0] == "stop"
    assert names_of(understood(scripts, UNITS.reload_caches("nova-conductor"))) == ("reload", "reload:nova-conductor")


def test_databases(scripts: Scripts) -> None:
    for names in DATABASES.values():
        (part,) = understood(scripts, DATABASE.dump(names, "/var/lib/x/dump.sql.gz"))
        assert part.values == {"databases": " ".join(names), "path": "/var/lib/x/dump.sql.gz"}
    (part,) = understood(scripts, DATABASE.record_versions("cmp1", ("nova-compute",), 72))
    assert part.intent == "sql"
    assert part.values["sql"].count(";") == 3


def test_every_command_of_the_services_tools(scripts: Scripts) -> None:
    """Those of a whole plan, so that a new one is noticed here."""
    request = upgrade()
    plan = make_plan(request, facts(request))
    manage = [ManageParams.model_validate(s.params) for s in plan.steps if s.action is Action.RUN_MANAGE]
    assert len(manage) > 9
    for params in manage:
        (part,) = understood(scripts, manage_script(PACKAGING, params))
        words = (part.values["tool"], *part.values["arguments"].split())
        assert (words, part.values["service"], part.values["version"]) == (
            params.command,
            params.service,
            params.version,
        )


def test_the_balancer() -> None:
    adapter = HAProxy(LoadBalancer(host="lb", address="127.0.0.1", hold_map=HOLD_MAP))
    commands = BalancerCommands()
    said = {
        adapter.servers(): {"said": "show stat"},
        adapter.sessions(): {"said": "show sess"},
        adapter.set_state("nova-api", "ctl1", "drain"): {"said": "set server nova-api/ctl1 state drain"},
        adapter.hold("nova-api", 20): {"frontend": "nova-api", "number": "20"},
        adapter.hold("nova-api", 0): {"frontend": "nova-api", "number": "0"},
    }
    for command, values in said.items():
        part = commands.parse(command)
        assert part is not None
        assert part.values == values


def test_anything_else_is_not_understood(scripts: Scripts) -> None:
    assert scripts.parse("rm -rf /opt/openstack\n") is None
    assert scripts.parse(PACKAGING.check("nova", "34.0.0") + "echo more\n") is None
    assert BalancerCommands().parse("socat - /run/haproxy/admin.sock") is None
