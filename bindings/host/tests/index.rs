//! Which libraries are opened: this test is a program that is called again, as one that looks at libraries in children,
//! as one that does not, and as the child.
use precondor_core::comm::Comm;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::problem::Problem;
use precondor_core::system::System;
use precondor_host::{PROBE, Plugins, Search, look_in_children, probe_child};
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

const INCLUDE: &str = "bindings/abi/include";
const SOURCE: &str = "tests/c/faulty.c";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    match words.as_slice() {
        [PROBE, path] => return probe_child(path.as_ref()),
        ["children", then @ ..] => {
            look_in_children();
            lists(then);
        }
        ["itself", then @ ..] => lists(then),
        ["uses", name] => uses(&found(), name),
        ["children-make", kind] => {
            look_in_children();
            makes(&found(), kind);
        }
        ["makes", kind] => makes(&found(), kind),
        // What cargo says to a test.
        _ => {
            libraries_are_opened_when_they_are_needed();
            one_that_is_not_known_is_opened_where_it_may_have_what_is_asked_for();
            an_index_is_not_believed_blindly();
            one_that_crashes_disables_nothing_else();
            families_are_found_as_methods_are();
            println!("test index ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn found() -> Plugins {
    Plugins::load(&Search { extra: vec![], base: ".".into() }).expect("a folder")
}

/// Prints the methods of `PRECONDOR_PATH` and the problems; then does what `then` says.
fn lists(then: &[&str]) {
    let plugins = found();
    for method in plugins.registry().iter() {
        println!("{} {} {}", method.name(), method.summary(), method.schema());
    }
    plugins.problems().iter().for_each(|p| println!("problem {}: {}", p.path.display(), p.reason));
    let [word, name, path @ ..] = then else { return };
    if let (&"touch", [path]) = (word, path) {
        fs::write(path, fs::read(path).expect("there")).expect("written");
    }
    uses(&plugins, name);
}

/// Sets a method up.
fn uses(plugins: &Plugins, name: &str) {
    let a = Csr::new(1, vec![0, 1], vec![0], vec![1.0]).expect("a matrix");
    let system = System::new(DistCsr::solo(a).expect("square")).with_host(plugins.host());
    match plugins.get(name).and_then(|method| method.generate(&json!({}), &system)) {
        Ok(_) => println!("used"),
        Err(e) => println!("not used: {e}"),
    }
}

/// Makes a system of a kind of problem.
fn makes(plugins: &Plugins, kind: &str) {
    let made = Problem::among(&json!({ "kind": kind }), plugins);
    match made.and_then(|problem| problem.generate(Comm::solo())) {
        Ok((system, _)) => println!("{} unknowns", system.a().n_own()),
        Err(e) => println!("not made: {e}"),
    }
}

/// A folder with a library that counts how often it is opened, and a folder for the index.
struct Place {
    folder: Folder,
    trace: PathBuf,
    library: PathBuf,
    cache: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = Folder::unnamed();
        let (trace, cache) = (folder.path().join("trace"), folder.path().join("cache"));
        let define = format!("-DTRACE=\"{}\"", trace.display());
        let library = compile(folder.path(), "faulty", SOURCE, INCLUDE, &[&define]);
        Place { folder, trace, library, cache }
    }

    /// This program with these words, and what it prints.
    fn run(&self, words: &[&str]) -> String {
        self.run_as(|command| command.args(words))
    }

    /// Whether this program, which looks at nothing in children, sets a method up; else what it says. It lists nothing.
    fn uses(&self, name: &str) -> Result<(), String> {
        let ran = self.command().args(["uses", name]).output().expect("it starts");
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        let used = ran.status.success() && text.ends_with("used\n") && !text.contains("not used");
        if used { Ok(()) } else { Err(format!("{} {text}", ran.status)) }
    }

    /// Compiles a library of this name beside the first, whose method is `faulty`.
    fn further(&self, name: &str, more: &[&str]) -> PathBuf {
        let symbol = format!("-DNAME=precondor_plugin_{name}");
        let more = [more, &[symbol.as_str()]].concat();
        compile(self.folder.path(), name, SOURCE, INCLUDE, &more)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.env("XDG_CACHE_HOME", &self.cache).env("PRECONDOR_PATH", self.folder.path());
        command.env("XDG_DATA_HOME", "/nonexistent");
        command
    }

    fn run_as(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> String {
        let mut command = self.command();
        let ran = change(&mut command).output().expect("it starts");
        let text = String::from_utf8(ran.stdout).expect("text");
        assert!(ran.status.success(), "{text}{}", String::from_utf8_lossy(&ran.stderr));
        assert!(text.contains("faulty has one fault {"), "{text}");
        assert!(text.contains("jacobi "), "what is beside the program: {text}");
        text
    }

    /// How often the library was opened so far.
    fn opened(&self) -> usize {
        fs::read_to_string(&self.trace).unwrap_or_default().lines().count()
    }

    fn index(&self) -> PathBuf {
        self.cache.join("precondor/plugins.index")
    }

    /// Waits until a change of the library would show.
    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(3100));
    }
}

