# Completes ./stack in bash: eval "$(./stack completion bash)"
_crud_master_stack() {
  local answer kind value
  COMPREPLY=()
  # $1 is the command as it was typed: each checkout answers for itself
  answer=$(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _STACK_COMPLETE=bash_complete "$1" 2>/dev/null)
  while IFS=, read -r kind value; do
    case $kind in
      plain) COMPREPLY+=("$value") ;;
      file) compopt -o default ;;
      dir) compopt -o dirnames ;;
    esac
  done <<<"$answer"
}
complete -o nosort -F _crud_master_stack stack
