//! Where the macro may stand: in the project, in a package, dispatched to, in nested or custom
//! folders, behind links, or nowhere.

use switchback::ports::Overlay;

use crate::shape::{Shape, contained, newest, redirect, survey, written};

/// Gives the configured schema as it is, and ignores the target.
const VERBATIM: &str = "{% macro generate_schema_name(custom_schema_name, node) -%}\
    {{ (custom_schema_name or 'public') | trim }}{%- endmacro %}";
/// The same, to be dispatched to.
const DISPATCHED: &str = "{% macro default__generate_schema_name(custom_schema_name, node) -%}\
    {{ (custom_schema_name or 'public') | trim }}{%- endmacro %}";

#[test]
fn a_project_without_a_macro_has_dbts_own_moved() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new(
        "seeds:\n  +schema: raw\ndata_tests:\n  +store_failures: true\nmodels:\n  marts_only:\n    \
         +schema: marts\n",
    );
    shape.model("models/a.sql", "");
    shape.file("models/b.sql", "select * from {{ ref('marts_only', 'm') }}");
    shape.file(
        "models/s.yml",
        "models:\n  - {name: a, columns: [{name: id, data_tests: [not_null]}]}",
    );
    shape.file("seeds/s.csv", "id\n1\n");
    shape.package("dbt_packages/marts_only", "");
    shape.file("dbt_packages/marts_only/models/m.sql", "select * from {{ ref('shop', 'a') }}");
    let moves = shape.moves(
        &tool,
        &["analytics", "analytics_raw", "analytics_marts", "analytics_dbt_test__audit"],
    );
    assert_eq!(moves.at("seed.shop.s"), "analytics_raw__build_r2");
}

#[test]
fn a_macro_in_nested_and_custom_folders_and_behind_links_is_moved() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new(
        "macro-paths: [\"{{ 'helpers/jinja' }}\", '../shared/macros', linked]\nmodel-paths: \
         [staging, elsewhere]\nmodels:\n  shop:\n    linked:\n      +schema: elsewhere\n    +schema: marts\n",
    );
    shape.file("helpers/jinja/other.sql", "{% macro other() %}{% endmacro %}");
    shape.file("../shared/macros/deep/names.sql", VERBATIM);
    shape.file("../macros_elsewhere/used.sql", "{% macro used() %}1{% endmacro %}");
    shape.link("../macros_elsewhere", "linked");
    shape.file("staging/a.sql", "select {{ used() }} as id");
    // A model that is a link to a file outside, and a folder that dbt does not follow.
    shape.file("../outside/b.sql", "select 1 as id");
    shape.link("../../../outside/b.sql", "elsewhere/linked/b.sql");
    shape.link("../../outside", "staging/not_followed");
    shape.moves(&tool, &["marts", "elsewhere"]);
}

#[test]
fn a_package_that_is_dispatched_to_is_moved_wherever_it_is_installed() {
    let Some(tool) = newest() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    for install in ["../packages", elsewhere.path().to_str().unwrap()] {
        let shape = Shape::new(&format!(
            "packages-install-path: \"{{{{ '{install}' }}}}\"\ndispatch:\n  - macro_namespace: dbt\n    \
             search_order: [shop, naming, dbt]\nmodels:\n  shop:\n    +schema: marts\n"
        ));
        shape.file("packages.yml", "packages:\n  - local: naming\n");
        shape.package(&format!("{install}/naming"), "macro-paths: [jinja]\n");
        shape.file(&format!("{install}/naming/jinja/a/b/names.sql"), DISPATCHED);
        shape.model(&format!("{install}/naming/models/n.sql"), "");
        shape.model("models/a.sql", "");
        shape.moves(&tool, &["marts", "public"]);
    }
}

#[test]
fn a_local_package_is_moved_without_being_touched() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new("");
    shape.package("../naming", "");
    shape.file("../naming/macros/names.sql", VERBATIM);
    shape.model("../naming/models/n.sql", "marts");
    shape.file("packages.yml", "packages:\n  - local: ../naming\n");
    shape.model("models/a.sql", "core");
    let dbt = shape.open(&tool, &["deps", "build"]);
    let schemas = ["marts", "analytics_core"];
    let survey = survey(&dbt, &redirect(&written(&schemas))).unwrap();
    contained(&survey, &schemas);
    assert!(shape.project().join("dbt_packages/naming").is_symlink());
    let text = std::fs::read_to_string(shape.project().join("../naming/macros/names.sql"));
    assert_eq!(text.unwrap(), VERBATIM);
}

