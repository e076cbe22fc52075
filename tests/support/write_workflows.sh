#!/bin/sh
# Writes the workflow files that `switchback init` makes of three small projects into folders below
# DIR, for the linters: write_workflows.sh SWITCHBACK DIR
set -eu
switchback=$1
out=$2
project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
git -C "$project" init -q -b main
mkdir "$project/analytics"
cd "$project/analytics"
printf "name: shop\nversion: '1.0'\nprofile: shop\n" > dbt_project.yml

profile() {
    printf 'shop:\n  target: "{{ env_var('"'DBT_TARGET', 'prod'"') }}"\n  outputs:\n    prod:\n' > profiles.yml
    printf '      %s\n' "$@" >> profiles.yml
}

profile 'type: snowflake' "account: \"{{ env_var('SNOWFLAKE_ACCOUNT') }}\"" \
    "private_key: \"{{ env_var('SNOWFLAKE_PRIVATE_KEY') }}\"" "threads: \"{{ env_var('THREADS', '8') }}\""
"$switchback" init --dir "$out/cloud" --force
"$switchback" init --dir "$out/approval" --force --with-approval
profile 'type: duckdb' 'path: data/shop.duckdb'
"$switchback" init --dir "$out/duckdb" --force
