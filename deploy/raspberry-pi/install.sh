#!/bin/sh
# Installs or upgrades Headwater from a .deb: install.sh FILE-or-https-URL [SHA256]. A URL needs the checksum, a file may have it. What is installed is what was compared.
set -eu

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

source=${1:-}
sum=${2:-}
[ -n "$source" ] || fail 'usage: sudo ./install.sh headwater_VERSION_ARCHITECTURE.deb [SHA256]   or   sudo ./install.sh https://.../headwater_VERSION_ARCHITECTURE.deb SHA256'
[ "$(id -u)" = 0 ] || fail 'needs root: sudo ./install.sh ...'
command -v apt-get >/dev/null || fail 'this system has no apt-get: Headwater is packaged for Debian and what is made of it'

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# apt reads packages as a user of its own
chmod 0755 "$directory"
package="$directory/headwater.deb"

case $source in
  https://*)
    [ -n "$sum" ] || fail "a download needs its checksum: ./install.sh $source SHA256"
    if command -v curl >/dev/null; then
      curl --fail --silent --show-error --location --proto '=https' --output "$package" "$source" || fail "$source could not be fetched"
    else
      wget --quiet --https-only --output-document="$package" "$source" || fail "$source could not be fetched"
    fi
    ;;
  http://*) fail 'only https: what is installed as root is not fetched in the open' ;;
  *)
    [ -f "$source" ] || fail "there is no file $source"
    cp "$source" "$package"
    ;;
esac

if [ -n "$sum" ]; then
  found=$(sha256sum "$package" | cut -d' ' -f1)
  [ "$found" = "$sum" ] || fail "the checksum is $found, and not $sum: nothing was installed"
fi
name=$(dpkg-deb --field "$package" Package 2>/dev/null) || fail "$source is no Debian package"
[ "$name" = headwater ] || fail "$source is the package $name"
wanted=$(dpkg-deb --field "$package" Architecture)
own=$(dpkg --print-architecture)
[ "$wanted" = "$own" ] || fail "the package is for $wanted, this system is $own"

apt-get install -y --no-install-recommends "$package"
if [ -d /run/systemd/system ]; then
  systemctl --no-pager --lines=0 status headwater || true
  echo
  echo 'configuration  /etc/headwater/headwater.yaml; after a change: sudo systemctl reload headwater'
  echo 'status         sudo headwater status'
  echo 'log            journalctl -u headwater -f'
fi
