"""The shell behind the MariaDB adapter. What differs between two calls is assigned in a script's first lines.

A dump is three files: ``NAME.sql.gz``; ``NAME.counts``, the rows of each table and the things that people would miss
(servers, images, users, projects) at its moment; ``NAME.manifest``, written last, with its checksum. A dump without a
manifest, or with another checksum, is not whole.
"""

# Strings of SQL in double quotes: the names in them are checked before they come here.
LIBRARY = r"""set -eu
umask 077
client=$(command -v mariadb || command -v mysql)
sql() { "$client" --batch --skip-column-names --execute "$1"; }
listed() { printf "'%s', " "$@" | sed 's/, $//'; }
fail() { status=$1; shift; echo "$@" >&2; exit "$status"; }
sum() { sha256sum <"$1" | cut -d' ' -f1; }
told() { sed -n "s/^$2=//p" "$1"; }
# What people would miss: kind, id and name, one a line.
things() {
    case $1 in
        nova | nova_cell0)
            sql "SELECT 'thing', 'server', uuid, LEFT(COALESCE(display_name, ''), 60)
                FROM \`$2\`.instances WHERE deleted = 0" ;;
        glance)
            sql "SELECT 'thing', 'image', id, LEFT(COALESCE(name, ''), 60) FROM \`$2\`.images WHERE deleted = 0" ;;
        keystone)
            sql "SELECT 'thing', 'project', id, name FROM \`$2\`.project WHERE is_domain = 0"
            sql "SELECT 'thing', 'user', u.id, COALESCE(
                (SELECT MIN(name) FROM \`$2\`.local_user l WHERE l.user_id = u.id),
                (SELECT MIN(name) FROM \`$2\`.nonlocal_user n WHERE n.user_id = u.id),
                (SELECT MIN(display_name) FROM \`$2\`.federated_user f WHERE f.user_id = u.id), u.id)
                FROM \`$2\`.user u" ;;
    esac
}
# The rows of every table, and the things; of schemas whose names begin with the first argument.
tally() {
    prefix=$1; shift
    for name; do
        all=$(sql "SELECT table_name FROM information_schema.tables
            WHERE table_schema = '$prefix$name' AND table_type = 'BASE TABLE'")
        counting=$(echo "$all" | sed -n "s/..*/SELECT 'rows', '$name', '&', COUNT(*) FROM \`$prefix$name\`.\`&\`/
            1!s/^/UNION ALL /
            /./p")
        [ -z "$counting" ] || sql "$counting"
        things "$name" "$prefix$name"
    done
}
sorted() { LC_ALL=C sort -o "$1" "$1"; }
"""

# Options: one consistent snapshot without locks, everything that a schema consists of, and bytes that survive.
# The end marker is how mariadb-dump says that it came to its end; a pipe's exit status would be gzip's.
WRITE = r"""dumper=$(command -v mariadb-dump || command -v mysqldump)
measure() {
    size=$(sql "SELECT COALESCE(SUM(data_length + index_length), 0) DIV 1 FROM information_schema.tables
        WHERE table_schema IN ($(listed "$@"))")
}
# Writes a dump to the first argument, of the schemas that follow.
write() {
    file=$1; shift
    live=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema IN ($(listed "$@"))")
    measure "$@"
    mkdir -p "${file%/*}"
    free=$(df -Pk "${file%/*}" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt $((size / 1024)) ] || fail 28 "$size bytes to dump, and only $free kB free for it"
    source=
    [ "$(sql 'SELECT @@log_bin')" = 0 ] || source=--master-data=2
    rm -f "$file"
    "$dumper" --single-transaction --quick --routines --triggers --events --hex-blob $source --databases "$@" |
        gzip -1 >"$file"
    gzip -dc "$file" | tail -n 1 | grep -q '^-- Dump completed' || fail 74 "the dump is cut short"
    tables=$(gzip -dc "$file" | grep -c '^CREATE TABLE ') || true
    views=$(gzip -dc "$file" | grep -c '^/\*![0-9]* VIEW ') || true
    [ $((tables + views)) -ge "$live" ] || fail 74 "$tables tables in the dump, $live in the server"
}
# Which kept dump of a service counts: the latest whole one, since a later try was ordered because of the earlier.
newest() {
    for number in $(ls "$1" 2>/dev/null | sed -nE "s/^$2-([0-9]+)\.sql\.gz$/\1/p" | sort -rn) ''; do
        found=$1/$2${number:+-$number}
        [ -f "$found.sql.gz" ] && [ -f "$found.manifest" ] || continue
        [ "$(sum "$found.sql.gz")" = "$(told "$found.manifest" sha256)" ] && return
        echo "damaged=$found.sql.gz"
    done
    found=
}
"""

