#!/usr/bin/env bash
# Turns a bare Debian or Ubuntu machine into inventory-vm; again, to bring it up to date. As root,
# with the variables of .env.example in the environment.
set -euo pipefail

# shellcheck source=provisioning/lib/role.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/role.sh"
begin_role inventory

readonly variables=(
  BILLING_VM_IP
  INVENTORY_API_PORT INVENTORY_CONSUMER_PORT INVENTORY_RELAY_PORT
  INVENTORY_DB_NAME INVENTORY_DB_USER INVENTORY_DB_PASSWORD INVENTORY_WORKERS INVENTORY_THREADS
  RABBITMQ_USER RABBITMQ_PASSWORD RABBITMQ_VHOST RABBITMQ_QUEUE RABBITMQ_PORT
  OUTBOX_KEPT_HOURS OUTBOX_KEPT_ROWS INBOX_KEPT_DAYS
  RESERVATIONS_KEPT_DAYS CANCELLATIONS_KEPT_DAYS
)
need GATEWAY_VM_IP INVENTORY_VM_IP ORDERS_VM_IP "${variables[@]}"
servers=(inventory-api)
workers=(inventory-consumer inventory-relay)

firewall() {
  open_port "$INVENTORY_API_PORT" "$GATEWAY_VM_IP" "$ORDERS_VM_IP"
  open_workers "$INVENTORY_CONSUMER_PORT" "$INVENTORY_RELAY_PORT"
  set_firewall
}

step 'packages' install_packages postgresql
step 'account' make_account
step 'firewall' firewall
step 'PostgreSQL' run_postgresql
step 'database' make_database INVENTORY
step 'Python packages' install_python_packages
step 'Node.js and PM2' install_pm2
step 'PM2 service' install_pm2_service
step 'log rotation' rotate_logs
step 'variables' write_variables "${variables[@]}" RABBITMQ_HOST INVENTORY_BIND "${of_machine[@]}"
step 'release' lay_release
step 'migrations' migrate "$INVENTORY_DB_NAME"
step 'processes' take_over
# the other two are ready when the broker, on another machine, is
step 'smoke test' smoke_test "http://127.0.0.1:$INVENTORY_API_PORT/ready" \
  "http://127.0.0.1:$INVENTORY_CONSUMER_PORT/live" "http://127.0.0.1:$INVENTORY_RELAY_PORT/live"
