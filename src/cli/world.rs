//! The ranks that this command runs on: one, or those of an MPI job.
//!
//! A command runs on every rank. Rank 0 alone prints, writes files and shows progress; what fails on
//! one rank fails on all, with one message.
use crate::{Status, interrupt, terminal};
use precondor::launched;
#[cfg(feature = "mpi")]
use precondor_core::comm::count::Counted;
use precondor_core::comm::count::Counter;
use precondor_core::comm::{Comm, Communicator};
use precondor_core::{Error, Result};
use std::process::ExitCode;

/// The ranks of this run.
pub struct World {
    comm: Comm,
    /// What this rank sends through it.
    counter: Counter,
    #[cfg(feature = "mpi")]
    mpi: Option<precondor_mpi::World>,
}

impl World {
    /// Joins the ranks that a launcher has started this program on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there are several and this build cannot join them.
    pub fn start() -> Result<World> {
        let announced = launched().map_or(1, |(size, _)| size);
        let world = Self::join()?;
        if announced > 1 && world.comm.size() == 1 {
            return Err(world.no_way_to_join(announced));
        }
        Ok(world)
    }

    #[cfg(feature = "mpi")]
    fn join() -> Result<World> {
        if launched().is_none() {
            return Ok(World { comm: Comm::solo(), counter: Counter::default(), mpi: None });
        }
        let mpi = precondor_mpi::World::init()?;
        let counted = Counted::new(mpi.communicator());
        let counter = counted.counter();
        let comm = Comm::new(std::sync::Arc::new(counted));
        Ok(World { comm, counter, mpi: Some(mpi) })
    }

    #[cfg(not(feature = "mpi"))]
    fn join() -> Result<World> {
        Ok(World { comm: Comm::solo(), counter: Counter::default() })
    }

    fn no_way_to_join(self, announced: usize) -> Error {
        #[cfg(feature = "mpi")]
        let why = {
            // Alone in a world of its own, which ends here.
            let ended = self.mpi.map_or(Ok(()), precondor_mpi::World::finish);
            let ended = ended.map_or_else(|e| format!(" ({e})"), |()| String::new());
            format!(
                "it is built for {}{ended}, and their launcher belongs to another MPI; use the mpirun \
                 of that library, or build precondor with MPICC naming the other one's compiler",
                precondor_mpi::library()
            )
        };
        #[cfg(not(feature = "mpi"))]
        let why = "this build is one without MPI; install an MPI library and build it with \
                   `cargo build --release --features mpi`";
        Error::Unsupported(format!("precondor was started on {announced} ranks, but {why}"))
    }

    /// The ranks.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }

    /// What this rank has sent to others.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// Whether this rank is the one that prints and writes.
    pub fn is_first(&self) -> bool {
        self.comm.rank() == 0
    }

    /// Ranks that share this machine.
    ///
    /// # Errors
    /// What MPI reports.
    pub fn ranks_here(&self) -> Result<usize> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            return mpi.ranks_here();
        }
        Ok(1)
    }

    /// Runs a command on rank 0 alone, while the others wait for it. Collective.
    ///
    /// # Errors
    /// What `command` reports, on all ranks.
    pub fn on_first(&self, command: impl FnOnce() -> Result<Status>) -> Result<Status> {
        self.comm.agree(if self.is_first() { command() } else { Ok(Status::Done) })
    }

    /// Runs a command. A panic on a rank of several ends the job.
    pub fn run(&self, command: impl FnOnce() -> Result<Status>) -> Result<Status> {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            return mpi.guard(command);
        }
        command()
    }

    /// Ends the run on all ranks: tells why a command failed, once, and gives the exit status.
    /// Collective.
    pub fn end(self, result: Result<Status>) -> ExitCode {
        let ended = matches!(result, Ok(Status::Interrupted));
        let told = self.tell(result.as_ref().err(), ended);
        let status = match (told, result) {
            (Err(e), _) => {
                complain(&e.to_string());
                1
            }
            (Ok(Some(status)), _) => status,
            (Ok(None), Ok(Status::Done)) => 0,
            (Ok(None), Ok(Status::NotConverged)) => 2,
            (Ok(None), Ok(Status::PartFailed | Status::Interrupted) | Err(_)) => 1,
        };
        #[cfg(feature = "mpi")]
        if let Some(Err(e)) = self.mpi.map(precondor_mpi::World::finish) {
            complain(&e.to_string());
            return ExitCode::from(1);
        }
        ExitCode::from(status)
    }

    /// Tells what failed: the first rank with an error of its own does, and names itself unless all
    /// have the same. Returns the exit status of a run that a signal `ended`, on whichever rank.
    /// Collective.
    fn tell(&self, error: Option<&Error>, ended: bool) -> Result<Option<u8>> {
        let text = error.map_or(String::new(), Error::to_string);
        let own = error.is_some_and(|e| !matches!(e.root(), Error::Elsewhere { .. }));
        let hash = text.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let ended = ended || error.is_some_and(|e| *e.root() == Error::Interrupted);
        let word = [own.into(), hash, ended.into(), interrupt::status().into()];
        let all = self.comm.all_gather(&word)?;
        let same = all.iter().all(|said| said[..2] == all[0][..2]);
        let first = all.iter().position(|said| said[0] == 1).unwrap_or(0);
        if error.is_some() && self.comm.rank() == first {
            match same || !own {
                true => complain(&text),
                false => complain(&format!("rank {first}: {text}")),
            }
        }
        let status = all.iter().map(|said| said[3] as u8).max().filter(|&status| status > 0);
        Ok(status.filter(|_| all.iter().any(|said| said[2] == 1)))
    }
}

/// Name and version of the MPI library that this build is for.
pub fn library() -> Option<String> {
    #[cfg(feature = "mpi")]
    return Some(precondor_mpi::library());
    #[cfg(not(feature = "mpi"))]
    None
}

/// Tells of a failure before there is a world: the first of the ranks that were launched does. Others
/// leave without a word, and with success, so that the launcher ends nobody who is still speaking.
pub fn no_world(e: &Error) -> ExitCode {
    if launched().is_some_and(|(_, rank)| rank > 0) {
        return ExitCode::SUCCESS;
    }
    complain(&e.to_string());
    ExitCode::from(1)
}

fn complain(text: &str) {
    terminal::tell(&format!("error: {text}"));
}
