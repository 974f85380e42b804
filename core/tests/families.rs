//! Families of problems that a program brings along.
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::DistCsr;
use precondor_core::problem::{
    Assembly, DynFamily, Families, Kinds, NativeFamily, Problem, RESERVED, Rows, taken_name,
};
use precondor_core::system::{BLOCK_SIZE, COORDINATES, NEAR_NULL_SPACE, NULL_SPACE};
use precondor_core::train::Samples;
use precondor_core::{Error, Result};
use precondor_testkit::springs::Springs;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;

/// One family beside the shipped ones.
struct With(Arc<dyn DynFamily>);

impl Kinds for With {
    fn family(&self, name: &str) -> Option<Arc<dyn DynFamily>> {
        (self.0.name() == name).then(|| Arc::clone(&self.0))
    }
    fn names(&self) -> Vec<String> {
        vec![self.0.name().to_owned()]
    }
}

fn springs() -> With {
    With(NativeFamily::<Springs>::of("1.2"))
}

fn problem(doc: Value) -> Result<Problem> {
    Problem::among(&doc, &springs())
}

fn dense(a: &DistCsr) -> Vec<(u64, u64, u64)> {
    let a = a.own().view();
    (0..a.n_rows())
        .flat_map(|i| a.row(i).map(move |(j, v)| (i as u64, j as u64, v.to_bits())))
        .collect()
}

#[test]
fn its_systems_are_those_that_the_rows_say() {
    let (system, b) = problem(json!({ "kind": "springs-of-rust", "masses": 4, "contrast": 1.0 }))
        .and_then(|p| p.generate(Comm::solo()))
        .expect("valid");
    let a = system.a().own().view();
    for i in 0..4usize {
        for j in 0..4usize {
            let expected = [2.0, -1.0, 0.0, 0.0][i.abs_diff(j)];
            assert_eq!(a.get(i, j), expected, "({i}, {j})");
        }
    }
    assert_eq!(b, [1.0; 4]);
    assert_eq!(*system.aux(COORDINATES).expect("given").values, [0.0, 1.0, 2.0, 3.0]);
}

/// Nodes of several unknowns stay together, and nothing depends on ranks.
#[test]
fn ranks_have_the_same_system() {
    let doc = json!({ "kind": "springs-of-rust", "masses": 5, "directions": 2, "seed": 3 });
    let (whole, b) =
        problem(doc.clone()).and_then(|p| p.generate_nth(Comm::solo(), 2)).expect("valid");
    assert_eq!(whole.block_size(), Ok(2));
    assert_eq!(whole.aux(NEAR_NULL_SPACE).expect("given").width, 2);
    let x: Vec<f64> = (0..10).map(|i| f64::from(i * i % 7)).collect();
    let mut expected = vec![0.0; 10];
    whole.a().spmv(&x, &mut expected).expect("fits");
    for ranks in [2, 3, 4] {
        let parts = threads::run(ranks, |backend| {
            let (system, b) = problem(doc.clone())?.generate_nth(Comm::new(backend), 2)?;
            let space = system.a().space();
            assert!(space.starts().iter().all(|start| start % 2 == 0), "nodes are whole");
            let own = space.start() as usize..space.start() as usize + space.n_own();
            let mut y = vec![0.0; space.n_own()];
            system.a().spmv(&x[own], &mut y)?;
            assert_eq!(system.aux(BLOCK_SIZE).map(|aux| aux.values.len()), Some(space.n_own()));
            Ok::<_, Error>((y, b))
        });
        let parts: Vec<_> = parts.into_iter().map(|part| part.expect("made")).collect();
        let y: Vec<f64> = parts.iter().flat_map(|(y, _)| y.clone()).collect();
        assert!(y.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-12), "{y:?} {expected:?}");
        assert_eq!(parts.iter().flat_map(|(_, b)| b.clone()).collect::<Vec<_>>(), b);
    }
}

#[test]
fn what_it_is_told_goes_there_and_back_and_mistakes_name_the_parameter() {
    let asked =
        problem(json!({ "kind": "springs-of-rust", "masses": 7, "seed": 9 })).expect("valid");
    let told = asked.to_json();
    let all = json!({ "kind": "springs-of-rust", "masses": 7, "contrast": 100.0, "directions": 1, "seed": 9 });
    assert_eq!(told, all);
    assert_eq!(problem(told), Ok(asked.clone()));
    assert_eq!(asked.plain()["masses"], 100);
    for (doc, why) in [
        (json!({ "kind": "springs-of-rust", "masses": 0 }), "'masses': 0 must be at least 1"),
        (json!({ "kind": "springs-of-rust", "mases": 5 }), "did you mean 'masses'?"),
        (json!({ "kind": "springs-of-rust", "seed": -1 }), "'seed'"),
        (json!({ "kind": "springs-of-rost" }), "did you mean 'springs-of-rust'?"),
        (json!({ "kind": "nothing of the kind" }), ", springs-of-rust)"),
    ] {
        let error = problem(doc.clone()).expect_err("refused").to_string();
        assert!(error.contains(why), "{doc}: {error}");
    }
    // What no schema can tell: when the system is made.
    let bad =
        problem(json!({ "kind": "springs-of-rust", "masses": 13 })).expect("as far as is known");
    let error = bad.generate(Comm::solo()).err().expect("refused").to_string();
    assert!(error.contains("springs-of-rust") && error.contains("13 brings bad luck"), "{error}");
    // Shipped kinds alone: the family is not there.
    let error = Problem::from_json(&json!({ "kind": "springs-of-rust" })).expect_err("unknown");
    assert!(error.to_string().contains("no problem of kind 'springs-of-rust'"), "{error}");
}

