//! Files that a command reads: once each, told in its report, and refused where they change meanwhile.
use crate::support::{Folder, matrix, precondor, program, run};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `sha256sum` says.
fn digest(path: &Path) -> String {
    let told = std::process::Command::new("sha256sum").arg(path).output().expect("sha256sum");
    let text = String::from_utf8(told.stdout).expect("text");
    text.split_whitespace().next().expect("a digest").to_owned()
}

/// A model that was trained for so many steps.
fn model(folder: &Folder, name: &str, steps: u32) -> Vec<u8> {
    let text = format!(
        "[model]\nmethod = 'mlp-reference'\noutput = '{name}'\n[train]\nsteps = {steps}\n\
         hidden = [4]\npool = 20\nbatch = 2\nvectors = 1\n[data]\nkind = 'poisson'\nlevels = [3]\n"
    );
    let config = folder.file("train.toml", &text);
    let trained = run(program().arg("train").arg(config));
    assert_eq!(trained.code, 0, "{}", trained.err);
    std::fs::read(folder.path().join(name)).expect("a model")
}

#[test]
fn a_model_that_is_replaced_while_methods_are_compared_is_one_model() {
    let folder = Folder::new("replaced");
    let models = [model(&folder, "one", 1), model(&folder, "other", 60)];
    let path = folder.path().join("m.safetensors");
    let put = |model: &[u8]| {
        let beside = folder.path().join("beside");
        std::fs::write(&beside, model).expect("written");
        std::fs::rename(&beside, &path).expect("renamed");
    };
    let text = "[problem]\nkind = 'poisson'\nlevel = 4\nsamples = 12\n[solver]\nmethod = 'gmres'\n\
                [[run]]\npreconditioner = { name = 'mlp-reference', model = 'm.safetensors' }\n";
    let config = folder.file("compare.toml", text);
    let compare = || {
        let ran = run(program().arg("compare").arg(&config).arg("--json"));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let json = ran.json();
        let systems = json["sections"][0]["tables"][0]["rows"][0]["systems"]
            .as_array()
            .expect("a list")
            .clone();
        assert_eq!(systems.len(), 12);
        let counts: Vec<u64> = systems.iter().filter_map(|s| s["iterations"].as_u64()).collect();
        let files = json["provenance"]["files"].as_array().expect("a list").clone();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(files[0]["file"], path.display().to_string());
        (files[0]["sha256"].as_str().expect("a digest").to_owned(), counts)
    };
    let wanted = models.each_ref().map(|model| {
        put(model);
        let (told, counts) = compare();
        assert_eq!(told, digest(&path));
        (told, counts)
    });
    assert_ne!(wanted[0].1, wanted[1].1, "the models must be told apart by their counts");
    // Now one takes the place of the other all the time.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                models.iter().for_each(|model| {
                    put(model);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                });
            }
        });
        let found: Vec<_> = (0..3).map(|_| compare()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(found.iter().all(|one| wanted.contains(one)), "{found:?}");
    });
}

#[test]
fn every_file_of_a_system_is_told_with_its_digest() {
    let folder = Folder::new("told");
    let file = folder.file("A.mtx", &matrix(2, 2, &[(1, 1, 2.0), (2, 2, 3.0)]));
    folder.file("b.mtx", &matrix(2, 1, &[(1, 1, 2.0)]));
    let problem = "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\n[solver]\nmethod = 'gmres'\n";
    let config = folder.file("solve.toml", problem).display().to_string();
    let solved = precondor(["solve", &config]);
    assert!(solved.out.contains(&digest(&file)), "{}", solved.out);
    let files = precondor(["solve", &config, "--json"]).json()["files"].clone();
    let names: Vec<&str> =
        files.as_array().expect("a list").iter().filter_map(|f| f["file"].as_str()).collect();
    assert!(
        names.len() == 2 && names[0].ends_with("A.mtx") && names[1].ends_with("b.mtx"),
        "{names:?}"
    );
    let compare = format!("{problem}[[run]]\npreconditioner = 'jacobi'\n");
    let config = folder.file("compare.toml", &compare).display().to_string();
    let report = folder.path().join("report");
    let compared = precondor(["compare", &config, "--report", &report.display().to_string()]);
    assert!(compared.out.contains(&digest(&file)), "{}", compared.out);
    let page = std::fs::read_to_string(report.join("index.html")).expect("a page");
    assert!(page.contains(&digest(&file)));
}

#[test]
fn a_matrix_that_is_replaced_meanwhile_is_refused_or_was_read_before() {
    let folder = Folder::new("rewritten");
    let entries = |value| (1..=40_000).map(|i| (i, i, value)).collect::<Vec<_>>();
    let texts = [2.0, 4.0].map(|value| matrix(40_000, 40_000, &entries(value)));
    let path = folder.file("A.mtx", &texts[0]);
    let config = folder.file("solve.toml", "[problem]\nmatrix = 'A.mtx'\n").display().to_string();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                texts.iter().for_each(|text| {
                    let beside = folder.file("beside", text);
                    std::fs::rename(beside, &path).expect("renamed");
                });
            }
        });
        // The first try, as a rule; on a machine with much else to do a later one.
        let refused = (0..200).any(|_| {
            let ran = precondor(["solve", &config]);
            assert!(!ran.err.contains("panicked"), "{}", ran.err);
            ran.err.contains("A.mtx: was replaced or written to since this command began")
        });
        done.store(true, Ordering::Relaxed);
        assert!(refused, "no change was noticed");
    });
}
