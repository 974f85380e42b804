//! A reference solve in smoothing, nothing of it learned, in two forms (`variant`) with M = P A0⁻¹ Pᵀ:
//! - `symmetric`: M₂ = S + Sᵀ − Sᵀ A S + (I − Sᵀ A) M (I − A S), applied as y = S r; y += M (r − A y); y += Sᵀ (r − A y).
//! - `post-only`: M₂ = M + Sᵀ (I − A M), applied as y = M r; y += Sᵀ (r − A y): half of the products for a step of S, so that S may
//!   have twice the steps. M₂ is not symmetric. For Richardson's iteration, whose error I − M₂ A = (I − SᵀA)(I − MA) does not
//!   care on which side S stands, and for GMRES. A solve that fails with it goes on with the symmetric form.
//!
//! - A0 is the separable operator nearest to A (`kernel/separable` of the core), at the level of A, so that units play no part: M₂
//!   of cA is M₂/c. It is solved by `fast-poisson` or by any method by name.
//! - P = I + c E, E = D0⁻¹A0 − D⁻¹A with D0, D the diagonals. Row i of D⁻¹A tells how the value at
//!   node i follows from its neighbours, so to first order P interpolates from the nodes of the
//!   reference mesh to the shifted ones. c = 0 leaves P out; ½ is good, between 0.3 and 0.7 little
//!   changes. Where it is known how far nodes are shifted (`positions`), out of coordinates or out of A, P interpolates to second
//!   order instead (`transfer.rs`), and takes half of the iterations.
//! - S is damped Jacobi, some Chebyshev steps, a Gauss–Seidel sweep (forward before, backward after),
//!   a symmetric one, or left out (then M₂ = M).
//! - At nodes between flat cells A is solved with exactly, between S and M (`bad.rs`).
//!
//! Works on the structured grids that `fast-poisson` takes, in two and three dimensions (linear and bilinear elements, finite
//! differences, finite volumes; any ends and spacings, nodes shifted, a coefficient that varies by a factor or so); iterations then
//! hardly depend on the size. Mean iterations on linear elements in two dimensions
//! at levels 4/5/6/7/8 (225 to 65025 unknowns, shifts of a quarter mesh width; 3 systems, at level 8
//! one; `cargo test -p precondor-plugin-reference iterations_are`), and the products with A or as large
//! a matrix that an application and the solver's residual take:
//!
//! | S | c | Richardson, ω = 1, to 1e-5 of the residual | conjugate gradients to 1e-8 | products |
//! |---|---|---|---|---|
//! | none | 0 | – | 14 / 15.3 / 16.5 / 17.8 / 19 | 1 |
//! | Jacobi, ω = 0.5 | 0 | 7 / 7 / 8 / 8 / 9 | 8 / 9 / 9 / 10 / 10 | 3 |
//! | Jacobi, ω = 0.6 | 0.5 | 5 / 6 / 6 / 6 / 6 | 7 / 7 / 7 / 8 / 8 | 5 |
//! | Gauss–Seidel | 0 | 6 / 6.7 / 7 / 7.7 / 8 | 7 / 8 / 8 / 9 / 9 | 3 |
//! | Gauss–Seidel | 0.5 | 4.7 / 5 / 5 / 5.7 / 6 | 6 / 6.3 / 7 / 7 / 7 | 5 |
//! | Chebyshev of degree 2 | 0 | 5 / 5 / 5 / 6 / 6 | 6 / 6 / 7 / 7 / 7 | 5 |
//! | **Chebyshev of degree 3**, the default | 0 | – | 6 / 6 / 6 / 6 / 6 | 7 |
//! | Chebyshev of degree 2 | 0.5 | 4 / 4 / 4.7 / 5 / 5 | 5 / 6 / 6 / 6 / 6 | 7 |
//! | symmetric Gauss–Seidel | 0 | 4 / 5 / 5 / 5 / 5 | 6 / 6 / 6 / 6.7 / 7 | 5 |
//! | symmetric Gauss–Seidel | 0.5 | 4 / 4 / 4 / 4 / 5 | 5 / 5 / 6 / 6 / 6 | 7 |
//!
//! Chebyshev needs products alone, no sweep from row to row: M₂ is then the same on any number of
//! ranks, and in the symmetric form positive definite whatever the mesh. On one rank, without I + c E and with `fast-poisson`, it is applied in single
//! precision, on planes of the grid (`single.rs`): the same up to rounding, in a quarter of the time.
//!
//! A has to be symmetric with a positive diagonal. The symmetric M₂ is declared positive definite where
//! `smoother.rs` proves it; without a smoother, where A0⁻¹ is and P is diagonally dominant.
//!
//! Cost: setup a few passes over A and the gathers of `fast-poisson`, `bad.rs` and `positions.rs`; stored are the values of P and Pᵀ
//! (2 nnz, or in single precision one number a node and axis) and, for the sweeps, the triangles of A. Apply: one solve with A0 and the products of the table, less one. On several
//! ranks the sweeps are over each rank's own block, so M₂ depends on their number; with Jacobi, Chebyshev
//! or no smoother it has the same bits on any, in double precision.
//!
//! Communication of an application: that of one solve with A0 (`fast_poisson.rs`), and exchanges of A's ghost
//! entries: 2 with Jacobi and the sweeps, 2 times its degree with Chebyshev, none without a smoother, half of that in the post-only form;
//! 2 more with P, which to second order exchanges those of all nodes around, and 2 more (post-only 1) where there are bad nodes.
//!
//! Reference: W. Hackbusch, *Multi-Grid Methods and Applications*, Springer 1985, §2, for the form;
//! a reference matrix as preconditioner goes back to P. Concus, G. Golub, *Use of fast direct methods
//! for the efficient numerical solution of nonseparable elliptic equations*, SIAM J. Numer. Anal. 10
//! (1973).
use crate::bad::Bad;
use crate::fast_poisson::{FastPoisson, FastSolve, fitted};
use crate::params::{Params, Precision, Variant};
use crate::positions::{ESTIMATE, Shifts, Source, Walls, loads};
use crate::single::Single;
use crate::smoother::{Kind, Smoother};
use crate::transfer::Transfer;
use precondor_sdk::core::kernel::lattice::Lattice;
use precondor_sdk::core::kernel::separable::Separable;
use precondor_sdk::core::kernel::wrap::Wrap;
use precondor_sdk::core::precond::Identity;
use precondor_sdk::core::schema::named_method;
use precondor_sdk::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// The method.
pub struct Reference;

