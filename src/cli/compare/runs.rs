//! What a comparison asks for: methods, systems, and how they are measured.
use super::follow;
use super::ledger::Key;
use crate::experiment::{self, Case};
use crate::fallback::{self, Plan};
use crate::report::Pairing;
use crate::session::Session;
use crate::{keys, measure};
use precondor_core::Result;
use precondor_core::config::{self, Content, MethodConfig, Node, SolverConfig};
use precondor_core::reuse::Reuse;
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
    /// When a preconditioner that goes on from one system to the next is made anew; none: each system has its own.
    pub reuse: Option<Reuse>,
    /// Iterations that a setup counts for; none: what is reckoned.
    pub setup_cost: Option<f64>,
    /// Whether each solve starts from the solution of the one before.
    pub warm: bool,
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
        let warm = root.get("warm_start").map_or(Ok(false), Node::yes)?;
        let runs = runs(root, session, (limit, warm))?;
        let cases = experiment::family(root, session)?;
        let run = runs.iter().find(|run| run.goes_on());
        if let Some(run) =
            run.filter(|_| cases.iter().all(|case| case.samples == 1 && !case.sequence))
        {
            return Err(root.error(format!(
                "'{}' has 'reuse' or 'warm_start', and no system follows another: 'samples', or 'matrices' with \
                 sequence = true",
                run.label
            )));
        }
        Ok(Asked { title, runs, cases, repeats })
    }

    /// Whether there are many files: one that cannot be read does not stop the others.
    pub fn of_many_files(&self) -> bool {
        self.cases.iter().any(Case::of_many_files)
    }

    /// Cases that have to be done from their first system on, after these solves: sequences under way, of which neither
    /// preconditioner nor solution is left.
    pub fn under_way(&self, done: &BTreeSet<Key>) -> BTreeSet<usize> {
        let under_way = |number: usize| {
            let all: Vec<Key> = (0..self.cases[number].samples)
                .flat_map(|system| self.todo(number, system, &BTreeSet::new()))
                .filter(|key| self.runs[key.run].goes_on())
                .collect();
            let left = |run: usize| all.iter().any(|key| key.run == run && !done.contains(key));
            all.iter().any(|key| done.contains(key) && left(key.run))
        };
        (0..self.cases.len()).filter(|number| under_way(*number)).collect()
    }

    /// The solves of a system that are not done, all runs in turn before the next round. Those of runs that go on from
    /// one system to the next are done once.
    pub fn todo(&self, case: usize, system: u64, done: &BTreeSet<Key>) -> Vec<Key> {
        let runs = self.runs.iter().enumerate();
        let rounds = |run: &Run| if run.goes_on() { 1 } else { self.repeats };
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

fn runs(
    root: &Node,
    session: &Session,
    (limit_of_all, warm_all): (Option<Duration>, bool),
) -> Result<Vec<Run>> {
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
        let warm = node.get("warm_start").map(Node::yes).transpose()?.unwrap_or(warm_all);
        let setup_cost = node.get("setup_cost").map(|node| setup_cost(node, reuse)).transpose()?;
        runs.push(Run { label, group, solver, method, plan, reuse, setup_cost, warm, limit });
    }
    // Groups stay together, in the order they first appear.
    let mut order: BTreeMap<String, usize> = BTreeMap::new();
    for (k, run) in runs.iter().enumerate() {
        order.entry(run.group.clone()).or_insert(k);
    }
    runs.sort_by_key(|run| order[&run.group]);
    Ok(runs)
}

/// When a run makes its preconditioner anew, where it goes on from one system to the next with it.
fn reuse(run: &Node) -> Result<Option<Reuse>> {
    let Some(node) = run.get("reuse") else { return Ok(None) };
    let reuse = match node.content() {
        Content::Scalar(Value::Bool(false)) => return Ok(None),
        Content::Scalar(Value::Bool(true)) => Some(Reuse::Refresh),
        _ => serde_json::from_value(node.json()).ok(),
    };
    match reuse {
        None => Err(node.error("reuse is true, false, \"keep\", \"refresh\" or \"adaptive\"")),
        Some(_) if run.get("preconditioner").is_none() => {
            Err(node.error("this run has no preconditioner to reuse"))
        }
        reuse => Ok(reuse),
    }
}

fn setup_cost(node: &Node, reuse: Option<Reuse>) -> Result<f64> {
    if reuse != Some(Reuse::Adaptive) {
        return Err(node.key_error("'setup_cost': goes with reuse = \"adaptive\" only"));
    }
    let iterations = node.json().as_f64().filter(|cost| *cost > 0.0 && cost.is_finite());
    iterations.ok_or_else(|| node.wrong("is not a number of iterations above 0"))
}

/// The parameters of a run in words.
fn parameters(run: &Run) -> String {
    let given = measure::parameters(run.method.as_ref());
    let words = [Some(given).filter(|given| !given.is_empty()), follow::told(run)];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Run {
    /// Whether a solve takes something along from the one before.
    pub fn goes_on(&self) -> bool {
        self.reuse.is_some() || self.warm
    }
}
