# shellcheck shell=bash disable=SC2154
# The end of provisioning: the role's processes answer.

smoke_test() {
  "$python" "$provisioning/smoke.py" "$@"
  changed_to 'ready'
}
