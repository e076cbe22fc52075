//! Keeping the lease while something goes on.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Engine;
use crate::failure::Kind;
use crate::ports::{Event, Halt, Ledger, Observer, PortError, Token};

/// What it takes to keep a lease; apart from the engine, which is busy meanwhile.
pub(super) struct Keeper<'a> {
    ledger: &'a dyn Ledger,
    observer: Rc<dyn Observer>,
    halt: Rc<watch::Sender<Option<Halt>>>,
    token: Token,
    ttl: Duration,
}

impl<'a> Engine<'a> {
    pub(super) fn keeper(&self) -> Keeper<'a> {
        Keeper {
            ledger: self.ledger,
            observer: self.observer.clone(),
            halt: self.halt.clone(),
            token: self.token,
            ttl: self.ttl,
        }
    }
}

impl Keeper<'_> {
    /// Awaits `work`, renewing the lease meanwhile. A lease that was lost is announced as a reason
    /// to halt, which ends dbt; what else was going on is refused by its fencing token.
    pub(super) async fn keeping_the_lease<T>(&self, work: impl Future<Output = T>) -> T {
        let pause = (self.ttl / 10).clamp(Duration::from_millis(100), Duration::from_secs(10));
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = sleep(pause) => {}
            }
            match self.ledger.renew(self.token, self.ttl).await {
                Ok(()) => {}
                Err(PortError::Refused(failure)) if failure.kind == Kind::Locked => {
                    self.halt.send_if_modified(|halt| {
                        let first = halt.is_none();
                        if first {
                            *halt = Some(Halt::LeaseLost(failure.message.clone()));
                        }
                        first
                    });
                }
                Err(error) => self.observer.event(Event::Warning(format!(
                    "the lease could not be renewed, and is tried again: {error}"
                ))),
            }
        }
    }
}