/// M₂.
pub struct Wrapped {
    variant: Variant,
    a: DistCsr,
    host: Arc<dyn Host>,
    smoother: Option<Smoother>,
    transfer: Option<Transfer>,
    /// There but while it is made anew.
    solver: Option<Solver>,
    lattice: Lattice,
    properties: Properties,
    notes: Vec<String>,
    work: Mutex<Steps>,
}

/// The steps of an application, with what they work in.
struct Steps {
    /// Everything but what is done at bad nodes, where single precision does it.
    single: Option<Box<Single>>,
    wrap: Wrap,
    bad: Option<Bad>,
    /// Pᵀ r and A0⁻¹ Pᵀ r, or what is smoothed after it.
    reference: [Vec<f64>; 2],
}

/// The diagonal of A, which has to be positive.
fn positive_diagonal(a: &DistCsr) -> Result<Vec<f64>> {
    let own = a.own().view();
    let mut diagonal = Vec::with_capacity(a.n_own());
    // Where the entry was in the row before.
    let mut at = 0;
    for i in 0..a.n_own() {
        let cols = own.row_cols(i);
        if cols.get(at) != Some(&(i as u32)) {
            at = cols.binary_search(&(i as u32)).unwrap_or(cols.len());
        }
        match own.row_values(i).get(at).copied().unwrap_or(0.0) {
            d if d > 0.0 && d.is_finite() => diagonal.push(d),
            d => {
                let why = format!("the diagonal entry is {d}; reference needs it to be positive");
                return Err(Error::breakdown(a.global_row(i), why));
            }
        }
    }
    Ok(diagonal)
}

