//! `precondor plugins list`.
use crate::Status;
use crate::files::{print, print_json};
use precondor_core::Result;
use precondor_core::problem::Problem as Shipped;
use precondor_host::{LibraryInfo, MethodInfo, PATIENCE, Problem, ProblemInfo, Search, probe};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// List the methods, and the kinds of problems beside the shipped ones, that are there
///
/// Every library is loaded in a process of its own: one that crashes is a line of the list.
#[derive(clap::Args)]
pub struct Args {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct List {
    methods: Vec<Listed>,
    families: Vec<ListedFamily>,
    problems: Vec<Passed>,
    looked_in: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Listed {
    /// None: it is linked in.
    library: Option<PathBuf>,
    #[serde(flatten)]
    method: MethodInfo,
}

#[derive(Serialize)]
struct ListedFamily {
    library: PathBuf,
    #[serde(flatten)]
    family: ProblemInfo,
}

/// A file or folder that was passed over.
#[derive(Serialize)]
struct Passed {
    path: PathBuf,
    reason: String,
}

impl From<Problem> for Passed {
    fn from(Problem { path, reason, .. }: Problem) -> Self {
        Passed { path, reason }
    }
}

impl List {
    /// A method of a library, unless one before it has its name.
    fn add(&mut self, method: MethodInfo, library: &Path) {
        let name = &method.name;
        match self.methods.iter().find(|there| there.method.name == *name) {
            None => self.methods.push(Listed { library: Some(library.to_owned()), method }),
            Some(first) => {
                let first = first.library.as_deref().unwrap_or(Path::new("another")).display();
                self.problems.push(Problem::hidden(library, name, first).into());
            }
        }
    }

    /// A family of a library, unless one before it or a shipped kind has its name.
    fn add_family(&mut self, family: ProblemInfo, library: &Path) {
        let name = family.name.as_str();
        let first = self.families.iter().find(|there| there.family.name == name);
        let first = first.map(|first| first.library.display());
        if first.is_some() || Shipped::KINDS.contains(&name) {
            let first = first.as_ref().map(|first| first as &dyn std::fmt::Display);
            self.problems.push(Problem::hidden_family(library, name, first).into());
        } else {
            self.families.push(ListedFamily { library: library.to_owned(), family });
        }
    }
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let found = Search { extra: plugin_path.to_vec(), base: ".".into() }.checked()?.find();
    let problems = found.problems.into_iter().map(Passed::from).collect();
    let mut list = List { methods: vec![], families: vec![], problems, looked_in: found.looked_in };
    for candidate in found.candidates {
        match probe(&candidate.path, PATIENCE) {
            Ok(LibraryInfo { methods, problems }) => {
                methods.into_iter().for_each(|m| list.add(m, &candidate.path));
                problems.into_iter().for_each(|p| list.add_family(p, &candidate.path));
            }
            Err(e) => list.problems.push(Problem::new(&candidate.path, e).into()),
        }
    }
    for method in precondor::linked() {
        let is_there = list.methods.iter().any(|there| there.method.name == method.name());
        if !is_there {
            list.methods.push(Listed { library: None, method: MethodInfo::of(method.as_ref()) });
        }
    }
    list.methods.sort_by(|a, b| a.method.name.cmp(&b.method.name));
    list.families.sort_by(|a, b| a.family.name.cmp(&b.family.name));
    if args.json { print_json(&list) } else { print(&text(&list)) }?;
    Ok(Status::Done)
}

fn text(list: &List) -> String {
    let mut out = String::new();
    let names = list.methods.iter().map(|listed| listed.method.name.chars().count());
    let width = names.max().unwrap_or(0);
    // Writing to a string cannot fail.
    for Listed { library, method } in &list.methods {
        let file = match library {
            Some(path) => path.file_name().unwrap_or_default().to_string_lossy(),
            None => "linked in,".into(),
        };
        let _ = writeln!(
            out,
            "{:width$}  {} ({} {})",
            method.name, method.summary, file, method.version
        );
    }
    if list.methods.is_empty() {
        out += "no methods\n";
    }
    for ListedFamily { library, family } in &list.families {
        let file = library.file_name().unwrap_or_default().to_string_lossy();
        let ProblemInfo { name, summary, version, .. } = family;
        let _ = writeln!(out, "problem of kind '{name}': {summary} ({file} {version})");
    }
    for Passed { path, reason } in &list.problems {
        let _ = writeln!(out, "passed over: {}: {reason}", path.display());
    }
    let folders: Vec<String> = list.looked_in.iter().map(|f| f.display().to_string()).collect();
    let _ = writeln!(out, "looked in {}", folders.join(", "));
    out
}
