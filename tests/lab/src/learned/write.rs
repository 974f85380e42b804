//! The systems of a set as files that anybody reads, with a list that is a configuration of `precondor compare` but for its
//! methods: matrices as SciPy's `.npz`, vectors as NumPy's `.npy`.
use super::made::Made;
use super::sets::{Set, Source};
use super::trials::solver;
use precondor::Methods;
use precondor::config::experiment;
use precondor::config::formats;
use precondor::report::files::{self, write as put};
use precondor_core::config;
use precondor_core::kernel::random::Purpose;
use precondor_core::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Writes `NAME.toml` into `folder`, and the systems of seed `seed` into a folder beside it, at most `most` of each kind; how
/// many there are.
///
/// # Errors
/// [`Error::Unsupported`] for a set that is files already.
pub fn write(
    set: &Set,
    (seed, most): (u64, Option<u64>),
    methods: &Methods,
    folder: &Path,
) -> Result<usize> {
    let count = most.map_or(set.systems, |most| most.min(set.systems));
    files::make_folder(&folder.join(&set.name))?;
    let mut told: Vec<Value> = Vec::new();
    let mut one = |label: String, made: &Made| {
        let name = format!("{}/{:03}", set.name, told.len());
        let file = |end: &str| (format!("{name}{end}"), folder.join(format!("{name}{end}")));
        let ((a, a_path), (b, b_path)) = (file(".npz"), file("_b.npy"));
        formats::write_system(&a_path, Some(&b_path), (&made.a, &made.b), &label, None)?;
        let mut of = json!({ "matrix": a, "rhs": b, "label": label });
        if let Some(x0) = &made.x0 {
            let (x, path) = file("_x0.npy");
            formats::write_vector(&path, made.a.space(), x0, "the vector to start from")?;
            of["x0"] = x.into();
        }
        told.push(of);
        Ok::<_, Error>(())
    };
    match &set.source {
        Source::Recipe { test, theirs: None, .. } => {
            for index in 0..count {
                one(format!("system {index}"), &test.make(Purpose::Test, seed, index)?)?;
            }
        }
        Source::Problems { test, .. } => {
            let section = |section: &Value| {
                let mut section = section.clone();
                (section["samples"], section["seed"]) = (count.into(), seed.into());
                section
            };
            let mut root = config::parse(&set.name, Path::new(""), "")?;
            let sections: Value = test.iter().map(section).collect();
            config::put(&mut root, &["problem"], sections, &set.name)?;
            for case in experiment::family(&root, methods)? {
                for index in 0..case.samples {
                    let task = case.task(index, methods)?.single()?;
                    let made = Made { a: task.system.a().clone(), b: task.b, x0: None };
                    one(format!("{}, system {index}", case.label), &made)?;
                }
            }
        }
        Source::Recipe { theirs: Some(_), .. } | Source::Files(_) => {
            return Err(Error::Unsupported(format!(
                "--write: the set {} is files already; choose others with --sets",
                set.name
            )));
        }
    }
    let list = json!({
        "title": set.title,
        "problem": { "matrices": told },
        "solver": solver(set.rule),
    });
    let path = folder.join(&set.name).with_extension("toml");
    put(&path, config::written(&list)?.as_bytes())?;
    Ok(told.len())
}
