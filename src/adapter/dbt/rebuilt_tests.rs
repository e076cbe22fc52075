//! What may come without rows, and above all what may not.

use serde_json::{Value, json};

use super::*;

fn model(name: &str, code: &str, parents: &[&str]) -> (String, Value) {
    let parents: Vec<String> = parents.iter().map(|name| format!("model.shop.{name}")).collect();
    let node = json!({
        "resource_type": "model", "database": "d", "schema": "shop", "name": name,
        "package_name": "shop", "original_file_path": "m.sql", "raw_code": code,
        "config": {"materialized": "table", "pre-hook": [], "post-hook": []},
        "depends_on": {"nodes": parents, "macros": []},
    });
    (format!("model.shop.{name}"), node)
}

/// Orders, made from staged ones; and what reads orders.
fn project() -> Value {
    let nodes: serde_json::Map<String, Value> = [
        model("staged", "select 1 as id", &[]),
        model("orders", "select * from {{ ref('staged') }}", &["staged"]),
        model("daily", "with orders as (select * from {{ ref('orders') }}) select 1", &["orders"]),
        model("monthly", "select 'orders' from {{ ref('daily') }}", &["daily"]),
    ]
    .into_iter()
    .collect();
    json!({"metadata": {"project_name": "shop"}, "nodes": nodes, "sources": {}, "macros": {}})
}

fn named(project: &Value, commands: &[&str]) -> Vec<String> {
    let text = project.to_string();
    let raw: Raw<'_> = serde_json::from_str(&text).unwrap();
    let commands: Vec<Vec<String>> =
        commands.iter().map(|one| super::super::commands::split_command(one).unwrap()).collect();
    let found = rebuilt(&raw, &commands).into_keys();
    found.map(|id| id.trim_start_matches("model.shop.").to_owned()).collect()
}

fn with(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut project = project();
    change(&mut project);
    named(&project, &["build"])
}

fn add(project: &mut Value, (id, node): (String, Value)) {
    project["nodes"][id] = node;
}

const ALL: [&str; 4] = ["daily", "monthly", "orders", "staged"];

#[test]
fn tables_of_a_whole_build_come_without_rows_and_who_refers_to_them_is_known() {
    assert_eq!(named(&project(), &["build"]), ALL);
    assert_eq!(named(&project(), &["deps", "seed", "run --full-refresh --threads 4"]), ALL);
    assert_eq!(named(&project(), &["build --vars '{a: b}' -x", "run-operation x"]), ALL);
    let text = project().to_string();
    let raw: Raw<'_> = serde_json::from_str(&text).unwrap();
    let found = rebuilt(&raw, &[vec!["build".to_owned()]]);
    let after = ["model.shop.daily", "model.shop.monthly"].map(str::to_owned);
    assert_eq!(found["model.shop.orders"], BTreeSet::from(after));
}

#[test]
fn a_command_that_may_build_less_or_read_first_leaves_all_rows() {
    for command in [
        "build --select orders",
        "build --exclude orders",
        "build --selector nightly",
        "build --resource-type test",
        "build --some-newer-option",
        "test",
        "retry",
        "seed --select x",
    ] {
        assert!(named(&project(), &[command]).is_empty(), "{command}");
    }
    assert!(named(&project(), &["test", "build"]).is_empty());
    assert!(named(&project(), &["run-operation x", "build"]).is_empty());
    assert!(named(&project(), &[]).is_empty());
    assert!(with(|all| all["selectors"] = json!({"nightly": {"definition": {}}})).is_empty());
}

#[test]
fn only_dbts_own_tables_count() {
    for other in ["view", "incremental", "materialized_view", "my_table"] {
        let found =
            with(|all| all["nodes"]["model.shop.staged"]["config"]["materialized"] = json!(other));
        assert_eq!(found, ["daily", "monthly", "orders"], "{other}");
    }
    let disabled =
        with(|all| all["nodes"]["model.shop.staged"]["config"]["enabled"] = json!(false));
    assert_eq!(disabled, ["daily", "monthly", "orders"]);
    let overridden =
        json!({"m": {"name": "materialization_table_default", "package_name": "shop"}});
    assert!(with(|all| all["macros"] = overridden).is_empty());
    let own = json!({"m": {"name": "materialization_table_default", "package_name": "dbt"}});
    assert_eq!(with(|all| all["macros"] = own), ALL);
}

