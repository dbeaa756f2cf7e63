# shellcheck shell=bash disable=SC2154
# Node.js, PM2 with its systemd unit, Swagger UI, and the command `pm2` for users of this machine.

readonly tools=$home/tools

# each lock file has its own virtual environment, so a new one leaves the old one unchanged
venv_of_lock() {
  printf '%s/venvs/%s\n' "$home" "$(stamp_of "$source_root/requirements.lock" |
    sed "s, .*,," | sha256sum | cut -c 1-12)"
}

install_python_packages() {
  mkdir -p "$home/venvs"
  make_venv "$(venv_of_lock)" "$source_root/requirements.lock"
}

install_pm2() {
  link_node "$tools" "$(venv_of_lock)"
  install_npm "$tools" "$provisioning/pm2"
}

install_swagger_ui() { install_npm "$tools" "$provisioning/swagger-ui"; }

install_pm2_service() {
  local unit=/etc/systemd/system/crud-master.service
  sed "s,@ROLE@,$role,g" "$provisioning/pm2/pm2.env" |
    put_file "$configuration/pm2.env" 644 root root
  put_file "$unit" 644 root root <"$provisioning/systemd/crud-master.service"
  ! wrote "$unit" || systemctl daemon-reload
  systemctl is-enabled --quiet crud-master.service || systemctl enable crud-master.service
  put_file /usr/local/bin/pm2 755 root root <"$provisioning/pm2/as-app"
  [[ $(readlink /usr/local/bin/crud-master) == pm2 ]] || {
    ln -sfn pm2 /usr/local/bin/crud-master
    changed_to 'written'
  }
  put_file /etc/sysctl.d/60-crud-master.conf 644 root root <"$provisioning/pm2/sysctl.conf"
  ! wrote /etc/sysctl.d/60-crud-master.conf || sysctl -p /etc/sysctl.d/60-crud-master.conf
  visudo -cqf "$provisioning/pm2/sudoers"
  put_file /etc/sudoers.d/crud-master 440 root root <"$provisioning/pm2/sudoers"
}
