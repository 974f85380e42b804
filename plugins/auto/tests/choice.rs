//! Training a small forest on real runs, and choosing with it.
#![allow(clippy::unwrap_used)]
use precondor_plugin_auto::auto::Auto;
use precondor_plugin_auto::cost::Candidate;
use precondor_plugin_auto::features::NAMES;
use precondor_plugin_auto::model::{Kind, Model};
use precondor_plugin_auto::train::TrainParams;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_jacobi::Jacobi;
use precondor_plugin_reference::Reference;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::matrix::{Csr, DistCsr};
use precondor_sdk::core::problem::{Families, Problem};
use precondor_sdk::core::registry::{Native, NativeTrainable, Registry};
use precondor_sdk::core::train::{Progress, Samples, Trainable, Training, Watch};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn host() -> Arc<dyn Host> {
    let mut registry = Registry::new();
    registry.add(Native::<Jacobi>::method()).unwrap();
    registry.add(Native::<Ic>::method()).unwrap();
    registry.add(Native::<Ilu>::method()).unwrap();
    registry.add(Native::<Reference>::method()).unwrap();
    registry.add(NativeTrainable::<Auto>::method()).unwrap();
    // Methods find each other for as long as somebody holds the registry.
    precondor_host::services(Box::leak(Box::new(Arc::new(registry))), Path::new("."))
}

/// `reference` is the best by far on grids and refuses the graph, where `ic` is better than `jacobi`.
fn params() -> TrainParams {
    let candidate =
        |name: &str, apply| Candidate { setup: 1.0, apply, ..Candidate::of(name.into()) };
    TrainParams {
        candidates: vec![
            candidate("jacobi", Some(0.1)),
            candidate("ic", Some(1.0)),
            candidate("reference", Some(3.0)),
        ],
        systems: 4,
        trees: 25,
        ..TrainParams::default()
    }
}

fn problems() -> Vec<Problem> {
    [
        json!({"kind": "poisson", "level": 4}),
        json!({"kind": "poisson", "level": 5}),
        json!({"kind": "graph", "nodes": 300}),
        json!({"kind": "graph", "nodes": 700}),
    ]
    .iter()
    .map(|problem| Problem::from_json(problem).unwrap())
    .collect()
}

#[derive(Default)]
struct Keeper {
    every: u64,
    stop_after: Option<u64>,
    done: u64,
    checkpoints: Vec<Vec<u8>>,
}

impl Watch for Keeper {
    fn progress(&mut self, progress: &Progress) {
        self.done += 1;
        assert!(progress.step <= progress.steps && progress.loss.is_finite());
    }
    fn checkpoint(&mut self, state: &[u8]) -> Result<()> {
        self.checkpoints.push(state.to_vec());
        Ok(())
    }
    fn checkpoint_every(&self) -> u64 {
        self.every
    }
    fn cancelled(&self) -> bool {
        self.stop_after == Some(self.done)
    }
}

fn train(params: &TrainParams, resume: Option<&[u8]>, watch: &mut Keeper) -> Result<Vec<u8>> {
    train_on(problems(), params, resume, watch)
}

fn train_on(
    problems: Vec<Problem>,
    params: &TrainParams,
    resume: Option<&[u8]>,
    watch: &mut Keeper,
) -> Result<Vec<u8>> {
    let samples = Families::new(problems).unwrap();
    let (comm, host, samples) = (&Comm::solo(), &host(), &samples as &dyn Samples);
    Auto::train(params, Training { comm, host, samples, resume, watch })
}

/// The trained model as a file that `model` can name.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("precondor-auto-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn system(problem: &Value, index: u64) -> System {
    let problem = Problem::from_json(problem).unwrap();
    problem.generate_nth(Comm::solo(), index).unwrap().0.with_host(host())
}

fn choose(params: &Value, system: &System) -> Result<Vec<String>> {
    Ok(system.host().inner("auto", params, system)?.notes())
}

