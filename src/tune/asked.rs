//! What a configuration asks for: methods and what may be drawn of them, what is made small, on which systems.
use super::field::{Candidate, Measure, Rules};
use super::judge::Run;
use super::race::Order;
use super::space::Space;
use super::systems::{Family, Systems};
use crate::Methods;
use crate::config::experiment::Task;
use crate::config::fallback;
use crate::measure;
use precondor_core::config::{
    self, Backend, Content, MethodConfig, Node, SolverConfig, SolverKind, StopRule,
};
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

/// What a configuration asks for.
pub struct Asked {
    /// What it is about.
    pub title: Option<String>,
    /// Where the configuration that wins is to be written.
    pub output: PathBuf,
    systems: Systems,
    rules: Rules,
    solver: SolverConfig,
    section: Node,
}

impl Asked {
    /// What a configuration asks for, of systems that it names. Patterns of files have been expanded.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the place of what a section cannot hold; where nothing is left to hold out.
    pub fn new(root: &Node, methods: &Methods) -> Result<Asked> {
        let [practice, held_out] =
            ["problem", "held_out"].map(|key| Family::named(root, key, methods));
        let held_out = root.get("held_out").map(|_| held_out).transpose()?;
        Asked::of(root, practice?, held_out, methods)
    }

    /// What a configuration asks for, of these systems: some of `practice` are held out, unless others are.
    ///
    /// # Errors
    /// As [`new`](Asked::new).
    pub fn of(
        root: &Node,
        practice: Vec<Family>,
        held_out: Option<Vec<Family>>,
        methods: &Methods,
    ) -> Result<Asked> {
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
        let systems = Systems::new(practice, held_out, tune.held_out, tune.seed)
            .map_err(|why| root.get("problem").unwrap_or(root).error(why))?;
        let mut spaces = match node.get("methods") {
            Some(list) => given_methods(list, methods)?,
            None => all_methods(methods),
        };
        let given = root.get("preconditioner").map(|node| methods.method(node)).transpose()?;
        let given = given
            .map(|method| candidate(&method, solver.method, &mut spaces, methods))
            .transpose()?;
        let rules = Rules {
            measure: tune.measure,
            solves: f64::from(tune.solves),
            budget: tune.budget,
            most: tune.configurations.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            limit: tune.time_limit,
            spaces,
            solvers,
            given,
            practice: systems.of(true),
            held_out: systems.of(false),
            seed: tune.seed,
        };
        let output = match (&tune.output, node.get("output")) {
            (Some(_), Some(node)) => node.path()?,
            _ => PathBuf::from("tuned.toml"),
        };
        Ok(Asked { title, output, systems, rules, solver, section })
    }

    /// Seconds that all of it may take.
    pub fn budget(&self) -> f64 {
        self.rules.budget
    }

    /// The files of all systems; those of one matrix or vector belong together.
    pub fn files(&self) -> Vec<Vec<PathBuf>> {
        self.systems.files()
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Parameters that are given, which may name files.
    pub fn parameters(&self) -> Vec<Value> {
        let spaces = self.rules.spaces.iter().map(|space| space.given.clone());
        let given = self.rules.given.iter().map(|candidate| candidate.params.clone());
        spaces.chain(given).map(Value::Object).collect()
    }

    pub(super) fn systems(&self) -> &Systems {
        &self.systems
    }

    /// Makes a system, of those with one right-hand side. Collective.
    ///
    /// # Errors
    /// What reading or making it reports.
    pub(super) fn task(&self, system: usize, methods: &Methods) -> Result<Task> {
        let task = self.systems.task(system, methods)?;
        methods.comm().agree(task.single())
    }

    /// What a configuration is as a section `[preconditioner]`.
    pub(super) fn preconditioner(&self, candidate: &Candidate) -> Option<Value> {
        let name = self.rules.spaces[candidate.space].method.as_deref()?;
        let mut fields = Map::from_iter([("name".to_owned(), name.into())]);
        fields.extend(candidate.params.clone());
        Some(Value::Object(fields))
    }

    /// The section `[solver]` with the iteration of a configuration.
    pub(super) fn solver(&self, candidate: &Candidate) -> Value {
        let mut fields = match self.section.json() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.insert("method".into(), candidate.solver.name().into());
        Value::Object(fields)
    }

    /// A configuration in words: `amg, strength 0.1; cg`.
    pub(super) fn name(&self, candidate: &Candidate) -> String {
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
    ///
    /// # Errors
    /// [`Error::Parameter`] where the method that takes M's place is none.
    pub(super) fn run(&self, order: &Order, methods: &Methods) -> Result<Run> {
        let candidate = &order.candidate;
        let method = self.method(candidate);
        let mut solver = SolverConfig { method: candidate.solver, ..self.solver.clone() };
        if let Some(most) = order.iterations {
            solver.max_iterations = solver.max_iterations.min(most);
        }
        let plan = fallback::plan(methods, Some(&self.section), &solver, method.as_ref())?;
        let limit = order.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Run { solver, method, plan, limit })
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

/// The methods of a list, each with what is given.
fn given_methods(list: &Node, methods: &Methods) -> Result<Vec<Space>> {
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
        let method = methods.method(item)?;
        let generator = methods.get(&method.name).map_err(|_| {
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
fn all_methods(methods: &Methods) -> Vec<Space> {
    let several = methods.comm().size() > 1;
    let wanted = |method: &&std::sync::Arc<dyn DynGenerator>| {
        let schema = method.schema();
        let needs = schema["required"].as_array().is_some_and(|needed| !needed.is_empty());
        !needs && schema[TUNE] != false && (several || schema[TUNE] != "ranks")
    };
    let spaces = methods.iter().filter(wanted).map(|method| space(method.as_ref(), Value::Null));
    std::iter::once(Space::nothing()).chain(spaces).collect()
}

/// The configuration's own candidate, of a space that is there or added.
fn candidate(
    method: &MethodConfig,
    solver: SolverKind,
    spaces: &mut Vec<Space>,
    methods: &Methods,
) -> Result<Candidate> {
    let params = method.params.as_object().cloned().unwrap_or_default();
    let same =
        |space: &Space| space.method.as_ref() == Some(&method.name) && space.given.is_empty();
    let place = match spaces.iter().position(same) {
        Some(place) => place,
        None => {
            let generator = methods.get(&method.name).map_err(|e| match e {
                Error::Parameter(why) => Error::Parameter(format!("[preconditioner]: {why}")),
                other => other,
            })?;
            spaces.push(space(generator.as_ref(), Value::Null));
            spaces.len() - 1
        }
    };
    Ok(Candidate { space: place, params, solver })
}