#[test]
fn an_adapters_own_variant_of_the_macro_is_moved() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new("models:\n  shop:\n    +schema: marts\n");
    shape.file("macros/names.sql", &DISPATCHED.replace("default__", "duckdb__"));
    shape.file("macros/default.sql", &DISPATCHED.replace("public", "not_this"));
    // Called past the wrapper that dbt calls.
    shape.file(
        "models/a.sql",
        "{{ config(alias=duckdb__generate_schema_name('marts', none)) }} select 1 as id",
    );
    let dbt = shape.open(&tool, &["build"]);
    let survey = survey(&dbt, &redirect(&written(&["marts"]))).unwrap();
    contained(&survey, &["marts"]);
    assert_eq!(survey.build.nodes["model.shop.a"].relation.identifier, "marts__build_r2");
}

#[test]
fn a_macro_of_the_name_with_another_purpose_is_left_alone() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new("");
    shape.file("macros/names.sql", VERBATIM);
    shape.package("dbt_packages/external", "");
    shape.file(
        "dbt_packages/external/macros/helper.sql",
        "{%- macro generate_schema_name(source_node) -%}{{ return(adapter.dispatch(\
         'generate_schema_name', 'external')(source_node)) }}{%- endmacro -%}\
         {%- macro default__generate_schema_name(source_node) -%}{{ return('db.' ~ source_node) }}\
         {%- endmacro -%}",
    );
    shape.file(
        "models/a.sql",
        "{{ config(alias=external.generate_schema_name('x'), schema='marts') }} select 1 as id",
    );
    let dbt = shape.open(&tool, &["build"]);
    let survey = survey(&dbt, &redirect(&written(&["marts"]))).unwrap();
    contained(&survey, &["marts"]);
    assert_eq!(survey.build.nodes["model.shop.a"].relation.identifier, "db.x");
}

#[test]
fn a_database_that_is_named_outright_is_moved() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new("models:\n  shop:\n    named:\n      +database: PROD\n");
    shape.file(
        "macros/names.sql",
        "{% macro generate_database_name(custom_database_name=none, node=none) -%}\
         {{ custom_database_name or 'prod' }}{%- endmacro %}",
    );
    shape.model("models/named/a.sql", "");
    shape.model("models/b.sql", "marts");
    let overlay = Overlay {
        databases: [("PROD".to_owned(), "PROD__BUILD_R2".to_owned())].into(),
        folds: true,
        ..Overlay::default()
    };
    let mut redirect = redirect(&overlay);
    redirect.value = crate::shape::SCHEMA.to_owned();
    let dbt = shape.open(&tool, &["build"]);
    let survey = survey(&dbt, &redirect).unwrap();
    for node in survey.build.nodes.values() {
        assert_eq!(node.relation.database, "PROD__BUILD_R2");
        assert_eq!(node.relation.schema, survey.production.nodes[&node.unique_id].relation.schema);
    }
}

#[test]
fn a_macro_outside_what_can_be_copied_is_named() {
    let Some(tool) = newest() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let shape = Shape::new(&format!("macro-paths: [macros, {}]\n", elsewhere.path().display()));
    std::fs::write(elsewhere.path().join("names.sql"), VERBATIM).unwrap();
    shape.model("models/a.sql", "");
    let dbt = shape.open(&tool, &["build"]);
    let failure = survey(&dbt, &redirect(&written(&["public"]))).unwrap_err();
    assert!(failure.message.contains("names.sql"), "{failure}");
    assert!(failure.next.is_some());
}

#[test]
fn a_schema_that_has_no_place_in_the_build_stops_dbt_by_name() {
    let Some(tool) = newest() else { return };
    let shape = Shape::new("");
    shape.file("macros/names.sql", VERBATIM);
    let long = "x".repeat(60);
    let call =
        format!("{{{{ config(alias=generate_schema_name('{long}', none)) }}}} select 1 as id");
    shape.file("models/a.sql", &call);
    let dbt = shape.open(&tool, &["build"]);
    let failure = survey(&dbt, &redirect(&written(&["public"]))).unwrap_err();
    assert!(failure.message.contains("dbt parse` for the build"), "{failure}");
    assert!(failure.message.contains(&long) && failure.message.contains("too long"), "{failure}");
}
