#!/usr/bin/env bash
# npm run test:arm: the packages for 64-bit and 32-bit Arm in Debian systems of that architecture, under qemu: installed, published to, killed, started, read back, removed.
# Needs root, debootstrap, systemd-nspawn and qemu-user-static; makes the systems once, in ~/.cache/headwater. Nothing is left running, mounted or registered.
# ARCHITECTURES=armhf takes one alone.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
STEPS=${STEPS:-install publish kill configuration remove}
# The newest Raspberry Pi OS is of trixie, the one before of bookworm: the 32-bit package brings a C library that is newer than that one's.
declare -A SUITES=([arm64]=trixie [armhf]=bookworm)
# Emulated, all of it takes some thirty times as long.
PATIENCE=${PATIENCE:-10}

# shellcheck source-path=SCRIPTDIR
. "$HERE/images.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/boot.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/emulation.sh"
need_root debootstrap systemd-nspawn qemu-aarch64-static qemu-arm-static

works=()
clean() {
  emulation_end
  rm -rf "${works[@]}"
}
trap clean EXIT

for architecture in ${ARCHITECTURES:-arm64 armhf}; do
  work=$(mktemp -d)
  works+=("$work")
  began=$(date +%s)
  mv "$("$PROJECT/deploy/raspberry-pi/build.sh" --arch "$architecture" --compression none --out "$work" | tail -n 1)" "$work/current.deb"
  built=$(date +%s)
  emulation_begin "$architecture"
  image=$(debian_image "$architecture" "${SUITES[$architecture]}")
  echo "== $architecture: built in $((built - began)) s, system there after $(($(date +%s) - built)) s, $(qemu-aarch64-static --version | head -n 1)"
  if boots_here "${SUITES[$architecture]}"; then boot_and_test "$image" "$work" "$STEPS" "$PATIENCE" 3600; else
    echo "the systemd of ${SUITES[$architecture]} wants cgroups of version 2, which this machine has not: the broker is started without it"
    plain_test "$image" "$work" "$PATIENCE" 3600
  fi
done
