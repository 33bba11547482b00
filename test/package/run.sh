#!/usr/bin/env bash
# npm run test:package: the amd64 package in Debian systems that systemd has booted in containers. In one, by guest.sh: installed, killed, hung,
# misconfigured, upgraded, rolled back, removed. In one each, by guest/*.guest.ts: the documents' commands, install.sh, cloud-init, the container.
# `npm run test:package -- documents` runs those of that name alone, STEPS="install kill" STEPS_ALONE=yes some steps of guest.sh alone.
# Needs root, debootstrap and systemd-nspawn (systemd-container); makes the systems once, in ~/.cache/headwater. Nothing is left running or mounted.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
SUITE=${SUITE:-bookworm}
if [ $# -gt 0 ]; then STEPS=${STEPS-}; else STEPS=${STEPS-install publish sandbox memory kill watchdog configuration bridge upgrade broken remove}; fi

# shellcheck source-path=SCRIPTDIR
. "$HERE/images.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/boot.sh"
need_root debootstrap systemd-nspawn

work=$(mktemp -d)
# a person in a guest reads what lies there
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
build() { "$PROJECT/deploy/raspberry-pi/build.sh" --arch amd64 --compression none --out "$work" "$@" | tail -n 1; }
version=$(node -p "require('$PROJECT/package.json').version")
mv "$(build)" "$work/current.deb"
mv "$(build --deb-version "$version+next1")" "$work/next.deb"
broken_package "$work/next.deb" "$version+next2" "$work/broken.deb"
if [ -n "$STEPS" ]; then
  image=$(debian_image amd64 "$SUITE")
  boot_and_test "$image" "$work" "$STEPS" 1 1200
fi
# what people are told is about Debian 12 and later
if [ "$SUITE" = bookworm ] && { [ $# -gt 0 ] || [ -z "${STEPS_ALONE:-}" ]; }; then
  HEADWATER_TEST_IMAGE=$(operator_image amd64 "$SUITE")
  export HEADWATER_TEST_IMAGE HEADWATER_TEST_PACKAGES="$work"
  if command -v podman >/dev/null; then
    HEADWATER_TEST_BASE=$(base_image amd64 trixie)
    export HEADWATER_TEST_BASE
  fi
  cd "$PROJECT"
  node_modules/.bin/vitest run --config test/package/guest/vitest.config.ts "$@"
fi
