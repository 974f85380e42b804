//! Looking at a library in a process of its own: one that crashes while it is loaded is one line.
use crate::library::load_library;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// First argument of the child process that [`probe`] starts; the program hands its second one to
/// [`probe_child`].
pub const PROBE: &str = "__probe-plugin";

/// How long a library may take to load.
const PATIENCE: Duration = Duration::from_secs(20);

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
}

impl MethodInfo {
    /// What `method` says about itself.
    pub fn of(method: &dyn DynGenerator) -> Self {
        use precondor_abi as abi;
        let has = method.capabilities();
        let parts = [
            (has.explicit, abi::EXPLICIT),
            (has.refresh, abi::REFRESH),
            (has.many, abi::APPLY_MANY),
            (has.transpose, abi::APPLY_TRANSPOSE),
            (has.persist, abi::PERSIST),
            (has.delegate, abi::DELEGATE),
            (method.train_schema().is_some(), abi::TRAIN),
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
        }
    }
}

/// Loads the library at `path` in a child process, which is this program called with
/// [`PROBE`] and the path, and returns what its methods say about themselves.
///
/// # Errors
/// [`Error::Plugin`] where the library cannot be loaded, crashes, or takes too long.
pub fn probe(path: &Path) -> Result<Vec<MethodInfo>> {
    let program = std::env::current_exe().map_err(|e| Error::file("/proc/self/exe", e))?;
    probe_with(Command::new(program).arg(PROBE).arg(path), path)
}

pub(crate) fn probe_with(command: &mut Command, path: &Path) -> Result<Vec<MethodInfo>> {
    let refuse = |why: String| Error::Plugin(format!("{}: {why}", path.display()));
    let failed = |e: std::io::Error| refuse(format!("it could not be looked at: {e}"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let pipe = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
        read.transpose().map(|_| text)
    });
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if begin.elapsed() > PATIENCE => {
                child.kill().and_then(|()| child.wait()).map_err(failed)?;
                return Err(refuse(format!("it was not loaded after {} s", PATIENCE.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if let Some(signal) = status.signal() {
        return Err(refuse(format!("it crashes while it is loaded (signal {signal})")));
    }
    let text = reader.join().map_err(|_| refuse("its answer was lost".into()))?.map_err(failed)?;
    let answer: std::result::Result<Vec<MethodInfo>, String> = serde_json::from_str(&text)
        .map_err(|e| refuse(format!("it ends the process while it is loaded ({status}; {e})")))?;
    let prefix = format!("{}: ", path.display());
    answer.map_err(|why| refuse(why.strip_prefix(&prefix).unwrap_or(&why).to_owned()))
}

/// The child's side of [`probe`]: loads the library at `path` and prints what its methods say.
pub fn probe_child(path: &Path) -> ExitCode {
    let methods = load_library(path);
    let methods = methods.map(|all| all.iter().map(|m| MethodInfo::of(&**m)).collect::<Vec<_>>());
    let answer = methods.map_err(|e| e.to_string());
    match serde_json::to_string(&answer) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}
