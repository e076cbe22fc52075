//! `manifest.json`, as much of it as is needed, from dbt 1.8 (v12) on and from Fusion.
//!
//! Lenient about what is missing: a field that some version leaves out must not stop a deploy. What
//! decides where dbt writes (kind, enabled, materialization, database, schema, alias) is read the
//! way dbt itself decides it.
//!
//! May import `domain` and its sibling `mapped`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::mapped::{Text, or_default};
use crate::domain::name::RelationName;
use crate::domain::project::{Manifest, Node, NodeKind};

/// The manifest as dbt writes it.
#[derive(Debug, Deserialize)]
pub struct Raw<'a> {
    /// About the parse.
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    /// Models, seeds, snapshots, tests, hooks, analyses.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub nodes: BTreeMap<Text<'a>, RawNode<'a>>,
    /// User-defined functions, since 1.11.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub functions: BTreeMap<Text<'a>, RawNode<'a>>,
    /// Sources.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub sources: BTreeMap<Text<'a>, RawNode<'a>>,
    /// Macros, dbt's own included.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub macros: BTreeMap<Text<'a>, RawMacro<'a>>,
    /// Selections that the project names, one of which may be the default.
    #[serde(borrow, default)]
    selectors: Option<&'a RawValue>,
}

/// The manifest's header.
#[derive(Debug, Default, Deserialize)]
pub struct Metadata<'a> {
    /// dbt's version.
    #[serde(borrow, default)]
    pub dbt_version: Option<Text<'a>>,
    /// The root project.
    #[serde(borrow, default)]
    pub project_name: Option<Text<'a>>,
}

/// Any node; sources have other fields than models.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct RawNode<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    resource_type: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    database: Text<'a>,
    /// Rendered.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub schema: Text<'a>,
    #[serde(borrow, default)]
    alias: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    name: Text<'a>,
    /// The package it comes from.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub package_name: Text<'a>,
    /// Its file, relative to its package.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub original_file_path: Text<'a>,
    /// Seeds: the package's folder.
    #[serde(borrow, default)]
    pub root_path: Option<Text<'a>>,
    #[serde(borrow, default)]
    relation_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    raw_code: Option<Text<'a>>,
    /// Of the file.
    #[serde(borrow, default)]
    pub checksum: Option<Checksum<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    config: Config<'a>,
    /// As the project's files have it.
    #[serde(borrow, default)]
    pub unrendered_config: Option<&'a RawValue>,
    /// Of a model whose columns are enforced.
    #[serde(borrow, default)]
    pub contract: Option<Contract<'a>>,
    /// Sources: their own name in the warehouse.
    #[serde(borrow, default)]
    pub identifier: Option<Text<'a>>,
    /// Sources: the schema as the file has it.
    #[serde(borrow, default)]
    pub unrendered_schema: Option<Text<'a>>,
    /// Sources: the database as the file has it.
    #[serde(borrow, default)]
    pub unrendered_database: Option<Text<'a>>,
    /// Functions.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
    /// Functions.
    #[serde(borrow, default)]
    pub returns: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    depends_on: DependsOn<'a>,
}

/// What a node or a macro refers to.
#[derive(Debug, Default, Deserialize)]
struct DependsOn<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    nodes: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    macros: Vec<Text<'a>>,
}

/// What tells a node's content.
#[derive(Debug, Deserialize)]
pub struct Checksum<'a> {
    /// `sha256`, `none`, or `path` for a seed over a megabyte.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The digest, or the path.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub checksum: Text<'a>,
}

/// What tells a model's columns, where they are enforced.
#[derive(Debug, Deserialize)]
pub struct Contract<'a> {
    /// The digest.
    #[serde(borrow, default)]
    pub checksum: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Config<'a> {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(borrow, default)]
    materialized: Option<Text<'a>>,
    #[serde(default)]
    store_failures: Option<bool>,
    #[serde(borrow, default)]
    store_failures_as: Option<Text<'a>>,
    /// Privilege → grantees.
    #[serde(borrow, default)]
    grants: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "pre-hook")]
    pre_hook: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "post-hook")]
    post_hook: Option<&'a RawValue>,
}

/// A macro.
#[derive(Debug, Deserialize)]
pub struct RawMacro<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    package_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    original_file_path: Text<'a>,
    /// Its text.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub macro_sql: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    depends_on: DependsOn<'a>,
}

impl RawMacro<'_> {
    /// Its name without its package.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its package.
    #[must_use]
    pub fn package(&self) -> &str {
        &self.package_name
    }

    /// The macros that it calls, by id.
    pub fn macros(&self) -> impl Iterator<Item = &str> {
        self.depends_on.macros.iter().map(|id| &**id)
    }
}

/// How to read a manifest beyond what stands in it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Whether tests store their failures unless they say otherwise (`--store-failures`).
    pub store_failures: bool,
    /// Where packages lie, relative to the project.
    pub packages_dir: String,
    /// Raw code is kept of nodes that hold one of these texts.
    pub needles: Vec<String>,
}