DUMP = r"""missing=$(for name in $names; do
    sql "SHOW DATABASES" | grep -qx "$name" || echo "$name"
done)
[ -z "$missing" ] || fail 66 "no such database:" $missing
taken=$(date -u +%Y-%m-%dT%H:%M:%SZ)
base=${path%.sql.gz}
rm -f "$base.manifest"
mkdir -p "${base%/*}"
# What is too big to be restored is counted in the server, a moment before the dump's own.
measure $names
[ "$size" -le "$limit" ] || tally '' $names >"$base.counts"
write "$path.new" $names
restored=0
if [ "$size" -le "$limit" ]; then
    scratch=stackroll_restore_test_
    clean() { for name in $names; do sql "DROP DATABASE IF EXISTS \`$scratch$name\`"; done; }
    trap clean EXIT
    clean
    # Every statement begins its own line, and text never holds a bare line break: only these name a schema.
    renamed() {
        gzip -dc "$path.new" |
            sed -E "s/^((CREATE|ALTER) DATABASE [^\`]*|USE )\`([^\`]+)\`/\1\`$scratch\3\`/"
    }
    # Nothing may reach a live schema, whatever a future client writes.
    stray=$(renamed | grep -E '^(/\*![0-9]+ )?(USE|(CREATE|ALTER|DROP) DATABASE) ' | grep -vF "\`$scratch" | head -n 3)
    [ -z "$stray" ] || fail 74 "the dump cannot be restored elsewhere: $stray"
    renamed | "$client"
    for name in $names; do
        new=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$scratch$name'")
        old=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$name'")
        [ "$new" = "$old" ] || fail 74 "$name restored with $new of $old tables"
    done
    tally "$scratch" $names >"$base.counts"
    clean
    trap - EXIT
    restored=1
fi
sorted "$base.counts"
sync "$path.new" "$base.counts"
mv "$path.new" "$path"
{
    echo "taken=$taken"
    echo "position=$(gzip -dc "$path" | head -n 60 | sed -nE \
        "s/^-- CHANGE MASTER TO MASTER_LOG_FILE='([^']+)', MASTER_LOG_POS=([0-9]+);.*/\1:\2/p")"
    echo "path=$path"
    echo "bytes=$(stat -c %s "$path")"
    echo "sha256=$(sum "$path")"
    echo "tables=$tables"
    echo "restored=$restored"
} >"$base.manifest.new"
sync "$base.manifest.new"
mv "$base.manifest.new" "$base.manifest"
cat "$base.manifest"
"""

FIND = r"""while read -r service names; do
    echo "service=$service"
    newest "$folder" "$service"
    [ -z "$found" ] || cat "$found.manifest"
done <<END
$plan
END
"""

LOSSES = r"""work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while read -r service names; do
    newest "$folder" "$service" >&2
    [ -n "$found" ] || fail 66 "no whole dump of $service in $folder"
    echo "taken=$(told "$found.manifest" taken)"
    tally '' $names >"$work/now"
    awk -F '\t' '
        { key = $2 FS $3; value[NR == FNR, key] = $4; row[key] = $1 == "rows"; seen[key] }
        END {
            for (key in seen) {
                was = (1, key) in value; is = (0, key) in value
                split(key, part, FS)
                if (row[key]) {
                    if (value[1, key] + 0 != value[0, key] + 0)
                        printf "rows=%s.%s\t%d\t%d\n", part[1], part[2], value[1, key], value[0, key]
                } else if (was != is) {
                    what = (was ? "gone" : "made") "=" part[1]
                    called = was ? value[1, key] : value[0, key]
                    if (++number[what] <= most) printf "%s\t%s\t%s\n", what, part[2], called
                }
            }
            for (what in number) printf "count-%s\t%d\n", what, number[what]
        }' most=20 "$found.counts" "$work/now" | LC_ALL=C sort
done <<END
$plan
END
"""

