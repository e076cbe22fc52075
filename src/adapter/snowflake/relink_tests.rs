use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::adapter::snowflake::ident::Ident;

fn database(name: &str) -> Database {
    Database(Ident::from_sql(name).unwrap())
}

fn schema(name: &str) -> SchemaPath {
    SchemaPath::from_sql(name).unwrap()
}

#[track_caller]
fn changes(query: &str, wanted: &str) {
    let relinked = relink(query, &database("prod"));
    assert_eq!(relinked.doubts, [], "{query}");
    assert_eq!(relinked.text, wanted);
    assert_eq!(relink(wanted, &database("prod")).text, wanted, "a second time");
}

#[track_caller]
fn stays(query: &str) {
    changes(query, query);
}

#[track_caller]
fn doubts(query: &str, why: &Why) {
    let relinked = relink(query, &database("prod"));
    let found: Vec<&Why> = relinked.doubts.iter().map(|doubt| &doubt.why).collect();
    assert_eq!(found, [why], "{query} became {}", relinked.text);
    assert!(relinked.faithful().is_err());
}

#[test]
fn tables_lose_their_database_however_it_is_written() {
    changes("select * from prod.s.t", "select * from s.t");
    changes(
        "select * from PROD.S.T x join \"PROD\".\"S\".\"t\" y on x.a=y.a",
        "select * from S.T x join \"S\".\"t\" y on x.a=y.a",
    );
    changes("select 1 from prod /* a.b */ . s -- c\n.t", "select 1 from  /* a.b */  s -- c\n.t");
    changes(
        "select 1 from a.b.c, Prod.s.t as t, lateral flatten(t.x) f",
        "select 1 from a.b.c, s.t as t, lateral flatten(t.x) f",
    );
    changes(
        "select 1 from (prod.s.t join (prod.s.u cross join prod.s.v))",
        "select 1 from (s.t join (s.u cross join s.v))",
    );
    changes("select * from\"PROD\".s.t", "select * from s.t");
    changes("select * from table(prod.s.f(1)), prod.s.t", "select * from table(s.f(1)), s.t");
    changes("select $1 from @prod.s.st/p//q", "select $1 from @s.st/p//q");
}

#[test]
fn names_of_other_databases_and_cases_stay() {
    stays("select * from \"prod\".s.t");
    stays("select * from prod2.s.t, dev.prod.t, s.t, t, x.prod.prod");
}

#[test]
fn columns_follow_their_tables_and_functions_and_sequences_too() {
    changes("select prod.s.t.a, prod.s.t.* from prod.s.t", "select s.t.a, s.t.* from s.t");
    changes("select prod.s.f(1), prod.s.q.nextval from x", "select s.f(1), s.q.nextval from x");
}

#[test]
fn every_clause_that_names_a_table_is_known() {
    for (before, after) in [
        (
            "select {'a': prod.s.f(1), 'b': [prod.s.g(2)]} from x",
            "select {'a': s.f(1), 'b': [s.g(2)]} from x",
        ),
        ("select transform(a, x -> prod.s.f(x)) from x", "select transform(a, x -> s.f(x)) from x"),
        (
            "select trim(leading '0' from x), prod.s.t.a:b.c::string from prod.s.t",
            "select trim(leading '0' from x), s.t.a:b.c::string from s.t",
        ),
        (
            "select (select max(x) from prod.s.u) m, * exclude (a) from prod.s.t at(timestamp => '2026-01-01'::timestamp_tz) t",
            "select (select max(x) from s.u) m, * exclude (a) from s.t at(timestamp => '2026-01-01'::timestamp_tz) t",
        ),
        (
            "select a from prod.s.t pivot(sum(a) for b in (select c from prod.s.u)) p, prod.s.w",
            "select a from s.t pivot(sum(a) for b in (select c from s.u)) p, s.w",
        ),
        (
            "select a from prod.s.t match_recognize(partition by a, b order by c measures d as e pattern (x) define x as y > 1)",
            "select a from s.t match_recognize(partition by a, b order by c measures d as e pattern (x) define x as y > 1)",
        ),
        (
            "select listagg(a, ',') within group (order by b) from prod.s.t minus select * from prod.s.u",
            "select listagg(a, ',') within group (order by b) from s.t minus select * from s.u",
        ),
        (
            "select * from prod.s.t t asof join prod.s.u u match_condition (t.a >= u.a) on t.b = u.b, prod.s.v",
            "select * from s.t t asof join s.u u match_condition (t.a >= u.a) on t.b = u.b, s.v",
        ),
        (
            "select * from prod.information_schema.tables qualify row_number() over (partition by a, b order by c) = 1",
            "select * from information_schema.tables qualify row_number() over (partition by a, b order by c) = 1",
        ),
        (
            "select case when a in (select b from prod.s.t) then 1 end from (with c as (select * from prod.s.u) select * from c), prod.s.v",
            "select case when a in (select b from s.t) then 1 end from (with c as (select * from s.u) select * from c), s.v",
        ),
        (
            "select \"PROD\".a from prod.s.t as \"PROD\" join prod.s.u on \"PROD\".a = u.a",
            "select \"PROD\".a from s.t as \"PROD\" join s.u on \"PROD\".a = u.a",
        ),
        (
            "select array(select a from prod.s.t) x, extract(year from (select d from prod.s.u)) from y",
            "select array(select a from s.t) x, extract(year from (select d from s.u)) from y",
        ),
    ] {
        changes(before, after);
    }
}

