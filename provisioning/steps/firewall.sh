# shellcheck shell=bash disable=SC2154
# The firewall: it admits SSH and what topology.yml opens, and nothing else. provisioning/role.py (`openings`)
# derives the openings from topology.yml; `access` holds them as these calls, with names of variables for ports
# and addresses:
#
#   open_port PORT ADDRESS...      for these machines
#   open_workers PORT ADDRESS...   health and metrics of a worker, for machines that watch it
#   open_entrance PORT             for everybody except the project's other machines
#   open_forwarded_port PORT       for connections that the provider's NAT forwards
#   open_vrrp ADDRESS...           the protocol of machines that share an address, for these machines

openings=()

open_firewall() {
  local call words values
  for call in "${access[@]}"; do
    read -ra words <<<"$call"
    mapfile -t values < <(values_of "${words[@]:1}")
    "${words[0]}" "${values[@]}"
  done
  set_firewall
}

open_port() {
  local port=$1
  shift
  openings+=("ip saddr $(nft_set "$@") tcp dport $port accept")
}

# further instances of a worker (pm2 scale) take the next free ports, up to the 15th after the first
open_workers() {
  local port=$1 last
  shift
  last=$((port + 15 > 65535 ? 65535 : port + 15))
  openings+=("ip saddr $(nft_set "$@") tcp dport $port-$last accept")
}

# the NAT's own interface, if there is one, admits only forwarded ports
open_entrance() {
  local nat elsewhere='' machines
  nat=$(nat_interface)
  [[ -z $nat ]] || elsewhere="iifname != \"$nat\" "
  mapfile -t machines < <(machine_addresses)
  openings+=("${elsewhere}ip saddr != $(nft_set "${machines[@]}") tcp dport $1 accept")
}

open_forwarded_port() {
  local nat sources
  nat=$(nat_interface)
  [[ -n $nat ]] || return 0
  mapfile -t sources < <(nat_sources "$nat")
  openings+=("iifname \"$nat\" ip saddr $(nft_set "${sources[@]}") tcp dport $1 accept")
}

open_vrrp() {
  # VRRP; nft knows its name from a file that a small machine may lack
  openings+=("ip saddr $(nft_set "$@") ip protocol 112 accept")
}

set_firewall() {
  firewall_rules | put_file "$configuration/firewall.nft" 644 root root
  put_file /etc/systemd/system/crud-master-firewall.service 644 root root \
    <"$provisioning/systemd/crud-master-firewall.service"
  ! wrote /etc/systemd/system/crud-master-firewall.service || systemctl daemon-reload
  enable_unit crud-master-firewall.service
  if wrote "$configuration/firewall.nft" || ! nft list table inet crud_master >/dev/null 2>&1; then
    systemctl restart crud-master-firewall.service
    changed_to 'loaded'
  fi
}

firewall_rules() {
  local ssh
  mapfile -t ssh < <(ssh_ports)
  cat <<RULES
# Made by provisioning/steps/firewall.sh; loaded at boot by crud-master-firewall.service.
# The first two lines make this file replace what an earlier one has loaded, in one transaction.
add table inet crud_master
delete table inet crud_master
table inet crud_master {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    ct state invalid drop
    meta l4proto { icmp, ipv6-icmp } accept
    udp sport 67 udp dport 68 accept
    udp sport 547 udp dport 546 accept
    tcp dport $(nft_set "${ssh[@]}") accept
$(printf '    %s\n' "${openings[@]}")
    meta l4proto tcp reject with tcp reset
  }
}
RULES
}

nft_set() {
  printf '{ %s }' "$(printf '%s\n' "$@" | sort -u | paste -sd, | sed 's/,/, /g')"
}

ssh_ports() {
  printf '22\n'
  if command -v sshd >/dev/null; then sshd -T 2>/dev/null | sed -n 's/^port //p'; fi
}

# the interface of the default route, unless the project's private network is on it
nat_interface() {
  local interface own=$own_address
  interface=$(ip -4 route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
  [[ -n $interface && -n $(ip -4 -o address show to "${!own}/32") ]] || return 0
  [[ -n $(ip -4 -o address show dev "$interface" to "${!own}/32") ]] || printf '%s\n' "$interface"
}

# the NAT's gateway and the source of Vagrant's own connection, which differ with some providers
nat_sources() {
  local peer=${SSH_CONNECTION:-}
  peer=${peer%% *}
  ip -4 route show default dev "$1" | sed -n '1s/.*via \([^ ]*\).*/\1/p'
  [[ $peer != *.*.*.* ]] || ip -4 route get "$peer" | sed -n "1s/^\([0-9.]*\) dev $1 .*/\1/p"
}
