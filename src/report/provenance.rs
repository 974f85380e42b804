//! What ran where: the program and the machine.
use serde::Serialize;

/// The program and the machine.
#[derive(Serialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: &'static str,
    /// The commit it was built from, where it was built from a repository.
    pub commit: Option<&'static str>,
    /// Model of the processor.
    pub cpu: String,
    /// Hardware threads that this process may use.
    pub threads: usize,
    /// Threads that large products and loops of a solve run on.
    pub solve_threads: usize,
}

impl Provenance {
    /// This program on this machine, where a solve may use so many threads.
    pub fn here(solve_threads: usize) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model(&text));
        Provenance {
            version: env!("CARGO_PKG_VERSION"),
            commit: Some(env!("PRECONDOR_COMMIT")).filter(|commit| !commit.is_empty()),
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            solve_threads,
        }
    }

    /// The program in words.
    pub fn program(&self) -> String {
        let commit = self.commit.map_or(String::new(), |commit| format!(" ({commit})"));
        format!("precondor {}{commit}", self.version)
    }

    /// The machine in words.
    pub fn machine(&self) -> String {
        let Provenance { cpu, threads, solve_threads, .. } = self;
        format!("{cpu}, {threads} hardware threads, {solve_threads} for a solve of some size")
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
