//! Tells the forge what a run does: a deployment with its states, and one comment on the pull
//! request. Around the verb, never inside it: nothing here can change how the run ends.
//!
//! Time is bounded three times: each request by the adapter, all of them together here, and once
//! the run is to end (a cancelled workflow kills everything some ten seconds after its first signal)
//! little is left of either.
//!
//! May import `domain`, `failure`, `ports` and `report`.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::domain::name::CommitId;
use crate::failure::Outcome;
use crate::ports::forge::{Complaint, DeploymentId, Forge, Progress, Task, Told, Wish};
use crate::ports::{Halt, HaltReceiver, halted};
use crate::report::{Answer, Changed, Word};

/// How long telling may take: beside the verb, and after it.
const BESIDE: Duration = Duration::from_secs(20);
const AFTER: Duration = Duration::from_secs(30);
/// How long it may take once the run is to end.
const HURRIED: Duration = Duration::from_millis(1500);

/// What is told, and to whom.
pub struct Telling {
    /// The forge; none where there is nobody to tell.
    pub forge: Option<Box<dyn Forge>>,
    /// What the run does; none where it is no business of the forge's.
    pub task: Option<Task>,
    /// Whether deployments are recorded.
    pub deployment: bool,
    /// Whether the pull request is told.
    pub comment: bool,
    /// The environment.
    pub environment: String,
    /// The checkout's commit.
    pub head: Option<CommitId>,
    /// Reasons to end early.
    pub halt: HaltReceiver,
    /// What went wrong.
    pub complaints: RefCell<Vec<Complaint>>,
}

impl Telling {
    /// Beside the verb: the deployment is in progress. A rollback's is recorded afterwards, in one
    /// go: which commit it brings back is not known before.
    pub async fn beside(&self) -> Option<DeploymentId> {
        let forge = self.forge.as_ref().filter(|_| self.deployment)?;
        let task = self.task.filter(|task| *task == Task::Deploy)?;
        let commit = self.head.clone()?;
        let work = async {
            let wish = self.wish(task, commit, "being deployed by Switchback");
            let id = forge.deployment(&wish).await?;
            self.note(forge.progress(id, Progress::InProgress, &wish.description).await);
            Ok(id)
        };
        self.bounded(BESIDE, work).await
    }

    /// After the verb: how it ended.
    pub async fn after(
        &self,
        result: &Outcome<Answer>,
        begun: Option<DeploymentId>,
        marker: &str,
        body: &str,
    ) {
        let (Some(forge), Some(task)) = (self.forge.as_ref(), self.task) else {
            return;
        };
        let forge = forge.as_ref();
        let deployment = async {
            if self.deployment {
                let work = self.settle(forge, task, result, begun);
                self.bounded(AFTER, work).await;
            }
        };
        let comment = async {
            if self.comment {
                let work = self.say(forge, task, result, marker, body);
                self.bounded(AFTER, work).await;
            }
        };
        tokio::join!(deployment, comment);
    }

    /// What went wrong so far.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for complaint in self.complaints.borrow().iter() {
            // One missing permission is one complaint, whatever was tried with it.
            if !texts.contains(&complaint.0) {
                texts.push(complaint.0.clone());
            }
        }
        texts
    }

    async fn settle(
        &self,
        forge: &dyn Forge,
        task: Task,
        result: &Outcome<Answer>,
        begun: Option<DeploymentId>,
    ) -> Told<()> {
        let changed = changed(result);
        let live = changed.and_then(|changed| changed.live.as_ref());
        let is_live = changed
            .is_some_and(|changed| matches!(changed.word, Word::Published | Word::RolledBack));
        let description = match (result, live) {
            (Ok(_), Some(live)) if is_live => format!("{} is live", live.release),
            (Ok(_), _) => "nothing to do".to_owned(),
            (Err(failure), _) => failure.production.clone().unwrap_or(failure.message.clone()),
        };
        let id = match (begun, task) {
            (Some(id), _) => id,
            // That it could not be begun was complained about already.
            (None, Task::Deploy) => return Ok(()),
            (None, Task::Rollback) => {
                let commit = live.filter(|_| is_live).and_then(|live| live.commit.clone());
                let Some(id) = self.rollback(forge, commit, &description).await? else {
                    return Ok(());
                };
                id
            }
        };
        if !is_live {
            return forge.progress(id, Progress::Failure, &description).await;
        }
        forge.progress(id, Progress::Success, &description).await?;
        forge.supersede(&self.environment, id).await.map(drop)
    }

    /// A deployment of the commit that came back; where the forge does not know that commit (any
    /// more), of the checkout's.
    async fn rollback(
        &self,
        forge: &dyn Forge,
        commit: Option<CommitId>,
        description: &str,
    ) -> Told<Option<DeploymentId>> {
        let Some(first) = commit.clone().or(self.head.clone()) else {
            return Ok(None);
        };
        let made = forge.deployment(&self.wish(Task::Rollback, first, description)).await;
        match (made, commit.and(self.head.clone())) {
            (Ok(id), _) => Ok(Some(id)),
            (Err(_), Some(head)) => {
                let wish = self.wish(Task::Rollback, head, description);
                forge.deployment(&wish).await.map(Some)
            }
            (Err(complaint), None) => Err(complaint),
        }
    }

    async fn say(
        &self,
        forge: &dyn Forge,
        task: Task,
        result: &Outcome<Answer>,
        marker: &str,
        body: &str,
    ) -> Told<()> {
        let changed = changed(result);
        // A rollback is news to the pull request whose change it took out.
        let release = match task {
            Task::Deploy => changed.and_then(|changed| changed.live.as_ref()),
            Task::Rollback => changed.and_then(|changed| changed.previous.as_ref()),
        };
        let commit = match (release, task) {
            (Some(release), _) => release.commit.clone(),
            (None, Task::Deploy) => self.head.clone(),
            (None, Task::Rollback) => None,
        };
        let Some(commit) = commit else {
            return Ok(());
        };
        match forge.pull_request(&commit).await? {
            Some(number) => forge.comment(number, marker, body).await,
            None => Ok(()),
        }
    }

    fn wish(&self, task: Task, commit: CommitId, description: &str) -> Wish {
        Wish {
            commit,
            environment: self.environment.clone(),
            task,
            description: description.to_owned(),
        }
    }

    fn note<T>(&self, told: Told<T>) -> Option<T> {
        told.map_err(|complaint| self.complaints.borrow_mut().push(complaint)).ok()
    }

    /// Does it, for as long as there is time.
    async fn bounded<T>(&self, limit: Duration, work: impl Future<Output = Told<T>>) -> Option<T> {
        let mut halt = self.halt.clone();
        let hurry = async {
            ending(&mut halt).await;
            sleep(HURRIED).await;
        };
        let told = tokio::select! {
            told = timeout(limit, work) => told.unwrap_or_else(|_| {
                Err(Complaint(format!("GitHub was too slow: gave up after {} s", limit.as_secs())))
            }),
            () = hurry => Err(Complaint("GitHub was not told everything: the run had to end".into())),
        };
        self.note(told)
    }
}

/// Waits until the process is to end. A lease that was lost ends the verb and nothing else.
async fn ending(halt: &mut HaltReceiver) {
    loop {
        match halted(halt).await {
            Halt::Interrupt | Halt::Terminate => return,
            Halt::LeaseLost(_) => {
                if halt.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn changed(result: &Outcome<Answer>) -> Option<&Changed> {
    match result {
        Ok(Answer::Changed(changed)) => Some(changed),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
