//! The fault matrix: every statement by which the tool changes something × {the connection is lost
//! before it arrives, after it was done, after it was done and for good}; then whatever the tool says
//! to do next. And every step × {killed as intended, performed, recorded}.
//!
//! Cells of one scenario start from the same account, which the emulator remembers. All of them take
//! half an hour, with `SWITCHBACK_TEST_ALL_FAULTS` set. Otherwise a sample is tried, always the same:
//! everything about the swap and about what brings a release back; of statements that are alike in a
//! step the first, lost in one way; of the points of a step the middle one. What was left out is printed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::shop::{A_LEASE, Shop};

/// What a scenario does, from which version of production to which.
struct Scenario {
    name: &'static str,
    switchback: &'static str,
    setup: fn(&Shop),
    arguments: &'static [&'static str],
    before: u32,
    after: u32,
}

/// A way to lose a connection: the fault's action, and whether nothing arrives afterwards.
const LOSSES: &[(&str, bool)] =
    &[("drop_before", false), ("drop_after", false), ("drop_after", true)];

/// Whether everything is tried, also what takes long.
pub fn everything() -> bool {
    std::env::var_os("SWITCHBACK_TEST_ALL_FAULTS").is_some()
}

/// Containers that look like ours and are not.
const BYSTANDERS: [&str; 4] =
    ["SHOP__R7", "SHOP__BUILD_R9", "SHOP.CORE__R7", "SHOP.CORE_RAW__BUILD_R9"];

fn bystanders(shop: &Shop) {
    for name in BYSTANDERS {
        let word = if name.contains('.') { "SCHEMA" } else { "DATABASE" };
        shop.account.sql(&format!("CREATE {word} {name}"));
    }
}

fn every_bystander_is_there(shop: &Shop) {
    let (databases, schemas) = (shop.databases(), shop.schemas());
    for name in BYSTANDERS {
        let there = match name.split_once('.') {
            Some((_, schema)) => schemas.iter().any(|one| one == schema),
            None => databases.iter().any(|one| one == name),
        };
        assert!(there, "{name} carries no stamp and is gone");
    }
}

/// The invariants after a run that was cut off. `done`: it said that it had done it.
fn settles(shop: &Shop, scenario: &Scenario, run: &str, done: bool) {
    let seen = shop.seen(); // whole before anything is recovered
    assert!([scenario.before, scenario.after].contains(&seen), "{seen} is live\n{run}");
    let status = shop.json(&["status"], 0);
    if !status["running"].is_null() {
        shop.account.forward(A_LEASE); // nobody gave the lease back
    }
    let recovered = shop.json(&["recover"], 0);
    let taken_back = recovered["outcome"] == "taken-back";
    let live = shop.seen();
    assert!(live == seen || taken_back, "recover changed what is live: {seen} to {live}\n{run}");
    assert!(!done || live == scenario.after, "it said that it was done\n{run}");
    if recovered["outcome"] == "abandoned" {
        assert_eq!(live, scenario.before, "what was abandoned is live\n{run}");
    }
    let status = shop.json(&["status"], 0);
    for key in ["unfinished", "doubt", "running"] {
        assert!(status[key].is_null(), "{status}\n{run}");
    }
    assert_eq!(status["live"]["release"], format!("r{}", live - 1), "{status}\n{run}");
    assert!(shop.cutovers() <= 1 + usize::from(taken_back), "a swap was sent twice\n{run}");
    let writes = shop.writes().len();
    assert_eq!(shop.json(&["recover"], 0)["outcome"], "nothing-to-do", "{run}");
    assert_eq!(shop.writes().len(), writes, "recovering again changed something\n{run}");
    every_bystander_is_there(shop);
    shop.version(9);
    let next = shop.run(&["deploy"]);
    assert_eq!(next.code, 0, "the next deploy:\n{}\nafter\n{run}", next.err);
    assert_eq!(shop.seen(), 9);
    every_bystander_is_there(shop);
}

impl Scenario {
    fn world(&self) -> Option<Shop> {
        let shop = Shop::new(self.name, self.switchback)?;
        shop.dbt_alone();
        bystanders(&shop);
        (self.setup)(&shop);
        shop.account.save();
        Some(shop)
    }

    fn run(&self, shop: &Shop) -> (i32, String) {
        let mut arguments = self.arguments.to_vec();
        arguments.extend(["--format", "json"]);
        let run = shop.run(&arguments);
        let head: String = run.out.chars().take(1500).collect();
        (run.code, format!("exit {}\n{head}\n{}", run.code, tail(&run.err)))
    }

