# shellcheck shell=bash
# What scripts in a guest are made of beside machine.sh (guest.ts, and test/docs/script.ts for blocks of documents).

export LC_ALL=C.UTF-8 TERM=xterm

# Somebody who may sudo, as the first user of a Raspberry Pi does; but not in the group adm, as on a plain Debian.
make_person() {
  useradd --create-home --shell /bin/bash pi
  echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi
}

is_installed() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' headwater 2>/dev/null)" = installed ]; }

install_package() {
  sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$PACKAGES/current.deb" >/dev/null 2>&1
}

# Lays a built package here, under a name that a document has (of a Raspberry Pi's architecture; the package is this system's), and install.sh
# with it. Usage: offer current|next|broken as NAME
offer() {
  cp "$PACKAGES/$1.deb" "$3"
  cp /test/install.sh .
}

# Has a folder served as https://packages.example.org/NAME (serving.ts).
publish_folder() { cp -r "$1" /test/www/; }

# Lets this person log in to a name of this machine by ssh, as to another one, without a password.
log_in_to() {
  echo "127.0.0.1 $1" | sudo tee -a /etc/hosts >/dev/null
  sudo systemctl start ssh
  install -d -m 700 ~/.ssh
  [ -f ~/.ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
  cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys
  echo 'StrictHostKeyChecking accept-new' >~/.ssh/config
}
