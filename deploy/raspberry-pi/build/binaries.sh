# shellcheck shell=bash
# What the binaries of a package ask of a system: the size of its kernel's pages and the version of its C library. Nobody sees it on the machine that builds.

# The Pi 5's own kernel has pages of 16 KiB, those of some distributions 64 KiB: a segment that is aligned to less is not loaded there.
# 32-bit ones: 4 KiB is what their kernels have, and what some of Debian's own libraries are aligned to.
declare -A SEGMENT_BYTES_MIN=([amd64]=4096 [arm64]=65536 [armhf]=4096)
# What Debian 11 has. The 32-bit package brings its own.
GLIBC_MAX=2.31
GLIBCXX_MAX=3.4.28

# check_binaries ARCHITECTURE ROOT: all below ROOT, or none, and says which and why.
check_binaries() {
  local architecture=$1 root=$2 glibc=$GLIBC_MAX glibcxx=$GLIBCXX_MAX binary bytes checked=0
  if [ "$architecture" = armhf ]; then
    glibc=$(newest_symbols "$(find "$root" -name libc.so.6)" GLIBC)
    glibcxx=$(newest_symbols "$(find "$root" -name 'libstdc++.so.6')" GLIBCXX)
  fi
  while IFS= read -r -d '' binary; do
    bytes=$(segment_alignment "$binary")
    [ "$bytes" -ge "${SEGMENT_BYTES_MIN[$architecture]}" ] ||
      fail "${binary#"$root"/} has segments aligned to $bytes bytes: no kernel with larger pages loads it (wanted: ${SEGMENT_BYTES_MIN[$architecture]})"
    not_newer "$binary" GLIBC "$glibc"
    not_newer "$binary" GLIBCXX "$glibcxx"
    checked=$((checked + 1))
  done < <(LC_ALL=C grep -rlZaP '^\x7fELF' "$root")
  [ "$checked" -gt 0 ] || fail "no binary is below $root"
}

# The least of a file's loaded segments, in bytes.
segment_alignment() {
  local least=0 bytes
  for bytes in $(readelf -lW "$1" | awk '$1 == "LOAD" { print $NF }'); do
    if [ "$least" = 0 ] || [ $((bytes)) -lt "$least" ]; then least=$((bytes)); fi
  done
  echo "$least"
}

# newest_symbols FILE NAME: the newest version of NAME that stands in it, such as 2.28 of GLIBC; nothing where there is none.
newest_symbols() {
  readelf -VW "$1" | sed -n "s/.*\b$2_\([0-9][0-9.]*\).*/\1/p" | sort -uV | tail -n 1
}

# not_newer BINARY NAME VERSION
not_newer() {
  local needed
  needed=$(newest_symbols "$1" "$2")
  if [ -n "$needed" ] && dpkg --compare-versions "$needed" gt "$3"; then
    fail "${1##*/} asks for $2 $needed; the oldest system that this package is for has $3"
  fi
}
