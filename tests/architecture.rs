//! The arrows between the crates, and rules that hold in every file.
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What cargo knows about the workspace.
fn metadata(options: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .current_dir(ROOT)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Crates of the workspace: name, folder below the root, and the crates of the workspace that it is
/// built from (those of its tests are its own affair).
fn crates() -> Vec<(String, String, BTreeSet<String>)> {
    let metadata = metadata(&["--no-deps", "--offline"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let here = Path::new(ROOT).canonicalize().expect("the root");
    let one = |package: &Value| {
        let manifest = PathBuf::from(text(&package["manifest_path"])).canonicalize().expect("it");
        let folder = manifest.parent().expect("a folder").strip_prefix(&here).expect("below");
        let dependencies = package["dependencies"].as_array().expect("a list").iter();
        let built = dependencies.filter(|d| d["kind"] != "dev" && !d["path"].is_null());
        let names = built.map(|d| text(&d["name"])).collect();
        (text(&package["name"]), folder.display().to_string(), names)
    };
    packages.iter().map(one).collect()
}

#[test]
fn arrows_between_crates_point_one_way() {
    let allowed = |folder: &str| -> Option<&[&str]> {
        match folder {
            "core" | "bindings/abi" => Some(&[]),
            "bindings/bridge" => Some(&["precondor-core", "precondor-abi"]),
            "bindings/mpi" => Some(&["precondor-core"]),
            "bindings/petsc" => Some(&["precondor-core", "precondor-host", "precondor-mpi"]),
            "bindings/python" => Some(&["precondor", "precondor-host"]),
            "bindings/sdk" | "bindings/host" => {
                Some(&["precondor-core", "precondor-abi", "precondor-bridge"])
            }
            "" => None,
            "core/neural" => Some(&["precondor-core"]),
            plugin if plugin.starts_with("plugins/") => {
                Some(&["precondor-sdk", "precondor-neural"])
            }
            "tests/kit" => Some(&["precondor-core"]),
            "tests/lab" => None,
            other => panic!("no rule says what '{other}' may know"),
        }
    };
    let crates = crates();
    assert!(crates.len() >= 8, "{crates:?}");
    for (name, folder, knows) in &crates {
        if let Some(allowed) = allowed(folder) {
            for other in knows {
                assert!(allowed.contains(&other.as_str()), "{name} must not know {other}");
            }
        }
        let users = ["tests/lab", "bindings/python"];
        let is_user = users.contains(&folder.as_str());
        assert!(is_user || !knows.contains("precondor"), "{name} knows the program");
    }
}

/// The product is built and tested without the laboratory, and built without what tests share.
#[test]
fn the_product_knows_nothing_of_the_laboratory() {
    let metadata = metadata(&["--no-deps", "--offline"]);
    for package in metadata["packages"].as_array().expect("packages") {
        for dependency in package["dependencies"].as_array().expect("a list") {
            let (name, of) = (dependency["name"].as_str().expect("text"), &package["name"]);
            assert_ne!(name, "precondor-lab", "{of} knows the laboratory");
            let kit = name == "precondor-testkit" && dependency["kind"] != "dev";
            assert!(!kit, "{of} is built with what tests share");
        }
        let name = package["name"].as_str().expect("text");
        let house = ["precondor-lab", "precondor-testkit"].contains(&name);
        assert_eq!(
            package["publish"] == serde_json::json!([]),
            house,
            "{name} is published, or is not"
        );
    }
    for folder in ["src", "core/src", "plugins", "bindings"] {
        for (file, text) in sources(folder) {
            assert!(!text.contains("precondor_lab"), "{}", file.display());
        }
    }
}

#[test]
fn the_program_is_built_with_every_plugin_and_links_none_unless_asked() {
    let crates = crates();
    let (_, _, built) = crates.iter().find(|(name, ..)| name == "precondor").expect("the root");
    let manifest = std::fs::read_to_string(format!("{ROOT}/Cargo.toml")).expect("the manifest");
    let list = std::fs::read_to_string(format!("{ROOT}/src/methods.rs")).expect("the list");
    for (name, folder, _) in crates.iter().filter(|(_, folder, _)| folder.starts_with("plugins/")) {
        assert!(built.contains(name), "{name} ({folder}) is not built with the program");
        let path = name.replace('-', "_");
        // Unit tests, which are no part of the program, may.
        let program = sources("src").into_iter().filter(|(file, _)| !file.ends_with("tests.rs"));
        for (file, text) in program.filter(|(file, _)| !file.ends_with("src/methods.rs")) {
            assert!(!text.contains(&format!("{path}::")), "{} calls {name}", file.display());
        }
        // A feature links it in, and does nothing else.
        let family = folder.trim_start_matches("plugins/");
        let linked = format!("#[cfg(feature = \"linked-{family}\")]\n        {path}::methods,");
        assert!(list.contains(&linked), "src/methods.rs has no {family}");
        assert_eq!(list.matches(&path).count(), 1, "{name} in src/methods.rs");
        for line in [
            format!("linked-{family} = [\"dep:{name}\"]"),
            format!("    \"linked-{family}\","),
            format!("    \"dep:{name}\","),
        ] {
            assert!(manifest.lines().any(|found| found == line), "Cargo.toml has no {line}");
        }
    }
}

#[test]
fn a_program_that_links_its_methods_builds_nothing_of_the_command_line() {
    let tree = |features: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "-p", "precondor", "-e", "normal", "--prefix", "none"])
            .args(features)
            .current_dir(ROOT)
            .output()
            .expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let of_command_line =
        ["clap", "fs4", "indicatif", "kuva", "shlex", "signal-hook", "tracing-subscriber"]
            .map(str::to_owned);
    let program = tree(&[]);
    assert!(of_command_line.iter().all(|name| program.contains(name)), "{program:?}");
    let library = tree(&["--no-default-features", "--features", "linked"]);
    assert!(library.contains("precondor-plugin-mlp"), "{library:?}");
    for name in &of_command_line {
        assert!(!library.contains(name), "the library needs {name}");
    }
    let bare = tree(&["--no-default-features"]);
    assert!(!bare.iter().any(|name| name.starts_with("precondor-plugin")), "{bare:?}");
}

/// Cargo has no word for all members of a workspace.
#[test]
fn every_crate_of_the_workspace_is_built_fast_where_it_is_edited() {
    let manifest = std::fs::read_to_string(format!("{ROOT}/Cargo.toml")).expect("the manifest");
    let (_, list) = manifest.split_once("[profile.dev.package]\n").expect("the list");
    let list = list.split("\n[").next().expect("one");
    let listed = list.lines().filter_map(|line| line.strip_suffix(".opt-level = 1"));
    let listed: BTreeSet<&str> = listed.collect();
    let crates = crates();
    assert_eq!(listed, crates.iter().map(|(name, ..)| name.as_str()).collect());
}

#[test]
fn files_of_our_types_for_petsc_know_each_other_without_a_circle() {
    let folder = Path::new(ROOT).join("bindings/petsc/src/pc");
    let entries = std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("it").path());
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("text");
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut left: Vec<(String, String)> =
        entries.map(|path| (name(&path), text(&path))).filter(|(name, _)| name != "mod").collect();
    assert!(left.len() > 10);
    let all: Vec<String> = left.iter().map(|(name, _)| name.clone()).collect();
    let knows = |text: &str, other: &str| {
        // `use super::name`, or one of `use super::{…}`.
        let after = text.split("super::").skip(1);
        after.into_iter().any(|rest| match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                list.split(',').any(|word| word.trim() == other)
            }
            None => rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next() == Some(other),
        })
    };
    // Take away who knows nobody that is left, again and again.
    while !left.is_empty() {
        let names: Vec<String> = left.iter().map(|(name, _)| name.clone()).collect();
        let before = left.len();
        left.retain(|(name, text)| names.iter().any(|other| other != name && knows(text, other)));
        assert!(left.len() < before, "of {all:?} these know each other in a circle: {names:?}");
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    for folder in ["src", "core", "bindings", "plugins", "tests"] {
        for (file, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 600, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn unsafe_code_lives_in_the_bindings_alone() {
    let core = std::fs::read_to_string(format!("{ROOT}/core/src/lib.rs")).expect("core");
    assert!(core.contains("#![forbid(unsafe_code)]"));
    let word = ["unsafe", " {"].concat();
    for folder in ["src", "core/src", "plugins"] {
        for (file, text) in sources(folder) {
            assert!(!text.contains(&word), "{} has an unsafe block", file.display());
        }
    }
}

/// The Rust files below a folder, with their texts.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                files.push((path, text));
            }
        }
    }
    assert!(!files.is_empty(), "no sources in {folder}");
    files
}