#[test]
fn aliases_ctes_and_columns_with_the_databases_name_are_not_it() {
    stays("select prod.a, prod.b.c from x.y.z as prod");
    stays("with prod as (select 1 a) select prod.a from prod");
    stays("select a.prod, v:prod.s.t, v:a[0].prod.s.t, prod from x a");
    stays("select t.prod.c from x.prod as t");
    stays("select prod.t.c from prod.t");
    changes(
        "with prod as (select * from prod.s.t) select prod.a from prod",
        "with prod as (select * from s.t) select prod.a from prod",
    );
}

#[test]
fn texts_and_comments_are_never_changed() {
    stays(
        "select 'see prod.s.t for more', $$from prod.s.t$$ -- from prod.s.t\n/* prod.s.t */ from x",
    );
    stays("select 'it''s \\' prod.s.t', \"prod.s.t\" from x");
    stays("select * from x where env = 'PROD'");
    stays("select * from table(split_to_table('dev,prod', ','))");
}

#[test]
fn from_is_not_always_the_clause() {
    doubts("select extract(day from prod.s.t) from x", &Why::Ambiguous);
    doubts("select a is distinct from prod.s.t from x", &Why::Ambiguous);
    doubts("select a is not distinct from prod.s.t from x", &Why::Ambiguous);
    doubts("select * from x order by a, prod.s.t", &Why::Ambiguous);
    doubts("select * from values (1), (prod.s.t)", &Why::Ambiguous);
}

#[test]
fn what_cannot_be_told_is_a_doubt() {
    doubts("select prod.s.t.a from prod.s.t, x prod", &Why::Shadowed);
    doubts("select prod.s.t.a from s.t", &Why::Ambiguous);
    doubts("select prod.s.t.a.b from x", &Why::TooManyParts);
    doubts("select * from prod..t", &Why::DoubleDot);
    doubts("select a::prod.s.ty from x", &Why::Type);
    for text in [
        "select * from identifier('prod.s.t')",
        "select * from identifier('\"PROD\".s.t')",
        "select * from table('prod.s.t')",
        "select get_ddl('view', 'PROD.S.V')",
        "select system$clustering_information('prod.s.t', '(a)')",
        "select 'prod.s.t'",
        "select '\\x50ROD.s.t'",
        "select '@prod.s.st/a b'",
        "select current_database() = 'PROD'",
        "select * from prod_x where table_catalog = 'prod'",
    ] {
        doubts(text, &Why::InText);
    }
}

#[test]
fn what_is_left_of_a_columns_qualifier_must_not_mean_an_alias() {
    // `s.t.a` would be a path into the column t of the alias s.
    doubts("select prod.s.t.a from prod.s.t, x as s", &Why::Shadowed);
    doubts("select prod.s.q.nextval from x s", &Why::Shadowed);
    doubts("with s as (select 1 t) select prod.s.t.a from prod.s.t, s", &Why::Shadowed);
    let drop = Rewrite::DropSchema(schema("prod.s"));
    for query in [
        "select prod.s.t.a from prod.s.t, x.y.z as t",
        "select s.t.a from s.t, x.y.z t",
        "select prod.s.t.a from prod.s.t, x.y.t",
    ] {
        let relinked = rewrite(query, &drop);
        assert_eq!(relinked.doubts[0].why, Why::Shadowed, "{query} became {}", relinked.text);
    }
    let relinked = rewrite("select prod.s.t.a, t.b from prod.s.t", &drop);
    assert_eq!(relinked.faithful().unwrap(), "select t.a, t.b from t");
}

