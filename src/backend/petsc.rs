//! Solves by PETSc: the matrix is copied into PETSc's form, the solver is one of its Krylov methods,
//! the preconditioner one of its own or one of ours as a shell.
//!
//! Rules are those of our own solvers: the unpreconditioned residual relative to b decides (PETSc
//! then applies M on the right in GMRES and BiCGStab), the true residual is computed by us in the
//! end. Setup is `KSPSetUp`, with our own method's generation where it is ours; copying A is not in
//! it. Every solve has a prefix of its own in PETSc's options database, so that options of one run
//! do not reach another, and options that no object asked for are an error: they are misspelt.
use super::is_petsc;
use crate::experiment::Task;
use crate::measure::{Measured, measured, set_up};
use crate::session::Session;
use precondor_core::config::{MethodConfig, PETSC, SolverConfig, SolverKind};
use precondor_core::matrix::DistCsr;
use precondor_core::solver::{Method, Outcome, Report, Step, TRUST, project_rhs};
use precondor_core::{Error, Result};
use precondor_petsc::{Ksp, Mat, Norm, Options, Petsc, Reason, Tolerances, Vec as Vector};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Solves so far: each has a prefix of its own.
static SOLVES: AtomicUsize = AtomicUsize::new(0);

pub fn measure(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let petsc = session.petsc()?;
    let options = Given::new(petsc, config, method)?;
    let solved = solve(petsc, &options, session, task, method, config, watch);
    let unused = options.unused();
    let solved = solved?;
    match unused?.as_slice() {
        [] => Ok(solved),
        unused => Err(Error::Parameter(format!(
            "PETSc asked for none of these options: {}; misspelt, or of another type of solver or \
             preconditioner",
            unused.join(", ")
        ))),
    }
}

/// Options of one solve, in the database until this is dropped.
struct Given {
    database: Options,
    prefix: String,
    names: Vec<String>,
}

impl Given {
    fn new(petsc: &Petsc, config: &SolverConfig, method: Option<&MethodConfig>) -> Result<Given> {
        let prefix = format!("precondor_{}_", SOLVES.fetch_add(1, Ordering::Relaxed));
        let mut given = Given { database: petsc.options().prefix(&prefix), prefix, names: vec![] };
        let of_method = method.and_then(|method| method.params["options"].as_object());
        let of_method = of_method.filter(|_| method.is_some_and(|m| is_petsc(&m.name)));
        for options in [config.options.as_ref(), of_method].into_iter().flatten() {
            given.insert(options)?;
        }
        Ok(given)
    }

    fn insert(&mut self, options: &Map<String, Value>) -> Result<()> {
        for (name, value) in options {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.database.set(name, Some(&value)).map_err(Error::from)?;
            self.names.push(name.clone());
        }
        Ok(())
    }

    /// Those that no object of PETSc asked for.
    fn unused(&self) -> Result<Vec<String>> {
        let mut unused = self.database.unused()?;
        unused.retain(|name| self.names.contains(name));
        Ok(unused)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for name in &self.names {
            // Nothing asks for this prefix again.
            let _ = self.database.clear(name);
        }
    }
}

