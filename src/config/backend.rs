//! Whose iterations run: Precondor's own, or PETSc's.
//!
//! ```toml
//! [solver]
//! backend = "petsc"              # a build with the feature `petsc`
//! method = "cg"                  # or any KSP type: ksp = "tfqmr"
//! options = { ksp_cg_single_reduction = true }
//!
//! [preconditioner]
//! name = "petsc:gamg"            # PETSc's own; one of ours goes as well
//! options = { pc_gamg_threshold = 0.02 }
//! ```
use precondor_core::config::{Backend, MethodConfig, Node, PETSC, SolverConfig, check_options};
use precondor_core::{Error, Result};

/// What to say where PETSc is asked for in a program that was built without it.
pub const WITHOUT: &str = "this program was built without PETSc; build it with the feature: \
                       cargo build --release --features petsc";

/// Whether `name` is one of PETSc's own preconditioners.
pub fn is_petsc(name: &str) -> bool {
    name.starts_with(PETSC)
}

/// Reads a section that names one of PETSc's own preconditioners; none: it names another one.
pub fn petsc_method(node: &Node) -> Result<Option<MethodConfig>> {
    let name = node.get("name").unwrap_or(node);
    let Some(kind) =
        name.json().as_str().and_then(|name| name.strip_prefix(PETSC)).map(str::to_owned)
    else {
        return Ok(None);
    };
    if kind.is_empty() {
        let text =
            "the type of PETSc's preconditioner is missing: petsc:gamg, petsc:hypre, petsc:icc";
        return Err(name.error(text));
    }
    let params = match node.get("options") {
        None => serde_json::json!({}),
        Some(options) => {
            check_options(options)?;
            serde_json::json!({ "options": options.json() })
        }
    };
    if node.get("name").is_some() {
        node.only(&["name", "options"])?;
    }
    Ok(Some(MethodConfig { name: format!("{PETSC}{kind}"), params }))
}

/// Refuses what the backend cannot do, before anything is set up. `section` is `[solver]`.
pub fn check(
    section: Option<&Node>,
    solver: &SolverConfig,
    method: Option<&MethodConfig>,
) -> Result<()> {
    let method = method.filter(|method| is_petsc(&method.name));
    if solver.backend == Backend::Petsc {
        if cfg!(feature = "petsc") {
            return Ok(());
        }
        let at = section.and_then(|section| section.get("backend"));
        return Err(at.map_or_else(|| Error::Unsupported(WITHOUT.into()), |at| at.error(WITHOUT)));
    }
    match method {
        None => Ok(()),
        Some(method) => Err(Error::Parameter(format!(
            "'{}' is PETSc's own: it runs with backend = \"petsc\" in [solver]",
            method.name
        ))),
    }
}
