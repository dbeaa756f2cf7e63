# shellcheck shell=bash
# A virtual environment from a lock file with hashes. Sourced after steps.sh.

readonly python=/usr/bin/python3
uv_lock=$(dirname "${BASH_SOURCE[0]}")/uv.lock
readonly uv_lock

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
  # pip inside it would cost as much time as all that it is to hold
  [[ -x $venv/bin/python ]] || "$python" -m venv --without-pip "$venv"
  install_lock "$venv" "$lock"
  stamp_of "$lock" >"$stamp"
  changed_to "$(basename "$lock") installed"
}

# install_lock VENV LOCK: by uv, in less than half of pip's time. It is gone afterwards.
install_lock() {
  local venv=$1 lock=$2 uv=$1/uv settings
  rm -rf "$uv"
  retry 3 pip_of_system "$venv" install --target "$uv" --require-hashes --only-binary :all: --no-input \
    --no-compile --retries 5 -r "$uv_lock"
  settings=$(pip_of_system "$venv" config list)
  # in a shell of its own, since what uv is told is for uv alone
  (
    take_pip_settings "$settings"
    settle_cache "$uv/cache"
    # a package may be in several indexes: its hash decides which file is the right one
    retry 3 "$uv/bin/uv" pip install --python "$venv/bin/python" --require-hashes --only-binary :all: \
      --index-strategy unsafe-best-match --system-certs --compile-bytecode --no-progress -r "$lock"
  )
  rm -rf "$uv"
}

# pip_of_system VENV WORD...: the pip that belongs to python3-venv, with VENV's Python
pip_of_system() {
  local venv=$1 wheel
  wheel=$(compgen -G '/usr/share/python-wheels/pip-*.whl' | tail -n 1)
  PYTHONPATH=$wheel PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip "${@:2}"
}

# settle_cache OTHER: uv's cache is OTHER where it can't be written, as with an account without a home
settle_cache() {
  local cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/dev/null}/.cache}/uv}
  mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] || export UV_CACHE_DIR=$1
}

# take_pip_settings LINES: where pip is told to get packages from (lines of `pip config list`), uv gets them, too
take_pip_settings() {
  local name value
  while IFS='=' read -r name value; do
    value=${value#[\'\"]} value=${value%[\'\"]}
    value=${value//\\n/ }
    case ${name##*.} in
      index-url) export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$value} ;;
      extra-index-url) export UV_INDEX=${UV_INDEX:-$value} ;;
      find-links) export UV_FIND_LINKS=${UV_FIND_LINKS:-${value// /,}} ;;
      trusted-host) export UV_INSECURE_HOST=${UV_INSECURE_HOST:-$value} ;;
      cert) export SSL_CERT_FILE=${SSL_CERT_FILE:-$value} ;;
      proxy) export ALL_PROXY=${ALL_PROXY:-$value} ;;
    esac
  done <<<"$1"
}

# after an upgrade of the system's Python a virtual environment has no packages
same_python() {
  local stamp
  for stamp in "$1"/*.installed; do
    [[ -r $stamp ]] || return 0
    [[ $(head -n 1 "$stamp") == "$(readlink -f "$python")" ]] || return 1
  done
}
