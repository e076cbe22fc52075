//! The ways projects write the macro. dbt asks a package's own macro for the package's nodes, so one
//! parse tries them all.

use crate::shape::{Shape, every};

/// A package's name, its macros, and the schemas in production of a model without a schema of its own
/// and of one in `marts`.
const VARIANTS: &[(&str, &str, &str, &str)] = &[
    (
        "verbatim",
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n  {%- if custom_schema_name is \
         none -%}\n    {{ target.schema }}\n  {%- else -%}\n    {{ custom_schema_name | trim }}\n  \
         {%- endif -%}\n{%- endmacro %}",
        "analytics",
        "marts",
    ),
    (
        "returning",
        "{%macro generate_schema_name(custom_schema_name=none, node=none)%}\n{% if custom_schema_name \
         %}{{ return(custom_schema_name) }}{% endif %}{% do return('public') %}{%endmacro%}",
        "public",
        "marts",
    ),
    (
        "by_target",
        "{% macro generate_schema_name(custom_schema_name, node) %}{% if target.name == 'prod' %}\
         {{ custom_schema_name or 'prod_default' }}{% else %}{{ target.schema }}{% endif %}\
         {% endmacro %}",
        "prod_default",
        "marts",
    ),
    (
        "for_env",
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n    \
         {{ generate_schema_name_for_env(custom_schema_name, node) }}\n{%- endmacro %}",
        "analytics",
        "marts",
    ),
    (
        "by_folder",
        "{% macro generate_schema_name(custom_schema_name, node) %}{% set folder = node.fqn[1] %}\
         {{ log('generate_schema_name of ' ~ node.name) }}\
         {{ folder if node.resource_type == 'model' else custom_schema_name }}{% endmacro %}",
        "staging",
        "staging",
    ),
    (
        "by_environment",
        "{%- macro generate_schema_name(custom_schema_name, node) -%}{{ env_var('NO_SUCH_SCHEMA', 'environment') \
         }}{{ '_' ~ custom_schema_name if custom_schema_name }}{%- endmacro -%}",
        "environment",
        "environment_marts",
    ),
    (
        "delegating",
        "{# {% macro generate_schema_name(a, b) %} is dbt's #}\n-- {{ '{% macro x() %}' }}\n\
         {% macro generate_schema_name(custom_schema_name, node) -%}\n{%- if custom_schema_name is \
         none -%}{{ default__generate_schema_name(custom_schema_name, node) }}{%- else -%}\
         {{ custom_schema_name | trim | upper }}{%- endif -%}\n{%- endmacro %}",
        "analytics",
        "MARTS",
    ),
    (
        "processing",
        "{% macro generate_schema_name(custom_schema_name, node) %}\
         {{ default__generate_schema_name(custom_schema_name, node) | trim ~ '_v2' }}{% endmacro %}",
        "analytics_v2",
        "analytics_marts_v2",
    ),
    (
        "dispatching",
        "{% macro generate_schema_name(custom_schema_name, node) %}\
         {{ return(adapter.dispatch('generate_schema_name', 'dispatching')(custom_schema_name, node)) }}\
         {% endmacro %}{% macro default__generate_schema_name(custom_schema_name, node) %}\
         dispatched_{{ custom_schema_name }}{% endmacro %}",
        "dispatched_None",
        "dispatched_marts",
    ),
    (
        "qualified",
        "{% macro generate_schema_name(custom, node) %}\
         {{ qualified.default__generate_schema_name(custom, node) }}_q{% endmacro %}\
         {% macro default__generate_schema_name(custom, node) %}{{ return(qualified.base(custom)) }}\
         {% endmacro %}{% macro base(x) %}q_{{ x or 'main' }}{% endmacro %}",
        "q_main_q",
        "q_marts_q",
    ),
    (
        "recursive",
        "{% macro generate_schema_name(custom_schema_name, node, again=true) %}{% if again %}\
         {{ return(recursive.generate_schema_name(custom_schema_name, node, again=false)) }}\
         {% endif %}_{{ (custom_schema_name or 'main') | upper }}{% endmacro %}",
        "_MAIN",
        "_MARTS",
    ),
    (
        "any_arguments",
        "{% macro generate_schema_name() %}{{ varargs[0] or 'any' }}{% endmacro %}",
        "any",
        "marts",
    ),
    (
        "always",
        "{% macro generate_schema_name(_custom, _node) %}\n\n      only_one\n{% endmacro %}",
        "only_one",
        "only_one",
    ),
    (
        // dbt_external_tables has a macro of this name that dbt never calls; the root's is used.
        "other_purpose",
        "{% macro generate_external_schema(source_node) %}{{ generate_schema_name('marts') }}\
         {% endmacro %}",
        "analytics",
        "analytics_marts",
    ),
];

