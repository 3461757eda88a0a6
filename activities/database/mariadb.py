"""MariaDB, by its own client on its own host: root through the unix socket, no password anywhere."""

import re
import shlex
from collections.abc import Sequence

from activities.database import Dump, registry
from activities.errors import StepFailed

# A test restore writes everything once more; beyond this it costs more than it proves on every run.
RESTORE_TEST_LIMIT = 512 * 1024 * 1024

# Options: one consistent snapshot without locks, everything that a schema consists of, and bytes that survive.
# The end marker is how mariadb-dump says that it came to its end; a pipe's exit status would be gzip's.
_DUMP = r"""set -eu
umask 077
path={path} limit={limit}
client=$(command -v mariadb || command -v mysql)
dump=$(command -v mariadb-dump || command -v mysqldump)
sql() {{ "$client" --batch --skip-column-names --execute "$1"; }}
missing=$(for name in {names}; do
    sql "SHOW DATABASES" | grep -qx "$name" || echo "$name"
done)
[ -z "$missing" ] || {{ echo "no such database:" $missing >&2; exit 66; }}
live=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema IN ({quoted})")
size=$(sql "SELECT COALESCE(SUM(data_length + index_length), 0) DIV 1 FROM information_schema.tables
    WHERE table_schema IN ({quoted})")
mkdir -p "${{path%/*}}"
free=$(df -Pk "${{path%/*}}" | awk 'NR == 2 {{ print $4 }}')
[ "$free" -gt $((size / 1024)) ] || {{ echo "$size bytes to dump, and only $free kB free for it" >&2; exit 28; }}
source=
[ "$(sql 'SELECT @@log_bin')" = 0 ] || source=--master-data=2
rm -f "$path.new"
"$dump" --single-transaction --quick --routines --triggers --events --hex-blob $source --databases {names} |
    gzip -1 >"$path.new"
gzip -dc "$path.new" | tail -n 1 | grep -q '^-- Dump completed' || {{ echo "the dump is cut short" >&2; exit 74; }}
tables=$(gzip -dc "$path.new" | grep -c '^CREATE TABLE ') || true
views=$(gzip -dc "$path.new" | grep -c '^/\*![0-9]* VIEW ') || true
[ $((tables + views)) -ge "$live" ] || {{ echo "$tables tables in the dump, $live in the server" >&2; exit 74; }}
restored=0
if [ "$size" -le "$limit" ]; then
    scratch=stackroll_restore_test_
    clean() {{ for name in {names}; do sql "DROP DATABASE IF EXISTS \`$scratch$name\`"; done; }}
    trap clean EXIT
    clean
    # Every statement begins its own line, and text never holds a bare line break: only these name a schema.
    renamed() {{
        gzip -dc "$path.new" |
            sed -E "s/^((CREATE|ALTER) DATABASE [^\`]*|USE )\`([^\`]+)\`/\1\`$scratch\3\`/"
    }}
    # Nothing may reach a live schema, whatever a future client writes.
    stray=$(renamed | grep -E '^(/\*![0-9]+ )?(USE|(CREATE|ALTER|DROP) DATABASE) ' | grep -vF "\`$scratch" | head -n 3)
    [ -z "$stray" ] || {{ echo "the dump cannot be restored elsewhere: $stray" >&2; exit 74; }}
    renamed | "$client"
    for name in {names}; do
        new=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$scratch$name'")
        old=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$name'")
        [ "$new" = "$old" ] || {{ echo "$name restored with $new of $old tables" >&2; exit 74; }}
    done
    clean
    trap - EXIT
    restored=1
fi
sync "$path.new"
mv "$path.new" "$path"
echo "position=$(gzip -dc "$path" | head -n 60 | sed -nE \
    "s/^-- CHANGE MASTER TO MASTER_LOG_FILE='([^']+)', MASTER_LOG_POS=([0-9]+);.*/\1:\2/p")"
echo "path=$path"
echo "bytes=$(stat -c %s "$path")"
echo "sha256=$(sha256sum "$path" | cut -d' ' -f1)"
echo "tables=$tables"
echo "restored=$restored"
"""

_RECORD = """set -eu
client=$(command -v mariadb || command -v mysql)
"$client" --batch --skip-column-names <<'SQL'
SELECT CONCAT('before=', COALESCE(MIN(version), '')) FROM nova.services WHERE deleted = 0 AND `binary` IN ({binaries});
UPDATE nova.services SET version = {version:d}
  WHERE deleted = 0 AND host = {host} AND `binary` IN ({binaries});
SELECT CONCAT('records=', COUNT(*)) FROM nova.services
  WHERE deleted = 0 AND host = {host} AND `binary` IN ({binaries}) AND version = {version:d};
SQL
"""
_NAME = re.compile(r"^[A-Za-z0-9_]+$")


@registry.register("mariadb")
class MariaDB:
    """A MariaDB server."""

    def dump(self, databases: Sequence[str], path: str) -> str:
        """Return the script of a consistent dump, checked for its end, its tables, and by a test restore if small."""
        if bad := [name for name in databases if not _NAME.match(name)]:
            raise ValueError(f"{bad[0]!r} is no name of a database")
        return _DUMP.format(
            path=shlex.quote(path),
            limit=RESTORE_TEST_LIMIT,
            names=" ".join(databases),
            quoted=", ".join(f"'{name}'" for name in databases),
        )

    def parse_dump(self, output: str) -> Dump:
        """Return what the script has printed.

        Raises:
            StepFailed: it has not printed it.
        """
        found = _values(output)
        try:
            return Dump(
                path=found["path"],
                bytes=int(found["bytes"]),
                sha256=found["sha256"],
                tables=int(found["tables"]),
                restored=found["restored"] == "1",
                position=found.get("position", ""),
            )
        except (KeyError, ValueError) as error:
            raise StepFailed(f"the dump's summary cannot be read ({error})", tail=output) from None

    def record_versions(self, host: str, binaries: Sequence[str], version: int) -> str:
        """Return the script that sets the versions of a host's service records."""
        return _RECORD.format(host=_text(host), binaries=", ".join(map(_text, binaries)), version=version)

    def parse_records(self, output: str) -> tuple[int, int | None]:
        """Return how many records have the version now, and the lowest one of any host before."""
        found = _values(output)
        before = found.get("before", "")
        return int(found.get("records", "0")), int(before) if before.isdigit() else None


def _values(output: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def _text(value: str) -> str:
    """Return a string literal of SQL; names that would need escaping do not occur and are refused."""
    if not re.match(r"^[A-Za-z0-9_.:-]+$", value):
        raise ValueError(f"{value!r} is no name of a host or a service")
    return f"'{value}'"
