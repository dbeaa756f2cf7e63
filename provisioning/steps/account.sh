# shellcheck shell=bash disable=SC2154
# The account that runs the services, and its directories.

make_account() {
  if ! id -u "$account" >/dev/null 2>&1; then
    useradd --system --user-group --home-dir "$state" --shell /usr/sbin/nologin "$account"
    changed_to 'made'
  fi
  put_directory "$home" 755 root
  put_directory "$configuration" 755 root
  put_directory "$state" 750 "$account"
}
