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
//! partition = "graph"          # or "rcm": spread the rows over the ranks anew
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
//! (systems 0 to 19 of each level), or `matrices`, a suite (`suite.rs`); with `sequence = true` the systems of one case in
//! this order. It may also have several sections `[[problem]]`, each of these forms and with a `label` that its tables are called by.
use super::beside::{More, Wanted, beside, more};
use super::formats;
use super::given::{self, Given, Read, Whole};
pub use super::task::{Known, Task};
use super::{keys, suite};
use crate::Methods;
use precondor_core::config::{Content, Node};
use precondor_core::problem::Problem;
use precondor_core::{Error, Result};
use serde_json::Value;
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
    /// Whether its systems stand in an order that means something.
    pub sequence: bool,
    section: Value,
    folder: PathBuf,
    source: Source,
    more: More,
}

enum Source {
    Model(Problem),
    Files(Given),
    /// One case a system.
    Sequence(Vec<Case>),
}

/// The one case that a solve asks for.
pub fn single(root: &Node, methods: &Methods) -> Result<Case> {
    let section = section(root, "problem")?;
    refuse_families(&section)?;
    match section.get("matrix") {
        Some(_) => from_file(&section),
        None => model(section, 1, methods),
    }
}

/// All cases of a comparison, section after section.
pub fn family(root: &Node, methods: &Methods) -> Result<Vec<Case>> {
    family_of(root, "problem", 1, methods)
}

