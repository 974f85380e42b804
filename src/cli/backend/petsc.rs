//! Solves by PETSc: the matrix is copied into PETSc's form, the solver is one of its Krylov methods,
//! the preconditioner one of its own or one of ours as a shell.
//!
//! Rules are those of our own solvers: the unpreconditioned residual relative to b decides (PETSc
//! then applies M on the right in GMRES and BiCGStab), the true residual is computed by us in the
//! end. Setup is `KSPSetUp`, with our own method's generation where it is ours; copying A is not in
//! it. Every solve has a prefix of its own in PETSc's options database, so that options of one run
//! do not reach another, and options that no object asked for are an error: they are misspelt.
use super::lent::Lent;
use super::options::{Given, unused};
use crate::compare::{CHANGED, together};
use crate::experiment::Task;
use crate::measure::{Measured, measured, set_up};
use crate::session::Session;
use crate::{interrupt, limit};
use precondor::config::backend::is_petsc;
use precondor_core::config::{MethodConfig, PETSC, Side, SolverConfig, SolverKind};
use precondor_core::instance::{self, Setup};
use precondor_core::matrix::NullSpace;
use precondor_core::persist::Digest;
use precondor_core::precond::Preconditioner;
use precondor_core::ready::Ready;
use precondor_core::reuse::{Reuse, Solve, UNKNOWN, Wear};
use precondor_core::solver::{
    Algorithm, Norm, Outcome, Report, Residuals, Step, TRUST, project_rhs, residuals,
};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_petsc::{
    Ksp, Mat, Norm as KspNorm, Petsc, Reason, Side as KspSide, Tolerances, Vec as Vector,
};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Solves with PETSc.
pub fn measure(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    once(session, task, (method, None), config, watch)
}

/// Solves with PETSc and an M of ours that is kept from system to system, which is there.
pub fn measure_kept(
    session: &Session,
    task: &Task,
    (method, kept): (Option<&MethodConfig>, &Arc<Mutex<instance::Kept>>),
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    once(session, task, (method, Some(kept)), config, watch)
}

/// Solves with a solver that is made for this system.
fn once(
    session: &Session,
    task: &Task,
    (method, ours): (Option<&MethodConfig>, Option<&Arc<Mutex<instance::Kept>>>),
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let petsc = session.petsc()?;
    let (mats, options) = (Mats::new(petsc, task)?, Given::new(petsc, config, method)?);
    let ksp = configured(petsc, &options, mats.both(), config)?;
    let mut held = Held { ksp, mats, options, of: Default::default() };
    let asked = Asked { petsc, session, task, method, ours, config };
    let solved = solve(&asked, (&mut held, Setup::SetUp), watch);
    let unused = unused(&held.options);
    let solved = solved?;
    unused.map(|()| solved)
}

/// What a solve is made of.
struct Asked<'a> {
    petsc: &'a Petsc,
    session: &'a Session,
    task: &'a Task,
    method: Option<&'a MethodConfig>,
    /// M, where it is one of ours that is there.
    ours: Option<&'a Arc<Mutex<instance::Kept>>>,
    config: &'a SolverConfig,
}

/// A solver that goes on from one system to the next.
pub struct Kept {
    reuse: Reuse,
    /// Iterations that a setup counts for.
    setup_cost: f64,
    wear: Wear,
    held: Option<Held>,
}

/// What is kept of it. The matrices are those that the solver has, so that PETSc sees which of their values are new.
struct Held {
    ksp: Ksp,
    mats: Mats,
    options: Given,
    /// Where rows start, and the patterns of A and of what M is made from.
    of: (Vec<u64>, Vec<String>),
}

impl Kept {
    pub fn new(reuse: Reuse, setup_cost: Option<f64>) -> Self {
        Kept { reuse, setup_cost: setup_cost.unwrap_or(UNKNOWN), wear: Wear::default(), held: None }
    }

    fn solve(
        &mut self,
        asked: &Asked<'_>,
        (held, how): (&mut Held, Setup),
        watch: &mut dyn FnMut(&Step),
    ) -> Result<Measured> {
        let solved = solve(asked, (held, how), watch)?;
        if how == Setup::SetUp {
            unused(&held.options)?;
        }
        if how != Setup::Kept {
            self.wear.renewed(self.setup_cost);
        }
        self.wear.solved(Solve::from(&solved.report));
        Ok(solved)
    }
}

/// A, and what the preconditioner is made from where that is another matrix.
struct Mats {
    a: Mat,
    other: Option<Mat>,
}

impl Mats {
    fn new(petsc: &Petsc, task: &Task) -> Result<Mats> {
        let other = task.other.as_ref().map(|other| matrix(petsc, other)).transpose()?;
        Ok(Mats { a: matrix(petsc, &task.system)?, other })
    }

