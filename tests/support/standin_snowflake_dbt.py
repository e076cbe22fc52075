"""A stand-in for dbt-snowflake: its observable work on a Snowflake account, in milliseconds.

It is `standin_dbt.py` with another warehouse: the same `standin.json`, command line, artifacts and
exit codes. It differs in this:

- The profile's target is of type `snowflake`; `database` and `schema` come from there. Names are
  not quoted, as dbt-snowflake does unless told to: they are folded, and a `relation_name` is
  `DB.SCHEMA.name` as dbt prints it. With `"quoting": true` in `standin.json` they are.
- `{{ ref('name') }}` names a node's relation. There is no other Jinja than `ref`, `target.…`, `var`
  and `env_var`; that saves a tenth of a second.
- Tables are `create or replace transient table`, seeds are emptied and filled where they are there
  already, an incremental model inserts where its table is there, a snapshot likewise.
- `config.grants` is `{"select": ["READER"]}`, granted after the node is built. Whatever else was
  granted on a table or view is lost when it is replaced, as on Snowflake.
- `build.hooks` are statements that run before the nodes, `build.after` behind them.

It speaks the driver's protocol by itself, with a user and a password only: to import
snowflake-connector-python takes a second. Real dbt and the real connector are the business of the
slower stories.
"""

import http.client
import json
import os
import re
import sys
import uuid
from urllib.parse import urlencode

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import standin_dbt as base  # noqa: E402

JINJA = re.compile(r"\{\{\s*(.*?)\s*\}\}")
CALL = re.compile(r"(ref|var|env_var)\(\s*'([^']*)'(?:\s*,\s*'([^']*)')?\s*\)")