#[test]
fn every_way_to_write_the_macro_is_moved() {
    let shape = Shape::new("packages-install-path: vendor/dbt\n");
    std::fs::create_dir_all(shape.project().join("models")).unwrap();
    let mut schemas = vec!["analytics", "marts"];
    for (name, text, plain, custom) in VARIANTS {
        let folder = format!("vendor/dbt/{name}");
        shape.package(&folder, "");
        shape.file(&format!("{folder}/macros/deep/er/get_custom_schema.sql"), text);
        shape.model(&format!("{folder}/models/staging/{name}_plain.sql"), "");
        shape.model(&format!("{folder}/models/staging/{name}_custom.sql"), "marts");
        schemas.extend([plain, custom]);
    }
    schemas.sort_unstable();
    schemas.dedup();
    for tool in every() {
        let moves = shape.moves(&tool, &schemas);
        for (name, _, plain, custom) in VARIANTS {
            let at = |model: &str| moves.at(&format!("model.{name}.{name}_{model}")).to_owned();
            assert_eq!(at("plain"), format!("{plain}__build_r2"), "{name}");
            assert_eq!(at("custom"), format!("{custom}__build_r2"), "{name}");
        }
    }
}

#[test]
fn the_projects_own_macros_judge_what_they_would_have_judged() {
    const MACROS: &str = "{%- macro generate_schema_name(custom_schema_name=none, node=none) -%}\n\
        {%- if custom_schema_name == 'env' -%}\n    \
        {{ generate_schema_name_for_env(custom_schema_name, node) }}\n\
        {%- elif custom_schema_name == 'again' -%}\n    \
        {{ generate_schema_name(node=node) | trim }}_again\n\
        {%- elif custom_schema_name == 'own' -%}\n    {% set name = \
        default__generate_schema_name(custom_schema_name, node) -%}\n    \
        {{ name[:3] ~ '_x' if name == 'own' else 'wrong' }}\n\
        {%- elif custom_schema_name == 'qualified' -%}\n    \
        {{ shop.default__generate_schema_name(custom_schema_name, node).upper() }}\n\
        {%- elif custom_schema_name == 'dispatched' -%}\n    \
        {{ adapter.dispatch('generate_schema_name', 'shop')(custom_schema_name, node) }}\n\
        {%- elif custom_schema_name == 'dbts' -%}\n    \
        {{ dbt.default__generate_schema_name(custom_schema_name, node) }}\n\
        {%- else -%}\n    {{ target.schema | upper }}\n{%- endif -%}\n{%- endmacro -%}\n\
        {% macro default__generate_schema_name(custom_schema_name, node) -%}\n    \
        {{ return(custom_schema_name) }}\n{%- endmacro %}\n";
    const PLACES: [(&str, &str); 7] = [
        ("env", "env"),
        ("again", "ANALYTICS_again"),
        ("own", "own_x"),
        ("qualified", "QUALIFIED"),
        ("dispatched", "dispatched"),
        ("dbts", "analytics_dbts"),
        ("other", "ANALYTICS"),
    ];
    let shape = Shape::new("");
    shape.file("macros/names.sql", MACROS);
    for (custom, _) in PLACES {
        shape.model(&format!("models/in_{custom}.sql"), custom);
    }
    for tool in every() {
        let moves = shape.moves(&tool, &PLACES.map(|(_, schema)| schema));
        for (custom, schema) in PLACES {
            let at = moves.at(&format!("model.shop.in_{custom}"));
            assert_eq!(at, format!("{schema}__build_r2"));
        }
    }
}
