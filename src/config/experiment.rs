//! The `[problem]` section: which systems are solved.
//!
//! Either a model problem, `kind` and the parameters of that kind, or files:
//!
//! ```toml
//! [problem]
//! matrix = "A.mtx"   # Matrix Market, gzipped or not, or PETSc's binary format; "A.IJ" stands for hypre's
//!                    # IJ files A.IJ.00000, A.IJ.00001, …
//! rhs = "b.mtx"      # where it is not given: the vector that A's PETSc file has, else all ones
//! symmetric = "upper"          # or "lower": the file has this triangle of a symmetric matrix
//! eliminate = "identity-rows"  # take unknowns out whose row has a diagonal entry only (Dirichlet nodes)
//! block_size = 2               # what else is known of it: `known.rs`
//! coordinates = "xy.mtx"
//! near_null_space = "modes.mtx"
//! coefficient = "c.mtx"
//! x0 = "x.mtx"       # zero where it is not given; goes with a model problem too, as all that follow
//! preconditioner_matrix = "P.mtx"   # what the preconditioner is made from; A where it is not given
//! null_space = "constant"           # of a singular A: "none", or a file of vectors (columns); what can
//!                                   # be seen in A where it is not given
//! left_null_space = "n.mtx"         # that of Aᵀ, where A is not symmetric
//! ```
//!
//! A comparison may ask for several: `levels = [3, 4, 5]` and `samples = 20` for a model problem
//! (systems 0 to 19 of each level), or `matrices`, a suite (`suite.rs`). It may also have several sections
//! `[[problem]]`, each of these forms and with a `label` that its tables are called by.
use super::formats;
use super::given::{self, Given, Read, Whole};
use super::{keys, suite};
use crate::Methods;
use precondor_core::config::{Content, Node, SolverConfig};
use precondor_core::matrix::{DistCsr, NullSpace, NullSpaces};
use precondor_core::problem::Problem;
use precondor_core::system::{COEFFICIENT, System};
use precondor_core::{Error, Result};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Systems that belong together: a row of a table is their mean.
pub struct Case {
    /// What tables call it.
    pub label: String,
    /// How many systems there are.
    pub samples: u64,
    /// Whether it is one of a suite.
    pub of_suite: bool,
    source: Source,
    more: More,
}

/// What may come along with any matrix.
struct More {
    x0: Option<PathBuf>,
    preconditioner: Option<PathBuf>,
    right: Wanted,
    left: Wanted,
}

/// A null space that is asked for.
enum Wanted {
    /// What can be seen in the matrix.
    Any,
    None,
    Constant,
    File(PathBuf),
}

enum Source {
    Model(Problem),
    Files(Given),
}

/// A linear system to solve: A x = b from x0.
#[derive(Clone)]
pub struct Task {
    /// A, with the services of the host.
    pub system: System,
    /// Entries of A.
    pub nnz: u64,
    /// Right-hand side.
    pub b: Vec<f64>,
    /// Further right-hand sides, and the whole systems that they are of.
    pub more: Vec<(Vec<f64>, Option<Whole>)>,
    /// Initial guess.
    pub x0: Vec<f64>,
    /// What the preconditioner is made from, where that is another matrix than A.
    pub other: Option<System>,
    /// How the null spaces that A has became known.
    pub null: Option<Known>,
    /// The system that this one was made from by taking unknowns out.
    pub whole: Option<Whole>,
    /// What is to be known of the files that it was read from, the same on all ranks.
    pub files: Vec<String>,
}

/// How a null space became known.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The configuration has it.
    Given,
    /// Rows of the matrix add up to zero.
    Found,
}

impl Task {
    /// A system of which nothing else is known, to solve from zero.
    pub fn new(system: System, nnz: u64, b: Vec<f64>) -> Task {
        let x0 = vec![0.0; b.len()];
        Task {
            system,
            nnz,
            b,
            more: Vec::new(),
            x0,
            other: None,
            null: None,
            whole: None,
            files: Vec::new(),
        }
    }

    /// A system for `a` alone, on one rank: nothing is known of it.
    pub fn of(a: DistCsr, b: Vec<f64>) -> Task {
        let nnz = a.nnz_own() as u64;
        Task::new(System::new(a), nnz, b)
    }