#[test]
fn what_is_left_beside_an_operator_begins_no_comment() {
    changes("select 1 -prod-- x\n.s.f(2)", "select 1 - -- x\ns.f(2)");
    changes("select 1 /prod/* x */.s.f(2)", "select 1 / /* x */s.f(2)");
}

#[test]
fn any_mention_of_a_build_in_a_text_is_a_doubt() {
    let build = database("P__BUILD_R43");
    let relinked = relink("select 'built by p__build_r43 today'", &build);
    assert_eq!(relinked.doubts[0].why, Why::InText);
}

#[test]
fn a_text_that_cannot_be_read_is_a_doubt_only_if_it_could_matter() {
    let relinked = relink("select /* /* */ 1 from prod.s.t", &database("prod"));
    assert!(matches!(relinked.doubts[0].why, Why::Unreadable(_)));
    assert_eq!(relinked.text, "select /* /* */ 1 from prod.s.t");
    assert_eq!(relink("select /* /* */ 1", &database("prod")).doubts, []);
}

#[test]
fn a_doubt_says_where_it_is() {
    let relinked = relink("select 'é',\n  prod.s.t", &database("prod"));
    assert_eq!(
        relinked.doubts[0].to_string(),
        "line 2, column 3: `prod.s.t`: this may be an object's name or a path into a column"
    );
}

#[test]
fn a_schema_is_dropped_inside_itself_and_replaced_across() {
    let drop = Rewrite::DropSchema(schema("prod.s__build_r2"));
    let dropped = |query: &str| rewrite(query, &drop);
    let query = "select s__build_r2.t.a, u.b from prod.s__build_r2.t, S__BUILD_R2.u, prod.other.v, s__build_r2.x.y";
    let wanted = "select t.a, u.b from t, u, prod.other.v, s__build_r2.x.y";
    let relinked = dropped(query);
    assert_eq!(relinked.doubts, []);
    assert_eq!(relinked.text, wanted);
    let hidden = dropped("with t as (select * from prod.s__build_r2.t) select * from t");
    assert_eq!(hidden.doubts[0].why, Why::HiddenByCte);
    assert_eq!(dropped("select prod.s__build_r2.f(1)").doubts[0].why, Why::Function);

    let replace = Rewrite::ReplaceSchema(schema("prod.s__build_r2"), schema("prod.s").schema);
    let replaced = rewrite(
        "with t as (select prod.s__build_r2.f(1) from prod.s__build_r2.t, @s__build_r2.st/x) select * from t",
        &replace,
    );
    assert_eq!(replaced.doubts, []);
    assert_eq!(
        replaced.text,
        "with t as (select prod.\"S\".f(1) from prod.\"S\".t, @\"S\".st/x) select * from t"
    );
}

/// A piece of a query and what it must become.
type Piece = (String, String);

fn same(text: &str) -> Piece {
    (text.to_owned(), text.to_owned())
}

fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        1 => Just(" ".to_owned()),
        1 => Just("/* prod.s.t 'x */".to_owned()),
        1 => Just("-- from prod.s.t \"\n".to_owned()),
    ]
}

/// A table: of the database, written in every way, or of another.
fn table() -> impl Strategy<Value = Piece> {
    let ours = prop_oneof![Just("prod"), Just("PROD"), Just("Prod"), Just("\"PROD\"")];
    let schema = prop_oneof![Just("s"), Just("\"s.x\""), Just("prod"), Just("\"PROD\"")];
    let object = prop_oneof![Just("t"), Just("\"t \"\"q\""), Just("orders"), Just("from_x")];
    let parts = (ours, schema, object, prop::collection::vec(gap(), 4));
    prop_oneof![
        3 => parts.prop_map(|(db, schema, object, gaps)| {
            let tail = format!("{schema}{}.{}{object}", gaps[2], gaps[3]);
            (format!("{db}{}.{}{tail}", gaps[0], gaps[1]), format!("{}{}{tail}", gaps[0], gaps[1]))
        }),
        1 => prop_oneof![
            Just("dev.s.t"), Just("\"prod\".s.t"), Just("prod.t"), Just("cte"), Just("identifier($x)"),
            Just("prodx.prod.t"), Just("(values (1, 'prod.s.t x'))"),
        ].prop_map(same),
    ]
}

