//! Systems of recipes, and their files.
use super::contrast::Contrast;
use super::random_spd::RandomSpd;
use precondor::config::formats;
use precondor_core::Result;
use precondor_core::kernel::random::Purpose;
use precondor_core::matrix::DistCsr;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A system.
pub struct Made {
    pub a: DistCsr,
    pub b: Vec<f64>,
    /// The vector to start from; none: zero.
    pub x0: Option<Vec<f64>>,
}

/// How the systems of a set are made.
#[derive(Clone, Debug)]
pub enum Recipe {
    RandomSpd(RandomSpd),
    Contrast(Contrast),
}

impl Recipe {
    pub fn make(&self, purpose: Purpose, seed: u64, index: u64) -> Result<Made> {
        match self {
            Recipe::RandomSpd(recipe) => recipe.make(purpose, seed, index),
            Recipe::Contrast(recipe) => recipe.make(purpose, seed, index),
        }
    }

    /// Writes systems into `folder`, and returns what configurations say of each. What is there is written again.
    pub fn write(
        &self,
        folder: &Path,
        (purpose, seed): (Purpose, u64),
        count: u64,
    ) -> Result<Vec<Value>> {
        precondor::report::files::make_folder(folder)?;
        (0..count).map(|index| self.write_one(folder, (purpose, seed), index)).collect()
    }

    fn write_one(&self, folder: &Path, from: (Purpose, u64), index: u64) -> Result<Value> {
        let Made { a, b, x0 } = self.make(from.0, from.1, index)?;
        let path = folder.join(format!("{index:03}.petsc"));
        formats::write_system(&path, Some(&path), (&a, &b), "", None)?;
        let mut told = json!({ "matrix": name(&path)?, "label": format!("system {index}") });
        if let Some(x0) = x0 {
            let path = folder.join(format!("{index:03}_x0.petsc"));
            formats::write_vector(&path, a.space(), &x0, "the vector to start from")?;
            told["x0"] = name(&path)?.into();
        }
        Ok(told)
    }
}

/// The whole name of a file, which stands in configurations.
pub fn name(path: &Path) -> Result<String> {
    let whole: PathBuf = path.canonicalize().map_err(|e| precondor_core::Error::file(path, e))?;
    Ok(whole.display().to_string())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn symmetric(a: &DistCsr) -> bool {
        let a = a.own().view();
        (0..a.n_rows()).all(|i| a.row(i).all(|(j, value)| a.get(j, i) == value))
    }

    /// The least and the largest eigenvalue, the first above zero.
    pub fn definite(a: &DistCsr) -> [f64; 2] {
        let (n, a) = (a.n_own(), a.own().view());
        let dense = nalgebra::DMatrix::from_fn(n, n, |i, j| a.get(i, j));
        let values = dense.symmetric_eigenvalues();
        let (least, most) = (values.min(), values.max());
        assert!(least > 0.0, "{least}");
        [least, most]
    }

    fn bits(made: &Made) -> Vec<u64> {
        let numbers =
            made.a.own().view().values.iter().chain(&made.b).chain(made.x0.iter().flatten());
        numbers.map(|x| x.to_bits()).collect()
    }

    /// The same system is made again, and another one for whatever else.
    pub fn differ(make: impl Fn(Purpose, u64, u64) -> Result<Made>) {
        let of = |purpose, seed, index| bits(&make(purpose, seed, index).expect("made"));
        let first = of(Purpose::Test, 1, 2);
        assert_eq!(first, of(Purpose::Test, 1, 2));
        for (purpose, seed, index) in
            [(Purpose::Training, 1, 2), (Purpose::Test, 2, 2), (Purpose::Test, 1, 3)]
        {
            assert_ne!(first, of(purpose, seed, index), "{purpose:?}, {seed}, {index}");
        }
    }

    #[test]
    fn files_hold_the_systems_to_the_bit() {
        let folder = precondor_testkit::program::Folder::new("lab-learned-files");
        let recipe = Recipe::Contrast(Contrast::new(8, 0.5, [1.0, 1e9]));
        let told = recipe.write(folder.path(), (Purpose::Test, 3), 2).expect("written");
        let made = recipe.make(Purpose::Test, 3, 1).expect("made");
        let path = PathBuf::from(told[1]["matrix"].as_str().expect("a name"));
        let (a, b) = (
            formats::read_matrix(&path, &mut Vec::new()),
            formats::read_rhs_beside(&path, made.a.space()),
        );
        assert_eq!(a.expect("read").view().values, made.a.own().view().values);
        assert_eq!(b.expect("read").concat(), made.b);
        let start = PathBuf::from(told[1]["x0"].as_str().expect("a name"));
        let x0 = formats::read_vector_on_ranks(&start, made.a.space(), "x0", &mut Vec::new());
        assert_eq!(Some(x0.expect("read")), made.x0);
    }
}