fn libraries_are_opened_when_they_are_needed() {
    for how in ["children", "itself"] {
        let place = Place::new();
        place.settle();
        place.run(&[how]);
        assert_eq!(place.opened(), 1, "{how}: at first sight");
        assert!(place.index().is_file());
        place.run(&[how]);
        place.run(&["itself"]);
        assert_eq!(place.opened(), 1, "{how}: it is known");
        let text = place.run(&[how, "use", "jacobi"]);
        assert!(text.contains("used") && place.opened() == 1, "{how}: another one is needed");
        let text = place.run(&[how, "use", "faulty"]);
        assert!(text.contains("used") && place.opened() == 2, "{how}: it is needed, {text}");

        // One that changes under a program is not what the program knows.
        let path = place.library.display().to_string();
        let text = place.run(&[how, "touch", "faulty", &path]);
        let why = "it was changed while the program ran: start again";
        assert!(text.contains(&format!("not used: {path}: {why}")), "{text}");
        // One that was changed just now is asked each time.
        let before = place.opened();
        place.run(&[how]);
        assert_eq!(place.opened(), before + 1, "{how}");

        // Another library in its place, of the same length and time.
        place.settle();
        place.run(&[how]);
        let kept = place.library.metadata().and_then(|there| there.modified()).expect("a time");
        let bytes = fs::read(&place.library).expect("a library");
        let at = bytes.windows(8).position(|word| word == b"one faul").expect("its summary");
        let other = [&bytes[..at], b"two faul", &bytes[at + 8..]].concat();
        fs::write(&place.library, other).expect("written");
        let file = fs::File::options().write(true).open(&place.library).expect("a file");
        file.set_modified(kept).expect("set");
        let mut command = place.command();
        let said = command.arg(how).output().expect("it starts").stdout;
        assert!(String::from_utf8_lossy(&said).contains("faulty has two fault"), "{how}");
    }
}

fn one_that_is_not_known_is_opened_where_it_may_have_what_is_asked_for() {
    let place = Place::new();
    let crash = place.further("crash", &["-DCRASH"]);
    let ends = |said: Result<(), String>| {
        let said = said.expect_err("a library crashed");
        assert!(said.contains("signal: 6"), "{said}");
    };
    // The method of another library, known or not, by its name.
    for _ in 0..2 {
        assert_eq!(place.uses("jacobi"), Ok(()));
        assert_eq!(place.opened(), 0);
    }
    // By its own name.
    assert_eq!(place.uses("faulty"), Ok(()));
    assert_eq!(place.opened(), 1);
    // What nothing has that is known: all are opened, and a list is whole.
    ends(place.uses("missing"));
    ends(
        place.command().arg("itself").output().map_err(|e| e.to_string()).and_then(|ran| {
            if ran.status.success() { Ok(()) } else { Err(ran.status.to_string()) }
        }),
    );
    fs::remove_file(&crash).expect("removed");
    let said = place.uses("missing").expect_err("it is not there");
    assert!(said.contains("no preconditioner 'missing'") && said.contains("faulty"), "{said}");
    place.run(&["itself"]);

    // A library of another name than its method, and one that has none and says why.
    fs::remove_file(&place.library).expect("removed");
    let define = format!("-DTRACE=\"{}\"", place.trace.display());
    let odd = place.further("odd", &[&define]);
    let newer = place.further("newer", &["-DNEWER_ABI"]);
    assert_eq!(place.uses("faulty"), Ok(()));
    let said = place.uses("missing").expect_err("it is not there");
    assert!(said.contains("not loaded: ") && said.contains("it speaks plugin ABI"), "{said}");
    fs::remove_file(newer).expect("removed");
    // What it had before it was changed it may have still: nothing else is opened.
    place.settle();
    place.run(&["children"]);
    place.further("crash", &["-DCRASH"]);
    fs::write(&odd, fs::read(&odd).expect("there")).expect("written");
    let before = place.opened();
    assert_eq!(place.uses("faulty"), Ok(()));
    assert_eq!(place.opened(), before + 1);
}

