//! The facts, as data. What the adapter does not lean on has several expected answers: it looks
//! (`SHOW`), carries what is missing, or refuses, and the report says what this account does.
//!
//! May import its sibling `fact`.

use super::fact::Basis::{Documented, Inferred, Unknown};
use super::fact::Expected::{Is, OneOf};
use super::fact::Experiment as By;
use super::fact::{Basis, Expected, Experiment, Fact, Level};

const BOTH: &[Level] = &[Level::Database, Level::Schema];
const DATABASE: &[Level] = &[Level::Database];
const SCHEMA: &[Level] = &[Level::Schema];
const ANYWHERE: &[Level] = &[Level::Anywhere];

const CLONE: &str = "/sql-reference/sql/create-clone";
const OBJECT_CLONE: &str = "/user-guide/object-clone";
const SWAP: &str = "/sql-reference/sql/alter-database";
const TRANSIENT: &str = "/user-guide/tables-temp-transient";
const VIEW: &str = "/sql-reference/sql/create-view";
const GET_DDL: &str = "/sql-reference/functions/get_ddl";
const AT: &str = "/sql-reference/constructs/at-before";
const SHOW_GRANTS: &str = "/sql-reference/sql/show-grants";
const INHERITED: &str = "/user-guide/inherited-grants-intro";
const EXCEPTIONS: &str = "/developer-guide/snowflake-scripting/exceptions";
const PRIVILEGES: &str = "/sql-reference/info-schema/object_privileges";
const TABLES: &str = "/sql-reference/info-schema/tables";

