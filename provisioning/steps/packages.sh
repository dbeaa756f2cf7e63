# shellcheck shell=bash disable=SC2154
# The distribution's packages: those of every role, and those of this role.

readonly packages_of_all=(
  ca-certificates iproute2 logrotate nftables procps python3 python3-venv python3-yaml sudo
)

install_packages() {
  apt_install_idle "${packages_of_all[@]}" "$@"
}
