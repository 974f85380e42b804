//! What a configuration asks `tune` for: the systems to practise on and those that are held out, the methods and what
//! may be drawn of them, what is made small.
use super::field::{Candidate, Measure, Rules};
use super::race::Order;
use super::space::{Dice, Space};
use crate::compare::Run;
use crate::experiment::{self, Case, Task};
use crate::fallback;
use crate::measure;
use crate::session::Session;
use precondor_core::config::{
    self, Backend, Content, MethodConfig, Node, SolverConfig, SolverKind, StopRule,
};
use precondor_core::kernel::random;
use precondor_core::registry::DynGenerator;
use precondor_core::schema::TUNE;
use precondor_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

/// The section `[tune]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tune {
    /// Seconds that all of it may take, the held-out systems included.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub budget: f64,
    /// What is made small.
    pub measure: Measure,
    /// Solves that each setup is for, where time is measured: what is made small is setup and so many solves.
    #[schemars(range(min = 1))]
    pub solves: u32,
    /// The methods that race: names, or tables with parameters that are given and not drawn. Left out: all that are there,
    /// but those that only pass on what others do.
    #[schemars(extend("items" = {"x-precondor-method": true}))]
    pub methods: Option<Vec<Value>>,
    /// The iterations that are tried. Left out: that of `[solver]`, or, where it names none, what the first system allows.
    pub solvers: Option<Vec<SolverKind>>,
    /// The share of files of a suite that is held out; of model problems, of which there is no end, as many fresh systems.
    #[schemars(range(min = 0.01, max = 0.9))]
    pub held_out: f64,
    /// Configurations that are drawn, at most. Left out: as many as the budget allows.
    #[schemars(range(min = 1))]
    pub configurations: Option<u64>,
    /// Seconds that setup and solve of a run may take together. Left out: no limit but what the best of the others needs.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub time_limit: Option<f64>,
    /// What configurations, orders and the held-out files are drawn from.
    pub seed: u64,
    /// The configuration that is written. Left out: `tuned.toml`.
    pub output: Option<String>,
}

impl Default for Tune {
    fn default() -> Self {
        Tune {
            budget: 60.0,
            measure: Measure::Time,
            solves: 1,
            methods: None,
            solvers: None,
            held_out: 1.0 / 3.0,
            configurations: None,
            time_limit: None,
            seed: 0,
            output: None,
        }
    }
}

/// Systems of a model problem to practise on where the configuration does not say how many.
const SAMPLES: u64 = 8;

/// A system: of which case, which one of it, and whether it is to practise on.
struct System {
    case: usize,
    index: u64,
    practice: bool,
}

pub struct Asked {
    pub title: Option<String>,
    pub cases: Vec<Case>,
    systems: Vec<System>,
    rules: Rules,
    pub output: PathBuf,
    solver: SolverConfig,
    section: Node,
    seed: u64,
}

