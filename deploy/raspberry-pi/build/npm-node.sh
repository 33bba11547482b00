# shellcheck shell=bash
# Node from npm, for amd64 and arm64: the binary of nodejs.org, packed again. What is pinned in node.pins is what is taken, or nothing.

# npm_node ARCHITECTURE VERSION-or-empty CACHE ROOT: puts bin/node and its licence below ROOT.
npm_node() {
  local architecture=$1 wanted=$2 cache=$3 root=$4 package version integrity
  read -r package version integrity < <(awk -v a="$architecture" -v v="$wanted" \
    '$1 == a && (v == "" || $3 == v) { print $2, $3, $4; exit }' "$HERE/build/node.pins")
  [ -n "${package:-}" ] || fail "build/node.pins has no Node ${wanted:+$wanted }for $architecture"
  local archive="$cache/$package-$version.tgz"
  if [ ! -f "$archive" ]; then
    say "fetching $package $version"
    (cd "$cache" && npm pack --silent "$package@$version" >/dev/null) || fail "$package@$version could not be fetched"
  fi
  local found
  found="sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)"
  if [ "$found" != "$integrity" ]; then
    rm -f "$archive"
    fail "$package@$version is not what build/node.pins says: $found"
  fi
  mkdir -p "$root/bin"
  tar -xzf "$archive" -C "$root" --strip-components=1 package/bin/node package/LICENSE
  mv "$root/LICENSE" "$root/NODE-LICENSE"
  chmod 0755 "$root/bin/node"
  strip_binary "$architecture" "$root/bin/node"
  echo "node $version from npm $package@$version $integrity" >"$root/RUNTIME"
}

# Symbols are a sixth of the binary. A foreign one needs binutils of its architecture.
strip_binary() {
  local tool
  case $1 in
    "$(dpkg --print-architecture)") tool=strip ;;
    amd64) tool=x86_64-linux-gnu-strip ;;
    arm64) tool=aarch64-linux-gnu-strip ;;
    armhf) tool=arm-linux-gnueabihf-strip ;;
  esac
  if command -v "$tool" >/dev/null; then "$tool" --strip-all "$2"; else
    say "note: $tool is not there (apt-get install binutils-${tool%-strip}): Node keeps its symbols, which take 4 MB of the package"
  fi
}
