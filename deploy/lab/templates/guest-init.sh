#!/bin/busybox sh
# The only program of a guest: counts on the serial console, ten times a second, and looks after its disk.
#
#   BOOT <boot> <uuid>            once; <boot> is new at every boot, <uuid> is the server's
#   DISK <boot> new|kept|now <mark>   the mark was written now; was found at boot; was found again later
#   TICK <boot> <count> <uptime>  the count begins with 0 at every boot and has no holes
#
# deploy/lab/console.py reads this. Nothing in the loop starts a process: a guest costs about 3 % of a core.
B=/bin/busybox
$B mkdir /proc /sys
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev 2>/dev/null
for module in @MODULES@; do $B insmod /lib/$module.ko; done

read -r boot </proc/sys/kernel/random/boot_id
boot=${boot%%-*}
uuid=
[ -e /sys/class/dmi/id/product_uuid ] && read -r uuid </sys/class/dmi/id/product_uuid
echo "BOOT $boot $uuid"

# The power button ends the guest, as nova's stop expects; otherwise every stop would take nova's whole patience.
for input in /dev/input/event*; do
  [ -e "$input" ] && { $B dd if=$input of=/dev/null bs=24 count=1 2>/dev/null; $B sync; $B poweroff -f; } &
done

# The image says "none". The first boot draws a mark and writes it; later boots must find it.
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do $B usleep 50000; tries=$((tries + 1)); done
word=; mark=
[ -b /dev/vda ] && read -r word mark </dev/vda
state=kept
if [ "$mark" = none ]; then
  read -r mark </proc/sys/kernel/random/uuid
  echo "$word $mark" >/dev/vda
  $B sync
  state=new
fi
echo "DISK $boot $state ${mark:-lost}"

$B mkfifo /pause
exec 3<>/pause
count=0
while :; do
  read -r uptime rest </proc/uptime
  echo "TICK $boot $count $uptime"
  count=$((count + 1))
  if [ $((count % 50)) = 0 ]; then
    # Closing the device has dropped its pages, so this reads the disk itself.
    mark=
    read -r word mark </dev/vda
    echo "DISK $boot now ${mark:-lost}"
  fi
  read -r -t 0.1 -u 3 rest
done