impl Asked {
    pub fn new(root: &Node, session: &Session) -> Result<Asked> {
        root.only(&["title", "problem", "held_out", "solver", "preconditioner", "tune"])?;
        let title = root.get("title").map(|node| node.text().map(str::to_owned)).transpose()?;
        let nothing = config::parse("", std::path::Path::new(""), "")?;
        let node = root.get("tune").unwrap_or(&nothing);
        let tune: Tune = node.read()?;
        let section = root.get("solver").unwrap_or(&nothing).clone();
        let solver = SolverConfig::from_node(&section)?;
        refuse(&section, &solver)?;
        let solvers = match (&tune.solvers, section.get("method")) {
            (Some(_), Some(method)) => {
                return Err(method.key_error("'method': [tune] has 'solvers'; give one of both"));
            }
            (Some(list), None) if list.is_empty() => {
                return Err(node.get("solvers").unwrap_or(node).error("at least one is needed"));
            }
            (Some(list), None) => Some(list.clone()),
            (None, Some(_)) => Some(vec![solver.method]),
            (None, None) => None,
        };
        let (cases, systems) = systems(root, &tune, session)?;
        let mut spaces = match node.get("methods") {
            Some(list) => given_methods(list, session)?,
            None => all_methods(session),
        };
        let given = root.get("preconditioner").map(|node| session.method(node)).transpose()?;
        let given = given
            .map(|method| candidate(&method, solver.method, &mut spaces, session))
            .transpose()?;
        let of = |practice: bool| {
            let all =
                systems.iter().enumerate().filter(move |(_, system)| system.practice == practice);
            all.map(|(k, _)| k).collect::<Vec<usize>>()
        };
        let rules = Rules {
            measure: tune.measure,
            solves: f64::from(tune.solves),
            budget: tune.budget,
            most: tune.configurations.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            limit: tune.time_limit,
            spaces,
            solvers,
            given,
            practice: of(true),
            held_out: of(false),
            seed: tune.seed,
        };
        let output = match (&tune.output, node.get("output")) {
            (Some(_), Some(node)) => node.path()?,
            _ => PathBuf::from("tuned.toml"),
        };
        Ok(Asked { title, cases, systems, rules, output, solver, section, seed: tune.seed })
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Parameters that are given, which may name files.
    pub fn parameters(&self) -> Vec<Value> {
        let spaces = self.rules.spaces.iter().map(|space| space.given.clone());
        let given = self.rules.given.iter().map(|candidate| candidate.params.clone());
        spaces.chain(given).map(Value::Object).collect()
    }

    /// The first system to practise on of each case.
    pub fn first_of_cases(&self) -> Vec<usize> {
        let of = |case: usize| {
            self.rules.practice.iter().copied().find(|system| self.systems[*system].case == case)
        };
        (0..self.cases.len()).filter_map(of).collect()
    }

    /// What a system is called.
    pub fn system(&self, system: usize) -> String {
        let System { case, index, practice } = self.systems[system];
        let case = &self.cases[case];
        match (case.is_model(), practice) {
            (false, _) => case.label.clone(),
            (true, true) => format!("{}, practice {index}", case.label),
            (true, false) => format!("{}, system {index}", case.label),
        }
    }

    /// The case of a system, and its number there.
    pub fn place(&self, system: usize) -> (&Case, u64) {
        let System { case, index, .. } = self.systems[system];
        (&self.cases[case], index)
    }

    /// Makes a system. Collective.
    pub fn task(&self, system: usize, session: &Session) -> Result<Task> {
        let System { case, index, practice } = self.systems[system];
        let case = &self.cases[case];
        let task = match practice {
            // Apart from what models are trained on with the same seed.
            true => case.practice(random::mix(self.seed ^ random::GAMMA), index, session)?,
            false => case.task(index, session)?,
        };
        session.comm().agree(session.files_unchanged())?;
        session.comm().agree(task.single())
    }

    /// What a configuration is as a section `[preconditioner]`.
    pub fn preconditioner(&self, candidate: &Candidate) -> Option<Value> {
        let name = self.rules.spaces[candidate.space].method.as_deref()?;
        let mut fields = Map::from_iter([("name".to_owned(), name.into())]);
        fields.extend(candidate.params.clone());
        Some(Value::Object(fields))
    }

    /// The section `[solver]` with the iteration of a configuration.
    pub fn solver(&self, candidate: &Candidate) -> Value {
        let mut fields = match self.section.json() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.insert("method".into(), candidate.solver.name().into());
        Value::Object(fields)
    }

    /// A configuration in words: `amg, strength 0.1; cg`.
    pub fn name(&self, candidate: &Candidate) -> String {
        let method = self.method(candidate);
        let mut words = measure::name(method.as_ref()).to_owned();
        let given = measure::parameters(method.as_ref());
        if !given.is_empty() {
            words += &format!(" ({given})");
        }
        words
    }

    fn method(&self, candidate: &Candidate) -> Option<MethodConfig> {
        let name = self.rules.spaces[candidate.space].method.clone()?;
        Some(MethodConfig { name, params: Value::Object(candidate.params.clone()) })
    }

    /// What a configuration is tried as.
    pub fn run(&self, order: &Order, session: &Session) -> Result<Run> {
        let candidate = &order.candidate;
        let method = self.method(candidate);
        let mut solver = SolverConfig { method: candidate.solver, ..self.solver.clone() };
        if let Some(most) = order.iterations {
            solver.max_iterations = solver.max_iterations.min(most);
        }
        let plan = fallback::plan(session, Some(&self.section), &solver, method.as_ref())?;
        let limit = order.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let (label, group) = (String::new(), String::new());
        Ok(Run {
            label,
            group,
            solver,
            method,
            plan,
            reuse: None,
            setup_cost: None,
            warm: false,
            limit,
        })
    }
}

/// Refuses what is not raced for.
fn refuse(section: &Node, solver: &SolverConfig) -> Result<()> {
    let at = |key: &str| section.get(key).unwrap_or(section).clone();
    if solver.backend == Backend::Petsc {
        return Err(
            at("backend").error("tune races Precondor's own iterations; compare takes PETSc's")
        );
    }
    if solver.stop == StopRule::AbsoluteError {
        return Err(at("stop").error("tune stops at residuals; compare takes 'absolute-error'"));
    }
    for key in ["damping", "restart", "side"] {
        if let Some(node) = section.get(key).filter(|_| section.get("method").is_none()) {
            return Err(
                node.key_error(format!("'{key}': goes with a 'method' only, which it belongs to"))
            );
        }
    }
    Ok(())
}

/// All systems: those of `[problem]`, of which some are held out unless `[held_out]` has others.
fn systems(root: &Node, tune: &Tune, session: &Session) -> Result<(Vec<Case>, Vec<System>)> {
    let apart = |cases: Vec<Case>| cases.into_iter().flat_map(Case::apart).collect::<Vec<_>>();
    let mut cases = apart(experiment::family_of(root, "problem", SAMPLES, session)?);
    let first = cases.len();
    let mut systems = Vec::new();
    let others =
        root.get("held_out").map(|_| experiment::family_of(root, "held_out", SAMPLES / 2, session));
    let others = others.transpose()?.map(apart);
    for (case, of) in cases.iter().enumerate().filter(|(_, case)| case.is_model()) {
        systems.extend((0..of.samples).map(|index| System { case, index, practice: true }));
        if others.is_none() {
            let share = tune.held_out / (1.0 - tune.held_out);
            let fresh = ((of.samples as f64 * share).round() as u64).max(1);
            systems.extend((0..fresh).map(|index| System { case, index, practice: false }));
        }
    }
    let mut files: Vec<usize> = (0..first).filter(|case| !cases[*case].is_model()).collect();
    if others.is_none() && !files.is_empty() {
        Dice::new(random::mix(tune.seed)).shuffle(&mut files);
        let held = (files.len() as f64 * tune.held_out).round() as usize;
        let held = held.clamp(1, files.len());
        if held == files.len() && systems.is_empty() {
            let problem = root.get("problem").unwrap_or(root);
            return Err(problem.error(
                "one matrix only: what wins there is no news; give several (matrices = \"folder/*.mtx\"), or a section \
                 [held_out] with others",
            ));
        }
        let mut of = |practice: bool, some: &[usize]| {
            systems.extend(some.iter().map(|&case| System { case, index: 0, practice }));
        };
        of(false, &files[..held]);
        of(true, &files[held..]);
    } else {
        systems.extend(files.into_iter().map(|case| System { case, index: 0, practice: true }));
    }
    for (k, of) in others.iter().flatten().enumerate() {
        let case = first + k;
        systems.extend((0..of.samples).map(|index| System { case, index, practice: false }));
    }
    cases.extend(others.into_iter().flatten());
    Ok((cases, systems))
}

/// The methods of a list, each with what is given.
fn given_methods(list: &Node, session: &Session) -> Result<Vec<Space>> {
    let mut spaces: Vec<Space> = Vec::new();
    let Content::List(items) = list.content() else {
        return Err(list.error("a list of methods is needed"));
    };
    if items.is_empty() {
        return Err(list.error("at least one is needed"));
    }
    for item in items {
        if item.text().is_ok_and(|name| name == "none") {
            spaces.push(Space::nothing());
            continue;
        }
        let method = session.method(item)?;
        let generator = session.generator(&method.name).map_err(|_| {
            item.error(format!(
                "tune draws from a method's schema, and '{}' has none here",
                method.name
            ))
        })?;
        spaces.push(space(generator.as_ref(), method.params));
    }
    Ok(spaces)
}

fn space(method: &dyn DynGenerator, given: Value) -> Space {
    let given = match given {
        Value::Object(given) => given,
        _ => Map::new(),
    };
    Space::new(method.name(), &method.schema(), &given)
}

/// All methods, and M = I.
fn all_methods(session: &Session) -> Vec<Space> {
    let several = session.comm().size() > 1;
    let wanted = |method: &&std::sync::Arc<dyn DynGenerator>| {
        let schema = method.schema();
        let needs = schema["required"].as_array().is_some_and(|needed| !needed.is_empty());
        !needs && schema[TUNE] != false && (several || schema[TUNE] != "ranks")
    };
    let spaces = session.iter().filter(wanted).map(|method| space(method.as_ref(), Value::Null));
    std::iter::once(Space::nothing()).chain(spaces).collect()
}

/// The configuration's own candidate, of a space that is there or added.
fn candidate(
    method: &MethodConfig,
    solver: SolverKind,
    spaces: &mut Vec<Space>,
    session: &Session,
) -> Result<Candidate> {
    let params = method.params.as_object().cloned().unwrap_or_default();
    let same =
        |space: &Space| space.method.as_ref() == Some(&method.name) && space.given.is_empty();
    let place = match spaces.iter().position(same) {
        Some(place) => place,
        None => {
            let generator = session.generator(&method.name).map_err(|e| match e {
                Error::Parameter(why) => Error::Parameter(format!("[preconditioner]: {why}")),
                other => other,
            })?;
            spaces.push(space(generator.as_ref(), Value::Null));
            spaces.len() - 1
        }
    };
    Ok(Candidate { space: place, params, solver })
}
