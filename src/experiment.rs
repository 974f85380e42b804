//! The `[problem]` section: which systems are solved.
//!
//! Either a model problem, `kind` and the parameters of that kind, or files:
//!
//! ```toml
//! [problem]
//! matrix = "A.mtx"   # Matrix Market, gzipped or not, or PETSc's binary format; "A.IJ" stands for hypre's
//!                    # IJ files A.IJ.00000, A.IJ.00001, …
//! rhs = "b.mtx"      # where it is not given: the vector that A's PETSc file has, else all ones
//! x0 = "x.mtx"       # zero where it is not given; goes with a model problem too
//! symmetric = "upper"          # or "lower": the file has this triangle of a symmetric matrix
//! eliminate = "identity-rows"  # take unknowns out whose row has a diagonal entry only (Dirichlet nodes)
//! ```
//!
//! A comparison may ask for several: `levels = [3, 4, 5]` and `samples = 20` for a model problem
//! (systems 0 to 19 of each level), or a list of matrices. It may also have several sections
//! `[[problem]]`, each of these forms and with a `label` that its tables are called by.
use crate::formats;
use crate::given::{Given, Read, Whole};
use crate::session::Session;
use precondor_core::Result;
use precondor_core::config::{Content, Node};
use precondor_core::problem::Problem;
use precondor_core::system::System;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Systems that belong together: a row of a table is their mean.
pub struct Case {
    /// What tables call it.
    pub label: String,
    /// How many systems there are.
    pub samples: u64,
    source: Source,
    x0: Option<PathBuf>,
}

enum Source {
    Model(Problem),
    Files(Given),
}

/// A linear system to solve: A x = b from x0.
pub struct Task {
    /// A, with the services of the host.
    pub system: System,
    /// Entries of A.
    pub nnz: u64,
    /// Right-hand side.
    pub b: Vec<f64>,
    /// Initial guess.
    pub x0: Vec<f64>,
    /// The system that this one was made from by taking unknowns out.
    pub whole: Option<Whole>,
    /// What is to be known of the files that it was read from, the same on all ranks.
    pub notes: Vec<String>,
}

impl Task {
    /// A system to solve from zero.
    pub fn new(system: System, nnz: u64, b: Vec<f64>) -> Task {
        let x0 = vec![0.0; b.len()];
        Task { system, nnz, b, x0, whole: None, notes: Vec::new() }
    }
}

/// The one case that a solve asks for.
pub fn single(root: &Node) -> Result<Case> {
    let section = section(root)?;
    refuse_families(&section)?;
    match section.get("matrix") {
        Some(matrix) => from_file(matrix, &section),
        None => model(section, 1),
    }
}

/// All cases of a comparison, section after section.
pub fn family(root: &Node) -> Result<Vec<Case>> {
    let root = section(root)?;
    let mut all: Vec<Case> = Vec::new();
    for section in sections(&root)? {
        for case in cases(section, sections(&root)?.len() > 1)? {
            if all.iter().any(|other| other.label == case.label) {
                return Err(section.error(format!(
                    "there is a problem called '{}' already: give it a 'label'",
                    case.label
                )));
            }
            all.push(case);
        }
    }
    Ok(all)
}

/// The cases of one section; where there are several, labels tell what they are of.
fn cases(section: &Node, several: bool) -> Result<Vec<Case>> {
    let mut section = section.clone();
    let mut label = section.take("label").map(|node| node.text().map(str::to_owned)).transpose()?;
    if label.is_none() && several {
        label = section.get("kind").map(|node| node.text().map(str::to_owned)).transpose()?;
    }
    let mut cases = cases_of(section)?;
    if let Some(label) = label {
        let only = cases.len() == 1;
        for case in &mut cases {
            case.label = match only || case.label == label {
                true => label.clone(),
                false => format!("{label}, {}", case.label),
            };
        }
    }
    Ok(cases)
}

fn cases_of(mut section: Node) -> Result<Vec<Case>> {
    if let Some(matrix) = section.get("matrix") {
        let matrices = matrix.items();
        let only_one = |key: &str| match section.get(key) {
            Some(node) if matrices.len() > 1 => {
                Err(node.key_error(format!("'{key}': goes with a single matrix only")))
            }
            _ => Ok(()),
        };
        only_one("rhs").and_then(|()| only_one("x0"))?;
        return matrices.iter().map(|matrix| from_file(matrix, &section)).collect();
    }
    let samples = match section.take("samples") {
        Some(node) => count(&node)?,
        None => 1,
    };
    let Some(levels) = section.take("levels") else {
        return Ok(vec![model(section, samples)?]);
    };
    if let Some(level) = section.get("level") {
        return Err(level.key_error("'level': give either 'level' or 'levels', not both"));
    }
    if levels.items().is_empty() {
        return Err(levels.error("'levels': at least one is needed"));
    }
    let at = |level: &Node| model(section.clone().with_child("level", level), samples);
    levels.items().iter().map(at).collect()
}

/// Problems to train on, section after section; `levels` makes one of each.
pub fn problems(data: &Node) -> Result<Vec<Problem>> {
    let of_section = sections(data)?.iter().map(problems_of);
    Ok(of_section.collect::<Result<Vec<_>>>()?.concat())
}

