//! Setting up and solving, as a configuration says.
use super::experiment::Task;
use super::fallback::Plan;
use super::spent::{Clock, Spent, Timed, TimedOperator};
use crate::Methods;
use precondor_core::config::{Assume, Check, MethodConfig, SolverConfig};
use precondor_core::precond::Preconditioner;
use precondor_core::ready::Ready;
use precondor_core::solver::{
    self, AssumedDefinite, Fallback, Foreseen, Outside, Replacement, Report, Watcher,
};
use precondor_core::{Error, Result};

/// Makes what takes the place of a preconditioner that failed.
pub type Make<'a> = dyn FnMut(&MethodConfig) -> Result<Ready> + 'a;

/// Sets up the preconditioner (none: M = I). Collective.
pub fn set_up(methods: &Methods, task: &Task, method: Option<&MethodConfig>) -> Result<Ready> {
    method.map_or_else(
        || Ok(Ready::identity()),
        |config| methods.set_up(&config.name, &config.params, task.preconditioned()),
    )
}

/// Looks at the spectrum of MA where that is asked for; what it says about the solve is acted upon where it is
/// watched. Collective.
pub fn look(
    config: &SolverConfig,
    task: &Task,
    m: &dyn Preconditioner,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Option<Foreseen>> {
    match plan.check {
        None => return Ok(None),
        Some(Check::Lanczos) => {}
    }
    let assumed = AssumedDefinite(m);
    let m: &dyn Preconditioner = if config.assume == Some(Assume::Spd) { &assumed } else { m };
    match solver::foresee(&config.algorithm(), task.system.a(), m, plan.contraction) {
        Ok((said, foreseen)) => {
            notes.push(said);
            Ok(foreseen)
        }
        Err(Error::Unsupported(why)) => {
            notes.push(format!("not checked: {why}"));
            Ok(None)
        }
        Err(other) => Err(other.inside("check")),
    }
}

/// Solves from `x`, as `plan` says where M fails, and says where the time went. `exact` is x*, for the rule that needs it. Collective.
pub fn run(
    (config, plan): (&SolverConfig, &Plan),
    task: &Task,
    (m, foreseen): (&dyn Preconditioner, Option<Foreseen>),
    x: &mut [f64],
    exact: Option<&[f64]>,
    watch: &mut Watcher,
    make: &mut Make,
) -> Result<(Report, Spent)> {
    let (products, applications) = (Clock::default(), Clock::default());
    let a = &TimedOperator { a: task.system.a(), clock: products.clone() };
    let timed = |m| Timed { m, clock: applications.clone(), products: products.clone() };
    let (b, iteration) = (&task.b, config.algorithm());
    let assumed = AssumedDefinite(m);
    let m: &dyn Preconditioner = if config.assume == Some(Assume::Spd) { &assumed } else { m };
    let m = &timed(m);
    let stop = config.stop(exact);
    let solved = if plan.watched {
        let mut chain = plan.chain(m);
        let mut next = |indefinite| {
            let method = chain.next(indefinite)?;
            let made = make(&method).map(Ready::into_m);
            let contraction = chain.made(made.as_deref().ok().map(|m| m as &dyn Preconditioner));
            let chosen = made.as_ref().ok().and_then(|m| m.delegate());
            let name = match chosen {
                Some(chosen) => format!("{chosen}, chosen by {}", method.name),
                None => method.name,
            };
            let timed = |m| Timed { m, clock: applications.clone(), products: products.clone() };
            let made = made.map(|m| Box::new(timed(m)) as Box<dyn Preconditioner>);
            Some(Replacement { name, contraction, made })
        };
        let next = plan.replacement.is_some().then_some(&mut next as &mut solver::Next);
        let mut fallback = Fallback { contraction: plan.contraction, next, foreseen };
        solver::solve_with_fallback(&iteration, a, m, b, x, &stop, watch, &mut fallback)
    } else {
        solver::solve(&iteration, a, m, b, x, &stop, watch)
    };
    let report = solved.map_err(|e| e.inside(config.method.name()))?;
    let counts = [products.count(), applications.count()];
    Ok((report, Spent { products: products.read(), applications: applications.read(), counts }))
}

/// What there is to remark about how a solve went.
pub fn remarks(report: &Report, config: &SolverConfig) -> Vec<String> {
    report.hint(&config.algorithm()).into_iter().chain(report.outside.and_then(outside)).collect()
}

/// What of the right-hand side no x can reach, in words, where it is more than rounding.
pub fn outside(of: Outside) -> Option<String> {
    const ROUNDING: f64 = 1e-14;
    (of.relative > ROUNDING).then(|| {
        format!(
            "the right-hand side is not in the range of A: a part of norm {:.3e}, {:.3e} of the whole, \
             is outside; x is the least-squares solution of smallest norm",
            of.norm, of.relative
        )
    })
}
