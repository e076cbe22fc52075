//! What is swapped: a database or a schema, as a slot's name and as a container.
//!
//! A slot is called as a person would write its name in SQL: `SHOP`, `SHOP.MARTS`, `"my shop"`. So a
//! name can be read back, and a name with a suffix is a name again.
//!
//! May import `domain` and its siblings.

use super::grants::Container;
use super::ident::{BadName, Database, SchemaPath, dotted};
use crate::domain::name::{Naming, SlotName};

/// What is swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The database: one statement cuts everything over.
    Database,
    /// The schemas that dbt writes.
    Schema,
}

/// How builds and archives are named; an identifier has 255 characters
/// (`/sql-reference/identifiers-syntax`), of which a byte is at most one.
pub const NAMING: Naming = Naming::Dotted { max_bytes: 255 };

impl Unit {
    /// The word for it in SQL.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "DATABASE",
            Self::Schema => "SCHEMA",
        }
    }
}

/// The container that a slot is.
pub fn container(slot: &SlotName) -> Result<Container, BadName> {
    let parts = dotted(slot.as_str())?;
    match parts.as_slice() {
        [database] => Ok(Container::Database(Database(database.clone()))),
        [_, _] => Ok(Container::Schema(SchemaPath::from_sql(slot.as_str())?)),
        _ => Err(BadName(format!("`{slot}` is neither a database nor a schema"))),
    }
}

/// The slot that a container is.
#[must_use]
pub fn slot(container: &Container) -> SlotName {
    SlotName(match container {
        Container::Database(database) => database.to_string(),
        Container::Schema(path) => path.to_string(),
    })
}

/// A container's own name, without its database.
#[must_use]
pub fn own_name(container: &Container) -> &str {
    match container {
        Container::Database(database) => database.as_str(),
        Container::Schema(path) => path.schema.as_str(),
    }
}

/// A container's name in double quotes, for SQL.
#[must_use]
pub fn quoted(container: &Container) -> String {
    match container {
        Container::Database(database) => database.quoted(),
        Container::Schema(path) => path.quoted(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ident::{Ident, Schema};
    use super::*;
    use crate::domain::name::{ReleaseId, Role};

    proptest! {
        #[test]
        fn a_container_is_read_back_from_its_slot_and_so_are_its_build_and_archive(
            database in "[A-Za-z_\"\\. é]{1,12}", schema in "[A-Za-z_\"\\. é]{1,12}",
        ) {
            let path = SchemaPath {
                database: Database(Ident::verbatim(database.clone()).unwrap()),
                schema: Schema(Ident::verbatim(schema.clone()).unwrap()),
            };
            for one in [Container::Database(path.database.clone()), Container::Schema(path)] {
                let name = slot(&one);
                prop_assert_eq!(&container(&name).unwrap(), &one);
                let build = container(&NAMING.slot(&name, Role::Build(ReleaseId(3)))).unwrap();
                prop_assert_eq!(own_name(&build), format!("{}__BUILD_R3", own_name(&one)));
            }
        }
    }
}