    /// The same with what `solver` calls symmetric.
    pub fn under(&self, solver: &SolverConfig) -> Cow<'_, Task> {
        let Some(tolerance) = solver.symmetry_tolerance else { return Cow::Borrowed(self) };
        let with = |system: &System| system.clone().with_symmetry_tolerance(tolerance);
        let (system, other) = (with(&self.system), self.other.as_ref().map(with));
        Cow::Owned(Task { system, other, ..self.clone() })
    }

    /// What the preconditioner is made from.
    pub fn preconditioned(&self) -> &System {
        self.other.as_ref().unwrap_or(&self.system)
    }

    /// The same system with each of its right-hand sides.
    pub fn columns(&self) -> Vec<Task> {
        let one = |(b, whole): &(Vec<f64>, Option<Whole>)| Task {
            b: b.clone(),
            whole: whole.clone(),
            more: Vec::new(),
            ..self.clone()
        };
        let first = Task { more: Vec::new(), ..self.clone() };
        std::iter::once(first).chain(self.more.iter().map(one)).collect()
    }

    /// Refuses several right-hand sides.
    ///
    /// # Errors
    /// [`Error::Data`] that says how many there are.
    pub fn single(self) -> Result<Task> {
        match self.more.len() {
            0 => Ok(self),
            more => Err(Error::Data(format!(
                "there are {} right-hand sides; `precondor solve` takes several, all else one",
                more + 1
            ))),
        }
    }

    /// What to say of the files and the matrices.
    pub fn notes(&self) -> Vec<String> {
        let of = |a: &DistCsr| a.null_spaces().map(NullSpaces::name);
        let singular = of(self.system.a()).map(|name| match self.null {
            Some(Known::Given) => format!("A is singular: its null space is {name}, as given"),
            _ => format!(
                "A is singular: its null space is {name}, as rows that add up to zero show; \
                 null_space = \"none\" in [problem] takes no notice"
            ),
        });
        let other = self.other.as_ref().and_then(|other| of(other.a()));
        let other = other.map(|name| {
            format!("the preconditioner's matrix is singular: its null space is {name}")
        });
        self.files.iter().cloned().chain(singular).chain(other).collect()
    }
}

/// The one case that a solve asks for.
pub fn single(root: &Node) -> Result<Case> {
    let section = section(root)?;
    refuse_families(&section)?;
    match section.get("matrix") {
        Some(_) => from_file(&section),
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
    if section.get("matrices").is_some() {
        let one = |mut section: Node| {
            let label = section.take("label");
            let mut case = from_file(&section)?;
            if let Some(label) = label {
                case.label = label.text()?.to_owned();
            }
            Ok(Case { of_suite: true, ..case })
        };
        return suite::systems(&section)?.into_iter().map(one).collect();
    }
    if section.get("matrix").is_some() {
        return Ok(vec![from_file(&section)?]);
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
    for key in ["levels", "samples", "matrices"] {
        if let Some(node) = section.get(key) {
            return Err(node.key_error(format!("'{key}': only `compare` takes several systems")));
        }
    }
    Ok(())
}

fn count(node: &Node) -> Result<u64> {
    let n = node.json().as_u64().filter(|&n| n > 0);
    n.ok_or_else(|| node.wrong("is not a number of systems, 1 or more"))
}

fn from_file(asked: &Node) -> Result<Case> {
    let mut section = asked.clone();
    let matrix = asked.needed("matrix", None, "'matrix' is missing")?;
    if let Content::List(_) = matrix.content() {
        return Err(matrix.key_error("'matrix': one file; `compare` takes several as 'matrices'"));
    }
    let more = more(&mut section)?;
    let given = Given::from_section(matrix, &section)?;
    if let (true, Some(node)) = (given.eliminates(), asked.get("preconditioner_matrix")) {
        return Err(node.key_error("'preconditioner_matrix': does not go with 'eliminate'"));
    }
    let (label, source) = (matrix.text()?.to_owned(), Source::Files(given));
    Ok(Case { label, samples: 1, of_suite: false, source, more })
}

fn model(mut section: Node, samples: u64) -> Result<Case> {
    let more = more(&mut section)?;
    let problem = problem(&section)?;
    let label = match problem.to_json().get("level").and_then(Value::as_u64) {
        Some(level) => format!("level {level}"),
        None => section.get("kind").map_or(Ok("problem"), Node::text)?.to_owned(),
    };
    Ok(Case { label, samples, of_suite: false, source: Source::Model(problem), more })
}

/// Takes the keys that go with any matrix out of the section.
fn more(section: &mut Node) -> Result<More> {
    let mut file = |key: &str| section.take(key).map(|node| node.path()).transpose();
    let (x0, preconditioner) = (file("x0")?, file("preconditioner_matrix")?);
    let mut wanted = |key: &str| -> Result<Wanted> {
        let Some(node) = section.take(key) else { return Ok(Wanted::Any) };
        Ok(match node.text()? {
            "constant" => Wanted::Constant,
            "none" => Wanted::None,
            _ => Wanted::File(node.path()?),
        })
    };
    Ok(More { x0, preconditioner, right: wanted("null_space")?, left: wanted("left_null_space")? })
}

impl Wanted {
    /// What is asked for, without what was taken out of the whole system. Collective.
    fn read(
        &self,
        a: &DistCsr,
        whole: Option<&Whole>,
        notes: &mut Vec<String>,
    ) -> Result<Option<NullSpace>> {
        match self {
            Wanted::Any | Wanted::None => Ok(None),
            Wanted::Constant => NullSpace::constant(a.space()).map(Some),
            Wanted::File(path) => {
                let space = whole.map_or(a.space(), Whole::space);
                let what = ("null space", 1);
                let mut vectors = formats::read_vectors_on_ranks(path, space, what, notes)?;
                if let Some(whole) = whole {
                    vectors.iter_mut().for_each(|v| *v = whole.restrict(v));
                }
                let name = match vectors.len() {
                    1 => format!("the vector of {}", path.display()),
                    n => format!("the {n} vectors of {}", path.display()),
                };
                let read = NullSpace::new(a.space(), vectors, &name);
                read.map(Some).map_err(|e| in_file(path, e))
            }
        }
    }
}

/// The matrix that the preconditioner is made from: an approximation of A, of which the same is known.
fn beside(system: &System, p: DistCsr) -> Result<System> {
    let other = system.with_matrix(p)?;
    match system.coefficient() {
        Some(aux) => other.with_aux(COEFFICIENT, aux.width, aux.values.to_vec()),
        None => Ok(other),
    }
}

/// An error of what a file holds, told of the file.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Data(why) => Error::file(path, why),
        other => other,
    }
}

