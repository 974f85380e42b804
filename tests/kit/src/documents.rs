//! Commands that documents show.
use std::collections::BTreeSet;
use std::path::Path;

/// Words that begin a command outside of a block, too.
const FIRST: [&str; 8] = [
    "precondor ",
    "precondor-lab ",
    "cargo ",
    "mpirun ",
    "srun ",
    "scripts/",
    "target/release/precondor ",
    "target/release/precondor-lab ",
];

/// The documents below the root of the sources that show commands.
pub fn documents(root: &Path) -> Vec<String> {
    let named = ["README.md", "CONTRIBUTING.md", "benches/RESULTS.md"].map(str::to_owned);
    let pages = std::fs::read_dir(root.join("docs")).expect("there").flatten();
    let pages = pages.map(|entry| entry.file_name().into_string().expect("text"));
    let pages = pages.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    named.into_iter().chain(pages).collect()
}

/// A document's commands in order, each once.
pub fn commands(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |command: &str| {
        let command = command.trim();
        // A line of a manifest is none.
        let other = command.starts_with('#') || command.starts_with("precondor = ");
        if !command.is_empty() && !other && seen.insert(command.to_owned()) {
            all.push(command.to_owned());
        }
    };
    let (mut fence, mut open): (Option<bool>, String) = (None, String::new());
    let mut paragraph = String::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() || line.starts_with("```") || line.starts_with("    ") {
            let paragraph = std::mem::take(&mut paragraph);
            let spans = paragraph.split('`').skip(1).step_by(2);
            spans.filter(|span| FIRST.iter().any(|word| span.starts_with(word))).for_each(&mut add);
        }
        let inner = line.trim_start();
        if let Some(language) = inner.strip_prefix("```") {
            let shell = ["sh", "bash", "shell", "console"].contains(&language.trim());
            fence = if fence.is_some() { None } else { Some(shell) };
            continue;
        }
        match fence {
            Some(true) => {
                open += inner.strip_prefix("$ ").unwrap_or(inner);
                if let Some(half) = open.strip_suffix('\\') {
                    open = half.to_owned();
                    continue;
                }
                add(&std::mem::take(&mut open));
            }
            Some(false) => {}
            None if line.starts_with("    ")
                && FIRST.iter().any(|word| inner.starts_with(word)) =>
            {
                add(inner);
            }
            None => {
                paragraph += inner;
                paragraph.push(' ');
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_are_found_in_blocks_and_in_paragraphs() {
        let text = "```sh\nprecondor solve \\\n  a.toml   # why\n```\n  ```toml\nprecondor = 1\n  ```\n\n\
                    With `precondor plugins list` and `precondor_x`.\n\n    cargo test\n    not this\n";
        assert_eq!(
            commands(text),
            ["precondor solve a.toml   # why", "precondor plugins list", "cargo test"]
        );
    }
}
