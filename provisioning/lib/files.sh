# shellcheck shell=bash
# System files, written only if they differ. Sourced after steps.sh.

written=()

# put_file PATH MODE OWNER GROUP: standard input becomes the file
put_file() {
  local path=$1 mode=$2 owner=$3 group=$4 new
  new=$(mktemp "$path.XXXXXX")
  cat >"$new"
  if cmp -s "$new" "$path" && [[ $(stat -c '%a %U %G' "$path") == "$mode $owner $group" ]]; then
    rm "$new"
    return 0
  fi
  chown "$owner:$group" "$new"
  chmod "$mode" "$new"
  mv -f "$new" "$path"
  written+=("$path")
  changed_to 'written'
}

# put_directory PATH MODE OWNER
put_directory() {
  [[ -d $1 && $(stat -c '%a %U %G' "$1") == "$2 $3 $3" ]] || {
    install -d -m "$2" -o "$3" -g "$3" "$1"
    changed_to 'made'
  }
}

# wrote PATH: whether this run changed the file
wrote() { [[ " ${written[*]} " == *" $1 "* ]]; }

# enable_unit UNIT...: at boot
enable_unit() {
  local unit
  for unit; do
    systemctl is-enabled --quiet "$unit" && continue
    systemctl enable "$unit"
    changed_to 'enabled'
  done
}
