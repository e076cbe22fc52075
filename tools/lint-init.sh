#!/usr/bin/env bash
# Checks the files that `switchback init` writes, as ours are checked: in a fresh repository with a
# small dbt project, every choice of its own.
#
#     tools/lint-init.sh SWITCHBACK
set -euo pipefail

switchback=$(realpath "$1")
if ! "$switchback" init --help >/dev/null 2>&1; then
    echo "SKIPPED, NOTHING WAS CHECKED: this switchback has no verb init"
    exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r demo/project/. "$scratch/"
sed -i 's#@DB_PATH@#{{ env_var("SHOP_DB_PATH") }}#' "$scratch/profiles.yml"
git -C "$scratch" init --quiet --initial-branch=main

"$switchback" init --dir "$scratch"
mapfile -t written < <(find "$scratch/.github" -name '*.yml' | sort)
test ${#written[@]} -gt 0
tools/lint-workflows.sh "${written[@]}"
echo "checked what init wrote: ${written[*]#"$scratch"/}"
