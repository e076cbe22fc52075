//! References from builds into live. A build that still refers to live would go on referring to what
//! is displaced, so each is named and stops the deploy.
//!
//! Three ways to refer: by identity (the catalogs know every dependency), by name in the text of a
//! function, and by name in a string constant (`nextval('shop.ids')`).

use tokio_postgres::Client;
use tokio_postgres::types::Oid;

use super::super::definitions::{self, Kind, Scope, head, rows, schema_oids};
use super::bodies::{self, Names};
use crate::ports::Answer;

/// References from builds into lives, one sentence each.
pub async fn crossing(client: &Client, builds: &[String], lives: &[String]) -> Answer<Vec<String>> {
    let from: Vec<Oid> = schema_oids(client, builds).await?.values().copied().collect();
    let to: Vec<Oid> = schema_oids(client, lives).await?.values().copied().collect();
    let mut found = Vec::new();
    for row in rows(client, include_str!("sql/crossing.sql"), &[&from, &to]).await? {
        let (what, other): (String, String) = (row.get("what"), row.get("other"));
        found.push(format!("{what} still refers to {other}"));
    }
    let names = bodies::names(client, lives).await?;
    let scope = Scope::of_schemas(client, &from).await?;
    for node in definitions::read(client, &scope).await?.nodes {
        for statement in &node.statements {
            let named = match node.kind {
                Kind::Routine => bodies::mentions(statement, lives, &names).into_iter().collect(),
                Kind::Comment | Kind::Label | Kind::Owner | Kind::Grant | Kind::DefaultGrant => {
                    continue;
                }
                _ => constants(statement, lives, &names),
            };
            for name in named {
                found.push(format!("`{}` still names {name} in its text", head(statement)));
            }
        }
    }
    Ok(found)
}

/// String constants that are the whole name of something in live.
fn constants(statement: &str, lives: &[String], names: &Names) -> Vec<String> {
    statement
        .split('\'')
        .skip(1)
        .step_by(2)
        .filter(|constant| {
            let mentioned = bodies::mentions(constant, lives, names);
            let plain = constant.replace('"', "");
            mentioned.iter().any(|one| *one == plain)
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_counts_if_it_is_a_whole_name() {
        let lives = ["shop".to_owned()];
        let names = Names::from([("shop".to_owned(), ["ids".to_owned()].into())]);
        let found = |text: &str| constants(text, &lives, &names);
        assert_eq!(found("SET DEFAULT nextval('shop.ids'::text)"), ["shop.ids"]);
        assert_eq!(found(r#"SELECT '"shop".ids'::text"#), [r#""shop".ids"#]);
        assert!(found("SELECT 'see shop.ids for more'::text, 'shop.com'").is_empty());
    }
}
