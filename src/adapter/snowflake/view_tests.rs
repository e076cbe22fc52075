use proptest::prelude::*;

use super::*;
use crate::adapter::snowflake::ident::{Database, Ident};

fn place() -> ObjectPath {
    ObjectPath::from_sql("prod__build_r2.marts.\"v x\"").unwrap()
}

fn how() -> Rewrite {
    Rewrite::DropDatabase(Database(Ident::from_sql("prod__build_r2").unwrap()))
}

fn recreated(ddl: &str) -> String {
    recreate(ddl, &place(), &how()).unwrap().statement
}

#[track_caller]
fn refused(ddl: &str, why: &Why) {
    let doubts = recreate(ddl, &place(), &how()).unwrap_err();
    assert_eq!(&doubts[0].why, why, "{doubts:?}");
}

#[test]
fn what_dbt_created_is_created_again_with_relative_names() {
    let ddl = "create or replace   view prod.marts.\"v x\"\n  \n   as (\n    with a as (\n        select * from prod__build_r2.stg.orders -- prod__build_r2.stg\n)\nselect * from a\n  )\n/* {\"app\": \"dbt\"} */;";
    assert_eq!(
        recreated(ddl),
        "CREATE OR REPLACE VIEW \"PROD__BUILD_R2\".\"MARTS\".\"v x\"\nCOPY GRANTS\nAS\n(\n    with a as (\n        select * from stg.orders -- prod__build_r2.stg\n)\nselect * from a\n  )\n/* {\"app\": \"dbt\"} */"
    );
}

#[test]
fn columns_properties_policies_and_tags_are_restated() {
    let ddl = "create or replace secure recursive view DB.S.V(\n\tID COMMENT 'as (', -- the key\n\t\"e mail\" WITH MASKING POLICY GOV.P.MASK USING (\"e mail\", ID) WITH TAG (GOV.T.PII='x', GOV.T.Q='as')\n) change_tracking=true comment='select as' with row access policy PROD__BUILD_R2.S.RAP on (ID)\n with tag (GOV.T.A='1') as select 1, prod__build_r2.s.f(2);";
    let view = parse(ddl).unwrap();
    assert!(view.secure && view.recursive && view.copy_grants.is_some());
    assert_eq!(&ddl[view.name.clone()], "DB.S.V");
    assert!(ddl[view.columns.clone().unwrap()].ends_with("GOV.T.Q='as')\n)"));
    assert!(ddl[view.properties.clone()].starts_with("change_tracking=true"));
    assert_eq!(&ddl[view.query.clone()], "select 1, prod__build_r2.s.f(2)");
    let statement = recreated(ddl);
    assert!(statement.starts_with(
        "CREATE OR REPLACE SECURE RECURSIVE VIEW \"PROD__BUILD_R2\".\"MARTS\".\"v x\"\n(\n\tID"
    ));
    assert!(statement.contains("row access policy PROD__BUILD_R2.S.RAP on (ID)"));
    assert!(statement.ends_with("\nAS\nselect 1, s.f(2)"));
}

#[test]
fn copy_grants_is_said_once() {
    let ddl = "create view a.b.c (x) copy grants as select 1";
    assert_eq!(recreated(ddl).matches("grants").count(), 1);
    assert!(!recreated(ddl).contains("GRANTS"));
}

#[test]
fn copy_grants_stands_where_the_documentation_has_it() {
    let properties = "with row access policy A.B.P on (x) with tag (A.B.T='comment')";
    let with = |comment: &str| {
        recreated(&format!("create view a.b.c (x) {properties}{comment} as select 1"))
    };
    let middle = format!("(x)\n{properties}\nCOPY GRANTS\n");
    assert!(with("").contains(&format!("{middle}AS\n")), "{}", with(""));
    let comment = with(" comment = 'as it is'");
    assert!(comment.contains(&format!("{middle}comment = 'as it is'\nAS\n")), "{comment}");
    let commented = recreated("create view a.b.c (x) comment='c' change_tracking=true as select 1");
    assert!(commented.contains("(x)\nCOPY GRANTS\ncomment='c' change_tracking=true\nAS"));
}

#[test]
fn what_the_role_may_not_see_is_refused() {
    refused(
        "create or replace view a.b.c (x with masking policy #UNKNOWN_POLICY) as select 1",
        &Why::UnknownPolicy,
    );
    refused(
        "create or replace view a.b.c with tag (#UNKNOWN_TAG='#UNKNOWN_VALUE') as select 1",
        &Why::UnknownTag,
    );
    assert!(parse("create view a.b.c comment='#UNKNOWN_TAG' as select 1").is_ok());
}

#[test]
fn what_is_not_one_plain_view_is_refused() {
    for ddl in [
        "create materialized view a.b.c as select 1",
        "create temporary view a.b.c as select 1",
        "create or alter view a.b.c as select 1",
        "create dynamic table a.b.c as select 1",
        "create view a.b.c as select 1; drop table x",
        "create view a.b.c as ;",
        "create view a.b.c as",
        "create view a.b.c (x",
        "create view a.b.",
        "select 1",
        "",
        "create view a.b.c with row access policy rap on (x) as select 1",
        "create view a.b.c (x with tag (t='1')) as select 1",
        "create view a.b.c (x with tag (a.b.t='1', u='2')) as select 1",
    ] {
        let doubt = parse(ddl).unwrap_err();
        assert!(matches!(doubt.why, Why::NotAView(_)), "{ddl}: {doubt}");
    }
}

#[test]
fn a_doubt_in_the_query_says_where_it_is_in_the_definition() {
    let ddl = "create view a.b.c as\n  select prod__build_r2.s.t";
    let doubts = recreate(ddl, &place(), &how()).unwrap_err();
    assert_eq!((doubts[0].line, doubts[0].column), (2, 10));
    let ddl = "create view a.b.c as select\n 1, prod__build_r2.s.t";
    let doubts = recreate(ddl, &place(), &how()).unwrap_err();
    assert_eq!((doubts[0].line, doubts[0].column), (2, 5));
}

proptest! {
    #[test]
    fn a_view_created_again_is_created_again_the_same(
        secure in any::<bool>(),
        columns in prop::option::of(prop_oneof![Just("(a, b)"), Just("(\"as\" comment 'as' -- x\n)"), Just("(a with masking policy g.p.m)")]),
        properties in prop::collection::vec(prop_oneof![
            Just("comment = 'as select'"), Just("change_tracking = true"), Just("copy grants"),
            Just("with row access policy g.p.r on (a)"), Just("-- as\n"), Just("/* as */"),
        ], 0..4),
        query in prop_oneof![
            Just("select * from prod__build_r2.s.t"), Just("(select 1) -- end"),
            Just("with a as (select 1) select * from a, PROD__BUILD_R2.s.u"),
        ],
        end in prop_oneof![Just(""), Just(";"), Just("\n;\n-- done"), Just("\n")],
    ) {
        let secure = if secure { "secure" } else { "" };
        let end = if query.contains("--") && end == ";" { "\n;" } else { end };
        let ddl = format!("create or replace {secure} view x.y.z {} {} as {query}{end}",
            columns.unwrap_or(""), properties.join(" "));
        let first = recreated(&ddl);
        let again = recreate(&first, &place(), &how()).unwrap();
        prop_assert_eq!(again.statement, first);
        prop_assert_eq!(again.changed, 0);
    }
}
