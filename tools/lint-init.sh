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

for choice in "" --with-approval; do
    shop=$scratch/shop$choice
    mkdir "$shop"
    cp -r demo/project/. "$shop/"
    sed -i "s#@DB_PATH@#{{ env_var('SHOP_DB_PATH') }}#" "$shop/profiles.yml"
    git -C "$shop" init --quiet --initial-branch=main
    # shellcheck disable=SC2086 # nothing is chosen where it is empty
    (cd "$shop" && "$switchback" init $choice)
    mapfile -t written < <(find "$shop/.github" -name '*.yml' | sort)
    test ${#written[@]} -gt 0
    PERSONA=regular tools/lint-workflows.sh "${written[@]}"
    echo "checked what init $choice wrote: ${written[*]#"$shop"/}"
done
