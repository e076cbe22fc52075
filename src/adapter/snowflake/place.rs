//! Where dbt writes, as slots: which there are, what is swapped, how dbt is moved, and whether every
//! node moved. Pure.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::grants::Container;
use super::ident::{Database, Ident, Object, ObjectPath, Schema, SchemaPath};
use super::stamp::OWN_SCHEMA;
use super::unit::{self, NAMING, Unit};
use crate::domain::containment::Placed;
use crate::domain::inventory::Local;
use crate::domain::name::{RelationName, ReleaseId, Role, SlotName};
use crate::domain::plan::Rung;
use crate::domain::project::{Manifest, Node};
use crate::ports::{Overlay, Redirect};

/// Where a node's relation is. dbt's own rendering says which names are quoted.
pub fn path(node: &Node) -> Result<ObjectPath, String> {
    if let Some(rendered) = &node.rendered {
        return ObjectPath::from_sql(rendered).map_err(|bad| bad.to_string());
    }
    unquoted(&node.relation)
}

fn unquoted(relation: &RelationName) -> Result<ObjectPath, String> {
    let part = |name: &str| Ident::from_dbt(name, false).map_err(|bad| bad.to_string());
    let schema = SchemaPath {
        database: Database(part(&relation.database)?),
        schema: Schema(part(&relation.schema)?),
    };
    Ok(schema.object(Object(part(&relation.identifier)?)))
}

/// In which slot a node's relation lies.
pub fn placed(unit: Unit, node: &Node) -> Result<Placed, String> {
    let ObjectPath { schema, object } = path(node)?;
    let identifier = object.as_str().to_owned();
    Ok(match unit {
        Unit::Database => Placed {
            slot: unit::slot(&Container::Database(schema.database.clone())),
            local: Local { schema: schema.schema.as_str().to_owned(), identifier },
        },
        Unit::Schema => Placed {
            slot: unit::slot(&Container::Schema(schema)),
            local: Local { schema: String::new(), identifier },
        },
    })
}

/// The slots that dbt writes as production.
#[must_use]
pub fn slots(unit: Unit, production: &Manifest) -> BTreeSet<SlotName> {
    let all = production.nodes.values().filter_map(|node| placed(unit, node).ok());
    all.map(|placed| placed.slot).collect()
}

/// The profile's target as names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its database and schema.
    pub base: SchemaPath,
}

impl Target {
    /// The slot that the profile's own keys name.
    #[must_use]
    pub fn slot(&self, unit: Unit) -> SlotName {
        unit::slot(&match unit {
            Unit::Database => Container::Database(self.base.database.clone()),
            Unit::Schema => Container::Schema(self.base.clone()),
        })
    }

    /// The ways to move dbt into the build of `release`.
    #[must_use]
    pub fn ladder(
        &self,
        unit: Unit,
        release: ReleaseId,
        production: Option<&Manifest>,
    ) -> Vec<(Rung, Redirect)> {
        let build = |slot: &SlotName| {
            let named = unit::container(&NAMING.slot(slot, Role::Build(release)));
            named.map_or_else(|_| String::new(), |one| unit::own_name(&one).to_owned())
        };
        let value = build(&self.slot(unit));
        let key = match unit {
            Unit::Database => "database",
            Unit::Schema => "schema",
        };
        let plain = Redirect { key, value, overlay: None };
        let names: BTreeMap<String, String> = production
            .into_iter()
            .flat_map(|manifest| manifest.nodes.values())
            .filter_map(|node| {
                let slot = placed(unit, node).ok()?.slot;
                let name = match unit {
                    Unit::Database => &node.relation.database,
                    Unit::Schema => &node.relation.schema,
                };
                Some((name.clone(), build(&slot)))
            })
            .collect();
        let suffix = format!("__BUILD_{}", release.to_string().to_uppercase());
        let overlay = match unit {
            // A second database would be a second slot; it is named, not moved.
            Unit::Database => None,
            Unit::Schema => Some(Overlay {
                schemas: names,
                databases: BTreeMap::new(),
                suffix,
                max_bytes: 255,
                folds: true,
            }),
        };
        let moved = overlay
            .map(|overlay| (Rung::Overlay, Redirect { overlay: Some(overlay), ..plain.clone() }));
        std::iter::once((Rung::Profile, plain)).chain(moved).collect()
    }

