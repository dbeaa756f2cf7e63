# shellcheck shell=bash disable=SC2154
# The machines' names: RabbitMQ's nodes call each other by them.

readonly hosts_mark=' # crud-master'

name_machines() {
  local entry
  {
    grep -v "$hosts_mark\$" /etc/hosts
    for entry in "${hosts[@]}"; do
      [[ ${entry#*:} == "$own_address" ]] || printf '%s %s%s\n' "$(address_of "$entry")" "${entry%%:*}" "$hosts_mark"
    done
  } | put_file /etc/hosts 644 root root
}

# address_of NAME:VARIABLE
address_of() {
  local variable=${1#*:}
  printf '%s\n' "${!variable}"
}

# others NAME:VARIABLE...: those that are not this machine
others() {
  local entry
  for entry; do
    [[ ${entry#*:} == "$own_address" ]] || printf '%s\n' "$entry"
  done
}
