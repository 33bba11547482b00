#!/usr/bin/env bash
# npm run test:arm: the packages for 64-bit and 32-bit Arm, each in a Debian of that architecture on a machine that qemu makes as a whole: booted, installed, published to, killed,
# its power cut, misconfigured, upgraded, rolled back, removed. Needs root, debootstrap, e2fsprogs, qemu-user-static (to make the systems) and qemu-system-arm (to boot
# them); makes the systems once, in ~/.cache/headwater. Nothing is left running, mounted or registered.
# ARCHITECTURES=armhf takes one alone, CUTS=0 cuts no power, STEPS='publish kill' does these after the installation, TIMED=no saves the installation with a clock of its own,
# YEAR2038=yes adds what comes after the last second of a 32-bit time.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
STEPS=${STEPS:-publish sandbox memory kill watchdog configuration bridge upgrade broken remove}
CUTS=${CUTS:-6}
# The newest Raspberry Pi OS is of trixie, the one before of bookworm: the 32-bit package brings a C library that is newer than that one's.
declare -A SUITES=([arm64]=trixie [armhf]=bookworm)
# What is waited for, in seconds of a machine of today, takes this often as long.
PATIENCE=${PATIENCE:-10}
SECONDS_MAX=3600

# shellcheck source-path=SCRIPTDIR
. "$HERE/images.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/boot.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/emulation.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/machine.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/table.sh"
need_root debootstrap mkfs.ext4 debugfs qemu-aarch64-static qemu-arm-static qemu-system-aarch64 qemu-system-arm

work=$(mktemp -d)
clean() {
  emulation_end
  rm -rf "$work"
}
trap clean EXIT
version=$(node -p "require('$PROJECT/package.json').version")

# packages ARCHITECTURE: as it is published, the next version, and one that does not run.
packages() {
  local architecture=$1
  build() { "$PROJECT/deploy/raspberry-pi/build.sh" --arch "$architecture" --out "$work" "$@" | tail -n 1; }
  mv "$(build)" "$work/current.deb"
  case " $STEPS " in *' upgrade '* | *' broken '*)
    mv "$(build --compression none --deb-version "$version+next1")" "$work/next.deb"
    broken_package "$work/next.deb" "$version+next2" "$work/broken.deb"
    ;;
  esac
}

# power_cuts ARCHITECTURE IMAGE DISK: on copies of the disk.
power_cuts() {
  local architecture=$1 image=$2 disk=$3 command
  mapfile -t command < <(MACHINE_UNIT=@UNIT@ machine_command "$architecture" "$image" @DISK@ "$work" @PORT@ @SAYS@)
  to_do "$work" verify
  cp --sparse=always "$disk" "$disk.opened"
  machine_opened "$disk.opened"
  nice -n 19 "$PROJECT/test/powercut/apart.sh" "$PROJECT/dist/test/powercut/machine-main.js" --disk "$disk.opened" --cycles "$CUTS" ${SEED:+--seed "$SEED"} -- "${command[@]}"
  rm "$disk.opened"
  told "$work" 0
}

for architecture in ${ARCHITECTURES:-arm64 armhf}; do
  suite=${SUITE:-${SUITES[$architecture]}}
  machine_is_made "$architecture" "$suite" || emulation_begin "$architecture"
  image=$(machine_image "$architecture" "$suite")
  packages "$architecture"
  disk="$work/disk.ext4"
  echo "== $architecture: Debian $suite on a ${PROCESSORS[$architecture]} with $MACHINE_MEMORY MB, $("${EMULATORS[$architecture]}" --version | head -n 1)"
  machine_disk "$image" "$disk"
  if [ "${TIMED:-yes}" = yes ]; then
    cp --sparse=always "$disk" "$disk.timed"
    MACHINE_CLOCK=instructions machine_test "$architecture" "$image" "$disk.timed" "$work" install 1000 "$SECONDS_MAX" | tee "$work/timed"
    rm "$disk.timed"
  fi
  machine_test "$architecture" "$image" "$disk" "$work" install "$PATIENCE" "$SECONDS_MAX" | tee "$work/all"
  if [ "$CUTS" -gt 0 ]; then power_cuts "$architecture" "$image" "$disk" | tee -a "$work/all"; fi
  if [ "${YEAR2038:-no}" = yes ]; then cp --sparse=always "$disk" "$disk.2038"; fi
  # shellcheck disable=SC2086
  machine_test "$architecture" "$image" "$disk" "$work" "verify $STEPS" "$PATIENCE" "$SECONDS_MAX" | tee -a "$work/all"
  # by itself: a 32-bit system may not come back from there
  if [ "${YEAR2038:-no}" = yes ]; then machine_test "$architecture" "$image" "$disk.2038" "$work" year2038 "$PATIENCE" "$SECONDS_MAX" | tee -a "$work/all"; fi
  table "$architecture" "$work/all" >>"$work/table"
done
cat "$work/table"
