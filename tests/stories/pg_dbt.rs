//! The loop on PostgreSQL with real dbt: everything that dbt does there by habit.

use serde_json::json;

use crate::pg::PgWorld;
use crate::world::write;

/// A project with a bit of everything. `version` shows in every relation that dbt rebuilds.
fn project(world: &PgWorld<'_>, version: u32) {
    let file = |name: &str, text: &str| write(&world.project().join(name), text);
    file(
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n\
         models:\n  shop:\n    marts:\n      +schema: marts\n      +materialized: table\n\
         on-run-start:\n  - \"create table if not exists {{ target.schema }}.audit (at timestamptz)\"\n\
         on-run-end:\n  - \"insert into {{ target.schema }}.audit values (now())\"\n  - \"create or \
         replace function {{ target.schema }}.doubled(x int) returns int language sql as 'select 2 * \
         x'\"\n",
    );
    file("seeds/raw_orders.csv", "id,amount\n1,10\n2,20\n3,30\n");
    file(
        "models/stg_orders.sql",
        &format!("select id, amount, {version} as v from {{{{ ref('raw_orders') }}}}"),
    );
    file(
        "models/marts/orders.sql",
        &format!(
            "{{{{ config(grants={{'select': ['bi']}}, indexes=[{{'columns': ['id'], 'unique': True}}]) \
             }}}}\nselect id, amount, {version} as v from {{{{ ref('stg_orders') }}}}"
        ),
    );
    file(
        "models/events.sql",
        &format!(
            "{{{{ config(materialized='incremental', unique_key='id') }}}}\nselect id, {version} as v \
             from {{{{ ref('stg_orders') }}}}{{% if is_incremental() %}} where id > (select max(id) - 1 \
             from {{{{ this }}}}){{% endif %}}"
        ),
    );
    file(
        "models/totals.sql",
        "{{ config(materialized='materialized_view') }}\nselect sum(amount) as total, max(v) as v from \
         {{ ref('orders') }}",
    );
    file(
        "snapshots/orders_snapshot.yml",
        "snapshots:\n  - name: orders_snapshot\n    relation: ref('stg_orders')\n    config:\n      \
         unique_key: id\n      strategy: check\n      check_cols: [v]\n",
    );
    file(
        "models/schema.yml",
        "models:\n  - name: stg_orders\n    columns:\n      - name: id\n        data_tests:\n          - \
         unique:\n              config: {store_failures: true}\n          - not_null\n",
    );
}

fn versions(world: &PgWorld<'_>) -> String {
    world.sql(
        "select (select max(v) from shop.stg_orders), (select max(v) from shop_marts.orders), \
         (select max(v) from shop.events), (select v from shop.totals), \
         (select count(*) from shop.orders_snapshot)",
    )
}

#[test]
fn real_dbt_deploys_to_postgres_again_and_again_and_goes_back() {
    let Some(world) = PgWorld::with_real_dbt() else { return };
    project(&world, 1);
    world.run(&["deploy"]).expect(0);
    assert_eq!(versions(&world), "1|1|1|1|3");
    let first = world.content();
    project(&world, 2);
    world.run(&["deploy"]).expect(0);
    assert_eq!(versions(&world), "2|2|2|2|6");
    assert_eq!(world.sql("select count(*) from shop.audit"), "2", "one row for each deploy");
    assert_eq!(world.sql("select shop.doubled(4)"), "8");
    let may = "select has_table_privilege('bi', 'shop_marts.orders', 'select')";
    assert_eq!(world.sql(may), "t");
    let second = world.content();

    world.run(&["rollback", "--reason", "x", "--allow-loss"]).expect(0);
    assert_eq!(world.content(), first);
    world.run(&["rollback", "--to", "r2", "--reason", "it was right"]).expect(0);
    assert_eq!(world.content(), second);
    assert_eq!(world.live_release(), json!("r2"));

    // Plain dbt still works in production, and is adopted with the next deploy.
    project(&world, 3);
    world.run(&["deploy", "--dbt-command", "build --select stg_orders"]).expect(0);
    assert_eq!(versions(&world), "3|2|2|2|6");
    world.run(&["deploy", "--dbt-command", "build --full-refresh"]).expect(0);
    assert_eq!(versions(&world), "3|3|3|3|9");
    assert_eq!(world.sql("select count(distinct v) from shop.events"), "1");
    let schemas = world.schemas();
    assert!(!schemas.iter().any(|name| name.contains("build")), "{schemas:?}");
}

