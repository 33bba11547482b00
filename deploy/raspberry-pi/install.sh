#!/bin/sh
# Installs or upgrades Headwater on this machine, from a package file, from a package on a server, or from a mirror. What is installed is what was compared.
set -eu
# Of a script that was cut short on its way here nothing runs: its steps are in functions, and the last line calls them.
trap 'echo "install.sh: this script is not whole: nothing was installed" >&2; exit 1' EXIT

say() { echo "install.sh: $*"; }
fail() {
  say "$*" >&2
  exit 1
}
usage() {
  cat <<END
usage: sudo ./install.sh headwater_VERSION_ARCHITECTURE.deb [SHA256]
       sudo ./install.sh https://HOST/headwater_VERSION_ARCHITECTURE.deb SHA256
       sudo ./install.sh https://HOST/FOLDER    a mirror: SHA256SUMS there names the packages; the newest for this machine is taken

environment: HEADWATER_SOURCE   in place of the first argument
             HEADWATER_VERSION  of a mirror: this version, not the newest
             HEADWATER_KEY      of a mirror: a file with a public key (Ed25519, PEM) that SHA256SUMS.sig must be by
END
}

# fetch URL FILE: by https alone, and whole, or not at all.
fetch() {
  if command -v curl >/dev/null; then
    error=$(curl --fail --silent --show-error --location --proto '=https' --retry 2 --connect-timeout 30 --speed-limit 64 --speed-time 60 \
      --output "$2" "$1" 2>&1) || fail "$1 could not be fetched: $(printf '%s\n' "$error" | grep -m 1 '^curl:' || true)"
  elif command -v wget >/dev/null; then
    # it would follow a redirection to a server without TLS
    wget --quiet --max-redirect=0 --tries=3 --timeout=60 --output-document="$2" "$1" || fail "$1 could not be fetched: wget ended with $?"
  else
    fail 'neither curl nor wget is there: sudo apt-get install curl'
  fi
}

