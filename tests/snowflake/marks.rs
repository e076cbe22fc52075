//! Restore points and Time Travel: what dbt alone overwrote comes back.

use super::shop::Shop;

const BOTH: [&str; 2] = ["isolation: database\n", "isolation: schema\n"];
const A_DAY: u64 = 24 * 3600;

#[test]
fn a_mark_brings_back_what_dbt_alone_overwrote() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("marks", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        let before = shop.content("SHOP");
        shop.run(&["mark", "--name", "before-the-night"]).expect(0);
        shop.version(5);
        shop.dbt_alone(); // somebody's job that is not wrapped
        assert_eq!(shop.seen(), 5);
        let back = ["rollback", "--to", "before-the-night", "--reason", "the night was bad"];
        let told = shop.run(&back).expect(3).err;
        assert!(told.contains("--allow-loss"), "{told}");
        assert_eq!(shop.seen(), 5);
        let mut allowed = back.to_vec();
        allowed.push("--allow-loss");
        shop.run(&allowed).expect(0);
        assert_eq!(shop.seen(), 2, "{isolation}");
        assert_eq!(shop.content("SHOP"), before);
        let status = shop.json(&["status"], 0);
        assert!(status["doubt"].is_null() && status["unfinished"].is_null(), "{status}");
        shop.deploy(6);
    }
}

#[test]
fn a_time_brings_back_what_was_live_then() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("times", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        shop.account.forward(60);
        let then = shop.account.sql("SELECT TO_VARCHAR(CURRENT_TIMESTAMP()::TIMESTAMP_NTZ, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF3')");
        let then = format!("{}Z", then[0][0].as_deref().unwrap());
        shop.account.forward(60);
        shop.version(5);
        shop.dbt_alone();
        assert_eq!(shop.seen(), 5);
        shop.run(&["rollback", "--to", &then, "--reason", "x", "--allow-loss"]).expect(0);
        assert_eq!(shop.seen(), 2, "{isolation}");
    }
}

#[test]
fn a_time_at_which_a_kept_release_was_live_needs_no_time_travel() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("a time of a release", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        shop.account.forward(60);
        let then = shop.account.sql(
            "SELECT TO_VARCHAR(CURRENT_TIMESTAMP()::TIMESTAMP_NTZ, 'YYYY-MM-DD\"T\"HH24:MI:SS')",
        );
        let then = format!("{}Z", then[0][0].as_deref().unwrap());
        shop.account.forward(60);
        shop.deploy(3);
        shop.account.forward(60);
        shop.run(&["rollback", "--to", &then, "--reason", "x"]).expect(0);
        assert_eq!(shop.seen(), 2);
        assert_eq!(shop.live(), "r1");
        let clones = shop.writes().iter().filter(|(_, text)| text.contains("AT(TIMESTAMP")).count();
        assert_eq!(clones, 0);
    }
}

#[test]
fn a_release_whose_archive_was_pruned_comes_back_while_the_warehouse_keeps_it() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("pruned", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        let before = shop.content("SHOP");
        shop.deploy(3);
        shop.deploy(4);
        shop.run(&["prune", "r1", "r2"]).expect(0);
        let back = ["rollback", "--to", "r1", "--reason", "only r1 was good"];
        let told = shop.run(&back).expect(3).err;
        assert!(told.contains("--to r1 --reason TEXT --allow-loss"), "{told}");
        assert_eq!(shop.seen(), 4);
        let mut allowed = back.to_vec();
        allowed.push("--allow-loss");
        let said = shop.run(&allowed).expect(0).out;
        assert!(said.contains("the archive of r1 was dropped at"), "{said}");
        assert_eq!((shop.seen(), shop.live().as_str()), (2, Some("r1")), "{isolation}");
        assert_eq!(shop.content("SHOP"), before);
        let status = shop.json(&["status"], 0);
        assert!(status["doubt"].is_null() && status["unfinished"].is_null(), "{status}");
        shop.run(&["rollback", "--to", "r3", "--reason", "forward"]).expect(0);
        assert_eq!(shop.seen(), 4);
        // The account keeps what was dropped for a day.
        shop.account.forward(2 * A_DAY);
        let back = ["rollback", "--to", "r2", "--reason", "x", "--allow-loss"];
        let told = shop.run(&back).expect(2).err;
        assert!(told.contains("so long ago that it cannot be brought back"), "{told}");
        assert_eq!(shop.seen(), 4);
    }
}

#[test]
fn beyond_the_retention_a_mark_says_so_and_until_when_it_would_have_worked() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("retention", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        shop.run(&["mark", "--name", "old"]).expect(0);
        shop.version(5);
        shop.dbt_alone();
        shop.account.forward(2 * A_DAY);
        let told =
            shop.run(&["rollback", "--to", "old", "--reason", "x", "--allow-loss"]).expect(2).err;
        assert!(told.contains("cannot be read as it was at"), "{told}");
        assert!(told.contains("of its past, so it reaches back to"), "{told}");
        assert!(told.contains("switchback releases"), "{told}");
        assert_eq!(shop.seen(), 5);
        let future = shop.run(&[
            "rollback",
            "--to",
            "2999-01-01T00:00:00Z",
            "--reason",
            "x",
            "--allow-loss",
        ]);
        let told = future.expect(2).err;
        assert!(told.contains("is in the future"), "{told}");
    }
}

#[test]
fn a_container_that_is_gone_cannot_give_its_past_and_that_is_said() {
    for (isolation, gone) in [
        ("isolation: database\n", "DROP DATABASE SHOP__R1"),
        ("isolation: schema\n", "DROP SCHEMA SHOP.CORE_MARTS__R1"),
    ] {
        let Some(shop) = Shop::new("gone", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        shop.run(&["mark", "--name", "old"]).expect(0);
        shop.deploy(3); // what was marked is an archive now
        shop.account.sql(gone);
        let told =
            shop.run(&["rollback", "--to", "old", "--reason", "x", "--allow-loss"]).expect(2).err;
        assert!(told.contains("does not exist any more, so its past cannot be read"), "{told}");
        assert_eq!(shop.seen(), 3);
    }
}

#[test]
fn a_mark_is_found_in_the_archive_that_its_container_became() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("a mark and a deploy", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        shop.account.forward(60);
        shop.run(&["mark", "--name", "old"]).expect(0);
        shop.account.forward(60);
        shop.deploy(3);
        shop.run(&["rollback", "--to", "old", "--reason", "x", "--allow-loss"]).expect(0);
        assert_eq!(shop.seen(), 2, "{isolation}");
    }
}

#[test]
fn before_the_first_deploy_a_mark_is_a_way_back_already() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("a mark first", isolation) else { return };
        shop.dbt_alone();
        shop.run(&["mark", "--name", "first"]).expect(0);
        shop.account.forward(60);
        shop.version(2);
        shop.dbt_alone();
        shop.run(&["rollback", "--to", "first", "--reason", "x", "--allow-loss"]).expect(0);
        assert_eq!(shop.seen(), 1, "{isolation}");
    }
}
