//! Libraries that a host must not load, and what it says about them.

use crate::support::{load, solo};
use precondor_core::Error;
use precondor_host::{Plugins, Search};
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const INCLUDE: &str = "bindings/abi/include";

fn search(folders: &[&Path]) -> Plugins {
    let extra: Vec<PathBuf> = folders.iter().map(|f| f.to_path_buf()).collect();
    Plugins::load(&Search { extra, base: ".".into() }).expect("a base folder")
}

/// What is said about the file called `name`.
fn reason(plugins: &Plugins, name: &str) -> String {
    let problem = plugins.problems().iter().find(|p| p.path.ends_with(name));
    problem.map(|p| p.reason.clone()).unwrap_or_else(|| panic!("{:?}", plugins.problems()))
}

#[test]
fn every_fault_of_a_library_is_named() {
    let folder = Folder::unnamed();
    let cases = [
        ("NEWER_ABI", "it speaks plugin ABI 2.3, this program 1.1: use a newer Precondor"),
        ("OLDER_ABI", "it speaks plugin ABI 0.0, this program 1.1: rebuild the plugin"),
        ("OTHER_MAGIC", "it is no Precondor plugin"),
        ("SHORT_ENTRY", "its entry table is 8 bytes long, 40 are needed"),
        ("SHORT_METHOD", "table precondor_method: it is 24 bytes long, 128 are needed"),
        ("SHORT_EXTENSION", "table precondor_explicit_part: it is 8 bytes long, 16 are needed"),
        ("NO_APPLY", "its function 'apply' is null"),
        ("NULL_METHOD", "method 1: table precondor_method: 0x0 is no pointer to one"),
        ("TOO_MANY", "18446744073709551615 methods are more than 4096"),
        ("TOO_MANY_FAMILIES", "18446744073709551615 families of problems are more than 4096"),
        ("NULL_FAMILY", "family 0: table precondor_problem: 0x0 is no pointer to one"),
        ("NO_FAMILIES_THERE", "its families of problems: 0x0 cannot hold 1 values"),
        ("TWICE", "it has two methods 'faulty'"),
        ("WRONG_ID", "its id 'Faulty <b>' is not made of lower-case letters"),
        ("SCHEMA_IS_NO_JSON", "its schema is not JSON"),
        ("SCHEMA_IS_CYCLIC", "method 0: its schema refers to itself: #/$defs/A → #/$defs/A"),
    ];
    for (i, (fault, text)) in cases.iter().enumerate() {
        let define = format!("-D{fault}");
        let name = format!("-DNAME=precondor_plugin_f{i}");
        compile(folder.path(), &format!("f{i}"), "tests/c/faulty.c", INCLUDE, &[&define, &name]);
        let plugins = search(&[folder.path()]);
        let got = reason(&plugins, &format!("libprecondor_plugin_f{i}.so"));
        assert!(got.contains(text), "{fault}: {got}");
        assert!(plugins.registry().get("faulty").is_err(), "{fault}");
    }
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let folder = Folder::unnamed();
    let named = |name: &str| folder.path().join(format!("libprecondor_plugin_{name}.so"));
    fs::write(named("text"), "not a library at all, but long enough for the head of one".repeat(3))
        .expect("written");
    fs::write(named("empty"), "").expect("written");
    fs::write(named("Upper"), "passed over").expect("written");
    // A real library of something else, under a plugin's name.
    compile(folder.path(), "other", "tests/c/faulty.c", INCLUDE, &["-DNAME=something_else"]);
    // Libraries whose headers are whole and whose end is missing: the system's loader would map what is not there.
    let whole = compile(
        folder.path(),
        "whole",
        "tests/c/faulty.c",
        INCLUDE,
        &["-DNAME=precondor_plugin_whole"],
    );
    let bytes = fs::read(&whole).expect("a library");
    fs::remove_file(&whole).expect("removed");
    fs::write(named("cut"), &bytes[..bytes.len() / 2]).expect("written");
    fs::write(named("head"), [&bytes[..4096.min(bytes.len())], &[0; 1000]].concat())
        .expect("written");
    fs::write(named("start"), &bytes[..64]).expect("written");
    let plugins = search(&[folder.path()]);
    for (name, text) in [
        ("text", "it is no shared library, or a damaged one: "),
        ("empty", "it is no shared library, or a damaged one: "),
        ("start", "it is no shared library, or a damaged one: "),
        ("cut", "it is cut off: the file has "),
        ("head", "it is cut off: the file has "),
        ("other", "it exports no 'precondor_plugin_other'"),
    ] {
        let got = reason(&plugins, &format!("libprecondor_plugin_{name}.so"));
        assert!(got.contains(text), "{name}: {got}");
        let error = load(&named(name)).err().expect("refused");
        assert!(matches!(error, Error::Plugin(_)) && error.to_string().contains(text), "{error}");
    }
    assert!(plugins.problems().iter().all(|p| !p.path.ends_with("libprecondor_plugin_Upper.so")));
    let error = load(Path::new("/usr/lib/libm.so")).err().expect("refused");
    assert!(error.to_string().contains("a plugin's file is called"), "{error}");
    let error = load(&named("absent")).err().expect("refused");
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_newer_minor_version_and_no_methods_are_fine() {
    let folder = Folder::unnamed();
    compile(folder.path(), "faulty", "tests/c/faulty.c", INCLUDE, &["-DNEWER_MINOR"]);
    let none = ["-DNONE", "-DNAME=precondor_plugin_none"];
    let none = compile(folder.path(), "none", "tests/c/faulty.c", INCLUDE, &none);
    let plugins = search(&[folder.path()]);
    let method = plugins.registry().get("faulty").expect("loaded");
    assert_eq!(method.version(), "");
    assert_eq!(load(&none).expect("loaded").len(), 0);
}

#[test]
fn what_a_method_hands_out_is_checked() {
    let folder = Folder::unnamed();
    let method = |name: &str, fault: &str| {
        let symbol = format!("-DNAME=precondor_plugin_{name}");
        let defines: &[&str] = &[fault, &symbol];
        let file = compile(folder.path(), name, "tests/c/faulty.c", INCLUDE, defines);
        load(&file).expect("loads").remove(0)
    };
    let system = solo(3);
    let error = method("inverse", "-DWRONG_INVERSE").generate(&json!({}), &system).err();
    let text = error.expect("refused").to_string();
    assert!(text.contains("row offsets of the stored inverse"), "{text}");
    let error = method("status", "-DNEW_STATUS").generate(&json!({}), &system).err();
    assert_eq!(error, Some(Error::Plugin("no reason given (status 4711)".into())));
    // NaN is data: it passes, and the solver tells. Notes come one by one.
    let m = method("nan", "-DFINE").generate(&json!({}), &system).expect("generates");
    let mut z = [0.0; 3];
    assert_eq!(m.apply(&[1.0; 3], &mut z), Ok(()));
    assert!(z.iter().all(|z| z.is_nan()));
    assert_eq!(m.notes(), ["first", "second"]);
    let error = m.apply(&[1.0; 2], &mut z).expect_err("too short");
    assert!(error.to_string().contains("3 are needed"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_read_is_told() {
    let folder = Folder::unnamed();
    let file = folder.path().join("plugins");
    fs::write(&file, "a file where a folder is expected").expect("written");
    let plugins = search(&[&file]);
    assert!(reason(&plugins, "plugins").contains("Not a directory"), "{:?}", plugins.problems());
}

#[test]
fn the_first_copy_wins_and_another_version_behind_it_is_told() {
    let (first, second, third) = (Folder::unnamed(), Folder::unnamed(), Folder::unnamed());
    let file = compile(first.path(), "faulty", "tests/c/faulty.c", INCLUDE, &[]);
    let name = "libprecondor_plugin_faulty.so";
    fs::copy(&file, second.path().join(name)).expect("copied");
    compile(third.path(), "faulty", "tests/c/faulty.c", INCLUDE, &["-DNEWER_MINOR"]);
    let plugins = search(&[first.path(), second.path(), third.path()]);
    let library = plugins.libraries().iter().find(|l| l.path.ends_with(name)).expect("loaded");
    assert!(library.path.starts_with(first.path().canonicalize().expect("there")));
    assert_eq!(library.methods, ["faulty"]);
    assert_eq!(library.digest().expect("readable").len(), 64);
    let told: Vec<_> = plugins.problems().iter().filter(|p| p.path.ends_with(name)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].path.starts_with(third.path()) && told[0].reason.contains("hidden by"));
}

#[test]
fn two_libraries_with_one_method_are_told_and_the_first_wins() {
    let folder = Folder::unnamed();
    compile(folder.path(), "faulty", "tests/c/faulty.c", INCLUDE, &[]);
    let twin = ["-DNAME=precondor_plugin_twin"];
    compile(folder.path(), "twin", "tests/c/faulty.c", INCLUDE, &twin);
    let plugins = search(&[folder.path()]);
    let text = reason(&plugins, "libprecondor_plugin_twin.so");
    assert!(text.contains("method 'faulty'") && text.contains("which comes first"), "{text}");
    // The folder decides, not the alphabet.
    let earlier = Folder::unnamed();
    compile(earlier.path(), "a", "tests/c/faulty.c", INCLUDE, &["-DNAME=precondor_plugin_a"]);
    let plugins = search(&[folder.path(), earlier.path()]);
    let text = reason(&plugins, "libprecondor_plugin_a.so");
    assert!(text.contains("'faulty' is hidden by that of"), "{text}");
    let origin = plugins.registry().get("faulty").expect("there").origin();
    assert!(origin.ends_with("libprecondor_plugin_faulty.so"), "{origin}");
}

#[test]
fn an_unknown_method_lists_what_is_there_and_where_it_looked() {
    let folder = Folder::unnamed();
    let plugins = search(&[folder.path()]);
    let text = plugins.get("jacoby").err().expect("unknown").to_string();
    assert!(text.contains("did you mean 'jacobi'?"), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
}
