import gzip
import os
import subprocess
import time
from pathlib import Path

import pytest

from activities.database.mariadb import MariaDB
from activities.errors import StepFailed

ADAPTER = MariaDB()

# A server with the schemas nova and nova_api, of two tables each; it notes what is written.
CLIENT = r"""#!/bin/sh
for query; do :; done
[ "$#" -gt 0 ] || { cat >>"$HOME/restored"; echo load >>"$HOME/statements"; exit 0; }
case "$query" in
    "SHOW DATABASES") printf 'mysql\nnova\nnova_api\n' ;;
    *"SHOW DATABASES LIKE"*) echo there ;;
    *log_bin*) echo "${LOG_BIN:-0}" ;;
    *"SELECT table_name"*) printf 'instances\nservices\n' ;;
    *"SELECT 'rows'"*)
        echo "$query" | grep -o "'[a-z_]*', '[a-z_]*', COUNT" | tr -d "',A-Z" | while read -r schema table; do
        printf 'rows\t%s\t%s\t%s\n' "$schema" "$table" "$(cat "$HOME/count-$table" 2>/dev/null || echo 3)"; done ;;
    *"SELECT 'thing'"*) cat "$HOME/things" 2>/dev/null ;;
    *processlist*) cat "$HOME/connected" 2>/dev/null ;;
    *"'origin'"*) [ -e "$HOME/begun" ] && echo 1 || echo 0 ;;
    *"SELECT begun"*) cat "$HOME/begun" ;;
    *"SELECT 'moved'"*) printf 'moved\tuuid-1\tweb\tcmp1\tcmp2\nlost\tuuid-2\tdb\tcmp1\tactive\n' ;;
    "SELECT COUNT(*) FROM stackroll_restore_notes"*) echo 1 ;;
    *SUM*) echo "${SIZE:-1000}" ;;
    *"IN ("*"COUNT(*)"* | *"COUNT(*)"*"IN ("*) echo 4 ;;
    *"table_schema = 'stackroll"*) echo "${RESTORED:-2}" ;;
    *"table_schema ="*) echo 2 ;;
    *) echo "$query" >>"$HOME/statements" ;;
esac
true
"""
DUMPER = """#!/bin/sh
echo "$*" >"$HOME/arguments"
cat "$HOME/dump.sql"
"""
DUMP = """/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.18-MariaDB, for debian-linux-gnu (x86_64)
{position}CREATE DATABASE /*!32312 IF NOT EXISTS*/ `nova_api` /*!40100 DEFAULT CHARACTER SET utf8mb3 */;
USE `nova_api`;
CREATE TABLE `aggregates` (
CREATE TABLE `cells` (
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `nova` /*!40100 DEFAULT CHARACTER SET utf8mb3 */;
USE `nova`;
CREATE TABLE `instances` (
CREATE TABLE `services` (
INSERT INTO `services` VALUES ('USE `nova`;\\nCREATE DATABASE `nova`');
"""
END = "-- Dump completed on 2026-11-22 23:49:11\n"


