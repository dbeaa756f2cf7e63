#!/usr/bin/env bash
# Turns a bare Debian or Ubuntu machine into billing-vm; again, to bring it up to date. As root, with
# the variables of .env.example in the environment.
set -euo pipefail

# shellcheck source=provisioning/lib/role.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/role.sh"
begin_role billing

readonly variables=(
  BILLING_API_PORT BILLING_CONSUMER_PORT BILLING_RELAY_PORT
  BILLING_DB_NAME BILLING_DB_USER BILLING_DB_PASSWORD BILLING_WORKERS BILLING_THREADS
  RABBITMQ_USER RABBITMQ_PASSWORD RABBITMQ_VHOST RABBITMQ_QUEUE RABBITMQ_PORT
  OUTBOX_KEPT_HOURS OUTBOX_KEPT_ROWS INBOX_KEPT_DAYS CANCELLATIONS_KEPT_DAYS
)
need GATEWAY_VM_IP BILLING_VM_IP RABBITMQ_MANAGEMENT_PORT "${variables[@]}"
export RABBITMQ_HOST=${RABBITMQ_HOST:-127.0.0.1}
servers=(billing-api)
workers=(billing-consumer billing-relay)

firewall() {
  local machines
  mapfile -t machines < <(machine_addresses)
  open_port "$BILLING_API_PORT" "$GATEWAY_VM_IP"
  open_workers "$BILLING_CONSUMER_PORT" "$BILLING_RELAY_PORT"
  open_port "$RABBITMQ_PORT" "${machines[@]}"
  open_forwarded_port "$RABBITMQ_MANAGEMENT_PORT"
  set_firewall
}

step 'packages' install_packages postgresql rabbitmq-server
step 'account' make_account
step 'firewall' firewall
step 'PostgreSQL' run_postgresql
step 'database' make_database BILLING
step 'RabbitMQ' run_rabbitmq
step 'RabbitMQ definitions' define_rabbitmq
step 'Python packages' install_python_packages
step 'Node.js and PM2' install_pm2
step 'PM2 service' install_pm2_service
step 'log rotation' rotate_logs
step 'variables' write_variables "${variables[@]}" RABBITMQ_HOST BILLING_BIND "${of_machine[@]}"
step 'release' lay_release
step 'migrations' migrate "$BILLING_DB_NAME"
step 'processes' take_over
step 'smoke test' smoke_test "http://127.0.0.1:$BILLING_API_PORT/ready" \
  "http://127.0.0.1:$BILLING_CONSUMER_PORT/ready" "http://127.0.0.1:$BILLING_RELAY_PORT/ready"
