//! Errors as Python's exceptions, and what callbacks raise on its way back through Rust.
use crate::interpreter::{try_within, without};
use precondor::{Error, Result};
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What Python raised last within a call of ours, with the text of the error that stands for it meanwhile. Of the
/// process: a method may have been in a loop of several threads.
static RAISED: Mutex<Option<(String, PyErr)>> = Mutex::new(None);

/// The error that stands for what Python raised while it did `what`, until [`exception`] raises it again.
pub fn standing_for(raised: PyErr, what: &str) -> Error {
    let text = format!("{what}: {raised}");
    keep(text.clone(), raised);
    Error::Data(text)
}

fn keep(text: String, raised: PyErr) {
    *RAISED.lock().unwrap_or_else(PoisonError::into_inner) = Some((text, raised));
}

/// The exception for an error of ours: what a callback raised, where the error stands for that.
pub fn exception(error: Error) -> PyErr {
    let text = error.to_string();
    let mut raised = RAISED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, raised)) = raised.take_if(|(standing, _)| text.contains(&*standing)) {
        return raised;
    }
    drop(raised);
    let class = match error.root() {
        Error::Parameter(_) => "ParameterError",
        Error::Unsupported(_) => "UnsupportedError",
        Error::Breakdown(_) => "BreakdownError",
        Error::Data(_) => "DataError",
        Error::Panicked(_) => "PanickedError",
        Error::PatternChanged => "PatternChangedError",
        Error::File { .. } => "FileError",
        Error::Plugin(_) => "PluginError",
        Error::Memory(_) => "OutOfMemoryError",
        _ => "Error",
    };
    Python::attach(|py| {
        let raise = || py.import("precondor._errors")?.getattr(class)?.call1((text,));
        raise().map_or_else(|e| e, PyErr::from_value)
    })
}

/// Runs `work`, which needs no Python, while others may have the interpreter.
pub fn without_python<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    without(py, work).map_err(exception)
}

/// Time between two looks for signals, for which the interpreter may have to be waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What a signal raised, where it is time to look: a handler of Python's has run then.
pub fn signal(last: &mut Instant) -> Option<PyErr> {
    if last.elapsed() < BETWEEN_LOOKS {
        return None;
    }
    *last = Instant::now();
    try_within(|py| py.check_signals().err()).flatten()
}

/// Whether a setup shall end because of a signal.
pub fn cancelled() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let found = signal(last.get_or_insert_with(Instant::now));
    let stop = found.is_some();
    if let Some(raised) = found {
        keep(Error::Interrupted.to_string(), raised);
    }
    stop
}
