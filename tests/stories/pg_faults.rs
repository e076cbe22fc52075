//! What others do to a run on PostgreSQL, at every point of every step of a deploy and of a rollback:
//! they cut its connections, kill the server, keep locks that it needs. Then `recover`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use crate::pg::{PgWorld, Server};
use crate::pg_crash::{check, steps};
use crate::world::{Run, finish, signal, until};

const POINTS: &[&str] = &["intended", "performed", "recorded"];

/// A command, what comes before it, and its steps.
struct Scenario {
    arguments: &'static [&'static str],
    /// The kinds of its steps: what is dropped has another name each time.
    kinds: Vec<String>,
}

/// A deploy that also prunes, and a rollback; the world has what they need.
fn scenarios(world: &PgWorld<'_>) -> Vec<Scenario> {
    world.configure("retention: {releases: 1}\n");
    for version in ["1", "2", "3"] {
        world.deploy(version);
    }
    let rollback = &["rollback", "--reason", "x", "--hold", "none"];
    let kinds = |arguments: &[&str]| -> Vec<String> {
        let keys = steps(world, arguments);
        keys.iter().map(|key| key.split(':').next().unwrap().to_owned()).collect()
    };
    let found: Vec<Scenario> = [&["deploy"][..], rollback]
        .into_iter()
        .map(|arguments| Scenario { arguments, kinds: kinds(arguments) })
        .collect();
    assert!(found[0].kinds.len() > 6 && found[1].kinds.len() > 3);
    assert!(found[0].kinds.iter().any(|kind| kind == "drop"));
    found
}

impl Scenario {
    /// All points, of those of the cutover also the ones inside its transaction.
    fn points(&self) -> Vec<(String, &'static str)> {
        let mut points = Vec::new();
        for kind in &self.kinds {
            points.extend(POINTS.iter().map(|point| (kind.clone(), *point)));
            if kind == "swap" {
                points.extend(["locked", "renamed"].map(|point| (kind.clone(), point)));
            }
        }
        points
    }

    /// Makes the command have something to do, with another content than before.
    fn ready(&self, world: &PgWorld<'_>, version: &mut u32) {
        *version += 1;
        world.release(&version.to_string());
        let can = world.run(&[self.arguments, &["--dry-run"]].concat());
        if can.code != 0 {
            world.run(&["deploy"]).expect(0); // There was nothing to roll back to.
        }
    }

    /// Starts the command, and waits until it stops at the point. `None`: it has no such step now.
    fn stopped(&self, world: &PgWorld<'_>, (kind, point): (&str, &str)) -> Option<(String, Child)> {
        let keys = steps(world, self.arguments);
        let key = keys.into_iter().find(|key| key.split(':').next() == Some(kind));
        assert!(kind == "drop" || key.is_some(), "{} has no {kind}", self.arguments[0]);
        let key = key?;
        let at = format!("{key}:{point}");
        let mut command = world.command(self.arguments);
        command.env("SWITCHBACK_FAILPOINT", format!("{at}=stop"));
        let run = command.env("SWITCHBACK_FAILPOINT_HASTE", "1").spawn().unwrap();
        let stat = format!("/proc/{}/stat", run.id());
        until(&at, || {
            let text = std::fs::read_to_string(&stat).unwrap_or_default();
            assert!(!text.contains(") Z "), "{at} was not reached");
            text.contains(") T ")
        });
        Some((format!("{} at {at}", self.arguments[0]), run))
    }
}

fn goes_on(run: Child) -> Run {
    signal(run.id(), "CONT");
    finish(run)
}

/// Somebody who reads what a run that failed says.
fn told(name: &str, run: &Run) {
    assert!([0, 1, 3, 4, 5, 6].contains(&run.code), "{name} ended {}:\n{}", run.code, run.err);
    if run.code != 0 {
        assert!(run.err.contains("\nstate: "), "{name} did not say its state:\n{}", run.err);
        assert!(run.err.contains("\n next: "), "{name} did not say what next:\n{}", run.err);
    }
}

/// After a run that met something, once that is out of the way.
fn keeps_its_promise(world: &PgWorld<'_>, name: &str, run: &Run, before: &str) {
    told(name, run);
    let same = ![3, 5].contains(&run.code) || world.content() == before;
    assert!(same, "{name}: it promised that nothing changed:\n{}", run.err);
    world.settle();
    check(world, name, before);
}

