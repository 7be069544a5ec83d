# fish completion for spoolck(1)
#
# Verbs, options and their words are asked of the program itself, so they never differ from it.

function __spoolck_words
    commandline -opc
end

function __spoolck_verb
    set -l words (__spoolck_words)
    test (count $words) -ge 2; and test "$words[2]" = "$argv[1]"
end

function __spoolck_nth
    test (count (__spoolck_words)) -eq $argv[1]
end

function __spoolck_program
    set -l words (__spoolck_words)
    $words[1] $argv 2>/dev/null
end

function __spoolck_verbs
    __spoolck_program --help | sed -n 's/^  \([a-z-]*\)  *\(.*\)/\1\t\2/p'
end

function __spoolck_actions
    __spoolck_program quarantine --help | sed -n 's/^ .*quarantine .* \([a-z|]*|[a-z|]*\) .*/\1/p' | tr '|' '\n'
end

# Options, and for those that take one of some words, each of them.
function __spoolck_options
    set -l words (__spoolck_words)
    __spoolck_program $words[2] --help | sed -nE 's/^ .*(--[a-z-]+=?)[^ ]* +(.*)/\1\t\2/p'
    __spoolck_program $words[2] --help | sed -nE 's/^ .*(--[a-z-]+)=([a-z|]*\|[a-z|]*) .*/\1 \2/p' | while read -l option choices
        for choice in (string split '|' $choices)
            echo $option=$choice
        end
    end
end

complete -c spoolck -n '__spoolck_nth 1' -f -a '(__spoolck_verbs)'
complete -c spoolck -n 'not __spoolck_nth 1; and string match -q -- "-*" (commandline -ct)' -f -a '(__spoolck_options)'
complete -c spoolck -n '__spoolck_verb quarantine; and __spoolck_nth 2' -f -a '(__spoolck_actions)'
complete -c spoolck -n '__spoolck_verb quarantine; and not __spoolck_nth 2' -f -a "(__spoolck_program quarantine list | awk '/^[0-9]/ { print \$1 }')"
complete -c spoolck -n '__spoolck_verb findings' -f -a "(__spoolck_program findings | awk '/^[a-z]+\.[a-z-]+/ { print \$1 }')"