/// Whether this is the name, or was once, of [`FastPoisson`].
pub(crate) fn is_fast_poisson(name: &str) -> bool {
    name == FastPoisson::NAME || name == "sine"
}

/// What solves with A0.
enum Solver {
    Fast(Box<FastSolve>),
    Named(Box<dyn Instance>),
}

impl std::ops::Deref for Solver {
    type Target = dyn Preconditioner;

    fn deref(&self) -> &Self::Target {
        match self {
            Solver::Fast(solver) => &**solver,
            Solver::Named(solver) => &**solver,
        }
    }
}

/// Sets up what solves with A0, out of what did with another one on the same grid, if that is there. Collective.
fn solver(
    params: &Params,
    operator: &Separable,
    system: &System,
    kept: Option<Solver>,
) -> Result<Solver> {
    let (name, section) = named_method(&params.method).ok_or_else(|| {
        let why = "parameter 'method': it takes a method's name, or a section with 'name'";
        Error::Parameter(why.into())
    })?;
    if is_fast_poisson(&name) && section.as_object().is_some_and(|s| s.is_empty()) {
        return Ok(Solver::Fast(match kept {
            Some(Solver::Fast(mut solver)) => {
                solver.renew(operator, system)?;
                solver
            }
            _ => Box::new(FastSolve::new(operator, system)?),
        }));
    }
    let reference = system.with_matrix(operator.matrix(system.a().space())?)?;
    let within = |e: Error| e.inside(format!("parameter 'method': {name}"));
    if let Some(Solver::Named(mut solver)) = kept {
        match solver.refresh(&reference) {
            Err(Error::Unsupported(_) | Error::PatternChanged) => {}
            done => return done.map(|()| Solver::Named(solver)).map_err(within),
        }
    }
    let inner = system.host().inner(&name, &section, &reference);
    Ok(Solver::Named(inner.map_err(within)?))
}

impl Generator for Reference {
    const NAME: &'static str = "reference";
    const SUMMARY: &'static str =
        "inverse of the unperturbed grid matrix, interpolated and wrapped in smoothing";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Wrapped;

    fn generate(params: &Params, system: &System) -> Result<Wrapped> {
        wrap(params, lattice(params, system)?, (None, None), system)
    }

    /// Keeps of what solves with A0 all that depends on the grid alone.
    fn refresh(m: &mut Wrapped, params: &Params, system: &System) -> Result<()> {
        if lattice(params, system)? != m.lattice {
            return Err(Error::PatternChanged);
        }
        let single = m.work.get_mut().unwrap_or_else(PoisonError::into_inner).single.take();
        *m = wrap(params, m.lattice, (m.solver.take(), single), system)?;
        Ok(())
    }
}

/// The grid of a matrix that the method works for. Collective.
fn lattice(params: &Params, system: &System) -> Result<Lattice> {
    if params.degree.is_some() && params.smoother != Kind::Chebyshev {
        let why = "parameter 'degree': only the smoother \"chebyshev\" has one";
        return Err(Error::Parameter(why.into()));
    }
    if params.damping.is_some() && params.smoother != Kind::Jacobi {
        let why = "parameter 'damping': only the smoother \"jacobi\" has one";
        return Err(Error::Parameter(why.into()));
    }
    if params.interpolation != 0.0 && params.positions != Source::None {
        let why =
            "parameter 'positions': with 'interpolation' greater than 0 they are not asked for";
        return Err(Error::Parameter(why.into()));
    }
    system.a().require_symmetric(Reference::NAME)?;
    Lattice::shown(system.a(), params.grid.as_deref())
}

