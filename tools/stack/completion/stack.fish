# Completes ./stack in fish: ./stack completion fish | source
function _crud_master_stack
    # the first word is the command as it was typed: each checkout answers for itself
    set -l program (commandline -opc)[1]
    set -l answer (env _STACK_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) $program 2>/dev/null)
    for line in $answer
        set -l parts (string split --max 1 "," $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case file
                __fish_complete_path $parts[2]
            case dir
                __fish_complete_directories $parts[2]
        end
    end
end
complete --no-files --command stack --arguments "(_crud_master_stack)"
