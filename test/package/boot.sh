# shellcheck shell=bash
# Boots a Debian system in a container, with the packages and the steps of guest.sh in it, and prints what it says.

# boot_and_test IMAGE WORK STEPS PATIENCE SECONDS
boot_and_test() {
  local image=$1 work=$2 steps=$3 patience=$4 seconds=$5 status=0
  cp "$HERE/guest.sh" "$HERE/checks.sh" "$work/"
  write_unit "$work/package-test.service" "$steps" "$patience"
  # All changes of the system are in memory, and gone at its end.
  timeout --signal=TERM --kill-after=30 "$seconds" \
    systemd-nspawn --quiet --directory="$image" --volatile=overlay --register=no --keep-unit --private-network \
    --bind="$work:/test" --bind-ro="$work/package-test.service:/etc/systemd/system/package-test.service" --boot --console=pipe \
    systemd.unit=package-test.service </dev/null >"$work/console" 2>&1 || status=$?
  told "$work" "$status"
}

# told WORK STATUS: what the steps said, and when they did not come to their end, what the system said.
told() {
  local work=$1 status=$2
  if grep -q '^passed: ' "$work/log" 2>/dev/null; then
    cat "$work/log"
    return 0
  fi
  cat "$work/log" 2>/dev/null || cat "$work/console"
  echo "the system ended with $status; the end of its journal:"
  tail -n 60 "$work/journal" 2>/dev/null || true
  return 1
}
