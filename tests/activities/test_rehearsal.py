"""What a rehearsal writes on hosts: nothing in it leads back to production."""

import configparser
import subprocess
from pathlib import Path

from activities.database import Scratch
from activities.database.mariadb import MariaDB
from activities.manage import manage_script
from activities.packaging import packaging_of
from activities.rehearsal import override_text, remove_script
from model.actions import ManageParams
from tests.model.test_preflight import request

SCRATCH = Scratch(place="/v/r", unit="u", address="10.0.0.9")


def test_the_services_tools_are_led_to_the_scratch_server_by_the_last_file() -> None:
    urls = {name: MariaDB().scratch_url(SCRATCH, "pw", name) for name in ("nova", "nova_api", "nova_cell0")}
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(override_text("nova", urls))
    assert parser["database"]["connection"] == "mysql+pymysql://rehearsal:pw@10.0.0.9:33306/nova?charset=utf8"
    assert parser["api_database"]["connection"].endswith("/nova_api?charset=utf8")
    assert parser["DEFAULT"]["transport_url"] == "fake:/"
    params = ManageParams(service="nova", version="34.0.0", command=("nova-manage", "db", "sync"))
    script = manage_script(packaging_of(request().inventory), params, "/r/nova.conf")
    assert "--config-file /etc/nova/nova.conf $extra --config-file /r/nova.conf db sync" in script
    assert "/r/nova.conf" not in manage_script(packaging_of(request().inventory), params)


def test_a_dump_for_a_rehearsal_restores_nothing_into_production() -> None:
    assert "limit=-1\n" in MariaDB().dump(("nova",), "/d", test=False)
    assert "limit=536870912\n" in MariaDB().dump(("nova",), "/d")


def test_every_statement_to_the_scratch_server_goes_through_its_own_socket() -> None:
    database = MariaDB()
    scripts = [
        database.scratch_start(SCRATCH, "sql_mode=X", 1),
        database.scratch_restore(SCRATCH, ("nova_api",), "/d"),
        database.scratch_listen(SCRATCH),
        database.scratch_heard(SCRATCH),
    ]
    for script in scripts:
        calls = [line for line in script.splitlines() if '"$client"' in line]
        assert calls == ['scratch() { "$client" --no-defaults --socket="$place/socket" --user=root "$@"; }']
        done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.stderr == ""


def test_what_was_heard_is_read_with_tabs_in_the_text() -> None:
    assert MariaDB().parse_heard("0.5\t3\tALTER TABLE a\tb\nrubbish\n") == (("0.5", "3", "ALTER TABLE a\tb"),)


def test_removing_twice_is_harmless(tmp_path: Path) -> None:
    place = tmp_path / "it's here"
    place.mkdir()
    for _ in range(2):
        done = subprocess.run(["sh", "-c", remove_script(str(place))], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "removed=1\n")
    assert not place.exists()