impl More {
    /// The null spaces of `a`: those given, else what can be seen. Collective.
    fn null_spaces(
        &self,
        a: &DistCsr,
        whole: Option<&Whole>,
        notes: &mut Vec<String>,
    ) -> Result<Option<(NullSpaces, Known)>> {
        let (right, left) = (self.right.read(a, whole, notes)?, self.left.read(a, whole, notes)?);
        if right.is_some() || left.is_some() {
            let mut null = NullSpaces::given(a, right, left)?;
            // The other side of an unsymmetric A may still be seen.
            if (null.right.is_none() || null.left.is_none())
                && let Some(found) = NullSpaces::find(a)?
            {
                if matches!(self.right, Wanted::Any) {
                    null.right = null.right.or(found.right);
                }
                if matches!(self.left, Wanted::Any) {
                    null.left = null.left.or(found.left);
                }
            }
            return Ok(Some((null, Known::Given)));
        }
        if matches!(self.right, Wanted::None) || matches!(self.left, Wanted::None) {
            return Ok(None);
        }
        Ok(NullSpaces::find(a)?.map(|null| (null, Known::Found)))
    }

    /// The matrix that the preconditioner is made from, where it is another one. Collective.
    fn preconditioner(
        &self,
        a: &DistCsr,
        source: &Source,
        notes: &mut Vec<String>,
    ) -> Result<Option<DistCsr>> {
        let Some(path) = &self.preconditioner else { return Ok(None) };
        let before = notes.len();
        let mut p = formats::read_on_ranks(path, a.space().comm(), notes)?;
        if let Source::Files(given) = source {
            p = given.in_blocks(p, path)?;
        }
        let of = "the preconditioner's matrix";
        notes[before..].iter_mut().for_each(|note| *note = format!("{of}: {note}"));
        if p.n_global() != a.n_global() {
            return Err(Error::file(
                path,
                format!(
                    "the preconditioner's matrix has {} rows, A has {}",
                    p.n_global(),
                    a.n_global()
                ),
            ));
        }
        if p.space().starts() != a.space().starts() {
            return Err(Error::file(
                path,
                "the preconditioner's matrix is spread over the ranks in another way than A: write \
                 both in the same format, with the same parts",
            ));
        }
        Ok(Some(match NullSpaces::find(&p)? {
            Some(null) => p.with_null_spaces(null),
            None => p,
        }))
    }
}

