//! What a comparison asks for: methods, systems, and how they are measured.
use super::ledger::Key;
use crate::experiment::{self, Case};
use crate::fallback::{self, Plan};
use crate::report::Pairing;
use crate::session::Session;
use crate::{keys, measure};
use precondor_core::Result;
use precondor_core::config::{self, Backend, Content, MethodConfig, Node, SolverConfig};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A method and the solver it is tried with.
pub struct Run {
    pub label: String,
    pub group: String,
    pub solver: SolverConfig,
    pub method: Option<MethodConfig>,
    pub plan: Plan,
    /// Refresh where the pattern stays the same.
    pub reuse: bool,
    /// How long setup and solve of a system may take together.
    pub limit: Option<Duration>,
}

/// What a configuration asks for.
pub struct Asked {
    pub title: Option<String>,
    pub runs: Vec<Run>,
    pub cases: Vec<Case>,
    /// How often every solve is done.
    pub repeats: u32,
}

impl Asked {
    pub fn new(root: &Node, session: &Session) -> Result<Asked> {
        let sections = ["problem", "solver", "run"].map(str::to_owned);
        root.only(&[keys::of::<keys::Comparison>(), sections.to_vec()].concat())?;
        let title = root.get("title").map(|node| node.text().map(str::to_owned)).transpose()?;
        let repeats = root.get("repeats").map_or(Ok(1), repeats)?;
        let limit = root.get("time_limit").map(limit).transpose()?;
        let runs = runs(root, session, limit)?;
        Ok(Asked { title, runs, cases: experiment::family(root)?, repeats })
    }

    /// Whether some matrices are a suite: one that cannot be read does not stop the others.
    pub fn is_suite(&self) -> bool {
        self.cases.iter().any(|case| case.of_suite)
    }

    /// The solves of a system that are not done, all runs in turn before the next round. Those of runs that go on from
    /// one system to the next are done once.
    pub fn todo(&self, case: usize, system: u64, done: &BTreeSet<Key>) -> Vec<Key> {
        let runs = self.runs.iter().enumerate();
        let rounds = |run: &Run| if run.reuse { 1 } else { self.repeats };
        let of_round = |round: u32| {
            let runs = runs.clone().filter(move |(_, run)| round < rounds(run));
            runs.map(move |(run, _)| Key { case, system, run, round })
        };
        (0..self.repeats).flat_map(of_round).filter(|key| !done.contains(key)).collect()
    }

    /// The rows of the tables.
    pub fn methods(&self) -> Vec<Pairing> {
        let method = |run: &Run| Pairing {
            label: run.label.clone(),
            group: run.group.clone(),
            solver: run.solver.clone(),
            preconditioner: measure::name(run.method.as_ref()).to_owned(),
            parameters: parameters(run),
            given: run.method.as_ref().map_or(Value::Null, |method| method.params.clone()),
        };
        self.runs.iter().map(method).collect()
    }
}

fn repeats(node: &Node) -> Result<u32> {
    let many = node.json().as_u64().filter(|many| (1..=1000).contains(many));
    many.map(|many| many as u32).ok_or_else(|| node.wrong("is not a number from 1 to 1000"))
}

fn limit(node: &Node) -> Result<Duration> {
    let seconds = node.json().as_f64().filter(|seconds| *seconds > 0.0);
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    limit.ok_or_else(|| node.wrong("is not a number of seconds above 0"))
}

fn runs(root: &Node, session: &Session, limit_of_all: Option<Duration>) -> Result<Vec<Run>> {
    let nothing = config::parse("", std::path::Path::new(""), "")?;
    let shared = root.get("solver").unwrap_or(&nothing);
    let Some(list) = root.get("run").filter(|list| !list.items().is_empty()) else {
        return Err(root.error("no [[run]]: each says which preconditioner to compare"));
    };
    let mut runs: Vec<Run> = Vec::new();
    for node in list.items() {
        node.only(&keys::of::<keys::Run>())?;
        let reuse = reuse(node)?;
        let text = |key: &str| node.get(key).map(|n| n.text().map(str::to_owned)).transpose();
        let own = node.get("solver").unwrap_or(&nothing);
        let solver = SolverConfig::from_nodes(own, shared)?;
        if let Some(node) = node.get("reuse").filter(|_| reuse && solver.backend == Backend::Petsc)
        {
            return Err(node.error("not with backend = 'petsc', whose solvers set M up themselves"));
        }
        let method = node.get("preconditioner").map(|n| session.method(n));
        let method = method.transpose()?;
        let label = text("label")?.unwrap_or_else(|| measure::name(method.as_ref()).to_owned());
        let group = text("group")?.unwrap_or_else(|| "methods".to_owned());
        if runs.iter().any(|run| run.label == label) {
            let why = format!("there is a run called '{label}' already: give it a 'label'");
            return Err(node.get("label").unwrap_or(node).error(why));
        }
        let section = config::over(own, shared);
        let plan = fallback::plan(session, Some(&section), &solver, method.as_ref())?;
        let limit = node.get("time_limit").map(limit).transpose()?.or(limit_of_all);
        runs.push(Run { label, group, solver, method, plan, reuse, limit });
    }
    // Groups stay together, in the order they first appear.
    let mut order: BTreeMap<String, usize> = BTreeMap::new();
    for (k, run) in runs.iter().enumerate() {
        order.entry(run.group.clone()).or_insert(k);
    }
    runs.sort_by_key(|run| order[&run.group]);
    Ok(runs)
}

/// Whether a run refreshes its preconditioner from one system to the next.
fn reuse(run: &Node) -> Result<bool> {
    let Some(node) = run.get("reuse") else { return Ok(false) };
    let Content::Scalar(Value::Bool(reuse)) = node.content() else {
        return Err(node.error("reuse is true or false"));
    };
    match *reuse && run.get("preconditioner").is_none() {
        true => Err(node.error("this run has no preconditioner to reuse")),
        false => Ok(*reuse),
    }
}

/// The parameters of a run in words.
fn parameters(run: &Run) -> String {
    let mut words = measure::parameters(run.method.as_ref());
    if run.reuse {
        words += if words.is_empty() { "" } else { ", " };
        words += "refreshed from system to system";
    }
    words
}
