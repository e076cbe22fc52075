use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::adapter::snowflake::carry::Kind;
use crate::adapter::snowflake::carry::graph;
use crate::adapter::snowflake::carry::privileges::{self, Key};
use crate::adapter::snowflake::carry::table::list;
use crate::adapter::snowflake::testing::tag;
use crate::ports::Rows;

fn rows(columns: &str, rows: &[&[&str]]) -> Rows {
    let cell = |cell: &&str| (!cell.is_empty()).then(|| (*cell).to_owned());
    Rows {
        columns: columns.split(' ').map(str::to_owned).collect(),
        rows: rows.iter().map(|row| row.iter().map(cell).collect()).collect(),
    }
}

const VIEW: &str =
    "OBJECT_SCHEMA OBJECT_NAME OBJECT_TYPE PRIVILEGE_TYPE GRANTEE GRANTED_TO IS_GRANTABLE";

#[test]
fn the_view_answers_for_what_it_plainly_says() {
    let view = rows(
        VIEW,
        &[
            &["", "P", "DATABASE", "USAGE", "R", "ROLE", "NO"],
            &["S", "S", "SCHEMA", "OWNERSHIP", "O", "ROLE", "YES"],
            &["S", "S", "SCHEMA", "USAGE", "R", "ROLE", "YES"],
            &["S", "T", "TABLE", "OWNERSHIP", "O", "ROLE", "YES"],
            &["S", "T", "TABLE", "SELECT", "R", "ROLE", "NO"],
            &["S", "U", "TABLE", "OWNERSHIP", "O", "ROLE", "YES"],
            &["S", "U", "TABLE", "SELECT", "DR", "ROLE", "NO"],
            &["S", "HIDDEN", "FILE_FORMAT", "USAGE", "R", "", "NO"],
            &["S", "F", "FUNCTION", "OWNERSHIP", "O", "ROLE", "YES"],
            &["S", "F", "FUNCTION", "USAGE", "R", "ROLE", "NO"],
            &["S", "G", "FUNCTION", "USAGE", "R", "ROLE", "NO"],
            &["INFORMATION_SCHEMA", "TABLES", "VIEW", "SELECT", "R", "ROLE", "NO"],
        ],
    );
    let shown = rows(
        "name schema_name arguments is_builtin",
        &[
            &["F", "S", "F(NUMBER) RETURN TABLE (X NUMBER)", "N"],
            &["G", "S", "G(NUMBER) RETURN VARCHAR", "N"],
            &["G", "S", "G(VARCHAR, ARRAY) RETURN VARCHAR", "N"],
            &["ABS", "", "ABS(NUMBER) RETURN NUMBER", "Y"],
        ],
    );
    let routines = privileges::routines(&database("P"), "FUNCTION", &shown).unwrap();
    assert_eq!(
        routines[2].question(&database("P")),
        "SHOW GRANTS ON FUNCTION \"P\".\"S\".\"G\"(VARCHAR, ARRAY)"
    );
    let roles = BTreeSet::from([ident("DR")]);
    let told = privileges::read(&database("P"), &view, &roles, &routines).unwrap();
    let grants: Vec<String> = told.grants.0.keys().map(ToString::to_string).collect();
    assert_eq!(
        grants,
        [
            "USAGE on the database to role R",
            "USAGE on function S.F to role R",
            "USAGE on schema S to role R",
            "SELECT on table S.T to role R",
        ]
    );
    // The database role in disguise, and what has no owner there.
    let name = |name: &str| vec![ident("S"), ident(name)];
    assert_eq!(
        told.doubtful,
        BTreeSet::from([
            Key::new("FILE FORMAT", name("HIDDEN"), None),
            Key::new("VIEW", name("U"), None)
        ])
    );
}

#[test]
fn kinds_are_named_as_the_configuration_names_them() {
    for kind in Kind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    assert!("stage".parse::<Kind>().unwrap_err().contains("stages, pipes"));
}

#[test]
fn a_graph_is_resumed_from_its_leaves_with_its_finalizer_before_the_root() {
    let shown = rows(
        "name schema_name state predecessors task_relations",
        &[
            &["A", "S", "started", "[]", ""],
            &["B", "S", "started", "[\"P.S.A\"]", ""],
            &["C", "S", "started", "[\"P.S.A\", \"P.S.B\"]", ""],
            &["END", "S", "started", "", "{\"FinalizedRootTask\": \"P.S.A\"}"],
            &["LONE", "S", "suspended", "[]", ""],
        ],
    );
    let (old, new) = (database("P__R1"), database("P"));
    let was = graph::read(&old, &shown).unwrap();
    let mut now = was.clone();
    for task in now.values_mut() {
        task.started = false;
    }
    let steps = graph::steps("TASK", (&old, &was), (&new, &now));
    let sql =
        |name: &str, at: &str, what: &str| format!("ALTER TASK \"{at}\".\"S\".\"{name}\" {what}");
    assert_eq!(
        steps.statements,
        [
            sql("C", "P", "RESUME"),
            sql("B", "P", "RESUME"),
            sql("END", "P", "RESUME"),
            sql("A", "P", "RESUME"),
            sql("A", "P__R1", "SUSPEND"),
        ]
    );
    let again = graph::steps("TASK", (&old, &BTreeMap::new()), (&new, &was));
    assert_eq!(again, graph::Steps::default());
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page_and_schema_by_schema() {
    let Some(emulator) = Emulator::start_with("pages", &["--show-limit", "3"]) else {
        return;
    };
    emulator.sql("CREATE DATABASE P");
    for schema in ["A", "B"] {
        emulator.sql(&format!("CREATE SCHEMA P.{schema}"));
        for table in 0..7 {
            emulator.sql(&format!("CREATE TABLE P.{schema}.T{table} (ID INT)"));
        }
    }
    let sessions = emulator.sessions();
    let path = |name: &str| SchemaPath::from_sql(name).unwrap();
    let schemas = [path("P.A"), path("P.B"), path("P.PUBLIC")];
    for what in ["TABLES", "OBJECTS"] {
        let rows = list(&sessions, &tag(), what, &database("P"), &schemas, 3).await.unwrap();
        assert_eq!(rows.rows.len(), 14, "{what}");
    }
}
