//! The systems of a race: those to practise on, and those that are held out.
use super::space::Dice;
use crate::Methods;
use crate::config::experiment::{self, Case, Task};
use precondor_core::Result;
use precondor_core::config::Node;
use precondor_core::kernel::random;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Systems of a model problem to practise on where nobody says how many.
const SAMPLES: u64 = 8;

/// Where systems come from.
pub enum Family {
    /// A case of a configuration: a model problem, or a file.
    Case(Box<Case>),
    /// A system that is there, and what it is called.
    Made(String, Box<Task>),
}

/// A system: of which family, which one of it, and whether it is to practise on.
struct System {
    family: usize,
    index: u64,
    practice: bool,
}

/// All systems of a race.
pub struct Systems {
    families: Vec<Family>,
    systems: Vec<System>,
    seed: u64,
}

impl Family {
    /// The families of the section, or the sections, `key`.
    ///
    /// # Errors
    /// [`Error::Parameter`](precondor_core::Error::Parameter) with the place of what it cannot hold.
    pub fn named(root: &Node, key: &str, methods: &Methods) -> Result<Vec<Family>> {
        let samples = if key == "held_out" { SAMPLES / 2 } else { SAMPLES };
        let cases = experiment::family_of(root, key, samples, methods)?;
        let apart = cases.into_iter().flat_map(Case::apart);
        Ok(apart.map(|case| Family::Case(Box::new(case))).collect())
    }

    /// What it is called.
    pub fn label(&self) -> &str {
        match self {
            Family::Case(case) => &case.label,
            Family::Made(label, _) => label,
        }
    }

    /// Whether it is a model problem, of which there are as many systems as one likes.
    pub fn is_model(&self) -> bool {
        matches!(self, Family::Case(case) if case.is_model())
    }

    /// Its section, for a configuration in another folder; none of a system that is there.
    pub fn section(&self, folder: Option<&Path>) -> Option<Value> {
        match self {
            Family::Case(case) => Some(case.section(folder)),
            Family::Made(..) => None,
        }
    }

    fn samples(&self) -> u64 {
        match self {
            Family::Case(case) => case.samples,
            Family::Made(..) => 1,
        }
    }
}

impl Systems {
    /// All of `practice` but those that are held out, unless `others` are: the share `held_out` of what is no model problem,
    /// chosen by `seed`, and of each model problem as many fresh systems.
    ///
    /// # Errors
    /// What to do, where nothing is left to hold out.
    pub fn new(
        practice: Vec<Family>,
        others: Option<Vec<Family>>,
        held_out: f64,
        seed: u64,
    ) -> std::result::Result<Systems, &'static str> {
        let mut families = practice;
        let first = families.len();
        let mut systems = Vec::new();
        for (family, of) in families.iter().enumerate().filter(|(_, of)| of.is_model()) {
            let samples = of.samples();
            systems.extend((0..samples).map(|index| System { family, index, practice: true }));
            if others.is_none() {
                let share = held_out / (1.0 - held_out);
                let fresh = ((samples as f64 * share).round() as u64).max(1);
                systems.extend((0..fresh).map(|index| System { family, index, practice: false }));
            }
        }
        let mut single: Vec<usize> = (0..first).filter(|k| !families[*k].is_model()).collect();
        let mut of = |practice: bool, some: &[usize]| {
            systems.extend(some.iter().map(|&family| System { family, index: 0, practice }));
            systems.iter().any(|system: &System| system.practice)
        };
        if others.is_none() && !single.is_empty() {
            Dice::new(random::mix(seed)).shuffle(&mut single);
            let held = (single.len() as f64 * held_out).round() as usize;
            let held = held.clamp(1, single.len());
            of(false, &single[..held]);
            if !of(true, &single[held..]) {
                return Err(
                    "one matrix only: what wins there is no news; give several (matrices = \"folder/*.mtx\"), or a section \
                     [held_out] with others",
                );
            }
        } else {
            of(true, &single);
        }
        for (k, of) in others.iter().flatten().enumerate() {
            let family = first + k;
            let samples = 0..of.samples();
            systems.extend(samples.map(|index| System { family, index, practice: false }));
        }
        families.extend(others.into_iter().flatten());
        Ok(Systems { families, systems, seed })
    }

    /// Those to practise on, or those that are held out.
    pub fn of(&self, practice: bool) -> Vec<usize> {
        let all = self.systems.iter().enumerate();
        all.filter(|(_, system)| system.practice == practice).map(|(k, _)| k).collect()
    }

    /// The first system to practise on of each family.
    pub fn first_of_each(&self) -> Vec<usize> {
        let all = self.of(true);
        let of = |family: usize| all.iter().copied().find(|k| self.systems[*k].family == family);
        (0..self.families.len()).filter_map(of).collect()
    }

    /// What a system is called.
    pub fn name(&self, system: usize) -> String {
        let System { family, index, practice } = self.systems[system];
        let family = &self.families[family];
        match (family.is_model(), practice) {
            (false, _) => family.label().to_owned(),
            (true, true) => format!("{}, practice {index}", family.label()),
            (true, false) => format!("{}, system {index}", family.label()),
        }
    }

    /// The family of a system, and its number there.
    pub fn place(&self, system: usize) -> (&Family, u64) {
        let System { family, index, .. } = self.systems[system];
        (&self.families[family], index)
    }

    /// The files of all systems; those of one matrix or vector belong together.
    pub fn files(&self) -> Vec<Vec<PathBuf>> {
        let of = |family: &Family| match family {
            Family::Case(case) => case.files(),
            Family::Made(..) => Vec::new(),
        };
        self.families.iter().flat_map(of).collect()
    }

    /// Makes a system. Collective.
    ///
    /// # Errors
    /// What reading or making it reports.
    pub fn task(&self, system: usize, methods: &Methods) -> Result<Task> {
        let System { family, index, practice } = self.systems[system];
        match (&self.families[family], practice) {
            (Family::Made(_, task), _) => Ok(Task::clone(task)),
            // Apart from what models are trained on with the same seed.
            (Family::Case(case), true) => {
                case.practice(random::mix(self.seed ^ random::GAMMA), index, methods)
            }
            (Family::Case(case), false) => case.task(index, methods),
        }
    }
}
