//! `tune`: what is found holds on systems that were held out, nothing is said of others, and the best so far survives.
use crate::plugins::faulty;
use crate::support::{Folder, Ran, precondor, program, run, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

/// Iterations follow from the seed, times do not.
const COUNTED: &str = "measure = 'iterations'\nconfigurations = 60\nbudget = 600\n";

fn tune(folder: &Folder, text: &str, args: &[&str]) -> Ran {
    let path = folder.file("tune.toml", text);
    let mut command = program();
    command.arg("tune").arg(path).args(args).arg("--plugin-path").arg(folder.path());
    run(command.current_dir(folder.path()))
}

/// The fields of `race.csv` that times have no part in.
fn trials(report: &Path) -> Vec<[String; 7]> {
    let text = std::fs::read_to_string(report.join("race.csv")).expect("trials");
    let mut lines = text.lines().map(fields);
    let head = lines.next().expect("a head");
    let of = |name: &str| head.iter().position(|field| field == name).expect("a column");
    let columns =
        ["stage", "label", "method", "parameters", "solver", "iterations", "error"].map(of);
    lines.map(|line| columns.map(|column| line[column].clone())).collect()
}

/// The fields of a line of CSV.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("one").push(letter),
        }
    }
    fields
}

fn section<'d>(document: &'d Value, id: &str) -> &'d Value {
    let sections = document["sections"].as_array().expect("sections");
    sections.iter().find(|section| section["id"] == id).unwrap_or_else(|| panic!("no section {id}"))
}

/// Iterations of the finalists, each with what it is.
fn finalists(document: &Value) -> Vec<(String, f64)> {
    let rows = section(document, "held_out")["tables"][0]["rows"].as_array().expect("rows");
    let of = |row: &Value| {
        let values = &row["values"];
        let mean = values["iterations"]["mean"].as_f64().expect("a count");
        (values["role"].as_str().expect("a text").to_owned(), mean)
    };
    rows.iter().map(of).collect()
}

#[test]
fn what_is_found_beats_the_defaults_on_held_out_systems_and_runs() {
    let folder = Folder::new("tune-found");
    let text = format!(
        "[problem]\nkind = 'diffusion'\nmesh = 'delaunay'\nlevel = 4\nsamples = 8\n[solver]\nmethod = 'cg'\n[tune]\n\
         methods = ['amg', 'ic', 'jacobi', {{ name = 'gauss-seidel', sweep = 'symmetric' }}]\n{COUNTED}"
    );
    let report = folder.path().join("report");
    let said = ["--json", "--report", report.to_str().expect("text")];
    let ran = tune(&folder, &text, &said);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_eq!((&document["gap"], &document["complete"]), (&true.into(), &true.into()));
    // As many fresh systems as half of those that are practised on.
    let finalists = finalists(&document);
    assert_eq!(finalists[0].0, "tuned");
    assert!(finalists[1..].iter().all(|(_, mean)| *mean > finalists[0].1), "{finalists:?}");
    let told = document["readings"][0].as_str().expect("a statement");
    assert!(told.contains("% less iterations than amg (geometric mean over 4 systems"), "{told}");

    // The configuration that was written solves a held-out system in as many iterations as were told.
    let solved = run(program().current_dir(folder.path()).args(["solve", "tuned.toml", "--json"]));
    assert_eq!(solved.code, 0, "{}", solved.err);
    let first = trials(&report)
        .into_iter()
        .find(|t| t[0] == "held out" && t[1].ends_with("system 0"))
        .expect("a trial");
    let solved = solved.json();
    assert_eq!(solved["iterations"].to_string(), first[5]);
    let written = std::fs::read_to_string(folder.path().join("tuned.toml")).expect("written");
    assert!(written.starts_with(&format!("# {told}\n")), "{written}");
    // And so do the finalists, for `compare`.
    let compared = run(program().current_dir(&report).args([
        "compare",
        "finalists.toml",
        "--json",
        "--set",
        "repeats=1",
    ]));
    assert_eq!(compared.code, 0, "{}", compared.err);
    let document = compared.json();
    let rows = section(&document, "case_0")["tables"][0]["rows"].as_array().expect("rows");
    let again = rows.iter().map(|row| row["values"]["iterations"]["mean"].as_f64());
    let again: Vec<f64> = again.map(|mean| mean.expect("a count")).collect();
    assert_eq!(again, finalists.iter().map(|(_, mean)| *mean).collect::<Vec<_>>());

    let page = std::fs::read_to_string(report.join("index.html")).expect("a page");
    for part in [
        "Every trial that solved its system",
        "The least of each method so far",
        "On held-out systems",
    ] {
        assert!(page.contains(part), "no '{part}'");
    }

    // The same seed draws the same, another one does not.
    let drawn = trials(&report);
    let again = tune(&folder, &text, &[&said[..], &["--force"]].concat());
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(trials(&report), drawn);
    let other = tune(&folder, &text, &[&said[..], &["--force", "--set", "tune.seed=7"]].concat());
    assert_eq!(other.code, 0, "{}", other.err);
    assert_ne!(trials(&report), drawn);
}

