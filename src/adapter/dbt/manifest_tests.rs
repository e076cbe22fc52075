use super::*;

const MANIFEST: &str = r#"{
  "metadata": {"dbt_schema_version": "v12", "dbt_version": "1.11.16", "project_name": "shop"},
  "nodes": {
    "model.shop.orders": {"resource_type": "model", "database": "db", "schema": "main",
      "alias": "orders", "name": "orders", "package_name": "shop",
      "original_file_path": "models/orders.sql", "raw_code": "select \"a\" from 'prod.duckdb'",
      "config": {"enabled": true, "materialized": "table"}, "columns": {"é": {}}},
    "model.shop.tmp": {"resource_type": "model", "database": "db", "schema": "main",
      "alias": "tmp", "name": "tmp", "config": {"materialized": "ephemeral"}},
    "model.shop.off": {"resource_type": "model", "config": {"enabled": false, "materialized": "table"}},
    "model.util.dates": {"resource_type": "model", "database": null, "schema": "ut\u00e4il",
      "alias": null, "name": "dates", "package_name": "util",
      "original_file_path": "models/dates.sql", "config": {}},
    "seed.shop.raw": {"resource_type": "seed", "database": "db", "schema": "main", "alias": "raw",
      "config": {"materialized": "seed"}},
    "snapshot.shop.hist": {"resource_type": "snapshot", "database": "db", "schema": "s",
      "alias": "hist", "config": {"materialized": "snapshot"}},
    "test.shop.kept.1": {"resource_type": "test", "schema": "audit", "alias": "kept",
      "config": {"materialized": "test", "store_failures": true}},
    "test.shop.kept_as.1": {"resource_type": "test", "schema": "audit", "alias": "kept_as",
      "config": {"materialized": "test", "store_failures_as": "view"}},
    "test.shop.not.1": {"resource_type": "test", "schema": "audit", "alias": "no",
      "config": {"materialized": "test", "store_failures": true, "store_failures_as": "ephemeral"}},
    "test.shop.plain.1": {"resource_type": "test", "schema": "audit", "alias": "plain",
      "config": {"materialized": "test"}},
    "operation.shop.hook-0": {"resource_type": "operation", "name": "hook"}
  },
  "functions": {"function.shop.area": {"resource_type": "function", "database": "db",
      "schema": "main", "alias": "area", "name": "area", "config": {}}},
  "macros": {"macro.shop.generate_schema_name": {"name": "generate_schema_name",
      "package_name": "shop", "original_file_path": "macros/schema.sql", "macro_sql": "x"}},
  "unknown_of_the_future": [1, {"a": null}]
}"#;

fn summarize(reading: &Reading) -> Manifest {
    serde_json::from_str::<Raw<'_>>(MANIFEST).unwrap().summarize(reading)
}

fn reading() -> Reading {
    Reading {
        store_failures: false,
        packages_dir: "dbt_packages".to_owned(),
        needles: vec!["prod.duckdb".to_owned()],
    }
}

#[test]
fn only_nodes_that_write_are_listed() {
    let manifest = summarize(&reading());
    let kinds: Vec<(&str, NodeKind)> =
        manifest.nodes.values().map(|node| (node.unique_id.as_str(), node.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("function.shop.area", NodeKind::Function),
            ("model.shop.orders", NodeKind::Model),
            ("model.util.dates", NodeKind::Model),
            ("seed.shop.raw", NodeKind::Seed),
            ("snapshot.shop.hist", NodeKind::Snapshot),
            ("test.shop.kept.1", NodeKind::Test),
            ("test.shop.kept_as.1", NodeKind::Test),
        ]
    );
}

#[test]
fn the_flag_makes_plain_tests_write_too() {
    let mut reading = reading();
    reading.store_failures = true;
    let manifest = summarize(&reading);
    assert!(manifest.nodes.contains_key("test.shop.plain.1"));
    assert!(!manifest.nodes.contains_key("test.shop.not.1"));
}

#[test]
fn relations_files_and_code_are_as_the_manifest_says() {
    let manifest = summarize(&reading());
    let dates = &manifest.nodes["model.util.dates"];
    assert_eq!(dates.relation.schema, "utäil");
    assert_eq!(dates.relation.identifier, "dates");
    assert_eq!(dates.file, "dbt_packages/util/models/dates.sql");
    assert_eq!(dates.materialized, "view");
    assert_eq!(dates.placed_by.as_deref(), Some("macros/schema.sql"));
    assert_eq!(manifest.nodes["model.shop.orders"].file, "models/orders.sql");
    assert_eq!(manifest.raw_code.len(), 1);
    assert!(manifest.raw_code["model.shop.orders"].contains("\"a\""));
}
