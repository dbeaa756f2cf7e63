# shellcheck shell=bash
# A virtual environment from a lock file with hashes. Sourced after steps.sh.

readonly python=/usr/bin/python3
uv_lock=$(dirname "${BASH_SOURCE[0]}")/uv.lock
readonly uv_lock
python_wheels=/usr/share/python-wheels
uv_options=()

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
  require_pip
  same_python "$venv" || rm -rf "$venv"
  # uv needs no pip there, and pip would take as long to install as all other packages
  [[ -x $venv/bin/python ]] || "$python" -m venv --without-pip "$venv"
  rm -f "$stamp"
  install_lock "$venv" "$lock"
  stamp_of "$lock" >"$stamp"
  changed_to "$(basename "$lock") installed"
}

# install_lock VENV LOCK: by uv, in less than half of pip's time. uv is downloaded before and removed afterwards.
install_lock() {
  local venv=$1 lock=$2 uv=$1/uv
  rm -rf "$uv"
  retry 3 pip_of_system "$venv" install --target "$uv" --require-hashes --only-binary :all: --no-input \
    --no-compile --retries 5 -r "$uv_lock"
  # in a shell of its own, since what uv is told is for uv alone
  (install_by_uv "$uv" "$venv" "$lock" "$(pip_of_system "$venv" config list)")
  rm -rf "$uv"
}

# install_by_uv UV VENV LOCK SETTINGS
install_by_uv() {
  local uv=$1 venv=$2 lock=$3 begun
  begun=$venv/$(basename "$lock").begun
  take_pip_settings "$4"
  settle_cache "$uv/cache"
  # an interrupted installation may have left half a package, which uv takes for a whole one
  [[ ! -e $begun ]] || uv_options+=(--reinstall)
  : >"$begun"
  # a package may be in several indexes: its hash decides which file is the right one
  retry 3 "$uv/bin/uv" pip install --python "$venv/bin/python" --require-hashes --only-binary :all: \
    --index-strategy unsafe-best-match --system-certs --compile-bytecode --no-progress "${uv_options[@]}" -r "$lock"
  rm "$begun"
}

require_pip() {
  [[ -n $(pip_wheel) ]] || fail "There is no pip in $python_wheels: install the package python3-venv, which brings it."
}

pip_wheel() { compgen -G "$python_wheels/pip-*.whl" | tail -n 1; }

# pip_of_system VENV WORD...: the pip that belongs to python3-venv, with VENV's Python
pip_of_system() {
  local venv=$1
  PYTHONPATH=$(pip_wheel) PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip "${@:2}"
}

# settle_cache OTHER: uv's cache is OTHER where its own can't be written (an account without a home) or lies in
# another user's home (sudo -E), who could not write there any more
settle_cache() {
  local owned=${XDG_CACHE_HOME:-${HOME:-/dev/null}}
  local cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/dev/null}/.cache}/uv}
  [[ -n ${UV_CACHE_DIR:-} || -O $owned ]] && mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] ||
    export UV_CACHE_DIR=$1
}

# take_pip_settings LINES: what pip is told about indexes and the network (lines of `pip config list`), uv is told,
# too. In pip, `install` goes before `global`, and a variable before both; other sections are for other commands.
take_pip_settings() {
  local section name value
  local -A said=()
  for section in global install :env:; do
    while IFS='=' read -r name value; do
      [[ $name == "$section".* ]] || continue
      value=${value#[\'\"]} value=${value%[\'\"]}
      name=${name#"$section".}
      said[${name#default-}]=${value//\\n/ }
    done <<<"$1"
  done
  tell_uv UV_DEFAULT_INDEX "${said[index-url]:-}"
  tell_uv UV_INDEX "${said[extra-index-url]:-}"
  value=${said[find-links]:-}
  tell_uv UV_FIND_LINKS "${value// /,}"
  tell_uv UV_INSECURE_HOST "${said[trusted-host]:-}"
  tell_uv ALL_PROXY "${said[proxy]:-}"
  value=${said[timeout]:-}
  tell_uv UV_HTTP_TIMEOUT "${value%.*}"
  tell_uv SSL_CLIENT_CERT "${said[client-cert]:-}"
  trust_certificates "${said[cert]:-${REQUESTS_CA_BUNDLE:-${CURL_CA_BUNDLE:-}}}"
  [[ ! ${said[no-index]:-} =~ ^(1|[Tt]rue|[Yy]es|[Oo]n)$ ]] || uv_options+=(--no-index)
}

# trust_certificates PLACE: a file or, as requests has it, a directory
trust_certificates() {
  if [[ -d $1 ]]; then tell_uv SSL_CERT_DIR "$1"; else tell_uv SSL_CERT_FILE "$1"; fi
}

# tell_uv VARIABLE VALUE: what uv is told itself goes before
tell_uv() { [[ -z $2 || -n ${!1:-} ]] || export "$1=$2"; }

# after an upgrade of the system's Python a virtual environment has no packages
same_python() {
  local stamp
  for stamp in "$1"/*.installed; do
    [[ -r $stamp ]] || return 0
    [[ $(head -n 1 "$stamp") == "$(readlink -f "$python")" ]] || return 1
  done
}