impl Raw<'_> {
    /// Every node that writes.
    #[must_use]
    pub fn summarize(&self, reading: &Reading) -> Manifest {
        let placed_by = self.placed_by();
        let sources = self.sources.values().map(RawNode::source).collect();
        let mut manifest = Manifest { sources, ..Manifest::default() };
        for (id, raw) in self.nodes.iter().chain(&self.functions) {
            if let Some(code) = &raw.raw_code
                && reading.needles.iter().any(|needle| code.contains(needle.as_str()))
            {
                manifest.raw_code.insert(id.to_string(), code.to_string());
            }
            let Some(kind) = raw.kind(reading) else {
                continue;
            };
            let node = Node {
                unique_id: id.to_string(),
                kind,
                relation: RelationName {
                    database: raw.database.to_string(),
                    schema: raw.schema.to_string(),
                    identifier: raw.alias.as_ref().unwrap_or(&raw.name).to_string(),
                },
                rendered: raw.relation_name.as_ref().map(ToString::to_string),
                declares_grants: raw.declares_grants(),
                materialized: raw.materialized().to_owned(),
                file: self.file(raw, reading),
                placed_by: placed_by.clone(),
            };
            manifest.nodes.insert(id.to_string(), node);
        }
        manifest
    }

    /// Whether the project names selections.
    #[must_use]
    pub fn has_selectors(&self) -> bool {
        self.selectors.is_some_and(|raw| raw.get().contains('"'))
    }

    /// A macro.
    #[must_use]
    pub fn macro_by_id<'b>(&'b self, id: &'b str) -> Option<&'b RawMacro<'b>> {
        self.macros.get(&Text(id.into()))
    }

    /// A node's file, relative to the project; results name nodes that write nothing too.
    #[must_use]
    pub fn file_of(&self, unique_id: &str, reading: &Reading) -> Option<String> {
        let id = Text(unique_id.into());
        let found = [&self.nodes, &self.functions, &self.sources]
            .into_iter()
            .find_map(|nodes| nodes.get(&id))?;
        Some(self.file(found, reading))
    }

    fn file(&self, raw: &RawNode<'_>, reading: &Reading) -> String {
        let root = self.metadata.project_name.as_deref().unwrap_or_default();
        if root.is_empty() || *raw.package_name == *root {
            return raw.original_file_path.to_string();
        }
        format!("{}/{}/{}", reading.packages_dir, &*raw.package_name, &*raw.original_file_path)
    }

    /// The root project's own macro that decides schemas, if it has one.
    fn placed_by(&self) -> Option<String> {
        let root = self.metadata.project_name.as_deref()?;
        ["generate_schema_name", "generate_database_name"]
            .into_iter()
            .find_map(|wanted| {
                self.macros.values().find(|one| {
                    *one.package_name == *root
                        && (*one.name == *wanted || one.name.ends_with(&format!("__{wanted}")))
                })
            })
            .map(|found| found.original_file_path.to_string())
    }
}

impl RawNode<'_> {
    /// What its relation is called.
    #[must_use]
    pub fn relation_identifier(&self) -> &str {
        self.alias.as_ref().unwrap_or(&self.name)
    }

    /// What a source is called where it lies.
    #[must_use]
    pub fn source_identifier(&self) -> &str {
        self.identifier.as_ref().unwrap_or(&self.name)
    }

    /// Whether it is a model that dbt makes as a table, with nothing that runs right before.
    #[must_use]
    pub fn is_plain_table(&self) -> bool {
        let reads_itself = |code: &str| {
            code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "this")
        };
        *self.resource_type == *"model"
            && self.config.enabled != Some(false)
            && self.materialized() == "table"
            && self.config.pre_hook.is_none_or(|hooks| !hooks.get().contains('"'))
            && self.raw_code.as_deref().is_some_and(|code| !reads_itself(code))
    }

    /// Whether it is a model that may have no rows of its own.
    #[must_use]
    pub fn is_view(&self) -> bool {
        *self.resource_type == *"model" && !matches!(self.materialized(), "table" | "incremental")
    }

    /// Its code and its hooks.
    pub fn own_texts(&self) -> impl Iterator<Item = &str> {
        let hooks = [self.config.pre_hook, self.config.post_hook];
        let code = self.raw_code.as_deref();
        code.into_iter().chain(hooks.into_iter().flatten().map(RawValue::get))
    }

    /// The nodes that it refers to, by id.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.depends_on.nodes.iter().map(|id| &**id)
    }

    /// The macros that it calls, by id.
    pub fn macros(&self) -> impl Iterator<Item = &str> {
        self.depends_on.macros.iter().map(|id| &**id)
    }

    fn source(&self) -> RelationName {
        RelationName {
            database: self.database.to_string(),
            schema: self.schema.to_string(),
            identifier: self.identifier.as_ref().unwrap_or(&self.name).to_string(),
        }
    }

    /// `grants: {}` and `null` declare nothing.
    fn declares_grants(&self) -> bool {
        self.config.grants.is_some_and(|raw| raw.get().contains('"'))
    }

    fn materialized(&self) -> &str {
        match &self.config.materialized {
            Some(word) => word,
            None => match &*self.resource_type {
                "model" => "view", // dbt's default
                other => other,
            },
        }
    }

    /// What it writes; `None` if nothing.
    fn kind(&self, reading: &Reading) -> Option<NodeKind> {
        if self.config.enabled == Some(false) {
            return None;
        }
        match &*self.resource_type {
            "model" if self.materialized() != "ephemeral" => Some(NodeKind::Model),
            "seed" => Some(NodeKind::Seed),
            "snapshot" => Some(NodeKind::Snapshot),
            "function" => Some(NodeKind::Function),
            "test" => {
                let stores = match self.config.store_failures_as.as_deref() {
                    Some("ephemeral") => false,
                    Some(_) => true,
                    None => self.config.store_failures.unwrap_or(reading.store_failures),
                };
                stores.then_some(NodeKind::Test)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