check_machine() {
  command -v apt-get >/dev/null || fail 'this system has no apt-get: Headwater is packaged for Debian and what is made of it'
  own=$(dpkg --print-architecture)
  case $own in
    arm64 | armhf | amd64) ;;
    *) fail "there is no package for $own: there are arm64, armhf and amd64" ;;
  esac
  case $(uname -m) in
    armv6*) fail 'this processor is an ARMv6 (Pi Zero, Pi 1): Headwater needs an ARMv7 or later (Pi 2 and later, Zero 2)' ;;
  esac
  system='' major=''
  if [ -r /etc/os-release ]; then
    # what else stands in it, such as VERSION, is left there
    system=$(. /etc/os-release && echo "${PRETTY_NAME:-${ID:-}}")
    major=$(. /etc/os-release && echo "${ID:-}:${VERSION_ID:-}")
  fi
  case $major in
    # unstable has no number
    debian: | raspbian:) ;;
    debian:* | raspbian:*) is_from 12 || fail "this system is $system: Headwater needs Debian 12 (bookworm) or later" ;;
    ubuntu:*) is_from 22 || fail "this system is $system: Headwater needs Ubuntu 22.04 or later" ;;
  esac
}
is_from() {
  number=${major#*:}
  [ "${number%%.*}" -ge "$1" ]
}

# choose URL: what the mirror has for this machine; sets url, sum.
choose() {
  sums="$directory/SHA256SUMS"
  fetch "$1/SHA256SUMS" "$sums"
  if [ -n "${HEADWATER_KEY:-}" ]; then
    [ -r "$HEADWATER_KEY" ] || fail "the key $HEADWATER_KEY cannot be read"
    command -v openssl >/dev/null || fail 'a signature is checked by openssl: sudo apt-get install openssl'
    fetch "$1/SHA256SUMS.sig" "$sums.sig"
    openssl pkeyutl -verify -pubin -inkey "$HEADWATER_KEY" -rawin -in "$sums" -sigfile "$sums.sig" >/dev/null 2>&1 ||
      fail "$1/SHA256SUMS is not signed by $HEADWATER_KEY: nothing was installed"
  fi
  version='' sum=''
  # the form of sha256sum: a checksum, a space, a space or "*", a name
  while read -r candidate name || [ -n "$candidate" ]; do
    name=${name#\*}
    case $name in
      */* | *' '*) continue ;;
      headwater_*_"$own".deb) ;;
      *) continue ;;
    esac
    found=${name#headwater_}
    found=${found%_"$own".deb}
    if [ -n "${HEADWATER_VERSION:-}" ] && [ "$found" != "$HEADWATER_VERSION" ]; then continue; fi
    if [ -n "$version" ] && dpkg --compare-versions "$found" lt "$version"; then continue; fi
    version=$found sum=$candidate
  done <"$sums"
  [ -n "$version" ] || fail "$1/SHA256SUMS names no package${HEADWATER_VERSION:+ of version $HEADWATER_VERSION} for $own"
  url="$1/headwater_${version}_$own.deb"
}

download() {
  [ -n "$sum" ] || fail "a download needs its checksum: ./install.sh $url SHA256"
  say "fetching $url"
  fetch "$url" "$package"
}

installed_version() { dpkg-query --show --showformat='${db:Status-Status} ${Version}' headwater 2>/dev/null | sed -n 's/^installed //p'; }

# The configuration stays as the operator has it, and nobody is asked; what the package would write lies beside it as *.dpkg-dist.
unasked() { DEBIAN_FRONTEND=noninteractive "$@" </dev/null; }

# What a power cut in an installation before this one has left. apt refuses to go on where dpkg's journal was not taken over, of which `dpkg --audit` says nothing.
finish_earlier() { unasked dpkg --force-confdef --force-confold --configure -a || true; }

install_package() {
  unasked apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$package" || fail "apt-get could not install headwater $version: see above"
}

# look_at_arguments SOURCE [SUM]: sets source, sum.
look_at_arguments() {
  source=${1:-${HEADWATER_SOURCE:-}}
  sum=${2:-}
  case $source in
    '' | -h | --help)
      usage >&2
      if [ -n "$source" ]; then exit 0; else exit 2; fi
      ;;
    -*) fail "there is no option $source: ./install.sh --help" ;;
    http://*) fail 'only https: what is installed as root is not fetched in the open' ;;
  esac
}

# Sets directory, which is gone at the end, and package in it.
make_room() {
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  # by itself a signal ends the shell without that
  trap 'exit 130' INT
  trap 'exit 143' HUP TERM
  # apt reads packages as a user of its own
  chmod 0755 "$directory"
  package="$directory/headwater.deb"
}

# What is asked of a mirror, and would otherwise be passed over in silence.
not_of_mirror() {
  [ -z "${HEADWATER_KEY:-}${HEADWATER_VERSION:-}" ] || fail "HEADWATER_KEY and HEADWATER_VERSION are for a mirror, which $source is not"
}

# Lays what is to be installed into package, and says of which url.
obtain() {
  url=$source
  case $source in
    https://*.deb)
      not_of_mirror
      download
      ;;
    https://*)
      [ -z "$sum" ] || fail "a mirror's checksums are in its SHA256SUMS: ./install.sh $source"
      choose "${source%/}"
      download
      ;;
    *)
      not_of_mirror
      [ -f "$source" ] || fail "there is no file $source"
      cp "$source" "$package"
      ;;
  esac
}

# Sets version.
look_at_package() {
  if [ -n "$sum" ]; then
    found=$(sha256sum "$package" | cut -d' ' -f1)
    [ "$found" = "$(echo "$sum" | tr 'A-F' 'a-f')" ] || fail "the checksum of $url is $found, and not $sum: nothing was installed"
  fi
  name=$(dpkg-deb --field "$package" Package 2>/dev/null) || fail "$url is no Debian package"
  [ "$name" = headwater ] || fail "$url is the package $name"
  wanted=$(dpkg-deb --field "$package" Architecture)
  [ "$wanted" = "$own" ] || fail "the package is for $wanted, this system is $own"
  version=$(dpkg-deb --field "$package" Version)
}

# say_what_runs BEFORE: a version that does not come up is taken back by the package itself, and apt is content.
say_what_runs() {
  if [ ! -d /run/systemd/system ]; then
    say "headwater $version is installed; no systemd runs here, and nothing was started"
    return
  fi
  current=$(basename "$(readlink /opt/headwater/current)")
  if [ "$current" != "$version" ] && [ "$1" != "$version" ]; then
    fail "headwater $version does not run, $current goes on: sudo journalctl -u headwater says why"
  fi
  headwater-release check >/dev/null 2>&1 || fail "headwater $current is installed and does not run: sudo journalctl -u headwater says why"
  # who has disabled it, or stopped it before an upgrade, gets it as it was
  if systemctl --quiet is-active headwater; then runs=runs; else runs='is not started: sudo systemctl enable --now headwater'; fi
  case $1 in
    '') say "headwater $version is installed, and $runs" ;;
    "$version") say "headwater $version was installed already, and $current $runs" ;;
    *) say "headwater $version is installed in place of $1, and $runs" ;;
  esac
  echo
  echo 'configuration  /etc/headwater/headwater.yaml; after a change: sudo systemctl reload headwater'
  echo 'status         sudo headwater status'
  echo 'log            sudo journalctl -u headwater -f'
}

main() {
  trap - EXIT
  look_at_arguments "$@"
  [ "$(id -u)" = 0 ] || fail 'needs root: sudo ./install.sh ...'
  check_machine
  make_room
  obtain
  look_at_package
  finish_earlier
  before=$(installed_version)
  if [ -n "$before" ] && dpkg --compare-versions "$version" lt "$before"; then
    fail "$before is installed, which is newer than $version: sudo headwater-release rollback goes back to the release before"
  fi
  install_package
  say_what_runs "$before"
}

main "$@"