class Plain:
    """As much Jinja as tests need, in the place of :class:`standin_dbt.Jinja`."""

    def __init__(self, variables, target=None, **_):
        self.variables, self.target, self.refs = variables, target or {}, {}

    def render(self, value):
        """The value with every string in it rendered."""
        if isinstance(value, dict):
            return {key: self.render(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.render(inner) for inner in value]
        return JINJA.sub(self._one, value) if isinstance(value, str) else value

    def _one(self, found):
        text = found.group(1)
        if text.startswith("target."):
            return str(self.target[text[7:]])
        call = CALL.fullmatch(text)
        if call is None:
            raise base.CannotStart(f"Compilation Error\n  the stand-in cannot render {text}")
        what, name, default = call.groups()
        if what == "ref":
            return found.group(0) if name not in self.refs else self.refs[name]
        if what == "env_var":
            return base.env_var(name, default)
        return str(self.variables[name] if name in self.variables else default)


class Project(base.Project):
    """The project under one target of type `snowflake`."""

    def __init__(self, options):
        super().__init__(options)
        jinja = Plain({})
        jinja.refs = {node["name"]: node["relation_name"] for node in self.nodes}
        for node in self.nodes:
            node["_sql"] = jinja.render(node["_sql"])
        for key in ("hooks", "after"):
            self.build[key] = jinja.render(self.build.get(key) or [])

    def _choose_target(self, options, profiles, jinja):
        jinja.render = Plain(jinja.variables).render
        kind = base.read_yaml(os.path.join(profiles, "profiles.yml"), "Could not find profiles.yml")
        for output in (out for p in kind.values() for out in (p.get("outputs") or {}).values()):
            if output.get("type") != "snowflake":
                raise base.CannotStart("Runtime Error\n  the stand-in needs type snowflake")
            output["type"] = "duckdb"  # what the parent asks for
        read, base.read_yaml = base.read_yaml, lambda *_: kind
        try:
            super()._choose_target(options, profiles, jinja)
        finally:
            base.read_yaml = read
        self.credentials["type"] = "snowflake"
        self.credentials["path"] = "-"  # no file: the parent then takes `database` as it stands

    def _node(self, raw, jinja):
        node = super()._node(raw, jinja)
        if node["relation_name"] is not None:
            node["relation_name"] = self.name_of(node["database"], node["schema"], node["alias"])
        return node

    def name_of(self, *parts):
        """A name as dbt-snowflake writes it into SQL."""
        quoting = self.standin.get("quoting")
        return ".".join(base.quote(part) if quoting else part for part in parts)


class Failed(Exception):
    """Snowflake refused a statement."""


class Connection:
    """One session, by the driver's own protocol."""

    def __init__(self, given):
        self.http = http.client.HTTPConnection(given.get("host"), int(given.get("port", 443)), timeout=60)
        self.headers = {"Content-Type": "application/json"}
        data = {
            "ACCOUNT_NAME": given["account"],
            "LOGIN_NAME": given["user"],
            "PASSWORD": given.get("password"),
            "SESSION_PARAMETERS": {"QUERY_TAG": given.get("query_tag", "")},
        }
        names = {"databaseName": "database", "schemaName": "schema", "warehouse": "warehouse", "roleName": "role"}
        query = urlencode({key: given[name] for key, name in names.items() if given.get(name)})
        answer = self.post(f"/session/v1/login-request?{query}", {"data": data})
        self.headers["Authorization"] = f'Snowflake Token="{answer["token"]}"'

    def post(self, path, body):
        """One request; its data."""
        self.http.request("POST", path, json.dumps(body), self.headers)
        answer = json.loads(self.http.getresponse().read())
        if not answer.get("success"):
            raise Failed(f"{answer.get('code')}: {answer.get('message')}")
        return answer["data"]

    def execute(self, sql):
        """The rows of a statement."""
        path = f"/queries/v1/query-request?requestId={uuid.uuid4()}"
        return self.post(path, {"sqlText": sql, "asyncExec": False}).get("rowset") or []

    def close(self):
        """As dbt does at its end."""
        self.http.close()


class Builder(base.Builder):
    """Builds nodes in one session."""

    def __init__(self, project):
        self.project = project
        self.connection = Connection(project.credentials)
        self.known = {}
        for statement in project.build["hooks"]:
            self.connection.execute(statement)

    def build(self, node):
        began = base.time.monotonic()
        try:
            status, message, more = self._build(node)
        except Failed as error:
            message = f"Database Error in {node['resource_type']} {node['name']}\n  {error}"
            status, more = "error", {}
        return base.result(node, status, message, base.time.monotonic() - began, **more)

    def _there(self, node):
        """What stands where the node's relation goes; a schema is asked about once, and made."""
        schema = self.project.name_of(node["database"], node["schema"])
        if schema not in self.known:
            self.connection.execute(f"create schema if not exists {schema}")
            rows = self.connection.execute(f"show objects in schema {schema} limit 10000")
            self.known[schema] = {row[1]: row[4] for row in rows}
        name = node["alias"] if self.project.standin.get("quoting") else node["alias"].upper()
        return self.known[schema].get(name)

    def _build(self, node):
        run = self.connection.execute
        if node["relation_name"] is None:
            return self._verdict(node, len(run(node["_sql"])))
        relation, sql = node["relation_name"], node["_sql"]
        materialized = node["config"]["materialized"]
        there = self._there(node)
        if materialized == "view":
            if there not in (None, "VIEW"):
                run(f"drop table {relation}")
            secure = "secure " if node["config"].get("secure") else ""
            run(f"create or replace {secure}view {relation} as (\n{sql}\n)")
        elif there == "VIEW":
            run(f"drop view {relation}")
            run(f"create or replace transient table {relation} as (\n{sql}\n)")
        elif there is not None and materialized == "seed":
            run(f"truncate table {relation}")
            run(f"insert into {relation} {sql}")
        elif there is not None and materialized in {"incremental", "snapshot"}:
            run(f"insert into {relation} {sql}")
        else:
            transient = "" if node["config"].get("transient") is False else "transient "
            run(f"create or replace {transient}table {relation} as (\n{sql}\n)")
        for privilege, roles in (node["config"].get("grants") or {}).items():
            for role in roles:
                run(f"grant {privilege} on {relation} to role {role}")
        if node["resource_type"] == "test":
            return self._verdict(node, int(run(f"select count(*) from {relation}")[0][0]))
        return "success", "SUCCESS 1", {"response": {"_message": "SUCCESS 1", "code": "SUCCESS"}}


def write_manifest(project, compiled, write=base.write_manifest, keep=base.write_json):
    """The parent's, of another adapter."""

    def kept(project, name, content):
        content["metadata"]["adapter_type"] = "snowflake"
        content["sources"] = {
            name: {
                "resource_type": "source",
                "unique_id": name,
                "database": database,
                "schema": schema,
                "identifier": identifier,
                "name": identifier,
                "package_name": project.name,
                "relation_name": f"{database}.{schema}.{identifier}",
            }
            for name, (database, schema, identifier) in (project.standin.get("sources") or {}).items()
        }
        keep(project, name, content)

    base.write_json = kept
    try:
        write(project, compiled)
    finally:
        base.write_json = keep


def run_nodes(project, log, nodes, builder, run=base.run_nodes):
    """The parent's, with what runs behind the nodes."""
    results = run(project, log, nodes, builder)
    for statement in project.build["after"]:
        builder.connection.execute(statement)
    return results


def main(arguments):
    """dbt's front door."""
    base.Jinja, base.Project, base.Builder = Plain, Project, Builder
    base.write_manifest, base.run_nodes = write_manifest, run_nodes
    return base.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
