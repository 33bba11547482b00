#!/bin/bash
# Inside a system that systemd has booted: installs the package and does to it what happens to it on a device. Its arguments are what it has to do, such as
# `install publish kill purge`; the packages lie beside it: current.deb, and for `upgrade` and `broken` next.deb and broken.deb.
set -uo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$HERE/checks.sh"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Times are for a machine of today; an emulated one has more.
PATIENCE=${PATIENCE:-1}
CONFIG=/etc/headwater/headwater.yaml
COUNT=${COUNT:-200}
# So far; each step may be asked for without those before it.
PUBLISHED=0

property() { systemctl show --property="$2" --value "$1"; }
is_active() { [ "$(systemctl is-active "$1")" = active ]; }
within() { echo $(($1 * PATIENCE)); }
records() { headwater read events --count 1000000 | grep -c plant/1/temperature; }
has_records() { [ "$(records)" = "$1" ]; }
restarted() { [ "$(property headwater NRestarts)" -gt "$1" ] && is_active headwater; }
at_broker() { property headwater-bridge StatusText | grep -q 'broker up'; }
version_now() { headwater --version; }
current() { basename "$(readlink /opt/headwater/current)"; }

publish() {
  seq 1 "$COUNT" | mosquitto_pub -h 127.0.0.1 -p 1883 -q 1 -l -t plant/1/temperature -V 5 || failed 'publish'
  PUBLISHED=$((PUBLISHED + COUNT))
  eventually "$(within 20)" "$COUNT messages of QoS 1 are acknowledged, and $PUBLISHED are in the log" has_records "$PUBLISHED"
}

do_install() {
  local began
  began=$(now)
  # apt, and not dpkg: it would fetch what the package depends on. Here all is there.
  expect 'the package installs' apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$HERE/current.deb"
  eventually "$(within 60)" 'the service says it is ready' is_active headwater
  note "from the installation to ready: $(($(now) - began)) s"
  expect 'it is enabled at start' systemctl --quiet is-enabled headwater
  equal 'the bridge is not enabled' "$(systemctl is-enabled headwater-bridge 2>/dev/null)" disabled
  equal 'it runs as its own user' "$(ps -o user:20= -p "$(property headwater MainPID)")" headwater
  equal 'its data is its own' "$(stat -c '%U %a' /var/lib/headwater)" 'headwater 700'
  equal 'its configuration is for its group' "$(stat -c '%U:%G %a' $CONFIG)" 'root:headwater 640'
  expect 'its status tells connections' grep -q conn <<<"$(property headwater StatusText)"
  note "$(property headwater StatusText)"
  note "Node $(/opt/headwater/current/bin/node --version), $(head -n 1 /opt/headwater/current/RUNTIME)"
}

do_publish() { publish; }

do_sandbox() {
  local pid
  pid=$(property headwater MainPID)
  equal 'no capability is left to it' "$(awk '/^Cap(Eff|Bnd)/ { print $2 }' "/proc/$pid/status" | sort -u)" 0000000000000000
  equal 'system calls are filtered' "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")" 2
  expect 'what it writes outside of its data fails' \
    bash -c "! nsenter -t $pid -m setpriv --reuid headwater --regid headwater --clear-groups touch /etc/headwater/x 2>/dev/null"
  local score
  score=$(systemd-analyze security headwater.service --no-pager | tail -n 1 | grep -o '[0-9]\.[0-9]')
  expect "systemd-analyze security: $score, under 2.0" awk "BEGIN { exit !($score < 2.0) }"
  equal 'systemd-analyze verify has no complaint' "$(systemd-analyze verify headwater.service headwater-bridge.service 2>&1)" ''
}

# After a boot, also one that followed a power cut: nothing was done by hand.
do_verify() {
  eventually "$(within 60)" 'the service says it is ready' is_active headwater
  expect 'headwater log verify finds nothing wrong' headwater log verify
  expect 'dpkg is content' bash -c 'test -z "$(dpkg --audit)"'
  note "$(property headwater StatusText)"
}

