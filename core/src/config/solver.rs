//! The `[solver]` section.
use super::node::Node;
use crate::Result;
use crate::solver::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
