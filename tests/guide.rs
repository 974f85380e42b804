//! The guide and the other pages: what they list is there, where they point is something, and what they show is
//! what the files hold. The commands that they show are run by `tests/cli`.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Where readers of the book find the other files.
const REPOSITORY: &str = "https://github.com/precondor/precondor/";

fn read(file: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All pages, relative to the root.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "benches/RESULTS.md"]
            .map(PathBuf::from)
            .into();
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs")).expect("docs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path.strip_prefix(ROOT).expect("below").to_owned());
        }
    }
    pages.sort();
    pages
}

/// The lines of a page that are text, not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// Fenced blocks: language and text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                blocks.push((language.to_owned(), String::new()));
            }
            None if open => {
                let last = blocks.last_mut().expect("an open block");
                last.1 += line;
                last.1 += "\n";
            }
            None => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// Targets of links and pictures.
fn links(text: &str) -> Vec<String> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    targets.filter_map(|rest| rest.split(')').next().map(str::to_owned)).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = links(&read("docs/SUMMARY.md"));
    let listed: BTreeSet<&str> = summary.iter().map(String::as_str).collect();
    assert_eq!(listed.len(), summary.len(), "a page is listed twice");
    let there: BTreeSet<String> = pages()
        .iter()
        .filter_map(|page| page.strip_prefix("docs").ok().map(|page| page.display().to_string()))
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there.iter().map(String::as_str).collect());
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.parent().expect("a folder");
            let target = match file.strip_prefix(REPOSITORY) {
                // Within the repository, for readers of the book.
                Some(file) => PathBuf::from(file.strip_prefix("blob/main/").unwrap_or_else(|| {
                    file.strip_prefix("tree/main/").unwrap_or_else(|| panic!("where is {link}?"))
                })),
                None if link.contains("://") => continue,
                None if file.is_empty() => page.clone(),
                None => folder.join(file),
            };
            let in_book = page.starts_with("docs") && !file.starts_with(REPOSITORY);
            assert!(!in_book || !file.contains(".."), "{}: {link} leaves the book", page.display());
            let there = Path::new(ROOT).join(&target);
            assert!(there.exists(), "{}: there is no {link}", page.display());
            if !anchor.is_empty() {
                let known = anchors(&read(&target));
                assert!(
                    known.contains(anchor),
                    "{}: no heading for {link}: {known:?}",
                    page.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} links were found");
}

#[test]
fn blocks_say_their_language_and_configurations_are_toml() {
    let mut tables = 0;
    for page in pages() {
        for (language, text) in blocks(&read(&page)) {
            let known = ["", "toml", "sh", "bash", "rust", "rust,no_run", "text", "c", "python"];
            let is_known = known.contains(&language.as_str());
            assert!(is_known, "{}: a block of '{language}': {text}", page.display());
            if language == "toml" {
                let parsed = precondor_core::config::parse("a block", Path::new(""), &text);
                parsed.unwrap_or_else(|e| panic!("{}: {e}", page.display()));
                tables += 1;
            }
        }
    }
    assert!(tables > 8, "only {tables} blocks of TOML");
}

#[test]
fn the_readme_is_short_and_names_all_methods() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    let page = read("docs/which-method.md");
    for family in precondor_tables() {
        let name = format!("`{family}`");
        assert!(readme.contains(&name), "README.md lacks {name}");
        assert!(page.contains(&name), "docs/which-method.md lacks {name}");
    }
}

/// Names of all shipped methods, out of the table of PETSc's options, which has a test of its own.
fn precondor_tables() -> Vec<String> {
    let text = read("docs/petsc.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `precondor_"));
    let names: Vec<String> =
        rows.filter_map(|row| row.split('`').next()).map(|name| name.replace('_', "-")).collect();
    assert!(names.len() > 15, "{names:?}");
    names
}

#[test]
fn what_is_shown_of_files_is_what_they_hold() {
    let jacobi = read("plugins/jacobi/src/lib.rs");
    let jacobi = jacobi[jacobi.find("use precondor_sdk").expect("a plugin")..].trim_end();
    let composed = read("examples/composed_method.rs");
    let from = composed.find("/// Its parameters.").expect("a method");
    let to = composed.find("fn main()").expect("a program");
    let problem = read("examples/own_problem.rs");
    let [begin, end] = ["/// −∇·(c ∇u)", "fn main()"].map(|at| problem.find(at).expect("a part"));
    for (page, file, text) in [
        ("docs/write-a-problem.md", "examples/own_problem.rs", problem[begin..end].trim_end()),
        ("docs/first-solve.md", "examples/solve.toml", read("examples/solve.toml").trim_end()),
        ("docs/write-a-method.md", "plugins/jacobi/src/lib.rs", jacobi),
        ("docs/write-a-method.md", "examples/composed_method.rs", composed[from..to].trim_end()),
    ] {
        assert!(read(page).contains(text), "{page} shows an old {file}");
    }
}