# Of the process and of the children that it has waited for, in hundredths of a second.
cpu_of() { awk '{ sub(/.*\) /, ""); print $12 + $13 + $14 + $15 }' "/proc/$1/stat"; }
mebibytes() { echo $(($(awk "/^$2:/ { print \$2 }" "/proc/$1/status") / 1024)); }

do_memory() {
  local before after pid seconds=${IDLE_SECONDS:-60}
  pid=$(property headwater MainPID)
  sleep 10
  before=$(cpu_of "$pid")
  sleep "$seconds"
  after=$(cpu_of "$pid")
  note "idle for $seconds s: RSS $(mebibytes "$pid" VmRSS) MiB, of its own $(mebibytes "$pid" RssAnon) MiB, CPU $(awk "BEGIN { printf \"%.2f\", ($after - $before) / $seconds }") %"
}

do_kill() {
  local before
  before=$(property headwater NRestarts)
  kill -KILL "$(property headwater MainPID)"
  eventually "$(within 60)" 'after kill -9 it is restarted' restarted "$before"
  eventually "$(within 20)" "all $PUBLISHED messages are there" has_records "$PUBLISHED"
  publish
}

do_watchdog() {
  local before
  mkdir -p /run/systemd/system/headwater.service.d
  printf '[Service]\nWatchdogSec=%s\n' "$(within 6)" >/run/systemd/system/headwater.service.d/test.conf
  systemctl daemon-reload
  systemctl restart headwater
  eventually "$(within 60)" 'with a short watchdog it runs' is_active headwater
  sleep "$(within 14)"
  before=$(property headwater NRestarts)
  equal 'a process that is well is let be' "$before" 0
  kill -STOP "$(property headwater MainPID)"
  eventually "$(within 90)" 'one that hangs is ended and restarted' restarted "$before"
  expect 'by the watchdog' journalctl -q -u headwater -g 'Watchdog timeout' --no-pager -o cat
  eventually "$(within 20)" "all $PUBLISHED messages are there" has_records "$PUBLISHED"
  rm /run/systemd/system/headwater.service.d/test.conf
  systemctl daemon-reload
  systemctl restart headwater
}

do_configuration() {
  local before
  cp -a $CONFIG /tmp/headwater.yaml
  expect 'reload is taken' systemctl reload headwater
  echo 'nonsense: 1' >>$CONFIG
  expect 'a reload with a bad configuration is refused' bash -c '! systemctl reload headwater 2>/dev/null'
  expect 'and leaves it running' is_active headwater
  expect 'a restart with it fails' bash -c '! systemctl restart headwater 2>/dev/null'
  sleep "$(within 25)"
  before=$(property headwater NRestarts)
  equal 'and is not tried again and again' "$before $(systemctl is-active headwater)" '0 failed'
  expect 'the journal says what is wrong, and where' journalctl -q -u headwater -g "$CONFIG:[0-9]+:1: unknown key" --no-pager -o cat
  cp -a /tmp/headwater.yaml $CONFIG
  systemctl restart headwater
  eventually "$(within 60)" 'once it is mended it starts' is_active headwater
}

has_from_device() { [ "$(headwater read events --count 1000000 | grep -c '"hi"')" = "$1" ]; }
# answer BYTES: what the bridge sends back to the device, in hexadecimal digits.
answer() { timeout "$(within 20)" head -c "$1" <&3 | od -An -tx1 | tr -d ' \n'; }

# A device of MQTT-SN made of printf, over UDP: CONNECT, PUBLISH with QoS 1 on the short topic hi, and the same with DUP, as one that has not heard the answer.
device_publishes() {
  exec 3<>/dev/udp/127.0.0.1/1884
  printf '\011\004\004\001\000\074try' >&3
  equal 'a device connects over UDP' "$(answer 3)" 030500
  printf '\014\014\042hi\000\001hello' >&3
  equal 'what it publishes is acknowledged' "$(answer 7)" 070d6869000100
  printf '\014\014\242hi\000\001hello' >&3
  equal 'and so is its repetition' "$(answer 7)" 070d6869000100
  exec 3>&-
  eventually "$(within 20)" 'it is in the log, once' has_from_device 1
}

