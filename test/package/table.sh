# shellcheck shell=bash
# What a run was, for a note: a line a step.

# table NAME LOG: of the lines of checks.sh.
table() {
  awk -v name="$1" '
    function said() { if (step != "") printf "| %s | %s | %d | %d s |\n", name, step, facts, last - from }
    BEGIN { print "| architecture | step | facts | took |"; print "|---|---|---|---|" }
    /^-- / { said(); step = $2; facts = 0; from = last }
    /^passed: / { said(); step = ""; last = 0; total += $2 }
    /^ *[0-9]+s  / { last = $1 + 0; if ($2 == "ok") facts++ }
    /^[0-9]+ cuts, / { printf "| %s | power cut | %s | |\n", name, $0 }
    END { printf "| %s | all | %d | |\n", name, total }' "$2"
}