class Server:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "dumps"
        self.path = self.folder / "nova.sql.gz"
        self.content(DUMP.format(position="") + END)
        for name, text in (("mariadb", CLIENT), ("mariadb-dump", DUMPER)):
            (root / name).write_text(text)
            (root / name).chmod(0o755)

    def content(self, text: str) -> None:
        (self.root / "dump.sql").write_text(text)

    def dump(self, *databases: str, path: str = "nova", **environment: str) -> "subprocess.CompletedProcess[str]":
        script = ADAPTER.dump(databases or ("nova_api", "nova"), f"{self.folder}/{path}.sql.gz")
        return self.sh(script, **environment)

    def sh(self, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/bin/sh", "-c", script],
            env={"PATH": f"{self.root}:{os.environ['PATH']}", "HOME": str(self.root), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def statements(self) -> list[str]:
        """What was written, each statement by its first line."""
        file = self.root / "statements"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if not line.startswith(" ")]

    def note(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_a_dump_is_whole_private_and_restored_elsewhere(server: Server) -> None:
    done = server.dump()
    assert (done.returncode, done.stderr) == (0, "")
    dump = ADAPTER.parse_dump(done.stdout)
    assert gzip.decompress(server.path.read_bytes()).decode().endswith(END)
    assert server.path.stat().st_mode & 0o777 == 0o600
    assert (dump.path, dump.bytes) == (str(server.path), server.path.stat().st_size)
    assert (dump.tables, dump.restored, len(dump.sha256)) == (4, True, 64)
    assert "--single-transaction" in (server.root / "arguments").read_text()
    assert "--databases nova_api nova" in (server.root / "arguments").read_text()


def test_the_test_restore_names_no_live_schema(server: Server) -> None:
    server.dump()
    restored = (server.root / "restored").read_text().splitlines()
    named = [line for line in restored if line.startswith(("USE", "CREATE DATABASE"))]
    assert len(named) == 4
    assert all("`stackroll_restore_test_nova" in line for line in named)
    assert "INSERT INTO `services` VALUES ('USE `nova`;\\nCREATE DATABASE `nova`');" in restored
    assert set(server.statements) - {"load"} == {
        "DROP DATABASE IF EXISTS `stackroll_restore_test_nova`",
        "DROP DATABASE IF EXISTS `stackroll_restore_test_nova_api`",
    }


@pytest.mark.parametrize("line", ["USE nova;", "/*!40000 DROP DATABASE IF EXISTS `nova`*/;", "DROP DATABASE nova;"])
def test_a_dump_that_would_touch_a_live_schema_is_never_restored(server: Server, line: str) -> None:
    server.content(f"{DUMP.format(position='')}{line}\n{END}")
    done = server.dump()
    assert done.returncode == 74
    assert "cannot be restored elsewhere" in done.stderr
    assert not (server.root / "restored").exists()
    assert not server.path.exists()


def test_a_dump_that_is_cut_short_is_refused(server: Server) -> None:
    server.content(DUMP.format(position=""))
    done = server.dump()
    assert (done.returncode, done.stderr) == (74, "the dump is cut short\n")
    assert not server.path.exists()


def test_a_dump_without_all_tables_is_refused(server: Server) -> None:
    server.content("CREATE TABLE `instances` (\n" + END)
    done = server.dump()
    assert done.returncode == 74
    assert "1 tables in the dump, 4 in the server" in done.stderr


def test_a_restore_that_loses_tables_is_refused(server: Server) -> None:
    done = server.dump(RESTORED="1")
    assert done.returncode == 74
    assert "nova_api restored with 1 of 2 tables" in done.stderr


def test_a_big_database_is_not_restored(server: Server) -> None:
    done = server.dump(SIZE=str(1 << 30))
    assert ADAPTER.parse_dump(done.stdout).restored is False
    assert "rows\tnova\tservices\t3" in (server.folder / "nova.counts").read_text()
    assert restore(server).returncode == 0


def test_the_position_in_the_binary_log_is_kept(server: Server) -> None:
    position = "-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000003', MASTER_LOG_POS=4711;\n"
    server.content(DUMP.format(position=position) + END)
    assert ADAPTER.parse_dump(server.dump(LOG_BIN="1").stdout).position == "binlog.000003:4711"
    assert "--master-data=2" in (server.root / "arguments").read_text()


def test_a_database_that_does_not_exist_is_named(server: Server) -> None:
    done = server.dump("nova", "nova_cell7")
    assert (done.returncode, done.stderr) == (66, "no such database: nova_cell7\n")


def test_too_little_room_is_noticed_before(server: Server) -> None:
    done = server.dump(SIZE=str(1 << 60))
    assert done.returncode == 28
    assert "free for it" in done.stderr


@pytest.mark.parametrize("name", ["nova;DROP", "nova nova", "`nova`", ""])
def test_names_of_databases_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a database"):
        ADAPTER.dump((name,), "/dumps/x.gz")


def test_an_unreadable_summary_is_an_error() -> None:
    with pytest.raises(StepFailed, match="cannot be read"):
        ADAPTER.parse_dump("path=/x\nbytes=many\n")


def test_records_are_written_for_one_host_and_its_binaries() -> None:
    script = ADAPTER.record_versions("cmp1", ["nova-compute"], 72)
    assert "SET version = 72\n  WHERE deleted = 0 AND host = 'cmp1' AND `binary` IN ('nova-compute');" in script


@pytest.mark.parametrize(
    ("output", "result"),
    [("before=74\nrecords=1\n", (1, 74)), ("before=\nrecords=0\n", (0, None)), ("", (0, None))],
)
def test_what_the_records_were(output: str, result: tuple[int, int | None]) -> None:
    assert ADAPTER.parse_records(output) == result


@pytest.mark.parametrize("host", ["cmp1'; DROP TABLE services; --", "a b", ""])
def test_names_in_sql_are_checked(host: str) -> None:
    with pytest.raises(ValueError, match="no name of a host"):
        ADAPTER.record_versions(host, ["nova-compute"], 72)


SERVICES = {"nova": ("nova_api", "nova")}
WEB = "thing\tserver\tuuid-1\tweb\n"


def test_a_dump_keeps_what_it_holds_beside_it(server: Server) -> None:
    server.note("things", WEB)
    dump = ADAPTER.parse_dump(server.dump().stdout)
    assert (server.folder / "nova.counts").read_text().splitlines() == [
        "rows\tnova\tinstances\t3",
        "rows\tnova\tservices\t3",
        "rows\tnova_api\tinstances\t3",
        "rows\tnova_api\tservices\t3",
        WEB.strip(),
    ]
    assert f"sha256={dump.sha256}\n" in (server.folder / "nova.manifest").read_text()
    assert dump.taken.startswith("20")
    assert dump.taken.endswith("Z")


def test_the_latest_whole_dump_counts(server: Server) -> None:
    for name in ("nova", "nova-2", "nova-10", "nova-11"):
        assert server.dump(path=name).returncode == 0
    (server.folder / "nova-11.sql.gz").write_bytes(b"something else")
    (server.folder / "nova-12.sql.gz").write_bytes(b"no manifest: its try died")
    found = ADAPTER.parse_found(server.sh(ADAPTER.find(str(server.folder), {**SERVICES, "glance": ("glance",)})).stdout)
    assert found["nova"].dump is not None
    assert found["nova"].dump.path == str(server.folder / "nova-10.sql.gz")
    assert found["nova"].damaged == (str(server.folder / "nova-11.sql.gz"),)
    assert (found["glance"].dump, found["glance"].damaged) == (None, ())


def test_losses_are_what_the_dump_has_not(server: Server) -> None:
    server.note("things", WEB + "thing\tserver\tuuid-2\told\n")
    server.dump()
    server.note("things", WEB + "".join(f"thing\tserver\tnew-{n}\tnew{n}\n" for n in range(30)))
    server.note("count-instances", "32\n")
    losses = ADAPTER.parse_losses(server.sh(ADAPTER.losses(str(server.folder), SERVICES)).stdout)
    assert losses.made == {"server": 30}
    assert len(losses.made_names["server"]) == 20
    assert losses.gone == {"server": 1}
    assert losses.gone_names == {"server": ("old",)}
    assert losses.rows == {"nova.instances": (3, 32), "nova_api.instances": (3, 32)}
    assert server.statements.count("load") == 1


def test_nothing_is_lost_when_nothing_was_made(server: Server) -> None:
    server.note("things", WEB)
    server.dump()
    assert ADAPTER.parse_losses(server.sh(ADAPTER.losses(str(server.folder), SERVICES)).stdout).nothing


def test_losses_need_a_whole_dump(server: Server) -> None:
    done = server.sh(ADAPTER.losses(str(server.folder), SERVICES))
    assert (done.returncode, done.stderr) == (66, f"no whole dump of nova in {server.folder}\n")


def restore(server: Server) -> "subprocess.CompletedProcess[str]":
    return server.sh(ADAPTER.restore(str(server.folder), SERVICES, "up"))


def test_a_restore_keeps_what_was_and_where_guests_are(server: Server) -> None:
    server.dump()
    (server.root / "statements").unlink()
    done = restore(server)
    assert (done.returncode, done.stderr) == (0, "")
    restored = ADAPTER.parse_restored(done.stdout)
    assert restored.dumps == {"nova": str(server.path)}
    assert restored.counts == {"moved": 1, "changed": 0, "lost": 1, "back": 0, "unheld": 0}
    assert Path(restored.lists).read_text().startswith("moved\tuuid-1\tweb\tcmp1\tcmp2\n")
    assert len(list(server.folder.glob(Path(restored.before).name))) == 1
    said = [line.split(" (")[0].split(" SET")[0] for line in server.statements]
    assert said == [
        "DROP DATABASE IF EXISTS stackroll_restore_notes; CREATE DATABASE stackroll_restore_notes",
        "CREATE TABLE stackroll_restore_notes.guests",
        "CREATE TABLE stackroll_restore_notes.held AS",
        said[3],
        "DROP DATABASE IF EXISTS `nova_api`",
        "DROP DATABASE IF EXISTS `nova`",
        "load",
        "UPDATE nova.instances i JOIN stackroll_restore_notes.guests g ON g.uuid = i.uuid",
        "DROP DATABASE stackroll_restore_notes",
    ]
    assert said[3].startswith("CREATE TABLE stackroll_restore_notes.origin AS SELECT 'up' AS upgrade")


def test_a_restore_that_broke_off_goes_on_with_what_its_first_try_noted(server: Server) -> None:
    server.dump()
    (server.root / "statements").unlink()
    server.note("begun", "20261123T030000Z\n")
    done = restore(server)
    assert done.returncode == 0
    assert ADAPTER.parse_restored(done.stdout).before == f"{server.folder}/before-restore-20261123T030000Z-*.sql.gz"
    assert not any("CREATE" in statement for statement in server.statements)
    assert list(server.folder.glob("before-restore-*")) == []


@pytest.mark.parametrize("reason", ["connected", "damaged", "other schema"])
def test_a_restore_that_must_not_begin_changes_nothing(server: Server, reason: str) -> None:
    server.dump()
    (server.root / "statements").unlink()
    (server.root / "restored").unlink()
    services: dict[str, tuple[str, ...]] = dict(SERVICES)
    if reason == "connected":
        server.note("connected", "2 of openstack from 10.0.0.1 to nova\n")
    elif reason == "damaged":
        server.path.write_bytes(server.path.read_bytes()[:-1])
    else:
        services = {"nova": ("nova_api", "nova", "nova_cell1")}
    done = server.sh(ADAPTER.restore(str(server.folder), services, "up"))
    wanted = {
        "connected": (75, "still connected, and nothing was changed:\n2 of openstack from 10.0.0.1 to nova\n"),
        "damaged": (66, f"damaged={server.path}\nno whole dump of nova in {server.folder}\n"),
        "other schema": (66, f"no schema nova_cell1 in {server.path}\n"),
    }
    assert (done.returncode, done.stderr) == wanted[reason]
    assert server.statements == []
    assert not (server.root / "restored").exists()


def test_a_restore_that_ends_in_something_else_is_noticed(server: Server) -> None:
    server.dump()
    server.note("count-services", "7\n")
    done = restore(server)
    assert done.returncode == 74
    assert "nova is not as it was dumped" in done.stderr
    assert "< rows\tnova\tservices\t3" in done.stderr


def test_old_dumps_of_others_are_forgotten(tmp_path: Path) -> None:
    baselines = tmp_path / "baselines"
    baselines.mkdir()
    for upgrade, age in (("own", 100), ("old", 100), ("young", 10), ("strange", 100), ("never-dumped", 100)):
        for kept in (f"{upgrade}.json", f"{upgrade}.digest.json"):
            (baselines / kept).write_text("{}")
            os.utime(baselines / kept, (time.time() - age,) * 2)
        folder = tmp_path / upgrade / "dumps"
        if upgrade != "never-dumped":
            folder.mkdir(parents=True)
        for name in ("nova.sql.gz", "nova.counts", "nova.manifest"):
            if folder.exists():
                (folder / name).touch()
                os.utime(folder / name, (time.time() - age,) * 2)
    (tmp_path / "strange" / "dumps" / "mine.txt").touch()
    os.utime(tmp_path / "strange" / "dumps" / "mine.txt", (0, 0))
    script = ADAPTER.forget(str(tmp_path), str(baselines), "own", 60.0)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, ADAPTER.parse_forgotten(done.stdout)) == (0, ("old",))
    assert f"kept=strange {tmp_path}/strange/dumps/mine.txt\n" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["baselines", "own", "strange", "young"]
    assert sorted({path.name.split(".")[0] for path in baselines.iterdir()}) == ["own", "strange", "young"]
    assert len(list(baselines.iterdir())) == 6


@pytest.mark.parametrize("upgrade", ["it's", "a b", ""])
def test_names_of_upgrades_are_checked(upgrade: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        ADAPTER.restore("/dumps", SERVICES, upgrade)
