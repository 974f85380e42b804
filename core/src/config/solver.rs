//! The `[solver]` section.
use super::backend::{Backend, check_options};
use super::node::Node;
use crate::Result;
use crate::solver::{Algorithm, Criterion, Norm, Stop};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The `[solver]` section: which iteration, and when to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SolverConfig {
    /// Whose iteration runs: Precondor's own, or PETSc's in a program built with the feature
    /// `petsc`.
    pub backend: Backend,
    /// The iteration.
    pub method: SolverKind,
    /// ω of Richardson's iteration; 1 unless given.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub damping: Option<f64>,
    /// Iterations between restarts of GMRES; 30 unless given. Memory is taken as it is needed.
    #[schemars(range(min = 1))]
    pub restart: Option<usize>,
    /// Where GMRES has M: `right` unless given. With `left` it measures the preconditioned norm.
    pub side: Option<Side>,
    /// What is measured to decide when to stop.
    pub stop: StopRule,
    /// The norm of residuals; `unpreconditioned` unless given. `natural` for cg and minres only.
    pub norm: Option<Norm>,
    /// Stop when the measure is at most this.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tolerance: f64,
    /// Stop, too, when the norm of the residual, not relative to b, is at most this.
    #[schemars(range(min = 0.0))]
    pub absolute_tolerance: Option<f64>,
    /// Iterations allowed.
    pub max_iterations: usize,
    /// Give up when the measure exceeds this many times its initial value. Without it, Richardson's
    /// iteration is given up at 1e30 times, and Krylov methods, whose residual may grow on the way,
    /// never.
    #[schemars(extend("exclusiveMinimum" = 1.0))]
    pub divergence: Option<f64>,
    /// What to take for granted where a method does not know it of its M: `spd` lets cg and minres
    /// run with any M. They still break down where they see that it does not hold.
    pub assume: Option<Assume>,
    /// Difference of an entry of A from its mirror image, relative to the largest of its row, that
    /// counts as none, for solvers and preconditioners alike; 1e-10 unless given.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub symmetry_tolerance: Option<f64>,
    /// Whether and how to go on where the preconditioner fails: true, false, or a table. Where it
    /// is left out, methods that name an unlearned form go on, others do not.
    pub fallback: Option<FallbackConfig>,
    /// What to look at before the solve; counted as setup.
    pub check: Option<Check>,
    /// PETSc's name of the iteration, any type of KSP, in place of `method`; backend `petsc` only.
    pub ksp: Option<String>,
    /// Options of this solve for PETSc, without their dash: `{ ksp_gmres_restart = 50 }`; backend
    /// `petsc` only.
    pub options: Option<Map<String, Value>>,
}

/// How a solve goes on where its preconditioner fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FallbackConfig {
    /// As the method says (true), or not at all (false).
    Switch(bool),
    /// As said here.
    Plan(FallbackPlan),
}

/// The table `fallback`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackPlan {
    /// What takes the place of the preconditioner; the method's unlearned form unless given.
    #[schemars(extend("x-precondor-method" = true))]
    pub preconditioner: Option<Value>,
    /// Factor that the measure has to fall by, an iteration; what the method promises, else 0.9,
    /// unless given.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub contraction: Option<f64>,
}

/// Where GMRES has its preconditioner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// M A x = M b.
    Left,
    /// A M y = b, x = M y.
    #[default]
    Right,
}

/// What is taken for granted of a preconditioner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Assume {
    /// It is symmetric and positive definite.
    Spd,
}

/// Names of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The ends of the spectrum of MA by a few Lanczos steps: A and M symmetric.
    Lanczos,
}

impl Default for SolverConfig {
    fn default() -> Self {
        SolverConfig {
            backend: Backend::Precondor,
            method: SolverKind::Gmres,
            damping: None,
            restart: None,
            side: None,
            stop: StopRule::RelativeResidual,
            norm: None,
            tolerance: 1e-5,
            absolute_tolerance: None,
            max_iterations: 10_000,
            divergence: None,
            assume: None,
            symmetry_tolerance: None,
            fallback: None,
            check: None,
            ksp: None,
            options: None,
        }
    }
}

/// Names of the iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SolverKind {
    /// Stationary: x ← x + ω M (b − A x).
    Richardson,
    /// Conjugate gradients, for symmetric positive definite systems.
    Cg,
    /// Conjugate gradients for preconditioners that change from application to application.
    FlexibleCg,
    /// Minimal residuals, for symmetric systems, definite or not.
    Minres,
    /// Restarted GMRES.
    Gmres,
    /// GMRES for preconditioners that change from application to application.
    FlexibleGmres,
    /// Stabilised bi-conjugate gradients.
    Bicgstab,
}

