#!/usr/bin/env bash
# Turns a bare Debian or Ubuntu machine into orders-vm; again, to bring it up to date. As root, with
# the variables of .env.example in the environment.
set -euo pipefail

# shellcheck source=provisioning/lib/role.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/role.sh"
begin_role orders

readonly variables=(
  BILLING_VM_IP INVENTORY_VM_IP CUSTOMERS_VM_IP INVENTORY_API_PORT CUSTOMERS_API_PORT
  ORDERS_API_PORT ORDERS_CONSUMER_PORT ORDERS_RELAY_PORT MAIL_WORKER_PORT
  ORDERS_DB_NAME ORDERS_DB_USER ORDERS_DB_PASSWORD ORDERS_WORKERS ORDERS_THREADS
  RABBITMQ_USER RABBITMQ_PASSWORD RABBITMQ_VHOST RABBITMQ_QUEUE RABBITMQ_PORT
  OUTBOX_KEPT_HOURS OUTBOX_KEPT_ROWS INBOX_KEPT_DAYS MAILS_KEPT_DAYS
  MAIL_FROM ORDERS_RESEND_AFTER_SECONDS
)
# without a mail server the mails go into the Maildir $STATE_DIR/mail, which no deployment touches
readonly of_mail=(SMTP_HOST SMTP_PORT SMTP_TLS SMTP_USER SMTP_PASSWORD MAIL_DIR)
need GATEWAY_VM_IP ORDERS_VM_IP "${variables[@]}"
take "${of_mail[@]}"
servers=(orders-api)
workers=(orders-consumer orders-relay mail-worker)

firewall() {
  open_port "$ORDERS_API_PORT" "$GATEWAY_VM_IP"
  open_workers "$ORDERS_CONSUMER_PORT" "$ORDERS_RELAY_PORT" "$MAIL_WORKER_PORT"
  set_firewall
}

step 'packages' install_packages postgresql
step 'account' make_account
step 'firewall' firewall
step 'PostgreSQL' run_postgresql
step 'database' make_database ORDERS
step 'Python packages' install_python_packages
step 'Node.js and PM2' install_pm2
step 'PM2 service' install_pm2_service
step 'log rotation' rotate_logs
step 'variables' write_variables "${variables[@]}" RABBITMQ_HOST ORDERS_BIND "${of_mail[@]}" \
  "${of_machine[@]}"
step 'release' lay_release
step 'migrations' migrate "$ORDERS_DB_NAME"
step 'processes' take_over
# the others are ready when the broker, on another machine, is
step 'smoke test' smoke_test "http://127.0.0.1:$ORDERS_API_PORT/ready" \
  "http://127.0.0.1:$ORDERS_CONSUMER_PORT/live" "http://127.0.0.1:$ORDERS_RELAY_PORT/live" \
  "http://127.0.0.1:$MAIL_WORKER_PORT/live"
