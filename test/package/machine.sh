# shellcheck shell=bash
# A Debian on a machine that qemu makes as a whole: a processor of Arm's, 512 MB as a Pi Zero 2 has, Debian's own kernel, a disk. What it needs beside debootstrap's
# system is on its disk, put there by debugfs: nothing is mounted, and no kernel of this machine takes part.

MACHINE_MEMORY=${MACHINE_MEMORY:-512}
# The first 32-bit one with a generic timer, and that of the Pi Zero 2.
declare -A PROCESSORS=([arm64]=cortex-a53 [armhf]=cortex-a15)
declare -A EMULATORS=([arm64]=qemu-system-aarch64 [armhf]=qemu-system-arm)
declare -A KERNELS=([arm64]=linux-image-arm64 [armhf]=linux-image-armmp)
# The 32-bit kernel stops all its cores once on its way, and does not come out of it where one thread makes them.
declare -A CORES=([arm64]=2 [armhf]=1)
DISK_BYTES=4G
# With MACHINE_CLOCK set the machine's clock goes by instructions, 2 ns each, whatever it takes to emulate them: what a core of 1 GHz needs that finishes one in two
# cycles, which is slower than that of a Pi Zero 2. Both cores' instructions go on one clock, and the disk costs next to nothing.
NANOSECONDS_SHIFT=1

# machine_image ARCHITECTURE SUITE: prints where the system with its kernel is.
machine_image() {
  # shellcheck disable=SC2034 # debian_image's
  local PACKAGES="$PACKAGES,${KERNELS[$1]},initramfs-tools,udev,netbase"
  CACHE="$CACHE/machines" debian_image "$1" "$2"
}

machine_is_made() { [ -f "$CACHE/machines/$1-$2/.complete" ]; }

# machine_disk IMAGE FILE: a new disk with that system, which starts the test's unit when it has come up.
machine_disk() {
  local image=$1 file=$2 work
  work=$(mktemp -d)
  rm -f "$file"
  truncate -s "$DISK_BYTES" "$file"
  mkfs.ext4 -q -F -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$image" "$file"
  write_machine_unit "$work/package-test.service"
  printf '[Unit]\nDescription=What the test hands in\n[Mount]\nWhat=test\nWhere=/test\nType=9p\nOptions=trans=virtio,version=9p2000.L,msize=262144\n' >"$work/test.mount"
  printf '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' >"$work/machine.network"
  printf '/dev/vda / ext4 errors=remount-ro,noatime 0 1\n' >"$work/fstab"
  debugfs -w -f - "$file" >/dev/null 2>"$work/debugfs" <<END
rm /etc/fstab
write $work/fstab /etc/fstab
mkdir /test
cd /etc/systemd/network
write $work/machine.network machine.network
cd /etc/systemd/system
write $work/package-test.service package-test.service
write $work/test.mount test.mount
mkdir multi-user.target.wants
cd multi-user.target.wants
symlink systemd-networkd.service /usr/lib/systemd/system/systemd-networkd.service
END
  rm -rf "$work"
}

