//! Solves whose preconditioner fails, through the program: what is noticed, told and reached.
use crate::plugins::faulty;
use crate::support::{Folder, Ran, program, run, solve};
use serde_json::Value;

/// Shifts of nearly half a mesh width, where the network was never trained: unwatched, Richardson's iteration
/// diverges within ten steps, on this mesh and on others.
const FAR: &str = "
[problem]
kind = 'poisson'
level = 6
shift = 0.49
seed = 1
[solver]
method = 'richardson'
tolerance = 1e-8
[preconditioner]
name = 'mlp-reference'
";

/// The switches that JSON tells, after making sure that the solve converged.
fn switches(ran: &Ran) -> Vec<Value> {
    switches_at(ran, 1e-8)
}

/// The same for a solve to `tolerance`.
fn switches_at(ran: &Ran, tolerance: f64) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let result = ran.json();
    assert_eq!(result["converged"], true, "{result}");
    assert!(
        result["true_relative_residual"].as_f64().expect("a number") <= 1.1 * tolerance,
        "{result}"
    );
    let list = result["fallback"].as_array().expect("a list").clone();
    for switch in &list {
        assert!(switch["iteration"].as_u64() <= result["iterations"].as_u64(), "{result}");
        assert!(
            ran.err.contains(switch["reason"].as_str().expect("a text")),
            "no warning: {}",
            ran.err
        );
    }
    list
}

