//! Where a solve goes on when its preconditioner fails: what `[solver]` and the method say about it.
//!
//! `fallback = false` is never watched. Left out, a solve is watched where the method's schema names
//! an unlearned form (`x-precondor-fallback`); `true` watches any method; a table says more:
//!
//! ```toml
//! [solver]
//! fallback = { preconditioner = "ic", contraction = 0.7 }
//! check = "lanczos"     # a look at the spectrum of MA before the solve, counted as setup
//! ```
use crate::backend;
use crate::session::Session;
use precondor_core::Result;
use precondor_core::config::{
    Backend, Check, FallbackConfig, FallbackPlan, MethodConfig, Node, SolverConfig,
};
use precondor_core::schema::{CONTRACTION, FALLBACK, named_method};
use serde_json::Value;

/// What a solve is asked to put up with, and what takes over where it does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whether the solve is watched at all.
    pub watched: bool,
    /// Factor that the measure has to fall by, an iteration.
    pub contraction: f64,
    /// What takes the place of the preconditioner.
    pub replacement: Option<MethodConfig>,
    /// What to look at before the solve.
    pub check: Option<Check>,
}

/// Contraction that is asked for where neither the method nor the configuration names one.
const CONTRACTION_ASKED: f64 = 0.9;

/// The plan for `method` under `solver`, read from the node `section`, where there is one.
///
/// # Errors
/// [`precondor_core::Error::Parameter`] that shows the place: a replacement that is not there, or
/// with parameters that it does not have.
pub fn plan(
    session: &Session,
    section: Option<&Node>,
    solver: &SolverConfig,
    method: Option<&MethodConfig>,
) -> Result<Plan> {
    backend::check(section, solver, method)?;
    if solver.backend == Backend::Petsc {
        return Ok(Plan { watched: false, contraction: 1.0, replacement: None, check: None });
    }
    let schema = method.map(|method| session.generator(&method.name)).transpose()?;
    let schema = schema.map_or(Value::Null, |generator| generator.schema());
    let declared = named_method(&schema[FALLBACK])
        .map(|(name, params)| MethodConfig { name, params })
        .filter(|_| method.is_some());
    let promised = schema[CONTRACTION].as_f64();
    let given = section.and_then(|s| s.get("fallback")).and_then(|f| f.get("preconditioner"));
    let given = given.map(|node| session.method(node)).transpose()?;
    let (watched, contraction) = match &solver.fallback {
        // Without a promise a method that names a replacement is watched for failures alone.
        None => (declared.is_some(), promised.unwrap_or(1.0)),
        Some(FallbackConfig::Switch(on)) => (*on, promised.unwrap_or(CONTRACTION_ASKED)),
        Some(FallbackConfig::Plan(FallbackPlan { contraction, .. })) => {
            (true, contraction.or(promised).unwrap_or(CONTRACTION_ASKED))
        }
    };
    let replacement = given.or(declared).filter(|_| watched);
    Ok(Plan { watched, contraction, replacement, check: solver.check })
}
