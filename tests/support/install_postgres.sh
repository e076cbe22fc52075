#!/bin/sh
# Installs a PostgreSQL server for the tests, where there is none and it may: as root, on Debian and
# Ubuntu. The tests start servers of their own; Debian's own cluster is neither made nor started.
# Ends 0 also where it may not: the tests then say that they were skipped.
set -eu

for initdb in /usr/lib/postgresql/*/bin/initdb; do
	if [ -x "$initdb" ]; then
		exit 0
	fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "There is no PostgreSQL server, and this script may not install one. On Debian and Ubuntu, as root: apt-get install postgresql" >&2
	exit 0
fi
echo "Installing PostgreSQL for the tests"
# Asked by Debian's scripts before they make or start a cluster.
mkdir -p /etc/postgresql-common
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
timeout 300 apt-get update -qq
timeout 600 apt-get install -y -qq --no-install-recommends postgresql >/dev/null
