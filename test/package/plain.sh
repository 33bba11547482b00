#!/bin/bash
# Inside a system that nothing has booted: installs the package and starts the broker as its unit does. For a systemd that does not run on the
# kernel of this machine: 256 and later want cgroups of version 2.
set -uo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$HERE/checks.sh"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PATIENCE=${PATIENCE:-1}
COUNT=${COUNT:-200}

within() { echo $(($1 * PATIENCE)); }
records() { setpriv --reuid headwater --regid headwater --init-groups headwater read events --count 1000000 | grep -c plant/1/temperature; }
# read by the broker that runs: the socket is there
start() {
  setpriv --reuid headwater --regid headwater --init-groups /usr/bin/headwater start --config /etc/headwater/headwater.yaml >/tmp/headwater.log 2>&1 &
  PID=$!
  eventually "$(within 60)" 'the broker says where it listens' grep -q '^mqtt ' /tmp/headwater.log
}
publish() {
  seq 1 "$COUNT" | mosquitto_pub -h 127.0.0.1 -p 1883 -q 1 -l -t plant/1/temperature -V 5 || failed 'publish'
  PUBLISHED=$((${PUBLISHED:-0} + COUNT))
  equal "$COUNT messages of QoS 1 are acknowledged, and $PUBLISHED are in the log" "$(records)" "$PUBLISHED"
}

echo "$(. /etc/os-release && echo "$PRETTY_NAME"), $(dpkg --print-architecture), without systemd, kernel $(uname -r), $(uname -m)"
began=$(date +%s)
expect 'the package installs' apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$HERE/current.deb"
equal 'its data is its own' "$(stat -c '%U %a' /var/lib/headwater)" 'headwater 700'
equal 'its configuration is for its group' "$(stat -c '%U:%G %a' /etc/headwater/headwater.yaml)" 'root:headwater 640'
start
note "from the installation to listening: $(($(date +%s) - began)) s"
note "Node $(/opt/headwater/current/bin/node --version), $(head -n 1 /opt/headwater/current/RUNTIME)"
publish
kill -KILL "$PID"
wait "$PID" 2>/dev/null
ok 'it is killed with -9'
start
equal "all $PUBLISHED messages are there" "$(records)" "$PUBLISHED"
publish
kill -TERM "$PID"
wait "$PID"
equal 'it ends when it is asked to' "$?" 0
expect 'the package is removed' apt-get remove -y -qq -o Dpkg::Use-Pty=0 headwater
expect 'the data is left' test -d /var/lib/headwater/log
expect 'no program is left' bash -c '! ls -d /opt/headwater 2>/dev/null'
echo "passed: $MADE facts"
