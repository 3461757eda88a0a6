import gzip
import os
import subprocess
from pathlib import Path

import pytest

from activities.database.mariadb import MariaDB
from activities.errors import StepFailed

ADAPTER = MariaDB()

# A server with the schemas nova and nova_api, of two tables each; it notes what a restore would write.
CLIENT = """#!/bin/sh
for query; do :; done
case "$query" in
    "SHOW DATABASES") printf 'mysql\\nnova\\nnova_api\\n' ;;
    *log_bin*) echo "${LOG_BIN:-0}" ;;
    *SUM*) echo "${SIZE:-1000}" ;;
    *"IN ("*) echo 4 ;;
    *"table_schema = 'stackroll"*) echo "${RESTORED:-2}" ;;
    *"table_schema ="*) echo 2 ;;
    DROP*) echo "$query" >>"$HOME/statements" ;;
    *) cat >>"$HOME/restored" ;;
esac
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
        self.path = root / "dumps" / "nova.sql.gz"
        self.content(DUMP.format(position="") + END)
        for name, text in (("mariadb", CLIENT), ("mariadb-dump", DUMPER)):
            (root / name).write_text(text)
            (root / name).chmod(0o755)

    def content(self, text: str) -> None:
        (self.root / "dump.sql").write_text(text)

    def dump(self, *databases: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/bin/sh", "-c", ADAPTER.dump(databases or ("nova_api", "nova"), str(self.path))],
            env={"PATH": f"{self.root}:{os.environ['PATH']}", "HOME": str(self.root), **environment},
            capture_output=True,
            text=True,
            check=False,
        )


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
    dropped = (server.root / "statements").read_text().splitlines()
    assert set(dropped) == {
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
