//! The methods that meet on every set.
use super::sets::Set;
use precondor::Methods;
use precondor_core::config;
use precondor_core::schema::named_method;
use precondor_core::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Methods that stand together.
pub const LOCAL: &str = "classical, without a coarse level";
pub const MULTIGRID: &str = "classical, with a coarse level or a fast solve";
pub const LEARNED: &str = "learned";

/// What learns on a set.
pub const LEARNER: &str = "mlp-fsai";
/// Its label where it learned on the set.
pub const TRAINED: &str = "mlp-fsai, trained on the set";

/// A method as a run of `compare`.
pub struct Method {
    pub label: String,
    pub group: &'static str,
    /// None: M = I.
    pub preconditioner: Option<Value>,
    /// The iteration, where it is not conjugate gradients.
    pub solver: Option<&'static str>,
    /// Whether it needs a regular grid.
    on_grids: bool,
}

impl Method {
    fn new(label: &str, group: &'static str, preconditioner: Value) -> Self {
        let preconditioner = Some(preconditioner);
        Method { label: label.to_owned(), group, preconditioner, solver: None, on_grids: false }
    }

    /// As a run of a comparison.
    pub fn run(&self) -> Value {
        let mut run = json!({ "label": self.label, "group": self.group });
        if let Some(preconditioner) = &self.preconditioner {
            run["preconditioner"] = preconditioner.clone();
        }
        if let Some(solver) = self.solver {
            run["solver"] = json!({ "method": solver });
        }
        run
    }

    fn is_there(&self, methods: &Methods) -> bool {
        self.preconditioner.as_ref().and_then(named_method).is_none_or(|(name, params)| {
            methods.get(&name).is_ok()
                && precondor_host::fault(methods.plugins().registry(), &name, &params)
                    .is_ok_and(|fault| fault.is_none())
        })
    }
}

/// Those that come with the project.
fn own() -> Vec<Method> {
    let local = |label: &str, preconditioner| Method::new(label, LOCAL, preconditioner);
    let none = Method { preconditioner: None, ..local("none", Value::Null) };
    let ilut = json!({ "name": "ilu", "drop_tolerance": 1e-3, "fill_factor": 3.0 });
    vec![
        none,
        local("Jacobi", json!("jacobi")),
        local("SSOR", json!({ "name": "gauss-seidel", "sweep": "symmetric" })),
        local("IC(0)", json!("ic")),
        Method { solver: Some("bicgstab"), ..local("ILUT, BiCGStab", ilut) },
        local("SPAI-1, symmetrized", json!({ "name": "spai", "symmetrize": true })),
        local("FSAI", json!("fsai")),
        local("FSAI, adaptive", json!({ "name": "fsai", "steps": 10 })),
        Method::new("AMG", MULTIGRID, json!("amg")),
        Method { on_grids: true, ..Method::new("reference", MULTIGRID, json!("reference")) },
        Method::new("mlp-fsai", LEARNED, json!(LEARNER)),
        Method { on_grids: true, ..Method::new("mlp-reference", LEARNED, json!("mlp-reference")) },
    ]
}

/// A method of the command line: a name, or a table as in a configuration.
pub fn given(text: &str, methods: &Methods) -> Result<Method> {
    let text = text.trim();
    let value = if text.starts_with('{') { text.to_owned() } else { json!(text).to_string() };
    let root = config::parse("--method", Path::new(""), &format!("preconditioner = {value}"))?;
    let preconditioner = root.json()["preconditioner"].take();
    let (name, _) = named_method(&preconditioner)
        .ok_or_else(|| Error::Parameter(format!("--method: '{text}' has no 'name'")))?;
    let learns = methods.get(&name)?.train_schema().is_some();
    Ok(Method::new(text, if learns { LEARNED } else { LOCAL }, preconditioner))
}

/// The methods for a set, `model` being of [`LEARNER`] and made for it; and the labels of those that are not there.
pub fn all(
    methods: &Methods,
    more: &[String],
    set: &Set,
    model: Option<&str>,
) -> Result<(Vec<Method>, Vec<String>)> {
    let mut all = own();
    let trained = |model| json!({ "name": LEARNER, "model": model });
    all.extend(model.map(|model| Method::new(TRAINED, LEARNED, trained(model))));
    all.retain(|method| set.on_grids || !method.on_grids);
    let (mut there, missing): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|method| method.is_there(methods));
    for text in more {
        let method = given(text, methods)?;
        if !there.iter().any(|other| other.label == method.label) {
            there.push(method);
        }
    }
    Ok((there, missing.into_iter().map(|method| method.label).collect()))
}
