# shellcheck shell=bash
# Steps that say what they did and how long it took. Sourced, by scripts with `set -euo pipefail`.
#
#   show_progress=yes         shows the running step and its elapsed time
#   begin_steps LOG           writes the output of all steps into LOG
#   step TITLE COMMAND...     runs a step
#   changed_to OUTCOME        sets the outcome of the running step; the default is "unchanged"
#
# A failed step ends the script, with its name and the last lines of the log.

step_log=/dev/null
step_title=
outcome=unchanged
progress_pid=

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
  start_progress "$step_title"
  # not in a condition: there bash would ignore errors inside the function
  "$@" >>"$step_log" 2>&1
  end_progress
  report_step "$step_title" "$outcome" "$started"
  step_title=
}

changed_to() { outcome=$*; }

report_step() {
  local micros=$((${EPOCHREALTIME/[.,]/} - ${3/[.,]/}))
  printf '  %-28s %-24s %4d.%d s\n' "$1" "$2" $((micros / 1000000)) $((micros / 100000 % 10)) >&3
}

# on a terminal one line that is updated, elsewhere a line every ten seconds
start_progress() {
  [[ -n ${show_progress:-} ]] || return 0
  if is_terminal; then spin "$1" & else tell "$1" & fi
  progress_pid=$!
}

end_progress() {
  [[ -n $progress_pid ]] || return 0
  kill "$progress_pid" 2>/dev/null || true
  wait "$progress_pid" 2>/dev/null || true
  progress_pid=
  ! is_terminal || printf '\r\033[K' >&3
}

is_terminal() { [[ -t 3 && ${TERM:-dumb} != dumb ]]; }

# an ended progress line must not keep the log or the terminal open
pause() { sleep "$1" >/dev/null 2>&1 3>&-; }

spin() {
  local frames="|/-\\" turn began=$SECONDS
  for ((turn = 0; ; turn++)); do
    printf '\r  %s %s  %d s\033[K' "${frames:turn % 4:1}" "$1" $((SECONDS - began)) >&3
    pause 0.2
  done
}

tell() {
  local began=$SECONDS said=0
  while pause 1; do
    ((SECONDS - began < said + 10)) && continue
    said=$((SECONDS - began))
    printf '  still: %s  %d s\n' "$1" "$said" >&3
  done
}

end_steps() {
  local status=$1
  end_progress
  undo_service_policy
  if [[ -n $step_title && $status != 0 ]]; then
    printf 'The step "%s" failed. The last lines of %s:\n' "$step_title" "$step_log" >&3
    tail -n 15 "$step_log" >&3
    exit 1
  fi
}

# packages.sh replaces this function
undo_service_policy() { :; }

fail() {
  end_progress
  # inside a step, standard error goes to the log
  if [[ -n $step_title ]]; then printf '%s\n' "$*" >&3; else printf '%s\n' "$*" >&2; fi
  step_title=
  exit 1
}

# retry TIMES COMMAND...: for occasional network failures
retry() {
  local left=$1
  shift
  until "$@"; do
    ((--left > 0)) || return 1
    printf 'once more: %s\n' "$*"
  done
}
