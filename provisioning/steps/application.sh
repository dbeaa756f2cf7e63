# shellcheck shell=bash disable=SC2154
# A release of the role's service: it is unpacked beside the old one, migrated, made current, and its processes are
# replaced. `servers` and `workers` are the names of its PM2 processes, `documents` the files of the checkout that it
# serves.

readonly current=$home/current
readonly releases_kept=3

# write_variables NAME...: writes the variables of this machine's services, readable for them alone. Values that the
# new release refuses must not replace those of the old one.
write_variables() {
  local new status=0
  new=$(mktemp "$configuration/.$role.env.XXXXXX")
  assignments "$@" >"$new"
  chown "root:$account" "$new"
  chmod 640 "$new"
  (cd "$(release)" && as_app ENV_FILE="$new" venv/bin/python -m chassis.check_settings "$role") || status=$?
  rm "$new"
  ((status == 0)) || return "$status"
  assignments "$@" | put_file "$(variables_file)" 640 root "$account"
}

assignments() {
  local name
  for name; do
    [[ -z ${!name:-} ]] || printf "%s='%s'\n" "$name" "${!name}"
  done
}

release_files() {
  (cd "$source_root" &&
    find chassis "$role" requirements.lock topology.yml "${documents[@]}" -type f ! -path '*/__pycache__/*' | LC_ALL=C sort)
}

# the name of a release is a hash of its content
release() {
  local digest
  digest=$(cd "$source_root" &&
    { release_files | xargs -d '\n' sha256sum && venv_of_lock; } | sha256sum)
  printf '%s/releases/%s\n' "$home" "${digest:0:12}"
}

lay_release() {
  local release new=$home/releases/.new venv
  release=$(release)
  venv=$(venv_of_lock)
  [[ ! -d $release ]] || return 0
  rm -rf "$new"
  mkdir -p "$new"
  release_files | tar -C "$source_root" -cf - -T - | tar -C "$new" -xf - --no-same-owner
  chmod -R u=rwX,go=rX "$new"
  ln -s "$venv" "$new/venv"
  "$venv/bin/python" -m compileall -q -s "$new" -p "$release" "$new/chassis" "$new/$role"
  # a release that can't be imported must not replace the running one
  (cd "$new" && as_app venv/bin/python -c "import $role.app")
  mv -T "$new" "$release"
  changed_to "${release##*/}"
}

# before the switch, so that new code never meets an old schema
migrate() {
  local before after name=${databases[0]}_DB_NAME
  before=$(revision "${!name}")
  (cd "$(release)" && as_app venv/bin/python -m "$role" migrate)
  after=$(revision "${!name}")
  [[ $before == "$after" ]] || changed_to "${before:-none} -> $after"
}

revision() {
  runuser -u postgres -- psql -qXAt -d "$1" -c 'SELECT version_num FROM alembic_version' 2>/dev/null || true
}

# the parts of a start that new workers of a running server can't change
runtime() {
  stamp_of "$source_root/requirements.lock" | sed 's, .*,,'
  sha256sum "$(variables_file)" "$configuration/pm2.env" /etc/systemd/system/crud-master.service \
    "$provisioning/pm2/package-lock.json" "$current/chassis/http/server.py" "$current/$role/__main__.py" \
    "$current/chassis/http/granian_master.py" "$current/chassis/log_output.py" \
    "$current/chassis/ecosystem.config.js" | sed 's, .*,,'
  (cd "$current" && venv/bin/python -B -m chassis.pm2 "$role")
}

take_over() {
  local release
  release=$(release)
  switch_to "$release"
  # systemd also shows a PM2 as active that lost its sockets or is frozen
  if ! systemctl is-active --quiet crud-master.service || ! timeout 60 pm2 list >/dev/null ||
    [[ $(cat "$home/runtime" 2>/dev/null) != "$(runtime)" ]]; then
    systemctl restart crud-master.service
    changed_to "started with ${release##*/}"
  elif [[ $(cat "$home/running" 2>/dev/null) != "$release" ]]; then
    renew_processes
    changed_to "took over ${release##*/}"
  fi
  start_stopped
  (umask 077 && runtime >"$home/runtime")
  printf '%s\n' "$release" >"$home/running"
  prune
}

switch_to() {
  [[ $(readlink "$current") != "$1" ]] || return 0
  touch "$1"
  ln -sfn "$1" "$current.new"
  mv -T "$current.new" "$current"
}

renew_processes() {
  local name
  for name in "${servers[@]}"; do renew_server "$name"; done
  if ((${#workers[@]})); then pm2 restart "${workers[@]}"; fi
}

# a server's master starts workers with the new code, and only then ends the old ones
renew_server() {
  local master old
  master=$(pm2 pid "$1")
  # a stopped or starting process loads the new code anyway
  [[ $master -gt 0 ]] || return 0
  old=$(pgrep -P "$master" -d ' ') || return 0
  kill -HUP "$master"
  # shellcheck disable=SC2086
  wait_until 90 "the old workers of $1 to end" all_ended $old
}

all_ended() {
  local pid
  for pid; do
    [[ ! -d /proc/$pid ]] || return 1
  done
}

# processes that were stopped by hand
start_stopped() {
  local stopped
  stopped=$(pm2 jlist | "$python" "$provisioning/pm2/stopped.py" "${servers[@]}" "${workers[@]}")
  [[ -n $stopped ]] || return 0
  pm2 start "$current/chassis/ecosystem.config.js" --only "$stopped"
  changed_to "started $stopped"
}

prune() {
  local old venv
  while read -r old; do
    [[ $old == "$(readlink "$current")" ]] || rm -rf "$old"
  done < <(find "$home/releases" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn |
    sed "1,${releases_kept}d; s/^[^ ]* //")
  for venv in "$home"/venvs/*; do
    compgen -G "$home/releases/*/venv" | xargs readlink | grep -qxF "$venv" || rm -rf "$venv"
  done
}
