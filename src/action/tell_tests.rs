//! What the forge is told, to a forge that remembers, and to ones that fail or never answer.

use std::rc::Rc;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::domain::history::History;
use crate::domain::name::ReleaseId;
use crate::failure::{Failure, Kind};
use crate::report::Shown;

/// How a forge behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    Refusing,
    Silent,
    /// It knows no commit but the checkout's.
    Forgetful,
}

struct Remembering {
    mood: Mood,
    told: Rc<RefCell<Vec<String>>>,
}

impl Remembering {
    async fn tell<T>(&self, what: String, answer: T) -> Told<T> {
        match self.mood {
            Mood::Silent => std::future::pending().await,
            Mood::Refusing => Err(Complaint("no permission".into())),
            Mood::Good | Mood::Forgetful => {
                self.told.borrow_mut().push(what);
                Ok(answer)
            }
        }
    }
}

#[async_trait(?Send)]
impl Forge for Remembering {
    async fn deployment(&self, wish: &Wish) -> Told<DeploymentId> {
        if self.mood == Mood::Forgetful && wish.commit.as_str() != "head" {
            return Err(Complaint("No ref found".into()));
        }
        let what = format!("{} {} {}", wish.task.as_str(), wish.commit, wish.environment);
        self.tell(what, DeploymentId(7)).await
    }

    async fn progress(&self, id: DeploymentId, state: Progress, description: &str) -> Told<()> {
        self.tell(format!("{} {}: {description}", id.0, state.as_str()), ()).await
    }

    async fn supersede(&self, environment: &str, by: DeploymentId) -> Told<usize> {
        self.tell(format!("supersede {environment} by {}", by.0), 1).await
    }

    async fn pull_request(&self, commit: &CommitId) -> Told<Option<u64>> {
        self.tell(format!("pull of {commit}"), Some(3)).await
    }

    async fn comment(&self, pull_request: u64, marker: &str, body: &str) -> Told<()> {
        self.tell(format!("comment {pull_request} {marker} {body}"), ()).await
    }
}

type Heard = Rc<RefCell<Vec<String>>>;

fn telling(mood: Mood, task: Task) -> (Telling, Heard, watch::Sender<Option<Halt>>) {
    let told = Heard::default();
    let (sender, halt) = watch::channel(None);
    let telling = Telling {
        forge: Some(Box::new(Remembering { mood, told: told.clone() })),
        task: Some(task),
        deployment: true,
        comment: true,
        environment: "production".into(),
        head: Some("head".into()),
        halt,
        complaints: RefCell::default(),
    };
    (telling, told, sender)
}

fn shown(release: u32, commit: &str) -> Shown {
    let commit = Some(commit.into());
    Shown { release: ReleaseId(release), commit, dirty: false, at: None }
}

#[allow(clippy::unnecessary_wraps)] // as a verb ends
fn ended(word: Word) -> Outcome<Answer> {
    Ok(Answer::Changed(Box::new(Changed {
        previous: Some(shown(2, "two")),
        ..Changed::new(word, Some(shown(1, "one")), &History::default())
    })))
}

#[tokio::test]
async fn a_deploy_is_in_progress_then_live_and_the_others_are_inactive() {
    let (telling, told, _halt) = telling(Mood::Good, Task::Deploy);
    let begun = telling.beside().await;
    telling.after(&ended(Word::Published), begun, "m", "b").await;
    let mut told = told.borrow().clone();
    told.sort();
    assert_eq!(
        told,
        [
            "7 in_progress: being deployed by Switchback",
            "7 success: r1 is live",
            "comment 3 m b",
            "deploy head production",
            "pull of one",
            "supersede production by 7",
        ]
    );
    assert!(telling.complaints().is_empty());
}

#[tokio::test]
async fn a_deploy_that_failed_leaves_what_was_live_alone() {
    let (telling, told, _halt) = telling(Mood::Good, Task::Deploy);
    let begun = telling.beside().await;
    let failure = Failure::stopped("dbt failed").production("production is untouched");
    telling.after(&Err(failure), begun, "m", "b").await;
    let told = told.borrow();
    assert!(told.contains(&"7 failure: production is untouched".to_owned()));
    assert!(told.contains(&"pull of head".to_owned()));
    assert!(!told.iter().any(|what| what.starts_with("supersede")));
}

#[tokio::test]
async fn a_rollback_is_a_deployment_of_what_came_back_and_tells_what_it_took_out() {
    let (telling, told, _halt) = telling(Mood::Good, Task::Rollback);
    assert_eq!(telling.beside().await, None);
    telling.after(&ended(Word::RolledBack), None, "m", "b").await;
    let told = told.borrow();
    assert!(told.contains(&"rollback one production".to_owned()), "{told:?}");
    assert!(told.contains(&"7 success: r1 is live".to_owned()));
    assert!(told.contains(&"pull of two".to_owned()));
}

#[tokio::test]
async fn a_commit_that_the_forge_does_not_know_any_more_is_replaced_by_the_checkouts() {
    let (telling, told, _halt) = telling(Mood::Forgetful, Task::Rollback);
    telling.after(&ended(Word::RolledBack), None, "m", "b").await;
    assert!(told.borrow().contains(&"rollback head production".to_owned()));
}

#[tokio::test]
async fn one_missing_permission_is_one_complaint() {
    let (telling, told, _halt) = telling(Mood::Refusing, Task::Deploy);
    let begun = telling.beside().await;
    telling.after(&Err(Failure::new(Kind::Held, "held")), begun, "m", "b").await;
    assert_eq!(telling.complaints(), ["no permission"]);
    assert!(told.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_never_answers_is_given_up() {
    let (telling, _, _halt) = telling(Mood::Silent, Task::Deploy);
    assert_eq!(telling.beside().await, None);
    telling.after(&ended(Word::Published), Some(DeploymentId(7)), "m", "b").await;
    let complaints = telling.complaints();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].contains("too slow: gave up after 20 s"), "{complaints:?}");
}

#[tokio::test]
async fn a_run_that_has_to_end_does_not_wait_for_the_forge() {
    let (telling, _, halt) = telling(Mood::Silent, Task::Deploy);
    let started = Instant::now();
    halt.send_replace(Some(Halt::Terminate));
    assert_eq!(telling.beside().await, None);
    let failure = Failure::new(Kind::Terminated, "terminated");
    telling.after(&Err(failure), Some(DeploymentId(7)), "m", "b").await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(telling.complaints()[0].contains("had to end"));
}

#[tokio::test]
async fn a_lease_that_was_lost_leaves_time_to_tell() {
    let (telling, told, halt) = telling(Mood::Good, Task::Deploy);
    halt.send_replace(Some(Halt::LeaseLost("a rollback took it".into())));
    let begun = telling.beside().await;
    telling.after(&Err(Failure::new(Kind::Locked, "lost")), begun, "m", "b").await;
    assert!(told.borrow().contains(&"7 failure: lost".to_owned()));
    assert!(telling.complaints().is_empty());
}
