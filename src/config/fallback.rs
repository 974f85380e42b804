//! Where a solve goes on when its preconditioner fails: what `[solver]` and the method say about it.
//!
//! `fallback = false` is never watched. Left out, a solve is watched where the method's schema names
//! an unlearned form (`x-precondor-fallback`), or another form of the same method, which it is not in; `true` watches any method; a table says more:
//!
//! ```toml
//! [solver]
//! fallback = { preconditioner = "ic", contraction = 0.7 }
//! check = "lanczos"     # a look at the spectrum of MA before the solve, counted as setup
//! ```
use super::backend;
use crate::Methods;
use precondor_core::Result;
use precondor_core::config::{
    Backend, Check, FallbackConfig, FallbackPlan, MethodConfig, Node, SolverConfig,
};
use precondor_core::precond::Preconditioner;
use precondor_core::schema::{CONTRACTION, DEFINITE, EXCLUDE, FALLBACK, named_method};
use serde_json::{Value, json};

/// What a solve is asked to put up with, and what takes over where it does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whether the solve is watched at all.
    pub watched: bool,
    /// Factor that the measure has to fall by, an iteration.
    pub contraction: f64,
    /// What takes the place of the preconditioner.
    pub replacement: Option<MethodConfig>,
    /// Where the replacement chooses: its parameter that lists what it must not choose, and the one
    /// that says whether A is positive definite.
    pub told: [Option<String>; 2],
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
    methods: &Methods,
    section: Option<&Node>,
    solver: &SolverConfig,
    method: Option<&MethodConfig>,
) -> Result<Plan> {
    backend::check(section, solver, method)?;
    if solver.backend == Backend::Petsc {
        let (replacement, told, check) = (None, [None, None], None);
        return Ok(Plan { watched: false, contraction: 1.0, replacement, told, check });
    }
    let schema = method.map(|method| methods.get(&method.name)).transpose()?;
    let schema = schema.map_or(Value::Null, |generator| generator.schema());
    let declared = method.and_then(|method| {
        let named = named_method(&schema[FALLBACK])?;
        let itself = is_itself(&schema, method, &named);
        (!itself).then(|| (replacing(method, named), schema[CONTRACTION].as_f64()))
    });
    let (declared, promised) = declared.unzip();
    let promised = promised.flatten();
    let given = section.and_then(|s| s.get("fallback")).and_then(|f| f.get("preconditioner"));
    let given = given.map(|node| methods.method(node)).transpose()?;
    let (watched, contraction) = match &solver.fallback {
        // Without a promise a method that names a replacement is watched for failures alone.
        None => (declared.is_some(), promised.unwrap_or(1.0)),
        Some(FallbackConfig::Switch(on)) => (*on, promised.unwrap_or(CONTRACTION_ASKED)),
        Some(FallbackConfig::Plan(FallbackPlan { contraction, .. })) => {
            (true, contraction.or(promised).unwrap_or(CONTRACTION_ASKED))
        }
    };
    let replacement = given.or(declared).filter(|_| watched);
    let told = match &replacement {
        Some(replacement) => {
            let schema = methods.get(&replacement.name)?.schema();
            [EXCLUDE, DEFINITE].map(|keyword| marked(&schema, keyword))
        }
        None => [None, None],
    };
    Ok(Plan { watched, contraction, replacement, told, check: solver.check })
}

/// Whether a method that declares another form of its own as its replacement is in that form already.
fn is_itself(schema: &Value, method: &MethodConfig, (name, declared): &(String, Value)) -> bool {
    let own = |key: &str| match &method.params[key] {
        Value::Null => &schema["properties"][key]["default"],
        given => given,
    };
    let mut changed = declared.as_object().into_iter().flatten().peekable();
    *name == method.name && changed.peek().is_some() && changed.all(|(key, v)| own(key) == v)
}

/// What a method declares as its replacement; the same method keeps the parameters it was given.
fn replacing(method: &MethodConfig, (name, declared): (String, Value)) -> MethodConfig {
    let mut params = if name == method.name { method.params.clone() } else { json!({}) };
    for (key, value) in declared.as_object().into_iter().flatten() {
        params[key] = value.clone();
    }
    MethodConfig { name, params }
}

/// The parameter that a keyword marks.
fn marked(schema: &Value, keyword: &str) -> Option<String> {
    let mut all = schema["properties"].as_object()?.iter();
    all.find(|(_, parameter)| parameter[keyword] == true).map(|(name, _)| name.clone())
}

impl Plan {
    /// What takes the place of `m`, one after the other.
    pub fn chain(&self, m: &dyn Preconditioner) -> Chain<'_> {
        Chain {
            next: self.replacement.clone(),
            told: self.told.each_ref().map(Option::as_deref),
            failed: m.delegate(),
        }
    }
}

/// What is tried where a preconditioner fails: the replacement, and where that chooses among methods
/// what it chooses when all that failed is excluded.
pub struct Chain<'p> {
    next: Option<MethodConfig>,
    told: [Option<&'p str>; 2],
    /// The method that the last M was of.
    failed: Option<String>,
}

impl Chain<'_> {
    /// What to set up next, for an A that may have been seen not to be positive definite.
    pub fn next(&mut self, indefinite: bool) -> Option<MethodConfig> {
        let mut method = self.next.take()?;
        let [exclude, definite] = self.told;
        if let (Some(key), true) = (definite, indefinite) {
            method.params[key] = false.into();
        }
        if let (Some(key), Some(failed)) = (exclude, self.failed.take()) {
            let excluded = &mut method.params[key];
            match excluded.as_array_mut() {
                Some(list) => list.push(failed.into()),
                None => *excluded = json!([failed]),
            }
        }
        self.next = exclude.map(|_| method.clone());
        Some(method)
    }

    /// It was set up as `m`, or could not be. Says what it has to contract by, where something comes
    /// after it.
    pub fn made(&mut self, m: Option<&dyn Preconditioner>) -> Option<f64> {
        self.failed = m.and_then(|m| m.delegate());
        if self.failed.is_none() {
            self.next = None;
        }
        self.next.as_ref().map(|_| 1.0)
    }
}
