//! What the options of a PC say.
use precondor_core::config::MethodConfig;
use precondor_core::reuse::Reuse;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What the options of a PC say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    /// The method and its parameters, checked.
    pub(super) method: MethodConfig,
    /// Where file names in parameters start.
    pub(super) base: PathBuf,
    /// When M is made anew as matrices change, and the iterations that a setup counts for where that is said.
    pub(super) reuse: (Reuse, Option<f64>),
    /// Whether M is to be applied as a matrix of PETSc.
    pub(super) explicit: bool,
    /// Whether that matrix is to be shown.
    pub(super) explicit_view: bool,
}

impl Settings {
    /// The settings of a method whose options were not read: its defaults.
    pub(super) fn of(method: &str) -> Self {
        let method = MethodConfig { name: method.into(), params: Value::Object(Map::new()) };
        let reuse = (Reuse::default(), None);
        Settings { method, base: ".".into(), reuse, explicit: false, explicit_view: false }
    }
}