do_bridge() {
  local config=/etc/headwater/headwater-bridge.yaml
  cp -a $config /tmp/headwater-bridge.yaml
  sed -i 's/^links:.*/links: [ { kind: udp, address: "127.0.0.1:1884" } ]/' $config
  systemctl enable --now --quiet headwater-bridge
  eventually "$(within 60)" 'the bridge says it is ready' is_active headwater-bridge
  note "$(property headwater-bridge StatusText)"
  eventually "$(within 60)" 'it is at the broker' at_broker
  note "$(property headwater-bridge StatusText)"
  local score
  score=$(systemd-analyze security headwater-bridge.service --no-pager | tail -n 1 | grep -o '[0-9]\.[0-9]')
  expect "systemd-analyze security: $score, under 2.0" awk "BEGIN { exit !($score < 2.0) }"
  device_publishes
  systemctl disable --now --quiet headwater-bridge
  cp -a /tmp/headwater-bridge.yaml $config
}

# set_clock SECONDS: by the call that has 64 bits everywhere; date(1) of a 32-bit system may end before.
set_clock() {
  if [ "$(getconf LONG_BIT)" = 64 ]; then date --set="@$1" >/dev/null; else perl -e 'exit syscall(404, 0, pack("qq", $ARGV[0], 0))' "$1"; fi
}
LAST_SECOND=2147483647
has_systemd() { timeout 60 systemctl show --property=Version >/dev/null 2>&1; }
is_beyond() { [ "$(/opt/headwater/current/bin/node -p "Date.now() > $LAST_SECOND * 1000 + 999")" = true ]; }
# By the messages' text and not by grep: a program with a 32-bit time cannot look at a pipe that was made beyond its last second.
is_read() { [[ $(headwater read events "${@:2}") == *"$1"* ]]; }
is_not_read() { ! is_read "$@"; }
says() { timeout "$(within 20)" mosquitto_pub -h 127.0.0.1 -q 1 -t plant/2/state -m "$1"; }

# The broker is started again: by hand where systemd did not outlive the moment.
restart_beyond() {
  local pid=$1
  if has_systemd; then
    systemctl restart headwater
    return
  fi
  note 'systemd does not answer any more: the broker is started by hand'
  kill -KILL "$pid"
  setpriv --reuid headwater --regid headwater --clear-groups env -u NOTIFY_SOCKET headwater start --config $CONFIG >/dev/null 2>&1 &
}

# Beyond 2038-01-19T03:14:07Z, the last second of a 32-bit time. Of the system nothing is asked there: a 32-bit one of Debian 12 does not outlive it itself.
do_year2038() {
  local pid
  # a segment that is sealed by now, which an hour's retention takes once the clock is years later
  sed -i -e 's/^\( *\)# seconds: 604800$/\1seconds: 3600/' -e 's/^  trust: auto$/  trust: always/' -e 's/segmentBytes: .*/segmentBytes: 1048576/' $CONFIG
  expect 'the configuration with an hour of retention is right' headwater config check --config $CONFIG
  systemctl restart headwater
  eventually "$(within 20)" 'the oldest message is there' says oldest
  head -c 100000 /dev/zero | tr '\0' x >/tmp/100kB
  for _ in $(seq 15); do mosquitto_pub -h 127.0.0.1 -q 1 -t plant/2/state -f /tmp/100kB || failed 'a segment is filled'; done
  expect 'it is read' is_read '"oldest"' --count 1000
  pid=$(property headwater MainPID)
  # from here on there may be nobody to switch the machine off
  trap 'has_systemd || { sync; echo o >/proc/sysrq-trigger; }' EXIT
  expect 'the clock is set to ten seconds before' set_clock $((LAST_SECOND - 10))
  eventually "$(within 10)" 'the last second of a 32-bit time is over' is_beyond
  expect 'a message is acknowledged' says beyond
  expect 'it is read from that second on' is_read '"beyond"' --from 2038-01-19T03:14:08Z
  expect 'with its time' is_read '"timestamp":"2038-01-19T03:' --from 2038-01-19T03:14:08Z
  expect 'the newest of before is there' is_read xxxxxxxxxx
  expect 'and is not read from that second on' is_not_read xxxxxxxxxx --from 2038-01-19T03:14:08Z
  eventually "$(within 20)" 'retention takes what is older than an hour' is_not_read '"oldest"' --count 1000
  expect 'and leaves what is new' is_read '"beyond"'
  restart_beyond "$pid"
  eventually "$(within 60)" 'started there, it takes messages' says again
  expect 'and reads those of before its start' is_read '"beyond"' --from 2038-01-19T03:14:08Z
}

