# shellcheck shell=bash disable=SC2154
# The distribution's etcd, in which Patroni agrees on who takes writes. This machine is one member of the cluster.

readonly etcd_data=/var/lib/etcd/crud-master
readonly ETCD_PORT=2379 ETCD_PEER_PORT=2380

run_etcd() {
  local defaults=/etc/default/etcd drop_in=/etc/systemd/system/etcd.service.d
  etcd_variables "$(etcd_state)" | put_file "$defaults" 644 root root
  mkdir -p "$drop_in"
  put_file "$drop_in/crud-master.conf" 644 root root <"$provisioning/systemd/etcd.conf"
  ! wrote "$drop_in/crud-master.conf" || systemctl daemon-reload
  enable_unit etcd.service
  # it reports that it has started once more than half of the members are up: the first one must not wait for that
  if wrote "$defaults" || wrote "$drop_in/crud-master.conf"; then
    systemctl restart --no-block etcd.service
    changed_to 'configured and started'
  else
    systemctl start --no-block etcd.service
  fi
}

# `new` for a member of a cluster that begins, `existing` for one that joins; it counts at the first start alone
etcd_state() {
  local id
  if [[ -d $etcd_data/member ]]; then
    sed -n 's/^ETCD_INITIAL_CLUSTER_STATE=//p' /etc/default/etcd
    return
  fi
  members=$(etcd_asked member list) || {
    printf 'new\n'
    return
  }
  # the machine was made anew: the cluster takes it for a member that has lost its data, and must forget that one
  id=$(grep ", started, $MACHINE_NAME, " <<<"$members" | cut -d, -f1)
  if [[ -n $id ]]; then
    etcd_asked member remove "$id" >&2
    etcd_asked member add "$MACHINE_NAME" --peer-urls="http://${!own_address}:$ETCD_PEER_PORT" >&2
  fi
  printf 'existing\n'
}

# etcd_asked WORD...: runs etcdctl with the other members
etcd_asked() {
  local endpoints
  endpoints=$(others "${etcd_members[@]}" | while read -r entry; do
    printf 'http://%s:%s\n' "$(address_of "$entry")" "$ETCD_PORT"
  done | paste -sd,)
  ETCDCTL_API=3 etcdctl --endpoints "$endpoints" --dial-timeout 2s --command-timeout 5s "$@"
}

etcd_variables() {
  local own=http://${!own_address} entry members=()
  for entry in "${etcd_members[@]}"; do
    members+=("${entry%%:*}=http://$(address_of "$entry"):$ETCD_PEER_PORT")
  done
  cat <<VARIABLES
# Written by provisioning/steps/etcd.sh.
ETCD_NAME=$MACHINE_NAME
ETCD_DATA_DIR=$etcd_data
ETCD_LISTEN_PEER_URLS=$own:$ETCD_PEER_PORT
ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:$ETCD_PORT,$own:$ETCD_PORT
ETCD_INITIAL_ADVERTISE_PEER_URLS=$own:$ETCD_PEER_PORT
ETCD_ADVERTISE_CLIENT_URLS=$own:$ETCD_PORT
ETCD_INITIAL_CLUSTER=$(printf '%s\n' "${members[@]}" | paste -sd,)
ETCD_INITIAL_CLUSTER_STATE=$1
ETCD_INITIAL_CLUSTER_TOKEN=crud-master
ETCD_AUTO_COMPACTION_RETENTION=1
ETCD_HEARTBEAT_INTERVAL=200
ETCD_ELECTION_TIMEOUT=2000
VARIABLES
}
