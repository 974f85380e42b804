//! Commands of the laboratory that documents show: each is run, or looked at only where it takes minutes.
mod support;

use precondor_testkit::documents::{commands, documents};
use precondor_testkit::program::{Folder, isolated, run};
use std::path::Path;
use support::{lab, precondor};

#[test]
fn commands_of_documents_do_what_is_said() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folder = Folder::new("lab-documents");
    let machine = std::fs::read_to_string(root.join("tests/lab/archer2.toml")).expect("a machine");
    std::fs::create_dir_all(folder.path().join("tests/lab")).expect("made");
    folder.file("tests/lab/archer2.toml", &machine);
    // What the command before it in the document makes.
    let small = ["--set", "problem.levels=[3, 4]", "--json"];
    let example = root.join("examples/nn-vs-spai.toml");
    let ran = run(isolated(&precondor()).arg("compare").arg(example).args(small));
    assert_eq!(ran.code, 0, "{}", ran.err);
    folder.file("runs.json", &ran.out);
    let mut seen = 0;
    for document in documents(root) {
        let text = std::fs::read_to_string(root.join(&document)).expect("a document");
        for command in commands(&text) {
            let command = command.split(" #").next().unwrap_or(&command);
            let built = command.strip_prefix("cargo run --release -p precondor-lab -- ");
            let placed = command.strip_prefix("target/release/").unwrap_or(command);
            let Some(arguments) = built.or(placed.strip_prefix("precondor-lab ")) else { continue };
            seen += 1;
            let name = !arguments.trim().contains(' ');
            let minutes = ["reproduce", "learned"].iter().any(|name| arguments.starts_with(name));
            let long = minutes.then_some("--dry-run");
            let long = if name { Some("--help") } else { long };
            let words = arguments.split_whitespace().chain(long);
            let home = folder.path().join("home");
            let ran = run(lab().args(words).current_dir(folder.path()).env("HOME", home));
            assert_eq!(ran.code, 0, "{document}: {command}\n{}", ran.err);
        }
    }
    assert!(seen >= 15, "{seen} commands");
}
