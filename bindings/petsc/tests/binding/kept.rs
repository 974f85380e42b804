//! What a plugin keeps of what PETSc is there for during a setup only.
use crate::support::{examples, processes, system};
use precondor_petsc::{Mat, Pc, Petsc, Ranks, Vec, pc};

processes! {
    /// The plugin logs with the services of a setup whose PC is gone, and from another thread. PETSc's log,
    /// which looks at the PC, has neither.
    services_that_a_plugin_keeps_lead_to_no_pc_that_is_gone [Found; 1] { services() }
}

fn services() {
    let plugin = examples().join("libprecondor_plugin_keeps.so");
    assert!(
        plugin.exists(),
        "build it: cargo build -p precondor-petsc --features petsc --examples"
    );
    let log = std::env::temp_dir().join(format!("precondor-kept-{}", std::process::id()));
    let petsc = Petsc::init(&["-info", log.to_str().expect("text")]).expect("PETSc");
    pc::register(&petsc).expect("registered");
    let (system, b) = system(&petsc);
    let a = Mat::from_dist(&petsc, system.a()).expect("a matrix");
    let b = Vec::from_slice(&petsc, Ranks::All, &b).expect("b");
    let setups = 3;
    for _ in 0..setups {
        let mut pc = Pc::new(&petsc, Ranks::All).expect("a PC");
        pc.set_operators(&a, &a).expect("operators").set_type("precondor_keeps").expect("the type");
        let mut z = b.like().expect("z");
        pc.set_up().expect("set up").apply(&b, &mut z).expect("applied");
        assert_eq!(z.to_vec().expect("z"), b.to_vec().expect("b"));
    }
    assert_eq!(pc::live(), 0, "PCs that are alive");
    drop((a, b));
    petsc.finalize().expect("finalised");
    // PETSc adds the rank.
    let file = log.with_extension("0");
    let told = std::fs::read_to_string(&file).expect("PETSc's log");
    std::fs::remove_file(&file).expect("removed");
    let times = |line: &str| told.matches(line).count();
    assert_eq!(times("of this setup"), setups, "{told}");
    assert_eq!((times("of a setup that is over"), times("on another thread")), (0, 0), "{told}");
}
