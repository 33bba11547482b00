#!/usr/bin/env bash
# npm run test:package: the amd64 package in a Debian system that systemd has booted in a container: installed, killed, hung, misconfigured, upgraded, rolled back, removed.
# Needs root, debootstrap and systemd-nspawn (systemd-container); makes the system once, in ~/.cache/headwater. Nothing is left running or mounted.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
SUITE=${SUITE:-bookworm}
STEPS=${STEPS:-install publish sandbox memory kill watchdog configuration bridge upgrade broken remove}

# shellcheck source-path=SCRIPTDIR
. "$HERE/images.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/boot.sh"
need_root debootstrap systemd-nspawn

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() { "$PROJECT/deploy/raspberry-pi/build.sh" --arch amd64 --compression none --out "$work" "$@" | tail -n 1; }
version=$(node -p "require('$PROJECT/package.json').version")
mv "$(build)" "$work/current.deb"
case " $STEPS " in *' upgrade '* | *' broken '*)
  mv "$(build --deb-version "$version+next1")" "$work/next.deb"
  broken_package "$work/next.deb" "$version+next2" "$work/broken.deb"
  ;;
esac
image=$(debian_image amd64 "$SUITE")
boot_and_test "$image" "$work" "$STEPS" 1 1200