    /// What is swapped, where the configuration leaves it open, and why. `schemas` are those of the
    /// database, with whether anything lies in them.
    #[must_use]
    pub fn choose(&self, production: &Manifest, schemas: &[(String, bool)]) -> (Unit, String) {
        let database = &self.base.database;
        let mut written = BTreeSet::new();
        for node in production.nodes.values() {
            match path(node) {
                Ok(path) if path.schema.database == *database => {
                    written.insert(path.schema.schema.as_str().to_owned());
                }
                Ok(path) => {
                    let why = format!("dbt also writes to database {}", path.schema.database);
                    return (Unit::Schema, why);
                }
                Err(_) => {}
            }
        }
        let here = |source: &&RelationName| {
            unquoted(source).is_ok_and(|path| path.schema.database == *database)
        };
        if let Some(source) = production.sources.iter().find(here) {
            return (Unit::Schema, format!("source {source} lies in database {database}"));
        }
        let other = schemas.iter().find(|(name, filled)| {
            let own = matches!(name.as_str(), "INFORMATION_SCHEMA" | OWN_SCHEMA);
            let empty_public = name == "PUBLIC" && !filled;
            !own && !empty_public && !written.contains(name)
        });
        match other {
            Some((name, _)) => (
                Unit::Schema,
                format!("database {database} has schema {name}, which dbt does not write"),
            ),
            None => (Unit::Database, format!("dbt writes every schema of database {database}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::project::NodeKind;

    fn node(name: &str, database: &str, schema: &str) -> (String, Node) {
        let id = format!("model.shop.{name}");
        let relation = RelationName {
            database: database.into(),
            schema: schema.into(),
            identifier: name.into(),
        };
        let node = Node {
            unique_id: id.clone(),
            kind: NodeKind::Model,
            rendered: Some(format!("{database}.{schema}.{name}")),
            relation,
            declares_grants: false,
            materialized: "table".into(),
            file: String::new(),
            placed_by: None,
        };
        (id, node)
    }

    fn manifest(nodes: &[(&str, &str, &str)]) -> Manifest {
        let nodes = nodes.iter().map(|(name, db, schema)| node(name, db, schema)).collect();
        Manifest { nodes, ..Manifest::default() }
    }

    fn target() -> Target {
        Target { base: SchemaPath::from_sql("shop.analytics").unwrap() }
    }

    fn schemas(names: &[(&str, bool)]) -> Vec<(String, bool)> {
        names.iter().map(|(name, filled)| ((*name).to_owned(), *filled)).collect()
    }

    #[test]
    fn the_database_is_swapped_where_dbt_writes_every_schema_of_it() {
        let project = manifest(&[("a", "shop", "analytics"), ("b", "SHOP", "marts")]);
        let all = schemas(&[
            ("ANALYTICS", true),
            ("MARTS", true),
            ("PUBLIC", false),
            ("INFORMATION_SCHEMA", true),
            ("SWITCHBACK", true),
        ]);
        assert_eq!(target().choose(&project, &all).0, Unit::Database);
        let (unit, why) = target().choose(&project, &schemas(&[("MARTS", true), ("RAW", true)]));
        assert_eq!(unit, Unit::Schema);
        assert_eq!(why, "database SHOP has schema RAW, which dbt does not write");
        assert_eq!(target().choose(&project, &schemas(&[("PUBLIC", true)])).0, Unit::Schema);
    }

    #[test]
    fn sources_and_other_databases_leave_schemas_only() {
        let mut project = manifest(&[("a", "shop", "analytics")]);
        project.sources.push(RelationName {
            database: "shop".into(),
            schema: "raw".into(),
            identifier: "x".into(),
        });
        assert_eq!(target().choose(&project, &[]).0, Unit::Schema);
        let two = manifest(&[("a", "shop", "analytics"), ("b", "lake", "x")]);
        assert_eq!(target().choose(&two, &[]).1, "dbt also writes to database LAKE");
    }

    #[test]
    fn the_profile_is_moved_first_and_the_overlay_knows_every_schema() {
        let project = manifest(&[("a", "shop", "analytics"), ("b", "shop", "marts")]);
        let ladder = target().ladder(Unit::Schema, ReleaseId(2), Some(&project));
        assert_eq!(ladder[0].1.value, "ANALYTICS__BUILD_R2");
        let overlay = ladder[1].1.overlay.as_ref().unwrap();
        assert_eq!(overlay.schemas["marts"], "MARTS__BUILD_R2");
        let whole = target().ladder(Unit::Database, ReleaseId(2), Some(&project));
        assert_eq!((whole.len(), whole[0].1.value.as_str()), (1, "SHOP__BUILD_R2"));
    }
}
