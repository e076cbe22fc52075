use proptest::prelude::*;

use super::*;

const PLACE: Place<'_> = Place { profile: "shop", target: "prod", keys: &["path"] };

fn spliced(text: &str) -> String {
    splice(text, &PLACE, "/new").unwrap()
}

/// A profiles.yml whose output `prod` has this body.
fn with_output(output: &str) -> String {
    format!("shop:\n  target: prod\n  outputs:\n    prod:{output}\n")
}

#[test]
fn only_the_value_changes_and_comments_and_jinja_stay() {
    let text = "# é ü 漢字\r\nother:\r\n  outputs: {prod: {path: keep}}\r\nshop:\r\n  target: \"{{ \
                env_var('T') }}\" # path: no\r\n  outputs:\r\n    dev: {type: duckdb, path: \
                keep}\r\n    prod:\r\n      type: duckdb\r\n      path: \"{{ env_var('P') \
                }}\"   # the file\r\n      threads: 4\r\n";
    let wanted = text.replace("\"{{ env_var('P') }}\"", "\"/new\"");
    assert_eq!(spliced(text), wanted);
}

#[test]
fn every_style_of_scalar_is_replaced() {
    for (old, new) in [
        ("plain.duckdb", "\"/new\""),
        ("'it''s'", "\"/new\""),
        ("\"a\\\"b\"", "\"/new\""),
        ("", " \"/new\""),
        ("# nothing", " \"/new\"# nothing"),
        ("|\n        block\n        more\n\n", "\"/new\"\n\n"),
        (">- # header\n        folded", "\"/new\""),
        ("two\n        lines", "\"/new\""),
        ("!!str x", "\"/new\""),
    ] {
        let text = with_output(&format!("\n      path: {old}\n      threads: 1"));
        let wanted = with_output(&format!("\n      path: {new}\n      threads: 1"));
        let wanted = if old.is_empty() || old.starts_with('#') {
            wanted.replace("path:  ", "path: ").replace("\"# ", "\" # ")
        } else {
            wanted
        };
        assert_eq!(spliced(&text).replace("\"/new\" \n", "\"/new\"\n"), wanted, "from {old:?}");
    }
}

#[test]
fn a_flow_mapping_is_edited_in_place() {
    assert_eq!(
        spliced(&with_output(" {type: duckdb, path: 'ü', x: 1}")),
        with_output(" {type: duckdb, path: \"/new\", x: 1}")
    );
    assert_eq!(
        spliced(&with_output(" &p {\"type\":\"duckdb\"}")),
        with_output(" &p {path: \"/new\", \"type\":\"duckdb\"}")
    );
}

#[test]
fn a_key_that_only_a_merge_gives_is_inserted() {
    let base = "base: &base\n  type: duckdb\n  path: old\n";
    let text = format!("{base}{}", with_output("\n      <<: *base\n      threads: 2"));
    let wanted = format!(
        "{base}{}",
        with_output("\n      path: \"/new\"\n      <<: *base\n      threads: 2")
    );
    assert_eq!(spliced(&text), wanted);
}

#[test]
fn an_output_that_is_an_alias_overrides_what_it_names() {
    let text =
        "shop:\n  outputs:\n    dev: &dev\n      type: duckdb\n      path: old\n    prod: *dev\n";
    let new = spliced(text);
    assert!(new.contains("path: old\n    prod: {<<: *dev , path: \"/new\"}\n"), "{new}");
}

#[test]
fn an_anchored_output_that_others_inherit_is_edited() {
    let text = "shop:\n  outputs:\n    prod: &prod\n      type: duckdb\n      path: &p old\n    dev:\n      <<: *prod\n    raw:\n      path: *p\n";
    assert_eq!(spliced(text), text.replace("&p old", "&p \"/new\""));
}

#[test]
fn a_value_that_the_output_uses_twice_is_refused() {
    let text = with_output("\n      path: &p old\n      external_root: *p");
    let failure = splice(&text, &PLACE, "/new").unwrap_err();
    assert!(failure.message.contains("anchor"), "{failure}");
}

#[test]
fn a_key_inside_a_key_is_made_where_it_is_missing() {
    let place = Place { keys: &["config_options", "access_mode"], ..PLACE };
    let mode = |output: &str| splice(&with_output(output), &place, "READ_ONLY").unwrap();
    assert_eq!(
        mode(" {path: x}"),
        with_output(" {config_options: {\"access_mode\":\"READ_ONLY\"}, path: x}")
    );
    assert_eq!(
        mode("\n      config_options:\n      path: x"),
        with_output("\n      config_options: {\"access_mode\":\"READ_ONLY\"}\n      path: x")
    );
    assert_eq!(
        mode("\n      config_options:\n        threads: 1"),
        with_output(
            "\n      config_options:\n        access_mode: \"READ_ONLY\"\n        threads: 1"
        )
    );
}

#[test]
fn an_output_that_is_not_there_is_refused() {
    let failure = splice("shop:\n  outputs: {dev: {path: x}}\n", &PLACE, "/new").unwrap_err();
    assert_eq!(failure.kind, crate::failure::Kind::Usage);
}

/// Ways to write an output with a path.
fn outputs() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n      type: duckdb\n      path: OLD\n      threads: 1"),
        Just(" {path: OLD, type: duckdb}"),
        Just(" { type: duckdb, 'path' : OLD }"),
        Just("\n\n      # note\n      path:   OLD   # c\n      a: [path, {path: x}]"),
        Just("\n      a: {path: x}\n      path:\n        OLD"),
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn any_value_survives_yaml_and_jinja(
        output in outputs(),
        old in prop_oneof![Just("x.duckdb"), Just("'ü \" x'"), Just("\"{{ env_var('A', 'é') }}\"")],
        comment in "[a-zé漢🦆 :{}'\"]{0,12}",
        crlf: bool,
        value in "[ -~éü漢🦆\u{85}\u{a0}\u{2028}\\\\'\"{}%#]{1,24}",
    ) {
        let mut text = format!("# {comment}\n{}", with_output(&output.replace("OLD", old)));
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let new = splice(&text, &PLACE, &value).unwrap();
        let read = load(&new).unwrap();
        let written = read["shop"]["outputs"]["prod"]["path"].as_str().unwrap().to_owned();
        let env: jinja::Env = std::sync::Arc::new(|_: &str| None);
        let vars = || Ok(std::collections::BTreeMap::default());
        let renderer = jinja::Renderer::new(env, std::sync::Arc::new(vars));
        prop_assert_eq!(renderer.text(&written, "path").unwrap(), value);
        // Everything outside the value is as it was, byte for byte.
        let at = text.find(old).unwrap();
        prop_assert!(new.starts_with(&text[..at]));
        prop_assert!(new.ends_with(&text[at + old.len()..]));
    }
}

#[test]
fn an_alias_of_an_output_that_inherits_is_followed() {
    let text = "base: &base {type: duckdb, path: x, threads: 2}\nshop:\n  outputs:\n    dev: &dev\n      <<: *base\n      path: dev.duckdb\n    prod: *dev\n";
    let new = spliced(text);
    assert!(new.ends_with("prod: {<<: *dev , path: \"/new\"}\n"), "{new}");
}
