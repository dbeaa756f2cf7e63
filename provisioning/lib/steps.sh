# shellcheck shell=bash
# Steps that say what they did and how long it took. Sourced, by scripts with `set -euo pipefail`.
#
#   begin_steps LOG           where the output of all steps goes
#   step TITLE COMMAND...     runs it
#   changed_to OUTCOME        what the step that runs has changed; without it: "unchanged"
#
# A step that fails ends the script, with the step's name and the log's last lines.

step_log=/dev/null
step_title=
outcome=unchanged

begin_steps() {
  step_log=$1
  : >"$step_log"
  exec 3>&2
  trap 'end_steps "$?"' EXIT
}

step() {
  local started=$EPOCHREALTIME
  step_title=$1
  outcome=unchanged
  shift
  # plainly, not in a condition: there bash would ignore errors inside the function
  "$@" >>"$step_log" 2>&1
  report_step "$step_title" "$outcome" "$started"
  step_title=
}

changed_to() { outcome=$*; }

report_step() {
  local micros=$((${EPOCHREALTIME/[.,]/} - ${3/[.,]/}))
  printf '  %-28s %-24s %4d.%d s\n' "$1" "$2" $((micros / 1000000)) $((micros / 100000 % 10)) >&3
}

end_steps() {
  local status=$1
  undo_service_policy
  if [[ -n $step_title && $status != 0 ]]; then
    printf 'The step "%s" failed. The last lines of %s:\n' "$step_title" "$step_log" >&3
    tail -n 15 "$step_log" >&3
    exit 1
  fi
}

# a replacement follows with packages.sh, where there is something to undo
undo_service_policy() { :; }

fail() {
  # inside a step standard error is the log
  if [[ -n $step_title ]]; then printf '%s\n' "$*" >&3; else printf '%s\n' "$*" >&2; fi
  step_title=
  exit 1
}

# retry TIMES COMMAND...: for what a network does now and then
retry() {
  local left=$1
  shift
  until "$@"; do
    ((--left > 0)) || return 1
    printf 'once more: %s\n' "$*"
  done
}
