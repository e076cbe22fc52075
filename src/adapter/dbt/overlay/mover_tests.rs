//! Where names go, here and in Jinja: both must say the same.

use minijinja::Environment;
use minijinja_contrib::pycompat::unknown_method_callback;
use proptest::prelude::*;

use super::*;

fn overlay(folds: bool) -> Overlay {
    let map = |live: &str, build: &str| (live.to_owned(), build.to_owned());
    Overlay {
        schemas: [
            map("analytics", "analytics__build_r2"),
            map("analytics_marts", "analytics_marts__build_r2"),
            map("Marts", "Marts__build_r2"),
            map("LOUD", "LOUD__build_r2"),
            map("a_very_long_one", "a_very_0123456789__build_r2"),
            map("über '{%", "über '{%__build_r2"),
        ]
        .into(),
        databases: [map("PROD", "PROD__BUILD_R2")].into(),
        suffix: "__build_r2".to_owned(),
        max_bytes: 63,
        folds,
    }
}

fn mover(folds: bool) -> Mover {
    let target = Some(("analytics", "analytics__build_r2"));
    Mover::new(Component::Schema, &overlay(folds), target).unwrap()
}

fn in_jinja(mover: &Mover, name: &str) -> String {
    let mut environment = Environment::new();
    environment.set_unknown_method_callback(unknown_method_callback);
    let template = mover.inline("{{ name }}");
    environment.render_str(&template, minijinja::context! { name => name }).unwrap()
}

#[test]
fn production_goes_to_the_build_and_what_is_there_stays() {
    let mover = mover(false);
    for (from, to) in [
        ("analytics", "analytics__build_r2"),
        (" analytics_marts\n", "analytics_marts__build_r2"),
        ("analytics_marts__build_r2", "analytics_marts__build_r2"),
        // What dbt's default makes of the moved target.
        ("analytics__build_r2_marts", "analytics_marts__build_r2"),
        ("analytics__build_r2_else", "analytics__build_r2_else"),
        // A macro that changes the case of the target's schema.
        ("LOUD__BUILD_R2", "LOUD__build_r2"),
        ("a_very_long_one", "a_very_0123456789__build_r2"),
        ("Marts", "Marts__build_r2"),
        ("marts", "marts__build_r2"),
        ("über '{%", "über '{%__build_r2"),
        ("unknown", "unknown__build_r2"),
        ("", ""),
    ] {
        assert_eq!(mover.name(from).unwrap(), to, "{from}");
        assert_eq!(in_jinja(&mover, from), to, "{from}");
    }
}

#[test]
fn a_target_whose_build_name_was_shortened_is_taken_back_whole() {
    let target = Some(("a_very_long_one", "a_very_0123456789__build_r2"));
    let mut overlay = overlay(false);
    let (live, build) = ("a_very_long_one_marts", "a_very_9876543210__build_r2");
    overlay.schemas.insert(live.to_owned(), build.to_owned());
    let mover = Mover::new(Component::Schema, &overlay, target).unwrap();
    assert_eq!(mover.name("a_very_0123456789__build_r2_marts").unwrap(), build);
    assert_eq!(in_jinja(&mover, "a_very_0123456789__build_r2_marts"), build);
}

#[test]
fn case_matters_only_where_the_warehouse_says_so() {
    assert_eq!(mover(true).name("MARTS").unwrap(), "Marts__build_r2");
    assert_eq!(in_jinja(&mover(true), "MARTS"), "Marts__build_r2");
    assert_eq!(mover(true).name("ANALYTICS__BUILD_R2_Marts").unwrap(), "analytics_marts__build_r2");
}

#[test]
fn a_database_that_is_not_live_stays_where_it_is() {
    let mover = Mover::new(Component::Database, &overlay(true), None).unwrap();
    for (from, to) in
        [("prod", "PROD__BUILD_R2"), ("RAW", "RAW"), ("PROD__BUILD_R2", "PROD__BUILD_R2")]
    {
        assert_eq!(mover.name(from).unwrap(), to);
        assert_eq!(in_jinja(&mover, from), to);
    }
    assert_eq!(Mover::new(Component::Database, &Overlay::default(), None), None);
}

#[test]
fn an_unknown_schema_too_long_for_the_suffix_is_refused() {
    let failure = mover(false).name(&"x".repeat(60)).unwrap_err();
    assert!(failure.message.contains("63 bytes"), "{failure}");
}

proptest! {
    #[test]
    fn both_say_the_same_and_moving_twice_is_moving_once(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("analytics"), Just("__build_r2"), Just("_marts"), Just("Marts"), Just("x"), Just("LOUD"), Just("__BUILD_R2"),
                Just("a_very_long_one"), Just("a_very_0123456789__build_r2"), Just("é'\"\\"),
            ],
            0..3,
        ),
        folds: bool,
    ) {
        let mover = mover(folds);
        let name = parts.concat();
        let moved = mover.name(&name).unwrap();
        prop_assert_eq!(&in_jinja(&mover, &name), &moved);
        prop_assert_eq!(&mover.name(&moved).unwrap(), &moved);
    }
}