#[test]
fn a_trained_forest_picks_what_was_cheapest_and_says_why() {
    let bytes = train(&params(), None, &mut Keeper::default()).unwrap();
    let model = Model::read(&bytes, Kind::Model).unwrap();
    assert_eq!(model.runs.len(), 16);
    let metrics = &model.card.metrics;
    assert_eq!(metrics["best"]["reference"], 8, "{metrics}");
    assert!(metrics["regret_on_unseen_by_tree"]["mean"].as_f64().unwrap() < 0.5, "{metrics}");
    // The numbers of the runs themselves: 3 + 1 + 6 n/nnz products an iteration of cg.
    let first = &model.runs[0];
    let nnz_a_row = NAMES.iter().position(|n| *n == "entries-a-row").unwrap();
    let nnz_a_row = f64::from(first.features[nnz_a_row]);
    for (run, apply) in first.runs.iter().zip([0.1, 1.0, 3.0]) {
        let run = run.unwrap();
        let want = 1.0 + run.iterations as f64 * (1.0 + apply + 6.0 / nnz_a_row);
        assert!((f64::from(run.cost) - want).abs() < 1e-4 * want, "{run:?}, not {want}");
    }
    assert!(model.runs[2].runs[2].is_none(), "reference refuses the graph");
    let path = file("choice", &bytes);
    let at = json!({"model": path});
    for (problem, chosen) in [
        (json!({"kind": "poisson", "level": 4, "seed": 9}), "chosen: reference"),
        (json!({"kind": "graph", "nodes": 500, "seed": 9}), "chosen: ic"),
    ] {
        let notes = choose(&at, &system(&problem, 3)).unwrap();
        assert_eq!(notes[0], chosen, "{notes:?}");
        assert!(notes[1].starts_with("votes of 25 trees: "), "{notes:?}");
        assert!(notes[2].starts_with("decided mostly by "), "{notes:?}");
        assert!(notes[2].split(", ").all(|part| part.contains(" = ")), "{notes:?}");
    }
    // Far outside, and said so.
    let notes = choose(&at, &system(&json!({"kind": "poisson", "level": 7}), 0)).unwrap();
    let outside = notes.iter().find(|n| n.starts_with("outside what it was trained on: "));
    assert!(outside.unwrap().contains("log-unknowns = 4.208 ("), "{notes:?}");
    // On several ranks the same choice, though ic is another one there.
    let chosen = threads::run(3, |comm| {
        let problem = Problem::from_json(&json!({"kind": "poisson", "level": 4, "seed": 9}));
        let (system, _) = problem.unwrap().generate_nth(Comm::new(comm), 3).unwrap();
        choose(&at, &system.with_host(host())).unwrap()[..3].to_vec()
    });
    let alone =
        choose(&at, &system(&json!({"kind": "poisson", "level": 4, "seed": 9}), 3)).unwrap();
    assert!(chosen.iter().all(|notes| notes[..] == alone[..3]), "{chosen:?}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_refuses_is_passed_over_and_what_is_excluded_is_not_asked() {
    let path = file("order", &train(&params(), None, &mut Keeper::default()).unwrap());
    let grid = json!({"kind": "poisson", "level": 4});
    let with = |exclude: &[&str]| json!({"model": path, "exclude": exclude});
    let first = |exclude: &[&str]| choose(&with(exclude), &system(&grid, 0)).map(|n| n[0].clone());
    assert_eq!(first(&["reference"]).unwrap(), "chosen: ic");
    assert_eq!(first(&["reference", "ic"]).unwrap(), "chosen: jacobi");
    // What takes any matrix comes last, though conjugate gradients may not be able to use it.
    assert_eq!(first(&["reference", "ic", "jacobi"]).unwrap(), "chosen: ilu");
    let all = ["reference", "ic", "jacobi", "ilu", "spai", "gauss-seidel"];
    let none = first(&all).unwrap_err().to_string();
    assert!(none.ends_with("no candidate takes this matrix: all are excluded"), "{none}");
    let unknown = first(&["ilo"]).unwrap_err().to_string();
    assert!(
        unknown.contains(
            "'ilo' is no candidate (they are: jacobi, ic, reference, ilu, spai, gauss-seidel)"
        ),
        "{unknown}"
    );
    // A grid that is not symmetric: the forest has seen nothing like it.
    let a = system(&grid, 0);
    let view = a.a().own().view();
    let mut values = view.values.to_vec();
    values[1] *= 1.5;
    let skew = Csr::new(225, view.row_ptr.to_vec(), view.cols.to_vec(), values).unwrap();
    let skew = System::new(DistCsr::solo(skew).unwrap()).with_host(host());
    let notes = choose(&with(&[]), &skew).unwrap();
    assert_eq!(notes[0], "chosen: ilu", "{notes:?}");
    let none = "A is not positive definite, and none of that kind was in the training";
    assert_eq!(notes[1], none, "{notes:?}");
    // What is not there, or refuses, is passed over; the last resorts before what was trained on.
    let notes = choose(&with(&["ilu"]), &skew).unwrap();
    assert_eq!(notes[0], "chosen: jacobi", "{notes:?}");
    let passed = notes.iter().filter(|n| n.starts_with("passed over ")).count();
    assert_eq!(passed, 2, "spai and gauss-seidel are not there: {notes:?}");
    assert_eq!(
        system(&grid, 0).host().inner("auto", &with(&["ilu"]), &skew).unwrap().delegate(),
        Some("jacobi".into())
    );
    // Not finite.
    let nan = DistCsr::solo(Csr::from_triplets(1, 1, [(0, 0, f64::NAN)]).unwrap()).unwrap();
    let why = choose(&with(&[]), &System::new(nan).with_host(host())).unwrap_err().to_string();
    assert!(why.contains("A holds values that are not finite"), "{why}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_forest_is_asked_about_what_is_like_unsymmetric_matrices_that_it_saw() {
    let candidate = |name: &str| Candidate { setup: 1.0, ..Candidate::of(name.into()) };
    let candidates = vec![candidate("jacobi"), candidate("ilu")];
    let params = TrainParams { candidates, ..params() };
    let convection = |nodes: usize| json!({"kind": "convection", "nodes": nodes, "peclet": 2});
    let problems = [json!({"kind": "graph", "nodes": 300}), convection(12), convection(20)];
    let problems = problems.iter().map(|problem| Problem::from_json(problem).unwrap()).collect();
    let bytes = train_on(problems, &params, None, &mut Keeper::default()).unwrap();
    let path = file("unsymmetric", &bytes);
    // Larger than what it saw, and otherwise alike.
    let larger = system(&convection(60), 0);
    let notes = choose(&json!({"model": path}), &larger).unwrap();
    assert_eq!(notes[0], "chosen: ilu", "{notes:?}");
    assert!(notes[1].starts_with("votes of 25 trees: "), "{notes:?}");
    // Without some of its diagonal it is not, whatever the trees say.
    let a = larger.a().own().view();
    let entries = |i: usize| a.row(i).filter(move |&(j, _)| j != i || !i.is_multiple_of(3));
    let entries: Vec<_> = (0..3600).flat_map(|i| entries(i).map(move |(j, v)| (i, j, v))).collect();
    let holes = DistCsr::solo(Csr::from_triplets(3600, 3600, entries).unwrap()).unwrap();
    let notes = choose(&json!({"model": path}), &System::new(holes).with_host(host()));
    let notes = notes.unwrap_or_else(|e| vec![e.to_string()]);
    let said = notes.join("; ");
    assert!(said.contains("A is not positive definite, and unlike all of that kind"), "{said}");
    assert!(said.contains("positive-diagonal = 0.6") && !said.contains("unknowns"), "{said}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn only_what_conjugate_gradients_can_use_is_chosen_for_them() {
    let mut ilu = params();
    ilu.candidates[2] = Candidate { apply: Some(0.0), ..Candidate::of("ilu".into()) };
    // An iteration of GMRES costs more than one of conjugate gradients: only this makes ilu pay.
    (ilu.candidates[0].setup, ilu.candidates[1].setup) = (1e6, 1e6);
    let path = file("definite", &train(&ilu, None, &mut Keeper::default()).unwrap());
    let grid = system(&json!({"kind": "poisson", "level": 4}), 0);
    let at = |definite: Option<bool>| match definite {
        None => json!({"model": path}),
        Some(definite) => json!({"model": path, "positive_definite": definite}),
    };
    let whatever = choose(&at(Some(false)), &grid).unwrap();
    assert_eq!(whatever[0], "chosen: ilu", "{whatever:?}");
    for definite in [None, Some(true)] {
        let notes = choose(&at(definite), &grid).unwrap();
        assert_ne!(notes[0], "chosen: ilu", "{notes:?}");
        let passed = "passed over ilu: not known to be positive definite";
        assert!(notes.iter().any(|n| n == passed), "{notes:?}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn training_repeats_itself_also_after_an_interruption() {
    let mut whole = Keeper { every: 5, ..Keeper::default() };
    let model = train(&params(), None, &mut whole).unwrap();
    assert_eq!(whole.checkpoints.len(), 3);
    for checkpoint in &whole.checkpoints {
        let again = train(&params(), Some(checkpoint), &mut Keeper::default()).unwrap();
        assert!(again == model, "resumed");
    }
    let mut stopped = Keeper { stop_after: Some(7), ..Keeper::default() };
    assert_eq!(train(&params(), None, &mut stopped).unwrap_err(), Error::Interrupted);
    let again = train(&params(), Some(&stopped.checkpoints[0]), &mut Keeper::default()).unwrap();
    assert!(again == model, "resumed after a stop");
    let other = TrainParams { seed: 2, ..params() };
    let why = train(&other, Some(&whole.checkpoints[0]), &mut Keeper::default()).unwrap_err();
    assert!(why.to_string().contains("a run with other training parameters"), "{why}");
    let why = train(&params(), Some(&model), &mut Keeper::default()).unwrap_err();
    assert!(why.to_string().contains("it is a model, not a checkpoint"), "{why}");
}

#[test]
fn candidates_that_are_not_there_or_never_get_there_are_told() {
    let mut wrong = params();
    wrong.candidates[1].method = json!({"name": "ic", "shifd": 1});
    let why = train(&wrong, None, &mut Keeper::default()).unwrap_err().to_string();
    assert!(why.contains("candidate ic") && why.contains("shifd"), "{why}");
    wrong.candidates[1].method = json!("icc");
    let why = train(&wrong, None, &mut Keeper::default()).unwrap_err().to_string();
    assert!(why.contains("no preconditioner 'icc'"), "{why}");
    let never = TrainParams { max_iterations: 1, ..params() };
    let why = train(&never, None, &mut Keeper::default()).unwrap_err().to_string();
    assert!(why.contains("no candidate solved any training system"), "{why}");
}

#[test]
fn the_shipped_model_was_made_by_its_configuration() {
    let shipped = include_bytes!("../models/auto.json");
    let model = Model::read(shipped, Kind::Model).unwrap();
    let params: TrainParams = serde_json::from_value(model.card.training.clone()).unwrap();
    let families = model.card.samples.as_array().unwrap().len();
    assert_eq!(model.runs.len() as u64, params.systems * families as u64);
    assert!(model.card.metrics["regret_on_unseen_by_tree"]["mean"].as_f64().unwrap() < 0.5);
    // What the schema tells is what the file says.
    let schema = precondor_sdk::core::schema::of::<precondor_plugin_auto::auto::Params>();
    assert_eq!(schema["x-precondor-models"][0]["card"]["metrics"], model.card.metrics);
}
