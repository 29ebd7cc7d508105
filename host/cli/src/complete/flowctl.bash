_flowctl_complete() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(VARIABLE=bash TYPED="${COMP_LINE:0:COMP_POINT}" PART="$2" PROGRAM --)
    # the word goes on behind these
    if [[ "${COMPREPLY-}" == *[=/:] ]]; then
        compopt -o nospace 2> /dev/null
    fi
}
if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -o bashdefault -o nosort -F _flowctl_complete flowctl
else
    complete -o bashdefault -F _flowctl_complete flowctl
fi
