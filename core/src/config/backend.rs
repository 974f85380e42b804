//! What a configuration says to PETSc: whose iteration runs, and options that are passed through.
use super::node::{Content, Node};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the names of PETSc's own preconditioners start with: `petsc:gamg`.
pub const PETSC: &str = "petsc:";

/// Whose iteration runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Precondor's own.
    #[default]
    Precondor,
    /// PETSc's: its Krylov methods, and its preconditioners beside Precondor's.
    Petsc,
}

/// Checks a table of options for PETSc's database: names without the dash, plain values.
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) that shows the place.
pub fn check_options(node: &Node) -> Result<()> {
    let Content::Table(options) = node.content() else {
        return Err(
            node.wrong("is not a table of PETSc's options, as { pc_gamg_threshold = 0.02 }")
        );
    };
    for (name, value) in options {
        if name.starts_with('-') {
            let bare = name.trim_start_matches('-');
            return Err(value.key_error(format!("'{name}': without the dash, '{bare}'")));
        }
        if !matches!(value.content(), Content::Scalar(_)) {
            return Err(value.key_error(format!(
                "'{name}': an option has one value: text, a number, true or false"
            )));
        }
    }
    Ok(())
}
