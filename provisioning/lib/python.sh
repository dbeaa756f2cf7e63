# shellcheck shell=bash
# A virtual environment from a lock file with hashes. Sourced after steps.sh.

readonly python=/usr/bin/python3

require_python() {
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "This needs Python 3.10 or newer, and $python is $("$python" --version)."
}

# stamp_of FILE...: prints a stamp that changes with a file or the system's Python
stamp_of() {
  readlink -f "$python"
  sha256sum "$@"
}

# is_stamped STAMP FILE...: whether STAMP was written for the current files
is_stamped() {
  local stamp=$1
  shift
  [[ -r $stamp && $(<"$stamp") == "$(stamp_of "$@")" ]]
}

# make_venv VENV LOCK: installs exactly the packages of LOCK into VENV
make_venv() {
  local venv=$1 lock=$2 stamp
  stamp=$venv/$(basename "$lock").installed
  ! is_stamped "$stamp" "$lock" || return 0
  require_python
  same_python "$venv" || rm -rf "$venv"
  [[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
  retry 3 "$venv/bin/python" -m pip install --require-hashes --only-binary :all: --no-input \
    --disable-pip-version-check --retries 5 -r "$lock"
  stamp_of "$lock" >"$stamp"
  changed_to "$(basename "$lock") installed"
}

# after an upgrade of the system's Python a virtual environment has no packages
same_python() {
  local stamp
  for stamp in "$1"/*.installed; do
    [[ -r $stamp ]] || return 0
    [[ $(head -n 1 "$stamp") == "$(readlink -f "$python")" ]] || return 1
  done
}
