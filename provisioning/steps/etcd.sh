# shellcheck shell=bash disable=SC2154
# The distribution's etcd, in which Patroni agrees on who takes writes. This machine is one member of the cluster.

readonly etcd_data=/var/lib/etcd/crud-master
export ETCD_PORT=2379 ETCD_PEER_PORT=2380

run_etcd() {
  local defaults=/etc/default/etcd drop_in=/etc/systemd/system/etcd.service.d phase=new
  if [[ -d $etcd_data/member ]]; then
    # it counts at the first start alone
    phase=$(sed -n 's/^ETCD_INITIAL_CLUSTER_STATE=//p' "$defaults")
  elif [[ -n $(etcd_asked endpoint status || true) ]]; then
    # a member that has once been part of a cluster answers this even if too few are up. To begin a cluster beside it
    # would be to come back as the member that was lost, without what that one had promised
    join_etcd
    phase=existing
  fi
  etcd_variables "$phase" | put_file "$defaults" 644 root root
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

# A machine that was made anew: the cluster forgets the member that it was, which had a client's address, and takes it
# for a new one.
join_etcd() {
  local lost
  wait_until 60 'more than half of the members of etcd' etcd_has_leader
  lost=$(etcd_asked member list | awk -F', ' -v name="$MACHINE_NAME" '$3 == name && $5 != "" { print $1 }')
  [[ -z $lost ]] || etcd_asked member remove "$lost"
  wait_until 60 'a place among the members of etcd' is_member_of_etcd
}

# reading a key takes more than half of the members; in etcd 3.4, listing them does not
etcd_has_leader() { etcd_asked get / >/dev/null; }

is_member_of_etcd() {
  local own=http://${!own_address}:$ETCD_PEER_PORT
  etcd_asked member list | grep -qF "$own" || etcd_asked member add "$MACHINE_NAME" --peer-urls="$own"
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
