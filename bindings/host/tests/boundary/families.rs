//! Families of problems across the boundary.
use crate::methods;
use crate::support::load_all;
use precondor_core::comm::{Comm, threads};
use precondor_core::kernel::random::Purpose;
use precondor_core::problem::{DynFamily, NativeFamily, OfFamily, Problem, Rows};
use precondor_core::{Error, Result};
use precondor_host::Plugins;
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use precondor_testkit::springs::Springs;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const INCLUDE: &str = "bindings/abi/include";

/// The plugin in C with this fault.
fn springs(folder: &Folder, fault: &str) -> Result<Arc<dyn DynFamily>> {
    let define = format!("-D{fault}");
    let define = if fault.is_empty() { vec![] } else { vec![define.as_str()] };
    let file = compile(
        folder.path(),
        "springs",
        "tests/c/springs.c",
        INCLUDE,
        &[&define[..], &["-lm"]].concat(),
    );
    load_all(&file).map(|contents| contents.families[0].clone())
}

fn whole(family: &Arc<dyn DynFamily>, params: &Value, purpose: Purpose) -> Result<Rows> {
    let system = OfFamily::new(Arc::clone(family), params)?.assembly(purpose, 1)?;
    let mut rows = Rows::default();
    system.assemble(0..system.unknowns(), &mut rows)?;
    Ok(rows)
}

#[test]
fn a_family_behind_tables_is_the_native_one_bit_for_bit() {
    let loaded = methods::contents().families.remove(0);
    let native = NativeFamily::<Springs>::of("1.2");
    assert_eq!((loaded.name(), loaded.version()), (native.name(), native.version()));
    assert_eq!(loaded.schema(), native.schema());
    for params in [json!({}), json!({ "masses": 31, "directions": 3, "seed": 8 })] {
        for purpose in [Purpose::Test, Purpose::Training] {
            let [a, b] = [&loaded, &native].map(|family| whole(family, &params, purpose));
            assert_eq!(a.expect("made"), b.expect("made"));
        }
    }
    // Errors come through as they are.
    let [a, b] = [&loaded, &native]
        .map(|family| whole(family, &json!({ "masses": 13 }), Purpose::Test).err());
    assert_eq!(a, b);
    assert!(matches!(a, Some(Error::Parameter(_))), "{a:?}");
}

#[test]
fn a_library_in_c_makes_the_same_system_on_any_ranks() {
    let folder = Folder::new("families-c");
    let family = springs(&folder, "").expect("sound");
    let of =
        |params| Problem::OfFamily(OfFamily::new(Arc::clone(&family), &params).expect("valid"));
    let problem = of(json!({ "masses": 9, "contrast": 10.0, "seed": 5 }));
    let (a, b) = problem.generate(Comm::solo()).expect("made");
    let a = a.a().own().view();
    for i in 0..9 {
        let beside: f64 = a.row(i).filter(|(j, _)| *j != i).map(|(_, v)| v).sum();
        // A row adds up to zero but for the walls.
        let wall = a.get(i, i) + beside;
        assert!(
            if i % 8 == 0 { (1.0..10.0).contains(&wall) } else { wall.abs() < 1e-12 },
            "row {i}"
        );
        assert!(i == 0 || a.get(i, i - 1) == a.get(i - 1, i), "symmetric");
    }
    assert_eq!(b, [1.0; 9]);
    for ranks in [2, 3] {
        let parts = threads::run(ranks, |backend| {
            let (system, _) = problem.generate(Comm::new(backend))?;
            let start = system.a().space().start() as usize;
            let diagonal = (0..system.a().n_own()).map(|i| system.a().diagonal(i));
            Ok::<_, Error>((start, diagonal.collect::<Vec<_>>()))
        });
        for part in parts {
            let (start, diagonal) = part.expect("made");
            let expected = (0..diagonal.len()).map(|i| a.get(start + i, start + i));
            assert!(diagonal.iter().copied().eq(expected), "{diagonal:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_by_row_or_by_table() {
    for (fault, why) in [
        ("NAN_ENTRY", "row 5: an entry is NaN"),
        ("UNSORTED", "row 5: its columns do not increase"),
        ("BEYOND", "row 5: column 100 of a matrix with 100"),
        ("ODD_BLOCKS", "100 unknowns in nodes of 7"),
        ("REFUSES", "told to fail in assemble"),
    ] {
        let folder = Folder::new(&format!("families-{fault}"));
        let family = springs(&folder, fault).expect("its table is sound");
        let problem = Problem::OfFamily(OfFamily::new(family, &json!({})).expect("valid"));
        let error = problem.generate(Comm::solo()).err().expect("refused").to_string();
        assert!(error.starts_with("springs: ") && error.contains(why), "{fault}: {error}");
    }
    let folder = Folder::new("families-reserved");
    let error = springs(&folder, "RESERVED").err().expect("refused").to_string();
    assert!(error.contains("family 0: its parameter 'samples' has a name"), "{error}");
}

/// A library of 1.0, whose table ends before families, has none; what comes after it in memory is not looked at.
#[test]
fn a_library_of_1_0_has_no_families() {
    let folder = Folder::new("families-frozen");
    let frozen = "tests/c/frozen-1.0";
    let file = compile(folder.path(), "frozen", &format!("{frozen}/jacobi.c"), frozen, &[]);
    let contents = load_all(&file).expect("a sound library");
    assert_eq!((contents.methods.len(), contents.families.len()), (1, 0));
}

#[test]
fn the_first_library_that_has_a_kind_gives_it_and_shipped_ones_stay() {
    let [first, second, shipped] =
        ["first", "second", "shipped"].map(|name| Folder::new(&format!("families-{name}")));
    let made = |folder: &Folder, more: &[&str]| {
        compile(folder.path(), "springs", "tests/c/springs.c", INCLUDE, &[more, &["-lm"]].concat())
    };
    let files = [made(&first, &[]), made(&second, &[]), made(&shipped, &["-DSHIPPED"])];
    let plugins = Plugins::of(files, Path::new("."), &|_| {}).expect("a folder");
    let family = plugins.family("springs").expect("there");
    assert!(family.origin().contains("families-first"), "{}", family.origin());
    let told: Vec<&str> =
        plugins.problems().iter().map(|problem| problem.reason.as_str()).collect();
    assert!(told[0].starts_with("its family 'springs' is hidden by that of "), "{told:?}");
    assert_eq!(told[1..], ["its family 'poisson' is hidden by a shipped kind of problem"]);
    assert!(plugins.family("poisson").is_none());
    // A program's own must have another name.
    let mut plugins = plugins;
    plugins.add_family(NativeFamily::<Springs>::of("1.2")).expect("another name");
    let error =
        plugins.add_family(NativeFamily::<Springs>::of("1.3")).expect_err("twice").to_string();
    assert!(
        error.contains(
            "kind of problem 'springs-of-rust' of linked in is there already, from linked in"
        ),
        "{error}"
    );
    let names: Vec<&str> = plugins.families().iter().map(|family| family.name()).collect();
    assert_eq!(names, ["springs", "springs-of-rust"]);
}
