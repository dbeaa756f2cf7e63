# shellcheck shell=bash
# The distribution's own packages. Sourced after steps.sh.

readonly service_policy=/usr/sbin/policy-rc.d
readonly policy_mark='crud-master: no service starts while its packages are installed'
readonly apt_options=(
  -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0
  -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
)

lists_are_new=

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

require_debian() {
  local ID='' ID_LIKE='' PRETTY_NAME='this system'
  # shellcheck source=/dev/null
  [[ -r /etc/os-release ]] && source /etc/os-release
  [[ " $ID $ID_LIKE " == *' debian '* || " $ID $ID_LIKE " == *' ubuntu '* ]] ||
    fail "This needs Debian or Ubuntu, and this machine runs $PRETTY_NAME."
}

# is_debian: Debian itself, not a derivative
is_debian() {
  local ID=''
  # shellcheck source=/dev/null
  [[ -r /etc/os-release ]] && source /etc/os-release
  [[ $ID == debian ]]
}

# require_root PACKAGE...: asks for sudo's password now, while a person can see the prompt
require_root() {
  ((EUID == 0)) || sudo -n true 2>/dev/null || sudo -v 2>/dev/null ||
    fail "This needs root or sudo: run \"apt-get install $*\" as root, then this again."
}

# missing_packages PACKAGE...: prints those that are not installed
missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null || true)
  for package; do
    [[ $'\n'$installed$'\n' == *$'\n'"ii  $package"$'\n'* ]] || printf '%s\n' "$package"
  done
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" "$@"
}

# apt waits for dpkg's lock by itself, but not for the lock of its lists, which a new machine's timer may hold
update_lists() {
  local deadline=$((SECONDS + 600))
  while lists_are_locked && ((SECONDS < deadline)); do sleep 1; done
  # without this option a network failure looks like a missing package
  apt_get -o APT::Update::Error-Mode=any update
}

lists_are_locked() {
  local inode
  inode=$(stat -c %i /var/lib/apt/lists/lock 2>/dev/null) && grep -q ":$inode " /proc/locks
}

can_install() { apt-get "${apt_options[@]}" install -s "$@" >/dev/null 2>&1; }

apt_install() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  # once a run; lists of other repositories may fail if these packages can be installed
  if [[ -z $lists_are_new ]]; then
    if retry 3 update_lists; then lists_are_new=yes; else can_install "${missing[@]}"; fi
  fi
  retry 3 apt_get install -y --no-install-recommends "${missing[@]}"
  changed_to 'installed'
}

# apt_install_idle PACKAGE...: the same, but services of newly installed packages start neither now nor at
# boot; services that existed before are left alone
apt_install_idle() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  local units
  units=$(known_units)
  make_service_policy
  apt_install "$@"
  undo_service_policy
  stop_new_units "$units"
}

make_service_policy() {
  [[ -e $service_policy ]] && return 0
  printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" |
    as_root install -m 755 /dev/stdin "$service_policy"
}

undo_service_policy() {
  if grep -qs "$policy_mark" "$service_policy"; then as_root rm -f "$service_policy"; fi
}

has_systemd() { [[ -d /run/systemd/system ]]; }

known_units() {
  local unit
  has_systemd || return 0
  for unit in postgresql.service rabbitmq-server.service epmd.socket epmd.service redis-server.service nginx.service \
    etcd.service patroni.service keepalived.service; do
    if systemctl cat "$unit" >/dev/null 2>&1; then printf '%s ' "$unit"; fi
  done
}

# stop_new_units KNOWN: stops and disables the units that KNOWN does not list
stop_new_units() {
  local unit
  for unit in $(known_units); do
    [[ " $1 " == *" $unit "* ]] || as_root systemctl disable --now "$unit"
  done
}