# machine_opened FILE: an installed broker listens on loopback; on this disk it does for everybody, and another program says how the machine is, on port 11884.
# The broker itself is what answers outside: systemd-socket-proxyd before it was seen to take no connection any more while the broker stood ready.
machine_opened() {
  local file=$1 work
  work=$(mktemp -d)
  debugfs -R "dump /etc/headwater/headwater.yaml $work/installed.yaml" "$file" 2>/dev/null
  sed -e 's/^\( *- address: \)127\.0\.0\.1:1883/\10.0.0.0:1883/' -e 's/^\( *anonymous: \)false/\1true/' "$work/installed.yaml" >"$work/opened.yaml"
  [ "$(diff "$work/installed.yaml" "$work/opened.yaml" | grep -c '^>')" = 2 ] || {
    echo 'the configuration on the disk is not the one that can be opened' >&2
    return 1
  }
  cat >"$work/says" <<'END'
#!/bin/bash
# How this machine is, for whoever cannot reach the broker. What it takes from /proc comes first: it needs the least of the machine.
broker=/sys/fs/cgroup/system.slice/headwater.service
echo "up $(cat /proc/uptime), load $(cat /proc/loadavg)"
for process in $(cat $broker/cgroup.procs); do
  for task in /proc/"$process"/task/*; do
    echo "$process $(cut -d ' ' -f 2,3,14,15 "$task/stat") $(tr '\n' ' ' <"$task/stack")"
  done
done
ss -tln
systemctl show headwater -p ActiveState,SubState,NRestarts,StatusText
journalctl --boot --unit headwater --lines 20 --no-pager -o short-monotonic
END
  printf '[Socket]\nListenStream=11884\nAccept=yes\n' >"$work/says.socket"
  printf '[Service]\nExecStart=/bin/bash /etc/machine-says\nStandardOutput=socket\nStandardError=socket\n' >"$work/says@.service"
  debugfs -w -f - "$file" >/dev/null 2>"$work/debugfs" <<END
rm /etc/headwater/headwater.yaml
write $work/opened.yaml /etc/headwater/headwater.yaml
write $work/says /etc/machine-says
cd /etc/systemd/system
write $work/says.socket machine-says.socket
write $work/says@.service machine-says@.service
mkdir sockets.target.wants
cd sockets.target.wants
symlink machine-says.socket /etc/systemd/system/machine-says.socket
END
  rm -rf "$work"
}

# One thread makes both cores: the rest of this machine is left alone.
# machine_command ARCHITECTURE IMAGE DISK WORK [PORT SAYS]: the arguments that make the machine, one a line. Its serial port is standard output. The ports here lead to those
# that machine_opened made.
machine_command() {
  local architecture=$1 image=$2 disk=$3 work=$4 port=${5:-} says=${6:-}
  local kernel initrd
  kernel=$(newest "$image"/boot/vmlinuz-*)
  initrd=$(newest "$image"/boot/initrd.img-*)
  printf '%s\n' "${EMULATORS[$architecture]}" -M virt,gic-version=2,highmem=off -accel tcg,thread=single -cpu "${PROCESSORS[$architecture]}" -smp "${CORES[$architecture]}" -m "$MACHINE_MEMORY" \
    -nodefaults -no-user-config -display none -monitor none -serial stdio -no-reboot \
    -kernel "$kernel" -initrd "$initrd" \
    -append "root=/dev/vda rw console=ttyAMA0 ${MACHINE_UNIT-systemd.wants=package-test.service}" \
    -drive "file=$disk,format=raw,if=none,id=disk,cache=writeback" -device virtio-blk-pci,drive=disk \
    -device virtio-rng-pci -virtfs "local,path=$work,mount_tag=test,security_model=none,multidevs=remap" \
    -netdev "user,id=net,restrict=on${port:+,hostfwd=tcp:127.0.0.1:$port-:1883}${says:+,hostfwd=tcp:127.0.0.1:$says-:11884}" -device virtio-net-pci,netdev=net,romfile= \
    ${MACHINE_RTC:+-rtc "$MACHINE_RTC"} ${MACHINE_CLOCK:+-icount "shift=$NANOSECONDS_SHIFT,sleep=on"}
}

newest() { printf '%s\n' "$@" | sort -V | tail -n 1; }

# machine_test ARCHITECTURE IMAGE DISK WORK STEPS PATIENCE SECONDS: boots it, and prints what the steps say.
machine_test() {
  local architecture=$1 image=$2 disk=$3 work=$4 steps=$5 patience=$6 seconds=$7 status=0 command
  to_do "$work" "$steps" "$patience"
  mapfile -t command < <(machine_command "$architecture" "$image" "$disk" "$work")
  timeout --signal=TERM --kill-after=30 "$seconds" nice -n 19 "${command[@]}" </dev/null >"$work/console" 2>&1 || status=$?
  told "$work" "$status"
}

# to_do WORK STEPS [PATIENCE]: what the machine's test unit finds when it has booted.
to_do() {
  cp "$HERE/guest.sh" "$HERE/checks.sh" "$1/"
  printf '%s\n' "$2" >"$1/steps"
  printf 'PATIENCE=%s\n' "${3:-$PATIENCE}" >"$1/environment"
  rm -f "$1/log" "$1/journal"
}

write_machine_unit() {
  cat >"$1" <<END
[Unit]
Description=Test of the Headwater package
Requires=test.mount dbus.socket
After=test.mount dbus.socket
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=exec
EnvironmentFile=/test/environment
StandardOutput=file:/test/log
StandardError=inherit
ExecStart=/bin/bash -c 'exec /bin/bash /test/guest.sh \$(cat /test/steps)'
ExecStopPost=/bin/bash -c 'journalctl --no-pager --boot -o short-monotonic > /test/journal'
END
}
