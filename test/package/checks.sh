# shellcheck shell=bash
# What the tests of the package say and wait for: one line a fact, with the second at which it was seen.

# Seconds by a clock that nobody sets: a test sets the other one, and a program with a 32-bit time has none after 2038.
now() {
  local up
  read -r up _ </proc/uptime
  echo "${up%.*}"
}

BEGAN=$(now)
MADE=0

# ok FACT
ok() {
  MADE=$((MADE + 1))
  printf '%4ds  ok    %s\n' $(($(now) - BEGAN)) "$*"
}

note() { printf '%4ds        %s\n' $(($(now) - BEGAN)) "$*"; }

failed() {
  printf '%4ds  FAIL  %s\n' $(($(now) - BEGAN)) "$*"
  exit 1
}

# expect FACT COMMAND...: the fact is that the command succeeds.
expect() {
  local fact=$1
  shift
  "$@" || failed "$fact: $*"
  ok "$fact"
}

# equal FACT FOUND WANTED
equal() {
  [ "$2" = "$3" ] || failed "$1: found '$2', wanted '$3'"
  ok "$1"
}

# eventually SECONDS FACT COMMAND...
eventually() {
  local until=$(($(now) + $1)) fact=$2
  shift 2
  while ! "$@" >/dev/null 2>&1; do
    [ "$(now)" -lt "$until" ] || failed "$fact: not within time: $*"
    sleep 0.2
  done
  ok "$fact"
}
