//! Saying many statements: in transactions of a hundred or so, because one transaction holds a lock
//! for each object that it makes. A batch that fails is said again one by one, so that the message
//! names the statement.

use tokio_postgres::Client;

use super::super::definitions::head;
use super::super::words::refused;
use crate::ports::Answer;

const AT_ONCE: usize = 100;

/// Says every statement. What went before a failing batch stays.
pub async fn say(client: &Client, statements: &[String]) -> Answer<()> {
    for batch in statements.chunks(AT_ONCE) {
        let text = format!("BEGIN;\n{};\nCOMMIT", batch.join(";\n"));
        if client.batch_execute(&text).await.is_ok() {
            continue;
        }
        let doing = |error| refused("copying definitions", &error);
        client.batch_execute("ROLLBACK").await.map_err(doing)?;
        client.batch_execute("BEGIN").await.map_err(doing)?;
        for statement in batch {
            if let Err(error) = client.batch_execute(statement).await {
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(refused(&format!("saying `{}`", head(statement)), &error));
            }
        }
        client.batch_execute("COMMIT").await.map_err(doing)?;
    }
    Ok(())
}

/// Says statements that a role with few rights may not be allowed to say; answers those that failed,
/// with why.
pub async fn try_to_say(client: &Client, statements: &[String]) -> Answer<Vec<String>> {
    if say(client, statements).await.is_ok() {
        return Ok(Vec::new());
    }
    let mut failed = Vec::new();
    for statement in statements {
        if let Err(error) = client.batch_execute(&format!("BEGIN;\n{statement};\nCOMMIT")).await {
            client
                .batch_execute("ROLLBACK")
                .await
                .map_err(|error| refused("copying definitions", &error))?;
            failed.push(format!("{}: {}", head(statement), super::super::words::said(&error)));
        }
    }
    Ok(failed)
}
