//! Algebraic multigrid: one V-cycle from zero, M = V(ν₁, ν₂), on levels made from the entries of A alone.
//!
//! On every level z ← ν₁ steps of S from zero; z ← z + P Mc Pᵀ (r − A z), with Mc the cycle on the next level,
//! whose matrix is Pᵀ A P; ν₂ steps of Sᵀ. Which couplings are strong says `strength.rs`, what is lumped
//! together `aggregates.rs` or `splitting.rs`, how corrections are carried `interpolation.rs`, what smooths
//! `smoother.rs`; the coarsest system is solved directly (`coarsest.rs`).
//!
//! Two recipes: **aggregation** (smoothed, the default for symmetric A) and **classical** (Ruge–Stüben
//! with extended+i interpolation, the default for unsymmetric A). Systems of several unknowns a node are
//! coarsened unknown by unknown; how many there are is found from the pattern (`blocks.rs`).
//!
//! With ν₁ = ν₂ M is symmetric for symmetric A: the error operator is I − M A = Eᵀ E in the inner product of A.
//! It is positive definite for positive definite A, because every smoother is proved, or a method by name
//! seen by a few Lanczos steps, to have S + Sᵀ − Sᵀ A S > 0, and the coarsest matrix has positive pivots.
//!
//! Levels below the finest, and all of an unsymmetric matrix, are kept in single precision, scaled by powers of
//! two, which costs no iteration and saves a quarter of the memory; in double where the diagonal spans more
//! than 25 decades, where the coarsest matrix is not positive definite in single, or where they are smoothed
//! by anything but Gauss–Seidel.
//!
//! Cost: setup some 50 to 120 products with A; an application about two products on the finest level and half
//! as much on the others. Stored are the lower triangles (both for unsymmetric A) and Pᵀ of every level. On
//! several ranks each makes the levels of its own block: block Jacobi between the ranks, and M depends on
//! their number.
//!
//! References: P. Vaněk, J. Mandel, M. Brezina, *Algebraic multigrid by smoothed aggregation for second and
//! fourth order elliptic problems*, Computing 56 (1996); K. Stüben, *A review of algebraic multigrid*,
//! J. Comput. Appl. Math. 128 (2001).
use crate::coarsening::Keep;
use crate::coarsest::Inverse;
use crate::frame::Frame;
use crate::half::Matrix;
use crate::hierarchy::Coarse;
use crate::level::Level;
use crate::parallel::{self, Spread};
use crate::params::Params;
use crate::setup::{Setup, Unknowns, block_size, setup};
use precondor_sdk::core::kernel::pattern;
use precondor_sdk::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The method.
pub struct Amg;

/// M.
pub struct Cycle {
    properties: Properties,
    notes: Vec<String>,
    /// Tells the pattern that a refresh keeps something for.
    pattern: Option<u64>,
    host: Arc<dyn Host>,
    /// Its levels are those of all of A.
    whole: bool,
    work: Mutex<Hierarchy>,
}

/// What an application works on.
pub(crate) enum Hierarchy {
    /// Fewer unknowns than are solved directly.
    Direct(Inverse<f64>),
    Levels(Box<Levels>),
    /// Levels that are all in single precision.
    Single(Box<Single>),
    /// Levels that are spread over the ranks.
    Spread(Box<Spread>),
}

pub(crate) struct Levels {
    pub finest: Level<f64>,
    pub coarse: Lower,
    pub steps: [u32; 2],
    pub frame: Frame,
}

/// Levels of an unsymmetric matrix: no method of conjugate gradients looks at how exact M is.
pub(crate) struct Single {
    pub all: Coarse<f32>,
    pub steps: [u32; 2],
    pub frame: Frame,
}

/// The levels below the finest.
pub(crate) enum Lower {
    /// None: nothing could be lumped together, and all is left to the smoother.
    None,
    Single(Coarse<f32>),
    Double(Coarse<f64>),
}

