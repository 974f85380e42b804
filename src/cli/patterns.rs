//! Patterns of `matrices`, in `[problem]` and its like: the files that they find take their place.
//!
//! Files that a pattern finds and that are no square matrices (right-hand sides beside them) are left out; a file that is
//! named is not.
use crate::formats;
use glob::{MatchOptions, Pattern};
use precondor_core::comm::Comm;
use precondor_core::config::{Content, Node};
use precondor_core::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How names match: `*` stays in its folder, and names that begin with a dot have to be asked for.
const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that the items of every section find: paths from the folder of the configuration on, or whole ones.
pub type Found = Vec<Vec<Vec<String>>>;

/// What the patterns of the sections `key` find. Rank 0 looks. Collective.
///
/// # Errors
/// [`Error::Parameter`] for what is no pattern, and for one that finds nothing.
pub fn found(root: &Node, key: &str, comm: &Comm) -> Result<Found> {
    let sections = root.get(key).map_or(&[][..], Node::items);
    let found: Found = comm.agree(match comm.rank() {
        0 => sections.iter().map(of_section).collect(),
        _ => Ok(Vec::new()),
    })?;
    if comm.size() == 1 {
        return Ok(found);
    }
    let failed = |e: serde_json::Error| Error::Data(e.to_string());
    let bytes = comm.agree(serde_json::to_vec(&found).map_err(failed))?;
    let bytes = comm.broadcast(0, if comm.rank() == 0 { bytes } else { Vec::new() })?;
    comm.agree(serde_json::from_slice(&bytes).map_err(failed))
}

/// The configuration with the files that were found in the place of its patterns, each a table with `matrix` and
/// `label`.
pub fn expanded(mut root: Node, key: &str, found: &Found) -> Node {
    let Some(problem) = root.take(key) else { return root };
    let put = |(section, found): (&Node, &Vec<Vec<String>>)| match section.get("matrices") {
        Some(list) => section.clone().with_child("matrices", &tables(list, found)),
        None => section.clone(),
    };
    let sections: Vec<Node> = problem.items().iter().zip(found).map(put).collect();
    let problem = match (problem.content(), sections.as_slice()) {
        (Content::List(_), _) => problem.with_items(sections),
        (_, [one]) => one.clone(),
        _ => problem,
    };
    root.with_child(key, &problem)
}

fn of_section(section: &Node) -> Result<Vec<Vec<String>>> {
    let Some(list) = section.get("matrices") else { return Ok(Vec::new()) };
    let mut taken: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for item in list.items() {
        let mut files = match item.content() {
            Content::Table(_) => Vec::new(),
            _ => matches(item)?,
        };
        // Patterns may overlap.
        files.retain(|file| !taken.contains(file));
        taken.extend(files.iter().cloned());
        all.push(files);
    }
    if list.items().is_empty() {
        return Err(list.key_error("'matrices': at least one is needed"));
    }
    Ok(all)
}

/// The files that a pattern finds, or the one of this name.
fn matches(item: &Node) -> Result<Vec<String>> {
    let (text, path) = (item.text()?, item.path()?);
    if path.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![text.to_owned()]);
    }
    let base = Pattern::escape(&item.folder().display().to_string());
    let pattern = Path::new(&base).join(text).display().to_string();
    let paths =
        glob::glob_with(&pattern, MATCH).map_err(|e| item.error(format!("no pattern: {e}")))?;
    let (mut files, mut others) = (Vec::new(), 0);
    for path in paths {
        let path = path.map_err(|e| item.error(format!("cannot look there: {e}")))?;
        if !path.is_file() {
            continue;
        }
        if formats::is_no_square(&path) {
            tracing::info!("{}: left out, it is no square matrix", path.display());
            others += 1;
            continue;
        }
        let name = path.strip_prefix(item.folder()).unwrap_or(&path);
        let name = name.to_str().ok_or_else(|| {
            item.error(format!("finds {}, whose name is not UTF-8: rename it", path.display()))
        })?;
        files.push(name.to_owned());
    }
    match (files.is_empty(), others) {
        (false, _) => Ok(files),
        (true, 0) => Err(item.error("finds no file")),
        (true, many) => Err(item.error(format!("finds no square matrix ({many} other files)"))),
    }
}

/// The items as tables, each with a label of its own.
fn tables(list: &Node, found: &[Vec<String>]) -> Node {
    let mut tables: Vec<(Node, Option<String>)> = Vec::new();
    for (item, files) in list.items().iter().zip(found) {
        if let Content::Table(_) = item.content() {
            let file = item.get("matrix").and_then(|matrix| matrix.text().ok());
            let file = file.filter(|_| item.get("label").is_none()).map(str::to_owned);
            tables.push((item.clone(), file));
        }
        let table = |file: &String| (item.with_text(file).under("matrix"), Some(file.clone()));
        tables.extend(files.iter().map(table));
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, file) in &tables {
        if let Some(file) = file {
            *times.entry(stem(file)).or_default() += 1;
        }
    }
    let labelled = tables.into_iter().map(|(table, file)| match file {
        Some(file) => {
            let short = stem(&file);
            let label = if times.get(&short) == Some(&1) { short } else { file };
            let label = table.with_text(&label);
            table.with_child("label", &label)
        }
        None => table,
    });
    list.with_items(labelled.collect())
}

/// The name of a file without its folder and its ending.
fn stem(file: &str) -> String {
    let mut name = PathBuf::from(file);
    name = name.file_name().map_or(name.clone(), PathBuf::from);
    if name.extension().is_some_and(|ending| ending == "gz") {
        name.set_extension("");
    }
    name.file_stem().map_or(file.to_owned(), |stem| stem.display().to_string())
}
