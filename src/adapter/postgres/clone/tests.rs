//! Copies on a real server.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::*;
use crate::adapter::postgres::testing::Server;

const TORTURE: &str = include_str!("../torture.sql");

struct World {
    server: &'static Server,
    database: String,
    client: Client,
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn both() -> Vec<(String, String)> {
    pairs(&[("shop", "shop__build_r2"), ("Shop Two", "Shop Two__build_r2")])
}

impl World {
    async fn new(sql: &str) -> Option<Self> {
        let server = Server::shared()?;
        let database = server.database().await;
        let client = server.connect(&database).await;
        client.batch_execute(sql).await.expect("the world is made");
        Some(Self { server, database, client })
    }

    async fn copy_as(
        &self,
        user: &str,
        pairs: &[(String, String)],
        without_rows: &[(&str, &str)],
    ) -> Answer<Vec<String>> {
        let connect = || -> NewClient<'_> {
            Box::pin(async { Ok(self.server.connect_as(&self.database, user).await) })
        };
        let without_rows: BTreeSet<(String, String)> = without_rows
            .iter()
            .map(|(schema, name)| ((*schema).to_owned(), (*name).to_owned()))
            .collect();
        let copying = Copying {
            connect: &connect,
            pairs,
            without_rows: &without_rows,
            marker: "switchback: being copied",
            jobs: 2,
        };
        copy(&copying, &|_, _| {}).await
    }

    async fn copy(&self, pairs: &[(String, String)]) -> Answer<Vec<String>> {
        self.copy_as("postgres", pairs, &[]).await
    }

    /// The dump of a schema, `pg_dump`'s own settings and the schema's comment aside.
    fn dump(&self, schema: &str) -> String {
        let pattern = format!("\"{schema}\"");
        self.server
            .dump(&self.database, &["-n", &pattern])
            .lines()
            .filter(|line| !line.starts_with("--") && !line.starts_with("COMMENT ON SCHEMA"))
            .filter(|line| !line.is_empty() && !line.starts_with('\\'))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[allow(dead_code)]
    async fn text(&self, sql: &str) -> String {
        self.client.query_one(sql, &[]).await.expect(sql).get(0)
    }
}

/// What differs, line by line.
fn differences(one: &str, other: &str) -> Vec<String> {
    let (one, other): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    let mut found = Vec::new();
    for line in &one {
        if !other.contains(line) {
            found.push(format!("- {line}"));
        }
    }
    for line in &other {
        if !one.contains(line) {
            found.push(format!("+ {line}"));
        }
    }
    if found.is_empty()
        && let Some(at) = one.iter().zip(&other).position(|(one, other)| one != other)
    {
        found.push(format!(
            "in another order: {:#?} {:#?}",
            &one[at - 3..at + 3],
            &other[at..at + 3]
        ));
    }
    found
}

#[tokio::test]
async fn everything_in_the_schemas_is_copied_and_nothing_refers_back() {
    let Some(world) = World::new(TORTURE).await else { return };
    let pairs = both();
    let before = world.dump("shop") + &world.dump("Shop Two");
    let notes = world.copy(&pairs).await.expect("a copy");
    assert_eq!(notes, Vec::<String>::new());
    let after = world.dump("shop") + &world.dump("Shop Two");
    assert_eq!(differences(&before, &after), Vec::<String>::new(), "live was changed");
    for (live, build) in &pairs {
        let copied = world.dump(build).replace("__build_r2", "");
        assert_eq!(differences(&world.dump(live), &copied), Vec::<String>::new());
    }
    let (lives, builds): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
    let crossing = crossing(&world.client, &builds, &lives).await.expect("a search");
    assert_eq!(crossing, Vec::<String>::new());
}
