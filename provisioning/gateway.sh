#!/usr/bin/env bash
# Turns a bare Debian or Ubuntu machine into gateway-vm; again, to bring it up to date. As root, with
# the variables of .env.example in the environment.
set -euo pipefail

# shellcheck source=provisioning/lib/role.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/role.sh"
begin_role gateway

readonly variables=(
  GATEWAY_VM_IP INVENTORY_VM_IP BILLING_VM_IP CUSTOMERS_VM_IP ORDERS_VM_IP
  INVENTORY_API_PORT BILLING_API_PORT CUSTOMERS_API_PORT ORDERS_API_PORT
  INVENTORY_CONSUMER_PORT INVENTORY_RELAY_PORT BILLING_CONSUMER_PORT BILLING_RELAY_PORT
  CUSTOMERS_RELAY_PORT ORDERS_CONSUMER_PORT ORDERS_RELAY_PORT MAIL_WORKER_PORT
  INVENTORY_DB_NAME BILLING_DB_NAME CUSTOMERS_DB_NAME ORDERS_DB_NAME
  GATEWAY_PORT GATEWAY_RELAY_PORT GATEWAY_DB_NAME GATEWAY_DB_USER GATEWAY_DB_PASSWORD
  GATEWAY_WORKERS GATEWAY_THREADS
  RABBITMQ_USER RABBITMQ_PASSWORD RABBITMQ_VHOST RABBITMQ_QUEUE RABBITMQ_PORT
  OUTBOX_KEPT_HOURS OUTBOX_KEPT_ROWS EVENTS_KEPT_DAYS EVENTS_KEPT_ROWS
  API_TOKEN AUTH_PROTECTED RATE_LIMIT_READS RATE_LIMIT_WRITES
)
readonly of_edge=(TRUSTED_PROXIES CORS_ORIGINS ALLOWED_HOSTS)
need "${variables[@]}"
take "${of_edge[@]}"
servers=(gateway)
workers=(gateway-relay)
# shellcheck disable=SC2034
documents=(openapi.yaml)
export SWAGGER_UI_DIR=$tools/swagger-ui/node_modules/swagger-ui-dist

firewall() {
  open_entrance "$GATEWAY_PORT"
  open_forwarded_port "$GATEWAY_PORT"
  set_firewall
}

step 'packages' install_packages postgresql
step 'account' make_account
step 'firewall' firewall
step 'PostgreSQL' run_postgresql
step 'database' make_database GATEWAY
step 'Python packages' install_python_packages
step 'Node.js and PM2' install_pm2
step 'Swagger UI' install_swagger_ui
step 'PM2 service' install_pm2_service
step 'log rotation' rotate_logs
step 'variables' write_variables "${variables[@]}" RABBITMQ_HOST GATEWAY_BIND \
  SWAGGER_UI_DIR "${of_edge[@]}" "${of_machine[@]}"
step 'release' lay_release
step 'migrations' migrate "$GATEWAY_DB_NAME"
step 'processes' take_over
# gateway-relay is ready when the broker, on another machine, is
step 'smoke test' smoke_test "http://127.0.0.1:$GATEWAY_PORT/ready" \
  "http://127.0.0.1:$GATEWAY_RELAY_PORT/live"

printf '\nThe platform: http://localhost:%s/api/movies   RabbitMQ: http://localhost:%s\n' \
  "${GATEWAY_FORWARDED_PORT:-$GATEWAY_PORT}" "${RABBITMQ_FORWARDED_PORT:-15672}"
