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
cp "$HERE/guest.sh" "$HERE/checks.sh" "$work/"
write_unit "$work/package-test.service" "$STEPS" 1

# All changes of the system are in memory, and gone at its end.
status=0
timeout --signal=TERM --kill-after=60 1200 \
  systemd-nspawn --quiet --directory="$image" --volatile=overlay --register=no --keep-unit --private-network \
  --bind="$work:/test" --bind-ro="$work/package-test.service:/etc/systemd/system/package-test.service" --boot --console=pipe \
  systemd.unit=package-test.service </dev/null >"$work/console" 2>&1 || status=$?
cat "$work/log" 2>/dev/null || cat "$work/console"
if ! grep -q '^passed: ' "$work/log" 2>/dev/null; then
  echo "the system ended with $status; its journal of the service:"
  tail -n 60 "$work/journal" 2>/dev/null || true
  exit 1
fi
