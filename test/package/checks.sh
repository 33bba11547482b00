# shellcheck shell=bash
# What the tests of the package say and wait for: one line a fact, with the second at which it was seen.

BEGAN=$(date +%s)
MADE=0

# ok FACT
ok() {
  MADE=$((MADE + 1))
  printf '%4ds  ok    %s\n' $(($(date +%s) - BEGAN)) "$*"
}

note() { printf '%4ds        %s\n' $(($(date +%s) - BEGAN)) "$*"; }

failed() {
  printf '%4ds  FAIL  %s\n' $(($(date +%s) - BEGAN)) "$*"
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
  local until=$(($(date +%s) + $1)) fact=$2
  shift 2
  while ! "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$until" ] || failed "$fact: not within time: $*"
    sleep 0.2
  done
  ok "$fact"
}
