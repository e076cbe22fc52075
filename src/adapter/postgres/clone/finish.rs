//! What comes last: triggers, rules, policies, comments, owners and grants; then both sides are
//! compared.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use tokio_postgres::types::Oid;

use super::super::definitions::{self, Kind, Node, Scope, head, rows, schema_oids};
use super::Copying;
use super::read::Original;
use super::say::{say, try_to_say};
use crate::adapter::sql::identifier;
use crate::ports::Answer;

/// Says what comes last and answers the notes of the whole copy.
pub async fn finish(
    copying: &Copying<'_>,
    client: &Client,
    original: &Original,
) -> Answer<Vec<String>> {
    let mut notes = original.notes.clone();
    let me = Me::of(client).await?;
    let mut certain = Vec::new();
    let mut perhaps = Vec::new();
    // An owner to be needs its rights in the schema before it can own something there.
    let schemas = definitions::class_of(client, "pg_namespace").await?;
    let first = |node: &Node| node.kind == Kind::Grant && node.address.0 == schemas;
    let grants = original.definitions.nodes.iter().filter(|node| first(node));
    perhaps.extend(grants.filter_map(|node| me.says(node).ok()));
    for node in original.definitions.finishing() {
        match node.kind {
            Kind::Owner | Kind::Grant | Kind::DefaultGrant | Kind::Label => match me.says(node) {
                Ok(statement) => perhaps.push(statement),
                Err(note) => notes.push(note),
            },
            _ => certain.extend(node.statements.iter().cloned()),
        }
    }
    say(client, &certain).await?;
    for failed in try_to_say(client, &perhaps).await? {
        notes.push(format!("not copied: {failed}"));
    }
    notes.extend(differences(copying, client, original).await?);
    let mut seen = BTreeSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    Ok(notes)
}

/// Makes everything before durable, which nothing is until then.
pub async fn make_durable(client: &Client) -> Answer<()> {
    let durable =
        vec!["SET LOCAL synchronous_commit TO on".to_owned(), "SELECT txid_current()".into()];
    say(client, &durable).await
}

/// The role that copies.
struct Me {
    name: String,
    member_of: BTreeSet<String>,
}

impl Me {
    async fn of(client: &Client) -> Answer<Self> {
        let sql = "SELECT current_user::text AS me, rolname::text AS role FROM pg_roles \
                   WHERE pg_has_role(current_user, oid, 'MEMBER')";
        let found = rows(client, sql, &[]).await?;
        Ok(Self {
            name: found.first().map_or_else(String::new, |row| row.get("me")),
            member_of: found.iter().map(|row| row.get("role")).collect(),
        })
    }

    /// A node as one text that can be said, as whoever must say it; or why not.
    fn says(&self, node: &Node) -> Result<String, String> {
        let text = node.statements.join(";\n");
        match &node.role {
            Some(role) if !self.member_of.contains(role) => Err(format!(
                "not copied, because {} is no member of {role}: {}",
                self.name,
                head(&text)
            )),
            Some(role) if node.kind == Kind::Grant => Ok(format!(
                "SET LOCAL ROLE {};\n{text};\nSET LOCAL ROLE {}",
                identifier(role),
                identifier(&self.name)
            )),
            _ => Ok(text),
        }
    }
}

/// What live has and the build has not.
async fn differences(
    copying: &Copying<'_>,
    client: &Client,
    original: &Original,
) -> Answer<Vec<String>> {
    let builds: Vec<String> = copying.pairs.iter().map(|(_, build)| build.clone()).collect();
    let schemas: Vec<Oid> = schema_oids(client, &builds).await?.values().copied().collect();
    let scope = Scope::of_schemas(client, &schemas).await?;
    let copy = definitions::read(client, &scope).await?;
    let mut there: BTreeMap<(Kind, &[String]), usize> = BTreeMap::new();
    for node in &copy.nodes {
        *there.entry((node.kind, &node.statements)).or_default() += 1;
    }
    let mut missing = Vec::new();
    for node in &original.definitions.nodes {
        match there.get_mut(&(node.kind, node.statements.as_slice())) {
            Some(count) if *count > 0 => *count -= 1,
            _ => {
                let what = node.statements.first().map_or("", |text| head(text));
                missing.push(format!("the copy is not like live: {what}"));
            }
        }
    }
    Ok(missing)
}