/// All cases of the sections `key`; of model problems so many systems where they do not say how many.
pub fn family_of(root: &Node, key: &str, samples: u64, methods: &Methods) -> Result<Vec<Case>> {
    let root = section(root, key)?;
    let mut all: Vec<Case> = Vec::new();
    for section in sections(&root)? {
        for case in cases(section, sections(&root)?.len() > 1, samples, methods)? {
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

/// The systems in files of a section with `matrices`.
pub fn of_suite(section: &Node, methods: &Methods) -> Result<Vec<Case>> {
    Ok(cases(section, false, 1, methods)?.into_iter().flat_map(Case::apart).collect())
}

/// The cases of one section; where there are several, labels tell what they are of.
fn cases(section: &Node, several: bool, samples: u64, methods: &Methods) -> Result<Vec<Case>> {
    let mut section = section.clone();
    let mut label = section.take("label").map(|node| node.text().map(str::to_owned)).transpose()?;
    if label.is_none() && several {
        label = section.get("kind").map(|node| node.text().map(str::to_owned)).transpose()?;
    }
    let mut cases = cases_of(section, samples, methods)?;
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

fn cases_of(mut section: Node, samples: u64, methods: &Methods) -> Result<Vec<Case>> {
    let whole = section.clone();
    let ordered = section.take("sequence");
    let sequence = ordered.as_ref().map_or(Ok(false), Node::yes)?;
    if section.get("matrices").is_some() {
        let one = |mut section: Node| {
            let label = section.take("label");
            let mut case = from_file(&section)?;
            if let Some(label) = label {
                case.label = label.text()?.to_owned();
            }
            Ok(Case { of_suite: true, ..case })
        };
        let systems: Vec<Case> =
            suite::systems(&section)?.into_iter().map(one).collect::<Result<_>>()?;
        return Ok(if sequence { vec![Case::in_order(&whole, systems)] } else { systems });
    }
    if section.get("matrix").is_some() {
        if let Some(node) = ordered.filter(|_| sequence) {
            let why = "'sequence': one matrix is none; 'matrices' names several";
            return Err(node.key_error(why));
        }
        return Ok(vec![from_file(&section)?]);
    }
    let samples = match section.take("samples") {
        Some(node) => count(&node)?,
        None => samples,
    };
    let model = |section: Node| Ok(Case { sequence, ..model(section, samples, methods)? });
    let Some(levels) = section.take("levels") else {
        return Ok(vec![model(section)?]);
    };
    if let Some(level) = section.get("level") {
        return Err(level.key_error("'level': give either 'level' or 'levels', not both"));
    }
    if levels.items().is_empty() {
        return Err(levels.error("'levels': at least one is needed"));
    }
    let at = |level: &Node| model(section.clone().with_child("level", level));
    levels.items().iter().map(at).collect()
}

/// Problems to train on, section after section; `levels` makes one of each.
pub fn problems(data: &Node, methods: &Methods) -> Result<Vec<Problem>> {
    let of_section = sections(data)?.iter().map(|section| problems_of(section, methods));
    Ok(of_section.collect::<Result<Vec<_>>>()?.concat())
}

fn problems_of(section: &Node, methods: &Methods) -> Result<Vec<Problem>> {
    let mut section = section.clone();
    let Some(levels) = section.take("levels") else { return Ok(vec![problem(&section, methods)?]) };
    if levels.items().is_empty() {
        return Err(levels.error("'levels' is empty; at least one is needed"));
    }
    let one = |level: &Node| problem(&section.clone().with_child("level", level), methods);
    levels.items().iter().map(one).collect()
}

/// The tables of `[name]` or of several `[[name]]`.
fn sections(node: &Node) -> Result<&[Node]> {
    match node.items() {
        [] => Err(node.error("this list is empty; at least one section is needed")),
        items => Ok(items),
    }
}

fn section(root: &Node, key: &str) -> Result<Node> {
    let missing = || {
        root.error(format!(
            "section [{key}] is missing: 'kind' of a model problem, or 'matrix' (a file)"
        ))
    };
    root.get(key).cloned().ok_or_else(missing)
}

fn refuse_families(section: &Node) -> Result<()> {
    if let Content::List(_) = section.content() {
        return Err(
            section.key_error("'problem': only `compare` and `tune` take several [[problem]]")
        );
    }
    for key in ["levels", "samples", "matrices", "sequence"] {
        if let Some(node) = section.get(key) {
            return Err(
                node.key_error(format!("'{key}': only `compare` and `tune` take several systems"))
            );
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
    let (section, folder) = (asked.json(), asked.folder().to_owned());
    let (of_suite, sequence) = (false, false);
    Ok(Case { label, samples: 1, of_suite, sequence, section, folder, source, more })
}

fn model(mut section: Node, samples: u64, methods: &Methods) -> Result<Case> {
    let (json, folder) = (section.json(), section.folder().to_owned());
    let more = more(&mut section)?;
    let problem = problem(&section, methods)?;
    let label = match problem.to_json().get("level").and_then(Value::as_u64) {
        Some(level) => format!("level {level}"),
        None => section.get("kind").map_or(Ok("problem"), Node::text)?.to_owned(),
    };
    let source = Source::Model(problem);
    let (of_suite, sequence) = (false, false);
    Ok(Case { label, samples, of_suite, sequence, section: json, folder, source, more })
}

/// A model problem out of `kind` and its parameters.
fn problem(section: &Node, methods: &Methods) -> Result<Problem> {
    let why = "'kind' is missing: the kind of model problem, or 'matrix' for one in a file";
    let known = known_keys()?;
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let kind = section.needed("kind", Some(&known), why)?;
    let kinds = methods.plugins();
    let schema =
        Problem::schema_among(kind.text()?, kinds).map_err(|e| kind.error(e.to_string()))?;
    let mut parameters = section.clone();
    parameters.take("kind");
    parameters.check(&schema, &parameters.json())?;
    Problem::among(&section.json(), kinds).map_err(|e| section.error(e.to_string()))
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

/// The last part of a path.
fn file_name(path: &str) -> Cow<'_, str> {
    Path::new(path).file_name().map_or(Cow::Borrowed(path), |name| name.to_string_lossy())
}

/// Puts the names of files that are in the folder `here`, in any depth of a section, after its path.
fn move_names(value: &mut Value, here: &Path) {
    match value {
        Value::String(name) => {
            let path = Some(here.join(name.as_str())).filter(|path| path.exists());
            path.into_iter().for_each(|path| *name = path.display().to_string());
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_names(item, here)),
        Value::Object(fields) => {
            let named = fields.iter_mut().filter(|(key, _)| !matches!(&***key, "kind" | "label"));
            named.for_each(|(_, field)| move_names(field, here));
        }
        _ => {}
    }
}

impl Case {
    /// The sequence of these systems, of which there is one or more.
    fn in_order(section: &Node, systems: Vec<Case>) -> Case {
        Case {
            label: "sequence".into(),
            samples: systems.len() as u64,
            of_suite: false,
            sequence: true,
            section: section.json(),
            folder: section.folder().to_owned(),
            source: Source::Sequence(systems),
            more: More::default(),
        }
    }

    /// The same systems, those of a sequence of files each a case of its own.
    pub fn apart(self) -> Vec<Case> {
        match self.source {
            Source::Sequence(systems) => systems,
            Source::Model(_) | Source::Files(_) => vec![self],
        }
    }

    /// What its systems are called, where they have names.
    pub fn names(&self) -> Vec<String> {
        match &self.source {
            Source::Sequence(systems) => systems.iter().map(|case| case.label.clone()).collect(),
            Source::Model(_) | Source::Files(_) => Vec::new(),
        }
    }

    /// Whether it is of many files: one that cannot be read does not stop the others.
    pub fn of_many_files(&self) -> bool {
        self.of_suite || matches!(self.source, Source::Sequence(_))
    }

    /// System `index` of the case on the ranks of `methods`, in its surroundings. Collective.
    pub fn task(&self, index: u64, methods: &Methods) -> Result<Task> {
        self.made(index, None, methods)
    }

    /// A system to practise on, of a model problem one that [`task`](Self::task) never makes. Collective.
    pub fn practice(&self, seed: u64, index: u64, methods: &Methods) -> Result<Task> {
        self.made(index, Some(seed), methods)
    }

    fn made(&self, index: u64, seed: Option<u64>, methods: &Methods) -> Result<Task> {
        if let Source::Sequence(systems) = &self.source {
            let none = || Error::Parameter(format!("{} has no system {index}", self.label));
            return systems.get(index as usize).ok_or_else(none)?.made(0, seed, methods);
        }
        let start = std::time::Instant::now();
        let made = methods.comm().scope(|| self.make(index, seed, methods));
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

    fn make(&self, index: u64, seed: Option<u64>, methods: &Methods) -> Result<Task> {
        let (system, columns, whole, mut files) = match &self.source {
            Source::Model(problem) => {
                let comm = methods.comm().clone();
                let (system, b) = match seed {
                    Some(seed) => problem.practice(comm, seed, index)?,
                    None => problem.generate_nth(comm, index)?,
                };
                (system, vec![b], None, Vec::new())
            }
            Source::Files(given) => {
                let Read { system, b, whole, notes } = given.read(methods)?;
                (system, b, whole, notes)
            }
            Source::Sequence(_) => return Err(Error::Data("a sequence is no system".into())),
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
                match whole_ref {
                    Some(whole) => whole.restrict(&x0)?,
                    None => x0,
                }
            }
            None => vec![0.0; system.a().n_own()],
        };
        let other = more.preconditioner(system.a(), (self.given(), whole_ref), &mut notes)?;
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

    fn given(&self) -> Option<&Given> {
        match &self.source {
            Source::Files(given) => Some(given),
            Source::Model(_) | Source::Sequence(_) => None,
        }
    }

    /// Whether it is a model problem, of which there are as many systems as one likes.
    pub fn is_model(&self) -> bool {
        matches!(self.source, Source::Model(_))
    }

    /// Its section, for a configuration in another folder.
    pub fn section(&self, folder: Option<&Path>) -> Value {
        let place = |folder: &Path| {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            folder.canonicalize().ok()
        };
        let here = place(&self.folder);
        let moved = here.clone().filter(|here| folder.and_then(place).as_ref() != Some(here));
        let Some(here) = moved else { return self.section.clone() };
        let mut section = self.section.clone();
        move_names(&mut section, &here);
        section
    }

    /// The files of its systems; those of one matrix or vector belong together.
    pub fn files(&self) -> Vec<Vec<PathBuf>> {
        let given = match &self.source {
            Source::Files(given) => given.files(),
            Source::Model(_) => Vec::new(),
            Source::Sequence(systems) => return systems.iter().flat_map(Case::files).collect(),
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
            Source::Sequence(systems) => match systems.as_slice() {
                [first, .., last] => format!("from {} to {}", first.label, last.label),
                one => one.iter().map(Case::describe).collect(),
            },
            Source::Model(problem) => {
                let json = problem.to_json();
                let Some(fields) = json.as_object() else { return json.to_string() };
                let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
                let plain = problem.plain();
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
                let from = match problem {
                    Problem::OfFamily(of) => {
                        format!(
                            " of {} {}",
                            file_name(&of.family().origin()),
                            of.family().version()
                        )
                    }
                    _ => String::new(),
                };
                format!("{kind}{from}: {}", words.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