#[test]
fn a_table_that_reads_itself_or_has_a_hook_before_it_keeps_its_rows() {
    for code in ["select * from {{ this }}", "select 1 from shop.orders"] {
        let found = with(|all| all["nodes"]["model.shop.orders"]["raw_code"] = json!(code));
        assert!(!found.contains(&"orders".to_owned()), "{code}: {found:?}");
    }
    let hooked = with(|all| {
        all["nodes"]["model.shop.orders"]["config"]["pre-hook"] = json!([{"sql": "select 1"}]);
    });
    assert_eq!(hooked, ["daily", "monthly", "staged"]);
}

#[test]
fn what_is_named_by_something_that_may_run_before_it_keeps_its_rows() {
    let named_by_hand = with(|all| add(all, model("other", "select 1 from Shop.ORDERS", &[])));
    assert_eq!(named_by_hand, ["daily", "monthly", "other", "staged"]);
    let hook = |text: &str, when: &str| {
        let mut node = model("x", text, &[]).1;
        node["resource_type"] = json!("operation");
        (format!("operation.shop.shop-{when}-0"), node)
    };
    let text = "insert into audit select count(*) from {{ target.schema }}.orders";
    assert_eq!(with(|all| add(all, hook(text, "on-run-start"))), ["daily", "monthly", "staged"]);
    assert_eq!(with(|all| add(all, hook(text, "on-run-end"))), ALL);
    let mut late = project();
    add(&mut late, hook(text, "on-run-end"));
    assert_eq!(named(&late, &["seed", "build"]), ["daily", "monthly", "staged"]);
    let tested = with(|all| {
        let mut node = model("t", "select 1 from shop.monthly", &["staged"]).1;
        node["resource_type"] = json!("test");
        add(all, ("test.shop.t".to_owned(), node));
    });
    assert_eq!(tested, ["daily", "orders", "staged"]);
    let source = json!({"source.shop.x.orders": {"name": "x", "identifier": "orders"}});
    assert_eq!(with(|all| all["sources"] = source), ["daily", "monthly", "staged"]);
}

#[test]
fn who_reads_a_view_reads_what_is_below_it() {
    let with_view = |more: &str, parents: &[&str]| {
        with(|all| {
            add(all, model("v", "select * from {{ ref('orders') }}", &["orders"]));
            all["nodes"]["model.shop.v"]["config"]["materialized"] = json!("view");
            add(all, model("other", more, parents));
        })
    };
    let all = ["daily", "monthly", "orders", "other", "staged"];
    assert_eq!(with_view("select * from {{ ref('v') }}", &["v"]), all);
    let early = with_view("select count(*) from shop.v", &[]);
    assert_eq!(early, ["daily", "monthly", "other"], "staged and orders are below v");
}

#[test]
fn a_macro_counts_for_whoever_reaches_it() {
    let found = with(|all| {
        all["macros"] = json!({
            "macro.shop.a": {"name": "a", "package_name": "shop", "macro_sql": "",
                             "depends_on": {"macros": ["macro.shop.b"]}},
            "macro.shop.b": {"name": "b", "package_name": "shop", "macro_sql": "from shop.monthly"},
        });
        all["nodes"]["model.shop.staged"]["depends_on"]["macros"] = json!(["macro.shop.a"]);
    });
    assert_eq!(found, ["daily", "orders", "staged"]);
}

#[test]
fn whoever_looks_around_or_puts_names_together_leaves_rows_to_all_that_may_come_later() {
    for code in [
        "{% for t in dbt_utils.get_relations_by_prefix('shop', 'o') %}{% endfor %}",
        "select * from information_schema.tables",
        "select * from pg_tables",
        "select * from {{ target.schema }}.{{ var('x') }}",
        "select * from {{ var('x') }}",
        "{% for n in graph.nodes %}{% endfor %}",
    ] {
        assert!(with(|all| add(all, model("dark", code, &[]))).is_empty(), "{code}");
        let last = with(|all| add(all, model("dark", code, &["monthly"])));
        assert_eq!(last, ALL, "{code}");
    }
    let audit = "insert into {{ target.schema }}.audit select * from {{ this }}";
    assert_eq!(with(|all| add(all, model("x", audit, &["staged"]))).len(), 4);
    let fine = "select * from {{ ref('staged') }}, {{ ref('staged') }} join {{ source('a', 'b') }}";
    assert_eq!(with(|all| add(all, model("fine", fine, &["staged"]))).len(), 5);
}