/// The nodes that are solved for exactly, if there are any. Collective.
fn bad_nodes(
    params: &Params,
    a: &DistCsr,
    operator: &Separable,
    diagonal: &[f64],
) -> Result<Option<Bad>> {
    let lattice = operator.lattice();
    let threshold = params.bad_nodes.unwrap_or(if lattice.dimension == 2 { 1.4 } else { 1.5 });
    if threshold == 0.0 {
        return Ok(None);
    }
    let (first, n) = (a.space().start(), a.n_own());
    let mut ratios = vec![0.0; n];
    let mut k = 0;
    while k < n {
        let place = lattice.place(first + k as u64);
        let row = k..(k + lattice.dims[0] - place[0]).min(n);
        k = row.end;
        operator.diagonal(place, &mut ratios[row]);
    }
    ratios.iter_mut().zip(diagonal).for_each(|(ratio, d)| *ratio = d / *ratio);
    Bad::find(a, &ratios, threshold)
}

/// Whether single precision may do it: on one rank, with nothing but products between the residual and what `fast-poisson`
/// solves.
fn may_be_single(params: &Params, a: &DistCsr) -> bool {
    let bare = named_method(&params.method).is_some_and(|(name, section)| {
        is_fast_poisson(&name) && section.as_object().is_some_and(|s| s.is_empty())
    });
    let plain = params.smoother == Kind::Chebyshev && params.interpolation == 0.0;
    let single = params.precision == Precision::F32;
    single && bare && plain && a.space().comm().size() == 1
}

/// M₂, out of parts of one on the same grid. Collective.
fn wrap(
    params: &Params,
    lattice: Lattice,
    kept: (Option<Solver>, Option<Box<Single>>),
    system: &System,
) -> Result<Wrapped> {
    let diagonal = positive_diagonal(system.a())?;
    let (operator, told) = fitted(system, lattice)?;
    let bad = bad_nodes(params, system.a(), &operator, &diagonal)?;
    let made = Made { params, operator, diagonal };
    let mut m = made.bare(bad, kept, system)?;
    m.notes.push(told);
    m.tell_of_bad_nodes();
    let shifts = match params.positions {
        Source::None => Ok(None),
        Source::Estimated => {
            Shifts::estimated(system.a(), &made.operator, || made.estimate(&mut m))?
        }
        given => Shifts::given(system, &made.operator, given == Source::Given)?,
    };
    let shifts = shifts.unwrap_or_else(|why| {
        m.notes.push(format!("the nodes' positions are left out: {why}"));
        None
    });
    made.form(&mut m, shifts)?;
    Ok(m)
}

/// What M₂ is made of.
struct Made<'a> {
    params: &'a Params,
    operator: Separable,
    diagonal: Vec<f64>,
}

