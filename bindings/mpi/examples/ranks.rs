//! What every rank of a job does in the tests of this crate: `mpirun -n 4 ranks NAME`.
#![allow(clippy::unwrap_used)]
use precondor_testkit::suite as common;
use precondor_testkit::world;

use precondor_core::comm::{Comm, Communicator};
use precondor_core::{Error, Result};
use precondor_mpi::{Foreign, World};
use std::sync::Arc;

fn main() {
    let what = std::env::args().nth(1).expect("what to do");
    let job = World::init().unwrap();
    job.guard(|| match what.as_str() {
        "properties" => properties(&job),
        "a borrowed communicator" => a_borrowed_communicator(&job),
        "messages in pieces" => messages_in_pieces(&job),
        "another thread" => another_thread(&job),
        "many duplicates" => many_duplicates(&job),
        "memory" => no_allocation(&job),
        "a panic" => a_panic(&job),
        "an abort" => an_abort(&job),
        "a rank that leaves" => {}
        "a rank that is killed" => a_rank_that_is_killed(&job),
        other => panic!("nothing is called '{other}'"),
    });
    if what == "a rank that leaves" && job.rank() == job.size() - 1 {
        drop(job);
        unreachable!("the job ends here");
    }
    let left = job.communicator();
    job.finish().unwrap();
    let e = left.sum(&mut [1.0, 2.0]).map_or_else(|e| e.to_string(), |()| "no error".into());
    let alone = left.size() == 1;
    assert!(alone || e.contains("freed when its world ended"), "{e}");
    println!("done");
}

fn properties(job: &World) {
    for (name, property) in world::PROPERTIES {
        if job.rank() == 0 {
            println!("{name}");
        }
        property(&Comm::new(job.communicator()));
    }
}

/// As a library does that is handed a communicator of PETSc.
fn a_borrowed_communicator(job: &World) {
    assert!(World::init().is_err(), "MPI starts once");
    let raw = job.mpi().as_raw().unwrap();
    // SAFETY: the communicator of the job is live.
    let foreign = unsafe { Foreign::from_raw(raw) }.unwrap();
    let comm = Comm::new(foreign.communicator());
    for (_, property) in world::PROPERTIES {
        property(&comm);
    }
    let other = comm.duplicate().unwrap();
    foreign.free().unwrap();
    let all = &mut vec![0.0; job.size()];
    for comm in [comm, other] {
        let e = comm.gather_f64(&[1.0], all).unwrap_err().to_string();
        assert!(e.contains("freed when its world ended"), "{e}");
    }
    // The one that was borrowed is as it was.
    job.communicator().gather_f64(&[1.0], all).unwrap();
    // SAFETY: the null communicator is allowed.
    let null = unsafe { Foreign::from_raw(mpi::ffi::RSMPI_COMM_NULL) };
    assert!(null.err().unwrap().to_string().contains("MPI_COMM_NULL"));
}

fn messages_in_pieces(job: &World) {
    let mpi = job.mpi();
    for bytes in [1, 7, 64] {
        mpi.limit_messages(bytes);
        for (_, property) in &world::PROPERTIES[..2] {
            property(&Comm::new(mpi.clone()));
        }
    }
}

fn another_thread(job: &World) {
    let comm = job.communicator();
    let link = comm.exchange(world::ring(&*comm)).unwrap();
    let there = || {
        let all = &mut vec![0.0; comm.size()];
        let errors = [comm.gather_f64(&[1.0], all).unwrap_err(), link.start(&[1.0]).unwrap_err()];
        assert!(comm.duplicate().is_err());
        errors.map(|e| e.to_string())
    };
    for text in std::thread::scope(|s| s.spawn(there).join().unwrap()) {
        assert!(text.contains("another one"), "{text}");
    }
    // Dropped there, its requests are not given back, and nothing happens.
    std::thread::spawn(move || drop(link)).join().unwrap();
}

/// More communicators than MPI has numbers for, one after the other.
fn many_duplicates(job: &World) {
    let root = Comm::new(job.communicator());
    let mut kept: Vec<Comm> = Vec::new();
    for k in 0..3000 {
        let new = root.duplicate().unwrap();
        if k % 500 == 0 {
            kept.push(new);
        }
    }
    for comm in kept {
        let mut x = [1.0];
        comm.sum(&mut x).unwrap();
        assert_eq!(x[0], job.size() as f64);
    }
}

/// What is done in every iteration of a solve allocates nothing.
fn no_allocation(job: &World) {
    let comm = Comm::new(job.communicator());
    let a = common::laplace(9);
    let a = common::distribute(comm.clone(), common::starts(comm.size(), 81, true), &a).unwrap();
    let (x, mut y) = (vec![1.0; a.n_own()], vec![0.0; a.n_own()]);
    let rounds = allocation_counter::measure(|| {
        for _ in 0..3 {
            a.spmv(&x, &mut y).unwrap();
            a.space().dots([(&x, &y), (&y, &y)]).unwrap();
            comm.sum(&mut [1.0]).unwrap();
        }
    });
    assert_eq!(rounds.count_total, 0);
}

fn a_panic(job: &World) {
    let comm = Comm::new(job.communicator());
    // Caught in a scope, it is an error on all ranks.
    let caught: Result<()> = comm.scope(|| match comm.rank() {
        0 => panic!("in a scope"),
        _ => comm.sum(&mut [1.0]),
    });
    assert!(caught.unwrap_err().to_string().contains("in a scope"));
    assert!(comm.rank() + 1 != comm.size(), "nobody catches this");
    let _ = comm.sum(&mut [1.0]);
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

fn an_abort(job: &World) {
    let comm: Arc<dyn Communicator> = job.communicator();
    if comm.rank() + 1 == comm.size() {
        comm.abort(&Error::Data("no memory left".into()).to_string());
    }
    let _ = comm.sum(&mut [1.0]);
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

fn a_rank_that_is_killed(job: &World) {
    let comm = job.communicator();
    if comm.rank() + 1 == comm.size() {
        let me = std::process::id().to_string();
        std::process::Command::new("kill").args(["-KILL", &me]).status().unwrap();
    }
    let _ = comm.sum(&mut [1.0]);
    std::thread::sleep(std::time::Duration::from_secs(3600));
}
