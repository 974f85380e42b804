//! The race for the method and the parameters that take least on a family of systems.
use crate::error::{exception, signal};
use crate::interpreter::{within, without};
use crate::methods::methods;
use crate::system::System;
use numpy::PyReadonlyArray1;
use precondor::core::config::{self, Node};
use precondor::report::{self, Provenance};
use precondor::tune::{Asked, Family, Field, Frame, Here, Plain, Telling, Tuned};
use precondor::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between two calls of who looks on.
const BETWEEN_CALLS: Duration = Duration::from_millis(100);

/// Systems of the caller's: what each is called, the matrix, and its right-hand side.
type Given<'py> = Vec<(String, Bound<'py, System>, PyReadonlyArray1<'py, f64>)>;

/// What is to be told at the end.
struct Forms {
    document: report::Document,
    csv: String,
    finalists: Option<String>,
    configuration: String,
    written: String,
    statement: Vec<String>,
    gap: Option<bool>,
    interrupted: bool,
}

/// Sections that come as JSON, as a configuration; complaints name keys.
fn sections(json: &str) -> Result<Node> {
    let sections: Map<String, Value> =
        serde_json::from_str(json).map_err(|e| Error::Parameter(format!("tune: {e}")))?;
    let mut root = config::parse("tune", Path::new(""), "")?;
    for (key, value) in sections {
        config::put(&mut root, &[&key], value, &key)?;
    }
    Ok(root)
}

fn families(given: Given<'_>) -> Vec<Family> {
    let one = |(label, system, b): (String, Bound<'_, System>, PyReadonlyArray1<'_, f64>)| {
        Family::Made(label, Box::new(system.get().task(b.as_array().to_vec(), None, None)))
    };
    given.into_iter().map(one).collect()
}

/// Races, on the systems given or on those that the configuration names. Gives what it came to, and what Python raised where
/// that ended it.
#[pyfunction]
pub fn tune<'py>(
    py: Python<'py>,
    json: &str,
    practice: Option<Given<'py>>,
    held_out: Option<Given<'py>>,
    command: String,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyDict>, Option<PyErr>)> {
    let [practice, held_out] = [practice, held_out].map(|given| given.map(families));
    let raised: RefCell<Option<PyErr>> = RefCell::new(None);
    let (raced, raised) = without(py, move || {
        let raced = raced((json, command), (practice, held_out), callback, &raised);
        (raced, raised.into_inner())
    });
    let forms = match raced {
        Ok(forms) => forms,
        Err(e) => return Err(raised.unwrap_or_else(|| exception(e))),
    };
    // A signal may have come into the midst of a setup.
    let raised = raised.or_else(|| forms.interrupted.then(|| exception(Error::Interrupted)));
    let told = PyDict::new(py);
    told.set_item("text", report::text(&forms.document))?;
    told.set_item("fragment", report::fragment(&forms.document))?;
    told.set_item("page", report::page(&forms.document))?;
    told.set_item("json", report::json(&forms.document).to_string())?;
    told.set_item("csv", forms.csv)?;
    told.set_item("finalists", forms.finalists)?;
    told.set_item("configuration", forms.configuration)?;
    told.set_item("written", forms.written)?;
    told.set_item("statement", forms.statement)?;
    told.set_item("gap", forms.gap)?;
    Ok((told, raised))
}

fn raced(
    (json, command): (&str, String),
    (practice, held_out): (Option<Vec<Family>>, Option<Vec<Family>>),
    callback: Option<Py<PyAny>>,
    raised: &RefCell<Option<PyErr>>,
) -> Result<Forms> {
    let (methods, root) = (methods()?, sections(json)?);
    let family = |given: Option<Vec<Family>>, key: &str| match given {
        None => Family::named(&root, key, &methods),
        Some(given) => Ok(given),
    };
    let wanted = held_out.is_some() || root.get("held_out").is_some();
    let practice = family(practice, "problem")?;
    let held_out = if wanted { Some(family(held_out, "held_out")?) } else { None };
    let asked = Asked::of(&root, practice, held_out, &methods)?;
    let looked = RefCell::new(Instant::now());
    let stop = || {
        let mut raised = raised.borrow_mut();
        if raised.is_none() {
            *raised = signal(&mut looked.borrow_mut());
        }
        raised.is_some()
    };
    let bench = Plain::new(&methods, &stop);
    let mut judge = Here::new(&bench, &asked);
    let mut called = Instant::now();
    let mut watch = |race: &Field<'_>| {
        let Some(callback) = callback.as_ref().filter(|_| called.elapsed() >= BETWEEN_CALLS) else {
            return Ok(());
        };
        called = Instant::now();
        let so_far = Telling::under_way(&asked, race).so_far();
        let told = (so_far.seconds, asked.budget(), so_far.configurations, so_far.best);
        if let Err(e) = within(|py| callback.call1(py, told).map(drop)) {
            raised.borrow_mut().get_or_insert(e);
        }
        Ok(())
    };
    let tuned = Tuned::race(&asked, &mut judge, &mut watch)?;
    let telling = tuned.telling();
    Ok(Forms {
        document: telling.document(Frame {
            config: "precondor.tune".into(),
            command: command.clone(),
            text: None,
            provenance: Provenance::of(&methods),
            written: None,
        }),
        csv: telling.csv(),
        finalists: telling.finalists(Path::new(""))?,
        configuration: Value::Object(telling.configuration(None)).to_string(),
        written: telling.written(&command, None)?,
        statement: telling.statement(),
        gap: telling.gap(),
        interrupted: tuned.interrupted(),
    })
}
