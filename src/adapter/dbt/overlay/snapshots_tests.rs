//! Targets of snapshots in the ways they are written.

use super::super::mover::Component;
use super::*;
use crate::ports::Overlay;

fn movers() -> Vec<Mover> {
    let overlay = Overlay {
        schemas: [("snaps".to_owned(), "snaps__build_r2".to_owned())].into(),
        suffix: "__build_r2".to_owned(),
        max_bytes: 63,
        ..Overlay::default()
    };
    Component::ALL.into_iter().filter_map(|one| Mover::new(one, &overlay, None)).collect()
}

#[test]
fn the_value_in_a_config_call_is_passed_to_the_mover() {
    let text = "{# config(target_schema='x') #}{% snapshot a %}{{\n  config(\n    \
        target_schema='snaps' ,\n    unique_key='id', check_cols=['target_schema', f(x, y)])\n}}\
        select target_schema from t {% endsnapshot %}\
        {{ config ( strategy='check', target_schema=generate_schema_name('a', node) ~ '_b') }}\
        {{ other(target_schema=1) }}{{ config({'target_schema': 1}) }}{{ config(target_database=2) }}";
    let new = moved_sql(text, &movers()).unwrap();
    let wanted = text.replace("'snaps' ,", "switchback_moved_schema('snaps') ,").replace(
        "generate_schema_name('a', node) ~ '_b'",
        "switchback_moved_schema(generate_schema_name('a', node) ~ '_b')",
    );
    assert_eq!(new, wanted);
    assert_eq!(moved_sql("{{ config(target_database='x') }}", &movers()), None);
    assert_eq!(moved_sql("select target_schema", &movers()), None);
}

#[test]
fn yaml_is_moved_below_snapshots_alone() {
    let text = "models:\n  +target_schema: snaps # not this\nsnapshots:\n  +target_schema: snaps # é\n  \
        shop:\n    other: {\"target_schema\": 'mine', +tags: [target_schema]}\nvars: {target_schema: snaps}\n";
    let new = moved_yaml(text, &movers()).unwrap().unwrap();
    let wanted = text
        .replace("+target_schema: snaps # é", "+target_schema: \"snaps__build_r2\" # é")
        .replace("'mine'", "\"mine__build_r2\"");
    assert_eq!(new, wanted);
    assert_eq!(moved_yaml("models:\n  target_schema: x\n", &movers()).unwrap(), None);
    assert_eq!(moved_yaml("snapshots: [target_schema", &movers()).unwrap(), None);
}

#[test]
fn a_list_of_snapshots_is_looked_through_and_templates_move_when_they_are_rendered() {
    let text =
        "snapshots:\n  - name: a\n    config:\n      target_schema: \"{{ target.schema }}_x\"\n";
    let new = moved_yaml(text, &movers()).unwrap().unwrap();
    let value = yaml::load(&new).unwrap();
    let moved = value["snapshots"][0]["config"]["target_schema"].as_str().unwrap();
    assert!(
        moved.contains("{{ target.schema }}_x") && moved.contains("snaps__build_r2"),
        "{moved}"
    );
}

#[test]
fn a_change_that_an_anchor_would_carry_elsewhere_is_not_made() {
    let text = "snapshots:\n  target_schema: &s snaps\nseeds:\n  +schema: *s\n";
    assert_eq!(moved_yaml(text, &movers()).unwrap(), None);
}