fn an_index_is_not_believed_blindly() {
    let place = Place::new();
    place.settle();
    place.run(&["children"]);
    let whole = fs::read(place.index()).expect("an index");
    let mut flipped = whole.clone();
    let at = whole.windows(7).position(|word| word == b"summary").expect("a key");
    flipped[at] ^= 1;
    let later = String::from_utf8_lossy(&whole).replace("ABI", "ABJ").into_bytes();
    for damaged in [&flipped[..], &whole[..whole.len() / 2], b"", b"\n", b"{}", &later] {
        fs::write(place.index(), damaged).expect("written");
        let before = place.opened();
        place.run(&["children"]);
        assert_eq!(place.opened(), before + 1, "asked again");
        assert_eq!(fs::read(place.index()).expect("made anew"), whole);
    }
    // One that others may write.
    set_mode(&place.index(), 0o666);
    let before = place.opened();
    place.run(&["children"]);
    assert_eq!(place.opened(), before + 1, "not believed");
    place.run(&["children"]);
    assert_eq!(place.opened(), before + 1, "made anew, and believed");

    // No place to keep it: a folder in its place, a file in the place of the folder, no home.
    fs::remove_file(place.index()).expect("removed");
    fs::create_dir(place.index()).expect("a folder");
    let before = place.opened();
    place.run(&["children"]);
    place.run(&["itself"]);
    let with =
        |cache: &str| place.run_as(|command| command.arg("children").env("XDG_CACHE_HOME", cache));
    with(place.library.to_str().expect("text"));
    with("relative");
    place.run_as(|command| command.arg("children").env_remove("HOME").env_remove("XDG_CACHE_HOME"));
    assert_eq!(place.opened(), before + 5, "asked each time");
    fs::remove_dir(place.index()).expect("removed");
    assert!(!Path::new("relative").exists());

    // Several at once, none of which finds an index.
    let start = |k: usize| {
        let mut command = place.command();
        command.arg(["children", "itself"][k % 2]).stdout(std::process::Stdio::piped());
        command.spawn().expect("it starts")
    };
    let running: Vec<_> = (0..4).map(start).collect();
    for one in running {
        let ran = one.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && text.contains("faulty has one fault"), "{text}");
    }
    let before = place.opened();
    place.run(&["children"]);
    assert_eq!(place.opened(), before, "what they left is whole");
    let left: Vec<_> = fs::read_dir(place.cache.join("precondor")).expect("there").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

fn one_that_crashes_disables_nothing_else() {
    let place = Place::new();
    place.further("crash", &["-DCRASH"]);
    place.further("leaves", &["-DNEWER_ABI"]);
    for _ in 0..2 {
        let text = place.run(&["children", "use", "faulty"]);
        assert!(text.contains("used"), "{text}");
        let problems: Vec<&str> = text.lines().filter(|l| l.starts_with("problem")).collect();
        let has = |name: &str, why: &str| {
            problems.iter().any(|line| line.contains(name) && line.contains(why))
        };
        assert!(has("plugin_crash.so", "it crashes while it is loaded (signal 6)"), "{text}");
        assert!(has("plugin_leaves.so", "it speaks plugin ABI"), "{text}");
    }
}

/// A kind of problem is looked for as a method is: first where it is known or its library's name says so, then
/// everywhere; what is known is opened when a system is made.
fn families_are_found_as_methods_are() {
    let place = Place::new();
    let springs = |name: &str| {
        let symbol = format!("-DNAME=precondor_plugin_{name}");
        compile(place.folder.path(), name, "tests/c/springs.c", INCLUDE, &[&symbol, "-lm"])
    };
    let made = |word: &str, kind: &str| {
        let ran = place.command().args([word, kind]).output().expect("it starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text")
    };
    let library = springs("springs");
    assert_eq!(made("makes", "springs"), "100 unknowns\n");
    assert_eq!(place.opened(), 0, "no other library is opened");
    let said = made("makes", "spring");
    assert!(said.contains("no problem of kind 'spring'; did you mean 'springs'?"), "{said}");
    fs::remove_file(library).expect("removed");
    springs("odd");
    assert_eq!(made("makes", "springs"), "100 unknowns\n");
    place.settle();
    for word in ["children-make", "makes"] {
        assert_eq!(made(word, "springs"), "100 unknowns\n");
    }
    let before = place.opened();
    assert_eq!(made("makes", "springs"), "100 unknowns\n");
    assert_eq!(place.opened(), before, "it is known which library has it");
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}
