use proptest::prelude::*;

use super::*;

fn sql(text: &str) -> Ident {
    Ident::from_sql(text).unwrap()
}

#[test]
fn unquoted_names_fold_to_upper_case_and_quoted_ones_stay() {
    assert_eq!(sql("prod"), sql("PROD"));
    assert_eq!(sql("\"PROD\""), sql("Prod"));
    assert_ne!(sql("\"prod\""), sql("prod"));
    assert_eq!(sql("\"a\"\"b.c\"").as_str(), "a\"b.c");
    assert_eq!(sql("_x$1").as_str(), "_X$1");
    assert_eq!(sql("größe").as_str(), "GRÖßE");
}

#[test]
fn what_is_no_identifier_is_refused() {
    for wrong in ["", "1a", "a b", "a-b", "\"", "\"a", "\"\"", "a.", ".a", "a..b", "$x", "a\"b\""] {
        assert!(Ident::from_sql(wrong).is_err(), "{wrong}");
    }
    assert!(Ident::verbatim("x".repeat(256)).is_err());
    assert!(Ident::verbatim("é".repeat(255)).is_ok());
}

#[test]
fn dbt_names_fold_unless_dbt_quotes_them() {
    assert_eq!(Ident::from_dbt("Orders", false).unwrap().as_str(), "ORDERS");
    assert_eq!(Ident::from_dbt("Orders", true).unwrap().as_str(), "Orders");
    assert!(Ident::from_dbt("my orders", false).is_err());
}

#[test]
fn dotted_names_keep_their_parts_apart() {
    let path = ObjectPath::from_sql("db . \"my.schema\" .\"T\"\"x\"").unwrap();
    assert_eq!(path.quoted(), "\"DB\".\"my.schema\".\"T\"\"x\"");
    assert_eq!(path.to_string(), "DB.\"my.schema\".\"T\"\"x\"");
    assert_eq!(ObjectPath::from_sql(&path.to_string()).unwrap(), path);
    assert!(ObjectPath::from_sql("a.b").is_err());
    assert_eq!(SchemaPath::from_sql("a.b").unwrap().to_string(), "A.B");
}

#[test]
fn a_shown_name_is_verbatim_where_it_is_not_quoted() {
    let path = ObjectPath::from_shown("DB.\"low\".t").unwrap();
    assert_eq!(path.object.as_str(), "t");
    assert_eq!(path.schema.schema.as_str(), "low");
}

proptest! {
    #[test]
    fn every_name_survives_being_written_and_read(name in "[^\u{0}]{1,40}") {
        let ident = Ident::verbatim(name).unwrap();
        prop_assert_eq!(&Ident::from_sql(&ident.quoted()).unwrap(), &ident);
        prop_assert_eq!(&Ident::from_sql(&ident.to_string()).unwrap(), &ident);
        prop_assert_eq!(value(&ident.quoted()), ident.as_str());
    }

    #[test]
    fn dotted_names_of_odd_parts_are_read_back(parts in prop::collection::vec("[^\u{0}]{1,12}", 3)) {
        let text = parts.iter().map(|p| Ident::verbatim(p.as_str()).unwrap().quoted())
            .collect::<Vec<_>>().join(".");
        let read = dotted(&text).unwrap();
        prop_assert_eq!(read.iter().map(Ident::as_str).collect::<Vec<_>>(), parts);
    }
}