/// Names of the stopping rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopRule {
    /// ‖b − Ax‖ / ‖b‖, in the norm that `norm` says.
    RelativeResidual,
    /// ‖x − x*‖₂ with x* solved for beforehand.
    AbsoluteError,
}

impl SolverKind {
    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            SolverKind::Richardson => "richardson",
            SolverKind::Cg => "cg",
            SolverKind::FlexibleCg => "flexible-cg",
            SolverKind::Minres => "minres",
            SolverKind::Gmres => "gmres",
            SolverKind::FlexibleGmres => "flexible-gmres",
            SolverKind::Bicgstab => "bicgstab",
        }
    }

    fn takes(self, key: &str) -> bool {
        match key {
            "damping" => self == SolverKind::Richardson,
            _ => matches!(self, SolverKind::Gmres | SolverKind::FlexibleGmres),
        }
    }
}

/// Keys that only some iterations have.
const OWN_KEYS: [&str; 3] = ["damping", "restart", "side"];
/// Keys that only the backend `petsc` has, and those that only Precondor's own iterations have.
const PETSC_KEYS: [&str; 2] = ["ksp", "options"];
const NATIVE_KEYS: [&str; 3] = ["fallback", "check", "assume"];

impl SolverConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) that shows the place: unknown keys, wrong
    /// types, values out of range, keys that the chosen method does not have.
    pub fn from_node(node: &Node) -> Result<Self> {
        let config: SolverConfig = node.read()?;
        config.check_backend(node)?;
        config.check_norm(node)?;
        for key in OWN_KEYS.into_iter().filter(|key| !config.method.takes(key)) {
            if let Some(found) = node.get(key) {
                let name = config.method.name();
                if let Some(flag) = node.get("method").filter(|m| m.by_flag() && !found.by_flag()) {
                    let at = found.whereabouts();
                    return Err(flag.error(format!(
                        "{name} has no parameter '{key}', which {at} gives; take it out there"
                    )));
                }
                return Err(found.key_error(format!("'{key}': {name} has no such parameter")));
            }
        }
        Ok(config)
    }

    /// Refuses norms that the method does not have, and those of residuals where the error is measured.
    fn check_norm(&self, node: &Node) -> Result<()> {
        if self.method == SolverKind::FlexibleGmres
            && self.side == Some(Side::Left)
            && let Some(side) = node.get("side")
        {
            return Err(side.error("flexible-gmres has M on the right only; gmres has both sides"));
        }
        if self.stop == StopRule::AbsoluteError {
            let residual = ["norm", "absolute_tolerance"].into_iter();
            let given = residual.filter_map(|key| node.get(key).map(|found| (key, found))).next();
            return given.map_or(Ok(()), |(key, found)| {
                let why = "stop = \"absolute-error\" measures the error, not a residual";
                Err(found.key_error(format!("'{key}': {why}")))
            });
        }
        let refused = match self.ksp {
            Some(_) => None,
            None => self.algorithm().refuses(self.norm.unwrap_or_default()),
        };
        let at = || node.get("norm").or_else(|| node.get("side")).unwrap_or(node);
        refused.map_or(Ok(()), |why| Err(at().error(why)))
    }

    /// Refuses keys that belong to another backend.
    fn check_backend(&self, node: &Node) -> Result<()> {
        let given = |keys: &[&'static str]| {
            keys.iter().copied().find_map(|key| node.get(key).map(|found| (key, found)))
        };
        if self.backend == Backend::Precondor {
            if let Some((key, found)) = given(&PETSC_KEYS) {
                return Err(found.key_error(format!("'{key}': only with backend = \"petsc\"")));
            }
            return Ok(());
        }
        if let Some((key, found)) = given(&NATIVE_KEYS) {
            let text = format!("'{key}': only Precondor's own iterations have it, not PETSc's");
            return Err(found.key_error(text));
        }
        if self.stop == StopRule::AbsoluteError {
            let at = node.get("stop").unwrap_or(node);
            return Err(at.error("PETSc's iterations measure the residual; they know no x*"));
        }
        if let Some(options) = node.get("options") {
            check_options(options)?;
        }
        let doubled = ["method"].iter().chain(&OWN_KEYS).find_map(|key| node.get(key));
        match doubled.filter(|_| self.ksp.is_some()) {
            Some(found) => Err(found.key_error(
                "'ksp' is given: it takes the place of 'method' and \
                its parameters, which are PETSc's 'options'",
            )),
            None => Ok(()),
        }
    }

    /// Reads `own` on top of a section `shared` by several runs. Keys of `shared` that the method
    /// of `own` does not have are left out.
    ///
    /// # Errors
    /// As [`from_node`](SolverConfig::from_node).
    pub fn from_nodes(own: &Node, shared: &Node) -> Result<Self> {
        let mut merged = super::over(own, shared);
        let petsc = match merged.get("backend") {
            Some(node) => node.json() == "petsc",
            None => false,
        };
        for &key in if petsc { &NATIVE_KEYS[..] } else { &PETSC_KEYS } {
            if own.get(key).is_none() {
                merged.take(key);
            }
        }
        let another = |given, dropped: &[&str], merged: &mut Node| {
            for key in
                dropped.iter().filter(|key| own.get(given).is_some() && own.get(key).is_none())
            {
                merged.take(key);
            }
        };
        another("ksp", &["method", "damping", "restart", "side"], &mut merged);
        another("method", &["ksp"], &mut merged);
        let kind: SolverKind = match merged.get("method") {
            Some(_) => merged.read::<SolverConfig>()?.method,
            None => SolverConfig::default().method,
        };
        for key in OWN_KEYS {
            if own.get(key).is_none() && !kind.takes(key) {
                merged.take(key);
            }
        }
        SolverConfig::from_node(&merged)
    }

    /// The name of the iteration.
    pub fn name(&self) -> &str {
        self.ksp.as_deref().unwrap_or(self.method.name())
    }

    /// The iteration and its parameters in words.
    pub fn title(&self) -> String {
        if self.backend == Backend::Petsc {
            let words = [Some(self.own_title()), self.options.as_ref().map(options_in_words)];
            let words: Vec<String> = words.into_iter().flatten().collect();
            return format!("PETSc's {}", words.join(", "));
        }
        self.own_title()
    }

    fn own_title(&self) -> String {
        let name = self.name();
        if self.ksp.is_some() {
            return name.to_owned();
        }
        match self.algorithm() {
            Algorithm::Richardson { damping } => format!("{name} (damping {damping})"),
            Algorithm::Gmres { restart } | Algorithm::FlexibleGmres { restart } => {
                format!("{name} (restart {restart})")
            }
            Algorithm::LeftGmres { restart } => format!("{name} (restart {restart}, on the left)"),
            Algorithm::Cg | Algorithm::FlexibleCg | Algorithm::Minres | Algorithm::Bicgstab => {
                name.to_owned()
            }
        }
    }

    /// The limit of divergence: the one given, else one that stops nothing which would converge.
    pub fn divergence(&self) -> f64 {
        self.divergence.unwrap_or_else(|| self.algorithm().divergence())
    }

    /// The stopping rule; `exact` is x*, for the rule that needs it.
    pub fn stop<'x>(&self, exact: Option<&'x [f64]>) -> Stop<'x> {
        let (norm, absolute) = (self.norm.unwrap_or_default(), self.absolute_tolerance);
        let residual = Criterion::Residual { norm, absolute: absolute.unwrap_or(0.0) };
        Stop {
            criterion: exact.map_or(residual, Criterion::AbsoluteError),
            tolerance: self.tolerance,
            max_iterations: self.max_iterations,
            divergence: self.divergence(),
        }
    }

    /// What is measured, in words.
    pub fn measure(&self) -> &'static str {
        match (self.stop, self.norm.unwrap_or_default()) {
            (StopRule::AbsoluteError, _) => "error",
            (StopRule::RelativeResidual, Norm::Unpreconditioned) => "relative residual",
            (StopRule::RelativeResidual, Norm::Preconditioned) => {
                "preconditioned relative residual"
            }
            (StopRule::RelativeResidual, Norm::Natural) => "natural relative residual",
        }
    }

    /// The iteration with its parameters.
    pub fn algorithm(&self) -> Algorithm {
        let restart = self.restart.unwrap_or(30);
        match self.method {
            SolverKind::Richardson => {
                Algorithm::Richardson { damping: self.damping.unwrap_or(1.0) }
            }
            SolverKind::Cg => Algorithm::Cg,
            SolverKind::FlexibleCg => Algorithm::FlexibleCg,
            SolverKind::Minres => Algorithm::Minres,
            SolverKind::Gmres if self.side == Some(Side::Left) => Algorithm::LeftGmres { restart },
            SolverKind::Gmres => Algorithm::Gmres { restart },
            SolverKind::FlexibleGmres => Algorithm::FlexibleGmres { restart },
            SolverKind::Bicgstab => Algorithm::Bicgstab,
        }
    }
}

/// `name value` words.
fn options_in_words(options: &Map<String, Value>) -> String {
    let words = options.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