do_upgrade() {
  local before now
  before=$(version_now)
  echo '# by the operator' >>$CONFIG
  expect 'the next version installs' apt-get install -y -qq -o Dpkg::Use-Pty=0 "$HERE/next.deb"
  now=$(current)
  expect "it is current: $now" test "$now" != "$before"
  expect 'it runs' is_active headwater
  eventually "$(within 20)" "all $PUBLISHED messages are there" has_records "$PUBLISHED"
  expect 'the configuration is as the operator left it' grep -q '^# by the operator' $CONFIG
  publish
  expect 'headwater-release goes back' headwater-release rollback
  equal 'to the release before' "$(current)" "$before"
  eventually "$(within 20)" "all $PUBLISHED messages are there, also those of the newer release" has_records "$PUBLISHED"
  expect 'and forth again' headwater-release rollback
  equal 'to the newer one' "$(current)" "$now"
  headwater-release list
}

do_broken() {
  local before
  before=$(current)
  expect 'a version that does not run installs' apt-get install -y -qq -o Dpkg::Use-Pty=0 "$HERE/broken.deb"
  equal 'the release before it is current again' "$(current)" "$before"
  expect 'and runs' is_active headwater
  eventually "$(within 20)" "all $PUBLISHED messages are there" has_records "$PUBLISHED"
  expect 'dpkg is content' bash -c 'test -z "$(dpkg --audit)"'
}

do_remove() {
  expect 'the package is removed' apt-get remove -y -qq -o Dpkg::Use-Pty=0 headwater
  expect 'no process is left' bash -c '! pgrep -u headwater >/dev/null'
  expect 'no program is left' bash -c '! ls -d /opt/headwater 2>/dev/null'
  expect 'the data is left' test -d /var/lib/headwater/log
  expect 'a purge without an answer leaves it as well' apt-get purge -y -qq -o Dpkg::Use-Pty=0 headwater
  expect 'the data is left' test -d /var/lib/headwater/log
  expect 'no configuration is left' test ! -e $CONFIG
  expect 'installed again' apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$HERE/current.deb"
  eventually "$(within 60)" 'it runs' is_active headwater
  eventually "$(within 20)" "with all $PUBLISHED messages" has_records "$PUBLISHED"
  HEADWATER_PURGE_DATA=yes expect 'a purge that is told to takes the data' apt-get purge -y -qq -o Dpkg::Use-Pty=0 headwater
  expect 'no data is left' bash -c '! ls -d /var/lib/headwater /var/lib/headwater-bridge 2>/dev/null'
  expect 'no user is left' bash -c '! getent passwd headwater'
  expect 'no unit is left' bash -c '! ls /lib/systemd/system/headwater* /etc/systemd/system/*/headwater* 2>/dev/null'
}

echo "$(. /etc/os-release && echo "$PRETTY_NAME"), $(dpkg --print-architecture), $(systemctl --version | head -n 1), kernel $(uname -r), $(uname -m)"
for step in "$@"; do
  echo "-- $step"
  "do_$step"
done
echo "passed: $MADE facts"
