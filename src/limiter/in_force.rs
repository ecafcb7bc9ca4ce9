//! The limiter by which the admin API answers: that of the config in force.
//!
//! An admin listener's own config says where its API is and who may use it. Tiers, windows and families
//! are those that traffic is judged by: they stand in shared data.

use super::Limiter;
use crate::claims::PublishedConfig;
use crate::config;
use crate::host::Host;
use crate::overload::OverloadEvent;
use std::rc::Rc;

impl Limiter {
    /// Runs `f` on the limiter of the config in force. Where that can't be read, this limiter is taken.
    pub fn in_force<T>(&mut self, host: &dyn Host, f: impl FnOnce(&mut Self) -> T) -> T {
        let published = match self.published.other(host) {
            Ok(published) => published,
            Err(error) => {
                self.note_fault(error.into());
                None
            }
        };
        let Some(published) = published else {
            self.in_force = None;
            let _ = self.claim.refresh(host);
            return f(self);
        };
        let mut limiter = match self.in_force.take() {
            Some(limiter) if limiter.config.digest == published.digest => limiter,
            _ if self.unreadable.as_ref() == Some(&published.digest) => return f(self),
            _ => {
                let digest = published.digest.clone();
                match self.open_published(host, published) {
                    Ok(limiter) => Box::new(limiter),
                    Err(problem) => {
                        self.news.push(format!(
                            "the config in force, {digest}, can't be used here, so the admin API \
                             answers by its own listener's: {problem}"
                        ));
                        self.unreadable = Some(digest);
                        return f(self);
                    }
                }
            }
        };
        limiter.refresh(host);
        let done = f(&mut limiter);
        self.directory_ready |= limiter.directory_ready;
        // A scale that was just put holds here at once, elsewhere with the next tick.
        let _ = self.overload.refresh(host);
        self.in_force = Some(limiter);
        done
    }

    /// Opens a limiter for the published config, with this one's admin API. It takes part in no shared
    /// work and never ticks.
    fn open_published(&self, host: &dyn Host, published: PublishedConfig) -> Result<Self, String> {
        let config = config::parse(published.json.as_bytes());
        let mut config = config.map_err(|error| format!("config at {error}"))?;
        config.digest = published.digest;
        config.admin.clone_from(&self.config.admin);
        let vm = Rc::clone(&self.vm);
        // Only a limiter that is open leaves again.
        let join = |_: &str, _| {
            vm.borrow_mut().joined();
            vm
        };
        // The ledger exists: it has a secret.
        Self::open_for(host, config, &[], join, || [0; 16]).map_err(|error| error.to_string())
    }

    /// Reads what ticks would have read.
    fn refresh(&mut self, host: &dyn Host) {
        self.refresh_ready(host);
        // Errors are left to the call itself: it reads the same values, and reports them.
        let _ = self.overload.refresh(host);
        let _ = self.claim.refresh(host);
    }

    /// Takes what there is to log: lines, and the changes of lowered limits.
    pub fn drain_events(&mut self) -> (Vec<String>, Vec<OverloadEvent>) {
        let mut events = self.overload.drain_events();
        if let Some(limiter) = &mut self.in_force {
            events.extend(limiter.overload.drain_events());
        }
        (std::mem::take(&mut self.news), events)
    }
}
