//! `train`: a model from a configuration; interrupted and resumed it is the same model.
use crate::support::{Folder, Ran, program, run};
use std::path::Path;
use std::time::{Duration, Instant};

const SMALL: &str = "
[model]
method = 'mlp-reference'
output = 'model.safetensors'
checkpoint_every = 5
[train]
steps = 40
hidden = [4]
pool = 20
batch = 2
vectors = 1
[data]
kind = 'poisson'
levels = [3]
";

fn train(config: &Path, args: &[&str]) -> Ran {
    run(program().arg("train").arg(config).args(args))
}

#[test]
fn a_killed_and_resumed_run_ends_with_the_same_model_and_the_model_solves() {
    let folder = Folder::new("train");
    let config = folder.file("train.toml", SMALL);
    let whole = train(&config, &[]);
    assert_eq!(whole.code, 0, "{}", whole.err);
    let model = folder.path().join("model.safetensors");
    let checkpoint = folder.path().join("model.safetensors.checkpoint");
    assert!(!checkpoint.exists());
    let wanted = std::fs::read(&model).unwrap();

    let solve = folder.file(
        "solve.toml",
        "[problem]\nkind = 'poisson'\nlevel = 3\n[solver]\nmethod = 'cg'\n\
         [preconditioner]\nname = 'mlp-reference'\nmodel = 'model.safetensors'\n",
    );
    let ran = run(program().arg("solve").arg(&solve).arg("--json"));
    assert_eq!(ran.code, 0, "{}", ran.err);

    // The same run again, ended by SIGKILL once there is a checkpoint.
    std::fs::remove_file(&model).unwrap();
    let slow = SMALL.replace("steps = 40", "steps = 4000");
    let slow = folder.file("slow.toml", &slow);
    let mut child = program().arg("train").arg(&slow).spawn().unwrap();
    let begin = Instant::now();
    while !checkpoint.exists() && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists());
    train(&slow, &[]).fails_with(&["model.safetensors.checkpoint", "--resume"]);
    // A checkpoint of other parameters is refused.
    train(&config, &["--resume"]).fails_with(&["checkpoint"]);
    let resumed = train(&slow, &["--resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let after_kill = std::fs::read(&model).unwrap();
    assert_eq!(train(&slow, &["--force"]).code, 0);
    assert!(after_kill == std::fs::read(&model).unwrap(), "the resumed model differs");
    assert_eq!(train(&config, &["--force"]).code, 0);
    assert!(wanted == std::fs::read(&model).unwrap(), "the same run gave another model");
}

#[test]
fn several_sections_of_data_are_as_many_families() {
    let folder = Folder::new("train-families");
    let more = "[[data]]\nkind = 'poisson'\nlevels = [2, 4]\nshift = 0.1\n[[data]]";
    let config = folder.file("train.toml", &SMALL.replacen("[data]", more, 1));
    let ran = train(&config, &["--set", "train.steps=6"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let model = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&model).replace('\\', "");
    let place = |what: &str| header.find(what).unwrap_or_else(|| panic!("no {what} in {header}"));
    let [two, four, three] = ["\"level\":2", "\"level\":4", "\"level\":3"].map(place);
    assert!(two < four && four < three);
}

#[test]
fn mistakes_in_a_training_configuration() {
    let folder = Folder::new("train-mistakes");
    for (from, to, why) in [
        ("'mlp-reference'", "'jacobi'", "3:10: jacobi has nothing to train"),
        (
            "'mlp-reference'",
            "'mlp-referenc'",
            "3:10: no preconditioner 'mlp-referenc'; did you mean 'mlp-reference'?",
        ),
        ("steps", "stops", "7:1: 'stops': there is no such key; did you mean 'steps'?"),
        ("hidden = [4]", "hidden = [0]", "8:11: 0 must be at least 1"),
        ("levels = [3]", "levels = [99]", "99 must be at most 14"),
        ("levels = [3]", "levels = []", "'levels' is empty; at least one is needed"),
        (
            "[data]",
            "[[data]]\nkind = 'poisson'\nlevle = 2\n[[data]]",
            "14:1: 'levle': there is no such",
        ),
        ("[data]", "[date]", "'date': there is no such key; did you mean 'data'?"),
        ("output = 'model.safetensors'\n", "", "'output' is missing"),
    ] {
        let config = folder.file("train.toml", &SMALL.replacen(from, to, 1));
        train(&config, &[]).fails_with(&[why]);
    }
    let config = folder.file("train.toml", SMALL);
    train(&config, &["--resume"]).fails_with(&["there is no checkpoint to go on from"]);
}
