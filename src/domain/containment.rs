//! Containment: does everything that dbt will write go into the build, and nothing else?
//!
//! The two parses of a project, as production and as the build, are paired node by node. A node
//! whose relation did not move with the slots would write to production while the release is only
//! being made: it is named, and stops the deploy.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::Local;
use super::name::SlotName;
use super::plan::Pair;
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
    found.extend(left_out(survey));
    found
}

/// Nodes that only the production parse has.
fn left_out(survey: &Survey) -> impl Iterator<Item = Escape> {
    let missing =
        survey.production.nodes.iter().filter(|(id, _)| !survey.build.nodes.contains_key(*id));
    missing.map(|(id, node)| Escape {
        unique_id: id.clone(),
        file: node.file.clone(),
        reason: "it exists when parsed as production but not when parsed for the build, so the \
                 build would not be the release; look for a condition on the target or on a \
                 variable"
            .to_owned(),
    })
}

/// Where a relation lies: in which slot, and under which name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The slot.
    pub slot: SlotName,
    /// Its name inside the slot; where the slot is a schema, without one.
    pub local: Local,
}

/// Pairs the slots that dbt writes as production with those it writes in the build: every node must
/// have moved from a live slot into that slot's build, under the same name, one to one. `place` says
/// where a node's relation lies, or why it cannot lie in any slot.
pub fn pair_up(
    survey: &Survey,
    allowed_external: &BTreeSet<String>,
    place: &dyn Fn(&Node) -> Result<Placed, String>,
) -> Result<Vec<Pair>, Vec<Escape>> {
    let mut builds: BTreeMap<SlotName, SlotName> = BTreeMap::new();
    let mut escapes: Vec<Escape> = Vec::new();
    let mut moved: Vec<(&Node, Placed)> = Vec::new();
    for (id, node) in &survey.build.nodes {
        let found = match survey.production.nodes.get(id) {
            _ if node.materialized == "external" && !allowed_external.contains(node.name()) => {
                Err("its materialization `external` writes outside the warehouse, and a rollback \
                     cannot take that back"
                    .to_owned())
            }
            None => {
                Err("it exists when parsed for the build but not when parsed as production"
                    .to_owned())
            }
            Some(production) => place(production).and_then(|live| {
                let build = place(node)?;
                moves(production, node, &live, &build)?;
                let known = builds.entry(live.slot.clone()).or_insert_with(|| build.slot.clone());
                if *known != build.slot {
                    return Err(format!(
                        "others of {} are built in {known}, but this one in {}",
                        live.slot, build.slot
                    ));
                }
                Ok(live)
            }),
        };
        match found {
            Ok(live) => moved.push((node, live)),
            Err(reason) => escapes.push(Escape {
                unique_id: id.clone(),
                file: node.file.clone(),
                reason: with_macro(&reason, node),
            }),
        }
    }
    for (node, live) in moved {
        let build = &builds[&live.slot];
        let shared = builds.iter().find(|(other, at)| *at == build && **other != live.slot);
        let reason = match shared {
            Some((other, _)) => format!("{} and {other} are both built in {build}", live.slot),
            None if builds.contains_key(build) => {
                format!("it is built in {build}, which production uses itself")
            }
            None => continue,
        };
        let (unique_id, file) = (node.unique_id.clone(), node.file.clone());
        escapes.push(Escape { unique_id, file, reason: with_macro(&reason, node) });
    }
    escapes.extend(left_out(survey));
    if escapes.is_empty() {
        return Ok(builds.into_iter().map(|(live, other)| Pair { live, other }).collect());
    }
    Err(escapes)
}

fn moves(production: &Node, node: &Node, live: &Placed, build: &Placed) -> Result<(), String> {
    if live.slot == build.slot {
        return Err(format!(
            "it writes to `{}` also in the build, so it would change production while the release \
             is only being made",
            production.relation
        ));
    }
    if live.local != build.local {
        return Err(format!(
            "it is `{}` as production but `{}` in the build",
            production.relation, node.relation
        ));
    }
    Ok(())
}

/// Who decides where a node is written, and how it can be moved all the same.
fn with_macro(reason: &str, node: &Node) -> String {
    let by = match &node.placed_by {
        Some(file) => format!("; its place is decided by {file}"),
        None => String::new(),
    };
    format!(
        "{reason}{by}; let it follow the target, or name under `redirect` in switchback.yml what \
         moves it (`{{slot}}` stands for the build), or leave it out with \
         `dbt-command: [\"build --exclude {}\"]`",
        node.name()
    )
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
            rendered: None,
            declares_grants: false,
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
            rebuilt: BTreeMap::new(),
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

    fn by_schema(node: &Node) -> Result<Placed, String> {
        let identifier = node.relation.identifier.clone();
        let local = Local { schema: String::new(), identifier };
        match node.relation.schema.as_str() {
            "" => Err("it has no schema".to_owned()),
            schema => Ok(Placed { slot: schema.into(), local }),
        }
    }

    fn paired(pairs: &[(&str, &str, &str)]) -> Result<Vec<(String, String)>, Vec<String>> {
        let side = |build: bool| {
            let at = |one: &(&str, &str, &str)| {
                node(one.0, "db", if build { one.2 } else { one.1 }, "table")
            };
            pairs.iter().map(at).collect()
        };
        pair_up(&survey(side(false), side(true)), &BTreeSet::new(), &by_schema)
            .map(|pairs| pairs.into_iter().map(|one| (one.live.0, one.other.0)).collect())
            .map_err(|escapes| escapes.into_iter().map(|one| one.reason).collect())
    }

    #[test]
    fn slots_are_paired_by_where_their_nodes_went() {
        let found = paired(&[
            ("a", "main", "main__b"),
            ("b", "marts", "marts__b"),
            ("c", "main", "main__b"),
        ]);
        let pair = |live: &str, build: &str| (live.to_owned(), build.to_owned());
        assert_eq!(found, Ok(vec![pair("main", "main__b"), pair("marts", "marts__b")]));
    }

    #[test]
    fn a_node_that_stays_in_production_escapes() {
        let found = paired(&[("a", "main", "main__b"), ("b", "marts", "marts")]).unwrap_err();
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("also in the build"), "{}", found[0]);
    }

    #[test]
    fn slots_that_do_not_move_one_to_one_escape() {
        let split = paired(&[("a", "main", "x"), ("b", "main", "y")]).unwrap_err();
        assert!(split[0].contains("are built in"), "{}", split[0]);
        let joined = paired(&[("a", "main", "x"), ("b", "marts", "x")]).unwrap_err();
        assert!(joined[0].contains("are both built in"), "{}", joined[0]);
        let crossed = paired(&[("a", "main", "marts"), ("b", "marts", "x")]).unwrap_err();
        assert!(crossed[0].contains("production uses itself"), "{}", crossed[0]);
    }
}