fn solve(
    petsc: &Petsc,
    options: &Given,
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let (a, space) = (task.system.a(), task.system.a().space());
    let mat = matrix(petsc, a)?;
    let other = task.other.as_ref().map(|other| matrix(petsc, other.a())).transpose()?;
    let mut b = task.b.clone();
    let outside = match a.null_spaces() {
        None => None,
        // PETSc would take out the same, and not say how much.
        Some(null) => Some(project_rhs(null, space, &mut b)?),
    };
    let mut ksp = configured(petsc, options, [&mat, other.as_ref().unwrap_or(&mat)], config)?;
    if space.norm(&task.x0)? > 0.0 {
        ksp.set_guess_nonzero(true)?;
    }
    let (mut pc, mut notes) = (ksp.pc()?, task.notes());
    notes.insert(0, version(petsc));
    let start = Instant::now();
    let mut size = None;
    match method {
        None => _ = pc.set_type("none")?,
        Some(own) if is_petsc(&own.name) => _ = pc.set_type(&own.name[PETSC.len()..])?,
        Some(ours) => {
            let m = set_up(session, task, Some(ours))?;
            size = Some((m.stored_entries(), m.bytes()));
            notes.extend(m.notes());
            if ksp.type_name()?.as_deref() == Some("cg") && !m.properties().positive_definite {
                notes.push(
                    "cg has no theory for an M that may not be symmetric and positive".into(),
                );
            }
            pc.boxed_shell(&ours.name, m)?;
        }
    }
    let mut setup_seconds = start.elapsed().as_secs_f64();
    // Last, so that options have the last word.
    ksp.set_from_options()?;
    let start = Instant::now();
    ksp.set_up()?;
    setup_seconds += start.elapsed().as_secs_f64();

    let b_norm = space.norm(&b)?;
    let rhs = Vector::from_slice(petsc, mat.ranks(), &b)?;
    let mut x = Vector::from_slice(petsc, mat.ranks(), &task.x0)?;
    let relative = |norm: f64| if b_norm > 0.0 { norm / b_norm } else { norm };
    let mut history = Vec::new();
    let start = Instant::now();
    let reason = ksp.solve_watched(&rhs, &mut x, |iteration, norm| {
        let measure = relative(norm);
        // A restart tells of the same iteration once more.
        history.resize(iteration + 1, measure);
        watch(&Step { iteration, measure });
        Ok(())
    })?;
    let solve_seconds = start.elapsed().as_secs_f64();
    let mut x = x.to_vec()?;
    let mut r = vec![0.0; x.len()];
    // Where M stands on the right PETSc leaves what lies in the null space in x.
    let right = a.null_spaces().and_then(|null| null.right.as_ref());
    right.map_or(Ok(0.0), |null| null.remove(&mut x))?;
    a.spmv(&x, &mut r)?;
    r.iter_mut().zip(&b).for_each(|(r, b)| *r = b - *r);
    let left = a.null_spaces().and_then(|null| null.left.as_ref());
    left.map_or(Ok(0.0), |null| null.remove(&mut r))?;
    let true_relative_residual = relative(space.norm(&r)?);
    if history.is_empty() {
        history.push(true_relative_residual);
    }
    let report = Report {
        outcome: outcome(&reason, true_relative_residual, config.tolerance),
        iterations: ksp.iterations()?,
        history,
        true_relative_residual,
        switches: Vec::new(),
        outside,
    };
    notes.extend(outside.and_then(crate::measure::outside));
    measured(session, report, x, [setup_seconds, solve_seconds], size, notes)
}

/// A copy of a matrix, singular as it is.
fn matrix(petsc: &Petsc, a: &DistCsr) -> Result<Mat> {
    let mut mat = Mat::from_dist(petsc, a)?;
    if let Some(null) = a.null_spaces() {
        mat.set_null_spaces(null)?;
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
        SolverKind::Minres => "minres",
        SolverKind::Gmres => "gmres",
        SolverKind::FlexibleGmres => "fgmres",
        SolverKind::Bicgstab => "bcgs",
    });
    ksp.set_prefix(&options.prefix)?.set_operators(mat, other)?.set_type(kind)?;
    ksp.set_tolerances(&Tolerances {
        relative: config.tolerance,
        absolute: 0.0,
        divergence: config.divergence,
        iterations: config.max_iterations,
    })?;
    // One application of the preconditioner, without any norm.
    if kind != "preonly" {
        ksp.set_norm(Norm::Unpreconditioned)?;
    }
    match config.method() {
        _ if config.ksp.is_some() => {}
        Method::Richardson { damping } => _ = ksp.set_damping(damping)?,
        Method::Gmres { restart } | Method::FlexibleGmres { restart } => {
            ksp.set_restart(restart)?;
        }
        Method::Cg | Method::Minres | Method::Bicgstab => {}
    }
    Ok(ksp)
}

/// PETSc's reason in our terms; what it calls converged has to hold for the true residual.
fn outcome(reason: &Reason, residual: f64, tolerance: f64) -> Outcome {
    const ITERATIONS: i32 = 4;
    const LIMIT: i32 = -3;
    const GREW: i32 = -4;
    const NOT_FINITE: i32 = -9;
    match reason.code {
        ITERATIONS if residual > TRUST * tolerance => Outcome::IterationLimit,
        1.. if residual <= TRUST * tolerance => Outcome::Converged,
        1.. => Outcome::Breakdown(format!(
            "PETSc says {reason}, but the true residual is {residual:.1e}"
        )),
        LIMIT => Outcome::IterationLimit,
        GREW | NOT_FINITE => Outcome::Diverged,
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
        let of = |code, residual| {
            outcome(&Reason { code, name: format!("REASON {code}") }, residual, 1e-6)
        };
        assert_eq!(of(2, 9e-7), Outcome::Converged);
        assert_eq!(of(4, 9e-7), Outcome::Converged);
        assert_eq!(of(4, 1e-3), Outcome::IterationLimit);
        assert_eq!(of(-3, 1e-3), Outcome::IterationLimit);
        assert_eq!(of(-4, 1e3), Outcome::Diverged);
        assert_eq!(of(-9, f64::NAN), Outcome::Diverged);
        let told = |outcome| match outcome {
            Outcome::Breakdown(why) => why,
            other => panic!("{other:?}"),
        };
        let text = told(of(2, 1e-3));
        assert_eq!(text, "PETSc says REASON 2, but the true residual is 1.0e-3");
        assert_eq!(told(of(-8, 1e-3)), "PETSc says REASON -8");
    }
}
