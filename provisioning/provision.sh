#!/usr/bin/env bash
# Turns a bare Debian or Ubuntu machine into one of topology.yml. A further run updates it.
#
#   provision.sh ROLE [MACHINE]
#
# MACHINE is this machine, one with that role; the default is the first one. Run it as root, with the variables
# of .env.example in the environment.
set -euo pipefail

# shellcheck source=provisioning/lib/role.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/role.sh"
begin_role "$@"

step 'system packages' install_packages
read_role "$@"

if has_server patroni; then keep_packages_from_making_databases; fi
step 'packages' install_packages "${packages[@]}"
step 'account' make_account
step 'firewall' open_firewall
step 'names of machines' name_machines
if has_server etcd; then step 'etcd' run_etcd; fi
if has "${databases[@]}"; then
  if has_server patroni; then step 'PostgreSQL and Patroni' run_patroni; else step 'PostgreSQL' run_postgresql; fi
  step 'database' make_database "${databases[@]}"
fi
if has_server rabbitmq; then
  step 'RabbitMQ' run_rabbitmq
  step 'RabbitMQ definitions' define_rabbitmq
fi
if has_server redis; then
  step 'Redis' run_redis
fi
if has "${servers[@]}" "${workers[@]}"; then
  step 'Python packages' install_python_packages
  step 'Node.js and PM2' install_pm2
  if has_document openapi.yaml; then step 'Swagger UI' install_swagger_ui; fi
  step 'log rotation' rotate_logs
  step 'release' lay_release
  step 'variables' write_variables "${variables[@]}" RABBITMQ_HOST "${role^^}_BIND" "${optional[@]}" "${of_machine[@]}"
  step 'migrations' migrate
  # the release is complete: from here on a restart of the machine starts the new one
  step 'PM2 service' install_pm2_service
  step 'processes' take_over
  if [[ -n $shared_address ]]; then step 'shared address' run_keepalived; fi
  step 'smoke test' smoke_test
fi
tell_addresses
