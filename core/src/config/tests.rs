use super::*;
use crate::schema::{self, Fault};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    name: String,
    damping: f64,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    #[schemars(range(max = 2.0))]
    damping: f64,
    inner: Inner,
}

/// Knows one method, `wrap`.
fn check(name: &str, params: &Value) -> Result<Option<Fault>> {
    match name {
        "wrap" => Ok(schema::fault(&schema::of::<Params>(), params)),
        _ => Err(Error::Parameter(format!("no preconditioner '{name}'"))),
    }
}

fn tree(text: &str) -> Node {
    parse("run.toml", Path::new("/configs"), text).unwrap()
}

fn message<T>(result: Result<T>) -> String {
    result.err().map_or_else(|| "no error".into(), |e| e.to_string())
}

#[test]
fn an_unknown_key_is_shown_with_its_place_and_the_nearest_known_one() {
    let root = tree("# a run\n[solver]\n  dampin = 0.5\n");
    let got = message(SolverConfig::from_node(root.get("solver").unwrap()));
    let want = "run.toml:3:3: 'dampin': there is no such key; did you mean 'damping'? (known: ";
    assert!(got.starts_with(want), "{got}");
    assert!(got.ends_with("\n   |\n 3 |   dampin = 0.5\n   |   ^^^^^^"), "{got}");
}

#[test]
fn values_out_of_range_or_of_another_type_are_pointed_at() {
    for (text, want) in [
        ("damping = -1", "run.toml:2:11: 'damping': -1 must be greater than 0"),
        ("tolerance = \"x\"", "run.toml:2:13: 'tolerance': \"x\" is not of type number"),
        ("method = \"richardsen\"", "did you mean \"richardson\"?"),
        ("method = \"cg\"\ndamping = 0.5", "run.toml:3:1: 'damping': cg has no such parameter"),
        ("tolerance = nan", "run.toml:2:13: nan is out of range or not a finite number"),
        ("tolerance = 1979-05-27", "a date has no use here"),
        ("tolerance = ", "run.toml:2:"),
        ("tolerance = 1\ntolerance = 2", "run.toml:3:1: duplicate key"),
    ] {
        let text = format!("[solver]\n{text}\n");
        let root = parse("run.toml", Path::new(""), &text);
        let got = message(root.and_then(|r| SolverConfig::from_node(r.get("solver").unwrap())));
        assert!(got.contains(want), "{text}: {got}");
    }
}

#[test]
fn the_caret_stays_under_what_it_points_at() {
    let root = tree("solver = { tolerance = 1e-5,\tstop = \"é\", damping = 'ü' }");
    let got = message(SolverConfig::from_node(root.get("solver").unwrap()));
    let lines: Vec<&str> = got.lines().collect();
    let caret = lines[3].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[2].chars().nth(caret), Some('\''), "{got}");
    let long =
        format!("solver = {{ {} dampin = 1 }}", "tolerance = 1,".to_owned() + &" ".repeat(900));
    let got = message(SolverConfig::from_node(tree(&long).get("solver").unwrap()));
    let lines: Vec<&str> = got.lines().collect();
    assert!(lines.iter().skip(1).all(|line| line.len() < 130), "{got}");
    let caret = lines[3].find('^').unwrap();
    assert!(lines[2][caret..].starts_with("dampin"), "{got}");
}

#[test]
fn overrides_replace_add_and_name_the_flag() {
    let mut root = tree("[preconditioner]\nname = \"wrap\"\n[[run]]\nlabel = \"a\"\n");
    for flag in [
        "preconditioner.damping=1.5",
        "preconditioner.inner=wrap",
        "preconditioner.inner.damping=1",
        "run.0.label=some words",
        "solver.tolerance = 1e-3",
    ] {
        set(&mut root, flag).unwrap();
    }
    assert_eq!(
        root.get("preconditioner").unwrap().json(),
        json!({
            "name": "wrap", "damping": 1.5, "inner": {"name": "wrap", "damping": 1}
        })
    );
    assert_eq!(root.get("run").unwrap().json(), json!([{"label": "some words"}]));
    assert_eq!(SolverConfig::from_node(root.get("solver").unwrap()).unwrap().tolerance, 1e-3);
    for (flag, why) in [
        (
            "preconditioner.damping=3",
            "--set preconditioner.damping=3: 'damping': 3 must be at most 2",
        ),
        (
            "preconditioner.inner.dampin=3",
            "'dampin': there is no such key; did you mean 'damping'?",
        ),
        ("preconditioner.name=rap", "no preconditioner 'rap'"),
        ("run.1.label=x", "'1' is not one of the 1 items"),
        ("preconditioner.damping.x=1", "there is the value 1.5 where 'x' would go"),
        ("preconditioner", "it must look like section.key=value"),
        ("a..b=1", "is not a path of keys"),
    ] {
        let mut changed = root.clone();
        let result = set(&mut changed, flag)
            .and_then(|()| method(changed.get("preconditioner").unwrap(), check));
        let got = message(result);
        assert!(got.contains(why) && got.starts_with(&format!("--set {flag}")), "{flag}: {got}");
    }
}

