# shellcheck shell=bash disable=SC2154
# The distribution's RabbitMQ: configured before its first start; then the current definitions are imported.

readonly rabbitmq=/etc/rabbitmq
# exit statuses of provisioning/rabbitmq/queues.py
readonly queues_dead=1 no_vhost=3
# rabbitmqctl listens, too, and nodes answer it there: https://www.rabbitmq.com/docs/networking#ports
export EPMD_PORT=4369 RABBITMQ_CLUSTER_PORT=25672 RABBITMQ_COMMAND_PORTS=35672-35682
readonly rabbitmq_data=/var/lib/rabbitmq

run_rabbitmq() {
  configure_rabbitmq
  if is_cluster; then prepare_to_join; fi
  enable_unit rabbitmq-server.service
  if wrote "$rabbitmq/rabbitmq.conf" || wrote "$rabbitmq/enabled_plugins" || wrote "$rabbitmq_data/.erlang.cookie"; then
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
    printf 'NODENAME=rabbit@%s\n' "$(name_of_node)" |
    put_file "$rabbitmq/rabbitmq-env.conf" 644 root root
  printf '[rabbitmq_management].\n' | put_file "$rabbitmq/enabled_plugins" 644 root root
  sed "s/@RABBITMQ_PORT@/$RABBITMQ_PORT/; s/@RABBITMQ_MANAGEMENT_PORT@/$RABBITMQ_MANAGEMENT_PORT/" \
    "$provisioning/rabbitmq/rabbitmq.conf" | cat - <(describe_cluster) | put_file "$rabbitmq/rabbitmq.conf" 644 root root
  (cd "$source_root" && "$python" -B -m provisioning.rabbitmq.definitions "$(rabbitmq_version)") |
    put_file "$rabbitmq/definitions.json" 640 root rabbitmq
}

rabbitmq_version() {
  dpkg-query -W -f='${Version}' rabbitmq-server
}

# the other nodes of a cluster know this machine by its name in the topology, whatever its hostname is
name_of_node() {
  if is_cluster; then printf '%s\n' "$MACHINE_NAME"; else hostname -s; fi
}

resolve_own_name() {
  local name
  for name in "$(hostname -s)" "$(name_of_node)"; do
    getent hosts "$name" >/dev/null || {
      printf '127.0.1.1 %s\n' "$name" >>/etc/hosts
      changed_to 'hostname made to resolve'
    }
  done
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
  if is_cluster; then rabbitmq-queues -q grow "rabbit@$MACHINE_NAME" all; fi
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
    while IFS= read -r name; do rabbitmqctl delete_user "$name" </dev/null; done
}

may_log_in() {
  RABBITMQ_USER=$1 RABBITMQ_PASSWORD=$2 RABBITMQ_MANAGEMENT_PORT=$RABBITMQ_MANAGEMENT_PORT \
    "$python" "$provisioning/rabbitmq/login.py"
}

accepts_connections() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

is_cluster() { ((${#rabbitmq_nodes[@]} > 1)); }

# the settings of a cluster; a node that has none joins the others at its first start
describe_cluster() {
  local entry number=0
  is_cluster || return 0
  cat <<CONFIGURATION
# of two halves, the smaller one stops; a node that vanished is missed after ten seconds
cluster_partition_handling = pause_minority
net_ticktime = 10
cluster_formation.peer_discovery_backend = classic_config
CONFIGURATION
  for entry in "${rabbitmq_nodes[@]}"; do
    number=$((number + 1))
    printf 'cluster_formation.classic_config.nodes.%s = rabbit@%s\n' "$number" "${entry%%:*}"
  done
}

# The first node of the list begins the cluster, unless another one is there already. All others join.
prepare_to_join() {
  local other known
  [[ $(cat "$rabbitmq_data/.erlang.cookie" 2>/dev/null) == "$RABBITMQ_COOKIE" ]] ||
    printf '%s' "$RABBITMQ_COOKIE" | put_file "$rabbitmq_data/.erlang.cookie" 400 rabbitmq rabbitmq
  [[ ! -d $rabbitmq_data/mnesia/rabbit@$MACHINE_NAME ]] || return 0
  if [[ ${rabbitmq_nodes[0]} != "$MACHINE_NAME:"* ]]; then
    wait_until 600 "RabbitMQ on ${rabbitmq_nodes[0]%%:*}" running_node
  fi
  other=$(running_node) || return 0
  # not in a condition: without an answer this node must not start, since it would not try to join a second time
  known=$(rabbitmqctl -q -n "$other" cluster_status --formatter json)
  # the machine was made anew: the cluster must forget the node that it was
  if [[ $known == *"\"rabbit@$MACHINE_NAME\""* ]]; then
    rabbitmq-queues -q -n "$other" shrink "rabbit@$MACHINE_NAME" || true
    rabbitmqctl -q -n "$other" forget_cluster_node "rabbit@$MACHINE_NAME"
  fi
  changed_to "joins $other"
}

# prints another node that runs
running_node() {
  local entry
  while read -r entry; do
    # it reads its standard input to the end, which here are the further nodes
    rabbitmqctl -q -n "rabbit@${entry%%:*}" --timeout 10 await_startup </dev/null >&2 || continue
    printf 'rabbit@%s\n' "${entry%%:*}"
    return 0
  done < <(others "${rabbitmq_nodes[@]}")
  return 1
}
