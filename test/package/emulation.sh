# shellcheck shell=bash
# Programs of another architecture run by qemu-user, as long as a test lasts: binfmt_misc is mounted and told of qemu, and left as it was found.

BINFMT=/proc/sys/fs/binfmt_misc
BINFMT_MOUNTED=no
BINFMT_MADE=()

# emulation_begin ARCHITECTURE...
emulation_begin() {
  local architecture qemu
  if [ ! -e $BINFMT/register ]; then
    mount -t binfmt_misc none $BINFMT
    BINFMT_MOUNTED=yes
  fi
  for architecture in "$@"; do
    qemu=$(qemu_of "$architecture")
    if [ "$architecture" = "$(dpkg --print-architecture)" ] || [ -e $BINFMT/"$qemu" ]; then continue; fi
    # With the flag F the interpreter is opened now: it is found inside of any system.
    cat "/usr/lib/binfmt.d/$qemu.conf" >$BINFMT/register
    BINFMT_MADE+=("$qemu")
  done
}

emulation_end() {
  local qemu
  for qemu in "${BINFMT_MADE[@]}"; do echo -1 >$BINFMT/"$qemu"; done
  if [ $BINFMT_MOUNTED = yes ]; then umount $BINFMT; fi
}

qemu_of() {
  case $1 in
    arm64) echo qemu-aarch64 ;;
    armhf) echo qemu-arm ;;
    *) echo none ;;
  esac
}