#[test]
fn tables_that_dbt_makes_anew_come_without_rows_and_never_go_live_so() {
    let Some(mut world) = PgWorld::with_real_dbt() else { return };
    project(&world, 1);
    world.dbt_alone(&["build"]);
    let before = world.content();
    // dbt ends well, and did not make what it was to make.
    world.wrap_dbt("case \" $* \" in *' build '*) exec \"$DBT\" \"$@\" --exclude orders;; esac\nexec \"$DBT\" \"$@\"");
    project(&world, 2);
    let run = world.run(&["deploy"]).expect(3);
    assert!(run.err.contains("it did not:\n  shop__build_r1_marts.orders"), "{}", run.err);
    assert_eq!(world.content(), before);
    // What is incremental has its rows, and the build is there for a look.
    let rows = |relation: &str| world.sql(&format!("select count(*) from {relation}"));
    assert_eq!(rows("shop__build_r1_marts.orders"), "0");
    assert_eq!(rows("shop__build_r1.events"), "3");
    // A selection is not judged: every row is copied.
    world.run(&["deploy", "--dbt-command", "build --select '*'"]).expect(0);
    assert_eq!(rows("shop_marts.orders"), "3");
    assert_eq!(versions(&world), "2|1|2|1|6");
}

#[test]
fn plain_dbt_in_production_is_adopted_and_stays_what_it_is() {
    let Some(world) = PgWorld::with_real_dbt() else { return };
    project(&world, 1);
    world.dbt_alone(&["build"]);
    world.dbt_alone(&["build"]);
    let before = world.content();
    project(&world, 2);
    world.run(&["deploy"]).expect(0);
    assert_eq!(versions(&world), "2|2|2|2|6");
    // dbt alone goes on in what is live: that is drift for a build that waits.
    project(&world, 3);
    world.run(&["build"]).expect(0);
    world.dbt_alone(&["build"]);
    let run = world.run(&["promote"]).expect(3);
    assert!(run.err.contains("shop_marts.orders"), "{}", run.err);
    world.run(&["rollback", "--to", "r0", "--reason", "x", "--allow-loss"]).expect(0);
    assert_eq!(world.content(), before);
}

#[test]
fn a_project_whose_schema_macro_ignores_the_target_is_moved_by_an_overlay() {
    let Some(world) = PgWorld::with_real_dbt() else { return };
    project(&world, 1);
    write(
        &world.project().join("macros/schemas.sql"),
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n  {%- if custom_schema_name is \
         none -%}core{%- else -%}{{ custom_schema_name | trim }}{%- endif -%}\n{%- endmacro %}\n",
    );
    let yml = world.project().join("dbt_project.yml");
    let text = std::fs::read_to_string(&yml).unwrap();
    let hooks = text.find("on-run-start").unwrap();
    write(&yml, &text[..hooks]); // they would write to the target's schema, which nothing else does
    world.dbt_alone(&["build"]);
    project(&world, 2);
    write(&yml, &text[..hooks]);
    world.run(&["deploy"]).expect(0);
    let versions = || {
        world.sql("select (select max(v) from core.stg_orders), (select max(v) from marts.orders)")
    };
    assert_eq!(versions(), "2|2");
    world.run(&["rollback", "--reason", "x", "--allow-loss"]).expect(0);
    assert_eq!(versions(), "1|1");
    let schemas = world.schemas();
    assert!(!schemas.iter().any(|name| name.contains("build")), "{schemas:?}");
}
