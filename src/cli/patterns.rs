//! Patterns of `matrices`, and of right-hand sides for them, in `[problem]` and its like: the files that they find take
//! their place.
//!
//! Files that a pattern finds and that are no square matrices (right-hand sides beside them) are left out; a file that is
//! named is not. They come in natural order, `A9` before `A10`.
use crate::formats;
use glob::{MatchOptions, Pattern};
use precondor_core::comm::Comm;
use precondor_core::config::{Content, Node};
use precondor_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How names match: `*` stays in its folder, and names that begin with a dot have to be asked for.
const MATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What the patterns of every section find.
pub type Found = Vec<OfSection>;

/// What those of a section find: paths from the folder of the configuration on, or whole ones.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct OfSection {
    /// The files of each item.
    matrices: Vec<Vec<String>>,
    /// A right-hand side for each matrix; none where no pattern asks for them.
    rhs: Vec<String>,
}

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
    let put = |(section, found): (&Node, &OfSection)| {
        let mut section = section.clone();
        let Some(list) = section.take("matrices") else { return section };
        let rhs = if found.rhs.is_empty() { None } else { section.take("rhs") };
        let mut tables = tables(&list, &found.matrices);
        if let Some(rhs) = rhs {
            let with =
                |(table, file): (Node, &String)| table.with_child("rhs", &rhs.with_text(file));
            tables = tables.into_iter().zip(&found.rhs).map(with).collect();
        }
        let list = list.with_items(tables);
        section.with_child("matrices", &list)
    };
    let sections: Vec<Node> = problem.items().iter().zip(found).map(put).collect();
    let problem = match (problem.content(), sections.as_slice()) {
        (Content::List(_), _) => problem.with_items(sections),
        (_, [one]) => one.clone(),
        _ => problem,
    };
    root.with_child(key, &problem)
}

fn of_section(section: &Node) -> Result<OfSection> {
    let Some(list) = section.get("matrices") else { return Ok(OfSection::default()) };
    let ordered = section.get("sequence").is_some_and(|node| node.json() == true);
    let mut taken: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for item in list.items() {
        let mut files = match item.content() {
            Content::Table(_) => Vec::new(),
            _ => matches(item, "square matrix", formats::is_no_square)?,
        };
        // Patterns of a suite may overlap; in a sequence a matrix may come again.
        files.retain(|file| ordered || !taken.contains(file));
        taken.extend(files.iter().cloned());
        all.push(files);
    }
    if list.items().is_empty() {
        return Err(list.key_error("'matrices': at least one is needed"));
    }
    let rhs = match section.get("rhs").filter(|rhs| rhs.text().is_ok_and(is_pattern)) {
        Some(rhs) => right_hand_sides(rhs, list, all.iter().map(Vec::len).sum())?,
        None => Vec::new(),
    };
    Ok(OfSection { matrices: all, rhs })
}

/// One right-hand side for each of so many matrices, both in order.
fn right_hand_sides(rhs: &Node, list: &Node, matrices: usize) -> Result<Vec<String>> {
    if list.items().iter().any(|item| matches!(item.content(), Content::Table(_))) {
        return Err(
            rhs.error("a pattern goes with patterns and names; tables have their own 'rhs'")
        );
    }
    let files = matches(rhs, "file", |_| false)?;
    match files.len() == matrices {
        true => Ok(files),
        false => {
            let many = files.len();
            Err(rhs
                .error(format!("finds {many} files for {matrices} matrices; one each is needed")))
        }
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The files that a pattern finds, but for what is `not` a `kind`; or the one of this name.
fn matches(item: &Node, kind: &str, not: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let (text, path) = (item.text()?, item.path()?);
    if path.exists() || !is_pattern(text) {
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
        if not(&path) {
            tracing::info!("{}: left out, it is no {kind}", path.display());
            others += 1;
            continue;
        }
        let name = path.strip_prefix(item.folder()).unwrap_or(&path);
        let name = name.to_str().ok_or_else(|| {
            item.error(format!("finds {}, whose name is not UTF-8: rename it", path.display()))
        })?;
        files.push(name.to_owned());
    }
    files.sort_by(|a, b| natural(a, b));
    match (files.is_empty(), others) {
        (false, _) => Ok(files),
        (true, 0) => Err(item.error("finds no file")),
        (true, many) => Err(item.error(format!("finds no {kind} ({many} other files)"))),
    }
}

/// Texts in order, runs of digits in them by the numbers that they are.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |text: &'_ str| -> Vec<(usize, String)> {
        let parts = text.as_bytes().chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit());
        let texts = parts.map(|part| String::from_utf8_lossy(part).into_owned());
        // Of two numbers the one with more digits is larger, zeros at the head apart.
        let number = |part: String| {
            let digits = part.trim_start_matches('0');
            let is_number = part.starts_with(|c: char| c.is_ascii_digit());
            if is_number { (1 + digits.len(), digits.to_owned()) } else { (0, part) }
        };
        texts.map(number).collect()
    };
    let compared = parts(a).into_iter().zip(parts(b)).map(|(a, b)| match (a.0, b.0) {
        (0, 0) => a.1.cmp(&b.1),
        // A digit among others stands where it does in the alphabet.
        (0, _) => a.1.as_str().cmp("0"),
        (_, 0) => "0".cmp(b.1.as_str()),
        _ => a.cmp(&b),
    });
    let differing = compared.into_iter().find(|order| order.is_ne());
    differing.unwrap_or_else(|| parts(a).len().cmp(&parts(b).len())).then_with(|| a.cmp(b))
}

/// The items as tables, each with a label of its own.
fn tables(list: &Node, found: &[Vec<String>]) -> Vec<Node> {
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
    labelled.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order() {
        let order =
            ["A", "A0.mtx", "A1.mtx", "A01.mtx", "A9.mtx", "A10.mtx", "A10b9", "A10b10", "B2"];
        let mut names = order.map(str::to_owned).to_vec();
        names.reverse();
        names.sort_by(|a, b| natural(a, b));
        // What is the same number goes by its digits.
        let same = |name: &str| name.replace("01", "1");
        let sorted: Vec<String> = names.iter().map(|name| same(name)).collect();
        assert_eq!(sorted, order.map(same));
        for (a, b) in names.iter().zip(&names[1..]) {
            assert_eq!((natural(a, b), natural(b, a)), (Ordering::Less, Ordering::Greater));
        }
        let huge = ["t18446744073709551616", "t18446744073709551617"];
        assert_eq!(natural(huge[0], huge[1]), Ordering::Less);
    }
}
