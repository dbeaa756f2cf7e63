# shellcheck shell=bash disable=SC2154
# The distribution's PostgreSQL, for this machine only, with the service's role and database.

run_postgresql() {
  local version conf drop_in=/etc/systemd/system/postgresql@.service.d
  version=$(find /etc/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
  conf=/etc/postgresql/$version/main/conf.d/crud-master.conf
  put_file "$conf" 644 postgres postgres <"$provisioning/postgresql/crud-master.conf"
  mkdir -p "$drop_in"
  put_file "$drop_in/crud-master.conf" 644 root root \
    <"$provisioning/systemd/postgresql-restart.conf"
  ! wrote "$drop_in/crud-master.conf" || systemctl daemon-reload
  enable_unit postgresql.service
  if wrote "$conf"; then
    systemctl restart "postgresql@$version-main.service"
    changed_to 'configured and started'
  fi
  systemctl start postgresql.service "postgresql@$version-main.service"
  wait_until 60 'PostgreSQL' runuser -u postgres -- pg_isready -q
}

# make_database PREFIX: creates the database of the variables PREFIX_DB_NAME, _USER and _PASSWORD
make_database() {
  local name=$1_DB_NAME user=$1_DB_USER password=$1_DB_PASSWORD
  if has_server patroni; then wait_until 120 'a database that takes writes' takes_writes; fi
  ! owner_logs_in "${!name}" "${!user}" "${!password}" || return 0
  # passwords go through standard input, since command lines are visible to other users
  printf "\\\\set %s '%s'\n" database "${!name}" role "${!user}" password "${!password}" |
    cat - "$provisioning/postgresql/database.sql" |
    as_superuser psql -qXv ON_ERROR_STOP=1
  changed_to 'role and password set'
}

as_superuser() {
  if has_server patroni; then in_leader "$@"; else runuser -u postgres -- "$@"; fi
}

owner_logs_in() {
  [[ $(PGPASSWORD=$3 psql -qXAtw -h localhost -U "$2" -d "$1" -c \
    'SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()') == "$2" ]]
}