# The first try notes where every guest is before it drops anything; a later one goes on with that.
RESTORE = r"""notes=stackroll_restore_notes
now=$(date -u +%Y%m%dT%H%M%SZ)
present() { [ -n "$(sql "SHOW DATABASES LIKE '$1'")" ]; }
only_tables() { grep '^rows' "$1" | cut -f 1-3; }
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while read -r service names; do
    newest "$folder" "$service" >&2
    [ -n "$found" ] || fail 66 "no whole dump of $service in $folder"
    held=" $(gzip -dc "$found.sql.gz" | sed -n 's/^USE `\(.*\)`;.*/\1/p' | tr '\n' ' ')"
    for name in $names; do
        case $held in *" $name "*) ;; *) fail 66 "no schema $name in $found.sql.gz" ;; esac
    done
    echo "$service $found $names" >>"$work/plan"
done <<END
$plan
END
every=$(cut -d' ' -f3- "$work/plan" | tr '\n' ' ')
users=$(sql "SELECT CONCAT(COUNT(*), ' of ', user, ' from ', SUBSTRING_INDEX(host, ':', 1), ' to ', db)
    FROM information_schema.processlist WHERE db IN ($(listed $every))
    GROUP BY user, SUBSTRING_INDEX(host, ':', 1), db")
[ -z "$users" ] || fail 75 "still connected, and nothing was changed:
$users"
begun=
noted=$(sql "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$notes' AND table_name = 'origin'")
[ "$noted" = 0 ] || begun=$(sql "SELECT begun FROM $notes.origin WHERE upgrade = '$upgrade'")
if [ -z "$begun" ]; then
    while read -r service found names; do
        before=$folder/before-restore-$now-$service
        write "$before.sql.gz" $names
        tally '' $names >"$before.counts"
        sync "$before.sql.gz"
    done <"$work/plan"
    sql "DROP DATABASE IF EXISTS $notes; CREATE DATABASE $notes"
    ! present nova || sql "CREATE TABLE $notes.guests (PRIMARY KEY (uuid)) AS
        SELECT uuid, COALESCE(display_name, '') AS name, host, node, availability_zone, vm_state, instance_type_id
        FROM nova.instances WHERE deleted = 0"
    ! present placement || sql "CREATE TABLE $notes.held AS
        SELECT a.consumer_id, p.uuid AS provider, a.resource_class_id, a.used
        FROM placement.allocations a JOIN placement.resource_providers p ON p.id = a.resource_provider_id
        JOIN $notes.guests g ON g.uuid = a.consumer_id"
    sql "CREATE TABLE $notes.origin AS SELECT '$upgrade' AS upgrade, '$now' AS begun"
    begun=$now
fi
while read -r service found names; do
    for name in $names; do
        sql "DROP DATABASE IF EXISTS \`$name\`"
    done
    gzip -dc "$found.sql.gz" | "$client"
    tally '' $names >"$work/counts"
    sorted "$work/counts"
    # Of a dump too big to be restored as a test, the rows were counted beside it: only the tables are certain.
    if [ "$(told "$found.manifest" restored)" = 1 ]; then
        cp "$found.counts" "$work/wanted"
    else
        only_tables "$found.counts" >"$work/wanted"
        only_tables "$work/counts" >"$work/tables"
        mv "$work/tables" "$work/counts"
    fi
    diff "$work/wanted" "$work/counts" >&2 || fail 74 "$service is not as it was dumped (< dumped, > restored)"
    echo "restored=$service $found.sql.gz $(grep -c '^rows' "$work/counts")"
done <"$work/plan"
lists=$folder/restore-$now.txt
: >"$lists"
case " $every " in *" nova "*)
    sql "SELECT 'moved', g.uuid, g.name, COALESCE(i.host, '-'), g.host FROM $notes.guests g
            JOIN nova.instances i ON i.uuid = g.uuid AND i.deleted = 0
            WHERE g.host IS NOT NULL AND NOT (i.host <=> g.host AND i.node <=> g.node);
        SELECT 'changed', g.uuid, g.name, COALESCE(g.host, '-'), g.vm_state FROM $notes.guests g
            JOIN nova.instances i ON i.uuid = g.uuid AND i.deleted = 0
            WHERE NOT i.instance_type_id <=> g.instance_type_id
            OR (g.vm_state IN ('resized', 'rescued') AND NOT i.vm_state <=> g.vm_state);
        SELECT 'lost', g.uuid, g.name, COALESCE(g.host, '-'), g.vm_state FROM $notes.guests g
            LEFT JOIN nova.instances i ON i.uuid = g.uuid AND i.deleted = 0 WHERE i.uuid IS NULL;
        SELECT 'back', i.uuid, COALESCE(i.display_name, ''), COALESCE(i.host, '-'), i.vm_state FROM nova.instances i
            LEFT JOIN $notes.guests g ON g.uuid = i.uuid WHERE i.deleted = 0 AND g.uuid IS NULL" >>"$lists"
    sql "UPDATE nova.instances i JOIN $notes.guests g ON g.uuid = i.uuid
            LEFT JOIN nova.compute_nodes c ON c.host = g.host AND c.hypervisor_hostname = g.node AND c.deleted = 0
            SET i.host = g.host, i.node = g.node, i.availability_zone = g.availability_zone, i.compute_id = c.id
            WHERE i.deleted = 0 AND g.host IS NOT NULL AND NOT (i.host <=> g.host AND i.node <=> g.node)"
esac
case " $every " in *" placement "*)
    # Whose resources are held elsewhere than the dump says. A provider that is not in the dump cannot be held.
    sql "CREATE OR REPLACE TABLE $notes.elsewhere AS SELECT DISTINCT h.consumer_id FROM $notes.held h
            JOIN placement.consumers k ON k.uuid = h.consumer_id
            LEFT JOIN placement.resource_providers p ON p.uuid = h.provider
            LEFT JOIN placement.allocations a ON a.consumer_id = h.consumer_id AND a.resource_provider_id = p.id
                AND a.resource_class_id = h.resource_class_id WHERE a.id IS NULL;
        SELECT DISTINCT 'unheld', g.uuid, g.name, COALESCE(g.host, '-'), h.provider FROM $notes.elsewhere e
            JOIN $notes.held h ON h.consumer_id = e.consumer_id JOIN $notes.guests g ON g.uuid = e.consumer_id
            LEFT JOIN placement.resource_providers p ON p.uuid = h.provider WHERE p.id IS NULL" >>"$lists"
    sql "DELETE FROM placement.allocations WHERE consumer_id IN (SELECT consumer_id FROM $notes.elsewhere);
        INSERT INTO placement.allocations (created_at, resource_provider_id, consumer_id, resource_class_id, used)
            SELECT UTC_TIMESTAMP(), p.id, h.consumer_id, h.resource_class_id, h.used FROM $notes.held h
            JOIN $notes.elsewhere e ON e.consumer_id = h.consumer_id
            JOIN placement.resource_providers p ON p.uuid = h.provider"
    echo "reallocated=$(sql "SELECT COUNT(*) FROM $notes.elsewhere")"
esac
sync "$lists"
for name in moved changed lost back unheld; do
    echo "$name=$(grep -c "^$name" "$lists" || true)"
done
echo "lists=$lists"
echo "before=$folder/before-restore-$begun-*.sql.gz"
sql "DROP DATABASE $notes"
"""