/// A value that must stay, or a call that must change.
fn value() -> impl Strategy<Value = Piece> {
    prop_oneof![
        6 => prop_oneof![
            Just("1.5e3"), Just("a.b"), Just("'from prod.s.t; it''s'"), Just("'x\\' prod.s.t '"),
            Just("$$ prod.s.t ' $$"), Just("v:prod.s.t::int"), Just("x.\"prod.s.t\""), Just("$1"),
            Just("v[0].prod.s.t"), Just("extract(day from a)"), Just("a is not distinct from b"),
            Just("count(*) over (partition by a, b order by c)"), Just("prod.c"), Just("f(a => 1)"),
        ].prop_map(same),
        1 => Just(("prod.s.f(1, 'a')".to_owned(), "s.f(1, 'a')".to_owned())),
        1 => Just(("\"PROD\" . s.\"F\" (prod.s.g())".to_owned(), "  s.\"F\" (s.g())".to_owned())),
    ]
}

fn joined(pieces: Vec<Piece>, separator: &str) -> Piece {
    let (before, after): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
    (before.join(separator), after.join(separator))
}

fn query() -> impl Strategy<Value = Piece> {
    let select = (
        prop::collection::vec(value(), 1..4),
        prop::collection::vec((table(), 0..6usize), 1..4),
        prop::option::of(value()),
    )
        .prop_map(|(values, tables, filter)| {
            let (values, wanted) = joined(values, ", ");
            let mut before = format!("select {values} from ");
            let mut after = format!("select {wanted} from ");
            for (at, ((table, wanted), join)) in tables.into_iter().enumerate() {
                let link = match (at, join) {
                    (0, _) => "",
                    (_, 0) => ",\n",
                    (_, 1) => " left outer join ",
                    (_, 2) => "\njoin lateral ",
                    (_, 3) => ", lateral flatten(input => v:prod.s.t) f, ",
                    (_, 4) => " join x using (a, b) natural join ",
                    _ => " sample (10) as q (c, d) cross join ",
                };
                write!(before, "{link}{table} ").unwrap();
                write!(after, "{link}{wanted} ").unwrap();
            }
            if let Some((filter, wanted)) = filter {
                write!(before, "where {filter} group by 1, 2").unwrap();
                write!(after, "where {wanted} group by 1, 2").unwrap();
            }
            (before, after)
        });
    select.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| joined(vec![a, b], " union all ")),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| {
                let wrap = |a: &str, b: &str| {
                    format!("with recursive c (n) as ({a}), d as ({b}) select * from c, d")
                };
                (wrap(&a, &b), wrap(&x, &y))
            }),
            (inner.clone(), inner).prop_map(|((a, x), (b, y))| {
                let wrap = |a: &str, b: &str| {
                    format!("select * from ({a}) q where z in ({b}) and exists ({a})")
                };
                (wrap(&a, &b), wrap(&x, &y))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn queries_of_a_known_meaning_become_what_they_must((query, wanted) in query()) {
        let relinked = relink(&query, &database("prod"));
        prop_assert_eq!(&relinked.doubts, &[]);
        prop_assert_eq!(squeeze(&relinked.text), squeeze(&wanted));
        let again = relink(&relinked.text, &database("prod"));
        prop_assert_eq!(again.text, relinked.text);
        prop_assert_eq!(again.changed, 0);
    }

    #[test]
    fn any_soup_of_tokens_is_relinked_once_and_its_texts_stay(
        words in prop::collection::vec(prop_oneof![
            Just("prod"), Just("\"PROD\""), Just("."), Just("s"), Just("t"), Just("("), Just(")"), Just(","),
            Just("from"), Just("select"), Just("join"), Just("as"), Just("'prod.s.t x'"), Just("$$prod.s$$"),
            Just("/*prod.s.t*/"), Just(" "), Just("\n"), Just(":"), Just("@prod.s.t"), Just("1"), Just("table"),
            Just("-"), Just("--prod\n"), Just("/"), Just("//prod\n"), Just("$"), Just("'"), Just("*"),
        ], 0..40)
    ) {
        let query: String = words.concat();
        let relinked = relink(&query, &database("prod"));
        prop_assert_eq!(&relink(&relinked.text, &database("prod")).text, &relinked.text);
        let kept = |text: &str| -> Vec<String> {
            use crate::adapter::snowflake::tokens::Kind;
            let kept = [Kind::Text, Kind::Dollar, Kind::Comment];
            tokens(text).unwrap().iter().filter(|token| kept.contains(&token.kind))
                .map(|token| token.text.to_owned()).collect()
        };
        if tokens(&query).is_ok() {
            prop_assert_eq!(kept(&query), kept(&relinked.text));
        }
    }
}

/// Without the spaces that keep tokens apart.
fn squeeze(text: &str) -> String {
    text.split([' ']).collect()
}
