//! The sets of systems: those of published work, model problems, files. What is learned from is never solved.
use super::contrast::Contrast;
use super::made::Recipe;
use super::published::{self, Figure};
use super::random_spd::RandomSpd;
use clap::ValueEnum;
use serde_json::{Value, json};

/// How large systems are, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// Some seconds: 400 unknowns or 32² points, two systems a set
    Small,
    /// As published
    Full,
}

impl Size {
    /// Matrices to learn from.
    pub fn learn(self) -> u64 {
        if self == Size::Small { 24 } else { 64 }
    }
}

/// What a set is.
pub struct Set {
    pub name: String,
    pub title: String,
    /// What the systems are, and where from.
    pub about: String,
    pub rule: Rule,
    /// Systems, each of every member where there are several.
    pub systems: u64,
    pub source: Source,
    /// Whether methods that need a regular grid are tried.
    pub on_grids: bool,
    /// What others print for such systems, by the same rule.
    pub published: &'static [Figure],
}

/// When a solve stops.
#[derive(Clone, Copy, PartialEq)]
pub enum Rule {
    /// ‖b − Ax‖₂ ≤ tolerance·‖b‖₂ from zero.
    Relative(f64),
    /// ‖b − Ax‖₂ ≤ tolerance from a normal vector.
    Absolute(f64),
}

/// Where systems come from.
pub enum Source {
    /// To be solved, and to be learned from; or those to be solved are files in this folder: `*.npz` and `*_b.npy`.
    Recipe { test: Recipe, learn: Recipe, theirs: Option<String> },
    /// Sections `[problem]` and `[data]`.
    Problems { test: Vec<Value>, learn: Vec<Value> },
    /// A pattern of files; nothing is learned from them.
    Files(String),
}

/// Matrices that are held back of those that are learned from, of each kind.
pub const HELD: u64 = 8;
/// Unknowns a side of what is learned from: the loss of `mlp-fsai` takes dense eigenvalues.
pub const SIDE: usize = 15;

/// The tolerance where nobody prints figures.
const TOLERANCE: f64 = 1e-8;

impl Rule {
    /// In words.
    pub fn told(self) -> String {
        match self {
            Rule::Relative(tolerance) => format!("‖b − Ax‖₂ ≤ {tolerance:e} ‖b‖₂ from x = 0"),
            Rule::Absolute(tolerance) => {
                format!(
                    "‖b − Ax‖₂ ≤ {tolerance:e}, not relative, from a normal x, as those who published it"
                )
            }
        }
    }
}

impl Set {
    fn new(name: &str, title: &str, about: &str, systems: u64, source: Source) -> Self {
        let [name, title, about] = [name, title, about].map(str::to_owned);
        let (rule, on_grids) = (Rule::Relative(TOLERANCE), false);
        Set { name, title, about, rule, systems, source, on_grids, published: &[] }
    }
}

/// All sets of a size, those of the patterns `files` at the end; `theirs` is a folder with the matrices of NeuralIF.
pub fn all(size: Size, theirs: Option<&str>, files: &[String]) -> Vec<Set> {
    let small = size == Size::Small;
    let contrasts: &[(usize, f64, [f64; 2])] = if small {
        &[(32, 0.7, [180.0, 700.0])]
    } else {
        &[(64, 1.1, [400.0, 1200.0]), (128, 1.1, [400.0, 1200.0]), (256, 1.1, [400.0, 1200.0])]
    };
    let mut sets = vec![random_spd(small, theirs)];
    sets.extend(
        contrasts.iter().map(|&(grid, variance, bounds)| contrast(grid, variance, bounds, small)),
    );
    sets.push(meshes(small));
    sets.push(grids(small));
    sets.extend(files.iter().enumerate().map(|(k, pattern)| {
        let about = format!("The matrices {pattern}, b as it stands in their files, else ones.");
        let name = format!("files-{k}");
        Set::new(&name, &format!("Files: {pattern}"), &about, 1, Source::Files(pattern.clone()))
    }));
    sets
}

fn random_spd(small: bool, theirs: Option<&str>) -> Set {
    let (n, systems) = if small { (400, 2) } else { (10_000, 100) };
    let whose = match theirs {
        Some(folder) => format!("NeuralIF's random set, their own matrices in {folder}"),
        None => format!("The distribution of NeuralIF's random set, our seed, n = {n}"),
    };
    let about = format!(
        "{whose} (arXiv:2305.16368, apps/synthetic.py; theirs: n = 10000, 100 test matrices): A = M Mᵀ + 1e-3 I, ten normal \
         entries a row of M, b uniform in [0, 1). Their own test program stops at ‖r‖² < 1e-6 ‖b‖²; their printed figures are \
         not known to this project, so the rule is ours."
    );
    let recipe = |n| Recipe::RandomSpd(RandomSpd { n });
    let (test, learn, theirs) = (recipe(n), recipe(SIDE * SIDE), theirs.map(str::to_owned));
    let source = Source::Recipe { test, learn, theirs };
    Set::new("random-spd", "Random SPD matrices (NeuralIF)", &about, systems, source)
}

