use proptest::prelude::*;

use super::*;
use crate::adapter::snowflake::ident::Database;

fn ident(name: &str) -> Ident {
    Ident::verbatim(name).unwrap()
}

fn build() -> Container {
    Container::Database(Database(ident("P__BUILD_R2")))
}

fn object(kind: &str, name: &[&str]) -> On {
    On::Object {
        kind: kind.to_owned(),
        name: name.iter().map(|part| ident(part)).collect(),
        arguments: None,
    }
}

fn grants(all: &[(&str, On, Grantee, bool)]) -> Grants {
    let one = |(privilege, on, to, option): &(&str, On, Grantee, bool)| {
        let grant = Grant { on: on.clone(), to: to.clone(), privilege: (*privilege).to_owned() };
        (grant, *option)
    };
    Grants(all.iter().map(one).collect())
}

fn role(name: &str) -> Grantee {
    Grantee::Role(ident(name))
}

fn run(from: &Grants, to: &Grants) -> Replay {
    let container = build();
    let target = Target {
        container: &container,
        kind_of: &|kind, name| match name.last().map(Ident::as_str) {
            Some("GONE") => None,
            Some("CHANGED") => Some("VIEW".to_owned()),
            _ => Some(kind.to_owned()),
        },
        leave_shares: false,
    };
    replay(from, to, &target)
}

#[test]
fn what_is_missing_is_granted_and_what_is_too_much_revoked() {
    let within = |name: &str| vec![ident(name)];
    let from = grants(&[
        ("USAGE", object("DATABASE", &[]), role("R"), false),
        ("SELECT", object("TABLE", &["S", "my t\"x"]), Grantee::DatabaseRole(ident("DR")), true),
        (
            "SELECT",
            On::Future { kind: "FILE FORMAT".into(), within: within("S") },
            role("low"),
            false,
        ),
        ("OWNERSHIP", On::Future { kind: "TABLE".into(), within: vec![] }, role("R"), true),
        ("SELECT", On::Inherited { kind: "TABLE".into(), within: vec![] }, role("R"), true),
        ("USAGE", object("SCHEMA", &["S"]), Grantee::User(ident("U")), false),
        (
            "APPLY",
            On::Future { kind: "MASKING POLICY".into(), within: vec![] },
            Grantee::Application(ident("A")),
            false,
        ),
    ]);
    let to = grants(&[
        ("USAGE", object("DATABASE", &[]), role("R"), true),
        ("INSERT", object("TABLE", &["S", "T"]), role("OLD"), false),
    ]);
    assert_eq!(
        run(&from, &to).statements,
        [
            "REVOKE GRANT OPTION FOR USAGE ON DATABASE \"P__BUILD_R2\" FROM ROLE \"R\"",
            "REVOKE INSERT ON TABLE \"P__BUILD_R2\".\"S\".\"T\" FROM ROLE \"OLD\"",
            "GRANT USAGE ON SCHEMA \"P__BUILD_R2\".\"S\" TO USER \"U\"",
            "GRANT SELECT ON TABLE \"P__BUILD_R2\".\"S\".\"my t\"\"x\" TO DATABASE ROLE \"P__BUILD_R2\".\"DR\" WITH GRANT OPTION",
            "GRANT APPLY ON FUTURE MASKING POLICIES IN DATABASE \"P__BUILD_R2\" TO APPLICATION \"A\"",
            "GRANT OWNERSHIP ON FUTURE TABLES IN DATABASE \"P__BUILD_R2\" TO ROLE \"R\"",
            "GRANT SELECT ON FUTURE FILE FORMATS IN SCHEMA \"P__BUILD_R2\".\"S\" TO ROLE \"low\"",
            "GRANT INHERITED SELECT ON ALL TABLES IN DATABASE \"P__BUILD_R2\" TO ROLE \"R\"",
        ]
    );
    assert_eq!(run(&from, &to).refused, [""; 0]);
}

#[test]
fn a_model_that_became_a_view_keeps_what_views_have() {
    let from = grants(&[
        ("SELECT", object("TABLE", &["S", "CHANGED"]), role("R"), false),
        ("INSERT", object("TABLE", &["S", "CHANGED"]), role("R"), false),
        ("SELECT", object("TABLE", &["S", "GONE"]), role("R"), false),
    ]);
    let replay = run(&from, &Grants::default());
    assert_eq!(
        replay.statements,
        ["GRANT SELECT ON VIEW \"P__BUILD_R2\".\"S\".\"CHANGED\" TO ROLE \"R\""]
    );
    assert_eq!(replay.refused, ["INSERT on table S.CHANGED to role R: it is a view now"]);
    assert_eq!(replay.gone, ["SELECT on table S.GONE to role R"]);
}

#[test]
fn shares_and_grantees_of_no_known_kind_stop_it() {
    let from = grants(&[
        ("SELECT", object("TABLE", &["S", "T"]), Grantee::Share("ACC.SH".into()), false),
        (
            "USAGE",
            object("DATABASE", &[]),
            Grantee::Other("APPLICATION ROLE".into(), "A.B".into()),
            false,
        ),
    ]);
    let replay = run(&from, &Grants::default());
    assert!(replay.statements.is_empty());
    assert_eq!(replay.refused.len(), 2);
    assert!(replay.refused[0].contains("share"), "{:?}", replay.refused);
}

#[test]
fn only_the_owner_of_a_managed_schema_grants_in_it() {
    let managed = |managed| Management { managed, owner: ident("OWNER") };
    assert!(managed(true).hindrance(&ident("R"), false).unwrap().contains("OWNER"));
    assert_eq!(managed(true).hindrance(&ident("OWNER"), false), None);
    assert_eq!(managed(true).hindrance(&ident("R"), true), None);
    assert_eq!(managed(false).hindrance(&ident("R"), false), None);
}

fn some_grants() -> impl Strategy<Value = Grants> {
    let on = prop_oneof![
        Just(object("DATABASE", &[])),
        Just(object("SCHEMA", &["S"])),
        Just(object("TABLE", &["S", "T"])),
        Just(On::Future { kind: "VIEW".into(), within: vec![] }),
        Just(On::Inherited { kind: "TABLE".into(), within: vec![ident("S")] }),
    ];
    let to = prop_oneof![Just(role("A")), Just(role("b")), Just(Grantee::DatabaseRole(ident("D")))];
    let grant = (on, to, prop_oneof![Just("USAGE"), Just("SELECT")], any::<bool>());
    prop::collection::vec(grant, 0..8).prop_map(|all| {
        let all = all.into_iter().map(|(on, to, privilege, option)| {
            let option = option && !matches!(on, On::Inherited { .. });
            (Grant { on, to, privilege: privilege.to_owned() }, option)
        });
        Grants(all.collect())
    })
}

proptest! {
    #[test]
    fn there_is_a_statement_for_every_difference_and_none_without(from in some_grants(), to in some_grants()) {
        let replay = run(&from, &to);
        prop_assert!(replay.refused.is_empty());
        prop_assert_eq!(replay.statements.len(), parity(&from, &to).len());
        prop_assert!(run(&from, &from).statements.is_empty());
        prop_assert_eq!(parity(&from, &to).len(), parity(&to, &from).len());
    }
}
