//! Vectors.
use crate::support::{file, petsc, processes, told};
use precondor_core::matrix::io::petsc_binary;
use precondor_petsc::{Ranks, Vec as Vector};

processes! { arithmetic_is_over_all_ranks [Found; 2] {
    let petsc = petsc();
    // 0, 1 | 2, 3, 4: different lengths on the two ranks.
    let own: &[f64] = if petsc.rank() == 0 { &[0.0, 1.0] } else { &[2.0, 3.0, 4.0] };
    let mut x = Vector::from_slice(&petsc, Ranks::All, own).expect("a vector");
    assert_eq!((x.len(), x.n_own(), x.is_empty()), (5, own.len(), false));
    assert_eq!(x.norm().expect("a norm"), 30f64.sqrt());
    let mut y = x.like().expect("a vector");
    assert_eq!(y.norm().expect("zeros"), 0.0);
    y.set(2.0).expect("set");
    assert_eq!(x.dot(&y).expect("a product"), 20.0);
    x.axpy(-1.0, &y).expect("added");
    x.scale(3.0).expect("scaled");
    let want: Vec<f64> = own.iter().map(|v| 3.0 * (v - 2.0)).collect();
    assert_eq!(x.to_vec().expect("entries"), want);
    x.write(|entries| entries.fill(1.5)).expect("written");
    y.copy_from(&x).expect("copied");
    assert_eq!(y.read(|entries| entries.iter().sum::<f64>()).expect("read"), 1.5 * own.len() as f64);
    assert_eq!(format!("{y:?}"), format!("Vec({} of 5 entries)", own.len()));
} }

processes! { lengths_and_ranks_that_differ_are_refused_on_all_ranks [Found; 2] {
    let petsc = petsc();
    let mut x = Vector::new(&petsc, Ranks::All, 2).expect("a vector");
    // As long in all, cut another way: only the ranks together know.
    let y = Vector::new(&petsc, Ranks::All, if petsc.rank() == 0 { 2 } else { 3 }).expect("a vector");
    let text = told(x.axpy(1.0, &y));
    match petsc.rank() {
        0 => assert_eq!(text, "rank 1 failed: PETSc: Vec::axpy: vectors of 2 and 3 own entries"),
        _ => assert_eq!(text, "Vec::axpy: vectors of 2 and 3 own entries"),
    }
    let alone = Vector::new(&petsc, Ranks::One, 2).expect("a vector");
    assert!(told(x.dot(&alone)).contains("of all ranks and of one rank do not go together"));
    assert!(told(x.copy_from(&alone)).contains("do not go together"));
} }

processes! { files_are_those_of_the_core [Found; 2] { files() } }
processes! { files_are_those_of_the_core_with_64_bits [Wide; 1] { files() } }

fn files() {
    let petsc = petsc();
    let path = file(&petsc, "x.petsc");
    let own = [0.1 + petsc.rank() as f64, 1.0 / 3.0];
    let x = Vector::from_slice(&petsc, Ranks::All, &own).expect("a vector");
    x.save(&path).expect("saved");
    let again = Vector::load(&petsc, Ranks::All, &path).expect("loaded");
    assert_eq!(again.to_vec().expect("entries"), own);
    let whole = petsc_binary::read_vector(&path).expect("ours reads it");
    assert_eq!(whole[2 * petsc.rank()..][..2], own);
    // Nobody removes it while the other still reads.
    petsc.comm(Ranks::All).agree(Ok(())).expect("together");
    if petsc.rank() == 0 {
        std::fs::remove_file(&path).expect("removed");
        let _ = std::fs::remove_file(format!("{}.info", path.display()));
    }
}
