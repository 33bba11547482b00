# shellcheck shell=bash
# What lies outside /opt/headwater: commands, units, configuration, documentation; and the package's control files.

# system_files ROOT VERSION
system_files() {
  local root=$1 version=$2 program
  mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/lib/systemd/system" "$root/etc/headwater" "$root/usr/share/doc/headwater/examples"
  for program in headwater headwater-bridge; do
    ln -s "/opt/headwater/current/app/bin/$program" "$root/usr/bin/$program"
  done
  install -m 0755 "$HERE/headwater-release" "$root/usr/sbin/headwater-release"
  install -m 0644 "$HERE"/systemd/*.service "$root/lib/systemd/system/"
  mkdir -p "$root/opt/headwater/package/systemd"
  install -m 0644 "$HERE/systemd/backoff.conf" "$root/opt/headwater/package/systemd/"
  [ ! -d "$root/opt/headwater/package/share/nodejs" ] || ln -s current/share/nodejs "$root/opt/headwater/js"
  configuration "$root"
  documentation "$root" "$version"
  generated "$root"
}

# As `init` writes it, with the places of a package.
configuration() {
  local etc="$1/etc/headwater"
  node "$PROJECT/dist/cli.js" init - | sed 's#: \./data\b#: /var/lib/headwater#' >"$etc/headwater.yaml"
  node "$PROJECT/dist/bridge.js" init - | sed 's#: \./bridge-data\b#: /var/lib/headwater-bridge#' >"$etc/headwater-bridge.yaml"
  grep -q '^data: /var/lib/headwater$' "$etc/headwater.yaml" || fail 'the template has no data: ./data'
  grep -q '^data: /var/lib/headwater-bridge$' "$etc/headwater-bridge.yaml" || fail 'the bridge'"'"'s template has no data: ./bridge-data'
}

documentation() {
  local root=$1 version=$2 doc="$1/usr/share/doc/headwater"
  cp "$HERE/debian/copyright" "$doc/copyright"
  cp "$HERE/README.md" "$doc/README.md"
  cp "$HERE/journald-sd-card.conf" "$HERE/cloud-init/user-data" "$PROJECT"/examples/*.yaml "$doc/examples/"
  {
    echo "headwater ($version) stable; urgency=medium"
    echo
    echo '  * See CHANGELOG.gz for what changes on a device.'
    echo
    echo " -- $(maintainer)  $(date --utc --date="@$SOURCE_DATE_EPOCH" -R)"
  } | gzip -9n >"$doc/changelog.gz"
  gzip -9nc "$PROJECT/CHANGELOG.md" >"$doc/CHANGELOG.gz"
  mkdir -p "$root/usr/share/lintian/overrides"
  cp "$HERE/debian/lintian-overrides" "$root/usr/share/lintian/overrides/headwater"
}

# What the command line makes of itself: its manual and completions.
generated() {
  local root=$1 share="$1/usr/share" file
  mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
  made_by cli.js man >"$share/man/man1/headwater.1"
  made_by bridge.js man >"$share/man/man1/headwater-bridge.1"
  local entry
  for entry in cli.js:headwater bridge.js:headwater-bridge; do
    made_by "${entry%%:*}" completion bash >"$share/bash-completion/completions/${entry##*:}"
    made_by "${entry%%:*}" completion zsh >"$share/zsh/vendor-completions/_${entry##*:}"
    made_by "${entry%%:*}" completion fish >"$share/fish/vendor_completions.d/${entry##*:}.fish"
  done
  find "$share/man" "$share/bash-completion" "$share/zsh" "$share/fish" -empty -type f -delete
  for file in "$share"/man/man1/*; do
    if [ -f "$file" ]; then gzip -9n "$file"; fi
  done
  find "$share" -type d -empty -delete
}

made_by() {
  local program=$1
  shift
  node "$PROJECT/dist/$program" "$@" 2>/dev/null || true
}

maintainer() {
  sed -n 's/^Maintainer: //p' "$HERE/debian/control"
}

# control_files ROOT ARCHITECTURE VERSION
control_files() {
  local root=$1 architecture=$2 version=$3 control="$1/DEBIAN" script depends
  mkdir -p "$control"
  for script in preinst postinst prerm postrm config; do
    install -m 0755 "$HERE/debian/$script" "$control/$script"
  done
  cp "$HERE/debian/templates" "$control/templates"
  (cd "$root" && find etc -type f | sort | sed 's#^#/#') >"$control/conffiles"
  # armhf brings its C library along; but Debian's Node takes the system's authorities.
  case $architecture in
    armhf) depends=ca-certificates ;;
    *) depends="libc6 (>= $(c_library_of "$root")), libgcc-s1, libstdc++6 (>= 9)" ;;
  esac
  sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" "$HERE/debian/control" >"$control/control"
  (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$control/md5sums"
}

# The newest version of symbols that a binary of the package asks the C library for.
c_library_of() {
  find "$1/opt" -type f \( -name '*.node' -o -path '*/bin/node' \) -exec readelf -V {} + | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d_ -f2
}
