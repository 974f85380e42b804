//! `train` on matrices in files: what is learnt from and what is held back, how it is told, and that nobody boasts with
//! matrices that were learnt by heart.
use crate::support::{Folder, Ran, precondor, program, run, wait_for};
use serde_json::Value;

/// Eight systems of two sizes in a folder, and the configuration of a short training on them.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    std::fs::create_dir(folder.path().join("m")).expect("made");
    for k in 0..8 {
        let path = folder.path().join(format!("m/a{k}.mtx"));
        let sets = [format!("problem.level={}", 3 + k % 2), format!("problem.seed={k}")];
        let mut words = vec!["problem", "-o", path.to_str().expect("text")];
        sets.iter().for_each(|set| words.extend(["--set", set]));
        assert_eq!(precondor(words).code, 0);
    }
    folder.file("train.toml", &config("mlp-fsai", "[data]\nmatrices = 'm/*.mtx'\n"));
    folder
}

fn config(method: &str, data: &str) -> String {
    format!(
        "[model]\nmethod = '{method}'\noutput = 'mine.safetensors'\ncheckpoint_every = 10\n\
         [train]\nsteps = 30\nbatch = 4\nhidden = [4]\n{data}"
    )
}

fn train(folder: &Folder, args: &[&str]) -> Ran {
    run(program().arg("train").arg(folder.path().join("train.toml")).args(args))
}

/// The card of the model that was trained.
fn card(folder: &Folder) -> Value {
    let bytes = std::fs::read(folder.path().join("mine.safetensors")).expect("a model");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let text = header["__metadata__"]["precondor"].as_str().expect("a card");
    serde_json::from_str(text).expect("JSON")
}

fn names(card: &Value) -> Vec<String> {
    let digests = card["samples"][0]["digests"].as_array().expect("a list");
    let name = |of: &Value| {
        of["name"].as_str().expect("a name").rsplit('/').next().expect("some").to_owned()
    };
    digests.iter().map(name).collect()
}

