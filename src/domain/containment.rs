//! Containment: does everything that dbt will write go into the build, and nothing else?
//!
//! The two parses of a project, as production and as the build, are paired node by node. A node
//! whose relation did not move with the slots would write to production while the release is only
//! being made: it is named, and stops the deploy.

use std::collections::BTreeSet;

use super::project::{Manifest, Node, Survey};

/// How a node's relation relates to the slots, per warehouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The slot is a file that is attached under one database name; relation names stay the same
    /// and the file moves. Whatever names another database leaves the slot.
    File {
        /// The database name under which dbt sees the slot.
        database: String,
    },
}

/// A node that would write outside the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escape {
    /// dbt's unique id.
    pub unique_id: String,
    /// The file it is defined in.
    pub file: String,
    /// What is wrong with it, and the way out.
    pub reason: String,
}

/// Every node that would write outside the build. `allowed_external` names the models that may
/// write outside any slot.
#[must_use]
pub fn escapes(
    survey: &Survey,
    placement: &Placement,
    allowed_external: &BTreeSet<String>,
) -> Vec<Escape> {
    let mut found = Vec::new();
    for (id, node) in &survey.build.nodes {
        if let Some(reason) = escape(node, &survey.production, placement, allowed_external) {
            found.push(Escape { unique_id: id.clone(), file: node.file.clone(), reason });
        }
    }
    for (id, node) in &survey.production.nodes {
        if !survey.build.nodes.contains_key(id) {
            found.push(Escape {
                unique_id: id.clone(),
                file: node.file.clone(),
                reason: "it exists when parsed as production but not when parsed for the build, \
                         so the build would not be the release; look for a condition on the \
                         target or on a variable"
                    .to_owned(),
            });
        }
    }
    found
}

fn escape(
    node: &Node,
    production: &Manifest,
    placement: &Placement,
    allowed_external: &BTreeSet<String>,
) -> Option<String> {
    if node.materialized == "external" && !allowed_external.contains(node.name()) {
        return Some(format!(
            "its materialization `external` writes a file outside the database while the release \
             is only being built, and a rollback cannot take it back; make it a table, or accept \
             that with `allow: {{external: [{}]}}` in switchback.yml",
            node.name()
        ));
    }
    let Some(as_production) = production.nodes.get(&node.unique_id) else {
        return Some(
            "it exists when parsed for the build but not when parsed as production".to_owned(),
        );
    };
    let Placement::File { database } = placement;
    if !node.relation.database.eq_ignore_ascii_case(database) {
        return Some(format!(
            "it writes to `{}`, which is in the attached database `{}` and not in `{database}`, the \
             database that is cloned and swapped; remove its `database` configuration, or leave it \
             out with `dbt-command: [\"build --exclude {}\"]`",
            node.relation,
            node.relation.database,
            node.name()
        ));
    }
    if as_production.relation != node.relation {
        return Some(format!(
            "it writes to `{}` as production but to `{}` in the build; look for a macro that reads \
             `target.path`",
            as_production.relation, node.relation
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::RelationName;
    use crate::domain::project::NodeKind;

    fn node(name: &str, database: &str, schema: &str, materialized: &str) -> Node {
        Node {
            unique_id: format!("model.shop.{name}"),
            kind: NodeKind::Model,
            relation: RelationName {
                database: database.into(),
                schema: schema.into(),
                identifier: name.into(),
            },
            materialized: materialized.into(),
            file: format!("models/{name}.sql"),
            placed_by: None,
        }
    }

    fn survey(production: Vec<Node>, build: Vec<Node>) -> Survey {
        let manifest = |nodes: Vec<Node>| Manifest {
            nodes: nodes.into_iter().map(|node| (node.unique_id.clone(), node)).collect(),
            ..Manifest::default()
        };
        Survey {
            production: manifest(production),
            build: manifest(build),
            fingerprint: "f".into(),
            dbt_version: "1.11.0".into(),
        }
    }

    fn found(production: Vec<Node>, build: Vec<Node>, allowed: &[&str]) -> Vec<String> {
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        let placement = Placement::File { database: "shop".into() };
        escapes(&survey(production, build), &placement, &allowed)
            .into_iter()
            .map(|escape| escape.unique_id)
            .collect()
    }

    #[test]
    fn nodes_inside_the_file_are_contained() {
        let nodes = || vec![node("a", "shop", "main", "table"), node("b", "SHOP", "x", "view")];
        assert!(found(nodes(), nodes(), &[]).is_empty());
    }

    #[test]
    fn a_node_in_another_attached_database_escapes() {
        let nodes = || vec![node("a", "prod", "main", "table")];
        assert_eq!(found(nodes(), nodes(), &[]), ["model.shop.a"]);
    }

    #[test]
    fn an_external_model_escapes_unless_it_is_allowed_by_name() {
        let nodes = || vec![node("a", "shop", "main", "external")];
        assert_eq!(found(nodes(), nodes(), &["b"]), ["model.shop.a"]);
        assert!(found(nodes(), nodes(), &["a"]).is_empty());
    }

    #[test]
    fn a_node_that_only_one_parse_has_escapes() {
        let a = || node("a", "shop", "main", "table");
        assert_eq!(found(vec![a()], vec![], &[]), ["model.shop.a"]);
        assert_eq!(found(vec![], vec![a()], &[]), ["model.shop.a"]);
    }

    #[test]
    fn a_node_whose_schema_depends_on_the_path_escapes() {
        let at = |schema| vec![node("a", "shop", schema, "table")];
        assert_eq!(found(at("main"), at("build"), &[]), ["model.shop.a"]);
    }
}
