//! Projects that are run in the overlay, on DuckDB: what hooks, snapshots, seeds and stored failures
//! write, and where dbt's own files go.

use std::path::Path;
use std::process::Command;

use switchback::domain::name::ReleaseId;
use switchback::ports::{Overlay, Redirect};

use crate::shape::{MAX_BYTES, SCHEMA, Shape, contained, every, run, survey};

/// Everything in a database, as `schema.relation`.
fn relations(python: &Path, file: &Path) -> Vec<String> {
    let script = "import duckdb, sys\nfor r in duckdb.connect(sys.argv[1], read_only=True).execute(\
        \"select table_schema || '.' || table_name from information_schema.tables order by 1\"\
        ).fetchall(): print(r[0])";
    let output = Command::new(python).args(["-c", script]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn shop() -> Shape {
    let shape = Shape::new(
        "on-run-start:\n  - \"{{ audit_table() }}\"\n  - \"create schema if not exists {{ target.schema }}\"\n  \
         - \"create table if not exists {{ target.schema }}.runs (id int)\"\n\
         on-run-end: \"insert into {{ audit_schema() }}.log select 1\"\n\
         seeds:\n  +schema: raw\nmodels:\n  +post-hook: \"drop table if exists {{ this.schema }}.{{ \
         this.name }}_copy; create table {{ this.schema }}.{{ this.name }}_copy as select * from \
         {{ this }}\"\n  shop:\n    marts:\n      +schema: marts\n      \
         +materialized: incremental\ndata_tests:\n  +store_failures: true\n  +schema: failures\n",
    );
    shape.file(
        "macros/naming/names.sql",
        "{% macro generate_schema_name(custom_schema_name, node) -%}{{ custom_schema_name or \
         'public' }}{%- endmacro %}",
    );
    shape.file(
        "macros/audit.sql",
        "{% macro audit_schema() %}{{ return(generate_schema_name('audit', none)) }}{% endmacro %}\
         {% macro audit_table() %}create schema if not exists {{ audit_schema() }};\
         create table if not exists {{ audit_schema() }}.log (id int){% endmacro %}",
    );
    // A test sees only the macros that dbt finds in it by reading.
    shape.file(
        "tests/generic/audited.sql",
        "{% test audited(model, column_name) %}select * from {{ generate_schema_name('audit', none) \
         }}.log where id = 99{% endtest %}",
    );
    shape.file("seeds/s.csv", "id\n1\n");
    shape.file("models/a.sql", "select * from {{ ref('s') }}");
    shape.file(
        "models/marts/m.sql",
        "select a.id from {{ ref('shop', 'a') }} a join {{ ref('helped', 'h') }} h using (id)\
         {% if is_incremental() %} where false{% endif %}",
    );
    shape.file(
        "models/s.yml",
        "models:\n  - {name: a, columns: [{name: id, data_tests: [audited, {accepted_values: {values: [2], \
         config: {severity: warn}}}]}]}\n",
    );
    shape.file(
        "snapshots/h.sql",
        "{% snapshot h_snap %}{{ config(target_schema='history', unique_key='id', strategy='check', \
         check_cols='all') }}select * from {{ ref('m') }}{% endsnapshot %}",
    );
    shape.package("dbt_packages/helped", "models:\n  +schema: helped\n");
    shape.file("dbt_packages/helped/models/h.sql", "select 1 as id");
    shape
}

#[test]
fn everything_that_a_run_writes_goes_to_the_build() {
    const SCHEMAS: [&str; 6] = ["public", "raw", "marts", "helped", "history", "failures"];
    for tool in every().into_iter().filter(|tool| tool.adapter == "duckdb") {
        let shape = shop();
        let dbt = shape.open(&tool, &["build"]);
        let plain = Redirect { key: "schema", value: format!("{SCHEMA}__build_r2"), overlay: None };
        let keyed = survey(&dbt, &plain).unwrap();
        assert_eq!(keyed.production, keyed.build, "no key moves a node");
        let overlay = Overlay::of_schemas(&keyed.production, MAX_BYTES, ReleaseId(2));
        let redirect = Redirect { overlay: Some(overlay), ..plain };
        contained(&survey(&dbt, &redirect).unwrap(), &SCHEMAS);
        run(&dbt, &["build", "run --full-refresh --select m", "snapshot"], &redirect);
        let written =
            relations(&tool.dbt.with_file_name("python"), &shape.project().join("shop.duckdb"));
        assert!(written.iter().all(|name| name.contains("__build_r2.")), "{written:#?}");
        for one in [
            "analytics__build_r2.runs",
            "audit__build_r2.log",
            "helped__build_r2.h",
            "history__build_r2.h_snap",
            "marts__build_r2.m",
            "marts__build_r2.m_copy",
            "public__build_r2.a",
            "raw__build_r2.s",
        ] {
            assert!(written.iter().any(|name| name == one), "{one} in {written:#?}");
        }
        assert!(written.iter().any(|name| name.starts_with("failures__build_r2.accepted")));
        // dbt's own files lie where they always do.
        for file in ["logs/dbt.log", "target/manifest.json", "target/run/shop/models/marts/m.sql"] {
            assert!(shape.project().join(file).exists(), "{file}");
        }
        let macros = std::fs::read_dir(shape.project().join("macros")).unwrap();
        assert_eq!(macros.count(), 2, "nothing was added to the project");
    }
}
