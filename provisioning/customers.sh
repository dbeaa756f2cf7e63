#!/usr/bin/env bash
# Turns a bare Debian or Ubuntu machine into customers-vm; again, to bring it up to date. As root,
# with the variables of .env.example in the environment.
set -euo pipefail

# shellcheck source=provisioning/lib/role.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/role.sh"
begin_role customers

readonly variables=(
  BILLING_VM_IP
  CUSTOMERS_API_PORT CUSTOMERS_RELAY_PORT CUSTOMERS_DB_NAME CUSTOMERS_DB_USER CUSTOMERS_DB_PASSWORD
  CUSTOMERS_WORKERS CUSTOMERS_THREADS
  RABBITMQ_USER RABBITMQ_PASSWORD RABBITMQ_VHOST RABBITMQ_QUEUE RABBITMQ_PORT
  OUTBOX_KEPT_HOURS OUTBOX_KEPT_ROWS
  EVENTS_STRICT EVENT_PUBLISH_TIMEOUT_SECONDS
)
need GATEWAY_VM_IP CUSTOMERS_VM_IP ORDERS_VM_IP "${variables[@]}"
servers=(customers-api)
workers=(customers-relay)

firewall() {
  open_port "$CUSTOMERS_API_PORT" "$GATEWAY_VM_IP" "$ORDERS_VM_IP"
  open_workers "$CUSTOMERS_RELAY_PORT"
  set_firewall
}

step 'packages' install_packages postgresql
step 'account' make_account
step 'firewall' firewall
step 'PostgreSQL' run_postgresql
step 'database' make_database CUSTOMERS
step 'Python packages' install_python_packages
step 'Node.js and PM2' install_pm2
step 'PM2 service' install_pm2_service
step 'log rotation' rotate_logs
step 'variables' write_variables "${variables[@]}" RABBITMQ_HOST CUSTOMERS_BIND "${of_machine[@]}"
step 'release' lay_release
step 'migrations' migrate "$CUSTOMERS_DB_NAME"
step 'processes' take_over
# customers-relay is ready when the broker, on another machine, is; in strict mode so is customers-api
[[ ${EVENTS_STRICT:-false} == true ]] && api=live || api=ready
step 'smoke test' smoke_test "http://127.0.0.1:$CUSTOMERS_API_PORT/$api" \
  "http://127.0.0.1:$CUSTOMERS_RELAY_PORT/live"