# Only what is wholly made of dumps is deleted, and of other upgrades than one's own.
FORGET = r"""set -eu
now=$(date +%s)
for folder in "$base"/*/dumps; do
    [ -d "$folder" ] || continue
    upgrade=${folder%/dumps}; upgrade=${upgrade##*/}
    [ "$upgrade" != "$own" ] || continue
    newest=$(find "$folder" -type f -printf '%T@\n' | sort -n | tail -n 1 | cut -d. -f1)
    [ $((now - ${newest:-now})) -gt "$keep" ] || continue
    strange=$(find "$folder" -mindepth 1 ! \( -type f \( -name '*.sql.gz' -o -name '*.sql.gz.new' -o -name '*.counts' \
        -o -name '*.manifest' -o -name '*.manifest.new' -o -name 'restore-*.txt' \) \) | head -n 1)
    [ -z "$strange" ] || { echo "kept=$upgrade $strange"; continue; }
    rm -rf "$folder"
    rmdir "$base/$upgrade" 2>/dev/null || true
    rm -f "$baselines/$upgrade.json" "$baselines/$upgrade.digest.json"
    echo "forgotten=$upgrade"
done
# Baselines of upgrades that never came to a dump.
for file in "$baselines"/*.json; do
    name=${file##*/}; name=${name%.json}; upgrade=${name%.digest}
    [ -f "$file" ] && [ "$upgrade" != "$own" ] && [ "$name" != "$own" ] || continue
    [ ! -e "$base/$upgrade/dumps" ] && [ ! -e "$base/$name/dumps" ] || continue
    [ $((now - $(stat -c %Y "$file"))) -le "$keep" ] || rm -f "$file"
done
"""