#[test]
fn one_of_eight_files_is_held_back_unless_it_is_said_which() {
    let folder = folder("learn-files");
    let ran = train(&folder, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let first = card(&folder);
    assert_eq!(
        (&first["training"]["pool"], &first["training"]["validation"]),
        (&7.into(), &1.into())
    );
    assert_eq!(names(&first), (0..8).map(|k| format!("a{k}.mtx")).collect::<Vec<_>>());
    assert!(first["metrics"]["validation_loss"].is_number(), "{first}");
    // Other files than the last, and nothing but the order of the files decides.
    let data = "[[data]]\nmatrices = ['m/a[2-7].mtx']\n[[data]]\nmatrices = ['m/a1.mtx', 'm/a0.mtx']\nvalidation = true\n";
    folder.file("train.toml", &config("mlp-fsai", data));
    assert_eq!(train(&folder, &["--force"]).code, 0);
    let second = card(&folder);
    assert_eq!(
        (&second["training"]["pool"], &second["training"]["validation"]),
        (&6.into(), &2.into())
    );
    assert_eq!(names(&second)[6..], ["a1.mtx", "a0.mtx"]);
    // A share, and none.
    for (share, held) in [("0.25", 2), ("0", 0), ("false", 1)] {
        let data = format!("[data]\nmatrices = 'm/*.mtx'\nvalidation = {share}\n");
        folder.file("train.toml", &config("mlp-fsai", &data));
        assert_eq!(train(&folder, &["--force"]).code, 0);
        assert_eq!(card(&folder)["training"]["validation"], held, "{share}");
    }
    // The forest of `auto` watches no loss: all files are systems.
    let auto = "[model]\nmethod = 'auto'\noutput = 'auto.json'\n[train]\ntrees = 5\ncandidates = [{ method = 'jacobi' }, { method = 'ic' }]\n\
                [data]\nmatrices = 'm/*.mtx'\n";
    folder.file("train.toml", auto);
    let ran = train(&folder, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = std::fs::read_to_string(folder.path().join("auto.json")).expect("a model");
    let auto: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(auto["runs"].as_array().map(Vec::len), Some(8));
}

#[test]
fn a_model_is_not_compared_on_a_matrix_that_it_was_trained_on() {
    let folder = folder("learn-heart");
    folder.file("train.toml", &config("mlp-fsai", "[data]\nmatrices = 'm/a[01].mtx'\n"));
    let ran = train(&folder, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let compare = |matrices: &str, preconditioner: &str| {
        let text = format!(
            "[problem]\nmatrices = {matrices}\n[solver]\nmethod = 'cg'\n[[run]]\nlabel = 'net'\npreconditioner = {preconditioner}\n\
             [[run]]\npreconditioner = 'jacobi'\n"
        );
        let path = folder.file("compare.toml", &text);
        run(program().arg("compare").arg(path))
    };
    let net = "{ name = 'mlp-fsai', model = 'mine.safetensors' }";
    let unseen = compare("['m/a2.mtx', 'm/a3.mtx']", net);
    assert_eq!(unseen.code, 0, "{}{}", unseen.out, unseen.err);
    // Also within another method; the others go on.
    for preconditioner in [net.to_owned(), format!("{{ name = 'amg', method = {net} }}")] {
        let seen = compare("['m/a1.mtx', 'm/a2.mtx']", &preconditioner);
        assert_eq!(seen.code, 1, "{}{}", seen.out, seen.err);
        let why = "mine.safetensors was trained on this very matrix";
        assert!(seen.out.contains(why) && seen.out.contains("a1.mtx)"), "{}", seen.out);
    }
    // The same values in another file are known again; solving is not boasting.
    std::fs::copy(folder.path().join("m/a0.mtx"), folder.path().join("m/copy.mtx"))
        .expect("copied");
    assert_eq!(compare("['m/copy.mtx']", net).code, 1);
    let solve = "[problem]\nmatrix = 'm/a0.mtx'\n[solver]\nmethod = 'cg'\n[preconditioner]\nname = 'mlp-fsai'\nmodel = 'mine.safetensors'\n";
    let path = folder.file("solve.toml", solve);
    assert_eq!(run(program().arg("solve").arg(path)).code, 0);
}

/// What the first of two models has seen is known of the second, which went on from it.
#[test]
fn a_model_that_goes_on_from_another_tells_what_both_have_seen() {
    let folder = folder("learn-on");
    folder.file("train.toml", &config("mlp-fsai", "[data]\nmatrices = 'm/a[01].mtx'\n"));
    let first = ["--output", "first.safetensors"];
    let ran = run(program().current_dir(folder.path()).args(["train", "train.toml"]).args(first));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let on = "initial = 'first.safetensors'\n[data]\nmatrices = 'm/a[23].mtx'\n";
    folder.file("train.toml", &config("mlp-fsai", on));
    let ran = train(&folder, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let card = card(&folder);
    assert_eq!(names(&card), ["a2.mtx", "a3.mtx"]);
    assert_eq!(names(&card["initial"]), ["a0.mtx", "a1.mtx"]);
    let compare = |matrix: &str| {
        let text = format!(
            "[problem]\nmatrix = 'm/{matrix}'\n[solver]\nmethod = 'cg'\n[[run]]\n\
             preconditioner = {{ name = 'mlp-fsai', model = 'mine.safetensors' }}\n"
        );
        run(program().arg("compare").arg(folder.file("compare.toml", &text)))
    };
    for seen in ["a0.mtx", "a3.mtx"] {
        let ran = compare(seen);
        let why = "mine.safetensors was trained on this very matrix";
        assert!(ran.code == 1 && ran.out.contains(why) && ran.out.contains(seen), "{}", ran.out);
    }
    assert_eq!(compare("a4.mtx").code, 0);
    for (set, why) in [
        ("train.hidden=[8]", "parameter 'initial': the model 'first.safetensors'"),
        ("train.initial=there_is_none.safetensors", "there_is_none.safetensors"),
        ("train.initial=m/a0.mtx", "not a usable model"),
    ] {
        train(&folder, &["--force", "--set", set]).fails_with(&[why]);
    }
}

#[test]
fn the_report_of_a_training_has_its_course_also_across_an_interruption() {
    let folder = folder("learn-report");
    let report = folder.path().join("report");
    let report = report.to_str().expect("text");
    let ran = train(&folder, &["--report", report]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = |name: &str| {
        std::fs::read_to_string(folder.path().join("report").join(name)).expect("a file")
    };
    let page = text("index.html");
    for part in [
        "validation",
        "learning rate",
        "matrices count 8",
        "mine.safetensors",
        "matrices = &#39;m/*.mtx&#39;",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let whole = text("training.csv");
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines[0], "step,loss,learning_rate,validation_loss");
    let steps: Vec<u64> = lines[1..]
        .iter()
        .map(|l| l.split(',').next().expect("some").parse().expect("a step"))
        .collect();
    assert!(steps.is_sorted_by(|a, b| a < b) && steps.last() == Some(&30), "{steps:?}");
    let validated = |line: &&&str| !line.ends_with(',');
    assert_eq!(
        lines[1..].iter().filter(validated).count(),
        2,
        "before the first step and after the last: {whole}"
    );
    let json: Value = serde_json::from_str(&text("training.json")).expect("JSON");
    let course = &json["sections"][0];
    assert_eq!(course["step"].as_array().map(Vec::len), Some(steps.len()));
    let least = &course["tables"][0]["rows"][0]["values"]["validation_loss"];
    assert_eq!(least, &card(&folder)["metrics"]["validation_loss"], "{course}");
    // A run that is killed and resumed ends with the same numbers as a whole one.
    let long = ["--set", "train.steps=3000", "--force", "--report", report];
    assert_eq!(train(&folder, &long).code, 0);
    let whole = text("training.csv");
    let checkpoint = folder.path().join("mine.safetensors.checkpoint");
    let mut child = program()
        .arg("train")
        .arg(folder.path().join("train.toml"))
        .args(long)
        .spawn()
        .expect("starts");
    wait_for(&checkpoint);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(checkpoint.exists() && text("training.csv").len() < whole.len());
    let resumed = train(&folder, &[&long[..], &["--resume"]].concat());
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert_eq!(text("training.csv"), whole);
}

#[test]
fn mistakes_with_files_are_named() {
    let folder = folder("learn-mistakes");
    let mtx = "matrices = 'm/*.mtx'";
    for (method, data, why) in [
        ("mlp-fsai", "[data]\nmatrices = 'm/*.petsc'\n".to_owned(), "finds no"),
        ("mlp-fsai", format!("[data]\n{mtx}\nvalidation = 1.0\n"), "true, false or a share"),
        ("mlp-fsai", format!("[data]\n{mtx}\nvalidation = true\n"), "none is left to learn from"),
        ("mlp-fsai", format!("[data]\n{mtx}\nvalidatoin = 0.1\n"), "did you mean 'validation'?"),
        ("mlp-fsai", format!("[[data]]\n{mtx}\n[[data]]\nkind = 'poisson'\n"), "no 'matrices', and others do"),
        (
            "mlp-fsai",
            "[[data]]\nmatrices = 'm/a[01].mtx'\n[[data]]\nmatrices = ['m/a1.mtx']\nvalidation = true\n".to_owned(),
            "the same matrix as",
        ),
        (
            "mlp-fsai",
            "[[data]]\nmatrices = 'm/a[01].mtx'\n[[data]]\nmatrices = ['m/a2.mtx']\nvalidation = 0.5\n".to_owned(),
            "goes with a single section",
        ),
        ("mlp-reference", format!("[data]\n{mtx}\n"), "m/a1.mtx: a grid of 7 by 7"),
    ] {
        folder.file("train.toml", &config(method, &data));
        train(&folder, &[]).fails_with(&[why]);
    }
    folder.file("train.toml", &config("mlp-fsai", &format!("[data]\n{mtx}\n")));
    train(&folder, &["--set", "train.pool=3"])
        .fails_with(&["'pool': with files it is their number, 7"]);
    std::fs::write(folder.path().join("m/a5.mtx"), "nonsense\n").expect("written");
    train(&folder, &[]).fails_with(&["m/a5.mtx"]);
    // What stands in the folder of the report and is no course of a training is not taken for one.
    std::fs::create_dir(folder.path().join("report")).expect("made");
    folder.file("report/training.csv", "1,2,3\n");
    folder.file("mine.safetensors.checkpoint", "half");
    let report = folder.path().join("report");
    train(&folder, &["--resume", "--report", report.to_str().expect("text")])
        .fails_with(&["training.csv: line 1: these are no numbers of a training run"]);
}
