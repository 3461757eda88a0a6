"""The shell behind a scratch server: a MariaDB of its own beside, or far from, the one in production.

It has its own data, socket, port and settings below ``$place``, is known to systemd as ``$unit``, and ends by itself
after a day whatever happens. Nothing here speaks to any other server. First lines assign what differs between calls.
"""

# The tools of a server are not in every PATH.
HEAD = r"""set -eu
PATH=$PATH:/usr/sbin:/usr/local/sbin
client=$(command -v mariadb || command -v mysql)
scratch() { "$client" --no-defaults --socket="$place/socket" --user=root "$@"; }
alive() { scratch --execute 'SELECT 1' >/dev/null 2>&1; }
fail() { status=$1; shift; echo "$@" >&2; exit "$status"; }
"""

START = r"""umask 022
server=$(command -v mariadbd || command -v mysqld) || fail 69 "no MariaDB server is installed on this host"
maker=$(command -v mariadb-install-db || command -v mysql_install_db) || fail 69 "no mariadb-install-db on this host"
if ! alive; then
    systemctl stop "$unit.service" 2>/dev/null || true
    systemctl reset-failed "$unit.service" 2>/dev/null || true
    rm -rf "$place"
    mkdir -p "$place/data"
    free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt $((need / 1024)) ] || fail 28 "$((need / 1048576)) MB to restore, and only $((free / 1024)) MB free"
    owner=root
    id -u mysql >/dev/null 2>&1 && owner=mysql
    (umask 077; head -c 30 /dev/urandom | base64 | tr -d '/+=\n' >"$place/password")
    cat >"$place/my.cnf" <<END
[mysqld]
datadir=$place/data
socket=$place/socket
pid-file=$place/pid
port=$port
bind-address=$address
skip-name-resolve
innodb_buffer_pool_size=256M
innodb_flush_log_at_trx_commit=2
innodb_file_per_table=1
long_query_time=0
slow_query_log=0
log_output=TABLE
max_connections=100
$settings
END
    chown "$owner" "$place" "$place/data"
    "$maker" --no-defaults --datadir="$place/data" --user="$owner" --skip-test-db \
        --auth-root-authentication-method=normal >"$place/install.log" 2>&1 ||
        { tail -n 20 "$place/install.log" >&2; fail 70 "the scratch server's data could not be made"; }
    systemd-run --quiet --unit="$unit" --description="stackroll rehearsal" --property=RuntimeMaxSec=86400 \
        --property=Nice=5 "$server" --defaults-file="$place/my.cnf" --user="$owner"
    i=0
    until alive; do
        i=$((i + 1))
        [ $i -lt 300 ] || { journalctl -u "$unit" -n 12 --no-pager -o cat >&2; fail 70 "it does not come up"; }
        sleep 0.2
    done
    # Only this host's root knows the password of its root; the other one is for the services' tools, from anywhere.
    password=$(cat "$place/password")
    scratch <<END
CREATE USER 'rehearsal'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'rehearsal'@'%';
ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket;
END
fi
echo "server=$(scratch --batch --skip-column-names --execute 'SELECT VERSION()')"
"""

# What the cells are reached by would lead back to production.
RESTORE = r"""gzip -dc "$path" | scratch
rm -f "$path"
if [ -n "$(scratch --batch --skip-column-names --execute "SHOW DATABASES LIKE 'nova_api'")" ]; then
    base="mysql+pymysql://rehearsal:$(cat "$place/password")@$address:$port/"
    scratch nova_api <<END
UPDATE cell_mappings SET transport_url = 'none:///', database_connection = CONCAT('$base',
    IF(uuid = '00000000-0000-0000-0000-000000000000', 'nova_cell0',
       IF(database_connection REGEXP '/[A-Za-z0-9_]+([?].*)?$',
          SUBSTRING_INDEX(SUBSTRING_INDEX(database_connection, '?', 1), '/', -1), 'nova')), '?charset=utf8');
END
fi
echo "tables=$(scratch --batch --skip-column-names --execute \
    "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema IN ($schemas)")"
"""

LISTEN = r"""scratch --execute 'SET GLOBAL slow_query_log = 0; TRUNCATE mysql.slow_log; SET GLOBAL slow_query_log = 1'
"""

# Seconds, rows, text. What only reads holds nobody up.
HEARD = r"""scratch --batch --skip-column-names --raw --execute "SET GLOBAL slow_query_log = 0;
    SELECT TIME_TO_SEC(query_time), rows_affected, REPLACE(REPLACE(LEFT(sql_text, 400), '\n', ' '), '\t', ' ')
    FROM mysql.slow_log WHERE user_host LIKE 'rehearsal%' AND
    sql_text REGEXP '^[[:space:]]*(ALTER|CREATE|DROP|RENAME|TRUNCATE|UPDATE|DELETE|INSERT|REPLACE)[[:space:]]'
    ORDER BY query_time DESC LIMIT 500"
"""

STOP = r"""set -u
systemctl stop "$unit.service" 2>/dev/null
systemctl reset-failed "$unit.service" 2>/dev/null
rm -rf "$place"
[ ! -e "$place" ] || { echo "$place is still there" >&2; exit 1; }
echo "removed=1"
"""

# Of the server in production: what migrations depend on. Read only.
SETTINGS = (
    "SELECT CONCAT('sql_mode=', @@GLOBAL.sql_mode, '\\ncharacter-set-server=', @@GLOBAL.character_set_server, "
    "'\\ncollation-server=', @@GLOBAL.collation_server)"
)
