//! The contract story with each fact flipped that nobody here knows: either everything holds, or the
//! tool refuses in words before anything was swapped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::faults::everything;
use super::shop::Shop;

/// A step of the story: the code's version, the command, the version that is live then.
type Step = (u32, &'static [&'static str], u32);

const STORY: &[Step] = &[
    (2, &["deploy"], 2),
    (3, &["deploy"], 3),
    (3, &["rollback", "--reason", "wrong"], 2),
    (3, &["rollback", "--to", "r0", "--reason", "what dbt alone made"], 1),
    (3, &["rollback", "--to", "r2", "--reason", "forward"], 3),
    (4, &["deploy"], 4),
];

/// The parts of it that are told for every switch, unless everything is tried.
const SHORT: &[Step] = &[STORY[0], STORY[1], STORY[3], STORY[4]];

/// What must not change: what the containers are like.
fn containers(shop: &Shop) -> Vec<Vec<Option<String>>> {
    let mut rows = shop.account.sql("SHOW SCHEMAS IN DATABASE SHOP");
    rows.extend(shop.account.sql("SHOW DATABASES LIKE 'SHOP'"));
    rows.retain(|row| {
        let name = row[1].as_deref().unwrap();
        !name.contains("__") && !matches!(name, "INFORMATION_SCHEMA" | "SWITCHBACK" | "PUBLIC")
    });
    // Created, and whose session's current it is, may differ.
    rows.iter().map(|row| [&row[1..2], &row[4..]].concat()).collect()
}

/// The story's end: everything held, or the step that was refused and why.
fn told(shop: &Shop) -> Result<(), (String, String)> {
    let before = containers(shop);
    for (version, arguments, live) in if everything() { STORY } else { SHORT } {
        shop.version(*version);
        let (seen, swaps) = (shop.seen(), shop.cutovers());
        let mut json = arguments.to_vec();
        json.extend(["--format", "json"]);
        let run = shop.run(&json);
        if run.code != 0 {
            let said = run.json();
            let error = &said["error"];
            let message = error["message"].as_str().unwrap().to_owned();
            assert!([2, 3, 5].contains(&run.code), "exit {}: {said}\n{}", run.code, run.err);
            assert!(!error["next"].is_null(), "no way out: {said}");
            assert_eq!(shop.cutovers(), swaps, "refused after a swap: {said}");
            assert_eq!(shop.seen(), seen, "refused, and yet production changed: {said}");
            return Err((format!("{} of version {version}", arguments[0]), message));
        }
        assert_eq!(shop.seen(), *live, "{arguments:?}");
        assert_eq!(containers(shop), before, "{arguments:?} changed what a container is like");
    }
    let status = shop.json(&["status"], 0);
    assert_eq!(status["live"]["release"], format!("r{}", shop.seen() - 1));
    assert!(status["doubt"].is_null() && status["unfinished"].is_null(), "{status}");
    Ok(())
}

fn production(shop: &Shop) {
    shop.dbt_alone();
    for statement in [
        "COMMENT ON DATABASE SHOP IS 'the shop'",
        "ALTER DATABASE SHOP SET DATA_RETENTION_TIME_IN_DAYS = 3",
        "COMMENT ON SCHEMA SHOP.CORE_MARTS IS 'for the board'",
        "ALTER SCHEMA SHOP.CORE_MARTS SET DATA_RETENTION_TIME_IN_DAYS = 2",
        "ALTER SCHEMA SHOP.CORE_STAGING ENABLE MANAGED ACCESS",
        "GRANT USAGE ON DATABASE SHOP TO ROLE READER",
        "GRANT USAGE ON SCHEMA SHOP.CORE_MARTS TO ROLE READER",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA SHOP.CORE_MARTS TO ROLE READER",
        "GRANT SELECT ON FUTURE VIEWS IN DATABASE SHOP TO ROLE ANALYST",
    ] {
        shop.account.sql(statement);
    }
}

/// Switches that are known to be refused in one isolation or the other: never flipped with others.
const ALONE: [&str; 1] = ["relative-names"];

/// A switch's name and its other value.
type Flip = (String, String);

/// What is flipped together: everything alone if everything is tried, else three groups.
fn groups(known: &[Flip]) -> Vec<Vec<Flip>> {
    let (alone, others): (Vec<_>, Vec<_>) =
        known.iter().cloned().partition(|(name, _)| everything() || ALONE.contains(&name.as_str()));
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    for (at, flip) in others.into_iter().enumerate() {
        if at % 2 == 0 { even.push(flip) } else { odd.push(flip) }
    }
    alone.into_iter().map(|flip| vec![flip]).chain([even, odd]).filter(|g| !g.is_empty()).collect()
}

