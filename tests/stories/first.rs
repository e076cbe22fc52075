//! The action as a process: cancelled, and as the first of a container.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{Reply, Server};
use crate::runner::Runner;
use crate::world::{finish, missing, signal, until, write};

#[test]
fn a_cancelled_run_ends_within_the_grace_time_and_has_told_where_it_stood() {
    let Some(mut runner) = Runner::new() else { return };
    let hanging = Server::start(|_, _| Reply::Hang(Duration::from_secs(60)));
    runner.talks_to(&hanging);
    runner.run(&[("github-deployment", "false"), ("pull-request-comment", "false")]).expect(0);
    let up = runner.file("up");
    let never = runner.file("never");
    let build = json!({"signal_file": up, "wait_for_file": never, "ignore_signals": true});
    runner.world.release_that("2", &build);
    let child = runner.command(&[]).spawn().unwrap();
    until("dbt", || up.exists());
    let began = Instant::now();
    signal(child.id(), "TERM");
    let run = finish(child).expect(143);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(runner.outputs()["status"], "unchanged", "{}", run.out);
    assert!(runner.summary().contains("Ended by a signal"), "{}", runner.summary());
    let last = runner.world.journal().pop().unwrap();
    assert_eq!(last["entry"]["ended"]["ending"], "abandoned", "{last}");
}

/// A command as the first process of a PID namespace of its own; none where that is not allowed.
fn as_first(command: &Command) -> Option<Command> {
    let arguments = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let allowed = Command::new("unshare").args(arguments).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        missing("no PID namespace can be made here, so no first process was tried");
        return None;
    }
    let mut first = Command::new("unshare");
    first
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => first.env(name, value),
            None => first.env_remove(name),
        };
    }
    Some(first)
}

/// The process inside that `unshare` started as the first.
fn first_process(unshare: u32) -> Option<u32> {
    let path = format!("/proc/{unshare}/task/{unshare}/children");
    std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

#[test]
fn as_the_first_process_it_passes_signals_on_and_reaps_what_is_left_to_it() {
    let Some(runner) = Runner::new() else { return };
    let Some(mut first) = as_first(&runner.command(&[])) else { return };
    finish(first.spawn().unwrap()).expect(0);
    assert_eq!(runner.outputs()["outcome"], "published");
    let (up, never, orphan) = (runner.file("up"), runner.file("never"), runner.file("orphan"));
    // dbt starts a child of its own and is killed with it: the child is left to the first process.
    let build = json!({"signal_file": up, "wait_for_file": never, "child_pid_file": orphan});
    runner.world.release_that("2", &build);
    let unshare = as_first(&runner.command(&[])).unwrap().spawn().unwrap();
    until("dbt", || up.exists() && orphan.exists());
    let inside = first_process(unshare.id()).unwrap();
    let began = Instant::now();
    signal(inside, "TERM");
    finish(unshare).expect(143);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(runner.outputs()["status"], "unchanged");
}

#[test]
fn zombies_that_are_left_to_the_first_process_are_reaped_while_it_works() {
    let Some(runner) = Runner::new() else { return };
    let (up, go) = (runner.file("up"), runner.file("go"));
    let build = json!({"signal_file": up, "wait_for_file": go});
    runner.world.release_that("1", &build);
    // A dbt whose helper outlives its own parent and then ends: an orphan.
    let orphan = "import os, time\nif not os.fork():\n    if not os.fork():\n        \
                  time.sleep(0.3)\n    os._exit(0)\nos.wait()\n";
    let dbt = std::fs::read_to_string(runner.world.dbt()).unwrap();
    let (shebang, rest) = dbt.split_once('\n').unwrap();
    write(runner.world.dbt(), &format!("{shebang}\n{orphan}{rest}"));
    let Some(mut first) = as_first(&runner.command(&[])) else { return };
    let unshare = first.spawn().unwrap();
    until("dbt", || up.exists());
    let inside = first_process(unshare.id()).unwrap();
    until("reaping", || {
        let path = format!("/proc/{inside}/task/{inside}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().count() == 1
    });
    write(&go, "");
    finish(unshare).expect(0);
}
