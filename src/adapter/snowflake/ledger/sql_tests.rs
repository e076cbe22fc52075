//! What the statements look like, for whoever reads a query history.

use super::*;
use crate::adapter::snowflake::ident::SchemaPath;
use crate::adapter::snowflake::ledger::{Fence, TOKEN};

fn home() -> Home {
    Home { schema: SchemaPath::from_sql("switchback.ledger").unwrap() }
}

fn statements() -> Statements {
    Statements::new(&home(), "SHOP.it's")
}

fn part(index: usize) -> Part {
    Part { id: "4f2a".into(), index, of: 3, text: r#"{"reason":"it's \"so\"\n"}"#.into() }
}

#[test]
fn the_ledger_is_made_of_two_tables() {
    let sql = statements();
    let all = [
        sql.create_database(),
        sql.create_schema(),
        sql.create_journal(),
        sql.create_leases(),
        sql.add_environment(),
    ];
    insta::assert_snapshot!(all.join(";\n\n"));
}

#[test]
fn the_lease_is_taken_kept_and_given_back_by_one_statement_each() {
    let sql = statements();
    let claimed = |outranked| Claimed {
        nonce: "9c1d",
        holder: r#"{"v":1}"#,
        verb: "rollback",
        run: "run-1",
        ttl: Duration::from_secs(300),
        outranked,
    };
    let all = [
        sql.claim(&claimed(&[])),
        sql.claim(&claimed(&["deploy", "build"])),
        sql.renew(Token(7), Duration::from_millis(1500)),
        sql.release(Token(7)),
        sql.lease(),
    ];
    insta::assert_snapshot!(all.join(";\n\n"));
}

#[test]
fn a_record_is_written_where_the_token_holds_and_nowhere_twice() {
    let sql = statements();
    let all = [
        sql.append(&part(2), Some(Token(7))),
        sql.append(&part(0), Some(Token(7))),
        sql.append(&part(0), None),
        sql.written(&part(0)),
        sql.journal(),
        sql.environments(),
    ];
    insta::assert_snapshot!(all.join(";\n\n"));
}

#[test]
fn a_cutover_tests_the_token_swaps_and_undoes_what_it_swapped_before_an_error() {
    let fence = Fence::new(&home(), "SHOP");
    let swap = |name: &str| {
        let text = format!("ALTER SCHEMA S.{name} SWAP WITH S.{name}__NEXT_R2");
        (text.clone(), text)
    };
    insta::assert_snapshot!(fence.cutover(TOKEN, &[swap("A"), swap("B")]));
    assert!(fence.cutover(7, &[swap("\"$$\"")]).starts_with("EXECUTE IMMEDIATE '"));
}

#[test]
fn names_and_texts_are_quoted_whatever_they_contain() {
    let home = Home { schema: SchemaPath::from_sql("\"my \"\"db\".ledger").unwrap() };
    let sql = Statements::new(&home, "a'b\\c").journal();
    assert!(sql.contains(r#""my ""db"."LEDGER"."JOURNAL""#), "{sql}");
    assert!(sql.contains(r"'a''b\\c'"), "{sql}");
}