/// Licences that ask for no more than to be named.
const PERMISSIVE: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Whether a licence expression (SPDX, or with the old `/` for `OR`) can be met by permissive licences.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.trim();
    // Where `word` stands outside of brackets.
    let split = |word: &str| -> Vec<String> {
        let (mut parts, mut depth, mut rest) = (vec![String::new()], 0, expression);
        while let Some(next) = rest.chars().next() {
            if depth == 0 && rest.starts_with(word) {
                parts.push(String::new());
                rest = &rest[word.len()..];
                continue;
            }
            depth += i32::from(next == '(') - i32::from(next == ')');
            parts.last_mut().expect("one").push(next);
            rest = &rest[next.len_utf8()..];
        }
        parts
    };
    for (word, all) in [(" OR ", false), ("/", false), (" AND ", true)] {
        let parts = split(word);
        if parts.len() > 1 {
            let mut parts = parts.iter();
            return match all {
                true => parts.all(|part| is_permissive(part)),
                false => parts.any(|part| is_permissive(part)),
            };
        }
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_permissive(inner),
        None => PERMISSIVE.contains(&expression),
    }
}

/// Those of every feature and of the tests, for the machine that this runs on.
#[test]
fn no_dependency_is_copyleft() {
    for (expression, permissive) in [
        ("MIT OR Apache-2.0", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT/GPL-3.0", true),
        ("LGPL-2.1 OR MIT", true),
        ("MIT AND GPL-2.0-only", false),
        ("MIT AND (MPL-2.0 OR EPL-2.0)", false),
        ("AGPL-3.0-or-later", false),
        ("", false),
    ] {
        assert_eq!(is_permissive(expression), permissive, "{expression}");
    }
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc");
    let rustc = String::from_utf8(rustc.stdout).expect("text");
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let metadata = metadata(&["--locked", "--all-features", "--filter-platform", host]);
    let packages = metadata["packages"].as_array().expect("packages");
    let mut refused = Vec::new();
    for package in packages {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or_default());
        println!("{name}: {licence}");
        if !is_permissive(licence) {
            refused.push(format!("{name}: '{licence}'"));
        }
    }
    assert!(packages.len() > 100, "{} packages", packages.len());
    assert!(refused.is_empty(), "licences that are not known to be permissive: {refused:?}");
}
