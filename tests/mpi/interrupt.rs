//! A signal to one of several ranks: all end together, with what is done kept and one word.
use crate::mpirun;
use crate::support::Folder;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Waits until `done` gives something.
fn wait<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(900), "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether something has been so for some seconds, in which a job gets to where it stays.
fn for_a_while(so: impl Fn() -> bool + Send) -> impl FnMut() -> bool + Send {
    let mut since: Option<Instant> = None;
    move || {
        since = so().then(|| since.unwrap_or_else(Instant::now));
        since.is_some_and(|since| since.elapsed() > Duration::from_secs(4))
    }
}

/// The process of a rank whose command line has `word`.
fn process(rank: usize, word: &str) -> Option<u32> {
    let has = |process: &Path, file: &str, text: &str| {
        let content = std::fs::read(process.join(file)).unwrap_or_default();
        content.split(|&byte| byte == 0).any(|part| part == text.as_bytes())
    };
    let of_rank = |process: &Path| {
        let names = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"];
        names.iter().any(|name| has(process, "environ", &format!("{name}={rank}")))
    };
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    processes.map(|entry| entry.path()).find_map(|path| {
        let number = path.file_name()?.to_str()?.parse().ok()?;
        (has(&path, "cmdline", word) && of_rank(&path)).then_some(number)
    })
}

/// Runs a command on two ranks and sends `signal` to some of them once `ready`; `config` is among the words.
fn signalled(
    words: &[&str],
    config: &str,
    (signal, ranks): (&str, &[usize]),
    mut ready: impl FnMut() -> bool + Send,
) -> mpirun::Job {
    std::thread::scope(|scope| {
        let job = scope.spawn(|| crate::precondor(2, words));
        wait("the job", || ready().then_some(()));
        for &rank in ranks {
            let process = wait("a rank", || process(rank, config)).to_string();
            let sent = Command::new("kill").args([signal, &process]).status();
            assert!(sent.expect("kill").success());
        }
        job.join().expect("it ends")
    })
}

#[test]
fn a_signal_to_one_rank_ends_a_training_on_all_with_a_checkpoint() {
    let folder = Folder::new("mpi-interrupt-train");
    let text = "[model]\nmethod = 'mlp-reference'\noutput = 'm'\ncheckpoint_every = 5\n[data]\n\
                kind = 'poisson'\nlevels = [3]\n[train]\nsteps = 10000000\nhidden = [4]\n\
                pool = 20\nbatch = 2\nvectors = 1\n";
    let config = folder.file("train.toml", text).display().to_string();
    let checkpoint = folder.path().join("m.checkpoint");
    for (signal, status, name) in [("-INT", 130, "SIGINT"), ("-TERM", 143, "SIGTERM")] {
        let job = signalled(&["train", &config], &config, (signal, &[1]), || checkpoint.exists());
        assert_eq!(job.status, Some(status), "{job:?}");
        let word = format!("interrupted by {name}; go on with `precondor train ");
        assert_eq!(job.err.matches(&word).count(), 1, "{job:?}");
        std::fs::remove_file(&checkpoint).expect("a checkpoint");
    }
    // While its systems are made there is nothing to keep, and no rank hears of another: launchers and batch
    // systems tell them all.
    let making = text.replace("pool = 20", "pool = 1000000");
    let config = folder.file("data.toml", &making).display().to_string();
    let under_way = for_a_while(|| process(1, &config).is_some());
    let job = signalled(&["train", &config], &config, ("-TERM", &[0, 1]), under_way);
    assert_eq!(job.status, Some(143), "{job:?}");
    assert!(job.err.contains("interrupted by SIGTERM; nothing was trained yet"), "{job:?}");
}

#[test]
fn a_signal_to_one_rank_ends_a_comparison_on_all_with_a_report() {
    let folder = Folder::new("mpi-interrupt-compare");
    let text = "[[problem]]\nkind = 'poisson'\nlevel = 3\n[[problem]]\nlabel = 'long'\nkind = 'poisson'\n\
                level = 5\n[solver]\nmethod = 'richardson'\n[[run]]\npreconditioner = 'jacobi'\n\
                solver = { damping = 1e-9, max_iterations = 10 }\n[[run]]\nlabel = 'endless'\n\
                preconditioner = 'jacobi'\nsolver = { damping = 1e-9, max_iterations = 1000000000 }\n";
    let config = folder.file("compare.toml", text).display().to_string();
    let report = folder.path().join("report");
    // The report's folder is claimed before the first solve, which takes no time; the second takes for ever.
    let ready = for_a_while(|| report.join(".precondor.lock").exists());
    let to = report.display().to_string();
    let job = signalled(&["compare", &config, "--report", &to], &config, ("-TERM", &[1]), ready);
    assert_eq!(job.status, Some(143), "{job:?}");
    let word = "INCOMPLETE: interrupted by SIGTERM after 1 of 4 solves";
    assert_eq!(job.err.matches(word).count(), 1, "{job:?}");
    assert!(job.out.contains(word), "{job:?}");
    for (file, part) in
        [("index.html", word), ("results.csv", ",not-run,"), ("traffic.csv", "jacobi")]
    {
        let text = std::fs::read_to_string(report.join(file)).expect(file);
        assert!(text.contains(part), "no '{part}' in {file}: {text}");
    }
}
