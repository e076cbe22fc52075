//! The verbs: each a short story told in terms of the planners, the engine and the ports.
//!
//! May import everything but the front doors. Only [`site`] knows the adapters.

pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod hold;
pub mod init;
pub mod mark;
mod past;
pub mod promote;
pub mod prune;
pub mod recover;
pub mod releases;
pub mod rollback;
pub mod site;
pub mod status;

use crate::domain::history::History;
use crate::domain::name::Naming;
use crate::domain::plan::Plan;
use crate::domain::planner::{Ground, Obstacle};
use crate::domain::relocate::relocated;
use crate::domain::slot::Observation;
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Event, Lease};
use crate::report::{Shown, moment};
use site::Site;

/// What a verb looks at before it plans.
pub struct View {
    /// The journal's fold.
    pub history: History,
    /// The slots.
    pub observation: Observation,
}

/// Reads the journal and the slots.
pub async fn look(site: &Site) -> Outcome<View> {
    let warehouse = site.warehouse.as_ref();
    let known = warehouse.live();
    let (records, observed) = tokio::join!(site.ledger.load(), warehouse.observe());
    let folded = History::fold(&records?);
    if warehouse.naming() != Naming::Files {
        warehouse.know(&folded.slots());
    }
    let live = warehouse.live();
    let history = relocated(folded, &live, warehouse.naming());
    // What was not known to be live before was perhaps not looked at.
    let observation = if live == known { observed? } else { warehouse.observe().await? };
    Ok(View { history, observation })
}

/// Reads both again after a plan has run, for its report. What has happened stays true if that
/// cannot be read: then the report says what the plan brought about.
pub async fn look_after(site: &Site, before: View, plan: &Plan) -> (View, Option<Shown>) {
    match look(site).await {
        Ok(view) => {
            let live = view.live(site);
            (view, live)
        }
        Err(failure) => {
            site.observer.event(Event::Warning(format!(
                "it is done, but what is live could not be read again: {failure}"
            )));
            let release = if plan.swap().is_some() { Some(plan.release) } else { plan.displaces };
            let live = release.map(|release| Shown::of(&before.history, release));
            (before, live)
        }
    }
}

impl View {
    /// The ground that planners stand on.
    pub fn plan<T>(
        &self,
        site: &Site,
        planner: impl FnOnce(&Ground<'_>) -> Result<T, Obstacle>,
    ) -> Outcome<T> {
        let warehouse = site.warehouse.as_ref();
        let ground = Ground {
            history: &self.history,
            observation: &self.observation,
            live: &warehouse.live(),
            naming: warehouse.naming(),
            staged: warehouse.stages(),
            render: &|step| warehouse.render(step),
        };
        planner(&ground).map_err(|obstacle| refused(site, &obstacle))
    }

    /// What is live now, by stamp; `None` also where no stamp says so.
    #[must_use]
    pub fn live(&self, site: &Site) -> Option<Shown> {
        self.plan(site, crate::domain::planner::standing)
            .ok()
            .filter(|standing| !standing.damaged)
            .and_then(|standing| standing.release)
            .map(|release| Shown::live(&self.history, release))
    }
}

/// Looks, and refuses to go on while another run is at it, or while something is unfinished.
pub async fn look_settled(site: &Site) -> Outcome<View> {
    let (view, lease) = tokio::join!(look(site), site.ledger.lease());
    let view = view?;
    settled(site, &view.history, lease?)?;
    Ok(view)
}

/// Looks under the lease, and refuses to go on while something is unfinished.
pub async fn look_leased(site: &Site) -> Outcome<View> {
    let view = look(site).await?;
    settled(site, &view.history, None)?;
    Ok(view)
}

/// Refuses to go on while another run is at it, or while something is unfinished.
pub async fn refuse_unsettled(site: &Site, history: &History) -> Outcome<()> {
    settled(site, history, site.ledger.lease().await?)
}

fn settled(site: &Site, history: &History, lease: Option<Lease>) -> Outcome<()> {
    if let Some(lease) = lease
        && lease.run != site.run
    {
        return Err(locked(&lease));
    }
    let Some(open) = &history.open else {
        return Ok(());
    };
    let step = open.step.as_deref().unwrap_or("its beginning");
    Err(Failure::new(
        Kind::Unfinished,
        format!(
            "{} of {} by {} was interrupted at {step} ({})",
            open.began.plan.verb,
            open.began.plan.release,
            open.by,
            moment(open.at)
        ),
    )
    .production("production holds one whole release; `switchback status` says which")
    .next(site.command("recover", "")))
}

/// The failure of meeting another run's lease.
#[must_use]
pub fn locked(lease: &Lease) -> Failure {
    let reason =
        lease.reason.as_ref().map_or_else(String::new, |reason| format!(", because: {reason}"));
    Failure::new(
        Kind::Locked,
        format!(
            "a {} by {} has been under way since {}{reason}",
            lease.verb,
            lease.by,
            moment(lease.taken_at)
        ),
    )
    .production("production is untouched by this run")
    .next(format!(
        "wait for it to end (it holds the lease until {} unless it renews it), or run a rollback, \
         which outranks a deploy",
        moment(lease.expires_at)
    ))
}

/// The failure that an obstacle amounts to.
#[must_use]
pub fn refused(site: &Site, obstacle: &Obstacle) -> Failure {
    let kind = match obstacle {
        Obstacle::Busy { .. } => Kind::Locked,
        Obstacle::Mixed(_) | Obstacle::Unclear(_) => Kind::Unfinished,
        Obstacle::Damaged { .. }
        | Obstacle::Vanished(_)
        | Obstacle::Squatter(_)
        | Obstacle::Outdated { .. } => Kind::Stopped,
        Obstacle::NothingWaits(_)
        | Obstacle::AlreadyLive(_)
        | Obstacle::NotKept(_)
        | Obstacle::NoArchive(_)
        | Obstacle::NothingLive => Kind::Usage,
    };
    let next = match obstacle {
        Obstacle::Busy { .. } => "wait until the other process is done, then run this again".into(),
        Obstacle::Mixed(_) => site.command("recover", ""),
        Obstacle::Damaged { .. } => site.command("rollback", "--to TARGET --reason TEXT"),
        Obstacle::Unclear(slot) => format!(
            "look at {slot} and at what is kept under {}; nothing was touched and nothing is \
             dropped meanwhile",
            site.ledger.place()
        ),
        Obstacle::Vanished(release) => format!(
            "bring an archive back with: {}\n       or build production anew with: {}",
            site.command("rollback", &format!("--to {release} --reason TEXT")),
            site.command("deploy", "--allow-drift"),
        ),
        Obstacle::Squatter(slot) => format!("look at {slot}, move it away, and run this again"),
        Obstacle::NothingWaits(_) => site.command("build", ""),
        Obstacle::Outdated { .. } => format!("build it again with: {}", site.command("build", "")),
        Obstacle::AlreadyLive(_) | Obstacle::NotKept(_) | Obstacle::NoArchive(_) => {
            site.command("releases", "")
        }
        Obstacle::NothingLive => site.command("deploy", ""),
    };
    Failure::new(kind, obstacle.to_string())
        .production("production was not touched by this run")
        .next(next)
}
