//! What ran where: the program and the machine.
use crate::Methods;
use serde::{Deserialize, Serialize};

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256; none where each of several ranks has seen a part of it only.
    pub sha256: Option<String>,
}

impl Input {
    /// In words.
    pub fn told(&self) -> String {
        let Input { file, bytes, sha256 } = self;
        let digest =
            sha256.as_ref().map_or("not digested whole".into(), |d| format!("SHA-256 {d}"));
        format!("{file}: {bytes} bytes, {digest}")
    }
}

/// The program and the machine.
#[derive(Clone, Serialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: &'static str,
    /// The commit it was built from, where it was built from a repository.
    pub commit: Option<&'static str>,
    /// Model of the processor.
    pub cpu: String,
    /// Hardware threads that this process may use.
    pub threads: usize,
    /// Threads that large products and loops of a solve run on, on each rank.
    pub solve_threads: usize,
    /// Ranks.
    pub ranks: usize,
    /// The MPI library, where this build has one.
    pub mpi: Option<String>,
    /// When, in universal time: `2025-11-30 12:00 UTC`.
    pub date: String,
    /// The files that were read: of the systems, and by methods.
    pub files: Vec<Input>,
}

impl Provenance {
    /// This program on this machine, with the ranks and threads of `methods`.
    pub fn of(methods: &Methods) -> Self {
        let (solve_threads, ranks) = (methods.host().threads(), methods.comm().size());
        Provenance { solve_threads, ranks, ..Provenance::here() }
    }

    /// This program on this machine, on one rank and with one thread.
    pub fn here() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model(&text));
        Provenance {
            version: env!("CARGO_PKG_VERSION"),
            commit: Some(env!("PRECONDOR_COMMIT")).filter(|commit| !commit.is_empty()),
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            solve_threads: 1,
            ranks: 1,
            mpi: None,
            date: date(std::time::SystemTime::now()),
            files: Vec::new(),
        }
    }

    /// The ranks in words, where there are several.
    pub fn ranks(&self) -> Option<String> {
        let Provenance { ranks, solve_threads, mpi, .. } = self;
        let mpi = mpi.as_ref().map_or(String::new(), |mpi| format!(", {mpi}"));
        let threads =
            if *solve_threads == 1 { "1 thread" } else { &format!("{solve_threads} threads") };
        (*ranks > 1).then(|| format!("{ranks}, with {threads} each{mpi}"))
    }

    /// The program in words.
    pub fn program(&self) -> String {
        let commit = self.commit.map_or(String::new(), |commit| format!(" ({commit})"));
        format!("precondor {}{commit}", self.version)
    }

    /// The machine in words.
    pub fn machine(&self) -> String {
        let Provenance { cpu, threads, solve_threads, .. } = self;
        match self.ranks() {
            Some(ranks) => format!("{cpu}; ranks: {ranks}"),
            None => format!(
                "{cpu}, {threads} hardware threads, {solve_threads} for a solve of some size"
            ),
        }
    }
}

/// Day and time of day.
fn date(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut days, minutes) = (seconds / 86_400, seconds / 60 % 1440);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (month, day, hour, minute) = (month + 1, days + 1, minutes / 60, minutes % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::date;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, told) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_827_696, "2000-02-29 12:34 UTC"),
            (1_735_689_599, "2024-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), told);
        }
    }
}
