# shellcheck shell=bash disable=SC2154
# The distribution's Redis: a cache for the services of this machine, on a socket that their account alone may open.

readonly redis_socket=/run/redis/crud-master.sock

run_redis() {
  local conf=/etc/redis/redis.conf drop_in=/etc/systemd/system/redis-server.service.d
  (cd "$source_root" &&
    "$python" -B -m provisioning.redis.configuration "$redis_socket" 770 /var/lib/redis) |
    put_file "$conf" 640 redis redis
  mkdir -p "$drop_in"
  put_file "$drop_in/crud-master.conf" 644 root root <"$provisioning/systemd/redis-group.conf"
  ! wrote "$drop_in/crud-master.conf" || systemctl daemon-reload
  enable_unit redis-server.service
  if wrote "$conf" || wrote "$drop_in/crud-master.conf"; then
    systemctl restart redis-server.service
    changed_to 'configured and started'
  else
    systemctl start redis-server.service
  fi
  wait_until 60 'Redis' redis_answers
}

# as the services' account, which has to reach it
redis_answers() {
  [[ $(runuser -u "$account" -- redis-cli -s "$redis_socket" ping 2>&1) == PONG ]]
}
