# shellcheck shell=bash disable=SC2154
# Log rotation: no log of PM2 grows past 10 MB, and four older ones stay.

rotate_logs() {
  local unit
  put_file "$configuration/logrotate.conf" 644 root root <"$provisioning/pm2/logrotate.conf"
  for unit in crud-master-logs.service crud-master-logs.timer; do
    put_file "/etc/systemd/system/$unit" 644 root root <"$provisioning/systemd/$unit"
    ! wrote "/etc/systemd/system/$unit" || systemctl daemon-reload
  done
  enable_unit crud-master-logs.timer
  systemctl start crud-master-logs.timer
}
