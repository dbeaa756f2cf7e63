# shellcheck shell=bash disable=SC2154
# The last step: checks that the role's processes answer.

smoke_test() {
  local port worker=live server=ready urls=()
  # workers need the broker to be ready; in strict mode, the server does, too
  if has_server rabbitmq; then worker=ready; fi
  if [[ " ${variables[*]} " == *' EVENTS_STRICT '* && ${EVENTS_STRICT,,} =~ ^(1|t|true|y|yes|on)$ ]]; then server=$worker; fi
  for port in "${server_ports[@]}"; do urls+=("http://127.0.0.1:${!port}/$server"); done
  for port in "${worker_ports[@]}"; do urls+=("http://127.0.0.1:${!port}/$worker"); done
  "$python" "$provisioning/smoke.py" "${urls[@]}"
  changed_to 'ready'
}
