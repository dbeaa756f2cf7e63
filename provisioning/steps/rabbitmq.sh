# shellcheck shell=bash disable=SC2154
# The distribution's RabbitMQ: configured before its first start; then the current definitions are imported.

readonly rabbitmq=/etc/rabbitmq
# exit statuses of provisioning/rabbitmq/queues.py
readonly queues_dead=1 no_vhost=3

run_rabbitmq() {
  configure_rabbitmq
  enable_unit rabbitmq-server.service
  if wrote "$rabbitmq/rabbitmq.conf" || wrote "$rabbitmq/enabled_plugins"; then
    systemctl restart rabbitmq-server.service
    changed_to 'configured and started'
  else
    systemctl start rabbitmq-server.service
  fi
  wait_until 60 'the management API' accepts_connections "$RABBITMQ_MANAGEMENT_PORT"
  [[ $(queues_state) != "$queues_dead" ]] || {
    systemctl restart rabbitmq-server.service
    changed_to 'restarted: its queues were dead'
    wait_until 60 'the management API' accepts_connections "$RABBITMQ_MANAGEMENT_PORT"
  }
}

configure_rabbitmq() {
  resolve_own_name
  # the data belong to the node's name, which must not change with the hostname
  grep -qs '^NODENAME=' "$rabbitmq/rabbitmq-env.conf" ||
    printf 'NODENAME=rabbit@%s\n' "$(hostname -s)" |
    put_file "$rabbitmq/rabbitmq-env.conf" 644 root root
  printf '[rabbitmq_management].\n' | put_file "$rabbitmq/enabled_plugins" 644 root root
  sed "s/@RABBITMQ_PORT@/$RABBITMQ_PORT/; s/@RABBITMQ_MANAGEMENT_PORT@/$RABBITMQ_MANAGEMENT_PORT/" \
    "$provisioning/rabbitmq/rabbitmq.conf" | put_file "$rabbitmq/rabbitmq.conf" 644 root root
  (cd "$source_root" && "$python" -B -m provisioning.rabbitmq.definitions "$(rabbitmq_version)") |
    put_file "$rabbitmq/definitions.json" 640 root rabbitmq
}

rabbitmq_version() {
  dpkg-query -W -f='${Version}' rabbitmq-server
}

resolve_own_name() {
  getent hosts "$(hostname -s)" >/dev/null || {
    printf '127.0.1.1 %s\n' "$(hostname -s)" >>/etc/hosts
    changed_to 'hostname made to resolve'
  }
}

# users, permissions, policies, queues and exchanges; importing the same definitions again changes nothing
define_rabbitmq() {
  if wrote "$rabbitmq/definitions.json" || ! may_log_in "$RABBITMQ_USER" "$RABBITMQ_PASSWORD" ||
    [[ $(queues_state) == "$no_vhost" ]]; then
    # first: after an interruption the next run finds both still to do
    remove_former_users
    rabbitmqctl import_definitions "$rabbitmq/definitions.json"
    changed_to 'imported'
  fi
  if may_log_in guest guest; then
    rabbitmqctl delete_user guest
    changed_to 'guest removed'
  fi
  wait_until 30 "the login of $RABBITMQ_USER" may_log_in "$RABBITMQ_USER" "$RABBITMQ_PASSWORD"
  warn_of_former_queues
}

# reports bills that wait in a queue of a former name
warn_of_former_queues() {
  rabbitmqctl -q list_queues -p "$RABBITMQ_VHOST" name messages --formatter json |
    (cd "$source_root" && RABBITMQ_QUEUE=$RABBITMQ_QUEUE "$python" -B -m provisioning.rabbitmq.former_queues) >&3
}

# returns the exit status of provisioning/rabbitmq/queues.py; the log has the names of dead queues
queues_state() {
  local status=0
  (cd "$source_root" &&
    RABBITMQ_USER=$RABBITMQ_USER RABBITMQ_PASSWORD=$RABBITMQ_PASSWORD \
      RABBITMQ_VHOST=$RABBITMQ_VHOST RABBITMQ_MANAGEMENT_PORT=$RABBITMQ_MANAGEMENT_PORT \
      "$python" -B -m provisioning.rabbitmq.queues >&2) || status=$?
  printf '%s' "$status"
}

# users that were created under a former RABBITMQ_USER
remove_former_users() {
  local name
  rabbitmqctl -q list_users --formatter json |
    (cd "$source_root" && "$python" -B -m provisioning.rabbitmq.former_users) |
    while IFS= read -r name; do rabbitmqctl delete_user "$name"; done
}

may_log_in() {
  RABBITMQ_USER=$1 RABBITMQ_PASSWORD=$2 RABBITMQ_MANAGEMENT_PORT=$RABBITMQ_MANAGEMENT_PORT \
    "$python" "$provisioning/rabbitmq/login.py"
}

accepts_connections() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
