# shellcheck shell=bash
# Node from Debian, for armhf: nodejs.org builds none for it that is new enough, Debian keeps its own in repair for years. It comes with all that it is linked
# with, the loader and C library included, so that the device's distribution may be older: bin/node asks for lib/ld-linux-armhf.so.3 of its own release.
# What is taken is what Debian's archive keys vouch for, in its present version, which RUNTIME names.

DEBIAN_SUITE=trixie
# Debian's Node reads some of its JavaScript from here; ours from a place of its own, of the same length, which leads into the current release.
DEBIAN_SCRIPTS=/usr/share/nodejs/
OWN_SCRIPTS=/opt/headwater/js/

# debian_node ARCHITECTURE CACHE ROOT VERSION: puts bin/node, lib/ and share/nodejs/ below ROOT.
debian_node() {
  local architecture=$1 cache=$2/debian-$1 root=$3 version=$4
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f $keys ] || fail 'Debian'"'"'s keys are not there: apt-get install debian-archive-keyring'
  command -v patchelf >/dev/null || fail 'patchelf is not there: apt-get install patchelf'
  local unpacked
  unpacked=$(mktemp -d -p "$work")
  fetch_debian "$architecture" "$cache" $keys
  local archive
  for archive in "$cache"/archives/*.deb; do dpkg-deb -x "$archive" "$unpacked"; done

  mkdir -p "$root/bin" "$root/lib" "$root/share"
  cp "$unpacked/usr/bin/node" "$root/bin/node"
  cp "$unpacked/usr/share/doc/nodejs/copyright" "$root/NODE-LICENSE"
  copy_libraries "$unpacked" "$root/bin/node" "$root/lib"
  cp "$(find "$unpacked" -name 'ld-linux-*.so.*' -type f)" "$root/lib/ld-linux-armhf.so.3"
  copy_scripts "$unpacked" "$root"
  # the transitive kind of path: libraries find each other by it, too
  patchelf --page-size 65536 --force-rpath --set-rpath "\$ORIGIN/../lib" "$root/bin/node"
  patchelf --page-size 65536 --set-interpreter "/opt/headwater/releases/$version/lib/ld-linux-armhf.so.3" "$root/bin/node"
  chmod 0755 "$root/bin/node"
  {
    echo "node from Debian $DEBIAN_SUITE"
    for archive in "$cache"/archives/*.deb; do dpkg-deb -W --showformat='${Package} ${Version}\n' "$archive"; done
  } >"$root/RUNTIME"
}

# With lists and a status of its own: the machine's are left alone, and root is not needed.
fetch_debian() {
  local architecture=$1 cache=$2 keys=$3
  local mirror=${HEADWATER_DEBIAN_MIRROR:-http://deb.debian.org}
  rm -rf "$cache/archives"
  mkdir -p "$cache/lists/partial" "$cache/archives/partial"
  : >"$cache/status"
  local entry="deb [arch=$architecture signed-by=$keys] $mirror"
  local main="$entry/debian $DEBIAN_SUITE main" security="$entry/debian-security $DEBIAN_SUITE-security main"
  printf '%s\n%s\n' "$main" "$security" >"$cache/sources.list"
  local options=(-o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" -o "Dir::Etc::SourceList=$cache/sources.list"
    -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$cache/lists" -o "Dir::State::status=$cache/status" -o "Dir::Cache=$cache"
    -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Acquire::Retries=3 -qq)
  say "asking Debian $DEBIAN_SUITE for nodejs of $architecture"
  if ! apt-get "${options[@]}" update; then
    say 'WARNING: the security archive cannot be read now: Node is that of the last point release (RUNTIME says which)'
    echo "$main" >"$cache/sources.list"
    apt-get "${options[@]}" update || fail 'apt-get update failed'
  fi
  apt-get "${options[@]}" install -y --no-install-recommends --download-only nodejs >/dev/null || fail 'nodejs could not be fetched'
}

# All that a binary needs, and what that needs: by the names in the files, because nothing of another architecture can be asked.
copy_libraries() {
  local unpacked=$1 binary=$2 lib=$3 name path
  readelf -d "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r name; do
    [ -e "$lib/$name" ] && continue
    case $name in ld-linux-*) continue ;; esac
    path=$(find "$unpacked" -path '*/lib/*' -name "$name" -print -quit)
    [ -n "$path" ] || fail "$(basename "$binary") needs $name, which no package brought"
    cp -L "$path" "$lib/$name"
    chmod 0644 "$lib/$name"
    copy_libraries "$unpacked" "$path" "$lib"
  done
  # programs of before glibc 2.34 name these as well
  for name in libpthread.so.0 libdl.so.2 librt.so.1; do
    path=$(find "$unpacked" -name "$name" -print -quit)
    if [ -n "$path" ]; then cp -L "$path" "$lib/$name"; fi
  done
}

copy_scripts() {
  local unpacked=$1 root=$2 path
  [ ${#DEBIAN_SCRIPTS} = ${#OWN_SCRIPTS} ] || fail 'the place of the scripts has another length'
  local library
  library=$(find "$root/lib" -name 'libnode.so.*')
  strings -a "$library" | grep "^$DEBIAN_SCRIPTS" | while read -r path; do
    mkdir -p "$root/share/nodejs/$(dirname "${path#"$DEBIAN_SCRIPTS"}")"
    cp -L "$unpacked$path" "$root/share/nodejs/${path#"$DEBIAN_SCRIPTS"}"
  done
  LC_ALL=C sed -i "s#$DEBIAN_SCRIPTS#$OWN_SCRIPTS#g" "$library"
}
