//! Preconditioners that outlive one matrix: set up again for new values, kept as bytes.
//!
//! [`Generator::generate`] gives a type of its own for each method; a registry gives an
//! [`Instance`], which remembers the parameters it was made with. [`Kept`] follows a sequence of
//! systems with one: it refreshes where only values change, generates anew where the pattern does, leaves it as it is
//! where a policy ([`Reuse`]) says so, and counts all three.
use crate::comm::{Comm, Communicator};
use crate::kernel::random;
use crate::matrix::{DistCsr, Explicit, Space};
use crate::persist::no_persist;
use crate::precond::{Generator, Preconditioner, Properties};
use crate::ready::Ready;
use crate::registry::DynGenerator;
use crate::reuse::{Reuse, Solve, Wear, setup_cost};
use crate::system::System;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// From nothing: pattern and values.
    pub setups: usize,
    /// New values on the pattern that was there.
    pub refreshes: usize,
    /// Systems that it was left as it was for.
    pub kept: usize,
}

/// How a preconditioner was come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setup {
    /// From nothing.
    #[default]
    SetUp,
    /// It was that of the system before, with new values.
    Refreshed,
    /// It was left as it was.
    Kept,
}

impl Setup {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Setup::SetUp => "set-up",
            Setup::Refreshed => "refreshed",
            Setup::Kept => "kept",
        }
    }
}

/// What M was made for.
#[derive(PartialEq)]
struct Shape {
    /// Where rows start.
    starts: Vec<u64>,
    /// A hash of this rank's pattern, where M may be left as it is: nothing else would notice another one.
    pattern: Option<u64>,
}

impl Shape {
    fn of(a: &DistCsr, reuse: Reuse) -> Shape {
        let place = |i: usize| {
            let row = random::mix(a.global_row(i));
            let entries = a.global_entries(i);
            entries.fold(0u64, |sum, (col, _)| sum.wrapping_add(random::mix(row ^ col)))
        };
        let sum = || (0..a.n_own()).fold(0u64, |sum, i| sum.wrapping_add(place(i)));
        let pattern = (reuse != Reuse::Refresh).then(sum);
        Shape { starts: a.space().starts().to_vec(), pattern }
    }
}

/// A preconditioner that follows a sequence of systems.
pub struct Kept {
    method: Arc<dyn DynGenerator>,
    params: Value,
    m: Option<Ready>,
    shape: Option<Shape>,
    counts: Counts,
    reuse: Reuse,
    setup_cost: Option<f64>,
    wear: Wear,
    setup: Setup,
    changed: bool,
}

impl Kept {
    /// Nothing yet: `method` with `params`, to be set up by the first [`update`](Kept::update), and refreshed by the
    /// others.
    pub fn new(method: &Arc<dyn DynGenerator>, params: &Value) -> Self {
        Kept {
            method: Arc::clone(method),
            params: params.clone(),
            m: None,
            shape: None,
            counts: Counts::default(),
            reuse: Reuse::Refresh,
            setup_cost: None,
            wear: Wear::default(),
            setup: Setup::SetUp,
            changed: false,
        }
    }

    /// The same, made anew when `reuse` says so; for [`Reuse::Adaptive`] a setup counts for `setup_cost` iterations, or
    /// for what [`setup_cost`] says.
    #[must_use]
    pub fn reusing(self, reuse: Reuse, setup_cost: Option<f64>) -> Self {
        Kept { reuse, setup_cost, ..self }
    }

    /// Makes M the preconditioner of `system`, or leaves it as it is where [`Reuse`] says so and the system has the pattern
    /// that M was made for. Collective over the system's ranks.
    ///
    /// # Errors
    /// As [`renew`](Kept::renew).
    pub fn update(&mut self, system: &System) -> Result<&dyn Instance> {
        let start = Instant::now();
        if self.m.is_none() || self.wear.is_over(self.reuse) || !self.fits(system)? {
            return self.renew(system);
        }
        self.counts.kept += 1;
        (self.setup, self.changed) = (Setup::Kept, false);
        let m = self.m.as_mut().ok_or_else(poisoned)?;
        m.taken = start.elapsed();
        Ok(m.m())
    }

    /// Whether `system` has the pattern that M was made for, on all ranks.
    fn fits(&self, system: &System) -> Result<bool> {
        let shape = Shape::of(system.a(), self.reuse);
        Ok(!system.a().space().comm().any(self.shape.as_ref() != Some(&shape))?)
    }

    /// Makes M the preconditioner of `system`: refreshed where the method can and only values
    /// changed, generated anew else. Collective over the system's ranks.
    ///
    /// # Errors
    /// What the method reports. There is no M then, and the next update generates.
    pub fn renew(&mut self, system: &System) -> Result<&dyn Instance> {
        let start = Instant::now();
        let (a, space) = (system.a(), system.a().space());
        let before = self.shape.replace(Shape::of(a, self.reuse));
        let rows = |shape: &Shape| shape.starts == space.starts();
        self.changed = before.as_ref().is_some_and(|before| !rows(before));
        if self.reuse != Reuse::Refresh {
            let other = before.is_some() && before != self.shape;
            self.changed = space.comm().any(other)?;
        }
        let tries = self.m.is_some() && self.method.capabilities().refresh;
        let refreshed = match self.m.take() {
            Some(m) => m.refreshed(&*self.method, system)?,
            None => None,
        };
        self.changed |= tries && refreshed.is_none();
        let mut m = match refreshed {
            Some(m) => {
                self.counts.refreshes += 1;
                self.setup = Setup::Refreshed;
                m
            }
            None => {
                let m = Ready::set_up(&*self.method, &self.params, system)?;
                self.counts.setups += 1;
                self.setup = Setup::SetUp;
                m
            }
        };
        m.taken = start.elapsed();
        let cost = match (self.reuse, self.setup_cost) {
            (Reuse::Adaptive, None) => {
                let stored = space.comm().all_gather(&[m.m().stored_entries() as u64])?;
                let stored: u64 = stored.iter().map(|of_rank| of_rank[0]).sum();
                setup_cost(stored as f64, a.n_global() as f64, a.nnz_global()? as f64)
            }
            (_, given) => given.unwrap_or_default(),
        };
        self.wear.renewed(cost);
        Ok(self.m.insert(m).m())
    }

    /// Tells how a solve with M went, which decides how long it is kept. The same on all ranks.
    pub fn solved(&mut self, solve: Solve) {
        self.wear.solved(solve);
    }

    /// How M was come by for the system of the last [`update`](Kept::update). One that was left as it was and fails
    /// may be worth to be made anew ([`renew`](Kept::renew)).
    pub fn setup(&self) -> Setup {
        self.setup
    }

    /// Whether the last system had other rows, or another pattern, than the one before.
    pub fn changed(&self) -> bool {
        self.changed
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
