//! Which method, with which parameters, takes least on a family of systems: configurations drawn out of the methods'
//! schemas race on systems to practise on, and what is said of the best is said of systems that were held out.
//!
//! ```no_run
//! use precondor::core::config;
//! use precondor::prelude::*;
//! use precondor::tune::{Asked, Here, Plain, Tuned};
//!
//! # fn main() -> precondor::Result<()> {
//! let methods = Methods::find()?;
//! let asked = Asked::new(&config::read("tune.toml".as_ref())?, &methods)?;
//! let bench = Plain::new(&methods, &|| false);
//! let mut judge = Here::new(&bench, &asked);
//! let tuned = Tuned::race(&asked, &mut judge, &mut |_| Ok(()))?;
//! println!("{}", tuned.telling().statement().join(" "));
//! println!("{:?}", tuned.telling().configuration(None));
//! # Ok(()) }
//! ```
//!
//! The configuration is that of `precondor tune`:
//!
//! ```toml
//! [problem]                       # as for `compare`: a suite, or model problems
//! matrices = ["a.mtx", "b.mtx"]   # the program expands patterns, too
//!
//! [solver]                        # what all share; without `method`, iterations are tried, too
//! tolerance = 1e-8
//!
//! [tune]
//! budget = 60                     # seconds
//! methods = ["amg", { name = "ilu", ordering = "rcm" }]   # left out: all
//!
//! [preconditioner]                # optional: what is to be beaten
//! name = "ic"
//!
//! [held_out]                      # optional: other systems for the end, a section like [problem]
//! ```
//!
//! | file | what |
//! |---|---|
//! | `asked.rs`, `systems.rs` | what a configuration asks for, and of which systems |
//! | `space.rs` | what may be drawn of a method |
//! | `field.rs` | the configurations in the race, and which are better |
//! | `race.rs` | heats, brackets, run-off |
//! | `finals.rs` | the held-out systems, and what may be said |
//! | `judge.rs` | the solves, in this process |
//! | `tell.rs`, `written.rs` | document and CSV; configurations to go on with |
mod asked;
mod field;
mod finals;
mod judge;
mod race;
mod space;
mod systems;
mod tell;
#[cfg(test)]
mod tests;
mod written;

pub use asked::{Asked, Tune};
pub use field::{Candidate, Field, Looked, Measure};
pub use judge::{Bench, Here, Plain, Run};
pub use race::{Judge, Order, Watch};
pub use systems::Family;
pub use tell::{Frame, SoFar, Telling};

use crate::{Error, Result};
use finals::Finals;
use race::Race;

/// What a race came to.
pub struct Tuned<'a> {
    asked: &'a Asked,
    field: Field<'a>,
    /// None where a signal came before the held-out systems.
    finals: Option<Finals>,
}

impl<'a> Tuned<'a> {
    /// Races, and has the finalists meet on the held-out systems; `watch` sees how it goes, after every trial. A signal ends
    /// it with the best so far. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] where no system can be made, where no configuration solves the first in time, or where the held-out
    /// systems of a model problem are those to practise on, as nothing about it is random. [`Error::Interrupted`] where a
    /// signal came before any configuration had solved one. What `watch` reports.
    pub fn race(
        asked: &'a Asked,
        judge: &mut dyn Judge,
        watch: &mut Watch<'_>,
    ) -> Result<Tuned<'a>> {
        let mut race = Race::new(asked.rules(), judge);
        fresh(&mut race, asked)?;
        race.run(watch)?;
        let finals = finals::run(&mut race, watch)?;
        Ok(Tuned { asked, field: race.field, finals })
    }

    /// Whether a signal ended it.
    pub fn interrupted(&self) -> bool {
        self.field.interrupted
    }

    /// What there is to tell.
    pub fn telling(&self) -> Telling<'_> {
        Telling { asked: self.asked, race: &self.field, finals: self.finals.as_ref() }
    }
}

/// Refuses held-out systems that are all those to practise on, as nothing about the problem is random.
fn fresh(race: &mut Race<'_, '_>, asked: &Asked) -> Result<()> {
    let rules = asked.rules();
    if rules.held_out.iter().any(|system| !asked.systems().place(*system).0.is_model()) {
        return Ok(());
    }
    let mut known = Vec::new();
    for case in asked.systems().first_of_each() {
        if race.look(case)? {
            known.push(race.field.looked[&case].digest.clone());
        }
    }
    for &system in &rules.held_out {
        if !race.look(system)? || !known.contains(&race.field.looked[&system].digest) {
            return Ok(());
        }
    }
    Err(Error::Data(
        "every system of [problem] has the same matrix, as nothing about it is random: what wins there is no news; give \
         it something random, or a section [held_out] with other systems"
            .into(),
    ))
}