impl Made<'_> {
    /// What smooths, of this degree, where double precision does it. Collective.
    fn smoother(&self, degree: u32, a: &DistCsr) -> Result<Option<Smoother>> {
        let Made { params, diagonal, .. } = self;
        Smoother::new(params.smoother, params.damping.unwrap_or(0.5), degree, a, diagonal)
    }

    /// What M₂ is made of, before it has a smoother and P. Collective.
    fn bare(
        &self,
        bad: Option<Bad>,
        kept: (Option<Solver>, Option<Box<Single>>),
        system: &System,
    ) -> Result<Wrapped> {
        let Made { params, operator, .. } = self;
        let (a, lattice) = (system.a(), operator.lattice());
        let kept_single = kept.1.map(|kept| *kept);
        let single = match may_be_single(params, a) {
            true => Single::new(a, operator, kept_single)?,
            false => None,
        };
        let (solver, notes) = match single {
            Some(_) => (None, vec![format!("structured grid of {lattice}")]),
            None => {
                let solver = solver(params, operator, system, kept.0)?;
                let notes = solver.notes();
                (Some(solver), notes)
            }
        };
        let work = Steps {
            single: single.map(Box::new),
            wrap: Wrap::new(0),
            bad,
            reference: [vec![], vec![]],
        };
        Ok(Wrapped {
            variant: params.variant,
            a: a.clone(),
            host: Arc::clone(system.host()),
            smoother: None,
            transfer: None,
            solver,
            lattice,
            properties: Properties::SPD,
            notes,
            work: Mutex::new(work),
        })
    }

    /// About A⁻¹ times each of the [`loads`]: some steps of smoothing, and A0⁻¹. Collective.
    fn estimate(&self, m: &mut Wrapped) -> Result<Vec<Vec<f32>>> {
        let work = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(single) = &mut work.single {
            let walls = Walls::of(&self.operator);
            let axes = 0..m.lattice.dimension;
            let mut estimate =
                |axis| single.estimate(&m.a, work.bad.as_mut(), &*m.host, (axis, &walls));
            return axes.map(&mut estimate).collect();
        }
        m.smoother = self.smoother(ESTIMATE, &m.a)?;
        let (n, smoother) = (m.a.n_own(), &m.smoother);
        let (mut z, mut c, mut rest) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let solver = m.solver.as_deref().unwrap_or(&Identity);
        let mut estimate = |load: &Vec<f64>| {
            match smoother {
                Some(smoother) => smoother.before(&m.a, load, &mut z, &mut rest)?,
                None => rest.copy_from_slice(load),
            }
            match &mut work.bad {
                Some(bad) => bad.around(&m.a, &rest, &mut c, |r, c| solver.apply(r, c))?,
                None => solver.apply(&rest, &mut c)?,
            }
            Ok(z.iter().zip(&c).map(|(z, c)| (z + c) as f32).collect())
        };
        loads(&m.a, &self.operator)?.iter().map(&mut estimate).collect()
    }

    /// Gives M₂ the form, and the P, that the parameters ask for, and says what it is. Collective.
    fn form(&self, m: &mut Wrapped, shifts: Option<Shifts>) -> Result<()> {
        let Made { params, operator, diagonal } = self;
        let (variant, c) = (params.variant, params.interpolation);
        let degree = params.degree.unwrap_or(variant.degree(shifts.is_some()));
        let post_only = variant == Variant::PostOnly;
        let work = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(single) = work.single.take() {
            work.single = Some(Box::new(single.formed(variant, degree, shifts.as_ref())));
            m.properties = if post_only { Properties::GENERAL } else { Properties::SPD };
            return Ok(());
        }
        // What positions were estimated with does, but for other steps.
        let other_steps = params.smoother == Kind::Chebyshev && degree != ESTIMATE;
        if m.smoother.is_none() || other_steps {
            m.smoother = self.smoother(degree, &m.a)?;
        }
        m.transfer = match shifts {
            Some(shifts) => Some(Transfer::shifted(&m.a, m.lattice, &shifts)?),
            None if c == 0.0 => None,
            None => Some(Transfer::first_order(&m.a, operator, c, diagonal)?),
        };
        let n = if m.transfer.is_some() || post_only { m.a.n_own() } else { 0 };
        work.reference = [vec![0.0; n], vec![0.0; n]];
        let wrapped = !post_only && m.smoother.is_some();
        work.wrap = Wrap::new(if wrapped { m.a.n_own() } else { 0 });
        let crossing = work.bad.as_ref().is_some_and(Bad::crosses_ranks);
        let inner = m.solver.as_deref().unwrap_or(&Identity).properties();
        let rank_independent =
            inner.rank_independent && params.smoother.rank_independent() && !crossing;
        m.properties = Properties { rank_independent, ..inner };
        if post_only {
            let (symmetric, positive_definite) = (false, false);
            m.properties = Properties { symmetric, positive_definite, ..m.properties };
            return Ok(());
        }
        let doubt = match (&m.smoother, &m.transfer) {
            (Some(smoother), _) => smoother.doubt(&m.a)?,
            (None, Some(Transfer { dominant: false, .. })) => {
                Some("positive definiteness is not proved: P is not diagonally dominant".into())
            }
            (None, _) => None,
        };
        m.properties.positive_definite &= doubt.is_none() && !crossing;
        m.notes.extend(doubt);
        if crossing {
            let why =
                "positive definiteness is not proved: bad nodes of different ranks are coupled";
            m.notes.push(why.into());
        }
        Ok(())
    }
}

