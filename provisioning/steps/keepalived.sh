# shellcheck shell=bash disable=SC2154
# The distribution's keepalived: one of the role's machines holds their shared address (VRRP, RFC 5798).

readonly keepalived=/etc/keepalived
# above the difference of the priorities: a machine that is not ready leaves the address to one that is
readonly priority_of_first=150 priority_of_others=100 loss_if_not_ready=80

run_keepalived() {
  local interface length
  # not in the pipe below, where it would become the file
  read -r interface length < <(interface_of "${!own_address}") || give_up "No interface of this machine has the address ${!own_address}."
  put_file "$keepalived/answers-ok" 755 root root <"$provisioning/lib/answers-ok"
  describe_keepalived "$interface" "$length" | put_file "$keepalived/keepalived.conf" 644 root root
  enable_unit keepalived.service
  if wrote "$keepalived/keepalived.conf" || wrote "$keepalived/answers-ok"; then
    systemctl restart keepalived.service
    changed_to 'configured and started'
  else
    systemctl start keepalived.service
  fi
}

# interface_of ADDRESS: prints the interface that has it, and the length of its network's prefix
interface_of() {
  ip -4 -o address show to "$1/32" | sed -n '1s,^[0-9]*: *\([^ ]*\) .*inet [0-9.]*/\([0-9]*\) .*,\1 \2,p'
}

# describe_keepalived INTERFACE LENGTH
describe_keepalived() {
  local priority=$priority_of_others port=${server_ports[0]} interface=$1 length=$2 entry
  [[ -z $is_first ]] || priority=$priority_of_first
  cat <<CONFIGURATION
# Written by provisioning/steps/keepalived.sh.
global_defs {
  enable_script_security
  script_user nobody nogroup
  vrrp_garp_master_repeat 3
}

vrrp_script ready {
  script "$keepalived/answers-ok 127.0.0.1 ${!port} /ready"
  interval 1
  timeout 2
  fall 2
  rise 2
  weight -$loss_if_not_ready
}

vrrp_instance $role {
  state BACKUP
  interface $interface
  virtual_router_id 51
  priority $priority
  advert_int 1
  unicast_src_ip ${!own_address}
  unicast_peer {
$(for entry in "${peers[@]}"; do printf '    %s\n' "$(address_of "$entry")"; done)
  }
  virtual_ipaddress {
    ${!shared_address}/$length dev $interface
  }
  track_script {
    ready
  }
}
CONFIGURATION
}
