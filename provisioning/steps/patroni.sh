# shellcheck shell=bash disable=SC2154
# PostgreSQL under the distribution's Patroni: one cluster over the machines of the role, of which one takes writes.

readonly patroni_configuration=/etc/patroni/config.yml
# for provisioning/patroni/configuration.py, too
export POSTGRESQL_PORT=5432 PATRONI_PORT=8008

# before the packages come, which would make a database of their own
keep_packages_from_making_databases() {
  mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] ||
    printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
}

run_patroni() {
  local version data drop_in=/etc/systemd/system/patroni.service.d
  version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
  data=/var/lib/postgresql/$version/main
  take_over_database "$version" "$data"
  describe_patroni "$version" "$data" | put_file "$patroni_configuration" 600 postgres postgres
  mkdir -p "$drop_in"
  put_file "$drop_in/crud-master.conf" 644 root root <"$provisioning/systemd/patroni.conf"
  ! wrote "$drop_in/crud-master.conf" || systemctl daemon-reload
  enable_unit patroni.service
  # the first machine makes the database, and the others copy it
  if [[ -z $is_first && ! -e $data/PG_VERSION ]]; then
    wait_until 600 "the database of the first machine of $role" is_made
  fi
  if ! systemctl is-active --quiet patroni.service; then
    systemctl start patroni.service
    changed_to 'configured and started'
  elif wrote "$patroni_configuration"; then
    systemctl reload patroni.service
    changed_to 'configured'
  fi
  wait_until 300 'PostgreSQL' patroni_says /health
}

# take_over_database VERSION DATA: a database that the distribution's unit has run becomes the cluster's
take_over_database() {
  local version=$1 data=$2
  if systemctl is-active --quiet "postgresql@$version-main.service"; then
    printf "\\\\set %s '%s'\n" admin "$DATABASE_ADMIN_PASSWORD" replication "$DATABASE_REPLICATION_PASSWORD" |
      cat - "$provisioning/patroni/roles.sql" | runuser -u postgres -- psql -qXv ON_ERROR_STOP=1
    systemctl stop "postgresql@$version-main.service"
    changed_to 'taken over'
  fi
  if [[ -e /etc/postgresql/$version/main/start.conf ]]; then
    printf 'disabled\n' | put_file "/etc/postgresql/$version/main/start.conf" 644 postgres postgres
    # the distribution keeps it elsewhere; Patroni gives all settings itself
    [[ -e $data/postgresql.conf || ! -e $data/PG_VERSION ]] ||
      install -m 600 -o postgres -g postgres /dev/null "$data/postgresql.conf"
  fi
  ! systemctl is-enabled --quiet postgresql.service || systemctl disable postgresql.service
}

describe_patroni() {
  local watchdog=off
  [[ ! -w /dev/watchdog ]] || watchdog=automatic
  (cd "$source_root" &&
    DATA=$2 BINARIES=/usr/lib/postgresql/$1/bin NAME=$MACHINE_NAME ROLE=$role WATCHDOG=$watchdog \
      OWN=${!own_address} PEERS=$(addresses_of "${peers[@]}") ETCD=$(addresses_of "${etcd_members[@]}") \
      "$python" -B -m provisioning.patroni.configuration)
}

# addresses_of NAME:VARIABLE...
addresses_of() {
  local entry
  for entry; do address_of "$entry"; done | paste -sd' '
}

# whether another machine of the role has a database that takes writes
is_made() {
  local entry
  for entry in "${peers[@]}"; do
    ! bash "$provisioning/lib/answers-ok" "$(address_of "$entry")" "$PATRONI_PORT" /leader || return 0
  done
  return 1
}

# patroni_says PATH: whether this machine's Patroni answers 200
patroni_says() { bash "$provisioning/lib/answers-ok" "${!own_address}" "$PATRONI_PORT" "$1"; }

# in_leader COMMAND...: runs a client of PostgreSQL as its superuser, on whichever machine takes writes
in_leader() {
  PGHOST=$(beside_own "${peers[@]}") PGPORT=$POSTGRESQL_PORT PGDATABASE=postgres \
    PGUSER=postgres PGPASSWORD=$DATABASE_ADMIN_PASSWORD \
    PGTARGETSESSIONATTRS=read-write PGCONNECT_TIMEOUT=5 "$@"
}

takes_writes() { in_leader psql -qXAtw -c 'SELECT' >/dev/null; }
