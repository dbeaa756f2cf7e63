# shellcheck shell=bash
# What the scripts of all roles have in common. Sourced by them, with `set -euo pipefail`.
#
#   begin_role NAME       sources the steps, checks who and where we are
#   need VARIABLE...      the variables that the role can't do without
#   take VARIABLE...      those that it can do without
#   machine_addresses     prints the addresses of all the project's machines

provisioning=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly provisioning
readonly source_root=${provisioning%/*}
readonly home=/opt/crud-master
readonly state=/var/lib/crud-master
readonly configuration=/etc/crud-master
readonly provision_log=/var/log/crud-master/provision.log
readonly account=app
# variables that come from the machine and not from .env
export STATE_DIR=$state/processes CODE_DIR=$home/current
# shellcheck disable=SC2034
readonly of_machine=(STATE_DIR CODE_DIR)
role=
# a function at the end of a pipe runs in this shell, and may set its variables
shopt -s lastpipe

# shellcheck source=provisioning/lib/steps.sh
source "$provisioning/lib/steps.sh"
# shellcheck source=provisioning/lib/packages.sh
source "$provisioning/lib/packages.sh"
# shellcheck source=provisioning/lib/python.sh
source "$provisioning/lib/python.sh"
# shellcheck source=provisioning/lib/npm.sh
source "$provisioning/lib/npm.sh"
# shellcheck source=provisioning/lib/files.sh
source "$provisioning/lib/files.sh"
# shellcheck source=provisioning/steps/packages.sh
source "$provisioning/steps/packages.sh"
# shellcheck source=provisioning/steps/account.sh
source "$provisioning/steps/account.sh"
# shellcheck source=provisioning/steps/firewall.sh
source "$provisioning/steps/firewall.sh"
# shellcheck source=provisioning/steps/postgresql.sh
source "$provisioning/steps/postgresql.sh"
# shellcheck source=provisioning/steps/rabbitmq.sh
source "$provisioning/steps/rabbitmq.sh"
# shellcheck source=provisioning/steps/node.sh
source "$provisioning/steps/node.sh"
# shellcheck source=provisioning/steps/application.sh
source "$provisioning/steps/application.sh"
# shellcheck source=provisioning/steps/logs.sh
source "$provisioning/steps/logs.sh"
# shellcheck source=provisioning/steps/smoke.sh
source "$provisioning/steps/smoke.sh"

begin_role() {
  role=$1
  ((EUID == 0)) || fail "This sets up the whole machine as $role: run it as root."
  require_debian
  has_systemd || fail 'This machine does not run systemd, which starts the services.'
  umask 022
  cd /
  install -d -m 750 "${provision_log%/*}"
  touch "$provision_log"
  chmod 600 "$provision_log"
  begin_steps "$provision_log"
}

need() {
  local name
  for name; do
    [[ -n ${!name:-} ]] || fail "The variable $name is missing. In a checkout with a .env:" \
      "sudo bash -c 'set -a; . ./.env; provisioning/$role.sh'"
  done
  take "$@"
}

take() {
  local name
  for name; do
    [[ ${!name:-} != *[\'\\$'\n']* ]] ||
      fail "The variable $name may not hold a single quote, a backslash or a line end."
  done
}

machine_addresses() {
  local name
  for name in $(compgen -v | grep -E '^[A-Z]+_VM_IP$'); do
    printf '%s\n' "${!name}"
  done
}

# as_app COMMAND...: as the services' account, with their variables and nothing else
as_app() {
  runuser -u "$account" -- env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$state" LANG=C.UTF-8 \
    ENV_FILE="$(variables_file)" "$@"
}

variables_file() { printf '%s\n' "$configuration/$role.env"; }

# wait_until SECONDS WHAT COMMAND...: asks COMMAND again and again until it succeeds
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || give_up "Waited in vain for $what."
    sleep 0.2
  done
}

# give_up SENTENCE: ends a step as a failed one
give_up() {
  printf '%s\n' "$*"
  exit 1
}
