//! Preconditioners in files: `solve --save-preconditioner` and `--load-preconditioner`.
use crate::experiment::Task;
use crate::measure;
use crate::session::Session;
use precondor_core::config::MethodConfig;
use precondor_core::instance::Instance;
use precondor_core::persist::{self, Opened};
use precondor_core::ready::Ready;
use precondor_core::{Error, Result, file};
use std::path::Path;

/// The method to use: the one of the configuration, or else of the file.
pub fn method(
    session: &Session,
    given: Option<MethodConfig>,
    saved: Option<&Opened>,
) -> Result<Option<MethodConfig>> {
    let (None, Some(saved)) = (&given, saved) else { return Ok(given) };
    let header = saved.header();
    let known = session.generator(&header.method);
    known.map_err(|e| Error::file(saved.path(), e))?;
    let (name, params) = (header.method.clone(), header.parameters.clone());
    Ok(Some(MethodConfig { name, params }))
}

/// Refuses a method that offers no `persist/1`, before it is set up in vain.
pub fn can_be_saved(session: &Session, method: Option<&MethodConfig>) -> Result<()> {
    let refuse = |why: String| Err(Error::Parameter(format!("--save-preconditioner: {why}")));
    let Some(config) = method else {
        return refuse("the configuration has no [preconditioner] to save".into());
    };
    if session.generator(&config.name)?.capabilities().persist {
        return Ok(());
    }
    let all = session.plugins().registry().iter();
    let can = all.filter(|m| m.capabilities().persist).map(|m| m.name().to_owned());
    refuse(format!(
        "{} offers no persist/1; these methods do: {}",
        config.name,
        can.collect::<Vec<_>>().join(", ")
    ))
}

/// Reads the preconditioner, or sets it up. Collective.
pub fn get(
    session: &Session,
    task: &Task,
    config: &MethodConfig,
    saved: Option<&Opened>,
) -> Result<Ready> {
    let Some(saved) = saved else { return measure::set_up(session, task, Some(config)) };
    let generator = session.comm().agree(session.generator(&config.name))?;
    saved.load(generator.as_ref(), &config.params, task.preconditioned())
}

/// Writes the preconditioner, whole or not at all; the first rank writes. Collective.
pub fn save(
    session: &Session,
    task: &Task,
    config: &MethodConfig,
    m: &dyn Instance,
    path: &Path,
) -> Result<()> {
    let generator = session.comm().agree(session.generator(&config.name))?;
    let bytes = persist::gather(generator.as_ref(), &config.params, m, task.preconditioned());
    let bytes =
        bytes.map_err(|e| e.inside(config.name.as_str()).inside("--save-preconditioner"))?;
    session.on_first(|| match &bytes {
        Some(bytes) => file::replace(path, |to| to.write_all(bytes)),
        None => Ok(()),
    })
}
