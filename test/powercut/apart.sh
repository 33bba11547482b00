#!/bin/sh
# Runs Node with a mount namespace of its own where it may (as root; otherwise the program says what is missing). Whoever clones the namespace in which a
# file system is mounted, a container or a test, keeps it mounted there: it would outlive its umount, and the cut would cut nothing.
if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
  exec unshare --mount --propagation private node "$@"
fi
exec node "$@"