const fn fact(
    id: &'static str,
    (experiment, levels): (Experiment, &'static [Level]),
    (basis, page): (Basis, &'static str),
    question: &'static str,
    expected: Expected,
) -> Fact {
    Fact { id, experiment, levels, basis, page, question, expected }
}

const KEPT: Expected = OneOf(&["kept", "lost"]);
const TRAVELS: Expected = Is("travels");
const OWN: Expected = Is("its own");
const THERE: Expected = Is("all there");
const TRIED: Expected = OneOf(&["refused", "allowed"]);

/// Every fact; those of one experiment stand together.
#[rustfmt::skip]
pub const FACTS: &[Fact] = &[
    // What a clone keeps. The container's own settings are compared and carried before the swap.
    fact("clone-comment", (By::Clone, BOTH), (Unknown, CLONE),
        "Does a plain clone keep the {c}'s comment?", KEPT),
    fact("clone-retention", (By::Clone, BOTH), (Unknown, CLONE),
        "Does a plain clone keep the {c}'s own DATA_RETENTION_TIME_IN_DAYS?", KEPT),
    fact("clone-managed-access", (By::Clone, SCHEMA), (Unknown, CLONE),
        "Does a plain clone of a schema keep its managed access?", KEPT),
    fact("clone-inner-managed-access", (By::Clone, DATABASE), (Unknown, CLONE),
        "Do the schemas inside a cloned database keep their managed access?", KEPT),
    fact("clone-owner", (By::CloneOwner, BOTH), (Unknown, OBJECT_CLONE),
        "Who owns the objects inside a cloned {c}: their owners as before, or who cloned?",
        Is("as before")),
    fact("clone-unseen", (By::CloneUnseen, BOTH), (Documented, CLONE),
        "What becomes of a table that the role has no privilege on when its {c} is cloned?",
        OneOf(&["left out", "cloned", "the clone is refused"])),
    fact("clone-hybrid", (By::CloneHybrid, SCHEMA), (Unknown, "/user-guide/tables-hybrid-clone"),
        "What becomes of a hybrid table when its schema is cloned?",
        OneOf(&["the clone is refused", "left out", "cloned"])),
    fact("clone-database-role", (By::DatabaseRole, DATABASE), (Documented, OBJECT_CLONE),
        "Are a database role and its grants in the clone the clone's own?", OWN),
    fact("clone-transient", (By::Transient, BOTH), (Inferred, TRANSIENT),
        "Is CREATE TRANSIENT … CLONE of a transient {c} transient?", Is("transient")),
    fact("clone-transient-plainly", (By::Transient, BOTH), (Inferred, TRANSIENT),
        "What is CREATE … CLONE of a transient {c}, without TRANSIENT?",
        OneOf(&["refused", "transient", "permanent"])),
    fact("swap-transient-permanent", (By::Transient, BOTH), (Unknown, SWAP),
        "May a transient {c} be swapped with a permanent one?", TRIED),

    // What follows a swap.
    fact("swap-tables", (By::Swap, BOTH), (Documented, SWAP),
        "Do tables (and with them the stamp) follow their {c} in a swap?", TRAVELS),
    fact("swap-comment", (By::Swap, BOTH), (Inferred, SWAP),
        "Does the {c}'s comment follow it in a swap?", TRAVELS),
    fact("swap-retention", (By::Swap, BOTH), (Inferred, SWAP),
        "Does the {c}'s DATA_RETENTION_TIME_IN_DAYS follow it in a swap?", TRAVELS),
    fact("swap-parameters", (By::Swap, BOTH), (Inferred, SWAP),
        "Do the {c}'s other parameters follow it in a swap?", TRAVELS),
    fact("swap-managed-access", (By::Swap, SCHEMA), (Inferred, "/sql-reference/sql/alter-schema"),
        "Does a schema's managed access follow it in a swap?", TRAVELS),
    fact("swap-created-on", (By::Swap, BOTH), (Inferred, SWAP),
        "Does the {c}'s created_on follow it in a swap?", TRAVELS),
    fact("rename-created-on", (By::Swap, BOTH), (Inferred, SWAP),
        "Does a {c} keep its created_on when it is renamed?", Is("kept")),
    fact("swap-owner", (By::SwapOwner, BOTH), (Inferred, SWAP),
        "Does the {c}'s owner follow it in a swap?", TRAVELS),
    fact("swap-schemas-across", (By::SwapAcross, DATABASE), (Unknown, "/sql-reference/sql/alter-schema"),
        "May schemas of two databases be swapped?", TRIED),
    fact("clone-tags", (By::Tags, BOTH), (Documented, OBJECT_CLONE),
        "Does a clone keep the tags of the {c}?", KEPT),
    fact("swap-tags", (By::Tags, BOTH), (Inferred, SWAP),
        "Do the {c}'s tags follow it in a swap?", TRAVELS),

    // Grants.
    fact("clone-container-grants", (By::Grants, BOTH), (Documented, OBJECT_CLONE),
        "Are the grants on the {c} itself copied to its clone?", Is("not copied")),
    fact("clone-object-grants", (By::Grants, BOTH), (Documented, OBJECT_CLONE),
        "Are the grants on the objects in a {c} copied to its clone?", Is("copied")),
    fact("swap-container-grants", (By::Grants, BOTH), (Inferred, SWAP),
        "Do the grants on the {c} itself follow it in a swap?", TRAVELS),
    fact("swap-object-grants", (By::Grants, BOTH), (Documented, SWAP),
        "Do the grants on the objects in a {c} follow them in a swap?", TRAVELS),
    fact("show-future-grants", (By::FutureGrants, BOTH), (Documented, SHOW_GRANTS),
        "Has SHOW FUTURE GRANTS IN a {c} the columns and the form of names that are read?", THERE),
    fact("clone-future-grants", (By::FutureGrants, BOTH), (Documented, OBJECT_CLONE),
        "Are the future grants of a {c} copied to its clone?", OneOf(&["copied", "not copied"])),
    fact("swap-future-grants", (By::FutureGrants, BOTH), (Inferred, SWAP),
        "Do the {c}'s future grants follow it in a swap?", TRAVELS),
    fact("show-inherited-grants", (By::InheritedGrants, BOTH), (Documented, INHERITED),
        "Is SHOW INHERITED GRANTS IN a {c} understood here?", OneOf(&["available", "not available"])),
    fact("list-inherited-grants", (By::InheritedGrants, BOTH), (Unknown, INHERITED),
        "Does SHOW GRANTS ON a table list grants inherited from its {c}, so that they can be told?",
        OneOf(&["not listed", "listed and marked"])),
    fact("clone-inherited-grants", (By::InheritedGrants, BOTH), (Inferred, INHERITED),
        "Are the inherited grants of a {c} copied to its clone?", OneOf(&["copied", "not copied"])),
    fact("swap-inherited-grants", (By::InheritedGrants, BOTH), (Inferred, INHERITED),
        "Do the {c}'s inherited grants follow it in a swap?", TRAVELS),
    fact("view-other-roles", (By::PrivilegeView, DATABASE), (Unknown, PRIVILEGES),
        "Does OBJECT_PRIVILEGES list what is granted to a role that the session has not?",
        OneOf(&["listed", "not listed"])),
    fact("view-database-roles", (By::PrivilegeView, DATABASE), (Unknown, PRIVILEGES),
        "Does OBJECT_PRIVILEGES tell a database role from a role of the account?",
        OneOf(&["told apart", "as a role", "not listed"])),

    // Views and the names in them.
    fact("view-bare-name", (By::Views, BOTH), (Documented, VIEW),
        "Whose is `object` in a view, read by a session in another {c}: the view's own schema's?", OWN),
    fact("view-schema-name", (By::Views, DATABASE), (Documented, VIEW),
        "Whose is `schema.object` in a view, read by a session in another database: the view's own database's?", OWN),
    fact("clone-view-relative", (By::Views, BOTH), (Documented, VIEW),
        "Does a view with relative names read its own {c} after that was cloned?", OWN),
    fact("clone-view-qualified", (By::Views, BOTH), (Documented, CLONE),
        "Does a cloned view with complete names go on reading what they name?", Is("as written")),
    fact("clone-view-text", (By::Views, BOTH), (Inferred, CLONE),
        "Is the text of a cloned view, in SHOW VIEWS, that of its original?", Is("as written")),
    fact("swap-view-relative", (By::Views, BOTH), (Documented, VIEW),
        "Does a view with relative names read its own {c} after a swap?", OWN),
    fact("swap-view-qualified", (By::Views, BOTH), (Inferred, SWAP),
        "Does a view with complete names read what has the name after a swap?", Is("as written")),
    fact("view-copy-grants", (By::CopyGrants, ANYWHERE), (Documented, VIEW),
        "Does CREATE OR REPLACE VIEW … COPY GRANTS keep the view's grants?", Is("kept")),
    fact("ddl-name", (By::Definition, ANYWHERE), (Documented, GET_DDL),
        "Does GET_DDL('VIEW', …, TRUE) write the created name in full?", Is("in full")),
    fact("ddl-query", (By::Definition, ANYWHERE), (Documented, GET_DDL),
        "Does GET_DDL leave the names inside the view's query as they were written?", Is("as written")),
    fact("ddl-of-clone", (By::Definition, ANYWHERE), (Unknown, GET_DDL),
        "Whose name has the definition of a cloned view?", OneOf(&["the clone's", "the original's"])),
    fact("recreate-view", (By::Definition, ANYWHERE), (Documented, VIEW),
        "Is a view that is re-created from its definition, its database left out, the same view?", Is("the same")),

    // Time Travel.
    fact("past-after-swap", (By::Past, BOTH), (Inferred, AT),
        "Whose history does CLONE a AT(…) read for a time before a was swapped?", Is("the object's")),
    fact("past-milliseconds", (By::Past, BOTH), (Documented, AT),
        "Is a time with milliseconds, 'YYYY-MM-DDTHH:MI:SS.mmmZ'::TIMESTAMP_TZ, accepted by AT?",
        Is("accepted")),
    fact("past-before-creation", (By::Past, BOTH), (Documented, CLONE),
        "What does CLONE AT a time before the {c} was created answer?", OneOf(&["000707", "002003"])),
    fact("past-view", (By::PastView, BOTH), (Unknown, CLONE),
        "Which definition of a view that was replaced since does CLONE AT hold?", Is("that of then")),

    // Scripting and locks.
    fact("block-compensation", (By::Block, SCHEMA), (Documented, EXCEPTIONS),
        "Does EXCEPTION WHEN OTHER swap back what the block had swapped?", Is("runs")),
    fact("block-raise", (By::Block, SCHEMA), (Documented, EXCEPTIONS),
        "Does the block's caller get the error?", Is("passed on")),
    fact("block-row-count", (By::RowCount, ANYWHERE), (Documented, "/developer-guide/snowflake-scripting/dml-status"),
        "Is SQLROWCOUNT after an UPDATE in a block the number of rows that were changed?", Is("right")),
    fact("race", (By::Race, ANYWHERE), (Documented, "/sql-reference/transactions"),
        "Of two sessions that at once UPDATE … WHERE holder IS NULL, how many change the row?", Is("one")),

    // Metadata.
    fact("show-databases", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-databases"),
        "Has SHOW DATABASES the columns that are read?", THERE),
    fact("show-schemas", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-schemas"),
        "Has SHOW SCHEMAS the columns that are read?", THERE),
    fact("show-schema-options", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-schemas"),
        "Does `options` of SHOW SCHEMAS say TRANSIENT and MANAGED ACCESS?", THERE),
    fact("show-tables", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-tables"),
        "Has SHOW TABLES the columns that are read?", THERE),
    fact("show-table-rows", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-tables"),
        "Does SHOW TABLES print the number of rows right after they were written?", Is("right")),
    fact("show-views", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-views"),
        "Has SHOW VIEWS the columns that are read?", THERE),
    fact("show-grants", (By::Shows, ANYWHERE), (Documented, SHOW_GRANTS),
        "Has SHOW GRANTS ON the columns that are read?", THERE),
    fact("show-parameters", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-parameters"),
        "Has SHOW PARAMETERS the columns that are read?", THERE),
    fact("show-paging", (By::Shows, ANYWHERE), (Documented, "/sql-reference/sql/show-tables"),
        "Does SHOW TABLES LIMIT n FROM 'name' go on behind that name?", Is("behind it")),
    fact("dml-last-altered", (By::LastAltered, ANYWHERE), (Documented, TABLES),
        "Does LAST_ALTERED move when rows are written?", Is("moves")),
    fact("dml-last-ddl", (By::LastAltered, ANYWHERE), (Documented, TABLES),
        "Does LAST_DDL move when rows are written?", Is("stays")),
    fact("ddl-last-ddl", (By::LastAltered, ANYWHERE), (Documented, TABLES),
        "Does LAST_DDL move when a column is added?", Is("moves")),
    fact("hash-agg", (By::HashAgg, ANYWHERE), (Documented, "/sql-reference/functions/hash_agg"),
        "Is HASH_AGG(*) the same in any order, and another when a row is there twice?", Is("so")),
];
