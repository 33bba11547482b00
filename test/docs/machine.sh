# shellcheck shell=bash
# What scripts of a document's machine are made of (machine.ts, script.ts).

# Gives this process' mount namespace directories of its own, above those of the real machine; $1 stays the real one.
separate() {
  ip link set lo up
  exec 3<"$1"
  mkdir "$1/layers"
  mount -t tmpfs none "$1/layers"
  local directory layer
  for directory in /etc /var /mnt /usr/local /tmp; do
    layer=$1/layers${directory//\//-}
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay none -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
  done
  mount --no-canonicalize --bind /proc/self/fd/3 "$1"
  exec 3<&-
}

# Waits until a command succeeds. Usage: await SECONDS COMMAND...
await() {
  local rounds=$(($1 * 10))
  shift
  until "$@"; do
    ((rounds--)) || return 1
    sleep 0.1
  done
}

is_gone() { [ ! -e "/proc/$1" ]; }

# As a terminal does: to all of the group, also to what sudo has given to another user.
press_ctrl_c() {
  local as=sudo
  if [ "$(id -u)" = 0 ]; then as=; fi
  $as kill -INT -- "-$1" 2>/dev/null || true
}

# Runs a command on a terminal of its own, at which a person types what is asked. Usage: in_terminal COMMAND-TEXT [QUESTION TYPED]...
in_terminal() {
  local command=$1 pid code=0
  shift
  rm -f "$STATE/keys"
  mkfifo "$STATE/keys"
  : >"$STATE/terminal"
  script -qefc "$command" /dev/null <"$STATE/keys" >"$STATE/terminal" 2>&1 &
  pid=$!
  exec 9>"$STATE/keys"
  is_asked() { grep -qF -- "$1" "$STATE/terminal" || is_gone "$pid"; }
  while [ $# -gt 0 ]; do
    await 120 is_asked "$1" || break
    # what has ended without asking takes nothing
    (trap '' PIPE && printf '%s\n' "$2" >&9) 2>/dev/null || break
    shift 2
  done
  wait "$pid" || code=$?
  exec 9>&-
  cat "$STATE/terminal"
  return "$code"
}

# Whether what `serve` started under this name still runs.
is_serving() { [ -f "$STATE/$1.pid" ] && ! is_gone "$(<"$STATE/$1.pid")"; }

# Ends what `serve` started under this name.
stop_serving() {
  local pid
  [ -f "$STATE/$1.pid" ] || return 0
  pid=$(<"$STATE/$1.pid")
  rm "$STATE/$1.pid"
  kill -INT -- "-$pid" 2>/dev/null || return 0
  await 30 is_gone "$pid"
}

# A device that never ran.
anew() {
  stop_serving headwater
  rm -rf data headwater.yaml
}

# Runs a command that serves until Ctrl-C as in a terminal of its own, and returns once it does. Usage: serve NAME COMMAND-TEXT
serve() {
  stop_serving "$1"
  : >"$STATE/$1.log"
  set -m
  (eval "$2") >"$STATE/$1.log" 2>&1 &
  local pid=$!
  set +m
  echo "$pid" >"$STATE/$1.pid"
  answers() { grep -qE '^stop  |^status  http' "$STATE/$1.log" || is_gone "$2"; }
  if ! await 60 answers "$1" "$pid" || is_gone "$pid"; then
    cat "$STATE/$1.log"
    return 1
  fi
}

# Runs a command in a terminal of its own, until `end_beside`. Usage: beside COMMAND-TEXT
beside() {
  set -m
  (eval "$1") >"$STATE/beside.log" 2>&1 &
  echo $! >"$STATE/beside.pid"
  set +m
}

# It must still have been running.
end_beside() {
  local pid
  pid=$(<"$STATE/beside.pid")
  cat "$STATE/beside.log"
  kill -INT -- "-$pid"
}

# Runs a command until it has shown something, then presses Ctrl-C.
until_ctrl_c() {
  local pid code=0
  set -m
  (eval "$1") >"$STATE/watched" 2>&1 &
  pid=$!
  set +m
  shown() { [ -s "$STATE/watched" ] || is_gone "$pid"; }
  await 20 shown || echo "it showed nothing" >>"$STATE/watched"
  local had_ended=no
  is_gone "$pid" && had_ended=yes
  press_ctrl_c "$pid"
  wait "$pid" || code=$?
  cat "$STATE/watched"
  if [ "$had_ended" = yes ] && [ "$code" = 0 ]; then return 0; fi
  [ "$code" = 0 ] || [ "$code" = 130 ]
}