impl Wrapped {
    fn tell_of_bad_nodes(&mut self) {
        let work = self.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.notes.extend(work.bad.iter().flat_map(|bad| bad.notes().to_vec()));
    }

    /// What solves with A0; nothing does in an M whose refresh failed, which is not applied again.
    fn solver(&self) -> &dyn Preconditioner {
        self.solver.as_deref().unwrap_or(&Identity)
    }

    /// `y = M r`, before smoothing.
    fn reference_solve(&self, work: &mut [Vec<f64>; 2], r: &[f64], y: &mut [f64]) -> Result<()> {
        let Some(Transfer { p, transposed, .. }) = &self.transfer else {
            return self.solver().apply(r, y);
        };
        let [u, v] = work;
        transposed.spmv(r, u)?;
        let solved = self.solver().apply(u, v);
        if solved.is_err() {
            v.fill(f64::NAN);
        }
        p.spmv(v, y)?;
        solved
    }

    /// `z = M r`, exact at bad nodes, and smoothed then.
    fn smooth_after(
        &self,
        bad: Option<&mut Bad>,
        work: &mut [Vec<f64>; 2],
        r: &[f64],
        z: &mut [f64],
    ) -> Result<()> {
        let solved = self.reference_solve(work, r, z);
        if solved.is_err() {
            z.fill(f64::NAN);
        }
        if let Some(bad) = bad {
            bad.after(&self.a, r, z)?;
        }
        if let Some(smoother) = &self.smoother {
            let [rest, step] = work;
            smoother.after(&self.a, r, z, [rest, step])?;
        }
        solved
    }
}

impl Preconditioner for Wrapped {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Steps { single, wrap, bad, reference } = &mut *work;
        if let Some(single) = single {
            return single.apply(&self.a, bad.as_mut(), &*self.host, r, z);
        }
        if self.variant == Variant::PostOnly {
            return self.smooth_after(bad.as_mut(), reference, r, z);
        }
        let mut inner = |r: &[f64], y: &mut [f64]| match bad {
            Some(bad) => bad.around(&self.a, r, y, |r, y| self.reference_solve(reference, r, y)),
            None => self.reference_solve(reference, r, y),
        };
        let Some(smoother) = &self.smoother else {
            return inner(r, z);
        };
        let before =
            |r: &[f64], y: &mut [f64], rest: &mut [f64]| smoother.before(&self.a, r, y, rest);
        let after =
            |r: &[f64], y: &mut [f64], work: [&mut [f64]; 2]| smoother.after(&self.a, r, y, work);
        wrap.apply(before, inner, after, r, z)
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        let transfer = self.transfer.as_ref().map_or(0, Transfer::stored_entries);
        let smoother = self.smoother.as_ref().map_or(0, Smoother::stored_entries);
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let bad = work.bad.as_ref().map_or(0, Bad::stored_entries);
        let single = work.single.as_ref().map_or(0, |single| single.stored_entries());
        transfer + smoother + bad + single + self.solver().stored_entries()
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors: usize = work.reference.iter().map(Vec::len).sum();
        let transfer = self.transfer.as_ref().map_or(0, Transfer::bytes);
        let smoother = self.smoother.as_ref().map_or(0, Smoother::bytes);
        let bad = work.bad.as_ref().map_or(0, Bad::bytes);
        let single = work.single.as_ref().map_or(0, |single| single.bytes());
        8 * vectors + work.wrap.bytes() + bad + single + transfer + smoother + self.solver().bytes()
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
