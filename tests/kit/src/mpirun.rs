//! Programs under `mpirun`, with a time limit.
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a job of several ranks said, and how it ended.
#[derive(Debug)]
pub struct Job {
    /// Exit status of `mpirun`; none where it was killed.
    pub status: Option<i32>,
    /// What all ranks wrote to standard output.
    pub out: String,
    /// What all ranks and `mpirun` wrote to standard error.
    pub err: String,
}

/// Time that a job may take, since no rank may wait for ever: two minutes, or the seconds in the variable
/// `PRECONDOR_TEST_LIMIT`.
fn limit() -> Duration {
    let seconds = std::env::var("PRECONDOR_TEST_LIMIT").ok();
    let seconds = seconds.map(|text| text.parse().expect("seconds in PRECONDOR_TEST_LIMIT"));
    Duration::from_secs(seconds.unwrap_or(120))
}

/// Runs `program` on `ranks` ranks of this machine, more than it has cores where need be.
///
/// The launcher is `mpirun`, or what the variable `MPIRUN` names.
pub fn mpirun(ranks: usize, program: &Path, arguments: &[&str]) -> Job {
    let mut command = launcher(ranks);
    command.arg(program).args(arguments);
    finish(command)
}

/// `mpirun -n RANKS`, to which a program is to be added.
pub fn launcher(ranks: usize) -> Command {
    let launcher = std::env::var("MPIRUN").unwrap_or_else(|_| "mpirun".into());
    let mut command = Command::new(launcher);
    command.args(["-n", &ranks.to_string()]);
    // For Open MPI: as root in a container, more ranks than cores, ranks that wait give way.
    for name in ["ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe"] {
        command.env(format!("OMPI_{name}"), "1");
    }
    command.env("OMPI_MCA_hwloc_base_binding_policy", "none");
    command.env("OMPI_MCA_mpi_yield_when_idle", "1");
    command.env("RAYON_NUM_THREADS", "1");
    command
}

/// Jobs that may start: two at a time. While one starts or ends, of which most of them consist, the other has the cores.
static FREE: Mutex<usize> = Mutex::new(2);
static ENDED: Condvar = Condvar::new();

/// A job under way.
struct Turn;

impl Turn {
    fn wait() -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let free = ENDED.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        ENDED.notify_one();
    }
}

/// Runs a job to its end, when one of those before it has ended.
///
/// # Panics
/// Where it takes longer than any job may, after having ended it.
pub fn finish(command: Command) -> Job {
    let _turn = Turn::wait();
    finish_within(command, limit())
}

/// Runs a program to its end, whatever others run.
///
/// # Panics
/// Where it takes longer than `limit`, after having ended it.
pub fn finish_within(mut command: Command, limit: Duration) -> Job {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        piped.spawn().unwrap_or_else(|e| panic!("{e}; scripts/setup.sh installs what tests need"));
    fn read(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("text");
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let out = read(child.stdout.take().expect("standard output"));
    let err = read(child.stderr.take().expect("standard error"));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if start.elapsed() > limit => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.is_none() {
        // Asked to end, mpirun ends its ranks too.
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let _ = child.wait();
    }
    let (out, err) = (out.join().expect("text"), err.join().expect("text"));
    let status = status.unwrap_or_else(|| panic!("{command:?} hangs:\n{out}\n{err}"));
    Job { status: status.code(), out, err }
}
