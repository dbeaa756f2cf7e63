# shellcheck shell=bash disable=SC2154
# The machines' names: RabbitMQ's nodes call each other by them.

readonly hosts_mark=' # crud-master'
hosts_file=/etc/hosts

# its other lines stay where they are: Vagrant, cloud-init and the step of RabbitMQ add some, too
name_machines() {
  local wanted
  wanted=$(lines_of_machines)
  : >>"$hosts_file"
  [[ $(sed -n "/$hosts_mark\$/p" "$hosts_file") != "$wanted" ]] || return 0
  {
    # a last line without an end gets one
    sed -e "/$hosts_mark\$/d" -e "\$a\\" "$hosts_file"
    [[ -z $wanted ]] || printf '%s\n' "$wanted"
  } | put_file "$hosts_file" 644 root root
}

lines_of_machines() {
  local entry
  others "${hosts[@]}" | while read -r entry; do
    printf '%s %s%s\n' "$(address_of "$entry")" "${entry%%:*}" "$hosts_mark"
  done
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