#[test]
fn connections_can_be_cut_at_every_step() {
    let Some(world) = PgWorld::new() else { return };
    let mut version = 3;
    for scenario in scenarios(&world) {
        for (kind, point) in scenario.points() {
            scenario.ready(&world, &mut version);
            let before = world.content();
            let Some((name, run)) = scenario.stopped(&world, (&kind, point)) else { continue };
            world.sql_as(
                "postgres",
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name \
                 like 'switchback%' and datname = current_database()",
            );
            let run = goes_on(run);
            keeps_its_promise(&world, &name, &run, &before);
        }
    }
}

#[test]
fn the_server_can_be_killed_at_every_step() {
    let Some(mut server) = Server::start() else { return };
    let Some(world) = PgWorld::on(&server) else { return };
    let mut version = 3;
    let all = scenarios(&world);
    let mut parts = world.into_parts();
    for scenario in all {
        for (kind, point) in scenario.points() {
            let world = PgWorld::from_parts(&server, parts);
            scenario.ready(&world, &mut version);
            let before = world.content();
            let stopped = scenario.stopped(&world, (&kind, point));
            parts = world.into_parts();
            let Some((name, run)) = stopped else { continue };
            server.kill();
            let run = goes_on(run);
            assert_ne!(run.code, 0, "{name}: the end cannot have been written down");
            server.up();
            let world = PgWorld::from_parts(&server, parts);
            keeps_its_promise(&world, &name, &run, &before);
            parts = world.into_parts();
        }
    }
}

/// Somebody with locks, until dropped.
struct Holder(Child);

impl Holder {
    /// Whose locks are taken where they are free: ACCESS EXCLUSIVE, or ACCESS SHARE at least.
    fn of(world: &PgWorld<'_>, schemas: &str) -> Self {
        let text = format!(
            "BEGIN;
             DO $$ DECLARE one record; BEGIN
               FOR one IN SELECT c.oid::regclass AS name FROM pg_class c
                          JOIN pg_namespace n ON n.oid = c.relnamespace
                          WHERE n.nspname LIKE '{schemas}' AND c.relkind IN ('r', 'p') LOOP
                 BEGIN
                   EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', one.name);
                 EXCEPTION WHEN lock_not_available THEN
                   BEGIN
                     EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE NOWAIT', one.name);
                   EXCEPTION WHEN lock_not_available THEN NULL;
                   END;
                 END;
               END LOOP;
             END $$;
             SELECT 'held';\n"
        );
        let mut psql = world.server.psql(&world.database, "postgres");
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut psql = psql.spawn().unwrap();
        psql.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        let mut said = String::new();
        BufReader::new(psql.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "held");
        Self(psql)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn locks_are_kept(schemas: &str) {
    let Some(world) = PgWorld::new() else { return };
    let mut version = 3;
    let all = scenarios(&world);
    // What dbt waits for is dbt's own; without an end of its own it would wait until it is ended.
    let database = &world.database;
    let limit = format!("ALTER ROLE dbt IN DATABASE {database} SET lock_timeout TO '500ms'");
    world.sql_as("postgres", &limit);
    let mut stopped_some = 0;
    for scenario in all {
        for (kind, point) in scenario.points() {
            scenario.ready(&world, &mut version);
            let before = world.content();
            let Some((name, run)) = scenario.stopped(&world, (&kind, point)) else { continue };
            let holder = Holder::of(&world, schemas);
            let run = goes_on(run);
            drop(holder);
            stopped_some += u32::from(run.code != 0);
            if schemas == "switchback" && (kind.as_str(), point) == ("swap", "performed") {
                let known = run.err.contains("\nstate: ") && !run.err.contains("one whole release");
                assert!(known, "{name} did not say which release is live:\n{}", run.err);
            }
            keeps_its_promise(&world, &name, &run, &before);
        }
    }
    assert!(stopped_some > 10, "nobody waited in vain: {stopped_some}");
}

#[test]
fn locks_on_what_is_deployed_can_be_kept_at_every_step() {
    locks_are_kept("shop%");
}

#[test]
fn locks_on_the_ledger_can_be_kept_at_every_step() {
    locks_are_kept("switchback");
}