fn problems_of(section: &Node) -> Result<Vec<Problem>> {
    let mut section = section.clone();
    let Some(levels) = section.take("levels") else { return Ok(vec![problem(&section)?]) };
    if levels.items().is_empty() {
        return Err(levels.error("'levels' is empty; at least one is needed"));
    }
    let one = |level: &Node| problem(&section.clone().with_child("level", level));
    levels.items().iter().map(one).collect()
}

/// The tables of `[name]` or of several `[[name]]`.
fn sections(node: &Node) -> Result<&[Node]> {
    match node.items() {
        [] => Err(node.error("this list is empty; at least one section is needed")),
        items => Ok(items),
    }
}

fn section(root: &Node) -> Result<Node> {
    let missing = "section [problem] is missing: 'kind' of a model problem, or 'matrix' (a file)";
    root.get("problem").cloned().ok_or_else(|| root.error(missing))
}

fn refuse_families(section: &Node) -> Result<()> {
    if let Content::List(_) = section.content() {
        return Err(section.key_error("'problem': only `compare` takes several [[problem]]"));
    }
    for key in ["levels", "samples"] {
        if let Some(node) = section.get(key) {
            return Err(node.key_error(format!("'{key}': only `compare` takes several systems")));
        }
    }
    match section.get("matrix").map(Node::content) {
        Some(Content::List(_)) => Err(section.error("only `compare` takes several matrices")),
        _ => Ok(()),
    }
}

fn count(node: &Node) -> Result<u64> {
    let n = node.json().as_u64().filter(|&n| n > 0);
    n.ok_or_else(|| node.wrong("is not a number of systems, 1 or more"))
}

fn from_file(matrix: &Node, section: &Node) -> Result<Case> {
    let given = Given::from_section(matrix, section)?;
    let x0 = section.get("x0").map(Node::path).transpose()?;
    let (label, source) = (matrix.text()?.to_owned(), Source::Files(given));
    Ok(Case { label, samples: 1, source, x0 })
}

fn model(mut section: Node, samples: u64) -> Result<Case> {
    let x0 = section.take("x0").map(|node| node.path()).transpose()?;
    let problem = problem(&section)?;
    let label = match problem.to_json().get("level").and_then(Value::as_u64) {
        Some(level) => format!("level {level}"),
        None => section.get("kind").map_or(Ok("problem"), Node::text)?.to_owned(),
    };
    Ok(Case { label, samples, source: Source::Model(problem), x0 })
}

/// A model problem out of `kind` and its parameters.
fn problem(section: &Node) -> Result<Problem> {
    let missing = || section.error("'kind' is missing: the kind of model problem");
    let kind = section.get("kind").ok_or_else(missing)?;
    let schema = Problem::schema(kind.text()?).map_err(|e| kind.error(e.to_string()))?;
    let mut parameters = section.clone();
    parameters.take("kind");
    parameters.check(&schema, &parameters.json())?;
    Problem::from_json(&section.json()).map_err(|e| section.error(e.to_string()))
}

impl Case {
    /// System `index` of the case on the ranks of `session`, in its surroundings. Collective.
    pub fn task(&self, index: u64, session: &Session) -> Result<Task> {
        session.comm().scope(|| self.make(index, session))
    }

    fn make(&self, index: u64, session: &Session) -> Result<Task> {
        let comm = session.comm();
        let task = match &self.source {
            Source::Model(problem) => {
                let (system, b) = problem.generate_nth(comm.clone(), index)?;
                let x0 = self.x0.as_ref().map(|path| {
                    let space = system.a().space();
                    formats::read_vector_on_ranks(path, space, "initial guess", &mut Vec::new())
                });
                let x0 = x0.transpose()?.unwrap_or_else(|| vec![0.0; b.len()]);
                Task { x0, ..Task::new(system, 0, b) }
            }
            Source::Files(given) => {
                let mut read = given.read(session)?;
                let x0 = self.x0.as_ref().map(|path| Given::initial_guess(path, &mut read));
                let x0 = x0.transpose()?.unwrap_or_else(|| vec![0.0; read.b.len()]);
                let Read { a, b, whole, notes } = read;
                Task { x0, whole, notes, ..Task::new(System::new(a), 0, b) }
            }
        };
        let nnz = task.system.a().nnz_global()?;
        Ok(Task { system: task.system.with_host(session.host()), nnz, ..task })
    }

    /// One line about the systems: what they are, and from which seed.
    pub fn describe(&self) -> String {
        match &self.source {
            Source::Files(given) => format!("matrix {}", given.matrix.display()),
            Source::Model(problem) => {
                let json = problem.to_json();
                let Some(fields) = json.as_object() else { return json.to_string() };
                let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
                let plain = Problem::from_json(&json!({ "kind": kind })).map(|p| p.to_json());
                let plain = plain.unwrap_or_default();
                let told = |key: &str, value| match key {
                    "kind" => false,
                    "level" | "seed" | "shift" | "rhs" => true,
                    _ => plain.get(key) != Some(value),
                };
                let others = fields.iter().filter(|(key, value)| told(key, value));
                let words = others.map(|(key, value)| match value {
                    Value::String(text) => format!("{key} {text}"),
                    value => format!("{key} {value}"),
                });
                format!("{kind}: {}", words.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
