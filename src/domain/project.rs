//! A dbt project as Switchback needs to see it: what it writes, and what makes it the same code
//! as another checkout's. Filled by the dbt adapter from `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::inventory::Local;
use super::name::{Fingerprint, RelationName};

/// The kinds of node that dbt writes to the warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// A model.
    Model,
    /// A seed.
    Seed,
    /// A snapshot: its versions cannot be rebuilt from sources.
    Snapshot,
    /// A test whose failures are stored.
    Test,
    /// A user-defined function.
    Function,
}

/// One node that writes a relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// dbt's unique id, such as `model.shop.orders`.
    pub unique_id: String,
    /// Its kind.
    pub kind: NodeKind,
    /// The relation it writes.
    pub relation: RelationName,
    /// The same as dbt writes it into SQL, with the quotes it uses, where the manifest tells.
    #[serde(default)]
    pub rendered: Option<String>,
    /// Whether it declares who may do what with its relation.
    #[serde(default)]
    pub declares_grants: bool,
    /// Its materialization, such as `table`.
    pub materialized: String,
    /// The file it is defined in, relative to the project.
    pub file: String,
    /// The macro file that decided its schema or database, where the manifest tells.
    pub placed_by: Option<String>,
}

impl Node {
    /// The name people give to dbt's `--select`: the last part of the unique id.
    #[must_use]
    pub fn name(&self) -> &str {
        let mut parts = self.unique_id.splitn(3, '.');
        parts.nth(2).unwrap_or(&self.unique_id)
    }
}

/// What one parse of the project says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Every node that writes, by unique id.
    pub nodes: BTreeMap<String, Node>,
    /// Where the sources lie.
    pub sources: Vec<RelationName>,
    /// Compiled or raw SQL per node that names something beside its own relation is searched for
    /// references to production; `unique_id` → raw code.
    pub raw_code: BTreeMap<String, String>,
}

/// The project under both targets.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Parsed as production.
    pub production: Manifest,
    /// Parsed as the build.
    pub build: Manifest,
    /// The digest of what would be built.
    pub fingerprint: Fingerprint,
    /// dbt's version, as it reports it.
    pub dbt_version: String,
    /// Where a copy costs time: tables that this run makes anew before anybody reads them, by id, with
    /// the ids of all nodes that dbt runs after each. Their rows need no copying.
    pub rebuilt: BTreeMap<String, BTreeSet<String>>,
}

/// One relation that dbt writes, remembered with the release it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Written {
    /// The relation's schema.
    pub schema: String,
    /// Its own name.
    pub identifier: String,
    /// The kind of node that writes it.
    pub kind: NodeKind,
}

impl Manifest {
    /// The relations dbt writes, as they are `stored`.
    #[must_use]
    pub fn writes(&self, stored: &dyn Fn(&Node) -> Local) -> Vec<Written> {
        let mut writes: Vec<Written> = self
            .nodes
            .values()
            .map(|node| {
                let Local { schema, identifier } = stored(node);
                Written { schema, identifier, kind: node.kind }
            })
            .collect();
        writes.sort();
        writes
    }
}

/// How one node ended in `run_results.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeResult {
    /// dbt's unique id.
    pub unique_id: String,
    /// dbt's status word: `success`, `pass`, `warn`, `error`, `fail`, `skipped`, …
    pub status: String,
    /// dbt's message, if it gave one.
    pub message: Option<String>,
    /// The file the node is defined in, where the manifest tells.
    pub file: Option<String>,
    /// Seconds dbt spent on it.
    pub seconds: f64,
}

impl NodeResult {
    /// Whether dbt calls it a failure.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self.status.as_str(), "error" | "fail" | "runtime error" | "partial success")
    }
}

/// What the dbt commands of one build came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DbtSummary {
    /// Nodes by status word.
    pub counts: BTreeMap<String, u32>,
    /// The nodes that failed, at most a hundred.
    pub failures: Vec<NodeResult>,
    /// Wall seconds of all commands together.
    pub seconds: f64,
}