#[test]
fn a_network_far_outside_its_training_is_left_and_the_solve_converges() {
    let folder = Folder::new("fallback-far");
    let list = switches(&solve(&folder, FAR, &["--json"]));
    assert_eq!(list[0]["to"], "cg with the same preconditioner", "{list:?}");
    // The same on coefficients that jump.
    let jump = FAR.replace("shift = 0.49", "coefficient = 'jump'\ncontrast = 1e4");
    let list = switches(&solve(&folder, &jump, &["--json"]));
    assert_eq!(list.last().unwrap()["to"], "cg with multigrid", "{list:?}");
    // Asked not to, it is not watched.
    let ran = solve(&folder, &jump, &["--json", "--set", "solver.fallback=false"]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert_eq!(ran.json()["fallback"].as_array().map(Vec::len), Some(0));
    // Where it was trained, there is nothing to tell.
    let near = FAR.replace("shift = 0.49", "shift = 0.25");
    assert!(switches(&solve(&folder, &near, &["--json"])).is_empty());
    let text = solve(&folder, FAR, &[]).out;
    let line = text.lines().find(|line| line.starts_with("fallback ")).expect("a line");
    assert!(line.contains("went on with cg with the same preconditioner"), "{line}");
}

/// The forms of `reference` that stand beside the network.
const UNLEARNED: [&str; 4] = [
    // Where no separable operator is near to A, `reference` refuses.
    "{ name = 'amg' }",
    "{ name = 'reference' }",
    "{ name = 'reference', smoother = 'chebyshev' }",
    "{ name = 'reference', smoother = 'jacobi', damping = 0.6 }",
];

/// A promise: before a solve leaves the network it has done at most five iterations more than the best unlearned
/// form takes from start to end; and one that stays with it is no slower than that.
#[test]
fn a_network_costs_at_most_five_iterations_more_than_the_best_unlearned_form() {
    let folder = Folder::new("fallback-promise");
    let mut left = 0;
    for problem in [
        "shift = 0.25",
        "shift = 0.35",
        "shift = 0.45",
        "shift = 0.49",
        "coefficient = 'smooth'",
        "coefficient = 'log-normal'",
        "coefficient = 'jump'\ncontrast = 10.0",
        "coefficient = 'jump'\ncontrast = 1e4",
    ] {
        for (level, tolerance) in [(4, 1e-5), (5, 1e-8), (6, 1e-8)] {
            let config = |preconditioner: &str, watched: bool| {
                format!(
                    "preconditioner = {preconditioner}\n[problem]\nkind = 'poisson'\nlevel = {level}\n\
                     seed = 1\n{problem}\n[solver]\nmethod = 'cg'\ntolerance = {tolerance:e}\n\
                     max_iterations = 5000\n{}",
                    if watched { "" } else { "fallback = false\n" }
                )
            };
            // Damped Jacobi is not known to be definite on meshes that are far from the reference.
            let count = |preconditioner| {
                let ran = solve(&folder, &config(preconditioner, false), &["--json"]);
                (ran.code == 0).then(|| ran.json()["iterations"].as_u64().expect("a number"))
            };
            let best = UNLEARNED.map(count).into_iter().flatten().min().expect("one at least");
            let ran = solve(&folder, &config("{ name = 'mlp-reference' }", true), &["--json"]);
            let list = switches_at(&ran, tolerance);
            let (what, result) = (format!("{problem}, level {level}"), ran.json());
            let with_network = match list.last() {
                Some(switch) => switch["iteration"].as_u64(),
                None => result["iterations"].as_u64(),
            };
            left += list.len();
            let with_network = with_network.expect("a number");
            assert!(with_network <= best + 5, "{what}: {with_network}, unlearned {best}");
            if let Some(switch) = list.last() {
                assert_eq!(switch["to"], "cg with multigrid", "{what}");
                let rest = result["iterations"].as_u64().expect("a number") - with_network;
                assert!(rest <= 40, "{what}: {rest} iterations after the switch");
            }
        }
    }
    assert!(left > 0, "nothing here was left");
}

/// A form that is fast where it works names the one that always does.
#[test]
fn the_post_only_form_of_reference_is_left_for_the_symmetric_one() {
    let folder = Folder::new("fallback-form");
    let form = |shift: &str, more: &str| {
        let form = format!("name = 'reference'\nvariant = 'post-only'\n{more}");
        FAR.replace("name = 'mlp-reference'", &form).replace("0.49", shift)
    };
    let far = form("0.49", "degree = 2\nbad_nodes = 0.0");
    let list = switches(&solve(&folder, &far, &["--json"]));
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!(list[0]["to"], "cg with reference", "{list:?}");
    let ran = solve(&folder, &far, &["--json", "--set", "solver.fallback=false"]);
    assert!(ran.json()["iterations"].as_u64() > Some(25) || ran.code == 2, "{}", ran.out);
    // Where it works there is nothing to tell.
    assert!(switches(&solve(&folder, &form("0.25", ""), &["--json"])).is_empty());
    // The symmetric form has nothing to go on with, and is not watched: slow as it is.
    let slow = FAR.replace("name = 'mlp-reference'", "name = 'reference'\nsmoother = 'none'");
    let slow = slow.replace("'richardson'", "'cg'").replace("0.49", "0.35");
    assert!(switches(&solve(&folder, &slow, &["--json"])).is_empty());
}

#[test]
fn learned_dense_inverses_are_left_as_well() {
    let folder = Folder::new("fallback-others");
    // Dense inverses of smooth problems, on a coefficient that jumps.
    let jump = "level = 3\ncoefficient = 'jump'\ncontrast = 1e4";
    let jump = FAR.replace("level = 6\nshift = 0.49", jump);
    for name in ["mlp-dense", "ridge"] {
        let config = jump.replace("mlp-reference", name);
        let list = switches(&solve(&folder, &config, &["--json"]));
        assert_eq!(list.last().expect(name)["to"], "cg with ic", "{name}: {list:?}");
        let ran = solve(&folder, &config, &["--json", "--set", "solver.fallback=false"]);
        assert_eq!(ran.code, 2, "{name}: {}", ran.out);
    }
}

#[test]
fn a_check_beforehand_saves_the_iterations() {
    let folder = Folder::new("fallback-check");
    let ran = solve(&folder, FAR, &["--json", "--set", "solver.check=lanczos"]);
    let list = switches(&ran);
    assert_eq!(list[0]["iteration"], 0, "{list:?}");
    let notes = ran.json()["notes"].to_string();
    assert!(notes.contains("spectrum of MA from "), "{notes}");
    let general = ["--json", "--set", "solver.check=lanczos", "--set", "preconditioner=ilu"];
    let near = FAR.replace("shift = 0.49", "shift = 0.25");
    let notes = solve(&folder, &near, &general).json()["notes"].to_string();
    assert!(notes.contains("not checked: the Lanczos check needs a symmetric"), "{notes}");
}

#[test]
fn any_method_may_be_given_a_replacement() {
    let folder = Folder::new("fallback-given");
    faulty(&folder, "NO_FAULT_BUT_NAN");
    let config = FAR.replace("mlp-reference", "faulty").replace("0.49", "0.25");
    let solve = |fallback: &str| {
        let path = folder.file("config.toml", &config);
        let set = format!("solver.fallback={fallback}");
        let mut command = program();
        command.arg("solve").arg(path).args(["--json", "--set", &set, "--plugin-path"]);
        run(command.arg(folder.path()))
    };
    let list = switches(&solve("{ preconditioner = 'ic' }"));
    assert_eq!((list[0]["to"].as_str(), list.len()), (Some("cg with ic"), 1));
    assert!(list[0]["reason"].as_str().unwrap().contains("returned NaN in global row"));
    solve("{ preconditioner = 'icc' }").fails_with(&["no preconditioner 'icc'", "'ic'"]);
    solve("{ preconditioner = { name = 'ic', shifd = 1 } }").fails_with(&["shifd"]);
    assert_eq!(solve("true").code, 2, "nothing to go on with");
}

#[test]
fn tables_mark_what_a_fallback_solved() {
    let folder = Folder::new("fallback-compare");
    let text = FAR.replace("[preconditioner]\nname =", "[[run]]\npreconditioner =");
    let config = folder.file("compare.toml", &text);
    let compare = |more: &[&str]| {
        let report = folder.path().join("report");
        run(program().arg("compare").arg(&config).args(more).arg("--report").arg(report))
    };
    let ran = compare(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("converged by fallback"), "{}", ran.out);
    assert!(ran.out.contains("fallback on 1 of 1: after "), "{}", ran.out);
    let csv = std::fs::read_to_string(folder.path().join("report/results.csv")).unwrap();
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().contains(",error,fallback,"));
    assert!(lines.next().unwrap().contains("went on with cg"), "{csv}");
    let page = std::fs::read_to_string(folder.path().join("report/index.html")).unwrap();
    assert!(page.contains("fallback on 1 of 1"));
    let json = compare(&["--json"]).json();
    let switch = &json["sections"][0]["tables"][0]["rows"][0]["systems"][0]["fallback"][0];
    assert_eq!(switch["to"], "cg with the same preconditioner", "{json}");
}
