/**
 * What a shell runs to complete a command line. The scripts know nothing of the commands: they ask the program itself
 * (`PROGRAM complete-words WORD...`, the last word being typed), so that they are never older than it.
 *
 *   answer := kind LF (word [TAB description] LF)*
 *   kind   := ":words" | ":files" | ":directories"
 */
import { printable } from '../printable.ts'
import { COMPLETE_COMMAND } from './command.ts'
import type { Suggestion } from './suggest.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

export interface Answer {
  readonly kind: 'words' | 'files' | 'directories'
  readonly words: readonly Suggestion[]
}

/**
 * @param current what is being typed: words that do not begin so are left out, and those that a terminal could not show as they are
 */
export function answerText({ kind, words }: Answer, current: string): string {
  const fitting = words.filter(({ word }) => word.startsWith(current) && printable(word) === word)
  const lines = fitting.map(({ word, text }) =>
    text === '' ? word : `${word}\t${printable(text.replace(/\s+/g, ' '))}`,
  )
  return [`:${kind}`, ...lines, ''].join('\n')
}

export function completionScript(shell: Shell, program: string): string {
  const name = `_${program.replaceAll('-', '_')}`
  switch (shell) {
    case 'bash':
      return bash(program, name)
    case 'zsh':
      return zsh(program, name)
    case 'fish':
      return fish(program, name)
  }
}

/** The line is split here: bash's own words are broken at ":" and "=", which names may have. */
function bash(program: string, name: string): string {
  return `# ${program}: completion for bash
#   echo 'source <(${program} completion bash)' >> ~/.bashrc
${name}() {
  local line=\${COMP_LINE:0:COMP_POINT} words current answer kind action= reply prefix
  local IFS=$' \\t\\n'
  set -o noglob
  words=($line)
  set +o noglob
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[\${#words[@]}-1]}
  COMPREPLY=()
  answer=$("$1" ${COMPLETE_COMMAND} "\${words[@]:1}" 2>/dev/null) || return 0
  kind=\${answer%%$'\\n'*}
  case $kind in
    :files) action=file ;;
    :directories) action=directory ;;
  esac
  if [[ -n $action ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -A "$action" -- "$current")
    return 0
  fi
  # bash replaces what follows the last ":" alone
  prefix=
  [[ $current == *:* && $COMP_WORDBREAKS == *:* ]] && prefix=\${current%"\${current##*:}"}
  while IFS=$'\\t' read -r reply _; do
    [[ $reply == :words || -z $reply ]] && continue
    reply=\${reply#"$prefix"}
    COMPREPLY+=("$(printf '%q' "$reply")")
  done <<< "$answer"
}
complete -F ${name} ${program}
`
}

function zsh(program: string, name: string): string {
  return `#compdef ${program}
# ${program}: completion for zsh
#   ${program} completion zsh > ~/.zfunc/_${program}    (a directory in fpath), or: source <(${program} completion zsh)
${name}() {
  local -a lines names shown
  local line
  lines=("\${(@f)$("\${words[1]}" ${COMPLETE_COMMAND} "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  case $lines[1] in
    :files) _files; return ;;
    :directories) _files -/; return ;;
  esac
  for line in "\${(@)lines[2,-1]}"; do
    [[ -z $line ]] && continue
    names+=("\${line%%$'\\t'*}")
    if [[ $line == *$'\\t'* ]]; then
      shown+=("\${line%%$'\\t'*}  -- \${line#*$'\\t'}")
    else
      shown+=("$line")
    fi
  done
  (( \${#names} )) && compadd -l -d shown -a names
}
if [[ "\${funcstack[1]}" == "_${program}" ]]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi
`
}

function fish(program: string, name: string): string {
  return `# ${program}: completion for fish
#   ${program} completion fish > ~/.config/fish/completions/${program}.fish
function ${name}_words
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (command $words[1] ${COMPLETE_COMMAND} $words[2..-1] "$current" 2>/dev/null)
    switch "$answer[1]"
        case ':files'
            __fish_complete_path "$current"
        case ':directories'
            __fish_complete_directories "$current"
        case '*'
            printf '%s\\n' $answer[2..-1]
    end
end
complete -c ${program} -f -a '(${name}_words)'
`
}