    fn update(&mut self, task: &Task) -> Result<()> {
        self.a.set_values_of(task.system.a())?;
        if let (Some(mat), Some(other)) = (&mut self.other, &task.other) {
            mat.set_values_of(other.a())?;
        }
        Ok(())
    }

    fn both(&self) -> [&Mat; 2] {
        [&self.a, self.other.as_ref().unwrap_or(&self.a)]
    }
}

/// Solves with PETSc, with the solver of the systems before where their pattern is that of this one: PETSc makes its
/// preconditioner anew for the new values, or leaves it as it is. Collective.
pub fn follow(
    kept: &mut Kept,
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<(Measured, Setup)> {
    let petsc = session.petsc()?;
    let mut of = (task.system.a().space().starts().to_vec(), Vec::new());
    for a in std::iter::once(&task.system).chain(&task.other) {
        of.1.push(Digest::of(a.a())?.pattern);
    }
    let new = |of| {
        let (mats, options) = (Mats::new(petsc, task)?, Given::new(petsc, config, method)?);
        let ksp = configured(petsc, &options, mats.both(), config)?;
        Ok::<_, Error>(Held { ksp, mats, options, of })
    };
    let before = kept.held.take();
    let changed = before.as_ref().is_some_and(|held| held.of != of);
    let (mut held, how) = match before.filter(|_| !changed) {
        None => (new(of.clone())?, Setup::SetUp),
        Some(mut held) => {
            held.mats.update(task)?;
            (held, if kept.wear.is_over(kept.reuse) { Setup::Refreshed } else { Setup::Kept })
        }
    };
    let asked = Asked { petsc, session, task, method, ours: None, config };
    let mut solved = kept.solve(&asked, (&mut held, how), watch)?;
    let stopped = session.comm().any(interrupt::asked() || limit::cut())?;
    let failed = solved.report.outcome != Outcome::Converged && !stopped;
    // What PETSc keeps for new values may be what fails, as bounds of spectra.
    let how = match failed && how != Setup::SetUp {
        false => how,
        true => {
            held = new(of)?;
            let second = kept.solve(&asked, (&mut held, Setup::SetUp), watch)?;
            solved = together(solved, second);
            Setup::SetUp
        }
    };
    solved.notes.extend(changed.then(|| CHANGED.to_owned()));
    kept.held = Some(held);
    Ok((solved, how))
}

/// Solves with what is `held`, whose preconditioner PETSc makes, makes for new values or leaves as it is.
fn solve(
    asked: &Asked<'_>,
    (held, how): (&mut Held, Setup),
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let &Asked { petsc, session, task, ours, config, .. } = asked;
    let (a, space) = (task.system.a(), task.system.a().space());
    let Held { ksp, mats, .. } = held;
    let mat = &mats.a;
    let mut b = task.b.clone();
    let outside = match a.null_spaces() {
        None => None,
        // PETSc would take out the same, and not say how much.
        Some(null) => Some(project_rhs(null, space, &mut b)?),
    };
    ksp.set_guess_nonzero(space.norm(&task.x0)? > 0.0)?;
    let mut notes = task.notes();
    notes.insert(0, version(petsc));
    let start = Instant::now();
    let (mut size, first) = (None, how == Setup::SetUp);
    if first {
        size = preconditioner(ksp, asked, &mut notes)?;
    }
    let before = ours.map(|ours| Lent(Arc::clone(ours)).with(|ready| ready.taken)).transpose()?;
    let mut setup_seconds = (before.unwrap_or_default() + start.elapsed()).as_secs_f64();
    if first {
        // Last, so that options have the last word.
        ksp.set_from_options()?;
    } else {
        // The values are new.
        let [mat, other] = mats.both();
        ksp.set_operators(mat, other)?.set_reuse_pc(how == Setup::Kept)?;
    }
    let start = Instant::now();
    ksp.set_up()?;
    setup_seconds += start.elapsed().as_secs_f64();

    let b_norm = space.norm(&b)?;
    let rhs = Vector::from_slice(petsc, mat.ranks(), &b)?;
    let mut x = Vector::from_slice(petsc, mat.ranks(), &task.x0)?;
    // Like PETSc, relative to the first one where that is not the norm of b itself.
    let plain = config.norm.unwrap_or_default() == Norm::Unpreconditioned;
    let mut reference = if plain { b_norm } else { 0.0 };
    let mut history = Vec::new();
    let start = Instant::now();
    let look = |iteration, norm| {
        if reference == 0.0 {
            reference = norm;
        }
        let measure = if reference > 0.0 { norm / reference } else { norm };
        // A restart tells of the same iteration once more.
        history.resize(iteration + 1, measure);
        watch(&Step { iteration, measure });
        if interrupt::asked() || limit::passed() { Err(Error::Interrupted) } else { Ok(()) }
    };
    let ended = interrupt::gracefully(|| ksp.solve_watched(&rhs, &mut x, look));
    // Whichever rank was asked, all stop; x is as far as it got.
    let stopped = session.comm().any(interrupt::asked() || limit::cut())?;
    let reason = if stopped { ended.ok() } else { Some(ended?) };
    let solve_seconds = start.elapsed().as_secs_f64();
    let mut x = x.to_vec()?;
    // Where M stands on the right PETSc leaves what lies in the null space in x.
    let right = a.null_spaces().and_then(|null| null.right.as_ref());
    right.map_or(Ok(0.0), |null| null.remove(&mut x))?;
    let found = residuals(a, &b, &x)?;
    if history.is_empty() {
        history.push(found.relative);
    }
    let absolute = config.absolute_tolerance.unwrap_or(0.0);
    let absolute = if absolute > 0.0 { absolute / b_norm } else { 0.0 };
    let report = Report {
        outcome: reason.map_or(Outcome::Interrupted, |reason| {
            outcome(&reason, &found, config.tolerance.max(absolute), plain)
        }),
        iterations: ksp.iterations()?,
        history,
        true_relative_residual: found.relative,
        scaled_residual: found.scaled,
        switches: Vec::new(),
        outside,
    };
    notes.extend(outside.and_then(precondor::config::solve::outside));
    measured(session.comm(), report, x, [setup_seconds, solve_seconds], size, notes)
}

/// Tells the solver its preconditioner: the size of one of ours, which is set up.
fn preconditioner(
    ksp: &mut Ksp,
    &Asked { session, task, method, ours: kept, .. }: &Asked<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<(usize, usize)>> {
    let mut pc = ksp.pc()?;
    match method {
        None => _ = pc.set_type("none")?,
        Some(own) if is_petsc(&own.name) => {
            pc.set_type(&own.name[PETSC.len()..])?;
            if let Some(aux) = task.preconditioned().coordinates() {
                // PETSc asks for the places of nodes.
                let nodes = aux.values.chunks_exact(aux.width).step_by(task.system.block_size()?);
                let places: Vec<f64> = nodes.flatten().copied().collect();
                pc.set_coordinates(aux.width, &places)?;
            }
        }
        Some(ours) => {
            let m: Box<dyn Preconditioner> = match kept {
                Some(kept) => {
                    let lent = Lent(Arc::clone(kept));
                    notes.extend(lent.with(Ready::notes)?);
                    Box::new(lent)
                }
                None => {
                    let made = set_up(session, task, Some(ours))?;
                    notes.extend(made.notes());
                    made.into_m()
                }
            };
            let size = (m.stored_entries(), m.bytes());
            if ksp.type_name()?.as_deref() == Some("cg") && !m.properties().positive_definite {
                notes.push(
                    "cg has no theory for an M that may not be symmetric and positive".into(),
                );
            }
            ksp.pc()?.boxed_shell(&ours.name, m)?;
            return Ok(Some(size));
        }
    }
    Ok(None)
}

/// A copy of a matrix, with what is known of it.
fn matrix(petsc: &Petsc, system: &System) -> Result<Mat> {
    let a = system.a();
    let mut mat = Mat::from_dist(petsc, a)?;
    if let Some(null) = a.null_spaces() {
        mat.set_null_spaces(null)?;
    }
    match system.block_size()? {
        1 => {}
        size => _ = mat.set_block_size(size)?,
    }
    if let Some(near) = system.near_null_space() {
        let column = |k| near.values.iter().skip(k).step_by(near.width).copied().collect();
        let vectors = (0..near.width).map(column).collect();
        mat.set_near_null_space(&NullSpace::new(a.space(), vectors, "the near null space")?)?;
    }
    Ok(mat)
}

/// The solver, before its preconditioner is known and options are read.
fn configured(
    petsc: &Petsc,
    options: &Given,
    [mat, other]: [&Mat; 2],
    config: &SolverConfig,
) -> Result<Ksp> {
    let mut ksp = Ksp::new(petsc, mat.ranks())?;
    let kind = config.ksp.as_deref().unwrap_or(match config.method {
        SolverKind::Richardson => "richardson",
        SolverKind::Cg => "cg",
        SolverKind::FlexibleCg => "fcg",
        SolverKind::Minres => "minres",
        SolverKind::Gmres => "gmres",
        SolverKind::FlexibleGmres => "fgmres",
        SolverKind::Bicgstab => "bcgs",
    });
    ksp.set_prefix(&options.prefix)?.set_operators(mat, other)?.set_type(kind)?;
    ksp.set_tolerances(&Tolerances {
        relative: config.tolerance,
        absolute: config.absolute_tolerance.unwrap_or(0.0),
        divergence: config.divergence().min(NO_LIMIT),
        iterations: config.max_iterations,
    })?;
    let norm = config.norm.unwrap_or_default();
    if kind == "minres" && norm == Norm::Unpreconditioned {
        let why = "PETSc's minres does not measure the unpreconditioned residual: norm = \
                   'preconditioned' or 'natural', or backend = 'precondor'";
        return Err(Error::Unsupported(why.into()));
    }
    // One application of the preconditioner, without any norm.
    if kind != "preonly" {
        ksp.set_norm(match norm {
            Norm::Unpreconditioned => KspNorm::Unpreconditioned,
            Norm::Preconditioned => KspNorm::Preconditioned,
            Norm::Natural => KspNorm::Natural,
        })?;
    }
    match config.side {
        Some(Side::Left) => _ = ksp.set_side(KspSide::Left)?,
        Some(Side::Right) => _ = ksp.set_side(KspSide::Right)?,
        None => {}
    }
    match config.algorithm() {
        _ if config.ksp.is_some() => {}
        Algorithm::Richardson { damping } => _ = ksp.set_damping(damping)?,
        Algorithm::Gmres { restart }
        | Algorithm::LeftGmres { restart }
        | Algorithm::FlexibleGmres { restart } => {
            ksp.set_restart(restart)?;
        }
        Algorithm::Cg | Algorithm::FlexibleCg | Algorithm::Minres | Algorithm::Bicgstab => {}
    }
    Ok(ksp)
}

/// A limit of divergence that nothing reaches.
const NO_LIMIT: f64 = 1e300;

/// PETSc's reason in our terms; what it calls converged has to hold for the true residual, where that
/// is what it measured (`plain`), and for all rows.
fn outcome(reason: &Reason, found: &Residuals, tolerance: f64, plain: bool) -> Outcome {
    let residual = found.relative;
    let holds = !plain || residual <= TRUST * tolerance;
    const ITERATIONS: i32 = 4;
    const LIMIT: i32 = -3;
    const GREW: i32 = -4;
    const NOT_FINITE: i32 = -9;
    match reason.code {
        ITERATIONS if !holds => Outcome::IterationLimit,
        1.. if holds && found.apart(tolerance) => Outcome::RowsUnsolved(format!(
            "PETSc says {reason}, and the relative residual is {residual:.1e}; relative to the size of \
             the row, it is {}",
            found.rows
        )),
        1.. if holds => Outcome::Converged,
        1.. => Outcome::Breakdown(format!(
            "PETSc says {reason}, but the true residual is {residual:.1e}"
        )),
        LIMIT => Outcome::IterationLimit,
        GREW => Outcome::Diverged(format!("PETSc says {reason}: the limit is 'divergence'")),
        NOT_FINITE => Outcome::Diverged(format!("PETSc says {reason}")),
        _ => Outcome::Breakdown(format!("PETSc says {reason}")),
    }
}

/// PETSc's name and version, without the place of its file.
fn version(petsc: &Petsc) -> String {
    let full = petsc.version();
    full.split(" (").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_petsc_are_told_in_our_terms() {
        let in_rows = |code, relative, scaled| {
            let found = Residuals { relative, scaled, rows: "1.0e0 in global row 7".into() };
            outcome(&Reason { code, name: format!("REASON {code}") }, &found, 1e-6, true)
        };
        let of = |code, residual| in_rows(code, residual, residual);
        assert_eq!(of(2, 9e-7), Outcome::Converged);
        assert_eq!(of(4, 9e-7), Outcome::Converged);
        assert_eq!(of(4, 1e-3), Outcome::IterationLimit);
        assert_eq!(of(-3, 1e-3), Outcome::IterationLimit);
        assert!(matches!(of(-9, f64::NAN), Outcome::Diverged(_)));
        let told = |outcome: Outcome| outcome.reason().expect("not converged").to_owned();
        assert!(told(of(-4, 1e3)).contains("'divergence'"));
        let rows = in_rows(2, 1e-12, 1.0);
        assert!(matches!(rows, Outcome::RowsUnsolved(_)) && told(rows).ends_with("global row 7"));
        assert_eq!(in_rows(2, 1e-9, 9e-7), Outcome::Converged);
        let text = told(of(2, 1e-3));
        assert_eq!(text, "PETSc says REASON 2, but the true residual is 1.0e-3");
        assert_eq!(told(of(-8, 1e-3)), "PETSc says REASON -8");
    }
}
