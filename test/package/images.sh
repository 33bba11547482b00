# shellcheck shell=bash
# Debian systems to test the package in, made once and kept outside the project; and what is put into them.

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/headwater/images"
# What a test uses beside the package: a client of somebody else's, and what a small system has.
PACKAGES=systemd,systemd-sysv,dbus,debconf,adduser,procps,libstdc++6,mosquitto-clients,ca-certificates,systemd-timesyncd

need_root() {
  [ "$(id -u)" = 0 ] || {
    echo 'needs root: it makes and boots a system' >&2
    exit 1
  }
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || {
      echo "$tool is not there: apt-get install debootstrap systemd-container qemu-user-static" >&2
      exit 1
    }
  done
}

# made IMAGE MARK ARCHITECTURE SUITE [OPTION]...: a system by debootstrap in IMAGE, unless the file MARK says that it is there; prints where it is.
made() {
  local image=$1 mark=$2 architecture=$3 suite=$4
  shift 4
  if [ ! -f "$mark" ]; then
    echo "making a Debian $suite for $architecture, once: ${image##*/}" >&2
    rm -rf "$image"
    mkdir -p "$CACHE"
    debootstrap --variant=minbase --arch="$architecture" "$@" "$suite" "$image" ${HEADWATER_DEBIAN_MIRROR:+"$HEADWATER_DEBIAN_MIRROR/debian"} >&2
    rm -rf "$image"/var/cache/apt/archives/*.deb
    touch "$mark"
  fi
  echo "$image"
}

# debian_image ARCHITECTURE SUITE: prints where the system is.
debian_image() { made "$CACHE/$1-$2" "$CACHE/$1-$2/.complete" "$1" "$2" --include="$PACKAGES"; }

# base_image ARCHITECTURE SUITE: what a registry has as debian:SUITE-slim, near enough, with no file of ours in it; prints where it is.
base_image() { made "$CACHE/$1-$2-base" "$CACHE/$1-$2-base.complete" "$1" "$2"; }

# What a person has on such a system, and what the documents use; cloud-init, as on a card that has been written.
OPERATOR_PACKAGES=(sudo openssl curl jq less openssh-server openssh-client cloud-init)

# operator_image ARCHITECTURE SUITE: the same with these; prints where it is.
operator_image() {
  local image="$CACHE/$1-$2-operator" base
  base=$(debian_image "$1" "$2")
  if [ "$(cat "$image/.complete" 2>/dev/null)" != "${OPERATOR_PACKAGES[*]}" ]; then
    echo "making it a system that people use, once" >&2
    rm -rf "$image"
    cp -a "$base" "$image"
    rm -f "$image/.complete"
    systemd-nspawn --quiet --directory="$image" --register=no --keep-unit --as-pid2 --console=pipe --setenv=DEBIAN_FRONTEND=noninteractive \
      /bin/sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" && apt-get clean && systemctl disable ssh' \
      sh "${OPERATOR_PACKAGES[@]}" </dev/null >&2
    echo raspberrypi >"$image/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 raspberrypi\n' >"$image/etc/hosts"
    echo "${OPERATOR_PACKAGES[*]}" >"$image/.complete"
  fi
  echo "$image"
}

# broken_package NEXT VERSION OUT: like NEXT, but its broker ends at once.
broken_package() {
  local unpacked
  unpacked=$(mktemp -d)
  dpkg-deb -R "$1" "$unpacked"
  sed -i "s/^Version: .*/Version: $2/" "$unpacked/DEBIAN/control"
  echo "$2" >"$unpacked/opt/headwater/package/VERSION"
  echo "console.error('this version is broken'); process.exit(1)" >"$unpacked/opt/headwater/package/app/dist/cli.js"
  dpkg-deb --root-owner-group -Znone --build "$unpacked" "$3" >/dev/null
  rm -rf "$unpacked"
}

# write_unit FILE STEPS PATIENCE: what the booted system runs, and then ends.
write_unit() {
  cat >"$1" <<END
[Unit]
Description=Test of the Headwater package
Requires=basic.target dbus.socket
After=basic.target dbus.socket
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=PATIENCE=$3
TimeoutStartSec=infinity
StandardOutput=file:/test/log
StandardError=inherit
ExecStart=/bin/bash /test/guest.sh $2
ExecStopPost=/bin/bash -c 'journalctl --no-pager -o short-monotonic > /test/journal'
END
}
