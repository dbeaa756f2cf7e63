#compdef stack
# Completes ./stack in zsh: eval "$(./stack completion zsh)", after compinit
_crud_master_stack() {
  local -a plain described answer
  local kind key description
  # $words[1] is the command as it was typed: each checkout answers for itself
  answer=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) _STACK_COMPLETE=zsh_complete ${(Q)words[1]} 2>/dev/null)}")
  for kind key description in $answer; do
    case $kind in
      plain) if [[ $description == _ ]]; then plain+=("$key"); else described+=("$key:$description"); fi ;;
      file) _files ;;
      dir) _files -/ ;;
    esac
  done
  (( $#described )) && _describe -V commands described -U
  (( $#plain )) && compadd -U -V words -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _crud_master_stack "$@"
else
  compdef _crud_master_stack stack
fi
