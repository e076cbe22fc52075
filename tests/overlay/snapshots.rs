//! Snapshots: `target_schema` goes past every macro.

use crate::shape::{Shape, every, newest};

const CONFIG: &str = "unique_key='id', strategy='check', check_cols='all'";

fn snapshot(name: &str, target: &str) -> String {
    format!(
        "{{% snapshot {name} %}}{{{{ config({CONFIG}, {target}) }}}}\
         select 1 as id{{% endsnapshot %}}\n"
    )
}

#[test]
fn a_target_schema_is_moved_wherever_it_is_written() {
    let shape = Shape::new(
        "snapshots:\n  shop:\n    from_project:\n      +target_schema: \"{{ target.schema }}_snap\"\n    \
         fixed:\n      +target_schema: history # as ever\n",
    );
    shape.file(
        "macros/names.sql",
        "{% macro generate_schema_name(custom_schema_name, node) -%}{{ custom_schema_name or 'main' }}\
         {%- endmacro %}",
    );
    shape.model("models/a.sql", "");
    shape.file("snapshots/fixed/a.sql", &snapshot("fixed", "tags=['x']"));
    shape.file("snapshots/from_project/b.sql", &snapshot("from_project", "tags=['x']"));
    let own = [
        ("own", "target_schema='snapshots'"),
        ("called", "target_schema=generate_schema_name('s2')"),
    ];
    let text: String = own.iter().map(|(name, target)| snapshot(name, target)).collect();
    shape.file("snapshots/c.sql", &text);
    let schemas = ["main", "history", "analytics_snap", "snapshots", "s2"];
    for tool in every() {
        shape.moves(&tool, &schemas);
    }
}

#[test]
fn a_snapshot_in_yaml_is_moved() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new("");
    shape.model("models/a.sql", "");
    let snapshot = |name: &str, target: &str| {
        format!(
            "  - name: {name}\n    relation: ref('a')\n    config:\n      {target}\n      \
             strategy: check\n      unique_key: id\n      check_cols: all\n"
        )
    };
    shape.file(
        "snapshots/s.yml",
        &format!(
            "snapshots:\n{}{}",
            snapshot("old", "target_schema: history"),
            snapshot("new", "schema: kept")
        ),
    );
    shape.moves(&tool, &["analytics", "history", "analytics_kept"]);
}