#[test]
fn flags_pick_from_a_list_and_fill_the_ones_they_made() {
    let mut root = tree("[preconditioner]\nmethods = [\"a\", {name = \"b\"}]\n");
    for flag in ["p.list.0.name=x", "p.list.1=y", "p.list.1.damping=2", "p.list.2.list.0=z"] {
        set(&mut root, flag).unwrap();
    }
    let made = json!({"list": [{"name": "x"}, {"name": "y", "damping": 2}, {"list": ["z"]}]});
    assert_eq!(root.get("p").unwrap().json(), made);
    for flag in ["preconditioner.methods.0.damping=1", "preconditioner.methods.1.name=c"] {
        set(&mut root, flag).unwrap();
    }
    let picked = json!({"methods": [{"name": "a", "damping": 1}, {"name": "c"}]});
    assert_eq!(root.get("preconditioner").unwrap().json(), picked);
    for (flag, why) in [
        ("preconditioner.methods.2=d", "'2' is not one of the 2 items, 0 the first"),
        ("p.list.5=d", "'5' is not one of the 3 items, 0 the first"),
        ("p.list.name=d", "'name' is not one of the 3 items, 0 the first"),
    ] {
        let got = message(set(&mut root.clone(), flag));
        assert_eq!(got, format!("--set {flag}: {why}"));
    }
}

#[test]
fn a_flag_that_does_not_go_with_the_file_is_blamed_itself() {
    let mut root = tree("[solver]\nmethod = \"richardson\"\ndamping = 0.7\n");
    set(&mut root, "solver.method=cg").unwrap();
    let got = message(SolverConfig::from_node(root.get("solver").unwrap()));
    let want = "--set solver.method=cg: cg has no parameter 'damping', which run.toml:3:1 gives; \
                take it out there";
    assert_eq!(got, want);
    set(&mut root, "solver.damping=0.5").unwrap();
    let got = message(SolverConfig::from_node(root.get("solver").unwrap()));
    assert_eq!(got, "--set solver.damping=0.5: 'damping': cg has no such parameter");
}

#[test]
fn a_fallback_is_a_switch_or_a_table() {
    let read = |text: &str| {
        SolverConfig::from_node(tree(&format!("[solver]\n{text}\n")).get("solver").unwrap())
    };
    assert_eq!(read("tolerance = 1").unwrap().fallback, None);
    assert_eq!(read("fallback = false").unwrap().fallback, Some(FallbackConfig::Switch(false)));
    let plan = FallbackPlan { preconditioner: Some(json!("ic")), contraction: Some(0.5) };
    let table = "fallback = { preconditioner = \"ic\", contraction = 0.5 }";
    assert_eq!(read(table).unwrap().fallback, Some(FallbackConfig::Plan(plan)));
    assert_eq!(read("check = \"lanczos\"").unwrap().check, Some(Check::Lanczos));
    for (text, want) in [
        ("fallback = { contraction = 2 }", "'contraction': 2 must be at most 1"),
        ("fallback = { contracton = 1 }", "did you mean 'contraction'?"),
        ("check = \"lancos\"", "did you mean \"lanczos\"?"),
        ("fallback = 3", "run.toml:2:12: 'fallback': 3 is not of type"),
    ] {
        let got = message(read(text));
        assert!(got.contains(want), "{text}: {got}");
    }
}

#[test]
fn a_method_is_a_name_or_a_table_with_one() {
    let read = |text: &str| method(tree(text).get("preconditioner").unwrap(), check);
    let named = read("preconditioner = 'wrap'").unwrap();
    assert_eq!((named.name.as_str(), named.params), ("wrap", json!({})));
    let full = read("[preconditioner]\nname = 'wrap'\ndamping = 1").unwrap();
    assert_eq!((full.name.as_str(), full.params), ("wrap", json!({"damping": 1})));
    for (text, want) in [
        ("[preconditioner]\ndamping = 1", "run.toml:1:1: 'name' is missing"),
        ("[preconditioner]\nname = 3", "run.toml:2:8: 3 is not of type string"),
        ("[preconditioner]\nname = 'rap'", "run.toml:2:8: no preconditioner 'rap'"),
        ("preconditioner = ['wrap']", "run.toml:1:18: 'name' is missing"),
    ] {
        let got = message(read(text));
        assert!(got.starts_with(want), "{text}: {got}");
    }
}

#[test]
fn runs_take_over_what_is_shared_and_fits() {
    let root = tree(
        "[solver]\nmethod = \"richardson\"\ndamping = 0.7\ntolerance = 1e-3\n\
         [[run]]\nsolver = { method = \"cg\" }\n[[run]]\nsolver = { method = \"cg\", damping = 1 }\n\
         [[run]]\nsolver = { tolerance = 1e-4 }\n",
    );
    let shared = root.get("solver").unwrap();
    let runs = root.get("run").unwrap().items();
    let read = |k: usize| SolverConfig::from_nodes(runs[k].get("solver").unwrap(), shared);
    let cg = read(0).unwrap();
    assert_eq!((cg.method, cg.damping, cg.tolerance), (SolverKind::Cg, None, 1e-3));
    assert!(message(read(1)).contains("'damping': cg has no such parameter"));
    let richardson = read(2).unwrap();
    assert_eq!((richardson.damping, richardson.tolerance), (Some(0.7), 1e-4));
}
