//! Looking at a library in a process of its own: one that crashes while it is loaded is one line.
use crate::child::{Step, answer, ask, tell};
use crate::library::{self, Contents};
use crate::plugins::Problem;
use precondor_abi as abi;
use precondor_core::precond::Capabilities;
use precondor_core::problem::DynFamily;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// First argument of the child process that [`probe`] starts; the program hands its second one to
/// [`probe_child`].
pub const PROBE: &str = "__probe-plugin";

/// How long a library may take to load, and a method to describe itself, in a list.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Whether this program is its own child.
static CHILDREN: AtomicBool = AtomicBool::new(false);

/// Says that this program, called with [`PROBE`] and a path, is [`probe_child`]: libraries that are seen for the first
/// time are looked at so from now on, and one that crashes or hangs disables nothing else. A program that does not
/// say so, and one of several ranks, opens them itself.
pub fn look_in_children() {
    CHILDREN.store(true, Ordering::Relaxed);
}

/// Whether it was said.
pub(crate) fn looks_in_children() -> bool {
    CHILDREN.load(Ordering::Relaxed)
}

/// What a method says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodInfo {
    /// What a user types.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Version of the library.
    pub version: String,
    /// Optional parts: `explicit/1`, `train/1`, …
    pub extensions: Vec<String>,
    /// What M keeps when A changes, each as a formula, with default parameters and as far as methods that
    /// they name do; none where the method declares nothing.
    pub keeps: Option<Vec<String>>,
    /// JSON schema of the parameters.
    pub schema: serde_json::Value,
    /// JSON schema of the parameters of training; none for a method that does not learn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<serde_json::Value>,
}

impl MethodInfo {
    /// What `method` says about itself.
    pub fn of(method: &dyn DynGenerator) -> Self {
        let train = method.train_schema();
        let has = method.capabilities();
        let parts = [
            (has.explicit, abi::EXPLICIT),
            (has.refresh, abi::REFRESH),
            (has.many, abi::APPLY_MANY),
            (has.product, abi::APPLY_AND_MULTIPLY),
            (has.transpose, abi::APPLY_TRANSPOSE),
            (has.persist, abi::PERSIST),
            (has.delegate, abi::DELEGATE),
            (train.is_some(), abi::TRAIN),
        ];
        // What a method is that does not take its own defaults, its check says.
        let keeps = method.invariances(&serde_json::json!({})).ok().flatten();
        let had = |(formula, had): (&str, bool)| had.then(|| formula.to_owned());
        MethodInfo {
            name: method.name().to_owned(),
            summary: method.summary().to_owned(),
            version: method.version().to_owned(),
            extensions: parts.iter().filter(|p| p.0).map(|p| p.1.to_owned()).collect(),
            keeps: keeps.map(|all| all.each().into_iter().filter_map(had).collect()),
            schema: method.schema(),
            train,
        }
    }

    /// The optional parts.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let has = |part: &str| self.extensions.iter().any(|extension| extension == part);
        Capabilities {
            explicit: has(abi::EXPLICIT),
            transpose: has(abi::APPLY_TRANSPOSE),
            refresh: has(abi::REFRESH),
            many: has(abi::APPLY_MANY),
            product: has(abi::APPLY_AND_MULTIPLY),
            persist: has(abi::PERSIST),
            delegate: has(abi::DELEGATE),
        }
    }
}

/// What a family of problems says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProblemInfo {
    /// What a user types as `kind`.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Version of the library.
    pub version: String,
    /// JSON schema of the parameters, without `seed`.
    pub schema: serde_json::Value,
}

impl ProblemInfo {
    /// What `family` says about itself.
    pub fn of(family: &dyn DynFamily) -> Self {
        ProblemInfo {
            name: family.name().to_owned(),
            summary: family.summary().to_owned(),
            version: family.version().to_owned(),
            schema: family.schema(),
        }
    }
}

/// What a library says about all it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LibraryInfo {
    /// Of its methods.
    pub methods: Vec<MethodInfo>,
    /// Of its families of problems.
    pub problems: Vec<ProblemInfo>,
}

impl LibraryInfo {
    /// What `contents` say about themselves; `told` hears of every step.
    pub(crate) fn of(contents: &Contents, told: &dyn Fn(Step)) -> Self {
        let method = |method: &std::sync::Arc<dyn DynGenerator>| {
            told(Step::Describe(method.name().to_owned()));
            MethodInfo::of(&**method)
        };
        let problem = |family: &std::sync::Arc<dyn DynFamily>| ProblemInfo::of(&**family);
        LibraryInfo {
            methods: contents.methods.iter().map(method).collect(),
            problems: contents.families.iter().map(problem).collect(),
        }
    }
}

/// Loads the library at `path` in a child process, which is this program called with
/// [`PROBE`] and the path, and returns what its methods and families say about themselves.
///
/// # Errors
/// [`Error::Plugin`] where the library cannot be loaded, crashes, or takes longer than `limit` for a step.
pub fn probe(path: &Path, limit: Duration) -> Result<LibraryInfo> {
    let program = std::env::current_exe().map_err(|e| Error::file("/proc/self/exe", e))?;
    Ok(ask(Command::new(program).arg(PROBE).arg(path), path, limit)?.answer)
}

/// The child's side of [`probe`]: loads the library at `path` and prints what its methods say.
pub fn probe_child(path: &Path) -> ExitCode {
    answer(&described(path).map_err(|e| e.to_string()));
    ExitCode::SUCCESS
}

fn described(path: &Path) -> Result<LibraryInfo> {
    let peers = std::sync::Arc::default();
    // SAFETY: only root and the user can have written the file, or put it where it is, which is looked at before it is
    // opened: it is trusted as the program itself.
    let contents = unsafe { library::open(path, &peers, &tell) }.map_err(|e| {
        let Problem { reason, .. } = Problem::new(path, e);
        Error::Plugin(reason)
    })?;
    Ok(LibraryInfo::of(&contents, &tell))
}
