use super::super::catalogue::FACTS;
use super::super::fact::{Fact, Finding, Level};
use super::*;

fn fact(id: &str) -> &'static Fact {
    FACTS.iter().find(|fact| fact.id == id).unwrap()
}

fn report() -> Report {
    let seen = |id: &str, level, seen: &str, note: Option<&str>| {
        Finding::seen(fact(id), level, seen.to_owned(), note.map(str::to_owned))
    };
    let why = "role LOADER lacks a privilege: Insufficient privileges to operate on account \
               'XY12345' (Snowflake 003001, query 01b2); at: CREATE ROLE \"SWITCHBACK_PROBE_0F_2\"";
    let sql =
        "CREATE SCHEMA \"Prod\".\"SWITCHBACK_PROBE_0F_3\" CLONE \"Prod\".\"SWITCHBACK_PROBE_0F_1\"";
    Report {
        prefix: "SWITCHBACK_PROBE_0F".to_owned(),
        about: About {
            version: "9.36.0".to_owned(),
            region: "AWS_EU_CENTRAL_1".to_owned(),
            withheld: vec![
                ("XY12345".to_owned(), "account"),
                ("LOADER".to_owned(), "role"),
                ("Prod".to_owned(), "database"),
            ],
        },
        interrupted: false,
        findings: vec![
            seen("clone-comment", Level::Schema, "kept", None),
            seen("clone-retention", Level::Schema, "lost", None),
            seen("swap-comment", Level::Schema, "stays", None),
            Finding::unsettled(fact("swap-owner"), Level::Schema, why.to_owned()),
            seen("race", Level::Anywhere, "both", Some("1, a, b and 1, a, b")),
        ],
        left: vec!["DROP SCHEMA IF EXISTS \"Prod\".\"SWITCHBACK_PROBE_0F_3\"".to_owned()],
        others: vec!["SWITCHBACK_PROBE_AB_1_HOME".to_owned()],
        statements: BTreeMap::from([(
            "a plain clone (schemas)".to_owned(),
            vec![Ran { sql: sql.to_owned(), outcome: "done".to_owned() }],
        )]),
    }
}

#[test]
fn the_table_says_what_differs_and_why_something_is_not_settled() {
    insta::assert_snapshot!(report().text());
}

#[test]
fn the_json_names_neither_account_nor_role_nor_database() {
    let json = report().json();
    for name in ["XY12345", "LOADER", "Prod\\\"", "\"Prod"] {
        assert!(!json.contains(name), "{name} in {json}");
    }
    insta::assert_snapshot!(json);
}

#[test]
fn the_json_with_names_has_them_when_it_is_asked_for() {
    let value: Value = serde_json::from_str(&report().json_with_names()).unwrap();
    assert_eq!(value["snowflake"]["account"], "XY12345");
    assert_eq!(value["snowflake"]["database"], "Prod");
}

#[test]
fn a_name_is_left_out_as_a_word_only_and_in_any_case() {
    assert_eq!(without("prod, PROD.S and PRODUCT_PROD", "Prod", "database"), {
        "<database>, <database>.S and PRODUCT_PROD"
    });
    assert_eq!(without("aa aa", "a", "x"), "aa aa");
    assert_eq!(without("É prod", "PROD", "x"), "É <x>");
}