fn contrast(grid: usize, variance: f64, bounds: [f64; 2], small: bool) -> Set {
    let about = format!(
        "The distribution of PreCorrector's div_k_grad (arXiv:2405.15557, data/qtt.py), our seed: {grid} × {grid} points, \
         k = e^g with variance {variance}, contrast within {}–{}, b normal; theirs: 200 test systems.",
        bounds[0], bounds[1]
    );
    let test = Contrast::new(grid, variance, bounds);
    let learn = Contrast { window: Some(SIDE), ..test.clone() };
    let [test, learn] = [test, learn].map(Recipe::Contrast);
    let source = Source::Recipe { test, learn, theirs: None };
    let (name, title) = (format!("contrast-{grid}"), format!("Diffusion, {grid}² (PreCorrector)"));
    let systems = if small { 2 } else { 200 };
    let published = published::contrast(grid, variance);
    Set {
        rule: Rule::Absolute(1e-6),
        published,
        ..Set::new(&name, &title, &about, systems, source)
    }
}

fn meshes(small: bool) -> Set {
    let of = |side: usize, large: bool| {
        let body = if large { side / 2 } else { 9 };
        vec![
            json!({ "label": "Poisson, Delaunay", "kind": "diffusion", "mesh": "delaunay", "nodes": side, "shift": 0.48, "rhs": "random" }),
            json!({ "label": "log-normal, Delaunay", "kind": "diffusion", "mesh": "delaunay", "nodes": side, "shift": 0.48, "coefficient": "log-normal", "deviation": 1.5, "rhs": "random" }),
            json!({ "label": "L-shape, graded", "kind": "l-shape", "nodes": if large { side / 2 } else { 8 }, "rhs": "random" }),
            json!({ "label": "elasticity", "kind": "elasticity", "nodes": body, "rhs": "random" }),
            json!({ "label": "heat, a time step", "kind": "heat", "nodes": side }),
        ]
    };
    let side = if small { 24 } else { 127 };
    let source = Source::Problems { test: of(side, true), learn: of(SIDE, false) };
    let about = format!(
        "Our own kinds of problems: triangulations of {side}² points, with and without a log-normal coefficient, an L-shape \
         graded to its corner, plane elasticity, time steps of heat flow; b normal (heat: that of a known solution)."
    );
    let systems = if small { 2 } else { 10 };
    Set::new("meshes", "Meshes: Poisson, L-shape, elasticity, heat", &about, systems, source)
}

fn grids(small: bool) -> Set {
    let levels = if small { 4..=5 } else { 6..=8 };
    let of = |level: u32| json!({ "label": format!("level {level}"), "kind": "poisson", "level": level, "rhs": "random" });
    let source = Source::Problems {
        test: levels.clone().map(of).collect(),
        learn: vec![json!({ "kind": "poisson", "level": 4 })],
    };
    let about = format!(
        "P1 elements on grids of (2^level − 1)² nodes, levels {}–{}, each shifted within a quarter of a step; b normal.",
        levels.start(),
        levels.end()
    );
    let systems = if small { 2 } else { 10 };
    let set = Set::new("grids", "Structured grids, shifted nodes", &about, systems, source);
    Set { on_grids: true, ..set }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::problem::Problem;

    #[test]
    fn names_are_different_and_problems_are_there() {
        for size in [Size::Small, Size::Full] {
            let sets = all(size, None, &["a/*.mtx".into(), "b.mtx".into()]);
            let mut names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), sets.len());
            for set in &sets {
                let Source::Problems { test, learn } = &set.source else { continue };
                for section in test.iter().chain(learn) {
                    let mut section = section.clone();
                    section.as_object_mut().expect("a section").remove("label");
                    Problem::from_json(&section).expect("a problem");
                }
            }
        }
    }

    #[test]
    fn figures_stand_beside_the_published_sizes() {
        let sets = all(Size::Full, None, &[]);
        let with: Vec<&str> = sets
            .iter()
            .filter(|set| !set.published.is_empty())
            .map(|set| set.name.as_str())
            .collect();
        assert_eq!(with, ["contrast-64", "contrast-128", "contrast-256"]);
    }
}
