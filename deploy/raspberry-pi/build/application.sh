# shellcheck shell=bash
# The application as it is installed: the bundled programs with what they serve, and the packages that they need on one architecture.

# application ARCHITECTURE ROOT: puts the application below ROOT.
application() {
  local architecture=$1 root=$2 cpu
  case $architecture in
    amd64) cpu=x64 ;;
    arm64) cpu=arm64 ;;
    armhf) cpu=arm ;;
  esac
  mkdir -p "$root"
  cp "$PROJECT/package.json" "$PROJECT/package-lock.json" "$PROJECT/LICENSE" "$root/"
  cp -r "$PROJECT/bin" "$root/bin"
  mkdir -p "$root/firmware-bridge"
  cp -r "$PROJECT/firmware-bridge/device" "$root/firmware-bridge/device"
  mkdir "$root/dist"
  (cd "$PROJECT/dist" && cp -r cli.js bridge.js demo.js parts dashboard openapi.json "$root/dist/")
  # --ignore-scripts: nothing is compiled; all that is native comes prebuilt.
  (cd "$root" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error \
    --os=linux --cpu="$cpu" --libc=glibc >/dev/null) || fail 'npm ci failed'
  rm "$root/package-lock.json"
  prune_packages "$cpu" "$root/node_modules"
}

# What no program loads: types, maps, sources, tests, browsers' bundles, and binaries for other machines.
prune_packages() {
  local cpu=$1 modules=$2
  rm -rf "$modules/@types" "$modules/undici-types" "$modules/node-addon-api" "$modules/.bin" "$modules/.package-lock.json"
  rm -f "$modules"/mqtt/dist/mqtt*.js
  find "$modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.ts' -o -name '*.mts' \
    -o -name '*.cc' -o -name '*.cpp' -o -name '*.c' -o -name '*.h' -o -name '*.gyp' -o -name '*.gypi' -o -name '*.yml' -o -name '*.nycrc' \
    -o -name '.*' -o \( -name '*.md' ! -iname 'license*' \) \) -delete
  find "$modules" -type d \( -name test -o -name tests -o -name benchmark -o -name benchmarks -o -name example -o -name examples \
    -o -name doc -o -name docs \) ! -path '*/dist/*' -prune -exec rm -rf {} +
  rm -rf "$modules"/classic-level/deps
  find "$modules" -mindepth 2 -type d -path '*/prebuilds/*' ! -name "linux-$cpu" -prune -exec rm -rf {} +
  find "$modules" -type f \( -name '*.musl.node' -o -name '*.armv6.*node' \) -delete
  find "$modules" -type d -empty -delete
  # native ones are libraries, and nobody calls the others' commands
  find "$modules" -type f -perm /111 -exec chmod a-x {} +
  local machine
  machine=$(elf_machine "$cpu")
  find "$modules" -type f -name '*.node' -print0 | while IFS= read -r -d '' binary; do
    readelf -h "$binary" | grep -q "Machine: *$machine" || fail "$binary is not for $cpu"
  done
  # With none of these Node starts, and the broker does not.
  local needed
  for needed in classic-level @serialport/bindings-cpp @node-rs; do
    find "$modules/$needed" "$modules/$needed"* -type f -name '*.node' 2>/dev/null | grep -q . || fail "$needed brings no binary for $cpu"
  done
}

elf_machine() {
  case $1 in
    x64) echo 'Advanced Micro Devices X86-64' ;;
    arm64) echo AArch64 ;;
    arm) echo ARM ;;
  esac
}