impl Generator for Amg {
    const NAME: &'static str = "amg";
    const SUMMARY: &'static str = "algebraic multigrid V-cycle for any sparse matrix";
    const CAPABILITIES: Capabilities =
        Capabilities { refresh: true, product: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Cycle;

    fn invariances(params: &Params) -> Invariances {
        // A single level is solved on directly.
        let direct = params.levels == Some(1);
        if direct { Invariances::ROWS_AND_COLUMNS } else { Invariances::SCALING }
    }

    fn generate(params: &Params, system: &System) -> Result<Cycle> {
        make(params, system, None)
    }

    /// Uses the vectors of all levels again, and what `keep_setup` says.
    fn refresh(m: &mut Cycle, params: &Params, system: &System) -> Result<()> {
        let old = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        if m.pattern.is_some()
            && system.a().space().comm().any(m.pattern != kept(params, system))?
        {
            return Err(Error::PatternChanged);
        }
        let old = std::mem::replace(old, Hierarchy::nothing());
        *m = make(params, system, Some(old))?;
        Ok(())
    }
}

/// What tells the pattern that a refresh keeps something for; none where it keeps nothing.
fn kept(params: &Params, system: &System) -> Option<u64> {
    (params.keep_setup != Keep::None).then(|| pattern::digest(system.a()))
}

/// M for a system, in what is left of an earlier one. Collective.
fn make(params: &Params, system: &System, old: Option<Hierarchy>) -> Result<Cycle> {
    params.check()?;
    let pattern = kept(params, system);

    let system = &*system.regular()?;
    let a = system.a();
    let symmetric = a.first_unsymmetric()?.is_none();
    let ranks = a.space().comm().size();
    let comm = a.space().comm();
    let block = block_size(params, system)?;
    let spread = params.spread(symmetric, ranks);
    if spread {
        a.require_symmetric("the recipe 'parallel' of amg")?;
    }
    let made = if spread {
        let old = match old {
            Some(Hierarchy::Spread(old)) => Some(*old),
            _ => None,
        };
        parallel::setup(params, system, block, old)?
    } else {
        let unknowns = Unknowns::PerNode(block);
        setup(params, system, symmetric, unknowns, old)?
    };
    let Setup { work, symmetric, definite, mut notes } = made;
    if ranks > 1 && !spread {
        notes.push(format!("each of the {ranks} ranks has the levels of its own block"));
    }
    let [symmetric, definite] = together(comm, [symmetric, symmetric && definite])?;
    let properties = Properties {
        symmetric,
        positive_definite: definite,
        constant: true,
        rank_independent: spread,
    };
    let (host, work) = (Arc::clone(system.host()), Mutex::new(work));
    Ok(Cycle { properties, notes, pattern, host, whole: ranks == 1, work })
}

/// What holds on all ranks.
fn together<const N: usize>(comm: &Comm, here: [bool; N]) -> Result<[bool; N]> {
    let mut not = here.map(|holds| f64::from(u8::from(!holds)));
    comm.max(&mut not)?;
    Ok(not.map(|n| n == 0.0))
}

impl Levels {
    fn apply(&mut self, host: &dyn Host, r: &[f64], z: &mut [f64]) -> Result<()> {
        let Levels { finest, coarse, steps, frame } = self;
        frame.enter(r, |i, r| finest.b[i] = r);
        finest.before(host, steps[0])?;
        let Level { down, rest, x, .. } = finest;
        match (down, coarse) {
            (Some(down), Lower::Single(coarse)) => {
                coarse.correct(host, *steps, &down.r, rest, x)?;
            }
            (Some(down), Lower::Double(coarse)) => {
                coarse.correct(host, *steps, &down.r, rest, x)?;
            }
            _ => {}
        }
        finest.after(host, steps[1])?;
        frame.leave(|i| finest.x[i], z);
        Ok(())
    }

    /// `y = A z`, after [`apply`](Levels::apply) for r.
    fn multiply(&mut self, host: &dyn Host, r: &[f64], y: &mut [f64]) -> Result<()> {
        let Levels { finest, frame, .. } = self;
        let Level { matrix: Matrix::Symmetric(half), b, x, rest, .. } = finest else {
            return Ok(());
        };
        let Some(order) = &frame.order else {
            return half.product(host, |i| r[i], [b, x], y);
        };
        half.product(host, |i| r[order.old[i] as usize], [b, x], rest)?;
        frame.leave(|i| rest[i], y);
        Ok(())
    }

    /// Whether the last sweep gives the product with A.
    fn multiplies(&self) -> bool {
        let sweeps = self.finest.smoother.in_place() && self.frame.scaling.is_none();
        sweeps && matches!(self.finest.matrix, Matrix::Symmetric(_))
    }
}

impl Hierarchy {
    /// No unknowns.
    pub fn nothing() -> Self {
        Hierarchy::Direct(Inverse::empty())
    }

    pub fn apply(&mut self, host: &dyn Host, r: &[f64], z: &mut [f64]) -> Result<()> {
        match self {
            Hierarchy::Direct(inverse) => {
                inverse.solve(r, z);
                Ok(())
            }
            Hierarchy::Levels(levels) => levels.apply(host, r, z),
            Hierarchy::Single(levels) => {
                let Single { all, steps, frame } = &mut **levels;
                all.apply(host, *steps, frame, r, z)
            }
            Hierarchy::Spread(spread) => spread.apply(r, z),
        }
    }
    pub fn stored_entries(&self) -> usize {
        match self {
            Hierarchy::Direct(inverse) => inverse.stored_entries(),
            Hierarchy::Levels(levels) => {
                let coarse = match &levels.coarse {
                    Lower::None => 0,
                    Lower::Single(coarse) => coarse.stored_entries(),
                    Lower::Double(coarse) => coarse.stored_entries(),
                };
                levels.finest.stored_entries() + coarse
            }
            Hierarchy::Single(levels) => levels.all.stored_entries(),
            Hierarchy::Spread(spread) => spread.stored_entries(),
        }
    }
    pub fn bytes(&self) -> usize {
        match self {
            Hierarchy::Direct(inverse) => 8 * inverse.stored_entries(),
            Hierarchy::Levels(levels) => {
                let coarse = match &levels.coarse {
                    Lower::None => 0,
                    Lower::Single(coarse) => coarse.bytes(),
                    Lower::Double(coarse) => coarse.bytes(),
                };
                levels.finest.bytes() + coarse + levels.frame.bytes()
            }
            Hierarchy::Single(levels) => levels.all.bytes() + levels.frame.bytes(),
            Hierarchy::Spread(spread) => spread.bytes(),
        }
    }
}

impl Cycle {
    fn work(&self) -> MutexGuard<'_, Hierarchy> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Preconditioner for Cycle {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let applied = self.work().apply(&*self.host, r, z);
        if applied.is_err() {
            z.fill(f64::NAN);
        }
        applied
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        let host = &*self.host;
        let mut work = self.work();
        let levels = match &mut *work {
            Hierarchy::Levels(levels) if self.whole && levels.multiplies() => levels,
            _ => return Err(Error::Unsupported("this hierarchy gives no product".into())),
        };
        let applied = levels.apply(host, r, z).and_then(|()| levels.multiply(host, r, y));
        if applied.is_err() {
            z.fill(f64::NAN);
            y.fill(f64::NAN);
        }
        applied
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        self.work().stored_entries()
    }
    fn bytes(&self) -> usize {
        self.work().bytes()
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
