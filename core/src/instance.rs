//! Preconditioners that outlive one matrix: set up again for new values, kept as bytes.
//!
//! [`Generator::generate`] gives a type of its own for each method; a registry gives an
//! [`Instance`], which remembers the parameters it was made with. [`Kept`] follows a sequence of
//! systems with one: it refreshes where only values change, generates anew where the pattern does,
//! and counts both.
use crate::comm::{Comm, Communicator};
use crate::matrix::{Explicit, Space};
use crate::persist::no_persist;
use crate::precond::{Generator, Preconditioner, Properties};
use crate::ready::Ready;
use crate::registry::DynGenerator;
use crate::system::System;
use crate::{Error, Result};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// A preconditioner that a registry's method made.
pub trait Instance: Preconditioner {
    /// Rebuilds M for new values on the same pattern, with the parameters it was made with, reusing
    /// its symbolic work. Collective over the system's ranks: all succeed or all fail.
    ///
    /// # Errors
    /// [`Error::PatternChanged`], on all ranks, where the pattern or the distribution of the rows
    /// is another one: generate anew. [`Error::Unsupported`] where the method has no such part;
    /// what the method reports. After any error but the latter M is poisoned: applying it fails.
    fn refresh(&mut self, system: &System) -> Result<()>;

    /// This rank's part of M as bytes, for [`DynGenerator::load`]. Collective over the ranks of the
    /// system it was made for: all succeed or all fail.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the method, or this M, cannot be saved.
    fn save(&self) -> Result<Vec<u8>>;
}

/// The error of an instance that a failed refresh, or a panic, left half-way.
pub fn poisoned() -> Error {
    Error::Panicked("an earlier call panicked or failed half-way; generate anew".into())
}

/// The error of a method without `refresh`.
pub fn no_refresh(name: &str) -> Error {
    Error::Unsupported(format!("{name} offers no refresh"))
}

/// Whether rows are spread as `starts` says.
///
/// # Errors
/// [`Error::PatternChanged`] where they are not; the same on all ranks.
pub fn same_rows(starts: &[u64], space: &Space) -> Result<()> {
    if starts == space.starts() { Ok(()) } else { Err(Error::PatternChanged) }
}

/// Runs a refresh so that it succeeds on all ranks or fails on all, and so that a pattern that
/// changed on any rank is [`Error::PatternChanged`] on all of them. Collective.
///
/// # Errors
/// Those of `f`, as [`Comm::scope`] gives them.
pub fn together(comm: &Comm, f: impl FnOnce() -> Result<()>) -> Result<()> {
    let Err(error) = comm.scope(f) else { return Ok(()) };
    let changed = matches!(error.root(), Error::PatternChanged);
    match comm.all_gather(&[changed.into()]) {
        Ok(said) if said.iter().any(|s| s[0] == 1) => Err(Error::PatternChanged),
        _ => Err(error),
    }
}

/// An instance of a method that is linked in.
pub(crate) struct Made<G: Generator> {
    m: G::Output,
    params: G::Params,
    space: Arc<Space>,
    poisoned: bool,
}

impl<G: Generator> Made<G> {
    /// What `params` made of `system`.
    pub(crate) fn new(m: G::Output, params: G::Params, system: &System) -> Self {
        Made { m, params, space: Arc::clone(system.a().space()), poisoned: false }
    }

    fn sound(&self) -> Result<&G::Output> {
        if self.poisoned { Err(poisoned()) } else { Ok(&self.m) }
    }
}

impl<G: Generator> Instance for Made<G> {
    fn refresh(&mut self, system: &System) -> Result<()> {
        if !G::CAPABILITIES.refresh {
            return Err(no_refresh(G::NAME));
        }
        self.sound()?;
        self.poisoned = true;
        let space = system.a().space();
        same_rows(self.space.starts(), space)?;
        together(space.comm(), || G::refresh(&mut self.m, &self.params, system))?;
        self.space = Arc::clone(space);
        self.poisoned = false;
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        if !G::CAPABILITIES.persist {
            return Err(no_persist(G::NAME));
        }
        let first = self.space.start();
        let rows = first..first + self.space.n_own() as u64;
        self.space.comm().scope(|| G::save(self.sound()?, rows))
    }
}

impl<G: Generator> Preconditioner for Made<G> {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.sound()?.apply(r, z)
    }
    fn properties(&self) -> Properties {
        self.m.properties()
    }
    fn stored_entries(&self) -> usize {
        self.m.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.m.bytes()
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.sound()?.apply_many(k, r, z)
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.sound()?.apply_and_multiply(r, z, y)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.sound()?.apply_transpose(r, z)
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        self.sound().ok()?.explicit()
    }
    fn notes(&self) -> Vec<String> {
        match self.sound() {
            Ok(m) => m.notes(),
            Err(error) => vec![error.to_string()],
        }
    }
    fn delegate(&self) -> Option<String> {
        self.sound().ok()?.delegate()
    }
}

/// How often a preconditioner was set up, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// From nothing: pattern and values.
    pub setups: usize,
    /// New values on the pattern that was there.
    pub refreshes: usize,
}

/// A preconditioner that follows a sequence of systems.
pub struct Kept {
    method: Arc<dyn DynGenerator>,
    params: Value,
    m: Option<Ready>,
    counts: Counts,
}

impl Kept {
    /// Nothing yet: `method` with `params`, to be set up by the first [`update`](Kept::update).
    pub fn new(method: &Arc<dyn DynGenerator>, params: &Value) -> Self {
        let (method, params) = (Arc::clone(method), params.clone());
        Kept { method, params, m: None, counts: Counts::default() }
    }

    /// Makes M the preconditioner of `system`: refreshed where the method can and only values
    /// changed, generated anew else. Collective over the system's ranks.
    ///
    /// # Errors
    /// What the method reports. There is no M then, and the next update generates.
    pub fn update(&mut self, system: &System) -> Result<&dyn Instance> {
        let start = Instant::now();
        let refreshed = match self.m.take() {
            Some(m) => m.refreshed(&*self.method, system)?,
            None => None,
        };
        let mut m = match refreshed {
            Some(m) => {
                self.counts.refreshes += 1;
                m
            }
            None => {
                let m = Ready::set_up(&*self.method, &self.params, system)?;
                self.counts.setups += 1;
                m
            }
        };
        m.taken = start.elapsed();
        Ok(self.m.insert(m).m())
    }

    /// M, as the last [`update`](Kept::update) left it; none before the first one and after one
    /// that failed.
    pub fn m(&self) -> Option<&dyn Instance> {
        self.m.as_ref().map(Ready::m)
    }

    /// As [`m`](Kept::m), with what the last update took.
    pub fn ready(&self) -> Option<&Ready> {
        self.m.as_ref()
    }

    /// The same with an M to go on from, which the method made or loaded with these parameters.
    #[must_use]
    pub fn with(self, ready: Ready) -> Self {
        Kept { m: Some(ready), ..self }
    }

    /// The method.
    pub fn method(&self) -> &dyn DynGenerator {
        &*self.method
    }

    /// How often M was set up, and how.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
