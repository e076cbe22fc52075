#!/usr/bin/env python3
"""The stand-in for dbt on PostgreSQL: `standin_dbt.py`, which must lie beside it, with another
builder. Tables and views are dropped with what depends on them and made anew, each node in a
transaction of its own, as dbt's cascade does it. Beside what the other reads, a node's `config` may
hold `grants` (`{"select": ["bi"]}`) and `post-hook` (a list of statements)."""

import sys
import time

import psycopg2
import standin_dbt as standin

standin.ADAPTER = "postgres"
verdict = standin.Builder._verdict


class Builder:
    """Builds nodes in one database."""

    def __init__(self, project):
        found = project.credentials
        self.connection = psycopg2.connect(
            host=found["host"], port=found["port"], user=found["user"],
            password=str(found.get("password") or found.get("pass")), dbname=found["dbname"],
            application_name="dbt",
        )

    def build(self, node):
        """Builds one node, and says what came of it."""
        began = time.monotonic()
        try:
            with self.connection, self.connection.cursor() as cursor:
                status, message, more = self._build(cursor, node)
        except psycopg2.Error as error:
            kind = "Database" if node["resource_type"] == "test" else "Runtime"
            message = f"{kind} Error in {node['resource_type']} {node['name']}\n  {error}"
            status, more = "error", {}
        return standin.result(node, status, message, time.monotonic() - began, **more)

    def _build(self, cursor, node):
        if node["relation_name"] is None:
            cursor.execute(node["_sql"])
            return verdict(node, len(cursor.fetchall()))
        relation = node["relation_name"]
        kind = "view" if node["config"]["materialized"] == "view" else "table"
        cursor.execute(f"create schema if not exists {standin.quote(node['schema'])}")
        cursor.execute(
            "select relkind from pg_class where relnamespace = to_regnamespace(%s) and relname = %s",
            [standin.quote(node["schema"]), node["alias"]],
        )
        found = cursor.fetchone()
        if found:
            old = "view" if found[0] == "v" else "table"
            cursor.execute(f"drop {old} {relation} cascade")
        cursor.execute(f"create {kind} {relation} as {node['_sql']}")
        for privilege, roles in node["config"]["grants"].items():
            cursor.execute(f"grant {privilege} on {relation} to {', '.join(roles)}")
        for hook in node["config"]["post-hook"]:
            cursor.execute(hook)
        if node["resource_type"] == "test":
            cursor.execute(f"select count(*) from {relation}")
            return verdict(node, cursor.fetchone()[0])
        return "success", "OK", {"response": {"_message": "OK"}}


standin.Builder = Builder

if __name__ == "__main__":
    sys.exit(standin.main(sys.argv[1:]))
