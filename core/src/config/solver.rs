//! The `[solver]` section.
use super::node::Node;
use crate::Result;
use crate::solver::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `[solver]` section: which iteration, and when to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SolverConfig {
    /// The iteration.
    pub method: SolverKind,
    /// ω of Richardson's iteration; 1 unless given.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub damping: Option<f64>,
    /// Iterations between restarts of GMRES; 30 unless given.
    #[schemars(range(min = 1))]
    pub restart: Option<usize>,
    /// What is measured to decide when to stop.
    pub stop: StopRule,
    /// Stop when the measure is at most this.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tolerance: f64,
    /// Iterations allowed.
    pub max_iterations: usize,
    /// Give up when the measure exceeds this many times its initial value.
    #[schemars(extend("exclusiveMinimum" = 1.0))]
    pub divergence: f64,
    /// Whether and how to go on where the preconditioner fails: true, false, or a table. Where it
    /// is left out, methods that name an unlearned form go on, others do not.
    pub fallback: Option<FallbackConfig>,
    /// What to look at before the solve; counted as setup.
    pub check: Option<Check>,
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
            method: SolverKind::Gmres,
            damping: None,
            restart: None,
            stop: StopRule::RelativeResidual,
            tolerance: 1e-5,
            max_iterations: 10_000,
            divergence: 1e5,
            fallback: None,
            check: None,
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
    /// Restarted GMRES, right-preconditioned.
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
    /// ‖b − Ax‖₂ / ‖b‖₂, unpreconditioned.
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
const OWN_KEYS: [&str; 2] = ["damping", "restart"];

impl SolverConfig {
    /// Reads the section.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) that shows the place: unknown keys, wrong
    /// types, values out of range, keys that the chosen method does not have.
    pub fn from_node(node: &Node) -> Result<Self> {
        let config: SolverConfig = node.read()?;
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

    /// Reads `own` on top of a section `shared` by several runs. Keys of `shared` that the method
    /// of `own` does not have are left out.
    ///
    /// # Errors
    /// As [`from_node`](SolverConfig::from_node).
    pub fn from_nodes(own: &Node, shared: &Node) -> Result<Self> {
        let mut merged = super::over(own, shared);
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

    /// The iteration and its parameters in words.
    pub fn title(&self) -> String {
        let name = self.method.name();
        match self.method() {
            Method::Richardson { damping } => format!("{name} (damping {damping})"),
            Method::Gmres { restart } | Method::FlexibleGmres { restart } => {
                format!("{name} (restart {restart})")
            }
            Method::Cg | Method::Bicgstab => name.to_owned(),
        }
    }

    /// The iteration with its parameters.
    pub fn method(&self) -> Method {
        let restart = self.restart.unwrap_or(30);
        match self.method {
            SolverKind::Richardson => Method::Richardson { damping: self.damping.unwrap_or(1.0) },
            SolverKind::Cg => Method::Cg,
            SolverKind::Gmres => Method::Gmres { restart },
            SolverKind::FlexibleGmres => Method::FlexibleGmres { restart },
            SolverKind::Bicgstab => Method::Bicgstab,
        }
    }
}