    /// What is tried: the number of a statement that changes something, its name, and the loss.
    fn losses(&self, shop: &Shop) -> Vec<(usize, String, (&'static str, bool))> {
        shop.account.restore();
        self.setup_code(shop);
        let (code, said) = self.run(shop);
        assert_eq!(code, 0, "{said}");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut chosen = Vec::new();
        for (at, (step, text)) in shop.writes().into_iter().enumerate() {
            let step = step.split(':').next().unwrap();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            let table = text.split('"').nth(5).filter(|_| step == "ledger").unwrap_or_default();
            let name = format!("{step}: {} {table}", words.join(" "));
            let before = counts.entry(name.clone()).or_default();
            *before += 1;
            let whole = everything() || matches!(step, "swap" | "restore");
            let losses = match (whole, *before) {
                (true, _) => LOSSES.to_vec(),
                (false, 1) => vec![LOSSES[at % 2]],
                (false, _) => Vec::new(),
            };
            chosen.extend(losses.into_iter().map(|loss| (at + 1, name.clone(), loss)));
        }
        let all: usize = counts.values().sum();
        println!("{}: {} of {} cells; {counts:#?}", self.name, chosen.len(), all * LOSSES.len());
        chosen
    }

    fn setup_code(&self, shop: &Shop) {
        shop.version(self.after);
    }

    /// Every statement × every loss.
    fn lose_every_statement(&self) {
        let Some(shop) = self.world() else { return };
        let mut failed = Vec::new();
        let chosen = self.losses(&shop);
        for (nth, name, (action, dead)) in &chosen {
            let cell = format!("{} statement {nth} ({name}) {action}, dead {dead}", self.name);
            shop.account.restore();
            self.setup_code(&shop);
            shop.account.control(&json!({
                "op": "fault", "action": action, "tag": "^switchback/", "nth": nth, "dead": dead,
                "match": r"^\s*(?!SELECT|SHOW|ALTER SESSION|WITH|USE|DESC)",
            }));
            let (code, said) = self.run(&shop);
            shop.account.heal();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                assert!([0, 1, 3, 5, 6].contains(&code), "{said}");
                settles(&shop, self, &said, code == 0);
            }));
            if outcome.is_err() {
                failed.push(cell);
            }
        }
        assert!(failed.is_empty(), "{} of {} cells: {failed:#?}", failed.len(), chosen.len());
    }

    /// Every step × every point at which a run can be killed.
    fn kill_at_every_step(&self, sample: &[&str]) {
        let Some(shop) = self.world() else { return };
        shop.account.restore();
        self.setup_code(&shop);
        let mut dry = self.arguments.to_vec();
        dry.push("--dry-run");
        let planned = shop.json(&dry, 0);
        let keys: Vec<String> = planned["plan"]["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| key(&step["step"]))
            .collect();
        println!("{}: {keys:?}", self.name);
        let points = |key: &str| -> &[&str] {
            let few = !everything() && key != "swap";
            if few { &["performed"] } else { &["intended", "performed", "recorded"] }
        };
        let is_tried = |key: &str| everything() || sample.is_empty() || sample.contains(&key);
        let mut failed = Vec::new();
        for key in keys.iter().filter(|key| is_tried(key)) {
            for point in points(key) {
                shop.account.restore();
                self.setup_code(&shop);
                let run = shop.run_at(&format!("{key}:{point}=kill"), self.arguments);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    assert_eq!(run.code, 128 + 9, "it was not reached: {}", run.err);
                    settles(&shop, self, &tail(&run.err), false);
                }));
                if outcome.is_err() {
                    failed.push(format!("{} {key}:{point}", self.name));
                }
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

/// A step's key, as failpoints are named.
fn key(step: &Value) -> String {
    let kind = step["kind"].as_str().unwrap();
    match (kind, &step["side"], &step["role"]) {
        ("relink", Value::String(side), _) if side == "live" => "relink:live".to_owned(),
        ("drop", _, Value::Object(role)) => {
            let (role, release) = role.iter().next().unwrap();
            let release = release.as_str().unwrap();
            match role.as_str() {
                "archive" => format!("drop:{release}"),
                "candidate" => format!("drop:next_{release}"),
                role => format!("drop:{role}_{release}"),
            }
        }
        _ => kind.to_owned(),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

const DATABASE: &str = "isolation: database\n";
const SCHEMA: &str = "isolation: schema\n";

const ADOPTION: Scenario = Scenario {
    name: "adoption",
    switchback: DATABASE,
    setup: |_| {},
    arguments: &["deploy"],
    before: 1,
    after: 2,
};

const SECOND: Scenario = Scenario {
    name: "second deploy",
    switchback: DATABASE,
    setup: |shop| shop.deploy(2),
    arguments: &["deploy"],
    before: 2,
    after: 3,
};

const BACK: Scenario = Scenario {
    name: "rollback",
    switchback: DATABASE,
    setup: |shop| {
        shop.deploy(2);
        shop.deploy(3);
    },
    arguments: &["rollback", "--reason", "wrong", "--hold", "none"],
    before: 3,
    after: 2,
};

const SCHEMAS: Scenario = Scenario {
    name: "deploy of schemas",
    switchback: SCHEMA,
    setup: |shop| shop.deploy(2),
    arguments: &["deploy"],
    before: 2,
    after: 3,
};

const SCHEMAS_BACK: Scenario = Scenario {
    name: "rollback of schemas",
    switchback: SCHEMA,
    setup: |shop| {
        shop.deploy(2);
        shop.deploy(3);
    },
    arguments: &["rollback", "--reason", "wrong", "--hold", "none"],
    before: 3,
    after: 2,
};

const PRUNE: Scenario = Scenario {
    name: "prune",
    switchback: DATABASE,
    setup: |shop| {
        for version in 2..=4 {
            shop.deploy(version);
        }
    },
    arguments: &["prune", "r1", "r2"],
    before: 4,
    after: 4,
};

fn pruned(shop: &Shop) {
    for version in 2..=4 {
        shop.deploy(version);
    }
    shop.run(&["prune", "r1"]).expect(0);
}

const BROUGHT_BACK: &[&str] =
    &["rollback", "--to", "r1", "--reason", "wrong", "--hold", "none", "--allow-loss"];

const RESTORE: Scenario = Scenario {
    name: "rollback to what was pruned",
    switchback: DATABASE,
    setup: pruned,
    arguments: BROUGHT_BACK,
    before: 4,
    after: 2,
};

const SCHEMAS_RESTORE: Scenario =
    Scenario { name: "rollback of schemas to what was pruned", switchback: SCHEMA, ..RESTORE };

#[test]
fn a_connection_lost_while_what_was_pruned_is_brought_back_is_recovered_from() {
    RESTORE.lose_every_statement();
    SCHEMAS_RESTORE.lose_every_statement();
}

#[test]
fn what_was_brought_back_in_part_is_brought_back_by_pressing_again() {
    let Some(shop) = SCHEMAS_RESTORE.world() else { return };
    shop.account.control(&json!({
        "op": "fault", "action": "drop_after", "tag": "^switchback/", "match": r"^\s*UNDROP",
        "nth": 1, "dead": true,
    }));
    let run = shop.run(BROUGHT_BACK);
    assert!([1, 3].contains(&run.code), "{}", run.err);
    for word in ["production is untouched: r3 is live", "next: switchback recover"] {
        assert!(run.err.contains(word), "{}", run.err);
    }
    shop.account.heal();
    assert_eq!(shop.seen(), 4);
    assert!(shop.schemas().iter().any(|one| one.ends_with("__R1")), "{:?}", shop.schemas());
    shop.account.forward(A_LEASE);
    shop.run(BROUGHT_BACK).expect(0);
    assert_eq!((shop.seen(), shop.live().as_str()), (2, Some("r1")));
}

#[cfg(feature = "failpoints")]
#[test]
fn what_was_pruned_can_be_brought_back_whenever_it_was_killed() {
    RESTORE.kill_at_every_step(&["restore", "swap"]);
    SCHEMAS_RESTORE.kill_at_every_step(&["restore", "swap"]);
}

#[test]
fn a_connection_lost_in_the_first_deploy_is_recovered_from() {
    ADOPTION.lose_every_statement();
}

#[test]
fn a_connection_lost_in_a_deploy_is_recovered_from() {
    SECOND.lose_every_statement();
}

#[test]
fn a_connection_lost_in_a_rollback_is_recovered_from() {
    BACK.lose_every_statement();
}

#[test]
fn a_connection_lost_while_schemas_are_deployed_is_recovered_from() {
    SCHEMAS.lose_every_statement();
}

#[test]
fn a_connection_lost_while_schemas_are_rolled_back_is_recovered_from() {
    SCHEMAS_BACK.lose_every_statement();
}

#[test]
fn a_connection_lost_while_archives_are_dropped_is_recovered_from() {
    PRUNE.lose_every_statement();
}

#[cfg(feature = "failpoints")]
#[test]
fn a_deploy_of_a_database_can_be_killed_anywhere() {
    SECOND.kill_at_every_step(&[]);
}

#[cfg(feature = "failpoints")]
#[test]
fn the_first_deploy_can_be_killed_anywhere() {
    ADOPTION.kill_at_every_step(&["clone", "swap", "keep"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_deploy_of_schemas_can_be_killed_anywhere() {
    SCHEMAS.kill_at_every_step(&[]);
}

#[cfg(feature = "failpoints")]
#[test]
fn rollbacks_can_be_killed_anywhere() {
    BACK.kill_at_every_step(&[]);
    SCHEMAS_BACK.kill_at_every_step(&[]);
}