/// A model problem out of `kind` and its parameters.
fn problem(section: &Node) -> Result<Problem> {
    let why = "'kind' is missing: the kind of model problem, or 'matrix' for one in a file";
    let known = known_keys()?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let kind = section.needed("kind", Some(&known), why)?;
    let schema = Problem::schema(kind.text()?).map_err(|e| kind.error(e.to_string()))?;
    let mut parameters = section.clone();
    parameters.take("kind");
    parameters.check(&schema, &parameters.json())?;
    Problem::from_json(&section.json()).map_err(|e| section.error(e.to_string()))
}

/// Keys that a section without `kind` may mean: those of all kinds, of files, and that of a file.
fn known_keys() -> Result<Vec<String>> {
    let of_files = [
        keys::of::<keys::Files>(),
        keys::of::<keys::Suite>(),
        keys::of::<keys::Beside>(),
        keys::of::<keys::Several>(),
    ];
    let mut known = of_files.concat();
    known.push("kind".to_owned());
    for kind in Problem::KINDS {
        let schema = Problem::schema(kind)?;
        let keys = schema["properties"].as_object().into_iter().flatten();
        known.extend(keys.map(|(key, _)| key.clone()));
    }
    known.sort_unstable();
    known.dedup();
    Ok(known)
}

impl Case {
    /// System `index` of the case on the ranks of `methods`, in its surroundings. Collective.
    pub fn task(&self, index: u64, methods: &Methods) -> Result<Task> {
        let start = std::time::Instant::now();
        let made = methods.comm().scope(|| self.make(index, methods));
        if let Ok(task) = &made {
            let (n, taken) = (task.system.a().n_global(), start.elapsed());
            let label = &self.label;
            tracing::info!(
                "{label}, system {index}: {n} unknowns, {} entries, in {taken:.1?}",
                task.nnz
            );
        }
        made
    }

    fn make(&self, index: u64, methods: &Methods) -> Result<Task> {
        let (system, columns, whole, mut files) = match &self.source {
            Source::Model(problem) => {
                let (system, b) = problem.generate_nth(methods.comm().clone(), index)?;
                (system, vec![b], None, Vec::new())
            }
            Source::Files(given) => {
                let Read { system, b, whole, notes } = given.read(methods)?;
                (system, b, whole, notes)
            }
        };
        let wholes = whole.into_iter().flatten().map(Some).chain(std::iter::repeat(None));
        let mut columns = columns.into_iter().zip(wholes);
        let (b, whole) = columns.next().unwrap_or_default();
        let further = columns.collect();
        let (more, whole_ref, mut notes) = (&self.more, whole.as_ref(), Vec::new());
        let x0 = match &more.x0 {
            Some(path) => {
                let space = whole_ref.map_or(system.a().space(), Whole::space);
                let x0 = formats::read_vector_on_ranks(path, space, "initial guess", &mut notes)?;
                whole_ref.map_or_else(|| x0.clone(), |whole| whole.restrict(&x0))
            }
            None => vec![0.0; system.a().n_own()],
        };
        let other = more.preconditioner(system.a(), &self.source, &mut notes)?;
        let other = other.map(|p| beside(&system, p)).transpose()?;
        let (system, null) = match more.null_spaces(system.a(), whole_ref, &mut notes)? {
            Some((null, known)) => (system.with_null_spaces(null), Some(known)),
            None => (system, None),
        };
        files.extend(given::on_all_ranks(notes, methods)?);
        let nnz = system.a().nnz_global()?;
        let other = other.map(|other| other.with_host(methods.host()));
        let system = system.with_host(methods.host());
        Ok(Task { x0, other, null, whole, files, more: further, ..Task::new(system, nnz, b) })
    }

    /// The files of its systems; those of one matrix or vector belong together.
    pub fn files(&self) -> Vec<Vec<PathBuf>> {
        let given = match &self.source {
            Source::Files(given) => given.files(),
            Source::Model(_) => Vec::new(),
        };
        let More { x0, preconditioner, right, left } = &self.more;
        let null_spaces = [right, left].into_iter().filter_map(|wanted| match wanted {
            Wanted::File(path) => Some(path.as_path()),
            _ => None,
        });
        let more = x0.iter().chain(preconditioner).map(PathBuf::as_path).chain(null_spaces);
        given.into_iter().chain(more).map(formats::files).collect()
    }

    /// The file that the preconditioner is made from, where it is not A's.
    pub fn other(&self) -> Option<&Path> {
        self.more.preconditioner.as_deref()
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
