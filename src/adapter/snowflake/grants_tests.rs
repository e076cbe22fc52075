use super::*;

fn database() -> Container {
    Container::Database(Database(Ident::from_sql("P").unwrap()))
}

fn rows(columns: &[&str], rows: &[&[&str]]) -> Rows {
    Rows {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows: rows
            .iter()
            .map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect())
            .collect(),
    }
}

const ON: [&str; 6] =
    ["privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option"];
const FUTURE: [&str; 6] =
    ["privilege", "grant_on", "name", "grant_to", "grantee_name", "grant_option"];

fn read(shown: Shown, columns: &[&str], cells: &[&str]) -> Result<Vec<String>, BadRow> {
    let mut grants = Grants::default();
    grants.add(shown, &database(), &rows(columns, &[cells]))?;
    Ok(grants.0.iter().map(|(grant, option)| format!("{grant} {option}")).collect())
}

#[test]
fn grants_on_the_container_and_in_it_are_relative_to_it() {
    let on = |cells: &[&str]| read(Shown::On, &ON, cells).unwrap();
    assert_eq!(
        on(&["USAGE", "DATABASE", "P", "ROLE", "R", "true"]),
        ["USAGE on the database to role R true"]
    );
    assert_eq!(
        on(&["SELECT", "MATERIALIZED_VIEW", "P.\"low s\".T", "DATABASE_ROLE", "DR", "false"]),
        ["SELECT on materialized view \"low s\".T to database role DR false"]
    );
    assert_eq!(
        on(&["SELECT", "TABLE", "P.S.T", "DATABASE_ROLE", "P.DR", "false"]),
        ["SELECT on table S.T to database role DR false"]
    );
    assert_eq!(
        on(&["SELECT", "TABLE", "P.S.T", "ROLE", "my.role", "false"]),
        ["SELECT on table S.T to role \"my.role\" false"]
    );
}

#[test]
fn ownership_and_inherited_rows_are_skipped_and_future_ownership_is_not() {
    assert!(
        read(Shown::On, &ON, &["OWNERSHIP", "TABLE", "P.S.T", "ROLE", "R", "true"])
            .unwrap()
            .is_empty()
    );
    let columns =
        ["privilege", "granted_on", "name", "granted_to", "grantee_name", "inherited_from"];
    let cells = ["SELECT", "TABLE", "P.S.T", "ROLE", "R", "SCHEMA"];
    assert!(read(Shown::On, &columns, &cells).unwrap().is_empty());
    assert_eq!(
        read(Shown::Future, &FUTURE, &["OWNERSHIP", "TABLE", "P.S.<TABLE>", "ROLE", "R", "false"])
            .unwrap(),
        ["OWNERSHIP on every future table in S to role R false"]
    );
}

#[test]
fn future_and_inherited_grants_know_where_they_hold() {
    let future = |cells: &[&str]| read(Shown::Future, &FUTURE, cells).unwrap();
    assert_eq!(
        future(&["USAGE", "SCHEMA", "P.<SCHEMA>", "ROLE", "R", "false"]),
        ["USAGE on every future schema in the container to role R false"]
    );
    assert_eq!(
        future(&["SELECT", "VIEW", "P.\"a.b\".<VIEW>", "ROLE", "R", "false"]),
        ["SELECT on every future view in \"a.b\" to role R false"]
    );
    let inherited =
        read(Shown::Inherited, &ON, &["SELECT", "TABLE", "P.S", "ROLE", "R", "false"]).unwrap();
    assert_eq!(inherited, ["SELECT on every table in S, inherited to role R false"]);
}

#[test]
fn a_function_is_known_by_its_argument_types() {
    for (shown, types) in [
        ("F():NUMBER(38,0)", ""),
        ("F(A NUMBER, B VARCHAR(10)):TABLE (X NUMBER)", "NUMBER, VARCHAR(10)"),
        ("F(A NUMBER(38,0), B ARRAY)", "NUMBER(38,0), ARRAY"),
        ("F(VARCHAR):VARCHAR", "VARCHAR"),
    ] {
        assert_eq!(
            signature(shown),
            Some((Ident::verbatim("F").unwrap(), types.to_owned())),
            "{shown}"
        );
    }
    assert_eq!(signature("F(A \"X\")"), None);
    assert_eq!(signature("F"), None);
    assert_eq!(signature("F(NUMBER(38, 0)):NUMBER"), None);
    let row = ["USAGE", "FUNCTION", "P.S.\"F(A NUMBER):NUMBER(38,0)\"", "ROLE", "R", "false"];
    assert_eq!(read(Shown::On, &ON, &row).unwrap(), ["USAGE on function S.F to role R false"]);
}

#[test]
fn what_is_not_understood_is_refused_with_its_row() {
    for row in [
        ["SELECT", "TABLE", "Q.S.T", "ROLE", "R", "false"],
        ["SELECT", "TABLE", "P.S.T", "DATABASE_ROLE", "Q.DR", "false"],
        ["SELECT", "TABLE", "P..T", "ROLE", "R", "false"],
        ["USAGE", "FUNCTION", "P.S.F", "ROLE", "R", "false"],
    ] {
        let bad = read(Shown::On, &ON, &row).unwrap_err();
        assert!(bad.to_string().contains("privilege="), "{bad}");
    }
    assert!(read(Shown::On, &["privilege"], &["SELECT"]).is_err());
}