/// Every method that is there, at once: what is drawn of their schemas is within these, and none is in the way of others.
#[test]
fn all_methods_race_and_what_is_drawn_is_within_their_schemas() {
    let folder = Folder::new("tune-all");
    let text = "[problem]\nkind = 'poisson'\nlevel = 3\nsamples = 3\n[tune]\nmeasure = 'products'\n\
                configurations = 120\nbudget = 600\n";
    let report = folder.path().join("report");
    let ran = tune(&folder, text, &["--report", report.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let all = trials(&report);
    let methods: BTreeSet<&str> = all.iter().map(|trial| trial[2].as_str()).collect();
    for there in ["none", "jacobi", "amg", "multigrid", "ilu", "mlp-fsai", "spai"] {
        assert!(methods.contains(there), "{methods:?}");
    }
    // Those that pass on what others do are not among them.
    for other in ["auto", "composite", "fieldsplit", "filter", "schwarz"] {
        assert!(!methods.contains(other), "{other}");
    }
    for trial in &all {
        for why in ["there is no such key", "must be", "is not of type", "is not one of"] {
            assert!(!trial[6].contains(why), "{trial:?}");
        }
    }
    assert!(all.iter().any(|trial| trial[3] != "{}"));
}

/// Files of a suite are held out by the seed, and none of them is raced on.
#[test]
fn held_out_files_are_not_raced_on() {
    let folder = Folder::new("tune-files");
    for seed in 0..6 {
        let (level, seed) = ("problem.level=3", format!("problem.seed={seed}"));
        let path = folder.path().join(format!("{}.mtx", &seed[13..]));
        let words = ["problem", "--set", level, "--set", &seed, "-o", path.to_str().expect("text")];
        assert_eq!(precondor(words).code, 0);
    }
    // One twice: where it is held out, it is one that was there before.
    std::fs::copy(folder.path().join("0.mtx"), folder.path().join("copy.mtx")).expect("copied");
    let text = format!(
        "[problem]\nmatrices = '*.mtx'\n[tune]\nmethods = ['fsai', 'ic']\nheld_out = 0.4\n{COUNTED}"
    );
    let report = folder.path().join("report");
    let mut held = BTreeSet::new();
    for seed in ["0", "1"] {
        let set = format!("tune.seed={seed}");
        let args = ["--report", report.to_str().expect("text"), "--force", "--set", &set, "--json"];
        let ran = tune(&folder, &text, &args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let all = trials(&report);
        let of = |held: bool| -> BTreeSet<String> {
            let mine = all.iter().filter(|trial| (trial[0] == "held out") == held);
            mine.map(|trial| trial[1].clone()).collect()
        };
        let (raced, told) = (of(false), of(true));
        assert!(raced.is_disjoint(&told), "{raced:?} {told:?}");
        let same = |all: &BTreeSet<String>| all.contains("0") || all.contains("copy");
        assert!(!(same(&raced) && same(&told)), "{raced:?} {told:?}");
        assert!(!told.is_empty() && told.len() <= 3);
        held.insert(told);
        // The winner is written with a file that it was not tuned on.
        let written = std::fs::read_to_string(folder.path().join("tuned.toml")).expect("written");
        assert!(written.contains("matrix = \""), "{written}");
    }
    assert_eq!(held.len(), 2, "another seed holds out others");
}

#[test]
fn other_systems_may_be_held_out_and_a_given_configuration_is_to_be_beaten() {
    let folder = Folder::new("tune-other");
    let text = format!(
        "[problem]\nkind = 'poisson'\nlevel = 3\nsamples = 3\n[held_out]\nkind = 'poisson'\nlevel = 4\nsamples = 2\n\
         [solver]\nmethod = 'cg'\n[preconditioner]\nname = 'amg'\nstrength = 0.5\n\
         [tune]\nmethods = ['jacobi']\n{COUNTED}"
    );
    let ran = tune(&folder, &text, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let roles: Vec<String> = finalists(&document).into_iter().map(|(role, _)| role).collect();
    assert!(roles.iter().any(|role| role.contains("given")), "{roles:?}");
    let notes = section(&document, "held_out")["notes"][0].as_str().expect("a note");
    assert!(notes.contains("level 4, system 0; level 4, system 1"), "{notes}");
    assert!(!notes.contains("level 3"), "{notes}");
}

/// Where nothing can be drawn the default stays, and that is said.
#[test]
fn no_gap_is_said() {
    let folder = Folder::new("tune-none");
    let text = format!(
        "[problem]\nkind = 'poisson'\nlevel = 3\nsamples = 3\n[tune]\nmethods = ['jacobi', 'none']\n{COUNTED}"
    );
    let ran = tune(&folder, &text, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("→ Nothing better was found than "), "{}", ran.out);
    assert!(ran.out.contains("the race ended as nothing new could be drawn"), "{}", ran.out);
}

#[test]
fn a_method_that_hangs_or_crashes_costs_its_own_trials_only() {
    let folder = Folder::new("tune-faulty");
    for (fault, outcome) in [("HANGS_IN_APPLY", "time-limit"), ("EXITS_IN_GENERATE", "crashed")] {
        faulty(&folder, fault);
        let text = "[problem]\nkind = 'poisson'\nlevel = 3\nsamples = 2\n[solver]\nmethod = 'gmres'\n[tune]\n\
                    methods = ['faulty', 'jacobi']\nmeasure = 'iterations'\ntime_limit = 0.3\nbudget = 600\nconfigurations = 4\n";
        let report = folder.path().join("report");
        let ran =
            tune(&folder, text, &["--force", "--json", "--report", report.to_str().expect("text")]);
        assert_eq!(ran.code, 0, "{fault}: {}", ran.err);
        assert_eq!(ran.json()["winner"]["preconditioner"]["name"], "jacobi", "{fault}");
        let text = std::fs::read_to_string(report.join("race.csv")).expect("trials");
        let line = text.lines().find(|line| line.contains(",faulty,")).expect("a trial");
        assert!(line.contains(outcome), "{line}");
    }
}

#[test]
fn a_signal_leaves_the_best_so_far() {
    let folder = Folder::new("tune-signal");
    let text = "[problem]\nkind = 'poisson'\nlevel = 4\n[tune]\nmethods = ['amg', 'ic']\nbudget = 10_000\n";
    let config = folder.file("tune.toml", text);
    let output = folder.path().join("tuned.toml");
    let mut command = program();
    command.arg("tune").arg(&config).arg("--output").arg(&output);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // It is there as soon as something is better than others, while the race goes on.
    wait_for(&output);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    let ended = child.wait_with_output().expect("it ends");
    let (out, err) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(130), "{err}");
    assert!(
        out.contains("INCOMPLETE: ") && out.contains("nothing is said of how it does there"),
        "{out}"
    );
    assert!(err.contains("interrupted by SIGINT: the best so far is in "), "{err}");
    let solved = precondor(["solve".as_ref(), output.as_os_str()]);
    assert_eq!(solved.code, 0, "{}", solved.err);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let folder = Folder::new("tune-mistakes");
    folder.file("a.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n2 2 2\n");
    const POISSON: &str = "[problem]\nkind = 'poisson'\nlevel = 3\n";
    for (text, why) in [
        ("[problem]\nmatrix = 'a.mtx'\n".to_owned(), "one matrix only: what wins there is no news"),
        (
            "[problem]\nkind = 'cube'\nnodes = 4\n".into(),
            "every system of [problem] has the same matrix",
        ),
        (format!("{POISSON}[tune]\nmethods = ['amgg']\n"), "5:12: no preconditioner 'amgg'"),
        (format!("{POISSON}[tune]\nmethods = []\n"), "at least one is needed"),
        (
            format!("{POISSON}[tune]\nmethods = [{{ name = 'amg', strngth = 1 }}]\n"),
            "did you mean 'strength'?",
        ),
        (format!("{POISSON}[tune]\nbudget = 0\n"), "'budget': 0 must be greater than 0"),
        (format!("{POISSON}[tune]\nbudgt = 3\n"), "did you mean 'budget'?"),
        (format!("{POISSON}[tune]\nmeasure = 'speed'\n"), "is not one of"),
        (
            format!("{POISSON}[solver]\nmethod = 'cg'\n[tune]\nsolvers = ['cg']\n"),
            "give one of both",
        ),
        (format!("{POISSON}[tune]\nsolvers = []\n"), "at least one is needed"),
        (
            format!("{POISSON}[solver]\nbackend = 'petsc'\n"),
            "tune races Precondor's own iterations",
        ),
        (format!("{POISSON}[solver]\nstop = 'absolute-error'\n"), "tune stops at residuals"),
        (format!("{POISSON}[solver]\nrestart = 50\n"), "'restart': goes with a 'method' only"),
        (format!("{POISSON}[[run]]\npreconditioner = 'ic'\n"), "'run': there is no such key"),
        (format!("{POISSON}[held_out]\nmatrices = '*.petsc'\n"), "finds no file"),
        ("[tune]\nbudget = 3\n".into(), "section [problem] is missing"),
    ] {
        tune(&folder, &text, &[]).fails_with(&[why]);
    }
    folder.file("tuned.toml", "precious\n");
    tune(&folder, POISSON, &[]).fails_with(&["tuned.toml", "--force replaces it"]);
    assert_eq!(std::fs::read(folder.path().join("tuned.toml")).expect("there"), b"precious\n");
    // Nobody who solves, with the reasons.
    let text = format!("{POISSON}[tune]\nmethods = ['fieldsplit']\nbudget = 3\n");
    tune(&folder, &text, &["--force"])
        .fails_with(&["no configuration solves the first system", "fieldsplit: "]);
}