#[test]
fn training_systems_follow_the_seed_of_the_training_and_are_no_test_systems() {
    let asked = problem(json!({ "kind": "springs-of-rust", "seed": 4 })).expect("valid");
    let families = Families::new(vec![asked.clone()]).expect("one");
    let sample = |seed, index| dense(families.sample(0, seed, index).expect("offered").a());
    let solved = |index| dense(asked.generate_nth(Comm::solo(), index).expect("made").0.a());
    assert_eq!(sample(4, 0), sample(4, 0));
    assert_ne!(sample(4, 0), sample(5, 0));
    assert_ne!(sample(4, 0), sample(4, 1));
    for index in 0..3 {
        assert_eq!(solved(index), solved(index));
        assert_ne!(sample(4, index), solved(index));
    }
    assert_ne!(solved(0), solved(1));
}

/// A system whose rows are what a test says.
struct Says(u64, usize, fn(Range<u64>, &mut Rows) -> Result<()>);

type Make = fn() -> Says;

struct Fixed(Make);

impl DynFamily for Fixed {
    fn name(&self) -> &str {
        "fixed"
    }
    fn summary(&self) -> &str {
        ""
    }
    fn version(&self) -> &str {
        "0"
    }
    fn origin(&self) -> String {
        "here".into()
    }
    fn schema(&self) -> Value {
        json!({ "type": "object" })
    }
    fn system(&self, _: &Value, _: u64, _: u64) -> Result<Box<dyn Assembly>> {
        Ok(Box::new((self.0)()))
    }
}

impl Assembly for Says {
    fn unknowns(&self) -> u64 {
        self.0
    }
    fn block_size(&self) -> usize {
        self.1
    }
    fn assemble(&self, rows: Range<u64>, out: &mut Rows) -> Result<()> {
        (self.2)(rows, out)
    }
}

fn identity(rows: Range<u64>, out: &mut Rows) -> Result<()> {
    rows.for_each(|i| out.row([(i, 1.0)]));
    Ok(())
}

#[test]
fn rows_that_are_not_sound_are_refused_by_their_number() {
    let refused: [(Make, &str); 9] = [
        (|| Says(0, 1, identity), "0 unknowns in nodes of 1"),
        (|| Says(4, 3, identity), "4 unknowns in nodes of 3"),
        (|| Says(4, 0, identity), "4 unknowns in nodes of 0"),
        (
            || Says(4, 1, |rows, out| identity(rows.start..rows.end - 1, out)),
            "3 rows came, 4 from row 0 on were asked for",
        ),
        (
            || {
                Says(4, 1, |rows, out| {
                    rows.for_each(|i| out.row([(i + 2, 1.0)]));
                    Ok(())
                })
            },
            "row 2: column 4 of a matrix with 4",
        ),
        (
            || {
                Says(2, 1, |rows, out| {
                    out.extend(&[0, 2, 3][..rows.count() + 1], &[1, 0, 1], &[1.0; 3])
                })
            },
            "row 0: its columns do not increase",
        ),
        (
            || {
                Says(2, 1, |rows, out| {
                    rows.for_each(|i| out.row([(i, f64::NAN)]));
                    Ok(())
                })
            },
            "row 0: an entry is NaN",
        ),
        (
            || {
                Says(2, 1, |rows, out| {
                    out.rhs(1.0);
                    identity(rows, out)
                })
            },
            "the right-hand side has 1 entries for 2 rows",
        ),
        (
            || {
                Says(2, 1, |rows, out| {
                    out.aux(COORDINATES, &[1.0]);
                    identity(rows, out)
                })
            },
            "'coordinates': 1 numbers for 2 rows of 1",
        ),
    ];
    for (says, why) in refused {
        let problem = Problem::among(&json!({ "kind": "fixed" }), &With(Arc::new(Fixed(says))))
            .expect("known");
        let error = problem.generate(Comm::solo()).err().expect("refused").to_string();
        assert!(error.contains(why), "{why}: {error}");
        // On ranks, where some of it is as it should be, all of them are told or none.
        let on_ranks = threads::run(2, |backend| problem.generate(Comm::new(backend)).is_err());
        assert!(on_ranks[0] == on_ranks[1], "{why}");
        assert!(on_ranks[0] || why.contains("for 2 rows"), "{why}");
    }
}

/// The vectors that A takes to zero come with the rows; a solve of the singular system goes by them.
#[test]
fn a_null_space_belongs_to_the_matrix() {
    let ring = || {
        Says(6, 1, |rows, out| {
            for i in rows {
                out.row([(i, 2.0), ((i + 1) % 6, -1.0), ((i + 5) % 6, -1.0)]);
                out.aux(NULL_SPACE, &[1.0]);
            }
            Ok(())
        })
    };
    let problem =
        Problem::among(&json!({ "kind": "fixed" }), &With(Arc::new(Fixed(ring)))).expect("known");
    let (system, b) = problem.generate(Comm::solo()).expect("made");
    let null = system.a().null_spaces().expect("given");
    assert!(null.is_symmetric() && null.right.as_ref().is_some_and(|right| right.len() == 1));
    assert_eq!(b, [1.0; 6], "ones where none are given");
}

#[test]
fn names_that_mean_something_for_every_kind_are_refused() {
    for key in RESERVED {
        assert_eq!(taken_name(&json!({ "properties": { key: {} } })), Some(key));
    }
    assert_eq!(taken_name(&springs().0.schema()), None);
}
