//! Who may take the lease from whom, and the block around a swap.

use super::*;

/// Runs a cutover of these swaps, each its own inverse.
async fn cut_over(place: &Place, token: Token, swaps: &[&str]) -> Answer<()> {
    let swaps: Vec<Swap> =
        swaps.iter().map(|swap| ((*swap).to_owned(), (*swap).to_owned())).collect();
    let statement = Fence::new(&home(), "SHOP").cutover(token.0, &swaps);
    place.sessions.write(&tag(), &statement).await.map(drop)
}

#[tokio::test]
async fn a_rollback_outranks_a_deploy_but_not_one_that_is_cutting_over() {
    let Some(place) = Place::new("a_rollback_outranks_a_deploy") else { return };
    let (deploy, rollback, other) = (place.ledger(), place.ledger(), place.ledger());
    let lost_lease = deploy.acquire(claim("deploy")).await.unwrap();
    let held = rollback.acquire(claim("rollback")).await.unwrap();
    locked(deploy.renew(lost_lease.token, TTL).await);
    let said = locked(other.acquire(claim("rollback")).await);
    assert!(said.contains("rollback by ada"), "{said}");
    assert_eq!(other.lease().await.unwrap(), Some(held.clone()));

    // The deploy that was outranked does not cut over.
    place.emulator.sql("CREATE DATABASE SHOP");
    place.emulator.sql("CREATE DATABASE BUILD");
    place.emulator.sql("CREATE SCHEMA SHOP.OLD");
    let swap = "ALTER DATABASE SHOP SWAP WITH BUILD";
    let refused = cut_over(&place, lost_lease.token, &[swap]).await.unwrap_err();
    assert!(lost(&refused), "{refused}");
    assert_eq!(place.emulator.sql("SHOW SCHEMAS LIKE 'OLD' IN DATABASE SHOP").len(), 1);
    rollback.release(held.token).await.unwrap();

    // The one that has begun is left alone, until it has ended or its lease has.
    let next = deploy.acquire(claim("deploy")).await.unwrap();
    place.emulator.sql(&deploy.statements.begin_cutover(next.token.0));
    let said = locked(rollback.acquire(claim("rollback")).await);
    assert!(said.contains("deploy by ada"), "{said}");
    deploy.release(next.token).await.unwrap();
    assert_eq!(rollback.lease().await.unwrap().unwrap().token, next.token);
    place.emulator.forward(TTL.as_secs() + 1);
    let held = rollback.acquire(claim("rollback")).await.unwrap();
    rollback.release(held.token).await.unwrap();
    assert_eq!(rollback.lease().await.unwrap(), None);
}

#[tokio::test]
async fn a_cutover_swaps_and_leaves_no_mark_whatever_its_statements_came_to() {
    let Some(place) = Place::new("a_cutover_swaps") else { return };
    place.emulator.sql("CREATE DATABASE SHOP");
    place.emulator.sql("CREATE DATABASE BUILD");
    place.emulator.sql("CREATE SCHEMA SHOP.OLD");
    let (deploy, rollback) = (place.ledger(), place.ledger());
    for (body, works) in [
        (&["ALTER DATABASE SHOP SWAP WITH BUILD"][..], true),
        (&["ALTER DATABASE SHOP SWAP WITH BUILD", "ALTER DATABASE SHOP SWAP WITH NOWHERE"], false),
        (&["ALTER DATABASE SHOP SWAP WITH NOWHERE"], false),
    ] {
        // A lease that is about to end is made to last for the cutover.
        let short = Claim { ttl: Duration::from_secs(1), ..claim("deploy") };
        let lease = deploy.acquire(short).await.unwrap();
        let done = cut_over(&place, lease.token, body).await;
        assert_eq!(done.is_ok(), works, "{body:?}: {done:?}");
        assert!(done.as_ref().err().is_none_or(|error| !lost(error)), "{done:?}");
        let until = deploy.lease().await.unwrap().unwrap().expires_at;
        assert!(until - lease.taken_at >= chrono::TimeDelta::seconds(300), "{until}");
        let taken = rollback.acquire(claim("rollback")).await.unwrap();
        rollback.release(taken.token).await.unwrap();
    }
    // Swapped by the first; what the second swapped it swapped back before it failed.
    assert_eq!(place.emulator.sql("SHOW SCHEMAS LIKE 'OLD' IN DATABASE BUILD").len(), 1);
}