/// The story with these flipped, from the account as it was saved.
fn flipped(shop: &Shop, flips: &[Flip]) -> Result<(), (String, String)> {
    shop.account.restore();
    let before = shop.account.control(&json!({"op": "switches"}));
    let set = |name: &str, value: &Value| {
        shop.account.control(&json!({"op": "switch", "name": name, "value": value}))
    };
    for (name, value) in flips {
        println!("{name}={value}");
        set(name, &json!(value));
    }
    let told = told(shop);
    for switch in before["switches"].as_array().unwrap() {
        set(switch["name"].as_str().unwrap(), &switch["values"][0]);
    }
    told
}

/// One line for each switch. Where a group does not hold, each of it is told alone.
fn every_switch_flipped(isolation: &str) -> Option<String> {
    let shop = Shop::new("switches", isolation)?;
    production(&shop);
    shop.account.save();
    let known = shop.account.control(&json!({"op": "switches"}));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let listed = known["switches"].as_array().unwrap().iter();
    let known: Vec<Flip> =
        listed.map(|switch| (text(&switch["name"]), text(&switch["values"][1]))).collect();
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for group in groups(&known) {
        let together = flipped(&shop, &group);
        for flip in &group {
            let alone = match &together {
                Err(_) if group.len() > 1 => flipped(&shop, std::slice::from_ref(flip)),
                end => end.clone(),
            };
            let line = match alone {
                Ok(()) => "everything holds".to_owned(),
                Err((step, message)) => format!("{step} is refused: {message}"),
            };
            ends.insert(flip.0.clone(), line);
        }
    }
    let mut table = String::new();
    for (name, value) in &known {
        let _ = writeln!(table, "{name}={value}: {}", ends[name]);
    }
    Some(table)
}

#[test]
fn with_databases_every_unknown_fact_may_be_either_way() {
    let Some(table) = every_switch_flipped("isolation: database\n") else { return };
    assert_table("databases", &table);
}

#[test]
fn with_schemas_every_unknown_fact_may_be_either_way() {
    let Some(table) = every_switch_flipped("isolation: schema\n") else { return };
    assert_table("schemas", &table);
}

#[track_caller]
fn assert_table(name: &str, table: &str) {
    insta::with_settings!({filters => vec![
        (r"query [0-9a-f-]{36}", "query ID"),
    ]}, { insta::assert_snapshot!(name, table) });
}

#[test]
fn transient_containers_stay_transient_whatever_a_swap_of_two_kinds_does() {
    for isolation in ["isolation: database\n", "isolation: schema\n"] {
        let Some(shop) = Shop::new("transient", isolation) else { return };
        shop.account.sql("DROP DATABASE SHOP");
        shop.account.sql("CREATE TRANSIENT DATABASE SHOP COMMENT = 'kept a day'");
        shop.account.sql("CREATE TRANSIENT SCHEMA SHOP.CORE_MARTS WITH MANAGED ACCESS");
        shop.dbt_alone();
        shop.account.save();
        for (name, value) in
            [("transient-clone", "inherits"), ("swap-transient-with-permanent", "allowed")]
        {
            shop.account.restore();
            shop.account.control(&json!({"op": "switch", "name": name, "value": value}));
            assert_eq!(told(&shop), Ok(()), "{isolation}{name}");
        }
    }
}

/// The block's own compensation, and what happens where it is not run.
#[test]
fn an_error_in_the_middle_of_the_block_is_undone_by_it_or_by_recover() {
    let Some(shop) = Shop::new("an error in the block", "isolation: schema\n") else { return };
    shop.dbt_alone();
    shop.deploy(2);
    shop.account.save();
    for (exception, nth) in [("works", 1), ("works", 3), ("ignored", 1), ("ignored", 3)] {
        shop.account.restore();
        let switch = json!({"op": "switch", "name": "scripting-exception", "value": exception});
        shop.account.control(&switch);
        shop.account.control(&json!({
            "op": "fault", "action": "error", "inner": true, "match": "SWAP WITH", "nth": nth,
        }));
        shop.version(3);
        let run = shop.run(&["deploy"]);
        assert!([1, 3, 6].contains(&run.code), "{}", run.err);
        shop.account.heal();
        if exception == "works" {
            assert_eq!(shop.seen(), 2, "{}", run.err);
        }
        if !shop.json(&["status"], 0)["running"].is_null() {
            shop.account.forward(super::shop::A_LEASE);
        }
        shop.run(&["recover"]).expect(0);
        assert_eq!(shop.seen(), 2, "{exception} {nth}");
        let status = shop.json(&["status"], 0);
        assert!(status["doubt"].is_null() && status["unfinished"].is_null(), "{status}");
        shop.deploy(4);
    }
}
