#!/usr/bin/env bash
# Builds the Debian package of one architecture, on any Debian machine of any architecture, without root and without a container: npm run package -- --help
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)

usage() {
  cat <<END
usage: npm run package -- --arch amd64|arm64|armhf [options]
  --arch ARCHITECTURE  arm64: 64-bit Raspberry Pi OS; armhf: 32-bit, ARMv7 and later; amd64: PCs
  --out DIRECTORY      where the .deb goes (default: build/ in the project)
  --deb-version VERSION  in place of that of package.json, such as 1.2.0+test1
  --node VERSION       another one of deploy/raspberry-pi/build/node.pins
  --stage DIRECTORY    only lay out the files of the package there
  --compression xz|zstd|none  default xz
needs dpkg-dev, xz-utils, openssl, binutils, npm; for a foreign architecture its binutils, for armhf also patchelf and debian-archive-keyring
END
}
say() { echo "package: $*" >&2; }
fail() {
  say "$*"
  exit 1
}

architecture='' out="$PROJECT/build" version='' node_version='' stage='' compression=xz
while [ $# -gt 0 ]; do
  case $1 in
    --arch) architecture=${2:?} ;;
    --out) out=${2:?} ;;
    --deb-version) version=${2:?} ;;
    --node) node_version=${2:?} ;;
    --stage) stage=${2:?} ;;
    --compression) compression=${2:?} ;;
    --help | -h)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift 2
done
case $architecture in
  amd64 | arm64 | armhf) ;;
  *)
    usage >&2
    exit 2
    ;;
esac
for tool in dpkg-deb xz openssl readelf npm node; do
  command -v $tool >/dev/null || fail "$tool is not there (see --help)"
done
[ -f "$PROJECT/dist/cli.js" ] || fail 'dist/ is not there: npm run build'

# shellcheck source-path=SCRIPTDIR
. "$HERE/build/npm-node.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/build/debian-node.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/build/application.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/build/files.sh"
# shellcheck source-path=SCRIPTDIR
. "$HERE/build/binaries.sh"

version=${version:-$(node -p "require('$PROJECT/package.json').version")}
cache="${XDG_CACHE_HOME:-$HOME/.cache}/headwater/package"
mkdir -p "$cache"
# The same sources give the same bytes.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git -C "$PROJECT" log -1 --format=%ct 2>/dev/null || stat -c %Y "$PROJECT/package.json")
fi
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$root/opt/headwater/package"
if [ "$architecture" = armhf ]; then
  debian_node "$architecture" "$cache" "$root/opt/headwater/package" "$version"
else
  npm_node "$architecture" "$node_version" "$cache" "$root/opt/headwater/package"
fi
application "$architecture" "$root/opt/headwater/package/app"
echo "$version" >"$root/opt/headwater/package/VERSION"
check_binaries "$architecture" "$root/opt/headwater/package"
system_files "$root" "$version"
control_files "$root" "$architecture" "$version"

# Whatever the umask is: readable for all, and the configuration for its group alone.
chmod -R u=rwX,go=rX "$root"
chmod 0640 "$root"/etc/headwater/*.yaml
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
if [ -n "$stage" ]; then
  mkdir -p "$stage"
  cp -a "$root/." "$stage/"
  exit 0
fi
mkdir -p "$out"
package="$out/headwater_${version}_$architecture.deb"
dpkg-deb --root-owner-group -Z"$compression" --build "$root" "$package" >/dev/null
say "$package: $(stat -c %s "$package" | numfmt --to=si --format=%.1f)B, installed $(du -s --block-size=1M "$root" | cut -f1) MiB"
echo "$package"
