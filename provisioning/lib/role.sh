# shellcheck shell=bash
# The role of this machine, and what all steps share. Sourced by provision.sh, with `set -euo pipefail`.
#
#   begin_role ROLE             checks the user and the system
#   read_role ROLE [MACHINE]    reads the role from topology.yml, and checks the variables
#   machine_addresses           prints the addresses of all the project's machines
#   values_of VARIABLE...       prints their values

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
readonly of_machine=(STATE_DIR CODE_DIR MACHINE_NAME)
role=
# set by the output of provisioning/role.py
own_address=
# shellcheck disable=SC2034  # provision.sh uses them
machine_variables=() packages=() databases=() role_servers=() documents=()
servers=() server_ports=() workers=() worker_ports=() access=()
variables=() optional=() needed=()
# shellcheck disable=SC2034  # the steps use them
hosts=() peers=() etcd_members=() rabbitmq_nodes=() shared_address='' is_first=''
# the last command of a pipe runs in this shell, so it may set variables
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
# shellcheck source=provisioning/steps/hosts.sh
source "$provisioning/steps/hosts.sh"
# shellcheck source=provisioning/steps/etcd.sh
source "$provisioning/steps/etcd.sh"
# shellcheck source=provisioning/steps/patroni.sh
source "$provisioning/steps/patroni.sh"
# shellcheck source=provisioning/steps/keepalived.sh
source "$provisioning/steps/keepalived.sh"
# shellcheck source=provisioning/steps/firewall.sh
source "$provisioning/steps/firewall.sh"
# shellcheck source=provisioning/steps/postgresql.sh
source "$provisioning/steps/postgresql.sh"
# shellcheck source=provisioning/steps/rabbitmq.sh
source "$provisioning/steps/rabbitmq.sh"
# shellcheck source=provisioning/steps/redis.sh
source "$provisioning/steps/redis.sh"
# shellcheck source=provisioning/steps/node.sh
source "$provisioning/steps/node.sh"
# shellcheck source=provisioning/steps/application.sh
source "$provisioning/steps/application.sh"
# shellcheck source=provisioning/steps/logs.sh
source "$provisioning/steps/logs.sh"
# shellcheck source=provisioning/steps/smoke.sh
source "$provisioning/steps/smoke.sh"

begin_role() {
  (($# == 1 || $# == 2)) || fail 'Usage: provision.sh ROLE [MACHINE]; topology.yml has the roles and machines.'
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

read_role() {
  local said
  said=$(cd "$source_root" && "$python" -B -m provisioning.role "$@") || exit 1
  eval "$said"
  need "${needed[@]}" "${variables[@]}"
  take "${optional[@]}"
  # services on the broker's machine use its loopback address first
  if has_server rabbitmq; then export RABBITMQ_HOST=${RABBITMQ_HOST:-$(beside_own "${rabbitmq_nodes[@]}")}; fi
  if has_server patroni; then
    export "${databases[0]}_DB_HOST=$(beside_own "${peers[@]}")"
    optional+=("${databases[0]}_DB_HOST")
  fi
  if has_server redis; then
    export REDIS_SOCKET=$redis_socket
    optional+=(REDIS_SOCKET)
  fi
  if has_document openapi.yaml; then
    export SWAGGER_UI_DIR=$tools/swagger-ui/node_modules/swagger-ui-dist
    optional+=(SWAGGER_UI_DIR)
  fi
}

# beside_own NAME:VARIABLE...: the loopback address and those of other machines, separated by commas
beside_own() {
  local entry
  {
    printf '127.0.0.1\n'
    others "$@" | while read -r entry; do address_of "$entry"; done
  } | paste -sd,
}

# has WORD...: whether there is at least one
has() { (($# > 0)); }

has_server() { [[ " ${role_servers[*]} " == *" $1 "* ]]; }

has_document() { [[ " ${documents[*]} " == *" $1 "* ]]; }

# need VARIABLE...: checks variables that the role requires
need() {
  local name
  for name; do
    [[ -n ${!name:-} ]] || fail "The variable $name is missing. In a checkout with a .env:" \
      "sudo bash -c 'set -a; . ./.env; provisioning/provision.sh $role'"
  done
  take "$@"
}

# take VARIABLE...: checks optional variables
take() {
  local name
  for name; do
    [[ ${!name:-} != *[\'\\$'\n']* ]] ||
      fail "The variable $name may not hold a single quote, a backslash or a line end."
  done
}

values_of() {
  local name
  for name; do printf '%s\n' "${!name}"; done
}

machine_addresses() { values_of "${machine_variables[@]}"; }

# the last lines: the addresses at which the forwarded ports answer
tell_addresses() {
  [[ $role != gateway ]] ||
    printf '\nThe platform: http://localhost:%s/api/movies   RabbitMQ: http://localhost:%s\n' \
      "$GATEWAY_FORWARDED_PORT" "$RABBITMQ_FORWARDED_PORT"
}

# as_app COMMAND...: runs it as the services' account, with only their variables
as_app() {
  runuser -u "$account" -- env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$state" LANG=C.UTF-8 \
    ENV_FILE="$(variables_file)" "$@"
}

variables_file() { printf '%s\n' "$configuration/$role.env"; }

# wait_until SECONDS WHAT COMMAND...: repeats COMMAND until it succeeds
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || give_up "Waited in vain for $what."
    sleep 0.2
  done
}

# give_up SENTENCE: fails the current step
give_up() {
  printf '%s\n' "$*"
  exit 1
}
