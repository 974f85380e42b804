//! The methods of the process.
use crate::error::{cancelled, without_python};
use precondor::config::{Config, limit};
use precondor::core::config::{self, Node};
use precondor::core::registry::DynGenerator;
use precondor::core::words::{self, Parameter};
use precondor::{Error, Methods, Result, Search};
use precondor_host::{MethodInfo, Onlooker};
use pyo3::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The methods of the process.
struct Known {
    /// Those that are linked in, and those of libraries.
    found: Methods,
    /// Those that are written in Python.
    own: BTreeMap<String, Arc<dyn DynGenerator>>,
    /// All of them.
    all: Arc<Methods>,
}

/// Looked for when they are asked for first.
static METHODS: Mutex<Option<Known>> = Mutex::new(None);

impl Known {
    fn find() -> Result<Self> {
        // Files that parameters name are looked for where the program is then: notebooks change folders.
        let found = Methods::search(&Search { extra: Vec::new(), base: PathBuf::new() })?;
        let progress = Box::new(|_, _, _: &str| {});
        found
            .plugins()
            .look_on(Onlooker { progress, cancelled: Box::new(|| cancelled() || limit::passed()) });
        let all = Arc::new(found.clone());
        Ok(Known { found, own: BTreeMap::new(), all })
    }

    /// The same with other methods.
    fn with(found: Methods, own: BTreeMap<String, Arc<dyn DynGenerator>>) -> Result<Self> {
        let mut all = found.clone();
        own.values().try_for_each(|method| all.add(Arc::clone(method)))?;
        Ok(Known { found, own, all: Arc::new(all) })
    }
}

/// Looks at what is known, or changes it. To be called without the interpreter, which the first call may make wait.
fn known<T>(look: impl FnOnce(&mut Known) -> Result<T>) -> Result<T> {
    let mut there = METHODS.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *there {
        Some(known) => look(known),
        None => look(there.insert(Known::find()?)),
    }
}

/// All methods. To be called without the interpreter.
pub fn methods() -> Result<Arc<Methods>> {
    known(|known| Ok(Arc::clone(&known.all)))
}

/// Adds a method that is written in Python, in the place of another such of its name. To be called without the
/// interpreter.
pub fn enroll(method: Arc<dyn DynGenerator>) -> Result<()> {
    known(|known| {
        if let Ok(there) = known.found.get(method.name()) {
            let (name, origin) = (method.name(), there.origin());
            let why =
                format!("there is a method '{name}' already, {origin}: give yours another name");
            return Err(Error::Plugin(why));
        }
        let mut own = known.own.clone();
        own.insert(method.name().to_owned(), method);
        *known = Known::with(known.found.clone(), own)?;
        Ok(())
    })
}

/// What `json` says under `key`, as a section of a configuration; complaints about it begin with the key.
pub fn section(key: &str, json: &str) -> Result<Node> {
    let value: Value =
        serde_json::from_str(json).map_err(|e| Error::Parameter(format!("{key}: {e}")))?;
    let mut root = config::parse(key, std::path::Path::new(""), "")?;
    config::put(&mut root, &[key], value, key)?;
    root.take(key).ok_or_else(|| Error::Parameter(format!("{key}: nothing is given")))
}

/// A configuration out of a file, or out of JSON.
pub fn configuration(path: Option<PathBuf>, json: &str) -> Result<Config> {
    match path {
        Some(path) => Config::read(path),
        None => {
            let sections: serde_json::Map<String, Value> = serde_json::from_str(json)
                .map_err(|e| Error::Parameter(format!("configuration: {e}")))?;
            let mut config = Config::parse("")?;
            for (key, value) in sections {
                config = config.put(&key, value)?;
            }
            Ok(config)
        }
    }
}

/// Names and summaries of all methods, in order.
#[pyfunction]
pub fn methods_there(py: Python<'_>) -> PyResult<Vec<(String, String)>> {
    let pair = |m: &Arc<dyn DynGenerator>| (m.name().to_owned(), m.summary().to_owned());
    without_python(py, || Ok(methods()?.iter().map(pair).collect()))
}

/// Libraries that were passed over, in words.
#[pyfunction]
pub fn passed_over(py: Python<'_>) -> PyResult<Vec<String>> {
    without_python(py, || Ok(methods()?.problems()))
}

/// What a method says of itself, as JSON: as `precondor plugins describe --json`, with its origin and its parameters
/// in words.
#[pyfunction]
pub fn describe(py: Python<'_>, name: &str) -> PyResult<String> {
    without_python(py, || {
        let methods = methods()?;
        let method = methods.get(name)?;
        let mut said = json!(MethodInfo::of(&**method));
        said["origin"] = method.origin().into();
        said["parameters"] = in_words(&method.schema());
        said["training"] = method.train_schema().map_or(Value::Null, |schema| in_words(&schema));
        Ok(said.to_string())
    })
}

/// The parameters of a schema in words.
fn in_words(schema: &Value) -> Value {
    let one = |Parameter { name, kind, default, about, choices }| json!({ "name": name, "kind": kind, "default": default, "about": about, "choices": choices });
    words::parameters(schema).into_iter().map(one).collect()
}

/// Kinds of model problems, each with its parameters in words, as JSON.
#[pyfunction]
pub fn problems(py: Python<'_>) -> PyResult<String> {
    without_python(py, || {
        let kinds = methods()?.kinds()?;
        let all = kinds.into_iter().map(|(kind, schema)| (kind, in_words(&schema)));
        Ok(Value::Object(all.collect()).to_string())
    })
}

/// Loads a library of methods, whose names it gives.
#[pyfunction]
pub fn load_library(py: Python<'_>, path: PathBuf) -> PyResult<Vec<String>> {
    without_python(py, || {
        known(|known| {
            let mut found = known.found.clone();
            let names = found.add_library(&path)?;
            let with = Known::with(found, known.own.clone());
            if with.is_err() {
                // Methods find each other among those that were made last.
                *known = Known::with(known.found.clone(), known.own.clone())?;
            }
            *known = with?;
            Ok(names)
        })
    })
}

/// Threads that methods and products run on.
#[pyfunction]
pub fn threads(py: Python<'_>) -> PyResult<usize> {
    without_python(py, || Ok(methods()?.host().threads()))
}
