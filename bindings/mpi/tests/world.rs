//! Worlds of MPI, on real ranks: each test starts the example `ranks` under `mpirun`.
use precondor_testkit::mpirun;

use mpirun::Job;
use std::path::PathBuf;

fn ranks(n: usize, what: &str) -> Job {
    let test = std::env::current_exe().expect("a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("the build's folder");
    let program: PathBuf = folder.join("examples/ranks");
    assert!(program.exists(), "build it: cargo build -p precondor-mpi --features mpi --examples");
    mpirun::mpirun(n, &program, &[what])
}

/// Runs `what` on 1 to 4 ranks; all of them come to their end.
fn on_all_sizes(what: &str) {
    for n in 1..=4 {
        let job = ranks(n, what);
        assert_eq!(job.status, Some(0), "{what} on {n} ranks: {job:?}");
        assert_eq!(job.out.matches("done").count(), n, "{what} on {n} ranks: {job:?}");
    }
}

#[test]
fn mpi_is_a_world_as_every_world_must_be() {
    on_all_sizes("properties");
}

#[test]
fn a_communicator_is_borrowed_and_given_back() {
    on_all_sizes("a borrowed communicator");
}

#[test]
fn long_messages_go_in_pieces() {
    on_all_sizes("messages in pieces");
}

#[test]
fn mpi_is_refused_on_another_thread() {
    on_all_sizes("another thread");
}

#[test]
fn communicators_that_nobody_uses_are_given_back() {
    on_all_sizes("many duplicates");
}

#[test]
fn an_iteration_allocates_nothing() {
    on_all_sizes("memory");
}

#[test]
fn a_rank_that_cannot_go_on_ends_the_job_with_its_message() {
    for n in 1..=4 {
        for (what, message) in [
            ("a panic", "panicked: nobody catches this"),
            ("an abort", "no memory left"),
            ("a rank that leaves", "left without ending its world"),
        ] {
            let job = ranks(n, what);
            // MPICH's launcher may pass on how a rank ended that it killed itself.
            let killed = job.status == Some(9) && job.out.contains("Killed (signal 9)");
            assert!(job.status == Some(1) || killed, "{what} on {n} ranks: {job:?}");
            let told = format!("error: rank {}: {message}", n - 1);
            assert_eq!(job.err.matches(&told).count(), 1, "{what} on {n} ranks: {job:?}");
            assert!(!job.out.contains("done"), "{what} on {n} ranks: {job:?}");
        }
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_job() {
    for n in 1..=4 {
        let job = ranks(n, "a rank that is killed");
        assert!(job.status != Some(0), "{job:?}");
        assert!(!job.out.contains("done"), "{job:?}");
    }
}
