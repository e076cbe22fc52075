//! The rewriter on the ways projects write these macros.

use proptest::prelude::*;

use super::super::lex::tokens;
use super::super::macros::definitions;
use super::*;

/// A file of package `shop` rewritten, with what else was renamed.
fn rewrite(text: &str, root: bool, others: &[(&str, &str)]) -> String {
    let tokens = tokens(text).unwrap();
    let definitions = definitions(text, &tokens);
    let mut all = Renamed::new();
    for (package, name) in others {
        all.entry((*package).to_owned()).or_default().insert((*name).to_owned());
    }
    for definition in &definitions {
        if placing(text, &tokens, definition).is_some() {
            all.entry("shop".to_owned()).or_default().insert(definition.name.clone());
        }
    }
    rewritten(text, &tokens, &definitions, ("shop", root), &all)
}

#[test]
fn a_macro_gets_another_name_and_a_wrapper_takes_its_own() {
    let text = "{# generate_schema_name #}\n\
        {%- macro generate_schema_name(custom_schema_name=none, node=none) -%}\n  \
        {{ 'generate_schema_name' }} {{ return(custom_schema_name or target.schema) }}\n\
        {%- endmacro -%}\n";
    insta::assert_snapshot!(rewrite(text, true, &[]), @r"
    {# generate_schema_name #}
    {%- macro switchback_shop__generate_schema_name(custom_schema_name=none, node=none) -%}
      {{ 'generate_schema_name' }} {{ return(custom_schema_name or target.schema) }}
    {%- endmacro -%}

    {% macro generate_schema_name(custom_schema_name=none, node=none) -%}
        {{ return(switchback_moved_schema(switchback_shop__generate_schema_name(custom_schema_name, node))) }}
    {%- endmacro %}
    ");
}

#[test]
fn a_package_calls_its_original_by_the_packages_name() {
    let text = "{% macro default__generate_database_name(name, node) %}{{ varargs }}{% endmacro %}\
        {% macro other() %}{{ default__generate_database_name(1, 2) }}{% endmacro %}";
    insta::assert_snapshot!(rewrite(text, false, &[]), @r"
    {% macro switchback_shop__default__generate_database_name(name, node) %}{{ varargs }}{% endmacro %}{% macro other() %}{{ default__generate_database_name(1, 2) }}{% endmacro %}
    {% macro default__generate_database_name(name, node) -%}
        {{ return(switchback_moved_database(shop.switchback_shop__default__generate_database_name(name, node, *varargs))) }}
    {%- endmacro %}
    ");
}

#[test]
fn originals_reach_originals_and_everyone_else_the_wrappers() {
    let text = "{% macro generate_schema_name(c, n) %}\
        {{ default__generate_schema_name(c, n) }}{{ shop.default__generate_schema_name(c, n) }}\
        {{ tuva.generate_schema_name(c, n) }}{{ x.tuva.generate_schema_name(c, n) }}\
        {{ generate_schema_name(none, n) }}{{ helper(generate_schema_name=c) }}\
        {{ adapter.dispatch('generate_schema_name', 'shop')(c, n) }}\
        {% endmacro %}\
        {% macro default__generate_schema_name(c, n) %}{{ c }}{% endmacro %}\
        {% macro hook() %}{{ generate_schema_name(1, 2) }}{% endmacro %}";
    let new = rewrite(text, true, &[("tuva", "generate_schema_name")]);
    let body = new.split("{% macro ").nth(1).unwrap();
    assert_eq!(
        body,
        "switchback_shop__generate_schema_name(c, n) %}\
        {{ switchback_shop__default__generate_schema_name(c, n) }}\
        {{ shop.switchback_shop__default__generate_schema_name(c, n) }}\
        {{ tuva.switchback_tuva__generate_schema_name(c, n) }}{{ x.tuva.generate_schema_name(c, n) }}\
        {{ switchback_shop__generate_schema_name(none, n) }}{{ helper(generate_schema_name=c) }}\
        {{ adapter.dispatch('generate_schema_name', 'shop')(c, n) }}\
        {% endmacro %}"
    );
    assert!(new.contains("{% macro hook() %}{{ generate_schema_name(1, 2) }}"), "{new}");
    // A package's bare call is left: dbt may find another package's.
    let new = rewrite(text, false, &[]);
    assert!(new.contains("%}{{ default__generate_schema_name(c, n) }}"), "{new}");
    assert!(new.contains("{{ shop.switchback_shop__default__generate_schema_name(c, n) }}"));
}

#[test]
fn a_macro_that_dbt_could_not_call_is_left() {
    for text in [
        // As the package dbt_external_tables has it.
        "{%- macro generate_schema_name(source_node) -%}{{ source_node.schema }}{%- endmacro -%}",
        "{% macro generate_schema_names(a, b) %}{% endmacro %}",
        "{% macro my_generate_schema_name(a, b) %}{% endmacro %}",
        "{# {% macro generate_schema_name(a, b) %}{% endmacro %} #}",
        "{% raw %}{% macro generate_schema_name(a, b) %}{% endmacro %}{% endraw %}",
        "{% test generate_schema_name(model, column) %}{% endtest %}",
    ] {
        assert_eq!(rewrite(text, true, &[("shop", "x")]), text);
    }
}

/// Pieces of a macro file that hold the name and are not to be touched.
const KEPT: [&str; 9] = [
    "-- generate_schema_name(a, b)\n",
    "{# {% macro generate_schema_name(a, b) %} #}",
    "{% raw %}{{ generate_schema_name(b) }}{% endraw %}",
    "{{ 'generate_schema_name' }}",
    "{{ a.generate_schema_name }}",
    "{% set x = \"{% macro generate_schema_name(a, b) %}\" %}",
    "{{ x | generate_schema_name }}",
    "{{ f(generate_schema_name = 1) }}",
    "é {{ {'generate_schema_name': {}} }}\n",
];

proptest! {
    #[test]
    fn all_but_the_names_of_macros_and_calls_keeps_every_byte(
        pieces in proptest::collection::vec(0..KEPT.len() + 1, 0..12),
        outside in proptest::collection::vec(0..KEPT.len(), 0..4),
    ) {
        let call = "{{ generate_schema_name(a, b) }}";
        let body: String =
            pieces.iter().map(|piece| KEPT.get(*piece).copied().unwrap_or(call)).collect();
        let around: String = outside.iter().map(|piece| KEPT[*piece]).collect();
        let file = |name: &str, body: &str| {
            format!("{around}{{%- macro {name}(a, b=none) -%}}{body}{{%- endmacro %}}{around}{call}")
        };
        let text = file("generate_schema_name", &body);
        let new = rewrite(&text, true, &[]);
        let renamed = "switchback_shop__generate_schema_name";
        let calls = call.replace("generate_schema_name", renamed);
        let wanted = file(renamed, &body.replace(call, &calls));
        prop_assert!(new.starts_with(&wanted), "{}\n{}", new, wanted);
        let wrapper = "{% macro generate_schema_name(a, b=none) -%}";
        prop_assert_eq!(new[wanted.len()..].matches(wrapper).count(), 1);
        // What was written is read again as the same macros.
        let again = tokens(&new).unwrap();
        let names: Vec<String> =
            definitions(&new, &again).into_iter().map(|one| one.name).collect();
        prop_assert_eq!(names, [renamed, "generate_schema_name"]);
    }
}
