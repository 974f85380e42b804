//! Configurations to go on with: the one that won, and the finalists.
use super::finals::Finalist;
use super::tell::Telling;
use precondor_core::Result;
use precondor_core::config;
use serde_json::{Map, Value, json};
use std::path::Path;

impl Telling<'_> {
    /// The configuration that won: the sections `solver` and `preconditioner` (none: M = I), and, as `problem`, the first of
    /// the held-out systems, where a configuration can say it; paths in it are right in `folder`.
    pub fn configuration(&self, folder: Option<&Path>) -> Map<String, Value> {
        let mut fields = Map::new();
        let Some(winner) = self.winner() else { return fields };
        let candidate = &self.race.runners[winner].candidate;
        let system = self.asked.rules().held_out.first();
        let family = system.map(|system| self.asked.systems().place(*system).0);
        if let Some(section) = family.and_then(|family| family.section(folder)) {
            fields.insert("problem".into(), section);
        }
        fields.insert("solver".into(), self.asked.solver(candidate));
        if let Some(method) = self.asked.preconditioner(candidate) {
            fields.insert("preconditioner".into(), method);
        }
        fields
    }

    /// The same as a file in `folder`, which says who wrote it.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for what TOML cannot say.
    pub fn written(&self, command: &str, folder: Option<&Path>) -> Result<String> {
        if self.winner().is_none() {
            return Ok(String::new());
        }
        let fields = Value::Object(self.configuration(folder));
        let said = self.statement().into_iter().map(|line| format!("# {}\n", one_line(&line)));
        let made = format!("# Written by `{}`.\n\n", one_line(command));
        Ok(said.chain([made, config::written(&fields)?]).collect())
    }

    /// Whether a configuration can say all systems that are held out.
    pub(super) fn finalists_have_files(&self) -> bool {
        let named = |system: &usize| self.asked.systems().place(*system).0.section(None).is_some();
        self.asked.rules().held_out.iter().all(named)
    }

    /// The finalists on the held-out systems, for `compare`, as a file in `folder`; none where a configuration cannot say
    /// them.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for what TOML cannot say.
    pub fn finalists(&self, folder: &Path) -> Result<Option<String>> {
        if !self.finalists_have_files() {
            return Ok(None);
        }
        let Some(finals) = self.finals else { return Ok(Some(String::new())) };
        let mut matrices: Vec<Value> = Vec::new();
        let mut models: Vec<Value> = Vec::new();
        for system in &finals.systems {
            let (family, index) = self.asked.systems().place(*system);
            let Some(mut section) = family.section(Some(folder)) else { return Ok(None) };
            section["label"] = family.label().into();
            if family.is_model() {
                match models.iter_mut().find(|other| other["label"] == section["label"]) {
                    Some(there) => there["samples"] = (index + 1).into(),
                    None => {
                        section["samples"] = (index + 1).into();
                        models.push(section);
                    }
                }
            } else {
                matrices.push(section);
            }
        }
        if !matrices.is_empty() {
            models.push(json!({ "matrices": matrices }));
        }
        let run = |finalist: &Finalist| {
            let candidate = &self.race.runners[finalist.runner].candidate;
            json!({
                "label": format!("{} ({})", finalist.role, self.name(finalist.runner)),
                "solver": { "method": candidate.solver.name() },
                "preconditioner": self.asked.preconditioner(candidate),
            })
        };
        let runs: Vec<Value> = finals.finalists.iter().map(run).collect();
        let base = &self.race.runners[finals.finalists[finals.base].runner].candidate;
        config::written(&json!({
            "repeats": 3,
            "problem": models,
            "solver": self.asked.solver(base),
            "run": runs,
        }))
        .map(Some)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
